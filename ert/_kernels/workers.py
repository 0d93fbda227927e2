"""Threads that run one kernel together: they take the blocks of one phase after another from counters.

A phase is over when all of its blocks are done. The thread that has done the last one then does what follows the
phase, alone, and begins the next. Nobody waits for a thread that has no block: one that the system has suspended or has
not started yet delays nothing, and finds the others further on. A waiting thread polls for a moment, then sleeps.

    board    int64, the numbers of a phase in a cache line of their own
             [ABORTED]          1 when a thread has failed
             [ENDED]            the phases that are over
             [PHASES + 8 i]     the blocks of phase i that have been taken
             [PHASES + 8 i + 1] the blocks of phase i that are done
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

from ert._kernels.llvm import INT32, call, data, processor_has

ABORTED, ENDED, PHASES = 0, 8, 16
# Polls of a waiting thread before it sleeps: 200 us or less, as long as most blocks take.
N_POLLS = 4000
_PAUSE = "llvm.x86.sse2.pause" if processor_has("sse2") else None
# The system's function that sleeps, under a name of our own, and for how long: 100 us, or where that is the unit, 1 ms.
# Not one that yields: since Linux 6.18 a thread that yields to a busy system waits until all others have had a turn.
_SLEEP_SYMBOL = "ert_sleep"
_SYSTEM = ctypes.CDLL("kernel32" if os.name == "nt" else None)
_SLEEP, _SLEEP_TIME = (_SYSTEM.Sleep, 1) if os.name == "nt" else (_SYSTEM.usleep, 100)
binding.add_symbol(_SLEEP_SYMBOL, ctypes.cast(_SLEEP, ctypes.c_void_p).value)


def _place(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    return builder.gep(data(context, builder, signature, args, 0), [args[1]])


def _typed_add(context: Any, board: Any, place: Any, amount: Any) -> Any:
    """Add to a number of the board atomically and return its value before."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.atomic_rmw("add", _place(context, builder, signature, args), args[2], "seq_cst")

    return types.int64(board, types.int64, types.int64), generate


def _typed_read(context: Any, board: Any, place: Any) -> Any:
    """Return the current value of a number of the board."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if _PAUSE:
            call(builder, _PAUSE, ir.VoidType())
        return builder.load_atomic(_place(context, builder, signature, args), "acquire", 8)

    return types.int64(board, types.int64), generate


def _typed_sleep(context: Any) -> Any:
    """Let other threads have the core for about 100 us."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(INT32, [INT32])
        sleep = cgutils.get_or_insert_function(builder.module, kind, _SLEEP_SYMBOL)
        builder.call(sleep, [INT32(_SLEEP_TIME)])
        return context.get_dummy_value()

    return types.void(), generate


_add: Any = intrinsic(_typed_add)
_read: Any = intrinsic(_typed_read)
_sleep: Any = intrinsic(_typed_sleep)


@numba.njit(nogil=True)
def take_block(board, phase):
    """Take the next block of a phase: return how many had been taken before."""
    return _add(board, PHASES + 8 * phase, 1)


@numba.njit(nogil=True)
def finish_block(board, phase, n_blocks):
    """Return whether a block that is done is the last of `n_blocks`.

    If so, what all threads have written can be read, no thread has a block, and the caller must end the phase.
    """
    return _add(board, PHASES + 8 * phase + 1, 1) + 1 == n_blocks


@numba.njit(nogil=True)
def end_phase(board):
    """Begin the next phase."""
    _add(board, ENDED, 1)


@numba.njit(nogil=True)
def wait(board, phase):
    """Wait until a phase is over, and return the number of the current one.

    What has been written in all phases before can be read. Return -1 when a thread has failed and the others must stop.
    """
    n_polls = 0
    while not _read(board, ABORTED):
        n_ended = _read(board, ENDED)
        if n_ended > phase:
            return n_ended
        n_polls += 1
        if n_polls > N_POLLS:
            _sleep()
    return -1


class Workers:
    """Threads that run one kernel together: at most `n_threads`, the calling thread included.

    Attributes
    ----------
    map : callable
        The built-in `map`, in all threads: the error that it raises is that of the first item.
    """

    def __init__(self, n_threads: int) -> None:
        self.n_threads = n_threads
        self._board: npt.NDArray[np.int64] | None = None
        self._failed = False
        self._executor = ThreadPoolExecutor(n_threads - 1) if n_threads > 1 else None
        self.map: Callable[..., Iterable[Any]] = map if n_threads == 1 else self._map

    def run(self, n_parts: int, kernel: Callable[..., Any], *args: Any, wait_for_all: bool = True) -> None:
        """Call ``kernel(thread, *args)`` here and in threads that start before it is done; raise the first error.

        Threads are numbered from 0 on; at most `n_parts` of them are used. Unless `wait_for_all`, the kernel has
        done all the work when it returns here, and other threads may return from it later.
        """
        self._failed, board = False, self._board
        if self._executor is None or n_parts <= 1:
            kernel(0, *args)
            return
        others: list[Future[None]] = []
        try:
            for i in range(1, min(self.n_threads, n_parts)):
                others.append(self._executor.submit(self._call, board, kernel, i, *args))
            kernel(0, *args)
        except BaseException:
            self._fail(board)
            raise
        finally:
            started = [other for other in others if not other.cancel()]
            errors = [other.exception() for other in started if wait_for_all or self._failed]
        for error in errors:
            if error is not None:
                raise error

    def _map(self, function: Callable[..., Any], *iterables: Iterable[Any]) -> list[Any]:
        # Not the executor's own: an interrupt while it submits many items can leave its lock locked for ever.
        items = list(zip(*iterables, strict=False))
        results: list[Any] = [None] * len(items)
        remaining, lock, errors = iter(range(len(items))), threading.Lock(), dict[int, Exception]()

        def work(_thread: int) -> None:
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

        self.run(len(items), work)
        if errors:
            raise errors[min(errors)]
        return results

    def run_phases(self, n_phases: int, n_blocks: int, kernel: Callable[..., Any], *args: Any) -> None:
        """Call ``kernel(thread, board, *args)`` as `run` does, with a new board for phases of `n_blocks` blocks."""
        self._board = np.zeros(PHASES + 8 * n_phases, np.int64)
        try:
            self.run(n_blocks, kernel, self._board, *args, wait_for_all=False)
        finally:
            self._board = None

    def _call(self, board: npt.NDArray[np.int64] | None, kernel: Callable[..., Any], thread: int, *args: Any) -> None:
        try:
            kernel(thread, *args)
        except BaseException:
            self._fail(board)
            raise

    def _fail(self, board: npt.NDArray[np.int64] | None) -> None:
        # A thread that is late fails for itself: what it was to work on is done.
        if board is self._board:
            self._failed = True
        if board is not None:
            board[ABORTED] = 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._executor is not None:
            self._executor.shutdown()
