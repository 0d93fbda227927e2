import json
from types import SimpleNamespace

import pytest

from ert import InputError
from ert.annotation.measuring import measure_objects

PROJECT = SimpleNamespace(landmark_names=("tip", "hinge", "notch"), unit="mm")
TRIANGLE = {"landmarks": [[0, 0], [30, 0], [30, 40]]}


def table(request, project=PROJECT):
    rows = measure_objects(project, request)["measurements"]
    json.dumps(rows, allow_nan=False)
    return {(row["object"], row["name"]): (row["value"], row["unit"]) for row in rows}


def test_measurements_have_the_unit_of_the_scale():
    request = {"objects": [TRIANGLE], "scale": 0.1, "distances": "tip-notch,height=hinge-notch"}
    request |= {"angles": "tip-hinge-notch", "areas": "tip-hinge-notch", "centroid_size": False}
    assert table(request) == {
        (0, "distance_tip-notch"): (pytest.approx(5), "mm"),
        (0, "height"): (pytest.approx(4), "mm"),
        (0, "angle_tip-hinge-notch"): (pytest.approx(90), "°"),
        (0, "area_tip-hinge-notch"): (pytest.approx(6), "mm²"),
    }
    other = SimpleNamespace(landmark_names=PROJECT.landmark_names, unit="furlong")
    assert table(request, other)[0, "height"] == (pytest.approx(4), "furlong")


def test_without_a_scale_measurements_are_in_pixels():
    request = {"objects": [TRIANGLE], "scale": None, "areas": "tip-hinge-notch", "centroid_size": True}
    rows = table(request)
    assert rows[0, "area_tip-hinge-notch"] == (pytest.approx(600), "px²")
    assert rows[0, "centroid_size"][1] == "px"


def test_each_object_is_measured_and_missing_landmarks_have_no_value():
    half = {"landmarks": [[0, 0], None, [3, 4]]}
    rows = table({"objects": [TRIANGLE, half], "distances": "tip-hinge,tip-notch"})
    assert rows[0, "distance_tip-hinge"] == (30, "px")
    assert rows[1, "distance_tip-hinge"] == (None, "px")
    assert rows[1, "distance_tip-notch"] == (5, "px")


def test_nothing_asked_and_nothing_marked_measure_nothing():
    assert table({"objects": [TRIANGLE]}) == {}
    assert table({"objects": [], "scale": 2, "distances": "tip-hinge"}) == {}
    assert table({"objects": [{"landmarks": [None] * 3}], "scale": 2, "distances": "tip-hinge"}) == {
        (0, "distance_tip-hinge"): (None, "mm")
    }


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"objects": None}, "objects: expected a list"),
        ({"objects": [3]}, "object 0: expected 3 landmarks"),
        ({"objects": [{"landmarks": [[0, 0]]}]}, "object 0: expected 3 landmarks"),
        ({"objects": [{"landmarks": [[0, 0], [1], None]}]}, r"object 0: landmark 1: expected \[x, y\]"),
        ({"objects": [{"landmarks": [[0, 0], [1, True], None]}]}, "object 0: landmark 1"),
        ({"objects": [{"landmarks": [[0, 0], [1, 10**400], None]}]}, "object 0: landmark 1"),
        ({"objects": [{"landmarks": [[0, 0], [1, float("nan")], None]}]}, "object 0: landmark 1"),
        ({"scale": 0}, "scale: expected the length of a pixel"),
        ({"scale": "0.1"}, "scale: expected the length of a pixel"),
        ({"distances": "tip-tail"}, "tail"),
        ({"distances": "tip-"}, "tip-"),
        ({"angles": "tip-hinge"}, "angles: "),
        ({"areas": 4}, "areas: expected a text"),
        ({"centroid_size": 1}, "centroid_size: expected true or false"),
    ],
)
def test_a_wrong_request_is_one_line(change, text):
    with pytest.raises(InputError, match=text) as info:
        measure_objects(PROJECT, {"objects": [TRIANGLE], "distances": "tip-hinge"} | change)
    assert "\n" not in str(info.value)
    with pytest.raises(InputError):
        measure_objects(PROJECT, [change])
