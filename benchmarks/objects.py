"""Compare ert, dlib and a heat-map network on wings, shells, portraits and X-rays of heads: nothing but new photos.

    python benchmarks/objects.py --predictions FOLDER
    python benchmarks/objects.py --predictions FOLDER --only wings --methods "ert;dlib"

No boxes are given: dlib gets the whole photo as the box, the network sees the whole photo, and ert chooses its boxes,
as all else, by itself (`ert train`, `ert predict`). Each method is trained on four fifths of the photos and predicts
the rest, five times; the X-rays have an official test set. The landmarks that a method has found are kept in FOLDER,
one file for each training, and those that are there are not computed again. benchmarks/heatmap_network.py writes its
own there: `--json "FOLDER/wings, network, 1.json"`.

Errors are mean distances of a photo's landmarks in percent of the diagonal of their bounding rectangle, or in mm. Times
are of one thread of the processor, without the reading of photos, which is only in ert's training.
"""

import dataclasses
import json
import tempfile
import time
from pathlib import Path

import common
import numpy as np

N_FOLDS = 5
CEPHALOGRAM_MM = 0.25
# Distances within which the field of cephalometry counts a landmark as found.
RADII_MM = (2, 2.5, 3, 4)
SETS = ("wings", "shells", "portraits", "cephalograms")
# What the pages of ml-morph (Porto & Voje 2020, Methods in Ecology and Evolution 11) train its example of wings with.
ML_MORPH = {
    "tree_depth": 3,
    "cascade_depth": 20,
    "nu": 0.08,
    "oversampling_amount": 200,
    "feature_pool_size": 700,
    "num_test_splits": 20,
}
DLIB_OPTIONS = {"dlib": {}, "dlib, options of ml-morph": ML_MORPH}
TIMES = "train seconds", "predict ms", "file MB"
METHODS = ("ert", "ert, accurate", *DLIB_OPTIONS, "network")


def load(data, name):
    """Return the photos of a set, and those of its official test set or None; or a file of annotations and None."""
    from ert.datasets.dataset import concatenate
    from ert.datasets.formats import load_dataset

    if name == "wings":
        # The CSV file beside it has the same landmarks.
        tps = data / "wings" / "landmark-examples" / "tps-example.tps"
        return load_dataset(tps, image_folder=data / "wings" / "image-examples"), None
    if name == "shells":
        return load_dataset(data / "shells" / "train.tps"), None
    if name == "portraits":
        # The two other folders of portraits have 106 and 83 points.
        parts = "canada", "composite", "neutral_front"
        return concatenate([load_dataset(data / "webmorph" / part) for part in parts]), None
    if name == "cephalograms":
        both = [load_dataset(data / "cephalograms" / f"{part}.csv") for part in ("train", "test1")]
        return tuple(dataclasses.replace(part, scales=np.full(len(part), CEPHALOGRAM_MM)) for part in both)
    return load_dataset(Path(name)), None


def folds(n, n_folds=N_FOLDS):
    """Return the fold of each of n photos, from 1."""
    return np.random.default_rng(0).permutation(n) % n_folds + 1


def split(data, name, fold=""):
    """Return the photos to train on and those to predict: the official ones, or fold "K" or "K/N" of the first."""
    train, test = load(data, name)
    if not fold:
        if test is None:
            raise SystemExit(f"{name}: no official split; --fold K/N is required")
        return train, test
    number, n_folds = (int(part) for part in (fold if "/" in fold else f"{fold}/{N_FOLDS}").split("/"))
    predicted = folds(len(train), n_folds) == number
    return train.subset(~predicted), train.subset(predicted)


def whole(images):
    """Return the box that is the whole image for each image."""
    return np.array([(0, 0, image.shape[1], image.shape[0]) for image in images], dtype=float)


def located(locate, images, train_seconds, file):
    """Return what a training has given, as JSON types; `locate` returns the landmarks of an image."""
    shapes, seconds = [], []
    for image in images:
        begin = time.process_time()
        shapes.append(locate(image))
        seconds.append(time.process_time() - begin)
    return {
        "landmarks": np.round(shapes, 3).tolist(),
        "train seconds": train_seconds,
        "predict ms": 1e3 * float(np.median(seconds)),
        "file MB": file.stat().st_size / 1e6,
    }


def run_ert(train, test):
    import ert

    few = train.subset(slice(10))
    list(ert.predict(ert.train(few, n_stages=1, n_trees=1, n_jobs=1), few.files[:1], n_jobs=1))  # loads compiled code
    begin = time.process_time()
    model = ert.train(train, n_jobs=1)
    seconds = time.process_time() - begin
    images = [ert.load_image(file) for file in test.files]
    with tempfile.TemporaryDirectory() as folder:
        model.save(file := Path(folder) / "model.ert")
        for method, mode in (("ert", "fast"), ("ert, accurate", "accurate")):

            def locate(image, mode=mode):
                (found,) = ert.predict(model, image, mode=mode, n_jobs=1)
                return found.landmarks

            locate(images[0])
            yield method, located(locate, images, seconds, file) | {"boxes": model.box_source_}


def run_dlib(train, test, method):
    import dlib

    import ert

    options = dlib.shape_predictor_training_options()
    for name, value in DLIB_OPTIONS[method].items():
        setattr(options, name, value)
    options.num_threads = 1
    gray, of_test = ([common.dlib_gray(ert.load_image(file)) for file in part.files] for part in (train, test))
    things = []
    for box, shape in zip(whole(gray), train.y, strict=True):
        points = [dlib.point(round(x), round(y)) for x, y in shape]
        things.append([dlib.full_object_detection(common.dlib_rectangle(box), points)])
    begin = time.process_time()
    model = dlib.train_shape_predictor(gray, things, options)
    seconds = time.process_time() - begin

    def locate(image):
        parts = model(image, common.dlib_rectangle(whole([image])[0])).parts()
        return [(point.x, point.y) for point in parts]

    with tempfile.TemporaryDirectory() as folder:
        model.save(str(file := Path(folder) / "model.dat"))
        yield method, located(locate, of_test, seconds, file)


def folds_of(name):
    return ("",) if name == "cephalograms" else tuple(str(number) for number in range(1, N_FOLDS + 1))


def prediction_file(folder, name, method, fold):
    return folder / (", ".join([name, method, fold or "test"]) + ".json")


def run_missing(data, folder, names, methods):
    """Train and predict what is not in the folder yet."""
    for name in names:
        for fold in folds_of(name):
            for method in methods:
                if method == "network" or prediction_file(folder, name, method, fold).exists():
                    continue
                parts = split(data, name, fold)
                runs = run_ert(*parts) if method.startswith("ert") else run_dlib(*parts, method)
                for made, result in runs:
                    prediction_file(folder, name, made, fold).write_text(json.dumps(result))
                    print(name, fold, made, describe(parts[1], np.array(result["landmarks"])), flush=True)


def describe(test, shapes):
    """Return the mean errors of photos as JSON types, with the interval of 95 % from resampled photos."""
    from ert.metrics import bootstrap_interval, landmark_errors, nme

    pixels, percent = landmark_errors(test.y, shapes), nme(test.y, shapes, "diagonal")
    found = {
        "photos": len(test),
        "%": float(percent.mean()),
        "%, 95 %": list(bootstrap_interval(percent)),
        "px": float(np.nanmean(pixels)),
    }
    if test.scales is not None:
        mm = pixels * test.scales[:, None]
        found |= {
            "mm": float(np.nanmean(mm)),
            "mm, 95 %": list(bootstrap_interval(np.nanmean(mm, axis=1))),
            "within mm": {str(radius): float(np.mean(mm[~np.isnan(mm)] <= radius)) for radius in RADII_MM},
        }
    return found


def summarize(data, folder, name):
    """Return the errors, times and sizes of all methods whose predictions of a set are in the folder."""
    from ert.datasets.dataset import concatenate
    from ert.metrics import bootstrap_interval, nme

    tests = {fold: split(data, name, fold)[1] for fold in folds_of(name)}
    summary, errors = {}, {}
    for method in METHODS:
        files = {fold: prediction_file(folder, name, method, fold) for fold in tests}
        runs = {fold: json.loads(file.read_text()) for fold, file in files.items() if file.exists()}
        if not runs:
            continue
        shapes = {fold: np.array(run["landmarks"]) for fold, run in runs.items()}
        together = concatenate([tests[fold] for fold in runs]) if len(runs) > 1 else tests[next(iter(runs))]
        errors[method] = {fold: nme(tests[fold].y, shapes[fold], "diagonal") for fold in runs}
        summary[method] = describe(together, np.concatenate(list(shapes.values()))) | {
            "folds": list(runs),
            **{key: float(np.mean([run[key] for run in runs.values()])) for key in TIMES},
        }
        if boxes := [run["boxes"] for run in runs.values() if "boxes" in run]:
            summary[method]["boxes"] = boxes
        if method != "ert" and "ert" in errors:
            both = [fold for fold in runs if fold in errors["ert"]]
            difference = np.concatenate([errors[method][fold] - errors["ert"][fold] for fold in both])
            summary[method]["% - ert's"] = float(difference.mean())
            summary[method]["% - ert's, 95 %"] = list(bootstrap_interval(difference))
    train = split(data, name, folds_of(name)[0])[0]
    return {"trained on": len(train), "landmarks": train.y.shape[1], "methods": summary}


def tables(sets):
    """Return the lines of two Markdown tables: of the sets with folds, and of the X-rays in mm."""
    times = "training | a photo | file |"
    yield from (f"| nothing but photos | error, % of the diagonal | minus `ert`'s | {times}", "| --- " * 6 + "|")
    for what, row in _rows(sets, in_mm=False):
        difference = _with_interval(row, "% - ert's") if "% - ert's" in row else ""
        yield f"| {what} | {_with_interval(row, '%')} | {difference} | {_times(row)} |"
    radii = ", ".join(map(str, RADII_MM))
    yield from ("", f"| nothing but X-rays | mean error, mm | within {radii} mm | {times}", "| --- " * 6 + "|")
    for what, row in _rows(sets, in_mm=True):
        shares = ", ".join(f"{100 * row['within mm'][str(radius)]:.0f}" for radius in RADII_MM)
        yield f"| {what} | {_with_interval(row, 'mm')} | {shares} % | {_times(row)} |"


def _rows(sets, in_mm):
    for name, found in sets.items():
        for method, row in found["methods"].items():
            if ("mm" in row) == in_mm:
                few = f", {len(row['folds'])} of {N_FOLDS} folds" if len(row["folds"]) < len(folds_of(name)) else ""
                yield f"{name} ({found['landmarks']} points, {row['photos']} photos): {method}{few}", row


def _with_interval(row, key):
    low, high = row[f"{key}, 95 %"]
    return f"{row[key]:.2f} ({low:.2f} to {high:.2f})"


def _times(row):
    return f"{row['train seconds']:.0f} s | {row['predict ms']:.2f} ms | {row['file MB']:.2f} MB"


def main():
    options = common.arguments(
        __doc__, predictions=str(common.ROOT / "build" / "objects"), only=";".join(SETS), methods=";".join(METHODS)
    )
    folder, names = Path(options.predictions), options.only.split(";")
    folder.mkdir(parents=True, exist_ok=True)
    run_missing(options.data, folder, names, options.methods.split(";"))
    found = {name: summarize(options.data, folder, name) for name in SETS}
    common.save_result("objects", {"sets": {name: each for name, each in found.items() if each["methods"]}})
    print("\n".join(tables(found)))


if __name__ == "__main__":
    main()
