"""Stretching the gray levels of dim and flat crops, so that trees see differences of the size they know."""

import math

import numba
import numpy as np

from ert._kernels.llvm import fetch
from ert._kernels.simd import reduce_line

__all__ = [
    "crop_resampled",
    "reduce",
    "resample",
    "stretch",
]


# Every so many lines of a crop are enough to know its gray levels.
LINES = 8
# More than so many times would be noise.
MOST = 16.0
MIDDLE = 128.0


@numba.njit(cache=True, nogil=True)
def stretch(crop, least):  # type: ignore[no-untyped-def]
    """Stretch gray levels whose standard deviation is small, about their mean, which becomes the middle.

    Parameters
    ----------
    crop : uint8 array (n_lines, n)
        Rewritten.
    least : float
        The standard deviation below which they are stretched, by at most 16 times, to have it.
    """
    if least <= 0:
        return
    total = squares = np.int64(0)
    n = 0
    for line in range(0, crop.shape[0], LINES):
        for i in range(crop.shape[1]):
            value = np.int64(crop[line, i])
            total += value
            squares += value * value
        n += crop.shape[1]
    mean = total / n
    deviation = math.sqrt(max(squares / n - mean * mean, 0.0))
    if deviation >= least:
        return
    gain = least / max(deviation, least / MOST)
    levels = np.empty(256, np.uint8)
    for level in range(256):
        stretched = math.floor(MIDDLE + gain * (level - mean) + 0.5)
        levels[level] = np.uint8(min(max(stretched, 0.0), 255.0))
    for line in range(crop.shape[0]):
        for i in range(crop.shape[1]):
            crop[line, i] = levels[crop[line, i]]


STRIP = 64
LINES_AHEAD = 6


@numba.njit(cache=True, nogil=True)
def crop_resampled(  # type: ignore[no-untyped-def]
    image, column, row, x, y, side, region, working_size, blur, min_contrast, columns, rows, room, frame
):
    """Cut the region round a box out of a gray image.

    Parameters
    ----------
    image : uint8 array (rows, columns)
        All of it, or the part of it that the crop needs.
    column, row : int
        Where in all of the image it begins.
    x, y, side : float
        The box's frame.
    region, working_size, blur, min_contrast
        See :class:`CropSpec`.
    columns, rows : int
        See :attr:`Cropping.shape`.
    room : uint8 array (columns * rows,)
        Written: the crop.
    frame : float32 array (6,)
        Written: from box coordinates to pixels of the crop.

    Returns
    -------
    columns, rows : int
        Of the crop.
    column_step, row_step : int
        From one pixel of the crop to the next, across and down.
    """
    # Counted from the box's own pixel, so that every bit is the same whether the image is all or a part.
    first_x, first_y = math.floor(x), math.floor(y)
    x -= first_x
    y -= first_y
    column, row = first_x - column, first_y - row
    left = x + region[0] * side
    top = y + region[1] * side
    frame[:] = 0
    if blur > 0:
        crop = room[: columns * rows].reshape(columns, rows)
        resample(image, column, row, left, top, side / working_size, blur, crop)
        stretch(crop, min_contrast)
        frame[0] = frame[3] = working_size
        frame[4] = -region[0] * working_size
        frame[5] = -region[1] * working_size
        return columns, rows, rows, 1
    factor = max(1, math.floor(side / working_size + 0.5))
    first_column = math.floor(left)
    first_row = math.floor(top)
    # Never more than there is room for, whatever the rounding.
    columns = min(math.ceil((region[2] - region[0]) * side / factor) + 1, columns)
    rows = min(math.ceil((region[3] - region[1]) * side / factor) + 1, rows)
    crop = room[: columns * rows].reshape(rows, columns)
    reduce(image, column + first_column, row + first_row, factor, crop)
    stretch(crop, min_contrast)
    frame[0] = frame[3] = side / factor
    # The center of the crop's first pixel is that of the pixels it is the mean of.
    frame[4] = (x - first_column - (factor - 1) / 2) / factor
    frame[5] = (y - first_row - (factor - 1) / 2) / factor
    return columns, rows, 1, columns


@numba.njit(cache=True, nogil=True)
def reduce(image, column, row, factor, out):  # type: ignore[no-untyped-def]
    """Reduce a part of a gray image by a whole factor.

    A pixel is the mean of four that stand in the middles of the quarters of its square: of all four where the
    factor is 2. Beyond its edge the image goes on with its edge pixels.

    Parameters
    ----------
    image : uint8 array (rows, columns)
    column, row : int
        The first pixel of the part.
    factor : int
    out : uint8 array (rows, columns)
        Written.
    """
    n_rows, n_columns = image.shape
    rows, columns = out.shape
    near, far = 0, factor - 1
    if factor > 2:
        near, far = (factor - 1) // 4, factor - 1 - (factor - 1) // 4
    # Columns of `out` whose pixels all lie in the image.
    low = min(max(-(column // factor), 0), columns)
    high = max(min((n_columns - column) // factor, columns), low)
    pixels, made = image.reshape(-1), out.reshape(-1)
    leftmost = min(max(column, 0), n_columns - 1)
    width = min(columns * factor, n_columns - leftmost)
    for r in range(rows):
        # A line is too short for the processor to see what comes next.
        for k in (near, far):
            line = min(max(row + (r + LINES_AHEAD) * factor + k, 0), n_rows - 1)
            fetch(pixels, line * n_columns + leftmost, width)
        first = min(max(row + r * factor + near, 0), n_rows - 1) * n_columns
        second = min(max(row + r * factor + far, 0), n_rows - 1) * n_columns
        done = low
        if factor <= 4 and low < high:
            inside = column + low * factor
            done += reduce_line(
                pixels, first + inside, second + inside, factor, made, r * columns + low, high - low
            )
        for c in range(low):
            out[r, c] = _mean_of_four(pixels, first, second, n_columns, column + c * factor, near, far)
        for c in range(done, columns):
            out[r, c] = _mean_of_four(pixels, first, second, n_columns, column + c * factor, near, far)


@numba.njit(inline="always")
def _mean_of_four(pixels, first, second, n, column, near, far):  # type: ignore[no-untyped-def]
    i = np.uint64(min(max(column + near, 0), n - 1))
    j = np.uint64(min(max(column + far, 0), n - 1))
    upper, lower = np.uint64(first), np.uint64(second)
    four = np.uint32(pixels[upper + i]) + np.uint32(pixels[upper + j])
    four += np.uint32(pixels[lower + i]) + np.uint32(pixels[lower + j])
    return np.uint8((four + np.uint32(2)) >> np.uint32(2))


@numba.njit(cache=True, nogil=True)
def resample(image, column, row, x, y, step, blur, out):  # type: ignore[no-untyped-def]
    """Resample a part of a gray image with a triangle filter that widens as the image is reduced.

    Beyond its edge the image goes on with its edge pixels.

    Parameters
    ----------
    image : uint8 array (rows, columns)
    column, row : int
        Where in the image x and y are counted from.
    x, y : float
        Position of the center of the first pixel of `out`.
    step : float
        Image pixels per pixel of `out`.
    blur : float
        Half the filter's width in pixels of `out`; it never gets below one pixel of the image, where the
        filter is bilinear interpolation.
    out : uint8 array (columns, rows)
        Written, column by column.
    """
    n_rows, n_columns = image.shape
    columns, rows = out.shape
    half = max(1.0, blur * step)
    taps = math.ceil(2 * half)
    weights = np.empty((columns, taps), np.float32)
    firsts = np.empty(columns, np.int32)
    for c in range(columns):
        first, total = _triangle(x + c * step, half, weights[c])
        firsts[c] = first + column
        for t in range(taps):
            weights[c, t] /= total
    low = min(max(firsts[0], 0), n_columns - 1)
    high = min(max(firsts[columns - 1] + taps, 1), n_columns)
    # STRIP rows at a time, side by side in memory, so that a column of the strip is one vector for all that
    # follows: the sums across need no gathering. (Unsigned numbers of elements cost no check of their sign.)
    four = np.zeros((4, high - low), np.float32)
    lines = np.zeros((high - low, STRIP), np.float32)
    sums = np.empty(STRIP, np.float32)
    tap_weights = np.empty(taps, np.float32)
    for start in range(0, rows, STRIP):
        n = min(STRIP, rows - start)
        for r in range(n):
            first, total = _triangle(y + (start + r) * step, half, tap_weights)
            line = four[r % 4]
            line[:] = 0
            for t in range(taps):
                weight = tap_weights[t] / total
                source = image[np.uint64(min(max(first + row + t, 0), n_rows - 1)), low:high]
                for i in range(line.size):
                    line[i] += weight * np.float32(source[i])
            if r % 4 == 3 or r == n - 1:
                _interleave(four, lines, np.uint64(r - r % 4))
        for c in range(columns):
            sums[:] = np.float32(0.5)
            for t in range(taps):
                weight = weights[c, t]
                source = lines[np.uint64(min(max(firsts[c] + t, 0), n_columns - 1) - low)]
                for r in range(STRIP):
                    sums[r] += weight * source[r]
            target = out[c, start : start + n]
            if n == STRIP:
                for r in range(STRIP):
                    target[r] = np.uint8(np.int32(sums[r]))
            else:
                for r in range(n):
                    target[r] = np.uint8(np.int32(sums[r]))


@numba.njit(cache=True, nogil=True)
def _interleave(four, lines, r):  # type: ignore[no-untyped-def]
    a, b, c, d = four[0], four[1], four[2], four[3]
    for i in range(a.size):
        lines[i, r] = a[i]
        lines[i, r + np.uint64(1)] = b[i]
        lines[i, r + np.uint64(2)] = c[i]
        lines[i, r + np.uint64(3)] = d[i]


@numba.njit(cache=True, nogil=True)
def _triangle(center, half, weights):  # type: ignore[no-untyped-def]
    """Write the filter's weights at the pixels from `first` on; return `first` and the weights' sum."""
    first = math.floor(center - half) + 1
    total = np.float32(0)
    for t in range(weights.size):
        weights[t] = max(0.0, 1.0 - abs(first + t - center) / half)
        total += weights[t]
    return first, total
