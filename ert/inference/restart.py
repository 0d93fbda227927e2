"""Smart restarts (Burgos-Artizzu et al., ICCV 2013): at low confidence, the box is moved and resized."""

import math

import numpy as np
import numpy.typing as npt

from ert._core.types import Box
from ert.model.cascade import Cascade
from ert.model.confidence import ConfidenceModel
from ert.model.dlib_cascade import DlibCascade
from ert.model.geometry import ONE_INIT, redraw_box

# Faces with less confidence are restarted: some 7 in 100 of those in good boxes.
MIN_CONFIDENCE = 0.9
# A restart is kept only with this confidence: of an object that is half hidden, guesses do not get better.
MIN_RESTART_CONFIDENCE = 0.5
# The boxes of restarts: shifts in x and y in sides of the first box, and scale.
_SHIFT_SIDES = 0.2
RESTART_BOXES = (
    *(
        (_SHIFT_SIDES * math.cos(math.pi * eighth / 4), _SHIFT_SIDES * math.sin(math.pi * eighth / 4), 1.0)
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
    """Return a box in which the confidence is higher, if that of the landmarks found is low.

    Parameters
    ----------
    normalizer
        See :meth:`ert.model.confidence.ConfidenceModel.assess_face`.
    image : uint8 array (rows, columns) or (rows, columns, 3)
    box : left, top, width, height
        The box in which `found` was found.
    found : float64 array (n_landmarks, 2)
    channel_order, gray_weights
        See :class:`ert.ShapePredictor`.

    Returns
    -------
    left, top, width, height : float
        Redrawn around the landmarks with the highest confidence; None to keep `found`.
    """
    room = np.empty((2, len(found)))

    def trust(shape: npt.NDArray[np.float64]) -> float:
        return confidence_model.assess_face(image, box, shape, channel_order, gray_weights, normalizer, *room)

    most, best = trust(found), None
    if most >= MIN_CONFIDENCE:
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
    return best if most >= MIN_RESTART_CONFIDENCE else None
