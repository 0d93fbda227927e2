import json

import numpy as np
import pytest
from helpers import raise_faults, refused, write, write_with_image

from ert import load_dataset
from ert.datasets.formats.jsonl import read_json_lines

FISH = {
    "image": "fish.jpg",
    "specimen": "fish 1",
    "scale": 0.25,
    "width": 640,
    "height": 480,
    "object": 1,
    "box": [1, 2, 30, 40.5],
    "confidence": 0.98,
    "landmarks": {"nose": [3, 4.5], "tail": [20, 9]},
    "std": {"nose": 0.5, "tail": 0.75},
}


def lines(*entries):
    return "".join(json.dumps(entry) + "\n" for entry in entries)


def test_objects_of_predictions(tmp_path):
    nothing = {"image": "fish.jpg", "object": None}
    least = {"image": "fish.jpg", "landmarks": {"tail": [1, 2], "nose": None}, "box": None, "std": None, "scale": None}
    dataset = load_dataset(write_with_image(tmp_path / "fish.jsonl", lines(FISH, nothing, FISH) + "\n"))
    assert dataset.landmark_names == ("nose", "tail")
    assert dataset.ids == ("fish 1", "fish 1")
    assert dataset.boxes[0].tolist() == [1, 2, 30, 40.5]
    assert dataset.landmarks[0].tolist() == [[3, 4.5], [20, 9]]
    assert (dataset.scales.tolist(), dataset.std.tolist()) == ([0.25] * 2, [[0.5, 0.75]] * 2)
    assert [skipped.kind for skipped in dataset.skipped] == ["no landmarks"]
    (other,) = raise_faults(read_json_lines(write(tmp_path / "least.jsonl", lines(least))))
    np.testing.assert_array_equal(list(other.landmarks.values()), [[1, 2], [np.nan, np.nan]])
    assert (other.box, other.id, other.scale, other.std) == (None, None, None, None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ":1: expected an object in each line, found the end"),
        ("[1, 2]", ":1: expected an object of JSON in each line"),
        ('\n{"image"', ":2: expected an object of JSON"),
        ("[" * 100_000, ":1: expected an object of JSON"),
        (lines(FISH | {"image": ""}), ":1: no image, expected the name of one"),
        (lines(FISH | {"image": 3}), ":1: image is 3, expected a name"),
        (lines(FISH | {"image": "x.jpg"}), "x.jpg"),
        (lines(FISH | {"specimen": 3}), ":1: specimen is 3, expected a name"),
        (lines(FISH | {"scale": 0}), ":1: scale is 0, expected a number above 0"),
        (lines(FISH | {"scale": "0.5"}), ":1: scale is '0.5', expected a number"),
        (lines(FISH | {"box": [1, 2, 3]}), ":1: box is a list of 3, expected four numbers"),
        (lines(FISH | {"box": [1, 2, 3, True]}), ":1: height is True, expected a number"),
        (lines(FISH | {"landmarks": [[1, 2]]}), ":1: landmarks is a list of 1, expected x and y by the names"),
        (lines(FISH | {"landmarks": {"nose": [1]}}), ":1: landmark 'nose' is a list of 1, expected x and y"),
        (lines(FISH | {"landmarks": {"nose": [1, 1e300]}}), ":1: landmark 'nose': y is 1e+300, expected"),
        (lines(FISH | {"std": {"nose": -1}}), ":1: std of 'nose' is -1, expected a number from 0"),
    ],
)
def test_errors_name_the_line(tmp_path, text, message):
    refused(read_json_lines(write_with_image(tmp_path / "fish.jsonl", text).rename(tmp_path / "f.jsonl")), message)
