"""Errors of predicted landmarks: NME, CED, AUC, failure rate, and their normalizers.

Landmark arrays are (n, n_landmarks, 2), x and y in pixels; NaN marks a landmark that is missing in the truth.
The error of an object is a percentage of a length of the object itself, the *normalizer*; errors with
different normalizers are not comparable, so always report which one was used.

Invalid arguments raise :class:`ert.InputError`, which names the argument, the face and what was expected:
shapes that differ, coordinates that are not finite (except NaN in the truth), negative errors, zero lengths.

Each landmark of two objects is 5 pixels from the true one; the diagonals of their rectangles are 50 and 100 pixels:

>>> import numpy as np
>>> from ert.metrics import auc, bootstrap_interval, failure_rate, nme
>>> truth = np.array([[[0, 0], [40, 30]], [[0, 0], [80, 60]]])
>>> errors = nme(truth, truth + [3, 4], "diagonal")
>>> errors
array([10.,  5.])
>>> failure_rate(errors, limit=8), auc(errors, limit=8)
(0.5, 0.1875)
>>> bootstrap_interval(errors)
(5.0, 10.0)
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ert._core.arguments import checked_arguments
from ert._core.exceptions import InputError, quoted
from ert._core.types import Floats

__all__ = [
    "NORMALIZERS",
    "auc",
    "bootstrap_interval",
    "ced",
    "evaluate",
    "failure_rate",
    "landmark_errors",
    "nme",
    "normalizer_lengths",
    "normalizer_text",
    "per_landmark_nme",
]


NORMALIZERS = ("inter-ocular", "inter-pupil", "box", "diagonal")

# Of the 68 iBUG points: the outer eye corners, and the six points around each eye.
_OUTER_CORNERS = (slice(36, 37), slice(45, 46))
MAX_RESAMPLES = 1_000_000
_EYES = (slice(36, 42), slice(42, 48))


@checked_arguments
def landmark_errors(y_true: ArrayLike, y_pred: ArrayLike) -> Floats:
    """Return the distance between each predicted landmark and the true one.

    ‖pred_k - true_k‖, for each object and landmark k.

    Parameters
    ----------
    y_true, y_pred : (n, n_landmarks, 2) array-like
        True and predicted landmarks, x and y in pixels; NaN in `y_true` = missing.

    Returns
    -------
    (n, n_landmarks) float64 array
        Euclidean distances in pixels, NaN for missing landmarks.
    """
    true, known = _check_truth(y_true)
    pred = check_landmarks(y_pred, "y_pred")
    if true.shape != pred.shape:
        raise InputError(f"y_pred: expected the shape of y_true, {true.shape}, got {pred.shape}")
    # A NaN prediction must not be taken for a missing landmark: every mean would silently ignore it.
    bad = np.argwhere(known & ~np.isfinite(pred).all(axis=2))
    if len(bad):
        raise InputError(f"y_pred: face {bad[0, 0]}, landmark {bad[0, 1]}: expected finite coordinates")
    errors = np.full(known.shape, np.nan)
    errors[known] = np.hypot(*(pred[known] - true[known]).T)
    return errors


@checked_arguments
def nme(y_true: ArrayLike, y_pred: ArrayLike, normalizer: str | ArrayLike) -> Floats:
    """Return the normalized mean error of each object, in percent.

    NME = 100 / d · mean_k ‖pred_k - true_k‖ over the landmarks k that are not missing, where d is the normalizer.

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

    Examples
    --------
    >>> truth = [[[0, 0], [40, 30]]]
    >>> ert.metrics.nme(truth, [[[3, 4], [43, 34]]], "diagonal")  # 5 of 50 pixels
    array([10.])
    """
    relative = _relative_errors(y_true, y_pred, normalizer)
    empty = np.flatnonzero(np.isnan(relative).all(axis=1))
    if len(empty):
        raise InputError(f"y_true: face {empty[0]}: expected at least one landmark that is not missing")
    return np.asarray(np.nanmean(relative, axis=1))


@checked_arguments
def per_landmark_nme(y_true: ArrayLike, y_pred: ArrayLike, normalizer: str | ArrayLike) -> Floats:
    """Return the normalized mean error of each landmark over all objects, in percent.

    100 · mean_i (‖pred_ik - true_ik‖ / d_i) over the objects i in which landmark k is not missing.

    Parameters
    ----------
    y_true, y_pred : (n, n_landmarks, 2) array-like
        True and predicted landmarks, x and y in pixels; NaN in `y_true` = missing.
    normalizer : str or (n,) array-like
        See `normalizer_lengths`.

    Returns
    -------
    (n_landmarks,) float64 array
        Percentages, NaN for a landmark that is missing in all objects.
    """
    relative = _relative_errors(y_true, y_pred, normalizer)
    known = ~np.isnan(relative)
    count = known.sum(axis=0)
    sums = np.where(known, relative, 0.0).sum(axis=0)
    return np.asarray(np.divide(sums, count, out=np.full(len(count), np.nan), where=count > 0))


@checked_arguments
def ced(errors: ArrayLike, thresholds: ArrayLike | None = None) -> tuple[Floats, Floats]:
    """Return the cumulative error distribution.

    CED(t) = #{i : e_i <= t} / n, the fraction of objects with an error of at most t.

    Parameters
    ----------
    errors : (n,) array-like
        Errors, usually `nme`; infinite for an object that was not detected.
    thresholds : (m,) array-like, optional
        In the units of `errors`. By default 0 to 10 in steps of 0.05.

    Returns
    -------
    thresholds, fractions : (m,) float64 arrays
        Fractions are between 0 and 1.
    """
    sorted_errors = np.sort(_errors(errors))
    at = np.arange(201) / 20 if thresholds is None else np.array(thresholds, dtype=np.float64)
    if at.ndim != 1 or np.isnan(at).any():
        raise InputError(f"thresholds: expected a 1-D array without NaN, got shape {at.shape}")
    return at, np.searchsorted(sorted_errors, at, side="right") / len(sorted_errors)


@checked_arguments
def auc(errors: ArrayLike, limit: float = 8.0) -> float:
    """Return the area under the cumulative error distribution up to a limit.

    AUC = 1 / limit · ∫ CED(t) dt from 0 to limit = mean_i max(0, 1 - e_i / limit): exact, without sampling.

    Parameters
    ----------
    errors : (n,) array-like
        Errors, usually `nme`; infinite for an object that was not detected.
    limit : float
        Positive, in the units of `errors`; 8 (percent) is common with the inter-ocular distance.

    Returns
    -------
    float
        Between 0 (no error is below the limit) and 1 (all errors are 0).

    Examples
    --------
    >>> ert.metrics.auc([2.0, 4.0, 12.0], limit=8)  # 0.75, 0.5 and 0
    0.4166666666666667
    """
    return float(np.maximum(0.0, 1.0 - _errors(errors) / _limit(limit)).mean())


@checked_arguments
def failure_rate(errors: ArrayLike, limit: float = 8.0) -> float:
    """Return the fraction of objects with an error above a limit, 1 - CED(limit).

    Parameters
    ----------
    errors : (n,) array-like
        Errors, usually `nme`; infinite for an object that was not detected.
    limit : float
        Positive, in the units of `errors`.

    Returns
    -------
    float
        Between 0 and 1.
    """
    return float((_errors(errors) > _limit(limit)).mean())


@checked_arguments
def bootstrap_interval(
    values: ArrayLike,
    level: float = 0.95,
    n: int = 2000,
    seed: int = 0,
    *,
    statistic: Callable[[Floats], float] | None = None,
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of a statistic, by default the mean.

    Parameters
    ----------
    values : (m,) array-like
        One finite number per object; with a `statistic` also (m, ...).
    level : float
        Confidence level, between 0 and 1.
    n : int
        Number of resamples: objects drawn with replacement.
    seed : int
        The same seed gives the same interval.
    statistic : function, optional
        Computes a number from resampled values.

    Returns
    -------
    low, high : float
    """
    sample = np.asarray(values, dtype=np.float64)
    if (sample.ndim != 1 and statistic is None) or not sample.size or not np.isfinite(sample).all():
        raise InputError(f"values: expected a 1-D array of finite numbers, got shape {sample.shape}")
    if not 0 < level < 1:
        raise InputError(f"level: expected a number between 0 and 1, got {level!r}")
    if not 1 <= n <= MAX_RESAMPLES:
        raise InputError(f"n: expected 1 to {MAX_RESAMPLES}, got {quoted(n)}")
    if seed < 0:
        raise InputError(f"seed: expected 0 or more, got {quoted(seed)}")
    rng, compute = np.random.default_rng(seed), statistic or np.mean
    resampled = [float(compute(sample[rng.integers(len(sample), size=len(sample))])) for _ in range(n)]
    low, high = np.quantile(resampled, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


@checked_arguments
def evaluate(
    y_true: ArrayLike, y_pred: ArrayLike, norms: Sequence[str] | Mapping[str, ArrayLike] | None = None
) -> dict[str, Any]:
    """Summarize the errors of predictions in a dict that can be written as JSON.

    Parameters
    ----------
    y_true, y_pred : (n, n_landmarks, 2) array-like
        True and predicted landmarks, x and y in pixels; NaN in `y_true` = missing.
    norms : sequence of str or mapping of str to (n,) array-like, optional
        Names from `NORMALIZERS`, or lengths of the objects in pixels by the name of what they are. By default all
        four for 68 points without missing eye points, else ``"box"`` and ``"diagonal"``.

    Returns
    -------
    dict
        ``n`` (objects), ``n_landmarks``, and ``norms``: for each normalizer a dict with ``mean``, ``median``,
        ``interval_95`` (of the mean) and ``per_landmark`` (None where missing in all objects), in percent,
        and ``auc_8`` and ``failure_rate_8`` (at 8 %), between 0 and 1.

    Examples
    --------
    >>> truth = [[[0, 0], [40, 30]], [[0, 0], [80, 60]]]
    >>> figures = ert.metrics.evaluate(truth, [[[3, 4], [43, 34]], [[0, 0], [80, 60]]], ["diagonal"])
    >>> figures["norms"]["diagonal"]["mean"], figures["norms"]["diagonal"]["failure_rate_8"]
    (5.0, 0.5)
    """
    true, known = _check_truth(y_true)
    if not len(true):
        raise InputError("y_true: expected at least one face, got none")
    if norms is None:
        norms = NORMALIZERS if true.shape[1] == 68 and known[:, 36:48].all() else ("box", "diagonal")
    summaries = {}
    lengths = norms if isinstance(norms, Mapping) else {name: name for name in norms}
    for name, normalizer in lengths.items():
        errors = nme(true, y_pred, normalizer)
        per_landmark = per_landmark_nme(true, y_pred, normalizer)
        summaries[name] = {
            "mean": float(errors.mean()),
            "median": float(np.median(errors)),
            "interval_95": list(bootstrap_interval(errors)),
            "auc_8": auc(errors),
            "failure_rate_8": failure_rate(errors),
            "per_landmark": [None if np.isnan(value) else float(value) for value in per_landmark],
        }
    return {"n": len(true), "n_landmarks": true.shape[1], "norms": summaries}


def _relative_errors(y_true: ArrayLike, y_pred: ArrayLike, normalizer: str | ArrayLike) -> Floats:
    lengths = normalizer_lengths(y_true, normalizer)
    relative: Floats = 100.0 * landmark_errors(y_true, y_pred) / lengths[:, None]
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


@checked_arguments
def normalizer_lengths(y_true: ArrayLike, normalizer: str | ArrayLike) -> Floats:
    """Return the length of each object by which its errors are divided.

    Parameters
    ----------
    y_true : (n, n_landmarks, 2) array-like
        True landmarks, x and y in pixels; NaN = missing.
    normalizer : str or (n,) array-like
        - ``"inter-ocular"``: distance between the outer eye corners, points 36 and 45 of the 68 [1]_.
        - ``"inter-pupil"``: distance between the pupils, the means of points 36-41 and 42-47 [2]_.
        - ``"box"``: sqrt(width · height) of the bounding box of the landmarks [3]_.
        - ``"diagonal"``: diagonal of that box.
        - an array: lengths in pixels.

    Returns
    -------
    (n,) float64 array
        Positive lengths in pixels. A missing landmark that is needed, or a length of zero, is an error.

    Raises
    ------
    InputError
        When the normalizer is unknown or needs 68 points, or when a landmark that it needs is missing or the
        length is zero; the message gives the index of the face.

    References
    ----------
    .. [1] C. Sagonas et al., "300 Faces In-The-Wild Challenge: database and results", IVC 47, 2016.
    .. [2] X. Cao, Y. Wei, F. Wen, J. Sun, "Face Alignment by Explicit Shape Regression", CVPR 2012.
    .. [3] A. Bulat, G. Tzimiropoulos, "How far are we from solving the 2D & 3D Face Alignment problem?",
       ICCV 2017.
    """
    true, known = _check_truth(y_true)
    name = f"normalizer {normalizer!r}" if isinstance(normalizer, str) else "normalizer"
    if not isinstance(normalizer, str):
        lengths = np.array(normalizer, dtype=np.float64)
        if lengths.shape != (len(true),):
            raise InputError(f"{name}: expected {len(true)} lengths, one per face, got shape {lengths.shape}")
    elif normalizer == "inter-ocular":
        lengths = _eye_distances(true, _OUTER_CORNERS, name)
    elif normalizer == "inter-pupil":
        lengths = _eye_distances(true, _EYES, name)
    elif normalizer in ("box", "diagonal"):
        width, height = _bounding_box_sizes(true, known, name)
        lengths = np.sqrt(width * height) if normalizer == "box" else np.hypot(width, height)
    else:
        raise InputError(f"{name}: expected one of {', '.join(NORMALIZERS)}, or an array of lengths")
    bad = np.flatnonzero(~(np.isfinite(lengths) & (lengths > 0)))
    if len(bad):
        raise InputError(f"{name}: face {bad[0]}: expected a positive length, got {lengths[bad[0]]:g}")
    return lengths


def normalizer_text(normalizer: str | None) -> str:
    """Return a description of a normalizer, such as "inter-ocular distance".

    Parameters
    ----------
    normalizer : str or None
        One of `NORMALIZERS`; None is a predictor's default, the side of the box.

    Returns
    -------
    str
    """
    lengths = {
        None: "side of the box",
        "box": "box size, sqrt(width x height) of the true landmarks",
        "box side": "side of the box",
        "diagonal": "diagonal of the true landmarks' box",
    }
    return lengths.get(normalizer, f"{normalizer} distance")


def check_landmarks(y: ArrayLike, name: str) -> Floats:
    """Return landmarks as a float64 array (n, n_landmarks, 2)."""
    try:
        array = np.asarray(y, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: expected numbers of shape (n, n_landmarks, 2): {error}") from error
    if array.ndim != 3 or array.shape[2] != 2:
        raise InputError(f"{name}: expected the shape (n, n_landmarks, 2), got {array.shape}")
    return array


def _check_truth(y_true: ArrayLike) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the true landmarks and a mask (n, n_landmarks) of those that are not missing."""
    true = check_landmarks(y_true, "y_true")
    bad = np.argwhere(np.isinf(true).any(axis=2))
    if len(bad):
        raise InputError(f"y_true: face {bad[0, 0]}, landmark {bad[0, 1]}: expected finite coordinates or NaN")
    return true, ~np.isnan(true[..., 0] + true[..., 1])


def _eye_distances(true: Floats, groups: tuple[slice, slice], name: str) -> Floats:
    if true.shape[1] != 68:
        raise InputError(f"{name}: needs the 68 points of a face, got {true.shape[1]} landmarks")
    right, left = (true[:, group].mean(axis=1) for group in groups)
    lengths: Floats = np.hypot(*(left - right).T)
    missing = np.flatnonzero(np.isnan(lengths))
    if len(missing):
        raise InputError(f"{name}: face {missing[0]}: an eye landmark that it needs is missing")
    return lengths


def _bounding_box_sizes(true: Floats, known: NDArray[np.bool_], name: str) -> tuple[Floats, Floats]:
    empty = np.flatnonzero(~known.any(axis=1))
    if len(empty):
        raise InputError(f"{name}: face {empty[0]}: all landmarks are missing")
    low = np.where(known[..., None], true, np.inf).min(axis=1, initial=np.inf)
    high = np.where(known[..., None], true, -np.inf).max(axis=1, initial=-np.inf)
    width, height = (high - low).T
    return width, height
