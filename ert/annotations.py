"""One annotated object, and what the readers of all formats share: numbers, points, files."""

import math
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ert.errors import InputError

__all__ = [
    "BOX_COLUMNS",
    "Annotation",
    "Box",
    "Point",
    "StrPath",
    "natural_key",
    "open_binary",
    "quoted",
    "read_number",
    "read_point",
]

Box = tuple[float, float, float, float]
Point = tuple[float, float]
StrPath = str | os.PathLike[str]

BOX_COLUMNS = ("left", "top", "width", "height")
# Far beyond any image, near enough for sums and squares of coordinates to stay finite.
LARGEST_COORDINATE = 1e9


@dataclass(frozen=True, slots=True)
class Annotation:
    """One annotated object.

    Attributes
    ----------
    file : pathlib.Path
        The image: absolute, or relative to the current folder.
    box : tuple of 4 floats or None
        Left, top, width, height in pixels; None where the file has no boxes.
    landmarks : dict
        Name of a landmark -> (x, y) in pixels. A missing one is absent, or NaN, NaN.
    where : str
        Where the object stands (file, line, box): the beginning of a message about it.
    """

    file: Path
    box: Box | None
    landmarks: dict[str, Point]
    where: str


def natural_key(text: str) -> tuple[list[tuple[bool, int, str]], str]:
    """Return the key that sorts "2" before "10": runs of digits compare as numbers, the rest as text."""
    # A number compares by its count of digits first, for int() refuses very long ones.
    pieces = [(digits.lstrip("0"), rest) for digits, rest in re.findall(r"([0-9]+)|([^0-9]+)", text)]
    return [(rest != "", len(number), number + rest) for number, rest in pieces], text


def open_binary(path: Path) -> BinaryIO:
    """Open a file to read; what the system refuses becomes an InputError that names the file."""
    try:
        return path.open("rb")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None


def read_number(text: str, here: str, what: str) -> float:
    """Read a number of pixels; `here` and `what` name the place and the item in the message."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not abs(value) <= LARGEST_COORDINATE:
        raise InputError(f"{here}: {what} is {quoted(text)}, expected a number of pixels")
    return value


def read_point(x: str, y: str, here: str, what_x: str, what_y: str) -> Point:
    """Read x and y; both empty or "nan" is a missing landmark: NaN, NaN."""
    if {x.lower(), y.lower()} <= {"", "nan"}:
        return math.nan, math.nan
    return read_number(x, here, what_x), read_number(y, here, what_y)


def quoted(text: str) -> str:
    """Return a text from a file for a message of one line: short, and without line breaks."""
    return repr(text if len(text) <= 60 else text[:57] + "...")
