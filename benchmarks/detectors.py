"""Error of face68 with the boxes of each detector of `ert.detect_faces` on the 330 test faces of HELEN.

    python benchmarks/detectors.py

A face is found when the IoU (intersection over union) of a box and the square around its landmarks exceeds
0.3. The error is that of the faces found, next to that of the same faces with dlib's boxes from the table.
"""

import common
import numpy as np


def overlap(box, boxes):
    low = np.maximum(box[:2], boxes[:, :2])
    high = np.minimum(box[:2] + box[2:], boxes[:, :2] + boxes[:, 2:])
    shared = np.maximum(high - low, 0).prod(axis=1)
    return shared / (box[2:].prod() + boxes[:, 2:].prod(axis=1) - shared)


def main():
    import ert
    from ert.metrics import nme

    options = common.arguments(__doc__)
    folder = options.data / "300w"
    test = ert.load_dataset(folder / "helen" / "testset", boxes=f"{folder / 'boxes.csv'}:dlib")
    squares = ert.load_dataset(folder / "helen" / "testset").boxes
    model = ert.load("face68")
    table = nme(test.y, model.predict(test.X, n_jobs=-1), "inter-pupil")
    images = [ert.load_image(file) for file in test.files]
    result = {}
    for detector in ("haar", "lbp", "dlib"):
        found, faces = [], []
        for i, image in enumerate(images):
            boxes = ert.detect_faces(image, detector)
            shares = overlap(squares[i], boxes) if len(boxes) else np.zeros(1)
            if shares.max() > 0.3:
                found.append(i)
                faces.append((image, boxes[shares.argmax()]))
        errors = nme(test.y[found], model.predict(faces, n_jobs=-1), "inter-pupil")
        result[detector] = {
            "found": len(found),
            "nme_inter_pupil": float(errors.mean()),
            "same_faces_with_boxes_of_the_table": float(table[found].mean()),
        }
    common.save_result("detectors", {"faces": len(test), "detectors": result})


if __name__ == "__main__":
    main()
