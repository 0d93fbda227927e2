"""What the costliest models that load cost for a face: the table of docs/security.md.

    python benchmarks/model_cost.py              # a minute
    python benchmarks/model_cost.py --quick 1    # a short test, writes nothing

They have as many members as a model may have, and the largest crops and filters within the bounds of
`ert/model/limits.py` and `ert/model/cropping.py`; the confidence is always low, so that every face is restarted. Times
are of the processor, of one thread.
"""

import tempfile
import time
from dataclasses import replace
from pathlib import Path

import common
import numpy as np

IMAGE_SIDE = 1000
BOXES = {"500 x 500": 500, "1000 x 1000": 999, "10,000 x 10,000, the largest that is accepted": 9999}
WAYS = {"`predict`": {}, '`mode="accurate"` with restarts': {"mode": "accurate"}, "`max_roll=180`": {"max_roll": 180}}


def costliest(path, working_size=2000):
    """Write a model with the costliest crops, in a cascade of a small one with a confidence model."""
    import ert
    from ert.datasets.synthetic import synthetic_faces
    from ert.model.confidence import MAX_BLURRED_SIDES as MAX_CONFIDENCE_BLURRED_SIDES
    from ert.model.cropping import MAX_BLURRED_SIDES, CropSpec
    from ert.model.fitted import write_fitted
    from ert.model.limits import PARAMETER_LIMITS

    images, boxes, landmarks = synthetic_faces(6, seed=0, size=64)
    X = list(zip(images, boxes, strict=True))
    small = {"n_stages": 2, "n_trees": 4, "n_inits": 2, "n_pixels": 16, "working_size": 32, "mirror": "face68"}
    model = ert.ShapePredictor(**small, n_jobs=1).fit(X, landmarks).fit_confidence(X, landmarks, n_folds=2)
    # As many pixels as a crop may have.
    half = min(3999 / working_size / 2, 1.0) - 0.001
    region = np.array([0.5 - half, 0.5 - half, 0.5 + half, 0.5 + half])

    def crop(blurred_sides):
        return CropSpec(region, working_size, min(50.0, 0.999 * blurred_sides / (2 * half)), 127.0)

    fitted = model.fitted_
    confidence_model = replace(
        fitted.confidence_model,
        crop_spec=crop(MAX_CONFIDENCE_BLURRED_SIDES),
        confidence_weights=np.array([-1e6, 0.0, 0.0]),
    )
    cascade = replace(fitted.cascade, crop_spec=crop(MAX_BLURRED_SIDES))
    # Each member cuts a crop of its own.
    further = (cascade,) * (int(PARAMETER_LIMITS["n_members"][2]) - 1)
    write_fitted(path, replace(fitted, cascade=cascade, confidence_model=confidence_model, further_members=further))
    return ert.load(path)


def seconds(model, image, side, options):
    """Return the processor's time for a face in the middle of an image."""
    corner = (IMAGE_SIDE - side) / 2
    begin = time.process_time()
    model.predict([(image, (corner, corner, side, side))], n_jobs=1, **options)
    return time.process_time() - begin


def measure(quick):
    import ert

    image = np.random.default_rng(0).integers(0, 256, (IMAGE_SIDE, IMAGE_SIDE), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "costliest.ert"
        model, usual = costliest(path, 100 if quick else 2000), ert.load("face68")
        times = {}
        for options in WAYS.values():
            seconds(model, image, 9, options)
        for box, side in list(BOXES.items())[: 1 if quick else None]:
            times[box] = {way: seconds(model, image, side, options) for way, options in WAYS.items()}
        n = 10 if quick else 1000
        seconds(usual, image, 500, {})
        typical = float(np.median([seconds(usual, image, 500, {}) for _ in range(n)]))
        return {"model_bytes": path.stat().st_size, "seconds": times, "seconds_face68": typical}


def table(result):
    """Return the lines of docs/security.md."""
    lines = ["| box | " + " | ".join(WAYS) + " |", "| --- |" + " ---: |" * len(WAYS)]
    for box, times in result["seconds"].items():
        lines.append(f"| {box} | " + " | ".join(f"{times[way]:.2g} s" for way in WAYS) + " |")
    lines += ["", f"The file has {result['model_bytes'] / 1000:.0f} KB. A face of `face68` takes "]
    lines[-1] += f"{1e6 * result['seconds_face68']:.0f} µs in a box of 500 x 500."
    return lines


def main():
    options = common.arguments(__doc__, quick=0)
    found = measure(options.quick)
    if options.quick:
        print(found)
        return
    common.save_result("model_cost", found)
    common.write_figures(common.ROOT / "docs" / "security.md", table(common.result("model_cost")))


if __name__ == "__main__":
    main()
