"""Boxes and box coordinates: transforms to pixels, initializations, jitter, redrawn boxes.

In box coordinates the box is the unit square from the center of its first pixel to the center of its last. A
box transform (a, b, c, d, tx, ty) carries (u, v) to image pixels: x = a u + b v + tx, y = c u + d v + ty.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from ert.model.procrustes import fit_similarity

# Initializations of a prediction, the first the box itself: shift in x and y in sides of the box, scale, and
# whether the mirror image is taken.
INITS = np.array(
    [
        (0.0, 0.0, 1.0, 0.0),
        (-0.05, 0.0, 1.0, 0.0),
        (0.05, 0.0, 1.0, 0.0),
        (0.0, -0.05, 1.0, 0.0),
        (0.0, 0.05, 1.0, 0.0),
        (0.0, 0.0, 0.93, 0.0),
        (0.0, 0.0, 1.07, 0.0),
    ]
)
ONE_INIT = INITS[:1]
# A redrawn box stays near the first: its side within these factors, its center within this many sides.
MIN_SIDE_FACTOR, MAX_SIDE_FACTOR, MAX_SHIFT_SIDES = 0.5, 2.0, 0.5


def box_transforms(boxes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the transforms of boxes, each made square: same center, the mean of its two sides.

    A square keeps angles and proportions, whatever box the detector drew.

    Parameters
    ----------
    boxes : float array (n, 4)
        Left, top, width, height in pixels.

    Returns
    -------
    float array (n, 6)
        a, b, c, d, tx, ty of each box.
    """
    transforms = np.zeros((len(boxes), 6))
    transforms[:, 4], transforms[:, 5], side = square_box(*boxes.T)
    transforms[:, 0] = transforms[:, 3] = side
    return transforms


def square_box(left: Any, top: Any, width: Any, height: Any) -> tuple[Any, Any, Any]:
    """Return the square with a box's center and the mean of its sides, as x, y, side.

    It reaches from the center of its first pixel, x, y, to the center of its last, as in the kernels.
    """
    side = (width + height) / 2 - 1
    return left + (width - 1 - side) / 2, top + (height - 1 - side) / 2, side


def stretched_transforms(boxes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the transforms of boxes (n, 4) as in dlib: the unit square is stretched to the box.

    Returns
    -------
    float array (n, 6)
        a, b, c, d, tx, ty of each box.
    """
    transforms = np.zeros((len(boxes), 6))
    transforms[:, [0, 3]] = boxes[:, 2:] - 1
    transforms[:, 4:] = boxes[:, :2]
    return transforms


def rotate_transforms(transforms: npt.NDArray[np.float64], rolls: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Rotate box transforms (n, 6) around the centers of their boxes by degrees (n,), clockwise in the image."""
    middles = transforms[:, 4:] + transforms[:, [0, 3]] / 2
    angle = np.deg2rad(rolls)
    cos, sin = np.cos(angle), np.sin(angle)
    rotated = np.empty_like(transforms)
    rotated[:, 0], rotated[:, 1] = cos * transforms[:, 0], -sin * transforms[:, 3]
    rotated[:, 2], rotated[:, 3] = sin * transforms[:, 0], cos * transforms[:, 3]
    rotated[:, 4] = middles[:, 0] - (rotated[:, 0] + rotated[:, 1]) / 2
    rotated[:, 5] = middles[:, 1] - (rotated[:, 2] + rotated[:, 3]) / 2
    return rotated


def box_to_image(shapes: npt.NDArray[np.float64], transforms: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Transform shapes (n, n_landmarks, 2) from box coordinates to image pixels."""
    return _turn(shapes, *transforms[:, :4].T) + transforms[:, None, 4:]


def image_to_box(shapes: npt.NDArray[np.float64], transforms: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Transform shapes (n, n_landmarks, 2) from image pixels to box coordinates."""
    a, b, c, d = transforms[:, :4].T
    return _turn(shapes - transforms[:, None, 4:], *(np.stack([d, -b, -c, a]) / (a * d - b * c)))


def _turn(
    shapes: npt.NDArray[np.float64],
    a: npt.NDArray[np.float64],
    b: npt.NDArray[np.float64],
    c: npt.NDArray[np.float64],
    d: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    # np.einsum takes ten times as long for two by two matrices.
    x, y = shapes[..., 0], shapes[..., 1]
    return np.stack([a[:, None] * x + b[:, None] * y, c[:, None] * x + d[:, None] * y], axis=2)


def jitter_transforms(
    n: int, shift: float, scale: float, degrees: float, rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    """Draw random box transforms: jittered boxes, as a detector scatters them.

    Parameters
    ----------
    shift, scale, degrees : float
        Standard deviations of the center in sides of the box, of the logarithm of the side, and of the
        rotation about the center.

    Returns
    -------
    float array (n, 6)
        From coordinates of the jittered box to those of the box.
    """
    draws = np.clip(rng.standard_normal((n, 4)), -2.5, 2.5)
    size = np.exp(scale * draws[:, 2])
    angle = np.deg2rad(degrees) * draws[:, 3]
    cos, sin = size * np.cos(angle), size * np.sin(angle)
    center = 0.5 + shift * draws[:, :2]
    transforms = np.empty((n, 6))
    transforms[:, 0], transforms[:, 1] = cos, -sin
    transforms[:, 2], transforms[:, 3] = sin, cos
    transforms[:, 4] = center[:, 0] - 0.5 * (cos - sin)
    transforms[:, 5] = center[:, 1] - 0.5 * (sin + cos)
    return transforms


def redraw_box(
    shape: npt.NDArray[np.float64], mean_shape: npt.NDArray[np.float32], box: tuple[float, float, float, float]
) -> tuple[float, float, float, float]:
    """Return the upright square box in which the mean shape fits a shape best.

    Parameters
    ----------
    shape : float array (n_landmarks, 2)
        In image pixels.
    mean_shape : float32 array (n_landmarks, 2)
        In box coordinates.
    box : left, top, width, height
        The box that the shape was found in. It is returned if the new one would be far from it: the shape is
        lost then.

    Returns
    -------
    left, top, width, height : float
    """
    turn, middle, center = fit_similarity(mean_shape, shape)
    side = float(abs(turn))
    x, y, old = square_box(*box)
    corner = complex(center - side * middle)
    left, top = corner.real, corner.imag
    moved = max(abs(left - x + (side - old) / 2), abs(top - y + (side - old) / 2))
    if not (MIN_SIDE_FACTOR * old <= side <= MAX_SIDE_FACTOR * old and moved <= MAX_SHIFT_SIDES * old):
        return box
    return left, top, side + 1, side + 1


# Boxes larger than this many times the image are mistakes, and would take forever to resample.
MAX_BOX_TO_IMAGE = 10
