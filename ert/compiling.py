"""What kernels are compiled on, how they are called, and Ctrl-C held off: it would leave numba in pieces."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

import numba
import numpy as np

__all__ = ["BLANK", "FieldsOnly", "compiled", "uninterrupted"]

# A grey and a colour image.
BLANK = (np.zeros((9, 9), np.uint8), np.zeros((9, 9, 3), np.uint8))


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Delay Ctrl-C until the block has ended.

    Only the main thread gets signals; in others this does nothing.

    Raises
    ------
    KeyboardInterrupt
        At the end of the block, when Ctrl-C was pressed in it.
    """
    usual = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or usual is None:
        yield
        return
    pressed: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: pressed.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
    if pressed:
        raise KeyboardInterrupt


class FieldsOnly:
    """A dataclass that is pickled without what :class:`functools.cached_property` keeps: no kernel can be."""

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]


def compiled(kernel: Any, *args: Any) -> Callable[..., Any]:
    """Call a kernel once, and return what is quicker to call again with arguments of the same types.

    The types are not looked at any more, which takes as long as a tenth of the kernel: what is called with an
    array of another type or another number of axes may read and write anywhere.
    """
    with uninterrupted():
        kernel(*args)
    overload = kernel.overloads.get(tuple(numba.typeof(arg) for arg in args))  # type: ignore[no-untyped-call]
    found: Callable[..., Any] = getattr(overload, "entry_point", None) or kernel
    return found
