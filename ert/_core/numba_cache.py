"""Where numba keeps what it compiled: where it can, and if it cannot anywhere, in a folder of the process."""

import atexit
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

import numba

__all__ = [
    "ensure_cache",
    "is_usable",
]


def ensure_cache() -> None:
    """Give numba a folder for its cache when all that it would try cannot be written to.

    Without one it refuses to compile at all: for a user without a home over files of another, or in a
    container that is read-only but for its folder of temporary files. What is compiled then lasts as long as
    the process. With no such folder either it is left to numba to say so.
    """
    if any(is_usable(folder) for folder in _folders()):
        return
    with suppress(OSError):
        folder = tempfile.mkdtemp(prefix="ert-numba-")
        numba.config.CACHE_DIR = folder  # type: ignore[attr-defined]
        atexit.register(shutil.rmtree, folder, ignore_errors=True)


def _folders() -> list[Path]:
    """Those that numba tries, one after another."""
    folders = [Path(__file__).parent / "__pycache__"]
    if numba.config.CACHE_DIR:  # type: ignore[attr-defined]
        folders.append(Path(numba.config.CACHE_DIR))  # type: ignore[attr-defined]
    # Path.home raises a RuntimeError for a user without a home.
    with suppress(RuntimeError):
        folders.append(Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "numba")
    return folders


def is_usable(folder: Path) -> bool:
    """Whether a folder is there, or can be made, and files can be written to it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


ensure_cache()
