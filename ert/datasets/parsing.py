"""One annotated object, and what the readers of all formats share: numbers, points, files."""

import codecs
import csv
import json
import math
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from ert._core.exceptions import InputError
from ert._core.types import Box, StrPath

__all__ = [
    "BOX_COLUMNS",
    "Annotation",
    "Box",
    "Point",
    "StrPath",
    "annotation_files",
    "check_number",
    "csv_table",
    "find_image",
    "first_images",
    "image_folders",
    "natural_key",
    "open_binary",
    "quoted",
    "read_json",
    "read_number",
    "read_point",
    "refusing_json",
    "text_lines",
    "walk",
]


Point = tuple[float, float]

BOX_COLUMNS = ("left", "top", "width", "height")
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
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


def natural_key(text: str) -> tuple[str, str]:
    """Return the key that sorts "2" before "10": runs of digits compare as numbers, the rest as text."""
    return re.sub("[0-9]+", _number_key, text), text


def _number_key(match: re.Match[str]) -> str:
    # Numbers of more digits are larger. They come before all text, so NUL stands before them.
    digits = match[0].lstrip("0")
    return f"\0{chr(min(len(digits), sys.maxunicode))}{digits}"


def open_binary(path: Path) -> BinaryIO:
    """Open a file to read; what the system refuses becomes an InputError that names the file."""
    try:
        return path.open("rb")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the number and the text of every line; bytes that are not UTF-8 become an InputError."""
    with open_binary(path) as stream:
        for line, raw in enumerate(stream, 1):
            text = (raw.removeprefix(codecs.BOM_UTF8) if line == 1 else raw).decode(errors="replace")
            if "\ufffd" in text or "\0" in text:
                raise InputError(f"{path}:{line}: bytes that are not UTF-8 text")
            yield line, text


def read_json(path: Path) -> Any:
    """Read a JSON file; what is none becomes an InputError that names the file, and the line if it can."""
    with open_binary(path) as stream, refusing_json(path):
        return json.load(stream)


@contextmanager
def refusing_json(path: Path) -> Iterator[None]:
    """Turn what `json` raises at bad input into an InputError that names the file."""
    try:
        yield
    except json.JSONDecodeError as error:
        raise InputError(f"{path}:{error.lineno}: not JSON: {error.msg}") from None
    except RecursionError:
        raise InputError(f"{path}: not JSON that can be read: lists nested too deep") from None
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not JSON: bytes that are no text, or a number too long") from None


def image_folders(path: Path, image_folder: StrPath | None) -> list[Path]:
    """Return where the images of a file of annotations may be: where told, else beside it or one below."""
    if image_folder is not None:
        return [Path(image_folder)]
    return [path.parent, *sorted(entry for entry in path.parent.glob("*") if entry.is_dir())]


def find_image(name: str, folders: list[Path], here: str) -> Path:
    """Return the image called `name`: in the first of the folders, else in the only other that has it."""
    found = [folder / name for folder in folders if os.path.isfile(folder / name)]
    if not found:
        below = " or a folder in it" if len(folders) > 1 else ""
        raise InputError(f"{here}: image {quoted(name)} is not there, expected it in {folders[0]}{below}")
    if len(found) > 1 and found[0] != folders[0] / name:
        raise InputError(f"{here}: {quoted(name)} is both {found[0]} and {found[1]}, expected one")
    return found[0]


def annotation_files(
    folder: Path, suffix: str, image_folder: StrPath | None = None
) -> Iterator[tuple[Path, Path]]:
    """Yield the files with a suffix in a folder and below, in natural order, each with its image.

    The image has the same stem and stands beside the file; with an `image_folder`, there or below. Files
    whose name begins with a dot are passed over.
    """
    images = None if image_folder is None else _images_by_stem(Path(image_folder))
    # Of many files, paths as plain text take far less memory.
    found: list[tuple[str, str]] = []
    for parent, names in walk(folder):
        beside = first_images(names)
        for name in names:
            stem, ending = os.path.splitext(name)
            if ending.lower() != suffix or stem.startswith("."):
                continue
            path = os.path.join(parent, name)
            if images is not None:
                places = images.get(stem, [])
            else:
                places = [os.path.join(parent, beside[stem])] if stem in beside else []
            if not places:
                where = "beside it" if images is None else f"in {image_folder} or below"
                raise InputError(f"{Path(path)}: no image {where}, expected {stem}.jpg, .png or the like")
            if len(places) > 1:
                first, second = map(Path, places[:2])
                raise InputError(f"{Path(path)}: its image may be {first} or {second}, expected one")
            found.append((path, places[0]))
    if not found:
        raise InputError(f"{folder}: expected {suffix} files in this folder or below it, found none")
    found.sort(key=lambda pair: natural_key(pair[0]))
    for path, image in found:
        yield Path(path), Path(image)


def walk(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield a folder and those below it, each with the sorted names of its files."""

    def refuse(error: OSError) -> NoReturn:
        raise InputError(f"{error.filename}: cannot be read: {error.strerror}") from None

    for parent, _, names in os.walk(folder, onerror=refuse):
        yield parent, sorted(names)


def first_images(names: list[str]) -> dict[str, str]:
    """Return stem -> the image of that stem among the names in a folder: the first in the alphabet."""
    split = ((name, *os.path.splitext(name)) for name in sorted(names, reverse=True))
    return {stem: name for name, stem, suffix in split if suffix.lower() in IMAGE_SUFFIXES}


def _images_by_stem(folder: Path) -> dict[str, list[str]]:
    images: dict[str, list[str]] = {}
    for parent, names in walk(folder):
        for stem, name in first_images(names).items():
            images.setdefault(stem, []).append(os.path.join(parent, name))
    return images


def check_number(value: Any, here: str, what: str) -> float:
    """Return a number from JSON as a float; `here` and `what` name the place and the item in the message."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= LARGEST_COORDINATE:
        raise InputError(f"{here}: {what} is {quoted(value)}, expected a number of pixels")
    return float(value)


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


def quoted(value: Any) -> str:
    """Return a text (or value) from a file for a message of one line: short, and without line breaks."""
    if isinstance(value, str):
        return repr(value if len(value) <= 60 else value[:57] + "...")
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else f"a list of {len(value)}"
    return "a number too large" if isinstance(value, int) and abs(value) > 10**60 else repr(value)


def csv_table(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield (line, cells): the header, then at least one row, all of one length."""
    reader = csv.reader((text for _, text in text_lines(path)), strict=True)
    rows = ((reader.line_num, [cell.strip() for cell in row]) for row in reader if row)
    try:
        line, header = next(rows, (1, []))
        double = next((name for i, name in enumerate(header) if name in header[:i]), None)
        if double is not None:
            raise InputError(f"{path}:{line}: column {quoted(double)} stands twice in the header")
        yield line, header
        header_line = line
        for line, cells in rows:
            if len(cells) != len(header):
                raise InputError(f"{path}:{line}: {len(cells)} cells, expected {len(header)} (the header's)")
            yield line, cells
    except csv.Error as error:
        raise InputError(f"{path}:{reader.line_num}: not a CSV table: {error}") from None
    if line == header_line:
        raise InputError(f"{path}:{line + 1}: expected rows below the header, found none")
