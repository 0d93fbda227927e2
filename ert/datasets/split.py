"""Group the objects of a dataset, and split groups into parts or folds."""

import os
import re
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ert._core.exceptions import InputError
from ert.datasets.finder import TableImages, is_absolute, name_parts
from ert.datasets.tables import csv_table


def file_groups(files: Sequence[Path], spec: str) -> list[str]:
    """Return the group of each file: "image", "folder", ``FILE.csv:COLUMN``, or a regular expression for names."""
    if spec == "image":
        return [str(file) for file in files]
    if spec == "folder":
        return [str(file.parent) for file in files]
    if spec.rpartition(":")[0].lower().endswith(".csv"):
        return table_groups(files, spec)
    return pattern_groups(files, spec)


def pattern_groups(files: Sequence[Path], pattern: str) -> list[str]:
    """Group files by the first group of a regular expression that is found in their names.

    Parameters
    ----------
    files : sequence of pathlib.Path
        Only names are searched, not folders.
    pattern : str
        Regular expression with a group, such as ``(.+)_[0-9]+``, found anywhere in the name.

    Returns
    -------
    list of str
        The group of each file.

    Raises
    ------
    InputError
        An invalid regular expression, one without a group, or a name that does not match.
    """
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise InputError(f"group {pattern!r}: not a regular expression: {error}") from None
    if not expression.groups:
        raise InputError(f"group {pattern!r}: no group in parentheses, expected one, as in (.+)_[0-9]+")
    found = []
    for file in files:
        match = expression.search(file.name)
        if match is None or match[1] is None:
            raise InputError(f"{file}: group {pattern!r} not found in the file name")
        found.append(match[1])
    return found


def table_groups(files: Sequence[Path], spec: str) -> list[str]:
    """Group files by a column of a table.

    Parameters
    ----------
    files : sequence of pathlib.Path
        The images.
    spec : str
        ``FILE.csv:COLUMN``. The first column of the table is the image: a path relative to the folder of the
        table, or the name only.

    Returns
    -------
    list of str
        The group of each file.

    Raises
    ------
    InputError
        No such table or column, an image that is not in the table, or is in it twice with different groups.
    """
    name, _, column = spec.rpartition(":")
    path = Path(name)
    table = csv_table(path)
    line, header = next(table)
    if column not in header:
        known = ", ".join(header[1:]) or "none"
        raise InputError(f"{path}:{line}: no column {column!r} for groups; columns found: {known}")
    images = TableImages(path)
    group_of: dict[str, str] = {}
    # Of the last part of paths of another machine; empty if it is ambiguous.
    group_of_bare: dict[str, str] = {}
    for line, cells in table:
        group = cells[header.index(column)]
        keys = {cells[0], str(images.resolve(cells[0], f"{path}:{line}"))}
        if any(group_of.setdefault(key, group) != group for key in keys):
            raise InputError(f"{path}:{line}: duplicate image {cells[0]!r} with different groups")
        if is_absolute(cells[0]):
            bare = name_parts(cells[0])[-1:]
            group_of_bare |= {name: group if group_of_bare.get(name, group) == group else "" for name in bare}
    found = []
    for file in files:
        group = group_of.get(os.path.realpath(file)) or group_of.get(file.name) or group_of_bare.get(file.name, "")
        if not group:
            raise InputError(f"{file}: no group in {path}, expected a row for each image")
        found.append(group)
    return found


def join_groups(*groupings: Sequence[Hashable]) -> NDArray[np.intp]:
    """Join groups that share an object in any of several groupings.

    Parameters
    ----------
    *groupings : sequence
        The group of each object; all of the same length. Objects that share a group in any grouping are in
        the same joined group, directly or through other objects.

    Returns
    -------
    int array (n,)
        For each object, the index of the first object of its joined group.
    """
    # Equal keys of two groupings are different keys.
    pairs = [(i, key) for i, grouping in enumerate(groupings) for key in grouping]
    number = {pair: k for k, pair in enumerate(dict.fromkeys(pairs))}
    keys = np.array([number[pair] for pair in pairs], np.intp)
    return connected_items(np.tile(np.arange(len(groupings[0])), len(groupings)), keys)


def connected_items(items: NDArray[np.integer], keys: NDArray[np.integer]) -> NDArray[np.intp]:
    """Find connected components: ``items[i]`` has key ``keys[i]``, and items that share a key are connected.

    Both count from 0, and every item has a key. Returns for each item the lowest item of its component.
    """
    n_items, n_keys = (int(numbers.max(initial=-1)) + 1 for numbers in (items, keys))
    component = np.arange(n_items)
    while True:
        lowest = np.full(n_keys, n_items)
        np.minimum.at(lowest, keys, component[items])
        before = component.copy()
        np.minimum.at(component, items, lowest[keys])
        if np.array_equal(component, before):
            return component


def split_groups(groups: ArrayLike, fractions: Mapping[str, float], seed: int = 0) -> NDArray[np.intp]:
    """Assign whole groups to parts at random, so that the parts get about their fraction of the objects.

    Parameters
    ----------
    groups : array-like (n,)
        The group of each object, as integers or strings.
    fractions : mapping of str to float
        Name of a part -> its fraction; each is positive and their sum is 1.
    seed : int
        Not negative. The same seed gives the same split.

    Returns
    -------
    int array (n,)
        For each object the index of its part, in the order of `fractions`. No part is empty.

    Raises
    ------
    InputError
        Fractions that are not positive or do not sum to 1, fewer groups than parts, or a negative seed.
    """
    shares = np.array(list(fractions.values()), float)
    if not (len(shares) and np.isfinite(shares).all() and (shares > 0).all() and abs(shares.sum() - 1) < 0.01):
        listed = ", ".join(f"{name}={share:g}" for name, share in fractions.items())
        raise InputError(f"parts {listed}: expected fractions above 0 with a sum of 1")
    _, group, sizes = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    if seed < 0:
        raise InputError(f"seed {seed}: expected 0 or more")
    if len(sizes) < len(shares):
        raise InputError(_too_few(len(shares), "parts", len(sizes)))
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(len(sizes))
    remaining = shares / shares.sum() * len(group)
    empty = np.ones(len(shares), bool)
    part_of = np.empty(len(sizes), np.intp)
    # Large groups first: small ones then even out the sizes.
    order = shuffled[np.argsort(-sizes[shuffled], kind="stable")]
    for n_left, one in zip(range(len(order), 0, -1), order, strict=True):
        # Probabilities proportional to the remaining size, so that no part prefers large groups.
        weights = np.where(remaining >= sizes[one], remaining, 0)
        if n_left <= empty.sum():
            weights = np.where(empty, np.maximum(remaining, 1e-9), 0)
        total = weights.sum()
        part = rng.choice(len(shares), p=weights / total) if total > 0 else np.argmax(remaining)
        part_of[one] = part
        remaining[part] -= sizes[one]
        empty[part] = False
    return part_of[group.reshape(-1)]


def _too_few(n: int, what: str, n_groups: int) -> str:
    return f"{n} {what}: at least {n} images or groups are needed, got {n_groups}"


def fold_groups(groups: ArrayLike, n_folds: int, seed: int = 0) -> NDArray[np.intp]:
    """Assign whole groups to folds of about the same size, at random.

    Parameters
    ----------
    groups : array-like (n,)
        The group of each object.
    n_folds : int
        At least 2.
    seed : int
        See `split_groups`.

    Returns
    -------
    int array (n,)
        The fold of each object.

    Raises
    ------
    InputError
        Fewer than two folds, fewer groups than folds, or a negative seed.
    """
    if n_folds < 2:
        raise InputError(f"{n_folds} folds, expected at least 2")
    n_groups = len(np.unique(np.asarray(groups)))
    if n_groups < n_folds:
        raise InputError(_too_few(n_folds, "folds", n_groups))
    return split_groups(groups, {str(k): 1 / n_folds for k in range(n_folds)}, seed)
