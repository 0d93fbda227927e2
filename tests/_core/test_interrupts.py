import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import pytest

from ert._core.runtime import uninterrupted
from ert._kernels.bound_args import entry_point
from ert.datasets.synthetic import synthetic_dataset


def test_an_entry_point_does_not_check_types():
    @numba.njit
    def scaled(array, factor):
        return array.sum() * factor

    quick = entry_point(scaled, np.ones(3), 1.0)
    assert quick is not scaled
    assert quick(np.arange(4.0), 2) == 12
    with pytest.raises(TypeError):
        quick([1.0], 2.0)
    # Numbers of another size are refused.
    with pytest.raises(TypeError):
        quick(np.ones(3, np.float32), 2.0)


def test_compiled_kernels_are_not_pickled(small_model, confident_model, faces):
    X = faces[0][:1]
    for model in (small_model, confident_model):
        std = model is confident_model
        found = model.predict(X, return_std=std)
        size = len(pickle.dumps(model))
        again = pickle.loads(pickle.dumps(model))
        np.testing.assert_equal(again.predict(X, return_std=std), found)
        assert len(pickle.dumps(again)) < 1.1 * size


def test_an_interrupt_waits_for_the_end_of_the_block():
    done = []

    def work():
        with uninterrupted():
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)
            done.append("all")

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["all"]
    assert signal.getsignal(signal.SIGINT) is before
    with uninterrupted():
        done.append("again")
    assert len(done) == 2


def test_errors_pass_and_other_threads_are_left_alone():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ValueError, match="x"), uninterrupted():
        raise ValueError("x")
    assert signal.getsignal(signal.SIGINT) is before
    seen = []

    def work():
        with uninterrupted():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


def test_an_interrupt_while_everything_is_compiled_ends_cleanly(tmp_path):
    """With an empty cache, training compiles for many seconds; whenever Ctrl-C comes, the end is clean."""
    data = synthetic_dataset(tmp_path / "faces", 8, seed=0) / "landmarks.xml"

    def interrupt_after(seconds):
        cache, out = tmp_path / f"cache{seconds}", tmp_path / f"m{seconds}.ert"
        command = [sys.executable, "-m", "ert", "train", str(data), "--out", str(out)]
        # What is in the cache of the package was compiled with other settings.
        environment = os.environ | {"NUMBA_CACHE_DIR": str(cache), "NUMBA_OPT": "1"}
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        while not any(cache.rglob("*.nbc")) and process.poll() is None:
            time.sleep(0.02)
        time.sleep(seconds)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=120)
        return process.returncode, errors

    with ThreadPoolExecutor() as threads:
        for status, errors in threads.map(interrupt_after, (0.0, 2.0)):
            assert status == 130, errors
            assert "interrupted" in errors
            assert "Traceback" not in errors
