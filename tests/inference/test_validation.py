import numpy as np
import pytest
from PIL import Image

from ert import InputError
from ert._core.images import read_image
from ert.inference.validation import check_box, check_landmarks, check_pairs, read_face
from ert.model.cropping import CropSpec
from ert.model.geometry import box_transforms
from ert.training.crops import Crops, FaceReader, cut_crops
from ert.training.parameters import KINDS

CROPPING = CropSpec(np.array([-0.1, -0.1, 1.1, 1.1]), 16, 1.0)


def cut_faces(X, boxes, channel_order, n_jobs):
    reader = FaceReader(channel_order, "luma", n_jobs)
    crops = Crops.reserve(np.tile(CROPPING.shape, (len(X), 1)))
    return cut_crops(crops, X, boxes, box_transforms(boxes), KINDS["ert"], CROPPING, reader)


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
