"""The crops of all objects that a model is trained on, and cutting them."""

import ctypes
import mmap
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from ert._core.types import Floats, Pixels
from ert._kernels import Workers
from ert.inference.rotated import UprightCopies, reach_of_crop
from ert.inference.validation import Face, read_face
from ert.model.cropping import CropSpec
from ert.training.memory import allocate
from ert.training.parameters import CascadeKind

# Objects that a thread cuts before it returns the memory that image decoders have freed to the system.
BLOCK_SIZE = 16


@dataclass(frozen=True)
class Crops:
    """The crops of many objects, one after another in one array."""

    pixels: Pixels
    # The first pixel, the columns and the rows of each crop (n_objects, 3), which lies column by column.
    places: npt.NDArray[np.int64]
    # From box coordinates to pixels of each crop (n_objects, 6).
    transforms: Floats
    # The temporary file that `pixels` are mapped from.
    mapping: mmap.mmap | None = None

    def __len__(self) -> int:
        return len(self.places)

    @classmethod
    def pack(cls, crops: Sequence[Pixels] | Pixels, transforms: Floats) -> Self:
        """Return crops (columns, rows) with transforms (n_objects, 6), or one (6,) for all."""
        result = cls.reserve(np.array([crop.shape for crop in crops], np.int64))
        for i, crop in enumerate(crops):
            result.put(i, crop, np.broadcast_to(transforms, (len(crops), 6))[i])
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
    """How the images of faces are read; error messages call the sequence of faces `what`, numbered from `first` on."""

    channel_order: str
    gray_weights: str
    n_threads: int
    what: str = "X"
    first: int = 0


def cut_crops(
    crops: Crops,
    X: Sequence[Face],
    boxes: Floats,
    rolls: Floats | None,
    kind: CascadeKind,
    crop_spec: CropSpec,
    reader: FaceReader,
) -> Crops:
    """Cut the crops of faces X, whose `boxes` (n, 4) have been checked, into reserved `crops`, and return these.

    With `rolls` (n,) in degrees, they are cut out of the same upright copies as a prediction reads. Only a few images
    are in memory at the same time.
    """
    reach = reach_of_crop(crop_spec, stretched=kind.stretches)

    def cut_one(image: Pixels, i: int, order: str) -> tuple[Pixels, Floats]:
        box, colors = boxes[i : i + 1], (order, reader.gray_weights)
        if rolls is not None:
            copies = UprightCopies(reach, image, tuple(boxes[i].tolist()), *colors)
            image, upright, _ = copies.upright(copies.given(float(rolls[i])))
            box = np.array([upright])
        return kind.cut(image, kind.box_transforms(box)[0], crop_spec, *colors)

    def cut(first: int) -> None:
        for i in range(first, min(first + BLOCK_SIZE, len(X))):
            image, order = read_face(X[i][0], boxes[i], reader.channel_order, f"{reader.what}[{reader.first + i}]")
            crops.put(i, *cut_one(image, i, order))
        crops.release()
        _trim_heap()

    with Workers(reader.n_threads) as workers:
        list(workers.map(cut, range(0, len(X), BLOCK_SIZE)))
    return crops


def _trim_heap() -> None:
    """Return memory that image decoders have freed to the system: some C libraries keep tens of MB of it."""
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
