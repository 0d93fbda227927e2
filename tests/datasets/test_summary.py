import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ert._core.exceptions import InputError
from ert.datasets.checks import describe_dataset, known_scheme
from ert.datasets.dataset import Dataset, mirror_dataset
from ert.datasets.synthetic import synthetic_faces
from ert.model.schemes import FACE68_MIRROR


def random_dataset(n=6, n_landmarks=4, seed=0):
    rng = np.random.default_rng(seed)
    landmarks = rng.uniform(10, 90, (n, n_landmarks, 2))
    landmarks[rng.uniform(size=(n, n_landmarks)) < 0.2] = np.nan
    landmarks[:, 0] = 20
    boxes = rng.uniform(5, 50, (n, 4))
    files = [Path(f"{i // 2}.png") for i in range(n)]
    return Dataset(files, boxes, landmarks, tuple("abcd"[:n_landmarks]), "random")


def test_description_counts_and_measures():
    dataset = random_dataset(5)
    dataset.landmarks[:, 1:] = np.arange(1, 4)[:, None] * (30, 40)
    dataset.landmarks[2:4, 3] = np.nan
    sizes = {Path("0.png"): (640, 480), Path("1.png"): None, Path("2.png"): (100, 480)}
    facts = describe_dataset(dataset, sizes)
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
    assert (facts["images"], facts["objects"], facts["landmarks"]) == (3, 5, 4)
    assert facts["objects_per_image"] == {"min": 1, "median": 2, "max": 2}
    assert facts["missing"] == {"a": 0, "b": 0, "c": 0, "d": 2}
    assert facts["image_width"] == {"min": 100, "median": 370, "max": 640}
    assert facts["image_height"] == {"min": 480, "median": 480, "max": 480}
    assert facts["box_width"]["median"] == round(float(np.median(dataset.boxes[:, 2])), 3)
    assert facts["unreadable_images"] == ["1.png"]
    assert facts["boxes_around_landmarks"] == 0
    assert facts["mirror_scheme"] is None


def test_description_counts_boxes_that_were_made_from_landmarks():
    dataset = random_dataset(3)
    low, high = np.nanmin(dataset.landmarks[1], axis=0), np.nanmax(dataset.landmarks[1], axis=0)
    side = (high - low).max()
    dataset.boxes[1] = *((low + high - side) / 2), side, side
    assert describe_dataset(dataset, {})["boxes_around_landmarks"] == 1
    assert describe_dataset(dataset, {})["image_width"] is None


def test_faces_of_68_landmarks_are_recognized_but_not_other_68():
    _, boxes, landmarks = synthetic_faces(12, seed=1)
    files = [Path("a.png")] * 12
    names = tuple(map(str, range(68)))
    assert known_scheme(Dataset(files, boxes, landmarks, names, "faces")) == "face68"
    as_text = sorted(range(68), key=str)
    assert known_scheme(Dataset(files, boxes, landmarks[:, as_text], names, "sorted")) is None
    assert known_scheme(random_dataset()) is None


def test_mirroring_swaps_landmarks_and_reverses_x():
    dataset = random_dataset(1, 3)
    dataset.landmarks[0] = [(0, 5), (10, 6), (99, 7)]
    dataset.boxes[0] = (10, 20, 30, 40)
    mirrored = mirror_dataset(dataset, [100], (2, 1, 0), [Path("m.png")])
    assert mirrored.landmarks[0].tolist() == [[0, 7], [89, 6], [99, 5]]
    assert mirrored.boxes[0].tolist() == [60, 20, 30, 40]
    assert mirrored.files == [Path("m.png")]
    assert dataset.landmarks[0, 0].tolist() == [0, 5]


@given(st.integers(0, 2**32 - 1), st.permutations(range(4)))
def test_mirroring_twice_is_the_identity(seed, order):
    dataset = random_dataset(seed=seed)
    swap = np.arange(4)
    swap[list(order[:2])] = order[1], order[0]
    widths = np.random.default_rng(seed).integers(50, 900, len(dataset))
    twice = mirror_dataset(mirror_dataset(dataset, widths, swap), widths, swap)
    np.testing.assert_allclose(twice.landmarks, dataset.landmarks, atol=1e-9)
    np.testing.assert_allclose(twice.boxes, dataset.boxes, atol=1e-9)
    assert twice.files == dataset.files


def test_mirroring_accepts_schemes_and_refuses_invalid_maps():
    _, boxes, landmarks = synthetic_faces(2, seed=1)
    faces = Dataset([Path("a.png")] * 2, boxes, landmarks, tuple(map(str, range(68))), "faces")
    by_name = mirror_dataset(faces, [128, 128], "face68")
    np.testing.assert_array_equal(by_name.landmarks, mirror_dataset(faces, [128, 128], FACE68_MIRROR).landmarks)
    assert by_name.landmarks[0, 36, 0] == 127 - landmarks[0, 45, 0]
    with pytest.raises(InputError, match="no scheme 'wings'"):
        mirror_dataset(faces, [128, 128], "wings")
    with pytest.raises(InputError, match="map of 2"):
        mirror_dataset(faces, [128, 128], (1, 0))


def test_sizes_of_images_are_read_unless_given(tmp_path):
    dataset = random_dataset(4)
    files = [tmp_path / file for file in dataset.files]
    Image.new("L", (30, 20)).save(files[0])
    read = Dataset(files, dataset.boxes, dataset.landmarks, dataset.landmark_names, "read")
    facts = describe_dataset(read)
    assert facts["image_width"] == {"min": 30, "median": 30, "max": 30}
    assert facts["unreadable_images"] == [str(files[2])]
