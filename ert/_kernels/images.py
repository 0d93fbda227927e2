"""Convert color to gray, and rotate an image, in integers."""

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ert._kernels.llvm import (
    INT8,
    INT16,
    INT32,
    INT64,
    chosen,
    constant,
    data,
    load,
    multiply_pairs,
    processor_has,
    splat,
    store,
    vector,
)

_WIDE = processor_has("avx512bw") or processor_has("avx2")
# Pixels that are converted to gray together; the bytes that are read for them are those of more pixels.
LANES = 16
PIXELS_READ = 22


@numba.njit(cache=True, nogil=True)
def weigh(pixel, weights):
    """Convert one pixel of three channels to gray."""
    total = (
        weights[0] * np.uint32(pixel[0])
        + weights[1] * np.uint32(pixel[1])
        + weights[2] * np.uint32(pixel[2])
        + weights[3]
    )
    return np.uint8(total >> np.uint32(16))


def _typed_some_to_gray(context: Any, channels: Any, first: Any, weights: Any, out: Any, place: Any) -> Any:
    """Turn 16 pixels to gray: channels from `first` on, to `out` from `place` on.

    64 bytes are read. Each pixel becomes four bytes, first second third third: the even ones of them times
    their weights and the odd ones, in pairs of 16 bits that are summed in 32.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source, factors, target = (data(context, builder, signature, args, i) for i in (0, 2, 3))
        pairs, sums = vector(INT16, 2 * LANES), vector(INT32, LANES)
        halves = [builder.lshr(load(builder, factors, INT64(k), INT32), INT32(1)) for k in range(4)]
        ends = builder.or_(halves[0], builder.shl(halves[2], INT32(16)))
        numbers = load(builder, source, args[1], vector(INT8, 4 * LANES))
        four = chosen(builder, numbers, [3 * i + k for i in range(LANES) for k in (0, 1, 2, 2)])
        both = builder.bitcast(four, pairs)
        even = builder.and_(both, constant(pairs, 255))
        odd = builder.lshr(both, constant(pairs, 8))
        total = splat(builder, halves[3], sums)
        for bytes_, weight in ((even, ends), (odd, halves[1])):
            weight = builder.bitcast(splat(builder, weight, sums), pairs)
            total = builder.add(total, multiply_pairs(builder, bytes_, weight))
        gray = builder.lshr(total, ir.Constant(sums, [15] * LANES))
        store(builder, builder.trunc(gray, vector(INT8, LANES)), target, args[4])
        return context.get_dummy_value()

    return types.void(channels, types.uint64, weights, out, types.uint64), generate


_some_to_gray: Any = intrinsic(_typed_some_to_gray)


@numba.njit(cache=True, nogil=True)
def to_gray(image, row, column, weights, out):
    """Convert a part of a color image to gray.

    Parameters
    ----------
    image : uint8 array (rows, columns, 3)
    row, column : int
        Where in it the part begins.
    weights : uint32 array (4,)
        From :func:`channel_weights`.
    out : uint8 array (rows, columns)
        Written; as large as the part.
    """
    first, second, third = np.uint32(weights[0]), np.uint32(weights[1]), np.uint32(weights[2])
    rounding = np.uint32(weights[3])
    channels, gray = image.reshape(-1), out.reshape(-1)
    n = out.shape[1]
    for r in range(out.shape[0]):
        start, place = ((row + r) * image.shape[1] + column) * 3, r * n
        # Not where the image may end.
        if _WIDE and n >= LANES and start + 3 * (n - LANES + PIXELS_READ) <= channels.size:
            for c in range(0, n - LANES, LANES):
                _some_to_gray(channels, start + 3 * c, weights, gray, place + c)
            # Some of them once more, if the line does not end with them.
            _some_to_gray(channels, start + 3 * (n - LANES), weights, gray, place + n - LANES)
            continue
        # From flat memory, which the compiler can turn into vectors; what it does is `weigh`.
        line, target = channels[start : start + 3 * n], gray[place : place + n]
        for c in range(n):
            i = np.uint64(3 * c)
            total = first * np.uint32(line[i]) + second * np.uint32(line[i + np.uint64(1)])
            total += third * np.uint32(line[i + np.uint64(2)]) + rounding
            target[c] = np.uint8(np.uint32(total) >> np.uint32(16))


# Positions are integers in units of 2**-PLACE_BITS pixels; FRACTION_BITS of their fractions are used, so that
# products with gray levels fit into 32 bits.
PLACE_BITS, FRACTION_BITS = 20, 10


@numba.njit(cache=True, nogil=True)
def rotate_image(image, turn, place, out):
    """Read an image along rotated lines: `out` at x, y is the image at ``turn @ (x, y) + place``.

    Gray levels are interpolated bilinearly; beyond its edges the image is extended by its edge pixels.

    Parameters
    ----------
    image : uint8 array (rows, columns)
    turn : float64 array (2, 2)
    place : float64 array (2,)
        x, y in image pixels.
    out : uint8 array (rows, columns)
        Written.
    """
    rows, columns = image.shape
    pixels = image.reshape(-1)
    one = 1 << PLACE_BITS
    right, down = np.int64(np.rint(turn[0, 0] * one)), np.int64(np.rint(turn[1, 0] * one))
    last_x, last_y = (columns - 1) * one, (rows - 1) * one
    for r in range(out.shape[0]):
        x = np.int64(np.rint((turn[0, 1] * r + place[0]) * one))
        y = np.int64(np.rint((turn[1, 1] * r + place[1]) * one))
        low, high = _inside(x, right, last_x, 0, out.shape[1])
        low, high = _inside(y, down, last_y, low, high)
        for c in range(low):
            out[r, c] = _at_edge(pixels, columns, x + c * right, y + c * down, last_x, last_y)
        for c in range(low, high):
            out[r, c] = _between(pixels, columns, x + c * right, y + c * down, 1, columns)
        for c in range(high, out.shape[1]):
            out[r, c] = _at_edge(pixels, columns, x + c * right, y + c * down, last_x, last_y)


@numba.njit(inline="always")
def _inside(start, step, last, low, high):
    """Narrow ``range(low, high)`` to the numbers c with 0 <= start + c * step < last."""
    if step == 0:
        return (low, high) if 0 <= start < last else (low, low)
    if step < 0:
        # Counted from the other end, where the same step leads upwards.
        start, step = last - 1 - start, -step
    low = min(max(low, -(start // step)), high)
    return low, max(low, min(high, -((start - last) // step)))


@numba.njit(inline="always")
def _at_edge(pixels, columns, x, y, last_x, last_y):
    x, y = min(max(x, 0), last_x), min(max(y, 0), last_y)
    # Where there is no next pixel, what is read in its place has no weight.
    return _between(pixels, columns, x, y, np.int64(x < last_x), columns * np.int64(y < last_y))


@numba.njit(inline="always")
def _between(pixels, columns, x, y, beside, under):
    i = np.uint64((y >> PLACE_BITS) * columns + (x >> PLACE_BITS))
    j = i + np.uint64(under)
    beside = np.uint64(beside)
    one = np.uint32(1 << FRACTION_BITS)
    u = np.uint32(x >> (PLACE_BITS - FRACTION_BITS)) & (one - np.uint32(1))
    v = np.uint32(y >> (PLACE_BITS - FRACTION_BITS)) & (one - np.uint32(1))
    upper = np.uint32(pixels[i]) * (one - u) + np.uint32(pixels[i + beside]) * u
    lower = np.uint32(pixels[j]) * (one - u) + np.uint32(pixels[j + beside]) * u
    half = np.uint32(1 << (2 * FRACTION_BITS - 1))
    return np.uint8((upper * (one - v) + lower * v + half) >> np.uint32(2 * FRACTION_BITS))
