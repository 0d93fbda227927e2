"""The objects of a fit, validated and in box coordinates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from ert._core.exceptions import InputError
from ert._core.types import Floats
from ert.inference.validation import Face, box_array, check_landmarks, check_near, check_pairs
from ert.metrics import normalizer_lengths
from ert.model.geometry import image_to_frame
from ert.training.kinds import CascadeKind

__all__ = ["TrainingObjects", "validate_objects"]


@dataclass(frozen=True)
class TrainingObjects:
    """Objects and their landmarks.

    Parameters
    ----------
    X : sequence of (image, box)
    what : str
        What error messages call X.
    boxes : float array (n, 4)
    landmarks : float array (n, n_landmarks, 2)
        In image pixels; NaN where missing.
    transforms : float array (n, 6)
        From box coordinates to image pixels.
    shapes : float array (n, n_landmarks, 2)
        The landmarks in box coordinates.
    """

    X: Sequence[Face]
    what: str
    boxes: Floats
    landmarks: Floats
    transforms: Floats
    shapes: Floats

    def __len__(self) -> int:
        return len(self.X)


def validate_objects(
    X: Sequence[Face],
    y: npt.ArrayLike,
    kind: CascadeKind,
    settings: Mapping[str, Any],
    *,
    n_landmarks: int | None = None,
) -> TrainingObjects:
    """Check X and y and compute their box transforms.

    Parameters
    ----------
    X : sequence of (image, box)
    y : array (n, n_landmarks, 2)
    kind : CascadeKind
    settings : mapping
        All parameters of the estimator.
    n_landmarks : int, optional
        For validation data: the number of landmarks of the training data.

    Raises
    ------
    InputError
    """
    to_train = n_landmarks is None
    what, what_y = ("X", "y") if to_train else ("validation X", "validation y")
    boxes = box_array(check_pairs(X, what))
    landmarks = check_landmarks(y, len(X), what_y, to_train=to_train)
    check_near(landmarks, boxes, what_y)
    if not to_train and landmarks.shape[1] != n_landmarks:
        raise InputError(f"validation: {landmarks.shape[1]} landmarks, the training data has {n_landmarks}")
    if settings["normalizer"] is not None:
        # Its errors name the object.
        normalizer_lengths(landmarks, settings["normalizer"])
    kind.check(settings, boxes, what)
    transforms = kind.box_transforms(boxes)
    return TrainingObjects(X, what, boxes, landmarks, transforms, image_to_frame(landmarks, transforms))
