"""Errors by groups of objects, to find those for which a model is worse."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ert._core.exceptions import InputError, one_line
from ert._core.types import Floats
from ert.datasets.parsing import natural_key
from ert.evaluation.attributes import Column
from ert.metrics import bootstrap_interval, failure_rate

MISSING = "missing"
"""Name of the group of objects without a value."""

_FAILURE_PERCENT = 8.0

# Name, limits of a bin, and a mask of the objects.
_Group = tuple[str, float | None, float | None, NDArray[np.bool_]]

FEWEST = 10
"""Minimum number of objects for a bootstrap interval: with fewer it is far too narrow."""


def errors_by(
    values: ArrayLike, errors: ArrayLike, *, n_quantiles: int = 4, limit: float = 8.0
) -> list[dict[str, Any]]:
    """Summarize errors by groups of objects.

    Numbers with more than ``2 * n_quantiles`` distinct values are binned at their quantiles; otherwise, and
    for text, each distinct value is a group.

    Parameters
    ----------
    values : (n,) array-like of numbers or text
        Attribute of each object. NaN, None and empty text are missing values, which form their own group.
    errors : (n,) array-like
        Errors, usually :func:`ert.metrics.nme`: finite, not negative.
    n_quantiles : int
        Number of bins for numbers, at least 2.
    limit : float
        Errors above it are failures, in the units of `errors`.

    Returns
    -------
    list of dict
        In the order of the values, the missing ones last: ``group``, its name; ``low`` and ``high``, the limits of a
        bin (closed below, and above only for the last one), else None; ``n``, the number of objects; ``mean`` error;
        ``interval_95``, its bootstrap interval, None for fewer than 10 objects; ``failure_rate``, between 0 and 1;
        ``times_others``, the mean divided by that of all other objects, None if there are none.

    Raises
    ------
    InputError
        When `values` and `errors` differ in length, are empty, or contain other values than described.
    """
    if n_quantiles < 2:
        raise InputError(f"n_quantiles: expected at least 2, got {n_quantiles!r}")
    measured = np.asarray(errors, np.float64)
    if measured.ndim != 1 or not len(measured) or not np.isfinite(measured).all():
        raise InputError(f"errors: expected a 1-D array of finite numbers, got shape {measured.shape}")
    try:
        given = np.asarray(values)
    except ValueError as error:
        raise InputError(f"values: expected a 1-D array of numbers or text: {error}") from None
    if given.shape != measured.shape:
        raise InputError(f"values: expected {len(measured)}, one for each error, got shape {given.shape}")
    # NumPy converts None to NaN; text that looks like a number stays text.
    if given.dtype.kind in "iuf" or (given.dtype.kind == "O" and all(map(_is_number, given))):
        numbers = given.astype(np.float64)
        groups, missing = _groups_of_numbers(numbers, n_quantiles), np.isnan(numbers)
    else:
        listed: list[Any] = given.tolist()
        # Only NaN differs from itself.
        texts = np.array([MISSING if value is None or value != value else str(value) or MISSING for value in listed])
        names = sorted({*texts.tolist()} - {MISSING}, key=natural_key)
        groups, missing = [(name, None, None, texts == name) for name in names], texts == MISSING
    if missing.any():
        groups.append((MISSING, None, None, missing))
    return [_summary(group, measured, limit) for group in groups]


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool))


def _groups_of_numbers(numbers: Floats, n_quantiles: int) -> list[_Group]:
    if np.isinf(numbers).any():
        raise InputError(f"values: item {np.flatnonzero(np.isinf(numbers))[0]} is infinite, NaN is missing")
    known = ~np.isnan(numbers)
    distinct = np.unique(numbers[known])
    if len(distinct) <= 2 * n_quantiles:
        texts = _distinct(distinct)
        return [(text, None, None, numbers == value) for text, value in zip(texts, distinct, strict=True)]
    inner = np.unique(np.quantile(numbers[known], np.arange(1, n_quantiles) / n_quantiles))
    # Keep one of several quantiles between the same two values, and none at the lowest value.
    below, firsts = np.unique(np.searchsorted(distinct, inner), return_index=True)
    inner = inner[firsts[below > 0]]
    if not len(inner):
        inner = distinct[1:2]  # nearly all values are the lowest one; the others are the second group
    limits = np.array([distinct[0], *inner, distinct[-1]])
    texts = _distinct(limits)
    place = np.searchsorted(inner, numbers, side="right")
    groups: list[_Group] = []
    for i in range(len(limits) - 1):
        name = f"{texts[i]} to {texts[i + 1]}" if limits[i] < limits[i + 1] else texts[i]
        groups.append((name, float(limits[i]), float(limits[i + 1]), known & (place == i)))
    return groups


def _distinct(numbers: Floats) -> list[str]:
    """Format numbers alike and as short as possible, but so that different numbers stay different."""
    numbers = numbers + 0.0  # turns -0 into 0
    largest = float(np.abs(numbers).max(initial=0))
    if (numbers == np.round(numbers)).all() and largest < 1e9:
        return [f"{number:.0f}" for number in numbers]
    # Three significant digits of the largest number, unless it needs an exponent.
    fixed = 1e-3 <= largest < 1e9
    first = max(0, 2 - int(np.floor(np.log10(largest)))) if fixed else 3
    for digits in range(first, 18):
        texts = [f"{number:.{digits}{'f' if fixed else 'g'}}" for number in numbers]
        if len(set(texts)) == len(numbers):
            return texts
    return [repr(number) for number in numbers.tolist()]


def _summary(group: _Group, errors: Floats, limit: float) -> dict[str, Any]:
    name, low, high, chosen = group
    inside, others = errors[chosen], errors[~chosen]
    return {
        "group": name,
        "low": low,
        "high": high,
        "n": len(inside),
        "mean": float(inside.mean()),
        "interval_95": list(bootstrap_interval(inside)) if len(inside) >= FEWEST else None,
        "failure_rate": failure_rate(inside, limit),
        "times_others": float(inside.mean() / others.mean()) if others.any() else None,
    }


def by_groups(columns: Mapping[str, Column], errors: Floats, normalizer: str) -> dict[str, Any]:
    """Summarize errors by each of several attributes.

    Parameters
    ----------
    columns : mapping of str to Column
        Attributes, see `group_columns`.
    errors : (n,) array
        :func:`ert.metrics.nme` of the objects.
    normalizer : str
        Normalizer of the errors.

    Returns
    -------
    dict
        Can be written as JSON: ``normalizer``; ``failure_limit`` in percent; ``columns``: for each attribute
        ``about`` and ``groups``, see `errors_by`.
    """
    groups = {
        name: {"about": column.about, "groups": errors_by(column.values, errors, limit=_FAILURE_PERCENT)}
        for name, column in columns.items()
    }
    return {"normalizer": normalizer, "failure_limit": _FAILURE_PERCENT, "columns": groups}


def group_lines(by: Mapping[str, Any]) -> list[str]:
    """Format the result of `by_groups` as text: a table for each attribute, and notes."""
    rows = [row for column in by["columns"].values() for row in column["groups"]]
    # Text from a user's table may be long or contain line breaks.
    shown = {name: one_line(name, 60) for name in (*by["columns"], *(row["group"] for row in rows))}
    width = max(14, *(len(name) + 2 for name in shown.values()))
    head = f"{'objects':>8}{'NME %':>9}{'95 % interval':>18}{'over 8 %':>10}{'ratio':>14}"
    lines = []
    for name, column in by["columns"].items():
        lines += ["", f"{shown[name]:<{width}}{head}"]
        for row, cells in zip(column["groups"], group_rows(column), strict=True):
            numbers = "".join(f"{cell:>{w}}" for cell, w in zip(cells[1:], (8, 9, 18, 10, 14), strict=True))
            lines.append(f"{shown[row['group']]:<{width}}{numbers}")
    return [*lines, "", *group_notes(by)]


def group_rows(column: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Format the groups of an attribute: name, objects, mean, interval, failure rate, ratio to others."""
    return [
        (
            row["group"],
            str(row["n"]),
            f"{row['mean']:.3f}",
            "-" if row["interval_95"] is None else "{:.3f} - {:.3f}".format(*row["interval_95"]),
            f"{row['failure_rate']:.2%}",
            "-" if row["times_others"] is None else f"{row['times_others']:.2f}",
        )
        for row in column["groups"]
    ]


def group_notes(by: Mapping[str, Any]) -> list[str]:
    """Return lines that explain the result of `by_groups`."""
    rows = [row for column in by["columns"].values() for row in column["groups"]]
    lines = [f"NME {by['normalizer']}; ratio: mean of the group divided by the mean of all other objects"]
    if any(row["low"] is not None for row in rows):
        lines.append("numbers are binned at their quartiles; a limit belongs to the bin above it")
    if any(row["interval_95"] is None for row in rows):
        lines.append(f"no interval for fewer than {FEWEST} objects: it would be far too narrow")
    lines += [f"{one_line(name, 60)}: {column['about']}" for name, column in by["columns"].items()]
    if "yaw" in by["columns"] and by["normalizer"].startswith("inter-"):
        lines.append(
            "yaw reduces the distance between the eyes, so errors relative to it are larger: compare --normalizer box"
        )
    return lines
