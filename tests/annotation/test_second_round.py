import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import drawn_dataset

from ert import InputError
from ert.annotation.second_round import draw_second_round
from ert.datasets.dataset import concatenate


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    return replace(drawn_dataset(tmp_path_factory.mktemp("photos"), 20), name="wings.tps")


def test_a_part_is_drawn_at_random_and_in_random_order(first):
    drawn = draw_second_round(first, "30%")
    assert len(drawn.files) == len(set(drawn.files)) == 6
    assert set(drawn.files) == set(drawn.first.files) < set(first.files)
    assert drawn.files != sorted(drawn.files)
    assert draw_second_round(first, "6").files == drawn.files
    assert draw_second_round(first, "6", seed=1).files != drawn.files
    assert draw_second_round(first, "100 %".replace(" ", "")).to_json() == {"of": "wings.tps", "n": 20}
    assert len(draw_second_round(first, "1%").files) == 1


def test_photos_that_are_added_later_leave_the_order_as_it_is(first):
    order = draw_second_round(first, "20").files
    fewer = first.subset([i for i, file in enumerate(first.files) if file != order[3]])
    assert draw_second_round(fewer, "19").files == order[:3] + order[4:]


@pytest.mark.parametrize("part", ["0", "21", "-3", "101%", "0%", "2.5", "half", "", "nan%", "inf%", "%"])
def test_another_part_is_refused(first, part):
    with pytest.raises(InputError, match="expected a number of photos from 1 to 20, or a percentage") as info:
        draw_second_round(first, part)
    assert "\n" not in str(info.value)


def test_repeatability_of_the_photos_that_are_done(first):
    drawn = draw_second_round(first, "10")
    assert drawn.repeatability(first.subset([])) == {
        "n": 0, "units": [], "overall": {}, "landmarks": [], "largest": [], "notes": [],
    }  # fmt: skip
    items = [first.files.index(file) for file in drawn.files[:7]]
    rng = np.random.default_rng(0)
    moved = replace(first, landmarks=first.landmarks + rng.normal(0, 2, first.landmarks.shape), name="second.tps")
    figures = drawn.repeatability(moved.subset(items))
    json.dumps(figures, allow_nan=False)
    assert (figures["n"], figures["units"], figures["notes"]) == (7, ["px", "percent"], [])
    # Of two independent marks of a standard deviation s along either axis, the deviation is 1.41 s.
    assert figures["overall"]["px"]["deviation"] == pytest.approx(2, rel=0.3)
    assert [row["name"] for row in figures["landmarks"]] == list(first.landmark_names)
    assert figures["landmarks"][0]["n"] == 7


def test_objects_of_a_photo_are_matched_by_their_places(first):
    other = replace(first, landmarks=first.landmarks + 200)
    both = concatenate([first, other])
    drawn = draw_second_round(both, "5")
    turned = concatenate([other, first])
    figures = drawn.repeatability(turned)
    assert figures["n"] == 10
    assert figures["overall"]["px"]["mean"] == 0


def test_other_paths_to_the_same_photos_are_the_same(first, monkeypatch):
    folder = first.files[0].parent
    monkeypatch.chdir(folder)
    drawn = draw_second_round(first, "5")
    done = replace(first, files=[Path("..", folder.name, file.name) for file in first.files])
    assert drawn.repeatability(done.subset([first.files.index(file) for file in drawn.files]))["n"] == 5


def test_one_object_with_one_landmark(first):
    drawn = draw_second_round(first, "1")
    done = first.subset([first.files.index(drawn.files[0])])
    landmarks = np.full_like(done.landmarks, np.nan)
    assert drawn.repeatability(replace(done, landmarks=landmarks))["n"] == 0
    landmarks[0, 2] = done.landmarks[0, 2] + (3, 4)
    figures = drawn.repeatability(replace(done, landmarks=landmarks))
    json.dumps(figures, allow_nan=False)
    assert figures["overall"]["px"]["mean"] == 5
    assert figures["landmarks"][0]["n"] == 0


def test_marks_of_other_landmarks_are_no_figures_yet(first):
    drawn = draw_second_round(first, "1")
    item = first.files.index(drawn.files[0])
    one, two = first.landmarks.copy(), first.landmarks.copy()
    one[:, 1:], two[:, 0] = np.nan, np.nan
    drawn = draw_second_round(replace(first, landmarks=one), "1")
    assert drawn.repeatability(replace(first, landmarks=two).subset([item]))["n"] == 0
