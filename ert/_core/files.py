"""Atomic file writes; the files that come with the package."""

import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import resources
from pathlib import Path

from ert._core.exceptions import InputError


def check_writable(path: str | os.PathLike[str]) -> None:
    """Check, before long work, that a file can be written: its folder exists, and it is no folder itself."""
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path}: cannot be written: Is a directory")
    if not path.parent.is_dir():
        raise InputError(f"{path}: cannot be written: there is no folder {path.parent}")
    if not os.access(path.parent, os.W_OK):
        raise InputError(f"{path}: cannot be written: no permission to write to {path.parent}")


def remove_temporaries(path: str | os.PathLike[str]) -> None:
    """Remove temporary files that killed processes left beside a file.

    Only for the one process that writes this file: it removes those of running processes too.
    """
    real = Path(os.path.realpath(path))
    name = re.compile(re.escape(f".{real.stem}.") + "[0-9a-f]{32}" + re.escape(real.suffix))
    with suppress(OSError):
        for file in os.listdir(real.parent):
            if name.fullmatch(file):
                (real.parent / file).unlink()


@contextmanager
def write_atomically(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block succeeds, else remove it.

    Parameters
    ----------
    path : path-like
        The file to write. An existing one, or the target of a symbolic link, is replaced only after the block
        has ended without an error.

    Yields
    ------
    pathlib.Path
        In the same folder, with the same suffix for writers that depend on it.

    Raises
    ------
    InputError
        When the operating system refuses to write (no such folder, no permission, disk full).
    """
    check_writable(path)
    real = Path(os.path.realpath(path))
    temporary = real.with_name(f".{real.stem}.{uuid.uuid4().hex}{real.suffix}")
    try:
        yield temporary
        os.replace(temporary, real)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            temporary.unlink()


_FOLDER = Path(str(resources.files("ert._core"))) / "data"


def bundled_models() -> dict[str, Path]:
    """Return the files of the bundled models by name."""
    return {file.stem: file for file in sorted((_FOLDER / "models").glob("*.ert"))}


def pyinstaller_hooks() -> list[str]:
    """Return the folder of the hook that PyInstaller looks for, through an entry point of the package."""
    return [str(_FOLDER / "pyinstaller")]


def sample_image() -> Path:
    """Return the path of the bundled photograph: astronaut Eileen Collins, by NASA, public domain."""
    return _FOLDER / "samples" / "astronaut.jpg"
