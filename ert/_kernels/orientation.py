"""Maps of gradient orientations: how steep a crop is in each of four directions, at half its scale.

    crop          uint8  (lines, length)            lines are the crop's rows, or its columns
    bordered      uint8  (2 + 2 * half lines, stride)
                         the crop with its outermost pixels around it; the first pixel of a line is left of it, and
                         whole vectors can be read from each of its places
    cells         int16  (4, half lines, n / 2)     parts of gradients, added up in cells of two by two pixels
    maps          uint8  (4, half lines, half length), flat
                         0 across, 1 down to the right, 2 down, 3 down to the left

A gradient is the sum of its parts along the two directions next to it. The parts of cells are smoothed by (1, 2, 1)
both ways, to at most 16,320, and stored as square roots.
"""

from typing import Any

import numba
import numpy as np
from numba import types
from numba.extending import intrinsic

from ert._kernels.llvm import INT8, INT16, INT64, constant, data, load, loop, store, vector

N_MAPS = 4
# Gray levels of a map for 1 in the square root of a smoothed sum; the steepest edges are clipped. The part along a
# diagonal is a coordinate times the square root of two, and steps of a diagonal cover it by half as much.
LEVELS_PER_ROOT = np.array([3.25, 3.25 * 2**0.25], np.float32)
# Pixels of a vector.
LANES = 64


@numba.njit(cache=True, nogil=True)
def maps_size(columns, rows):
    """Return the number of pixels of all maps of a crop."""
    return N_MAPS * ((columns + 1) // 2) * ((rows + 1) // 2)


@numba.njit(cache=True, nogil=True)
def orientation_maps(pixels, columns, rows, column_step, out):
    """Compute the maps of a crop.

    Parameters
    ----------
    pixels : uint8 array (at least columns * rows,)
        The crop, row by row if `column_step` is 1, else column by column.
    columns, rows, column_step : int
    out : uint8 array (at least maps_size(columns, rows),)
        Written, row by row or column by column as the crop.
    """
    lines, length = (rows, columns) if column_step == 1 else (columns, rows)
    half_lines, half = (lines + 1) // 2, (length + 1) // 2
    n = LANES * ((2 * half + LANES - 1) // LANES)
    stride = n + 2
    bordered = np.zeros((2 * half_lines + 2) * stride, np.uint8)
    for i in range(2 * half_lines + 2):
        line = min(max(i - 1, 0), lines - 1) * length
        first = i * stride
        bordered[first] = pixels[line]
        bordered[first + 1 : first + 1 + length] = pixels[line : line + length]
        for j in range(length + 1, 2 * half + 2):
            bordered[first + j] = pixels[line + length - 1]
    cells = np.empty((N_MAPS, half_lines, n // 2), np.int16)
    for i in range(half_lines):
        _add_cells(bordered, (2 * i + 1) * stride + 1, stride, cells, i * (n // 2), half_lines * (n // 2), n)
    sums = np.empty(half + 2, np.int16)
    for m in range(N_MAPS):
        # Where lines are columns, along a line is down.
        number = m if column_step == 1 or m % 2 else 2 - m
        factor = LEVELS_PER_ROOT[m % 2]
        for i in range(half_lines):
            before, here, after = cells[m, max(i - 1, 0)], cells[m, i], cells[m, min(i + 1, half_lines - 1)]
            for j in range(half):
                sums[j + 1] = before[j] + 2 * here[j] + after[j]
            sums[0], sums[half + 1] = sums[1], sums[half]
            line = out[(number * half_lines + i) * half : (number * half_lines + i + 1) * half]
            for j in range(half):
                smooth = np.int16(sums[j] + 2 * sums[j + 1] + sums[j + 2])
                line[j] = np.uint8(min(np.sqrt(np.float32(smooth)) * factor, np.float32(255)))


def _typed_add_cells(
    context: Any, bordered: Any, place: Any, stride: Any, cells: Any, first: Any, plane: Any, n: Any
) -> Any:
    """Add up the parts of the gradients of two lines, from a place on, in cells.

    The cells of the four directions begin `plane` elements after one another, from the element `first` on.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source, target = (data(context, builder, signature, args, i) for i in (0, 3))
        _, place, stride, _, first, plane, n = args
        pixels, pairs = vector(INT8, LANES), vector(INT16, LANES // 2)
        nothing = constant(pixels, 0)
        with loop(builder, n, LANES) as (i, _):
            totals = [constant(pairs, 0)] * N_MAPS
            here = builder.add(place, i)
            for _line in range(2):
                steps = []
                for step in (INT64(1), stride):
                    low, high = (load(builder, source, move(here, step), pixels) for move in (builder.sub, builder.add))
                    rises = builder.icmp_unsigned(">", high, low)
                    larger, smaller = builder.select(rises, high, low), builder.select(rises, low, high)
                    steps.append((rises, builder.sub(larger, smaller)))
                (right, flat), (down, steep) = steps
                both = builder.select(builder.icmp_unsigned("<", flat, steep), flat, steep)
                differ = builder.xor(right, down)
                parts = [
                    builder.sub(flat, both),
                    builder.select(differ, nothing, both),
                    builder.sub(steep, both),
                    builder.select(differ, both, nothing),
                ]
                for m, part in enumerate(parts):
                    two = builder.bitcast(part, pairs)
                    for each in (builder.and_(two, constant(pairs, 255)), builder.lshr(two, constant(pairs, 8))):
                        totals[m] = builder.add(totals[m], each)
                here = builder.add(here, stride)
            cell = builder.add(first, builder.lshr(i, INT64(1)))
            for m, total in enumerate(totals):
                store(builder, total, target, builder.add(cell, builder.mul(plane, INT64(m))))
        return context.get_dummy_value()

    number = types.int64
    return types.void(bordered, number, number, cells, number, number, number), generate


_add_cells: Any = intrinsic(_typed_add_cells)
