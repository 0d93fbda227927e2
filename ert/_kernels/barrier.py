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
    "claim",
    "meet",
    "new_team",
    "part_company",
]


LEFT, ARRIVED, MEETINGS, HEAP = 0, 8, 16, 24
# Looks at the clock of a meeting before the processor is offered to other threads.
PATIENCE = 1000
_PAUSE = "llvm.x86.sse2.pause" if processor_has("sse2") else None
# The system's function that offers the processor to other threads, by a name of our own.
_GIVE_WAY = "ert_give_way"
_SYSTEM = ctypes.CDLL("kernel32" if os.name == "nt" else None)
_YIELD = _SYSTEM.SwitchToThread if os.name == "nt" else _SYSTEM.sched_yield
binding.add_symbol(_GIVE_WAY, ctypes.cast(_YIELD, ctypes.c_void_p).value)


def new_team(n_heaps: int) -> npt.NDArray[np.int64]:
    """Return what the threads of a team share; every call of a kernel begins with a new one."""
    return np.zeros(HEAP + 8 * n_heaps, np.int64)


def part_company(team: npt.NDArray[np.int64]) -> None:
    """Release those who wait for somebody who will not come."""
    team[LEFT] = 1


def _place(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    return builder.gep(data(context, builder, signature, args, 0), [args[1]])


def _typed_add(context: Any, team: Any, place: Any, amount: Any) -> Any:
    """Add to a number of the team and return what it was before: all at once."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.atomic_rmw("add", _place(context, builder, signature, args), args[2], "seq_cst")

    return types.int64(team, types.int64, types.int64), generate


def _typed_look(context: Any, team: Any, place: Any) -> Any:
    """Return a number of the team as it is now."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if _PAUSE:
            call(builder, _PAUSE, ir.VoidType())
        return builder.load_atomic(_place(context, builder, signature, args), "acquire", 8)

    return types.int64(team, types.int64), generate


def _typed_give_way(context: Any) -> Any:
    """Offer the processor to other threads."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(ir.IntType(32), [])
        function = cgutils.get_or_insert_function(builder.module, kind, _GIVE_WAY)  # type: ignore[no-untyped-call]
        builder.call(function, [])
        return context.get_dummy_value()

    return types.void(), generate


_add: Any = intrinsic(_typed_add)
_look: Any = intrinsic(_typed_look)
_give_way: Any = intrinsic(_typed_give_way)


@numba.njit(nogil=True)
def claim(team, heap):  # type: ignore[no-untyped-def]
    """Take one from a heap: return how many had been taken before."""
    return _add(team, HEAP + 8 * heap, 1)


@numba.njit(nogil=True)
def meet(team, n_threads):  # type: ignore[no-untyped-def]
    """Wait for all others; what each of them has written can be read then.

    Returns
    -------
    bool
        False when somebody has left: there is nothing to wait for any more.
    """
    held = _look(team, MEETINGS)
    if _add(team, ARRIVED, 1) + 1 == n_threads:
        _add(team, ARRIVED, -n_threads)
        _add(team, MEETINGS, 1)
        return True
    looks = 0
    while _look(team, MEETINGS) == held:
        if _look(team, LEFT):
            return False
        looks += 1
        if looks > PATIENCE:
            _give_way()
    return True
