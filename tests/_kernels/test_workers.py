import gc
import os
import signal
import threading
import time

import numba
import numpy as np
import pytest

from ert import InputError
from ert._core.runtime import count_threads
from ert._kernels.workers import ABORTED, COUNTERS, Workers, next_block, wait


def test_every_thread_gets_its_number():
    calls = []
    with Workers(3) as workers:
        workers.run(lambda thread, n_threads, what: calls.append((thread, n_threads, what)), "x")
    assert sorted(calls) == [(0, 3, "x"), (1, 3, "x"), (2, 3, "x")]


def test_one_worker_is_the_calling_thread():
    names = []
    with Workers(1) as workers:
        workers.run(lambda *_: names.append(threading.current_thread()))
    assert names == [threading.current_thread()]


def test_each_synchronized_run_has_a_barrier_of_its_own():
    barriers = []
    with Workers(3) as workers:
        for n_counters in (1, 5):
            workers.run_synchronized(lambda thread, n_threads, barrier: barriers.append(barrier), n_counters)
    assert len(barriers) == 6
    assert all(barrier is barriers[0] for barrier in barriers[:3])
    assert all(barrier is barriers[3] for barrier in barriers[3:])
    assert len(barriers[3]) > len(barriers[0])


@pytest.mark.parametrize("failing", [0, 1])
def test_an_error_in_any_thread_is_raised(failing):
    def work(thread, n_threads):
        if thread == failing:
            raise InputError("bad")

    with Workers(2) as workers, pytest.raises(InputError, match="bad"):
        workers.run(work)


def test_counting_threads():
    assert count_threads(3) == 3
    assert count_threads(None) == 1
    assert count_threads(-1) >= 1
    assert count_threads(-1000) == 1
    for wrong in (0, 1.5, "many"):
        with pytest.raises(InputError, match="n_jobs"):
            count_threads(wrong)


@numba.njit(nogil=True)
def take_turns(thread, n_threads, barrier, taken, seen, n):
    """In each round threads take cells from a work counter, wait, and count the cells that all have taken."""
    for counter in range(seen.shape[1]):
        cell = next_block(barrier, counter)
        while cell < n:
            taken[counter, cell] += 1 + thread
            cell = next_block(barrier, counter)
        if not wait(barrier, n_threads):
            return
        seen[thread, counter] = (taken[counter] > 0).sum()


@pytest.mark.parametrize("n_threads", [1, 2, 3, 8])
def test_each_cell_is_taken_once_and_all_are_taken_after_the_wait(n_threads):
    taken, seen = np.zeros((200, 50), int), np.zeros((n_threads, 200), int)
    with Workers(n_threads) as workers:
        workers.run_synchronized(take_turns, 200, taken, seen, 50)
    assert (taken >= 1).all()
    assert (taken <= n_threads).all()
    assert (seen == 50).all()


def test_no_thread_waits_for_one_that_has_failed():
    barrier = np.zeros(COUNTERS + 8, np.int64)
    barrier[ABORTED] = 1
    assert not wait(barrier, 2)


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_an_error_before_the_wait_releases_the_other_threads(failing):
    def work(thread, n_threads, barrier):
        if thread == failing:
            raise KeyboardInterrupt
        assert not wait(barrier, n_threads)

    with Workers(3) as workers:
        with pytest.raises(KeyboardInterrupt):
            workers.run_synchronized(work, 1)
        # The threads can still be used.
        workers.run_synchronized(lambda *_: None, 1)


@pytest.mark.parametrize("n_threads", [1, 4])
def test_of_several_errors_the_first_objects_is_raised(n_threads):
    """Even where a later one occurs first, and no work is started long after it."""
    later = threading.Event()
    done = []

    def work(i):
        done.append(i)
        if i == 2:
            later.wait(5 if n_threads > 1 else 0)
            raise ValueError("object 2")
        if i == 3:
            later.set()
            raise ValueError("object 3")
        time.sleep(0.001)

    with Workers(n_threads) as workers, pytest.raises(ValueError, match="object 2"):
        list(workers.map(work, range(100_000)))
    assert len(done) < 100_000


@pytest.mark.skipif(os.name != "posix", reason="sends itself a signal")
def test_an_interrupt_ends_the_work():
    def work(i):
        done.append(i)
        if i == 20:
            signal.raise_signal(signal.SIGINT)
        time.sleep(0.001)

    # An interrupt in a callback of the garbage collector is lost.
    gc.disable()
    try:
        # Each at another moment: none leaves threads that wait for each other.
        for _ in range(10):
            done = []
            with Workers(3) as workers, pytest.raises(KeyboardInterrupt):
                list(workers.map(work, range(20_000)))
            assert len(done) < 10_000
    finally:
        gc.enable()


def test_every_object_is_worked_on_once():
    counts = np.zeros(1000, int)

    def work(i):
        counts[i] += 1

    with Workers(3) as workers:
        list(workers.map(work, range(len(counts))))
    assert (counts == 1).all()
