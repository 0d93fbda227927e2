"""Convert color to gray, and rotate an image, in integers: see :mod:`ert._kernels.images`."""

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]

# Pixels that are computed at once: their numbers take little memory, and stay in the processor's cache.
_PIXELS_AT_ONCE = 100_000
# Positions are integers in units of 2**-_PLACE_BITS pixels, of which _FRACTION_BITS are used.
_PLACE_BITS, _FRACTION_BITS = 20, 10


def to_gray(image: Pixels, row: int, column: int, weights: npt.NDArray[np.uint32], out: Pixels) -> None:
    """Convert a part of a color image to gray."""
    n_rows, n_columns = out.shape
    part = image[row : row + n_rows, column : column + n_columns]
    step = max(1, _PIXELS_AT_ONCE // max(n_columns, 1))
    for first in range(0, n_rows, step):
        some = part[first : first + step]
        total = some[:, :, 0] * weights[0]
        total += some[:, :, 1] * weights[1]
        total += some[:, :, 2] * weights[2]
        total += weights[3]
        out[first : first + step] = total >> np.uint32(16)


def rotate_image(image: Pixels, turn: npt.NDArray[np.float64], place: npt.NDArray[np.float64], out: Pixels) -> None:
    """Read an image along rotated lines: `out` at x, y is the image at ``turn @ (x, y) + place``."""
    pixels, one = image.reshape(-1), 1 << _PLACE_BITS
    rows, columns = image.shape
    last_x, last_y = (columns - 1) * one, (rows - 1) * one
    mask, shift, whole = (1 << _FRACTION_BITS) - 1, _PLACE_BITS - _FRACTION_BITS, 1 << _FRACTION_BITS
    across = [np.arange(out.shape[1]) * int(np.rint(turn[k, 0] * one)) for k in (0, 1)]
    step = max(1, _PIXELS_AT_ONCE // max(out.shape[1], 1))
    for first in range(0, len(out), step):
        part = out[first : first + step]
        r = np.arange(first, first + len(part))[:, None]
        starts = (np.rint((turn[k, 1] * r + place[k]) * one).astype(np.int64) for k in (0, 1))
        x, y = (start + line for start, line in zip(starts, across, strict=True))
        x, y = x.clip(0, last_x), y.clip(0, last_y)
        i = (y >> _PLACE_BITS) * columns + (x >> _PLACE_BITS)
        # Where there is no next pixel, what is read in its place has no weight.
        beside, j = x < last_x, i + columns * (y < last_y)
        u, v = (x >> shift) & mask, (y >> shift) & mask
        upper = pixels[i] * (whole - u) + pixels[i + beside] * u
        lower = pixels[j] * (whole - u) + pixels[j + beside] * u
        part[...] = (upper * (whole - v) + lower * v + (1 << (2 * _FRACTION_BITS - 1))) >> (2 * _FRACTION_BITS)
