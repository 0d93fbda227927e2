"""Proposed landmarks of a photo, their standard errors, and the probability that a person will leave them.

photo ──> boxes of its objects ──> landmarks, and again in boxes that are moved a little ──> spread of each landmark
spread, calibrated by photos that a model was not trained on ──> standard error, probability of an error below 2 %

The *size* of an object is the diagonal of the rectangle around its landmarks; that of a single landmark is the side of
its box. It is the same for all objects, also for faces, so that 2 % of it is always about what a person can see.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ert._core.types import Floats, Pixels
from ert.faces.detection import Detector
from ert.model.confidence import GAUSSIAN_90
from ert.pipeline.sources import Found, find_objects, least_confidence
from ert.predictor import ShapePredictor

# A landmark is off, and a person corrects it, beyond this part of the size of the object.
MAX_OFF = 0.02
# Boxes in which landmarks are located again: shift in x and y in sides of the box, logarithm of the size, degrees.
MOVES = np.array(
    [
        (0.05, 0.03, 0.0, 0.0),
        (-0.05, -0.03, 0.0, 0.0),
        (0.03, -0.05, 0.05, 4.0),
        (-0.03, 0.05, 0.05, -4.0),
        (0.03, 0.0, -0.05, 4.0),
        (-0.03, 0.0, -0.05, -4.0),
    ]
)
# Errors and spreads in sizes count as at least this: less is noise of the annotation.
FLOOR = 0.001
# The logarithm of an error follows from those of the landmark's spread and of the mean spread of the object. These
# weights and ratios are of shells, wings and portraits; what is observed replaces them as objects become more.
TYPICAL_WEIGHTS = 0.65, 0.15
TYPICAL_CONSTANT = -0.3
WEIGHT_OF_TYPICAL = 10.0
# Errors of a landmark in other objects that its mean is drawn towards zero with.
WEIGHT_OF_LANDMARKS = 4.0
N_RATIOS = 101


@dataclass(frozen=True)
class Calibration:
    """How the error of a landmark follows from how much it moves when the box is moved.

    Parameters
    ----------
    weights : float64 array (3,)
        Of 1, of the logarithm of the landmark's spread, and of that of the mean spread of the object's landmarks.
    offsets : float64 array (n_landmarks,)
        What each landmark adds to the logarithm of the error.
    ratios : float64 array (n_ratios,)
        Quantiles of errors in standard errors, at equal steps from 0 to 1.
    """

    weights: Floats
    offsets: Floats
    ratios: Floats

    def std(self, spreads: Floats) -> Floats:
        """Return the standard error of each landmark along either axis, in sizes like the spreads (n, n_landmarks)."""
        std: Floats = np.exp(_features(spreads) @ self.weights + self.offsets)
        return std

    def confidence(self, std: Floats) -> Floats:
        """Return the probability that a landmark is off by less than `MAX_OFF`, from its standard error in sizes."""
        levels = np.linspace(0, 1, len(self.ratios))
        probability: Floats = np.interp(MAX_OFF / np.maximum(std, 1e-9), self.ratios, levels)
        return probability


class Proposal(NamedTuple):
    """The proposed landmarks of an object.

    Attributes
    ----------
    landmarks : float64 array (n_landmarks, 2)
        In pixels.
    std : float64 array (n_landmarks,)
        Standard error of each along either axis, in pixels.
    confidence : float64 array (n_landmarks,)
        The probability that a landmark is off by less than 2 % of the size.
    box : float64 array (4,)
    roll : float
    """

    landmarks: Floats
    std: Floats
    confidence: Floats
    box: Floats
    roll: float


def object_sizes(landmarks: Floats, boxes: Floats) -> Floats:
    """Return the size (n,) of each object: the diagonal of its landmarks, or the mean side of its box without one."""
    extents = np.fmax.reduce(landmarks, axis=1) - np.fmin.reduce(landmarks, axis=1)
    diagonals = np.hypot(extents[:, 0], extents[:, 1])
    sizes: Floats = np.where(diagonals > 0, diagonals, np.maximum(boxes[:, 2:].mean(axis=1), 1))
    return sizes


def typical_calibration(n_landmarks: int) -> Calibration:
    """Return what is assumed where no photo is known that a model was not trained on."""
    levels = np.linspace(0, 1, N_RATIOS)
    # Of a Gaussian, as far as it is drawn.
    ratios = np.sqrt(-2 * np.log(np.maximum(1 - levels, 1e-4)))
    return Calibration(np.array([TYPICAL_CONSTANT, *TYPICAL_WEIGHTS]), np.zeros(n_landmarks), ratios)


def fit_calibration(errors: ArrayLike, spreads: ArrayLike) -> Calibration:
    """Fit a calibration to objects that the model was not trained on.

    Parameters
    ----------
    errors, spreads : float array (n, n_landmarks)
        In sizes of the objects; NaN where unknown.

    Returns
    -------
    Calibration
        The typical one where nothing is known.
    """
    errors, spreads = np.asarray(errors, np.float64), np.asarray(spreads, np.float64)
    typical = typical_calibration(errors.shape[1])
    known = np.isfinite(errors) & np.isfinite(spreads)
    if known.sum() < 2:
        return typical
    features = _features(spreads)
    logs = np.log(np.hypot(errors, FLOOR))
    rows, targets = features[known], logs[known]
    # Objects, not landmarks, are independent: the typical weights count as much as a few landmarks of each object.
    ridge = np.diag([0.0, 1.0, 1.0]) * WEIGHT_OF_TYPICAL
    weights = np.linalg.solve(rows.T @ rows + ridge, rows.T @ targets + ridge @ typical.weights)
    rest = np.where(known, logs - features @ weights, 0.0)
    offsets = rest.sum(axis=0) / (known.sum(axis=0) + WEIGHT_OF_LANDMARKS)
    ratios = (errors / np.exp(features @ weights + offsets))[known]
    scale = max(float(np.quantile(ratios, 0.9)) / GAUSSIAN_90, 1e-3)
    weights[0] += np.log(scale)
    quantiles = np.quantile(ratios / scale, np.linspace(0, 1, N_RATIOS))
    return Calibration(weights, offsets, np.maximum.accumulate(quantiles + 1e-9 * np.arange(N_RATIOS)))


def _features(spreads: Floats) -> Floats:
    logs = np.log(np.hypot(spreads, FLOOR))
    # All landmarks of an object have a spread, or none has.
    means = np.broadcast_to(logs.mean(axis=1, keepdims=True), logs.shape)
    return np.stack([np.ones_like(logs), logs, means], axis=2)


def locate_repeatedly(
    model: ShapePredictor, image: Pixels, found: Sequence[Found], n_jobs: int = 1
) -> tuple[Floats, Floats]:
    """Locate the landmarks of objects in an image, and once more in each of some boxes that are moved a little.

    Returns
    -------
    landmarks : float64 array (n, n_landmarks, 2)
    spreads : float64 array (n, n_landmarks)
        Root mean square distance of the others from them, in pixels.
    """
    boxes, rolls = np.array([one.box for one in found]), np.array([one.roll for one in found])
    moved, turned = [boxes], [rolls]
    sides = boxes[:, 2:].mean(axis=1, keepdims=True)
    for x, y, growth, turn in MOVES:
        grown = boxes[:, 2:] * np.exp(growth)
        centers = boxes[:, :2] + boxes[:, 2:] / 2 + sides * (x, y)
        moved.append(np.hstack([centers - grown / 2, grown]))
        turned.append(rolls + turn)
    pairs = [(image, box) for box in np.concatenate(moved)]
    options: dict[str, Any] = {"rolls": np.concatenate(turned), "n_jobs": n_jobs, "channel_order": "rgb"}
    shapes = model.predict(pairs, **options)
    shapes = shapes.reshape(len(moved), len(found), *shapes.shape[1:])
    squares = ((shapes[1:] - shapes[0]) ** 2).sum(axis=3)
    return shapes[0], np.sqrt(squares.mean(axis=0))


def propose(
    model: ShapePredictor,
    image: Pixels,
    calibration: Calibration | None = None,
    *,
    max_objects: int = 1,
    detector: str | Detector = "auto",
) -> list[Proposal]:
    """Propose landmarks for the objects in an image.

    Parameters
    ----------
    model : ShapePredictor
        Of any box source but "given", for which there is nothing to propose.
    image : uint8 array (rows, columns) or (rows, columns, 3)
        Gray or RGB.
    calibration : Calibration, optional
        Without, the model's own confidence model, or else what is typical.
    max_objects : int
        The most confident objects, at most this many.
    detector : str or callable
        For faces, see :func:`ert.detect_faces`.

    Returns
    -------
    list of Proposal
        Empty where nothing was found.
    """
    if model.box_source_ == "given":
        return []
    found = find_objects(model, image, max_objects=max_objects, detector=detector)[:max_objects]
    least = least_confidence(max_objects)
    found = [one for one in found if one.confidence is None or one.confidence >= least]
    if not found:
        return []
    landmarks, spreads = locate_repeatedly(model, image, found)
    sizes = object_sizes(landmarks, np.array([one.box for one in found]))
    if calibration is None and model.confidence_model_ is not None:
        std, confidence = _own_confidence(model, image, found, landmarks, sizes)
    else:
        calibration = calibration or typical_calibration(landmarks.shape[1])
        relative = calibration.std(spreads / sizes[:, None])
        std, confidence = relative * sizes[:, None], calibration.confidence(relative)
    return [
        Proposal(landmarks[i], std[i], confidence[i], np.asarray(one.box, np.float64), float(one.roll))
        for i, one in enumerate(found)
    ]


def _own_confidence(
    model: ShapePredictor, image: Pixels, found: Sequence[Found], landmarks: Floats, sizes: Floats
) -> tuple[Floats, Floats]:
    pairs = [(image, one.box) for one in found]
    std = model.assess(pairs, landmarks, n_jobs=1, channel_order="rgb").std
    ratios = model.fitted_.require_confidence_model().ratios
    levels = np.linspace(0, 1, len(ratios))
    return std, np.interp(MAX_OFF * sizes[:, None] / np.maximum(std, 1e-9), ratios, levels)


def is_off(landmarks: Floats, proposed: Floats, size: float) -> NDArray[np.bool_]:
    """Return which of the landmarks (n_landmarks, 2) a proposal was off by more than 2 % of the size.

    A landmark that one of the two lacks counts, as a person has to add or to remove it.
    """
    distances = np.hypot(*(landmarks - proposed).T)
    differs = np.isnan(landmarks[:, 0]) != np.isnan(proposed[:, 0])
    off: NDArray[np.bool_] = np.logical_or(differs, distances > MAX_OFF * size)
    return off
