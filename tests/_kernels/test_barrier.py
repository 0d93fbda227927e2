import numba
import numpy as np
import pytest

from ert._kernels.workers import Workers, abort, new_barrier, next_block, wait


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
    barrier = new_barrier(1)
    abort(barrier)
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
