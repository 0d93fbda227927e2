"""Files to read and to write: checks of both, atomic writes, and the files that come with the package.

A command reads and writes within :func:`guarded`: then no file that it reads is replaced by one that it writes, and no
two of its outputs are the same file.
"""

import io
import math
import os
import platform
import re
import shutil
import stat
import sys
import tempfile
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache, lru_cache
from hashlib import blake2b
from importlib import resources
from pathlib import Path
from typing import IO, Any, TextIO, TypeAlias

from ert._core.exceptions import InputError, quoted
from ert._core.file_kinds import FILE_KINDS, is_of_kind

fcntl: Any
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

_FileKey: TypeAlias = tuple[object, ...]
# Files are equal by device and inode, through links and other spellings; those to be created by folder and name.
_SPECIAL_FILES = {
    stat.S_IFDIR: "a folder",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a disk",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
}
# Larger files of holes are mistakes or attacks.
SPARSE_BYTES = 64_000_000
# Where no lock shows whether its process is running, a temporary file of this age is abandoned.
ABANDONED_SECONDS = 86400
_TEMPORARY = re.compile(r"\.ert-[0-9a-f]{32}(\..*)?")


# Paths and files to read


def as_path(path: object, what: str = "path") -> Path:
    """Return a path; an InputError where an argument is none, or is one that no system can express."""
    try:
        made = Path(path)  # type: ignore[arg-type]
        os.fsencode(made)
    except (TypeError, ValueError):
        raise InputError(f"{what}: {quoted(path)}, expected the path of a file") from None
    if "\0" in str(made):
        raise InputError(f"{made}: no valid path, it contains a null character")
    return made


def check_input(path: object, expected: str) -> Path:
    """Return the path of an existing regular file; `expected` says what it should be, such as "an image file".

    Others are refused before they are opened: a pipe would block, a device may have no end, and neither may a file of
    a terabyte without any contents.

    Raises
    ------
    InputError
        When there is no such file or it is not a regular one.
    """
    made = as_path(path)
    try:
        status = os.stat(made)
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{made}: no such file") from None
    except OSError as error:
        raise InputError(f"{made}: cannot be read: {error.strerror or error}") from None
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{made}: is {_special(status)}, expected {expected}")
    if status.st_size > SPARSE_BYTES and _is_sparse(made, status):
        raise InputError(f"{made}: {status.st_size / 1e6:.0f} MB of nearly nothing but zeros, expected {expected}")
    return made


def _is_sparse(path: Path, status: os.stat_result) -> bool:
    """Return whether less than a hundredth of a file is stored on disk, and the rest are holes."""
    if getattr(status, "st_blocks", math.inf) * 512 >= status.st_size / 100 or not hasattr(os, "SEEK_HOLE"):
        return False
    # File systems that compress or do not count blocks have no holes.
    with suppress(OSError), path.open("rb") as file:
        return file.seek(0, os.SEEK_HOLE) < status.st_size
    return False


def _special(status: os.stat_result) -> str:
    return _SPECIAL_FILES.get(stat.S_IFMT(status.st_mode), "a special file")


# Files to write


@dataclass
class _Guard:
    """The files that a command reads and writes, and whether it may replace files of other kinds."""

    force: bool | None
    inputs: dict[_FileKey, str] = field(default_factory=dict)
    outputs: dict[_FileKey, tuple[str, str]] = field(default_factory=dict)


_GUARD: ContextVar[_Guard | None] = ContextVar("guard", default=None)


@contextmanager
def guarded(*, force: bool | None = None) -> Iterator[None]:
    """Refuse, within the block, to replace the files of :func:`protect`, bundled files, or an output by another.

    With `force`, files of another kind may be replaced; None is for commands without that option.
    """
    token = _GUARD.set(_Guard(force))
    try:
        protect([*bundled_models().values(), sample_image()])
        yield
    finally:
        _GUARD.reset(token)


def protect(paths: Iterable[str | os.PathLike[str]]) -> None:
    """Note files that the command reads: those that do not exist are ignored.

    Raises
    ------
    InputError
        When one of them is an output of the command.
    """
    guard = _GUARD.get()
    if guard is None:
        return
    for path in dict.fromkeys(paths):
        try:
            status = os.stat(path)
        except (OSError, ValueError):
            continue
        if stat.S_ISREG(status.st_mode):
            key = status.st_dev, status.st_ino
            guard.inputs.setdefault(key, os.fspath(path))
            if key in guard.outputs:
                _refuse_input(guard.outputs[key][0], os.fspath(path))


def claim(path: str | os.PathLike[str], kind: str, option: str) -> None:
    """Check, before long work, that a command can write a file, which no other of its options writes.

    Raises
    ------
    InputError
        Like :func:`check_writable`, or when another option writes the same file.
    """
    check_writable(path, kind)
    guard = _GUARD.get()
    if guard is not None and not is_stream(path):
        _, other = guard.outputs.setdefault(_file_key(path), (os.fspath(path), option))
        if other != option:
            raise InputError(f"{path}: is the output of {other} and of {option}, expected two files")


def check_writable(path: str | os.PathLike[str], kind: str | None = None) -> None:
    """Check, before long work, that a file can be written and replaces nothing that it should not.

    Parameters
    ----------
    path : path-like
        The file. Its folder must exist.
    kind : str, optional
        What will be written, a key of `FILE_KINDS`: an existing file must be of that kind, or empty.

    Raises
    ------
    InputError
        When it cannot be written, is a folder, a file that the command reads, or a file of another kind.
    """
    path = as_path(path)
    try:
        status = _stat(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from None
    if status is not None and stat.S_ISDIR(status.st_mode):
        raise InputError(f"{path}: cannot be written: Is a directory")
    if status is not None and not stat.S_ISREG(status.st_mode):
        if not stat.S_ISCHR(status.st_mode) and not stat.S_ISFIFO(status.st_mode):
            raise InputError(f"{path}: is {_special(status)}, expected a file")
        if not os.access(path, os.W_OK):
            raise InputError(f"{path}: cannot be written: Permission denied")
        return
    if is_stream(path):
        return
    folder = Path(os.path.realpath(path)).parent
    if not folder.is_dir():
        raise InputError(f"{path}: cannot be written: there is no folder {path.parent}")
    if not os.access(folder, os.W_OK):
        raise InputError(f"{path}: cannot be written: no permission to write to {path.parent}")
    guard = _GUARD.get()
    if guard is not None:
        read = guard.inputs.get(_file_key(path))
        if read is not None:
            _refuse_input(str(path), read)
    force = None if guard is None else guard.force
    if kind is not None and status is not None and not force:
        _check_kind(path, kind, "another name" if force is None else "another name or --force")


def _check_kind(path: Path, kind: str, expected: str) -> None:
    try:
        same = is_of_kind(path, kind)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from None
    if not same:
        raise InputError(f"{path}: exists and is not {FILE_KINDS[kind].name}, expected {expected}")


def _refuse_input(output: str, read: str) -> None:
    what = "it is also an input" if output == read else f"it is the same file as the input {read}"
    raise InputError(f"{output}: cannot be written: {what}")


def _stat(path: str | os.PathLike[str]) -> os.stat_result | None:
    with suppress(FileNotFoundError):
        return os.stat(path)
    return None


def _file_key(path: str | os.PathLike[str]) -> _FileKey:
    status = _stat(path)
    if status is not None:
        return status.st_dev, status.st_ino
    real = Path(os.path.realpath(path))
    folder = os.stat(real.parent)
    # Not all systems distinguish upper and lower case.
    return folder.st_dev, folder.st_ino, real.name.casefold()


@contextmanager
def write_atomically(path: str | os.PathLike[str], kind: str | None = None) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block succeeds, else remove it.

    Devices and pipes are not replaced: the contents are written to them when the block succeeds.

    Parameters
    ----------
    path : path-like
        The file to write. An existing one, or the target of a symbolic link, is replaced only after the block
        has ended without an error.
    kind : str, optional
        What is written, see :func:`check_writable`.

    Yields
    ------
    pathlib.Path
        With the same suffix, for writers that depend on it.

    Raises
    ------
    InputError
        As :func:`check_writable`, and when the operating system refuses to write (disk full).
    """
    check_writable(path, kind)
    real = Path(os.path.realpath(path))
    try:
        if is_stream(path):
            with tempfile.TemporaryDirectory(prefix="ert-") as folder:
                temporary = Path(folder, "output" + real.suffix)
                yield temporary
                with temporary.open("rb") as source, _open_stream(path) as target:
                    shutil.copyfileobj(source, target)
        else:
            _remove_abandoned(real.parent)
            with _temporary_file(real) as temporary:
                yield temporary
                os.replace(temporary, real)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error


@contextmanager
def write_text(path: str | os.PathLike[str], kind: str) -> Iterator[TextIO]:
    """Yield a text file in UTF-8 that becomes `path` when the block succeeds.

    What is written to a device or a pipe gets there at once, line by line.

    Raises
    ------
    InputError
        As :func:`write_atomically`.
    """
    check_writable(path, kind)
    if not is_stream(path):
        with write_atomically(path, kind) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
            yield file
        return
    try:
        with io.TextIOWrapper(_open_stream(path), "utf-8", newline="", line_buffering=True) as file:
            yield file
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error


def is_stream(path: str | os.PathLike[str]) -> bool:
    """Return whether a path is a device, a pipe, or an open file such as ``/dev/stdout``, which may be redirected."""
    status = _stat(path)
    return status is not None and (not stat.S_ISREG(status.st_mode) or descriptor(path) is not None)


def descriptor(path: str | os.PathLike[str]) -> int | None:
    """Return the number of the open file that a path stands for: 1 for ``/dev/stdout`` or ``/dev/fd/1``."""
    folders = {"/dev/fd", os.path.realpath("/dev/fd")}
    for _ in range(8):  # links to links
        folder, name = os.path.split(os.path.abspath(path))
        if name.isdecimal() and os.path.realpath(folder) in folders:
            return int(name)
        if not os.path.islink(path):
            break
        path = os.path.join(folder, os.readlink(path))
    return None


def _open_stream(path: str | os.PathLike[str]) -> IO[bytes]:
    number = descriptor(path)
    if number is None:
        return open(path, "wb")
    # Opened by its name, a file that the output is redirected to would be overwritten from its beginning.
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    return os.fdopen(os.dup(number), "wb")


@contextmanager
def _temporary_file(path: Path) -> Iterator[Path]:
    """Create a file beside `path`, locked as long as the block runs, and remove it if it is still there."""
    temporary = path.with_name(f".ert-{_system_id()}{uuid.uuid4().hex[8:]}{path.suffix}")
    number = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    if fcntl is not None:
        with suppress(OSError):  # file systems without locks
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    else:
        os.close(number)  # open files cannot be renamed there
    try:
        yield temporary
    finally:
        if fcntl is not None:
            os.close(number)
        with suppress(OSError):
            temporary.unlink()


@cache
def _system_id() -> str:
    """Return 8 digits of the running system: network file systems may hide locks from other systems."""
    try:
        system = Path("/proc/sys/kernel/random/boot_id").read_bytes()  # the same in all containers
    except OSError:
        system = platform.node().encode()
    return blake2b(system, digest_size=4).hexdigest()


@lru_cache(maxsize=1024)
def _remove_abandoned(folder: Path) -> None:
    """Remove the temporary files that killed processes left in a folder, once in a process."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if _TEMPORARY.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                with suppress(OSError):
                    _remove_if_abandoned(entry.path)


def _remove_if_abandoned(path: str) -> None:
    if fcntl is not None and os.path.basename(path).startswith(f".ert-{_system_id()}"):
        number = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(path)
            return
        except BlockingIOError:
            return  # its process is running
        except OSError:
            pass  # a file system without locks
        finally:
            os.close(number)
    if time.time() - os.stat(path).st_mtime > ABANDONED_SECONDS:
        os.unlink(path)


# Files that come with the package

_FOLDER = Path(str(resources.files("ert._core"))) / "data"


def bundled_models() -> dict[str, Path]:
    """Return the files of the bundled models by name."""
    return {file.stem: file for file in sorted((_FOLDER / "models").glob("*.ert"))}


def model_path(name_or_path: str | os.PathLike[str]) -> Path:
    """Return the file of a bundled model by its name, or any other path."""
    path, bundled = as_path(name_or_path), bundled_models()
    if str(name_or_path) in bundled:
        return bundled[str(name_or_path)]
    if path.name == str(name_or_path) and not path.suffix and not os.path.exists(path):
        known = ", ".join(bundled)
        raise InputError(f"{path}: no such file, and no bundled model of that name; bundled: {known}")
    return path


def pyinstaller_hooks() -> list[str]:
    """Return the folder of the hook that PyInstaller looks for, through an entry point of the package."""
    return [str(_FOLDER / "pyinstaller")]


def sample_image() -> Path:
    """Return the path of the bundled photograph: astronaut Eileen Collins, by NASA, public domain."""
    return _FOLDER / "samples" / "astronaut.jpg"
