"""The fitted cascade as dense arrays, and the kernel that runs it on a face.

    image -> crop -> for each stage: similarity -> read pool -> walk trees -> add leaves -> shape += leaves @ basis

A stage's leaves are small integers in a basis of `n_components` shape displacements; the stage's sum of leaves is
multiplied by the basis once.
"""

from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt

from ert.crops import resample
from ert.features import read_pixels
from ert.geometry import similarity
from ert.trees import add_leaves, find_leaves

__all__ = ["Cascade", "Stage", "add_displacement", "centre", "predict_face", "run_cascade", "stack_stages"]


@dataclass(frozen=True)
class Stage:
    """One fitted stage.

    Parameters
    ----------
    anchors : uint16 array (n_pixels,)
        The landmark that each pixel of the pool is tied to.
    deltas : float32 array (n_pixels, 2)
        Where it lies from there on the mean shape, in box coordinates.
    pairs : uint16 array (n_trees, n_splits, 2)
        The two pixels of each split.
    thresholds : int16 array (n_trees, n_splits)
        A face goes left where their difference is greater.
    leaves : int8 or int16 array (n_trees, n_leaves, n_components)
    basis : float32 array (n_components, 2 * n_landmarks)
        Displacement of the shape for one unit of each component, in box coordinates.
    """

    anchors: npt.NDArray[np.uint16]
    deltas: npt.NDArray[np.float32]
    pairs: npt.NDArray[np.uint16]
    thresholds: npt.NDArray[np.int16]
    leaves: npt.NDArray[np.signedinteger]
    basis: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Cascade:
    """All that prediction needs.

    Parameters
    ----------
    mean_shape : float32 array (n_landmarks, 2)
        The start shape, in box coordinates.
    region : float64 array (4,)
        Left, top, right, bottom of the crop in box coordinates.
    working_size : int
        Crop pixels per side of the box.
    blur : float
        Half-width of the crop's filter in crop pixels.
    anchors, deltas, pairs, thresholds, leaves, basis
        The arrays of :class:`Stage`, stacked: the first axis is the stage.
    """

    mean_shape: npt.NDArray[np.float32]
    region: npt.NDArray[np.float64]
    working_size: int
    blur: float
    anchors: npt.NDArray[np.uint16]
    deltas: npt.NDArray[np.float32]
    pairs: npt.NDArray[np.uint16]
    thresholds: npt.NDArray[np.int16]
    leaves: npt.NDArray[np.signedinteger]
    basis: npt.NDArray[np.float32]


def stack_stages(stages: list[Stage]) -> dict[str, npt.NDArray[np.generic]]:
    """Stack the arrays of stages for :class:`Cascade`."""
    names = ("anchors", "deltas", "pairs", "thresholds", "leaves", "basis")
    return {name: np.stack([getattr(stage, name) for stage in stages]) for name in names}


@numba.njit(cache=True, nogil=True)
def centre(mean_shape):  # type: ignore[no-untyped-def]
    """Return the mean shape minus its centre, and the sum of its squares."""
    n = mean_shape.shape[0]
    centred = np.empty_like(mean_shape)
    total = np.float32(0)
    for axis in range(2):
        middle = np.float32(mean_shape[:, axis].sum() / n)
        for i in range(n):
            centred[i, axis] = mean_shape[i, axis] - middle
            total += centred[i, axis] * centred[i, axis]
    return centred, total


@numba.njit(cache=True, nogil=True)
def add_displacement(components, basis, a, b, shape):  # type: ignore[no-untyped-def]
    """Add a stage's displacement, turned and scaled as the current shape is against the mean shape.

    Parameters
    ----------
    components : int32 array (n_components,)
    basis : float32 array (n_components, 2 * n_landmarks)
    a, b : float32
        The similarity.
    shape : float32 array (n_landmarks, 2)
        Rewritten.
    """
    moved = np.zeros(basis.shape[1], np.float32)
    for d in range(basis.shape[0]):
        amount = np.float32(components[d])
        for j in range(basis.shape[1]):
            moved[j] += amount * basis[d, j]
    for i in range(shape.shape[0]):
        x = moved[2 * i]
        y = moved[2 * i + 1]
        shape[i, 0] += a * x - b * y
        shape[i, 1] += b * x + a * y


@numba.njit(cache=True, nogil=True)
def run_cascade(  # type: ignore[no-untyped-def]
    crop, frame, mean_shape, anchors, deltas, pairs, thresholds, leaves, basis, shape
):
    """Move a shape onto the face in a crop, in place.

    Parameters
    ----------
    crop : uint8 array (rows, columns)
    frame : float32 array (6,)
        From box coordinates to pixels of the crop.
    mean_shape, anchors, deltas, pairs, thresholds, leaves, basis
        See :class:`Cascade`.
    shape : float32 array (n_landmarks, 2)
        The start shape in box coordinates; rewritten.
    """
    centred, squared_norm = centre(mean_shape)
    values = np.empty(anchors.shape[1], np.int16)
    leaf_of = np.empty(pairs.shape[1], np.int64)
    components = np.empty(basis.shape[1], np.int32)
    for stage in range(anchors.shape[0]):
        a, b = similarity(centred, squared_norm, shape)
        read_pixels(crop, frame, shape, a, b, anchors[stage], deltas[stage], values)
        find_leaves(values, pairs[stage], thresholds[stage], leaf_of)
        add_leaves(leaves[stage], leaf_of, components)
        add_displacement(components, basis[stage], a, b, shape)


@numba.njit(cache=True, nogil=True)
def predict_face(  # type: ignore[no-untyped-def]
    image, x, y, step, blur, crop, frame, mean_shape, anchors, deltas, pairs, thresholds, leaves, basis, shape
):
    """Resample the crop of a grey image, then :func:`run_cascade` from the mean shape."""
    resample(image, x, y, step, blur, crop)
    shape[:] = mean_shape
    run_cascade(crop, frame, mean_shape, anchors, deltas, pairs, thresholds, leaves, basis, shape)
