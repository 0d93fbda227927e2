"""Collect annotations in arrays, and check them."""

import math
from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ert._core.exceptions import InputError
from ert._core.types import Floats
from ert.datasets.parsing import Annotation, natural_key
from ert.datasets.split import connected_items


def assemble_arrays(
    annotations: Iterable[Annotation], path: Path, part_order: str | None
) -> tuple[list[Path], Floats, Floats, tuple[str, ...]]:
    """Return files, boxes, landmarks and landmark names of a `Dataset`.

    `path` is the place in error messages. `part_order` is "natural" or "dlib" where landmarks have no order
    of their own, else None. `load_dataset` describes the checks.
    """
    files: list[Path] = []
    wheres: list[str] = []
    index: dict[str, int] = {}
    # Flat arrays, because Python floats would take several times the memory: object i has counts[i] entries
    # in columns (which landmark) and twice as many in coordinates.
    numbers, coordinates, counts, columns = array("d"), array("d"), array("i"), array("i")
    for annotation in annotations:
        if not any(x == x for x, _ in annotation.landmarks.values()):
            raise InputError(f"{annotation.where}: no landmarks, expected at least one")
        numbers.extend(annotation.box or (math.nan,) * 4)
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
    boxes = np.array(numbers).reshape(-1, 4)
    without = np.isnan(boxes[:, 0])
    boxes[without] = squares_around(landmarks[without])
    for i in np.flatnonzero(~(boxes[:, 2:] > 0).all(axis=1)):
        origin = " around the landmarks" if without[i] else ""
        size = f"{boxes[i, 2]:g} wide and {boxes[i, 3]:g} high"
        raise InputError(f"{wheres[i]}: the box{origin} is {size}, expected more than 0")
    return files, boxes, landmarks, tuple(names)


def squares_around(landmarks: Floats) -> Floats:
    """Return boxes (n, 4) around landmarks: centered on their bounding rectangle, with its longer side."""
    low, high = np.fmin.reduce(landmarks, axis=1), np.fmax.reduce(landmarks, axis=1)
    side = (high - low).max(axis=1, keepdims=True)
    return np.hstack([(low + high - side) / 2, side, side])


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
