"""Measure faces with shut eyes, of which training data has few.

    python benchmarks/shut_eyes.py [--folds 0] [--share 0.3]

Training faces of 300-W, four folds. For each fold, three models are trained on the other three folds and kept in runs/:
with the settings of `face68` on faces of 300-W alone, in gray levels; as `face68` is, with the marked faces of `mtfl`
and maps of gradient orientations; and the same with the eyes of a share of the faces of 300-W closed. Compared are the
error of the 12 landmarks of the eyes, of faces with shut eyes (annotated with an eye aspect ratio below 0.15) and of
the others; how well the ratio of the landmarks that are found tells shut eyes; and frames of a clip like that of
examples/drowsiness_alarm.py. dlib's public model stands beside them: it has seen all these faces, but for the clip's.
The network that has marked `mtfl` has seen them, too.
"""

import common
import numpy as np

N_FOLDS = 4
# Annotated as shut below the first; called shut where the landmarks found are below the second, the usual threshold.
SHUT_RATIO, USUAL_THRESHOLD = 0.15, 0.2
EYES = slice(36, 48)
BEFORE = "300-W alone, gray levels"
SETTINGS_BEFORE = {"n_stages": 72, "learning_rate": 0.14, "tree_target": "shape", "pool_spread": 0.1}
SETTINGS_BEFORE |= {"spread_decay": 1.0, "channels": "gray", "shift_jitter": 0.08}
# Of the faces whose eyes are closed, those whose eyes are shut; the others are closed by at least this much.
SHUT_SHARE, MIN_CLOSED = 0.6, 0.4
# The clip: how far the eyes are closed in its frames, and from where on they count as shut.
CLOSED = [0] * 6 + [0.6, 1, 0.6] + [0] * 6 + [0.5] + [1] * 13
SHUT_CLOSED = 0.6


def with_shut_eyes(X, y, share, seed=0):
    """Return faces and landmarks in which the eyes of a random share are closed, wholly or in part, in gray copies."""
    import ert
    from ert._core.images import to_gray

    rng = np.random.default_rng(seed)
    X, y = list(X), np.array(y)
    for i in np.flatnonzero(rng.random(len(X)) < share):
        image, box = X[i]
        pixels = image if isinstance(image, np.ndarray) else ert.load_image(image)
        gray = np.ascontiguousarray(to_gray(pixels, "rgb", "luma"))
        closed = 1.0 if rng.random() < SHUT_SHARE else rng.uniform(MIN_CLOSED, 1)
        image, y[i] = ert.close_eyes(gray, y[i], closed)
        X[i] = (image, box)
    return X, y


def fold_model(name, share, fold, folds, datasets, data):
    """Train the model of a fold, or load it where it has been trained."""
    from train_bundled import COMMON, MODELS, training_set

    import ert

    file = common.ROOT / "runs" / f"shut_eyes_{name.replace(' ', '_')}_{fold}.ert"
    if not file.exists():
        rest = np.flatnonzero(folds != fold)
        if name == BEFORE:
            X = [dataset.X[i] for dataset in datasets for i in rest]
            y, weights = np.concatenate([dataset.y[rest] for dataset in datasets]), None
        else:
            X, y, _, weights, _, by_hand = training_set(data, share)
            kept = np.concatenate([*[folds != fold] * len(datasets), ~by_hand[by_hand.sum() :]])
            X, y, weights = [face for face, is_kept in zip(X, kept, strict=True) if is_kept], y[kept], weights[kept]
        settings = COMMON | MODELS["face68"] | (SETTINGS_BEFORE if name == BEFORE else {})
        file.parent.mkdir(exist_ok=True)
        checkpoint = file.with_suffix(".checkpoint.ert")
        model = ert.ShapePredictor(**settings).fit(X, y, sample_weight=weights, checkpoint=checkpoint, resume=True)
        model.save(file)
        checkpoint.unlink()
    return ert.load(file)


def eye_errors(truth, found):
    """Return the error of the landmarks of the eyes (n,) in % of the distance between the pupils."""
    from ert.metrics import normalizer_lengths

    distances = np.linalg.norm(found[:, EYES] - truth[:, EYES], axis=2).mean(axis=1)
    return 100 * distances / normalizer_lengths(truth, "inter-pupil")


def telling(truth, ratios):
    """Return how well ratios tell shut eyes: the average precision, precision and recall at the usual threshold."""
    order = np.argsort(ratios, kind="stable")
    hits = truth[order]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    called = ratios < USUAL_THRESHOLD
    return {
        "average precision": float(precision[hits].mean()),
        f"precision below {USUAL_THRESHOLD}": float(truth[called].mean()) if called.any() else None,
        f"recall below {USUAL_THRESHOLD}": float(called[truth].mean()),
    }


def face_figures(truth, found):
    import ert
    from ert.metrics import nme

    shut = ert.eye_aspect_ratio(truth).mean(axis=1) < SHUT_RATIO
    errors, eyes = nme(truth, found, "inter-pupil"), eye_errors(truth, found)
    ratios = ert.eye_aspect_ratio(found).mean(axis=1)
    return {
        "faces": len(truth),
        "with shut eyes": int(shut.sum()),
        "eyes, shut": {"mean": float(eyes[shut].mean()), "median": float(np.median(eyes[shut]))},
        "eyes, others": float(eyes[~shut].mean()),
        "all landmarks, shut": float(errors[shut].mean()),
        "all landmarks, others": float(errors[~shut].mean()),
        "ratio, shut": float(ratios[shut].mean()),
        "ratio, others": float(ratios[~shut].mean()),
    } | telling(shut, ratios)


def make_clip():
    """Return frames, the box of the face, and how far its eyes are closed in each frame."""
    import ert

    photo = ert.load_image(ert.sample_image())
    face = ert.align(photo)[0]
    frames = []
    for closed in CLOSED:
        moved = face.landmarks.copy()
        for upper, lower in ((37, 41), (38, 40), (43, 47), (44, 46)):
            moved[upper] += closed * (face.landmarks[lower] - face.landmarks[upper])
        frames.append(ert.warp(photo, face.landmarks, moved))
    return frames, face.box


def clip_figures(locate, frames, box):
    import ert

    ratios = ert.eye_aspect_ratio(locate(frames, np.tile(box, (len(frames), 1)))).mean(axis=1)
    closed = np.array(CLOSED)
    relative = ratios / ratios[closed == 0].mean()
    truth, called = closed >= SHUT_CLOSED, relative < 0.75
    return {
        "ratio, shut / open": float(relative[closed == 1].mean()),
        "precision": float(truth[called].mean()) if called.any() else None,
        "recall": float(called[truth].mean()),
    }


def dlib_locate(images, boxes):
    import dlib
    import face_recognition_models

    predictor = dlib.shape_predictor(face_recognition_models.pose_predictor_model_location())
    images = [image if image.ndim == 3 else np.repeat(image[:, :, None], 3, axis=2) for image in images]
    return common.dlib_predict(predictor, images, boxes)


def main():
    import ert

    options = common.arguments(__doc__, folds="0", share=0.3)
    table = options.data / "300w" / "boxes.csv"
    datasets = [
        ert.load_dataset(options.data / "300w", boxes=f"{table}:{boxes}", split="train") for boxes in ("dlib", "haar")
    ]
    y = datasets[0].y
    folds = np.empty(len(y), int)
    for number, part in enumerate(np.array_split(np.random.default_rng(0).permutation(len(y)), N_FOLDS)):
        folds[part] = number
    chosen = [int(fold) for fold in options.folds.split(",")]
    left_out = np.concatenate([np.flatnonzero(folds == fold) for fold in chosen])
    frames, box = make_clip()
    result = {"folds": chosen, "share": options.share, "models": {}}
    for name, share in ((BEFORE, 0.0), ("as face68", 0.0), (f"eyes closed in {options.share:g}", options.share)):
        models = [fold_model(name, share, fold, folds, datasets, options.data) for fold in chosen]
        figures = {}
        for boxes, dataset in zip(("dlib", "haar"), datasets, strict=True):
            found = [
                model.predict([dataset.X[i] for i in np.flatnonzero(folds == fold)])
                for model, fold in zip(models, chosen, strict=True)
            ]
            figures[f"boxes of {boxes}"] = face_figures(y[left_out], np.concatenate(found))
        figures["clip"] = clip_figures(
            lambda images, boxes, model=models[0]: model.predict(list(zip(images, boxes, strict=True))), frames, box
        )
        result["models"][name] = figures
    images = [ert.load_image(datasets[0].files[i]) for i in left_out]
    result["models"]["dlib's public model, which has seen these faces"] = {
        "boxes of dlib": face_figures(y[left_out], dlib_locate(images, datasets[0].boxes[left_out])),
        "clip": clip_figures(dlib_locate, frames, box),
    }
    common.save_result("shut_eyes", result)


if __name__ == "__main__":
    main()
