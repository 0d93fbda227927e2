"""Observations of an object at an expected position in a frame: shape, confidence and appearance."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ert._core.exceptions import InputError
from ert._core.images import to_gray
from ert._core.types import Box, Floats, Pixels
from ert.inference.rotated import locate_rotated, rotation
from ert.inference.single import share_inits
from ert.model.cascade import NO_MIRROR_MAP
from ert.model.geometry import INITS
from ert.predictor import ShapePredictor
from ert.tracking.smoothing import fit_pose, place_shape

# Faces with a larger roll are located in a copy of the image rotated upright.
_MAX_UPRIGHT_DEGREES = 12.0
# The spread of shapes from several initializations indicates the confidence, and their mean is more stable
# than one of them. With a mirror map half of them run on the mirror image, whose errors differ.
_INITS = INITS[:5]
_MIRRORED_INITS = np.concatenate([INITS[:3], INITS[[0, 3, 4]] + [0, 0, 0, 1]])
# Spread (twice the distance of the shapes from their mean, median landmark, in sizes of the face) at which
# the confidence is one half. For 99 of 100 faces it is below 0.03 (0.07 for dlib's models); without a face it
# is above 0.04 in 99 of 100 cases.
_SPREAD_AT_HALF_CONFIDENCE = 0.035
# Smallest standard error of a landmark, in sizes of the face.
_MIN_STD_FACE_SIZES = 0.002
# The appearance of a face is a grid of this many pixels per side.
_APPEARANCE_SIDE = 24


class Observation(NamedTuple):
    """What the model finds at a position in a frame.

    The appearance holds gray values on a grid fixed to the landmarks, with mean 0 and length 1, so that the
    dot product of two appearances is their correlation.
    """

    shape: Floats
    std: Floats
    confidence: float
    appearance: Floats


class Observer:
    """Locate objects in frames at expected positions, by a model of at least two landmarks."""

    def __init__(self, model: ShapePredictor, channel_order: str) -> None:
        self.model, self.channel_order = model, channel_order
        self.mean_shape = model.cascade_.mean_shape.astype(np.float64)
        if len(self.mean_shape) < 2:
            raise InputError("model: 1 landmark, which has no size; expected at least 2")
        if model.mirror_map_ is None:
            self._inits, self._mirror_map = _INITS, NO_MIRROR_MAP
        else:
            self._inits, self._mirror_map = _MIRRORED_INITS, model.mirror_map_
        self._center = self.mean_shape.mean(axis=0)
        self._centered = self.mean_shape - self._center
        # At least 0.1, so that the grid of collinear landmarks has an area.
        extent = np.maximum(np.abs(self._centered).max(axis=0), 0.1)
        steps = np.linspace(-1, 1, _APPEARANCE_SIDE)
        self._grid = np.stack(np.meshgrid(steps * extent[0], steps * extent[1]), axis=-1).reshape(-1, 2)

    def observe(self, frame: Pixels, expected: Floats) -> Observation | None:
        """Locate the object near an expected shape; return None when that is outside the frame."""
        (x, y), size, roll = self._place(expected)
        rows, columns = frame.shape[:2]
        if not (-0.5 < x < columns - 0.5 and -0.5 < y < rows - 0.5 and 4 < size < 4 * max(rows, columns)):
            return None
        roll = roll if abs(roll) > _MAX_UPRIGHT_DEGREES else 0.0
        left, top = (x, y) - size * (rotation(roll) @ (self._center - 0.5) + 0.5)
        box = float(left), float(top), size + 1, size + 1
        shapes = self.locate(frame, box, roll)
        shape = shapes.mean(axis=0)
        std, confidence = self._assess(frame, box, shape, shapes)
        return Observation(shape, std, confidence, self._appearance(frame, shape))

    def locate(self, frame: Pixels, box: Box, roll: float) -> Floats:
        """Return the shapes (n_inits, n_landmarks, 2) found from several initializations in a box."""
        read_as = self.channel_order, self.model.gray_weights, self._mirror_map
        if roll:
            return share_inits(
                self.model.fitted_,
                self._inits,
                lambda member, own: locate_rotated(member, frame, box, roll, own, *read_as),
            )
        return share_inits(
            self.model.fitted_, self._inits, lambda member, own: member.predict_face(frame, box, own, *read_as)
        )

    def _assess(self, frame: Pixels, box: Box, shape: Floats, shapes: Floats) -> tuple[Floats, float]:
        """Return standard errors in pixels and the confidence, without a confidence model from the spread."""
        if self.model.confidence_model_ is not None:
            assessment = self.model.assess([(frame, box)], shape[None], channel_order=self.channel_order)
            return assessment.std[0], float(assessment.confidence[0])
        distances = np.linalg.norm(shapes - shape, axis=2).mean(axis=0)
        std = np.maximum(distances, _MIN_STD_FACE_SIZES * box[2])
        spread = 2 * np.median(distances) / (_SPREAD_AT_HALF_CONFIDENCE * box[2])
        return std, float(1 / (1 + spread**4))

    def _appearance(self, frame: Pixels, shape: Floats) -> Floats:
        points = np.rint(place_shape(self._grid, fit_pose(shape, self._centered))).astype(np.intp)
        rows, columns = frame.shape[:2]
        pixels = frame[np.clip(points[:, 1], 0, rows - 1), np.clip(points[:, 0], 0, columns - 1)]
        if pixels.ndim == 2:
            pixels = to_gray(pixels[None], self.channel_order)[0]
        return normalized(pixels - pixels.mean())

    def box(self, shape: Floats) -> tuple[Floats, float]:
        """Return the upright box (4,) in which the mean shape fits a shape best, and the shape's roll."""
        center, size, roll = self._place(shape)
        return np.array([*(center - size * self._center), size + 1, size + 1]), roll

    def distance(self, shape: Floats, other: Floats) -> float:
        """Return the mean distance of the landmarks of two shapes, in sizes of the first."""
        _, size, _ = self._place(shape)
        return float(np.sqrt(((shape - other) ** 2).sum(axis=1)).mean()) / size

    def _place(self, shape: Floats) -> tuple[Floats, float, float]:
        """Return the center of a shape in pixels, its size and its roll in degrees."""
        center, (a, b) = fit_pose(shape, self._centered)
        return center, float(np.hypot(a, b)), float(np.degrees(np.arctan2(b, a)))


def normalized(values: npt.NDArray[Any]) -> Floats:
    """Return values scaled to length 1."""
    return np.asarray(values, np.float64) / max(float(np.linalg.norm(values)), 1e-9)
