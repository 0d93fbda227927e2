"""Compare what ert.js finds with what Python finds, in Node and in Chromium: objects of a locator, and faces.

    python benchmarks/web_finders.py
    taskset -c 0 python benchmarks/web_finders.py --limit 30     # a short test on one core

Objects: a locator and a cascade are trained on two thirds of the photos, and tried on the others. The difference is the
largest of a landmark in a photo, in pixels. Faces: of training images of 300-W, on which nothing of the detectors was
trained; face68 was, so that its errors are too small, with any of them. A face is found when the square around its
landmarks and the square around those found share more than half of what both cover. Times are those of images of
640 x 480 pixels, medians and the fastest tenth after a warm-up; tracking is that of a face that moves two pixels a
frame, without the frames in which faces are searched.
"""

import json
import tempfile
from dataclasses import replace
from pathlib import Path

import common
import numpy as np
import web_common
from locator import CASCADE, datasets
from PIL import Image

RUNNERS = {"Node": web_common.in_node, "Chromium": web_common.in_chromium}
FRAME, N_FRAMES = (640, 480), 60
MIN_CONFIDENCE = 0.5
FINE = {"coarse": False, "sizeStep": 1.2}
SEARCHES = {
    "2 windows agree": {"rolls": [0]} | FINE,
    "2 windows agree, coarse, 1.1 from size to size": {"rolls": [0]},
    "2 windows agree, 320 pixels, coarse": {"rolls": [0], "maxSide": 320, "sizeStep": 1.2},
    "2 windows agree, 320 pixels, coarse, 1.1": {"rolls": [0], "maxSide": 320},
    "2 windows agree, three rolls": FINE,
    "2 windows agree, three rolls, coarse, 1.1": {},
}


class Task:
    """Images as files, and a task for web_finders.mjs."""

    def __init__(self, folder, images):
        self.folder, self.images = Path(folder), []
        for number, image in enumerate(images):
            file = self.folder / f"{number}.raw"
            file.write_bytes(np.ascontiguousarray(image).tobytes())
            self.images.append({"file": str(file), "width": image.shape[1], "height": image.shape[0]})

    def run(self, run, kind, model, **given):
        """Return what was found, and the median and the fastest tenth of the milliseconds after a first round."""
        task = self.folder / "task.json"
        given = {"kind": kind, "model": str(model), "images": self.images, "options": {}} | given
        task.write_text(json.dumps(given))
        result = run("web_finders.mjs", task)
        later = result["milliseconds"][len(self.images) :] or result["milliseconds"]
        return result["found"], np.quantile(later, (0.5, 0.1)).round(3).tolist()


def objects_of(name, dataset, limit, folder):
    """Return the differences from Python of a locator that is trained on two thirds of the photos."""
    import ert
    from ert._core.images import to_gray
    from ert.inference.locator import locate_objects
    from ert.training.locator import fit_locator

    photos = [np.ascontiguousarray(to_gray(ert.load_image(file))) for file in dataset.files]
    train = [i for i in range(len(photos)) if i % 3]
    test = [i for i in range(len(photos)) if i % 3 == 0][:limit]
    locator = fit_locator([photos[i] for i in train], dataset.y[train])
    boxes, rolls = locator.poses(dataset.y[train])
    model = ert.ShapePredictor(**CASCADE | {"n_stages": 10})
    model.fit([(photos[i], box) for i, box in zip(train, boxes, strict=True)], dataset.y[train], rolls=rolls)
    model.fitted_ = replace(model.fitted_, locator=locator, box_source="learned")
    file = Path(folder, f"{name}.ert")
    model.save(file)
    task = Task(folder, [photos[i] for i in test])
    result = {"photos": len(test)}
    for several in (1, 3):
        expected = [locate_objects(locator, photos[i], max_objects=several) for i in test]
        for runner, run in RUNNERS.items():
            found, times = task.run(run, "locate", file, options={"maxObjects": several})
            differences = []
            for i, here, there in zip(test, found, expected, strict=True):
                faces = [(photos[i], box) for box, _, _ in there]
                shapes = model.predict(faces, rolls=[roll for _, roll, _ in there], n_jobs=1)
                same = len(here) == len(there)
                found_shapes = [each["landmarks"] for each in here]
                largest = np.abs(np.ravel(found_shapes) - shapes.ravel()).max(initial=0) if same else np.inf
                differences.append(float(largest))
            result[f"{runner}, {several} object{'s' * (several > 1)}"] = {
                "within 0.01 px": float(np.mean(np.array(differences) <= 0.01)),
                "largest difference in px": max(differences) if np.isfinite(differences).all() else None,
                "milliseconds": times,
            }
    print(name, json.dumps(result), flush=True)
    return result


def share(landmarks, other):
    """Return the intersection over union of the rectangles of two shapes."""
    low, high = np.maximum(landmarks.min(0), other.min(0)), np.minimum(landmarks.max(0), other.max(0))
    shared = np.maximum(high - low, 0).prod()
    return shared / (np.ptp(landmarks, axis=0).prod() + np.ptp(other, axis=0).prod() - shared)


def face_figures(truth, found):
    """Return how many faces are found, with their errors; `found` has (landmarks, confidence) of each image."""
    from ert.metrics import nme

    kept, errors, others = [], {}, 0
    for i, faces in enumerate(found):
        likely = [landmarks for landmarks, confidence in faces if confidence >= MIN_CONFIDENCE]
        hits = [landmarks for landmarks in likely if share(landmarks, truth[i]) > 0.5]
        others += len(likely) - len(hits[:1])
        if hits:
            kept.append(i)
            errors[i] = float(nme(truth[i][None], hits[0][None], "inter-pupil")[0])
    return errors, {"found": len(kept), "other boxes": others, "nme_inter_pupil": float(np.mean(list(errors.values())))}


def faces_of(options, folder):
    """Return the figures of each detector with the landmarks of face68, once more in the boxes that belong to them."""
    import ert
    from ert._core.images import to_gray
    from ert.model.geometry import redraw_box
    from ert.web.lbp import face_cascade

    parts = [ert.load_dataset(options.data / "300w" / name) for name in ("afw", "helen/trainset", "lfpw/trainset")]
    files, truth = [file for part in parts for file in part.files], np.concatenate([part.y for part in parts])
    chosen = np.random.default_rng(0).permutation(len(files))[: options.faces]
    images = [np.ascontiguousarray(to_gray(ert.load_image(files[i]))) for i in chosen]
    model = ert.load("face68")

    def python(detector):
        found = []
        for image in images:
            boxes = ert.detect_faces(image, detector)
            first = model.predict([(image, box) for box in boxes], n_jobs=1) if len(boxes) else []
            mean = model.cascade_.mean_shape
            pairs = [(image, redraw_box(shape, mean, tuple(box))) for shape, box in zip(first, boxes, strict=True)]
            shapes = model.predict(pairs, n_jobs=1) if pairs else []
            confidences = model.assess(pairs, shapes, n_jobs=1).confidence if pairs else []
            found.append(list(zip(shapes, confidences, strict=True)))
        return found

    def here(search):
        given = {"cascade": face_cascade(), "options": search}
        found, _ = task.run(web_common.in_node, "faces", web_common.MODELS / "face68.ert", **given)
        shape = model.n_landmarks_, 2
        return [[(np.reshape(each["landmarks"], shape), each["confidence"]) for each in faces] for faces in found]

    task = Task(folder, images)
    found = {f"Python, {detector}": python(detector) for detector in ("haar", "lbp")}
    found |= {f"ert.js, {name}": here(search) for name, search in SEARCHES.items()}
    errors, figures = {}, {}
    for name, faces in found.items():
        errors[name], figures[name] = face_figures(truth[chosen], faces)
    common_to_all = sorted(set.intersection(*map(set, errors.values())))
    for name, each in errors.items():
        figures[name]["nme of those that all find"] = float(np.mean([each[i] for i in common_to_all]))
        print(name, json.dumps(figures[name]), flush=True)
    return {"faces": len(chosen), "found by all": len(common_to_all), "detectors": figures}


def times_of(folder):
    """Return milliseconds of detection and of tracking."""
    import ert
    from ert.web.lbp import face_cascade

    photo = Image.open(ert.sample_image()).convert("L")
    scale = 1.3
    photo = photo.resize([round(side * scale) for side in photo.size])
    frames = []
    for k in range(N_FRAMES):
        frame = Image.new("L", FRAME, 110)
        frame.paste(photo, (2 * abs(N_FRAMES // 2 - k) - 60, 20))
        color = np.dstack([np.asarray(frame)] * 3 + [np.full(FRAME[::-1], 255, np.uint8)])
        frames.append(color)
    model, cascade = web_common.MODELS / "face68.ert", face_cascade()
    gray = Task(folder, [frames[0][..., 0]])
    result = {}
    for runner, run in RUNNERS.items():
        result[runner] = {}
        for name, options in {
            "detection": {"minWindows": 2},
            "detection, coarse": {"minWindows": 2, "coarse": True},
            "detection, 320 pixels, coarse": {"minWindows": 2, "coarse": True, "maxSide": 320},
        }.items():
            _, times = gray.run(run, "detect", model, cascade=cascade, options=options, repeat=40)
            result[runner][name] = times
        _, times = Task(folder, frames).run(run, "track", model, cascade=cascade, repeat=4)
        result[runner]["tracking"] = times
    print(json.dumps(result), flush=True)
    return result


def main():
    options = common.arguments(__doc__, limit=1000, faces=400)
    with tempfile.TemporaryDirectory(prefix="ert-web-") as folder:
        result = {"versions of programs": web_common.versions(), "times": times_of(folder)}
        result["objects"] = {
            name: objects_of(name, dataset, options.limit, folder)
            for name, dataset in datasets(options.data).items()
            if name != "portraits"
        }
        result["300-W"] = faces_of(options, folder)
    common.save_result("web_finders", result)


if __name__ == "__main__":
    main()
