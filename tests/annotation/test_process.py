import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from jobs import double, fail, leave, priority, wait_for_ever, warn

from ert import InputError
from ert.annotation.process import NICENESS, Job


class Watch:
    """What a job calls."""

    def __init__(self):
        self.messages, self.end, self.ended = [], None, threading.Event()
        self.heard = threading.Event()

    def on_message(self, message):
        self.messages.append(message)
        self.heard.set()

    def on_end(self, result, error):
        self.end = result, error
        self.ended.set()


@pytest.fixture
def start():
    jobs = []

    def start(work, *arguments):
        watch = Watch()
        jobs.append(Job(work, *arguments, on_message=watch.on_message, on_end=watch.on_end))
        return jobs[-1], watch

    yield start
    for job in jobs:
        job.stop()


def test_messages_and_the_result_arrive(start):
    _, watch = start(double, 21)
    assert watch.ended.wait(60)
    assert (watch.messages, watch.end) == ([{"half": 21}], (42, ""))


@pytest.mark.skipif(not hasattr(os, "nice"), reason="needs priorities")
def test_the_priority_is_low(start):
    _, watch = start(priority)
    assert watch.ended.wait(60)
    assert watch.end == (min(19, os.nice(0) + NICENESS), "")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (InputError("wings.csv: 2 objects"), "wings.csv: 2 objects"),
        (ValueError("a\nb"), "a fault of ert (ValueError: a b); try again, and if that fails as well, report it"),
        (MemoryError(), "there is too little memory; close other programs, and try again"),
    ],
)
def test_errors_are_a_line(start, error, text):
    _, watch = start(fail, error)
    assert watch.ended.wait(60)
    assert watch.end == (None, text)


def test_warnings_are_not_printed(start, capfd):
    _, watch = start(warn)
    assert watch.ended.wait(60)
    assert watch.end == (None, "")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("status", [0, 3])
def test_a_process_that_ends_without_a_word_is_told_in_words(start, status):
    _, watch = start(leave, status)
    assert watch.ended.wait(60)
    ended = (
        f"its process has ended unexpectedly (exit status {status}); try again, and if that fails as well, report it"
    )
    assert watch.end == (None, ended)


def test_a_job_is_stopped_at_once(start):
    job, watch = start(wait_for_ever)
    assert watch.heard.wait(60)
    job.stop()
    job.stop()
    assert watch.end == (None, "")
    assert not exists(watch.messages[0])


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_a_process_that_the_system_ends_is_told(start):
    _, watch = start(wait_for_ever)
    assert watch.heard.wait(60)
    os.kill(watch.messages[0], signal.SIGKILL)
    assert watch.ended.wait(60)
    assert watch.end[0] is None
    assert watch.end[1].startswith("the system has ended it, most often because memory is short")


OWNER = """
from jobs import wait_for_ever
from ert.annotation.process import Job
if __name__ == "__main__":
    Job(wait_for_ever, on_message=lambda pid: print(pid, flush=True), on_end=print)._thread.join()
"""


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_a_job_ends_with_the_process_that_started_it(tmp_path):
    (tmp_path / "owner.py").write_text(OWNER)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen([sys.executable, tmp_path / "owner.py"], stdout=subprocess.PIPE, env=environment) as owner:
        pid = int(owner.stdout.readline())
        assert exists(pid)
        owner.kill()
    end = time.monotonic() + 60
    while exists(pid):
        assert time.monotonic() < end
        time.sleep(0.02)


def exists(pid):
    """Return whether a process runs; one that has ended and is not waited for does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with suppress(OSError):  # where there is /proc
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return True
