import json
import math
from pathlib import Path

import numpy as np
import pytest
from helpers import refused_at, write_with_image

from ert.datasets import load_dataset, write_dataset
from ert.datasets.formats.ljson import read_ljson_folder


def write_ljson(path: Path, content) -> Path:
    return write_with_image(path, content if isinstance(content, str) else json.dumps(content))


def ljson(points, labels=(), version=2):
    data = {"labels": list(labels), "landmarks": {"points": points}}
    return data | {"version": 2} if version == 2 else {"version": 3, "groups": {"LJSON": data}}


@pytest.mark.parametrize("version", [2, 3])
def test_ljson_has_y_before_x_and_null(tmp_path, version):
    labels = [{"label": "nose", "mask": [0]}, {"label": "chin", "mask": [1]}]
    write_ljson(tmp_path / "a.ljson", ljson([[1, 2.5], [None, None]], labels, version))
    (annotation,) = read_ljson_folder(tmp_path)
    assert annotation.landmarks["nose"] == (2.5, 1)
    assert all(math.isnan(value) for value in annotation.landmarks["chin"])


@pytest.mark.parametrize(
    "labels",
    [
        [],
        [{"label": "all", "mask": [0, 1]}],
        [{"label": "a", "mask": [0]}],
        [{"label": "a", "mask": [0]}, {"label": "a", "mask": [1]}],
        [{"label": "a", "mask": [0]}, {"label": "b", "mask": [2]}],
        [{"label": "a", "mask": [0]}, {"label": "b", "mask": [1]}, {"label": "c", "mask": [0, 1]}],
        [{"label": "", "mask": [0]}, {"label": "b", "mask": ["1"]}],
        [None, 3],
    ],
)
def test_ljson_labels_of_regions_are_not_names(tmp_path, labels):
    write_ljson(tmp_path / "a.ljson", ljson([[1, 2], [3, 4]], labels))
    (annotation,) = read_ljson_folder(tmp_path)
    assert annotation.landmarks == {"0": (2, 1), "1": (4, 3)}


@pytest.mark.parametrize(
    ("content", "place", "message"),
    [
        ("{\n", ":2", "invalid JSON"),
        ("[]", "", "version is None, expected landmarks of version 2 or 3"),
        ({"version": 1, "groups": []}, "", "version is 1"),
        ({"version": 3, "groups": {"a": {}, "b": {}}}, "", "expected an object with one group"),
        ({"version": 3, "groups": {"a": []}}, "", "points are None"),
        ({"version": 2, "landmarks": {"points": []}}, "", "points are a list of 0"),
        (ljson([[1, 2], [1, 2, 3]]), "", "points[1] is a list of 3, expected y, x"),
        (ljson([[1, 2], 3]), "", "points[1] is 3, expected y, x"),
        (ljson([[1, 2], [None, 3]]), "", "points[1]: y is None, expected a number"),
        (ljson([[1, 2], [3, "4"]]), "", "points[1]: x is '4'"),
        (ljson([[1, 2]]), "", "1 landmark, expected 2 as in"),
        (
            ljson([[1, 2], [3, 4]], [{"label": name, "mask": [i]} for i, name in enumerate("ab")]),
            "",
            "other landmark names than in",
        ),
    ],
)
def test_ljson_refuses(tmp_path, content, place, message):
    write_ljson(tmp_path / "a.ljson", ljson([[1, 2], [3, 4]]))
    path = write_ljson(tmp_path / "b.ljson", content)
    refused_at(read_ljson_folder(tmp_path), f"{path}{place}", message)


def test_ljson_written_and_read_again(three, tmp_path):
    one_each, folder = three.subset([1, 2]), tmp_path / "ljson"
    assert write_dataset(one_each, folder, "ljson")[1:] == ["boxes are dropped: the format has none"]
    text = json.loads((folder / "a 1.ljson").read_text())
    assert text["landmarks"]["points"] == [[6, 5], [None, None], [9, 9]]
    again = load_dataset(folder, image_folder=tmp_path)
    assert (again.files, again.landmark_names) == (one_each.files, ("nose", "chin", "ear"))
    np.testing.assert_array_equal(again.landmarks, one_each.landmarks)
