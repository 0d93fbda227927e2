"""The lists of WFLW: a line with the landmarks, the box and the image of each face."""

import re
from collections.abc import Collection, Iterator
from pathlib import Path

from ert._core.exceptions import InputError
from ert._core.types import StrPath
from ert.datasets.finder import ImageFinder
from ert.datasets.parsing import Annotation, quoted
from ert.datasets.points import CoordinateReader
from ert.datasets.text import text_lines

_NUMBER = re.compile(r"[+-]?[0-9]*\.?[0-9]+(?:e[+-]?[0-9]+)?", re.IGNORECASE)
_N_ATTRIBUTES, _N_BOX = 6, 4


def read_wflw(
    path: StrPath, *, image_folder: StrPath | None = None, missing: Collection[float] | None = None
) -> Iterator[Annotation]:
    """Read a list with one face per line: x and y of each landmark, optionally a box and attributes, and the image.

    The box is left, top, right, bottom, and six attributes of 0 or 1 follow it; WFLW has 98 landmarks, and lists with
    and without these ten numbers. Attributes are not kept. Landmark names are "0", "1", ...
    """
    path = Path(path)
    finder, coordinates = ImageFinder(path, image_folder), CoordinateReader(missing)
    n_numbers = n_landmarks = 0
    for line, text in text_lines(path):
        here, words = f"{path}:{line}", text.split()
        if not words:
            continue
        if not n_numbers:
            n_numbers = next((i for i, word in enumerate(words) if not _NUMBER.fullmatch(word)), len(words))
            has_box = _has_box(words[:n_numbers])
            n_landmarks = (n_numbers - (_N_BOX + _N_ATTRIBUTES if has_box else 0)) // 2
            if n_numbers % 2 or not n_landmarks:
                raise InputError(f"{here}: {n_numbers} numbers, expected x and y of landmarks, as in a list of WFLW")
        *numbers, name = text.strip().split(None, n_numbers) if len(words) > n_numbers else [*words, ""]
        if not name or len(numbers) != n_numbers:
            raise InputError(f"{here}: {len(words)} words, expected {n_numbers} numbers and the image")
        box = None
        if has_box:
            if not _has_box(numbers):
                found = quoted(" ".join(numbers[2 * n_landmarks :]))
                raise InputError(f"{here}: {found}, expected a box and six attributes of 0 or 1, as in other lines")
            left, top, right, bottom = map(float, numbers[2 * n_landmarks :][:_N_BOX])
            box = left, top, right - left, bottom - top
        points = {
            str(i): coordinates.point(numbers[2 * i], numbers[2 * i + 1], here, f"x of {i}", f"y of {i}")
            for i in range(n_landmarks)
        }
        file, fault = finder.find(name, here)
        yield Annotation(file, box, points, here, fault)
    coordinates.finish()
    if not n_numbers:
        raise InputError(f"{path}:1: expected landmarks and an image, found the end of the file")


def _has_box(numbers: list[str]) -> bool:
    """Return whether numbers end with a box and attributes."""
    if len(numbers) < 2 + _N_BOX + _N_ATTRIBUTES or set(numbers[-_N_ATTRIBUTES:]) - {"0", "1"}:
        return False
    corners = numbers[-_N_BOX - _N_ATTRIBUTES : -_N_ATTRIBUTES]
    if not all(_NUMBER.fullmatch(number) for number in corners):
        return False
    left, top, right, bottom = map(float, corners)
    return left < right and top < bottom
