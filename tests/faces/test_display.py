import os
import pickle
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import ert
from ert import AlignedFace, BlinkCounter, InputError
from ert.faces import Faces


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)


BOXES = [(10.0, 12.0, 60.0, 60.0), (30.0, 20.0, 50.0, 50.0)]


def test_faces_are_a_list(image, small_model):
    faces = ert.align(image, small_model, boxes=BOXES)
    assert isinstance(faces, list)
    assert faces == list(faces)
    assert list(faces) == faces
    assert ert.align(image, small_model, boxes=[]) == []


def test_reprs_are_short_and_have_sizes(image, small_model):
    faces = ert.align(image, small_model, boxes=BOXES)
    number = r"-?\d+\.\d"
    first = rf"AlignedFace\(68 landmarks, box 60 x 60 at \(10, 12\), roll {number}°\)"
    assert re.fullmatch(first, repr(faces[0]))
    assert repr(replace(faces[0], confidence=0.5)).endswith("°, confidence 0.50)")
    assert re.fullmatch(rf"Faces\(\[{first}, AlignedFace\(.*\)\]\)", repr(faces))
    assert repr(Faces(faces * 9)) == "Faces(18 faces of 68 landmarks, boxes of 50 to 60 pixels)"
    assert repr(Faces()) == "Faces([])"
    assert re.fullmatch(
        rf"Chip\(80 x 80 pixels, color, scale [\d.]+, rotation {number}°\)",
        repr(ert.chip(image, faces[0].landmarks, 80)),
    )
    counter = BlinkCounter()
    assert repr(counter) == "BlinkCounter(blinks=0, closed_time=0.00 s, eyes open)"
    counter.update(1, 0.1)
    counter.update(1.5, 0.1)
    assert repr(counter) == "BlinkCounter(blinks=0, closed_time=0.50 s, eyes closed for 0.50 s)"


def test_the_repr_of_a_pose():
    pytest.importorskip("cv2")
    portrait = ert.load_image(ert.sample_image())
    pose = ert.head_pose(ert.align(portrait)[0].landmarks, portrait.shape)
    assert re.fullmatch(r"HeadPose\(yaw=.*°, pitch=.*°, roll=.*°, error=0\.\d{3}\)", repr(pose))


def test_arrays_are_referenced_and_paths_kept(image, small_model, tmp_path):
    face = ert.align(image, small_model, boxes=BOXES)[0]
    assert face.image is image
    restored = pickle.loads(pickle.dumps(face))
    assert restored.image is None
    assert np.array_equal(restored.landmarks, face.landmarks)
    path = tmp_path / "photo.png"
    Image.fromarray(image).save(path)
    face = ert.align(path, small_model, boxes=BOXES, channel_order="bgr")[0]
    assert (face.image, face.channel_order) == (os.fspath(path), "rgb")
    assert pickle.loads(pickle.dumps(face)).image == os.fspath(path)


@pytest.fixture
def drawn(monkeypatch):
    """The arguments of calls of the two functions that draw faces."""
    calls = []

    def picture_html(image, shapes, boxes=None, alt=""):
        calls.append((image, shapes, boxes, alt))
        return "<img>"

    def show(image, faces, *, ax=None):
        calls.append((image, faces))
        return ax or "axes"

    monkeypatch.setattr("ert.plotting.landmarks.picture_html", picture_html, raising=False)
    monkeypatch.setattr("ert.plotting.show", show, raising=False)
    return calls


@pytest.mark.parametrize("kind", ["rgb", "bgr", "path"])
def test_what_is_drawn(kind, image, small_model, drawn, tmp_path):
    path = tmp_path / "photo.png"
    Image.fromarray(image).save(path)
    given = {"rgb": image, "bgr": image[..., ::-1], "path": path}[kind]
    order = "bgr" if kind == "bgr" else "rgb"
    faces = ert.align(given, small_model, boxes=BOXES, channel_order=order)
    assert faces._repr_html_() == faces[1]._repr_html_() == "<img>"
    assert faces.plot() == faces[1].plot() == "axes"
    assert faces.plot("given") == faces[1].plot("given") == "given"
    all_html, one_html, all_shown, one_shown, *_ = drawn
    for call in drawn:
        assert np.array_equal(call[0], image)
    assert np.array_equal(all_html[1], [face.landmarks for face in faces])
    assert np.array_equal(all_html[2], BOXES)
    assert all_html[3] == "2 faces of 68 landmarks, boxes of 50 to 60 pixels"
    assert np.array_equal(one_html[2], BOXES[1:])
    assert all_shown[1] == faces
    assert one_shown[1] == faces[1:]


def test_faces_without_an_image():
    face = AlignedFace(np.array([0.0, 0, 9, 9]), np.zeros((5, 2)))
    for shown in (face, Faces([face]), Faces()):
        assert shown._repr_html_().startswith("<pre>Faces([")
        with pytest.raises(InputError, match="no image to draw on"):
            shown.plot()


def test_faces_are_drawn(image, small_model):
    pytest.importorskip("matplotlib")
    faces = ert.align(image, small_model, boxes=BOXES)
    assert "<img" in faces._repr_html_()
    assert "data:image/" in faces[0]._repr_html_()
    for shown in (faces, faces[0]):
        axes = shown.plot()
        assert axes.images[0].get_array().shape[2] in (3, 4)
