"""Evaluate face68 on the 330 test faces of HELEN and write its model card, docs/models/face68.md.

    python benchmarks/model_card.py

Errors by pose, size, brightness, expression and source, with 95 % bootstrap intervals. The text about limits
is generated from the figures, so that it is correct after each training. The 24 faces with the largest errors
are written to runs/face68_worst24.jpg, outside the repository, since the images of 300-W must not be
redistributed. Errors by gender, smile, glasses and pose are those that attributes.py has measured. With
runs/dlib_default.dat (written by train_vs_dlib.py) dlib's error is included. It takes half a minute.
"""

import inspect
from itertools import combinations

import common
import numpy as np
from card_pictures import FAILURE, draw_ced, draw_landmarks, draw_worst
from card_text import COLUMNS, DETECTORS, card

NAME = "face68"
DLIB = common.ROOT / "runs" / "dlib_default.dat"
WORST = 24
DRAWS = 2000
# Columns with a higher rank correlation are reported as correlated.
MIN_CORRELATION = 0.5


def estimate(values):
    """Return a mean and its interval."""
    from ert.metrics import bootstrap_interval

    return {"mean": float(np.mean(values)), "interval_95": list(bootstrap_interval(values))}


def accuracy(truth, predicted):
    """Return the figures of a model; failure rate and AUC are means over faces and have intervals too."""
    from ert.metrics import nme

    pupil, ocular = (nme(truth, predicted, normalizer) for normalizer in ("inter-pupil", "inter-ocular"))
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


def about(model, path):
    """Describe the model file."""
    import ert

    cascade, fitted = model.cascade_, model.fitted_
    n_stages, n_trees, n_leaves, n_components = cascade.leaves.shape
    defaults = {
        name: parameter.default for name, parameter in inspect.signature(ert.ShapePredictor.__init__).parameters.items()
    }
    params = fitted.params.items()
    return {
        "name": NAME,
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


def measure(models, tests, predict, table):
    """Return the figures, the errors of each detector and model, and the landmarks of `NAME`.

    Parameters
    ----------
    models : sequence of str
        Names, `NAME` first.
    tests : dict
        The faces with the boxes of each detector.
    predict : function
        Takes the name of a model and a detector, returns landmarks.
    table : pathlib.Path
        The boxes, in the folder of the images.
    """
    from ert.evaluation import by_groups, group_columns
    from ert.metrics import nme, per_landmark_nme

    predicted = {name: {detector: predict(name, detector) for detector in tests} for name in models}
    errors = {
        detector: {name: nme(test.y, predicted[name][detector], "inter-ocular") for name in models}
        for detector, test in tests.items()
    }
    first, test = next(iter(tests.items()))
    shapes = predicted[NAME][first]
    columns = group_columns(list(COLUMNS), test, table.parent)
    by_norm = {normalizer: nme(test.y, shapes, normalizer) for normalizer in ("inter-ocular", "box")}
    per_landmark = per_landmark_nme(test.y, shapes, "inter-ocular").tolist()
    result = {
        "faces": len(test),
        "accuracy": {
            name: {detector: accuracy(tests[detector].y, of_detector[detector]) for detector in tests}
            for name, of_detector in predicted.items()
        },
        "by": {normalizer: by_groups(columns, each, normalizer) for normalizer, each in by_norm.items()},
        "extremes": extremes(columns, by_norm),
        "together": together(columns),
        "missed": {
            detector: missed_faces(tests[detector], errors[detector][NAME], table, detector) for detector in tests
        },
        "regions": by_region(per_landmark),
        "per landmark": per_landmark,
    }
    return result, errors, shapes


def main():
    import ert
    from ert._core.files import bundled_models
    from ert._core.system import provenance

    options = common.arguments(__doc__, out=common.ROOT / "docs" / "models")
    folder = options.data / "300w"
    table = folder / "boxes.csv"
    tests = {detector: ert.load_dataset(folder, boxes=f"{table}:{detector}", split="test") for detector in DETECTORS}
    model = ert.load(NAME)
    modes = {NAME: "fast", f"{NAME}, accurate": "accurate"}
    theirs = "dlib, default options"
    if DLIB.exists():
        import dlib

        predictor = dlib.shape_predictor(str(DLIB))
        images = [common.dlib_gray(ert.load_image(file)) for file in tests["dlib"].files]

    def predict(name, detector):
        test = tests[detector]
        if name == theirs:
            return common.dlib_predict(predictor, images, test.boxes)
        return model.predict(test.X, modes[name])

    names = [*modes, theirs] if DLIB.exists() else [*modes]
    result, errors, shapes = measure(names, tests, predict, table)
    described = about(model, bundled_models()[NAME])
    made = provenance(common.PACKAGES)
    options.out.mkdir(parents=True, exist_ok=True)
    draw_ced(options.out / f"{NAME}_ced.svg", {DETECTORS[detector]: each for detector, each in errors.items()})
    draw_landmarks(options.out / f"{NAME}_landmarks.svg", model.cascade_.mean_shape, result["per landmark"])
    worst = common.ROOT / "runs" / f"{NAME}_worst{WORST}.jpg"
    draw_worst(worst, tests["dlib"], shapes, errors["dlib"][NAME], WORST)
    result |= {"model": described, "worst drawn": WORST}
    by_attributes = common.result("attributes") if (common.RESULTS / "attributes.json").exists() else None
    (options.out / f"{NAME}.md").write_text(card(result | {"made": made, "attributes": by_attributes}))
    common.save_result("model_card", result)


if __name__ == "__main__":
    main()
