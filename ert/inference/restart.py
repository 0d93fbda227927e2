"""Looking again where the confidence model doubts, from boxes moved and resized: the given one may be a bad one."""

import math

import numpy as np
import numpy.typing as npt

from ert._core.types import Box
from ert.model.cascade import Cascade
from ert.model.confidence import ConfidenceModel
from ert.model.dlib_cascade import DlibCascade
from ert.model.geometry import ONE_INIT, redraw_box

__all__ = [
    "DOUBTED",
    "RESTART_BOXES",
    "restart",
]


# Landmarks that the confidence model trusts less are looked for again: those of some 7 in 100 faces in good boxes.
DOUBTED = 0.9
# What is found instead must be trusted so far: of an object that is half hidden, guesses get no better.
TRUSTED = 0.5
# The boxes of the second look: moved by so many sides of the first in x and y, and so many times as large.
_FAR = 0.2
RESTART_BOXES = (
    *(
        (_FAR * math.cos(math.pi * eighth / 4), _FAR * math.sin(math.pi * eighth / 4), 1.0)
        for eighth in range(8)
    ),
    (0.0, 0.0, 0.75),
    (0.0, 0.0, 1.33),
)


def restart(
    cascade: Cascade | DlibCascade,
    confidence_model: ConfidenceModel,
    normalizer: str | None,
    image: npt.NDArray[np.uint8],
    box: Box,
    found: npt.NDArray[np.float64],
    channel_order: str,
    gray_weights: str,
) -> Box | None:
    """Return a box in which the object is found better, if the confidence model doubts what was found and knows one.

    Parameters
    ----------
    cascade : Cascade or DlibCascade
    confidence_model : Judge
    normalizer
        See :meth:`ert.model.confidence.Judge.assess_face`.
    image : uint8 array (rows, columns) or (rows, columns, 3)
    box : left, top, width, height
        The box in which `found` was found.
    found : float64 array (n_landmarks, 2)
    channel_order, gray_weights
        See :class:`ert.ShapePredictor`.

    Returns
    -------
    left, top, width, height : float
        Drawn anew around the landmarks that the confidence model trusts most; None to keep `found`.
    """
    room = np.empty((2, len(found)))

    def trust(shape: npt.NDArray[np.float64]) -> float:
        return confidence_model.assess_face(image, box, shape, channel_order, gray_weights, normalizer, *room)

    most, best = trust(found), None
    if most >= DOUBTED:
        return None
    left, top, width, height = box
    for right, down, scale in RESTART_BOXES:
        moved = (
            left + right * width + (1 - scale) * width / 2,
            top + down * height + (1 - scale) * height / 2,
            scale * width,
            scale * height,
        )
        shape = cascade.predict_face(image, moved, ONE_INIT, channel_order, gray_weights)[0]
        confidence = trust(shape)
        if confidence > most:
            most, best = confidence, redraw_box(shape, cascade.mean_shape, moved)
    return best if most >= TRUSTED else None
