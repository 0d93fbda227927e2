"""The crop: the part of the image that the features can touch, at the working scale, lightly smoothed.

        image pixels                       crop pixels, `working_size` a box side
+--------------------------+               +------------+
|      region (of box) ..  |               |  region    |
|     +--box--+            |   ------->    |  +-box-+   |
|     |       |            |               |  |     |   |
|     +-------+            |               |  +-----+   |
+--------------------------+               +------------+
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numba
import numpy as np
import numpy.typing as npt

from ert.errors import InputError
from ert.images import to_grey

__all__ = ["Cropping", "Crops", "check_cropping", "crop_region", "cut_raw", "resample"]

MAX_PIXELS = 16_000_000


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
        Half-width of the smoothing filter in crop pixels.
    """

    region: npt.NDArray[np.float64]
    working_size: int
    blur: float

    @property
    def frame(self) -> npt.NDArray[np.float64]:
        """The frame (6,) from box coordinates to pixels of the crop."""
        side = float(self.working_size)
        return np.array([side, 0.0, 0.0, side, -self.region[0] * side, -self.region[1] * side])

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of a crop."""
        left, top, right, bottom = self.region * self.working_size
        return math.ceil(bottom - top) + 1, math.ceil(right - left) + 1

    def cut(
        self,
        image: npt.NDArray[np.uint8],
        frame: npt.NDArray[np.float64],
        channels: str = "rgb",
        rgb: str = "luma",
    ) -> npt.NDArray[np.uint8]:
        """Resample the region round one box, in grey.

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
        uint8 array of :attr:`shape`
        """
        step = frame[0] / self.working_size
        x = frame[4] + self.region[0] * frame[0]
        y = frame[5] + self.region[1] * frame[0]
        crop = np.empty(self.shape, np.uint8)
        reach = max(1.0, self.blur * step) + 1
        columns = _touched(x - reach, x + crop.shape[1] * step + reach, image.shape[1])
        rows = _touched(y - reach, y + crop.shape[0] * step + reach, image.shape[0])
        grey = to_grey(image[rows, columns], channels, rgb)
        resample(grey, x - columns.start, y - rows.start, step, self.blur, crop)
        return crop


@dataclass(frozen=True)
class Crops:
    """The crops of many objects, one after another in memory.

    Parameters
    ----------
    pixels : uint8 array (n_pixels,)
    places : int64 array (n_objects, 3)
        Of each crop the number of its first pixel, its rows and its columns.
    frames : float64 array (n_objects, 6)
        From box coordinates to pixels of each crop.
    """

    pixels: npt.NDArray[np.uint8]
    places: npt.NDArray[np.int64]
    frames: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.places)

    @classmethod
    def of_one_size(cls, crops: npt.NDArray[np.uint8], frame: npt.NDArray[np.float64]) -> Self:
        """Take crops (n_objects, rows, columns) of one :class:`Cropping`."""
        n, rows, columns = crops.shape
        first = np.arange(n, dtype=np.int64) * (rows * columns)
        places = np.stack([first, np.full(n, rows), np.full(n, columns)], axis=1)
        return cls(crops.reshape(-1), places, np.tile(frame, (n, 1)))

    @classmethod
    def of_many_sizes(cls, crops: Sequence[npt.NDArray[np.uint8]], frames: npt.NDArray[np.float64]) -> Self:
        """Take a list of crops (rows, columns), as :func:`cut_raw` cuts them."""
        sizes = np.array([crop.shape for crop in crops], np.int64).reshape(len(crops), 2)
        ends = np.cumsum(sizes.prod(axis=1))
        first = np.concatenate([np.zeros(1, np.int64), ends[:-1]])[: len(crops)]
        pixels = np.concatenate([crop.reshape(-1) for crop in crops]) if crops else np.empty(0, np.uint8)
        return cls(pixels, np.column_stack([first, sizes]), frames)


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
    crop : uint8 array (rows, columns)
    frame : float array (6,)
        From box coordinates to pixels of the crop.
    """
    origin, side = frame[4:], frame[[0, 3]]
    size = np.array([image.shape[1], image.shape[0]])
    low = np.clip(np.floor(origin + region[:2] * side), -1, size).astype(int)
    high = np.clip(np.ceil(origin + region[2:] * side), low, size).astype(int) + 1
    inside_low, inside_high = np.clip(low, 0, size), np.clip(high, 0, size)
    crop = np.zeros((high - low)[::-1], np.uint8)
    if (inside_low < inside_high).all():
        part = image[inside_low[1] : inside_high[1], inside_low[0] : inside_high[0]]
        x, y = inside_low - low
        crop[y : y + part.shape[0], x : x + part.shape[1]] = to_grey(part, channels, rgb)
    return crop, np.concatenate([frame[:4], origin - low])


def check_cropping(cropping: Cropping) -> None:
    """Check that crops have a sensible size, wherever their numbers come from.

    Raises
    ------
    InputError
    """
    region, size, blur = cropping.region, cropping.working_size, cropping.blur
    if region.shape != (4,) or not (np.abs(region) <= 20).all() or not (region[:2] < region[2:]).all():
        raise InputError(f"region {region.tolist()}, expected left, top, right, bottom in sides of the box")
    if type(size) is not int or not 8 <= size <= 2000:
        raise InputError(f"working_size={size!r}: expected a whole number from 8 to 2000")
    if not isinstance(blur, (int, float)) or not 0 <= blur <= 50:
        raise InputError(f"blur={blur!r}: expected a number from 0 to 50")
    rows, columns = cropping.shape
    if rows * columns > MAX_PIXELS:
        raise InputError(
            f"crops of {columns} x {rows} pixels, expected at most {MAX_PIXELS}: reduce working_size"
        )


def _touched(low: float, high: float, size: int) -> slice:
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
    margin = 0.15 + max(padding, 0)
    low = np.quantile(np.nanmin(shapes, axis=1), 0.02, axis=0) - margin
    high = np.quantile(np.nanmax(shapes, axis=1), 0.98, axis=0) + margin
    if symmetric:
        low[0] = min(low[0], 1 - high[0])
        high[0] = 1 - low[0]
    return np.concatenate([low, high])


@numba.njit(cache=True, nogil=True)
def resample(image, x, y, step, blur, out):  # type: ignore[no-untyped-def]
    """Resample a part of a grey image with a triangle filter that widens as the image is reduced.

    Beyond its edge the image goes on with its edge pixels.

    Parameters
    ----------
    image : uint8 array (rows, columns)
    x, y : float
        Image position of the centre of the first pixel of `out`.
    step : float
        Image pixels per pixel of `out`.
    blur : float
        Half the filter's width in pixels of `out`; it never gets below one pixel of the image, where the
        filter is bilinear interpolation.
    out : uint8 array
    """
    n_rows, n_columns = image.shape
    rows, columns = out.shape
    half = max(1.0, blur * step)
    taps = math.ceil(2 * half)
    # Tap by tap, so that the loops over columns below have no branches and become vector instructions.
    weights = np.empty((taps, columns), np.float32)
    sources = np.empty((taps, columns), np.int32)
    tap_weights = np.empty(taps, np.float32)
    for c in range(columns):
        first, total = _triangle(x + c * step, half, tap_weights)
        for t in range(taps):
            weights[t, c] = tap_weights[t] / total
            sources[t, c] = min(max(first + t, 0), n_columns - 1)
    low = sources[0, 0]
    high = sources[taps - 1, columns - 1] + 1
    sources -= low
    line = np.empty(high - low, np.float32)
    sums = np.empty(columns, np.float32)
    for r in range(rows):
        first, total = _triangle(y + r * step, half, tap_weights)
        line[:] = 0
        for t in range(taps):
            weight = tap_weights[t] / total
            source = image[min(max(first + t, 0), n_rows - 1), low:high]
            for i in range(line.size):
                line[i] += weight * np.float32(source[i])
        sums[:] = np.float32(0.5)
        for t in range(taps):
            for c in range(columns):
                sums[c] += weights[t, c] * line[sources[t, c]]
        for c in range(columns):
            out[r, c] = np.uint8(np.int32(sums[c]))


@numba.njit(cache=True, nogil=True)
def _triangle(centre, half, weights):  # type: ignore[no-untyped-def]
    """Write the filter's weights at the pixels from `first` on; return `first` and the weights' sum."""
    first = math.floor(centre - half) + 1
    total = np.float32(0)
    for t in range(weights.size):
        weights[t] = max(0.0, 1.0 - abs(first + t - centre) / half)
        total += weights[t]
    return first, total
