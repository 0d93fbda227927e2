"""The pixels of photos for the page: reduced, parts, and thumbnails, made when they are asked for."""

import io
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np

from ert._core.exceptions import InputError
from ert._core.images import image_size, load_image, load_preview
from ert._core.types import Pixels

_T = TypeVar("_T")
THUMBNAIL_PIXELS = 160
MAX_SIDE_PIXELS = 8192
_JPEG_QUALITY = 88
_THUMBNAIL_QUALITY = 80
# Photos of which parts are shown; a photo that is larger is read again for each part.
_PIXEL_CACHE_BYTES = 160_000_000
_JPEG_CACHE_BYTES = 24_000_000
_THUMBNAIL_CACHE_BYTES = 8_000_000
# Each of them may hold a whole photo in memory.
_MAX_READERS = 2


class _Cache(Generic[_T]):
    """The values used last, up to a number of bytes."""

    def __init__(self, max_bytes: int, size_of: Callable[[_T], int]) -> None:
        self._max_bytes, self._size_of = max_bytes, size_of
        self._values: OrderedDict[Hashable, _T] = OrderedDict()
        self._n_bytes = 0
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> _T | None:
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def put(self, key: Hashable, value: _T) -> None:
        size = self._size_of(value)
        if size > self._max_bytes:
            return
        self.make_room(size)
        with self._lock:
            if key not in self._values:
                self._values[key] = value
                self._n_bytes += size

    def make_room(self, n_bytes: int) -> None:
        """Drop values until there is room for so many bytes."""
        with self._lock:
            while self._values and self._n_bytes + n_bytes > self._max_bytes:
                _, old = self._values.popitem(last=False)
                self._n_bytes -= self._size_of(old)


class Photos:
    """Photos by their number; all methods may be called from several threads.

    Parameters
    ----------
    files : sequence of pathlib.Path
        The image files; those of a dataset say how they are read (EXIF, levels). None is opened before it is needed.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = files
        self._sizes: dict[int, tuple[str, tuple[int, int]]] = {}
        self._pixels = _Cache[Pixels](_PIXEL_CACHE_BYTES, lambda pixels: pixels.nbytes)
        self._jpegs = _Cache[bytes](_JPEG_CACHE_BYTES, len)
        self._thumbnails = _Cache[bytes](_THUMBNAIL_CACHE_BYTES, len)
        self._part_reader = threading.Lock()
        self._readers = threading.BoundedSemaphore(_MAX_READERS)

    def version(self, i: int) -> str:
        """Return a text that changes when the file of a photo is replaced.

        Raises
        ------
        InputError
            When there is no such file any more.
        """
        try:
            status = os.stat(self._files[i])
        except OSError as error:
            raise InputError(f"{self._files[i]}: cannot be read: {error.strerror}") from None
        return f"{status.st_mtime_ns:x}-{status.st_size:x}-{status.st_ino:x}"

    def size(self, i: int) -> tuple[int, int]:
        """Return width and height of the upright photo in pixels.

        Raises
        ------
        InputError
            When it cannot be read.
        """
        version = self.version(i)
        known = self._sizes.get(i)
        if known is None or known[0] != version:
            known = self._sizes[i] = version, image_size(self._files[i])
        return known[1]

    def jpeg(self, i: int, side: int, part: tuple[int, int, int, int] | None = None) -> bytes:
        """Return a photo, or its part (left, top, width, height within it), reduced to at most `side` pixels.

        Raises
        ------
        InputError
            When it cannot be read.
        """
        key = self.version(i), i, side, part
        found = self._jpegs.get(key)
        if found is None:
            with self._readers:
                found = _encode(self._reduced(i, key[0], side, part), side, _JPEG_QUALITY)
            self._jpegs.put(key, found)
        return found

    def thumbnail(self, i: int) -> bytes:
        """Return a photo reduced to `THUMBNAIL_PIXELS`.

        Raises
        ------
        InputError
            When it cannot be read.
        """
        key = self.version(i), i
        found = self._thumbnails.get(key)
        if found is None:
            with self._readers:
                found = _encode(load_preview(self._files[i], THUMBNAIL_PIXELS), THUMBNAIL_PIXELS, _THUMBNAIL_QUALITY)
            self._thumbnails.put(key, found)
        return found

    def _reduced(self, i: int, version: str, side: int, part: tuple[int, int, int, int] | None) -> Pixels:
        if part is None:
            return load_preview(self._files[i], side)
        left, top, width, height = part
        with self._part_reader:
            # A page asks for several parts of a photo at once.
            pixels = self._pixels.get((version, i))
            if pixels is None:
                columns, rows = self.size(i)
                self._pixels.make_room(3 * columns * rows)
                pixels = load_image(self._files[i])
                self._pixels.put((version, i), pixels)
        return pixels[top : top + height, left : left + width]


def _encode(pixels: Pixels, side: int, quality: int) -> bytes:
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(pixels))
    if max(image.size) > side:
        share = side / max(image.size)
        size = max(1, round(image.width * share)), max(1, round(image.height * share))
        image = image.resize(size, Image.Resampling.BOX if share < 0.25 else Image.Resampling.BICUBIC, reducing_gap=2.0)
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return stream.getvalue()
