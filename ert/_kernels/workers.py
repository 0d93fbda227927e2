"""Threads that run one kernel together; the kernels release the GIL."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ert._kernels.barrier import abort, new_barrier

__all__ = [
    "Workers",
]


class Workers:
    """Threads that run one kernel together.

    Parameters
    ----------
    n_threads : int
        The number of threads, the calling thread included.

    Attributes
    ----------
    failed : bool
        True once a thread has raised an error: long-running work checks it from time to time and returns.
    """

    def __init__(self, n_threads: int) -> None:
        self.n_threads = n_threads
        self.failed = False
        self._barrier: npt.NDArray[np.int64] | None = None
        self._executor = ThreadPoolExecutor(n_threads - 1) if n_threads > 1 else None

    def run(self, kernel: Callable[..., Any], *args: Any) -> None:
        """Call ``kernel(thread, n_threads, *args)`` in every thread and raise the first error."""
        if self._executor is None:
            kernel(0, 1, *args)
            return
        others: list[Future[None]] = []
        try:
            for i in range(1, self.n_threads):
                others.append(self._executor.submit(self._call, kernel, i, *args))
            self._call(kernel, 0, *args)
        except BaseException:
            self._fail()
            raise
        finally:
            errors = [other.exception() for other in others]
        for error in errors:
            if error is not None:
                raise error

    def run_synchronized(self, kernel: Callable[..., Any], n_counters: int, *args: Any) -> None:
        """Call ``kernel(thread, n_threads, barrier, *args)`` in every thread, with a new barrier."""
        self._barrier = new_barrier(n_counters)
        try:
            self.run(kernel, self._barrier, *args)
        finally:
            self._barrier = None

    def _call(self, kernel: Callable[..., Any], thread: int, *args: Any) -> None:
        try:
            kernel(thread, self.n_threads, *args)
        except BaseException:
            self._fail()
            raise

    def _fail(self) -> None:
        self.failed = True
        if self._barrier is not None:
            abort(self._barrier)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._executor is not None:
            self._executor.shutdown()
