"""Faces cut out and set upright: what recognition and averages start from."""

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ert._core.exceptions import InputError
from ert._core.images import check_image
from ert._core.types import Floats
from ert.faces.regions import check_face
from ert.model.procrustes import fit_similarity
from ert.model.schemes import FACE5_OF_FACE68
from ert.predictor import load

__all__ = [
    "Chip",
    "chip",
    "face_template",
]


@dataclass(frozen=True)
class Chip:
    """A face cut out of an image.

    Parameters
    ----------
    image : uint8 array (size, size) or (size, size, 3)
    matrix : float array (2, 3)
        Carries points of the image into the chip: ``chip_xy = matrix @ (x, y, 1)``.
    """

    image: NDArray[np.uint8]
    matrix: Floats

    def to_chip(self, points: ArrayLike) -> Floats:
        """Carry points (..., 2) of the image into the chip."""
        carried: Floats = np.asarray(points, np.float64) @ self.matrix[:, :2].T + self.matrix[:, 2]
        return carried

    def to_image(self, points: ArrayLike) -> Floats:
        """Carry points (..., 2) of the chip back into the image."""
        carried: Floats = (np.asarray(points, np.float64) - self.matrix[:, 2]) @ np.linalg.inv(
            self.matrix[:, :2]
        ).T
        return carried


def chip(
    image: NDArray[np.uint8],
    landmarks: ArrayLike,
    size: int = 160,
    *,
    padding: float = 0.25,
    template: ArrayLike | None = None,
) -> Chip:
    """Cut a face out of an image, moved, turned and scaled so that its landmarks meet a template.

    The similarity is the one of least squares; proportions and expression stay as they are. What lies outside
    the image is black. Large faces are reduced without aliasing.

    Parameters
    ----------
    image : uint8 array (rows, columns) or (rows, columns, 3)
        In any order of colors.
    landmarks : (n_landmarks, 2) array-like
        x, y in pixels; NaN = missing.
    size : int
        Side of the chip in pixels.
    padding : float
        Without `template`: the margin on each side of the 68 landmarks, as a part of their longer extent.
    template : (n_landmarks, 2) array-like, optional
        Where the landmarks belong in the chip, x and y in its pixels. By default the mean shape of `face68`,
        for its 68 points and for the five of `face5`.

    Returns
    -------
    Chip
        The picture, and the matrix that carries points along.

    Raises
    ------
    InputError
        When an argument is not as described, or fewer than two different landmarks are known.
    """
    image = check_image(image)
    if size < 1:
        raise InputError(f"size: a chip of {size} pixels, expected at least 1")
    if template is None:
        points = check_face(landmarks, 68, 5, many=False)
        target = face_template(len(points), size, padding)
    else:
        points, target = check_face(landmarks, many=False), np.asarray(template, np.float64)
        if target.shape != points.shape:
            raise InputError(f"template: array of shape {target.shape}, expected {points.shape}")
    matrix = _chip_matrix(points, target)
    return Chip(_cut(image, matrix, size), matrix)


def face_template(n_landmarks: int, size: int, padding: float = 0.25) -> Floats:
    """Return the mean shape of `face68` as it lies in a chip.

    Parameters
    ----------
    n_landmarks : {68, 5}
        Which points: all, or those of `face5`.
    size, padding
        See :func:`chip`.

    Returns
    -------
    float64 array (n_landmarks, 2)
        x and y in pixels of the chip.

    Raises
    ------
    InputError
        When the padding is negative or not finite.
    """
    if not 0 <= padding < math.inf:
        raise InputError(f"padding: {padding!r}, expected 0 or more")
    mean = _mean_face()
    low, high = mean.min(axis=0), mean.max(axis=0)
    # A chip reaches half a pixel beyond the centers of its outermost pixels.
    scale = size / ((high - low).max() * (1 + 2 * padding))
    placed = (mean - (low + high) / 2) * scale + (size - 1) / 2
    template: Floats = placed if n_landmarks == 68 else placed[list(FACE5_OF_FACE68)]
    return template


@cache
def _mean_face() -> Floats:
    return np.array(load("face68").fitted_.cascade.mean_shape, np.float64)


def _chip_matrix(points: Floats, target: Floats) -> Floats:
    """Return the matrix (2, 3) of least squares that moves, turns and scales points onto a target."""
    known = np.isfinite(points).all(axis=1) & np.isfinite(target).all(axis=1)
    if known.sum() < 2 or not np.ptp(points[known], axis=0).sum() > 0:
        raise InputError(f"landmarks: {known.sum()} are known, expected two that differ at least")
    turn, middle, center = fit_similarity(points[known], target[known])
    if abs(turn) == 0:
        raise InputError("template: its points coincide, expected a shape")
    shift = center - turn * middle
    return np.array([(turn.real, -turn.imag, shift.real), (turn.imag, turn.real, shift.imag)])


def _cut(image: NDArray[np.uint8], matrix: Floats, size: int) -> NDArray[np.uint8]:
    from PIL import Image

    # Pillow's coordinates are 0.5 in the center of the first pixel; back is from the chip into the image.
    back = np.linalg.inv(np.vstack([matrix, (0, 0, 1)]))[:2]
    back[:, 2] += 0.5 - back[:, :2].sum(axis=1) / 2
    corners = np.array([(0, 0, 1), (size, 0, 1), (0, size, 1), (size, size, 1)]) @ back.T
    factor = int(min(max(math.hypot(*back[:, 0]) + 1e-6, 1), max(image.shape[:2])))
    low = np.maximum(np.floor(corners.min(axis=0)) - 2 * factor, 0).astype(int)
    high = np.minimum(np.ceil(corners.max(axis=0)) + 2 * factor, image.shape[1::-1]).astype(int)
    if (high <= low).any():
        return np.zeros((size, size, *image.shape[2:]), np.uint8)
    part = Image.fromarray(np.ascontiguousarray(image[low[1] : high[1], low[0] : high[0]]))
    back[:, 2] -= low
    if factor > 1:
        part, back = part.reduce(factor), back / factor
    coefficients: Any = tuple(back.ravel().tolist())
    cut = np.empty((size, size, len(part.getbands())))
    for number, channel in enumerate(part.split()):
        # As floats: of bytes Pillow cuts the fractions off.
        floats = channel.convert("F").transform(
            (size, size), Image.Transform.AFFINE, coefficients, Image.Resampling.BICUBIC
        )
        cut[..., number] = np.asarray(floats)
    pixels: NDArray[np.uint8] = np.rint(cut.clip(0, 255)).astype(np.uint8)
    return pixels[..., 0] if image.ndim == 2 else pixels
