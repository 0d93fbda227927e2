"""Images that note an orientation (EXIF), and datasets of them."""

from itertools import cycle
from pathlib import Path

import numpy as np
from PIL import Image

from ert.datasets import Dataset
from ert.datasets.synthetic import synthetic_faces


def exif_bytes(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


def save_turned(path: Path, pixels, orientation: int | None) -> Path:
    """Write pixels as they are, with a note of the orientation."""
    Image.fromarray(pixels).save(path, **({} if orientation is None else {"exif": exif_bytes(orientation)}))
    return path


def turned_faces(folder: Path, n: int, orientations=(None,), columns: int = 56) -> Dataset:
    """Write n synthetic faces, which are upright as stored, and return their annotations in these pixels.

    The images note the orientations in turn.
    """
    folder.mkdir(exist_ok=True)
    images, boxes, landmarks = synthetic_faces(n, seed=3, size=64)
    files = [
        save_turned(folder / f"face{i:03d}.jpg", np.ascontiguousarray(image[:, :columns]), orientation)
        for i, (image, orientation) in enumerate(zip(images, cycle(orientations), strict=False))
    ]
    shapes = landmarks[:, 17:].round(1)
    return Dataset(files, boxes.round(1), shapes, tuple(map(str, range(51))), "faces")
