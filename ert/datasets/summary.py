"""Describing, splitting and mirroring datasets."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ert.datasets.dataset import Dataset
from ert.model.procrustes import procrustes_distances, typical_shape
from ert.model.schemes import MIRROR_MAPS, resolve_mirror_map

__all__ = [
    "describe_dataset",
    "known_scheme",
    "mirror_dataset",
]


# A scheme is known again when its mirror image is about as near to itself as faces of one set are.
_SYMMETRIC = 0.15


def describe_dataset(dataset: Dataset, sizes: Mapping[Path, tuple[int, int] | None]) -> dict[str, Any]:
    """Count and measure what is in a dataset.

    Parameters
    ----------
    dataset : Dataset
        At least one object.
    sizes : mapping of pathlib.Path to (int, int) or None
        Width and height of each image, in pixels; None for one that cannot be read.

    Returns
    -------
    dict
        Only of what JSON knows: "images", "objects", "landmarks" and "boxes_round_landmarks" (how many boxes
        are what `load_dataset` makes where there are none) are counts; "missing" counts the objects without
        a landmark, by its name; "objects_per_image", "image_width", "image_height", "box_width" and
        "box_height" are dicts of "min", "median" and "max", None without any; "landmark_names",
        "unreadable_images"; "mirror_scheme" is as `known_scheme` tells.
    """
    _, counts = np.unique([str(file) for file in dataset.files], return_counts=True)
    known = np.array([size for size in sizes.values() if size is not None]).reshape(-1, 2)
    missing = np.isnan(dataset.landmarks[:, :, 0]).sum(axis=0)
    return {
        "images": len(counts),
        "objects": len(dataset),
        "objects_per_image": _range(counts),
        "landmarks": len(dataset.landmark_names),
        "landmark_names": list(dataset.landmark_names),
        "missing": dict(zip(dataset.landmark_names, missing.tolist(), strict=True)),
        "image_width": _range(known[:, 0]),
        "image_height": _range(known[:, 1]),
        "box_width": _range(dataset.boxes[:, 2]),
        "box_height": _range(dataset.boxes[:, 3]),
        "boxes_round_landmarks": int(_round_landmarks(dataset).sum()),
        "mirror_scheme": known_scheme(dataset),
        "unreadable_images": [str(file) for file, size in sizes.items() if size is None],
    }


def _range(values: NDArray[Any]) -> dict[str, float] | None:
    if not len(values):
        return None
    found = {"min": values.min(), "median": np.median(values), "max": values.max()}
    return {key: round(float(value), 3) for key, value in found.items()}


def _round_landmarks(dataset: Dataset) -> NDArray[np.bool_]:
    """Tell which boxes are the squares that `load_dataset` draws round landmarks; files do not tell."""
    low, high = np.nanmin(dataset.landmarks, axis=1), np.nanmax(dataset.landmarks, axis=1)
    side = (high - low).max(axis=1, keepdims=True)
    squares = np.hstack([(low + high - side) / 2, side, side])
    same: NDArray[np.bool_] = np.isclose(squares, dataset.boxes, rtol=0, atol=1e-4).all(axis=1)
    return same


def known_scheme(dataset: Dataset) -> str | None:
    """Tell the mirror scheme of a dataset: one of as many landmarks in which its typical shape is symmetric.

    Returns
    -------
    str or None
        A key of `ert.shapes.MIRROR_MAPS`.
    """
    typical = None
    for name, scheme in MIRROR_MAPS.items():
        if len(scheme) == len(dataset.landmark_names):
            typical = typical_shape(dataset.landmarks) if typical is None else typical
            reflected = typical[list(scheme)] * (-1, 1)
            if procrustes_distances(reflected[None], typical)[0] < _SYMMETRIC:
                return name
    return None


def mirror_dataset(
    dataset: Dataset,
    widths: ArrayLike,
    mirror_map: str | Sequence[int] | NDArray[np.integer],
    files: Sequence[Path] | None = None,
) -> Dataset:
    """Annotate the mirror images: x becomes columns - 1 - x, and landmarks change places.

    Parameters
    ----------
    dataset : Dataset
        What to mirror.
    widths : array-like (n,)
        The number of columns of the image of each object.
    mirror_map : str or sequence of int
        The name of a mirror scheme, or for each landmark the number of that which takes its place.
    files : sequence of pathlib.Path, optional
        The mirror image of each object; by default the files of `dataset`.

    Returns
    -------
    Dataset
        Mirrored again it is `dataset`, but for rounding.

    Raises
    ------
    InputError
        A scheme that is not known, or a map that does not exchange landmarks in pairs.
    """
    numbers = mirror_map if isinstance(mirror_map, str) else np.asarray(mirror_map).tolist()
    places = resolve_mirror_map(numbers, len(dataset.landmark_names))
    columns = np.asarray(widths, float)
    landmarks = dataset.landmarks[:, places]
    landmarks[:, :, 0] = columns[:, None] - 1 - landmarks[:, :, 0]
    boxes = dataset.boxes.copy()
    boxes[:, 0] = columns - boxes[:, 0] - boxes[:, 2]
    mirrored = list(dataset.files if files is None else files)
    return Dataset(mirrored, boxes, landmarks, dataset.landmark_names, f"{dataset.name} mirrored")
