"""How far predicted landmarks are from the truth: NME, CED, AUC, failure rate.

Landmark arrays are (n, n_landmarks, 2), x and y in pixels; NaN marks a landmark that the truth lacks. Errors
of whole objects are percentages of a length of the object itself, the *normalizer*; figures with different
normalizers cannot be compared, so always say which one was used.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ert._core.exceptions import InputError
from ert._core.types import Floats

__all__ = [
    "NORMALIZERS",
    "auc",
    "bootstrap_interval",
    "ced",
    "check_shapes",
    "check_truth",
    "evaluate",
    "failure_rate",
    "landmark_errors",
    "nme",
    "normalizer_lengths",
    "normalizer_text",
    "per_landmark_nme",
]


def landmark_errors(y_true: ArrayLike, y_pred: ArrayLike) -> Floats:
    """Distance of each predicted landmark from the true one.

    Parameters
    ----------
    y_true, y_pred : (n, n_landmarks, 2) array-like
        True and predicted landmarks, x and y in pixels. NaN in `y_true`: the landmark is missing.

    Returns
    -------
    (n, n_landmarks) float64 array
        Euclidean distances in pixels, NaN where the truth is missing.

    Raises
    ------
    InputError
        When the two differ in shape or are not (n, n_landmarks, 2), the truth is infinite, or the prediction
        of a landmark that is there is not finite.
    """
    true, there = check_truth(y_true)
    pred = check_shapes(y_pred, "y_pred")
    if true.shape != pred.shape:
        raise InputError(f"y_pred: expected the shape of y_true, {true.shape}, got {pred.shape}")
    # A NaN prediction must not pass for a missing truth: it would drop out of every mean unseen.
    bad = np.argwhere(there & ~np.isfinite(pred).all(axis=2))
    if len(bad):
        raise InputError(f"y_pred: face {bad[0, 0]}, landmark {bad[0, 1]}: expected finite coordinates")
    errors = np.full(there.shape, np.nan)
    difference = pred[there] - true[there]
    errors[there] = np.hypot(difference[:, 0], difference[:, 1])
    return errors


def nme(y_true: ArrayLike, y_pred: ArrayLike, normalizer: str | ArrayLike) -> Floats:
    """Return the normalized mean error of each object, in percent.

    The mean of ‖pred_k - true_k‖ over the landmarks k that the truth has, divided by the normalizer, times
    100: the error of the 300-W challenge, where the normalizer is the inter-ocular distance (Sagonas et al.,
    Image and Vision Computing 47, 2016).

    Parameters
    ----------
    y_true, y_pred : (n, n_landmarks, 2) array-like
        True and predicted landmarks, x and y in pixels; NaN in `y_true` = missing.
    normalizer : str or (n,) array-like
        See `normalizer_lengths`.

    Returns
    -------
    (n,) float64 array
        Percentages.

    Raises
    ------
    InputError
        As `landmark_errors` and `normalizer_lengths`, and when a face has no landmark at all.
    """
    relative = _relative_errors(y_true, y_pred, normalizer)
    there = ~np.isnan(relative)
    empty = np.flatnonzero(~there.any(axis=1))
    if len(empty):
        raise InputError(f"y_true: face {empty[0]}: expected at least one landmark that is not missing")
    return np.asarray(np.where(there, relative, 0.0).sum(axis=1) / there.sum(axis=1))


def per_landmark_nme(y_true: ArrayLike, y_pred: ArrayLike, normalizer: str | ArrayLike) -> Floats:
    """Return the normalized mean error of each landmark over all objects, in percent.

    Parameters
    ----------
    y_true, y_pred : (n, n_landmarks, 2) array-like
        True and predicted landmarks, x and y in pixels; NaN in `y_true` = missing.
    normalizer : str or (n,) array-like
        See `normalizer_lengths`.

    Returns
    -------
    (n_landmarks,) float64 array
        Percentages: the mean over the objects that have the landmark, NaN where none has.

    Raises
    ------
    InputError
        As `landmark_errors` and `normalizer_lengths`.
    """
    relative = _relative_errors(y_true, y_pred, normalizer)
    there = ~np.isnan(relative)
    count = there.sum(axis=0)
    sums = np.where(there, relative, 0.0).sum(axis=0)
    return np.asarray(np.divide(sums, count, out=np.full(len(count), np.nan), where=count > 0))


def ced(errors: ArrayLike, thresholds: ArrayLike | None = None) -> tuple[Floats, Floats]:
    """Cumulative error distribution: the fraction of objects with an error of at most each threshold.

    Parameters
    ----------
    errors : (n,) array-like
        Errors, usually `nme`. Infinity is allowed: an object that was not found.
    thresholds : (m,) array-like, optional
        In the units of `errors`. By default 0 to 10 in steps of 0.05.

    Returns
    -------
    thresholds, fractions : (m,) float64 arrays
        What a plot needs; the fractions lie between 0 and 1.

    Raises
    ------
    InputError
        When `errors` is empty, or holds NaN or a negative number, or `thresholds` is not 1-D or holds NaN.
    """
    sorted_errors = np.sort(_errors(errors))
    at = np.arange(201) / 20 if thresholds is None else np.array(thresholds, dtype=np.float64)
    if at.ndim != 1 or np.isnan(at).any():
        raise InputError(f"thresholds: expected a 1-D array without NaN, got shape {at.shape}")
    return at, np.searchsorted(sorted_errors, at, side="right") / len(sorted_errors)


def auc(errors: ArrayLike, limit: float = 8.0) -> float:
    """Area under the cumulative error distribution from 0 to `limit`, divided by `limit`.

    Computed exactly, not from sampled thresholds: one of n objects, with the error e, adds
    max(0, limit - e) / n to the area, so the result is the mean of max(0, 1 - e / limit).

    Parameters
    ----------
    errors : (n,) array-like
        Errors, usually `nme`. Infinity is allowed.
    limit : float
        Positive, in the units of `errors`: 8 (percent) is the custom with the inter-ocular distance.

    Returns
    -------
    float
        Between 0 (no error below the limit) and 1 (no error at all).

    Raises
    ------
    InputError
        When `errors` is empty, or holds NaN or a negative number, or when `limit` is not positive and finite.
    """
    return float(np.maximum(0.0, 1.0 - _errors(errors) / _limit(limit)).mean())


def failure_rate(errors: ArrayLike, limit: float = 8.0) -> float:
    """Fraction of the objects with an error above `limit`.

    Parameters
    ----------
    errors : (n,) array-like
        Errors, usually `nme`. Infinity is allowed.
    limit : float
        Positive, in the units of `errors`.

    Returns
    -------
    float
        Between 0 and 1.

    Raises
    ------
    InputError
        When `errors` is empty, or holds NaN or a negative number, or when `limit` is not positive and finite.
    """
    return float((_errors(errors) > _limit(limit)).mean())


def bootstrap_interval(
    values: ArrayLike, level: float = 0.95, n: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean.

    Parameters
    ----------
    values : (m,) array-like
        One finite number per object; the objects are drawn again with replacement.
    level : float
        Share of the resampled means that the interval holds, between 0 and 1.
    n : int
        How many times to resample.
    seed : int
        The same seed gives the same interval.

    Returns
    -------
    low, high : float

    Raises
    ------
    InputError
        When `values` is empty, not 1-D or not finite, `level` is not between 0 and 1, or `n` is less than 1.
    """
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1 or not len(sample) or not np.isfinite(sample).all():
        raise InputError(f"values: expected a 1-D array of finite numbers, got shape {sample.shape}")
    if not 0 < level < 1:
        raise InputError(f"level: expected a number between 0 and 1, got {level!r}")
    if n < 1:
        raise InputError(f"n: expected at least 1, got {n!r}")
    rng = np.random.default_rng(seed)
    means = [sample[rng.integers(len(sample), size=len(sample))].mean() for _ in range(n)]
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def evaluate(y_true: ArrayLike, y_pred: ArrayLike, norms: Sequence[str] | None = None) -> dict[str, Any]:
    """Summarize predictions in numbers that can be written as JSON.

    Parameters
    ----------
    y_true, y_pred : (n, n_landmarks, 2) array-like
        True and predicted landmarks, x and y in pixels; NaN in `y_true` = missing.
    norms : sequence of str, optional
        Names of `NORMALIZERS`. By default all four when there are 68 points and no face lacks an eye point, else
        ``"box"`` and ``"diagonal"``.

    Returns
    -------
    dict
        ``n`` (objects), ``n_landmarks``, and ``norms``: for each norm a dict of ``mean``, ``median``,
        ``interval_95`` (bootstrap, of the mean) and ``per_landmark`` (None where no object has the landmark),
        in percent, and ``auc_8`` and ``failure_rate_8`` (at 8 %), between 0 and 1.

    Raises
    ------
    InputError
        When there is no object, and as `nme`.
    """
    true, there = check_truth(y_true)
    if not len(true):
        raise InputError("y_true: expected at least one face, got none")
    if norms is None:
        norms = NORMALIZERS if true.shape[1] == 68 and there[:, 36:48].all() else ("box", "diagonal")
    return {
        "n": len(true),
        "n_landmarks": true.shape[1],
        "norms": {normalizer: _summary(true, y_pred, normalizer) for normalizer in norms},
    }


def _summary(true: Floats, y_pred: ArrayLike, normalizer: str) -> dict[str, Any]:
    errors = nme(true, y_pred, normalizer)
    per_landmark = per_landmark_nme(true, y_pred, normalizer)
    return {
        "mean": float(errors.mean()),
        "median": float(np.median(errors)),
        "interval_95": list(bootstrap_interval(errors)),
        "auc_8": auc(errors),
        "failure_rate_8": failure_rate(errors),
        "per_landmark": [None if np.isnan(value) else float(value) for value in per_landmark],
    }


def _relative_errors(y_true: ArrayLike, y_pred: ArrayLike, normalizer: str | ArrayLike) -> Floats:
    relative: Floats = (
        100.0 * landmark_errors(y_true, y_pred) / normalizer_lengths(y_true, normalizer)[:, None]
    )
    return relative


def _errors(errors: ArrayLike) -> Floats:
    array = np.asarray(errors, dtype=np.float64)
    if array.ndim != 1 or not len(array):
        raise InputError(f"errors: expected a 1-D array that is not empty, got shape {array.shape}")
    bad = np.flatnonzero(~(array >= 0))
    if len(bad):
        raise InputError(f"errors: item {bad[0]}: expected a number from 0 up, got {array[bad[0]]:g}")
    return array


def _limit(limit: float) -> float:
    if not 0 < limit < np.inf:
        raise InputError(f"limit: expected a positive number, got {limit!r}")
    return limit


NORMALIZERS = ("inter-ocular", "inter-pupil", "box", "diagonal")

# Of the 68 points of iBUG: the outer eye corners, and the six points round each eye.
_OUTER_CORNERS = (slice(36, 37), slice(45, 46))
_EYES = (slice(36, 42), slice(42, 48))


def normalizer_lengths(y_true: ArrayLike, normalizer: str | ArrayLike) -> Floats:
    """Length of each object by which its errors are divided.

    Parameters
    ----------
    y_true : (n, n_landmarks, 2) array-like
        True landmarks, x and y in pixels; NaN = missing.
    normalizer : str or (n,) array-like
        - ``"inter-ocular"``: between the outer corners of the eyes, points 36 and 45 of the 68 [1]_.
        - ``"inter-pupil"``: between the pupils, taken as the means of points 36-41 and 42-47 [2]_.
        - ``"box"``: sqrt(width · height) of the upright rectangle round the landmarks that are there [3]_.
        - ``"diagonal"``: the diagonal of that rectangle.
        - an array: your own lengths, in pixels.

    Returns
    -------
    (n,) float64 array
        Positive lengths in pixels.

    Raises
    ------
    InputError
        When the norm is unknown, needs 68 points and there are others, or when a face lacks a landmark that
        it needs or has a length of zero; the message gives the number of the face, counted from 0.

    References
    ----------
    .. [1] C. Sagonas, E. Antonakos, G. Tzimiropoulos, S. Zafeiriou, M. Pantic, "300 Faces In-The-Wild
       Challenge: database and results", Image and Vision Computing 47, 2016.
    .. [2] X. Cao, Y. Wei, F. Wen, J. Sun, "Face Alignment by Explicit Shape Regression", CVPR 2012.
    .. [3] A. Bulat, G. Tzimiropoulos, "How far are we from solving the 2D & 3D Face Alignment problem?",
       ICCV 2017.
    """
    true, there = check_truth(y_true)
    name = f"norm {normalizer!r}" if isinstance(normalizer, str) else "norm"
    if not isinstance(normalizer, str):
        lengths = np.array(normalizer, dtype=np.float64)
        if lengths.shape != (len(true),):
            raise InputError(f"norm: expected {len(true)} lengths, one per face, got shape {lengths.shape}")
    elif normalizer == "inter-ocular":
        lengths = _between(true, _OUTER_CORNERS, name)
    elif normalizer == "inter-pupil":
        lengths = _between(true, _EYES, name)
    elif normalizer in ("box", "diagonal"):
        width, height = _extent(true, there, name)
        lengths = np.sqrt(width * height) if normalizer == "box" else np.hypot(width, height)
    else:
        raise InputError(f"{name}: expected one of {', '.join(NORMALIZERS)}, or an array of lengths")
    bad = np.flatnonzero(~(np.isfinite(lengths) & (lengths > 0)))
    if len(bad):
        raise InputError(f"{name}: face {bad[0]}: expected a positive length, got {lengths[bad[0]]:g}")
    return lengths


def normalizer_text(normalizer: str | None) -> str:
    """Say what errors are percentages of; None is the normalizer of a predictor without one of its own."""
    lengths = {
        None: "side of the given box",
        "box": "box size, sqrt(width x height) of the true landmarks",
        "diagonal": "diagonal of the true landmarks' box",
    }
    return lengths.get(normalizer, f"{normalizer} distance")


def check_shapes(y: ArrayLike, name: str) -> Floats:
    """Return landmarks as float64, (n, n_landmarks, 2)."""
    try:
        array = np.asarray(y, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: expected numbers of shape (n, n_landmarks, 2): {error}") from error
    if array.ndim != 3 or array.shape[2] != 2:
        raise InputError(f"{name}: expected the shape (n, n_landmarks, 2), got {array.shape}")
    return array


def check_truth(y_true: ArrayLike) -> tuple[Floats, NDArray[np.bool_]]:
    """Give the true landmarks and which of them are there, (n, n_landmarks)."""
    true = check_shapes(y_true, "y_true")
    bad = np.argwhere(np.isinf(true).any(axis=2))
    if len(bad):
        raise InputError(
            f"y_true: face {bad[0, 0]}, landmark {bad[0, 1]}: expected finite coordinates or NaN"
        )
    return true, ~np.isnan(true[..., 0] + true[..., 1])


def _between(true: Floats, groups: tuple[slice, slice], name: str) -> Floats:
    if true.shape[1] != 68:
        raise InputError(f"{name}: needs the 68 points of a face, got {true.shape[1]} landmarks")
    right, left = (true[:, group].mean(axis=1) for group in groups)
    lengths: Floats = np.hypot(*(left - right).T)
    missing = np.flatnonzero(np.isnan(lengths))
    if len(missing):
        raise InputError(f"{name}: face {missing[0]}: an eye landmark that it needs is missing")
    return lengths


def _extent(true: Floats, there: NDArray[np.bool_], name: str) -> tuple[Floats, Floats]:
    empty = np.flatnonzero(~there.any(axis=1))
    if len(empty):
        raise InputError(f"{name}: face {empty[0]}: all landmarks are missing")
    low = np.where(there[..., None], true, np.inf).min(axis=1, initial=np.inf)
    high = np.where(there[..., None], true, -np.inf).max(axis=1, initial=-np.inf)
    width, height = (high - low).T
    return width, height
