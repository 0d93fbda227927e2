import re

import numpy as np
import pytest
from helpers import small_predictor

from ert import InputError, ShapePredictor
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


def test_an_object_of_weight_two_counts_as_given_twice(faces):
    X, y = faces
    X, y = list(X)[:20], y[:20]
    params = {"n_stages": 1, "n_trees": 4, "n_pixels": 40, "working_size": 48, "n_inits": 2, "n_jobs": 1}
    plain = ShapePredictor(**params).fit(X, y)
    ones = ShapePredictor(**params).fit(X, y, sample_weight=np.ones(20))
    assert (plain.cascade_.leaves == ones.cascade_.leaves).all()
    weights = np.where(np.arange(20) < 10, 2.0, 0.0)
    weighted = ShapePredictor(**params).fit(X, y, sample_weight=weights)
    assert weighted.fitted_.summary["n_samples"] == 40
    twice = ShapePredictor(**params).fit(X[:10] * 2, np.concatenate([y[:10], y[:10]]))
    np.testing.assert_allclose(weighted.cascade_.mean_shape, twice.cascade_.mean_shape, atol=1e-6)


def test_a_landmark_that_only_objects_without_weight_have_is_named(faces):
    X, y = faces
    X, y = list(X)[:6], y[:6].copy()
    y[:4, 5] = np.nan
    with pytest.raises(InputError, match="y of objects with a weight: landmark 5 is missing in every object"):
        ShapePredictor(n_stages=1, n_trees=1, n_inits=1).fit(X, y, sample_weight=[1, 1, 1, 1, 0, 0])
