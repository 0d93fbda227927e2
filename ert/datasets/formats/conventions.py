"""What the user says about a file of any format: where y starts, and which numbers stand for a missing landmark."""

import math
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from numbers import Real
from pathlib import Path
from typing import Any

from ert._core.exceptions import InputError
from ert._core.types import StrPath
from ert.datasets.formats.registry import Format
from ert.datasets.parsing import Annotation
from ert.datasets.points import MISSING
from ert.datasets.turns import Turns
from ert.datasets.y_origin import count_y_from_top


def read_with_conventions(
    format: Format,
    path: Path,
    turns: Turns,
    *,
    image_folder: StrPath | None = None,
    y_origin: str | None = None,
    missing: Collection[float] | None = None,
    curves: str | None = None,
) -> Iterator[Annotation]:
    """Read a file with the options of `load_dataset` of the same names; `turns` chooses how its images are read."""
    if y_origin not in (None, "top", "bottom"):
        raise InputError(f"y_origin is {y_origin!r}, expected 'top' or 'bottom'")
    if curves not in (None, "as-landmarks"):
        raise InputError(f"curves is {curves!r}, expected None or 'as-landmarks'")
    if missing is not None:
        missing = _check_missing(missing)
    if curves is not None and "curves" not in format.options:
        raise InputError(f"{path}: curves {curves!r}, expected none: only .tps files have curves")
    options = {"missing": missing, "curves": curves}
    annotations = format.read(path, image_folder=image_folder, **{name: options[name] for name in format.options})
    if missing and "missing" not in format.options:
        annotations = _without_fillers(annotations, missing)
    # Before y is counted from the top, which depends on the height of the image.
    annotations = turns.read(annotations)
    return count_y_from_top(annotations) if (y_origin or format.y_origin) == "bottom" else annotations


def _check_missing(missing: Any) -> frozenset[float]:
    values = list(missing) if isinstance(missing, Collection) and not isinstance(missing, str | bytes) else [missing]
    numbers = [value for value in values if isinstance(value, Real)]
    if len(numbers) < len(values) or not all(map(math.isfinite, numbers)):
        raise InputError(f"missing is {missing!r}, expected numbers such as [-1], or [] for none")
    return frozenset(map(float, numbers))


def _without_fillers(annotations: Iterable[Annotation], missing: frozenset[float]) -> Iterator[Annotation]:
    """Replace landmarks whose x and y both are one of some numbers by NaN."""
    for annotation in annotations:
        points = annotation.landmarks.items()
        landmarks = {name: MISSING if x == y and x in missing else (x, y) for name, (x, y) in points}
        yield replace(annotation, landmarks=landmarks)
