"""The objects that are measured: of a dataset, an array of landmarks, or predictions."""

import os
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ert._core.exceptions import InputError
from ert._core.types import Floats
from ert.datasets.dataset import Dataset
from ert.metrics import check_landmarks


class Predicted(Protocol):
    """A predicted object, see :class:`ert.Prediction`."""

    image: Path | NDArray[np.uint8]
    specimen: str
    landmarks: Floats
    landmark_names: tuple[str, ...]
    std: Floats | None
    scale: float | None


class Objects(NamedTuple):
    """What is known of the objects, see :class:`ert.Dataset`; `scales` and `std` are None where none is known."""

    landmarks: Floats
    names: tuple[str, ...]
    specimens: tuple[str, ...]
    images: tuple[str, ...]
    scales: Floats | None = None
    std: Floats | None = None


def as_objects(data: Any) -> Objects:
    """Return the objects of a dataset, of an array (n, n_landmarks, 2), or of predictions."""
    if isinstance(data, Dataset):
        objects = Objects(
            data.landmarks, data.landmark_names, specimen_names(data), image_names(data), data.scales, data.std
        )
    else:
        if isinstance(data, Iterable) and not hasattr(data, "__len__"):
            data = list(data)
        is_predicted = isinstance(data, Sequence) and len(data) and hasattr(data[0], "landmark_names")
        objects = _of_predictions(data) if is_predicted else _of_array(data)
    bad = np.argwhere(np.isinf(objects.landmarks).any(axis=2))
    if len(bad):
        raise InputError(f"data: object {bad[0, 0]}, landmark {bad[0, 1]}: expected finite coordinates or NaN")
    return objects


def _of_array(data: Any) -> Objects:
    landmarks = check_landmarks(data, "data")
    specimens, names = (tuple(map(str, range(n))) for n in landmarks.shape[:2])
    return Objects(landmarks, names, specimens, ("",) * len(landmarks))


def _of_predictions(data: Sequence[Predicted]) -> Objects:
    names = data[0].landmark_names
    for i, one in enumerate(data):
        if getattr(one, "landmark_names", None) != names:
            raise InputError(f"data: item {i} has other landmarks than item 0, expected predictions of one model")
    images = [one.image if isinstance(one.image, Path) else None for one in data]
    keys: list[Hashable] = [i if image is None else image for i, image in enumerate(images)]
    scales = np.array([np.nan if one.scale is None else one.scale for one in data])
    unknown = np.full(len(names), np.nan)
    std = np.array([unknown if one.std is None else one.std for one in data])
    return Objects(
        np.array([one.landmarks for one in data], np.float64),
        names,
        _numbered(keys, [one.specimen for one in data]),
        tuple("" if image is None else image.as_posix() for image in images),
        None if np.isnan(scales).all() else scales,
        None if np.isnan(std).all() else std,
    )


def specimen_names(dataset: Dataset) -> tuple[str, ...]:
    """Return the name of each object: its id, or the stem of its image; _2, ... is appended where an image has more."""
    ids = dataset.ids or [""] * len(dataset)
    return _numbered(dataset.files, [id or file.stem for file, id in zip(dataset.files, ids, strict=True)])


def _numbered(images: Sequence[Hashable], names: Sequence[str]) -> tuple[str, ...]:
    """Append a number to the second and further objects of the same name in an image."""
    counts, numbered = Counter[tuple[Hashable, str]](), []
    for image, name in zip(images, names, strict=True):
        counts[image, name] += 1
        numbered.append(name if counts[image, name] == 1 else f"{name}_{counts[image, name]}")
    return tuple(numbered)


def image_names(dataset: Dataset) -> tuple[str, ...]:
    """Return the path of the image of each object, relative to the folder that contains all images."""
    try:
        folder = os.path.commonpath({str(file.parent) for file in dataset.files})
        return tuple(Path(os.path.relpath(file, folder)).as_posix() for file in dataset.files)
    except ValueError:  # no images, several drives, or both absolute and relative paths
        return tuple(file.as_posix() for file in dataset.files)
