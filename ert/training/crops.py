"""The crops of all objects that a model is trained on, in memory or in a temporary file."""

import ctypes
import mmap
import os
import tempfile
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from ert._core.exceptions import InputError
from ert._core.images import image_size
from ert.inference.validation import Face, read_face
from ert.model.cropping import CropSpec, crop_native, raw_sizes
from ert.model.geometry import box_frames, stretched_frames

__all__ = [
    "Crops",
    "cut_faces",
    "cut_raw_faces",
    "raw_crop_sizes",
]


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
        """Take crops (n_objects, columns, rows) of one :class:`CropSpec`."""
        n, columns, rows = crops.shape
        first = np.arange(n, dtype=np.int64) * (columns * rows)
        places = np.stack([first, np.full(n, columns), np.full(n, rows)], axis=1)
        return cls(crops.reshape(-1), places, np.tile(frame, (n, 1)))

    @classmethod
    def of_many_sizes(cls, crops: Sequence[npt.NDArray[np.uint8]], frames: npt.NDArray[np.float64]) -> Self:
        """Take a list of crops (columns, rows), as :func:`crop_native` cuts them."""
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


def cut_faces(
    X: Sequence[Face],
    boxes: npt.NDArray[np.float64],
    crop_spec: CropSpec,
    channel_order: str,
    gray_weights: str,
    n_jobs: int,
    what: str,
    *,
    mapped: bool | None = False,
) -> Crops:
    """Cut the crops of many faces, reading image files as they are needed and keeping none.

    Parameters
    ----------
    X : sequence of (image, box)
    boxes : float array (n, 4)
        The boxes of X, checked.
    crop_spec : Cropping
    channel_order : {"rgb", "bgr"}
    gray_weights : {"luma", "dlib"}
    n_jobs : int
        Threads.
    what : str
        What error messages call X.
    mapped : bool or None
        Whether the crops lie in a temporary file, see :meth:`ert.crop_store.Crops.reserve`.

    Returns
    -------
    Crops
    """
    frames = box_frames(boxes)

    crops = Crops.reserve(np.tile(crop_spec.shape, (len(X), 1)), mapped=mapped)

    def cut(i: int) -> None:
        image, order = read_face(X[i][0], boxes[i], channel_order, f"{what}[{i}]")
        crops.put(i, *crop_spec.cut(image, frames[i], order, gray_weights))

    _fill(crops, cut, n_jobs)
    return crops


def cut_raw_faces(
    X: Sequence[Face],
    boxes: npt.NDArray[np.float64],
    region: npt.NDArray[np.float64],
    channel_order: str,
    gray_weights: str,
    n_jobs: int,
    what: str,
    *,
    mapped: bool | None = False,
) -> Crops:
    """Cut many faces as :func:`ert.crops.crop_native` does, at the size that they have in their images.

    Parameters
    ----------
    X, boxes, channel_order, gray_weights, n_jobs, what, mapped
        See :func:`cut_faces`.
    region : float array (4,)
        What to keep, in box coordinates.

    Returns
    -------
    Crops
    """
    frames = stretched_frames(boxes)
    crops = Crops.reserve(raw_crop_sizes(X, boxes, region), mapped=mapped)

    def cut(i: int) -> None:
        image, order = read_face(X[i][0], boxes[i], channel_order, f"{what}[{i}]")
        crops.put(i, *crop_native(image, frames[i], region, order, gray_weights))

    _fill(crops, cut, n_jobs)
    return crops


def raw_crop_sizes(
    X: Sequence[Face], boxes: npt.NDArray[np.float64], region: npt.NDArray[np.float64]
) -> npt.NDArray[np.int64]:
    """Return columns and rows (n, 2) that crops of :func:`cut_raw_faces` have at most."""
    sizes = raw_sizes(stretched_frames(boxes), region)
    for i, (image, _) in enumerate(X):
        if isinstance(image, (str, os.PathLike)):
            columns, rows = image_size(image)
        else:
            rows, columns = np.shape(image)[:2]
        # Not more than the image, and a pixel on either side that stands for all beyond.
        sizes[i] = np.minimum(sizes[i], (columns + 2, rows + 2))
    return sizes


def _fill(crops: Crops, cut: Callable[[int], None], n_jobs: int) -> None:
    """Call `cut` for each object, in threads; of several errors the first object's is raised."""
    executor = ThreadPoolExecutor(n_jobs)
    running: deque[Future[None]] = deque()
    try:
        for i in range(len(crops)):
            running.append(executor.submit(cut, i))
            if len(running) > 4 * n_jobs:
                running.popleft().result()
            if i % 64 == 0:
                crops.release()
                _return_freed()
        for last in running:
            last.result()
    finally:
        executor.shutdown(cancel_futures=True)
    crops.release()
    _return_freed()


def _return_freed() -> None:
    """Give the system what decoders of images have freed: some C libraries keep tens of MB of it."""
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
