"""A function applied in threads."""

import threading
import time

import pytest

from ert._core.threads import ITEMS_PER_THREAD, map_in_threads, read_ahead, shares_processors


@pytest.mark.parametrize("n_threads", [1, 3])
def test_results_are_in_order(n_threads):
    def slow_if_even(i):
        time.sleep(0.002 * (i % 2 == 0))
        return i * i

    assert list(map_in_threads(slow_if_even, range(40), n_threads)) == [i * i for i in range(40)]
    assert list(map_in_threads(slow_if_even, [], n_threads)) == []


def test_few_items_are_in_work_at_a_time():
    """Memory does not grow with the number of items, also when results are taken slowly."""
    started = n_taken = most = 0

    def items():
        nonlocal started, most
        for i in range(200):
            started += 1
            most = max(most, started - n_taken)
            yield i

    for _ in map_in_threads(lambda i: i, items(), 2):
        n_taken += 1
    assert n_taken == 200
    assert most <= 2 * ITEMS_PER_THREAD + 1


@pytest.mark.parametrize("n_threads", [1, 2])
def test_the_first_error_is_raised_in_its_place(n_threads):
    def fail(i):
        if i in (5, 7):
            raise ValueError(i)
        return i

    results = map_in_threads(fail, range(20), n_threads)
    assert [next(results) for _ in range(5)] == list(range(5))
    with pytest.raises(ValueError, match="5"):
        next(results)


def test_threads_end_when_results_are_no_longer_wanted():
    before = threading.active_count()
    results = map_in_threads(lambda i: i, range(10**9), 2)
    assert next(results) == 0
    results.close()
    assert threading.active_count() == before


def test_threads_that_share_the_processors_know_it():
    assert all(map_in_threads(lambda _: shares_processors(), range(4), 2))
    assert not any(map_in_threads(lambda _: shares_processors(), range(4), 1))
    assert not shares_processors()


class TestReadAhead:
    def test_items_come_in_order_and_no_more_than_some_in_advance(self):
        n_started = n_taken = most = 0

        def items():
            nonlocal n_started, most
            for i in range(50):
                n_started += 1
                most = max(most, n_started - n_taken)
                yield i

        for i in read_ahead(items(), 3):
            assert i == n_taken
            n_taken += 1
            time.sleep(0.0005)
        assert n_taken == 50
        assert 1 < most <= 4
        assert list(read_ahead([])) == []

    def test_an_error_is_raised_in_its_place(self):
        def items():
            yield from (0, 1)
            raise ValueError("of the third")

        ahead = read_ahead(items())
        assert [next(ahead), next(ahead)] == [0, 1]
        with pytest.raises(ValueError, match="of the third"):
            next(ahead)

    def test_what_it_reads_is_closed_with_it(self):
        before, closed = threading.active_count(), []

        def items():
            try:
                yield from range(10**9)
            finally:
                closed.append(threading.current_thread())

        ahead = read_ahead(items())
        assert next(ahead) == 0
        ahead.close()
        assert len(closed) == 1
        assert closed[0] is not threading.current_thread()
        assert threading.active_count() == before
