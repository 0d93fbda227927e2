"""Collect annotations in arrays, and check them."""

from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ert._core.exceptions import InputError
from ert._core.types import Box, Floats
from ert.datasets.parsing import Annotation, natural_key
from ert.datasets.split import connected_items

__all__ = ["assemble_arrays"]


def assemble_arrays(
    annotations: Iterable[Annotation], path: Path, part_order: str | None
) -> tuple[list[Path], Floats, Floats, tuple[str, ...]]:
    """Collect annotations in arrays.

    Parameters
    ----------
    annotations : iterable of Annotation
        What a reader yields.
    path : pathlib.Path
        The file or folder, for error messages.
    part_order : {"natural", "dlib"} or None
        Order of the landmark names; None keeps the order of the file.

    Returns
    -------
    files, boxes (n, 4), landmarks (n, n_landmarks, 2), landmark_names
        The fields of a `Dataset`.

    Raises
    ------
    InputError
        No objects, an object without landmarks, a box without area, a landmark that no object has, or, with
        a `part_order`, names that look like typos.
    """
    files: list[Path] = []
    wheres: list[str] = []
    index: dict[str, int] = {}
    # Flat arrays, because Python floats would take several times the memory: object i has counts[i] entries
    # in columns (which landmark) and twice as many in coordinates.
    boxes, coordinates, counts, columns = array("d"), array("d"), array("i"), array("i")
    for annotation in annotations:
        boxes.extend(_box_of(annotation))
        columns.extend(index.setdefault(name, len(index)) for name in annotation.landmarks)
        counts.append(len(annotation.landmarks))
        for point in annotation.landmarks.values():
            coordinates.extend(point)
        files.append(annotation.file)
        wheres.append(annotation.where)
    if not files:
        raise InputError(f"{path}: no annotated object, expected at least one")
    names = list(index)
    if part_order is not None:
        _check_parts(names, np.frombuffer(columns, np.intc), np.frombuffer(counts, np.intc), wheres)
        names.sort(key=natural_key if part_order == "natural" else None)
    position = np.empty(len(names), np.intp)
    position[[index[name] for name in names]] = np.arange(len(names))
    landmarks = np.full((len(files), len(names), 2), np.nan)
    points, column_of, start = np.frombuffer(coordinates).reshape(-1, 2), np.frombuffer(columns, np.intc), 0
    for shape, count in zip(landmarks, counts, strict=True):
        shape[position[column_of[start : start + count]]] = points[start : start + count]
        start += count
    absent = np.flatnonzero(np.isnan(landmarks[:, :, 0]).all(axis=0))
    if len(absent):
        raise InputError(f"{path}: landmark {names[absent[0]]!r} is missing in all objects, expected in one")
    return files, np.array(boxes).reshape(-1, 4), landmarks, tuple(names)


def _box_of(annotation: Annotation) -> Box:
    """Return the box of the object, or the square around its landmarks if it has none."""
    known = [point for point in annotation.landmarks.values() if point[0] == point[0]]
    if not known:
        raise InputError(f"{annotation.where}: no landmarks, expected at least one")
    box, origin = annotation.box, ""
    if box is None:
        (left, top), (right, bottom) = (tuple(map(f, zip(*known, strict=True))) for f in (min, max))
        side = max(right - left, bottom - top)
        box = (left + right - side) / 2, (top + bottom - side) / 2, side, side
        origin = " around the landmarks"
    if not (box[2] > 0 and box[3] > 0):
        size = f"{box[2]:g} wide and {box[3]:g} high"
        raise InputError(f"{annotation.where}: the box{origin} is {size}, expected more than 0")
    return box


def _check_parts(
    names: Sequence[str], columns: NDArray[np.intc], counts: NDArray[np.intc], wheres: Sequence[str]
) -> None:
    """Raise InputError for part names that look like typos: in hardly any box, or only in boxes of their own.

    `columns` are the parts of all boxes (indices into `names`), `counts` the number of parts of each box.
    """
    n = len(counts)
    box_of = np.repeat(np.arange(n, dtype=np.intc), counts)
    uses = np.bincount(columns, minlength=len(names))
    rare = np.flatnonzero(uses < max(2, n / 100))
    if n > 20 and len(rare):
        part = rare[0]
        box = box_of[np.argmax(columns == part)]
        message = f"part {names[part]!r} is in {uses[part]} of {n} boxes only"
        raise InputError(f"{wheres[box]}: {message}, expected the parts of the other boxes")
    group = connected_items(box_of, columns)
    groups, sizes = np.unique(group, return_counts=True)
    if len(groups) > 1:
        # Of groups of equal size, the later one in the file is reported.
        box = groups[len(groups) - 1 - np.argmin(sizes[::-1])]
        part = columns[np.argmax(box_of == box)]
        message = f"no part in common with other boxes, it has {names[part]!r}"
        raise InputError(f"{wheres[box]}: {message}, expected the parts of the other boxes")
