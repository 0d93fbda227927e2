"""Stretching the grey levels of dim and flat crops, so that trees see differences of the size they know."""

import math

import numba
import numpy as np

__all__ = ["stretch"]

# Every so many lines of a crop are enough to know its grey levels.
LINES = 8
# More than so many times would be noise.
MOST = 16.0
MIDDLE = 128.0


@numba.njit(cache=True, nogil=True)
def stretch(crop, least):  # type: ignore[no-untyped-def]
    """Stretch grey levels whose standard deviation is small, about their mean, which becomes the middle.

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
