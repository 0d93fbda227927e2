"""Boxes as coordinate frames, and the similarity that carries the mean shape onto a shape."""

from typing import Any

import numpy as np
import numpy.typing as npt

from ert.model.procrustes import fit_similarity

__all__ = [
    "INITS",
    "MAX_BOX_TO_IMAGE",
    "ONE_INIT",
    "box_frames",
    "frame_to_image",
    "image_to_frame",
    "jitter_frames",
    "redraw_box",
    "stretched_frames",
]


# Starts of a prediction, the first the box itself: shifts in sides of the box, a scale, and whether the image
# is taken for its own mirror image.
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
# A second look only moves a box so far: to between these times its side, its center by so many sides.
LEAST_SIDE, LARGEST_SIDE, FARTHEST = 0.5, 2.0, 0.5


# A frame is (a, b, c, d, tx, ty): image x = a u + b v + tx, image y = c u + d v + ty for (u, v) in the box's
# own coordinates, in which the box is the unit square from the center of its first pixel to the center of its
# last.


def box_frames(boxes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Turn boxes into frames: square ones, with the box's center and the mean of its two sides.

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
    frames[:, 4], frames[:, 5], side = square_box(*boxes.T)
    frames[:, 0] = frames[:, 3] = side
    return frames


def square_box(left: Any, top: Any, width: Any, height: Any) -> tuple[Any, Any, Any]:
    """Return the square with a box's center and the mean of its sides, as x, y, side.

    It reaches from the center of its first pixel, x, y, to the center of its last, as in the kernels.
    """
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
        Standard deviations of the center's x and y in sides of the box, of the logarithm of the side, and of
        the rotation about the center.
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
    center = 0.5 + shift * draws[:, :2]
    frames = np.empty((n, 6))
    frames[:, 0], frames[:, 1] = cos, -sin
    frames[:, 2], frames[:, 3] = sin, cos
    frames[:, 4] = center[:, 0] - 0.5 * (cos - sin)
    frames[:, 5] = center[:, 1] - 0.5 * (sin + cos)
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
    turn, middle, center = fit_similarity(mean_shape, shape)
    side = float(abs(turn))
    x, y, old = square_box(*box)
    corner = complex(center - side * middle)
    left, top = corner.real, corner.imag
    moved = max(abs(left - x + (side - old) / 2), abs(top - y + (side - old) / 2))
    if not (LEAST_SIDE * old <= side <= LARGEST_SIDE * old and moved <= FARTHEST * old):
        return box
    return left, top, side + 1, side + 1


# Boxes larger than this many times the image are mistakes, and would take forever to resample.
MAX_BOX_TO_IMAGE = 10
