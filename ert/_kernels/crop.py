"""The crop of a face: the part of a gray image that features can touch, at the working scale.

        image pixels                       crop pixels, `working_size` a box side
+--------------------------+               +------------+
|      region (of box) ..  |               |  region    |
|     +--box--+            |   ------->    |  +-box-+   |
|     |       |            |               |  |     |   |
|     +-------+            |               |  +-----+   |
+--------------------------+               +------------+

With `blur` above 0 the image is resampled with a triangle filter, and a crop lies in memory column by column;
with 0 it is reduced by the integer factor that brings a side of the box nearest to `working_size`, and lies
row by row. Crops with little contrast are stretched.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt
from numba import types
from numba.extending import intrinsic

from ert._kernels.images import to_gray
from ert._kernels.llvm import INT8, INT16, chosen, constant, data, fetch, load, store, vector
from ert._kernels.pixels import square_box
from ert._kernels.simd import aligned

# Contrast: gray levels are taken from every eighth line of a crop; gains are bounded, or noise is amplified.
CONTRAST_LINE_STEP = 8
MAX_GAIN = 16.0
MIDDLE_GRAY = 128.0
# Places in images, in pixels, are smaller than this: far more than any image has, and sums of them are integers of
# 32 bits.
MAX_PLACE = 5e8
# Rows that are resampled side by side, and rows that are prefetched ahead where an image is reduced.
STRIP_ROWS = 64
ROWS_PREFETCHED = 6


class CropArgs(NamedTuple):
    """How crops are cut.

    Parameters
    ----------
    region : float64 array (4,)
        Left, top, right, bottom of the crop in box coordinates.
    working_size : int
        Crop pixels per side of the box.
    blur : float
        Half-width of the filter in crop pixels; 0 reduces by an integer factor instead.
    min_contrast : float
        The standard deviation of gray levels below which a crop is stretched.
    columns, rows : int
        The most that a crop has.
    """

    region: Any
    working_size: int
    blur: float
    min_contrast: float
    columns: int
    rows: int


def crop_args(
    region: npt.NDArray[np.float64], working_size: int, blur: float, min_contrast: float, shape: tuple[int, int]
) -> CropArgs:
    """Return the arguments of kernels that cut crops; `shape` is the most columns and rows."""
    return CropArgs(aligned(region), working_size, float(blur), float(min_contrast), *shape)


def crop_resampled(
    image: npt.NDArray[np.uint8],
    origin: tuple[int, int],
    square: tuple[float, float, float],
    spec: tuple[npt.NDArray[np.float64], int, float, float, tuple[int, int]],
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float64]]:
    """Cut the region around a box out of a gray image.

    Parameters
    ----------
    image, origin, square
        As for :func:`cut_crop`.
    spec : region, working_size, blur, min_contrast, (columns, rows)
        See :class:`CropArgs`.

    Returns
    -------
    crop : uint8 array (columns, rows)
        A view of rows of pixels, or of columns.
    transform : float64 array (6,)
        From box coordinates to pixels of the crop.
    """
    args = crop_args(*spec)
    pixels, to_pixels = np.empty(args.columns * args.rows, np.uint8), np.empty(6, np.float32)
    columns, rows, step, _ = cut_crop(image, origin, square, args, pixels, to_pixels)
    pixels = pixels[: columns * rows]
    crop = pixels.reshape(rows, columns).T if step == 1 else pixels.reshape(columns, rows)
    return crop, to_pixels.astype(np.float64)


@numba.njit(cache=True, nogil=True)
def cut_crop(image, origin, square, spec, out, to_pixels):
    """Cut the region around a box out of a gray image.

    Parameters
    ----------
    image : uint8 array (rows, columns)
        All of the image, or the part of it that the crop needs.
    origin : tuple of 2 int
        Column and row of all of the image where this begins.
    square : tuple of 3 float
        The box as x, y, side, see :func:`ert._kernels.pixels.square_box`.
    spec : CropArgs
    out : uint8 array (columns * rows,)
        Written: the crop.
    to_pixels : float32 array (6,)
        Written: the transform from box coordinates to pixels of the crop.

    Returns
    -------
    columns, rows : int
        Of the crop.
    column_step, row_step : int
        From one pixel of the crop to the next, across and down.
    """
    x, y, side = square
    region, working_size = spec.region, spec.working_size
    if not (abs(x) < MAX_PLACE and abs(y) < MAX_PLACE and 0 < side < MAX_PLACE / 64):
        x, y, side = 0.0, 0.0, 1.0
    # Never more than fits into the buffer, whatever the numbers say.
    columns = min(spec.columns, out.size)
    rows = min(spec.rows, out.size // columns)
    # Counted from the box's own pixel, so that every bit is the same whether the image is all or a part.
    first_x, first_y = math.floor(x), math.floor(y)
    x -= first_x
    y -= first_y
    column, row = first_x - origin[0], first_y - origin[1]
    left = x + region[0] * side
    top = y + region[1] * side
    to_pixels[:] = 0
    if spec.blur > 0:
        crop = out[: columns * rows].reshape(columns, rows)
        resample(image, column, row, left, top, side / working_size, spec.blur, crop)
        stretch(crop, spec.min_contrast)
        to_pixels[0] = to_pixels[3] = working_size
        to_pixels[4] = -region[0] * working_size
        to_pixels[5] = -region[1] * working_size
        return columns, rows, rows, 1
    factor = max(1, math.floor(side / working_size + 0.5))
    first_column = math.floor(left)
    first_row = math.floor(top)
    columns = max(min(math.ceil((region[2] - region[0]) * side / factor) + 1, columns), 1)
    rows = max(min(math.ceil((region[3] - region[1]) * side / factor) + 1, rows), 1)
    crop = out[: columns * rows].reshape(rows, columns)
    reduce(image, column + first_column, row + first_row, factor, crop)
    stretch(crop, spec.min_contrast)
    to_pixels[0] = to_pixels[3] = side / factor
    # The center of the crop's first pixel is that of the pixels it is the mean of.
    to_pixels[4] = (x - first_column - (factor - 1) / 2) / factor
    to_pixels[5] = (y - first_row - (factor - 1) / 2) / factor
    return columns, rows, 1, columns


@numba.njit(cache=True, nogil=True)
def gray_part(image, weights, box, spec):
    """Convert the part of a color image that the crop of a box needs to gray.

    Parameters
    ----------
    image : uint8 array (rows, columns, 3)
    weights : uint32 array (4,)
        See :func:`ert._kernels.images.to_gray`.
    box : tuple of 4 float
        Left, top, width, height.
    spec : CropArgs

    Returns
    -------
    gray : uint8 array (rows, columns)
    column, row : int
        Where it begins in the image.
    """
    left, top, width, height = box
    x, y, side = square_box(left, top, width, height)
    step = side / spec.working_size
    reach = max(1.0, spec.blur * step) + 1 if spec.blur > 0 else 2.0 * max(round(step), 1)
    region = spec.region
    # One pixel of the crop more, for it ends with the first pixel beyond the region.
    column, right = _clipped(x + region[0] * side - reach, x + region[2] * side + step + reach, image.shape[1])
    row, bottom = _clipped(y + region[1] * side - reach, y + region[3] * side + step + reach, image.shape[0])
    gray = np.empty((bottom - row, right - column), np.uint8)
    to_gray(image, row, column, weights, gray)
    return gray, column, row


@numba.njit(inline="always")
def _clipped(low, high, size):
    """Return the first and the end pixel from `low` to `high` in an image of this size: at least one pixel."""
    first = min(max(math.floor(low), 0), size - 1)
    return first, max(min(math.ceil(high) + 1, size), first + 1)


@numba.njit(cache=True, nogil=True)
def reduce(image, column, row, factor, out):
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
        # Lines are too short for the hardware prefetcher.
        for k in (near, far):
            line = min(max(row + (r + ROWS_PREFETCHED) * factor + k, 0), n_rows - 1)
            fetch(pixels, line * n_columns + leftmost, width)
        first = min(max(row + r * factor + near, 0), n_rows - 1) * n_columns
        second = min(max(row + r * factor + far, 0), n_rows - 1) * n_columns
        done = low
        if factor <= 4 and low < high:
            inside = column + low * factor
            done += _reduce_line(pixels, first + inside, second + inside, factor, made, r * columns + low, high - low)
        for c in range(low):
            out[r, c] = _mean_of_four(pixels, first, second, n_columns, column + c * factor, near, far)
        for c in range(done, columns):
            out[r, c] = _mean_of_four(pixels, first, second, n_columns, column + c * factor, near, far)


def _reduce_lines(factor: int) -> Any:
    """Return a function that reduces two lines of pixels by a factor to 16 pixels.

    It takes `pixels`; `first` and `second`, the places in it where the two lines begin; `out`; and the place
    in it that is written. Each pixel is the mean of the first and the last of `factor` pixels of both lines.
    """

    def typed(context: Any, pixels: Any, first: Any, second: Any, out: Any, place: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            source, target = (data(context, builder, signature, args, i) for i in (0, 3))
            wide = vector(INT16, 16)
            total = two = constant(wide, 2)
            for line in (args[1], args[2]):
                numbers = load(builder, source, line, vector(INT8, 16 * factor))
                for start in (0, factor - 1):
                    some = chosen(builder, numbers, [start + factor * i for i in range(16)])
                    total = builder.add(total, builder.zext(some, wide))
            mean = builder.lshr(total, two)
            store(builder, builder.trunc(mean, vector(INT8, 16)), target, args[4])
            return context.get_dummy_value()

        return types.void(pixels, types.uint64, types.uint64, out, types.uint64), generate

    return intrinsic(typed)


_reduce_by_1: Callable[..., None] = _reduce_lines(1)
_reduce_by_2: Callable[..., None] = _reduce_lines(2)
_reduce_by_3: Callable[..., None] = _reduce_lines(3)
_reduce_by_4: Callable[..., None] = _reduce_lines(4)


@numba.njit(nogil=True)
def _reduce_line(pixels, first, second, factor, out, place, n):
    """Reduce two lines of pixels to one by a factor of 1 to 4, if it has at min_contrast 16 pixels.

    Parameters
    ----------
    pixels : uint8 array
    first, second : int
        The places in it where the lines begin.
    factor : int
    out : uint8 array
        Written, from `place` on.
    place, n : int
        The place of the first pixel, and the number of pixels.

    Returns
    -------
    int
        The number of pixels written: `n`, or 0.
    """
    if n < 16:
        return 0
    for start in range(0, n, 16):
        # The last ones once more, if the line does not end with these.
        c = min(start, n - 16)
        here, there, to = first + c * factor, second + c * factor, place + c
        if factor == 1:
            _reduce_by_1(pixels, here, there, out, to)
        elif factor == 2:
            _reduce_by_2(pixels, here, there, out, to)
        elif factor == 3:
            _reduce_by_3(pixels, here, there, out, to)
        else:
            _reduce_by_4(pixels, here, there, out, to)
    return n


@numba.njit(inline="always")
def _mean_of_four(pixels, first, second, n, column, near, far):
    i = np.uint64(min(max(column + near, 0), n - 1))
    j = np.uint64(min(max(column + far, 0), n - 1))
    upper, lower = np.uint64(first), np.uint64(second)
    four = np.uint32(pixels[upper + i]) + np.uint32(pixels[upper + j])
    four += np.uint32(pixels[lower + i]) + np.uint32(pixels[lower + j])
    return np.uint8((four + np.uint32(2)) >> np.uint32(2))


@numba.njit(cache=True, nogil=True)
def resample(image, column, row, x, y, step, blur, out):
    """Resample a part of a gray image with a triangle filter that widens as the image is reduced.

    Beyond its edges the image is extended by its edge pixels.

    Parameters
    ----------
    image : uint8 array (rows, columns)
    column, row : int
        The pixel that x and y are counted from.
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
    # Some rows at a time, side by side in memory, so that a column of the strip is one vector for all that
    # follows: the sums across need no gathering. (Unsigned indices cost no check of their sign.)
    four = np.zeros((4, high - low), np.float32)
    lines = np.zeros((high - low, STRIP_ROWS), np.float32)
    sums = np.empty(STRIP_ROWS, np.float32)
    tap_weights = np.empty(taps, np.float32)
    for start in range(0, rows, STRIP_ROWS):
        n = min(STRIP_ROWS, rows - start)
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
                for r in range(STRIP_ROWS):
                    sums[r] += weight * source[r]
            target = out[c, start : start + n]
            if n == STRIP_ROWS:
                for r in range(STRIP_ROWS):
                    target[r] = np.uint8(np.int32(sums[r]))
            else:
                for r in range(n):
                    target[r] = np.uint8(np.int32(sums[r]))


@numba.njit(cache=True, nogil=True)
def _interleave(four, lines, r):
    a, b, c, d = four[0], four[1], four[2], four[3]
    for i in range(a.size):
        lines[i, r] = a[i]
        lines[i, r + np.uint64(1)] = b[i]
        lines[i, r + np.uint64(2)] = c[i]
        lines[i, r + np.uint64(3)] = d[i]


@numba.njit(cache=True, nogil=True)
def _triangle(center, half, weights):
    """Write the filter's weights at the pixels from `first` on; return `first` and the weights' sum."""
    first = math.floor(center - half) + 1
    total = np.float32(0)
    for t in range(weights.size):
        weights[t] = max(0.0, 1.0 - abs(first + t - center) / half)
        total += weights[t]
    return first, total


@numba.njit(cache=True, nogil=True)
def stretch(crop, min_contrast):
    """Stretch gray levels with a small standard deviation about their mean, which becomes middle gray.

    Parameters
    ----------
    crop : uint8 array (n_lines, n)
        Rewritten.
    min_contrast : float
        The standard deviation that they are stretched to, by at most 16 times.
    """
    if min_contrast <= 0:
        return
    total = squares = np.int64(0)
    n = 0
    for line in range(0, crop.shape[0], CONTRAST_LINE_STEP):
        for i in range(crop.shape[1]):
            value = np.int64(crop[line, i])
            total += value
            squares += value * value
        n += crop.shape[1]
    mean = total / n
    deviation = math.sqrt(max(squares / n - mean * mean, 0.0))
    if deviation >= min_contrast:
        return
    # Not by a deviation of zero, nor by a part of `min_contrast` that rounds to it.
    gain = MAX_GAIN if deviation * MAX_GAIN <= min_contrast else min_contrast / deviation
    levels = np.empty(256, np.uint8)
    for level in range(256):
        stretched = math.floor(MIDDLE_GRAY + gain * (level - mean) + 0.5)
        levels[level] = np.uint8(min(max(stretched, 0.0), 255.0))
    for line in range(crop.shape[0]):
        for i in range(crop.shape[1]):
            crop[line, i] = levels[crop[line, i]]
