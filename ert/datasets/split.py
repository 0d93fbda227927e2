"""datasets.split."""

import os
import re
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ert._core.exceptions import InputError
from ert.datasets.parsing import csv_table

__all__ = [
    "fold_groups",
    "join_groups",
    "pattern_groups",
    "split_groups",
    "table_groups",
]


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
        entry_point = re.compile(pattern)
    except re.error as error:
        raise InputError(f"group {pattern!r}: not a regular expression: {error}") from None
    if not entry_point.groups:
        raise InputError(f"group {pattern!r}: no group in round brackets, expected one, as in (.+)_[0-9]+")
    found = []
    for file in files:
        match = entry_point.search(file.name)
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
