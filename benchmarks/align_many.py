"""`ert align --json` over many photographs: one core, OpenCV's own threads, and all cores; what takes the time.

    python benchmarks/align_many.py                # 2,000 photographs of `mtfl`
    python benchmarks/align_many.py --photos 300   # on a busy machine
    python benchmarks/align_many.py --quick 1      # a short test, writes nothing

The command runs in this process on some photographs at a time. Its ways take turns, so that other work on the machine
slows down all alike: `--jobs 1` with one thread of OpenCV, which is one core; `--jobs 1` with OpenCV's own threads,
which share each photograph; and all processors, which share the photographs. In the same turns a loop that only counts
shows how much faster two threads are on this machine at best. The JSON files of all ways are compared.

The share of each step is in processor time, for the photographs of `mtfl` and for those of HELEN, as are searches in
smaller copies or in larger steps of the size, with the share of HELEN's faces that they find.
"""

import contextlib
import io
import os
import tempfile
import time
from pathlib import Path

import common
import numpy as np
from detectors import overlap
from throughput import spin

PART = 50
WAYS = {"one core": (1, 1), "OpenCV's threads": (1, None), "all cores": (-1, None)}
# Longest side of the copy in parts of the photograph's, and the step of the sizes.
SEARCHES = {
    "as it is": (1.0, 1.1),
    "3/4 of the side": (0.75, 1.1),
    "half the side": (0.5, 1.1),
    "sizes by 1.2": (1.0, 1.2),
}
MIN_OVERLAP = 0.3


def run(files, out, n_jobs, n_opencv):
    """Run the command; return its seconds and processor seconds."""
    import cv2

    from ert.cli.main import main

    before = cv2.getNumThreads()
    cv2.setNumThreads(before if n_opencv is None else n_opencv)
    begin, cpu = time.perf_counter(), time.process_time()
    with contextlib.redirect_stderr(io.StringIO()):
        assert main(["align", *map(str, files), "--json", str(out), "--jobs", str(n_jobs)]) == 0
    taken = time.perf_counter() - begin, time.process_time() - cpu
    cv2.setNumThreads(before)
    return taken


def take_turns(files):
    """Return the seconds and processor seconds (turns, 2) of each way, and the speed-up of counting (turns)."""
    from ert._core.runtime import count_threads
    from ert._core.threads import map_in_threads

    n_threads = count_threads(-1)
    times, counting = {way: [] for way in WAYS}, []
    with tempfile.TemporaryDirectory() as folder:
        for turn, first in enumerate(range(0, len(files), PART)):
            part, written = files[first : first + PART], set()
            for k in range(len(WAYS)):
                way = list(WAYS)[(turn + k) % len(WAYS)]
                out = Path(folder, "out.json")
                times[way].append(run(part, out, *WAYS[way]))
                written.add(out.read_bytes())
            assert len(written) == 1, "the landmarks depend on the number of threads"
            seconds = []
            for n in (1, n_threads):
                begin = time.perf_counter()
                for _ in map_in_threads(spin, [500_000_000 // n] * n, n):
                    pass
                seconds.append(time.perf_counter() - begin)
            counting.append(seconds[0] / seconds[1])
    return {way: np.array(of_way) for way, of_way in times.items()}, np.array(counting)


def steps(files):
    """Return the milliseconds of processor time of each step for a photograph, on one thread."""
    import cv2

    import ert
    from ert._core.images import to_gray
    from ert.faces.detection import detect_faces, reduce_image

    cv2.setNumThreads(1)
    model = ert.load("face68").set_params(n_jobs=1)
    taken = dict.fromkeys(("read", "reduce and gray", "detect", "predict", "assess"), 0.0)
    for file in files:
        marks = [time.process_time()]
        image = ert.load_image(file)
        marks.append(time.process_time())
        gray = to_gray(reduce_image(image))
        marks.append(time.process_time())
        boxes = detect_faces(gray)
        marks.append(time.process_time())
        faces = [(image, box) for box in boxes]
        shapes = model.predict(faces)
        marks.append(time.process_time())
        model.assess(faces, shapes)
        marks.append(time.process_time())
        for step, seconds in zip(taken, np.diff(marks), strict=True):
            taken[step] += 1000 * seconds / len(files)
    total = sum(taken.values())
    return {"milliseconds": taken, "share of detection": taken["detect"] / total}


def searches(dataset):
    """Return the milliseconds of each search, and how many of the annotated faces it finds."""
    import cv2

    import ert
    from ert._core.images import to_gray
    from ert.faces.detection import _haar_file, keep_best, reduce_image

    cv2.setNumThreads(1)
    cascade = cv2.CascadeClassifier(_haar_file())
    result = {}
    for name, (side, step) in SEARCHES.items():
        seconds, n_found = 0.0, 0
        for file, box in zip(dataset.files, dataset.boxes, strict=True):
            image = to_gray(reduce_image(ert.load_image(file)))
            begin = time.process_time()
            small = reduce_image(image, round(side * max(image.shape)))
            options = {"scaleFactor": step, "minNeighbors": 3, "minSize": (30, 30)}
            found, counts = cascade.detectMultiScale2(small, **options)
            seconds += time.process_time() - begin
            found = np.array(found, float).reshape(-1, 4)
            found = found[keep_best(found, np.array(counts, float).ravel())] * (image.shape[1] / small.shape[1])
            n_found += bool(len(found)) and overlap(box, found).max() > MIN_OVERLAP
        result[name] = {"milliseconds": 1000 * seconds / len(dataset), "found": n_found / len(dataset)}
    return result


def main():
    options = common.arguments(__doc__, photos=2000, helen=100, quick=0)
    if options.quick:
        options.photos, options.helen = 2 * PART, 5
    import ert

    before = os.getloadavg()
    files = common.mtfl(options.data)[0]
    files = files[:: max(1, len(files) // options.photos)][: options.photos]
    helen = ert.load_dataset(options.data / "300w" / "helen" / "testset")[: options.helen]
    ert.load("face68").warm_up()
    with tempfile.TemporaryDirectory() as folder:
        # Loads what the first call loads.
        run(files[:2], Path(folder, "out.json"), 1, None)
    times, counting = take_turns(files)
    wall, cpu = ({way: of_way[:, k] for way, of_way in times.items()} for k in (0, 1))
    result = {
        "photos": len(files),
        "photos a second": {way: len(files) / float(s.sum()) for way, s in wall.items()},
        "milliseconds of processor time a photo": {way: 1e3 * float(s.sum()) / len(files) for way, s in cpu.items()},
        "times one core, median of turns": {way: float(np.median(wall["one core"] / s)) for way, s in wall.items()},
        "counting, all threads over one, median of turns": float(np.median(counting)),
        "steps": {"mtfl": steps(files[:200]), "helen": steps(helen.files)},
        "searches": searches(helen),
        "load_average": {"before": before, "after": os.getloadavg()},
    }
    print(result) if options.quick else common.save_result("align_many", result)


if __name__ == "__main__":
    main()
