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
    INT8,
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
from ert._kernels.orientation import SCALE, SCALE_BITS
from ert._kernels.simd import LANES, aligned, dot, padded, transform

# The least scale of a similarity: what is divided by it stays in bounds when a shape collapses.
MIN_SCALE = np.float32(0.5)
# The largest one, and the least squared norm of a mean shape that has a scale, in sides of the box: no cascade that
# works comes near them, and with them nothing overflows in one that does not.
MAX_SCALE = np.float32(100)
MIN_SQUARED_NORM = 1e-12
# In a mirror image, the two diagonals of the maps are exchanged.
MIRRORED_CHANNELS = np.array([0, 1, 4, 3, 2], np.uint8)


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
    channels : uint8 array (2, n_stages, n_padded)
        0 for gray levels, m + 1 for map m of :mod:`ert._kernels.orientation`; then those in a mirror image, where the
        two diagonals are exchanged. (0, 0, 0) if all are gray levels.
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
        For pools with maps, those of :func:`ert._kernels.orientation.orientation_maps` come next.
    columns, rows : int
    column_step, row_step : int
        From a pixel to the next one across, and down.
    """

    pixels: Any
    columns: Any
    rows: Any
    column_step: Any
    row_step: Any


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
    both = np.empty((0, 0, 0), np.uint8)
    if channels is not None:
        both = aligned(padded(np.stack([channels, MIRRORED_CHANNELS[channels]]), -1))
    return PoolArgs(aligned(padded(anchors, -1)), aligned(padded(np.swapaxes(deltas, -1, -2), -1)), both)


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


def _placing(with_maps: bool) -> Callable[..., None]:
    """Return the intrinsic that computes the index in a crop of the pixel under each position of a pool.

    It takes the landmark of each position, x and y in 64 bits; the deltas of all stages, and the stage; the matrix for
    them, row by row; the last column and row; the crop's steps; the channels of all stages, and the row of them; the
    steps of a map, the index of the first map's first pixel, and the pixels of a map. Only `with_maps` it reads the
    last four.
    """

    def typed(
        context: Any,
        anchored: Any,
        deltas: Any,
        stage: Any,
        matrix: Any,
        last: Any,
        steps: Any,
        channels: Any,
        row: Any,
        maps: Any,
        out: Any,
    ) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            points, apart, kinds, target = (data(context, builder, signature, args, i) for i in (0, 1, 6, 9))
            n_pixels = length(context, builder, signature, args, 9)
            first = builder.mul(args[2], builder.mul(n_pixels, INT64(2)))
            second = builder.add(first, n_pixels)
            kind, whole = vector(FLOAT, LANES), vector(INT32, LANES)
            matrix, last, steps, maps = (
                [splat(builder, builder.extract_value(args[i], k), lanes) for k in range(n)]
                for i, n, lanes in ((3, 4, kind), (4, 2, kind), (5, 2, whole), (8, 4, whole))
            )
            zero, nothing = constant(kind, 0.0), constant(whole, 0)
            with loop(builder, n_pixels, LANES) as (i, _):
                both = load(builder, points, i, vector(FLOAT, 2 * LANES))
                u, v = (load(builder, apart, builder.add(begin, i), kind) for begin in (first, second))
                number, in_map = nothing, maps[2]
                for axis in (0, 1):
                    place = chosen(builder, both, list(range(axis, 2 * LANES, 2)))
                    place = builder.fadd(place, builder.fmul(matrix[2 * axis], u))
                    place = builder.fadd(place, builder.fmul(matrix[2 * axis + 1], v))
                    # Clamped before it is cut off, which is always downwards then; a NaN fails the first.
                    place = builder.select(builder.fcmp_ordered(">", place, zero), place, zero)
                    place = builder.select(builder.fcmp_ordered("<", place, last[axis]), place, last[axis])
                    index = builder.fptosi(place, whole)
                    number = builder.add(number, builder.mul(index, steps[axis]))
                    if with_maps:
                        index = builder.lshr(index, constant(whole, SCALE_BITS))
                        in_map = builder.add(in_map, builder.mul(index, maps[axis]))
                if with_maps:
                    begin = builder.add(builder.mul(args[7], n_pixels), i)
                    channel = builder.zext(load(builder, kinds, begin, vector(INT8, LANES)), whole)
                    before = builder.mul(builder.sub(channel, constant(whole, 1)), maps[3])
                    gray = builder.icmp_signed("==", channel, nothing)
                    number = builder.select(gray, number, builder.add(in_map, before))
                store(builder, number, target, i)
            return context.get_dummy_value()

        four, two, steps, maps = (
            types.UniTuple(kind, n)
            for kind, n in ((types.float32, 4), (types.float32, 2), (types.int32, 2), (types.int32, 4))
        )
        numbers = types.uint64
        return types.void(anchored, deltas, numbers, four, two, steps, channels, numbers, maps, out), generate

    return intrinsic(typed)


_place, _place_with_maps = _placing(False), _placing(True)


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
    to_crop = to_pixels[0], to_pixels[1], to_pixels[2], to_pixels[3], to_pixels[4] + half, to_pixels[5] + half
    landmarks, anchored, places = workspace.landmarks, workspace.anchored, workspace.places
    transform(shape, to_crop, landmarks)
    # x and y of a landmark are looked up as one number.
    for p in range(places.shape[0]):
        anchored[p] = landmarks[np.uint64(pool.anchors[stage, p])]
    matrix = xx, xy, yx, yy
    last = np.float32(crop.columns - 1), np.float32(crop.rows - 1)
    steps = np.int32(crop.column_step), np.int32(crop.row_step)
    if pool.channels.shape[0] == 0:
        maps = np.int32(0), np.int32(0), np.int32(0), np.int32(0)
        _place(anchored, pool.deltas, stage, matrix, last, steps, pool.channels, 0, maps, places)
    else:
        columns, rows = (crop.columns + SCALE - 1) // SCALE, (crop.rows + SCALE - 1) // SCALE
        across, down = (1, columns) if crop.column_step == 1 else (rows, 1)
        maps = np.int32(across), np.int32(down), np.int32(crop.columns * crop.rows), np.int32(columns * rows)
        mirrored = to_crop[0] * to_crop[3] < to_crop[1] * to_crop[2]
        row = stage + pool.channels.shape[1] if mirrored else stage
        _place_with_maps(anchored, pool.deltas, stage, matrix, last, steps, pool.channels, row, maps, places)
    for p in range(places.shape[0]):
        out[p] = crop.pixels[np.uint64(np.uint32(places[p]))]
