"""Rotate an image, with bilinear interpolation in integers."""

import numba
import numpy as np

# Positions are integers in units of 2**-PLACE_BITS pixels; FRACTION_BITS of their fractions are used, so that
# products with gray levels fit into 32 bits.
PLACE_BITS, FRACTION_BITS = 20, 10


@numba.njit(cache=True, nogil=True)
def rotate_image(image, turn, place, out):
    """Read an image along rotated lines: `out` at x, y is the image at ``turn @ (x, y) + place``.

    Gray levels are interpolated bilinearly; beyond its edges the image is extended by its edge pixels.

    Parameters
    ----------
    image : uint8 array (rows, columns)
    turn : float64 array (2, 2)
    place : float64 array (2,)
        x, y in image pixels.
    out : uint8 array (rows, columns)
        Written.
    """
    rows, columns = image.shape
    pixels = image.reshape(-1)
    one = 1 << PLACE_BITS
    right, down = np.int64(np.rint(turn[0, 0] * one)), np.int64(np.rint(turn[1, 0] * one))
    last_x, last_y = (columns - 1) * one, (rows - 1) * one
    for r in range(out.shape[0]):
        x = np.int64(np.rint((turn[0, 1] * r + place[0]) * one))
        y = np.int64(np.rint((turn[1, 1] * r + place[1]) * one))
        low, high = _inside(x, right, last_x, 0, out.shape[1])
        low, high = _inside(y, down, last_y, low, high)
        for c in range(low):
            out[r, c] = _at_edge(pixels, columns, x + c * right, y + c * down, last_x, last_y)
        for c in range(low, high):
            out[r, c] = _between(pixels, columns, x + c * right, y + c * down, 1, columns)
        for c in range(high, out.shape[1]):
            out[r, c] = _at_edge(pixels, columns, x + c * right, y + c * down, last_x, last_y)


@numba.njit(inline="always")
def _inside(start, step, last, low, high):
    """Narrow ``range(low, high)`` to the numbers c with 0 <= start + c * step < last."""
    if step == 0:
        return (low, high) if 0 <= start < last else (low, low)
    if step < 0:
        # Counted from the other end, where the same step leads upwards.
        start, step = last - 1 - start, -step
    low = min(max(low, -(start // step)), high)
    return low, max(low, min(high, -((start - last) // step)))


@numba.njit(inline="always")
def _at_edge(pixels, columns, x, y, last_x, last_y):
    x, y = min(max(x, 0), last_x), min(max(y, 0), last_y)
    # Where there is no next pixel, what is read in its place has no weight.
    return _between(pixels, columns, x, y, np.int64(x < last_x), columns * np.int64(y < last_y))


@numba.njit(inline="always")
def _between(pixels, columns, x, y, beside, under):
    i = np.uint64((y >> PLACE_BITS) * columns + (x >> PLACE_BITS))
    j = i + np.uint64(under)
    beside = np.uint64(beside)
    one = np.uint32(1 << FRACTION_BITS)
    u = np.uint32(x >> (PLACE_BITS - FRACTION_BITS)) & (one - np.uint32(1))
    v = np.uint32(y >> (PLACE_BITS - FRACTION_BITS)) & (one - np.uint32(1))
    upper = np.uint32(pixels[i]) * (one - u) + np.uint32(pixels[i + beside]) * u
    lower = np.uint32(pixels[j]) * (one - u) + np.uint32(pixels[j + beside]) * u
    half = np.uint32(1 << (2 * FRACTION_BITS - 1))
    return np.uint8((upper * (one - v) + lower * v + half) >> np.uint32(2 * FRACTION_BITS))
