"""How numba runs here: Ctrl-C while it compiles, the number of threads."""

import operator
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ert._core.exceptions import InputError, quoted

MAX_THREADS = 4096


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
