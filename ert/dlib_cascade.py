"""A cascade as dlib trained it, run as dlib runs it, to the same pixels and the same rounding.

What differs from :mod:`ert.cascade`: pixels are read from the image, 0 outside it; the box is stretched
to the unit square; leaves are whole shapes of floats; the similarity does not turn them.
"""

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

__all__ = ["DlibCascade", "predict_dlib"]


@dataclass(frozen=True)
class DlibCascade:
    """The arrays of a `shape_predictor`; the first axis of all but the mean shape is the stage.

    Parameters
    ----------
    mean_shape : float32 array (n_landmarks, 2)
        The start shape, in box coordinates.
    anchors : uint16 array (n_stages, n_pixels)
    deltas : float32 array (n_stages, n_pixels, 2)
    pairs : uint16 array (n_stages, n_trees, n_splits, 2)
    thresholds : float32 array (n_stages, n_trees, n_splits)
    leaves : float32 array (n_stages, n_trees, n_leaves, 2 * n_landmarks)
        x0, y0, x1, y1, ...
    """

    mean_shape: npt.NDArray[np.float32]
    anchors: npt.NDArray[np.uint16]
    deltas: npt.NDArray[np.float32]
    pairs: npt.NDArray[np.uint16]
    thresholds: npt.NDArray[np.float32]
    leaves: npt.NDArray[np.float32]

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """All arrays by name."""
        return dict(vars(self))


@numba.njit(cache=True, nogil=True)
def predict_dlib(  # type: ignore[no-untyped-def]
    image, left, top, width, height, mean_shape, anchors, deltas, pairs, thresholds, leaves, shape
):
    """Run dlib's cascade on a grey image.

    The order of the additions and the precision of every step are dlib's (`shape_predictor.h`), because a
    last bit decides now and then which pixel is read.

    Parameters
    ----------
    image : uint8 array (rows, columns)
    left, top, width, height : float
        The box; its unit square reaches to the centre of its last pixel.
    mean_shape, anchors, deltas, pairs, thresholds, leaves
        See :class:`DlibCascade`.
    shape : float32 array (n_landmarks, 2)
        Written, in box coordinates.
    """
    rows, columns = image.shape
    n_stages, n_trees, n_splits = thresholds.shape
    n_pixels = anchors.shape[1]
    values = np.empty(n_pixels, np.float32)
    flat = shape.reshape(-1)
    shape[:] = mean_shape
    for stage in range(n_stages):
        a, b = _similarity(mean_shape, shape)
        for p in range(n_pixels):
            u, v = deltas[stage, p]
            anchor = anchors[stage, p]
            px = np.float32(np.float32(a * u) - np.float32(b * v)) + shape[anchor, 0]
            py = np.float32(np.float32(b * u) + np.float32(a * v)) + shape[anchor, 1]
            x = np.floor(np.float64(px) * (width - 1) + left + 0.5)
            y = np.floor(np.float64(py) * (height - 1) + top + 0.5)
            values[p] = 0
            if x >= 0 and y >= 0 and x < columns and y < rows:
                values[p] = image[int(y), int(x)]
        for tree in range(n_trees):
            node = 0
            while node < n_splits:
                first, second = pairs[stage, tree, node]
                go_left = values[first] - values[second] > thresholds[stage, tree, node]
                node = 2 * node + 1 if go_left else 2 * node + 2
            leaf = leaves[stage, tree, node - n_splits]
            for i in range(flat.shape[0]):
                flat[i] += leaf[i]


@numba.njit(cache=True, nogil=True)
def _similarity(mean_shape, shape):  # type: ignore[no-untyped-def]
    """Least-squares similarity from the mean shape to a shape, in double precision, rounded to single."""
    n = shape.shape[0]
    mean_x = mean_y = x = y = 0.0
    for i in range(n):
        mean_x += mean_shape[i, 0]
        mean_y += mean_shape[i, 1]
        x += shape[i, 0]
        y += shape[i, 1]
    mean_x, mean_y, x, y = mean_x / n, mean_y / n, x / n, y / n
    a = b = total = 0.0
    for i in range(n):
        u, v = mean_shape[i, 0] - mean_x, mean_shape[i, 1] - mean_y
        s, t = shape[i, 0] - x, shape[i, 1] - y
        a += u * s + v * t
        b += u * t - v * s
        total += u * u + v * v
    if total == 0:
        return np.float32(1), np.float32(0)
    return np.float32(a / total), np.float32(b / total)
