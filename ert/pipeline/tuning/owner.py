"""Which process runs a trial, and whether it still does: one that was killed leaves its trials as they are.

Of a process of this machine, its number and start say that; those of other machines give a sign of life at times.
"""

import os
import platform
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

# How often a trial says that it is running, and after what time without that its process is taken for dead. The sign
# is given after a stage of training.
SIGN_SECONDS, LEASE_SECONDS = 60.0, 1800.0
PROCESS, SIGN = "process", "running at"

_running: set[tuple[str, int]] = set()


@contextmanager
def owned(trial: Any) -> Iterator[Callable[[], None]]:
    """Note that this process runs a trial; yield a function that gives the sign, if it is due when it is called."""
    key, last = (trial.study.study_name, trial.number), time.time()

    def give_sign() -> None:
        nonlocal last
        if time.time() - last >= SIGN_SECONDS:
            last = time.time()
            trial.set_user_attr(SIGN, last)

    _running.add(key)
    try:
        trial.set_user_attr(PROCESS, {"host": _host(), "pid": os.getpid(), "start": _start(os.getpid())})
        yield give_sign
    finally:
        _running.discard(key)


def is_running(study_name: str, trial: Any) -> bool:
    """Return whether some process runs a trial, whose state says that."""
    owner = trial.user_attrs.get(PROCESS)
    if owner is not None and owner["host"] == _host() and owner["start"] is not None:
        if owner["pid"] == os.getpid() and owner["start"] == _start(os.getpid()):
            return (study_name, trial.number) in _running
        return bool(_start(owner["pid"]) == owner["start"])
    last = trial.user_attrs.get(SIGN, trial.datetime_start.timestamp())
    # A process notes at once that a trial is its own.
    return bool(time.time() - last < (SIGN_SECONDS if owner is None else LEASE_SECONDS))


@cache
def _host() -> str:
    """Return a name of what numbers the processes: a machine, or a container."""
    space = ""
    with suppress(OSError):
        space = os.readlink("/proc/self/ns/pid")
    return f"{platform.node()} {space}"


def _start(pid: int) -> str | None:
    """Return when a process began, as its system says it; None where it is not running, or the system says nothing."""
    try:
        if Path("/proc/self/stat").exists():
            state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            return None if state in "ZX" else fields[18]
        if os.name == "posix":
            command = ["ps", "-o", "lstart=", "-p", str(pid)]
            return subprocess.run(command, capture_output=True, text=True).stdout.strip() or None
    except OSError:
        pass
    return None
