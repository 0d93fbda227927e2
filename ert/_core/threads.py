"""Work on many items in threads: results in order, a bounded number of items at a time."""

import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, TypeVar

_T = TypeVar("_T")
_R = TypeVar("_R")
# Items in work or waiting for the result of an earlier one, for each thread.
ITEMS_PER_THREAD = 4
_THIS_THREAD = threading.local()


def shares_processors() -> bool:
    """Return whether this is one of the threads of `map_in_threads`, which needs no further threads."""
    return getattr(_THIS_THREAD, "shares_processors", False)


def map_in_threads(function: Callable[[_T], _R], items: Iterable[_T], n_threads: int) -> Generator[_R, None, None]:
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
        _THIS_THREAD.shares_processors = True
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
        _clear(tasks)
        for _ in threads:
            tasks.put(None)
        for thread in threads:
            if thread.ident is not None:
                thread.join()


def read_ahead(items: Iterable[_T], n_ahead: int = ITEMS_PER_THREAD) -> Generator[_T, None, None]:
    """Yield the items of an iterable, which a thread takes from it: up to `n_ahead` before they are wanted.

    An error of the iterable is raised in its place. When the iterator is closed, or interrupted, the item in work is
    finished, and a generator is closed.
    """
    wanted: SimpleQueue[bool] = SimpleQueue()
    done: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()

    def work() -> None:
        try:
            iterator = iter(items)
            while wanted.get():
                done.put((next(iterator), None))
            if isinstance(iterator, Generator):
                iterator.close()
        except BaseException as error:
            done.put((None, error))

    thread = Thread(target=work, daemon=True)
    try:
        thread.start()
        for _ in range(n_ahead):
            wanted.put(True)
        while True:
            item, error = done.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            wanted.put(True)
            yield item
    finally:
        _clear(wanted)
        wanted.put(False)
        if thread.ident is not None:
            thread.join()


def _clear(queue: "SimpleQueue[Any]") -> None:
    try:
        while True:
            queue.get_nowait()
    except Empty:
        pass
