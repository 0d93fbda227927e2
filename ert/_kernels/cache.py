"""The cache of compiled kernels on disk: a file for each kernel, argument types and processor.

fingerprint      16 bytes: of numba's version, the sources, the types, the processor and numba's settings
digest           16 bytes: of the rest
compile result   pickled by numba

numba's own cache trusts its files: a damaged one is an error at every call or runs damaged machine code, a change in
another source file than the kernel's goes unnoticed, and processes that start at once can mix up their files. Here a
file that is not as expected is removed and its kernel is compiled anew; folders that other users can write to are not
used, since what is in the cache is executed; and where no folder can be written to, kernels stay in memory only.
"""

import os
import pickle
import sys
import time
import uuid
import warnings
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numba
from numba.core import config as numba_config
from numba.core import dispatcher as numba_dispatcher
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps
from numba.misc.appdirs import AppDirs

PACKAGE = Path(__file__).parents[1]
IN_PACKAGE = Path(__file__).parent / "__pycache__"
DIGEST_BYTES = 16
config: Any = numba_config
dispatcher: Any = numba_dispatcher
# New files, and none that is there already; bytes as they are, which is a choice on Windows.
WRITE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
# Temporary files older than this were left by processes that were killed.
ABANDONED_SECONDS = 3600


class KernelCache:
    """The cached machine code of one function, with the methods that numba's dispatcher calls.

    The function has no closure: its name and the sources say all about it.
    """

    def __init__(self, function: Any) -> None:
        self._function = function
        # The folder of the files of this kernel, once one is read or written.
        self.cache_path: str | None = None

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        """Return the compile result of a signature, None where it is to be compiled."""
        target_context.refresh()
        name, fingerprint = self._identify(signature, target_context.codegen())
        for folder in _trusted_folders():
            path = folder / name
            try:
                found = path.read_bytes()
            except OSError:
                continue
            digest, payload = found[DIGEST_BYTES : 2 * DIGEST_BYTES], found[2 * DIGEST_BYTES :]
            # Files of other versions are replaced when the kernel has been compiled.
            if found.startswith(fingerprint) and digest == _digest(payload):
                try:
                    result = CompileResult._rebuild(target_context, *pickle.loads(payload))
                except Exception:  # Whatever another version of numba or Python raises here.
                    result = None
                if result is not None:
                    self.cache_path = str(folder)
                    return result
            with suppress(OSError):
                path.unlink()
        return None

    def save_overload(self, signature: Any, result: Any) -> None:
        """Write a compile result to the first folder that can be written to, if there is one."""
        name, fingerprint = self._identify(signature, result.codegen)
        if result.lifted or result.library.has_dynamic_globals:
            warnings.warn(f"{self._function.__qualname__}: cannot be cached", stacklevel=2)
            return
        payload = dumps(result._reduce())
        for folder in _trusted_folders(create=True):
            temporary = folder / f"{name}.{uuid.uuid4().hex[:8]}.tmp"
            try:
                # Never writable for others, readable for all whose umask allows it.
                with os.fdopen(os.open(temporary, WRITE_FLAGS, 0o644), "wb") as file:
                    file.write(fingerprint + _digest(payload) + payload)
                os.replace(temporary, folder / name)
            except OSError:
                with suppress(OSError):
                    temporary.unlink()
                continue
            self.cache_path = str(folder)
            _remove_abandoned(folder, name)
            return

    def flush(self) -> None:
        """Remove all files of this kernel."""
        for folder in _trusted_folders():
            for path in folder.glob(f"{self._stem}.*.nbc"):
                with suppress(OSError):
                    path.unlink()

    @property
    def _stem(self) -> str:
        # Not all characters of <locals> are allowed in names of files.
        name = f"{self._function.__module__}.{self._function.__qualname__}".replace("<", "").replace(">", "")
        return f"{name}.{sys.implementation.cache_tag}{getattr(sys, 'abiflags', '')}"

    def _identify(self, signature: Any, codegen: Any) -> tuple[str, bytes]:
        """Return the name of the file for a signature and a processor, and its fingerprint."""
        # Kernels have forms for some processors, which are not used where numba is set to compile for another.
        settings = config.CPU_NAME, config.CPU_FEATURES, config.BOUNDSCHECK, config.OPT
        kind = repr((signature, codegen.magic_tuple(), settings)).encode()
        # Versions are not in the name, so that files of old ones are replaced.
        stamp = _source_stamp(self._function.__code__.co_filename)
        fingerprint = _digest(kind + numba.__version__.encode() + stamp)
        return f"{self._stem}.{_digest(kind).hex()[:16]}.nbc", fingerprint


def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=DIGEST_BYTES).digest()


@cache
def _source_stamp(filename: str) -> bytes:
    """Return a digest of all sources that a kernel is compiled from: kernels call those of other modules."""
    try:
        sources = sorted({*Path(__file__).parent.glob("*.py"), Path(filename)})
        return _digest(b"".join(path.read_bytes() for path in sources))
    except OSError:
        # No source files: in a program frozen into one executable, or in a zip archive.
        program = sys.executable if getattr(sys, "frozen", False) else _nearest(Path(filename))
        status = os.stat(program)
        return f"{status.st_mtime_ns} {status.st_size}".encode()


def _nearest(path: Path) -> Path:
    """Return the innermost folder or archive around a path that there is."""
    return next(parent for parent in path.absolute().parents if parent.exists())


def _remove_abandoned(folder: Path, name: str) -> None:
    for path in folder.glob(f"{name}.*.tmp"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > ABANDONED_SECONDS:
                path.unlink()


def _folders() -> Iterator[tuple[Path, Path]]:
    """Yield the cache folders in the order in which numba tries them, and in each the folder of this package."""
    frozen = getattr(sys, "frozen", False)
    own = f"ert_{_digest(os.fsencode(sys.executable if frozen else PACKAGE)).hex()}"
    if config.CACHE_DIR:
        folder = Path(os.path.abspath(config.CACHE_DIR))
        yield folder, folder / own
    # A frozen program may be unpacked into a temporary folder.
    if not frozen:
        yield IN_PACKAGE, IN_PACKAGE
    # A user without a home has none; then the folder begins with "~".
    folder = Path(AppDirs("numba", appauthor=False).user_cache_dir)
    if folder.is_absolute():
        yield folder, folder / own


def _trusted_folders(*, create: bool = False) -> Iterator[Path]:
    """Yield the folders of the package that only trusted users can write to, created if they are not there."""
    for root, folder in _folders():
        try:
            if create:
                root.mkdir(mode=0o755, parents=True, exist_ok=True)
            reason = _distrust(root)
            if create and not reason:
                folder.mkdir(mode=0o755, exist_ok=True)
            reason = reason or _distrust(folder, holds_code=True)
        except OSError:  # Not there, or not to be created or looked into.
            continue
        if reason:
            _warn_once(reason)
        else:
            yield folder


def _distrust(folder: Path, *, holds_code: bool = False) -> str:
    """Return why code in a folder, or with `holds_code` right in it, is not to be executed; "" if it may be."""
    if os.name != "posix":
        return ""
    status, package = folder.stat(), _nearest(PACKAGE / "_kernels").stat()
    # Who owns the package decides what is executed in any case.
    if status.st_uid not in (0, os.geteuid(), package.st_uid):
        return f"{folder} belongs to user {status.st_uid}, expected {os.geteuid()}"
    # A group with the number of its user is this user alone.
    others = 0o002 if status.st_gid == status.st_uid else 0o022
    if folder == IN_PACKAGE:
        others &= ~package.st_mode
    # With the sticky bit, as /tmp has it, nobody can change the folders of others, but all can add files.
    if status.st_mode & others and (holds_code or not status.st_mode & 0o1000):
        return f"{folder} can be written to by other users, expected its owner alone (chmod go-w)"
    return ""


@cache
def _warn_once(reason: str) -> None:
    text = f"the cache of compiled kernels {reason}; it is not used, since numba executes what it contains"
    # One line: Python finds no source line to print at this place.
    warnings.warn_explicit(text, RuntimeWarning, "ert", 1, "ert")


def _choose_cache(function: Any) -> Any:
    # Functions made by `exec` may have no module.
    mine = (function.__module__ or "").partition(".")[0] == __name__.partition(".")[0]
    return KernelCache(function) if mine else _NUMBAS_CACHE(function)


# numba has no setting for the class of a cache. Functions of other packages keep numba's own.
_NUMBAS_CACHE = dispatcher.FunctionCache
dispatcher.FunctionCache = _choose_cache
