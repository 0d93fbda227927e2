"""The crop: the part of the image that the features can touch, at the working scale, lightly smoothed.

Without smoothing (`blur` 0) it is the image reduced by a whole factor, so that a side of the box is near
`working_size`: hardly any work, and a copy where the factor is 1.

        image pixels                       crop pixels, `working_size` a box side
+--------------------------+               +------------+
|      region (of box) ..  |               |  region    |
|     +--box--+            |   ------->    |  +-box-+   |
|     |       |            |               |  |     |   |
|     +-------+            |               |  +-----+   |
+--------------------------+               +------------+
"""

import math
from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt

from ert.contrast import stretch
from ert.errors import InputError
from ert.geometry import square_frame
from ert.images import to_grey
from ert.lanes import reduce_line
from ert.vectors import fetch

__all__ = [
    "Cropping",
    "check_cropping",
    "crop_region",
    "cut_crop",
    "cut_raw",
    "raw_sizes",
    "reduce",
    "resample",
]

MAX_PIXELS = 16_000_000
STRIP = 64
LINES_AHEAD = 6


@dataclass(frozen=True)
class Cropping:
    """How faces are cut out of images.

    Parameters
    ----------
    region : float array (4,)
        Left, top, right, bottom of the crop in box coordinates.
    working_size : int
        Crop pixels per side of the box.
    blur : float
        Half-width of the smoothing filter in crop pixels; 0 reduces by a whole factor instead.
    least_contrast : float
        See :func:`ert.contrast.stretch`.
    """

    region: npt.NDArray[np.float64]
    working_size: int
    blur: float
    least_contrast: float = 0.0

    @property
    def shape(self) -> tuple[int, int]:
        """Columns and rows of a crop: of every crop, or without smoothing of the largest."""
        left, top, right, bottom = self.region * self.working_size
        if self.blur == 0:
            # The factor is rounded: a side of the box has less than 1.5 times as many pixels.
            return math.ceil(1.5 * (right - left)) + 2, math.ceil(1.5 * (bottom - top)) + 2
        return math.ceil(right - left) + 1, math.ceil(bottom - top) + 1

    def cut(
        self,
        image: npt.NDArray[np.uint8],
        frame: npt.NDArray[np.float64],
        channels: str = "rgb",
        rgb: str = "luma",
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float64]]:
        """Cut out the region round one box, in grey.

        Only the part of the image that the crop needs is turned to grey, however large the image.

        Parameters
        ----------
        image : uint8 array (rows, columns) or (rows, columns, 3)
        frame : float array (6,)
            The box's frame, upright and square.
        channels : {"rgb", "bgr"}
        rgb : {"luma", "dlib"}
            How colours become grey, see :func:`ert.images.to_grey`.

        Returns
        -------
        crop : uint8 array (columns, rows)
        frame : float array (6,)
            From box coordinates to pixels of the crop.
        """
        x, y, side = frame[4], frame[5], frame[0]
        columns, rows = self._touched(x, y, side, image.shape)
        grey = to_grey(image[rows, columns], channels, rgb)
        if not grey.flags.c_contiguous or not grey.flags.writeable:
            grey = grey.copy()
        room, placed = np.empty(math.prod(self.shape), np.uint8), np.empty(6, np.float32)
        how = self.region, self.working_size, float(self.blur), float(self.least_contrast)
        n_columns, n_rows, step, _ = cut_crop(
            grey, columns.start, rows.start, x, y, side, *how, *self.shape, room, placed
        )
        crop = room[: n_columns * n_rows].reshape((n_rows, n_columns) if step == 1 else (n_columns, n_rows))
        return np.ascontiguousarray(crop.T) if step == 1 else crop, placed.astype(np.float64)

    def touched(
        self, left: float, top: float, width: float, height: float, size: tuple[int, ...]
    ) -> tuple[slice, slice]:
        """Return the columns and rows of an image (rows, columns, ...) that the crop of a box needs."""
        x, y, side = square_frame(left, top, width, height)
        return self._touched(x, y, side, size)

    def _touched(self, x: float, y: float, side: float, size: tuple[int, ...]) -> tuple[slice, slice]:
        step = side / self.working_size
        reach = max(1.0, self.blur * step) + 1
        left, top = x + self.region[0] * side, y + self.region[1] * side
        if self.blur == 0:
            reach = 2 * max(round(step), 1)
        right, bottom = x + self.region[2] * side, y + self.region[3] * side
        # One pixel of the crop more, for it ends with the first pixel beyond the region.
        return (
            _slice(left - reach, right + step + reach, size[1]),
            _slice(top - reach, bottom + step + reach, size[0]),
        )


def cut_raw(
    image: npt.NDArray[np.uint8],
    frame: npt.NDArray[np.float64],
    region: npt.NDArray[np.float64],
    channels: str,
    rgb: str,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float64]]:
    """Cut the region round one box out of an image as it is, in grey, with zeros round the image.

    Parameters
    ----------
    image : uint8 array (rows, columns) or (rows, columns, 3)
    frame : float array (6,)
        The box's frame, upright.
    region : float array (4,)
        Left, top, right, bottom in box coordinates. Of what lies outside the image one pixel is kept, which
        stands for all beyond.
    channels : {"rgb", "bgr"}
    rgb : {"luma", "dlib"}

    Returns
    -------
    crop : uint8 array (columns, rows)
    frame : float array (6,)
        From box coordinates to pixels of the crop.
    """
    origin, side = frame[4:], frame[[0, 3]]
    size = np.array([image.shape[1], image.shape[0]])
    low = np.clip(np.floor(origin + region[:2] * side), -1, size).astype(int)
    high = np.clip(np.ceil(origin + region[2:] * side), low, size).astype(int) + 1
    inside_low, inside_high = np.clip(low, 0, size), np.clip(high, 0, size)
    crop = np.zeros(high - low, np.uint8)
    if (inside_low < inside_high).all():
        part = image[inside_low[1] : inside_high[1], inside_low[0] : inside_high[0]]
        x, y = inside_low - low
        crop[x : x + part.shape[1], y : y + part.shape[0]] = to_grey(part, channels, rgb).T
    return crop, np.concatenate([frame[:4], origin - low])


def raw_sizes(frames: npt.NDArray[np.float64], region: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return columns and rows (n, 2) that crops of :func:`cut_raw` have at most, however large the images."""
    return np.ceil(frames[:, [0, 3]] * (region[2:] - region[:2])).astype(np.int64) + 3


def check_cropping(cropping: Cropping) -> None:
    """Check that crops have a sensible size, wherever their numbers come from.

    Raises
    ------
    InputError
    """
    region, size, blur = cropping.region, cropping.working_size, cropping.blur
    contrast = cropping.least_contrast
    if region.shape != (4,) or not (np.abs(region) <= 20).all() or not (region[:2] < region[2:]).all():
        raise InputError(f"region {region.tolist()}, expected left, top, right, bottom in sides of the box")
    if type(size) is not int or not 8 <= size <= 2000:
        raise InputError(f"working_size={size!r}: expected a whole number from 8 to 2000")
    if not isinstance(blur, (int, float)) or not 0 <= blur <= 50:
        raise InputError(f"blur={blur!r}: expected a number from 0 to 50")
    if not isinstance(contrast, (int, float)) or not 0 <= contrast <= 127:
        raise InputError(f"least_contrast={contrast!r}: expected a number from 0 to 127")
    columns, rows = cropping.shape
    if rows * columns > MAX_PIXELS:
        raise InputError(
            f"crops of {columns} x {rows} pixels, expected at most {MAX_PIXELS}: reduce working_size"
        )


def _slice(low: float, high: float, size: int) -> slice:
    start = min(max(math.floor(low), 0), size - 1)
    return slice(start, max(min(math.ceil(high) + 1, size), start + 1))


def crop_region(shapes: npt.NDArray[np.float64], padding: float, symmetric: bool) -> npt.NDArray[np.float64]:
    """Bound what features may touch: nearly all training shapes, the pool's padding and a margin.

    Parameters
    ----------
    shapes : float array (n, n_landmarks, 2)
        In box coordinates; NaN where a landmark is missing.
    padding : float
        See :func:`ert.features.draw_pool`.
    symmetric : bool
        Whether the region must be its own mirror image.

    Returns
    -------
    float array (4,)
        Left, top, right, bottom in box coordinates.
    """
    margin = 0.05 + max(padding, 0)
    low = np.quantile(np.nanmin(shapes, axis=1), 0.02, axis=0) - margin
    high = np.quantile(np.nanmax(shapes, axis=1), 0.98, axis=0) + margin
    if symmetric:
        low[0] = min(low[0], 1 - high[0])
        high[0] = 1 - low[0]
    return np.concatenate([low, high])


@numba.njit(cache=True, nogil=True)
def cut_crop(  # type: ignore[no-untyped-def]
    image, column, row, x, y, side, region, working_size, blur, least_contrast, columns, rows, room, frame
):
    """Cut the region round a box out of a grey image.

    Parameters
    ----------
    image : uint8 array (rows, columns)
        All of it, or the part of it that the crop needs.
    column, row : int
        Where in all of the image it begins.
    x, y, side : float
        The box's frame.
    region, working_size, blur, least_contrast
        See :class:`Cropping`.
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
        stretch(crop, least_contrast)
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
    stretch(crop, least_contrast)
    frame[0] = frame[3] = side / factor
    # The centre of the crop's first pixel is that of the pixels it is the mean of.
    frame[4] = (x - first_column - (factor - 1) / 2) / factor
    frame[5] = (y - first_row - (factor - 1) / 2) / factor
    return columns, rows, 1, columns


@numba.njit(cache=True, nogil=True)
def reduce(image, column, row, factor, out):  # type: ignore[no-untyped-def]
    """Reduce a part of a grey image by a whole factor.

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
    """Resample a part of a grey image with a triangle filter that widens as the image is reduced.

    Beyond its edge the image goes on with its edge pixels.

    Parameters
    ----------
    image : uint8 array (rows, columns)
    column, row : int
        Where in the image x and y are counted from.
    x, y : float
        Position of the centre of the first pixel of `out`.
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
def _triangle(centre, half, weights):  # type: ignore[no-untyped-def]
    """Write the filter's weights at the pixels from `first` on; return `first` and the weights' sum."""
    first = math.floor(centre - half) + 1
    total = np.float32(0)
    for t in range(weights.size):
        weights[t] = max(0.0, 1.0 - abs(first + t - centre) / half)
        total += weights[t]
    return first, total
