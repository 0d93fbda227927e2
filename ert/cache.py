"""Where numba keeps what it compiled: where it can, and if it cannot anywhere, in a folder of the process."""

import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numba

__all__ = ["ensure_cache", "is_usable"]


def ensure_cache() -> None:
    """Give numba a folder for its cache when all that it would try cannot be written to.

    Without one it refuses to compile at all: in a container that is read-only, or for a user without a home
    over files of another. What is compiled then lasts as long as the process.
    """
    if not any(is_usable(folder) for folder in _folders()):
        folder = tempfile.mkdtemp(prefix="ert-numba-")
        numba.config.CACHE_DIR = folder  # type: ignore[attr-defined]
        import atexit

        atexit.register(shutil.rmtree, folder, ignore_errors=True)


def _folders() -> Iterable[Path]:
    chosen = getattr(numba.config, "CACHE_DIR", "")
    if chosen:
        # Numba looks nowhere else then.
        return [Path(chosen)]
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return [Path(__file__).parent / "__pycache__", Path(home) / "numba"]


def is_usable(folder: Path) -> bool:
    """Whether a folder is there, or can be made, and files can be written to it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except (OSError, RuntimeError):
        return False


ensure_cache()
