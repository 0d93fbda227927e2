"""Calibration of the confidence of a model on the 330 test faces of HELEN, and its cost.

    python benchmarks/calibration.py [--model face68]

Standard errors and probabilities compared with true errors; detection of failed faces and of images without
faces; the time with and without. benchmarks/calibration_page.py writes docs/confidence.md from the result.
"""

import time
from pathlib import Path

import common
import numpy as np

LEVELS = (0.5, 0.8, 0.9, 0.95)
# Jitter of boxes: shift in sides of the box, logarithm of the size, boxes per face.
SCATTERED = {"scattered by 5 %": (0.05, 0.06, 3), "scattered by 10 %": (0.1, 0.12, 3)}
# Boxes on the background of each image of a face, and on each image without faces.
N_BACKGROUND, N_FOREIGN = 6, 3
FOREIGN = {"wings": "wings", "shells": "shells"}
PICTURES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp")
# Interleaved timed calls of each kind.
N_TIMED = 1500


def load_faces(data):
    """Return gray images, boxes and landmarks of HELEN's test faces for each detector."""
    from ert import load_dataset, load_image
    from ert._core.images import to_gray

    folder = data / "300w"
    faces = {}
    for name in ("dlib", "haar"):
        dataset = load_dataset(folder, boxes=f"{folder / 'boxes.csv'}:{name}", split="test")
        images = [np.array(to_gray(load_image(file), "rgb", "luma")) for file in dataset.files]
        faces[name] = images, dataset.boxes, dataset.y
    return faces


def assessed(model, images, boxes, truth):
    """Return the assessment, the true errors and the normalizers of predicted faces."""
    from ert.metrics import landmark_errors, normalizer_lengths

    X = [(image, box) for image, box in zip(images, boxes, strict=True)]
    shapes = model.predict(X)
    assessment = model.assess(X, shapes)
    errors, lengths = landmark_errors(truth, shapes), normalizer_lengths(truth, model.normalizer)
    return assessment, errors, lengths


def failed(errors, lengths):
    from ert.model.confidence import FAILED

    return np.nanmean(errors, axis=1) / lengths > FAILED


def failure_detection(assessment, errors, lengths):
    """Return how well the confidence separates failed faces from the others."""
    from ert.training.calibration import roc_auc

    bad = failed(errors, lengths)
    auc = roc_auc(assessment.confidence, ~bad)
    return {"faces": len(bad), "failed": int(bad.sum()), "auc": None if np.isnan(auc) else auc}


def scattered(images, boxes, truth, shift, scale, repeats):
    """Return faces with randomly shifted and resized boxes."""
    from ert.training.confidence_samples import scatter

    rng = np.random.default_rng(0)
    drawn = [
        scatter(tuple(box), shift, scale, image.shape[::-1], rng)
        for _ in range(repeats)
        for image, box in zip(images, boxes, strict=True)
    ]
    return images * repeats, np.array(drawn), np.concatenate([truth] * repeats)


def backgrounds(images, boxes):
    """Return squares in the images that hardly overlap any face."""
    from ert.training.confidence_samples import background_boxes

    rng = np.random.default_rng(1)
    X = []
    for image, *around in zip(images, *boxes, strict=True):
        around = [tuple(box) for box in around]
        X += [(image, box) for box in background_boxes(around[0], around, image.shape[::-1], N_BACKGROUND, rng)]
    return X


def foreign(folder):
    """Return squares in images without faces: the largest central one and random ones."""
    from ert import load_image
    from ert._core.images import to_gray

    rng = np.random.default_rng(2)
    X = []
    for file in sorted(Path(folder).rglob("*")):
        if file.suffix.lower() not in PICTURES:
            continue
        image = np.array(to_gray(load_image(file), "rgb", "luma"))
        rows, columns = image.shape
        least = min(image.shape)
        X.append((image, ((columns - least) / 2, (rows - least) / 2, least, least)))
        for _ in range(N_FOREIGN):
            side = least * np.exp(rng.uniform(np.log(0.2), 0))
            left, top = rng.uniform(0, columns - side), rng.uniform(0, rows - side)
            X.append((image, (left, top, side, side)))
    return X


def coverage_by_size(assessment, errors, radius, lengths):
    """Return the coverage of the 90 % interval by quintiles of the expected error."""
    relative = (assessment.std / lengths[:, None]).ravel()
    inside = (errors <= radius * assessment.std).ravel()
    parts = np.array_split(np.argsort(relative, kind="stable"), 5)
    return [{"std": 100 * float(relative[part].mean()), "share": float(inside[part].mean())} for part in parts]


def measure(model, faces, others):
    """Return all figures except the times.

    Parameters
    ----------
    model : ShapePredictor
        With a confidence model.
    faces : dict
        Images, boxes and landmarks for each detector.
    others : dict
        A list of (image, box) for each kind of image without faces.
    """
    from ert.model.confidence import WITHIN
    from ert.training.calibration import coverage, rejection_rate_at_recall, reliability
    from ert.training.confidence import BACKGROUND_PRIOR

    radii = [model.std_radius(level) for level in LEVELS]
    own = {name: assessed(model, *each) for name, each in faces.items()}
    result = {"levels": LEVELS, "coverage": {}, "coverage by expected error": {}, "failed": {}, "non-faces": {}}
    for name, (assessment, errors, lengths) in own.items():
        result["coverage"][f"boxes {name}"] = coverage(errors, assessment.std, radii)
        by_size = coverage_by_size(assessment, errors, radii[LEVELS.index(0.9)], lengths)
        result["coverage by expected error"][f"boxes {name}"] = by_size
        result["failed"][f"boxes {name}"] = failure_detection(assessment, errors, lengths)
    for what, (shift, scale, repeats) in SCATTERED.items():
        many = [assessed(model, *scattered(*each, shift, scale, repeats)) for each in faces.values()]
        assessment = join([each[0] for each in many])
        errors, lengths = (np.concatenate([each[i] for each in many]) for i in (1, 2))
        result["coverage"][what] = coverage(errors, assessment.std, radii)
        result["failed"][what] = failure_detection(assessment, errors, lengths)
    assessment = join([each[0] for each in own.values()])
    errors, lengths = (np.concatenate([each[i] for each in own.values()]) for i in (1, 2))
    result["failed"]["both boxes"] = failure_detection(assessment, errors, lengths)
    result["within"] = reliability(assessment.within, errors <= WITHIN * lengths[:, None])

    first = next(iter(faces.values()))
    others = {"background": backgrounds(first[0], [each[1] for each in faces.values()])} | others
    confidences = {}
    for name, X in others.items():
        confidences[name] = model.assess(X, model.predict(X)).confidence
        rates = rejection_rate_at_recall(assessment.confidence, confidences[name])
        result["non-faces"][name] = {"squares": len(X)} | rates
    background = confidences["background"]
    weights = np.repeat(
        [(1 - BACKGROUND_PRIOR) / len(assessment.confidence), BACKGROUND_PRIOR / len(background)],
        [len(assessment.confidence), len(background)],
    )
    result["confidence"] = reliability(
        np.concatenate([assessment.confidence, background]),
        np.concatenate([~failed(errors, lengths), np.zeros(len(background), bool)]),
        weights=weights,
    )
    return result


def join(assessments):
    """Concatenate assessments."""
    from ert import Assessment

    return Assessment(
        *(np.concatenate([getattr(each, name) for each in assessments]) for name in ("std", "within", "confidence"))
    )


def timed(model, images, boxes):
    """Return the median milliseconds of interleaved calls for one face."""
    X = list(zip(images, boxes, strict=True))
    shapes = model.predict(X)
    model.assess(X[:1], shapes[:1])
    seconds = {"predict": [], "predict with std": [], "predict, then assess": []}
    for i in range(N_TIMED):
        face = X[i % len(X)]
        for name in list(seconds)[:: 1 if i % 2 else -1]:
            begin = time.perf_counter()
            if name == "predict":
                model.predict([face])
            elif name == "predict with std":
                model.predict([face], return_std=True)
            else:
                model.assess([face], model.predict([face]))
            seconds[name].append(time.perf_counter() - begin)
    return {name: 1000 * float(np.median(each)) for name, each in seconds.items()}


def main():
    import ert

    options = common.arguments(__doc__, model="face68")
    model = ert.load(options.model)
    faces = load_faces(options.data)
    others = {name: foreign(options.data / folder) for name, folder in FOREIGN.items()}
    images, boxes, _ = faces["dlib"]
    result = {
        "model": options.model,
        "faces": len(images),
        "normalizer": model.normalizer,
        "confidence model": model.fitted_.confidence_summary,
        **measure(model, faces, others),
        "milliseconds": timed(model, images, boxes),
    }
    common.save_result("calibration", result)


if __name__ == "__main__":
    main()
