"""Annotations become a dataset: collected in arrays, with boxes for those without, and checked."""

import math
import os
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ert._core.exceptions import InputError, counted
from ert._core.types import Floats
from ert.datasets.dataset import Dataset, Skipped
from ert.datasets.parsing import Annotation, natural_key
from ert.datasets.selection import image_box
from ert.datasets.split import connected_items

_SKIP_BAD = "ert dataset check lists all faults, and --skip-bad leaves such objects out"
_OTHER_BOXES = "--boxes gives others: of a table, or image for the whole image"


def assemble(
    annotations: Iterable[Annotation], path: Path, part_order: str | None, name: str, skip_bad: bool
) -> Dataset:
    """Collect annotations in arrays and check them, as `load_dataset` describes.

    `part_order` is "natural" or "dlib" where landmarks have no order of their own, else None.
    """
    files: list[Path] = []
    wheres: list[str] = []
    index: dict[str, int] = {}
    # Flat arrays, because Python floats would take several times the memory: object i has counts[i] entries
    # in columns (which landmark) and twice as many in coordinates.
    numbers, coordinates, counts, columns = array("d"), array("d"), array("i"), array("i")
    skipped: list[Skipped] = []
    ids_read, scales_read = list[str](), array("d")
    # Parallel to `columns`, up to the last object that has any.
    errors = array("d")
    notes: Counter[str] = Counter()
    for annotation in annotations:
        if annotation.fault is not None:
            if not skip_bad:
                raise InputError(f"{annotation.fault}; {_SKIP_BAD}")
            skipped.append(Skipped(_kind_of_fault(annotation, path), annotation.file, annotation.fault))
            continue
        if not any(x == x for x, _ in annotation.landmarks.values()):
            skipped.append(Skipped("no landmarks", annotation.file, f"{annotation.where}: no landmarks"))
            continue
        for note in annotation.notes:
            notes[note] += 1
        numbers.extend(annotation.box or (math.nan,) * 4)
        if annotation.std is not None:
            errors.extend([math.nan] * (len(columns) - len(errors)))
            errors.extend(annotation.std.get(landmark, math.nan) for landmark in annotation.landmarks)
        columns.extend(index.setdefault(landmark, len(index)) for landmark in annotation.landmarks)
        counts.append(len(annotation.landmarks))
        for point in annotation.landmarks.values():
            coordinates.extend(point)
        ids_read.append(annotation.id or "")
        scales_read.append(annotation.scale or math.nan)
        files.append(annotation.file)
        wheres.append(annotation.where)
    if not files:
        return Dataset([], np.empty((0, 4)), np.empty((0, 0, 2)), (), name, tuple(skipped))
    names = list(index)
    column_of = np.frombuffer(columns, np.intc)
    faults: dict[int, str] = {}
    if part_order is not None:
        faults = dict(_part_faults(names, np.repeat(np.arange(len(files), dtype=np.intc), counts), column_of, wheres))
        names.sort(key=natural_key if part_order == "natural" else None)
    position = np.argsort([index[landmark] for landmark in names])
    landmarks = np.full((len(files), len(names), 2), np.nan)
    std = np.full(landmarks.shape[:2], np.nan) if errors else None
    points, start = np.frombuffer(coordinates).reshape(-1, 2), 0
    for i, count in enumerate(counts):
        part = slice(start, start + count)
        landmarks[i, position[column_of[part]]] = points[part]
        if std is not None and start < len(errors):
            std[i, position[column_of[part]]] = errors[part]
        start += count
    boxes = np.array(numbers).reshape(-1, 4)
    without = np.isnan(boxes[:, 0])
    boxes[without] = squares_around(landmarks[without])
    source = "landmarks" if without.all() else "given"
    for i in np.flatnonzero(~(boxes[:, 2:] > 0).all(axis=1)).tolist():
        try:
            if not without[i] or len(names) > 1:
                origin, way = (" around the landmarks", f"; {_OTHER_BOXES}") if without[i] else ("", "")
                size = f"{boxes[i, 2]:g} wide and {boxes[i, 3]:g} high"
                raise InputError(f"{wheres[i]}: the box{origin} is {size}, expected more than 0{way}")
            boxes[i] = image_box(files[i])
            notes[f"the box is the whole image, since there is one landmark; {_OTHER_BOXES}"] += 1
        except InputError as error:
            faults.setdefault(i, str(error))
    for i, fault in faults.items():
        if not skip_bad:
            raise InputError(f"{fault}; {_SKIP_BAD}")
        skipped.append(Skipped("invalid annotation", files[i], fault))
    ids = tuple(ids_read) if any(ids_read) else None
    scales = None if np.isnan(scales_read).all() else np.array(scales_read)
    with_counts = tuple(f"{note} ({counted(count, 'object')})" for note, count in notes.items())
    dataset = Dataset(files, boxes, landmarks, tuple(names), name, ids=ids, scales=scales, box_source=source, std=std)
    if faults:
        dataset = dataset.subset([i for i in range(len(files)) if i not in faults])
    dataset = replace(dataset, skipped=tuple(skipped), notes=with_counts)
    # Parts of the boxes that were left out.
    return dataset if not faults or part_order is None else without_empty_landmarks(dataset)


def _kind_of_fault(annotation: Annotation, path: Path) -> str:
    if not os.path.isfile(annotation.file):
        return "image not found"
    is_of_image = annotation.file != path and str(annotation.fault).startswith(f"{annotation.file}: ")
    return "unreadable image" if is_of_image else "invalid annotation"


def without_empty_landmarks(dataset: Dataset) -> Dataset:
    """Leave out landmarks that no object has."""
    return dataset.with_landmarks(np.flatnonzero(~np.isnan(dataset.landmarks[:, :, 0]).all(axis=0)))


def check_not_empty(dataset: Dataset, path: Path) -> Dataset:
    """Raise InputError for a dataset without objects, or with a landmark that no object has."""
    skipped = dataset.skipped
    if not len(dataset):
        why = f": {skipped[0].text}, as the first of {len(skipped)} objects" if skipped else ""
        raise InputError(f"{path}: no annotated object, expected at least one{why}")
    for k in np.flatnonzero(np.isnan(dataset.landmarks[:, :, 0]).all(axis=0)):
        name = dataset.landmark_names[k]
        raise InputError(f"{path}: landmark {name!r} is missing in all objects, expected in one")
    return dataset


def squares_around(landmarks: Floats) -> Floats:
    """Return boxes (n, 4) around landmarks: centered on their bounding rectangle, with its longer side."""
    low, high = np.fmin.reduce(landmarks, axis=1), np.fmax.reduce(landmarks, axis=1)
    side = (high - low).max(axis=1, keepdims=True)
    return np.hstack([(low + high - side) / 2, side, side])


def _part_faults(
    names: list[str], box_of: NDArray[np.intc], part_of: NDArray[np.intc], wheres: list[str]
) -> Iterator[tuple[int, str]]:
    """Yield boxes with parts that look like typos, in hardly any box or only in boxes of their own, and why.

    Box ``box_of[i]`` has part ``part_of[i]``, an index into `names`; `wheres` are the places of the boxes.
    """
    n = len(wheres)
    uses = np.bincount(part_of, minlength=len(names))
    rare = np.flatnonzero(uses < max(2, n / 100)) if n > 20 else ()
    for part in rare:
        for box in box_of[part_of == part].tolist():
            message = f"part {names[part]!r} is in {uses[part]} of {n} boxes only"
            yield box, f"{wheres[box]}: {message}, expected the parts of the other boxes"
    group_of = connected_items(box_of, part_of)
    groups, sizes = np.unique(group_of, return_counts=True)
    # The smallest group first; of groups of equal size, the later one in the file.
    for group in groups[np.lexsort([-groups, sizes])][:-1]:
        for box in np.flatnonzero(group_of == group).tolist():
            part = part_of[np.argmax(box_of == box)]
            message = f"no part in common with other boxes, it has {names[part]!r}"
            yield box, f"{wheres[box]}: {message}, expected the parts of the other boxes"
