"""Shared by the benchmarks: the data folder, results with provenance, measured child processes, dlib."""

import argparse
import csv
import json
import multiprocessing
import os
import resource
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
# Markers of the generated part of a page.
BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"
# Of `mtfl`, every tenth face is never used for training: `attributes.py` measures there.
HELD_OUT_EVERY = 10
PACKAGES = ("dlib-bin", "pillow", "scikit-image", "opencv-python-headless")
_report = sys.excepthook


def say_what_is_missing(kind, error, trace):
    """Print one line in place of the traceback where data or a package is missing."""
    if issubclass(kind, FileNotFoundError | ModuleNotFoundError) or kind.__name__ == "InputError":
        print(f"{Path(sys.argv[0]).name}: {error}", file=sys.stderr)
    else:
        _report(kind, error, trace)


# In the scripts of this folder only: tests import this module too.
if Path(sys.argv[0]).resolve().parent == Path(__file__).resolve().parent:
    sys.excepthook = say_what_is_missing
    # What is measured are the kernels, not NumPy while they are compiled.
    os.environ.setdefault("ERT_COMPILE", "now")


def arguments(description, **options):
    """Parse --data and the options name=default."""
    return parser(description, **options).parse_args()


def parser(description, **options):
    """Return a parser of --data and the options name=default."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="folder that contains 300w/")
    for name, default in options.items():
        parser.add_argument("--" + name.replace("_", "-"), type=type(default), default=default)
    return parser


def mtfl(data):
    """Return the files of `mtfl`, the 5 points of the faces (n, 5, 2), the rows of its table, and what is held out."""
    import numpy as np

    with (data / "mtfl" / "landmarks.csv").open() as file:
        rows = list(csv.DictReader(file))
    points = np.array([[[float(row[f"{axis}{k}"]) for axis in "xy"] for k in range(5)] for row in rows])
    held_out = np.arange(len(rows)) % HELD_OUT_EVERY == HELD_OUT_EVERY - 1
    return [data / "mtfl" / row["image"] for row in rows], points, rows, held_out


def eyes_and_mouth(shapes):
    """Return the centers of the eyes and the corners of the mouth (..., 4, 2) of 68 landmarks."""
    import numpy as np

    eyes = [shapes[..., part, :].mean(axis=-2) for part in (slice(36, 42), slice(42, 48))]
    return np.stack([*eyes, shapes[..., 48, :], shapes[..., 54, :]], axis=-2)


def save_result(name, result):
    """Write benchmarks/results/NAME.json with provenance, and print it."""
    RESULTS.mkdir(exist_ok=True)
    from ert._core.system import provenance

    text = json.dumps(provenance(PACKAGES) | result, indent=1) + "\n"
    (RESULTS / f"{name}.json").write_text(text)
    print(text)


def result(name):
    """Read benchmarks/results/NAME.json."""
    return json.loads((RESULTS / f"{name}.json").read_text())


def write_figures(file, lines, begin=BEGIN, end=END):
    """Replace the lines between two markers of a page."""
    text = file.read_text()
    before, after = text[: text.index(begin)], text[text.index(end) + len(end) :]
    file.write_text(before + "\n".join([begin, "", *lines, "", end]) + after)


def _child(function, args, queue):
    begin = time.perf_counter()
    try:
        value = function(*args)
    except BaseException as error:
        queue.put(error)
        raise
    seconds = time.perf_counter() - begin
    queue.put((value, seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def measured(function, *args):
    """Run a function in a fresh process; return its value, seconds and the process's peak memory in MB."""
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=_child, args=(function, args, queue))
    process.start()
    result = queue.get()
    process.join()
    if isinstance(result, BaseException):
        raise result
    return result


def dlib_gray(image):
    """Convert an RGB image to gray as dlib does for the training of its models: the mean of the colors."""
    from ert._core.images import to_gray

    return to_gray(image, "rgb", "dlib")


def dlib_rectangle(box):
    """Convert a box to dlib's integer rectangle, which includes its right and bottom pixels."""
    import dlib

    left, top, width, height = box
    return dlib.rectangle(round(left), round(top), round(left + width) - 1, round(top + height) - 1)


def dlib_predict(predictor, images, boxes):
    """Return the integer landmarks (n, n_landmarks, 2) that a dlib predictor finds in gray images."""
    import numpy as np

    shapes = []
    for image, box in zip(images, boxes, strict=True):
        parts = predictor(image, dlib_rectangle(box)).parts()
        shapes.append([(point.x, point.y) for point in parts])
    return np.array(shapes, dtype=float)
