"""Images that are pixels in a table, as in Kaggle's of facial keypoints: read, and written as files."""

import re
from dataclasses import replace
from math import isqrt
from pathlib import Path

import numpy as np

from ert._core.embedded_image import embedded_image, embedded_pixels
from ert._core.exceptions import InputError
from ert._core.images import load_image
from ert._core.types import StrPath
from ert.datasets.dataset import Dataset

# Shorter texts are names.
_MIN_PIXELS = 16
_PIXEL_TEXT = re.compile(r"[0-9]{1,3}(?: +[0-9]{1,3})+")


def is_pixel_text(text: str) -> bool:
    """Return whether a cell contains the pixels of an image in place of its name."""
    return text.count(" ") >= _MIN_PIXELS - 1 and _PIXEL_TEXT.fullmatch(text) is not None


def read_pixels(text: str, path: Path, line: int, here: str) -> tuple[Path, str | None]:
    """Return a path of an image with these pixels, which is square, and the fault if there is one.

    The path is that of the table and a name with the number of its line.
    """
    file = path / f"{path.stem}_{line}.png"
    values = np.fromstring(text, np.int16, sep=" ")
    side = isqrt(len(values))
    if side * side != len(values):
        return file, f"{here}: {len(values)} pixels, expected those of a square image"
    if values.max() > 255:
        return file, f"{here}: a pixel has the value {values.max()}, expected 0 to 255"
    return embedded_image(file, values.astype(np.uint8).reshape(side, side)), None


def write_images(dataset: Dataset, folder: StrPath) -> Dataset:
    """Write the images that are pixels in an annotation file (Kaggle's facial keypoints) as PNG files.

    Parameters
    ----------
    dataset : Dataset
        Images that are files stay as they are.
    folder : path-like
        It is created if necessary. The name of an image is that of the table and the line in it.

    Returns
    -------
    Dataset
        The same annotations, of the files.

    Raises
    ------
    InputError
        A file that cannot be written, or that exists and is another image.
    """
    from ert.plotting.landmarks import save_image

    folder = Path(folder)
    files: dict[Path, Path] = {}
    for file in dict.fromkeys(dataset.files):
        pixels = embedded_pixels(file)
        files[file] = file if pixels is None else folder / file.name
        if pixels is not None and files[file].exists() and not np.array_equal(load_image(files[file]), pixels):
            raise InputError(f"{files[file]}: exists and is another image, expected a new file")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot create folder: {error.strerror}") from None
    for file, target in files.items():
        pixels = embedded_pixels(file)
        if pixels is not None and not target.exists():
            save_image(target, pixels)
    return replace(dataset, files=[files[file] for file in dataset.files])
