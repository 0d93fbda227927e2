"""Calibrated probabilities and standard errors: fitted on left-out objects, and measured."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ert._core.exceptions import InputError
from ert._core.types import Floats

# Largest number of knots of the curve of errors, and of the curve of probabilities; least numbers per knot.
MAX_ERROR_KNOTS, MAX_PROBABILITY_KNOTS = 12, 20
MIN_PER_KNOT = 20
# Beyond its last knot the curve of errors has slope 1 up to this argument, and is constant after it.
EXTRAPOLATION = 5.0
LEVEL = 0.9
# Keeps the weights of a logistic regression finite where the classes can be separated.
RIDGE = 1e-3


def fit_error_curve(deviations: npt.ArrayLike, log_errors: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Fit the size that 90 % of the errors stay below, as a function of predicted deviations.

    Parameters
    ----------
    deviations, log_errors : float arrays (n, n_landmarks)
        The predicted deviation of the logarithm of each error from the typical one, and this logarithm, NaN
        where unknown.

    Returns
    -------
    curve : float array (2, n_knots)
        Deviations, and the logarithm of the size minus `typical`; both are nondecreasing.
    typical : float array (n_landmarks,)
    """
    x, y = np.asarray(deviations, np.float64), np.asarray(log_errors, np.float64)
    known = np.isfinite(y)
    typical: Floats = np.nanquantile(y, LEVEL, axis=0)
    n_knots = max(1, min(MAX_ERROR_KNOTS, int(known.sum()) // MIN_PER_KNOT))
    curve = np.zeros((2, 2))
    # The typical error of a landmark and the curve depend on each other a little.
    for _ in range(2):
        flat, rest = x[known], (y - typical)[known]
        parts = np.array_split(np.argsort(flat, kind="stable"), n_knots)
        xs = np.array([np.median(flat[part]) for part in parts])
        ys = np.maximum.accumulate([np.quantile(rest[part], LEVEL) for part in parts])
        curve = np.array([[*xs, xs[-1] + EXTRAPOLATION], [*ys, ys[-1] + EXTRAPOLATION]])
        typical = np.nanquantile(y - np.interp(x, *curve), LEVEL, axis=0)
    return curve, typical


def fit_logistic(features: npt.ArrayLike, truth: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> Floats:
    """Fit a ridge-penalized logistic regression to `features` (n, k) by Newton's method.

    Return the intercept and the weights of the features in the logit of the probability, (k + 1,).
    """
    rows = np.column_stack([np.ones(len(np.asarray(truth))), np.asarray(features, np.float64)])
    y = np.asarray(truth, np.float64)
    counts = np.ones(len(y)) if weights is None else np.asarray(weights, np.float64)
    result = np.zeros(rows.shape[1])
    ridge = RIDGE * max(float(counts.sum()), 1.0)
    for _ in range(100):
        p = 1 / (1 + np.exp(-np.clip(rows @ result, -50, 50)))
        gradient = rows.T @ (counts * (y - p)) - ridge * result
        hessian = (rows * (counts * p * (1 - p))[:, None]).T @ rows + ridge * np.eye(len(result))
        step = np.linalg.solve(hessian, gradient)
        # Limited: a step that is too long may diverge.
        result += step * min(1.0, 10 / max(float(np.abs(step).max()), 1e-12))
        if np.abs(step).max() < 1e-9:
            break
    return result


def fit_isotonic(probabilities: npt.ArrayLike, truth: npt.ArrayLike) -> Floats:
    """Fit the frequency of an event as a nondecreasing function of its predicted probability.

    Return predicted probabilities and frequencies, (2, n_knots), at least two knots.
    """
    from scipy.optimize import isotonic_regression

    predicted, occurred = np.asarray(probabilities, np.float64), np.asarray(truth, np.float64)
    n_parts = max(1, min(MAX_PROBABILITY_KNOTS, len(predicted) // MIN_PER_KNOT))
    parts = np.array_split(np.argsort(predicted, kind="stable"), n_parts)
    sums = np.array([(predicted[part].sum(), occurred[part].sum(), len(part)) for part in parts])
    fit = isotonic_regression(sums[:, 1] / sums[:, 2], weights=sums[:, 2])
    x, y, n = np.add.reduceat(sums, fit.blocks[:-1], axis=0).T
    if len(n) == 1:
        return np.array([[0.0, 1.0], [y[0] / n[0], y[0] / n[0]]])
    return np.stack([x / n, y / n])


def coverage(errors: npt.ArrayLike, std: npt.ArrayLike, radii: Sequence[float]) -> list[float]:
    """Return the share of the errors within each radius in standard errors; NaN errors are ignored."""
    ratios = np.asarray(errors, np.float64) / np.asarray(std, np.float64)
    known = ratios[np.isfinite(ratios)]
    return [float((known <= radius).mean()) for radius in radii]


def reliability(
    probabilities: npt.ArrayLike, truth: npt.ArrayLike, *, weights: npt.ArrayLike | None = None
) -> list[dict[str, float]]:
    """Compare predicted probabilities with observed frequencies in ten bins.

    For each bin that is not empty return "probability" and "share", the weighted means of the predicted
    probabilities and of `truth`, "count", and "weight", its share of the total weight.
    """
    predicted, occurred = np.ravel(probabilities).astype(np.float64), np.ravel(truth).astype(np.float64)
    counts = np.ones(len(predicted)) if weights is None else np.asarray(weights, np.float64).ravel()
    bin_of = np.clip((predicted * 10).astype(int), 0, 9)
    table = []
    for number in np.unique(bin_of):
        here = bin_of == number
        total = counts[here].sum()
        table.append(
            {
                "probability": float((predicted * counts)[here].sum() / total),
                "share": float((occurred * counts)[here].sum() / total),
                "count": int(here.sum()),
                "weight": float(total / counts.sum()),
            }
        )
    return table


def roc_auc(scores: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """Return the area under the ROC curve; NaN where the truth has only one class.

    It is the probability that a positive has a greater score than a negative; equal scores count half.
    """
    values, good = np.asarray(scores, np.float64), np.asarray(truth, bool)
    if values.shape != good.shape:
        raise InputError(f"scores: {values.shape}, expected as many as in truth, {good.shape}")
    n_good, n_bad = int(good.sum()), int((~good).sum())
    if not n_good or not n_bad:
        return float("nan")
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2
    return float((ranks[inverse][good].sum() - n_good * (n_good + 1) / 2) / (n_good * n_bad))


def rejection_rate_at_recall(objects: npt.ArrayLike, others: npt.ArrayLike, recall: float = 0.95) -> dict[str, Any]:
    """Return the "threshold" that the share `recall` of the objects exceeds, and "rejected", the others' share below.

    `objects` and `others`, which are no objects, are confidences.
    """
    threshold = float(np.quantile(np.asarray(objects, np.float64), 1 - recall))
    return {"threshold": threshold, "rejected": float((np.asarray(others, np.float64) < threshold).mean())}
