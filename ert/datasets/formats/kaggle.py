"""Images in a table as the gray values of their pixels, as in Kaggle's table of facial keypoints."""

import re
from math import isqrt
from pathlib import Path

import numpy as np

from ert._core.embedded_image import embedded_image

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
