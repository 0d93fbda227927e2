import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from ert.compiling import uninterrupted
from ert.synthetic import synthetic_dataset


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


@pytest.mark.parametrize("seconds", [0.0, 1.5, 3.0])
def test_an_interrupt_while_everything_is_compiled_ends_cleanly(tmp_path, seconds):
    """With an empty cache, training compiles for many seconds; whenever Ctrl-C comes, the end is clean."""
    data, cache, out = (
        synthetic_dataset(tmp_path / "faces", 8, seed=0),
        tmp_path / "cache",
        tmp_path / "m.ert",
    )
    command = [sys.executable, "-m", "ert", "train", str(data / "landmarks.xml"), "--out", str(out)]
    environment = os.environ | {"NUMBA_CACHE_DIR": str(cache)}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    while not any(cache.rglob("*.nbi")) and process.poll() is None:
        time.sleep(0.02)
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert "interrupted" in errors
    assert "Traceback" not in errors
