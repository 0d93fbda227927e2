"""One face: the median of its initializations, after all passes and restarts.

Smart restarts (Burgos-Artizzu et al., ICCV 2013): at low confidence, the box is moved and resized.
"""

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy import empty

from ert._core.images import UINT8, Part, channel_weights, is_kernel_ready_gray, read_part
from ert._core.types import Box
from ert.inference.mode import PredictionMode
from ert.model.cascade import NO_MIRROR_MAP, Cascade
from ert.model.confidence import ConfidenceModel
from ert.model.dlib_cascade import DlibCascade
from ert.model.fitted import Fitted
from ert.model.geometry import INITS, MAX_BOX_TO_IMAGE, ONE_INIT, redraw_box

# Cascade and confidence model share one gray crop, wider than the box's by this part of its sides.
CROP_MARGIN = 0.1

_channel_weights = cache(channel_weights)


def locate_plain_face(
    fitted: Fitted, face: Any, channel_order: str, gray_weights: str
) -> npt.NDArray[np.float64] | None:
    """Locate the landmarks of one face of an array from one initialization, with a kernel call, in color with two.

    The kernels check image and box themselves: Python code costs as much as the trees where other programs have
    emptied the processor's caches.

    Returns
    -------
    float64 array (1, n_landmarks, 2) or None
        None where image or box need a closer look: nothing has been done then.
    """
    try:
        image, (left, top, width, height) = face
        if image.dtype is not UINT8:
            return None
        predict, rest, shape, color_part = fitted.cascade.plain_kernels
        box = left, top, width, height
        landmarks: npt.NDArray[np.float64] = empty(shape)
        if image.ndim == 2:
            if predict(image, (0, 0), box, MAX_BOX_TO_IMAGE, *rest, landmarks):
                return landmarks
        elif color_part is not None and image.shape[2:] == (3,):
            weights = _channel_weights(channel_order, gray_weights)
            part, column, row = color_part(image, weights, box, MAX_BOX_TO_IMAGE, rest[-1])
            if part.size and predict(part, (column, row), box, 0, *rest, landmarks):
                return landmarks
    except (AttributeError, OverflowError, TypeError, ValueError):
        pass
    return None


def initializations(
    mode: PredictionMode, mirror_map: npt.NDArray[np.intp] | None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.intp]]:
    """Return the initializations (n, 4) of a mode, see `ert.model.geometry.INITS`, and the mirror map."""
    if mode.n_inits == 1 and not mode.flip:
        return ONE_INIT, NO_MIRROR_MAP
    inits = INITS[: mode.n_inits]
    if not mode.flip or mirror_map is None:
        return inits, NO_MIRROR_MAP
    return np.concatenate([inits, inits + [0, 0, 0, 1]]), mirror_map


def share_inits(
    fitted: Fitted,
    inits: npt.NDArray[np.float64],
    locate: Callable[[Cascade | DlibCascade, npt.NDArray[np.float64]], npt.NDArray[np.float64]],
) -> npt.NDArray[np.float64]:
    """Locate the landmarks of one object, from initialization i by member i modulo the number of members.

    Parameters
    ----------
    inits : float64 array (n_inits, 4)
    locate : callable
        Takes a cascade and its initializations, and returns shapes (n, n_landmarks, 2).

    Returns
    -------
    float64 array (n_inits, n_landmarks, 2)
        Those of the first member, then those of the second, and so on.
    """
    members = fitted.members[: len(inits)]
    if len(members) == 1:
        return locate(members[0], inits)
    return np.concatenate([locate(member, inits[i :: len(members)]) for i, member in enumerate(members)])


def locate_face(
    fitted: Fitted,
    image: npt.NDArray[np.uint8],
    box: tuple[float, float, float, float],
    mode: PredictionMode,
    colors: tuple[str, str],
    with_confidence: bool,
) -> tuple[npt.NDArray[np.float64], Part | None]:
    """Locate the landmarks of one upright face.

    Parameters
    ----------
    image : uint8 array (rows, columns) or (rows, columns, 3)
    with_confidence : bool
        Whether the confidence model will read the image too.

    Returns
    -------
    shape : float64 array (n_landmarks, 2)
        In image pixels.
    part : (image, column, row) or None
        Of a color image, the gray part that the confidence model can share.
    """
    cascade = fitted.cascade
    inits, mirror_map = initializations(mode, fitted.mirror_map)
    for _ in range(1, mode.n_passes):
        first = cascade.predict_face(image, box, ONE_INIT, *colors)
        box = redraw_box(first[0], cascade.mean_shape, box)

    def locate_in(place: Box, its_part: Part | None) -> npt.NDArray[np.float64]:
        rest = (*colors, mirror_map) if its_part is None else (*colors, mirror_map, its_part)
        return median_shape(
            share_inits(fitted, inits, lambda member, own: member.predict_face(image, place, own, *rest))
        )

    part = shared = None
    if isinstance(cascade, Cascade) and not is_kernel_ready_gray(image):
        if with_confidence:
            part = shared = _shared_part(cascade, image, box, *colors)
        elif fitted.further_members:
            shared = cascade.read_part(image, box, *colors)
    shape = locate_in(box, shared)
    if mode.restart:
        confidence_model = fitted.require_confidence_model()
        normalizer = fitted.params.get("normalizer")
        better = restart(cascade, confidence_model, normalizer, image, box, shape, *colors)
        if better is not None:
            shape = locate_in(better, None)
    return shape, part


def median_shape(shapes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the median (n_landmarks, 2) of shapes (n, n_landmarks, 2); of a single one, the shape itself."""
    n = len(shapes)
    if n == 1:
        return shapes[0]  # type: ignore[no-any-return]
    # np.median takes as long as two cascades.
    ordered = np.sort(shapes, axis=0)
    middle: npt.NDArray[np.float64] = (ordered[(n - 1) // 2] + ordered[n // 2]) / 2
    return middle


def _shared_part(
    cascade: Cascade, image: npt.NDArray[np.uint8], box: tuple[float, float, float, float], *colors: str
) -> Part:
    """Convert to gray, once, the part that the cascade needs and the confidence model nearly always needs."""
    left, top, width, height = box
    side = 1 + 2 * CROP_MARGIN
    wider = left - CROP_MARGIN * width, top - CROP_MARGIN * height, side * width, side * height
    low_x, low_y, high_x, high_y = cascade.crop_spec.region
    if not (low_x <= 0.5 <= high_x and low_y <= 0.5 <= high_y):
        return cascade.read_part(image, box, *colors)
    # A region around the middle of the box grows on all sides as the box does.
    return read_part(image, *cascade.crop_spec.touched(*wider, image.shape), *colors)


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
    workspace = np.empty((2, len(found)))

    def confidence_of(shape: npt.NDArray[np.float64]) -> float:
        return confidence_model.assess_face(image, box, shape, channel_order, gray_weights, normalizer, *workspace)

    highest, best = confidence_of(found), None
    if highest >= MIN_CONFIDENCE:
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
        confidence = confidence_of(shape)
        if confidence > highest:
            highest, best = confidence, redraw_box(shape, cascade.mean_shape, moved)
    return best if highest >= MIN_RESTART_CONFIDENCE else None
