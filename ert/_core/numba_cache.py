"""numba's cache: in a folder of the process where no other folder can be written."""

import atexit
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

import numba

from ert._core.exceptions import InputError

__all__ = [
    "ensure_cache",
    "is_usable",
    "require_compiler",
]


def ensure_cache() -> None:
    """Give numba a temporary cache folder if none of those that it tries can be written.

    Without a cache folder numba refuses to compile: for a user without a home, or in a read-only container.
    The compiled code then lasts as long as the process. If there is no folder for temporary files either,
    numba raises its own error.
    """
    if any(is_usable(folder) for folder in _folders()):
        return
    with suppress(OSError):
        folder = tempfile.mkdtemp(prefix="ert-numba-")
        numba.config.CACHE_DIR = folder  # type: ignore[attr-defined]
        atexit.register(shutil.rmtree, folder, ignore_errors=True)


def require_compiler() -> None:
    """Check that numba compiles.

    Raises
    ------
    InputError
        When NUMBA_DISABLE_JIT is set: kernels are built from LLVM code that Python cannot run.
    """
    if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
        raise InputError("NUMBA_DISABLE_JIT is set, and ert's kernels need numba's compiler: unset it")


def _folders() -> list[Path]:
    """Return the folders that numba tries, in order."""
    folders = [Path(__file__).parents[1] / "_kernels" / "__pycache__"]
    if numba.config.CACHE_DIR:  # type: ignore[attr-defined]
        folders.append(Path(numba.config.CACHE_DIR))  # type: ignore[attr-defined]
    # Path.home raises a RuntimeError for a user without a home.
    with suppress(RuntimeError):
        folders.append(Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "numba")
    return folders


def is_usable(folder: Path) -> bool:
    """Return whether a folder exists or can be created, and files can be written to it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


ensure_cache()
