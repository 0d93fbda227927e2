"""_kernels.pixels."""

import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from numba import types
from numba.extending import intrinsic, register_jitable

from ert._kernels.llvm import (
    FLOAT,
    INT32,
    INT64,
    chosen,
    constant,
    data,
    kernel,
    length,
    load,
    loop,
    splat,
    store,
    vector,
)
from ert._kernels.simd import LANES, dot, padded, transform

__all__ = [
    "center",
    "pool_arrays",
    "read_pixels",
    "read_pool_block",
    "similarity",
    "square_frame",
]


def pool_arrays(
    anchors: npt.NDArray[np.uint16], deltas: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.float32]]:
    """Lay out pools for :func:`read_pixels`: x and y apart, zeros up to a multiple of 16 pixels.

    Parameters
    ----------
    anchors : uint16 array (..., n_pixels)
    deltas : float32 array (..., n_pixels, 2)

    Returns
    -------
    anchors : uint16 array (..., n_padded)
    deltas : float32 array (..., 2, n_padded)
    """
    return padded(anchors, -1), padded(np.swapaxes(deltas, -1, -2), -1)


def _typed_place(
    context: Any,
    anchored: Any,
    deltas: Any,
    number: Any,
    xx: Any,
    xy: Any,
    yx: Any,
    yy: Any,
    right: Any,
    bottom: Any,
    column_step: Any,
    row_step: Any,
    out: Any,
) -> Any:
    """Find the number in the crop of the pixel under each pixel of a pool.

    It takes where each pixel's landmark lies, x and y in 64 bits; the deltas of all pools, and the number of
    this one; the matrix for them; the last column and row; and the crop's steps.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        points, apart, target = (data(context, builder, signature, args, i) for i in (0, 1, 11))
        n = length(context, builder, signature, args, 11)
        first = builder.mul(args[2], builder.mul(n, INT64(2)))
        second = builder.add(first, n)
        kind, whole = vector(FLOAT, LANES), vector(INT32, LANES)
        matrix = [splat(builder, number, kind) for number in args[3:7]]
        last = [splat(builder, number, kind) for number in args[7:9]]
        steps = [splat(builder, number, whole) for number in args[9:11]]
        zero = constant(kind, 0.0)
        with loop(builder, n, LANES) as (i, _):
            both = load(builder, points, i, vector(FLOAT, 2 * LANES))
            u, v = (load(builder, apart, builder.add(row, i), kind) for row in (first, second))
            number = constant(whole, 0)
            for axis in (0, 1):
                place = chosen(builder, both, list(range(axis, 2 * LANES, 2)))
                place = builder.fadd(place, builder.fmul(matrix[2 * axis], u))
                place = builder.fadd(place, builder.fmul(matrix[2 * axis + 1], v))
                # Clamped before it is cut off, which is always downwards then; a NaN fails the first.
                place = builder.select(builder.fcmp_ordered(">", place, zero), place, zero)
                place = builder.select(builder.fcmp_ordered("<", place, last[axis]), place, last[axis])
                number = builder.add(number, builder.mul(builder.fptosi(place, whole), steps[axis]))
            store(builder, number, target, i)
        return context.get_dummy_value()

    floats, wholes = [types.float32] * 6, [types.int32] * 2
    return types.void(anchored, deltas, types.uint64, *floats, *wholes, out), generate


_place: Callable[..., None] = intrinsic(_typed_place)


@kernel
def read_pixels(  # type: ignore[no-untyped-def]
    pixels, size, frame, shape, a, b, anchors, deltas, stage, landmarks, anchored, places, out
):
    """Read a pool's pixels for one shape; a position outside the crop reads the crop's nearest pixel.

    Parameters
    ----------
    pixels : uint8 array (n,)
        The crop.
    size : tuple of 4 ints
        Its columns and rows, and how far it is from one pixel to the next, across and down.
    frame : float32 array (6,)
        From box coordinates to pixels of the crop.
    shape : float32 array (n_landmarks, 2)
        The current shape in box coordinates, padded to a multiple of 8 landmarks.
    a, b : float32
        The similarity from the mean shape to the current shape.
    anchors : uint16 array (n_stages, n_pixels)
    deltas : float32 array (n_stages, 2, n_pixels)
        From :func:`pool_arrays`, these two.
    stage : int
    landmarks : uint64 array (n_landmarks,)
    anchored : uint64 array (n_pixels,)
    places : int32 array (n_pixels,)
        Overwritten, these three: room to work in.
    out : uint8 array (at least n_pixels,)
        Written.
    """
    # Both matrices in one: the frame after the similarity.
    xx = frame[0] * a + frame[1] * b
    xy = frame[1] * a - frame[0] * b
    yx = frame[2] * a + frame[3] * b
    yy = frame[3] * a - frame[2] * b
    half = np.float32(0.5)
    x, y = frame[4] + half, frame[5] + half
    transform(shape, frame[0], frame[1], frame[2], frame[3], x, y, landmarks)
    # x and y of a landmark are looked up as one number.
    for p in range(places.shape[0]):
        anchored[p] = landmarks[np.uint64(anchors[stage, p])]
    right, bottom = np.float32(size[0] - 1), np.float32(size[1] - 1)
    _place(anchored, deltas, stage, xx, xy, yx, yy, right, bottom, size[2], size[3], places)
    for p in range(places.shape[0]):
        out[p] = pixels[np.uint64(np.uint32(places[p]))]


@numba.njit(cache=True, nogil=True)
def read_pool_block(  # type: ignore[no-untyped-def]
    pixels, places, crop_of, frames, shapes, similarity_basis, squared_norm, anchors, deltas, matrices, pool
):
    """Read a pool's pixels for some samples, for training.

    Parameters
    ----------
    pixels, places
        The crops, see :class:`ert.crop_store.Crops`.
    crop_of : int array (n,)
        Which crop each sample looks at.
    frames : float32 array (n, 6)
    shapes : float32 array (n, n_landmarks, 2)
    similarity_basis, squared_norm
        See :func:`ert.geometry.similarity`.
    anchors, deltas
        The pool alone, see :func:`read_pixels`.
    matrices : float32 array (n, 2)
        Written: a, b of each sample's similarity.
    pool : uint8 array (n, at least n_pixels)
        Written: row i is sample i.
    """
    n_landmarks, n_pixels = shapes.shape[1], anchors.shape[1]
    shape = np.zeros(similarity_basis.shape[1:], np.float32)
    values = np.empty(n_pixels, np.uint8)
    landmarks = np.empty(similarity_basis.shape[1], np.uint64)
    anchored = np.empty(n_pixels, np.uint64)
    numbers = np.empty(n_pixels, np.int32)
    for i in range(shapes.shape[0]):
        for k in range(n_landmarks):
            shape[k, 0], shape[k, 1] = shapes[i, k, 0], shapes[i, k, 1]
        a, b = similarity(similarity_basis, squared_norm, shape)
        matrices[i, 0] = a
        matrices[i, 1] = b
        first, columns, rows = places[crop_of[i]]
        crop = pixels[first : first + columns * rows]
        size = (columns, rows, rows, 1)
        read_pixels(
            crop, size, frames[i], shape, a, b, anchors, deltas, 0, landmarks, anchored, numbers, values
        )
        # Without the last ones, which only fill vectors, where a row is no longer than the pool.
        for p in range(min(n_pixels, pool.shape[1])):
            pool[i, p] = values[p]


LEAST_SCALE = np.float32(0.5)


@register_jitable
def square_frame(left: Any, top: Any, width: Any, height: Any) -> tuple[Any, Any, Any]:
    """Return x, y and side of the frame that :func:`box_frames` gives to a box."""
    side = (width + height) / 2 - 1
    return left + (width - 1 - side) / 2, top + (height - 1 - side) / 2, side


def center(mean_shape: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], np.float32]:
    """Prepare a mean shape for :func:`similarity`.

    Parameters
    ----------
    mean_shape : float32 array (n_landmarks, 2)

    Returns
    -------
    similarity_basis : float32 array (2, n_padded, 2)
        The mean shape minus its own center, and that turned by a right angle.
    squared_norm : float32
        Sum of its squares.
    """
    mean = mean_shape.astype(np.float64)
    centered = mean - mean.mean(axis=0)
    rotated = np.stack([-centered[:, 1], centered[:, 0]], axis=1)
    similarity_basis = np.stack([centered, rotated]).astype(np.float32)
    return padded(similarity_basis, 1, LANES // 2), np.float32(
        (similarity_basis[0].astype(np.float64) ** 2).sum()
    )


@kernel
def similarity(similarity_basis, squared_norm, shape):  # type: ignore[no-untyped-def]
    """Least-squares rotation and scale from the mean shape to a shape (Umeyama 1991, without reflections).

    Parameters
    ----------
    compass, squared_norm
        The mean shape, from :func:`center`.
    shape : float32 array (n_padded, 2)
        Zeros follow its last landmark.

    Returns
    -------
    a, b : float32
        The matrix is ((a, -b), (b, a)). Its scale is at least 0.5, so that what is divided by it stays in
        bounds when a shape collapses; it is the identity when the mean shape is a single point.
    """
    if squared_norm == 0:
        return np.float32(1), np.float32(0)
    # Centering one of the two is enough: the other's center is multiplied by a sum that is zero.
    a = np.float32(dot(shape, similarity_basis, 0) / squared_norm)
    b = np.float32(dot(shape, similarity_basis, 1) / squared_norm)
    scale = np.float32(math.sqrt(a * a + b * b))
    if scale >= LEAST_SCALE:
        return a, b
    if scale == 0:
        return LEAST_SCALE, np.float32(0)
    return a * (LEAST_SCALE / scale), b * (LEAST_SCALE / scale)
