"""Shape-indexed pixel features: the pool of a stage, the prior on pixel pairs, reading the pixels."""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from numba import types
from numba.extending import intrinsic

from ert.geometry import similarity
from ert.lanes import LANES, padded, transform
from ert.vectors import (
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

__all__ = [
    "draw_pairs",
    "draw_pool",
    "pair_prior",
    "pick_pairs",
    "pool_arrays",
    "read_pixels",
    "read_pool_block",
]

# Half the width that a pool has at least, in sides of the box: a single landmark, or several on a line, have
# no width of their own.
LEAST_REACH = 0.1


def draw_pool(
    mean_shape: npt.NDArray[np.float64],
    n_pixels: int,
    padding: float,
    spread: float,
    rng: np.random.Generator,
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.float32]]:
    """Draw a stage's feature pool: random positions on the mean shape, each tied to the nearest landmark.

    Parameters
    ----------
    mean_shape : float array (n_landmarks, 2)
        In box coordinates.
    n_pixels : int
        Size of the pool (the paper's P).
    padding : float
        How far positions may lie outside the mean shape's bounding rectangle, in sides of the box. A pool is
        never narrower than 0.2 sides.
    spread : float
        Above 0, positions lie round landmarks drawn at random, with this standard deviation in sides of
        the box.
    rng : numpy.random.Generator

    Returns
    -------
    anchors : uint16 array (n_pixels,)
        The nearest landmark of each position.
    deltas : float32 array (n_pixels, 2)
        The position minus its anchor, in box coordinates (Kazemi & Sullivan 2014, eq. 4).
    """
    if spread > 0:
        around = mean_shape[rng.integers(len(mean_shape), size=n_pixels)]
        positions = around + rng.normal(0, spread, (n_pixels, 2))
    else:
        low, high = mean_shape.min(axis=0), mean_shape.max(axis=0)
        reach = np.maximum((high - low) / 2 + padding, LEAST_REACH)
        positions = (low + high) / 2 + rng.uniform(-reach, reach, (n_pixels, 2))
    distances = np.linalg.norm(positions[:, None] - mean_shape[None], axis=2)
    anchors = distances.argmin(axis=1)
    return anchors.astype(np.uint16), (positions - mean_shape[anchors]).astype(np.float32)


def draw_pairs(
    positions: npt.NDArray[np.float64], n_pairs: int, prior_length: float, rng: np.random.Generator
) -> npt.NDArray[np.uint16]:
    """Draw pixel pairs with probability proportional to exp(-distance / prior_length).

    Parameters
    ----------
    positions : float array (n_pixels, 2)
        Where the pool's pixels lie on the mean shape, in box coordinates.
    n_pairs : int
        How many pairs to draw (with replacement).
    prior_length : float
        The prior's length in sides of the box: the inverse of the paper's lambda (eq. 6), dlib's
        `lambda_param`.
    rng : numpy.random.Generator

    Returns
    -------
    uint16 array (n_pairs, 2)
    """
    prior = pair_prior(positions, prior_length)
    return pick_pairs(prior, rng.random(n_pairs), rng.random(n_pairs))


def pair_prior(
    positions: npt.NDArray[np.float64], prior_length: float
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.float64]]:
    """Return all pairs (n, 2) of pixels and, added up, their probabilities; see :func:`draw_pairs`."""
    pairs = np.stack(np.triu_indices(len(positions), k=1), axis=1).astype(np.uint16)
    distances = np.linalg.norm(positions[pairs[:, 0]] - positions[pairs[:, 1]], axis=1)
    return pairs, np.cumsum(np.exp((distances.min() - distances) / prior_length))


def pick_pairs(
    prior: tuple[npt.NDArray[np.uint16], npt.NDArray[np.float64]],
    places: npt.NDArray[np.float64],
    turns: npt.NDArray[np.float64],
) -> npt.NDArray[np.uint16]:
    """Return the pairs (n, 2) that random numbers from 0 to 1 pick, and turn round."""
    pairs, cumulative = prior
    picked: npt.NDArray[np.uint16] = pairs[np.searchsorted(cumulative, places * cumulative[-1], side="right")]
    turned = turns < 0.5
    picked[turned] = picked[turned, ::-1]
    return picked


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
    pixels, places, crop_of, frames, shapes, compass, squared_norm, anchors, deltas, matrices, pool
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
    compass, squared_norm
        See :func:`ert.geometry.similarity`.
    anchors, deltas
        The pool alone, see :func:`read_pixels`.
    matrices : float32 array (n, 2)
        Written: a, b of each sample's similarity.
    pool : uint8 array (n, at least n_pixels)
        Written: row i is sample i.
    """
    n_landmarks, n_pixels = shapes.shape[1], anchors.shape[1]
    shape = np.zeros(compass.shape[1:], np.float32)
    values = np.empty(n_pixels, np.uint8)
    landmarks = np.empty(compass.shape[1], np.uint64)
    anchored = np.empty(n_pixels, np.uint64)
    numbers = np.empty(n_pixels, np.int32)
    for i in range(shapes.shape[0]):
        for k in range(n_landmarks):
            shape[k, 0], shape[k, 1] = shapes[i, k, 0], shapes[i, k, 1]
        a, b = similarity(compass, squared_norm, shape)
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
