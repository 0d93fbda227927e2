"""A user's table of attributes of the objects of a dataset, read from CSV."""

import os
from pathlib import Path

from ert._core.exceptions import InputError, one_line
from ert.datasets.dataset import Dataset
from ert.datasets.parsing import csv_table, quoted


def read_table(path: Path, dataset: Dataset, folder: Path, *, part: bool = False) -> dict[str, list[str]]:
    """Read a table of attributes of the objects of a dataset.

    The column ``image`` (by default the first one) contains the image of each row: a path relative to the
    folder of the table or to `folder`, or a file name. The optional column ``object`` contains the index of
    an object within its image, from 0; if it is empty, the row applies to all objects of the image.

    Parameters
    ----------
    path : pathlib.Path
        CSV: UTF-8, separated by commas, with a header.
    dataset : Dataset
    folder : pathlib.Path
        Folder that contains the images, also in subfolders.
    part : bool
        Whether to ignore rows of images that are not in the dataset.

    Returns
    -------
    dict of str to list of str
        For each column the value of each object, "" without a row.

    Raises
    ------
    InputError
        When the file cannot be read, a row has an image that is not in the dataset (with `part`: all rows
        have), an ambiguous file name or an invalid object index, or an object has two rows.
    """
    table = csv_table(path)
    line, header = next(table)
    image = header.index("image") if "image" in header else 0
    number = header.index("object") if "object" in header else None
    kept = [i for i in range(len(header)) if i not in (image, number)]
    if not kept:
        raise InputError(f"{path}:{line}: no column besides {one_line(', '.join(header))}, expected one to group by")
    items = _items(dataset)
    row_of: dict[int, tuple[int, list[str]]] = {}
    for line, cells in table:
        here = f"{path}:{line}"
        chosen = _find(cells[image], (path.parent, folder), items, here)
        if not chosen:
            if part:
                continue
            raise InputError(
                f"{here}: image {quoted(cells[image])} is not in {dataset.name}, expected one of its images"
            )
        if number is not None and cells[number]:
            chosen = [_object(cells[number], chosen, here)]
        for i in chosen:
            if i in row_of:
                message = f"duplicate row (first in line {row_of[i][0]}), expected one row per object"
                raise InputError(f"{here}: {quoted(cells[image])}: {message}")
            row_of[i] = line, cells
    if not row_of:
        raise InputError(f"{path}: no row has an image of {dataset.name}, expected at least one")
    empty = (0, [""] * len(header))
    return {header[k]: [row_of.get(i, empty)[1][k] for i in range(len(dataset))] for k in kept}


def _items(dataset: Dataset) -> dict[str, dict[str, list[int]]]:
    """Return a dict of file name to a dict of path to the indices of the image's objects."""
    items: dict[str, dict[str, list[int]]] = {}
    for i, file in enumerate(dataset.files):
        real = os.path.realpath(file)
        for name in {file.name, os.path.basename(real)}:
            items.setdefault(name, {}).setdefault(real, []).append(i)
    return items


def _find(image: str, folders: tuple[Path, Path], items: dict[str, dict[str, list[int]]], here: str) -> list[int]:
    """Return the indices of the objects of a row's image; none if the image is not in the dataset."""
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
        raise InputError(f"{here}: ambiguous image name {quoted(image)} ({first}, {second}); give a path")
    return next(iter(of_name.values()), [])


def _object(text: str, chosen: list[int], here: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) < len(chosen)):
        last = len(chosen) - 1
        raise InputError(f"{here}: object {quoted(text)}, expected an index from 0 to {last}")
    return chosen[int(text)]
