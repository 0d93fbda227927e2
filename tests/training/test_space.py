"""The search space: what is searched, and how it changes parameters."""

import pytest

from ert.predictor import ShapePredictor
from ert.training.space import DIMENSIONS, FIRST_TRIALS, change, preset_values, search_space

PRESET = ShapePredictor(
    n_stages=30, n_trees=100, n_inits=88, pool_spread=0.1, spread_decay=0.891, shift_jitter=0.05, working_size=361
).get_params()


def names(given=(), **params):
    return {each.name for each in search_space(given, PRESET | params)}


def test_the_point_of_the_preset_changes_nothing():
    values = preset_values(search_space((), PRESET), PRESET)
    assert set(values) == {each.name for each in DIMENSIONS}
    assert change(PRESET, values) == PRESET


def test_parameters_that_are_given_are_not_searched():
    assert names() - names(["max_depth", "scale_jitter"]) == {"max_depth", "relative jitter"}
    assert "relative pool_spread" not in names(pool_spread=0.0)
    assert "max_depth" not in names(max_depth=8)


def test_a_model_for_dlib_has_fewer_dimensions():
    assert names() - names(kind="dlib") == {"relative working_size", "relative blur", "channels"}


def test_factors_multiply_and_integers_stay_integers():
    changed = change(PRESET, {"relative n_inits": 0.5, "relative jitter": 1.5, "warp": 0.25, "max_depth": 5})
    different = {name: value for name, value in changed.items() if value != PRESET[name]}
    assert different == {"n_inits": 44, "shift_jitter": 0.075, "warp": 0.25, "max_depth": 5}


def test_the_pool_is_as_narrow_after_more_stages():
    changed = change(PRESET, {"relative n_stages": 2.0})
    assert changed["n_stages"] == 60
    assert changed["spread_decay"] ** 60 == pytest.approx(PRESET["spread_decay"] ** 30, rel=0.03)


def test_the_first_trials_are_in_the_space():
    limits = {each.name: each for each in DIMENSIONS}
    for values in FIRST_TRIALS:
        for name, value in values.items():
            each = limits[name]
            assert value in each.choices or each.low <= value <= each.high
