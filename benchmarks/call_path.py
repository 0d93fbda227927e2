"""The way of one face through `predict`, and of one sample through `fit`: the files, and the calls that go up.

    python benchmarks/call_path.py

Prints the files of `ert` in the order of their first call, and the calls from a file to another that stands
above it in the layers of `pyproject.toml` ("up"). Kernels call each other in compiled code: their calls are
those between the modules of `ert/_kernels` that the compiled functions import.
"""

import sys
import tomllib
from pathlib import Path

import common
import numpy as np


def layers():
    """Return the rank of each package: 0 is the top."""
    contracts = tomllib.loads((common.ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    rows = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    return {name.strip().removeprefix("ert."): rank for rank, row in enumerate(rows) for name in row.split("|")}


def traced(call, package):
    """Return the files of the package that a call goes through, and its calls between files, in order."""
    files, calls = [], []

    def trace(frame, event, argument):
        if event == "call":
            path = Path(frame.f_code.co_filename)
            if package in path.parents:
                name = path.relative_to(package).with_suffix("").as_posix()
                if name not in files:
                    files.append(name)
                caller = frame.f_back
                while caller is not None and package not in Path(caller.f_code.co_filename).parents:
                    caller = caller.f_back
                if caller is not None:
                    origin = Path(caller.f_code.co_filename).relative_to(package).with_suffix("").as_posix()
                    if origin != name:
                        calls.append((origin, name))

    sys.setprofile(trace)
    try:
        call()
    finally:
        sys.setprofile(None)
    return files, calls


def report(what, call, package, ranks):
    files, calls = traced(call, package)

    def rank(name):
        return ranks.get(name.split("/")[0], len(ranks))

    up = [(a, b) for a, b in calls if rank(b) < rank(a)]
    print(f"{what}: {len(files)} files, {len(calls)} calls between files, {len(up)} of them up")
    print("  " + " > ".join(files))
    for a, b in up:
        print(f"  up: {a} > {b}")


def main():
    common.arguments(__doc__)
    import ert
    from ert.datasets.synthetic import synthetic_faces

    package, ranks = Path(ert.__file__).parent, layers()
    model, image = ert.load("face68"), ert.load_image(ert.sample_image())
    gray = np.ascontiguousarray(image.mean(axis=2).astype(np.uint8))
    box = (176.0, 65.0, 98.0, 98.0)
    images, boxes, landmarks = synthetic_faces(20, seed=1, size=64)
    X = list(zip(images, boxes, strict=True))
    small = {"n_stages": 1, "n_trees": 5, "n_inits": 2, "n_pixels": 50, "working_size": 40, "n_jobs": 1}

    def fit():
        ert.ShapePredictor(**small).fit(X, landmarks)

    ways = {
        "predict, a gray face": lambda: model.predict([(gray, box)]),
        "predict, a face in color": lambda: model.predict([(image, box)]),
        "fit": fit,
    }
    for what, call in ways.items():
        call()
        report(what, call, package, ranks)


if __name__ == "__main__":
    main()
