"""_core.interrupts."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = [
    "uninterrupted",
]


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
