"""Where boxes come from."""

import numpy as np
import pytest
from PIL import Image

from ert._core.exceptions import InputError
from ert.datasets.dataset import Dataset
from ert.pipeline.sources import choose_box_source, find_objects

SHAPE = np.array([(-1, -0.5), (1, -0.5), (0.2, 0.9), (0.4, -0.2)])


class _Model:
    box_source_ = "whole"


def dataset(folder, size, center_std=0.0, size_std=0.0, roll_std=0.0, n_landmarks=4, source="landmarks"):
    rng = np.random.default_rng(0)
    file = folder / "image.png"
    Image.new("L", (400, 300)).save(file)
    turns = size * np.exp(rng.normal(0, size_std, 30) + 1j * np.radians(rng.normal(0, roll_std, 30)))
    shape = (SHAPE[:, 0] + 1j * SHAPE[:, 1])[:n_landmarks]
    points = turns[:, None] * shape + (200 + 150j) + 400 * rng.normal(0, center_std, 30)[:, None]
    landmarks = np.stack([points.real, points.imag], axis=2)
    names = tuple(map(str, range(n_landmarks)))
    return Dataset([file] * 30, np.tile((0.0, 0, 9, 9), (30, 1)), landmarks, names, "d", box_source=source)


@pytest.mark.parametrize(
    ("scatter", "expected"),
    [
        ({}, "learned"),
        ({"n": 9}, "whole"),
        ({"with_locator": False}, "whole"),
        ({"center_std": 0.05, "size_std": 0.1, "roll_std": 5, "with_locator": False}, "whole"),
        ({"center_std": 0.2, "with_locator": False}, "learned"),
        ({"center_std": 0.2}, "learned"),
        ({"size_std": 0.4}, "learned"),
        ({"roll_std": 30}, "learned"),
        ({"size": 20}, "learned"),
        ({"source": "given"}, "given"),
        ({"source": "whole", "center_std": 0.2}, "whole"),
    ],
)
def test_box_source_follows_from_how_differently_objects_lie(tmp_path, scatter, expected):
    scatter = dict(scatter)
    n, with_locator = scatter.pop("n", 30), scatter.pop("with_locator", True)
    objects = dataset(tmp_path, **{"size": 80} | scatter).subset(slice(n))
    source, reason = choose_box_source(objects, with_locator=with_locator)
    assert source == expected
    assert reason


def test_box_of_a_whole_image():
    (found,) = find_objects(_Model(), np.zeros((30, 40), np.uint8))
    assert found.box.tolist() == [0, 0, 40, 30]
    assert (found.roll, found.confidence) == (0, None)


def test_boxes_that_only_the_user_can_give():
    model = _Model()
    model.box_source_ = "given"
    with pytest.raises(InputError, match="give the box of each object"):
        find_objects(model, np.zeros((30, 40), np.uint8))
    with pytest.raises(InputError, match="expected one of given, whole"):
        find_objects(model, np.zeros((30, 40), np.uint8), box_from="around")
