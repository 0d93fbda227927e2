"""The journal of an annotation: a line of JSON for each change, on disk before the change is answered."""

import json
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from ert._core.exceptions import InputError
from ert._core.files import check_input

fcntl: Any
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

# Without the line, a photo may have an earlier state than the file of annotations.
NO_LINE = "no line of a journal of ert annotate: put a copy of it from before in its place, or rename it to begin anew"
# A journal that has more bytes than this, of which states that were replaced since are the larger part, is shortened.
_SHORTEN_BYTES = 8_000_000
# Of these only the last one counts, for each photo or at all; of other kinds every entry is kept.
_REPLACED_KINDS = {"photo": "image", "names": None}


class Journal:
    """An open journal; while it is open, no second server can open it.

    Parameters
    ----------
    path : pathlib.Path
        It is created if it does not exist. A line that a killed process did not finish is cut off.

    Raises
    ------
    InputError
        When another server has it open, it is no journal, or it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        try:
            self._number = _open_locked(path)
            self._size = _cut_unfinished_line(self._number)
        except OSError as error:
            raise InputError(f"{path}: cannot be written: {error.strerror or error}") from None

    def append(self, entry: dict[str, Any]) -> None:
        """Write an entry; InputError when that fails, and then it is not in the journal."""
        line = (json.dumps(entry, separators=(",", ":"), allow_nan=False) + "\n").encode()
        with self._lock:
            try:
                _write(self._number, line)
            except OSError as error:
                # A part of a line would make the next one unreadable.
                with suppress(OSError):
                    os.ftruncate(self._number, self._size)
                raise InputError(f"{self.path}: cannot be written: {error.strerror or error}") from None
            self._size += len(line)

    def sync(self) -> None:
        """Return when all that was appended is on the disk, and not only in the memory of the system."""
        try:
            os.fsync(self._number)
        except OSError as error:
            raise InputError(f"{self.path}: cannot be written: {error.strerror or error}") from None

    def read(self) -> Iterator[dict[str, Any]]:
        """Yield all entries, the first one first.

        Raises
        ------
        InputError
            For a line that is none.
        """
        for line, text in _lines(self.path):
            yield _parse(self.path, line, text)

    def entries(self, kind: str) -> list[dict[str, Any]]:
        """Return the entries of a kind."""
        # Most lines are of other kinds, and need not be parsed.
        start = json.dumps({"kind": kind}, separators=(",", ":"))[1:-1].encode()
        found = ((line, text) for line, text in _lines(self.path) if start in text)
        entries = (_parse(self.path, line, text) for line, text in found)
        return [entry for entry in entries if entry.get("kind") == kind]

    def shorten(self) -> None:
        """Drop states that were replaced since, if they are the larger part of a long journal."""
        if self._size < _SHORTEN_BYTES:
            return
        kept: dict[Any, tuple[int, int]] = {}
        for line, text in _lines(self.path):
            entry = _parse(self.path, line, text)
            kind = entry["kind"]
            key = (kind, entry.get(_REPLACED_KINDS[kind] or "")) if kind in _REPLACED_KINDS else line
            kept[key] = line, len(text)
        if sum(size for _, size in kept.values()) > self._size / 2:
            return
        wanted = {line for line, _ in kept.values()}
        temporary = self.path.with_name(self.path.name + ".new")
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        number = _open_locked(temporary)
        for line, text in _lines(self.path):
            if line in wanted:
                _write(number, text)
        os.fsync(number)
        os.replace(temporary, self.path)
        os.close(self._number)
        self._number, self._size = number, os.fstat(number).st_size

    def close(self) -> None:
        """Close the journal; one without entries is removed."""
        with self._lock:
            if self._number >= 0:
                if not self._size:
                    with suppress(OSError):
                        os.unlink(self.path)
                os.close(self._number)
                self._number = -1


def read_journal(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the entries of a journal that nobody needs to have open; without one, nothing."""
    if path.exists():
        check_input(path, "a journal of ert annotate")
        for line, text in _lines(path):
            yield _parse(path, line, text)


def _open_locked(path: Path) -> int:
    while True:
        number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o666)
        if fcntl is None:
            return number
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(number)
            raise InputError(f"{path}: another ert annotate has these annotations open; end that one first") from None
        except OSError:
            return number  # a file system without locks
        # Another process may have replaced it meanwhile.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(number), os.stat(path)):
                return number
        os.close(number)


def _cut_unfinished_line(number: int) -> int:
    size = os.fstat(number).st_size
    end = size
    while end:
        start = max(0, end - 65536)
        os.lseek(number, start, os.SEEK_SET)
        found = os.read(number, end - start).rfind(b"\n")
        if found >= 0:
            end = start + found + 1
            break
        end = start
    if end < size:
        os.ftruncate(number, end)
    return end


def _write(number: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(number, view) :]


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with open(path, "rb") as file:
            for line, text in enumerate(file, 1):
                if text.endswith(b"\n"):
                    yield line, text
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None


def _parse(path: Path, line: int, text: bytes) -> dict[str, Any]:
    try:
        entry = json.loads(text)
    except (ValueError, RecursionError):
        entry = None
    if not isinstance(entry, dict) or not isinstance(entry.get("kind"), str):
        raise InputError(f"{path}:{line}: {NO_LINE}")
    return entry
