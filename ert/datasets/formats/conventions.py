"""What the user says about a file of any format: where y starts, and which numbers stand for a missing landmark."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ert._core.exceptions import InputError
from ert._core.images import image_size
from ert._core.types import StrPath
from ert.datasets.parsing import Annotation
from ert.datasets.points import MISSING

if TYPE_CHECKING:
    from ert.datasets.formats import Format


def read_with_conventions(
    format: Format,
    path: Path,
    *,
    image_folder: StrPath | None,
    y_origin: str | None,
    missing: Collection[float] | None,
    curves: str | None,
) -> Iterator[Annotation]:
    """Read a file with the options of `load_dataset` of the same names."""
    if y_origin not in (None, "top", "bottom"):
        raise InputError(f"y_origin is {y_origin!r}, expected 'top' or 'bottom'")
    if curves not in (None, "as-landmarks"):
        raise InputError(f"curves is {curves!r}, expected None or 'as-landmarks'")
    for value in () if missing is None else missing:
        if isinstance(value, str | bool) or not math.isfinite(value):
            raise InputError(f"missing has {value!r}, expected numbers such as -1")
    if curves is not None and "curves" not in format.options:
        raise InputError(f"{path}: curves {curves!r}, expected none: only .tps files have curves")
    options = {"missing": missing, "curves": curves}
    annotations = format.read(path, image_folder=image_folder, **{name: options[name] for name in format.options})
    if missing and "missing" not in format.options:
        annotations = _without_fillers(annotations, frozenset(missing))
    return count_y_from_top(annotations) if (y_origin or format.y_origin) == "bottom" else annotations


def _without_fillers(annotations: Iterable[Annotation], missing: frozenset[float]) -> Iterator[Annotation]:
    """Replace landmarks whose x and y both are one of some numbers by NaN."""
    for annotation in annotations:
        points = annotation.landmarks.items()
        landmarks = {name: MISSING if x == y and x in missing else (x, y) for name, (x, y) in points}
        yield replace(annotation, landmarks=landmarks)


def count_y_from_top(annotations: Iterable[Annotation]) -> Iterator[Annotation]:
    """Change the y of landmarks and boxes that is counted from the bottom row of pixels of the image.

    A box begins at its lower edge. If more landmarks are in the boxes that begin at their upper edge, the file
    contains these, which is an InputError.
    """
    file: Path | None = None
    height = n_upper = n_lower = 0
    where = ""
    for annotation in annotations:
        if annotation.fault is not None:
            yield annotation
            continue
        if annotation.file != file:
            try:
                height = image_size(annotation.file)[1]
            except InputError as error:
                yield replace(annotation, fault=f"{annotation.where}: {error}")
                continue
            file = annotation.file
        box = annotation.box
        if box is not None:
            left, edge, width, rows = box
            known = [y for _, y in annotation.landmarks.values() if y == y]
            center = sum(known) / max(len(known), 1)
            n_lower += edge <= center < edge + rows
            n_upper += edge - rows <= center < edge
            where = where or annotation.where
            box = left, height - edge - rows, width, rows
        landmarks = {name: (x, height - 1 - y) for name, (x, y) in annotation.landmarks.items()}
        yield replace(annotation, box=box, landmarks=landmarks)
    if n_upper > n_lower:
        raise InputError(f"{where}: the box is above its landmarks, expected the y of its lower edge in place of top")
