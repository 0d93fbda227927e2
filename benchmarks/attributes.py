"""Error of `face68` by gender, smile, glasses and pose, compared with dlib's public model.

    python benchmarks/attributes.py [--model runs/face68.ert]

Measured on every tenth face of `mtfl`, which no model was trained on; `face68` was trained on the others. Both
predictors get the same pixels and the same box, from dlib's detector and from OpenCV's Haar cascade (the one that
`ert.align` uses); faces that the detector misses are counted, and have no error. From 68 landmarks the 5 points of
`mtfl` are computed: the centers of the eyes, the tip of the nose, the corners of the mouth. Where the two annotations
mean different places, such as another tip of the nose, the difference is estimated for each predictor on faces that
are not held out: a constant vector for each point, in the rotation and scale of the predicted face. The error is the
mean distance of the 5 points in % of the distance between the eyes, or of that between eyes and mouth where it is
larger, since the first one shrinks when a head turns. dlib's public model was trained on all of 300-W, and `mtfl`
contains faces like those. It takes three minutes.
"""

import common
import numpy as np
from model_card import estimate, times_others

DETECTORS = ("dlib", "haar")
# Percent; the limit of the paper of `mtfl` (Zhang et al., ECCV 2014).
FAILURE = 10.0
THEIRS = "dlib, public model"
GROUPS = {
    "gender": {"1": "men", "2": "women"},
    "smile": {"1": "smiling", "2": "not smiling"},
    "glasses": {"1": "glasses", "2": "no glasses"},
    "pose": {"3": "frontal", "2": "turned", "4": "turned", "1": "profile", "5": "profile"},
}


def five_points(shapes):
    """Return the 5 points of `mtfl` (n, 5, 2) for 68 landmarks."""
    return np.insert(common.eyes_and_mouth(shapes), 2, shapes[:, 30], axis=1)


def sizes(points):
    """Return the larger of the distance between the eyes, and between the centers of eyes and mouth (n,)."""
    between = np.linalg.norm(points[:, 1] - points[:, 0], axis=1)
    down = np.linalg.norm((points[:, 3] + points[:, 4] - points[:, 0] - points[:, 1]) / 2, axis=1)
    return np.maximum(between, down)


def turns(points):
    """Return the rotation and scale of faces (n,) as complex numbers: by the way from the eyes to the mouth."""
    z = points @ (1, 1j)
    return (z[:, 3] + z[:, 4] - z[:, 0] - z[:, 1]) / 2j


def convention(found, truth):
    """Return the constant difference (5,) of two annotations, in the rotation and scale of the faces found."""
    off = ((truth - found) @ (1, 1j)) / turns(found)[:, None]
    return np.median(off.real, axis=0) + 1j * np.median(off.imag, axis=0)


def converted(found, difference):
    """Return points (n, 5, 2) with a constant difference added in the rotation and scale of each face."""
    moved = found @ (1, 1j) + turns(found)[:, None] * difference
    return np.stack([moved.real, moved.imag], axis=-1)


def errors(truth, found):
    """Return the mean distance of the points of each face in % of its size."""
    return 100 * np.linalg.norm(found - truth, axis=2).mean(axis=1) / sizes(truth)


def nearest_box(boxes, points):
    """Return the detected box that is nearest to a face; None when there is none around its middle."""
    center, size = points.mean(axis=0), sizes(points[None])[0]
    if not len(boxes):
        return None
    distances = np.linalg.norm(boxes[:, :2] + boxes[:, 2:] / 2 - center, axis=1)
    best = int(distances.argmin())
    side = boxes[best, 2:].mean()
    return boxes[best] if distances[best] < size and size < side < 5 * size else None


def by_attribute(attributes, of_models, found):
    """Return the figures of all faces and of each group.

    Parameters
    ----------
    attributes : dict
        For each attribute the names of the faces' groups (n,).
    of_models : dict
        The errors of each model (n,), NaN for faces that were not detected.
    found : (n,) array of bool
        The detected faces.
    """
    rows = []
    groups = {("all", "all faces"): np.ones(len(found), bool)}
    for attribute, names in attributes.items():
        for name in dict.fromkeys(GROUPS[attribute].values()):
            groups[attribute, name] = np.asarray(names) == name
    for (attribute, name), chosen in groups.items():
        row = {"attribute": attribute, "group": name, "faces": int(chosen.sum())}
        row |= {"missed": int((chosen & ~found).sum()), "models": {}}
        inside = chosen & found
        if not inside.any():
            continue
        for model, each in of_models.items():
            figures = estimate(each[inside]) | {"failure rate": float((each[inside] > FAILURE).mean())}
            if attribute != "all":
                figures["times others"] = times_others(each[found], chosen[found])
            if model != THEIRS:
                figures["minus dlib"] = estimate((each - of_models[THEIRS])[inside])
            row["models"][model] = figures
        rows.append(row)
    return rows


def measure(options, detector, predictors):
    """Return the figures with the boxes of one detector."""
    import ert

    files, points, rows, held_out = common.mtfl(options.data)
    # As many faces as are measured are enough for the means of 5 points.
    kept = np.flatnonzero(held_out | (np.arange(len(files)) % common.HELD_OUT_EVERY == 0))
    images, boxes, of = [], [], []
    for i in kept:
        image = ert.load_image(files[i])
        box = nearest_box(ert.detect_faces(image, detector), points[i])
        if box is not None:
            images.append(image)
            boxes.append(box)
            of.append(i)
    of = np.array(of)
    measured = np.flatnonzero(held_out)
    found, of_models, differences = np.isin(measured, of), {}, {}
    for name, predict in predictors.items():
        five = five_points(predict(images, np.array(boxes)))
        held = held_out[of]
        difference = convention(five[~held], points[of[~held]])
        each = np.full(len(measured), np.nan)
        each[found] = errors(points[of[held]], converted(five[held], difference))
        of_models[name] = each
        differences[name] = [[round(float(part), 4) for part in (z.real, z.imag)] for z in difference]
    attributes = {name: [texts[rows[i][name]] for i in measured] for name, texts in GROUPS.items()}
    return {"groups": by_attribute(attributes, of_models, found), "conventions": differences}


def main():
    import dlib
    import face_recognition_models

    import ert

    options = common.arguments(__doc__, model="face68")
    model = ert.load(options.model)
    public = dlib.shape_predictor(face_recognition_models.pose_predictor_model_location())

    def ours(mode):
        return lambda images, boxes: model.predict(list(zip(images, boxes, strict=True)), mode)

    predictors = {
        "face68": ours("fast"),
        "face68, accurate": ours("accurate"),
        THEIRS: lambda images, boxes: common.dlib_predict(public, list(map(common.dlib_gray, images)), boxes),
    }
    of_detectors = {detector: measure(options, detector, predictors) for detector in DETECTORS}
    common.save_result("attributes", {"model": options.model, "boxes": of_detectors})


if __name__ == "__main__":
    main()
