"""Measure the presets of training: cross-validated errors, times and file sizes, with nothing but photos at prediction.

    python benchmarks/presets.py
    python benchmarks/presets.py --only wings,shells --presets auto,defaults

Boxes are whole images, but for the faces of 300-W, which have a detector's. `defaults` are those of the constructor.
Errors are mean distances in % of the diagonal of the landmarks' bounding rectangle, and for the cephalograms in mm,
with the share of landmarks within 2 mm; predicted by one initialization, and by the median of five. Five folds; the
faces are 400 to train on and 200 others. Wings and shells are also cut down to a few objects to train on. Times are
for one thread.
"""

import time

import common
import numpy as np

MM_PER_PIXEL = 0.25
# Faces of YouTube, repeated: the time of training for so many objects.
N_TIMED = (50, 500, 2000, 10_000)


def datasets(data):
    """Return functions that load each dataset, by name."""
    from ert.datasets.dataset import concatenate
    from ert.datasets.formats import load_dataset

    wings, portraits = data / "wings", data / "webmorph"
    tps, table = wings / "landmark-examples" / "tps-example.tps", f"{data / '300w' / 'boxes.csv'}:dlib"
    return {
        "wings": lambda: load_dataset(tps, image_folder=wings / "image-examples"),
        "shells": lambda: load_dataset(data / "shells" / "train.tps"),
        "cephalograms": lambda: load_dataset(data / "cephalograms" / "train.csv"),
        "portraits": lambda: concatenate(
            [load_dataset(portraits / name) for name in ("canada", "composite", "neutral_front")]
        ),
        "faces": lambda: load_dataset(data / "300w", boxes=table, split="train"),
        "times": lambda: load_dataset(data / "ytf" / "training_frames_keypoints.csv"),
    }


def read(dataset, chosen, whole):
    """Return X, gray images and boxes, and the landmarks of the objects `chosen`."""
    import ert
    from ert._core.images import to_gray

    images = [to_gray(ert.load_image(dataset.files[i])) for i in chosen]
    boxes = [(0, 0, image.shape[1], image.shape[0]) for image in images] if whole else dataset.boxes[chosen]
    return list(zip(images, boxes, strict=True)), dataset.y[chosen]


def fit(preset, X, y, whole):
    """Return the fitted model and the seconds of processor time it took."""
    import ert
    from ert.training.presets import choose_parameters

    boxes = np.array([box for _, box in X], float)
    source = "whole" if whole else "given"
    chosen = {} if preset == "defaults" else choose_parameters(preset, y, boxes, box_source=source)
    begin = time.process_time()
    model = ert.ShapePredictor(**chosen, n_jobs=1).fit(X, y)
    return model, time.process_time() - begin


def cross_validate(preset, X, y, folds, whole, mm):
    """Return errors of left-out objects; `folds` are pairs of indices to train on and to evaluate on."""
    import ert
    from ert.metrics import bootstrap_interval, normalizer_lengths

    modes = {"one": "fast", "five": ert.PredictionMode(n_inits=5)}
    distances, seconds, size = {mode: [] for mode in modes}, [], 0
    tested = np.concatenate([test for _, test in folds])
    for train, test in folds:
        model, taken = fit(preset, [X[i] for i in train], y[train], whole)
        seconds.append(taken)
        size = sum(array.nbytes for array in model.cascade_.arrays().values())
        for name, mode in modes.items():
            found = model.predict([X[i] for i in test], mode=mode)
            distances[name].append(np.linalg.norm(found - y[test], axis=2))
    lengths = normalizer_lengths(y[tested], "diagonal")
    result = {"seconds to train": float(np.mean(seconds)), "MB": size / 1e6}
    for name, parts in distances.items():
        errors = 100 * np.nanmean(np.concatenate(parts), axis=1) / lengths
        result[name] = {"error": float(errors.mean()), "95 %": list(bootstrap_interval(errors))}
        if mm:
            millimeters = MM_PER_PIXEL * np.concatenate(parts)
            result[name] |= {"mm": float(millimeters.mean()), "within 2 mm": float((millimeters <= 2).mean())}
    return result


def folds_of(n, n_train=None):
    """Return five folds of n objects; with `n_train`, that many to train on and the rest to evaluate on, five times."""
    rng = np.random.default_rng(0)
    if n_train is None:
        fold = rng.permutation(n) % 5
        return [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(5)]
    orders = [rng.permutation(n) for _ in range(5)]
    return [(order[:n_train], order[n_train:]) for order in orders]


def main():
    from ert.training.presets import PRESETS

    options = common.arguments(__doc__, only="", presets=",".join(("defaults", *PRESETS)), name="presets")
    only = options.only.split(",") if options.only else None
    presets = options.presets.split(",")
    results, times = {}, {}
    for name, load in datasets(options.data).items():
        if only is not None and name not in only:
            continue
        dataset, whole = load(), name != "faces"
        if name == "times":
            for n in N_TIMED:
                distinct = np.arange(min(n, len(dataset)))
                X, y = read(dataset, distinct, whole)
                many = np.resize(distinct, n)
                X, y = [X[i] for i in many], y[many]
                times[n] = {preset: fit(preset, X, y, whole)[1] for preset in presets if preset in ("auto", "fast")}
                print(n, times[n], flush=True)
            continue
        chosen = np.arange(len(dataset)) if whole else np.random.default_rng(0).permutation(len(dataset))[:600]
        X, y = read(dataset, chosen, whole)
        plans = {name: folds_of(len(X)) if whole else [(np.arange(200, 600), np.arange(200))]}
        if name in ("wings", "shells"):
            plans |= {f"{name}, {n} to train": folds_of(len(X), n) for n in (10, 20, 50) if n < 0.8 * len(X)}
        for title, folds in plans.items():
            results[title] = {"objects": len(folds[0][0]), "landmarks": y.shape[1]}
            for preset in presets:
                results[title][preset] = cross_validate(preset, X, y, folds, whole, name == "cephalograms")
                print(title, preset, results[title][preset], flush=True)
    common.save_result(options.name, {"presets": results, "seconds to train": times})


if __name__ == "__main__":
    main()
