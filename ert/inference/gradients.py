"""Histograms of oriented gradients (Dalal & Triggs, CVPR 2005) of small gray images, and windows of them.

gray pixels ──> gradients ──> shares of 8 directions, with sign ──> sums over cells ──> divided by those nearby
"""

import math

import numpy as np
import numpy.typing as npt

from ert._core.types import Floats, Pixels
from ert._kernels import rotate_image
from ert.inference.rotated import rotation
from ert.model.cropping import CropSpec
from ert.model.locator import CELL_PIXELS, N_DIRECTIONS

# Gradients of this size, in gray levels from a pixel to the second next, count as noise.
NOISE_LEVELS = 4.0
# Numbers of windows that are copied at once.
MAX_COPIED = 2_000_000

Features = npt.NDArray[np.float32]


def gradient_histograms(gray: Pixels) -> Features:
    """Return the histograms (rows // 4, columns // 4, 8) of the cells of an image, from 0 to 1."""
    rows, columns = (side // CELL_PIXELS for side in gray.shape)
    pixels = np.pad(gray[: rows * CELL_PIXELS, : columns * CELL_PIXELS], 1, mode="edge").astype(np.float32)
    across, down = pixels[1:-1, 2:] - pixels[1:-1, :-2], pixels[2:, 1:-1] - pixels[:-2, 1:-1]
    inverse = 1 / (np.sqrt(across * across + down * down) + 1e-3)
    histograms = np.empty((rows, columns, N_DIRECTIONS), np.float32)
    half = N_DIRECTIONS // 2
    for i in range(half):
        angle = math.pi * i / half
        along = across * np.float32(math.cos(angle)) + down * np.float32(math.sin(angle))
        # The square of the cosine: gradients count for the two nearest directions, mostly.
        shares = along * np.abs(along) * inverse
        histograms[:, :, i] = _cell_sums(np.maximum(shares, 0))
        histograms[:, :, i + half] = histograms[:, :, i] - _cell_sums(shares)
    energy = np.pad(histograms.sum(axis=2), 1, mode="edge")
    energy = energy[:-2] + energy[1:-1] + energy[2:]
    energy = (energy[:, :-2] + energy[:, 1:-1] + energy[:, 2:]) / 9
    histograms /= (energy + NOISE_LEVELS * CELL_PIXELS**2)[:, :, None]
    return np.sqrt(np.maximum(histograms, 0, out=histograms), out=histograms)


def _cell_sums(values: Features) -> Features:
    rows = values.reshape(-1, CELL_PIXELS, values.shape[1])
    sums = rows[:, 0] + rows[:, 1] + rows[:, 2] + rows[:, 3]
    cells: Features = sums[:, 0::4] + sums[:, 1::4] + sums[:, 2::4] + sums[:, 3::4]
    return cells


def windows_of(histograms: Features, rows: int, columns: int) -> Features:
    """Return a view of all windows of cells, (n_down, n_across, rows, columns, 8)."""
    views = np.lib.stride_tricks.sliding_window_view(histograms, (rows, columns), axis=(0, 1))
    return views.transpose(0, 1, 3, 4, 2)


def filter_windows(histograms: Features, filters: Features) -> Features:
    """Return weighted sums (n_down, n_across, n_filters) of all windows; filters are (n_filters, rows, columns, 8)."""
    weights = filters.reshape(len(filters), -1).T
    windows = windows_of(histograms, *filters.shape[1:3])
    sums = np.empty((*windows.shape[:2], len(filters)), np.float32)
    # Some rows of windows at a time: all are many times as large as the histograms.
    n_rows = max(1, MAX_COPIED // (windows.shape[1] * len(weights)))
    for first in range(0, len(windows), n_rows):
        part = windows[first : first + n_rows]
        sums[first : first + n_rows] = part.reshape(*part.shape[:2], -1) @ weights
    return sums


def read_window(
    gray: Pixels, center: Floats, side: float, roll: float, pixels: float, cells: tuple[int, int]
) -> Features:
    """Return the histograms (rows, columns, 8) of a window around an object, rotated back by a roll.

    Parameters
    ----------
    gray : uint8 array (rows, columns)
    center : float array (2,)
        x, y of the middle of the window, in pixels.
    side : float
        The mean side of the object's box in pixels, which `pixels` of the window show.
    roll : float
        In degrees, clockwise.
    cells : rows, columns
    """
    # One cell more on each side, which the histograms are divided by.
    size = CELL_PIXELS * (np.array(cells[::-1]) + 2)
    radius = (float(np.hypot(*size)) / 2 + 2) / pixels
    spec = CropSpec(np.array([0.5 - radius, 0.5 - radius, 0.5 + radius, 0.5 + radius]), round(pixels), 1.0)
    transform = np.array([side, 0, 0, side, center[0] - side / 2, center[1] - side / 2])
    crop, placed = spec.cut(gray, transform, as_rows=True)
    turn = rotation(roll) * (placed[0] / pixels)
    window = np.empty((size[1], size[0]), np.uint8)
    middle = placed[4:] + placed[0] / 2
    rotate_image(crop, turn, middle - turn @ ((size - 1) / 2), window)
    return gradient_histograms(window)[1:-1, 1:-1]
