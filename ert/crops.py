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

import numba
import numpy as np
import numpy.typing as npt

__all__ = ["crop_source", "crop_to_frame", "resample"]


def crop_source(
    frame: npt.NDArray[np.float64], region: npt.NDArray[np.float64], working_size: int
) -> tuple[float, float, float, int, int]:
    """Say where a crop lies in the image.

    Parameters
    ----------
    frame : float array (6,)
        An upright square frame of a box (see :func:`ert.geometry.box_frames`).
    region : float array (4,)
        Left, top, right, bottom of the crop in box coordinates.
    working_size : int
        Crop pixels per side of the box.

    Returns
    -------
    x, y : float
        Image position of the centre of the crop's first pixel.
    step : float
        Image pixels per crop pixel.
    rows, columns : int
        Size of the crop.
    """
    step = frame[0] / working_size
    rows = math.ceil((region[3] - region[1]) * working_size) + 1
    columns = math.ceil((region[2] - region[0]) * working_size) + 1
    return frame[4] + region[0] * frame[0], frame[5] + region[1] * frame[3], step, rows, columns


def crop_to_frame(region: npt.NDArray[np.float64], working_size: int) -> npt.NDArray[np.float64]:
    """Return the frame (6,) from box coordinates to pixels of the crop."""
    side = float(working_size)
    return np.array([side, 0.0, 0.0, side, -region[0] * side, -region[1] * side])


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
        Half the filter's width in pixels of `out`; it never gets below one pixel of the image, where the filter
        is bilinear interpolation.
    out : uint8 array
    """
    n_rows, n_columns = image.shape
    rows, columns = out.shape
    half = max(1.0, blur * step)
    taps = int(math.ceil(2 * half))
    weights = np.empty((columns, taps), np.float32)
    sources = np.empty((columns, taps), np.int32)
    for c in range(columns):
        first, total = _triangle(x + c * step, half, weights[c])
        for t in range(taps):
            weights[c, t] /= total
            sources[c, t] = min(max(first + t, 0), n_columns - 1)
    low = sources[0, 0]
    line = np.empty(sources[columns - 1, taps - 1] + 1 - low, np.float32)
    row_weights = np.empty(taps, np.float32)
    for r in range(rows):
        first, total = _triangle(y + r * step, half, row_weights)
        line[:] = 0
        for t in range(taps):
            weight = row_weights[t] / total
            source = image[min(max(first + t, 0), n_rows - 1), low : low + line.size]
            for i in range(line.size):
                line[i] += weight * np.float32(source[i])
        for c in range(columns):
            value = np.float32(0.5)
            for t in range(taps):
                value += weights[c, t] * line[sources[c, t] - low]
            out[r, c] = np.uint8(value)


@numba.njit(cache=True, nogil=True)
def _triangle(centre, half, weights):  # type: ignore[no-untyped-def]
    """Write the filter's weights at the pixels from `first` on; return `first` and the weights' sum."""
    first = int(math.floor(centre - half)) + 1
    total = np.float32(0)
    for t in range(weights.size):
        weights[t] = max(0.0, 1.0 - abs(first + t - centre) / half)
        total += weights[t]
    return first, total
