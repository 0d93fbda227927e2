"""Throughput on many faces, latency tail, large photos, loading times and reproducibility.

    python benchmarks/throughput.py              # about five minutes
    python benchmarks/throughput.py --quick 1    # a short test, writes nothing

The faces are those of 300-W, in memory, repeated. Occasional slow calls are mostly caused by the machine: a
loop that only counts is timed interleaved with the calls, and its slowest runs are reported next to theirs.
"""

import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import common
import numba
import numpy as np
from predict_vs_dlib import clock
from train_vs_dlib import OURS, THEIRS


def rates(model, X, repeats, size=2500):
    """Return faces per second on one and two threads, interleaved, and the speedup of a counting loop.

    The turns are short, so that other work on the machine slows down both alike.
    """
    parts = [X[i : i + size] for i in range(0, len(X), size)]
    seconds = {(what, n): np.zeros(repeats) for what in ("predict", "count") for n in (1, 2)}
    spin(1)
    turns = int(clock(model.predict, parts[0], n_jobs=1) / clock(spin, 10_000_000) * 10_000_000)
    with ThreadPoolExecutor(2) as pool:

        def count(threads):
            list(pool.map(spin, [turns // threads] * threads))

        model.predict(X[:200], n_jobs=2)
        for number in range(repeats):
            for place, part in enumerate(parts):
                for n in (1, 2) if (number + place) % 2 else (2, 1):
                    seconds["predict", n][number] += clock(model.predict, part, n_jobs=n) / 1e9
                    seconds["count", n][number] += clock(count, n) / 1e9
    one, two = seconds["predict", 1], seconds["predict", 2]
    return {
        "faces": len(X),
        "faces a turn": size,
        "faces_per_second": {"1 thread": float(len(X) / np.median(one)), "2 threads": float(len(X) / np.median(two))},
        "ratio": float(np.median(one / two)),
        "ratios": (one / two).tolist(),
        "ratio of counting": float(np.median(seconds["count", 1] / seconds["count", 2])),
    }


# Passes over all calls for the 99th percentile.
PASSES = 5


@numba.njit(nogil=True)
def spin(n):
    """Count to n with a random generator, which compilers cannot shorten."""
    state = np.uint64(1)
    for _ in range(n):
        state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
    return state


def tail(model, X):
    """Return the 99th percentile and the median of single calls, and of a counting loop of equal length."""
    spin(1)
    turns = 1_000_000 / min(clock(spin, 1_000_000) for _ in range(9))
    usual = np.median([clock(model.predict, [face]) for face in X[:500]])
    # Times differ between faces as well: larger ones take longer to resample.
    same = [X[0]]
    n = int(usual * turns)
    # In a single pass interruptions by the machine change the percentile by a third.
    passes = np.array(
        [
            [(clock(model.predict, [face]), clock(model.predict, same), clock(spin, n)) for face in X]
            for _ in range(PASSES)
        ]
    )
    medians, p99s = np.median(passes, axis=1), np.percentile(passes, 99, axis=1)
    return {
        name: {
            "median_ms": float(np.median(medians[:, k]) / 1e6),
            "p99_ms": float(np.median(p99s[:, k]) / 1e6),
            "p99_over_median": float(np.median(p99s[:, k] / medians[:, k])),
            "pass by pass": (p99s[:, k] / medians[:, k]).tolist(),
        }
        for k, name in enumerate(("different faces", "one face", "counting"))
    }


def interruptions(seconds):
    """Measure how often, and for how long, the system interrupts a loop of a microsecond."""
    n, clock_ns = 3000, time.perf_counter_ns
    spin(n)
    late, begin = [], clock_ns()
    usual = np.median([clock(spin, n) for _ in range(1000)])
    while clock_ns() - begin < seconds * 1e9:
        extra = clock(spin, n) - usual
        if extra > 10_000:
            late.append(extra / 1e3)
    return {
        "a second": len(late) / seconds,
        "microseconds, quartiles": np.percentile(late or [0], [25, 50, 75]).tolist(),
    }


def in_turn(model, pairs, calls):
    """Time the two faces of each pair, taking turns; the first go at each is left out."""
    times = np.empty((2, calls))
    for number in range(-len(pairs), calls):
        pair = pairs[number % len(pairs)]
        for i in (0, 1) if number // len(pairs) % 2 else (1, 0):
            times[i, max(number, 0)] = clock(model.predict, pair[i])
    photo_ms, crop_ms = (np.median(times, axis=1) / 1e6).tolist()
    return {"photo_ms": photo_ms, "crop_ms": crop_ms, "ratio": float(np.median(times[0] / times[1]))}


def large_photos(model, faces, megapixels, calls):
    """Time the same faces in a large photo and in crops of it, gray and in color."""
    side = round((megapixels * 1e6) ** 0.5)
    # Each face in a cell of its own, with some of the photo round it, so that no edge differs.
    margin = 64
    cell = max(max(image.shape) for image, _ in faces) + 2 * margin
    cells = np.random.default_rng(0).permutation((side // cell) ** 2)
    result = {}
    for kind, shape in (("gray", (side, side)), ("RGB", (side, side, 3))):
        photo = np.full(shape, 128, np.uint8)
        pairs = []
        for (image, box), number in zip(faces, cells.tolist(), strict=False):
            rows, columns = image.shape[:2]
            left, top = number % (side // cell) * cell, number // (side // cell) * cell
            part = photo[top : top + rows + 2 * margin, left : left + columns + 2 * margin]
            part[margin:-margin, margin:-margin] = image[:, :, 0] if kind == "gray" else image
            inside = (box[0] + margin, box[1] + margin, *box[2:])
            moved = (inside[0] + left, inside[1] + top, *box[2:])
            pairs.append([[(photo, moved)], [(part.copy(), inside)]])
        for photo_face, crop_face in pairs:
            shift = np.subtract(photo_face[0][1][:2], crop_face[0][1][:2])
            error = np.abs(model.predict(photo_face) - shift - model.predict(crop_face)).max()
            assert error < 1e-6, f"other landmarks in the photo, by {error} pixels"
        alone = [in_turn(model, [pair], calls) for pair in pairs[:10]]
        result[kind] = {
            # Of ten faces, each repeatedly.
            "one face": {key: float(np.median([each[key] for each in alone])) for key in alone[0]},
            # Rows of a photo are far apart in memory: pixels that are not in the cache take longer to read.
            f"{len(pairs)} faces in turn": in_turn(model, pairs, len(pairs) * calls // 10),
        }
    return result


def check_same(model, X):
    """Assert that results do not depend on batches, order, threads or concurrent calls."""
    expected = model.predict(X)
    for size in (1, 7, 64):
        parts = [model.predict(X[i : i + size]) for i in range(0, len(X), size)]
        assert np.array_equal(np.concatenate(parts), expected), f"batches of {size}"
    order = np.random.default_rng(0).permutation(len(X))
    assert np.array_equal(model.predict([X[i] for i in order]), expected[order]), "another order"
    for threads in (2, 3, 8):
        assert np.array_equal(model.predict(X, n_jobs=threads), expected), f"{threads} threads"
    with ThreadPoolExecutor(16) as crowd:
        for shapes in crowd.map(lambda _: model.predict(X), range(16)):
            assert np.array_equal(shapes, expected), "16 threads that share one model"


def loading(path, repeats):
    import ert

    ert.load(path)
    return float(np.median([clock(ert.load, path) for _ in range(repeats)]) / 1e6)


def main():
    import face_recognition_models

    import ert

    options = common.arguments(__doc__, faces=10_000, repeats=7, megapixels=100.0, quick=0)
    if options.quick:
        options.faces, options.repeats, options.megapixels = 300, 2, 9.0
    load_before = os.getloadavg()
    table = f"{options.data / '300w' / 'boxes.csv'}:dlib"
    test = ert.load_dataset(options.data / "300w", boxes=table, split="test")
    images = [ert.load_image(file) for file in test.files]
    color = [i if i.ndim == 3 else np.repeat(i[:, :, None], 3, axis=2) for i in images]
    boxes = [tuple(box) for box in test.boxes.tolist()]
    few = {
        "gray": list(zip(map(common.dlib_gray, color), boxes, strict=True)),
        "RGB": list(zip(color, boxes, strict=True)),
    }
    many = {kind: [faces[i % len(faces)] for i in range(options.faces)] for kind, faces in few.items()}
    face68 = ert.load("face68")
    public = face_recognition_models.pose_predictor_model_location()
    with tempfile.TemporaryDirectory() as folder:
        converted = Path(folder) / "points.ert"
        convert = [sys.executable, "-m", "ert", "convert", public, str(converted)]
        begin = time.perf_counter()
        subprocess.run(convert, check=True, capture_output=True, cwd=common.ROOT)
        convert_seconds = time.perf_counter() - begin
        models = {"face68": face68, "the public model, converted": ert.load(converted)}
        result = {
            "throughput": {
                f"{name}, {kind}": rates(model, X, options.repeats)
                for name, model in models.items()
                for kind, X in many.items()
            },
            "single calls of face68, gray": tail(face68, many["gray"]),
            "interruptions by the machine": interruptions(1 if options.quick else 10),
            "one face in a large photo": {
                "megapixels": options.megapixels,
                **large_photos(face68, few["RGB"][:40], options.megapixels, 100 * options.repeats),
            },
            "load_ms": {
                "face68": loading("face68", 3 * options.repeats),
                "the public model, converted": loading(converted, 3 * options.repeats),
                "the public model, .dat": loading(public, 3),
            },
            "convert_seconds": convert_seconds,
        }
        # Models of all kinds: int8 leaves, dlib's floats, converted from dlib.
        models |= {"10 x 500 x depth 4": ert.load(OURS), "dlib's 10 x 500": ert.load(THEIRS)}
        for model in models.values():
            for faces in few.values():
                check_same(model, faces[:100])
    result["the same for any batch, place and threads"] = {"models": list(models), "faces": 100}
    result["load_average"] = {"before": load_before, "after": os.getloadavg()}
    print(result) if options.quick else common.save_result("throughput", result)


if __name__ == "__main__":
    main()
