import warnings
from pathlib import Path

import numpy as np
import pytest
from helpers import small_predictor
from PIL import Image

from ert import InputError
from ert._core.images import read_image
from ert.inference import validation
from ert.inference.validation import check_box, check_landmarks, check_pairs, read_face
from ert.model.cropping import CropSpec
from ert.training.crops import Crops, FaceReader, cut_crops
from ert.training.parameters import KINDS

CROPPING = CropSpec(np.array([-0.1, -0.1, 1.1, 1.1]), 16, 1.0)


def cut_faces(X, boxes, channel_order, n_jobs):
    reader = FaceReader(channel_order, "luma", n_jobs)
    crops = Crops.reserve(np.tile(CROPPING.shape, (len(X), 1)))
    return cut_crops(crops, X, boxes, None, KINDS["ert"], CROPPING, reader)


def test_boxes_become_numbers():
    assert check_box(("1", 2, 3.5, np.float32(4)), "it") == (1, 2, 3.5, 4)
    assert check_pairs([("a.png", (1, 2, 3, 4)), ["b.png", [0, 0, 9, 9]]]) == [(1, 2, 3, 4), (0, 0, 9, 9)]
    assert check_pairs([]) == []


def test_a_landmark_that_lacks_one_coordinate_is_missing():
    y = check_landmarks([[[1, 2], [3, np.nan]], [[1, 2], [3, 4]]], 2)
    assert np.isnan(y[0, 1]).all()
    assert y[0, 0].tolist() == [1, 2]


def test_crops_of_files_and_arrays_are_the_same_in_any_number_of_threads(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (6, 40, 50, 3), dtype=np.uint8)
    boxes = np.column_stack([rng.uniform(0, 20, (6, 2)), np.full((6, 2), 20.0)])
    paths = []
    for i, image in enumerate(images):
        paths.append(tmp_path / f"{i}.png")
        Image.fromarray(image).save(paths[-1])
    expected = cut_faces(list(zip(images, boxes, strict=True)), boxes, "rgb", 1)
    assert expected.pixels.size == 6 * np.prod(CROPPING.shape)
    for n_jobs, channel_order in ((1, "bgr"), (3, "rgb")):
        crops = cut_faces(list(zip(paths, boxes, strict=True)), boxes, channel_order, n_jobs)
        assert np.array_equal(crops.pixels, expected.pixels)
    pixels, order = read_face(str(paths[2]), boxes[2], "bgr", "it")
    assert order == "rgb"
    assert np.array_equal(pixels, images[2])


def test_the_first_bad_image_is_named(tmp_path):
    good = (np.zeros((40, 40), np.uint8), (5, 5, 20, 20))
    X = [good, good, (tmp_path / "lost.png", (5, 5, 20, 20)), good]
    with pytest.raises(InputError, match=r"lost\.png: no such file"):
        cut_faces(X, np.array(check_pairs(X)), "rgb", 2)
    X[2] = (np.zeros((40, 40), np.uint8), (90, 5, 20, 20))
    with pytest.raises(InputError, match=r"X\[2\]: the box lies outside the image of 40 x 40"):
        cut_faces(X, np.array(check_pairs(X)), "rgb", 2)


def test_arrays_are_not_copied():
    image = np.zeros((4, 4, 3), np.uint8)
    assert read_image(image, "image") is image


def test_images_of_pillow_are_rgb_whatever_the_order_of_arrays():
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    pixels, order = read_face(Image.fromarray(image), (5, 5, 20, 20), "bgr", "it")
    assert order == "rgb"
    assert np.array_equal(pixels, image)


@pytest.mark.parametrize("mode", ["fast", "accurate"])
def test_faces_in_images_of_pillow(small_model, faces, mode):
    X = faces[0][:20]
    as_pillow = [(Image.fromarray(image), box) for image, box in X]
    assert np.array_equal(small_model.predict(as_pillow, mode), small_model.predict(X, mode))
    assert np.array_equal(small_model.predict(as_pillow[:1], mode), small_model.predict(X[:1], mode))
    assert np.array_equal(small_model.predict([*X[:3], *as_pillow[3:]], mode), small_model.predict(X, mode))


def test_training_on_images_of_pillow(faces):
    X, y = faces[0][:20], faces[1][:20]
    as_pillow = [(Image.fromarray(image), box) for image, box in X]
    for kind, weights in (("ert", "luma"), ("dlib", "dlib")):
        models = [small_predictor(kind=kind, gray_weights=weights, n_jobs=1).fit(each, y) for each in (X, as_pillow)]
        assert np.array_equal(models[0].predict(X), models[1].predict(X))


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (["a.png"], r"X\[0\]: expected a pair \(image, box\), got str; ert.align finds the faces"),
        ([Path("a.png"), Path("b.png")], r"X\[0\]: .* got \w*Path; ert.align finds the faces"),
        ([np.zeros((4, 4), np.uint8)], r"X\[0\]: .*, got ndarray; ert.align finds the faces"),
        (("a.png", (1, 2, 3, 4)), r"X\[0\]: .*, got str; give a list, also of a single pair: \[\(image, box\)\]"),
        ([Path("a.png"), np.arange(4.0)], r"X\[0\]: .*; give a list, also of a single pair"),
    ],
)
def test_what_is_no_list_of_pairs_is_refused_with_a_hint(X, message):
    with pytest.raises(InputError, match=message):
        check_pairs(X)


@pytest.mark.parametrize(
    ("box", "asks"),
    [
        ((30, 25, 80, 45), False),  # two thirds of it are inside
        ((60, 40, 90, 58), True),
        ((60, 40, 101, 58), False),  # no corners inside the image
        ((-60, 40, 90, 58), False),
        ((60, 40, 50, 58), False),  # x2 is left of x1
        ((60, 40, 30, 15), False),
    ],
)
def test_boxes_that_may_be_corners_are_asked_about_once(box, asks):
    image = Image.new("L", (100, 60))
    validation._warn_of_corners.cache_clear()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            read_face(image, box, "rgb", "it")
    assert len(caught) == asks
    for each in caught:
        assert "x1, y1, x2, y2; is it meant so? Boxes are left, top, width, height" in str(each.message)
    validation._warn_of_corners.cache_clear()
    assert validation.fits_as_corners(np.array(box, float), 100, 60) == asks
