"""Maps of gradient orientations: how steep a crop is in each of four directions, at half its scale.

    crop          uint8  (lines, length)            lines are the crop's rows, or its columns
    maps          uint8  (4, half lines, half length), flat
                         0 across, 1 down to the right, 2 down, 3 down to the left

A gradient is the sum of its parts along the two directions next to it. The parts are added up in cells of two by two
pixels, smoothed by (1, 2, 1) both ways, and stored as square roots.
"""

import numba
import numpy as np

N_MAPS = 4
# Square root of two halves, in 128ths: the part of a diagonal is a coordinate times the square root of two, and steps
# of a diagonal cover it by half as much.
DIAGONAL_128THS = 181
# Gray levels of a map for 1 in the square root of a smoothed sum; the steepest edges are clipped.
LEVELS_PER_ROOT = np.float32(3.25)


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
    cells = np.empty((N_MAPS, half_lines, half), np.int32)
    parts = np.empty((N_MAPS, 2 * half), np.int32)
    for i in range(half_lines):
        parts[:] = 0
        for k in range(2):
            line = min(2 * i + k, lines - 1)
            here = pixels[line * length : (line + 1) * length]
            before, after = max(line - 1, 0) * length, min(line + 1, lines - 1) * length
            _add_parts(here, pixels[before : before + length], pixels[after : after + length], parts)
        for m in range(N_MAPS):
            if length % 2:
                parts[m, length] = parts[m, length - 1]
            for j in range(half):
                cells[m, i, j] = parts[m, 2 * j] + parts[m, 2 * j + 1]
    sums = np.empty(half + 2, np.int32)
    for m in range(N_MAPS):
        # Where lines are columns, along a line is down.
        number = m if column_step == 1 or m % 2 else 2 - m
        factor = np.int32(DIAGONAL_128THS) if m % 2 else np.int32(128)
        for i in range(half_lines):
            before, after = cells[m, max(i - 1, 0)], cells[m, min(i + 1, half_lines - 1)]
            for j in range(half):
                sums[j + 1] = before[j] + 2 * cells[m, i, j] + after[j]
            sums[0], sums[half + 1] = sums[1], sums[half]
            first = (number * half_lines + i) * half
            for j in range(half):
                smooth = np.int32((sums[j] + 2 * sums[j + 1] + sums[j + 2]) * factor) >> 7
                root = np.sqrt(np.float32(smooth)) * LEVELS_PER_ROOT
                out[first + j] = np.uint8(min(root, np.float32(255)))


@numba.njit(cache=True, nogil=True)
def _add_parts(here, before, after, parts):
    """Add the parts of a line's gradients along the four directions."""
    last = here.shape[0] - 1
    for c in range(last + 1):
        along = np.int32(here[min(c + 1, last)]) - np.int32(here[max(c - 1, 0)])
        down = np.int32(after[c]) - np.int32(before[c])
        steep, flat = abs(down), abs(along)
        both = min(steep, flat)
        same = (along > 0) == (down > 0)
        parts[0, c] += flat - both
        parts[1, c] += both if same else 0
        parts[2, c] += steep - both
        parts[3, c] += 0 if same else both
