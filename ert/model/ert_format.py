r"""The compact model file, `.ert`: a header in JSON, then the arrays; nothing in it is ever executed.

    offset 0    8 bytes   magic "\x89ERTmdl\n"
           8    u32       format version, 1
          12    u32       length h of the header
          16    u32       CRC-32 of the whole file but these four bytes
          20    h bytes   header, JSON in UTF-8, padded with spaces to a multiple of 64
                          {"arrays": [[name, dtype, shape], ...], ... the rest describes the model}
      20 + h    the arrays one after the other, little-endian, C order, each padded to a multiple of 64;
                compressed, they are one zlib stream of "inflated_bytes"

Equal models give equal bytes: the header's keys are sorted and hold no date.
"""

import json
import math
import os
import struct
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

from ert._core.exceptions import InputError
from ert._core.files import check_input, write_atomically

MAGIC = b"\x89ERTmdl\n"
FORMAT_VERSION = 1
_START = struct.Struct("<8sII")
_CHECKSUM = struct.Struct("<I")
_PREFIX_SIZE = _START.size + _CHECKSUM.size
_ALIGN = 64
_DTYPES = ("|u1", "|i1", "<u2", "<i2", "<i4", "<f4", "<f8")
_MAX_DIMENSIONS = 4
_UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError, zlib.error)


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
    joined = text + content
    with write_atomically(path, "model") as temporary, open(temporary, "wb") as file:
        start = _START.pack(MAGIC, FORMAT_VERSION, len(text))
        file.write(start + _CHECKSUM.pack(zlib.crc32(joined, zlib.crc32(start))) + joined)


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
    path = check_input(path, "a model file")
    try:
        with path.open("rb") as file:
            data = file.read(len(MAGIC))
            # Nothing large is read of a file of another kind.
            data += file.read() if data == MAGIC else b""
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    if data[: len(MAGIC)] != MAGIC:
        raise InputError(f"{path}: is not an ert model file (.ert), nor named as dlib's (.dat)")
    if len(data) < _PREFIX_SIZE:
        raise InputError(f"{path}: the model file is truncated: {len(data)} bytes")
    _, version, length = _START.unpack_from(data)
    (checksum,) = _CHECKSUM.unpack_from(data, _START.size)
    if version != FORMAT_VERSION:
        raise InputError(f"{path}: model file version {version}, this ert reads version {FORMAT_VERSION}: update ert")
    everything = memoryview(data)
    if zlib.crc32(everything[_PREFIX_SIZE:], zlib.crc32(everything[: _START.size])) != checksum:
        raise InputError(f"{path}: the model file is corrupt or truncated: its checksum does not match")
    try:
        header = json.loads(data[_PREFIX_SIZE : _PREFIX_SIZE + length])
        arrays = {}
        offset = _PREFIX_SIZE + length
        if "inflated_bytes" in header:
            data, offset = _inflate(everything[offset:], header.pop("inflated_bytes")), 0
        for name, dtype, shape in header.pop("arrays"):
            if dtype not in _DTYPES or not 0 < len(shape) <= _MAX_DIMENSIONS or min(shape) < 0:
                raise InputError(f"{path}: array {name!r} of type {dtype!r} and shape {shape} cannot be read")
            count = math.prod(shape)
            size = count * np.dtype(dtype).itemsize
            if offset + size > len(data):
                raise InputError(f"{path}: the model file is truncated in its array {name!r}")
            arrays[str(name)] = np.frombuffer(data, dtype, count, offset).reshape(shape)
            offset += size + -size % _ALIGN
    except _UNREADABLE as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: the model file's header cannot be read: {error}") from error
    return header, arrays


def _inflate(stream: memoryview, size: int) -> bytes:
    """Decompress a stream of a known size: a corrupt one could grow without end."""
    inflater = zlib.decompressobj()
    # One byte more, so that the end of a stream of the right length is read as well.
    content = inflater.decompress(stream, max(size, 0) + 1)
    if len(content) != size or not inflater.eof:
        raise ValueError(f"its arrays are not of {size} bytes, as its header has it")
    return content
