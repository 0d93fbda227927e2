import sys

import pytest

import ert
from ert.cli import common


@pytest.fixture
def seconds(monkeypatch):
    """The clock of the progress lines, which the test moves."""
    clock = [100.0]
    monkeypatch.setattr(common, "monotonic", lambda: clock[0])
    return clock


def test_progress_is_a_line_every_few_seconds_where_there_is_no_terminal(capsys, seconds):
    done = []
    for item in common.with_progress(range(100), 100, "image"):
        done.append(item)
        seconds[0] += 0.25
    assert done == list(range(100))
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"ert: {n} of 100 images, 4 images/s, {(100 - n) // 4} s left" for n in (20, 40, 60, 80, 100)]


def test_progress_without_a_known_total(capsys, seconds):
    with common.progress(None, "frame") as update:
        update(30)
        seconds[0] += 10
        update(30)
    assert capsys.readouterr().err == "ert: 60 frames, 6 frames/s\n"


def test_quick_work_shows_no_progress(capsys):
    assert list(common.with_progress("abc", 3, "image")) == ["a", "b", "c"]
    assert capsys.readouterr().err == ""


def test_progress_is_a_bar_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with common.progress(100, "image") as update:
        update(100)
    assert "image/s" in capsys.readouterr().err


def test_integers_of_an_option():
    assert common.parse_integers("--map", "1,0,2") == [1, 0, 2]
    with pytest.raises(ert.InputError, match="--map 1,x: expected integers separated by commas"):
        common.parse_integers("--map", "1,x")


def test_stage_errors():
    entry = {"stage": 1, "train_nme": 3.456, "validation_nme": 4.0}
    assert common.stage_errors(entry) == "train 3.46 %, validation 4.00 %"
    assert common.stage_errors(entry, " NME") == "train NME 3.46 %, validation NME 4.00 %"
