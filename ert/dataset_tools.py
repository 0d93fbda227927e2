"""Describing, splitting and mirroring datasets."""

import os
import re
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ert.annotations import csv_table
from ert.datasets import Dataset
from ert.errors import InputError
from ert.procrustes import procrustes_distances, typical_shape
from ert.shapes import MIRROR_MAPS, mirror_map

__all__ = [
    "describe_dataset",
    "fold_groups",
    "join_groups",
    "known_scheme",
    "mirror_dataset",
    "pattern_groups",
    "split_groups",
    "table_groups",
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


def pattern_groups(files: Sequence[Path], pattern: str) -> list[str]:
    """Group files by what a regular expression finds in their names: that which its first group matches.

    Parameters
    ----------
    files : sequence of pathlib.Path
        Only their names are looked at, not their folders.
    pattern : str
        A regular expression with a group, such as ``(.+)_[0-9]+``; found anywhere in the name.

    Returns
    -------
    list of str
        One for each file.

    Raises
    ------
    InputError
        No regular expression, one without a group, or a name in which it (or its group) is not found.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise InputError(f"group {pattern!r}: not a regular expression: {error}") from None
    if not compiled.groups:
        raise InputError(f"group {pattern!r}: no group in round brackets, expected one, as in (.+)_[0-9]+")
    found = []
    for file in files:
        match = compiled.search(file.name)
        if match is None or match[1] is None:
            raise InputError(f"{file}: group {pattern!r} is not found in the name, expected it in all")
        found.append(match[1])
    return found


def table_groups(files: Sequence[Path], spec: str) -> list[str]:
    """Group files by a column of a table.

    Parameters
    ----------
    files : sequence of pathlib.Path
        The images.
    spec : str
        ``FILE.csv:COLUMN``. The first column of the table names the images: as paths relative to its folder,
        or by their bare names.

    Returns
    -------
    list of str
        What the column says of each file.

    Raises
    ------
    InputError
        No such table or column, an image that it does not name, or names twice with different groups.
    """
    name, _, column = spec.rpartition(":")
    path = Path(name)
    table = csv_table(path)
    line, header = next(table)
    if column not in header:
        there = ", ".join(header[1:]) or "none"
        raise InputError(f"{path}:{line}: no column {column!r} for groups; columns that are there: {there}")
    place = header.index(column)
    group_of: dict[str, str] = {}
    for line, cells in table:
        keys = {cells[0], os.path.realpath(path.parent / cells[0])}
        if any(group_of.setdefault(key, cells[place]) != cells[place] for key in keys):
            raise InputError(f"{path}:{line}: {cells[0]!r} stands twice, expected it in one group")
    found = []
    for file in files:
        group = group_of.get(os.path.realpath(file), group_of.get(file.name))
        if not group:
            raise InputError(f"{file}: no group in {path}, expected a row for each image")
        found.append(group)
    return found


def join_groups(*groupings: Sequence[Hashable]) -> NDArray[np.intp]:
    """Join groups that share an object in any of several groupings.

    Parameters
    ----------
    *groupings : sequence
        For each object its group; all of one length. Two objects of one group in any grouping end up in one
        group, and so does what is linked to them in turn.

    Returns
    -------
    int array (n,)
        For each object, the number of the first object of its group.
    """
    group = np.arange(len(groupings[0]))
    numbered = []
    for grouping in groupings:
        numbers: dict[Hashable, int] = {}
        numbered.append(np.array([numbers.setdefault(key, len(numbers)) for key in grouping], np.intp))
    while True:
        before = group.copy()
        for numbers_of in numbered:
            lowest = np.full(len(group), len(group))
            np.minimum.at(lowest, numbers_of, group)
            group = lowest[numbers_of]
        if np.array_equal(group, before):
            return group


def split_groups(groups: ArrayLike, fractions: Mapping[str, float], seed: int = 0) -> NDArray[np.intp]:
    """Deal whole groups to parts at random, so that the parts' shares of the objects come out near.

    Parameters
    ----------
    groups : array-like (n,)
        The group of each object, as numbers or texts.
    fractions : mapping of str to float
        The share of each part, by its name; more than 0, with a sum of 1.
    seed : int
        Other seeds deal in other ways; the same one deals alike.

    Returns
    -------
    int array (n,)
        For each object the number of its part, in the order of `fractions`. No part is empty.

    Raises
    ------
    InputError
        Fractions that are not positive or do not sum to 1, fewer groups than parts, or a seed below 0.
    """
    shares = np.array(list(fractions.values()), float)
    if not (
        len(shares) and np.isfinite(shares).all() and (shares > 0).all() and abs(shares.sum() - 1) < 0.01
    ):
        listed = ", ".join(f"{name}={share:g}" for name, share in fractions.items())
        raise InputError(f"parts {listed}: expected fractions above 0 with a sum of 1")
    _, group, sizes = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    if seed < 0:
        raise InputError(f"seed {seed}: expected 0 or more")
    if len(sizes) < len(shares):
        raise InputError(f"{len(sizes)} groups for {len(shares)} parts, expected at least one group for each")
    rng = np.random.default_rng(seed)
    drawn = rng.permutation(len(sizes))
    room = shares / shares.sum() * len(group)
    empty = np.ones(len(shares), bool)
    part_of = np.empty(len(sizes), np.intp)
    # Large groups first: small ones even out what those leave.
    order = drawn[np.argsort(-sizes[drawn], kind="stable")]
    for left, one in zip(range(len(order), 0, -1), order, strict=True):
        # Drawn in proportion to the room that is left, so that no part prefers large groups.
        weights = np.where(room >= sizes[one], room, 0)
        if left <= empty.sum():
            weights = np.where(empty, np.maximum(room, 1e-9), 0)
        if weights.sum() > 0:
            part = int(rng.choice(len(shares), p=weights / weights.sum()))
        else:
            part = int(np.argmax(room))
        part_of[one] = part
        room[part] -= sizes[one]
        empty[part] = False
    parts: NDArray[np.intp] = part_of[group.reshape(-1)]
    return parts


def fold_groups(groups: ArrayLike, n_folds: int, seed: int = 0) -> NDArray[np.intp]:
    """Deal whole groups to folds of about the same size, at random.

    Parameters
    ----------
    groups : array-like (n,)
        The group of each object.
    n_folds : int
        At least 2.
    seed : int
        As for `split_groups`.

    Returns
    -------
    int array (n,)
        For each object the number of its fold.

    Raises
    ------
    InputError
        Fewer than two folds, or fewer groups than folds.
    """
    if n_folds < 2:
        raise InputError(f"{n_folds} folds, expected at least 2")
    return split_groups(groups, {str(k): 1 / n_folds for k in range(n_folds)}, seed)


def mirror_dataset(
    dataset: Dataset,
    widths: ArrayLike,
    swap: str | Sequence[int] | NDArray[np.integer],
    files: Sequence[Path] | None = None,
) -> Dataset:
    """Annotate the mirror images: x becomes columns - 1 - x, and landmarks change places.

    Parameters
    ----------
    dataset : Dataset
        What to mirror.
    widths : array-like (n,)
        The number of columns of the image of each object.
    swap : str or sequence of int
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
        A scheme that is not known, or a map that does not swap landmarks in pairs.
    """
    numbers = swap if isinstance(swap, str) else np.asarray(swap).tolist()
    places = mirror_map(numbers, len(dataset.landmark_names))
    columns = np.asarray(widths, float)
    landmarks = dataset.landmarks[:, places]
    landmarks[:, :, 0] = columns[:, None] - 1 - landmarks[:, :, 0]
    boxes = dataset.boxes.copy()
    boxes[:, 0] = columns - boxes[:, 0] - boxes[:, 2]
    mirrored = list(dataset.files if files is None else files)
    return Dataset(mirrored, boxes, landmarks, dataset.landmark_names, f"{dataset.name} mirrored")
