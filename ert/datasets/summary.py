"""Describe and mirror datasets."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ert.datasets.assemble import squares_around
from ert.datasets.dataset import Dataset
from ert.datasets.images import read_images, read_size
from ert.model.procrustes import procrustes_distances, typical_shape
from ert.model.schemes import MIRROR_MAPS, resolve_mirror_map

# Procrustes distance between the typical shape and its mirror image; faces of one dataset differ as much.
MAX_ASYMMETRY = 0.15


def describe_dataset(dataset: Dataset, sizes: Mapping[Path, tuple[int, int] | None] | None = None) -> dict[str, Any]:
    """Return counts and sizes of a dataset.

    Parameters
    ----------
    dataset : Dataset
        At least one object.
    sizes : mapping of pathlib.Path to (int, int) or None, optional
        Width and height of each image in pixels; None for an unreadable one. By default they are read.

    Returns
    -------
    dict
        JSON types only. "images", "objects", "landmarks" and "boxes_around_landmarks" (boxes equal to those
        that `load_dataset` makes from landmarks) are counts. "missing" is landmark name -> number of objects
        without it. "objects_per_image", "image_width", "image_height", "box_width" and "box_height" are dicts
        of "min", "median" and "max", or None without values. "landmark_names" and "unreadable_images" are
        lists; "mirror_scheme" is the result of `known_scheme`.
    """
    sizes = read_images(read_size, dataset.files) if sizes is None else sizes
    _, counts = np.unique([str(file) for file in dataset.files], return_counts=True)
    known = np.array([size for size in sizes.values() if size is not None]).reshape(-1, 2)
    missing = np.isnan(dataset.landmarks[:, :, 0]).sum(axis=0)
    around = np.isclose(squares_around(dataset.landmarks), dataset.boxes, rtol=0, atol=1e-4).all(axis=1)
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
        "boxes_around_landmarks": int(around.sum()),
        "mirror_scheme": known_scheme(dataset),
        "unreadable_images": [str(file) for file, size in sizes.items() if size is None],
    }


def _range(values: NDArray[Any]) -> dict[str, float] | None:
    if not len(values):
        return None
    found = {"min": values.min(), "median": np.median(values), "max": values.max()}
    return {key: round(float(value), 3) for key, value in found.items()}


def known_scheme(dataset: Dataset) -> str | None:
    """Find the mirror scheme of a dataset: one in which its typical shape is symmetric.

    Parameters
    ----------
    dataset : Dataset
        At least one object.

    Returns
    -------
    str or None
        A key of `ert.model.schemes.MIRROR_MAPS` with the same number of landmarks, or None.
    """
    typical = None
    for name, scheme in MIRROR_MAPS.items():
        if len(scheme) == len(dataset.landmark_names):
            typical = typical_shape(dataset.landmarks) if typical is None else typical
            reflected = typical[list(scheme)] * (-1, 1)
            if procrustes_distances(reflected[None], typical)[0] < MAX_ASYMMETRY:
                return name
    return None


def mirror_dataset(
    dataset: Dataset,
    widths: ArrayLike,
    mirror_map: str | Sequence[int] | NDArray[np.integer],
    files: Sequence[Path] | None = None,
) -> Dataset:
    """Return the annotations of mirrored images: x becomes width - 1 - x, and landmark pairs are swapped.

    Parameters
    ----------
    dataset : Dataset
        Annotations to mirror.
    widths : array-like (n,)
        Width of the image of each object in pixels.
    mirror_map : str or sequence of int
        Name of a mirror scheme, or for each landmark the index of its mirror partner.
    files : sequence of pathlib.Path, optional
        The mirrored image of each object; by default the files of `dataset`.

    Returns
    -------
    Dataset
        Mirroring twice gives the original, up to rounding.

    Raises
    ------
    InputError
        An unknown scheme, or a map that is not made of pairs.
    """
    numbers = mirror_map if isinstance(mirror_map, str) else np.asarray(mirror_map).tolist()
    partners = resolve_mirror_map(numbers, len(dataset.landmark_names))
    columns = np.asarray(widths, float)
    landmarks = dataset.landmarks[:, partners]
    landmarks[:, :, 0] = columns[:, None] - 1 - landmarks[:, :, 0]
    boxes = dataset.boxes.copy()
    boxes[:, 0] = columns - boxes[:, 0] - boxes[:, 2]
    mirrored = list(dataset.files if files is None else files)
    return Dataset(mirrored, boxes, landmarks, dataset.landmark_names, f"{dataset.name} mirrored")
