"""MediaPipe's face mesh on the same faces: its error on 68 landmarks, its time beside `face68`, and its size.

    pip install "mediapipe==0.10.21"     # later wheels do not contain the model; it needs numpy < 2
    python benchmarks/face_mesh.py --final 1

The mesh has 468 points of its own. For each of the 68 landmarks the nearest one is taken, and a linear map from these
to the landmarks is fitted, both on the training faces of 300-W: so that it is not punished for other definitions. It
gets a region around the box of a detector and searches for the face there itself, as its interface has no boxes; where
it finds none, the error is that of the mean face in the box. Without --final, one part of the training faces is
measured, and the map is fitted on the others. The two take turns on every face. Its number of threads cannot be set.
"""

import os
import time
from pathlib import Path

import common
import cv2
import numpy as np
from model_card import estimate

DETECTORS = ("dlib", "haar")
# The region that is given, in sides of the box; and the least side in pixels, to which smaller ones are enlarged.
REGION = 1.8
MIN_SIDE_PIXELS = 192
# Weight of the squared coefficients when the map is fitted, in units of coordinates relative to the face's size.
RIDGE = 1e-3


class Mesh:
    """Finds the 468 points of the mesh in the box of a face."""

    def __init__(self):
        import mediapipe

        self.folder = Path(mediapipe.__file__).parent / "modules"
        self.finder = mediapipe.solutions.face_mesh.FaceMesh(static_image_mode=True, min_detection_confidence=0.3)

    def find(self, image, box):
        """Return the points (468, 2) of an RGB image, or None."""
        side = REGION * np.mean(box[2:])
        left, top = np.add(box[:2], np.divide(box[2:], 2)) - side / 2
        target = round(max(side, MIN_SIDE_PIXELS))
        scale = target / side
        matrix = np.array([[scale, 0, -scale * left], [0, scale, -scale * top]])
        region = cv2.warpAffine(image, matrix, (target, target), borderMode=cv2.BORDER_REPLICATE)
        found = self.finder.process(region).multi_face_landmarks
        if not found:
            return None
        points = np.array([(point.x, point.y) for point in found[0].landmark]) * target
        return (points - matrix[:, 2]) / scale

    def megabytes(self):
        """Return the size of the two models that are used."""
        names = "face_landmark/face_landmark.tflite", "face_detection/face_detection_short_range.tflite"
        return sum((self.folder / name).stat().st_size for name in names) / 1e6


class LinearMap:
    """Which points of the mesh are nearest to the landmarks, and a linear map from them to the landmarks."""

    def __init__(self, meshes, landmarks):
        inputs, targets = self._normalized(meshes, meshes), self._normalized(landmarks, meshes)
        distances = np.linalg.norm(targets[:, :, None] - inputs[:, None], axis=3).mean(axis=0)
        self.nearest = distances.argmin(axis=1)
        x = self._features(inputs)
        penalty = RIDGE * len(x) * np.eye(x.shape[1])
        penalty[-1, -1] = 0
        self.weights = np.linalg.solve(x.T @ x + penalty, x.T @ targets.reshape(len(x), -1))

    @staticmethod
    def _normalized(points, meshes):
        """Return points relative to the center and the size of meshes."""
        center = meshes.mean(axis=1, keepdims=True)
        return (points - center) / np.sqrt(((meshes - center) ** 2).sum(axis=2).mean(axis=1))[:, None, None]

    def _features(self, inputs):
        return np.column_stack([inputs[:, self.nearest].reshape(len(inputs), -1), np.ones(len(inputs))])

    def landmarks(self, meshes):
        """Return the 68 landmarks of meshes (n, 468, 2)."""
        center = meshes.mean(axis=1, keepdims=True)
        sizes = np.sqrt(((meshes - center) ** 2).sum(axis=2).mean(axis=1))[:, None, None]
        found = (self._features(self._normalized(meshes, meshes)) @ self.weights).reshape(len(meshes), -1, 2)
        return found * sizes + center


def read(data, split, detector):
    import ert

    folder = data / "300w"
    faces = ert.load_dataset(folder, boxes=f"{folder / 'boxes.csv'}:{detector}", split=split)
    return [np.ascontiguousarray(ert.load_image(file)) for file in faces.files], np.asarray(faces.y, float), faces.boxes


def race(mesh, model, images, boxes, rounds):
    """Return the median times and quartiles in milliseconds of both."""
    calls = {"face mesh": mesh.find, "face68": lambda image, box: model.predict([(image, box)])}
    times = {name: [] for name in calls}
    for number in range(rounds + 1):
        for face in zip(images, boxes, strict=True):
            for name, call in calls.items():
                begin = time.perf_counter_ns()
                call(*face)
                if number:  # The first round warms up.
                    times[name].append((time.perf_counter_ns() - begin) / 1e6)
    quartiles = {name: np.quantile(each, [0.25, 0.5, 0.75]).tolist() for name, each in times.items()}
    return {name: dict(zip(("low", "median", "high"), each, strict=True)) for name, each in quartiles.items()}


def main():
    import ert
    from ert.metrics import nme

    options = common.arguments(__doc__, final=0, faces=10_000, rounds=3)
    mesh, model = Mesh(), ert.load("face68")
    errors, missed = {}, {}
    for detector in DETECTORS:
        images, y, boxes = read(options.data, "train", detector)
        train = np.random.default_rng(0).permutation(len(images))[: options.faces]
        if options.final:
            test_images, test_y, test_boxes = read(options.data, "test", detector)
        else:
            # Fold 0 of 4 as in networks.py.
            test, train = train[: len(train) // 4], train[len(train) // 4 :]
            test_images, test_y, test_boxes = [images[i] for i in test], y[test], boxes[test]
        found = {i: mesh.find(images[i], boxes[i]) for i in train}
        kept = [i for i in train if found[i] is not None]
        linear = LinearMap(np.array([found[i] for i in kept]), y[kept])
        centers, sides = boxes[train, :2] + boxes[train, 2:] / 2, boxes[train, 2:].mean(axis=1)
        mean = ((y[train] - centers[:, None]) / sides[:, None, None]).mean(axis=0)
        shapes = []
        for image, box in zip(test_images, test_boxes, strict=True):
            points = mesh.find(image, box)
            in_box = mean * np.mean(box[2:]) + box[:2] + box[2:] / 2
            shapes.append(in_box if points is None else linear.landmarks(points[None])[0])
        errors[detector] = estimate(nme(test_y, np.array(shapes), "inter-pupil"))
        missed[detector] = sum(mesh.find(*face) is None for face in zip(test_images, test_boxes, strict=True))
        print(detector, errors[detector], missed[detector], flush=True)
    times = race(mesh, model, test_images[:60], test_boxes[:60], options.rounds)
    faces_of = "test faces of HELEN" if options.final else "faces of the training faces"
    row = {"facts": {"MB": mesh.megabytes(), "missed": missed}, "NME inter-pupil": errors}
    row["milliseconds"] = {"2 threads": times["face mesh"]}
    result = {"faces": len(test_y), "faces of": faces_of, "load": os.getloadavg(), "face68 beside it": times["face68"]}
    result["methods"] = {"MediaPipe's face mesh": row}
    common.save_result("face_mesh", result) if options.final else print(result)


if __name__ == "__main__":
    main()
