import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import naive

from ert import InputError
from ert.training.calibration import (
    coverage,
    fit_error_curve,
    fit_isotonic,
    fit_logistic,
    rejection_rate_at_recall,
    reliability,
    roc_auc,
)


def test_nine_in_ten_errors_are_below_the_curve_for_any_prediction():
    rng = np.random.default_rng(0)
    deviations = rng.normal(0, 0.5, (4000, 3))
    # Predicted deviations are half of the true ones, and landmarks differ.
    logs = 2 * deviations + np.array([0.0, -1.0, 1.0]) + rng.normal(0, 0.4, deviations.shape)
    logs[:100, 1] = np.nan
    curve, usual = fit_error_curve(deviations, logs)
    assert (np.diff(curve) >= 0).all()
    inside = logs <= np.interp(deviations, *curve) + usual
    for landmark in range(3):
        known = np.isfinite(logs[:, landmark])
        assert inside[known, landmark].mean() == pytest.approx(0.9, abs=0.01)
    for part in np.array_split(np.argsort(deviations[:, 0]), 4):
        assert inside[part, 0].mean() == pytest.approx(0.9, abs=0.04)
    # Beyond the data the curve keeps rising.
    assert np.interp(deviations.max() + 2, *curve) > curve[1, -2] + 1


def test_two_errors_are_enough_for_a_curve():
    curve, usual = fit_error_curve([[0.0], [1.0]], [[-3.0], [-2.0]])
    assert curve.shape == (2, 2)
    assert np.isfinite(usual).all()


def test_logistic_regression_recovers_the_weights_of_the_data():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(20_000, 2))
    truth = rng.random(20_000) < 1 / (1 + np.exp(-(0.5 + features @ [1.5, -1.0])))
    found = fit_logistic(features, truth)
    np.testing.assert_allclose(found, [0.5, 1.5, -1.0], atol=0.1)
    twice = fit_logistic(np.concatenate([features, features[:9000]]), np.concatenate([truth, truth[:9000]]))
    weighted = fit_logistic(features, truth, np.where(np.arange(20_000) < 9000, 2.0, 1.0))
    np.testing.assert_allclose(weighted, twice, atol=1e-6)


def test_separable_classes_have_finite_weights():
    features = np.linspace(-1, 1, 40)[:, None]
    assert np.isfinite(fit_logistic(features, features[:, 0] > 0)).all()
    assert np.isfinite(fit_logistic(features, np.ones(40, bool))).all()


def test_the_isotonic_curve_is_the_frequency_and_never_falls():
    rng = np.random.default_rng(0)
    predicted = rng.random(40_000)
    x, y = fit_isotonic(predicted, rng.random(40_000) < predicted**2)
    np.testing.assert_allclose(y, x**2, atol=0.04)
    x, y = fit_isotonic(predicted, rng.random(40_000) < 1 - predicted)
    assert (np.diff(x) > 0).all()
    np.testing.assert_allclose(y, 0.5, atol=0.02)
    assert fit_isotonic([0.3], [True]).shape == (2, 2)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=30))
def test_the_area_under_the_roc_matches_its_twin(pairs):
    scores, truth = np.array([a for a, _ in pairs], float), np.array([b for _, b in pairs])
    if truth.all() or not truth.any():
        assert np.isnan(roc_auc(scores, truth))
    else:
        assert roc_auc(scores, truth) == pytest.approx(naive.roc_auc(scores, truth))


def test_scores_of_another_length_are_named():
    with pytest.raises(InputError, match=r"scores: \(2,\), expected as many as in truth, \(3,\)"):
        roc_auc([1.0, 2.0], [True, False, True])


def test_coverage_ignores_unknown_errors():
    errors = [[1.0, 3.0], [np.nan, 5.0]]
    assert coverage(errors, [[1.0, 1.0], [1.0, 2.0]], [1.0, 2.5]) == [1 / 3, 2 / 3]


def test_reliability_has_ten_bins():
    table = reliability([0.05, 0.05, 0.95, 1.0], [False, True, True, True], weights=[1, 3, 1, 1])
    assert [row["count"] for row in table] == [2, 2]
    assert table[0]["share"] == 0.75
    assert table[1]["probability"] == pytest.approx(0.975)
    assert [row["weight"] for row in table] == pytest.approx([2 / 3, 1 / 3])


def test_the_rejection_rate_is_that_at_the_threshold_of_the_recall():
    result = rejection_rate_at_recall(np.linspace(0, 1, 101), [0.01, 0.04, 0.5])
    assert result["threshold"] == pytest.approx(0.05)
    assert result["rejected"] == pytest.approx(2 / 3)
