"""Training with dlib's default options compared with dlib: seconds, memory, error on HELEN's test faces.

    python benchmarks/train_vs_dlib.py --threads 2

Both are trained on the same 2012 faces of 300-W with the boxes of dlib's detector, each in its own process;
ert with three seeds, of which the first is timed, interleaved with one thread. Its kernels are compiled
before, as by `ert warmup`. The models are written to runs/ for the other benchmarks.
"""

import os
import statistics
import time

import common

OURS, THEIRS = common.ROOT / "runs" / "default.ert", common.ROOT / "runs" / "dlib_default.dat"
# dlib's defaults: shape_predictor_training_options().
DEFAULTS = {
    "n_stages": 10,
    "n_trees": 500,
    "max_depth": 4,
    "learning_rate": 0.1,
    "n_pixels": 400,
    "n_split_tests": 20,
    "n_inits": 20,
    "prior_length": 0.1,
    "padding": 0.0,
}


def train_ours(data, threads, out, seed=0, **params):
    import ert
    from ert.datasets.formats import load_dataset

    dataset = load_dataset(data / "300w", boxes=f"{data / '300w' / 'boxes.csv'}:dlib", split="train")
    # Explicit, so that the defaults of the estimator do not matter.
    plain = {"shift_jitter": 0.0, "scale_jitter": 0.0, "roll_jitter": 0.0, "mirror": None, "random_state": seed}
    begin = time.perf_counter()
    model = ert.ShapePredictor(**DEFAULTS | plain | params, n_jobs=threads).fit(dataset.X, dataset.y)
    seconds = time.perf_counter() - begin
    model.save(out)
    return seconds


def warm():
    from ert.cli.main import main

    main(["warmup", "--training"])


def train_dlib(data, threads, out):
    import dlib

    options = dlib.shape_predictor_training_options()
    options.num_threads = threads
    dlib.train_shape_predictor(str(data / "300w" / "labels_300w_train.xml"), str(out), options)


def errors(data, files):
    import dlib
    import numpy as np

    import ert
    from ert.datasets.formats import load_dataset
    from ert.metrics import nme

    ours, theirs = [ert.load(file) for file in files], dlib.shape_predictor(str(THEIRS))
    result = {}
    for boxes in ("dlib", "haar"):
        test = load_dataset(data / "300w", boxes=f"{data / '300w' / 'boxes.csv'}:{boxes}", split="test")
        images = [common.dlib_gray(ert.load_image(file)) for file in test.files]
        predicted = common.dlib_predict(theirs, images, test.boxes)
        for normalizer in ("inter-pupil", "inter-ocular"):
            seeds = [float(nme(test.y, model.predict(test.X), normalizer).mean()) for model in ours]
            result[f"{boxes} boxes, {normalizer}"] = {
                "ert": float(np.mean(seeds)),
                "ert, seed by seed": seeds,
                "dlib": float(nme(test.y, predicted, normalizer).mean()),
            }
    return result


def main():
    options = common.arguments(__doc__, threads=2, repeats=3)
    load_before = os.getloadavg()
    OURS.parent.mkdir(exist_ok=True)
    alone = OURS.with_name("default_alone.ert")
    common.measured(warm)
    runs = {options.threads: [], 1: []}
    fits = {options.threads: [], 1: []}
    memory = 0.0
    for _ in range(options.repeats):
        for threads, file in ((options.threads, OURS), (1, alone)):
            fit, seconds, peak = common.measured(train_ours, options.data, threads, file)
            runs[threads].append(seconds)
            fits[threads].append(fit)
            memory = max(memory, peak)
    assert alone.read_bytes() == OURS.read_bytes(), "the model depends on the number of threads"
    files = [OURS, OURS.with_name("default_1.ert"), OURS.with_name("default_2.ert")]
    for seed in (1, 2):
        train_ours(options.data, options.threads, files[seed], seed)
    _, their_seconds, their_memory = common.measured(train_dlib, options.data, options.threads, THEIRS)
    our_seconds = statistics.median(runs[options.threads])
    ratios = [one / several for one, several in zip(fits[1], fits[options.threads], strict=True)]
    common.save_result(
        "train_vs_dlib",
        {
            "threads": options.threads,
            "seconds": {"ert": our_seconds, "dlib": their_seconds, "ratio": their_seconds / our_seconds},
            "seconds of ert, run by run": {f"{threads} threads": each for threads, each in runs.items()},
            "seconds of its fit, run by run": {f"{threads} threads": each for threads, each in fits.items()},
            "fit: times faster than with one thread": statistics.median(ratios),
            "peak_memory_mb": {"ert": memory, "dlib": their_memory},
            "file_mb": {"ert": OURS.stat().st_size / 1e6, "dlib": THEIRS.stat().st_size / 1e6},
            "nme_helen_test": errors(options.data, files),
            "load_average": {"before": load_before, "after": os.getloadavg()},
        },
    )


if __name__ == "__main__":
    main()
