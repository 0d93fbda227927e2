"""Drawn faces with exact landmarks: train, test and learn without any data.

A face is a set of points in three dimensions: the 68 landmarks in iBUG order and an outline of the skull. A few
linear deformations (a wider jaw, an open mouth, a raised brow, ...) make it a person with an expression; a rotation
and a scale put it into the picture, where smooth curves through the very same points are drawn. So the landmarks
are where the picture shows them, to a fraction of a pixel.
"""

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ert.errors import InputError
from ert.files import write_atomically
from ert.shapes import FACE68_MIRROR

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

__all__ = ["FACE68_TEMPLATE", "synthetic_dataset", "synthetic_faces"]

Floats: TypeAlias = NDArray[np.float64]

# Pillow's polygons have whole-pixel corners, so draw four times as large: corners are exact to 1/8 pixel.
_SUPERSAMPLING = 4

# Unit coordinates: the face is 1 wide at the eyes, x runs to the right of the picture, y down, z to the viewer; the
# origin is the bridge of the nose. The right half of the face (left in the picture); the rest is its mirror image.
_HALF_FACE = {
    # brow
    17: (-0.415, -0.135, -0.06),
    18: (-0.360, -0.185, -0.01),
    19: (-0.280, -0.203, 0.03),
    20: (-0.190, -0.190, 0.06),
    21: (-0.100, -0.160, 0.08),
    # eye
    36: (-0.315, 0.008, -0.04),
    37: (-0.262, -0.032, -0.01),
    38: (-0.192, -0.034, 0.00),
    39: (-0.135, 0.014, 0.00),
    40: (-0.192, 0.026, 0.00),
    41: (-0.258, 0.028, -0.01),
    # nose
    27: (0.000, 0.000, 0.08),
    28: (0.000, 0.095, 0.12),
    29: (0.000, 0.190, 0.16),
    30: (0.000, 0.280, 0.20),
    31: (-0.088, 0.335, 0.06),
    32: (-0.044, 0.353, 0.09),
    33: (0.000, 0.366, 0.11),
    # outer lips
    48: (-0.185, 0.522, 0.02),
    49: (-0.120, 0.486, 0.06),
    50: (-0.045, 0.466, 0.09),
    51: (0.000, 0.476, 0.09),
    59: (-0.115, 0.580, 0.05),
    58: (-0.048, 0.606, 0.08),
    57: (0.000, 0.610, 0.08),
    # inner lips
    60: (-0.160, 0.524, 0.03),
    61: (-0.055, 0.514, 0.07),
    62: (0.000, 0.519, 0.08),
    67: (-0.055, 0.528, 0.07),
    66: (0.000, 0.531, 0.08),
}
_SKULL = slice(68, 79)


def _superellipse(angle: Floats, right: float, down: float, powers: tuple[float, float]) -> tuple[Floats, Floats]:
    cos, sin = np.cos(angle), np.sin(angle)
    return right * np.sign(cos) * np.abs(cos) ** powers[0], down * np.abs(sin) ** powers[1]


def _template() -> Floats:
    points = np.empty((79, 3))
    x, y = _superellipse(np.linspace(np.pi, 0, 17), 0.5, 0.83, (0.65, 1.25))
    points[:17] = np.column_stack([x, y + 0.01, 0.02 - 0.2 * np.cos(np.linspace(np.pi, 0, 17)) ** 2])
    for index, point in _HALF_FACE.items():
        points[FACE68_MIRROR[index]] = np.multiply(point, (-1, 1, 1))
        points[index] = point
    # From the left of the face (point 16) over the top to its right (point 0), both ends left out.
    x, y = _superellipse(np.linspace(0, np.pi, 13)[1:-1], 0.52, -0.66, (0.8, 0.75))
    points[_SKULL] = np.column_stack([x, y, np.full(11, -0.18)])
    return points


_TEMPLATE = _template()

FACE68_TEMPLATE: Floats = _TEMPLATE[:68, :2].copy()
"""A frontal face without expression, float64 (68, 2) in iBUG order, read-only.

In units of its own width at the eyes; the origin is the bridge of the nose, x to the right, y down.
"""
FACE68_TEMPLATE.setflags(write=False)


def _deformations() -> tuple[Floats, Floats]:
    """Give directions (k, 79, 3) in which faces differ, and the standard deviation along each, (k,)."""
    x, y = _TEMPLATE[:, 0], _TEMPLATE[:, 1]
    side = np.sign(x)
    rows: list[tuple[float, Floats]] = []

    def add(sd: float, points: ArrayLike, dx: ArrayLike, dy: ArrayLike) -> None:
        row = np.zeros_like(_TEMPLATE)
        row[points, 0] = np.broadcast_to(dx, x.shape)[points]
        row[points, 1] = np.broadcast_to(dy, x.shape)[points]
        rows.append((sd, row))

    everything, jaw, nose, mouth = np.arange(79), np.arange(17), np.arange(27, 36), np.arange(48, 68)
    brows, eyes = np.arange(17, 27), np.arange(36, 48)
    lower_face = np.concatenate([jaw, nose, mouth])
    eye_x, eye_y = side * 0.225, 0.002
    chin = np.clip(y / 0.84, 0, None) ** 2
    lip = np.zeros(79)
    lip[[49, 50, 51, 52, 53]], lip[[55, 56, 57, 58, 59]] = -1, 1
    lower_lip = np.zeros(79)
    lower_lip[[55, 59, 65, 67]], lower_lip[[56, 57, 58, 66]] = 0.9, 1
    lower_lip[[61, 62, 63]] = -0.12

    add(0.06, lower_face, 0, np.clip(y, 0, None))  # long or short face
    add(0.07, jaw, x * chin, 0)  # broad or pointed chin
    add(0.05, jaw, 0, chin)  # long chin
    add(0.04, everything, x, 0)  # broad head
    add(0.08, _range(_SKULL), 0, y)  # high forehead
    add(0.025, brows, 0, -1)  # both brows up
    add(0.012, brows, 0, -side)  # one brow up
    add(0.10, brows, 0, side * (x - side * 0.26))  # angry or sad
    add(0.03, brows, x - side * 0.26, 0)
    add(0.10, eyes, x - eye_x, y - eye_y)  # eye size
    add(0.35, eyes, 0, y - eye_y)  # eye openness
    add(0.12, eyes, 0, side * (y - eye_y))  # one eye more than the other
    add(0.08, eyes, 0, side * (x - eye_x))  # slanted eyes
    add(0.012, np.concatenate([eyes, brows]), side, 0)  # eyes apart
    add(0.09, np.concatenate([nose, mouth]), 0, np.clip(y, 0, 0.35))  # nose length
    add(0.15, nose, x, 0)  # nose width
    add(0.02, mouth, 0, 1)  # mouth up or down
    add(0.10, mouth, x, 0)  # mouth width
    add(0.012, mouth, 0, lip)  # full lips
    add(1.3, mouth, 0.1 * x, 0.015 - 0.8 * x**2)  # smile
    add(0.02, mouth, side * 0, x)  # crooked mouth
    add(0.03, mouth, 1, 0)
    # Only ever opened: its coefficient is drawn apart.
    row = np.zeros_like(_TEMPLATE)
    row[:, 1] = lower_lip + np.where(np.arange(79) < 17, 0.6 * chin, 0)
    rows.append((0.0, row))
    return np.array([row for _, row in rows]), np.array([sd for sd, _ in rows])


def _range(part: slice) -> NDArray[np.intp]:
    return np.arange(part.start, part.stop)
