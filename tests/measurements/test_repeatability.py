import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ert import InputError
from ert.datasets.dataset import Dataset
from ert.measurements import compare_annotations
from ert.measurements.repeatability import match_annotations

SHAPE = np.array([[0, 0], [30, 0], [30, 40]], float)


def make_dataset(files, landmarks=None, name="first", names=("p", "q", "r"), **more):
    n = len(files)
    shape = (n, len(names), 2)
    landmarks = np.array(np.broadcast_to(SHAPE if landmarks is None else landmarks, shape), float)
    return Dataset([Path(file) for file in files], np.tile([0.0, 0, 50, 50], (n, 1)), landmarks, names, name, **more)


def test_figures_of_known_differences():
    first = make_dataset(["a.jpg", "b.jpg"])
    shifts = np.zeros((2, 3, 2))
    shifts[0, 0], shifts[1, 0], shifts[1, 1] = (3, 4), (-3, 4), (0, 1)
    second = make_dataset(["a.jpg", "b.jpg"], SHAPE + shifts, "second")
    figures = compare_annotations(first, second)
    assert (figures["n"], figures["units"], figures["notes"]) == (2, ["px", "percent"], [])
    p, q, r = (row["px"] for row in figures["landmarks"])
    # The distances are 5 and 5: the root of 50 / 4.
    assert p == pytest.approx({"mean": 5, "deviation": math.sqrt(50 / 4), "bias_x": 0, "bias_y": 4})
    assert q == pytest.approx({"mean": 0.5, "deviation": 0.5, "bias_x": 0, "bias_y": 0.5})
    assert r == {"mean": 0, "deviation": 0, "bias_x": 0, "bias_y": 0}
    assert figures["landmarks"][0]["percent"]["mean"] == pytest.approx(10)
    overall = figures["overall"]["px"]
    assert overall["mean"] == pytest.approx((5 / 3 + 6 / 3) / 2)
    assert overall["deviation"] == pytest.approx(math.sqrt((25 + 25 + 1) / 6 / 2))
    low, high = overall["deviation_95"]
    assert low <= overall["deviation"] <= high
    assert [(row["specimen"], row["landmark"], row["distance_px"]) for row in figures["largest"]] == [
        ("b", "p", 5),
        ("a", "p", 5),
    ]
    json.dumps(figures, allow_nan=False)


def test_the_deviation_is_that_of_one_annotation():
    """Two annotations of the same truth, each with a standard deviation of 2 pixels in x and in y."""
    rng = np.random.default_rng(0)
    files = [f"{i}.jpg" for i in range(400)]
    first, second = (
        make_dataset(files, SHAPE + rng.normal(scale=2, size=(400, 3, 2)), name) for name in ("first", "second")
    )
    figures = compare_annotations(first, second)
    expected = 2 * math.sqrt(2)
    assert figures["overall"]["px"]["deviation"] == pytest.approx(expected, rel=0.05)
    low, high = figures["overall"]["px"]["deviation_95"]
    assert low < expected < high
    for row in figures["landmarks"]:
        assert row["px"]["deviation"] == pytest.approx(expected, rel=0.1)
        assert abs(row["px"]["bias_x"]) < 0.5


def test_millimeters_where_the_scale_of_all_is_known():
    files = ["a.jpg", "b.jpg"]
    first = make_dataset(files, scales=np.array([0.5, np.nan]))
    second = make_dataset(files, SHAPE + (3, 4), "second", scales=np.array([0.5, 0.1]))
    figures = compare_annotations(first, second)
    assert figures["overall"]["mm"]["mean"] == pytest.approx((2.5 + 0.5) / 2)
    assert figures["notes"] == []
    figures = compare_annotations(first, replace(second, scales=None))
    assert "mm" not in figures["units"]
    assert figures["notes"] == ["no distances in mm: the scale of 1 of 2 objects is not known"]
    figures = compare_annotations(first, replace(second, scales=np.array([2, 0.1])))
    assert figures["notes"] == ["first and second have different scales, of which those of first are taken"]
    assert figures["overall"]["mm"]["mean"] == pytest.approx((2.5 + 0.5) / 2)


def test_missing_landmarks_are_not_compared():
    first, second = make_dataset(["a.jpg", "b.jpg"]), make_dataset(["a.jpg", "b.jpg"], SHAPE + np.array([1.0, 0]))
    first.landmarks[0, 0] = second.landmarks[1, 0] = second.landmarks[1, 1] = np.nan
    first.landmarks[1, 2] = np.nan
    figures = compare_annotations(first, second)
    assert [row["n"] for row in figures["landmarks"]] == [0, 1, 1]
    assert figures["landmarks"][0]["px"] == {"mean": None, "deviation": None, "bias_x": None, "bias_y": None}
    assert figures["overall"]["px"]["mean"] == pytest.approx(1)
    assert [row["specimen"] for row in figures["largest"]] == ["a"]
    json.dumps(figures, allow_nan=False)
    second.landmarks[0, 1:] = np.nan
    with pytest.raises(InputError, match="no landmark is annotated in both"):
        compare_annotations(first, second)


def matched(first, second):
    pairs = match_annotations(first, second)
    assert len(pairs.a) == len(pairs.b)
    return [(file.name, other.name) for file, other in zip(pairs.a.files, pairs.b.files, strict=True)], pairs.notes


def test_images_are_matched_by_file_folder_or_name():
    same = [("a.jpg", "a.jpg"), ("b.jpg", "b.jpg")]
    first = make_dataset(["x/a.jpg", "x/b.jpg"])
    for files in (["x/b.jpg", "x/a.jpg"], ["y/b.jpg", "y/a.jpg"], ["y/1/b.jpg", "y/2/a.jpg"]):
        assert matched(first, make_dataset(files, name="second")) == (same, ())
    others = make_dataset(["y/b.png", "y/a.png"], name="second")
    assert matched(first, others) == ([("a.jpg", "a.png"), ("b.jpg", "b.png")], ())
    # Two images of one name, in folders.
    first = make_dataset(["x/1/a.jpg", "x/2/a.jpg"])
    second = make_dataset(["y/2/a.jpg", "y/1/a.jpg"], name="second")
    pairs = match_annotations(first, second)
    assert [file.parent.name for file in pairs.b.files] == ["1", "2"]


def test_what_has_no_partner_is_named():
    first = make_dataset([f"{i}.jpg" for i in range(8)])
    second = make_dataset(["7.jpg", "8.jpg"], name="second")
    pairs, notes = matched(first, second)
    assert pairs == [("7.jpg", "7.jpg")]
    assert notes == (
        "7 of 8 images of first are not in second: 0.jpg, 1.jpg, 2.jpg, 3.jpg, 4.jpg, ...",
        "1 of 2 images of second are not in first: 8.jpg",
    )
    with pytest.raises(InputError, match=r"first and second: no object in the same image, .*0.jpg"):
        match_annotations(first, make_dataset(["9.jpg"], name="second"))


def test_several_objects_in_an_image_are_matched_by_id_or_order():
    files = ["a.jpg", "a.jpg"]
    first = make_dataset(files, [SHAPE, SHAPE + 100], ids=("x", "y"))
    second = make_dataset(files, [SHAPE + 100, SHAPE], "second", ids=("y", "x"))
    assert compare_annotations(first, second)["overall"]["px"]["mean"] == 0
    # Running numbers of the files are no names.
    other = replace(second, landmarks=second.landmarks[::-1], ids=("4", "5"))
    assert compare_annotations(first, other)["overall"]["px"]["mean"] == 0
    three = make_dataset([*files, "a.jpg", "b.jpg"], name="second")
    _, notes = matched(make_dataset([*files, "b.jpg"]), three)
    assert notes == ("a.jpg: 2 objects in first, 3 in second, expected as many; left out",)


def test_landmarks_are_matched_by_name_or_order():
    first = make_dataset(["a.jpg"])
    turned = make_dataset(["a.jpg"], [SHAPE[::-1]], "second", ("r", "q", "p"))
    assert compare_annotations(first, turned)["overall"]["px"]["mean"] == 0
    numbered = make_dataset(["a.jpg"], name="second", names=("1", "2", "3"))
    figures = compare_annotations(first, numbered)
    assert [row["name"] for row in figures["landmarks"]] == ["p", "q", "r"]
    assert figures["notes"] == ["the landmarks of first and second have different names and are matched by their order"]
    with pytest.raises(InputError, match="second: 2 landmarks, expected 3 as in first"):
        compare_annotations(first, make_dataset(["a.jpg"], [SHAPE[:2]], "second", ("p", "q")))
