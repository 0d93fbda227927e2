"""Time one face on one thread, beside dlib, interleaved call by call.

    python benchmarks/predict_vs_dlib.py              # some two minutes
    python benchmarks/predict_vs_dlib.py --quick 1    # tries itself out, writes nothing

HELEN's 330 test faces with the boxes of dlib's detector, in whole pixels for both. Images are gray and in
memory; a call is all that a user pays: `predict([(image, box)])` here, there `predictor(image, rectangle)`,
without turning dlib's result into an array. The two take turns at being first. Needs the models of
train_vs_dlib.py and the public 68-point one (package face-recognition-models).
"""

import os
import time

import common
import numpy as np
from train_vs_dlib import OURS, THEIRS


def clock(function, *args, **named):
    """Return the nanoseconds of a call."""
    begin = time.perf_counter_ns()
    function(*args, **named)
    return time.perf_counter_ns() - begin


def helen(data):
    """Return HELEN's test faces: gray images, whole-pixel boxes (n, 4) and dlib's rectangles."""
    from ert._core.images import load_image
    from ert.datasets.dataset import load_dataset

    test = load_dataset(data / "300w", boxes=f"{data / '300w' / 'boxes.csv'}:dlib", split="test")
    images = [common.dlib_gray(load_image(file)) for file in test.files]
    rectangles = [common.dlib_rectangle(box) for box in test.boxes]
    boxes = [(float(r.left()), float(r.top()), float(r.width()), float(r.height())) for r in rectangles]
    return images, boxes, rectangles


def race(ours, theirs, faces, rounds, mode="fast"):
    """Time both on every face, `rounds` times; nanoseconds (rounds, faces) of each."""
    # The fast mode is called as users do, without naming it.
    named = {} if mode == "fast" else {"mode": mode}
    times = {who: np.empty((rounds + 1, len(faces[0]))) for who in ("ert", "dlib")}
    for number in range(rounds + 1):
        for i, (image, box, rectangle) in enumerate(zip(*faces, strict=True)):
            calls = [("ert", named, ours.predict, [(image, box)]), ("dlib", {}, theirs, image, rectangle)]
            for who, options, *call in calls if (i + number) % 2 else calls[::-1]:
                times[who][number, i] = clock(*call, **options)
    # The first round warms up.
    return {who: values[1:] for who, values in times.items()}


def statistics(values):
    milliseconds = values / 1e6
    low, middle, high, rare = np.percentile(milliseconds, [25, 50, 75, 99])
    return {
        "median_ms": float(middle),
        "quartiles_ms": [float(low), float(high)],
        "p99_ms": float(rare),
    }


def ratios(times, seed=0, n_resamples=1000):
    """How many times faster: the median of the rounds' ratios, their spread, and an interval over faces."""

    def of_rounds_on(faces):
        return np.median(times["dlib"][:, faces], axis=1) / np.median(times["ert"][:, faces], axis=1)

    of_rounds = of_rounds_on(slice(None))
    rng = np.random.default_rng(seed)
    n_faces = times["ert"].shape[1]
    # Whole faces are drawn, with their calls in all rounds.
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
    """Count the faces on which every point has dlib's whole pixels, and tell how far points are from them."""
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

    options = common.arguments(__doc__, rounds=20, quick=0)
    faces = helen(options.data)
    if options.gray_kernel:
        options.rounds, faces = 2, tuple(part[:30] for part in faces)
    public = face_recognition_models.pose_predictor_model_location()
    default, standard = dlib.shape_predictor(str(THEIRS)), dlib.shape_predictor(public)
    pairs = {
        "dlib's 10 x 500 x depth 4, from its .dat": (ert.load(THEIRS), default),
        "the public 68-point model, from its .dat": (ert.load(public), standard),
        "dlib's 10 x 500 x depth 4, made compact": (ert.load(THEIRS).compact(), default),
        "the public 68-point model, made compact": (ert.load(public).compact(), standard),
        "face68 against the public 68-point model": (ert.load("face68"), standard),
        "face68 in accurate mode, against the same": (ert.load("face68"), standard),
        "face68-small, against the same": (ert.load("face68-small"), standard),
        "10 x 500 x depth 4, each trained by its own": (ert.load(OURS), default),
    }
    load_before = os.getloadavg()
    models = {}
    for name, (ours, theirs) in pairs.items():
        mode = "accurate" if "accurate" in name else "fast"
        times = race(ours, theirs, faces, options.rounds, mode)
        models[name] = {who: statistics(values) for who, values in times.items()} | ratios(times)
        if name.endswith(".dat") or "compact" in name:
            models[name] |= beside(ours, theirs, faces)
        print(f"{name}: {models[name]['ratio']:.2f} times faster", flush=True)
    result = {
        "rounds": options.rounds,
        "faces": len(faces[0]),
        "load_average": {"before": load_before, "after": os.getloadavg()},
        "models": models,
    }
    print(result) if options.gray_kernel else common.save_result("predict_vs_dlib", result)


if __name__ == "__main__":
    main()
