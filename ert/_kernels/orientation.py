"""Maps of gradient orientations: how steep a crop is in each of four directions, at half its scale.

    crop          uint8  (lines, length)            lines are the crop's rows, or its columns
    bordered      uint8  (2 + 2 * half lines, stride)
                         the crop with its outermost pixels around it; the first pixel of a line is left of it, and
                         whole vectors can be read from each of its places
    cells         int16  (4, half lines, n / 2)     parts of gradients, added up in cells of two by two pixels
    maps          uint8  (4, half lines, half the length), flat
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
# Pixels of a crop across a pixel of a map; the sum of two columns in a cell is written for it.
SCALE, SCALE_BITS = 2, 1
# Gray levels of a map for 1 in the square root of a smoothed sum; the steepest edges are clipped. The part along a
# diagonal is a coordinate times the square root of two, and steps of a diagonal cover it by half as much.
LEVELS_PER_ROOT = np.array([3.25, 3.25 * 2**0.25], np.float32)
# Pixels of a vector.
LANES = 64


@numba.njit(cache=True, nogil=True)
def maps_size(columns, rows):
    """Return the number of pixels of all maps of a crop."""
    return N_MAPS * ((columns + SCALE - 1) // SCALE) * ((rows + SCALE - 1) // SCALE)


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
    short_lines, short = (lines + SCALE - 1) // SCALE, (length + SCALE - 1) // SCALE
    n = LANES * ((SCALE * short + LANES - 1) // LANES)
    stride = n + 2
    bordered = np.empty((SCALE * short_lines + 2) * stride, np.uint8)
    for i in range(SCALE * short_lines + 2):
        first = min(max(i - 1, 0), lines - 1) * length
        # Loops over views become copies of whole vectors.
        line, place = pixels[first : first + length], bordered[i * stride : (i + 1) * stride]
        place[0] = line[0]
        inner, after = place[1:], place[length + 1 : SCALE * short + 2]
        for j in range(length):
            inner[j] = line[j]
        for j in range(after.shape[0]):
            after[j] = line[length - 1]
    width = n // SCALE
    cells = np.empty((N_MAPS, short_lines, width), np.int16)
    for i in range(short_lines):
        _add_cells(bordered, (SCALE * i + 1) * stride + 1, stride, cells, i * width, short_lines * width, n)
    sums = np.empty(short + 2, np.int16)
    for m in range(N_MAPS):
        # Where lines are columns, along a line is down.
        number = m if column_step == 1 or m % 2 else 2 - m
        factor = LEVELS_PER_ROOT[m % 2]
        for i in range(short_lines):
            before, here, after = cells[m, max(i - 1, 0)], cells[m, i], cells[m, min(i + 1, short_lines - 1)]
            for j in range(short):
                sums[j + 1] = before[j] + 2 * here[j] + after[j]
            sums[0], sums[short + 1] = sums[1], sums[short]
            line = out[(number * short_lines + i) * short : (number * short_lines + i + 1) * short]
            for j in range(short):
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
            for _line in range(SCALE):
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
