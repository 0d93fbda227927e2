"""`ert predict` over thousands of photographs: images a second on one core and on two, and the share of reading.

    python benchmarks/predict_many.py              # about ten minutes
    python benchmarks/predict_many.py --quick 1    # a short test, writes nothing

The photographs are JPEGs of 2 megapixels, 200 different ones and further names of the same files, with a model whose
boxes are the whole images. Runs on one and on two threads take turns, some photographs at a time, so that other work on
the machine slows down both alike. Beside them stand, in the same turns, reading alone, and a loop that only counts,
which shows how much faster two threads are on this machine at best. Where other processes take turns with this one, the
figures of "quiet turns" are those of the turns in which counting was at least 1.8 times as fast on two threads.
"""

import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import common
import numpy as np
from PIL import Image, ImageFilter
from throughput import spin

WIDTH, HEIGHT = 1632, 1224
N_FILES, N_LANDMARKS = 200, 12
THREADS = (1, 2)
QUIET_RATIO = 1.8


def write_photos(folder, n):
    """Write different photographs of blots on a grained ground, and n - 200 links to them."""
    rng = np.random.default_rng(0)
    files = []
    for i in range(min(n, N_FILES)):
        coarse = Image.fromarray(rng.integers(0, 255, (24, 32, 3), np.uint8)).resize((WIDTH, HEIGHT), Image.BICUBIC)
        blurred = np.asarray(coarse.filter(ImageFilter.GaussianBlur(2)), np.int16)
        grain = rng.normal(0, 6, (HEIGHT, WIDTH, 1)).round().astype(np.int16)
        files.append(folder / f"photo{i:05}.jpg")
        Image.fromarray((blurred + grain).clip(0, 255).astype(np.uint8)).save(files[-1], quality=90)
    for i in range(len(files), n):
        files.append(folder / f"photo{i:05}.jpg")
        os.link(files[i % N_FILES], files[-1])
    return files


def whole_image_model(files):
    """Train a model of 12 landmarks, at the same places in all photographs; what they are does not matter here."""
    import ert

    X = [(ert.load_image(file), (0, 0, WIDTH, HEIGHT)) for file in files[:20]]
    rng = np.random.default_rng(1)
    shape = rng.uniform(0.2, 0.8, (N_LANDMARKS, 2)) * (WIDTH, HEIGHT)
    y = shape + rng.normal(0, 15, (len(X), N_LANDMARKS, 2))
    model = ert.ShapePredictor(n_stages=10, n_trees=200, n_inits=5, working_size=200).fit(X, y)
    model.fitted_ = replace(model.fitted_, box_source="whole")
    return model


def seconds(function, *args):
    begin, cpu = time.perf_counter(), time.process_time()
    function(*args)
    return time.perf_counter() - begin, time.process_time() - cpu


def measure(model, files, part, repeats):
    """Return the seconds and CPU seconds (threads, turns, 2) of each kind."""
    import ert
    from ert._core.threads import map_in_threads
    from ert.pipeline.inputs import Inputs
    from ert.pipeline.outputs import write_photos as write_results
    from ert.pipeline.part import Columns, PartFile
    from ert.pipeline.predict import choose_request, predict_photos

    def read(some, n):
        for _ in map_in_threads(ert.load_image, some, n):
            pass

    def predict(some, n):
        # As the command does it, with the results kept and the table written.
        inputs = Inputs().add(some)
        options = {"box_from": None, "boxes_given": False, "mode": "fast", "max_objects": 1, "min_confidence": 0}
        request = choose_request(model, inputs, **options)
        columns = Columns(model.landmark_names_)
        with (
            tempfile.TemporaryDirectory() as folder,
            PartFile(Path(folder, "out.part"), "", columns, resume=False) as results,
        ):
            for photo in predict_photos(request, inputs.items.values(), n):
                results.add(photo)
            write_results(Path(folder, "out.csv"), "csv", results.photos, columns)

    turns = round(10_000_000 * seconds(predict, files[:part], 1)[0] / seconds(spin, 10_000_000)[0])

    def count(_, n):
        for _ in map_in_threads(spin, [turns // n] * n, n):
            pass

    kinds = {"predict": predict, "read": read, "count": count}
    times = {kind: [] for kind in kinds}
    for turn in range(repeats * len(files) // part):
        first = turn * part % len(files)
        order = (0, 1) if turn % 2 else (1, 0)
        for kind, function in kinds.items():
            of_threads = {t: seconds(function, files[first : first + part], THREADS[t]) for t in order}
            times[kind].append([of_threads[0], of_threads[1]])
    return {kind: np.moveaxis(np.array(of_kind), 0, 1) for kind, of_kind in times.items()}


def main():
    options = common.arguments(__doc__, photos=2000, part=50, repeats=2, quick=0)
    if options.quick:
        options.photos, options.part, options.repeats = 20, 10, 1
    before = os.getloadavg()
    with tempfile.TemporaryDirectory() as folder:
        files = write_photos(Path(folder), options.photos)
        megabytes = float(np.mean([file.stat().st_size for file in files[:N_FILES]]) / 1e6)
        model = whole_image_model(files)
        times = measure(model, files, options.part, options.repeats)
    n = len(files) * options.repeats
    wall, cpu = ({kind: of_kind[..., k].sum(axis=1) for kind, of_kind in times.items()} for k in (0, 1))
    ratios = {kind: of_kind[0, :, 0] / of_kind[1, :, 0] for kind, of_kind in times.items()}
    quiet = ratios["count"] >= QUIET_RATIO
    result = {
        "photos": len(files),
        "megapixels": WIDTH * HEIGHT / 1e6,
        "megabytes a photo": megabytes,
        "photos a second": {t: n / s for t, s in zip(THREADS, wall["predict"].tolist(), strict=True)},
        "two threads over one": {kind: float(s[0] / s[1]) for kind, s in wall.items()},
        "quiet turns": {
            "turns": f"{quiet.sum()} of {len(quiet)}",
            "two threads over one, median": {
                kind: float(np.median(of_kind[quiet])) if quiet.any() else None for kind, of_kind in ratios.items()
            },
        },
        # Of the CPU time of one thread, which other work on the machine changes least.
        "share of reading": float(cpu["read"][0] / cpu["predict"][0]),
        "milliseconds of CPU a photo": {
            kind: {t: 1e3 * s / n for t, s in zip(THREADS, cpu[kind].tolist(), strict=True)}
            for kind in ("predict", "read")
        },
        "load_average": {"before": before, "after": os.getloadavg()},
    }
    print(result) if options.quick else common.save_result("predict_many", result)


if __name__ == "__main__":
    main()
