"""How numba runs here: a cache folder it can write to, Ctrl-C while it compiles, the number of threads."""

import atexit
import operator
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ert._core.exceptions import InputError, quoted

MAX_THREADS = 4096


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


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Delay Ctrl-C until the block has ended.

    Only the main thread receives signals; in others this does nothing.

    Raises
    ------
    KeyboardInterrupt
        At the end of the block, when Ctrl-C was pressed in it.
    """
    previous = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or previous is None:
        yield
        return
    pressed: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: pressed.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
    if pressed:
        raise KeyboardInterrupt


def count_threads(n_jobs: int | None) -> int:
    """Resolve `n_jobs` as joblib does: -1 is all processors, None is 1."""
    if n_jobs is None:
        return 1
    try:
        jobs = operator.index(n_jobs)
    except TypeError:
        jobs = 0
    if jobs == 0 or abs(jobs) > MAX_THREADS:
        expected = f"expected an integer up to {MAX_THREADS} other than 0; -1 uses all processors"
        raise InputError(f"n_jobs={quoted(n_jobs)}: {expected}")
    if jobs > 0:
        return jobs
    from joblib import cpu_count

    return max(1, int(cpu_count()) + 1 + jobs)


ensure_cache()
