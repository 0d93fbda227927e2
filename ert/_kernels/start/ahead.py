"""Compile all kernels of prediction ahead, in a process of its own, and note in the cache that it has been done.

ready.PROCESSOR.json    {"version": digest of the sources and of numba, "files": the names of the compiled kernels}
compiling.lock          locked by the process that compiles: one at a time
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

from ert._kernels.start.cache_folders import CACHE_VARIABLE, KERNELS, PACKAGE, digest_of, source_stamp, trusted_folders

LOCK = "compiling.lock"
# Compiling takes 15 s of a processor; then the process ends, whatever has happened.
MAX_SECONDS = 900
# Variables that other machine code depends on.
SETTINGS = ("CPU_NAME", "CPU_FEATURES", "ENABLE_AVX", "OPT", "BOUNDSCHECK")
_CODE = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); import ert.inference.warm_up as w; w.compile_ahead()"


class _Process(subprocess.Popen[bytes]):
    """A process that outlives this one: no warning about that."""

    def __del__(self, *_: object) -> None:
        pass


_process: _Process | None = None


def is_ready() -> bool:
    """Return whether all kernels of prediction are in the cache, as far as names of files say."""
    return ready_folder() is not None


def ready_folder() -> Path | None:
    """Return the folder in which it is noted that all kernels of prediction are in the cache; None if they are not."""
    folders = list(trusted_folders())
    for folder in folders:
        with suppress(OSError, ValueError, KeyError, TypeError):
            noted = json.loads((folder / _note_name()).read_text(encoding="utf-8"))
            if noted["version"] == _version():
                there = {name for each in folders for name in os.listdir(each)}
                return folder if there.issuperset(noted["files"]) else None
    return None


def note_ready(files: Iterable[str]) -> None:
    """Note which files hold the kernels of prediction; without a folder that can be written to, do nothing."""
    text = json.dumps({"version": _version(), "files": sorted(files)})
    for folder in trusted_folders(create=True):
        path = folder / _note_name()
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        try:
            temporary.write_text(text, encoding="utf-8")
            os.replace(temporary, path)
        except OSError:
            with suppress(OSError):
                temporary.unlink()
            continue
        return


def start() -> bool:
    """Start the process that compiles, unless there is one; return whether one is at work."""
    global _process
    executable = sys.executable or ""
    # A program that has Python in it cannot be called as Python.
    if getattr(sys, "frozen", False) or not Path(executable).name.lower().startswith(("python", "pypy")):
        return False
    if not can_write():
        return False
    if is_running():
        return True
    names = {CACHE_VARIABLE, "NUMBA_CACHE_DIR"}.intersection(os.environ)
    folders = {name: os.path.abspath(os.environ[name]) for name in names}
    code = [executable, "-W", "ignore", "-c", _CODE, json.dumps([os.path.abspath(path) for path in sys.path])]
    nothing = subprocess.DEVNULL
    apart: Any = {"creationflags": 0x4208} if os.name == "nt" else {"process_group": 0}
    try:
        _process = _Process(
            code, cwd=PACKAGE.anchor, env=os.environ | folders, stdin=nothing, stdout=nothing, stderr=nothing, **apart
        )
    except (OSError, ValueError):
        return False
    return True


def is_running() -> bool:
    """Return whether a process compiles: this one's, which may not have begun, or that of another process."""
    if _process is not None and _process.poll() is None:
        return True
    with locked() as mine:
        return mine is False


@contextmanager
def locked() -> Iterator[bool | None]:
    """Yield whether this process is the one that may compile now; None where no folder can be written to."""
    file = _open_lock()
    if file is None:
        yield None
        return
    with file:
        yield _lock(file)


def _open_lock() -> IO[bytes] | None:
    for folder in trusted_folders(create=True):
        with suppress(OSError):
            return open(folder / LOCK, "ab")
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


def can_write() -> bool:
    """Return whether there is a folder for compiled kernels that can be written to."""
    return any(os.access(folder, os.W_OK) for folder in trusted_folders(create=True))


def be_modest() -> None:
    """Give way to other processes, and end in any case."""
    if hasattr(os, "nice"):
        os.nice(19)
    timer = threading.Timer(MAX_SECONDS, os._exit, (1,))
    timer.daemon = True
    timer.start()


def _version() -> str:
    """Return a digest of what kernels are compiled from and with."""
    spec = find_spec("numba")
    numba = b""
    with suppress(OSError, TypeError, IndexError):
        numba = Path((spec.submodule_search_locations or [])[0], "_version.py").read_bytes() if spec else b""
    return digest_of(source_stamp(str(KERNELS / "cache.py")) + numba).hex()


def _note_name() -> str:
    """Return the name of the file for this Python, processor and settings of numba."""
    settings = [os.environ.get(f"NUMBA_{name}", "") for name in SETTINGS]
    # A processor that is named takes the place of this one.
    processor = b"" if settings[0] and settings[1] else _processor()
    kind = repr((sys.implementation.cache_tag, getattr(sys, "abiflags", ""), settings)).encode()
    return f"ready.{digest_of(kind + os.environ.get('ERT_KERNELS', '').encode() + processor).hex()[:16]}.json"


def _processor() -> bytes:
    """Return what tells processors apart whose machine code differs; without LLVM, which loads slowly."""
    with suppress(OSError):
        with open("/proc/cpuinfo", "rb") as file:
            lines = file.read(8192).split(b"\n\n")[0].splitlines()
        kept = (b"model name", b"flags", b"Features", b"CPU implementer", b"CPU part", b"cpu family")
        return b"\n".join(line for line in lines if line.startswith(kept))
    import platform

    return f"{platform.machine()} {platform.processor()}".encode()
