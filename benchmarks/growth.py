"""Scaling of the training time with faces, trees, stages, landmarks and threads.

    python benchmarks/growth.py              # about ten minutes, up to 1 GB
    python benchmarks/growth.py --quick 1    # a short test, writes nothing

Synthetic faces with mirror images and jitter. A power law is fitted to each series, a line through the
logarithms; an exponent of 1 means proportional growth. Timed are growing the trees, training the stages
(including reading the feature pools and preparing the residuals, which do not depend on the number of trees)
and all of `fit`. All kernels are compiled before.
"""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from unittest import mock

import common
import numpy as np

# Small crops, so that 200,000 fit into memory; default trees except for what a series changes.
PLAN = {
    "n_stages": 2,
    "n_trees": 50,
    "n_pixels": 100,
    "n_inits": 4,
    "n_shapes_mixed": 3,
    "shift_jitter": 0.05,
    "scale_jitter": 0.06,
    "roll_jitter": 6.0,
    "working_size": 24,
    "n_jobs": 1,
}

PARTS = ("growing the trees", "training the stages", "all of fit")


def drawn_faces(n):
    """Draw up to 500 faces and repeat them until there are n."""
    from ert.datasets.synthetic import synthetic_faces

    images, boxes, landmarks = synthetic_faces(min(n, 500), seed=0, size=64)
    chosen = np.arange(n) % len(images)
    return [(images[i], tuple(boxes[i].tolist())) for i in chosen], landmarks[chosen]


def resampled(landmarks, n):
    """Return n points at equal distances along the polyline through the landmarks."""
    n_known = landmarks.shape[1]
    places = np.linspace(0, n_known - 1, n)
    before = np.minimum(places.astype(int), n_known - 2)
    part = (places - before)[None, :, None]
    return landmarks[:, before] * (1 - part) + landmarks[:, before + 1] * part


def seconds(X, y, repeats=3, **changed):
    """Return the minimum seconds of growing the trees, training the stages and all of fit."""
    import ert
    from ert.training import fit as fitting
    from ert.training import stage as training

    spent = {}

    def timed(module, name):
        function = getattr(module, name)

        def call(*args):
            begin = time.perf_counter()
            result = function(*args)
            spent[name] = spent.get(name, 0) + time.perf_counter() - begin
            return result

        return mock.patch.object(module, name, call)

    best = np.full(3, np.inf)
    model = ert.ShapePredictor(**PLAN | changed)
    for _ in range(repeats):
        spent.clear()
        begin = time.perf_counter()
        with timed(training, "grow_trees"), timed(fitting, "train_stage"):
            model.fit(X, y)
        best = np.minimum(best, [*(spent[name] for name in ("grow_trees", "train_stage")), time.perf_counter() - begin])
    return best


def series(amounts, measure):
    """Measure each amount and fit power laws."""
    times = np.array([measure(amount) for amount in amounts])
    slopes = [float(np.polyfit(np.log(amounts), np.log(column), 1)[0]) for column in times.T]
    return {
        "amounts": list(amounts),
        "seconds": dict(zip(PARTS, times.T.tolist(), strict=True)),
        "exponents": dict(zip(PARTS, slopes, strict=True)),
    }


def threads(X, y, repeats):
    """Return the speedup of two threads, interleaved with one, with the default pool and initializations.

    For comparison, the speedup of two independent fits of one thread each at the same time.
    """
    import ert

    plan = {"n_stages": 2, "n_trees": 500, "n_pixels": 400, "n_inits": 20}
    ratios, apart = [], []

    def alone(_):
        ert.ShapePredictor(**PLAN | plan).fit(X, y)

    with ThreadPoolExecutor(2) as pool:
        for number in range(repeats):
            order = (1, 2) if number % 2 else (2, 1)
            spent = {jobs: seconds(X, y, 1, n_jobs=jobs, **plan) for jobs in order}
            begin = time.perf_counter()
            list(pool.map(alone, range(2)))
            apart.append(2 * spent[1][-1] / (time.perf_counter() - begin))
            ratios.append(spent[1] / spent[2])
    return {
        "faces": len(X),
        "ratio": dict(zip(PARTS, np.median(ratios, axis=0).tolist(), strict=True)),
        "two fits at a time": float(np.median(apart)),
        "ratios": np.array(ratios).tolist(),
        "two fits at a time, run by run": apart,
    }


def main():
    options = common.arguments(__doc__, quick=0)
    load_before = os.getloadavg()
    most = 8000 if options.quick else 100_000
    X, y = drawn_faces(most)
    fast = slice(0, 500 if options.quick else 5000)
    few_X, few_y = X[fast], y[fast]
    # Half of the counted faces are mirror images.
    faces = [n for n in (500, 2000, 8000, 30_000, 100_000, 200_000) if n <= 2 * most]
    counts = (50, 100, 200) if options.quick else (125, 250, 500, 1000, 2000)
    stages = (1, 2, 4) if options.quick else (1, 2, 4, 8, 16)
    landmarks = (10, 40, 194) if options.quick else (10, 20, 40, 68, 100, 194)
    seconds(few_X[:4], few_y[:4], 1, n_jobs=2)
    result = {"plan": PLAN}
    for name, amounts, measure in (
        ("faces", faces, lambda n: seconds(X[: n // 2], y[: n // 2, ::4], mirror=tuple(range(17)))),
        ("trees", counts, lambda n: seconds(few_X, few_y, n_trees=n)),
        ("stages", stages, lambda n: seconds(few_X, few_y, n_stages=n)),
        ("landmarks", landmarks, lambda n: seconds(few_X, resampled(few_y, n))),
    ):
        result[name] = series(amounts, measure)
        found = ", ".join(f"{part} {power:.2f}" for part, power in result[name]["exponents"].items())
        print(f"exponents of {name}: {found}", flush=True)
    result["2 threads against 1"] = threads(few_X[:2000], few_y[:2000], 2 if options.quick else 9)
    print(f"2 threads against 1: {result['2 threads against 1']}")
    result["load_average"] = {"before": load_before, "after": os.getloadavg()}
    print(result) if options.quick else common.save_result("growth", result)


if __name__ == "__main__":
    main()
