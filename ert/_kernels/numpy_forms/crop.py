"""The crop of a face: see :mod:`ert._kernels.crop`."""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Square = tuple[float, float, float]
# region, working_size, blur, min_contrast, (columns, rows)
CropSpec = tuple[npt.NDArray[np.float64], int, float, float, tuple[int, int]]

_CONTRAST_LINE_STEP, _MAX_GAIN, _MIDDLE_GRAY = 8, 16.0, 128.0
_MAX_PLACE = 5e8


class Crop(NamedTuple):
    """A crop: its lines as they lie in memory, and the transform from box coordinates to its pixels.

    Parameters
    ----------
    lines : uint8 array
        Rows of pixels, or columns if `by_columns`.
    by_columns : bool
    transform : float32 array (6,)
    """

    lines: Pixels
    by_columns: bool
    transform: npt.NDArray[np.float32]

    @property
    def pixels(self) -> Pixels:
        """The pixels (columns, rows)."""
        return self.lines if self.by_columns else self.lines.T


def square_box(left: float, top: float, width: float, height: float) -> Square:
    """Return the square with a box's center and the mean of its sides, as x, y, side."""
    side = (width + height) / 2 - 1
    return left + (width - 1 - side) / 2, top + (height - 1 - side) / 2, side


def crop_resampled(
    image: Pixels, origin: tuple[int, int], square: Square, spec: CropSpec
) -> tuple[Pixels, npt.NDArray[np.float64]]:
    """Cut the region around a box out of a gray image."""
    crop = cut_crop(image, origin, square, spec)
    return crop.pixels, crop.transform.astype(np.float64)


def cut_crop(image: Pixels, origin: tuple[int, int], square: Square, spec: CropSpec) -> Crop:
    """Cut the region around a box out of a gray image."""
    region, working_size, blur, min_contrast, (columns, rows) = spec
    x, y, side = map(float, square)
    if not (abs(x) < _MAX_PLACE and abs(y) < _MAX_PLACE and 0 < side < _MAX_PLACE / 64):
        x, y, side = 0.0, 0.0, 1.0
    first_x, first_y = math.floor(x), math.floor(y)
    x -= first_x
    y -= first_y
    column, row = first_x - origin[0], first_y - origin[1]
    low_x, low_y, high_x, high_y = map(float, region)
    left, top = x + low_x * side, y + low_y * side
    transform = np.zeros(6, np.float32)
    if blur > 0:
        crop = _resample(image, column, row, (left, top, side / working_size), blur, (columns, rows))
        transform[:] = (working_size, 0, 0, working_size, -low_x * working_size, -low_y * working_size)
        return Crop(_stretched(crop, min_contrast), True, transform)
    factor = max(1, math.floor(side / working_size + 0.5))
    first_column, first_row = math.floor(left), math.floor(top)
    columns = max(min(math.ceil((high_x - low_x) * side / factor) + 1, columns), 1)
    rows = max(min(math.ceil((high_y - low_y) * side / factor) + 1, rows), 1)
    crop = _reduce(image, column + first_column, row + first_row, factor, (rows, columns))
    transform[0] = transform[3] = side / factor
    transform[4] = (x - first_column - (factor - 1) / 2) / factor
    transform[5] = (y - first_row - (factor - 1) / 2) / factor
    return Crop(_stretched(crop, min_contrast), False, transform)


def _reduce(image: Pixels, column: int, row: int, factor: int, shape: tuple[int, int]) -> Pixels:
    near = (factor - 1) // 4 if factor > 2 else 0
    at = [
        [(start + factor * np.arange(n) + place).clip(0, size - 1) for place in (near, factor - 1 - near)]
        for start, n, size in zip((row, column), shape, image.shape, strict=True)
    ]
    total = np.full(shape, 2, np.uint16)
    for rows in at[0]:
        some = image[rows]
        for columns in at[1]:
            total += some[:, columns]
    reduced: Pixels = (total >> 2).astype(np.uint8)
    return reduced


def _resample(image: Pixels, column: int, row: int, places: Square, blur: float, shape: tuple[int, int]) -> Pixels:
    x, y, step = places
    half = max(1.0, blur * step)
    columns, rows = shape
    across, firsts = _triangles(x + step * np.arange(columns), half)
    down, tops = _triangles(y + step * np.arange(rows), half)
    lines = np.zeros((rows, image.shape[1]), np.float32)
    for t in range(down.shape[1]):
        source = image[(tops + row + t).clip(0, image.shape[0] - 1)]
        lines += down[:, t, None] * source.astype(np.float32)
    sums = np.full((columns, rows), 0.5, np.float32)
    turned = np.ascontiguousarray(lines.T)
    for t in range(across.shape[1]):
        sums += across[:, t, None] * turned[(firsts + column + t).clip(0, image.shape[1] - 1)]
    return sums.astype(np.int32).astype(np.uint8)


def _triangles(centers: npt.NDArray[Any], half: float) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Return the filter's weights (n, n_taps), and the pixels of the first of each."""
    firsts = np.floor(centers - half).astype(np.int64) + 1
    taps = np.arange(math.ceil(2 * half))
    distances = np.abs(firsts[:, None] + taps - centers[:, None])
    weights = np.maximum(0.0, 1.0 - distances / half).astype(np.float32)
    # One after another, as the kernel adds them up.
    totals = np.add.accumulate(weights, axis=1)[:, -1:]
    shares: npt.NDArray[np.float32] = weights / totals
    return shares, firsts


def _stretched(crop: Pixels, min_contrast: float) -> Pixels:
    """Stretch gray levels with a small standard deviation about their mean, which becomes middle gray."""
    if min_contrast <= 0:
        return crop
    some = crop[::_CONTRAST_LINE_STEP].astype(np.int64)
    mean = int(some.sum()) / some.size
    deviation = math.sqrt(max(int((some * some).sum()) / some.size - mean * mean, 0.0))
    if deviation >= min_contrast:
        return crop
    gain = _MAX_GAIN if deviation * _MAX_GAIN <= min_contrast else min_contrast / deviation
    levels: Any = np.floor(_MIDDLE_GRAY + gain * (np.arange(256) - mean) + 0.5)
    stretched: Pixels = levels.clip(0.0, 255.0).astype(np.uint8)[crop]
    return stretched
