import sys
from dataclasses import replace

import numpy as np
import pytest
from drawn import draw, scattered_photo, standard_photos
from PIL import Image

import ert
from ert import InputError
from ert.inference.locator import locate_objects
from ert.training.locator import fit_locator

THRESHOLD = 0.5


@pytest.fixture(scope="module")
def locator():
    return fit_locator(*standard_photos(12, np.random.default_rng(0)))


def assert_near(found, poses, *, sides=0.06, degrees=4):
    (box, roll, _), (true_box, true_roll) = found, poses
    box, side = np.array(box), true_box[2:].mean()
    assert np.abs(box - true_box).max() < sides * side
    assert abs(roll - true_roll) < degrees


@pytest.mark.parametrize("level", [200, 130])
def test_an_object_is_found_that_is_moved_resized_and_turned(locator, level):
    rng = np.random.default_rng(1)
    for _ in range(4):
        photo, shapes = scattered_photo(rng, level=level)
        (found,) = locate_objects(locator, photo)
        boxes, rolls = locator.poses(shapes)
        assert_near(found, (boxes[0], rolls[0]))
        assert found[2] > THRESHOLD


def test_several_objects_are_found_and_nothing_else(locator):
    rng = np.random.default_rng(2)
    for n in (2, 3):
        photo, shapes = scattered_photo(rng, n, size=(150 * n, 200))
        found = locate_objects(locator, photo, max_objects=6, min_confidence=THRESHOLD)
        assert len(found) == n
        confidences = [confidence for _, _, confidence in found]
        assert confidences == sorted(confidences, reverse=True)
        from_left = sorted(found, key=lambda each: each[0][0])
        for each, pose in zip(from_left, zip(*locator.poses(shapes), strict=True), strict=True):
            assert_near(each, pose)
        assert locate_objects(locator, photo, max_objects=1) == found[:1]


def test_photos_without_the_object_have_a_low_confidence(locator):
    rng = np.random.default_rng(3)
    photos = [draw([], (300, 200), rng), rng.integers(0, 256, (150, 200), np.uint8), np.full((90, 80), 7, np.uint8)]
    for photo in photos:
        assert all(confidence < THRESHOLD for _, _, confidence in locate_objects(locator, photo))
        assert locate_objects(locator, photo, min_confidence=THRESHOLD) == []


def test_the_result_depends_on_the_photo_alone(locator, tmp_path):
    photo, _ = scattered_photo(np.random.default_rng(4))
    expected = locate_objects(locator, photo)
    Image.fromarray(photo).save(tmp_path / "photo.png")
    color = np.dstack([photo, photo, photo])
    for same in (photo.copy(), tmp_path / "photo.png", Image.fromarray(photo), np.asfortranarray(photo), color):
        assert locate_objects(locator, same) == expected
    # Larger photos are reduced first.
    larger = np.kron(photo, np.ones((4, 4), np.uint8))
    (box, roll, _), (small_box, small_roll, _) = locate_objects(locator, larger)[0], expected[0]
    assert np.abs(np.array(box) / 4 - small_box).max() < 2
    assert abs(roll - small_roll) < 2


@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (200, 2), (1, 4000)])
def test_photos_of_any_shape_can_be_searched(locator, shape):
    for _, _, confidence in locate_objects(locator, np.full(shape, 90, np.uint8), max_objects=3):
        assert confidence < THRESHOLD


def test_an_image_that_cannot_be_read_is_named(locator, tmp_path):
    with pytest.raises(InputError, match=r"missing\.png"):
        locate_objects(locator, tmp_path / "missing.png")
    with pytest.raises(InputError, match="photo 3: float64 pixels"):
        locate_objects(locator, np.zeros((9, 9)), what="photo 3")


def test_landmarks_are_located_in_the_poses_that_are_found(locator):
    rng = np.random.default_rng(5)
    photos, shapes = standard_photos(12, rng)
    boxes, rolls = locator.poses(shapes)
    options = {"n_stages": 4, "n_trees": 60, "n_inits": 15, "working_size": 60, "n_jobs": 1}
    jitter = {"shift_jitter": 0.05, "scale_jitter": 0.05, "roll_jitter": 4}
    model = ert.ShapePredictor(**options, **jitter).fit(list(zip(photos, boxes, strict=True)), shapes, rolls=rolls)
    for _ in range(3):
        photo, truth = scattered_photo(rng)
        ((box, roll, _),) = locate_objects(locator, photo)
        (found,) = model.predict([(photo, box)], rolls=[roll])
        assert np.hypot(*(found - truth[0]).T).mean() < 2.5


def test_objects_are_looked_for_first_where_they_usually_lie(locator, monkeypatch):
    module = sys.modules["ert.inference.locator"]
    searched = []
    everywhere = module.search
    monkeypatch.setattr(module, "search", lambda *each: searched.append(1) or everywhere(*each))
    rng = np.random.default_rng(5)
    photos, shapes = standard_photos(3, rng)
    assert locator.start[2] > 0
    for photo, shape in zip(photos, shapes, strict=True):
        (found,) = locate_objects(locator, photo)
        assert not searched
        boxes, rolls = locator.poses(shape[None])
        assert_near(found, (boxes[0], rolls[0]))
        (same,) = locate_objects(replace(locator, start=np.zeros(3)), photo)
        assert searched.pop()
        assert_near(same, (np.array(found[0]), found[1]), sides=0.02, degrees=2)
    locate_objects(locator, np.full((200, 300), 90, np.uint8))
    assert searched.pop()
    locate_objects(locator, photos[0], max_objects=2)
    assert searched


def test_objects_that_lie_differently_have_no_usual_place(locator):
    scattered = [scattered_photo(np.random.default_rng(k)) for k in range(8)]
    images, shapes = [photo for photo, _ in scattered], np.concatenate([shape for _, shape in scattered])
    assert not fit_locator(images, shapes).start.any()
    photo, shapes = scattered_photo(np.random.default_rng(0), 3, size=(450, 200))
    assert not fit_locator([photo] * 3, shapes).start.any()
