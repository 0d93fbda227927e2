"""Readers of annotated images: folders of .pts files, CSV tables, and CSV tables of boxes.

Readers of annotations are generators that hold one object at a time, so that files may be larger than the
memory. Coordinates come out as x, y in pixels, with the center of the first pixel at 0, 0.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from ert._core.exceptions import InputError, one_line
from ert._core.types import StrPath
from ert.datasets.parsing import (
    BOX_COLUMNS,
    Annotation,
    Box,
    csv_table,
    find_image,
    image_folders,
    quoted,
    read_number,
    read_point,
)

__all__ = [
    "read_boxes",
    "read_csv",
]


def read_csv(path: StrPath, *, image_folder: StrPath | None = None) -> Iterator[Annotation]:
    """Read a table with one object a row: the image, then x and y of every landmark, and perhaps a box.

    The first column is the image. Columns ``left, top, width, height`` (or ``box_left, ...``) are the box.
    The others are landmarks: ``x0, y0, x1, y1, ...`` (called "0", "1", ...), or ``nose_x, nose_y, ...``
    (called "nose", ...), or mere numbers ``0, 1, 2, 3, ...`` that stand for x and y in turn. Columns
    ``confidence`` and ``std0, std1, ...``, which :func:`ert.to_dataframe` writes, are passed over.

    Parameters
    ----------
    path : path-like
        The table: UTF-8, commas, a header. An empty cell or ``nan`` is a missing landmark.
    image_folder : path-like, optional
        Where the images are. Else they are looked for beside the table, then in the folders beside it.

    Yields
    ------
    Annotation
        One for each row; missing landmarks are NaN, NaN.

    Raises
    ------
    InputError
        No rows, a column that is absent, double or not understood, a row of another length, text in place of
        a number, only one of x and y, bytes that are not UTF-8, an image that is not found.
    """
    path = Path(path)
    table = csv_table(path)
    line, header = next(table)
    box_columns, columns = _csv_columns(header, f"{path}:{line}")
    labels = [f"column {quoted(name)}" for name in header]
    folders = image_folders(path, image_folder)
    for line, cells in table:
        here = f"{path}:{line}"
        box = None
        if box_columns:
            left, top, width, height = (read_number(cells[i], here, labels[i]) for i in box_columns)
            box = left, top, width, height
        points = {
            name: read_point(cells[x], cells[y], here, labels[x], labels[y])
            for name, (x, y) in columns.items()
        }
        yield Annotation(find_image(cells[0], folders, here), box, points, here)


def _csv_columns(header: list[str], here: str) -> tuple[list[int], dict[str, tuple[int, int]]]:
    """Return the indices of the box's columns, and those of x and y of every landmark."""
    prefix = "box_" if any(name.lower().startswith("box_") for name in header[1:]) else ""
    places = {name.lower(): i for i, name in enumerate(header) if i}
    absent = [prefix + name for name in BOX_COLUMNS if prefix + name not in places]
    box = [] if absent else [places[prefix + name] for name in BOX_COLUMNS]
    if 0 < len(absent) < len(BOX_COLUMNS):
        raise InputError(f"{here}: no column {', '.join(absent)}, expected all four columns of a box or none")
    rest = [
        i
        for i in range(1, len(header))
        if i not in box and not re.fullmatch(r"confidence|std[0-9]+", header[i], re.IGNORECASE)
    ]
    if not rest:
        raise InputError(f"{here}: no landmark columns, expected the image, then x0, y0, x1, y1, ...")
    names = [header[i] for i in rest]
    if all(re.fullmatch("[0-9]{1,6}", name) for name in names):
        if any(int(name) != int(names[0]) + k for k, name in enumerate(names)):
            raise InputError(f"{here}: columns called by numbers, expected them in turn: 0, 1, 2, 3, ...")
        names = [f"{'xy'[k % 2]}{k // 2}" for k in range(len(names))]
    halves: dict[str, dict[str, int]] = {}
    for i, column in zip(rest, names, strict=True):
        match = re.fullmatch(r"([xy])_?([0-9]+)|(.+)[_ .]([xy])", column, re.IGNORECASE)
        if match is None:
            raise InputError(f"{here}: column {quoted(column)}, expected a name like x0 or nose_x")
        name, axis = match[2] or match[3], (match[1] or match[4]).lower()
        if axis in halves.setdefault(name, {}):
            raise InputError(f"{here}: column {quoted(column)}, expected one {axis} of {quoted(name)}")
        halves[name][axis] = i
    for name, half in halves.items():
        if len(half) < 2:
            raise InputError(f"{here}: landmark {quoted(name)} has {min(half)} only, expected x and y")
    return box, {name: (half["x"], half["y"]) for name, half in halves.items()}


def read_boxes(spec: str) -> dict[Path, tuple[Box, str | None]]:
    """Read a table of boxes: a column ``image``, four columns of the box, perhaps a column ``split``.

    Parameters
    ----------
    spec : str
        ``CSV:PREFIX``, for example ``boxes.csv:dlib`` for the columns dlib_left, dlib_top, dlib_width and
        dlib_height of boxes.csv. Without a prefix the columns are left, top, width and height.

    Returns
    -------
    dict
        Resolved path of an image (the table has it relative to its own folder) -> (box, split). The box is
        left, top, width, height in pixels; split is None where there is no such column.

    Raises
    ------
    InputError
        No such table, columns that are absent, text in place of a number, a width or height that is not
        positive, an image that stands twice.
    """
    # A path may hold colons itself, so the whole is tried first.
    name, _, prefix = (spec, "", "") if os.path.isfile(spec) else spec.rpartition(":")
    path = Path(name)
    if not os.path.isfile(path):
        raise InputError(f"{spec}: no such box file, expected CSV or CSV:PREFIX, for example boxes.csv:dlib")
    table = csv_table(path)
    line, header = next(table)
    wanted = ["image", *(f"{prefix}_{name}" if prefix else name for name in BOX_COLUMNS)]
    absent = [column for column in wanted if column not in header]
    if absent:
        there = one_line(" ".join(column for column in header if column.endswith("left")))
        raise InputError(
            f"{path}:{line}: no column {', '.join(absent)}; boxes that are there: {there or 'none'}"
        )
    image, *box_columns = (header.index(column) for column in wanted)
    split = header.index("split") if "split" in header else None
    boxes: dict[Path, tuple[Box, str | None]] = {}
    for line, cells in table:
        here = f"{path}:{line}"
        file = Path(os.path.realpath(path.parent / cells[image]))
        if file in boxes:
            raise InputError(f"{here}: image {quoted(cells[image])} stands twice, expected one box an image")
        left, top, width, height = (read_number(cells[i], here, header[i]) for i in box_columns)
        if width <= 0 or height <= 0:
            raise InputError(f"{here}: the box is {width:g} wide and {height:g} high, expected more than 0")
        boxes[file] = (left, top, width, height), None if split is None else cells[split]
    return boxes
