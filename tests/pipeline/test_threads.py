"""A function applied in threads."""

import threading
import time

import pytest

from ert.pipeline.threads import ITEMS_PER_THREAD, map_in_threads


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
