"""How kernels run here: compiled or in NumPy, Ctrl-C while numba compiles, the number of threads."""

import math
import operator
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from ert._core.exceptions import InputError, quoted
from ert._kernels import choice

MAX_THREADS = 4096


def require_compiler() -> None:
    """Let compiled kernels compute from here on.

    Raises
    ------
    InputError
        When NUMBA_DISABLE_JIT is set: kernels are built from LLVM code that Python cannot run.
    """
    if not choice.use_compiled():
        name = choice.VARIABLE if os.environ.get(choice.VARIABLE) == "never" else "NUMBA_DISABLE_JIT"
        raise InputError(f"{name} is set, and ert's kernels need numba's compiler here: unset it")


class kernel_property(cached_property[Any]):  # noqa: N801
    """A cached property that is made of kernels: of NumPy, then once more when compiled ones take over.

    The object has an attribute `numpy_runs`: how many runs of NumPy one of it counts for.
    """

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        with uninterrupted():
            if choice.take_over(instance.numpy_runs):
                instance.__dict__.pop(self._place, None)
                return super().__get__(instance, owner)
            found = instance.__dict__.get(self._place)
            if found is None:
                found = instance.__dict__[self._place] = self.func(instance)
            return found

    @property
    def _place(self) -> str:
        return f"{self.attrname} in NumPy"


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
    """Resolve `n_jobs` as joblib does: -1 is all processors that this process may use, None is 1."""
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

    # joblib counts those that this process may run on, and the quota of a container, but not of a group within one.
    of_python = getattr(os, "process_cpu_count", os.cpu_count)() or 1
    n_processors = math.ceil(min(int(cpu_count()), of_python, _own_quota()))
    return max(1, n_processors + 1 + jobs)


@cache
def _own_quota() -> float:
    return cpu_quota(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup"))


def cpu_quota(membership: Path, mounted: Path) -> float:
    """Return how many processors the control groups of a process allow it on average, infinity where they do not say.

    Parameters
    ----------
    membership : path
        The process's groups, a line ``number:controllers:group`` each; version 2 has the number 0.
    mounted : path
        Where the groups are mounted. In a container, a group may be there by another name, or the root of all.
    """
    quotas = [math.inf]
    with suppress(OSError, ValueError):
        for line in membership.read_text(errors="replace").splitlines():
            _, controllers, group = line.split(":", 2)
            if controllers and "cpu" not in controllers.split(","):
                continue
            roots = [mounted / "cpu", mounted / controllers] if controllers else [mounted, mounted / "unified"]
            names = ["cpu.cfs_quota_us", "cpu.cfs_period_us"] if controllers else ["cpu.max"]
            inner = Path(group.lstrip("/"))
            # A group is bound by those around it as well.
            for folder in (root / each for root in roots for each in (inner, *inner.parents)):
                with suppress(OSError, ValueError):
                    # "150000 100000", "max 100000" or, in version 1, "-1" and "100000".
                    words = " ".join((folder / name).read_text() for name in names).split()
                    quota, period = (float(word.replace("max", "inf")) for word in words)
                    if quota > 0 and period > 0:
                        quotas.append(quota / period)
    return min(quotas)
