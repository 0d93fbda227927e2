import gc
import os
import signal
import threading
import time

import numba
import numpy as np
import pytest

from ert import InputError
from ert._kernels.workers import ABORTED, ENDED, PHASES, Workers, end_phase, finish_block, take_block, wait


def test_every_thread_gets_its_number():
    calls, together = [], threading.Barrier(3)

    def work(thread, what):
        together.wait(60)
        calls.append((thread, what))

    with Workers(3) as workers:
        workers.run(5, work, "x")
    assert sorted(calls) == [(0, "x"), (1, "x"), (2, "x")]


@pytest.mark.parametrize(("n_threads", "n_parts"), [(1, 9), (3, 1), (3, 0)])
def test_one_thread_or_one_part_is_work_of_the_calling_thread(n_threads, n_parts):
    names = []
    with Workers(n_threads) as workers:
        workers.run(n_parts, lambda *_: names.append(threading.current_thread()))
        workers.map(lambda i: names.append(threading.current_thread()), range(1))
    assert names[0] == threading.current_thread()
    assert len(names) <= 2


def test_there_are_no_more_threads_than_parts():
    numbers, together = [], threading.Barrier(2)

    def work(thread):
        together.wait(60)
        numbers.append(thread)

    with Workers(8) as workers:
        workers.run(2, work)
    assert sorted(numbers) == [0, 1]


def test_nobody_waits_for_a_thread_that_has_not_started():
    """All other threads are busy elsewhere: the work is done without them."""
    done, release, started = [], threading.Event(), threading.Barrier(3)

    def occupy():
        started.wait(60)
        release.wait(60)

    with Workers(3) as workers:
        for _ in range(2):
            workers._executor.submit(occupy)
        started.wait(60)
        try:
            workers.map(done.append, range(100))
            workers.run_phases(1, 5, lambda thread, board: done.append(thread))
        finally:
            release.set()
        # What was not started is not started later.
    assert sorted(done) == sorted([*range(100), 0])


def test_nobody_waits_for_a_thread_without_a_block():
    """It finds all blocks taken when it goes on, in the next run or after the last."""
    started, release, late = threading.Barrier(2), threading.Event(), []

    def work(thread, board):
        started.wait(60)
        if thread == 1:
            release.wait(60)
            late.append((take_block(board, 0), wait(board, 0)))
            raise InputError("what nobody waits for")
        else:
            while take_block(board, 0) < 3:
                if finish_block(board, 0, 3):
                    end_phase(board)

    with Workers(2) as workers:
        try:
            workers.run_phases(1, 3, work)
            assert not late
            workers.run_phases(1, 3, lambda *_: None)
        finally:
            release.set()
            # Nor does its failure stop others.
            workers.map(abs, range(3))
    assert late == [(4, 1)]


def test_each_run_of_phases_has_a_board_of_its_own():
    boards, together = [], threading.Barrier(3)

    def work(thread, board):
        boards.append(board)
        together.wait(60)

    with Workers(3) as workers:
        for n_phases in (1, 5):
            workers.run_phases(n_phases, 3, work)
    assert len(boards) == 6
    assert all(board is boards[0] for board in boards[:3])
    assert all(board is boards[3] for board in boards[3:])
    assert len(boards[3]) > len(boards[0])


@pytest.mark.parametrize("failing", [0, 1])
def test_an_error_in_any_thread_is_raised(failing):
    together = threading.Barrier(2)

    def work(thread):
        together.wait(60)
        if thread == failing:
            raise InputError("bad")

    with Workers(2) as workers, pytest.raises(InputError, match="bad"):
        workers.run(2, work)


@numba.njit(nogil=True)
def take_turns(thread, board, taken, seen, n):
    """In each phase threads take cells; the one that does the last counts the cells that all have taken."""
    phase = 0
    while 0 <= phase < len(seen):
        cell = take_block(board, phase)
        while cell < n:
            taken[phase, cell] += 1 + thread
            if finish_block(board, phase, n):
                seen[phase] += (taken[phase] > 0).sum()
                end_phase(board)
            cell = take_block(board, phase)
        phase = wait(board, phase)


@pytest.mark.parametrize("n_threads", [1, 2, 3, 8, 64])
def test_each_cell_is_taken_once_and_a_phase_ends_when_all_are_done(n_threads):
    """Also with many more threads than cores."""
    taken, seen = np.zeros((200, 50), int), np.zeros(200, int)
    with Workers(n_threads) as workers:
        workers.run_phases(200, 50, take_turns, taken, seen, 50)
    assert (taken >= 1).all()
    assert (taken <= n_threads).all()
    assert (seen == 50).all()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own():
    def take_all():
        taken, seen = np.zeros((20, 50), int), np.zeros(20, int)
        with Workers(3) as workers:
            workers.run_phases(20, 50, take_turns, taken, seen, 50)
        return bool((seen == 50).all())

    # While the parent has threads that wait for work.
    with Workers(3) as workers:
        workers.map(abs, range(100))
        child = os.fork()
        if child == 0:
            # A child that hangs is ended.
            signal.alarm(60)
            os._exit(0 if take_all() else 1)
        assert os.waitpid(child, 0)[1] == 0
    assert take_all()


def test_a_late_thread_goes_on_with_the_current_phase():
    board = np.zeros(PHASES + 8 * 5, np.int64)
    board[ENDED] = 3
    assert wait(board, 0) == 3
    assert wait(board, 2) == 3


def test_no_thread_waits_for_one_that_has_failed():
    board = np.zeros(PHASES + 8, np.int64)
    board[ABORTED] = 1
    assert wait(board, 0) == -1


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_an_error_of_a_thread_with_a_block_releases_the_others(failing):
    """Also those that sleep: they have waited for much longer than a thread polls."""
    together, returned = threading.Barrier(3), []

    def work(thread, board):
        together.wait(60)
        if thread == failing:
            take_block(board, 0)
            time.sleep(0.05)
            raise KeyboardInterrupt
        returned.append(wait(board, 0))

    with Workers(3) as workers:
        with pytest.raises(KeyboardInterrupt):
            workers.run_phases(1, 3, work)
        # The threads can still be used.
        workers.run_phases(1, 3, lambda *_: None)
    assert returned == [-1, -1]


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
