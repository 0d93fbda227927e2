"""Measure ert.js in Node and in Chromium: milliseconds to load a model, and for one face.

    python benchmarks/web_speed.py
    taskset -c 0 python benchmarks/web_speed.py      # one core

The median and the fastest tenth of faces of HELEN's test set, one by one, after a warm-up; the same in Python. "first
load" is that of a page, or a program, that has loaded no other model: the median and the fastest of several.
"""

import json
import tempfile
import time
from pathlib import Path

import common
import numpy as np
import web_common

MODELS = ("face68", "face68-small", "face5")
N_FACES, ROUNDS, N_STARTS = 40, 4000, 7


def python_milliseconds(model, faces):
    """Return the median and the fastest tenth of times of a face in Python, called one by one."""
    times = []
    for i in range(50 * len(faces)):
        begin = time.perf_counter()
        model.predict([faces[i % len(faces)]])
        times.append(1000 * (time.perf_counter() - begin))
    return np.quantile(times[len(faces) :], (0.5, 0.1)).tolist()


def main():
    import ert
    from ert._core.images import to_gray

    options = common.arguments(__doc__)
    dataset = ert.load_dataset(options.data / "300w" / "helen" / "testset", boxes=f"{options.data}/300w/boxes.csv:dlib")
    result = {"versions": web_common.versions(), "faces": N_FACES, "milliseconds": {}}
    with tempfile.TemporaryDirectory(prefix="ert-web-") as folder:
        faces, plain = [], []
        for number, (file, box) in enumerate(zip(dataset.files[:N_FACES], dataset.boxes, strict=False)):
            pixels = ert.load_image(file)
            image = Path(folder, f"{number}.raw")
            image.write_bytes(pixels.tobytes())
            faces.append(
                {"image": str(image), "width": pixels.shape[1], "height": pixels.shape[0], "box": box.tolist()}
            )
            plain.append((np.ascontiguousarray(to_gray(pixels)), tuple(box)))
        for name in MODELS:
            task = Path(folder, "task.json")
            given = {"model": str(web_common.MODELS / f"{name}.ert"), "faces": faces}
            found = {"Python": {"fast": python_milliseconds(ert.load(name), plain)}}
            for where, run in (("Node", web_common.in_node), ("Chromium", web_common.in_chromium)):
                task.write_text(json.dumps(given | {"rounds": 0}))
                loads = [run("web_speed.mjs", task)["load"] for _ in range(N_STARTS)]
                task.write_text(json.dumps(given | {"rounds": ROUNDS}))
                first = {"first load": [float(np.median(loads)), min(loads)]}
                found[where] = first | run("web_speed.mjs", task)
            result["milliseconds"][name] = found
    common.save_result("web_speed", result)


if __name__ == "__main__":
    main()
