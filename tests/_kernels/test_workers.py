import threading

import pytest

from ert import InputError
from ert._core.runtime import count_threads
from ert._kernels.workers import Workers


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
