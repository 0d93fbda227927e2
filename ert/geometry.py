"""Boxes as coordinate frames, and the similarity that carries the mean shape onto a shape."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from numba.extending import register_jitable

from ert.lanes import LANES, dot, padded
from ert.procrustes import fit_similarity
from ert.vectors import kernel

__all__ = [
    "ONE_START",
    "STARTS",
    "box_frames",
    "centre",
    "frame_to_image",
    "image_to_frame",
    "jitter_frames",
    "redraw_box",
    "similarity",
    "square_frame",
    "stretched_frames",
]

LEAST_SCALE = np.float32(0.5)

# Starts of a prediction, the first the box itself: shifts in sides of the box, a scale, and whether the image
# is taken for its own mirror image.
STARTS = np.array(
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
ONE_START = STARTS[:1]
# A second look only moves a box so far: to between these times its side, its centre by so many sides.
LEAST_SIDE, LARGEST_SIDE, FARTHEST = 0.5, 2.0, 0.5

# A frame is (a, b, c, d, tx, ty): image x = a u + b v + tx, image y = c u + d v + ty for (u, v) in the box's
# own coordinates, in which the box is the unit square from the centre of its first pixel to the centre of its
# last.


def box_frames(boxes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Turn boxes into frames: square ones, with the box's centre and the mean of its two sides.

    A square frame keeps angles and proportions whatever box the detector drew.

    Parameters
    ----------
    boxes : float array (n, 4)
        Left, top, width, height in pixels.

    Returns
    -------
    float array (n, 6)
        a, b, c, d, tx, ty of each box.
    """
    frames = np.zeros((len(boxes), 6))
    frames[:, 4], frames[:, 5], side = square_frame(*boxes.T)
    frames[:, 0] = frames[:, 3] = side
    return frames


@register_jitable
def square_frame(left: Any, top: Any, width: Any, height: Any) -> tuple[Any, Any, Any]:
    """Return x, y and side of the frame that :func:`box_frames` gives to a box."""
    side = (width + height) / 2 - 1
    return left + (width - 1 - side) / 2, top + (height - 1 - side) / 2, side


def stretched_frames(boxes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Turn boxes (n, 4) into frames as dlib does: the whole box is the unit square, whatever its proportions.

    Returns
    -------
    float array (n, 6)
        a, b, c, d, tx, ty of each box.
    """
    frames = np.zeros((len(boxes), 6))
    frames[:, [0, 3]] = boxes[:, 2:] - 1
    frames[:, 4:] = boxes[:, :2]
    return frames


def frame_to_image(
    shapes: npt.NDArray[np.float64], frames: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Carry shapes (n, n_landmarks, 2) from box coordinates to image pixels."""
    return _turn(shapes, *frames[:, :4].T) + frames[:, None, 4:]


def image_to_frame(
    shapes: npt.NDArray[np.float64], frames: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Carry shapes (n, n_landmarks, 2) from image pixels to box coordinates."""
    a, b, c, d = frames[:, :4].T
    return _turn(shapes - frames[:, None, 4:], *(np.stack([d, -b, -c, a]) / (a * d - b * c)))


def _turn(
    shapes: npt.NDArray[np.float64],
    a: npt.NDArray[np.float64],
    b: npt.NDArray[np.float64],
    c: npt.NDArray[np.float64],
    d: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    # Written out: einsum takes ten times as long for matrices of two by two.
    x, y = shapes[..., 0], shapes[..., 1]
    return np.stack([a[:, None] * x + b[:, None] * y, c[:, None] * x + d[:, None] * y], axis=2)


def jitter_frames(
    n: int, shift: float, scale: float, degrees: float, rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    """Draw random frames inside the unit square's frame, as a detector scatters its boxes.

    Parameters
    ----------
    n : int
        How many.
    shift, scale, degrees : float
        Standard deviations of the centre's x and y in sides of the box, of the logarithm of the side, and of
        the rotation about the centre.
    rng : numpy.random.Generator

    Returns
    -------
    float array (n, 6)
        Frames from the jittered box's coordinates to the box's own.
    """
    draws = np.clip(rng.standard_normal((n, 4)), -2.5, 2.5)
    size = np.exp(scale * draws[:, 2])
    angle = np.deg2rad(degrees) * draws[:, 3]
    cos, sin = size * np.cos(angle), size * np.sin(angle)
    centre = 0.5 + shift * draws[:, :2]
    frames = np.empty((n, 6))
    frames[:, 0], frames[:, 1] = cos, -sin
    frames[:, 2], frames[:, 3] = sin, cos
    frames[:, 4] = centre[:, 0] - 0.5 * (cos - sin)
    frames[:, 5] = centre[:, 1] - 0.5 * (sin + cos)
    return frames


def redraw_box(
    shape: npt.NDArray[np.float64],
    mean_shape: npt.NDArray[np.float32],
    box: tuple[float, float, float, float],
) -> tuple[float, float, float, float]:
    """Return the upright square box in which the mean shape lies best on a shape.

    Parameters
    ----------
    shape : float array (n_landmarks, 2)
        In image pixels.
    mean_shape : float32 array (n_landmarks, 2)
        In box coordinates.
    box : left, top, width, height
        The box that the shape was found in: returned itself when the new one would be far from it, for then
        the shape is lost.

    Returns
    -------
    left, top, width, height : float
    """
    turn, middle, centre = fit_similarity(mean_shape, shape)
    side = float(abs(turn))
    x, y, old = square_frame(*box)
    corner = complex(centre - side * middle)
    left, top = corner.real, corner.imag
    moved = max(abs(left - x + (side - old) / 2), abs(top - y + (side - old) / 2))
    if not (LEAST_SIDE * old <= side <= LARGEST_SIDE * old and moved <= FARTHEST * old):
        return box
    return left, top, side + 1, side + 1


def centre(mean_shape: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], np.float32]:
    """Prepare a mean shape for :func:`similarity`.

    Parameters
    ----------
    mean_shape : float32 array (n_landmarks, 2)

    Returns
    -------
    compass : float32 array (2, n_padded, 2)
        The mean shape minus its own centre, and that turned by a right angle.
    squared_norm : float32
        Sum of its squares.
    """
    mean = mean_shape.astype(np.float64)
    centred = mean - mean.mean(axis=0)
    turned = np.stack([-centred[:, 1], centred[:, 0]], axis=1)
    compass = np.stack([centred, turned]).astype(np.float32)
    return padded(compass, 1, LANES // 2), np.float32((compass[0].astype(np.float64) ** 2).sum())


@kernel
def similarity(compass, squared_norm, shape):  # type: ignore[no-untyped-def]
    """Least-squares rotation and scale from the mean shape to a shape (Umeyama 1991, without reflections).

    Parameters
    ----------
    compass, squared_norm
        The mean shape, from :func:`centre`.
    shape : float32 array (n_padded, 2)
        Zeros follow its last landmark.

    Returns
    -------
    a, b : float32
        The matrix is ((a, -b), (b, a)). Its scale is at least 0.5, so that what is divided by it stays in
        bounds when a shape collapses; it is the identity when the mean shape is a single point.
    """
    if squared_norm == 0:
        return np.float32(1), np.float32(0)
    # Centring one of the two is enough: the other's centre is multiplied by a sum that is zero.
    a = np.float32(dot(shape, compass, 0) / squared_norm)
    b = np.float32(dot(shape, compass, 1) / squared_norm)
    scale = np.float32(math.sqrt(a * a + b * b))
    if scale >= LEAST_SCALE:
        return a, b
    if scale == 0:
        return LEAST_SCALE, np.float32(0)
    return a * (LEAST_SCALE / scale), b * (LEAST_SCALE / scale)
