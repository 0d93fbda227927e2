"""Shape-indexed pixel features: the similarity to the current shape, and the pixels of a feature pool.

    pool position  --anchor, delta-->  landmark + similarity @ delta  --box transform-->  pixel of the crop

A box transform is (a, b, c, d, tx, ty): x = a u + b v + tx, y = c u + d v + ty, for (u, v) in box
coordinates.

    similarity basis  float32 (2, n_padded, 2)            the mean shape, centered; rotated by 90 degrees
    anchors           uint16  (n_stages, n_padded)        the landmark of each pixel of the pool
    deltas            float32 (n_stages, 2, n_padded)     x and y of its offset from there
    landmarks         uint64  (n_padded,)                 x and y of a landmark in the crop, one after another
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

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
from ert._kernels.orientation import SCALE
from ert._kernels.simd import LANES, aligned, dot, padded, transform

# The least scale of a similarity: what is divided by it stays in bounds when a shape collapses.
MIN_SCALE = np.float32(0.5)
# The largest one, and the least squared norm of a mean shape that has a scale, in sides of the box: no cascade that
# works comes near them, and with them nothing overflows in one that does not.
MAX_SCALE = np.float32(100)
MIN_SQUARED_NORM = 1e-12


class SimilarityArgs(NamedTuple):
    """The mean shape, prepared for :func:`similarity`.

    Parameters
    ----------
    basis : float32 array (2, n_padded, 2)
        The mean shape minus its center, and that rotated by a right angle; zeros behind the last landmark.
    squared_norm : float32
        The sum of its squares.
    """

    basis: Any
    squared_norm: Any


class PoolArgs(NamedTuple):
    """The feature pools of all stages, x and y apart, zeros up to a multiple of 16 pixels.

    Parameters
    ----------
    anchors : uint16 array (n_stages, n_padded)
    deltas : float32 array (n_stages, 2, n_padded)
    channels : uint8 array (n_stages, n_padded)
        0 for gray levels, m + 1 for map m of :mod:`ert._kernels.orientation`; (0, 0) if all are gray levels.
    """

    anchors: Any
    deltas: Any
    channels: Any


class PoolWorkspace(NamedTuple):
    """Buffers for :func:`read_pixels`.

    Parameters
    ----------
    landmarks : uint64 array (n_padded_landmarks,)
    anchored : uint64 array (n_padded,)
    places : int32 array (n_padded,)
    """

    landmarks: Any
    anchored: Any
    places: Any


class CropView(NamedTuple):
    """A crop in memory.

    Parameters
    ----------
    pixels : uint8 array (at least columns * rows,)
    columns, rows : int
    column_step, row_step : int
        From a pixel to the next one across, and down.
    maps : uint8 array
        From :func:`ert._kernels.orientation.orientation_maps`; not read by pools of gray levels.
    """

    pixels: Any
    columns: Any
    rows: Any
    column_step: Any
    row_step: Any
    maps: Any


def similarity_args(mean_shape: npt.NDArray[np.float32]) -> SimilarityArgs:
    """Prepare a mean shape (n_landmarks, 2) for :func:`similarity`."""
    mean = mean_shape.astype(np.float64)
    centered = mean - mean.mean(axis=0)
    rotated = np.stack([-centered[:, 1], centered[:, 0]], axis=1)
    basis = np.stack([centered, rotated]).astype(np.float32)
    squared_norm = np.float32((basis[0].astype(np.float64) ** 2).sum())
    if squared_norm < MIN_SQUARED_NORM:
        squared_norm = np.float32(0)
    return SimilarityArgs(aligned(padded(basis, 1, LANES // 2)), squared_norm)


def pool_args(
    anchors: npt.NDArray[np.uint16], deltas: npt.NDArray[np.float32], channels: npt.NDArray[np.uint8] | None = None
) -> PoolArgs:
    """Lay out pools: anchors (n_stages, n_pixels), deltas (n_stages, n_pixels, 2), channels as anchors."""
    kinds = np.empty((0, 0), np.uint8) if channels is None else aligned(padded(channels, -1))
    return PoolArgs(aligned(padded(anchors, -1)), aligned(padded(np.swapaxes(deltas, -1, -2), -1)), kinds)


@register_jitable
def pool_workspace(n_landmarks: int, n_pixels: int) -> Any:
    """Return buffers for a number of landmarks and of pixels, both padded."""
    return PoolWorkspace(np.empty(n_landmarks, np.uint64), np.empty(n_pixels, np.uint64), np.empty(n_pixels, np.int32))


@register_jitable
def square_box(left: Any, top: Any, width: Any, height: Any) -> tuple[Any, Any, Any]:
    """Return the square with a box's center and the mean of its sides, as x, y, side.

    It reaches from the center of its first pixel, x, y, to the center of its last.
    """
    side = (width + height) / 2 - 1
    return left + (width - 1 - side) / 2, top + (height - 1 - side) / 2, side


def _typed_place(
    context: Any, anchored: Any, deltas: Any, stage: Any, matrix: Any, last: Any, steps: Any, out: Any
) -> Any:
    """Compute the index in the crop of the pixel under each position of a pool.

    It takes the landmark of each position, x and y in 64 bits; the deltas of all stages, and the stage; the
    matrix for them, row by row; the last column and row; and the crop's steps.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        points, apart, target = (data(context, builder, signature, args, i) for i in (0, 1, 6))
        n_pixels = length(context, builder, signature, args, 6)
        first = builder.mul(args[2], builder.mul(n_pixels, INT64(2)))
        second = builder.add(first, n_pixels)
        kind, whole = vector(FLOAT, LANES), vector(INT32, LANES)
        matrix, last, steps = (
            [splat(builder, builder.extract_value(args[i], k), lanes) for k in range(n)]
            for i, n, lanes in ((3, 4, kind), (4, 2, kind), (5, 2, whole))
        )
        zero = constant(kind, 0.0)
        with loop(builder, n_pixels, LANES) as (i, _):
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

    four, two, steps = (
        types.UniTuple(kind, n) for kind, n in ((types.float32, 4), (types.float32, 2), (types.int32, 2))
    )
    return types.void(anchored, deltas, types.uint64, four, two, steps, out), generate


_place: Callable[..., None] = intrinsic(_typed_place)


@kernel
def similarity(mean, shape):
    """Compute the least-squares rotation and scale from the mean shape to a shape.

    Umeyama 1991, without reflections.

    Parameters
    ----------
    mean : SimilarityArgs
    shape : float32 array (n_padded, 2)
        Zeros behind the last landmark.

    Returns
    -------
    a, b : float32
        The matrix is ((a, -b), (b, a)). Its scale is from `MIN_SCALE` to `MAX_SCALE`; it is the identity when
        the mean shape is a single point.
    """
    if mean.squared_norm == 0:
        return np.float32(1), np.float32(0)
    # Centering one of the two is enough: the other's center is multiplied by a sum that is zero.
    a = np.float32(dot(shape, mean.basis, 0) / mean.squared_norm)
    b = np.float32(dot(shape, mean.basis, 1) / mean.squared_norm)
    scale = np.float32(math.sqrt(a * a + b * b))
    if MIN_SCALE <= scale <= MAX_SCALE:
        return a, b
    if scale > MAX_SCALE:
        return a * (MAX_SCALE / scale), b * (MAX_SCALE / scale)
    if scale == 0:
        return MIN_SCALE, np.float32(0)
    return a * (MIN_SCALE / scale), b * (MIN_SCALE / scale)


@kernel
def read_pixels(crop, to_pixels, shape, matrix, pool, stage, workspace, out):
    """Read a pool's pixels for one shape; a position outside the crop reads the nearest pixel of the crop.

    Parameters
    ----------
    crop : CropView
    to_pixels : float32 array (6,)
        From box coordinates to pixels of the crop.
    shape : float32 array (n_padded, 2)
        The current shape in box coordinates.
    matrix : tuple of 2 float32
        From :func:`similarity`.
    pool : PoolArgs
    stage : int
    workspace : PoolWorkspace
        Overwritten.
    out : uint8 array (at least n_padded,)
        Written.
    """
    a, b = matrix
    # Both matrices in one: the box transform after the similarity.
    xx = to_pixels[0] * a + to_pixels[1] * b
    xy = to_pixels[1] * a - to_pixels[0] * b
    yx = to_pixels[2] * a + to_pixels[3] * b
    yy = to_pixels[3] * a - to_pixels[2] * b
    half = np.float32(0.5)
    x, y = to_pixels[4] + half, to_pixels[5] + half
    to_crop = to_pixels[0], to_pixels[1], to_pixels[2], to_pixels[3], x, y
    size, steps = (crop.columns, crop.rows), (crop.column_step, crop.row_step)
    _find_places(shape, to_crop, (xx, xy, yx, yy), size, steps, pool, stage, workspace)
    places = workspace.places
    for p in range(places.shape[0]):
        out[p] = crop.pixels[np.uint64(np.uint32(places[p]))]
    if pool.channels.shape[0] == 0:
        return
    # The same at the scale of the maps.
    smaller = np.float32(1.0 / SCALE)
    columns, rows = (crop.columns + SCALE - 1) // SCALE, (crop.rows + SCALE - 1) // SCALE
    a, b, c, d = smaller * to_crop[0], smaller * to_crop[1], smaller * to_crop[2], smaller * to_crop[3]
    to_maps = a, b, c, d, smaller * x, smaller * y
    matrix = smaller * xx, smaller * xy, smaller * yx, smaller * yy
    steps = (1, columns) if crop.column_step == 1 else (rows, 1)
    _find_places(shape, to_maps, matrix, (columns, rows), steps, pool, stage, workspace)
    mirrored = to_crop[0] * to_crop[3] < to_crop[1] * to_crop[2]
    for p in range(places.shape[0]):
        channel = np.int64(pool.channels[stage, p])
        if channel > 0:
            # In a mirror image the two diagonals are exchanged.
            number = 6 - channel if mirrored and channel % 2 == 0 else channel
            out[p] = crop.maps[np.uint64((number - 1) * columns * rows + places[p])]


@kernel
def _find_places(shape, to_crop, matrix, size, steps, pool, stage, workspace):
    """Write the indices of a pool's pixels to the workspace's places, for a crop of a size (columns, rows)."""
    landmarks, anchored, places = workspace.landmarks, workspace.anchored, workspace.places
    transform(shape, to_crop, landmarks)
    # x and y of a landmark are looked up as one number.
    for p in range(places.shape[0]):
        anchored[p] = landmarks[np.uint64(pool.anchors[stage, p])]
    last = np.float32(size[0] - 1), np.float32(size[1] - 1)
    _place(anchored, pool.deltas, stage, matrix, last, (np.int32(steps[0]), np.int32(steps[1])), places)
