"""Boxes to train on, and boxes of new photos."""

from dataclasses import replace

import numpy as np
import pytest
from helpers import drawn_dataset

import ert
from ert._core.exceptions import InputError
from ert.datasets.assembly import squares_around
from ert.datasets.synthetic import synthetic_dataset
from ert.inference.locator import locate_objects
from ert.pipeline import boxes as module
from ert.pipeline.boxes import (
    face_boxes,
    new_boxes,
    overlap,
    resolve_box_source,
    scatter_boxes,
    training_boxes,
    with_known_source,
)


class DrawnLocator:
    """In place of a trained one: it finds the square around dark pixels, with a roll of 3 degrees."""

    @staticmethod
    def poses(landmarks):
        rolls = np.where(np.isfinite(landmarks[:, :, 0]).sum(axis=1) > 1, 3.0, np.nan)
        return squares_around(landmarks), rolls


def locate_dark(locator, image, *, max_objects, min_confidence, gray_weights, what):
    rows, columns = np.nonzero(ert.load_image(image) < 130)
    if not len(rows):
        return []
    points = np.column_stack([columns, rows])[None]
    assert min_confidence == (0.1 if max_objects == 1 else 0.5)
    return [(tuple(squares_around(points)[0]), 3.0, 0.9)]


@pytest.fixture
def drawn(tmp_path):
    return drawn_dataset(tmp_path, 6)


@pytest.fixture
def located(monkeypatch):
    monkeypatch.setattr(module, "fit_locator", lambda images, landmarks, **options: DrawnLocator())
    monkeypatch.setattr(module, "locate_objects", locate_dark)


def test_the_real_locator_takes_these_arguments():
    import inspect

    assert {"max_objects", "min_confidence", "gray_weights", "what"} <= set(
        inspect.signature(locate_objects).parameters
    )


def test_source_is_chosen_named_or_refused(drawn):
    assert resolve_box_source(drawn, "whole")[0] == "whole"
    assert resolve_box_source(drawn, "learnt")[0] == "learned"
    source, reason = resolve_box_source(drawn, "auto")
    assert source == "learned"
    source, reason = resolve_box_source(drawn, "auto", suffix=".dat")
    assert source == "given"
    assert "a .dat file cannot store a locator" in reason
    with pytest.raises(InputError, match="cannot store a locator, expected whole or given"):
        resolve_box_source(drawn, "learned", suffix=".dat")
    with pytest.raises(InputError, match="box_from='around': expected one of auto, given, whole, face, learned"):
        resolve_box_source(drawn, "around")


def test_boxes_of_a_file_that_are_those_around_the_landmarks_are_known(drawn):
    in_file = replace(drawn, box_source="given")
    assert with_known_source(in_file).box_source == "landmarks"
    moved = replace(in_file, boxes=in_file.boxes + [3.0, 0, 0, 0])
    assert with_known_source(moved).box_source == "given"


def test_scattered_boxes_are_moved_and_scaled_by_a_tenth():
    boxes = np.tile([100.0, 50, 40, 20], (4000, 1))
    scattered = scatter_boxes(boxes)
    np.testing.assert_array_equal(scattered, scatter_boxes(boxes))
    shift = scattered[:, :2] + scattered[:, 2:] / 2 - [120, 60]
    np.testing.assert_allclose(shift.std(axis=0), 0.1 * 30, rtol=0.05)
    np.testing.assert_allclose(np.log(scattered[:, 2] / 40).std(), 0.1, rtol=0.05)
    np.testing.assert_allclose(scattered[:, 2], 2 * scattered[:, 3])


def test_overlap_is_the_intersection_over_union():
    a = np.array([0.0, 0, 2, 2])
    b = np.array([[0.0, 0, 2, 2], [1, 0, 2, 2], [5, 5, 1, 1]])
    np.testing.assert_allclose(overlap(a, b), [1, 1 / 3, 0])


def test_whole_boxes_are_the_images(drawn):
    made = training_boxes(drawn, "whole")
    assert made.dataset.boxes.tolist() == [[0, 0, 96, 96]] * 6
    found = new_boxes(drawn, "whole")
    assert found.found.all()
    assert found.boxes.tolist() == made.dataset.boxes.tolist()


def test_learned_boxes_are_those_of_the_locator(drawn, located):
    lacking = drawn.landmarks.copy()
    lacking[2, 1:] = np.nan
    made = training_boxes(replace(drawn, landmarks=lacking), "learned")
    assert len(made.dataset) == 5
    assert made.rolls.tolist() == [3.0] * 5
    assert made.note == "1 object with fewer than two landmarks left out"
    empty = drawn.files[1].with_name("empty.png")
    ert.plotting.save_image(empty, np.full((40, 40), 200, np.uint8))
    files = [drawn.files[0], empty, *drawn.files[2:]]
    found = new_boxes(replace(drawn, files=files), "learned", made.locator)
    assert found.found.tolist() == [True, False, True, True, True, True]
    assert np.isnan(found.boxes[1]).all()
    # The landmarks are corners of the dark shape, but one that lies inside.
    assert (overlap(found.boxes, drawn.boxes)[found.found] > 0.8).all()
    with pytest.raises(InputError, match="the model has no locator"):
        new_boxes(drawn, "learned")


def test_boxes_of_a_detector_belong_to_the_faces_that_they_overlap(tmp_path):
    faces = ert.load_dataset(synthetic_dataset(tmp_path, 13, seed=3) / "landmarks.csv")
    images = {ert.load_image(file).tobytes(): i for i, file in enumerate(faces.files)}
    missed = (4, 9)

    def detector(image):
        i = images[image.tobytes()]
        return [] if i in missed else [(0, 0, 9, 9), faces.boxes[i]]

    found = new_boxes(faces, "face", detector=detector)
    assert np.flatnonzero(~found.found).tolist() == [4, 9]
    np.testing.assert_array_equal(found.boxes[0], faces.boxes[0])
    boxes, n_detected = face_boxes(faces, detector)
    assert n_detected == 11
    assert overlap(boxes, faces.boxes)[list(missed)].min() > 0.75
    # Without detected faces, as the bundled model has it.
    boxes, n_detected = face_boxes(faces, lambda image: [])
    assert n_detected == 0
    assert overlap(boxes, faces.boxes).min() > 0.5
    once = []
    remembered = module.DetectedFaces(lambda image: once.append(1) or detector(image))
    for _ in range(2):
        np.testing.assert_array_equal(new_boxes(faces, "face", detector=remembered).boxes, found.boxes)
    assert len(once) == 13
    few = replace(faces, landmarks=faces.landmarks[:, :5], landmark_names=faces.landmark_names[:5])
    with pytest.raises(InputError, match="the face detector finds 0 of 13 annotated objects"):
        face_boxes(few, lambda image: [])


def test_several_objects_of_an_image_get_the_boxes_that_fit_them(tmp_path):
    (drawn,) = [drawn_dataset(tmp_path, 1)]
    boxes = np.array([[0.0, 0, 30, 30], [50, 50, 40, 40]])
    shapes = np.stack([drawn.landmarks[0]] * 2)
    for shape, box in zip(shapes, boxes, strict=True):
        low, high = shape.min(axis=0), shape.max(axis=0)
        shape[:] = box[:2] + (shape - low) * box[2:] / (high - low)
    two = replace(drawn, files=drawn.files * 2, boxes=boxes, landmarks=shapes)
    found = new_boxes(two, "face", detector=lambda image: boxes[::-1] + 2.0)
    np.testing.assert_array_equal(found.boxes, boxes + 2.0)
    found = new_boxes(two, "face", detector=lambda image: boxes[1:])
    assert found.found.tolist() == [False, True]
