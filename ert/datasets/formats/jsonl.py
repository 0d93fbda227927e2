"""JSON Lines of `ert predict`: an object in each line."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ert._core.exceptions import InputError
from ert._core.types import StrPath
from ert.datasets.finder import ImageFinder, suffix_notes
from ert.datasets.parsing import BOX_COLUMNS, Annotation, check_number, quoted
from ert.datasets.points import MISSING
from ert.datasets.text import text_lines


def read_json_lines(path: StrPath, *, image_folder: StrPath | None = None) -> Iterator[Annotation]:
    """Read a file of objects, each in a line: ``{"image": "a.jpg", "landmarks": {"nose": [1, 2], ...}, ...}``.

    ``box`` (left, top, width, height), ``specimen``, which is the id, ``scale`` and ``std`` (the standard error of each
    landmark by name) may be absent or null; ``landmarks`` are where there is no object. Other keys are not read.
    """
    path = Path(path)
    finder = ImageFinder(path, image_folder, any_suffix=True)
    line = 0
    for line, text in text_lines(path):
        here = f"{path}:{line}"
        if text.strip():
            try:
                yield _read_object(_parse(text, here), here, finder)
            except InputError as error:
                yield Annotation(path, None, {}, here, str(error))
    if not line:
        raise InputError(f"{path}:1: expected an object in each line, found the end of the file")


def _parse(text: str, here: str) -> dict[str, Any]:
    try:
        entry = json.loads(text)
    except (ValueError, RecursionError):
        entry = None
    if not isinstance(entry, dict):
        raise InputError(f"{here}: expected an object of JSON in each line, as ert predict writes")
    return entry


def _read_object(entry: dict[str, Any], here: str, finder: ImageFinder) -> Annotation:
    def get(key: str, kind: type | tuple[type, ...], expected: str) -> Any:
        value = entry.get(key)
        if value is not None and not isinstance(value, kind):
            raise InputError(f"{here}: {key} is {quoted(value)}, expected {expected}")
        return value

    image = get("image", str, "a name")
    if not image:
        raise InputError(f"{here}: no image, expected the name of one")
    landmarks = {
        name: _read_point(value, f"{here}: landmark {quoted(name)}")
        for name, value in (get("landmarks", dict, "x and y by the names of landmarks") or {}).items()
    }
    std = get("std", dict, "numbers by the names of landmarks")
    if std is not None:
        std = {name: _read_positive(value, here, f"std of {quoted(name)}", 0.0) for name, value in std.items()}
    scale = _read_positive(entry.get("scale"), here, "scale", math.ulp(0.0))
    box = get("box", list, "four numbers")
    if box is not None:
        if len(box) != 4:
            raise InputError(f"{here}: box is {quoted(box)}, expected four numbers")
        box = tuple(check_number(value, here, name) for name, value in zip(BOX_COLUMNS, box, strict=True))
    file, fault = finder.find(image, here)
    return Annotation(
        file,
        box,
        landmarks,
        here,
        fault,
        notes=suffix_notes(image, file),
        id=get("specimen", str, "a name") or None,
        scale=None if math.isnan(scale) else scale,
        std=std,
    )


def _read_point(value: Any, what: str) -> tuple[float, float]:
    if value is None:
        return MISSING
    if not isinstance(value, list) or len(value) != 2:
        raise InputError(f"{what} is {quoted(value)}, expected x and y")
    return check_number(value[0], what, "x"), check_number(value[1], what, "y")


def _read_positive(value: Any, here: str, what: str, least: float) -> float:
    if value is None:
        return math.nan
    number = check_number(value, here, what)
    if number < least:
        raise InputError(f"{here}: {what} is {quoted(value)}, expected a number {'above' if least else 'from'} 0")
    return number
