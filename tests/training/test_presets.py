import numpy as np
import pytest

import ert
from ert.training.parameters import check_parameters
from ert.training.presets import (
    MAX_INITS,
    MAX_WORKING_SIZE,
    PRESETS,
    choose_parameters,
    explain_choice,
    measure_scatter,
)

SQUARE = np.array([(0.2, 0.2), (0.8, 0.2), (0.8, 0.8), (0.2, 0.8), (0.5, 0.5)])


def scattered(n, shift=0.0, scale=0.0, roll=0.0, side=400.0):
    """Return landmarks (n, 5, 2) that lie in the boxes (n, 4) by these standard deviations, and the boxes."""
    rng = np.random.default_rng(0)
    turn = np.exp(scale * rng.standard_normal(n) + 1j * np.deg2rad(roll) * rng.standard_normal(n))
    points = (
        (SQUARE - 0.5) @ [1, 1j] * turn[:, None] + 0.5 + 0.5j + shift * (rng.standard_normal((n, 2)) @ [1, 1j])[:, None]
    )
    return np.stack([points.real, points.imag], 2) * (side - 1), np.tile([0, 0, side, side], (n, 1))


@pytest.mark.parametrize("kind", ["ert", "dlib"])
@pytest.mark.parametrize("preset", PRESETS)
def test_all_presets_choose_valid_parameters(preset, kind):
    for n in (1, 3, 46, 2000, 100_000):
        chosen = choose_parameters(preset, *scattered(n, 0.05, 0.05, 5), kind=kind)
        check_parameters(ert.ShapePredictor(**chosen).get_params())
    assert kind == "ert" or "working_size" not in chosen


def test_an_unknown_preset_is_named():
    with pytest.raises(ert.InputError, match="preset='best': expected one of auto, small"):
        choose_parameters("best", *scattered(3))


def test_scatter_is_measured():
    assert measure_scatter(*scattered(4000, 0.05, 0.1, 8)) == pytest.approx((0.05, 0.1, 8), rel=0.1)
    assert measure_scatter(*scattered(1, 0.05, 0.1, 8)) == (0, 0, 0)


def test_jitter_follows_the_scatter_of_objects_within_limits():
    names = "shift_jitter", "scale_jitter", "roll_jitter"
    for spread, low, high in ((0, 0.05, 0.05), (0.08, 0.06, 0.1), (0.5, 0.1, 0.1)):
        chosen = choose_parameters("auto", *scattered(500, spread, spread, 100 * spread))
        for name, unit in zip(names, (1, 1, 100), strict=True):
            assert low * unit <= chosen[name] <= high * unit
    chosen = choose_parameters("auto", *scattered(500, 0.3, 0.3, 90), box_source="learned")
    assert [chosen[name] for name in names] == [0.05, 0.05, 5]


def test_more_objects_have_fewer_initializations():
    numbers = [choose_parameters("auto", *scattered(n)).get("n_inits", 20) for n in (3, 10, 100, 500, 2000, 10_000)]
    assert numbers == sorted(numbers, reverse=True)
    assert numbers[0] == MAX_INITS


def test_images_are_not_enlarged():
    shapes, boxes = scattered(20, side=90.0)
    assert choose_parameters("auto", shapes, boxes)["working_size"] == 90
    sizes = np.full((20, 2), 60)
    assert choose_parameters("auto", shapes, boxes, image_sizes=sizes)["working_size"] == 60
    assert choose_parameters("auto", *scattered(20, side=4000.0))["working_size"] == MAX_WORKING_SIZE


def test_missing_landmarks_do_not_count():
    shapes, boxes = scattered(50, 0.05, 0.05, 5)
    shapes[::3, 1] = np.nan
    complete = choose_parameters("auto", *scattered(50, 0.05, 0.05, 5))
    for name, value in choose_parameters("auto", shapes, boxes).items():
        assert value == complete[name] or value == pytest.approx(complete[name], rel=0.2)


def test_the_choice_is_explained():
    text = explain_choice("auto", {"n_stages": 20}, *scattered(4000, 0.05, 0.1, 8), "whole")
    assert text.startswith("preset auto: 4000 objects of 5 landmarks in whole images, in which they vary by ")
    assert text.endswith("degrees: n_stages=20")
    text = explain_choice("fast", {"n_stages": 10}, *scattered(30), "learned")
    assert text == "preset fast: 30 objects of 5 landmarks in boxes of the locator: n_stages=10"
