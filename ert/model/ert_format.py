r"""The compact model file, `.ert`: a header in JSON, then the arrays; nothing in it is ever executed.

    offset 0    8 bytes   magic "\x89ERTmdl\n"
           8    u32       format version, 1
          12    u32       length h of the header
          16    u32       CRC-32 of the whole file but these four bytes
          20    h bytes   header, JSON in UTF-8, padded with spaces to a multiple of 64
                          {"arrays": [[name, dtype, shape], ...], ... the rest describes the model};
                          at most 2 MB; several cascades: see :mod:`ert.model.members`
      20 + h    the arrays one after the other, little-endian, C order, each padded to a multiple of 64;
                compressed, they are one zlib stream of "inflated_bytes", at most 8 times as many as its own
                (its code has no word shorter than a bit)

Equal models give equal bytes: the header's keys are sorted and hold no date. The size of a file is known from its
header, and is checked before the arrays are read.
"""

import json
import math
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ert._core.exceptions import InputError, one_line
from ert._core.files import check_input, write_atomically
from ert.model.limits import MAX_FILE_BYTES, MAX_HEADER_BYTES

MAGIC = b"\x89ERTmdl\n"
FORMAT_VERSION = 1
_START = struct.Struct("<8sII")
_CHECKSUM = struct.Struct("<I")
_PREFIX_SIZE = _START.size + _CHECKSUM.size
# What is often downloaded in place of a model, by how it begins.
_DOWNLOADS = {
    b"BZh": "is compressed with bzip2: unpack it first, with bunzip2 or 7-Zip",
    b"PK\x03\x04": "is a zip archive: unpack it first",
    b"\x1f\x8b": "is compressed with gzip: unpack it first",
    b"version https:": "is a pointer of Git LFS, not the model itself: fetch it with git lfs pull",
    b"<": "is a web page or an XML file, not a model",
}
_ALIGN = 64
_DTYPES = ("|u1", "|i1", "<u2", "<i2", "<i4", "<f4", "<f8")
_MAX_DIMENSIONS = 4
_UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError, zlib.error)
# Bytes of arrays for each byte of a compressed stream, and levels of lists and objects in a header, at most.
MAX_INFLATION = 8
MAX_HEADER_LEVELS = 8
_INFLATED_AT_ONCE = 2**18


def write_model_file(
    path: str | os.PathLike[str], header: dict[str, Any], arrays: dict[str, npt.NDArray[Any]], compress: bool = False
) -> None:
    """Write a model file, atomically.

    Parameters
    ----------
    header : dict
        JSON-able, without the key "arrays".
    compress : bool
        About half the size, which takes longer to read.

    Raises
    ------
    InputError
        When the file cannot be written.
    """
    listed = [(name, np.asarray(array, order="C")) for name, array in arrays.items()]
    index = [[name, array.dtype.newbyteorder("<").str, list(array.shape)] for name, array in listed]
    header = header | {"arrays": index}
    body = []
    for _, array in listed:
        data = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
        body.append(data + b"\0" * (-len(data) % _ALIGN))
    content = b"".join(body)
    if compress:
        header["inflated_bytes"] = len(content)
        # Leaves have no repeated byte strings: searching for them takes time and gains nothing.
        deflate = zlib.compressobj(strategy=zlib.Z_HUFFMAN_ONLY)
        content = deflate.compress(content) + deflate.flush()
    text = json.dumps(header, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-(_PREFIX_SIZE + len(text)) % _ALIGN)
    if len(text) > MAX_HEADER_BYTES:
        raise InputError(
            f"{path}: names, notes and history take {len(text)} bytes, expected at most {MAX_HEADER_BYTES}"
        )
    joined = text + content
    with write_atomically(path, "model") as temporary, open(temporary, "wb") as file:
        start = _START.pack(MAGIC, FORMAT_VERSION, len(text))
        file.write(start + _CHECKSUM.pack(zlib.crc32(joined, zlib.crc32(start))) + joined)


def check_download(path: Path, start: bytes) -> None:
    """Raise InputError where the first bytes are those of a file that is often downloaded in place of a model."""
    for first, text in _DOWNLOADS.items():
        if start.lstrip().startswith(first):
            raise InputError(f"{path}: {text}")


def read_model_file(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """Read a model file.

    Returns
    -------
    header : dict
    arrays : dict of ndarray
        Read-only views of the file's bytes.

    Raises
    ------
    InputError
        When the file cannot be read, is corrupt, truncated, not an .ert file, or from a newer version.
    """
    path = Path(path)
    with open_model_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        start = file.read(_PREFIX_SIZE)
        if start[: len(MAGIC)] != MAGIC:
            check_download(path, start)
            raise InputError(f"{path}: is not an ert model file (.ert), nor named as dlib's (.dat)")
        if len(start) < _PREFIX_SIZE:
            raise InputError(f"{path}: the model file is truncated: {size} bytes")
        _, version, length = _START.unpack_from(start)
        (checksum,) = _CHECKSUM.unpack_from(start, _START.size)
        if version != FORMAT_VERSION:
            raise InputError(
                f"{path}: model file version {version}, this ert reads version {FORMAT_VERSION}: update ert"
            )
        if length > MAX_HEADER_BYTES:
            raise InputError(f"{path}: a header of {length} bytes, expected at most {MAX_HEADER_BYTES}")
        text = file.read(length)
        if len(text) < length:
            raise InputError(f"{path}: the model file is truncated in its header")
        try:
            header = json.loads(text)
            _check_json(header)
            index, n_bytes = _read_index(header.pop("arrays"))
            compressed = "inflated_bytes" in header
            inflated = header.pop("inflated_bytes", n_bytes)
            if type(inflated) is not int or inflated != n_bytes:
                raise ValueError(f"its arrays are of {n_bytes} bytes, inflated_bytes is {inflated!r}")
            _check_size(size - file.tell(), n_bytes, compressed)
            content = file.readall()
            if zlib.crc32(content, zlib.crc32(text, zlib.crc32(start[: _START.size]))) != checksum:
                raise InputError("corrupt or truncated: its checksum does not match")
            memory = _inflate(content, n_bytes) if compressed else content
            arrays = {
                name: np.frombuffer(memory, dtype, math.prod(shape), offset).reshape(shape)
                for name, (dtype, shape, offset) in index.items()
            }
        except InputError as error:
            raise InputError(f"{path}: the model file is {error}") from error
        except _UNREADABLE as error:
            raise InputError(f"{path}: the model file's header cannot be read: {one_line(str(error))}") from error
    return header, arrays


@contextmanager
def open_model_file(path: str | os.PathLike[str], expected: str = "a model file") -> Iterator[FileIO]:
    """Open a model file to read, of either format.

    Raises
    ------
    InputError
        When it cannot be read, is no regular file, or is too large.
    """
    path = check_input(path, expected)
    if (size := path.stat().st_size) > MAX_FILE_BYTES:
        raise InputError(f"{path}: a file of {size} bytes, expected at most {MAX_FILE_BYTES}")
    try:
        # Not buffered: that would copy the arrays once more.
        with FileIO(path) as file:
            yield file
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    except MemoryError as error:
        raise InputError(f"{path}: cannot be read: out of memory") from error


def _check_json(value: Any, levels: int = MAX_HEADER_LEVELS) -> None:
    """Check that a part of a header can be printed and written again: numbers are finite and text is Unicode."""
    if isinstance(value, (dict, list)):
        if levels == 0:
            raise ValueError(f"lists and objects in more than {MAX_HEADER_LEVELS} levels")
        for item in value:
            _check_json(item, levels - 1)
        for item in value.values() if isinstance(value, dict) else ():
            _check_json(item, levels - 1)
    elif isinstance(value, str):
        # Half of a character outside the basic plane cannot be encoded.
        value.encode()
    elif isinstance(value, (int, float)) and not abs(value) < 2**63:
        raise ValueError("a number that is not finite, or too large")


def _read_index(entries: Any) -> tuple[dict[str, tuple[str, tuple[int, ...], int]], int]:
    """Return the type, shape and place of each array by name, and the bytes of all."""
    index, offset = {}, 0
    for name, dtype, shape in entries:
        sizes = tuple(shape)
        whole = all(type(size) is int for size in sizes)
        if dtype not in _DTYPES or not 0 < len(sizes) <= _MAX_DIMENSIONS or not whole or min(sizes) < 0:
            raise ValueError(f"array {name!r} of type {dtype!r} and shape {shape} cannot be read")
        index[str(name)] = dtype, sizes, offset
        size = math.prod(sizes) * np.dtype(dtype).itemsize
        offset += size + -size % _ALIGN
    return index, offset


def _check_size(n_read: int, n_bytes: int, compressed: bool) -> None:
    """Check the bytes that are left in a file against those of its arrays, before they are read."""
    least = most = n_bytes
    if compressed:
        # What cannot be compressed grows by a few bytes for each block.
        least, most = n_bytes // MAX_INFLATION, n_bytes + n_bytes // 100 + 1000
    if n_read < least:
        ratio = f", and compression is {MAX_INFLATION}:1 at most" if compressed else ""
        raise InputError(f"truncated: {n_read} bytes for arrays of {n_bytes}{ratio}")
    if n_read > most:
        raise InputError(f"longer than its arrays: {n_read} bytes for {n_bytes}")


def _inflate(stream: bytes, size: int) -> npt.NDArray[np.uint8]:
    """Decompress a stream of a known size: a corrupt one could grow without end."""
    inflater, content, place = zlib.decompressobj(), np.empty(size, np.uint8), 0
    for first in range(0, len(stream), _INFLATED_AT_ONCE):
        rest = stream[first : first + _INFLATED_AT_ONCE]
        while rest and place <= size:
            # Some at a time: zlib has twice in memory what it returns.
            part = np.frombuffer(inflater.decompress(rest, _INFLATED_AT_ONCE), np.uint8)
            content[place : place + len(part)] = part[: size - place]
            place += len(part)
            rest = inflater.unconsumed_tail
    if place != size or not inflater.eof:
        raise ValueError(f"its arrays are not of {size} bytes, as its header has it")
    content.flags.writeable = False
    return content
