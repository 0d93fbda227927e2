import threading

import pytest

from ert import InputError
from ert._core.threads import count_threads
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


def test_a_team_shares_an_array_of_its_own():
    teams = []
    with Workers(3) as workers:
        for n_counters in (1, 5):
            workers.run_synchronized(lambda thread, n_threads, barrier: teams.append(barrier), n_counters)
    assert len(teams) == 6
    assert all(barrier is teams[0] for barrier in teams[:3])
    assert all(barrier is teams[3] for barrier in teams[3:])
    assert len(teams[3]) > len(teams[0])


@pytest.mark.parametrize("guilty", [0, 1])
def test_an_error_in_any_thread_is_raised(guilty):
    def work(thread, n_threads):
        if thread == guilty:
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
