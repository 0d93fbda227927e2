import re

import pytest
from helpers import small_predictor

from ert.training import fit as module
from ert.training.fit import Progress


class Terminal:
    """Standard error of a terminal."""

    def __init__(self):
        self.text = ""

    def isatty(self):
        return True

    def write(self, text):
        self.text += text

    def flush(self):
        pass


@pytest.fixture
def clock(monkeypatch):
    seconds = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: seconds[0])
    return seconds


def test_each_stage_is_a_line_where_there_is_no_terminal(clock, capsys):
    with Progress(10, 500, "inter-ocular", 1) as progress:
        clock[0] = 4.0
        progress.end_stage(1, {"train": 9.5}, replayed=True)
        assert progress.on_trees is None
        clock[0] = 12.0
        progress.end_stage(2, {"train": 4.214, "validation": 5.0}, replayed=False)
        clock[0] = 4000.0
        progress.end_stage(10, {"train": 4.0}, replayed=False)
    assert capsys.readouterr().err.splitlines() == [
        "ert: stage 1 of 10: training error 9.50 % of the inter-ocular distance, 0:04 elapsed",
        "ert: stage 2 of 10: training error 4.21 %, validation error 5.00 % of the inter-ocular distance,"
        " 0:12 elapsed, 1:36 left",
        "ert: stage 10 of 10: training error 4.00 % of the inter-ocular distance, 1:06:40 elapsed, 0:00 left",
    ]


def test_a_terminal_has_a_bar(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with Progress(2, 40, None, 1) as progress:
        progress.on_trees(40)
        progress.end_stage(1, {"train": 3.0}, replayed=False)
        progress.end_stage(2, {"train": 2.5}, replayed=True)
    assert "80/80" in terminal.text
    assert "train=2.50 %" in terminal.text
    assert "stage" not in terminal.text


def test_a_fit_is_silent_unless_it_is_verbose(faces, capsys):
    X, y = faces
    small_predictor(n_stages=2).fit(X, y)
    assert capsys.readouterr().err == ""
    small_predictor(n_stages=2, verbose=1).fit(X, y, validation=(X[:9], y[:9]))
    lines = capsys.readouterr().err.splitlines()
    number = r"\d+\.\d\d %"
    errors = rf"training error {number}, validation error {number} of the side of the box"
    shape = rf"{errors}, 0:\d\d elapsed"
    assert len(lines) == 2
    for stage, line in enumerate(lines, 1):
        assert re.fullmatch(rf"ert: stage {stage} of 2: {shape}, 0:\d\d left", line)
