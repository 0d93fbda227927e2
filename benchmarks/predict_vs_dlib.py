"""Time of a prediction for one face on one thread, interleaved with dlib call by call.

    python benchmarks/predict_vs_dlib.py              # about two minutes
    python benchmarks/predict_vs_dlib.py --quick 1    # a short test, writes nothing
    ERT_KERNELS=avx2 python benchmarks/predict_vs_dlib.py    # as on a processor without AVX-512

The 330 test faces of HELEN with the boxes of dlib's detector, rounded to integers for both. Images are gray
and in memory. Timed are `predict([(image, box)])` and `predictor(image, rectangle)`, without converting
dlib's result to an array; the order alternates. Needs the models of train_vs_dlib.py and the public model of
68 landmarks (package face-recognition-models).
"""

import os
import time

import common
import numpy as np
from train_vs_dlib import OURS, THEIRS


def clock(function, *args, **kwargs):
    """Return the nanoseconds of a call."""
    begin = time.perf_counter_ns()
    function(*args, **kwargs)
    return time.perf_counter_ns() - begin


def helen(data):
    """Return HELEN's test faces: gray images, integer boxes (n, 4) and dlib's rectangles."""
    from ert._core.images import load_image
    from ert.datasets.formats import load_dataset

    test = load_dataset(data / "300w", boxes=f"{data / '300w' / 'boxes.csv'}:dlib", split="test")
    images = [common.dlib_gray(load_image(file)) for file in test.files]
    rectangles = [common.dlib_rectangle(box) for box in test.boxes]
    boxes = [(float(r.left()), float(r.top()), float(r.width()), float(r.height())) for r in rectangles]
    return images, boxes, rectangles


def race(ours, theirs, faces, rounds):
    """Return the nanoseconds (rounds, faces) of both on every face.

    `ours` is a model or a pair of a model and a prediction mode.
    """
    model, *mode = ours if isinstance(ours, tuple) else (ours,)
    times = {who: np.empty((rounds + 1, len(faces[0]))) for who in ("ert", "dlib")}
    for number in range(rounds + 1):
        for i, (image, box, rectangle) in enumerate(zip(*faces, strict=True)):
            calls = [("ert", model.predict, [(image, box)], *mode), ("dlib", theirs, image, rectangle)]
            for who, *call in calls if (i + number) % 2 else calls[::-1]:
                times[who][number, i] = clock(*call)
    # The first round warms up.
    return {who: values[1:] for who, values in times.items()}


def statistics(values):
    milliseconds = values / 1e6
    low, middle, high, rare = np.percentile(milliseconds, [25, 50, 75, 99])
    return {"median_ms": float(middle), "quartiles_ms": [float(low), float(high)], "p99_ms": float(rare)}


def ratios(times, seed=0, n_resamples=1000):
    """Return the speedup: the median over rounds, its spread, and an interval over faces."""

    def of_rounds_on(faces):
        return np.median(times["dlib"][:, faces], axis=1) / np.median(times["ert"][:, faces], axis=1)

    of_rounds = of_rounds_on(slice(None))
    rng = np.random.default_rng(seed)
    n_faces = times["ert"].shape[1]
    # Faces are resampled together with their calls in all rounds.
    drawn = rng.integers(n_faces, size=(n_resamples, n_faces))
    resampled = [np.median(of_rounds_on(faces)) for faces in drawn]
    return {
        "ratio": float(np.median(of_rounds)),
        "ratio_of_rounds": {
            "lowest": float(of_rounds.min()),
            "quartiles": np.percentile(of_rounds, [25, 75]).tolist(),
            "highest": float(of_rounds.max()),
        },
        "ratio_interval_95": np.percentile(resampled, [2.5, 97.5]).tolist(),
    }


def beside(ours, theirs, faces):
    """Count the faces whose rounded landmarks all equal dlib's, and return the mean distance."""
    images, boxes, rectangles = faces
    found = ours.predict(list(zip(images, boxes, strict=True)))
    expected = np.array(
        [
            [(point.x, point.y) for point in theirs(image, rectangle).parts()]
            for image, rectangle in zip(images, rectangles, strict=True)
        ]
    )
    same = (np.floor(found + 0.5) == expected).all(axis=(1, 2))
    return {
        "faces": len(images),
        "faces_with_the_same_whole_pixels": int(same.sum()),
        "mean_distance_px": float(np.linalg.norm(found - expected, axis=2).mean()),
    }


def main():
    import dlib
    import face_recognition_models

    import ert
    from ert._kernels.llvm import kernel_level

    options = common.arguments(__doc__, rounds=20, quick=0)
    faces = helen(options.data)
    if options.quick:
        options.rounds, faces = 2, tuple(part[:30] for part in faces)
    public = face_recognition_models.pose_predictor_model_location()
    default, standard = dlib.shape_predictor(str(THEIRS)), dlib.shape_predictor(public)
    pairs = {
        "dlib's 10 x 500 x depth 4, from its .dat": (ert.load(THEIRS), default),
        "the public 68-point model, from its .dat": (ert.load(public), standard),
        "dlib's 10 x 500 x depth 4, made compact": (ert.load(THEIRS).compact(), default),
        "the public 68-point model, made compact": (ert.load(public).compact(), standard),
        "face68 against the public 68-point model": (ert.load("face68"), standard),
        "face68 in accurate mode, against the same": ((ert.load("face68"), "accurate"), standard),
        "face68-small, against the same": (ert.load("face68-small"), standard),
        "10 x 500 x depth 4, each trained by its own": (ert.load(OURS), default),
    }
    load_before = os.getloadavg()
    models = {}
    for name, (ours, theirs) in pairs.items():
        times = race(ours, theirs, faces, options.rounds)
        models[name] = {who: statistics(values) for who, values in times.items()} | ratios(times)
        if name.endswith(".dat") or "compact" in name:
            models[name] |= beside(ours, theirs, faces)
        print(f"{name}: {models[name]['ratio']:.2f} times faster", flush=True)
    result = {
        "kernels": kernel_level(),
        "rounds": options.rounds,
        "faces": len(faces[0]),
        "load_average": {"before": load_before, "after": os.getloadavg()},
        "models": models,
    }
    # Of kernels that were chosen, not those of this processor.
    chosen = f"_{os.environ['ERT_KERNELS']}" if os.environ.get("ERT_KERNELS") else ""
    print(result) if options.quick else common.save_result("predict_vs_dlib" + chosen, result)


if __name__ == "__main__":
    main()
