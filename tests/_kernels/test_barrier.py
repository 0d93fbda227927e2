import numba
import numpy as np
import pytest

from ert._kernels.barrier import claim, meet, new_team, part_company
from ert._kernels.workers import Workers


@numba.njit(nogil=True)
def take_turns(thread, n_threads, team, taken, seen, n):
    """Each round: cells of a heap are taken, and after the meeting those of all are counted."""
    for heap in range(seen.shape[1]):
        cell = claim(team, heap)
        while cell < n:
            taken[heap, cell] += 1 + thread
            cell = claim(team, heap)
        if not meet(team, n_threads):
            return
        seen[thread, heap] = (taken[heap] > 0).sum()


@pytest.mark.parametrize("n_threads", [1, 2, 3, 8])
def test_each_is_taken_once_and_all_are_there_after_the_meeting(n_threads):
    taken, seen = np.zeros((200, 50), int), np.zeros((n_threads, 200), int)
    with Workers(n_threads) as workers:
        workers.run_team(take_turns, 200, taken, seen, 50)
    assert (taken >= 1).all()
    assert (taken <= n_threads).all()
    assert (seen == 50).all()


def test_nobody_waits_for_somebody_who_has_left():
    team = new_team(1)
    part_company(team)
    assert not meet(team, 2)


@pytest.mark.parametrize("guilty", [0, 1, 2])
def test_an_error_before_the_meeting_releases_the_others(guilty):
    def work(thread, n_threads, team):
        if thread == guilty:
            raise KeyboardInterrupt
        assert not meet(team, n_threads)

    with Workers(3) as workers:
        with pytest.raises(KeyboardInterrupt):
            workers.run_team(work, 1)
        # The team is no more; the threads are.
        workers.run_team(lambda *_: None, 1)
