"""The folders that compiled kernels are kept in, and which of them are trusted: without numba, which loads slowly."""

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from hashlib import blake2b
from pathlib import Path

PACKAGE = Path(__file__).parents[2]
KERNELS = PACKAGE / "_kernels"
# A folder of compiled kernels, in place of numba's.
CACHE_VARIABLE = "ERT_CACHE_DIR"
IN_PACKAGE = KERNELS / "__pycache__"
DIGEST_BYTES = 16
# New files, and none that is there already; bytes as they are, which is a choice on Windows.
WRITE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
# As large as a kernel: on a full disk there may be room for a few bytes.
TRIAL_BYTES = 2**16


def digest_of(data: bytes) -> bytes:
    """Return 16 bytes by which data are recognized."""
    return blake2b(data, digest_size=DIGEST_BYTES).digest()


@cache
def source_stamp(filename: str) -> bytes:
    """Return a digest of all sources that a kernel is compiled from: kernels call those of other modules."""
    try:
        sources = sorted({*KERNELS.glob("*.py"), Path(filename)})
        return digest_of(b"".join(path.read_bytes() for path in sources))
    except OSError:
        # No source files: in a program frozen into one executable, or in a zip archive.
        program = sys.executable if getattr(sys, "frozen", False) else _nearest(Path(filename))
        status = os.stat(program)
        return f"{status.st_mtime_ns} {status.st_size}".encode()


def _nearest(path: Path) -> Path:
    """Return the innermost folder or archive around a path that there is."""
    return next(parent for parent in path.absolute().parents if parent.exists())


def _folder_of_numba() -> str:
    """Return what numba is set to; its own settings count where it has been imported."""
    config = sys.modules.get("numba.core.config")
    name: str = getattr(config, "CACHE_DIR", "") if config else os.environ.get("NUMBA_CACHE_DIR", "")
    return name


def user_folder() -> Path:
    """Return numba's folder of this user."""
    if sys.platform == "win32":
        parent = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
        return Path(os.path.expanduser(parent)) / "numba" / "Cache"
    parent = "~/Library/Caches" if sys.platform == "darwin" else os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.path.expanduser(parent)) / "numba"


# Whether kernels in other folders than ERT_CACHE_DIR do not count.
_alone = False


def use_alone(folder: str | os.PathLike[str]) -> None:
    """Read and write compiled kernels in a folder, which becomes ERT_CACHE_DIR, and in no other."""
    global _alone
    os.environ[CACHE_VARIABLE], _alone = os.fspath(folder), True


def _folders() -> Iterator[tuple[Path, Path]]:
    """Yield ERT_CACHE_DIR, then the folders in numba's order, and in each the folder of this package."""
    frozen = getattr(sys, "frozen", False)
    own = f"ert_{digest_of(os.fsencode(sys.executable if frozen else PACKAGE)).hex()}"
    for name in filter(None, (os.environ.get(CACHE_VARIABLE), _folder_of_numba())):
        folder = Path(os.path.abspath(name))
        yield folder, folder / own
        if _alone:
            return
    # A frozen program may be unpacked into a temporary folder.
    if not frozen:
        yield IN_PACKAGE, IN_PACKAGE
    # A user without a home has none; then the folder begins with "~".
    folder = user_folder()
    if folder.is_absolute():
        yield folder, folder / own


def trusted_folders(*, create: bool = False) -> Iterator[Path]:
    """Yield the folders of the package that only trusted users can write to, created if they are not there."""
    for root, folder in _folders():
        try:
            reason = _open_folder(root, folder, create)
        except OSError:  # Not there, or not to be created or looked into.
            continue
        if reason:
            _warn_once(f"{reason}; it is not used, since numba executes what it contains")
        else:
            yield folder


def _open_folder(root: Path, folder: Path, create: bool) -> str:
    """Return why a folder of the package is not to be trusted, "" if it is, created if it is not there."""
    if create:
        root.mkdir(mode=0o755, parents=True, exist_ok=True)
    reason = _distrust(root)
    if create and not reason:
        folder.mkdir(mode=0o755, exist_ok=True)
    return reason or _distrust(folder, holds_code=True)


def can_write() -> bool:
    """Return whether there is a trusted folder that a file can be written to."""
    for folder in trusted_folders(create=True):
        with suppress(OSError):
            _try_to_write(folder)
            return True
    return False


def why_not_first() -> str:
    """Return why no file can be written to the folder that comes first; "" if one can."""
    root, folder = next(_folders())
    try:
        reason = _open_folder(root, folder, create=True)
        if not reason:
            _try_to_write(folder)
        return reason
    except OSError as error:
        return f"{folder}: {error.strerror or error}"


def _try_to_write(folder: Path) -> None:
    path = folder / "trial"
    replace_file(path, bytes(TRIAL_BYTES))
    path.unlink(missing_ok=True)


def replace_file(path: Path, data: bytes) -> None:
    """Write a file at once, so that no other process sees a part of it; OSError where it cannot be written."""
    temporary = path.with_name(f"{path.name}.{os.urandom(4).hex()}.tmp")
    try:
        # Never writable for others, readable for all whose umask allows it.
        with os.fdopen(os.open(temporary, WRITE_FLAGS, 0o644), "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        raise


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
    # One line: Python finds no source line to print at this place.
    warnings.warn_explicit(f"the cache of compiled kernels {reason}", RuntimeWarning, "ert", 1, "ert")
