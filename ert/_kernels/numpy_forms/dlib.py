"""A cascade of dlib on a face: see :mod:`ert._kernels.predict_dlib`."""

from typing import Any

import numpy as np
import numpy.typing as npt

from ert._kernels.numpy_forms.pixels import Basis, Matrix, Pixels, Trees, pools, sum_of_leaves
from ert._kernels.numpy_forms.predict import MAX_LANDMARK_SIDES, Box, Floats, is_plain
from ert._kernels.start import choice

Floats32 = npt.NDArray[np.float32]


class NumpyDlibCascade:
    """A cascade of dlib, with the attributes of :class:`ert._kernels.predict.CompiledCascade`."""

    bound = color_part = None

    def __init__(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        self.mean_shape = arrays["mean_shape"]
        trees = map(Trees.of, arrays["pairs"], arrays["thresholds"], arrays["leaves"])
        bases = map(Basis.of, arrays["scales"], arrays["basis"])
        self.stages = list(zip(pools(arrays["anchors"], arrays["deltas"]), trees, bases, strict=True))

    def entry_point(
        self,
        image: Pixels,
        origin: tuple[int, int],
        box: Box,
        max_box_to_image: int,
        color: tuple[int, npt.NDArray[np.uint32]],
        bound: None,
        landmarks: Floats,
    ) -> bool:
        """Locate the landmarks of one face, see :func:`ert._kernels.predict_dlib.predict_face_dlib`."""
        if max_box_to_image and not is_plain(image, box, max_box_to_image):
            return False
        choice.count_runs(1)
        left, top, width, height = box
        pixels = image.reshape(len(image), -1, color[0])
        shape = self.mean_shape
        for pool, trees, basis in self.stages:
            a, b = _similarity(self.mean_shape, shape)
            (u, v), (x, y) = pool.deltas, shape[pool.anchors].T
            columns, rows = (
                np.floor(part.astype(np.float64) * (side - 1) + first + 0.5) - begin
                for part, side, first, begin in (
                    ((a * u - b * v) + x, width, left, origin[0]),
                    ((b * u + a * v) + y, height, top, origin[1]),
                )
            )
            inside = (columns >= 0) & (rows >= 0) & (columns < pixels.shape[1]) & (rows < pixels.shape[0])
            values = np.zeros(len(inside), np.uint8)
            values[inside] = _gray(pixels[rows[inside].astype(np.intp), columns[inside].astype(np.intp)], color)
            leaves = trees.leaves_of(values)
            if leaves.dtype == np.float32:
                # One after another, so that every rounding is that of dlib.
                shape = np.add.accumulate(np.vstack([shape.reshape(1, -1), leaves]))[-1].reshape(-1, 2)
            else:
                # Not rotated with the shape.
                shape = basis.product(sum_of_leaves(leaves)).reshape(-1, 2) + shape
        sides = shape.astype(np.float64).clip(-MAX_LANDMARK_SIDES, MAX_LANDMARK_SIDES)
        landmarks[0] = sides * (width - 1, height - 1) + (left, top)
        return True


def _gray(pixels: Pixels, color: tuple[int, npt.NDArray[np.uint32]]) -> npt.NDArray[Any]:
    n_channels, weights = color
    if n_channels == 1:
        return pixels[:, 0]
    total = pixels[:, 0] * weights[0] + pixels[:, 1] * weights[1] + pixels[:, 2] * weights[2]
    gray: npt.NDArray[Any] = (total + weights[3]) >> np.uint32(16)
    return gray


def _similarity(mean_shape: Floats32, shape: Floats32) -> Matrix:
    """Least-squares similarity from the mean shape to a shape, in double precision, rounded to single."""
    both = np.hstack([mean_shape, shape]).astype(np.float64)
    u, v, s, t = (both - _sum(both) / len(both)).T
    a, b, total = _sum(np.stack([u * s + v * t, u * t - v * s, u * u + v * v], axis=1))
    if total == 0:
        return np.float32(1), np.float32(0)
    return np.float32(a / total), np.float32(b / total)


def _sum(rows: Floats) -> Floats:
    """Add rows one after another."""
    total: Floats = np.add.accumulate(rows)[-1]
    return total


def compile_dlib_cascade(arrays: dict[str, npt.NDArray[Any]]) -> NumpyDlibCascade:
    """Lay out a cascade of dlib."""
    return NumpyDlibCascade(arrays)
