"""Detect faces at any in-plane rotation: run a detector on rotated copies and merge its boxes."""

from collections.abc import Iterator

import numpy as np

from ert._core.types import Box, Floats, Pixels
from ert.faces.detection import Detector, detect_faces, keep_best, reduce_image
from ert.inference.rotated import rotation, search_roll
from ert.predictor import ShapePredictor

# Rotation between copies: detectors find faces with a roll of half of it.
STEP_DEGREES = 30
# Largest difference between the roll of a face and that of the copy it is detected in.
MAX_ROLL_DEGREES = 30.0
# Where shapes from several initializations have a larger spread, in sides of the box, there is hardly ever a
# face: in 30 rotated training images of 300-W it removes 17 of 18 false alarms of `face68` and 1 of 28 faces.
MAX_SPREAD_BOX_SIDES = 0.012


def detect_rotated_faces(
    image: Pixels, model: ShapePredictor, detector: str | Detector, channel_order: str
) -> tuple[Floats, Floats]:
    """Detect faces at any roll and locate their landmarks.

    Parameters
    ----------
    image : uint8 array (rows, columns) or (rows, columns, 3)
    model : ShapePredictor
    detector, channel_order
        As for :func:`ert.detect_faces`.

    Returns
    -------
    boxes : float array (n, 4)
        The largest first; upright, with the center and the sides of the box detected in a rotated copy.
    shapes : float array (n, n_landmarks, 2)

    Raises
    ------
    InputError
        As :func:`ert.detect_faces`.
    """
    cascade = model.cascade_
    model.warm_up(rotated=True)
    boxes, shapes, spreads = [], [], []
    for box, roll in _detect_rotated(image, detector, channel_order):
        shape, spread = search_roll(cascade, image, box, roll, MAX_ROLL_DEGREES, channel_order, model.gray_weights)
        if spread < MAX_SPREAD_BOX_SIDES:
            boxes.append(box)
            shapes.append(shape)
            spreads.append(spread)
    if not boxes:
        return np.empty((0, 4)), np.empty((0, *cascade.mean_shape.shape))
    found = np.array(boxes)
    kept = keep_best(found, -np.array(spreads))
    kept = kept[np.argsort(-found[kept, 2:].prod(axis=1), kind="stable")]
    return found[kept], np.array(shapes)[kept]


def _detect_rotated(image: Pixels, detector: str | Detector, channel_order: str) -> Iterator[tuple[Box, float]]:
    """Yield detected boxes in image coordinates and the roll of the copy each was detected in."""
    from PIL import Image

    # A function gets full-size copies; the other detectors would reduce them anyway.
    source = Image.fromarray(image if callable(detector) else reduce_image(image))
    scale = np.array(image.shape[1::-1]) / source.size
    for roll in range(0, 360, STEP_DEGREES):
        # Pillow rotates counterclockwise, which makes faces of this roll upright.
        copy = source.rotate(roll, Image.Resampling.BILINEAR, expand=True)
        for box in detect_faces(np.array(copy), detector, channel_order=channel_order):
            # Relative to the center of the image, which the rotation keeps in place.
            offset = rotation(roll) @ (box[:2] + box[2:] / 2 - np.array(copy.size) / 2)
            center = (offset + np.array(source.size) / 2) * scale
            if (center >= 0).all() and (center < image.shape[1::-1]).all():
                sides = box[2:] * scale
                yield (*(center - sides / 2).tolist(), *sides.tolist()), float(roll)
