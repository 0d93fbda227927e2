"""Paths that say how their image is read, and a quick look at the header of an image file."""

import os
import sys
from io import BytesIO, RawIOBase
from typing import Any, Literal, TypeAlias

from ert._core.exceptions import InputError

if sys.platform == "win32":
    from pathlib import WindowsPath as _PlatformPath
else:
    from pathlib import PosixPath as _PlatformPath

# The pixel values that become 0 and 255, or "auto".
Levels: TypeAlias = tuple[float, float] | Literal["auto"]


class ImagePath(_PlatformPath):
    """The path of an image that is not read as :func:`ert.load_image` reads a plain path.

    It equals the plain path and has the same hash. Paths of other files that are derived from it, such as with
    `with_suffix`, are read as plain paths.

    Attributes
    ----------
    stored : bool
        Read the pixels as they are stored: a turn noted in the file (EXIF) is not applied.
    levels : (float, float), "auto" or None
        See :func:`ert.load_image`.
    """

    # Of the class, because methods of Path make paths without calling __init__.
    stored: bool = False
    levels: Levels | None = None

    def absolute(self) -> "ImagePath":
        """Return the absolute path, which is read in the same way."""
        return image_path(super().absolute(), self.stored, self.levels)

    def resolve(self, strict: bool = False) -> "ImagePath":
        """Return the path without symbolic links, which is read in the same way."""
        return image_path(super().resolve(strict), self.stored, self.levels)

    def __reduce__(self) -> tuple[Any, ...]:
        return image_path, (str(self), self.stored, self.levels)


def image_path(path: str | os.PathLike[str], stored: bool = False, levels: Levels | None = None) -> ImagePath:
    """Return the path of an image that is read as said."""
    result = ImagePath(path)
    result.stored, result.levels = stored, levels
    return result


class ImageURL(ImagePath):
    """An image in an object store, or whatever else fsspec reads: a path with the name of the file, and its URL.

    Attributes
    ----------
    url : str
        How tables and messages name the image.
    """

    url: str = ""

    def __reduce__(self) -> tuple[Any, ...]:
        return image_url, (self.url, self.stored, self.levels)


def image_url(url: str, stored: bool = False, levels: Levels | None = None) -> ImageURL:
    """Return the path of an image with a URL that is read as said."""
    result = ImageURL(url)
    result.url, result.stored, result.levels = url, stored, levels
    return result


def parse_levels(text: str) -> Levels:
    """Return the levels that a text such as "0,4095" or "auto" stands for."""
    if text == "auto":
        return "auto"
    try:
        low, high = map(float, text.split(","))
    except ValueError:
        raise InputError(f"levels {text!r}: expected two numbers MIN,MAX, or auto") from None
    return check_levels((low, high))


def check_levels(levels: Any) -> Levels:
    """Return levels that are "auto" or two finite numbers in ascending order."""
    if isinstance(levels, str) and levels == "auto":
        return "auto"
    try:
        low, high = map(float, levels)
    except (TypeError, ValueError):
        low = high = 0
    if not (low < high and high - low < float("inf")):
        raise InputError(f"levels {levels!r}: expected two numbers, the darkest and the brightest value, or 'auto'")
    return low, high


# Start of frame: the segments of a JPEG file that hold the size of the image.
_SIZE_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_EXIF_MARKER, _SCAN_MARKER = 0xE1, 0xDA
# Kinds of chunks of a PNG file, and the keywords at the start of texts with metadata.
_TEXT_CHUNKS = (b"tEXt", b"zTXt", b"iTXt")
_KEYWORDS = (b"Raw profile type exif\0", b"XML:com.adobe.xmp\0")
_MAX_KEYWORD_BYTES = max(map(len, _KEYWORDS))
# More than libpng writes for 250 megapixels.
_MAX_PNG_CHUNKS = 200_000
# Of a JPEG file all before the pixels, unless it has a preview or a long color profile.
_HEADER_BYTES = 8192


def quick_header(path: str | os.PathLike[str]) -> tuple[bool, tuple[int, int] | None]:
    """Return whether an image may have a turn noted in it, and the width and height of its pixels as stored.

    It takes a fifth of the time of Pillow, because of JPEG and PNG files only the headings of their parts are read;
    where that does not suffice, the answer is True and None. A file that cannot be read has no turn.
    """
    if not os.path.isfile(path):
        return False, None  # reading from a pipe would wait
    try:
        with open(path, "rb", buffering=0) as stream:
            start = stream.read(_HEADER_BYTES)
            if start[:2] == b"\xff\xd8":
                return _jpeg_header(BytesIO(start))
            if start[:8] == b"\x89PNG\r\n\x1a\n":
                return _png_may_turn(stream), None
    except OSError:
        return False, None
    # BMP, GIF and PNM note no turn.
    return start[:2] != b"BM" and start[:3] != b"GIF" and not (start[:1] == b"P" and start[1:2].isdigit()), None


def _jpeg_header(stream: BytesIO) -> tuple[bool, tuple[int, int] | None]:
    may_turn, size = False, None
    stream.seek(2)
    while True:
        segment = stream.read(4)
        if len(segment) < 4 or segment[:2] == b"\xff\xff":
            return True, size  # more to read, or fill bytes, which are rare
        if segment[0] != 0xFF:
            return may_turn, size
        marker, n_bytes = segment[1], int.from_bytes(segment[2:], "big")
        if marker == _SCAN_MARKER:
            return may_turn, size
        may_turn |= marker == _EXIF_MARKER
        if marker in _SIZE_MARKERS:
            frame = stream.read(5)
            size = int.from_bytes(frame[3:], "big"), int.from_bytes(frame[1:3], "big")
            n_bytes -= 5
        stream.seek(n_bytes - 2, os.SEEK_CUR)


def _png_may_turn(stream: RawIOBase) -> bool:
    stream.seek(8)
    for _ in range(_MAX_PNG_CHUNKS):
        heading = stream.read(8 + _MAX_KEYWORD_BYTES)
        kind = heading[4:8]
        if kind == b"eXIf" or (kind in _TEXT_CHUNKS and heading[8:].startswith(_KEYWORDS)):
            return True
        if not kind.isalpha() or kind == b"IEND":
            return False
        # Behind the data and their checksum.
        stream.seek(int.from_bytes(heading[:4], "big") + 12 - len(heading), os.SEEK_CUR)
    return False


def is_stored(path: object) -> bool:
    """Return whether the path of an image says that its pixels are read as they are stored."""
    return isinstance(path, ImagePath) and path.stored
