"""Probabilities and standard errors that hold what they say: fitted on objects left out, and measured."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ert._core.exceptions import InputError
from ert._core.types import Floats

__all__ = [
    "coverage",
    "fit_error_curve",
    "fit_isotonic",
    "fit_logistic",
    "rejection_rate_at_recall",
    "reliability",
    "roc_auc",
]


# Knots of the curve that brings predicted deviations to scale, and the fewest numbers behind each.
KNOTS, LEAST = 12, 20
# As many of the curve that brings probabilities to scale.
STEPS = 20
# Beyond the last knot the curve rises as its argument does, so far.
BEYOND = 5.0
LEVEL = 0.9
# Keeps weights finite where a probability can be told for certain.
RIDGE = 1e-3


def fit_error_curve(deviations: npt.ArrayLike, log_errors: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Find what predicted deviations mean: the size that nine in ten errors stay below.

    Parameters
    ----------
    deviations : float array (n, n_landmarks)
        Predicted: how much larger than usual the logarithm of each error is.
    log_errors : float array (n, n_landmarks)
        The logarithm of each error; NaN = not known.

    Returns
    -------
    curve : float array (2, n_knots)
        Deviations, and by how much the logarithm of the size is above `usual`; neither ever falls.
    usual : float array (n_landmarks,)
    """
    x, y = np.asarray(deviations, np.float64), np.asarray(log_errors, np.float64)
    known = np.isfinite(y)
    usual = _quantiles(y)
    n_knots = max(1, min(KNOTS, int(known.sum()) // LEAST))
    curve = np.zeros((2, 2))
    # What is usual for a landmark and what deviations mean depend on each other a little.
    for _ in range(2):
        flat, rest = x[known], (y - usual)[known]
        parts = np.array_split(np.argsort(flat, kind="stable"), n_knots)
        xs = np.array([np.median(flat[part]) for part in parts])
        ys = np.maximum.accumulate([np.quantile(rest[part], LEVEL) for part in parts])
        curve = np.array([[*xs, xs[-1] + BEYOND], [*ys, ys[-1] + BEYOND]])
        usual = _quantiles(y - np.interp(x, *curve))
    return curve, usual


def _quantiles(values: Floats) -> Floats:
    quantiles: Floats = np.nanquantile(values, LEVEL, axis=0)
    return quantiles


def fit_logistic(
    features: npt.ArrayLike, truth: npt.ArrayLike, weights: npt.ArrayLike | None = None
) -> Floats:
    """Fit a logistic regression by Newton's method.

    Parameters
    ----------
    features : float array (n, k)
    truth : bool array (n,)
    weights : float array (n,), optional
        How much each row counts; 1 by default.

    Returns
    -------
    float array (k + 1,)
        The weight of 1, then those of the features, which give the logit of the probability.
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
        # A step too far would never come back.
        result += step * min(1.0, 10 / max(float(np.abs(step).max()), 1e-12))
        if np.abs(step).max() < 1e-9:
            break
    return result


def fit_isotonic(probabilities: npt.ArrayLike, truth: npt.ArrayLike) -> Floats:
    """Find how often what is said to be that probable comes true: a curve that never falls.

    Parameters
    ----------
    probabilities : float array (n,)
    truth : bool array (n,)

    Returns
    -------
    float array (2, n_knots)
        Probabilities as said, and as they are; at least two.
    """
    said, came = np.asarray(probabilities, np.float64), np.asarray(truth, np.float64)
    n_parts = max(1, min(STEPS, len(said) // LEAST))
    # Neighbors that fall are joined (pool adjacent violators).
    pools: list[tuple[float, float, int]] = []
    for part in np.array_split(np.argsort(said, kind="stable"), n_parts):
        pool = float(said[part].sum()), float(came[part].sum()), len(part)
        while pools and pools[-1][1] / pools[-1][2] >= pool[1] / pool[2]:
            pool = tuple(a + b for a, b in zip(pools.pop(), pool, strict=True))  # type: ignore[assignment]
        pools.append(pool)
    knots = [(a / n, b / n) for a, b, n in pools]
    if len(knots) == 1:
        knots = [(0.0, knots[0][1]), (1.0, knots[0][1])]
    return np.array(knots).T.copy()


def coverage(errors: npt.ArrayLike, std: npt.ArrayLike, radii: Sequence[float]) -> list[float]:
    """Return the shares of errors within so many standard errors; NaN errors do not count."""
    ratios = np.asarray(errors, np.float64) / np.asarray(std, np.float64)
    known = ratios[np.isfinite(ratios)]
    return [float((known <= radius).mean()) for radius in radii]


def reliability(
    probabilities: npt.ArrayLike, truth: npt.ArrayLike, *, weights: npt.ArrayLike | None = None
) -> list[dict[str, float]]:
    """Compare probabilities with what came true, in tenths.

    Parameters
    ----------
    probabilities : float array (n,)
    truth : bool array (n,)
    weights : float array (n,), optional

    Returns
    -------
    list of dict
        For each tenth that holds any: "probability" and "share", the weighted means of what was said and of
        what is true, "count", and "weight", its part of the whole.
    """
    said, came = np.asarray(probabilities, np.float64).ravel(), np.asarray(truth, np.float64).ravel()
    counts = np.ones(len(said)) if weights is None else np.asarray(weights, np.float64).ravel()
    tenth = np.clip((said * 10).astype(int), 0, 9)
    table = []
    for number in np.unique(tenth):
        here = tenth == number
        total = counts[here].sum()
        table.append(
            {
                "probability": float((said * counts)[here].sum() / total),
                "share": float((came * counts)[here].sum() / total),
                "count": int(here.sum()),
                "weight": float(total / counts.sum()),
            }
        )
    return table


def roc_auc(scores: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """Return how often a true one has the greater score than a false one, equals half.

    It is the area under the ROC curve; NaN where all are true or none is.
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


def rejection_rate_at_recall(
    objects: npt.ArrayLike, others: npt.ArrayLike, kept: float = 0.95
) -> dict[str, Any]:
    """Tell objects from what is none, at a threshold that keeps most objects.

    Parameters
    ----------
    objects, others : float arrays
        Confidences.
    kept : float
        The share of objects to keep.

    Returns
    -------
    dict
        "threshold", and "rejected", the share of the others below it.
    """
    threshold = float(np.quantile(np.asarray(objects, np.float64), 1 - kept))
    return {"threshold": threshold, "rejected": float((np.asarray(others, np.float64) < threshold).mean())}
