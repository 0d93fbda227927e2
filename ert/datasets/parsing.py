"""One annotated object, and what all formats share: text, numbers, names, JSON, tables and images."""

import hashlib
import json
import math
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeVar

from ert._core.exceptions import InputError
from ert._core.exceptions import quoted as quoted
from ert._core.files import check_input
from ert._core.images import image_size, load_image
from ert._core.runtime import count_threads
from ert._core.threads import map_in_threads
from ert._core.types import Box

_T = TypeVar("_T")
Point = tuple[float, float]
BOX_COLUMNS = ("left", "top", "width", "height")
# Beyond any image, but sums and squares of coordinates stay finite.
MAX_COORDINATE = 1e9
# Coordinates are written to a millionth of a pixel.
DECIMALS = 6
# Not allowed in names: control characters, lone surrogates, leading or trailing whitespace, empty names.
_INVALID_NAME = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff\ufffd-\uffff]|^\s|\s$|^$")


@dataclass(frozen=True, slots=True)
class Annotation:
    """One annotated object, as it is in the file; the loader leaves out what cannot be used."""

    file: Path  # the image, absolute or relative to the current folder
    box: Box | None  # None if the file has no boxes
    landmarks: dict[str, Point]  # name -> (x, y); a missing landmark is absent, or NaN, NaN
    where: str  # place of the object (file, line, box), the prefix of error messages
    fault: str | None = None  # error message if the object cannot be used, but reading can go on
    label: str | None = None  # its category in a COCO file, or label in an imglab file
    notes: tuple[str, ...] = ()  # what the reader passed over; each different one is printed once, with a count
    id: str | None = None  # the user's number or name of the object
    scale: float | None = None  # length of a pixel in the user's unit
    size: tuple[int, int] | None = None  # width and height of the image, where the file gives them
    std: dict[str, float] | None = None  # name -> standard error of a predicted landmark in pixels


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
    check_input(path, "a file of annotations")
    try:
        return path.open("rb")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None


def check_name(name: str, format: str) -> str:
    """Return a landmark or file name; raise InputError if the format cannot store it."""
    if _INVALID_NAME.search(name):
        raise InputError(f"{quoted(name)} is not a valid name in {format}, expected one line of text")
    return name


# --- numbers ---


def read_number(text: str, here: str, what: str) -> float:
    """Parse a coordinate in pixels; `here` and `what` are place and item for the error message."""
    try:
        value = math.nan if "_" in text else float(text)
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


# --- JSON ---


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
    # Image decoders release the GIL, so threads are enough.
    unique = list(dict.fromkeys(files))
    results = map_in_threads(read, unique, min(count_threads(n_jobs), len(unique) or 1))
    return dict(zip(unique, progress(results), strict=True))
