"""Threads that run one kernel together; inside it they take blocks from work counters and wait at a barrier.

A thread on a slower core takes fewer blocks, and no thread returns to Python between two waits.

    barrier    int64, each number in a cache line of its own
               [ABORTED]          1 when a thread has failed and will not reach the next wait
               [ARRIVED]          the threads that wait
               [PASSED]           the waits that are over
               [COUNTERS + 8 i]   the blocks that have been taken from work counter i
"""

import ctypes
import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Self

import numba
import numpy as np
import numpy.typing as npt
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ert._kernels.llvm import call, data, processor_has

ABORTED, ARRIVED, PASSED, COUNTERS = 0, 8, 16, 24
# Polls of a waiting thread before it offers its core to other threads.
SPINS_BEFORE_YIELD = 1000
_PAUSE = "llvm.x86.sse2.pause" if processor_has("sse2") else None
# The system's function that offers the core to other threads, under a name of our own.
_YIELD_SYMBOL = "ert_yield_thread"
_SYSTEM = ctypes.CDLL("kernel32" if os.name == "nt" else None)
_YIELD = _SYSTEM.SwitchToThread if os.name == "nt" else _SYSTEM.sched_yield
binding.add_symbol(_YIELD_SYMBOL, ctypes.cast(_YIELD, ctypes.c_void_p).value)


def _place(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    return builder.gep(data(context, builder, signature, args, 0), [args[1]])


def _typed_add(context: Any, barrier: Any, place: Any, amount: Any) -> Any:
    """Add to a number of the barrier atomically and return its value before."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.atomic_rmw("add", _place(context, builder, signature, args), args[2], "seq_cst")

    return types.int64(barrier, types.int64, types.int64), generate


def _typed_read(context: Any, barrier: Any, place: Any) -> Any:
    """Return the current value of a number of the barrier."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if _PAUSE:
            call(builder, _PAUSE, ir.VoidType())
        return builder.load_atomic(_place(context, builder, signature, args), "acquire", 8)

    return types.int64(barrier, types.int64), generate


def _typed_yield(context: Any) -> Any:
    """Offer the core to other threads."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(ir.IntType(32), [])
        builder.call(cgutils.get_or_insert_function(builder.module, kind, _YIELD_SYMBOL), [])
        return context.get_dummy_value()

    return types.void(), generate


_add: Any = intrinsic(_typed_add)
_read: Any = intrinsic(_typed_read)
_yield_thread: Any = intrinsic(_typed_yield)


@numba.njit(nogil=True)
def next_block(barrier, counter):
    """Take the next block from a work counter: return how many had been taken before."""
    return _add(barrier, COUNTERS + 8 * counter, 1)


@numba.njit(nogil=True)
def wait(barrier, n_threads):
    """Wait until all threads have arrived; what each of them has written can be read afterwards.

    Return False when a thread has failed and the others must stop.
    """
    n_passed = _read(barrier, PASSED)
    if _add(barrier, ARRIVED, 1) + 1 == n_threads:
        _add(barrier, ARRIVED, -n_threads)
        _add(barrier, PASSED, 1)
        return True
    n_spins = 0
    while _read(barrier, PASSED) == n_passed:
        if _read(barrier, ABORTED):
            return False
        n_spins += 1
        if n_spins > SPINS_BEFORE_YIELD:
            _yield_thread()
    return True


class Workers:
    """Threads that run one kernel together: `n_threads`, the calling thread included.

    Attributes
    ----------
    map : callable
        The built-in `map`, in all threads: the error that it raises is that of the first item.
    """

    def __init__(self, n_threads: int) -> None:
        self.n_threads = n_threads
        self._barrier: npt.NDArray[np.int64] | None = None
        self._failed = False
        self._executor = ThreadPoolExecutor(n_threads - 1) if n_threads > 1 else None
        self.map: Callable[..., Iterable[Any]] = map if n_threads == 1 else self._map

    def run(self, kernel: Callable[..., Any], *args: Any) -> None:
        """Call ``kernel(thread, n_threads, *args)`` in every thread and raise the first error."""
        if self._executor is None:
            kernel(0, 1, *args)
            return
        others: list[Future[None]] = []
        try:
            for i in range(1, self.n_threads):
                others.append(self._executor.submit(self._call, kernel, i, *args))
            kernel(0, self.n_threads, *args)
        except BaseException:
            self._fail()
            raise
        finally:
            errors = [other.exception() for other in others]
        for error in errors:
            if error is not None:
                raise error

    def _map(self, function: Callable[..., Any], *iterables: Iterable[Any]) -> list[Any]:
        # Not the executor's own: an interrupt while it submits many items can leave its lock locked for ever.
        items = list(zip(*iterables, strict=False))
        results: list[Any] = [None] * len(items)
        remaining, lock, errors = iter(range(len(items))), threading.Lock(), dict[int, Exception]()
        self._failed = False

        def work(_thread: int, _n_threads: int) -> None:
            while not self._failed:
                with lock:
                    # Items start in order: when none is started anymore, all before it have been started.
                    i = None if errors else next(remaining, None)
                if i is None:
                    return
                try:
                    results[i] = function(*items[i])
                except Exception as error:
                    errors[i] = error

        self.run(work)
        if errors:
            raise errors[min(errors)]
        return results

    def run_synchronized(self, kernel: Callable[..., Any], n_counters: int, *args: Any) -> None:
        """Call ``kernel(thread, n_threads, barrier, *args)`` in every thread, with a new barrier."""
        self._barrier = np.zeros(COUNTERS + 8 * n_counters, np.int64)
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
        self._failed = True
        if self._barrier is not None:
            self._barrier[ABORTED] = 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._executor is not None:
            self._executor.shutdown()
