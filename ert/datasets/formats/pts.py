"""Folders of .pts files, the format of 300-W."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from ert._core.exceptions import InputError
from ert._core.types import StrPath
from ert.datasets.dataset import Dataset
from ert.datasets.formats.folders import read_folder
from ert.datasets.parsing import Annotation, Point, format_number, quoted, read_point, text_lines


def read_pts_folder(folder: StrPath, *, image_folder: StrPath | None = None) -> Iterator[Annotation]:
    """Read all .pts files in a folder and its subfolders.

    The format counts pixels from 1, so 1 is subtracted. A point "nan nan" is a missing landmark. Landmark names are
    "0", "1", ...
    """
    return read_folder(folder, ".pts", _read_file, image_folder)


def _read_file(path: Path) -> tuple[str, dict[str, Point]]:
    rows = [(line, text.strip()) for line, text in text_lines(path) if text.strip()]
    # An empty text marks the end of the file.
    remaining = iter([*rows, (rows[-1][0] + 1 if rows else 1, "")])

    def take(pattern: str, expected: str) -> tuple[str, Sequence[str]]:
        line, text = next(remaining)
        match = re.fullmatch(pattern, text)
        if match is None:
            found = quoted(text) if text else "the end of the file"
            raise InputError(f"{path}:{line}: expected {expected}, found {found}")
        return f"{path}:{line}", match.groups()

    take(r"version\s*:\s*1(?:\.0)?", "'version: 1'")
    count_here, (count,) = take(r"n_points\s*:\s*([1-9][0-9]{0,5})", "'n_points:' and a number")
    n_points = int(count)
    take(r"\{", "'{'")
    landmarks = {}
    for i in range(n_points):
        here, (x, y) = take(r"(\S+)\s+(\S+)", f"x and y of point {i + 1} of {n_points}")
        x_from_1, y_from_1 = read_point(x, y, here)
        landmarks[str(i)] = x_from_1 - 1, y_from_1 - 1
    take(r"\}", f"'}}' after {n_points} points")
    take("", "the end of the file")
    return count_here, landmarks


def write_pts(dataset: Dataset, images: list[str]) -> Iterator[str]:
    """Yield one .pts file per object."""
    for shape in dataset.landmarks:
        rows = [f"{format_number(x)} {format_number(y)}" for x, y in shape + 1]
        yield "\n".join(["version: 1", f"n_points: {len(rows)}", "{", *rows, "}", ""])
