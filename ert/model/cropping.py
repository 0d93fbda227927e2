"""How faces are cut out of images, for training and for prediction."""

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ert._core.exceptions import InputError
from ert._core.images import to_gray
from ert._kernels import crop_resampled
from ert.model.geometry import square_box
from ert.model.limits import check_size

# Pixels of a crop, and widths of a region in sides of the box times the filter's half-width in crop pixels: together
# they bound the time of a crop.
MAX_PIXELS = 16_000_000
MAX_REGION_SIDES = 20
MAX_BLURRED_SIDES = 100


@dataclass(frozen=True)
class CropSpec:
    """How faces are cut out of images.

    Parameters
    ----------
    region : float array (4,)
        Left, top, right, bottom of the crop in box coordinates.
    working_size : int
        Crop pixels per side of the box.
    blur : float
        Half-width of the smoothing filter in crop pixels; 0 reduces by the integer factor that brings a side
        of the box nearest to `working_size` instead.
    min_contrast : float
        Gray levels with a smaller standard deviation are stretched to it.
    """

    region: npt.NDArray[np.float64]
    working_size: int
    blur: float
    min_contrast: float = 0.0

    @classmethod
    def from_header(cls, values: dict[str, Any]) -> Self:
        """Restore from the header of a model file.

        Raises
        ------
        InputError
            When the region is not a list of numbers: NumPy takes texts and booleans for numbers.
        """
        region = values["region"]
        if not isinstance(region, list) or any(type(edge) not in (int, float) for edge in region):
            raise InputError(f"region {region!r:.200}, expected left, top, right, bottom in sides of the box")
        return cls(**(values | {"region": np.array(region, np.float64)}))

    @property
    def shape(self) -> tuple[int, int]:
        """Columns and rows of a crop; without smoothing, of the largest."""
        left, top, right, bottom = self.region * self.working_size
        if self.blur == 0:
            # The factor is rounded: a side of the box has less than 1.5 times as many pixels.
            return math.ceil(1.5 * (right - left)) + 2, math.ceil(1.5 * (bottom - top)) + 2
        return math.ceil(right - left) + 1, math.ceil(bottom - top) + 1

    def cut(
        self,
        image: npt.NDArray[np.uint8],
        transform: npt.NDArray[np.float64],
        channel_order: str = "rgb",
        gray_weights: str = "luma",
        *,
        as_rows: bool = False,
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float64]]:
        """Cut out the region around one box, in gray.

        Only the part of the image that the crop needs is converted to gray, however large the image.

        Parameters
        ----------
        image : uint8 array (rows, columns) or (rows, columns, 3)
        transform : float array (6,)
            The transform of the box, upright and square.
        channel_order : {"rgb", "bgr"}
        gray_weights : {"luma", "dlib"}
            See :func:`ert._core.images.to_gray`.
        as_rows : bool
            Return the crop as (rows, columns), like an image.

        Returns
        -------
        crop : uint8 array (columns, rows)
        transform : float array (6,)
            From box coordinates to pixels of the crop.
        """
        x, y, side = transform[4], transform[5], transform[0]
        columns, rows = self._touched(x, y, side, image.shape)
        gray = to_gray(image[rows, columns], channel_order, gray_weights)
        if not gray.flags.c_contiguous or not gray.flags.writeable:
            gray = gray.copy()
        crop, placed = crop_resampled(gray, (columns.start, rows.start), (x, y, side), self.kernel_args)
        return np.ascontiguousarray(crop.T if as_rows else crop), placed

    @property
    def kernel_args(self) -> tuple[npt.NDArray[np.float64], int, float, float, tuple[int, int]]:
        """All of it, as the kernels take it."""
        return self.region, self.working_size, self.blur, self.min_contrast, self.shape

    def touched(
        self, left: float, top: float, width: float, height: float, size: tuple[int, ...]
    ) -> tuple[slice, slice]:
        """Return the columns and rows of an image (rows, columns, ...) that the crop of a box needs."""
        x, y, side = square_box(left, top, width, height)
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


def crop_native(
    image: npt.NDArray[np.uint8],
    transform: npt.NDArray[np.float64],
    region: npt.NDArray[np.float64],
    channel_order: str,
    gray_weights: str,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float64]]:
    """Cut the region around one box out of an image at its own scale, in gray, with zeros around the image.

    Parameters
    ----------
    image : uint8 array (rows, columns) or (rows, columns, 3)
    transform : float array (6,)
        The transform of the box, upright.
    region : float array (4,)
        Left, top, right, bottom in box coordinates. One pixel outside the image is kept, for all beyond it.
    channel_order : {"rgb", "bgr"}
    gray_weights : {"luma", "dlib"}

    Returns
    -------
    crop : uint8 array (columns, rows)
    transform : float array (6,)
        From box coordinates to pixels of the crop.
    """
    origin, side = transform[4:], transform[[0, 3]]
    size = np.array([image.shape[1], image.shape[0]])
    low = np.clip(np.floor(origin + region[:2] * side), -1, size).astype(int)
    high = np.clip(np.ceil(origin + region[2:] * side), low, size).astype(int) + 1
    inside_low, inside_high = np.clip(low, 0, size), np.clip(high, 0, size)
    crop = np.zeros(high - low, np.uint8)
    if (inside_low < inside_high).all():
        part = image[inside_low[1] : inside_high[1], inside_low[0] : inside_high[0]]
        x, y = inside_low - low
        crop[x : x + part.shape[1], y : y + part.shape[0]] = to_gray(part, channel_order, gray_weights).T
    return crop, np.concatenate([transform[:4], origin - low])


def raw_sizes(transforms: npt.NDArray[np.float64], region: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return the most columns and rows (n, 2) of crops of :func:`crop_native`, for images of any size."""
    return np.ceil(transforms[:, [0, 3]] * (region[2:] - region[:2])).astype(np.int64) + 3


def largest_working_size(sides: float) -> int:
    """Return the largest working size of square crops of this width, in sides of the box, without smoothing."""
    return max(1, int((math.isqrt(MAX_PIXELS) - 2) / (1.5 * sides)))


def check_crop_spec(crop_spec: CropSpec, max_blurred_sides: float = MAX_BLURRED_SIDES) -> None:
    """Check that crops have a sensible size, and do not take too long to cut."""
    region, size, blur = crop_spec.region, crop_spec.working_size, crop_spec.blur
    contrast = crop_spec.min_contrast
    if region.shape != (4,) or not (np.abs(region) <= MAX_REGION_SIDES).all() or not (region[:2] < region[2:]).all():
        raise InputError(f"region {region.tolist()}, expected left, top, right, bottom in sides of the box")
    for name, value in (("working_size", size), ("blur", blur), ("min_contrast", contrast)):
        check_size(name, value)
    sides = float((region[2:] - region[:2]).max())
    if sides * blur > max_blurred_sides:
        text = f"blur={blur:g} in a region of {sides:.3g} sides of the box"
        raise InputError(f"{text}: expected a product of at most {max_blurred_sides:g}")
    columns, rows = crop_spec.shape
    if rows * columns > MAX_PIXELS:
        raise InputError(f"crops of {columns} x {rows} pixels, expected at most {MAX_PIXELS}: reduce working_size")


def _slice(low: float, high: float, size: int) -> slice:
    start = min(max(math.floor(low), 0), size - 1)
    return slice(start, max(min(math.ceil(high) + 1, size), start + 1))


def crop_region(shapes: npt.NDArray[np.float64], padding: float, symmetric: bool) -> npt.NDArray[np.float64]:
    """Return the region that features can touch: nearly all training shapes, the padding and a margin.

    Parameters
    ----------
    shapes : float array (n, n_landmarks, 2)
        In box coordinates; missing landmarks are NaN.
    padding : float
        See :func:`ert.training.stage.draw_pool`.
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
