"""Procrustes analysis: similarities between shapes, by least squares in double precision.

As complex numbers, x + iy: a similarity is then one multiplication and one addition.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ert._core.types import Floats

Points = NDArray[np.complex128]


def fit_similarity(points: ArrayLike, target: ArrayLike) -> tuple[Points, Points, Points]:
    """Fit the similarity that carries points onto a target (Umeyama 1991, without reflections).

    Parameters
    ----------
    points, target : (..., n_landmarks, 2) array-like
        x and y of each landmark, none of them missing; leading dimensions are broadcast.

    Returns
    -------
    turn, middle, center : complex arrays (...)
        ``turn * (x + iy - middle) + center`` is as near to the target as it can be: abs(turn) is the scale,
        its angle the rotation, middle the center of the points and center that of the target. Where all
        points coincide, turn is 0.
    """
    source, goal = as_complex(points), as_complex(target)
    # Once for each face of a prediction with two passes: `mean` and `abs` would take most of its time.
    middle, center = source.sum(axis=-1) / source.shape[-1], goal.sum(axis=-1) / goal.shape[-1]
    return _turn(source - middle[..., None], goal - center[..., None]), middle, center


def fit_known(points: ArrayLike, targets: ArrayLike) -> tuple[Points, Points, Points]:
    """Fit the similarities that carry points (n_landmarks, 2) onto targets (n, n_landmarks, 2), NaN where missing.

    Return turn, middle and center (n,) as :func:`fit_similarity`; NaN for fewer than two landmarks.
    """
    goals = as_complex(targets)
    source = np.broadcast_to(as_complex(points), goals.shape)
    known = ~np.isnan(goals)
    turn = _turn(centre_known(source, known), centre_known(goals, known))
    turn[known.sum(axis=1) < 2] = np.nan
    return turn, _mean(source, known)[:, 0], _mean(goals, known)[:, 0]


def _turn(centered: Points, target: Points) -> Points:
    """Return the factor that brings points nearest to a target; the centers of both are at 0."""
    conjugate = centered.conj()
    squares = np.einsum("...i,...i", conjugate, centered).real
    turn: Points = np.einsum("...i,...i", conjugate, target) / (squares + (squares == 0))
    return turn


def typical_shape(shapes: Floats) -> Floats:
    """Average shapes after moving, turning and scaling them onto each other (generalised Procrustes).

    The median of each landmark is taken, so that a minority of odd shapes does not count.

    Parameters
    ----------
    shapes : float array (n, n_landmarks, 2)
        NaN where a landmark is missing; every landmark is there at least once.

    Returns
    -------
    float array (n_landmarks, 2)
        Centered at 0, 0, with a root mean square distance of 1 from there. NaN for a landmark whose objects
        share fewer than two landmarks with the others.
    """
    points = as_complex(shapes)
    average = points[np.argmax((~np.isnan(points)).sum(axis=1))]
    for _ in range(8):
        moved = move_onto(points, average)
        average = column_medians(moved.real) + 1j * column_medians(moved.imag)
        average -= np.nanmean(average)
        size = np.sqrt(np.nanmean(abs(average) ** 2))
        average /= size if size > 0 else 1
    return np.column_stack([average.real, average.imag])


def procrustes_distances(shapes: Floats, target: Floats) -> Floats:
    """Return how far shapes are from a target, whatever their place, size and rotation.

    Parameters
    ----------
    shapes : float array (n, n_landmarks, 2)
        NaN where a landmark is missing.
    target : float array (n_landmarks, 2)

    Returns
    -------
    float array (n,)
        The full Procrustes distance, from 0 (similar) to 1, over the landmarks that are there; 0 for fewer
        than three.
    """
    points, goal = as_complex(shapes), as_complex(target)
    known = ~np.isnan(points) & ~np.isnan(goal)
    own, other = centre_known(points, known), centre_known(np.broadcast_to(goal, points.shape), known)
    product = (abs(own) ** 2).sum(axis=1) * (abs(other) ** 2).sum(axis=1)
    match = abs((own.conj() * other).sum(axis=1)) ** 2
    distances: Floats = np.sqrt(np.clip(1 - match / np.where(product > 0, product, 1), 0, 1))
    distances[known.sum(axis=1) < 3] = 0
    return distances


def as_complex(shapes: ArrayLike) -> Points:
    """Return shapes (..., n_landmarks, 2) as complex numbers (..., n_landmarks)."""
    points: Points = np.ascontiguousarray(shapes, np.float64).view(np.complex128)[..., 0]
    return points


def column_medians(values: Floats) -> Floats:
    """Return the median of each column of (n, n_columns) without its NaN; NaN for a column of NaN."""
    there = ~np.isnan(values).all(axis=0)
    medians = np.full(values.shape[1], np.nan)
    medians[there] = np.nanmedian(values[:, there], axis=0)
    return medians


def _mean(points: Points, known: NDArray[np.bool_]) -> Points:
    means: Points = np.where(known, points, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return means[:, None]


def centre_known(points: Points, known: NDArray[np.bool_]) -> Points:
    """Subtract from shapes (n, n_landmarks) the center of the landmarks that are present; others become 0."""
    return np.where(known, points - _mean(points, known), 0)


def move_onto(points: Points, target: Points) -> Points:
    """Move, turn and scale shapes onto a target, by the landmarks that both have: NaN for fewer than two."""
    goal = np.broadcast_to(target, points.shape)
    known = ~np.isnan(points) & ~np.isnan(goal)
    own, other = centre_known(points, known), centre_known(goal, known)
    moved: Points = (points - _mean(points, known)) * _turn(own, other)[:, None] + _mean(goal, known)
    moved[known.sum(axis=1) < 2] = np.nan
    return moved
