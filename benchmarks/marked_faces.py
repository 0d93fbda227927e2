"""The faces of `mtfl` that a heat-map network has marked, as training data of the bundled models.

    python benchmarks/marked_faces.py runs/marked.npz    # of face_network.py; writes benchmarks/marks/mtfl.npz

The file has, for each photo by its number: the 68 landmarks that the network found, in eighths of a pixel, the
standard deviation of its heat maps, and the boxes of two detectors. So the bundled models are trained to the same bytes
without the network, whose last bits depend on the processor. It contains neither photos nor annotations of the set.
"""

from pathlib import Path

import common
import numpy as np
from attributes import convention, converted, five_points, sizes

MARKS = common.ROOT / "benchmarks" / "marks" / "mtfl.npz"
# Units of landmarks in a pixel, of standard deviations in the size of a face.
LANDMARK_UNITS, SPREAD_UNITS = 8, 10_000
DETECTORS = ("dlib", "haar")
# Share of the photos that are kept: those with the smallest distances from the annotated points, and with the smallest
# standard deviations, each in units of its median.
KEPT = 0.98
# Largest distance of a box's center from where the detector typically has it, in sizes of the landmarks' rectangle.
MAX_OFFSET = 0.35


def point_distances(shapes, points):
    """Return the largest distance (n,) of eyes and mouth corners from the annotated points, in sizes of the face.

    What differs in all faces, the places that the two sets of annotations mean, is taken off.
    """
    found = five_points(shapes)
    found = converted(found, convention(found, points))
    return np.linalg.norm(found - points, axis=2)[:, [0, 1, 3, 4]].max(axis=1) / sizes(points)


def detect(files, points):
    """Return the boxes (n, 4) of each detector, NaN where it has not found the face of the points."""
    import cv2
    import dlib

    hog = dlib.get_frontal_face_detector()
    haar = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_alt2.xml")
    found = {name: np.full((len(files), 4), np.nan) for name in DETECTORS}
    for i, file in enumerate(files):
        image = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
        rectangles = hog(image, 0) or hog(image, 1)
        boxes = {
            "dlib": [(r.left(), r.top(), r.width(), r.height()) for r in rectangles],
            "haar": haar.detectMultiScale(image, 1.1, 3, minSize=(30, 30)),
        }
        for name, of in boxes.items():
            centers = [np.hypot(*(np.add(box[:2], np.divide(box[2:], 2)) - points[i].mean(axis=0))) for box in of]
            if centers and min(centers) < of[int(np.argmin(centers))][2] / 2:
                found[name][i] = of[int(np.argmin(centers))]
    return found


def complete(boxes, shapes):
    """Return boxes (n, 4) with those that are missing where the detector would typically draw them.

    Those that are far from there, on another face or on none, are replaced too.
    """
    low, high = shapes.min(axis=1), shapes.max(axis=1)
    centers, sides = (low + high) / 2, (high - low).mean(axis=1)
    offsets = (boxes[:, :2] + boxes[:, 2:] / 2 - centers) / sides[:, None]
    offset, side = np.nanmedian(offsets, axis=0), np.nanmedian(boxes[:, 2] / sides)
    typical = np.column_stack([centers + sides[:, None] * (offset - side / 2), *[side * sides] * 2])
    near = np.nan_to_num(np.abs(offsets - offset).max(axis=1), nan=np.inf) < MAX_OFFSET
    return np.where(near[:, None], boxes, typical)


def write(marked, data):
    """Write `MARKS` from what `face_network.py` has marked."""
    files, points, *_ = common.mtfl(data)
    found = np.load(marked)
    shapes = found["photos"].astype(float)
    spreads = found["photo_spreads"].mean(axis=1) / sizes(points)
    boxes = {name: complete(of, shapes) for name, of in detect(files, points).items()}
    MARKS.parent.mkdir(exist_ok=True)
    np.savez_compressed(
        MARKS,
        landmarks=np.rint(shapes * LANDMARK_UNITS).astype(np.int16),
        spreads=np.rint(spreads * SPREAD_UNITS).clip(0, 2**16 - 1).astype(np.uint16),
        **{name: np.rint(of).astype(np.int16) for name, of in boxes.items()},
    )


def training_faces(data, without=()):
    """Return the files of the photos that are kept, the boxes (n, 4) of each detector, and the landmarks (n, 68, 2).

    `without` are numbers of photos that are left out: near-duplicates of test faces.
    """
    files, points, _, held_out = common.mtfl(data)
    marks = np.load(MARKS)
    shapes, spreads = marks["landmarks"] / LANDMARK_UNITS, marks["spreads"] / SPREAD_UNITS
    distances = point_distances(shapes, points)
    score = np.maximum(distances / np.median(distances), spreads / np.median(spreads))
    usable = ~held_out
    usable[list(without)] = False
    kept = np.flatnonzero(usable & (score <= np.quantile(score[usable], KEPT)))
    return [files[i] for i in kept], {name: marks[name][kept].astype(float) for name in DETECTORS}, shapes[kept]


def main():
    parser = common.parser(__doc__)
    parser.add_argument("marked", type=Path, help="what `face_network.py mark` has written")
    options = parser.parse_args()
    write(options.marked, options.data)


if __name__ == "__main__":
    main()
