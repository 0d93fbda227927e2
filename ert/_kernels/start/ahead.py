"""Compile all kernels of prediction ahead, in a process of its own, and note in the cache that it has been done.

ready.PROCESSOR.json      {"version": digest of the sources and of numba, "files": the names of the compiled kernels}
begun.PROCESSOR.json      {"version": the same, "time": when a process was started}; removed when kernels are ready
compiling.PROCESSOR.lock  locked by the process that compiles: one at a time
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import IO, Any

from ert._kernels.start.cache_folders import (
    CACHE_VARIABLE,
    KERNELS,
    PACKAGE,
    digest_of,
    replace_file,
    source_stamp,
    trusted_folders,
)

# Compiling takes 15 s of a processor; then the process ends, whatever has happened.
MAX_SECONDS = 900
# A process that was started and did not succeed is not started again before.
PAUSE_SECONDS = 24 * 3600
# The lock may be held for a moment by one who asks whether it is.
LOCK_TRIES, LOCK_SECONDS = 30, 0.1
# Variables that other machine code depends on.
SETTINGS = ("CPU_NAME", "CPU_FEATURES", "ENABLE_AVX", "OPT", "BOUNDSCHECK")
# The lock comes first: numba takes a second to import, and many processes may have been started.
_CODE = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from ert._kernels.start import ahead
with ahead.alone() as mine:
    if mine:
        from ert.inference.warm_up import compile_all
        compile_all()
"""


class _Process(subprocess.Popen[bytes]):
    """A process that outlives this one: no warning about that."""

    def __del__(self, *_: object) -> None:
        pass


def is_ready() -> bool:
    """Return whether all kernels of prediction are in the cache, as far as names of files say."""
    return ready_folder() is not None


def ready_folder() -> Path | None:
    """Return the folder in which it is noted that all kernels of prediction are in the cache; None if they are not."""
    folders = list(trusted_folders())
    for folder in folders:
        files = _noted(folder, "ready").get("files")
        if isinstance(files, list):
            there = set(chain.from_iterable(map(os.listdir, folders)))
            return folder if there.issuperset(map(str, files)) else None
    return None


def _noted(folder: Path, what: str) -> dict[str, Any]:
    """Return what a note of these sources says; nothing if there is none, or a damaged one."""
    with suppress(OSError, ValueError, RecursionError):
        found = json.loads((folder / _file_name(what)).read_text(encoding="utf-8"))
        if isinstance(found, dict) and found.get("version") == _version():
            return found
    return {}


def _note(what: str, **content: object) -> Path | None:
    """Write a note; return its folder, None without one that can be written to."""
    data = json.dumps({"version": _version(), **content}).encode()
    for folder in trusted_folders(create=True):
        with suppress(OSError):
            replace_file(folder / _file_name(what), data)
            return folder
    return None


def note_ready(files: Iterable[str]) -> None:
    """Note which files hold the kernels of prediction; without a folder that can be written to, do nothing."""
    if _note("ready", files=sorted(files)):
        for folder in trusted_folders():
            with suppress(OSError):
                (folder / _file_name("begun")).unlink(missing_ok=True)


def start() -> bool:
    """Start the process that compiles, unless there is one or was one lately; return whether one is at work."""
    executable = sys.executable or ""
    # A program that has Python in it cannot be called as Python.
    if getattr(sys, "frozen", False) or not Path(executable).name.lower().startswith(("python", "pypy")):
        return False
    if is_running():
        return True
    # Also a trial of whether a file can be written.
    if _has_begun() or _note("begun", time=time.time()) is None:
        return False
    folders = {
        name: os.path.abspath(os.environ[name]) for name in (CACHE_VARIABLE, "NUMBA_CACHE_DIR") if os.environ.get(name)
    }
    code = [executable, "-W", "ignore", "-c", _CODE, json.dumps([os.path.abspath(path) for path in sys.path])]
    nothing = subprocess.DEVNULL
    apart: Any = {"creationflags": 0x4208} if os.name == "nt" else {"process_group": 0}
    try:
        process = _Process(
            code, cwd=PACKAGE.anchor, env=os.environ | folders, stdin=nothing, stdout=nothing, stderr=nothing, **apart
        )
    except (OSError, ValueError):
        return False
    # Until this one waits for it, a process that has ended remains in the system's table.
    with suppress(RuntimeError):
        threading.Thread(target=process.wait, name="ert compiles", daemon=True).start()
    return True


def _has_begun() -> bool:
    """Return whether a process was started lately."""
    times = [_noted(folder, "begun").get("time") for folder in trusted_folders()]
    return any(isinstance(then, (int, float)) and 0 <= time.time() - then < PAUSE_SECONDS for then in times)


def is_running() -> bool:
    """Return whether a process compiles."""
    with _locked() as mine:
        return mine is False


@contextmanager
def alone() -> Iterator[bool]:
    """Yield whether this process is to compile; for that it gives way to other processes, and ends in any case."""
    if hasattr(os, "nice"):
        os.nice(19)
    timer = threading.Timer(MAX_SECONDS, os._exit, (1,))
    timer.daemon = True
    timer.start()
    with _locked(LOCK_TRIES) as mine:
        yield bool(mine) and not is_ready()


@contextmanager
def _locked(n_tries: int = 1) -> Iterator[bool | None]:
    """Yield whether this process has the lock; None where no folder can be written to."""
    file = _open_lock()
    if file is None:
        yield None
        return
    with file:
        while not (mine := _lock(file)) and n_tries > 1:
            n_tries -= 1
            time.sleep(LOCK_SECONDS)
        yield mine


def _open_lock() -> IO[bytes] | None:
    for folder in trusted_folders(create=True):
        with suppress(OSError):
            return open(folder / _file_name("compiling"), "ab")
    return None


def _lock(file: IO[bytes]) -> bool:
    """Lock a file until it is closed or its process ends; return False where another process has locked it."""
    try:
        if os.name == "nt":
            import msvcrt as windows

            system: Any = windows
            system.locking(file.fileno(), system.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@cache
def _version() -> str:
    """Return a digest of what kernels are compiled from and with."""
    spec = find_spec("numba")
    numba = b""
    with suppress(OSError, TypeError, IndexError):
        numba = Path((spec.submodule_search_locations or [])[0], "_version.py").read_bytes() if spec else b""
    return digest_of(source_stamp(str(KERNELS / "cache.py")) + numba).hex()


def _file_name(what: str) -> str:
    """Return the name of a file for this Python, processor and settings of numba."""
    settings = [os.environ.get(f"NUMBA_{name}", "") for name in SETTINGS]
    # A processor that is named takes the place of this one.
    processor = b"" if settings[0] and settings[1] else _processor()
    kind = repr((sys.implementation.cache_tag, getattr(sys, "abiflags", ""), settings)).encode()
    kernels = (os.environ.get("ERT_KERNELS") or "auto").encode()
    suffix = "lock" if what == "compiling" else "json"
    return f"{what}.{digest_of(kind + kernels + processor).hex()[:16]}.{suffix}"


@cache
def _processor() -> bytes:
    """Return what tells processors apart whose machine code differs; without LLVM, which loads slowly."""
    with suppress(OSError):
        with open("/proc/cpuinfo", "rb") as file:
            lines = file.read(8192).split(b"\n\n")[0].splitlines()
        kept = (b"model name", b"flags", b"Features", b"CPU implementer", b"CPU part", b"cpu family")
        return b"\n".join(line for line in lines if line.startswith(kept))
    import platform

    return f"{platform.machine()} {platform.processor()}".encode()
