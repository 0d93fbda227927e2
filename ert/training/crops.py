"""The crops of all objects that a model is trained on."""

import ctypes
import itertools
import mmap
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from ert._core.types import Floats, Pixels
from ert.inference.validation import Face, read_face
from ert.model.cropping import CropSpec
from ert.training.buffers import allocate
from ert.training.kinds import CascadeKind

# Objects after which memory that image decoders have freed is returned to the system.
_TRIM_INTERVAL = 64


@dataclass(frozen=True)
class Crops:
    """The crops of many objects, one after another in one array.

    Parameters
    ----------
    pixels : uint8 array (n_pixels,)
    places : int64 array (n_objects, 3)
        The first pixel, the columns and the rows of each crop, which lies column by column.
    transforms : float64 array (n_objects, 6)
        From box coordinates to pixels of each crop.
    mapping : mmap.mmap or None
        The temporary file that `pixels` are mapped from.
    """

    pixels: Pixels
    places: npt.NDArray[np.int64]
    transforms: Floats
    mapping: mmap.mmap | None = None

    def __len__(self) -> int:
        return len(self.places)

    @classmethod
    def of_one_size(cls, crops: Pixels, transform: Floats) -> Self:
        """Return crops (n_objects, columns, rows) of one :class:`CropSpec`."""
        n, columns, rows = crops.shape
        first = np.arange(n, dtype=np.int64) * (columns * rows)
        places = np.stack([first, np.full(n, columns), np.full(n, rows)], axis=1)
        return cls(crops.reshape(-1), places, np.tile(transform, (n, 1)))

    @classmethod
    def of_many_sizes(cls, crops: Sequence[Pixels], transforms: Floats) -> Self:
        """Return a list of crops (columns, rows), as :func:`crop_native` cuts them."""
        result = cls.reserve(np.array([crop.shape for crop in crops], np.int64).reshape(-1, 2))
        for i, (crop, transform) in enumerate(zip(crops, transforms, strict=True)):
            result.put(i, crop, transform)
        return result

    @classmethod
    def reserve(cls, sizes: npt.NDArray[np.int64], *, mapped: bool | None = False) -> Self:
        """Allocate crops of at most `sizes` (n_objects, 2), columns and rows; `put` fills them.

        Pages that a crop does not use take no memory. `mapped` is that of :func:`allocate`.
        """
        areas = sizes.prod(axis=1, dtype=np.int64)
        pixels, mapping = allocate(int(areas.sum()), mapped=mapped)
        places = np.ascontiguousarray(np.column_stack([np.cumsum(areas) - areas, sizes]))
        return cls(pixels, places, np.zeros((len(sizes), 6)), mapping)

    def crop(self, i: int) -> Pixels:
        """Return the crop (columns, rows) of object `i` as a view."""
        first, columns, rows = self.places[i]
        return self.pixels[first : first + columns * rows].reshape(columns, rows)

    def put(self, i: int, crop: Pixels, transform: Floats) -> None:
        """Write the crop (columns, rows) of object `i` and its transform (6,)."""
        first = self.places[i, 0]
        self.pixels[first : first + crop.size] = crop.reshape(-1)
        self.places[i, 1:] = crop.shape
        self.transforms[i] = transform

    def release(self) -> None:
        """Release the memory of pixels in a temporary file; they are read again when they are needed."""
        if self.mapping is not None and hasattr(mmap, "MADV_DONTNEED"):
            self.mapping.madvise(mmap.MADV_DONTNEED)


@dataclass(frozen=True)
class FaceReader:
    """How the images of faces are read; error messages call the sequence of faces `what`."""

    channel_order: str
    gray_weights: str
    n_threads: int
    what: str = "X"


def cut_crops(
    crops: Crops,
    X: Sequence[Face],
    boxes: Floats,
    transforms: Floats,
    kind: CascadeKind,
    crop_spec: CropSpec,
    reader: FaceReader,
) -> Crops:
    """Cut the crops of many faces; only a few images are in memory at the same time.

    Parameters
    ----------
    crops : Crops
        From :meth:`Crops.reserve`; written.
    X : sequence of (image, box)
    boxes : float array (n, 4)
        The checked boxes of X.
    transforms : float array (n, 6)
        Their box transforms.
    kind : CascadeKind
    crop_spec : CropSpec
    reader : FaceReader

    Returns
    -------
    Crops
        The same.
    """

    def cut(i: int) -> None:
        image, order = read_face(X[i][0], boxes[i], reader.channel_order, f"{reader.what}[{i}]")
        crops.put(i, *kind.cut(image, transforms[i], crop_spec, order, reader.gray_weights))

    _run_all(cut, len(X), reader.n_threads, crops.release)
    return crops


def _run_all(work: Callable[[int], None], n: int, n_threads: int, release: Callable[[], None]) -> None:
    """Call ``work(i)`` for each i in threads; of several errors the one with the smallest i is raised."""
    from joblib import Parallel, delayed

    failed = threading.Event()

    def attempt(i: int) -> Exception | None:
        try:
            work(i)
            if i % _TRIM_INTERVAL == 0:
                release()
                _trim_heap()
        except Exception as error:
            failed.set()
            return error
        return None

    # Tasks start in order: when none is started any more, all with a smaller number have been started.
    numbers = itertools.takewhile(lambda i: not failed.is_set(), range(n))
    for error in Parallel(n_threads, prefer="threads")(delayed(attempt)(i) for i in numbers):
        if error is not None:
            raise error
    release()
    _trim_heap()


def _trim_heap() -> None:
    """Return memory that image decoders have freed to the system: some C libraries keep tens of MB of it."""
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
