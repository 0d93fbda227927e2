"""Where the trials of a search are stored: a journal, SQLite or another database, each of which may fail at any time.

All calls of a storage that is gone, full or damaged end in a `StorageError`, whoever makes them.
"""

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from ert._core.exceptions import InputError, one_line
from ert._core.files import check_writable, is_stream

SQLITE_SUFFIXES = (".db", ".sqlite", ".sqlite3")


class StorageError(InputError):
    """A storage that cannot hold a study, or no longer."""


def require_optuna() -> Any:
    """Return the package, or raise an InputError that names what to install."""
    try:
        optuna = import_module("optuna")
    except ImportError:
        raise InputError('ert tune: needs optuna, which is not installed: pip install "ert-landmarks[tune]"') from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


@contextmanager
def quiet() -> Iterator[None]:
    """Ignore warnings that features of Optuna may change."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=require_optuna().exceptions.ExperimentalWarning)
        yield


def check_storage(storage: str) -> None:
    """Raise an InputError, before any work, if what is there cannot hold a study."""
    if not storage:
        raise InputError("storage '': expected a file, or the URL of a database")
    if not is_url(storage):
        check_writable(storage, "study")
        if is_stream(storage):
            raise InputError(f"{storage}: is a device or a pipe, expected a file for the study")
        with _storage_errors(storage):
            # The space for some trials, beside it.
            with tempfile.TemporaryFile(dir=Path(storage).absolute().parent, prefix=".ert-") as file:
                file.write(bytes(1 << 14))
            if not Path(storage).exists():
                return
            with open(storage, "ab"):
                pass
    with _storage_errors(storage), quiet():
        _backend(storage)


def open_study(storage: str | None, name: str, n_directions: int = 1) -> Any:
    """Return the study of a name, which is made if the storage has none; None stores it in memory."""
    optuna = require_optuna()
    if storage is not None:
        check_storage(storage)
    with _storage_errors(storage), quiet():
        options: Any = {"study_name": name, "load_if_exists": True, "directions": ["minimize"] * n_directions}
        return optuna.create_study(storage=storage and _guarded(_backend(storage), storage), **options)


def is_url(storage: str) -> bool:
    """Return whether a storage is a database's URL, not a file."""
    return "://" in storage


def _backend(storage: str) -> Any:
    optuna = require_optuna()
    if is_url(storage) or Path(storage).suffix.lower() in SQLITE_SUFFIXES:
        url = storage if is_url(storage) else f"sqlite:///{Path(storage).absolute()}"
        return optuna.storages.get_storage(optuna.storages.RDBStorage(url))
    journal = optuna.storages.journal
    # Absolute: with a relative one, the lock of a process that was killed is waited for without end.
    file = str(Path(storage).absolute())
    return journal.JournalStorage(journal.JournalFileBackend(file, _JournalLock(file)))


class _JournalLock:
    """Optuna's lock of a journal, which network file systems have, too; its owner removes an incomplete last line.

    A process that was killed, or a full disk, leaves one; what is appended to it could not be read.
    """

    def __init__(self, file: str) -> None:
        self.file = Path(file)
        self.lock = require_optuna().storages.journal.JournalFileSymlinkLock(file)

    def acquire(self) -> bool:
        self.lock.acquire()
        try:
            _remove_incomplete_line(self.file)
        except BaseException:
            self.lock.release()
            raise
        return True

    def release(self) -> None:
        self.lock.release()


def _remove_incomplete_line(path: Path) -> None:
    with path.open("r+b") as file:
        if not file.seek(0, 2):
            return
        file.seek(-1, 2)
        if file.read(1) != b"\n":
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)


def _guarded(backend: Any, storage: str) -> Any:
    """Let all methods of a storage raise what `_storage_errors` does."""
    for name in dir(require_optuna().storages.BaseStorage):
        if not name.startswith("_"):
            setattr(backend, name, _storage_errors(storage)(getattr(backend, name)))
    return backend


@contextmanager
def _storage_errors(storage: str | None) -> Iterator[None]:
    errors = require_optuna().exceptions
    # A URL may have a password.
    shown = "" if storage is None else storage.rpartition("@")[2] if is_url(storage) else storage
    try:
        yield
    except (errors.DuplicatedStudyError, errors.UpdateFinishedTrialError, StorageError):
        raise  # handled by callers
    except Exception as error:
        # Of the system, of SQLAlchemy, of a driver, or of a damaged file.
        raise StorageError(f"{shown}: cannot hold a study: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    """Return the words of the first error, without those that libraries say to programmers."""
    if isinstance(error, OSError):
        return error.strerror or one_line(str(error))
    while error.__cause__ is not None:
        error = error.__cause__
    text = one_line(str(error).partition("\n")[0], 200)
    if type(error).__name__ == "NoSuchModuleError":
        return f"unknown kind of database {text.rpartition(':')[2]!r}"
    if type(error).__name__ == "ArgumentError":
        return "no valid URL of a database, expected one such as postgresql://HOST/NAME"
    if isinstance(error, ImportError):
        return f"a package is missing that reads this kind of database: {text}"
    if isinstance(error, (ValueError, LookupError)):
        return "it is damaged, or no longer there"
    return text
