"""What the model finds at a place of a frame, how far to trust it, and what it looks like."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ert._core.exceptions import InputError
from ert._core.images import to_gray
from ert._core.types import Floats
from ert.inference.rotated import locate_rotated, rotation
from ert.model.cascade import NO_MIRROR_MAP
from ert.model.geometry import INITS
from ert.predictor import ShapePredictor
from ert.tracking.smoothing import fit_pose, place_shape

__all__ = [
    "Observation",
    "Observer",
    "normalized",
]


# Faces that lean more, in degrees, are looked at in a copy turned upright.
_UPRIGHT = 12.0
# Where starts in shifted boxes end tells how sure the model is, and their mean is steadier than one. A model
# that knows its mirror map takes half of them for the mirror image, which errs elsewhere.
_STARTS = INITS[:5]
_MIRRORED = np.concatenate([INITS[:3], INITS[[0, 3, 4]] + [0, 0, 0, 1]])
# Half of confidence is left where these starts end this far apart: twice their distance from their mean
# (median landmark, in sizes of the face). Where a face is, 99 of 100 lie below 0.03 (dlib's models: 0.07);
# where none is, 99 of 100 above 0.04.
_APART = 0.035
# The standard error of a landmark is its starts' mean distance from their mean; least, in sizes of the face.
_LEAST_STD = 0.002
# The pixels that are kept of a face: so many across and down.
_GRID = 24


class Observation(NamedTuple):
    """What the model finds at a place of a frame."""

    shape: Floats
    std: Floats
    confidence: float
    chip: Floats  # pixels that go along with the landmarks, normalized


class Observer:
    """Looks for objects in frames, each where it is expected.

    Parameters
    ----------
    model : ShapePredictor
        Fitted, of two landmarks at least.
    channel_order : {"rgb", "bgr"}
        Order of the colors in frames.

    Raises
    ------
    InputError
        When the model has a single landmark.
    """

    def __init__(self, model: ShapePredictor, channel_order: str) -> None:
        self.model, self.channel_order = model, channel_order
        self.mean_shape = model.cascade_.mean_shape.astype(np.float64)
        if len(self.mean_shape) < 2:
            raise InputError("model: 1 landmark, which has no size; expected at least 2")
        mirror_map = model.mirror_map_
        self._starts, self._swap = (_STARTS, NO_MIRROR_MAP) if mirror_map is None else (_MIRRORED, mirror_map)
        self.middle = self.mean_shape.mean(axis=0)
        self._centered = self.mean_shape - self.middle
        # Landmarks on one line still have something round them.
        reach = np.maximum(np.abs(self._centered).max(axis=0), 0.1)
        across = np.linspace(-1, 1, _GRID)
        self._grid = np.stack(np.meshgrid(across * reach[0], across * reach[1]), axis=-1).reshape(-1, 2)

    def look(self, frame: npt.NDArray[np.uint8], expected: Floats) -> Observation | None:
        """Look for a face where a shape is expected; None when that is outside the frame."""
        (x, y), (a, b) = fit_pose(expected, self._centered)
        size, roll = float(np.hypot(a, b)), float(np.degrees(np.arctan2(b, a)))
        rows, columns = frame.shape[:2]
        if not (-0.5 < x < columns - 0.5 and -0.5 < y < rows - 0.5 and 4 < size < 4 * max(rows, columns)):
            return None
        roll = roll if abs(roll) > _UPRIGHT else 0.0
        left, top = np.array((x, y)) - size * (rotation(roll) @ (self.middle - 0.5) + 0.5)
        box = float(left), float(top), size + 1, size + 1
        shapes = self.locate(frame, box, roll)
        shape = shapes.mean(axis=0)
        std, confidence = _trust(self.model, frame, box, shape, shapes, self.channel_order)
        return Observation(shape, std, confidence, self._chip(frame, shape))

    def locate(
        self, frame: npt.NDArray[np.uint8], box: tuple[float, float, float, float], roll: float
    ) -> Floats:
        """Return the shapes (n_starts, n_landmarks, 2) that starts in a box lead to."""
        cascade, order, gray_weights = self.model.cascade_, self.channel_order, self.model.gray_weights
        if roll:
            return locate_rotated(cascade, frame, box, roll, self._starts, order, gray_weights, self._swap)
        return cascade.predict_face(frame, box, self._starts, order, gray_weights, self._swap)

    def _chip(self, frame: npt.NDArray[np.uint8], shape: Floats) -> Floats:
        """Return the pixels at a grid that goes along with a shape, normalized."""
        places = np.rint(place_shape(self._grid, fit_pose(shape, self._centered))).astype(np.intp)
        rows, columns = frame.shape[:2]
        pixels = frame[np.clip(places[:, 1], 0, rows - 1), np.clip(places[:, 0], 0, columns - 1)]
        if pixels.ndim == 2:
            pixels = to_gray(pixels[None], self.channel_order)[0]
        return normalized(pixels - pixels.mean())

    def size(self, shape: Floats) -> float:
        """Return the side of the box that a shape has."""
        return float(np.hypot(*fit_pose(shape, self._centered)[1]))

    def box(self, shape: Floats) -> tuple[Floats, float]:
        """Return the upright box (4,) in which the mean shape lies best on a shape, and the shape's roll."""
        (x, y), (a, b) = fit_pose(shape, self._centered)
        size = float(np.hypot(a, b))
        left, top = (x, y) - size * self.middle
        return np.array([left, top, size + 1, size + 1]), float(np.degrees(np.arctan2(b, a)))

    def distance(self, shape: Floats, other: Floats) -> float:
        """Return the mean distance of the landmarks of two shapes, in sizes of the first."""
        return float(np.sqrt(((shape - other) ** 2).sum(axis=1)).mean()) / self.size(shape)


def _trust(
    model: ShapePredictor,
    frame: npt.NDArray[np.uint8],
    box: tuple[float, float, float, float],
    shape: Floats,
    shapes: Floats,
    channel_order: str,
) -> tuple[Floats, float]:
    """Tell how good a shape is: standard errors (n_landmarks,) in pixels, and the confidence.

    By what the model's judge says of it; without one, by how far its starts ended apart.
    """
    if model.confidence_model_ is not None:
        assessment = model.assess([(frame, box)], shape[None], channel_order=channel_order)
        return assessment.std[0], float(assessment.confidence[0])
    apart = np.linalg.norm(shapes - shape, axis=2).mean(axis=0)
    std = np.maximum(apart, _LEAST_STD * box[2])
    return std, float(1 / (1 + (2 * np.median(apart) / (_APART * box[2])) ** 4))


def normalized(values: npt.NDArray[Any]) -> Floats:
    """Return values scaled to length 1."""
    length = float(np.linalg.norm(values))
    return np.asarray(values, np.float64) / max(length, 1e-9)
