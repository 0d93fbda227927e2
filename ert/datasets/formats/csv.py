"""CSV tables of landmarks, and CSV tables of boxes."""

import csv
import io
import math
import os
import re
from collections.abc import Iterator
from pathlib import Path

from ert._core.exceptions import InputError, one_line
from ert._core.types import Box, StrPath
from ert.datasets.dataset import Dataset
from ert.datasets.finder import ImageFinder
from ert.datasets.parsing import (
    BOX_COLUMNS,
    Annotation,
    check_name,
    csv_table,
    format_number,
    quoted,
    read_number,
    read_point,
)


def read_csv(path: StrPath, *, image_folder: StrPath | None = None) -> Iterator[Annotation]:
    """Read a table with one object per row: the image, x and y of each landmark, optionally a box.

    The first column is the image. Columns ``left, top, width, height`` (or ``box_left, ...``) are the box.
    The others are landmarks: ``x0, y0, x1, y1, ...`` (names "0", "1", ...), or ``nose_x, nose_y, ...``
    (names "nose", ...), or ``0, 1, 2, 3, ...`` with x and y in turn. The columns ``confidence`` and
    ``std0, std1, ...``, which :func:`ert.to_dataframe` writes, are ignored.
    An empty cell or ``nan`` is a missing landmark. The table is UTF-8 with commas and a header.
    """
    path = Path(path)
    table = csv_table(path)
    line, header = next(table)
    box_columns, columns = _find_columns(header, f"{path}:{line}")
    labels = [f"column {quoted(name)}" for name in header]
    finder = ImageFinder(path, image_folder)
    for line, cells in table:
        here = f"{path}:{line}"
        box = None
        if box_columns:
            left, top, width, height = (read_number(cells[i], here, labels[i]) for i in box_columns)
            box = left, top, width, height
        points = {name: read_point(cells[x], cells[y], here, labels[x], labels[y]) for name, (x, y) in columns.items()}
        file, fault = finder.find(cells[0], here)
        yield Annotation(file, box, points, here, fault)


def _find_columns(header: list[str], here: str) -> tuple[list[int], dict[str, tuple[int, int]]]:
    """Return the column indices of the box, and those of x and y of each landmark."""
    prefix = "box_" if any(name.lower().startswith("box_") for name in header[1:]) else ""
    index = {name.lower(): i for i, name in enumerate(header) if i}
    absent = [prefix + name for name in BOX_COLUMNS if prefix + name not in index]
    box = [] if absent else [index[prefix + name] for name in BOX_COLUMNS]
    if 0 < len(absent) < len(BOX_COLUMNS):
        raise InputError(f"{here}: no column {', '.join(absent)}, expected all four columns of a box or none")
    ignored = re.compile(r"confidence|std[0-9]+", re.IGNORECASE)
    rest = [i for i in range(1, len(header)) if i not in box and not ignored.fullmatch(header[i])]
    if not rest:
        raise InputError(f"{here}: no landmark columns, expected the image, then x0, y0, x1, y1, ...")
    names = [header[i] for i in rest]
    if all(re.fullmatch("[0-9]{1,6}", name) for name in names):
        if any(int(name) != int(names[0]) + k for k, name in enumerate(names)):
            raise InputError(f"{here}: numbered columns out of order, expected 0, 1, 2, 3, ...")
        names = [f"{'xy'[k % 2]}{k // 2}" for k in range(len(names))]
    axes: dict[str, dict[str, int]] = {}
    for i, column in zip(rest, names, strict=True):
        match = re.fullmatch(r"([xy])_?([0-9]+)|(.+)[_ .]([xy])", column, re.IGNORECASE)
        if match is None:
            raise InputError(f"{here}: column {quoted(column)}, expected a name like x0 or nose_x")
        name, axis = match[2] or match[3], (match[1] or match[4]).lower()
        if axis in axes.setdefault(name, {}):
            raise InputError(f"{here}: column {quoted(column)}, expected one {axis} of {quoted(name)}")
        axes[name][axis] = i
    for name, found in axes.items():
        if len(found) < 2:
            raise InputError(f"{here}: landmark {quoted(name)} has {min(found)} only, expected x and y")
    return box, {name: (found["x"], found["y"]) for name, found in axes.items()}


def read_boxes(spec: str) -> dict[Path, tuple[Box, str | None]]:
    """Read a table of boxes: a column ``image``, four columns of the box, optionally a column ``split``.

    `spec` is ``CSV:PREFIX``, for example ``boxes.csv:dlib`` for the columns dlib_left, dlib_top, dlib_width and
    dlib_height of boxes.csv. Without a prefix the columns are left, top, width and height.

    The result is resolved path of an image (relative to the folder of the table) -> (box, split). The box is in pixels;
    split is None without such a column.
    """
    # A path may contain colons, so the whole is tried first.
    name, _, prefix = (spec, "", "") if os.path.isfile(spec) else spec.rpartition(":")
    path = Path(name)
    if not os.path.isfile(path):
        raise InputError(f"{spec}: no such box file, expected CSV or CSV:PREFIX, for example boxes.csv:dlib")
    table = csv_table(path)
    line, header = next(table)
    wanted = ["image", *(f"{prefix}_{name}" if prefix else name for name in BOX_COLUMNS)]
    absent = [column for column in wanted if column not in header]
    if absent:
        found = one_line(" ".join(column for column in header if column.endswith("left"))) or "none"
        raise InputError(f"{path}:{line}: no column {', '.join(absent)}; box columns found: {found}")
    image, *box_columns = (header.index(column) for column in wanted)
    split = header.index("split") if "split" in header else None
    boxes: dict[Path, tuple[Box, str | None]] = {}
    for line, cells in table:
        here = f"{path}:{line}"
        file = Path(os.path.realpath(path.parent / cells[image]))
        if file in boxes:
            raise InputError(f"{here}: duplicate image {quoted(cells[image])}, expected one box per image")
        left, top, width, height = (read_number(cells[i], here, header[i]) for i in box_columns)
        if width <= 0 or height <= 0:
            raise InputError(f"{here}: the box is {width:g} wide and {height:g} high, expected more than 0")
        boxes[file] = (left, top, width, height), None if split is None else cells[split]
    return boxes


def write_csv(dataset: Dataset, images: list[str]) -> Iterator[str]:
    """Yield a table with one object per row: image, box, x and y of each landmark."""
    names = [check_name(name, "a CSV header") for name in dataset.landmark_names]
    # Landmark columns that start with box_ would be read as the box.
    prefix = "box_" if any(name.lower().startswith("box") for name in names) else ""
    header = ["image", *(prefix + name for name in BOX_COLUMNS)]
    for name in names:
        header += [f"x{name}", f"y{name}"] if re.fullmatch("[0-9]+", name) else [f"{name}_x", f"{name}_y"]
    stream = io.StringIO()
    table = csv.writer(stream, lineterminator="\n")
    table.writerow(header)
    for image, box, shape in zip(images, dataset.boxes, dataset.landmarks, strict=True):
        numbers = ["" if math.isnan(value) else format_number(value) for value in (*box, *shape.ravel())]
        table.writerow([check_name(image, "CSV"), *numbers])
    yield stream.getvalue()
