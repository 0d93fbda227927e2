"""A function applied to many items in threads: results in order, a bounded number of items at a time."""

from collections.abc import Callable, Iterable, Iterator
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, TypeVar

_T = TypeVar("_T")
_R = TypeVar("_R")
# Items in work or waiting for the result of an earlier one, for each thread.
ITEMS_PER_THREAD = 4


def map_in_threads(function: Callable[[_T], _R], items: Iterable[_T], n_threads: int) -> Iterator[_R]:
    """Yield ``function(item)`` for each item, in order; an error is raised where its result would be.

    No more items are started than results were taken and `ITEMS_PER_THREAD` for each thread. When the iterator is
    closed, or interrupted, the items in work are finished.
    """
    if n_threads == 1:
        yield from map(function, items)
        return
    # Queues in C: an interrupt cannot leave their locks locked.
    tasks: SimpleQueue[tuple[int, Any] | None] = SimpleQueue()
    done: SimpleQueue[tuple[int, Any, BaseException | None]] = SimpleQueue()

    def work() -> None:
        while (task := tasks.get()) is not None:
            i, item = task
            try:
                done.put((i, function(item), None))
            except BaseException as error:
                done.put((i, None, error))

    threads = [Thread(target=work, daemon=True) for _ in range(n_threads)]
    early: dict[int, tuple[Any, BaseException | None]] = {}
    n_started = n_yielded = 0

    def results(n_waiting: int) -> Iterator[_R]:
        """Yield results until at most this many are to come."""
        nonlocal n_yielded
        while n_started - n_yielded > n_waiting:
            while n_yielded not in early:
                i, *outcome = done.get()
                early[i] = outcome[0], outcome[1]
            result, error = early.pop(n_yielded)
            n_yielded += 1
            if error is not None:
                raise error
            yield result

    try:
        for thread in threads:
            thread.start()
        for item in items:
            tasks.put((n_started, item))
            n_started += 1
            yield from results(ITEMS_PER_THREAD * n_threads - 1)
        yield from results(0)
    finally:
        try:
            while True:
                tasks.get_nowait()
        except Empty:
            pass
        for _ in threads:
            tasks.put(None)
        for thread in threads:
            if thread.ident is not None:
                thread.join()
