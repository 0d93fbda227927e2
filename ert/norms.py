"""Normalisers: the length of each object by which its errors are divided."""

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ert.errors import InputError

__all__ = ["NORMS", "check_shapes", "check_truth", "norm_text", "normalisers"]

Floats: TypeAlias = NDArray[np.float64]

NORMS = ("inter-ocular", "inter-pupil", "box", "diagonal")

# Of the 68 points of iBUG: the outer eye corners, and the six points round each eye.
_OUTER_CORNERS = (slice(36, 37), slice(45, 46))
_EYES = (slice(36, 42), slice(42, 48))


def normalisers(y_true: ArrayLike, norm: str | ArrayLike) -> Floats:
    """Length of each object by which its errors are divided.

    Parameters
    ----------
    y_true : (n, n_landmarks, 2) array-like
        True landmarks, x and y in pixels; NaN = missing.
    norm : str or (n,) array-like
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
    name = f"norm {norm!r}" if isinstance(norm, str) else "norm"
    if not isinstance(norm, str):
        lengths = np.array(norm, dtype=np.float64)
        if lengths.shape != (len(true),):
            raise InputError(f"norm: expected {len(true)} lengths, one per face, got shape {lengths.shape}")
    elif norm == "inter-ocular":
        lengths = _between(true, _OUTER_CORNERS, name)
    elif norm == "inter-pupil":
        lengths = _between(true, _EYES, name)
    elif norm in ("box", "diagonal"):
        width, height = _extent(true, there, name)
        lengths = np.sqrt(width * height) if norm == "box" else np.hypot(width, height)
    else:
        raise InputError(f"{name}: expected one of {', '.join(NORMS)}, or an array of lengths")
    bad = np.flatnonzero(~(np.isfinite(lengths) & (lengths > 0)))
    if len(bad):
        raise InputError(f"{name}: face {bad[0]}: expected a positive length, got {lengths[bad[0]]:g}")
    return lengths


def norm_text(norm: str | None) -> str:
    """Say what errors are percentages of; None is the normaliser of a predictor without one of its own."""
    lengths = {
        None: "side of the given box",
        "box": "box size, sqrt(width x height) of the true landmarks",
        "diagonal": "diagonal of the true landmarks' box",
    }
    return lengths.get(norm, f"{norm} distance")


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
