"""Large arrays of training, in memory or mapped from temporary files."""

import mmap
import os
import tempfile

import numpy as np

from ert._core.exceptions import InputError
from ert._core.types import Pixels

# Samples are grouped into blocks of this many: a block's pool and residuals stay in the processor's cache.
BLOCK_LENGTH = 2048
# A sample's row of a feature pool takes a multiple of this many bytes, a cache line.
ROW_ALIGNMENT = 64
# Bytes of a temporary file that are written at once.
_WRITE_SIZE = 2**22


def allocate(size: int, *, mapped: bool | None = False) -> tuple[Pixels, mmap.mmap | None]:
    """Return zeros, uint8 (size,), and the temporary file that they are mapped from, if any.

    `mapped` None maps a file if it can be written; with True a file that cannot be written is an InputError.
    """
    if mapped is not False and size:
        try:
            mapping = _map_file(size)
        except InputError:
            if mapped:
                raise
        else:
            return np.frombuffer(mapping, np.uint8), mapping
    return np.zeros(size, np.uint8), None


def new_pool(n_samples: int, n_pixels: int, *, mapped: bool = False) -> Pixels:
    """Return a feature pool (n_blocks, BLOCK_LENGTH, width) as the kernels expect it.

    The width is `n_pixels` rounded up to a multiple of 64; 64 readable bytes follow the array.
    """
    n_blocks = -(-n_samples // BLOCK_LENGTH)
    width = -(-n_pixels // ROW_ALIGNMENT) * ROW_ALIGNMENT
    size = n_blocks * BLOCK_LENGTH * width
    array, _ = allocate(size + ROW_ALIGNMENT, mapped=mapped)
    return array[:size].reshape(n_blocks, BLOCK_LENGTH, width)


def _temporary_folder() -> str:
    # /tmp is often kept in memory, /var/tmp never.
    if "TMPDIR" not in os.environ and os.access("/var/tmp", os.W_OK):
        return "/var/tmp"
    return tempfile.gettempdir()


def _map_file(size: int) -> mmap.mmap:
    folder = _temporary_folder()
    try:
        # Nameless where the system allows it: nothing is left of the file even if the process is killed.
        with tempfile.TemporaryFile(prefix="ert-", dir=folder) as file:
            # Written, not only extended: a full disk is an error here, and would be a crash later.
            for start in range(0, size, _WRITE_SIZE):
                file.write(bytes(min(_WRITE_SIZE, size - start)))
            file.flush()
            return mmap.mmap(file.fileno(), size)
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"{folder}: no space for {size / 1e6:.0f} MB of training data: {reason}") from error
