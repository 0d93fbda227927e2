"""A photo in, faces with landmarks out: detection and prediction together."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ert._core.exceptions import InputError
from ert._core.images import ImageLike, read_image
from ert._core.resources import bundled_models
from ert.faces.detection import Detector, detect_faces
from ert.faces.rotated_detection import detect_rotated_faces
from ert.inference.rotated import roll_of
from ert.predictor import ShapePredictor, load

__all__ = [
    "AlignedFace",
    "align",
]


@dataclass(frozen=True)
class AlignedFace:
    """One face of an image.

    Parameters
    ----------
    box : float array (4,)
        Left, top, width, height in pixels, as the detector drew it.
    landmarks : float array (n_landmarks, 2)
        x, y in image pixels, pixel centers at whole numbers.
    roll : float
        How far the landmarks are turned against the model's mean shape, in degrees, clockwise.
    std : float array (n_landmarks,) or None
        Standard error of each landmark in pixels, see :class:`ert.Assessment`; None when the model has no
        judge.
    confidence : float or None
        Probability that this is a face and its landmarks have not failed; likewise.
    """

    box: npt.NDArray[np.float64]
    landmarks: npt.NDArray[np.float64]
    roll: float = 0.0
    std: npt.NDArray[np.float64] | None = None
    confidence: float | None = None


@lru_cache(maxsize=4)
def _load_bundled(name: str) -> ShapePredictor:
    return load(name)


def align(
    image: ImageLike,
    model: ShapePredictor | str | os.PathLike[str] = "face68",
    *,
    boxes: Sequence[Sequence[float]] | npt.NDArray[np.floating[Any]] | None = None,
    detector: str | Detector = "auto",
    any_roll: bool = False,
    min_confidence: float = 0.0,
    channel_order: str = "rgb",
    what: str = "image",
) -> list[AlignedFace]:
    """Find the faces in an image and their landmarks.

    Parameters
    ----------
    image : uint8 array (rows, columns) or (rows, columns, 3), or path-like
    model : ShapePredictor, str or path-like
        A fitted predictor, or what :func:`ert.load` takes.
    boxes : array (n, 4), optional
        Left, top, width, height of each face; without them the faces are detected.
    detector : str or callable
        See :func:`ert.detect_faces`.
    any_roll : bool
        Find faces however they are turned in the image plane, and their landmarks. The detector then
        searches twelve turned copies of the image, which takes as much longer; what it finds counts as a
        face where starts of the model from several rolls agree. A box is the detector's, set upright about
        its center.
    min_confidence : float
        Leave out faces of less confidence, 0 to 1; above 0 the model must have a judge.
    channel_order : {"rgb", "bgr"}
        Order of the colors in an image given as an array.
    what : str
        What error messages call an image given as an array.

    Returns
    -------
    list of AlignedFace
        The largest face first, or in the order of `boxes`; empty when no face was found.

    Raises
    ------
    InputError
        When the image, a box or the model cannot be used.
    """
    if not 0 <= min_confidence <= 1:
        raise InputError(f"min_confidence={min_confidence!r}: expected 0 to 1")
    if isinstance(image, (str, os.PathLike)):
        what, channel_order = os.fspath(image), "rgb"
    pixels = read_image(image, what)
    if isinstance(model, ShapePredictor):
        predictor = model
    else:
        # A file may change from call to call; a bundled model does not.
        predictor = _load_bundled(str(model)) if str(model) in bundled_models() else load(model)
    if min_confidence > 0 and predictor.confidence_model_ is None:
        raise InputError(f"min_confidence={min_confidence:g}: the model has no judge to tell it")
    found: Sequence[Sequence[float]] | npt.NDArray[np.floating[Any]]
    if any_roll and boxes is None:
        found, landmarks = detect_rotated_faces(pixels, predictor, detector, channel_order)
    else:
        found = detect_faces(pixels, detector, channel_order=channel_order) if boxes is None else boxes
        max_roll = 180.0 if any_roll else None
        X = [(pixels, box) for box in found]
        landmarks = predictor.predict(
            X, max_roll=max_roll, channel_order=channel_order, what=f"{what}, boxes"
        )
    rolls = roll_of(landmarks, predictor.cascade_.mean_shape)
    faces = [
        AlignedFace(np.array(box, dtype=np.float64), shape, float(roll))
        for box, shape, roll in zip(found, landmarks, rolls, strict=True)
    ]
    if predictor.confidence_model_ is None:
        return faces
    said = predictor.assess([(pixels, face.box) for face in faces], landmarks, channel_order=channel_order)
    return [
        replace(face, std=std, confidence=float(confidence))
        for face, std, confidence in zip(faces, said.std, said.confidence, strict=True)
        if confidence >= min_confidence
    ]
