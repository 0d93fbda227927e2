"""Fuzz ert.js with damaged models: what Python refuses it refuses, and both find the same landmarks with the others.

The cases are those of `models.py`, and outcomes are what Python and ert.js say: "refused refused", "used used". A model
that only one of them uses is a fault, and so are a crash, a message of several lines, landmarks that differ, seconds.
"""

import json
import shutil
import subprocess
import warnings
from pathlib import Path

import numpy as np
from fuzz.models import case, seeds

import ert
from ert._core.exceptions import InputError

HERE = Path(__file__).resolve().parent
CHUNK, CHUNK_SECONDS, SECONDS, PIXELS = 250, 600, 5.0, 0.01
BOX = (12.0, 9.0, 40.0, 38.0)
IMAGE = np.random.default_rng(3).integers(0, 256, (60, 70), dtype=np.uint8)


def python_outcome(path):
    """Return what Python says of a model, and the landmarks or the message."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model = ert.load(path)
        except InputError as error:
            return "refused", str(error)
        return "used", model.predict([(IMAGE, BOX)])[0].ravel()


def run(first, n, seed, folder, note=lambda number: None):
    """Yield the number, the outcomes of Python and of ert.js, and the fault, or "", of cases."""
    models, dat = seeds(folder)
    (folder / "image.raw").write_bytes(IMAGE.tobytes())
    for start in range(first, first + n, CHUNK):
        names, found = [], []
        for number in range(start, min(start + CHUNK, first + n)):
            note(number)
            name, content, _ = case(number, seed, models, dat, folder)
            names.append(f"{number}{name}")
            (folder / names[-1]).write_bytes(content)
            found.append(python_outcome(folder / names[-1]))
        height, width = IMAGE.shape
        listed = {"names": names, "width": width, "height": height, "box": BOX}
        (folder / "cases.json").write_text(json.dumps(listed))
        command = [shutil.which("node"), "--single-threaded", str(HERE / "web.mjs"), str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=CHUNK_SECONDS)
        results = [json.loads(line) for line in done.stdout.splitlines()]
        for i, (name, mine) in enumerate(zip(names, found, strict=True)):
            other = results[i] if i < len(results) else {"outcome": "crashed", "text": done.stderr[-500:]}
            yield start + i, f"{mine[0]} {other['outcome']}", fault_of(mine, other)
            (folder / name).unlink()
        if done.returncode:
            raise RuntimeError(f"cases {start} to {start + len(names)}: {done.stderr[-2000:]}")


def fault_of(mine, other):
    outcome, found = mine
    if other["outcome"] not in ("refused", "used"):
        return f"{other['outcome']}: {other['text']}"
    if other["seconds"] > SECONDS:
        return f"takes {other['seconds']:.1f} s"
    if outcome == "refused" and other["outcome"] == "used":
        return f"used, and Python says: {found}"
    if outcome == "used" and other["outcome"] == "refused":
        return f"used in Python, and ert.js says: {other['text']}"
    if outcome == "used":
        difference = np.abs(found - other["landmarks"]).max()
        # Landmarks that fly far beyond the image are single precision there.
        if not difference <= PIXELS + 1e-6 * np.abs(found).max():
            return f"landmarks differ by {difference:g} pixels"
    return ""
