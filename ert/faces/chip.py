"""Aligned face crops, as used for recognition and averages."""

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ert._core.exceptions import InputError
from ert._core.images import check_image
from ert._core.types import Floats, Pixels
from ert.faces.regions import check_face
from ert.model.procrustes import fit_similarity
from ert.model.schemes import FACE5_OF_FACE68
from ert.predictor import load


@dataclass(frozen=True, repr=False)
class Chip:
    """An aligned crop of a face.

    Parameters
    ----------
    image : uint8 array (size, size) or (size, size, 3)
    matrix : float array (2, 3)
        Transform from image to chip coordinates: ``chip_xy = matrix @ (x, y, 1)``.
    """

    image: Pixels
    matrix: Floats

    def to_chip(self, points: ArrayLike) -> Floats:
        """Transform points (..., 2) from image to chip coordinates."""
        chip_points: Floats = np.asarray(points, np.float64) @ self.matrix[:, :2].T + self.matrix[:, 2]
        return chip_points

    def to_image(self, points: ArrayLike) -> Floats:
        """Transform points (..., 2) from chip to image coordinates."""
        inverse = np.linalg.inv(self.matrix[:, :2])
        image_points: Floats = (np.asarray(points, np.float64) - self.matrix[:, 2]) @ inverse.T
        return image_points

    def __repr__(self) -> str:
        rows, columns = self.image.shape[:2]
        color = "gray" if self.image.ndim == 2 else "color"
        a, b = self.matrix[:, 0]
        angle = math.degrees(math.atan2(b, a))
        return f"Chip({columns} x {rows} pixels, {color}, scale {math.hypot(a, b):.3g}, rotation {angle:.1f}°)"


def chip(
    image: Pixels, landmarks: ArrayLike, size: int = 160, *, padding: float = 0.25, template: ArrayLike | None = None
) -> Chip:
    """Crop a face, moved, rotated and scaled so that its landmarks match a template.

    The similarity is fitted by least squares and keeps proportions and expression. Pixels outside the image
    are black. Large faces are reduced without aliasing.

    Parameters
    ----------
    image : uint8 array (rows, columns) or (rows, columns, 3)
        The order of the colors does not matter.
    landmarks : (n_landmarks, 2) array-like
        x, y in pixels; NaN = missing.
    size : int
        Side of the chip in pixels.
    padding : float
        Without `template`: margin on each side of the 68 landmarks, as a fraction of their longer extent.
    template : (n_landmarks, 2) array-like, optional
        Target positions of the landmarks in the chip, in its pixels. By default the mean shape of `face68`,
        for its 68 landmarks and for the five of `face5`.

    Returns
    -------
    Chip
        The crop and the transform of its points.

    Raises
    ------
    InputError
        When an argument is invalid, or fewer than two distinct landmarks are present.
    """
    image = check_image(image)
    if size < 1:
        raise InputError(f"size: {size} pixels, expected at least 1")
    if template is None:
        points = check_face(landmarks, 68, 5, many=False)
        target = face_template(len(points), size, padding)
    else:
        points, target = check_face(landmarks, many=False), np.asarray(template, np.float64)
        if target.shape != points.shape:
            raise InputError(f"template: array of shape {target.shape}, expected {points.shape}")
    matrix = _chip_matrix(points, target)
    return Chip(_crop(image, matrix, size), matrix)


def face_template(n_landmarks: int, size: int, padding: float = 0.25) -> Floats:
    """Return the mean shape of `face68`, or of its five landmarks in `face5`, in pixels of a chip."""
    if not 0 <= padding < math.inf:
        raise InputError(f"padding: {padding!r}, expected 0 or more")
    mean = _mean_face()
    low, high = mean.min(axis=0), mean.max(axis=0)
    # A chip extends half a pixel beyond the centers of its outermost pixels.
    scale = size / ((high - low).max() * (1 + 2 * padding))
    placed: Floats = (mean - (low + high) / 2) * scale + (size - 1) / 2
    return placed if n_landmarks == 68 else placed[list(FACE5_OF_FACE68)]


@cache
def _mean_face() -> Floats:
    return np.array(load("face68").fitted_.cascade.mean_shape, np.float64)


def _chip_matrix(points: Floats, target: Floats) -> Floats:
    """Return the least-squares similarity (2, 3) from points to a target."""
    known = np.isfinite(points).all(axis=1) & np.isfinite(target).all(axis=1)
    if known.sum() < 2 or not np.ptp(points[known], axis=0).sum() > 0:
        raise InputError(f"landmarks: {known.sum()} are present, expected at least two distinct ones")
    turn, middle, center = fit_similarity(points[known], target[known])
    if abs(turn) == 0:
        raise InputError("template: all points coincide, expected a shape")
    shift = center - turn * middle
    return np.array([(turn.real, -turn.imag, shift.real), (turn.imag, turn.real, shift.imag)])


def _crop(image: Pixels, matrix: Floats, size: int) -> Pixels:
    """Resample a chip (size, size) or (size, size, 3) from the image."""
    from PIL import Image

    # `back` transforms chip to image coordinates. In Pillow the center of the first pixel is (0.5, 0.5).
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
        # As floats, because Pillow truncates the fractions of bytes.
        floats = channel.convert("F")
        floats = floats.transform((size, size), Image.Transform.AFFINE, coefficients, Image.Resampling.BICUBIC)
        cut[..., number] = np.asarray(floats)
    pixels: Pixels = np.rint(cut.clip(0, 255)).astype(np.uint8).reshape(size, size, *image.shape[2:])
    return pixels
