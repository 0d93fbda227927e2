"""Files are replaced whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ert.errors import InputError

__all__ = ["write_atomically"]


@contextmanager
def write_atomically(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block ends well, else remove it.

    Parameters
    ----------
    path : path-like
        The file to write. An existing one is replaced only after the block has ended without an error.

    Yields
    ------
    pathlib.Path
        Where to write: same folder and same suffix, so that writers that look at the suffix work.

    Raises
    ------
    InputError
        When the operating system refuses to write (no such folder, no permission, disk full).
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            temporary.unlink()
