"""What tells the groups of a dataset's objects: columns of the user's table, and measured ones."""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ert._core.exceptions import InputError, one_line
from ert._core.images import load_image
from ert._core.threads import count_threads
from ert.datasets.dataset import Dataset
from ert.datasets.parsing import csv_table, quoted
from ert.evaluation.groups import FEWEST, errors_by, object_size, roll, skin_brightness, yaw
from ert.faces.regions import mouth_opening

__all__ = [
    "MEASURED",
    "Column",
    "by_groups",
    "group_columns",
    "group_lines",
    "group_notes",
    "read_table",
]


MEASURED = {
    "size": "pixels between the outer eye corners",
    "yaw": "how much nearer the nose is to one cheek than the other, |ln of the ratio|: a proxy of the turn",
    "roll": "degrees between the line of the eyes and level",
    "brightness": "mean gray of the skin, 0 to 255: the light's and the camera's work as much as the skin's",
    "mouth": "gap between the inner lips over the mouth's width",
    "source": "the image's top folder in the dataset",
}
# In percent, as everywhere.
_FAILURE = 8.0
_OF_SHAPES: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "yaw": yaw,
    "roll": roll,
    "mouth": mouth_opening,
}
_NEED_68 = (*_OF_SHAPES, "brightness")


class Column(NamedTuple):
    """What tells the group of each object."""

    values: NDArray[Any]
    """(n,) float64, NaN = missing; or text, "" = missing."""
    about: str
    """What it is, in words."""


def group_columns(
    names: Sequence[str],
    dataset: Dataset,
    folder: Path,
    table: Path | None = None,
    *,
    part: bool = False,
    n_jobs: int = 1,
) -> dict[str, Column]:
    """Return columns that tell the group of each object.

    Parameters
    ----------
    names : sequence of str
        Columns of the table, else of `MEASURED`.
    dataset : Dataset
        Its images are read for the column "brightness" alone.
    folder : pathlib.Path
        Where the dataset's images are, or below: what "source" and the table's paths start from.
    table : pathlib.Path, optional
        See `read_table`.
    part : bool
        Whether the dataset is a part of a larger one, so that the table may have rows of others.
    n_jobs : int
        Threads that read images.

    Returns
    -------
    dict of str to Column
        In the order of `names`.

    Raises
    ------
    InputError
        A column that is neither, one that needs the 68 points of a face for other objects, and as
        `read_table`.
    """
    brought = {} if table is None else read_table(table, dataset, folder, part=part)
    columns: dict[str, Column] = {}
    for name in names:
        if name in brought:
            columns[name] = Column(_numbers_or_texts(brought[name]), f"column of {table}")
        elif name in MEASURED:
            about = MEASURED[name]
            if name == "size" and dataset.landmarks.shape[1] != 68:
                about = "pixels, the mean of a box's width and height"
            columns[name] = Column(_measured(name, dataset, folder, n_jobs), about)
        else:
            known = one_line(", ".join([*brought, *(other for other in MEASURED if other not in brought)]))
            more = "" if table else "; a table (--columns) brings others"
            raise InputError(f"no column {quoted(name)} to group by; columns that are there: {known}{more}")
    return columns


def _measured(name: str, dataset: Dataset, folder: Path, n_jobs: int) -> NDArray[Any]:
    if name in _NEED_68 and dataset.landmarks.shape[1] != 68:
        found = dataset.landmarks.shape[1]
        raise InputError(f"{dataset.name}: {name} needs the 68 points of a face, got {found} landmarks")
    if name in _OF_SHAPES:
        return _OF_SHAPES[name](dataset.landmarks)
    if name == "size":
        return object_size(dataset.landmarks, dataset.boxes)
    if name == "source":
        return np.array([_source(file, folder) for file in dataset.files], object)
    return _brightness(dataset, n_jobs)


def _source(file: Path, folder: Path) -> str:
    inside = os.path.relpath(os.path.realpath(file), os.path.realpath(folder)).split(os.sep)
    if inside[0] == os.pardir:
        return file.parent.name
    # What lies in the folder itself, beside others, is named after it.
    return inside[0] if len(inside) > 1 else os.path.basename(os.path.realpath(folder))


def _brightness(dataset: Dataset, n_jobs: int) -> NDArray[np.float64]:
    of_file: dict[Path, list[int]] = {}
    for i, file in enumerate(dataset.files):
        of_file.setdefault(file, []).append(i)
    brightness = np.empty(len(dataset))

    def measure(file: Path) -> None:
        image = load_image(file)
        for i in of_file[file]:
            brightness[i] = skin_brightness(image, dataset.landmarks[i])

    pool = ThreadPoolExecutor(count_threads(n_jobs))
    try:
        # Decoders release the GIL.
        for _ in pool.map(measure, of_file):
            pass
    finally:
        pool.shutdown(cancel_futures=True)
    return brightness


def read_table(path: Path, dataset: Dataset, folder: Path, *, part: bool = False) -> dict[str, list[str]]:
    """Read a table of what is known of the objects of a dataset.

    A row is about the image that its column ``image`` names (where there is none, its first column): a path
    that starts from the table's folder or from `folder`, or the bare name of the file. With a column
    ``object`` it is about one object of the image, by its number in the dataset, counted from 0; where that
    is empty, and without such a column, it is about all objects of the image.

    Parameters
    ----------
    path : pathlib.Path
        UTF-8, commas, a header.
    dataset : Dataset
        The objects.
    folder : pathlib.Path
        Where the images are, or below.
    part : bool
        Whether rows about other images are passed over.

    Returns
    -------
    dict of str to list of str
        For each column what it says of each object, "" where it has no row.

    Raises
    ------
    InputError
        No such table, a row about an image that is not in the dataset (with `part`: all rows are), a name
        that several images share, a number that no object has, an object with two rows.
    """
    table = csv_table(path)
    line, header = next(table)
    image = header.index("image") if "image" in header else 0
    number = header.index("object") if "object" in header else None
    kept = [i for i in range(len(header)) if i not in (image, number)]
    if not kept:
        raise InputError(
            f"{path}:{line}: no column besides {one_line(', '.join(header))}, expected one to group by"
        )
    items = _items(dataset)
    row_of: dict[int, tuple[int, list[str]]] = {}
    for line, cells in table:
        here = f"{path}:{line}"
        chosen = _find(cells[image], (path.parent, folder), items, here)
        if not chosen:
            if part:
                continue
            raise InputError(
                f"{here}: image {quoted(cells[image])} is not in {dataset.name}, expected rows for its images"
            )
        if number is not None and cells[number]:
            chosen = [_object(cells[number], chosen, here)]
        for i in chosen:
            if i in row_of:
                before = f"line {row_of[i][0]} is about it already"
                raise InputError(f"{here}: {quoted(cells[image])}: {before}, expected one row for an object")
            row_of[i] = line, cells
    if not row_of:
        raise InputError(f"{path}: no row is about an image of {dataset.name}, expected one at least")
    empty = (0, [""] * len(header))
    return {header[k]: [row_of.get(i, empty)[1][k] for i in range(len(dataset))] for k in kept}


def _items(dataset: Dataset) -> dict[str, dict[str, list[int]]]:
    """Return name of a file -> path of each image of that name -> its objects."""
    items: dict[str, dict[str, list[int]]] = {}
    for i, file in enumerate(dataset.files):
        real = os.path.realpath(file)
        for name in {file.name, os.path.basename(real)}:
            items.setdefault(name, {}).setdefault(real, []).append(i)
    return items


def _find(
    image: str, folders: tuple[Path, Path], items: dict[str, dict[str, list[int]]], here: str
) -> list[int]:
    """Return the objects of the image that a row names; none where the dataset has no such image."""
    for folder in folders:
        real = os.path.realpath(folder / image)
        found = items.get(os.path.basename(real), {}).get(real)
        if found:
            return found
    if os.path.basename(image) != image:
        return []
    of_name = items.get(image, {})
    if len(of_name) > 1:
        first, second = list(of_name)[:2]
        raise InputError(f"{here}: {quoted(image)} may be {first} or {second}, expected a path that tells")
    return next(iter(of_name.values()), [])


def _object(text: str, chosen: list[int], here: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) < len(chosen)):
        last = len(chosen) - 1
        raise InputError(f"{here}: object {quoted(text)}, expected a number of one, from 0 to {last}")
    return chosen[int(text)]


def _numbers_or_texts(cells: Sequence[str]) -> NDArray[Any]:
    """Turn a column into numbers if it holds nothing else; empty and "nan" are missing either way."""
    cells = ["" if cell.lower() == "nan" else cell for cell in cells]
    try:
        numbers = [float(cell) if cell else math.nan for cell in cells]
    except ValueError:
        return np.array(cells, object)
    return np.array(cells, object) if any(map(math.isinf, numbers)) else np.array(numbers)


def by_groups(columns: Mapping[str, Column], errors: NDArray[np.float64], normalizer: str) -> dict[str, Any]:
    """Summarize errors by each of some columns.

    Parameters
    ----------
    columns : mapping of str to Column
    errors : (n,) array
        :func:`ert.metrics.nme` of the objects.
    normalizer : str
        Its normalizer.

    Returns
    -------
    dict
        As JSON can hold it: ``normalizer``; ``failure_limit`` in percent; ``columns``: for each, ``about`` and
        ``groups``, see :func:`ert.groups.errors_by`.
    """
    groups = {
        name: {"about": column.about, "groups": errors_by(column.values, errors, limit=_FAILURE)}
        for name, column in columns.items()
    }
    return {"normalizer": normalizer, "failure_limit": _FAILURE, "columns": groups}


def group_lines(by: Mapping[str, Any]) -> list[str]:
    """Write what `by_groups` returned as a table for each column, and what it means."""
    rows = [row for column in by["columns"].values() for row in column["groups"]]
    # A table's text may be long, or of several lines.
    shown = {name: one_line(name, 60) for name in (*by["columns"], *(row["group"] for row in rows))}
    width = max(14, *(len(name) + 2 for name in shown.values()))
    head = f"{'objects':>8}{'NME %':>9}{'95 % interval':>18}{'over 8 %':>10}{'times others':>14}"
    lines = []
    for name, column in by["columns"].items():
        lines += ["", f"{shown[name]:<{width}}{head}"]
        for row in column["groups"]:
            interval, times = row["interval_95"], row["times_others"]
            low_high = "-" if interval is None else f"{interval[0]:.3f} - {interval[1]:.3f}"
            lines.append(
                f"{shown[row['group']]:<{width}}{row['n']:>8}{row['mean']:>9.3f}{low_high:>18}"
                f"{row['failure_rate']:>10.2%}{'-' if times is None else f'{times:.2f}':>14}"
            )
    return [*lines, "", *group_notes(by)]


def group_notes(by: Mapping[str, Any]) -> list[str]:
    """Say what the figures of `by_groups` mean, in lines."""
    rows = [row for column in by["columns"].values() for row in column["groups"]]
    lines = [f"NME {by['normalizer']}; times others: the mean over that of all other objects"]
    if any(row["low"] is not None for row in rows):
        lines.append("numbers are cut at their quartiles; a limit belongs to the group above it")
    if any(row["interval_95"] is None for row in rows):
        lines.append(f"no interval of fewer than {FEWEST} objects: it would be far too narrow")
    lines += [f"{one_line(name, 60)}: {column['about']}" for name, column in by["columns"].items()]
    if "yaw" in by["columns"] and by["normalizer"].startswith("inter-"):
        lines.append(
            "the eyes of turned faces are nearer together, and errors are parts of that: see --normalizer box"
        )
    return lines
