"""Faces however they are turned in the image plane: the detector on turned copies, its boxes merged."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from ert._core.types import Box
from ert.faces.detection import Detector, detect_faces, keep_best, reduce_image
from ert.inference.rotated import rotation, search_roll
from ert.predictor import ShapePredictor

__all__ = [
    "detect_rotated_faces",
]


# Degrees from one copy to the next: detectors find what leans by half of it.
STEP = 30
# How far the roll of a face may be from that of the copy it was found in.
MAX_ROLL = 30.0
# Where starts scatter farther than this, in sides of the box, there is hardly ever a face: in 30 turned
# training pictures of 300-W `face68` loses one of 28 faces by it, and 17 of 18 false alarms.
LARGEST_SPREAD = 0.012


def detect_rotated_faces(
    image: npt.NDArray[np.uint8], model: ShapePredictor, detector: str | Detector, channel_order: str
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Find faces that are turned by any roll, and their landmarks.

    Parameters
    ----------
    image : uint8 array (rows, columns) or (rows, columns, 3)
    model : ShapePredictor
    detector, channel_order
        See :func:`ert.detect_faces`.

    Returns
    -------
    boxes : float array (n, 4)
        The largest first; upright, with center and sides of what the detector drew in a turned copy.
    shapes : float array (n, n_landmarks, 2)

    Raises
    ------
    InputError
        See :func:`ert.detect_faces`.
    """
    cascade = model.cascade_
    model.warm_up(rotated=True)
    boxes, shapes, spreads = [], [], []
    for box, roll in _detect_rotated(image, detector, channel_order):
        shape, spread = search_roll(cascade, image, box, roll, MAX_ROLL, channel_order, model.gray_weights)
        if spread < LARGEST_SPREAD:
            boxes.append(box)
            shapes.append(shape)
            spreads.append(spread)
    if not boxes:
        return np.empty((0, 4)), np.empty((0, *cascade.mean_shape.shape))
    found = np.array(boxes)
    kept = keep_best(found, -np.array(spreads))
    kept = kept[np.argsort(-found[kept, 2:].prod(axis=1), kind="stable")]
    return found[kept], np.array(shapes)[kept]


def _detect_rotated(
    image: npt.NDArray[np.uint8], detector: str | Detector, channel_order: str
) -> Iterator[tuple[Box, float]]:
    """Yield boxes in the image, and the roll at which each object in them stands upright."""
    from PIL import Image

    # A function gets copies of the image as it is; the other detectors would reduce them anyway.
    seen = Image.fromarray(image if callable(detector) else reduce_image(image))
    scale = np.array(image.shape[1::-1]) / seen.size
    for roll in range(0, 360, STEP):
        # Pillow turns the other way round, which is back.
        copy = seen.rotate(roll, Image.Resampling.BILINEAR, expand=True)
        for box in detect_faces(np.array(copy), detector, channel_order=channel_order):
            # Both measured from the middle of the image, which the turn leaves in place.
            away = rotation(roll) @ (box[:2] + box[2:] / 2 - np.array(copy.size) / 2)
            middle = (away + np.array(seen.size) / 2) * scale
            if (middle >= 0).all() and (middle < image.shape[1::-1]).all():
                sides = box[2:] * scale
                yield (*(middle - sides / 2).tolist(), *sides.tolist()), float(roll)
