"""Fuzz annotation files: damaged files of every format, and its objects and points counted by an independent parser."""

import random
import time

from fuzz.guards import PeakMemory
from fuzz.readers import FORMATS, assessed, damaged
from PIL import Image

SECONDS, MEMORY_BYTES, MEMORY_FILES = 1.0, 64e6, 10
MODELS = "dat", "ert"


def run(first, n, seed, folder, note=lambda number: None):
    """Yield the number, the outcome and the fault, or "", of cases; the formats take turns."""
    kinds, memory = [kind for kind in FORMATS if kind not in MODELS], PeakMemory()
    for kind in kinds:
        (folder / kind).mkdir(exist_ok=True)
        for image in ("a.png", "b.png"):
            Image.new("L", (8, 8)).save(folder / kind / image)
    for number in range(first, first + n):
        kind = kinds[number % len(kinds)]
        name, content, read, count = FORMATS[kind]
        content = damaged(content, random.Random(f"{seed} {kind} {number}"))
        path = folder / kind / name
        path.write_bytes(content)
        note(number)
        memory.start()
        begin = time.process_time()
        fault, outcome = assessed(read, count, path, content)
        seconds, growth = time.process_time() - begin, memory.growth()
        if seconds > SECONDS:
            fault = fault or f"takes {seconds:.1f} s for {len(content)} bytes"
        if growth > MEMORY_BYTES + MEMORY_FILES * len(content):
            fault = fault or f"takes {growth / 1e6:.0f} MB for {len(content)} bytes"
        yield number, outcome, f"{kind}: {fault}" if fault else ""
