"""
Landmarks in supervision
========================

Arrays for ``supervision.KeyPoints``, drawn by supervision: ``python supervision_keypoints.py [PHOTO]``.

Where supervision is not installed, ``ert`` draws the landmarks of these arrays.
"""

import sys

import numpy as np

import ert
from ert.plotting.landmarks import contact_sheet, object_thumbnail, save_image

try:
    import supervision
except ImportError:
    supervision = None

SHIFTS = 0.05 * np.array([(0, 0), (-1, 0), (1, 0), (0, -1), (0, 1)])  # in sides of the box


def key_points(model, image, boxes, class_id=0):
    """Locate landmarks; return arrays in the order of the arguments of `supervision.KeyPoints`.

    `boxes` is (n, 4): left, top, width, height. "xy" is (n, m, 2) float32, in pixels; "class_id" is (n,);
    "confidence" is (n, m) float32: 1 where predictions from five boxes agree, 0.37 where their mean distance
    from the median is 2 % of the side of the box. It is not a calibrated probability.
    """
    boxes = np.reshape(boxes, (-1, 4)).astype(float)
    sides = boxes[:, 2:].mean(axis=1)
    X = [
        (image, (*(box[:2] + shift * side), *box[2:]))
        for box, side in zip(boxes, sides, strict=True)
        for shift in SHIFTS
    ]
    found = model.predict(X).reshape(len(boxes), len(SHIFTS), model.n_landmarks_, 2)
    xy = np.median(found, axis=1)
    spread = np.linalg.norm(found - xy[:, None], axis=3).mean(axis=1) / sides[:, None]
    return {
        "xy": xy.astype(np.float32),
        "class_id": np.full(len(boxes), class_id),
        "confidence": np.exp(-spread / 0.02).astype(np.float32),
    }


image = ert.load_image(sys.argv[1] if len(sys.argv) > 1 else ert.sample_image())
model = ert.load("face68")
boxes = ert.detect_faces(image)
arrays = key_points(model, image, boxes)
print({name: (array.shape, str(array.dtype)) for name, array in arrays.items()})
color = np.stack([image] * 3, axis=2) if image.ndim == 2 else image.copy()
if supervision:
    # By position: the third is `confidence` in older versions and `keypoint_confidence` since 0.29.
    points = supervision.KeyPoints(*arrays.values())
    bgr = np.ascontiguousarray(color[..., ::-1])
    drawn = supervision.VertexAnnotator(supervision.Color.YELLOW, radius=1).annotate(bgr, points)
    save_image("supervision.png", np.ascontiguousarray(drawn[..., ::-1]))
else:
    drawn = [object_thumbnail(color, box, [xy], [None], 480) for box, xy in zip(boxes, arrays["xy"], strict=True)]
    save_image("supervision.png", contact_sheet(drawn, 2, tile_size=480))
