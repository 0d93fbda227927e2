"""Evaluate the bundled models on the 330 test faces of HELEN and write their model cards to docs/models/.

    python benchmarks/model_card.py
    python benchmarks/model_card.py --others 1    # only the cards of face68-small and face5, and the index

Errors by pose, size, brightness, expression and source, with 95 % bootstrap intervals. The text about limits
is generated from the figures, so that it is correct after each training. The 24 faces with the largest errors
are written to runs/face68_worst24.jpg, outside the repository, since the images of 300-W must not be
redistributed. Errors by gender, smile, glasses and pose are those that attributes.py has measured. With
runs/dlib_default.dat (written by train_vs_dlib.py) and runs/dlib_face5.dat (by accuracy.py) dlib's errors are
included. It takes half a minute.
"""

import inspect
from itertools import combinations

import common
import numpy as np
from card_pictures import FAILURE, draw_ced, draw_landmarks, draw_worst
from card_short import index, short_card
from card_text import COLUMNS, DETECTORS, card

NAME = "face68"
OTHERS = "face68-small", "face5"
# dlib's models of 68 and of 5 points, trained with its default options on the same faces of 300-W.
DLIB = {68: common.ROOT / "runs" / "dlib_default.dat", 5: common.ROOT / "runs" / "dlib_face5.dat"}
THEIRS = "dlib, default options"
WORST = 24
DRAWS = 2000
# The points of face5, in their order; the sides are the subject's.
FIVE_POINTS = (
    "outer corner of the left eye",
    "inner corner of the left eye",
    "outer corner of the right eye",
    "inner corner of the right eye",
    "base of the nose",
)
# Columns with a higher rank correlation are reported as correlated.
MIN_CORRELATION = 0.5


def estimate(values):
    """Return a mean and its interval."""
    from ert.metrics import bootstrap_interval

    return {"mean": float(np.mean(values)), "interval_95": list(bootstrap_interval(values))}


def accuracy(truth, predicted, lengths):
    """Return the figures of a model; failure rate and AUC are means over faces and have intervals too."""
    from ert.metrics import nme

    pupil, ocular = (nme(truth, predicted, lengths[normalizer]) for normalizer in ("inter-pupil", "inter-ocular"))
    return {
        "NME inter-pupil": estimate(pupil),
        "NME inter-ocular": estimate(ocular),
        "median inter-ocular": float(np.median(ocular)),
        "worst inter-ocular": float(ocular.max()),
        "failure rate": estimate(ocular > FAILURE),
        "AUC": estimate(np.maximum(0, 1 - ocular / FAILURE)),
    }


def times_others(errors, chosen, seed=0):
    """Return the error of the chosen objects relative to that of the others, with its interval."""
    rng = np.random.default_rng(seed)
    drawn = [
        group[rng.integers(len(group), size=(DRAWS, len(group)))].mean(axis=1)
        for group in (errors[chosen], errors[~chosen])
    ]
    interval = np.quantile(drawn[0] / drawn[1], [0.025, 0.975])
    return {
        "faces": int(chosen.sum()),
        "ratio": float(errors[chosen].mean() / errors[~chosen].mean()),
        "interval_95": interval.tolist(),
    }


def extremes(columns, errors):
    """Compare the lowest and the highest quartile of each column with all other faces.

    `errors` contains the errors of the faces for each normalizer.
    """
    from ert.evaluation.groups import FEWEST, errors_by

    found = []
    for name, (_, ends) in COLUMNS.items():
        if name not in columns:
            continue
        values = columns[name].values
        groups = [row for row in errors_by(values, errors["inter-ocular"]) if row["low"] is not None]
        if len(groups) < 2:
            continue
        for words, row, chosen in (
            (ends[0], groups[0], values < groups[0]["high"]),
            (ends[1], groups[-1], values >= groups[-1]["low"]),
        ):
            if min(chosen.sum(), (~chosen).sum()) >= FEWEST:
                compared = {normalizer: times_others(each, chosen) for normalizer, each in errors.items()}
                found.append({"column": name, "group": row["group"], "words": words} | compared)
    return found


def together(columns):
    """Return the pairs of correlated columns with their rank correlation."""
    from scipy.stats import spearmanr

    numbers = {name: column.values for name, column in columns.items() if column.values.dtype.kind == "f"}
    found = []
    for pair in combinations(numbers, 2):
        correlation = float(spearmanr(*(numbers[name] for name in pair), nan_policy="omit").statistic)
        if abs(correlation) > MIN_CORRELATION:
            found.append({"columns": list(pair), "correlation": correlation})
    return found


def missed_faces(test, errors, table, detector):
    """Compare the faces that a detector missed with the others; None when the table has no such column."""
    from ert._core.exceptions import InputError
    from ert.evaluation.attributes import group_columns
    from ert.evaluation.groups import FEWEST

    try:
        found = group_columns([f"{detector}_found"], test, table.parent, table, part=True)
    except InputError:
        return None
    missed = found[f"{detector}_found"].values == 0
    return times_others(errors, missed) if min(missed.sum(), (~missed).sum()) >= FEWEST else None


def by_region(per_landmark):
    from ert.model.schemes import FACE68_REGIONS

    return {region: float(np.mean([per_landmark[i] for i in part])) for region, part in FACE68_REGIONS.items()}


def about(model, path, name=NAME):
    """Describe the model file."""
    import ert

    cascade, fitted = model.cascade_, model.fitted_
    n_stages, n_trees, n_leaves, n_components = cascade.leaves.shape
    defaults = {
        name: parameter.default for name, parameter in inspect.signature(ert.ShapePredictor.__init__).parameters.items()
    }
    params = fitted.params.items()
    return {
        "name": name,
        "landmarks": model.n_landmarks_,
        "stages": n_stages,
        "trees": n_stages * n_trees,
        "leaves": n_leaves,
        "components": n_components,
        "bits": 8 * cascade.leaves.dtype.itemsize,
        "numbers": int(sum(array.size for array in cascade.arrays().values())),
        "megabytes": path.stat().st_size / 1e6,
        "objects": fitted.summary["n_objects"],
        "samples": fitted.summary["n_samples"],
        "notes": fitted.summary["notes"],
        "parameters": {name: value for name, value in params if value != defaults.get(name, value)},
    }


def measure(models, tests, predict, table, points=None):
    """Return the figures, the errors of each detector and model, and the landmarks of the first model.

    Parameters
    ----------
    models : sequence of str
        Names, that of the card first.
    tests : dict
        The faces with the boxes of each detector.
    predict : function
        Takes the name of a model and a detector, returns landmarks.
    table : pathlib.Path
        The boxes, in the folder of the images.
    points : sequence of int, optional
        The landmarks of the 68 that the models have. Lengths are always those of all 68.
    """
    from ert.evaluation import by_groups, group_columns
    from ert.metrics import nme, normalizer_lengths, per_landmark_nme

    predicted = {name: {detector: predict(name, detector) for detector in tests} for name in models}
    first, test = next(iter(tests.items()))
    # The faces are the same for all detectors.
    truth = test.y if points is None else test.y[:, list(points)]
    lengths = {name: normalizer_lengths(test.y, name) for name in ("inter-pupil", "inter-ocular", "box")}
    errors = {
        detector: {name: nme(truth, predicted[name][detector], lengths["inter-ocular"]) for name in models}
        for detector in tests
    }
    shapes = predicted[models[0]][first]
    columns = group_columns(list(COLUMNS), test, table.parent)
    by_norm = {normalizer: nme(truth, shapes, lengths[normalizer]) for normalizer in ("inter-ocular", "box")}
    per_landmark = per_landmark_nme(truth, shapes, lengths["inter-ocular"]).tolist()
    result = {
        "faces": len(test),
        "accuracy": {
            name: {detector: accuracy(truth, of_detector[detector], lengths) for detector in tests}
            for name, of_detector in predicted.items()
        },
        "by": {normalizer: by_groups(columns, each, normalizer) for normalizer, each in by_norm.items()},
        "extremes": extremes(columns, by_norm),
        "together": together(columns),
        "missed": {
            detector: missed_faces(tests[detector], errors[detector][models[0]], table, detector) for detector in tests
        },
        "regions": by_region(per_landmark) if points is None else dict(zip(FIVE_POINTS, per_landmark, strict=True)),
        "per landmark": per_landmark,
    }
    return result, errors, shapes


def faces_of(data):
    """Return the test faces with the boxes of each detector, and the table of these boxes."""
    import ert

    folder = data / "300w"
    table = folder / "boxes.csv"
    return {name: ert.load_dataset(folder, boxes=f"{table}:{name}", split="test") for name in DETECTORS}, table


def measure_bundled(name, tests, table):
    """Measure a bundled model in both modes, beside dlib's model of as many points if it is there."""
    import ert
    from ert._core.files import bundled_models
    from ert.model.schemes import FACE5_OF_FACE68

    model = ert.load(name)
    modes = {name: "fast", f"{name}, accurate": "accurate"}
    points = None if model.n_landmarks_ == 68 else FACE5_OF_FACE68
    rival = DLIB[model.n_landmarks_]
    if rival.exists():
        import dlib

        predictor = dlib.shape_predictor(str(rival))
        images = [common.dlib_gray(ert.load_image(file)) for file in next(iter(tests.values())).files]

    def predict(which, detector):
        test = tests[detector]
        if which == THEIRS:
            return common.dlib_predict(predictor, images, test.boxes)
        return model.predict(test.X, modes[which])

    names = [*modes, THEIRS] if rival.exists() else [*modes]
    result, errors, shapes = measure(names, tests, predict, table, points)
    return result | {"model": about(model, bundled_models()[name], name)}, errors, shapes


def write_card_of_face68(tests, table, out):
    """Measure face68, draw its pictures, write its card, and return its figures."""
    import ert
    from ert._core.system import provenance

    result, errors, shapes = measure_bundled(NAME, tests, table)
    draw_landmarks(out / f"{NAME}_landmarks.svg", ert.load(NAME).cascade_.mean_shape, result["per landmark"])
    draw_ced(out / f"{NAME}_ced.svg", {DETECTORS[detector]: each for detector, each in errors.items()})
    worst = common.ROOT / "runs" / f"{NAME}_worst{WORST}.jpg"
    draw_worst(worst, tests["dlib"], shapes, errors["dlib"][NAME], WORST)
    result |= {"worst drawn": WORST}
    by_attributes = common.result("attributes") if (common.RESULTS / "attributes.json").exists() else None
    made = {"made": provenance(common.PACKAGES), "attributes": by_attributes}
    (out / f"{NAME}.md").write_text(card(result | made))
    return result


def main():
    from ert._core.system import provenance

    options = common.arguments(__doc__, out=common.ROOT / "docs" / "models", others=0)
    options.out.mkdir(parents=True, exist_ok=True)
    tests, table = faces_of(options.data)
    if not options.others:
        common.save_result("model_card", write_card_of_face68(tests, table, options.out))
    made = provenance(common.PACKAGES)
    others = {}
    for name in OTHERS:
        others[name], errors, _ = measure_bundled(name, tests, table)
        draw_ced(options.out / f"{name}_ced.svg", {DETECTORS[detector]: each for detector, each in errors.items()})
        (options.out / f"{name}.md").write_text(short_card(others[name] | {"made": made}))
    common.save_result("model_card_others", {"models": others})
    (options.out / "index.md").write_text(index({NAME: common.result("model_card")} | others, made))


if __name__ == "__main__":
    main()
