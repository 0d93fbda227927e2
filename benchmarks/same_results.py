"""Digests of small fits and of the bundled models' landmarks, to compare two versions of the code.

    python benchmarks/same_results.py --out before.json     # then change the code
    python benchmarks/same_results.py --compare before.json

A refactoring changes no digest: the arrays of fits of both kinds, with and without missing landmarks, on one
thread and on two; a confidence model; landmarks in both modes, with and without a searched roll. Digests are
comparable on one machine: linear algebra may differ in the last bit between processors.
"""

import hashlib
import json
import sys
from pathlib import Path

import common
import numpy as np

SMALL = {
    "n_stages": 3,
    "n_trees": 40,
    "n_inits": 5,
    "n_pixels": 150,
    "mirror": "face68",
    "shift_jitter": 0.03,
    "scale_jitter": 0.03,
    "roll_jitter": 4,
    "normalizer": "inter-ocular",
}
DLIB = {"kind": "dlib", "gray_weights": "dlib"}
MORE = {"n_pool_candidates": 300, "occlusion": 0.3, "stages_per_basis": 2, "blur": 0.0, "working_size": 60}


def digest(arrays):
    found = hashlib.blake2b(digest_size=12)
    for name in sorted(arrays):
        found.update(np.ascontiguousarray(arrays[name]).tobytes())
    return found.hexdigest()


def digests():
    import ert
    from ert.datasets.synthetic import synthetic_faces

    images, boxes, complete = synthetic_faces(60, seed=1, size=96)
    X, missing = list(zip(images, boxes, strict=True)), complete.copy()
    missing[::7, 3] = np.nan
    result = {}
    for name, params, y in (
        ("ert", {}, complete),
        ("ert, missing landmarks", {}, missing),
        ("dlib", DLIB, complete),
        ("dlib, missing landmarks", DLIB, missing),
        ("ert, more options", MORE, complete),
    ):
        for n_jobs in (1, 2):
            model = ert.ShapePredictor(**SMALL, **params, n_jobs=n_jobs).fit(X, y)
            result[f"{name}, {n_jobs} threads"] = digest(model.cascade_.arrays())
        result[f"{name}, landmarks"] = digest({"": model.predict(X)})
    model = ert.ShapePredictor(**SMALL).fit(X, complete).fit_confidence(X, complete, n_folds=2)
    result["confidence model"] = digest(model.confidence_model_.arrays())
    result["standard errors"] = digest({"": model.predict(X, return_std=True)[1]})
    photo, box = ert.load_image(ert.sample_image()), (176.0, 65.0, 98.0, 98.0)
    for name in ("face5", "face68-small", "face68"):
        bundled = ert.load(name)
        for what, options in (("fast", {}), ("accurate", {"mode": "accurate"}), ("roll", {"max_roll": 45})):
            result[f"{name}, {what}"] = digest({"": bundled.predict([(photo, box)], **options)})
    return result


def main():
    options = common.arguments(__doc__, out="", compare="")
    found = digests()
    if options.out:
        Path(options.out).write_text(json.dumps(found, indent=1) + "\n")
    if options.compare:
        before = json.loads(Path(options.compare).read_text())
        changed = [name for name in before if found.get(name) != before[name]]
        print("\n".join(["changed:", *changed]) if changed else f"the same: {len(before)} digests")
        sys.exit(bool(changed))


if __name__ == "__main__":
    main()
