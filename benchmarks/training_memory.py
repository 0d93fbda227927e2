"""Peak memory of training with bounds (`max_memory`).

    python benchmarks/training_memory.py --threads 2 --n-stages 1 --n-trees 20

The 2012 faces of 300-W with dlib's default options; the peak is reached in the first stage. A bound that
cannot be kept is recorded with its error.
"""

import common
from train_vs_dlib import DEFAULTS

# MB; None is no bound.
BOUNDS = (None, 150, 100, 80)


def train(data, threads, n_stages, n_trees, bound):
    import resource

    import ert
    from ert.datasets.formats import load_dataset

    dataset = load_dataset(data / "300w", boxes=f"{data / '300w' / 'boxes.csv'}:dlib", split="train")
    params = DEFAULTS | {"n_stages": n_stages, "n_trees": n_trees, "n_jobs": threads}
    ert.ShapePredictor(**params | {"n_inits": 1, "n_stages": 1}).fit(dataset.X[:2], dataset.y[:2])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    try:
        ert.ShapePredictor(**params, max_memory=bound, verbose=1).fit(dataset.X, dataset.y)
    except ert.InputError as error:
        return {"before_mb": before, "error": str(error)}
    return {"before_mb": before}


def main():
    options = common.arguments(__doc__, threads=2, n_stages=1, n_trees=20)
    rows = []
    for bound in BOUNDS:
        plan = options.data, options.threads, options.n_stages, options.n_trees, bound
        found, seconds, peak = common.measured(train, *plan)
        rise = peak - found["before_mb"]
        rows.append({"max_memory": bound, **found, "peak_mb": peak, "rise_mb": rise, "seconds": seconds})
    stages = {"n_stages": options.n_stages, "n_trees": options.n_trees}
    common.save_result("training_memory", {"threads": options.threads, **stages, "fits": rows})


if __name__ == "__main__":
    main()
