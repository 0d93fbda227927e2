"""The drop-in for dlib: by itself, and side by side with dlib where it is installed."""

import pickle
import re
from pathlib import Path

import numpy as np
import pytest

import ert
from ert import InputError
from ert.compat import dlib as ours
from ert.datasets.synthetic import synthetic_dataset, synthetic_faces

N_FACES = 40


def options_of(module, **changes):
    options = module.shape_predictor_training_options()
    small = {"cascade_depth": 3, "num_trees_per_cascade_level": 40, "oversampling_amount": 5}
    for name, value in (small | changes).items():
        setattr(options, name, value)
    return options


def detections_of(module, boxes, landmarks):
    """Return one object per image in the classes of one of the two modules."""
    return [
        [
            module.full_object_detection(
                module.rectangle(left, top, left + width - 1, top + height - 1), [module.point(x, y) for x, y in shape]
            )
        ]
        for (left, top, width, height), shape in zip(
            boxes.round().astype(int).tolist(), landmarks.round().astype(int).tolist(), strict=True
        )
    ]


@pytest.fixture(scope="module")
def drawn():
    images, boxes, landmarks = synthetic_faces(N_FACES, seed=4, size=96)
    return list(images), boxes, landmarks


@pytest.fixture(scope="module")
def trained(drawn):
    images, boxes, landmarks = drawn
    return ours.train_shape_predictor(images, detections_of(ours, boxes, landmarks), options_of(ours))


@pytest.fixture(scope="module")
def theirs():
    return pytest.importorskip("dlib")


@pytest.fixture(scope="module")
def their_file(theirs, drawn, tmp_path_factory):
    """A model trained by dlib on the synthetic faces."""
    images, boxes, landmarks = drawn
    model = theirs.train_shape_predictor(images, detections_of(theirs, boxes, landmarks), options_of(theirs))
    path = tmp_path_factory.mktemp("models") / "theirs.dat"
    model.save(str(path))
    return str(path)


@pytest.fixture(scope="module")
def xml(tmp_path_factory):
    folder = synthetic_dataset(tmp_path_factory.mktemp("faces"), 12, seed=4)
    path = folder / "landmarks.xml"
    # The first face lacks a point.
    path.write_text(re.sub(r" *<part name='05'.*\n", "", path.read_text(), count=1))
    return str(path)


def points_of(detection):
    return [(part.x, part.y) for part in detection.parts()]


def test_rectangles_include_their_last_pixels():
    rect = ours.rectangle(10, 20, 29, 59)
    assert (rect.left(), rect.top(), rect.right(), rect.bottom()) == (10, 20, 29, 59)
    assert (rect.width(), rect.height(), rect.area()) == (20, 40, 800)
    assert (repr(rect), str(rect)) == ("rectangle(10,20,29,59)", "[(10, 20) (29, 59)]")
    assert rect.center() == ours.point(20, 40)
    assert rect.contains(29, 59)
    assert not rect.contains(30, 59)
    assert rect == ours.rectangle(left=10, top=20, right=29, bottom=59)
    assert rect != (10, 20, 29, 59)
    assert ours.rectangle().is_empty()
    assert ours.rectangle().area() == 0
    with pytest.raises(TypeError):
        ours.rectangle(10.5, 20, 29, 59)
    with pytest.raises(TypeError, match="contains"):
        rect.contains(1)


def test_rectangles_are_as_in_dlib(theirs):
    rng = np.random.default_rng(0)

    def describe(module, a, b, x, y):
        one, other = module.rectangle(*a), module.rectangle(*b)
        corners = [one.tl_corner(), one.tr_corner(), one.bl_corner(), one.br_corner(), one.center()]
        numbers = [one.left(), one.top(), one.right(), one.bottom(), one.width(), one.height(), one.area()]
        joint = [str(one + other), str(one.intersect(other)), repr(one), one == other, one == module.rectangle(*a)]
        inside = [one.contains(x, y), one.contains(module.point(x, y)), one.contains(other), one.is_empty()]
        return [str(corner) for corner in corners], numbers, joint, inside

    for _ in range(300):
        a, b, xy = (rng.integers(-6, 7, n).tolist() for n in (4, 4, 2))
        assert describe(ours, a, b, *xy) == describe(theirs, a, b, *xy)
    assert repr(ours.point(1, 2) - ours.point(3, 5)) == repr(theirs.point(1, 2) - theirs.point(3, 5))
    assert repr(ours.point(1, 2) + ours.point(3, 5)) == repr(theirs.point(1, 2) + theirs.point(3, 5))


def test_full_object_detection_contains_points():
    rect = ours.rectangle(0, 0, 9, 9)
    detection = ours.full_object_detection(rect, [ours.point(1, 2), ours.point(3, 4)])
    assert detection.rect == rect
    assert detection.num_parts == 2
    assert detection.part(1) == ours.point(3, 4)
    detection.parts().clear()
    assert points_of(pickle.loads(pickle.dumps(detection))) == [(1, 2), (3, 4)]
    for number in (2, -1):
        with pytest.raises(IndexError):
            detection.part(number)


def test_options_have_the_names_and_defaults_of_dlib(theirs):
    mine, its = ours.shape_predictor_training_options(), theirs.shape_predictor_training_options()
    names = [name for name in dir(its) if not name.startswith("_")]
    assert names == [name for name in dir(mine) if not name.startswith("_")]
    assert [getattr(mine, name) for name in names] == [getattr(its, name) for name in names]
    assert [type(getattr(mine, name)) for name in names] == [type(getattr(its, name)) for name in names]
    with pytest.raises(AttributeError):
        mine.cascade_deepness = 3


def test_a_dat_file_gives_the_points_of_dlib(theirs, their_file, drawn, tmp_path):
    predictor, twin = ours.shape_predictor(their_file), theirs.shape_predictor(their_file)
    images, boxes, _ = drawn
    color = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    edges = [(*box[:2], *(box[:2] + box[2:] - 1)) for box in boxes.round().astype(int)]
    for image, (left, top, right, bottom) in zip([*images, color], [*edges, (-5, 3, 60, 80)], strict=True):
        found = predictor(image, ours.rectangle(left, top, right, bottom))
        assert found.rect == ours.rectangle(left, top, right, bottom)
        assert points_of(found) == points_of(twin(image, theirs.rectangle(left, top, right, bottom)))
    predictor.save(tmp_path / "again.dat")
    assert (tmp_path / "again.dat").read_bytes() == Path(their_file).read_bytes()


def test_errors_are_those_of_dlib(theirs, their_file, drawn, xml):
    """The mean error of one model, from both: over a file with a missing point, over images, with scales."""
    images, boxes, landmarks = drawn
    scales = [[float(width)] for width in boxes[:, 2].round()]

    def errors_of(module):
        model, objects = module.shape_predictor(their_file), detections_of(module, boxes, landmarks)
        return [
            module.test_shape_predictor(xml, their_file),
            module.test_shape_predictor(images, objects, model),
            module.test_shape_predictor(images, objects, scales, model),
        ]

    np.testing.assert_allclose(errors_of(ours), errors_of(theirs), rtol=1e-12)
    assert ours.test_shape_predictor(xml, ours.shape_predictor(their_file)) == errors_of(ours)[0]


def test_missing_points_are_left_out(drawn, trained):
    images, boxes, landmarks = (each[:4] for each in drawn)
    boxes = boxes.round()
    few = landmarks.round()
    few[3, :10] = 2**31 - 1
    distances = np.linalg.norm(
        np.floor(trained.model.predict(list(zip(images, boxes, strict=True))) + 0.5) - few, axis=2
    )
    distances[3, :10] = np.nan
    found = ours.test_shape_predictor(images, detections_of(ours, boxes, few), trained)
    assert found == pytest.approx(np.nanmean(distances))
    options = options_of(ours, cascade_depth=1, num_trees_per_cascade_level=2)
    model = ours.train_shape_predictor(images, detections_of(ours, boxes, few), options).model
    assert model.summary_["n_missing"] == 10


def test_training_is_as_accurate_as_in_dlib(theirs, their_file, trained):
    images, boxes, landmarks = synthetic_faces(60, seed=9, size=96)
    objects = detections_of(ours, boxes, landmarks)
    mine = ours.test_shape_predictor(list(images), objects, trained)
    its = ours.test_shape_predictor(list(images), objects, ours.shape_predictor(their_file))
    assert mine < 1.1 * its


def test_training_on_images_equals_the_estimator(drawn, trained):
    images, boxes, landmarks = drawn
    X = list(zip(images, boxes.round(), strict=True))
    model = ert.ShapePredictor(n_stages=3, n_trees=40, n_inits=5, kind="dlib", gray_weights="dlib")
    model.fit(X, landmarks.round())
    assert np.array_equal(trained.model.predict(X), model.predict(X))
    found = trained(images[0], detections_of(ours, boxes, landmarks)[0][0].rect)
    assert points_of(found) == [tuple(xy) for xy in np.floor(model.predict(X[:1])[0] + 0.5)]


def test_models_trained_on_images_can_be_saved_as_dat(trained, drawn, tmp_path):
    trained.save(tmp_path / "model.dat")
    X = list(zip(drawn[0], drawn[1].round(), strict=True))
    assert np.array_equal(ert.load(tmp_path / "model.dat").predict(X), trained.model.predict(X))


def test_training_on_a_file_writes_a_model(xml, tmp_path):
    path = tmp_path / "model.ert"
    options = options_of(ours, cascade_depth=1, num_trees_per_cascade_level=5)
    assert ours.train_shape_predictor(xml, str(path), options) is None
    predictor = ours.shape_predictor(str(path))
    assert predictor.model.summary_["n_missing"] == 1
    assert 0 < ours.test_shape_predictor(xml, str(path)) < 20


def test_parts_are_sorted_as_text(tmp_path):
    folder = synthetic_dataset(tmp_path, 4)
    path = folder / "landmarks.xml"
    path.write_text(re.sub(r"name='0(\d)'", r"name='\1'", path.read_text()))
    options = options_of(ours, cascade_depth=1, num_trees_per_cascade_level=2)
    ours.train_shape_predictor(path, tmp_path / "model.ert", options)
    names = ours.shape_predictor(tmp_path / "model.ert").model.landmark_names_
    assert names == tuple(sorted(str(number) for number in range(68)))


def test_models_trained_here_run_in_dlib(theirs, drawn, xml, tmp_path):
    path = tmp_path / "model.dat"
    ours.train_shape_predictor(xml, path, options_of(ours))
    assert list(tmp_path.iterdir()) == [path]
    ported, original = ours.shape_predictor(str(path)), theirs.shape_predictor(str(path))
    for image, box in zip(drawn[0], drawn[1].astype(int).tolist(), strict=True):
        rect = box[0], box[1], box[0] + box[2] - 1, box[1] + box[3] - 1
        expected = points_of(original(image, theirs.rectangle(*rect)))
        assert points_of(ported(image, ours.rectangle(*rect))) == expected


def test_options_reach_the_estimator(drawn):
    images, boxes, landmarks = drawn
    changes = {
        "cascade_depth": 1,
        "num_trees_per_cascade_level": 2,
        "tree_depth": 3,
        "nu": 0.2,
        "oversampling_amount": 3,
        "oversampling_translation_jitter": 0.3,
        "feature_pool_size": 50,
        "lambda_param": 0.3,
        "num_test_splits": 7,
        "feature_pool_region_padding": 0.1,
        "random_seed": "seed",
        "num_threads": 1,
    }
    objects = detections_of(ours, boxes, landmarks)
    model = ours.train_shape_predictor(images, objects, options_of(ours, **changes)).model
    expected = {
        "n_stages": 1,
        "n_trees": 2,
        "max_depth": 3,
        "learning_rate": 0.2,
        "n_inits": 3,
        "n_pixels": 50,
        "prior_length": 0.3,
        "n_split_tests": 7,
        "padding": 0.1,
        "n_jobs": 1,
    }
    params = model.get_params()
    assert {name: params[name] for name in expected} == expected
    assert params["shift_jitter"] == pytest.approx(np.random.default_rng(0).uniform(-0.3, 0.3, 10**6).std(), rel=0.01)
    assert params["random_state"] > 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"nu": 2.0}, "nu=2.0: expected"),
        ({"cascade_depth": 0}, "cascade_depth=0: expected"),
        ({"feature_pool_region_padding": -0.6}, "feature_pool_region_padding=-0.6: expected"),
        ({"landmark_relative_padding_mode": False}, "landmark_relative_padding_mode is False"),
    ],
)
def test_wrong_options_are_named_as_in_dlib(drawn, changes, message):
    images, boxes, landmarks = drawn
    with pytest.raises(RuntimeError, match=f"^{message}"):
        ours.train_shape_predictor(images, detections_of(ours, boxes, landmarks), options_of(ours, **changes))


def test_wrong_lists_are_refused(drawn, trained):
    images, boxes, landmarks = drawn
    objects = detections_of(ours, boxes, landmarks)
    odd = [[ours.full_object_detection(objects[0][0].rect, objects[0][0].parts()[:5])], *objects[1:]]
    nothing = [[ours.full_object_detection(objects[0][0].rect, [])]]
    scales = [[1.0] for _ in images]
    for arguments, message in (
        ((images[1:], objects, trained), "39 images and 40 lists of objects, expected equal"),
        ((images, odd, trained), r"images\[1\]: an object with 68 parts, expected 5"),
        (([], [], trained), "no object with parts in any image"),
        ((images[:1], nothing, trained), "no object with parts in any image"),
        ((images, objects, scales[1:], trained), "scales: expected a list for each"),
        ((images, objects, [[0.0], *scales[1:]], trained), "scales: minimum 0"),
        ((images[:1], odd[:1], trained), "the model has 68 points, the objects have 5"),
    ):
        with pytest.raises(InputError, match=message):
            ours.test_shape_predictor(*arguments)


def test_modes(trained, drawn):
    images, boxes, landmarks = drawn
    rect = detections_of(ours, boxes, landmarks)[0][0].rect
    accurate = ours.shape_predictor(trained.model, mode="accurate")
    X = [(images[0], (rect.left(), rect.top(), rect.width(), rect.height()))]
    expected = np.floor(trained.model.predict(X, "accurate")[0] + 0.5)
    assert points_of(accurate(images[0], rect)) == [tuple(xy) for xy in expected]
    with pytest.raises(ours.DlibError, match="mode='best'"):
        ours.shape_predictor(trained.model, mode="best")(images[0], rect)


def test_reprs_are_short(trained):
    assert repr(trained).startswith("shape_predictor(ShapePredictor(kind='dlib'")
    rect = ours.rectangle(0, 0, 9, 9)
    detection = ours.full_object_detection(rect, [ours.point(1, 2)] * 68)
    assert repr(detection) == "full_object_detection(rectangle(0,0,9,9), 68 parts)"


def test_errors_are_of_both_kinds(trained, tmp_path):
    image = np.zeros((50, 50), np.uint8)
    for kind in (RuntimeError, InputError):
        with pytest.raises(kind, match=r"gone\.dat"):
            ours.shape_predictor(str(tmp_path / "gone.dat"))
        with pytest.raises(kind, match="box"):
            trained(image, ours.rectangle())
        with pytest.raises(kind, match="uint8"):
            trained(image.astype(float), ours.rectangle(0, 0, 40, 40))
        with pytest.raises(kind, match="dlib's format cannot express"):
            ours.shape_predictor("face68").save(tmp_path / "model.dat")
        with pytest.raises(kind, match=r"gone\.png"):
            ours.load_rgb_image(tmp_path / "gone.png")


def test_faces_are_those_of_ert():
    image = ours.load_rgb_image(ert.sample_image())
    found = ours.get_frontal_face_detector()(image, 1)
    boxes = ert.detect_faces(image)
    assert len(found) == len(boxes) > 0
    edges = [(rect.left(), rect.top(), rect.width(), rect.height()) for rect in found]
    np.testing.assert_allclose(edges, boxes, atol=0.5)
    shape = ours.shape_predictor("face68")(image, found[0])
    expected = ert.load("face68").predict([(image, edges[0])])[0]
    np.testing.assert_allclose(points_of(shape), expected, atol=0.5)


# A box beyond each side, one that the image touches, one that is far larger, one of a pixel, one without a width.
OUTSIDE = [
    (500, 500, 560, 570),
    (-90, -80, -9, -5),
    (90, 10, 140, 60),
    (-40, -40, 900, 2000),
    (9, 9, 9, 9),
    (9, 9, 9, 60),
]


def test_boxes_outside_the_image_are_answered_as_in_dlib(theirs, their_file, drawn):
    predictor, twin = ours.shape_predictor(their_file), theirs.shape_predictor(their_file)
    gray = drawn[0][0]
    color = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    for image in (gray, color, color[::2, ::-1]):
        for rect in OUTSIDE:
            found = predictor(image, ours.rectangle(*rect))
            assert points_of(found) == points_of(twin(np.ascontiguousarray(image), theirs.rectangle(*rect)))
            assert found.rect == ours.rectangle(*rect)


def test_models_of_ert_answer_outside_the_image_too():
    predictor = ours.shape_predictor("face68")
    black = np.zeros((60, 70), np.uint8)
    inside = np.array(points_of(predictor(np.zeros((400, 400), np.uint8), ours.rectangle(150, 100, 249, 199))))
    moved = np.array(points_of(predictor(black, ours.rectangle(1150, -900, 1249, -801))))
    assert np.abs(moved - inside - (1000, -1000)).max() <= 1


def test_wrong_arguments_are_refused(trained):
    image = np.zeros((60, 60), np.uint8)
    with pytest.raises(TypeError, match="box: tuple, expected a rectangle"):
        trained(image, (5, 5, 40, 40))
    for wrong in (None, image.tolist(), np.dstack([image] * 4), image.astype(np.uint16)):
        for rect in (ours.rectangle(5, 5, 40, 40), ours.rectangle(500, 500, 540, 540)):
            with pytest.raises(ours.DlibError, match="expected"):
                trained(wrong, rect)
