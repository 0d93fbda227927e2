import os
import signal
import threading
import time

import numpy as np
import pytest

from ert.training.crops import _run_all


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

    with pytest.raises(ValueError, match="object 2"):
        _run_all(work, 100_000, n_threads, lambda: None)
    assert len(done) < 100_000


@pytest.mark.skipif(os.name != "posix", reason="sends itself a signal")
def test_an_interrupt_ends_the_work():
    done = []

    def work(i):
        done.append(i)
        if i == 20:
            signal.raise_signal(signal.SIGINT)
        time.sleep(0.001)

    with pytest.raises(KeyboardInterrupt):
        _run_all(work, 100_000, 3, lambda: None)
    assert len(done) < 50_000


def test_every_object_is_worked_on_once():
    counts = np.zeros(1000, int)

    def work(i):
        counts[i] += 1

    _run_all(work, len(counts), 3, lambda: None)
    assert (counts == 1).all()
