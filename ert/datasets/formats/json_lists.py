"""Reading the lists of a large JSON file, one item at a time."""

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ert.datasets.parsing import open_binary, refusing_json

__all__ = [
    "json_lists",
]


_CHUNK = 1 << 18
_NO_BLANK = re.compile(r"[^ \t\n\r]")
# Of what JSON writes without quotes nothing is longer, except numbers.
_LONGEST_WORD = len("-Infinity")


def json_lists(path: Path) -> Iterator[tuple[str, Iterator[Any] | None]]:
    """Read the object that a JSON file is, its lists item by item.

    No more than an item is held, and what is read and what is refused is as by `json.load`, for every item
    is decoded by `json` itself.

    Parameters
    ----------
    path : pathlib.Path

    Yields
    ------
    key : str
        In the order of the file; one that stands twice comes twice.
    items : iterator or None
        The items of a list: those not taken before the next key are passed over. None for a value of another
        kind. A file that is JSON but no object has no keys.

    Raises
    ------
    InputError
        A file that cannot be read or is not JSON, to its end.
    """
    with open_binary(path) as stream, refusing_json(path):
        encoding = json.detect_encoding(stream.read(4))
        stream.seek(0)
        # Errors and ends of lines as `json.load` takes them.
        text = _Text(io.TextIOWrapper(stream, encoding, errors="surrogatepass", newline=""))
        if text.peek() == "{":
            for _ in text.entries("}"):
                key = text.key()
                items = _items(text, path) if text.peek() == "[" else None
                if items is None:
                    text.value()
                yield key, items
                for _ in items or ():
                    pass
        else:
            text.value()
        if text.peek():
            raise text.error("Extra data")


def _items(text: "_Text", path: Path) -> Iterator[Any]:
    with refusing_json(path):
        for _ in text.entries("]"):
            yield text.value()


class _Text:
    """The stretch of a JSON text that is being decoded."""

    def __init__(self, stream: io.TextIOWrapper) -> None:
        self._stream = stream
        self._decode = json.JSONDecoder().raw_decode
        self._text, self._at, self._lines_before = "", 0, 0

    def peek(self) -> str:
        """Pass over blanks and return the next character, "" at the end."""
        while True:
            match = _NO_BLANK.search(self._text, self._at)
            self._at = match.start() if match else len(self._text)
            if self._at < len(self._text) or not self._grow():
                return self._text[self._at : self._at + 1]

    def value(self) -> Any:
        """Decode the next value."""
        self.peek()
        while True:
            try:
                value, end = self._decode(self._text, self._at)
            except json.JSONDecodeError as error:
                # It may only be cut off by the end of the stretch.
                cut = error.msg.startswith("Unterminated") or error.pos >= len(self._text) - _LONGEST_WORD
                if not (cut and self._grow()):
                    raise self.error(error.msg, error.pos) from None
                continue
            # A number may go on, too, if only by the digit after "e+".
            if end + len("e+") < len(self._text) or not self._grow():
                self._at = end
                return value

    def key(self) -> str:
        """Decode the key of a value, and pass over its colon."""
        if self.peek() != '"':
            raise self.error("Expecting property name enclosed in double quotes")
        key: str = self.value()
        if self.peek() != ":":
            raise self.error("Expecting ':' delimiter")
        self._at += 1
        return key

    def entries(self, closing: str) -> Iterator[None]:
        """Pass over an opening bracket, the commas and the closing bracket; yield where an entry begins."""
        self._at += 1
        mark = self.peek()
        while mark != closing:
            yield
            mark = self.peek()
            if mark not in (",", closing):
                raise self.error("Expecting ',' delimiter")
            if mark == ",":
                self._at += 1
        self._at += 1

    def error(self, message: str, at: int | None = None) -> json.JSONDecodeError:
        """Return the error of `json` for a place in the stretch, the next character by default."""
        error = json.JSONDecodeError(message, self._text, self._at if at is None else at)
        error.lineno += self._lines_before
        return error

    def _grow(self) -> bool:
        """Drop what is decoded and read on; tell whether there was more. Twice the rest at the least."""
        more = self._stream.read(max(_CHUNK, len(self._text) - self._at))
        if more:
            self._lines_before += self._text.count("\n", 0, self._at)
            self._text, self._at = self._text[self._at :] + more, 0
        return bool(more)
