"""A usable cache folder for numba, temporary if need be."""

import atexit
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from ert._core.exceptions import InputError


def ensure_cache() -> None:
    """Point numba to a temporary cache folder when it cannot write to any of its own.

    Without a cache folder numba refuses to compile cached functions, for instance when the user has no home
    and does not own the installed files, or in a read-only container. The temporary folder is removed when
    the process ends. If it cannot be created either, numba raises its own error.

    numba is imported only when its default folders are not usable, since importing it takes a while.
    """
    if any(is_usable(folder) for folder in _default_folders()):
        return
    import numba

    # Set by a configuration file of numba's.
    configured = numba.config.CACHE_DIR  # type: ignore[attr-defined]
    if configured and is_usable(Path(configured)):
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
    import numba

    if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
        raise InputError("NUMBA_DISABLE_JIT is set, and ert's kernels need numba's compiler: unset it")


def _default_folders() -> list[Path]:
    """Return the cache folders that numba tries, in its order."""
    folders = [Path(__file__).parents[1] / "_kernels" / "__pycache__"]
    if os.environ.get("NUMBA_CACHE_DIR"):
        folders.append(Path(os.environ["NUMBA_CACHE_DIR"]))
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
