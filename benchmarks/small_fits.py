"""Training on few photos: all threads against one, on the machine as it is and beside 8 busy processes.

    python benchmarks/small_fits.py

46 photos of wings with 40 initializations, which one thread trains on whatever `n_jobs` is, and with 400, which
threads share. The fits with one thread and with the default take turns, after one that loads the compiled kernels.
"""

import os
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager

import common

SETTING = {
    "n_stages": 20,
    "n_trees": 100,
    "n_pool_candidates": 1024,
    "working_size": 300,
    "shift_jitter": 0.05,
    "scale_jitter": 0.05,
    "roll_jitter": 5,
    "pool_spread": 0.05,
    "random_state": 0,
}
N_PHOTOS, INITS, LOADS = 46, (40, 400), (0, 8)


@contextmanager
def busy_processes(n):
    """Run n processes that do nothing but compute."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(n)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def fit(X, y, n_jobs, **setting):
    """Return the seconds and the seconds of processor time of a fit, and its model."""
    import ert

    model = ert.ShapePredictor(**SETTING | setting, n_jobs=n_jobs)
    begin, begin_cpu = time.perf_counter(), time.process_time()
    model.fit(X, y)
    return time.perf_counter() - begin, time.process_time() - begin_cpu, model


def take_turns(X, y, repeats, **setting):
    """Fit with one thread and with the default in turns, each of them first every other time."""
    seconds, cpu, models = {1: [], -1: []}, {1: [], -1: []}, set()
    for number in range(repeats):
        for n_jobs in (1, -1) if number % 2 else (-1, 1):
            wall, used, model = fit(X, y, n_jobs, **setting)
            seconds[n_jobs].append(wall)
            cpu[n_jobs].append(used)
            models.add(model.cascade_.leaves.tobytes())
    assert len(models) == 1, "the model depends on the number of threads"
    ratios = [several / one for several, one in zip(seconds[-1], seconds[1], strict=True)]
    return {
        "seconds, one thread": statistics.median(seconds[1]),
        "seconds, default": statistics.median(seconds[-1]),
        "default against one thread": statistics.median(ratios),
        "processor time, one thread": statistics.median(cpu[1]),
        "processor time, default": statistics.median(cpu[-1]),
        "run by run": {"one thread": seconds[1], "default": seconds[-1]},
    }


def main():
    options = common.arguments(__doc__, repeats=7, stages=SETTING["n_stages"])
    from ert._core.runtime import count_threads
    from ert.datasets import load_dataset

    wings = options.data / "wings"
    annotations = wings / "landmark-examples" / "tps-example.tps"
    photos = load_dataset(annotations, boxes="image", image_folder=wings / "image-examples")[:N_PHOTOS]
    X, y = photos.X, photos.y
    fit(X, y, 1, n_stages=1, n_inits=2)
    result = {"setting": SETTING | {"n_stages": options.stages}, "photos": len(X), "threads": count_threads(-1)}
    for n_busy in LOADS:
        for n_inits in INITS:
            load_before = os.getloadavg()[0]
            with busy_processes(n_busy):
                found = take_turns(X, y, options.repeats, n_stages=options.stages, n_inits=n_inits)
            found["load_average"] = {"before": load_before, "after": os.getloadavg()[0]}
            result[f"{n_busy} busy processes, {n_inits} initializations"] = found
    common.save_result("small_fits", result)


if __name__ == "__main__":
    main()
