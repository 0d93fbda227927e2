"""Names of dlib that ert lacks: passed through to an installed dlib, and refused in one line without it."""

import pickle
import re
import subprocess
import sys
from types import ModuleType

import numpy as np
import pytest

import ert
from ert.compat import dlib as ours
from ert.compat import installed

PARTS = [(190 + 8 * column, 90 + 16 * row) for row in range(4) for column in range(9)][:5]


@pytest.fixture(scope="module")
def theirs():
    return pytest.importorskip("dlib")


@pytest.fixture
def no_dlib(monkeypatch):
    """Let `import dlib` fail, as where it is not installed."""
    monkeypatch.setitem(sys.modules, "dlib", None)
    installed._import_dlib.cache_clear()
    monkeypatch.setattr(installed, "installed_dlib", lambda: None)
    monkeypatch.setattr(ours, "installed_dlib", lambda: None)
    yield
    installed._import_dlib.cache_clear()


@pytest.fixture(scope="module")
def image():
    return ours.load_rgb_image(ert.sample_image())


def face_of(module):
    """Return five points of eyes and nose, which is what dlib cuts faces out by."""
    places = [(240, 115), (225, 115), (190, 115), (206, 115), (215, 140)]
    return module.full_object_detection(
        module.rectangle(175, 76, 265, 166), module.points([module.point(*each) for each in places])
    )


def text_of(value):
    if isinstance(value, (list, tuple)):
        return [text_of(each) for each in value]
    if type(value).__name__ == "full_object_detection":
        return str(value.rect), str(value.parts())
    return str(value)


def objects_of(module):
    point, rect = module.point(1, 2), module.rectangle(1, 2, 10, 21)
    face = module.full_object_detection(rect, [point, module.point(2**31 - 1, 2**31 - 1)])
    return [
        point,
        module.dpoint(1.5, 2.25),
        module.points([point, point]),
        module.dpoints([module.dpoint(0.5, 1)]),
        rect,
        module.drectangle(1.5, 2.25, 10, 20.5),
        module.rectangles([rect]),
        module.rectangless([module.rectangles([rect])]),
        face,
        module.full_object_detections([face]),
    ]


def test_objects_are_converted_and_back(theirs):
    mine, its = objects_of(ours), objects_of(theirs)
    for one, other in zip(mine, its, strict=True):
        converted, back = ours.to_dlib(one), ours.from_dlib(other)
        assert type(converted) is type(other)
        assert type(back) is type(one)
        assert back == one
        assert text_of(converted) == text_of(other) or "object at" in str(other)
        assert ours.from_dlib(converted) == one
    assert ours.to_dlib((mine[0], [mine[4]], 5, "text"))[2:] == (5, "text")
    assert isinstance(ours.to_dlib([mine[4]])[0], theirs.rectangle)
    assert ours.from_dlib(mine) == mine
    array = np.zeros(3)
    assert ours.to_dlib(array) is array


def test_every_name_of_dlib_is_there(theirs):
    missing = [name for name in dir(theirs) if not name.startswith("__") and not hasattr(ours, name)]
    assert not missing
    assert ours.DLIB_USE_CUDA is theirs.DLIB_USE_CUDA
    assert ours.cuda is theirs.cuda


def test_faces_are_cut_out_and_tracked_by_dlib(theirs, image):
    mine, its = face_of(ours), face_of(theirs)
    np.testing.assert_array_equal(ours.get_face_chip(image, mine), theirs.get_face_chip(image, its))
    chips = ours.get_face_chips(image, ours.full_object_detections([mine, mine]), size=60, padding=0.1)
    expected = theirs.get_face_chip(image, its, size=60, padding=0.1)
    np.testing.assert_array_equal(chips, [expected, expected])
    details = ours.get_face_chip_details(mine, 100, 0.2)
    assert str(details) == str(theirs.get_face_chip_details(its, 100, 0.2))
    np.testing.assert_array_equal(ours.extract_image_chip(image, details), theirs.extract_image_chip(image, details))
    made = ours.chip_details(mine.rect, ours.chip_dims(50, 40))
    assert isinstance(made, theirs.chip_details)
    assert made.rect == ours.drectangle(mine.rect)

    tracker, twin = ours.correlation_tracker(), theirs.correlation_tracker()
    tracker.start_track(image, mine.rect)
    twin.start_track(image, its.rect)
    assert tracker.update(image) == twin.update(image)
    assert isinstance(tracker.get_position(), ours.drectangle)
    assert str(tracker.get_position()) == str(twin.get_position())


def test_faces_are_recognized_by_dlib(theirs, image):
    models = pytest.importorskip("face_recognition_models")
    path = models.face_recognition_model_location()
    face = ours.shape_predictor("face68")(image, ours.rectangle(175, 76, 265, 166))
    expected = theirs.face_recognition_model_v1(path).compute_face_descriptor(image, ours.to_dlib(face))
    model = ours.face_recognition_model_v1(path)
    assert isinstance(model, theirs.face_recognition_model_v1)
    np.testing.assert_array_equal(model.compute_face_descriptor(image, face), expected)


def test_faces_are_found_by_the_network_of_dlib(theirs, image):
    models = pytest.importorskip("face_recognition_models")
    path = models.cnn_face_detector_model_location()
    part = image[40:200, 140:300].copy()
    found, expected = ours.cnn_face_detection_model_v1(path)(part), theirs.cnn_face_detection_model_v1(path)(part)
    assert isinstance(found, ours.mmod_rectangles)
    assert [(str(each.rect), each.confidence) for each in found] == [(str(e.rect), e.confidence) for e in expected]
    assert len(found) == 1
    assert isinstance(found[0].rect, ours.rectangle)
    (batch,) = ours.cnn_face_detection_model_v1(path)([part], batch_size=1)
    assert batch == found


def test_functions_may_append_to_a_list(theirs):
    image = np.random.default_rng(0).integers(0, 256, (80, 80, 3), dtype=np.uint8)
    mine, its = [], []
    ours.find_candidate_object_locations(image, mine, min_size=20)
    theirs.find_candidate_object_locations(image, its, min_size=20)
    assert text_of(mine) == text_of(its)
    assert isinstance(mine[0], ours.rectangle)


def test_objects_of_dlib_are_taken_too(theirs, image):
    predictor = ours.shape_predictor("face68")
    face = predictor(image, theirs.rectangle(175, 76, 265, 166))
    assert face == predictor(image, ours.rectangle(175, 76, 265, 166))
    assert isinstance(face.rect, ours.rectangle)
    assert ours.points([theirs.point(1, 2)])[0] == ours.point(1, 2)
    assert ours.full_object_detection(theirs.rectangle(0, 0, 3, 3), [theirs.point(1, 2)]).part(0) == ours.point(1, 2)


def test_unknown_names_are_refused_in_one_line(theirs):
    with pytest.raises(AttributeError, match="no attribute 'nothing': the installed dlib has none either"):
        ours.nothing  # noqa: B018
    with pytest.raises(ImportError, match=r"no attribute 'image_window': .* ert\.plotting"):
        from ert.compat.dlib import image_window  # noqa: F401


def test_without_dlib_names_say_how_to_go_on(no_dlib):
    for name, hint in (
        ("correlation_tracker", "ert.Tracker"),
        ("get_face_chip", "ert.chip"),
        ("cnn_face_detection_model_v1", "ert.detect_faces"),
        ("train_simple_object_detector", "pip install dlib"),
    ):
        with pytest.raises(AttributeError, match=f"no attribute '{name}': .*{re.escape(hint)}") as error:
            getattr(ours, name)
        assert "\n" not in str(error.value)
        assert not hasattr(ours, name)
    with pytest.raises(ImportError, match="pip install dlib"):
        from ert.compat.dlib import correlation_tracker  # noqa: F401
    assert ours.DLIB_USE_CUDA is False
    with pytest.raises(ours.DlibError, match="to_dlib needs dlib, which is not installed: pip install dlib"):
        ours.to_dlib(ours.point(1, 2))
    with pytest.raises(ours.DlibError, match=r"parts\.svm: a detector of dlib needs dlib"):
        ours.fhog_object_detector("parts.svm")


def test_other_packages_import_the_stand_in(tmp_path):
    (tmp_path / "program.py").write_text(
        "import dlib\nfrom dlib import rectangle, get_frontal_face_detector\n"
        "assert dlib.__name__ == 'ert.compat.dlib'\n"
        "assert get_frontal_face_detector().detector(None) == 'mine'\n"
    )
    script = (
        "import sys, importlib.util, ert.compat.dlib as ours; ours.replace_dlib(lambda image: 'mine'); import program\n"
        "sys.exit(importlib.util.find_spec('_dlib_pybind11') is not None and ours.to_dlib(ours.point(1, 2)).x != 1)"
    )
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)


def test_the_stand_in_does_not_hide_dlib(theirs, monkeypatch):
    monkeypatch.setitem(sys.modules, "dlib", ours)
    installed._import_dlib.cache_clear()
    found = installed.installed_dlib()
    assert isinstance(found, ModuleType)
    assert found.__name__ == "dlib"
    assert sys.modules["dlib"] is ours


def test_classes_of_dlib_are_pickled(theirs):
    assert list(pickle.loads(pickle.dumps(ours.vector([1, 2.5])))) == [1, 2.5]
