"""What kernels are compiled on, and Ctrl-C held off meanwhile: an interrupt there leaves numba in pieces."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

__all__ = ["BLANK", "uninterrupted"]

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
