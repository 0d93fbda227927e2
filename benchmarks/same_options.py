"""Compare ert with dlib on wings, shells, portraits and faces: same options, folds, boxes and gray pixels.

    python benchmarks/same_options.py
    python benchmarks/same_options.py --only wings --n-trees 50     # a short test

Both are trained with dlib's default options on the training part of each fold and evaluated on the rest.
Boxes are the squares around the landmarks (the detector's boxes for faces), randomly shifted and scaled by 5
% of their side and rounded to integers. `ert for dlib` is trained with kind="dlib" and run by dlib itself.
Errors are mean distances in percent of the diagonal of the object's bounding rectangle.
"""

import tempfile
from pathlib import Path

import common
import numpy as np

# The points of dlib's 5-point model: corners of the left eye, of the right eye, base of the nose.
FIVE = (45, 42, 36, 39, 33)
SCATTER = 0.05


def objects(data):
    """Return the dataset, the landmarks to use (None for all) and the number of folds by name."""
    from ert.datasets.dataset import concatenate
    from ert.datasets.formats import load_dataset

    wings, shells, portraits = data / "wings", data / "shells", data / "webmorph"
    table = f"{data / '300w' / 'boxes.csv'}:dlib"
    faces = load_dataset(data / "300w", boxes=table, split="train")
    # The two other folders of portraits have 106 and 83 points.
    same = [load_dataset(portraits / name) for name in ("canada", "composite", "neutral_front")]
    tps = wings / "landmark-examples" / "tps-example.tps"
    return {
        "wings": (load_dataset(tps, image_folder=wings / "image-examples"), None, 5),
        "shells": (concatenate([load_dataset(shells / f"{part}.tps") for part in ("train", "test")]), None, 5),
        "portraits": (concatenate(same), None, 5),
        "faces, 5 points": (faces, FIVE, 2),
        "faces, 68 points": (faces, None, 2),
    }


def scattered(boxes, rng):
    """Randomly shift and scale boxes, and round them to integers."""
    side = boxes[:, 2:].mean(axis=1, keepdims=True)
    size = boxes[:, 2:] * np.exp(SCATTER * rng.standard_normal((len(boxes), 1)))
    center = boxes[:, :2] + boxes[:, 2:] / 2 + SCATTER * side * rng.standard_normal((len(boxes), 2))
    return np.hstack([np.rint(center - size / 2), np.rint(size)])


def train_dlib(images, boxes, landmarks, plan, threads):
    import dlib

    options = dlib.shape_predictor_training_options()
    options.num_threads, options.num_trees_per_cascade_level = threads, plan["n_trees"]
    things = []
    for box, shape in zip(boxes, landmarks, strict=True):
        points = [dlib.point(round(x), round(y)) for x, y in shape]
        things.append([dlib.full_object_detection(common.dlib_rectangle(box), points)])
    return dlib.train_shape_predictor(images, things, options)


def errors_of_folds(dataset, chosen, n_folds, plan, threads):
    """Return the cross-validated error of every object (n,) for each tool."""
    import dlib

    import ert
    from ert.metrics import nme, normalizer_lengths

    rng = np.random.default_rng(0)
    landmarks = dataset.y if chosen is None else dataset.y[:, list(chosen)]
    lengths = normalizer_lengths(landmarks, "diagonal")
    boxes = scattered(dataset.boxes, rng)
    images = [common.dlib_gray(ert.load_image(file)) for file in dataset.files]
    fold_of = rng.permutation(len(dataset)) % n_folds
    errors = {tool: np.empty(len(dataset)) for tool in ("ert", "ert for dlib", "dlib")}
    for fold in range(n_folds):
        train, test = np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
        some, rest = [images[i] for i in train], [images[i] for i in test]
        X = list(zip(some, boxes[train], strict=True))
        predicted = {}
        model = ert.ShapePredictor(**plan, n_jobs=threads).fit(X, landmarks[train])
        predicted["ert"] = model.predict(list(zip(rest, boxes[test], strict=True)))
        model = ert.ShapePredictor(**plan, n_jobs=threads, kind="dlib", gray_weights="dlib").fit(X, landmarks[train])
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "model.dat"
            model.save(file)
            predicted["ert for dlib"] = common.dlib_predict(dlib.shape_predictor(str(file)), rest, boxes[test])
        theirs = train_dlib(some, boxes[train], landmarks[train], plan, threads)
        predicted["dlib"] = common.dlib_predict(theirs, rest, boxes[test])
        for tool, shapes in predicted.items():
            errors[tool][test] = nme(landmarks[test], shapes, lengths[test])
    return errors


def main():
    from train_vs_dlib import DEFAULTS

    from ert.metrics import bootstrap_interval

    options = common.arguments(__doc__, threads=2, n_trees=500, only="")
    result = {}
    for name, (dataset, chosen, n_folds) in objects(options.data).items():
        if options.only not in ("", name):
            continue
        plan = DEFAULTS | {"n_trees": options.n_trees}
        errors = errors_of_folds(dataset, chosen, n_folds, plan, options.threads)
        difference = errors["ert"] - errors["dlib"]
        result[name] = {
            "objects": len(dataset),
            "landmarks": dataset.y.shape[1] if chosen is None else len(chosen),
            "folds": n_folds,
            "mean error": {tool: float(values.mean()) for tool, values in errors.items()},
            "median error": {tool: float(np.median(values)) for tool, values in errors.items()},
            "ert - dlib, 95 %": list(bootstrap_interval(difference)),
        }
        print(name, result[name], flush=True)
    if not options.only:
        common.save_result("same_options", {"n_trees": options.n_trees, "objects": result})


if __name__ == "__main__":
    main()
