"""Folders of .pts files, the format of 300-W."""

import re
from collections.abc import Collection, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from ert._core.exceptions import InputError
from ert._core.types import StrPath
from ert.datasets.dataset import Dataset
from ert.datasets.folders import read_folder
from ert.datasets.parsing import Annotation, Point, quoted
from ert.datasets.points import CoordinateReader, format_point
from ert.datasets.text import text_lines

_HEADER = re.compile(r"(version|n_points)\s*[:=]?\s*(\S*)", re.IGNORECASE)
_BRACES = re.compile(r"([{}])")


def read_pts_folder(
    folder: StrPath, *, image_folder: StrPath | None = None, missing: Collection[float] | None = None
) -> Iterator[Annotation]:
    """Read all .pts files in a folder and its subfolders.

    The format counts pixels from 1, so 1 is subtracted. A point "nan nan" is a missing landmark; with `missing`, also
    the pairs of one of these numbers, as they are in the file. Without it, "0 0" and "-1 -1" are errors, since they may
    be points or missing. Landmark names are "0", "1", ...

    The lines ``version:`` and ``n_points:``, the braces, and a third column may be absent or have another form: a
    number alone at the start is the number of points. A third column, and text behind ``#``, are ignored.
    """
    coordinates = CoordinateReader(missing)
    with_third_column: set[str] = set()
    for annotation in read_folder(folder, ".pts", partial(_read_file, coordinates, with_third_column), image_folder):
        if annotation.where in with_third_column:
            annotation = replace(annotation, notes=("the third column is not kept",))
        yield annotation
    coordinates.finish()


def _read_file(coordinates: CoordinateReader, with_third_column: set[str], path: Path) -> tuple[str, dict[str, Point]]:
    header: dict[str, str] = {}
    count_here, n_points = str(path), 0
    points: list[Point] = []
    n_cells, last_line, is_open, is_closed = 0, 0, False, False
    for line, row in text_lines(path):
        here, last_line = f"{path}:{line}", line
        usual = "{" not in row and "}" not in row and "#" not in row
        pieces = [row] if usual else _BRACES.split(row.partition("#")[0])
        for text in map(str.strip, pieces):
            if not text:
                continue
            if is_closed:
                raise InputError(f"{here}: expected the end of the file, found {quoted(text)}")
            if text[0].isalpha() and (match := _HEADER.fullmatch(text)):
                key, value = match[1].lower(), match[2]
                if points or is_open or key in header:
                    raise InputError(f"{here}: expected x and y of a point, found {quoted(text)}")
                header[key] = value
                if key == "n_points":
                    count_here, n_points = here, _count(value, text, here)
            elif text == "{":
                if points or is_open:
                    raise InputError(f"{here}: expected x and y of a point, found '{{'")
                is_open = True
            elif text == "}":
                if not is_open:
                    raise InputError(f"{here}: expected '{{' before the points, found '}}' only")
                is_closed = True
            elif not (points or is_open or header) and text.isdigit():
                header["n_points"] = text
                count_here, n_points = here, _count(text, text, here)
            elif n_points and len(points) == n_points:
                end = f"'}}' after {n_points} points" if is_open else f"no more than {n_points} points"
                raise InputError(f"{here}: expected {end}, found {quoted(text)}")
            else:
                cells = coordinates.cells(text, here)
                n_cells = n_cells or len(cells)
                if len(cells) != n_cells or n_cells not in (2, 3):
                    of_all = f" of {n_points}" if n_points else ""
                    raise InputError(
                        f"{here}: expected x and y of point {len(points) + 1}{of_all}, found {quoted(text)}"
                    )
                x, y = coordinates.point(cells[0], cells[1], here)
                points.append((x - 1, y - 1))
    if n_cells == 3:
        with_third_column.add(str(path))
    here = f"{path}:{last_line + 1}"
    if len(points) < n_points:
        found = "'}'" if is_closed else "the end of the file"
        raise InputError(f"{here}: expected x and y of point {len(points) + 1} of {n_points}, found {found}")
    if is_open and not is_closed:
        raise InputError(f"{here}: expected '}}' after {len(points)} points, found the end of the file")
    if not points:
        raise InputError(f"{here}: expected 'n_points:' and points, found the end of the file")
    return count_here, {str(i): point for i, point in enumerate(points)}


def _count(value: str, text: str, here: str) -> int:
    if not re.fullmatch("0*[1-9][0-9]{0,5}", value):
        raise InputError(f"{here}: expected 'n_points:' and a number, found {quoted(text)}")
    return int(value)


def write_pts(dataset: Dataset, images: list[str]) -> Iterator[str]:
    """Yield one .pts file per object."""
    for shape in dataset.landmarks:
        rows = [" ".join(format_point(x, y)) if x == x else "nan nan" for x, y in shape + 1]
        yield "\n".join(["version: 1", f"n_points: {len(rows)}", "{", *rows, "}", ""])
