"""Generalized Procrustes analysis: shapes of unit centroid size, turned onto their mean."""

from typing import NamedTuple

import numpy as np

from ert._core.types import Floats
from ert.measurements.geometry import standard_error
from ert.model.procrustes import Points

# Far below what landmarks are measured to, in centroid sizes.
TOLERANCE, MAX_ROUNDS = 1e-12, 100


class Superimposition(NamedTuple):
    """Shapes after superimposition.

    Parameters
    ----------
    shapes : complex array (n, n_landmarks)
        Centered, of unit centroid size, turned as near to the mean as possible, without reflections. On average
        they are not turned: the mean lies as the objects lie in their images.
    mean : complex array (n_landmarks,)
        The mean of `shapes`.
    distances : float array (n,)
        Of each shape from the mean: the root of the sum of the squared distances of its landmarks.
    """

    shapes: Points
    mean: Points
    distances: Floats


def superimpose(points: Points) -> Superimposition:
    """Superimpose objects (n, n_landmarks), at least one, without missing landmarks and none of size 0."""
    centered = points - points.mean(axis=1, keepdims=True)
    shapes = unturned = centered / np.linalg.norm(centered, axis=1, keepdims=True)
    mean = shapes[0]
    for _ in range(MAX_ROUNDS):
        turns = _phase(np.einsum("ik,k->i", unturned.conj(), mean))
        shapes, previous = unturned * turns[:, None], mean
        mean = shapes.mean(axis=0)
        mean /= np.linalg.norm(mean)
        if np.linalg.norm(mean - previous) < TOLERANCE:
            break
    shapes = shapes * _phase(turns.sum().conj())
    mean = shapes.mean(axis=0)
    return Superimposition(shapes, mean, np.linalg.norm(shapes - mean, axis=1))


def propagate(found: Superimposition, relative_std: Floats) -> tuple[Floats, Floats, Floats]:
    """Propagate errors of landmarks, to first order and with the mean held fixed.

    Parameters
    ----------
    found : Superimposition
    relative_std : float array (n, n_landmarks)
        Standard error of each landmark along either axis, in centroid sizes of the object.

    Returns
    -------
    x, y : float arrays (n, n_landmarks)
        Standard errors of the coordinates after superimposition.
    distances : float array (n,)
        Those of the distances from the mean.
    """
    n, n_landmarks = found.shapes.shape
    errors = np.empty((n, 2 * n_landmarks))
    gradients = np.empty_like(found.shapes)
    for i, shape in enumerate(found.shapes):
        # Place, size and rotation are fitted: errors in these directions are taken away.
        fitted = np.array([np.ones(n_landmarks), np.full(n_landmarks, 1j), shape, 1j * shape])
        directions = _as_real(fitted / np.linalg.norm(fitted, axis=1, keepdims=True))
        projection = np.eye(2 * n_landmarks) - directions.T @ directions
        errors[i] = np.sqrt(projection**2 @ np.tile(relative_std[i], 2) ** 2)
        residual = _as_real(shape - found.mean) @ projection
        gradients[i] = residual[:n_landmarks] + 1j * residual[n_landmarks:]
    lengths = found.distances + (found.distances == 0)
    distances = standard_error(gradients / lengths[:, None], relative_std)
    return errors[:, :n_landmarks], errors[:, n_landmarks:], distances


def _as_real(points: Points) -> Floats:
    """Return (..., n_landmarks) complex numbers as (..., 2 n_landmarks): all x, then all y."""
    parts: Floats = np.concatenate([points.real, points.imag], axis=-1)
    return parts


def _phase(numbers: Points) -> Points:
    """Return numbers of length 1 in the same direction; 1 for 0."""
    phases: Points = np.exp(1j * np.angle(numbers))
    return phases
