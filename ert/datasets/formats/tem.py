"""Folders of .tem files, the format of webmorph."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ert._core.exceptions import InputError
from ert._core.types import StrPath
from ert.datasets.dataset import Dataset
from ert.datasets.folders import read_folder
from ert.datasets.parsing import Annotation, Point, format_number, quoted, read_point
from ert.datasets.text import text_lines


def read_tem_folder(folder: StrPath, *, image_folder: StrPath | None = None) -> Iterator[Annotation]:
    """Read all .tem files in a folder and its subfolders.

    The first line is the number of points, followed by one line of x and y per point; the lines that
    webmorph draws between points are ignored. Coordinates are not changed. A point "nan nan" is a missing
    landmark. Landmark names are "0", "1", ...
    """
    return read_folder(folder, ".tem", _read_file, image_folder)


def _read_file(path: Path) -> tuple[str, dict[str, Point]]:
    lines = ((f"{path}:{line}", text.strip()) for line, text in text_lines(path))
    first, text = next(lines, (f"{path}:1", ""))
    if not (text.isascii() and text.isdigit() and len(text) <= 6 and int(text)):
        raise InputError(f"{first}: expected the number of points, found {quoted(text)}")
    here, landmarks = first, {}
    for i in range(int(text)):
        here, row = next(lines, (here, ""))
        cells = row.split()
        if len(cells) != 2:
            found = quoted(row) if row else "the end of the file"
            raise InputError(f"{here}: expected x and y of point {i + 1} of {text}, found {found}")
        landmarks[str(i)] = read_point(cells[0], cells[1], here)
    rest = [(here, row) for here, row in lines if row]
    # The number of webmorph's lines may follow, but two numbers would be one more point.
    if rest and not rest[0][1].isdecimal():
        here, row = rest[0]
        raise InputError(f"{here}: expected no more than {text} points, found {quoted(row)}")
    return first, landmarks


def write_tem(dataset: Dataset, images: list[str]) -> Iterator[str]:
    """Yield one .tem file per object, with 0 lines between points."""
    for shape in dataset.landmarks:
        rows = [f"{format_number(x)}\t{format_number(y)}" for x, y in shape]
        yield "\n".join([str(len(rows)), *rows, "0", ""])


def tem_notes(dataset: Dataset) -> Iterator[str]:
    """Yield what webmorph cannot read."""
    if np.isnan(dataset.landmarks).any():
        yield "missing landmarks are written as nan, which webmorph itself cannot read"
