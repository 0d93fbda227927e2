"""Measure what photos without annotations are worth: the same model without and with them, on photos left out.

    python benchmarks/self_training.py
    python benchmarks/self_training.py --only "wings;shells" --splits 5 --preset auto

In each split, some photos are left out, some are annotated, and the others have no annotations. Errors are in % of the
diagonal of the landmarks' bounding rectangle, for faces of the distance of the pupils; nothing but photos is given for
wings and shells, and the boxes of dlib for faces. One thread.
"""

import pathlib
from dataclasses import replace

import common
import numpy as np
import presets

# Photos left out, at most so many without annotations, and numbers of annotated ones.
SETS = {"wings": (16, 100, (10, 20, 40)), "shells": (50, 200, (30,)), "faces": (400, 1500, (100, 300))}


def errors(plan, annotated, test, norm):
    """Return the errors of the photos in which the object was found, and how many those are."""
    from ert.metrics import nme
    from ert.pipeline.validate import predict_new

    model = plan.prepare(annotated).fit()
    found, shapes = predict_new(model, test, box_from=plan.box_source, n_jobs=1).found_only()
    return nme(found.y, shapes, norm), model


def run(name, dataset, n_test, n_most, n, split, preset, settings):
    """Return the mean errors without and with photos without annotations."""
    from ert.pipeline.plan import make_plan
    from ert.pipeline.unlabelled import find_unlabelled

    order = np.random.default_rng(split).permutation(len(dataset))
    test, annotated, rest = (
        dataset.subset(part) for part in (order[:n_test], order[n_test:][:n], order[n_test + n :][:n_most])
    )
    given, norm = ("given", "inter-pupil") if name == "faces" else ("auto", "diagonal")
    plan = make_plan(annotated, box_from=given, preset=preset, given={"n_jobs": 1})
    without, _ = errors(plan, annotated, test, norm)
    unlabelled = find_unlabelled(rest, annotated, settings)
    more, model = errors(replace(plan, unlabelled=unlabelled), annotated, test, norm)
    return {
        "without": float(without.mean()),
        "with": float(more.mean()),
        "found": [len(without), len(more), len(test)],
        "photos": model.summary_["unlabelled"],
    }


def main():
    from ert.pipeline.self_training import SelfTraining

    defaults = SelfTraining()
    options = common.arguments(
        __doc__,
        only=";".join(SETS),
        splits=3,
        preset="fast",
        teachers=defaults.n_teachers,
        rounds=defaults.n_rounds,
        keep=defaults.keep,
        weight=defaults.weight,
        name="self_training",
    )
    settings = SelfTraining(options.teachers, options.rounds, options.keep, options.weight)
    load, results = presets.datasets(pathlib.Path(options.data)), {}
    for name in options.only.split(";"):
        n_test, n_most, numbers = SETS[name]
        dataset = load[name]()
        for n in numbers:
            rows = [
                run(name, dataset, n_test, n_most, n, split, options.preset, settings)
                for split in range(options.splits)
            ]
            results[f"{name}, {n} annotated"] = rows
            print(name, n, rows, flush=True)
    common.save_result(options.name, {"preset": options.preset, "settings": vars(settings), "splits": results})


if __name__ == "__main__":
    main()
