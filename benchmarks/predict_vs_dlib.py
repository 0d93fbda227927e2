"""Time one face on one thread, beside dlib, interleaved call by call.

    python benchmarks/predict_vs_dlib.py

Compares the models of train_vs_dlib.py (both 10 x 500 trees of depth 4) and the bundled face68 with dlib's.
Images are grey and in memory; a call is all that a user pays: `predict([(image, box)])` here, there
`predictor(image, rectangle)`, without turning dlib's result into an array.
"""

import time

import common
import numpy as np
from train_vs_dlib import OURS, THEIRS


def clock(function):
    begin = time.perf_counter_ns()
    function()
    return (time.perf_counter_ns() - begin) / 1e6


def main():
    import dlib

    import ert
    from ert.datasets import load_dataset

    options = common.arguments(__doc__, rounds=3)
    test = load_dataset(
        options.data / "300w", boxes=f"{options.data / '300w' / 'boxes.csv'}:dlib", split="test"
    )
    images = [common.dlib_grey(ert.images.load_image(file)) for file in test.files]
    theirs = dlib.shape_predictor(str(THEIRS))
    result = {}
    for name, model in {"10 x 500 x depth 4": ert.load(OURS), "face68": ert.load("face68")}.items():
        times = {"ert": [], "dlib": []}
        for _ in range(options.rounds + 1):
            for image, box in zip(images, test.boxes, strict=True):
                rectangle = common.dlib_rectangle(box)
                times["dlib"].append(clock(lambda i=image, r=rectangle: theirs(i, r)))
                times["ert"].append(clock(lambda i=image, b=box, m=model: m.predict([(i, b)])))
        warm = {who: np.array(values[len(images) :]) for who, values in times.items()}
        result[name] = {
            who: {
                "median_ms": float(np.median(values)),
                "quartiles_ms": np.percentile(values, [25, 75]).tolist(),
            }
            for who, values in warm.items()
        } | {"ratio": float(np.median(warm["dlib"]) / np.median(warm["ert"]))}
    common.save_result("predict_vs_dlib", {"calls": int(options.rounds * len(images)), "models": result})


if __name__ == "__main__":
    main()
