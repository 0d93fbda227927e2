"""Threads inside a kernel: they take work from one heap, and wait for each other at meetings.

A processor that is slowed down takes less of the heap, and nobody goes through Python to be woken.

    team    int64, in lines of the cache
            [LEFT]      1 when a thread has gone and will not come to the next meeting
            [ARRIVED]   threads that are at the meeting
            [MEETINGS]  how many have been held
            [HEAP + 8 i]   how much of heap i has been taken
"""

import ctypes
import os
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ert._kernels.llvm import call, data, processor_has

__all__ = [
    "abort",
    "new_barrier",
    "next_block",
    "wait",
]


LEFT, ARRIVED, MEETINGS, HEAP = 0, 8, 16, 24
# Looks at the clock of a meeting before the processor is offered to other threads.
PATIENCE = 1000
_PAUSE = "llvm.x86.sse2.pause" if processor_has("sse2") else None
# The system's function that offers the processor to other threads, by a name of our own.
_YIELD_SYMBOL = "ert_give_way"
_SYSTEM = ctypes.CDLL("kernel32" if os.name == "nt" else None)
_YIELD = _SYSTEM.SwitchToThread if os.name == "nt" else _SYSTEM.sched_yield
binding.add_symbol(_YIELD_SYMBOL, ctypes.cast(_YIELD, ctypes.c_void_p).value)


def new_barrier(n_counters: int) -> npt.NDArray[np.int64]:
    """Return what the threads of a team share; every call of a kernel begins with a new one."""
    return np.zeros(HEAP + 8 * n_counters, np.int64)


def abort(barrier: npt.NDArray[np.int64]) -> None:
    """Release those who wait for somebody who will not come."""
    barrier[LEFT] = 1


def _place(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    return builder.gep(data(context, builder, signature, args, 0), [args[1]])


def _typed_add(context: Any, barrier: Any, place: Any, amount: Any) -> Any:
    """Add to a number of the team and return what it was before: all at once."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.atomic_rmw("add", _place(context, builder, signature, args), args[2], "seq_cst")

    return types.int64(barrier, types.int64, types.int64), generate


def _typed_look(context: Any, barrier: Any, place: Any) -> Any:
    """Return a number of the team as it is now."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if _PAUSE:
            call(builder, _PAUSE, ir.VoidType())
        return builder.load_atomic(_place(context, builder, signature, args), "acquire", 8)

    return types.int64(barrier, types.int64), generate


def _typed_yield(context: Any) -> Any:
    """Offer the processor to other threads."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(ir.IntType(32), [])
        function = cgutils.get_or_insert_function(builder.module, kind, _YIELD_SYMBOL)
        builder.call(function, [])
        return context.get_dummy_value()

    return types.void(), generate


_add: Any = intrinsic(_typed_add)
_look: Any = intrinsic(_typed_look)
_yield_thread: Any = intrinsic(_typed_yield)


@numba.njit(nogil=True)
def next_block(barrier, counter):
    """Take one from a heap: return how many had been taken before."""
    return _add(barrier, HEAP + 8 * counter, 1)


@numba.njit(nogil=True)
def wait(barrier, n_threads):
    """Wait for all others; what each of them has written can be read then.

    Returns
    -------
    bool
        False when somebody has left: there is nothing to wait for any more.
    """
    bound = _look(barrier, MEETINGS)
    if _add(barrier, ARRIVED, 1) + 1 == n_threads:
        _add(barrier, ARRIVED, -n_threads)
        _add(barrier, MEETINGS, 1)
        return True
    looks = 0
    while _look(barrier, MEETINGS) == bound:
        if _look(barrier, LEFT):
            return False
        looks += 1
        if looks > PATIENCE:
            _yield_thread()
    return True
