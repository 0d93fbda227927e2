"""What several test modules build on."""

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

import ert
from ert import InputError, ShapePredictor
from ert.datasets.assembly import squares_around
from ert.datasets.dataset import Dataset

SHARED = Path(__file__).parents[2] / "shared" / "data"


def small_predictor(**params):
    defaults = {"n_stages": 3, "n_trees": 40, "n_inits": 5, "n_pixels": 150, "working_size": 64}
    return ShapePredictor(**(defaults | params))


def run_alone(code: str, **environment: str) -> str:
    """Run Python code in a process of its own, with nothing on standard error, and return what it prints."""
    # Of the same package, whatever is in the working directory.
    package = {"PYTHONPATH": os.pathsep.join([str(Path(ert.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-P", "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | package | environment)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def write_with_image(path: Path, content: str) -> Path:
    """Write a file of annotations and an empty file in place of its image."""
    write(path.with_suffix(".jpg"), b"")
    return write(path, content)


def raise_faults(annotations: Iterable) -> Iterator:
    """Yield annotations up to the first with a fault, which is raised, as `load_dataset` does."""
    for annotation in annotations:
        if getattr(annotation, "fault", None) is not None:
            raise InputError(annotation.fault)
        yield annotation


def refused_at(annotations: Iterable, start: str, *fragments: str) -> None:
    """Read annotations that must be refused in one line, which begins with the place; a fault counts as refusal."""
    with pytest.raises(InputError) as info:
        list(raise_faults(annotations))
    message = str(info.value)
    assert "\n" not in message
    assert message.startswith(start)
    for fragment in fragments:
        assert fragment in message


def refused(annotations: Iterable, *fragments: str) -> None:
    refused_at(annotations, "", *fragments)


DRAWN = np.array([(-1, -0.5), (0.9, -0.6), (0.3, 0.9), (0.1, -0.1), (-0.6, 0.4)])


def drawn_dataset(folder: Path, n: int, seed: int = 0, *, shift: float = 8.0, roll: float = 8.0) -> Dataset:
    """Draw a dark shape of five landmarks at a random place of each image; boxes are the squares around it."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    files, landmarks = [], []
    for i in range(n):
        turn = 24 * np.exp(rng.normal(0, 0.12) + 1j * np.radians(rng.normal(0, roll)))
        shape = turn * (DRAWN @ (1, 1j) + rng.normal(0, 0.05, 5) + 1j * rng.normal(0, 0.05, 5))
        shape += complex(48 + rng.normal(0, shift), 48 + rng.normal(0, shift))
        points = np.column_stack([shape.real, shape.imag])
        picture = Image.new("L", (96, 96), int(rng.integers(170, 220)))
        pen = ImageDraw.Draw(picture)
        pen.polygon([tuple(point) for point in points[[0, 3, 1, 2, 4]]], int(rng.integers(40, 90)))
        pixels = np.asarray(picture) + rng.normal(0, 4, (96, 96))
        files.append(folder / f"shape{seed}_{i:02d}.png")
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(files[-1])
        landmarks.append(points)
    shapes = np.array(landmarks)
    names = ("tip", "wing", "tail", "notch", "hip")
    return Dataset(files, squares_around(shapes), shapes, names, "drawn", box_source="landmarks")
