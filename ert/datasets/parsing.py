"""One annotated object, and what all formats share: text, numbers, names, JSON, tables and images."""

import codecs
import csv
import hashlib
import json
import math
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, NoReturn, TypeVar

from ert._core.exceptions import InputError
from ert._core.exceptions import quoted as quoted
from ert._core.images import image_size, load_image
from ert._core.types import Box, StrPath

_T = TypeVar("_T")
Point = tuple[float, float]
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
BOX_COLUMNS = ("left", "top", "width", "height")
# Beyond any image, but sums and squares of coordinates stay finite.
MAX_COORDINATE = 1e9
# Coordinates are written to a millionth of a pixel.
DECIMALS = 6
# Not allowed in names: control characters, lone surrogates, leading or trailing whitespace, empty names.
_INVALID_NAME = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff\ufffd-\uffff]|^\s|\s$|^$")


@dataclass(frozen=True, slots=True)
class Annotation:
    """One annotated object."""

    file: Path  # the image, absolute or relative to the current folder
    box: Box | None  # None if the file has no boxes
    landmarks: dict[str, Point]  # name -> (x, y); a missing landmark is absent, or NaN, NaN
    where: str  # place of the object (file, line, box), the prefix of error messages


def natural_key(text: str) -> tuple[str, str]:
    """Return a sort key that orders "2" before "10": digits compare as numbers, the rest as text."""

    def number_key(match: re.Match[str]) -> str:
        # A number with more digits is larger. The leading NUL sorts numbers before all text.
        digits = match[0].lstrip("0")
        return f"\0{chr(min(len(digits), sys.maxunicode))}{digits}"

    return re.sub("[0-9]+", number_key, text), text


def first_duplicate(items: Iterable[str]) -> str | None:
    """Return the first item that equals an earlier one, or None."""
    seen: set[str] = set()
    for item in items:
        if item in seen:
            return item
        seen.add(item)
    return None


# --- text ---


def open_binary(path: Path) -> BinaryIO:
    """Open a file for reading; an OSError becomes an InputError with the path."""
    try:
        return path.open("rb")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the number and text of each line; bytes that are not UTF-8 become an InputError."""
    with open_binary(path) as stream:
        for line, raw in enumerate(stream, 1):
            text = (raw.removeprefix(codecs.BOM_UTF8) if line == 1 else raw).decode(errors="replace")
            if "\ufffd" in text or "\0" in text:
                raise InputError(f"{path}:{line}: bytes that are not UTF-8 text")
            yield line, text


def check_name(name: str, format: str) -> str:
    """Return a landmark or file name; raise InputError if the format cannot store it."""
    if _INVALID_NAME.search(name):
        raise InputError(f"{quoted(name)} is not a valid name in {format}, expected one line of text")
    return name


# --- numbers ---


def read_number(text: str, here: str, what: str) -> float:
    """Parse a coordinate in pixels; `here` and `what` are place and item for the error message."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not abs(value) <= MAX_COORDINATE:
        raise InputError(f"{here}: {what} is {quoted(text)}, expected a number of pixels")
    return value


def check_number(value: Any, here: str, what: str) -> float:
    """Return a JSON number as float; like `read_number`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= MAX_COORDINATE:
        raise InputError(f"{here}: {what} is {quoted(value)}, expected a number of pixels")
    return float(value)


def read_point(x: str, y: str, here: str, x_label: str = "x", y_label: str = "y") -> Point:
    """Parse x and y; if both are empty or "nan", the landmark is missing: NaN, NaN."""
    if {x.lower(), y.lower()} <= {"", "nan"}:
        return math.nan, math.nan
    return read_number(x, here, x_label), read_number(y, here, y_label)


def format_number(value: float) -> str:
    """Return a number with up to `DECIMALS` decimals, without trailing zeros; NaN as "nan"."""
    text = f"{value:.{DECIMALS}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


# --- JSON and CSV ---


def read_json(path: Path) -> Any:
    """Read a JSON file; errors, also duplicate keys, become an InputError with the file and the line."""

    def check_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        duplicate = first_duplicate(key for key, _ in pairs)
        if duplicate is not None:
            raise InputError(f"{path}: duplicate key {quoted(duplicate)}")
        return dict(pairs)

    with open_binary(path) as stream:
        try:
            return json.load(stream, object_pairs_hook=check_keys)
        except InputError:
            raise
        except json.JSONDecodeError as error:
            message = f"{path}:{error.lineno}: invalid JSON: {error.msg} (column {error.colno})"
            raise InputError(message) from None
        except RecursionError:
            raise InputError(f"{path}: invalid JSON: lists or objects nested too deep") from None
        except UnicodeDecodeError:
            raise InputError(f"{path}: invalid JSON: bytes that are not text") from None
        except ValueError:
            raise InputError(f"{path}: invalid JSON: a number with too many digits") from None


def csv_table(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield (line, cells) of a CSV file: the header, then at least one row, all of the same length."""
    reader = csv.reader((text for _, text in text_lines(path)), strict=True)
    rows = ((reader.line_num, [cell.strip() for cell in row]) for row in reader if row)
    try:
        line, header = next(rows, (1, []))
        duplicate = first_duplicate(header)
        if duplicate is not None:
            raise InputError(f"{path}:{line}: duplicate column {quoted(duplicate)}")
        yield line, header
        header_line = line
        for line, cells in rows:
            if len(cells) != len(header):
                raise InputError(f"{path}:{line}: {len(cells)} cells, expected {len(header)} as in the header")
            yield line, cells
    except csv.Error as error:
        raise InputError(f"{path}:{reader.line_num}: invalid CSV: {error}") from None
    if line == header_line:
        raise InputError(f"{path}:{line + 1}: expected rows below the header, found none")


# --- images ---


class Picture(NamedTuple):
    """The size of an image, a digest of its pixels, and the error if it cannot be read (else None)."""

    width: int
    height: int
    digest: str
    error: str | None


def read_picture(file: Path) -> Picture:
    """Read an image; an unreadable one has size 0, 0, an empty digest and an error message."""
    try:
        image = load_image(file)
    except InputError as error:
        return Picture(0, 0, "", str(error))
    digest = hashlib.blake2b(repr(image.shape).encode(), digest_size=16)
    digest.update(image.data)
    return Picture(image.shape[1], image.shape[0], digest.hexdigest(), None)


def read_size(file: Path) -> tuple[int, int] | None:
    """Return width and height of an image in pixels, or None if it is unreadable."""
    try:
        return image_size(file)
    except InputError:
        return None


def read_images(
    read: Callable[[Path], _T],
    files: Iterable[Path],
    n_jobs: int = -1,
    progress: Callable[[Iterable[Any]], Iterable[Any]] = iter,
) -> dict[Path, _T]:
    """Call `read_picture` or `read_size` in `n_jobs` threads (-1: one per processor), once for each different file.

    `progress` wraps the iterator over the results, for example ``tqdm``. The result is file -> result, in the order
    of `files`.
    """
    from joblib import Parallel, delayed

    # Image decoders release the GIL, so threads are enough.
    unique = list(dict.fromkeys(files))
    parallel = Parallel(n_jobs=n_jobs, prefer="threads", return_as="generator")
    return dict(zip(unique, progress(parallel(delayed(read)(file) for file in unique)), strict=True))


def image_folders(path: Path, image_folder: StrPath | None) -> list[Path]:
    """Return the folders to search for images: `image_folder`, or the folder of `path` and its subfolders."""
    if image_folder is not None:
        return [Path(image_folder)]
    return [path.parent, *sorted(entry for entry in path.parent.glob("*") if entry.is_dir())]


def find_image(name: str, folders: list[Path], here: str) -> Path:
    """Return the image file `name` in the first folder, or in the only other folder that contains it."""
    found = [folder / name for folder in folders if os.path.isfile(folder / name)]
    if not found:
        below = " or its subfolders" if len(folders) > 1 else ""
        raise InputError(f"{here}: image {quoted(name)} not found, expected it in {folders[0]}{below}")
    if len(found) > 1 and found[0] != folders[0] / name:
        raise InputError(f"{here}: ambiguous image name {quoted(name)} ({found[0]} or {found[1]}); give a path")
    return found[0]


def _find_pairs(folder: Path, suffix: str, image_folder: StrPath | None) -> list[tuple[str, str]]:
    """Return (annotation file, image) for all files with a suffix in a folder and its subfolders, in natural order.

    The image has the same stem and is in the same folder, or in `image_folder` or a subfolder of it. Hidden files are
    skipped.
    """
    images: dict[str, list[str]] = {}
    if image_folder is not None:
        for parent, names in walk(Path(image_folder)):
            for stem, name in image_by_stem(names).items():
                images.setdefault(stem, []).append(os.path.join(parent, name))
    # Strings, because a million Path objects take several times the memory.
    found: list[tuple[str, str]] = []
    for parent, names in walk(folder):
        if image_folder is None:
            images = {stem: [os.path.join(parent, name)] for stem, name in image_by_stem(names).items()}
        for name in names:
            stem, ending = os.path.splitext(name)
            if ending.lower() != suffix or stem.startswith("."):
                continue
            path = os.path.join(parent, name)
            candidates = images.get(stem, [])
            if not candidates:
                where = "beside it" if image_folder is None else f"in {image_folder} or its subfolders"
                raise InputError(f"{Path(path)}: no image {where}, expected {stem}.jpg, .png or similar")
            if len(candidates) > 1:
                either = " or ".join(str(Path(image)) for image in candidates[:2])
                raise InputError(f"{Path(path)}: ambiguous image ({either}), expected one")
            found.append((path, candidates[0]))
    if not found:
        raise InputError(f"{folder}: expected {suffix} files in this folder or its subfolders, found none")
    return sorted(found, key=lambda pair: natural_key(pair[0]))


def walk(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield a folder and its subfolders, each with the sorted names of its files."""

    def refuse(error: OSError) -> NoReturn:
        raise InputError(f"{error.filename}: cannot be read: {error.strerror}") from None

    for parent, _, names in os.walk(folder, onerror=refuse):
        yield parent, sorted(names)


def image_by_stem(names: list[str]) -> dict[str, str]:
    """Return stem -> image name for the files of one folder; of equal stems, the first in the alphabet."""
    split = ((name, *os.path.splitext(name)) for name in sorted(names, reverse=True))
    return {stem: name for name, stem, suffix in split if suffix.lower() in IMAGE_SUFFIXES}


def read_folder(
    folder: StrPath,
    suffix: str,
    read_file: Callable[[Path], tuple[str, dict[str, Point]]],
    image_folder: StrPath | None,
) -> Iterator[Annotation]:
    """Read all files with a suffix in a folder and its subfolders; all have the same landmarks and no box.

    `read_file` returns the place where the file states its number of landmarks ("file" or "file:line"), and the
    landmarks.
    """
    first, names = "", list[str]()
    for file, image in _find_pairs(Path(folder), suffix, image_folder):
        path = Path(file)
        here, landmarks = read_file(path)
        if not first:
            first, names = str(path), list(landmarks)
        if len(landmarks) != len(names):
            raise InputError(f"{here}: {len(landmarks)} landmarks, expected {len(names)} as in {first}")
        if list(landmarks) != names:
            raise InputError(f"{here}: other landmark names than in {first}, expected the same")
        yield Annotation(Path(image), None, landmarks, str(path))
