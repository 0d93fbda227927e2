"""Reading TPS, the files of tpsDig and of geometric morphometrics."""

import math
import re
from collections.abc import Iterator
from pathlib import Path

from ert._core.exceptions import InputError
from ert._core.images import image_size
from ert._core.types import StrPath
from ert.datasets.parsing import (
    Annotation,
    Point,
    find_image,
    image_folders,
    quoted,
    read_point,
    text_lines,
)

__all__ = [
    "read_tps",
]


# What a specimen may have beside its landmarks, none of which changes where they are.
_PASSED_OVER = ("ID", "SCALE", "COMMENT", "VARIABLES")
_CURVES = ("CURVES", "POINTS", "OUTLINES", "CHAIN", "RADII", "LM3")


def read_tps(path: StrPath, *, image_folder: StrPath | None = None) -> Iterator[Annotation]:
    """Read the specimens of a TPS file, one after another.

    TPS counts y from the bottom of the image, so the height of the image is read: a y becomes
    ``height - 1 - y``, for the bottom row of pixels is 0 as the left column is. (Some tools take
    ``height - y``, one pixel lower.) Landmarks stay in pixels: ``SCALE=``, ``ID=``, ``COMMENT=`` and
    ``VARIABLES=`` are passed over. ``-1 -1``, as tpsDig writes it, and ``NA NA`` is a missing landmark.

    Parameters
    ----------
    path : path-like
        The file: for each specimen ``LM=n``, n lines of x and y, and ``IMAGE=name``.
    image_folder : path-like, optional
        Where the images are. Else they are looked for beside the file, then in the folders beside it.

    Yields
    ------
    Annotation
        One for each specimen, without a box; the landmarks are called "0", "1", ...

    Raises
    ------
    InputError
        Curves, outlines or three dimensions, which are not landmarks in an image; a specimen without image,
        or with another number of landmarks than the first; text in place of a number; an image that is not
        found or cannot be read.
    """
    path = Path(path)
    folders = image_folders(path, image_folder)
    first: tuple[str, int] | None = None
    file, height = path, 0
    for here, points, name in _specimens(path):
        first = first or (here, len(points))
        if len(points) != first[1]:
            raise InputError(f"{here}: LM is {len(points)}, expected {first[1]} as in {first[0]}")
        image = find_image(name, folders, here)
        if image != file:
            file, height = image, image_size(image)[1]
        landmarks = {str(i): (x, height - 1 - y) for i, (x, y) in enumerate(points)}
        yield Annotation(file, None, landmarks, here)
    if first is None:
        raise InputError(f"{path}:1: expected 'LM=' and a number, found the end of the file")


def _specimens(path: Path) -> Iterator[tuple[str, list[Point], str]]:
    """Yield ("file:line" of LM=, points as they stand there, name of the image)."""
    lines = ((f"{path}:{line}", text.strip()) for line, text in text_lines(path) if text.strip())
    where, points, image = "", list[Point](), ""
    for here, text in lines:
        key, equals, value = (part.strip() for part in text.partition("="))
        key = key.upper()
        if key in _CURVES and equals and value != "0":
            raise InputError(f"{here}: {quoted(text)}, expected landmarks only: no curves, outlines or 3-D")
        if key == "LM":
            if where:
                yield where, points, _named(image, where)
            if not re.fullmatch("[1-9][0-9]{0,5}", value):
                raise InputError(f"{here}: LM is {quoted(value)}, expected how many landmarks follow")
            where, image = here, ""
            points = [_point(*next(lines, (here, "")), f"{i + 1} of {value}") for i in range(int(value))]
        elif not where:
            raise InputError(f"{here}: expected 'LM=' and a number, found {quoted(text)}")
        elif key == "IMAGE" and equals:
            if image or not value:
                raise InputError(f"{here}: {quoted(text)}, expected one IMAGE=name a specimen")
            image = value
        elif not equals or key not in (*_PASSED_OVER, *_CURVES):
            expected = ", ".join(f"{name}=" for name in ("LM", "IMAGE", *_PASSED_OVER))
            raise InputError(f"{here}: {quoted(text)}, expected one of {expected}")
    if where:
        yield where, points, _named(image, where)


def _point(here: str, text: str, which: str) -> Point:
    cells = text.split()
    if len(cells) != 2:
        found = quoted(text) if text else "the end of the file"
        raise InputError(f"{here}: expected x and y of landmark {which}, found {found}")
    x, y = ("nan" if cell.upper() == "NA" else cell for cell in cells)
    point = read_point(x, y, here, "x", "y")
    return (math.nan, math.nan) if point == (-1, -1) else point


def _named(image: str, where: str) -> str:
    if not image:
        raise InputError(f"{where}: a specimen without IMAGE=, expected the name of its image")
    return image
