"""Measure `ert tune` against the preset `auto`: the error on photos that the search has not seen (nested folds).

    python benchmarks/tune.py --trials 30
    python benchmarks/tune.py --only wings --seconds 1800 --jobs 2 --folds 1,2

The outer folds are those of objects.py, with nothing but photos. In each, `ert tune` searches by a cross-validation of
the four other fifths and trains its model on them; the preset's model is trained on the same photos. Errors are in
percent of the diagonal of the landmarks' bounding rectangle. Results of folds are kept in FOLDER.
"""

import json
import time
from pathlib import Path

import common
import numpy as np
import objects

SETS = ("wings", "shells")


def measure(train, test, options):
    """Return the errors of the photos left out, of the preset and of the tuned model, and what the search did."""
    import ert
    from ert.metrics import nme
    from ert.pipeline.plan import make_plan
    from ert.pipeline.train import Checks
    from ert.pipeline.tuning.study import Settings
    from ert.pipeline.tuning.tune import run_tuning
    from ert.pipeline.validate import predict_new

    settings = Settings(options.seconds or None, options.trials or None)
    plan = make_plan(train, given={"n_jobs": options.jobs})
    begin, cpu = time.time(), time.process_time()
    tuned = run_tuning(plan, train, Checks(cv=options.cv), settings, say=lambda text: print(text, flush=True))
    seconds = {"wall seconds": time.time() - begin, "processor seconds": time.process_time() - cpu}
    models = {"auto": ert.train(train, n_jobs=options.jobs), "tuned": tuned.model}
    errors = {}
    for name, model in models.items():
        found = predict_new(model, test, n_jobs=options.jobs)
        part, shapes = found.found_only()
        errors[name] = nme(part.y, shapes, "diagonal").tolist()
    rows = [row for row in tuned.trials if row["number"] in (0, tuned.best)]
    states = [row["state"] for row in tuned.trials]
    return {
        "errors": errors,
        "trials": len(states),
        "stopped early": states.count("PRUNED"),
        "best": tuned.best,
        "measured by the search": rows,
        "parameters": tuned.parameters,
        **seconds,
    }


def summarize(runs):
    """Return mean errors and the change with its interval of 95 % from resampled photos."""
    from ert.metrics import bootstrap_interval

    auto, tuned = (np.concatenate([run["errors"][name] for run in runs.values()]) for name in ("auto", "tuned"))
    both = np.column_stack([auto, tuned])

    def change(rows):
        before, after = rows.sum(axis=0)
        return float(after / before - 1)

    return {
        "photos": len(both),
        "auto": float(auto.mean()),
        "tuned": float(tuned.mean()),
        "change": change(both),
        "change, 95 %": list(bootstrap_interval(both, statistic=change)),
        "folds": runs,
    }


def main():
    build = str(common.ROOT / "build" / "tune")
    options = common.arguments(
        __doc__, only=";".join(SETS), folds="1,2,3,4,5", trials=0, seconds=0, cv=5, jobs=1, folder=build
    )
    folder = Path(options.folder)
    folder.mkdir(parents=True, exist_ok=True)
    budget = {name: getattr(options, name) for name in ("trials", "seconds", "cv", "jobs")}
    results = {}
    for name in options.only.split(";"):
        runs = {}
        for fold in options.folds.split(","):
            file = folder / f"{name}, {fold}, {options.trials}, {options.seconds}, {options.cv}.json"
            if not file.exists():
                file.write_text(json.dumps(measure(*objects.split(options.data, name, fold), options)))
            runs[fold] = json.loads(file.read_text())
            results[name] = summarize(runs)
            print(name, fold, {key: value for key, value in results[name].items() if key != "folds"}, flush=True)
    common.save_result("tune", {"budget": budget, "sets": results})


if __name__ == "__main__":
    main()
