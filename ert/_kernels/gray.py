"""Convert color to gray, in integers."""

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
    call,
    chosen,
    constant,
    data,
    load,
    processor_has,
    splat,
    store,
    vector,
)

_WIDE = processor_has("avx512bw")
# Pixels that are converted to gray together, and as many as the bytes reach that are read for them.
LANES = 16
REACH = 22


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
            products = call(builder, "llvm.x86.avx512.pmaddw.d.512", sums, bytes_, weight)
            total = builder.add(total, products)
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
        if _WIDE and n >= LANES and start + 3 * (n - LANES + REACH) <= channels.size:
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
