"""Compare the speed and the results of two checkouts of ert, interleaved in one run.

    python benchmarks/versions.py OLD_CHECKOUT [NEW_CHECKOUT]      # about two minutes
    python benchmarks/versions.py OLD_CHECKOUT --rounds 3          # a short test

Each version runs in its own process with its own cache of compiled kernels and answers commands over pipes.
In each round both run every task, in alternating order. Reported are the medians over the rounds, the ratio
old / new with its quartiles, and the largest difference of the landmarks. The public model of 68 landmarks is
included when the package face-recognition-models is installed. Both processes compile first, which takes a
minute.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
# The face of the bundled sample image: left, top, width, height.
FACE_BOX = (176.0, 65.0, 98.0, 98.0)
ACCURATE = 'face68, mode="accurate", one face'
BOX_JITTER = 0.05
N_BOXES, N_BATCH = 32, 256
# Calls per round.
CALLS = {
    "face68, one face": 100,
    ACCURATE: 20,
    "public .dat model, one face": 50,
    f"face68, {N_BATCH} faces": 1,
    "fit of 2 stages": 1,
}
FIT = {"n_stages": 2, "n_trees": 100, "n_inits": 5, "n_jobs": 1}


# The process of one version.


def load_tasks():
    """Return a function without arguments for each task; it returns landmarks."""
    import ert

    gray = np.load("gray.npy")
    boxes = [tuple(box) for box in np.load("boxes.npy").tolist()]
    faces, shapes = [(gray, box) for box in boxes], np.load("shapes.npy")
    batch = [faces[i % len(faces)] for i in range(N_BATCH)]
    number = 0

    def next_face():
        nonlocal number
        number += 1
        return [faces[number % len(faces)]]

    model = ert.load("face68")
    if hasattr(model, "best"):
        accurate = ert.load("face68").best()
        tasks = {ACCURATE: lambda: accurate.predict(next_face())}
    else:
        tasks = {ACCURATE: lambda: model.predict(next_face(), "accurate")}
    tasks["face68, one face"] = lambda: model.predict(next_face())
    tasks[f"face68, {N_BATCH} faces"] = lambda: model.predict(batch, n_jobs=1)
    tasks["fit of 2 stages"] = lambda: ert.ShapePredictor(**FIT).fit(faces, shapes).predict(faces)
    if "DAT_FILE" in os.environ:
        public = ert.load(os.environ["DAT_FILE"])
        tasks["public .dat model, one face"] = lambda: public.predict(next_face())
    return tasks


def serve():
    """Answer commands, one JSON object per line: {"task": ..., "calls": ...}."""
    answers = os.fdopen(os.dup(1), "w")
    # Whatever a library prints goes to standard error.
    os.dup2(2, 1)
    import ert

    tasks = load_tasks()
    about = {"file": ert.__file__, "version": ert.__version__, "tasks": list(tasks)}
    print(json.dumps(about), file=answers, flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        task, seconds = tasks[command["task"]], []
        for _ in range(command["calls"]):
            begin = time.perf_counter()
            landmarks = task()
            seconds.append(time.perf_counter() - begin)
        answer = {"seconds": float(np.median(seconds)), "landmarks": landmarks.tolist()}
        print(json.dumps(answer), file=answers, flush=True)


class Version:
    """A process that runs the tasks with the ert of one checkout."""

    def __init__(self, checkout, folder, stack):
        self.checkout = Path(checkout).resolve()
        cache = Path(folder) / f"cache{len(list(Path(folder).iterdir()))}"
        cache.mkdir()
        environment = os.environ | {"PYTHONPATH": str(self.checkout), "NUMBA_CACHE_DIR": str(cache)}
        command = [sys.executable, str(Path(__file__).resolve()), "--serve"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(command, cwd=folder, env=environment, **pipes)
        stack.callback(self.close)

    def start(self):
        """Wait until the models are loaded; return the tasks."""
        self.about = self._answer()
        if self.checkout not in Path(self.about["file"]).parents:
            raise SystemExit(f"{self.checkout}: no ert there, {self.about['file']} was imported")
        return self.about["tasks"]

    def run(self, task, calls):
        """Return the median seconds of the calls and the landmarks of the last one."""
        print(json.dumps({"task": task, "calls": calls}), file=self.process.stdin, flush=True)
        answer = self._answer()
        return answer["seconds"], np.array(answer["landmarks"])

    def _answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.checkout}: the process ended, see its error above")
        return json.loads(line)

    def close(self):
        """End the process."""
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def describe(self):
        """Return the version and, in a git checkout, the commit."""
        command = ["git", "-C", str(self.checkout), "describe", "--always", "--dirty"]
        found = subprocess.run(command, capture_output=True, text=True, check=False)
        return {"version": self.about["version"], "commit": found.stdout.strip() or None}


# The comparison.


def write_inputs(folder):
    """Write a gray image, boxes and shapes for the fit, the same for both versions."""
    from PIL import Image

    import ert

    gray = np.array(Image.open(ert.sample_image()).convert("L"))
    rng = np.random.default_rng(0)
    left, top, width, height = FACE_BOX
    shifts = BOX_JITTER * width * rng.standard_normal((N_BOXES, 2))
    boxes = np.column_stack([shifts + (left, top), np.full((N_BOXES, 2), (width, height))])
    mean = rng.uniform(0.1, 0.9, (20, 2)) * (width, height) + (left, top)
    shapes = mean + rng.normal(0, 3, (N_BOXES, 20, 2))
    for name, array in (("gray", gray), ("boxes", boxes), ("shapes", shapes)):
        np.save(Path(folder) / f"{name}.npy", array)


def compare(old, new, tasks, rounds):
    """Return the figures of each task."""
    seconds = {task: np.empty((2, rounds)) for task in tasks}
    differences = dict.fromkeys(tasks, 0.0)
    # Compile everything before.
    for task in tasks:
        for version in (old, new):
            version.run(task, 1)
    for number in range(rounds):
        for task in tasks:
            landmarks = [None, None]
            for which in (0, 1) if number % 2 else (1, 0):
                seconds[task][which, number], landmarks[which] = (old, new)[which].run(task, CALLS[task])
            differences[task] = max(differences[task], float(np.abs(landmarks[0] - landmarks[1]).max()))
    figures = {}
    for task, (before, after) in seconds.items():
        low, ratio, high = np.percentile(before / after, [25, 50, 75]).tolist()
        figures[task] = {
            "old ms": 1e3 * float(np.median(before)),
            "new ms": 1e3 * float(np.median(after)),
            "old / new": ratio,
            "quartiles": [low, high],
            "largest difference px": differences[task],
        }
    return figures


def public_model():
    """Return the environment variable with the path of the public model, empty without its package."""
    try:
        import face_recognition_models
    except ImportError:
        return {}
    return {"DAT_FILE": face_recognition_models.pose_predictor_model_location()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", help="checkout to compare with")
    parser.add_argument("new", nargs="?", default=ROOT, help="checkout, by default the one of this script")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "versions.json")
    options = parser.parse_args()
    os.environ |= public_model()
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        write_inputs(folder)
        old, new = (Version(checkout, folder, stack) for checkout in (options.old, options.new))
        known = set(old.start()) & set(new.start())
        load_before = os.getloadavg()
        figures = compare(old, new, [task for task in CALLS if task in known], options.rounds)
        described = {"old": old.describe(), "new": new.describe()}
    for task, row in figures.items():
        low, high = row["quartiles"]
        times = f"{row['old ms']:9.3f} ms {row['new ms']:9.3f} ms"
        ratio = f"old / new {row['old / new']:.3f} ({low:.3f} to {high:.3f})"
        print(f"{task:36s} {times}  {ratio}  differ by {row['largest difference px']:.1e} px")
    from ert._core.system import provenance

    load = {"before": load_before, "after": os.getloadavg()}
    result = {"compared": described, "rounds": options.rounds, "load_average": load, "tasks": figures}
    options.out.write_text(json.dumps(provenance() | result, indent=1) + "\n")


if __name__ == "__main__":
    serve() if sys.argv[1:] == ["--serve"] else main()
