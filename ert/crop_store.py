"""The crops of all objects that a model is trained on, in memory or in a temporary file."""

import mmap
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from ert.errors import InputError

__all__ = ["Crops"]

# Bytes of a temporary file that are written at once.
_WRITTEN = 2**22


@dataclass(frozen=True)
class Crops:
    """The crops of many objects, one after another in memory.

    Parameters
    ----------
    pixels : uint8 array (n_pixels,)
    places : int64 array (n_objects, 3)
        Of each crop the number of its first pixel, its columns and its rows; it lies column by column.
    frames : float64 array (n_objects, 6)
        From box coordinates to pixels of each crop.
    mapping : mmap.mmap or None
        The temporary file that `pixels` lie in, if they are not in memory.
    """

    pixels: npt.NDArray[np.uint8]
    places: npt.NDArray[np.int64]
    frames: npt.NDArray[np.float64]
    mapping: mmap.mmap | None = None

    def __len__(self) -> int:
        return len(self.places)

    @classmethod
    def of_one_size(cls, crops: npt.NDArray[np.uint8], frame: npt.NDArray[np.float64]) -> Self:
        """Take crops (n_objects, columns, rows) of one :class:`Cropping`."""
        n, columns, rows = crops.shape
        first = np.arange(n, dtype=np.int64) * (columns * rows)
        places = np.stack([first, np.full(n, columns), np.full(n, rows)], axis=1)
        return cls(crops.reshape(-1), places, np.tile(frame, (n, 1)))

    @classmethod
    def of_many_sizes(cls, crops: Sequence[npt.NDArray[np.uint8]], frames: npt.NDArray[np.float64]) -> Self:
        """Take a list of crops (columns, rows), as :func:`cut_raw` cuts them."""
        result = cls.reserve(np.array([crop.shape for crop in crops], np.int64).reshape(-1, 2))
        for i, (crop, frame) in enumerate(zip(crops, frames, strict=True)):
            result.put(i, crop, frame)
        return result

    @classmethod
    def reserve(cls, sizes: npt.NDArray[np.int64], *, mapped: bool | None = False) -> Self:
        """Make room for crops of at most these sizes, in memory or in a temporary file; `put` fills it.

        Parameters
        ----------
        sizes : int array (n_objects, 2)
            Columns and rows. What a crop does not use of them takes no memory.
        mapped : bool or None
            Whether to use a temporary file; None is one if it can be had, else memory.

        Raises
        ------
        InputError
            When the temporary file cannot be written.
        """
        ends = np.cumsum(sizes.prod(axis=1, dtype=np.int64))
        room = int(ends[-1]) if len(ends) else 0
        mapping = None
        if mapped is not False and room:
            try:
                mapping = _map_file(room)
            except InputError:
                if mapped:
                    raise
        pixels = np.empty(room, np.uint8) if mapping is None else np.frombuffer(mapping, np.uint8)
        first = ends - sizes.prod(axis=1)
        return cls(
            pixels, np.ascontiguousarray(np.column_stack([first, sizes])), np.zeros((len(sizes), 6)), mapping
        )

    def crop(self, i: int) -> npt.NDArray[np.uint8]:
        """Return the crop (columns, rows) of object `i`, to read or to write to."""
        first, columns, rows = self.places[i]
        return self.pixels[first : first + columns * rows].reshape(columns, rows)

    def put(self, i: int, crop: npt.NDArray[np.uint8], frame: npt.NDArray[np.float64]) -> None:
        """Write the crop (columns, rows) of object `i` and its frame (6,)."""
        first = self.places[i, 0]
        self.pixels[first : first + crop.size] = crop.reshape(-1)
        self.places[i, 1:] = crop.shape
        self.frames[i] = frame

    def release(self) -> None:
        """Give back the memory of pixels that lie in a temporary file; they are read anew when needed."""
        if self.mapping is not None and hasattr(mmap, "MADV_DONTNEED"):
            self.mapping.madvise(mmap.MADV_DONTNEED)


def _temporary_folder() -> str | None:
    # What lies in /tmp is often kept in memory, in /var/tmp never.
    usual = "TMPDIR" not in os.environ and os.access("/var/tmp", os.W_OK)
    return "/var/tmp" if usual else None


def _map_file(size: int) -> mmap.mmap:
    folder = _temporary_folder() or tempfile.gettempdir()
    try:
        # It has no name, where the system can: nothing is left of it even when the process is killed.
        with tempfile.TemporaryFile(prefix="ert-", dir=folder) as file:
            # Written, not merely made that long: a full disk is an error here, and would be a crash later.
            for start in range(0, size, _WRITTEN):
                file.write(bytes(min(_WRITTEN, size - start)))
            file.flush()
            return mmap.mmap(file.fileno(), size)
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"{folder}: no room for {size / 1e6:.0f} MB of crops: {reason}") from error
