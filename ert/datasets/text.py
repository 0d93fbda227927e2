"""Text files as other programs write them: encodings, ends of lines, and what old systems put at the end."""

import codecs
import io
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ert._core.exceptions import InputError
from ert.datasets.parsing import open_binary

_CHUNK_BYTES = 1 << 20
_UTF16_MARKS = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
# Systems before Windows end a text with Ctrl-Z.
_END_OF_TEXT = "\x1a"


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    r"""Yield the number and text of each line; it ends with ``\n``, ``\r\n`` or ``\r``.

    The text is UTF-8, UTF-16, or Windows-1252, which contains the letters of Latin-1. Other bytes, and a mixture of
    UTF-8 and Windows-1252, are an InputError.
    """
    with open_binary(path) as stream:
        encoding = _find_encoding(stream, path)
        stream.seek(0)
        with io.TextIOWrapper(stream, encoding, errors="replace") as text:
            for line, row in enumerate(text, 1):
                if "\ufffd" in row or "\0" in row:
                    raise _not_text(path, line)
                if line == 1:
                    row = row.removeprefix("\ufeff")
                if _END_OF_TEXT in row:
                    row = row.strip(_END_OF_TEXT + "\n")
                    if _END_OF_TEXT in row:
                        raise InputError(f"{path}:{line}: Ctrl-Z inside a line, expected it at the end of the text")
                yield line, row


def _find_encoding(stream: BinaryIO, path: Path) -> str:
    """Return the encoding of a text from its first bytes or, without a mark, from all of them."""
    chunk = stream.read(_CHUNK_BYTES)
    encoding = _UTF16_MARKS.get(chunk[:2], "utf-8")
    if encoding == "utf-8" and (chunk[:1] == b"\0") != (chunk[1:2] == b"\0"):
        encoding = "utf-16-be" if chunk[:1] == b"\0" else "utf-16-le"
    decoder, n_lines = codecs.getincrementaldecoder(encoding)(), 1
    try:
        while chunk:
            text = decoder.decode(chunk)
            if "\0" in text:
                # At once: the line may be as long as a disk.
                before = text[: text.index("\0")].replace("\r\n", "\n").replace("\r", "\n")
                raise _not_text(path, n_lines + before.count("\n"))
            n_lines += text.count("\n") or text.count("\r")
            chunk = stream.read(_CHUNK_BYTES)
        decoder.decode(b"", True)
    except UnicodeDecodeError:
        if encoding == "utf-8":
            stream.seek(0)
            _check_windows_text(stream, path)
            return "cp1252"
    return encoding


def _not_text(path: Path, line: int) -> InputError:
    return InputError(f"{path}:{line}: bytes that are not text (UTF-8, UTF-16 or Windows-1252)")


def _check_windows_text(stream: BinaryIO, path: Path) -> None:
    """Raise InputError if some lines are UTF-8 and others are not, so that neither encoding is right for all."""
    first: int | None = None
    is_mixed = False
    for line, row in enumerate(stream, 1):
        if row.isascii():
            continue
        try:
            row.decode()
            is_mixed = True
        except UnicodeDecodeError:
            first = first or line
        if is_mixed and first:
            raise InputError(f"{path}:{first}: bytes that are not UTF-8 text, as in other lines")
