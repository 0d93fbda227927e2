"""Errors as lengths, in pixels and in the user's unit, and relative to the distance between two landmarks."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ert._core.exceptions import InputError
from ert._core.types import Floats
from ert.metrics import NORMALIZERS, bootstrap_interval, landmark_errors

# With fewer groups, a bootstrap interval over them is far too narrow.
MIN_GROUPS = 10


def mean_interval(sums: ArrayLike, counts: ArrayLike, groups: Sequence[Hashable]) -> list[float]:
    """Return the 95 % bootstrap interval of the mean error, over groups such as images: their objects are alike.

    Parameters
    ----------
    sums, counts : (n,) array-like
        For each object, the sum of its errors and their number.
    groups : sequence (n,)

    Returns
    -------
    list of float
        Low and high. With few groups, no narrower than the one over objects.
    """
    rows, number = np.column_stack([sums, counts]).astype(np.float64), group_numbers(groups)
    grouped = bootstrap_interval(sum_groups(rows, number), statistic=_ratio)
    if number.max() + 1 >= MIN_GROUPS:
        return list(grouped)
    single = bootstrap_interval(rows, statistic=_ratio)
    return [min(grouped[0], single[0]), max(grouped[1], single[1])]


def _ratio(rows: Floats) -> float:
    total, count = rows.sum(axis=0)
    return float(total / max(count, 1))


def group_numbers(groups: Sequence[Hashable]) -> NDArray[np.intp]:
    """Return the number of the group of each object, from 0 in the order of their first objects."""
    number = {group: i for i, group in enumerate(dict.fromkeys(groups))}
    return np.array([number[group] for group in groups], np.intp)


def sum_groups(rows: Floats, number: NDArray[np.intp]) -> Floats:
    """Return the sums of the rows (n, m) of each group."""
    sums: Floats = np.stack([np.bincount(number, column) for column in rows.T], axis=1)
    return sums


def normalizer_or_pair(name: str, landmarks: Floats, landmark_names: Sequence[str]) -> str | Floats:
    """Return a normalizer's name, or the distances (n,) between two landmarks whose names are ``a-b``.

    Raises
    ------
    InputError
        When `name` is neither, or an object lacks one of the two.
    """
    if name in NORMALIZERS:
        return name
    names = list(landmark_names)
    pairs = [(name[:i], name[i + 1 :]) for i, letter in enumerate(name) if letter == "-"]
    pairs = [(a, b) for a, b in pairs if a in names and b in names and a != b]
    if len(pairs) != 1:
        expected = f"expected {', '.join(NORMALIZERS)}, or the names of two landmarks as in {names[0]}-{names[-1]}"
        raise InputError(f"normalizer {name!r}: {expected}")
    a, b = (landmarks[:, names.index(each)] for each in pairs[0])
    lengths: Floats = np.hypot(*(a - b).T)
    unknown = np.flatnonzero(~(lengths > 0))
    if len(unknown):
        raise InputError(f"normalizer {name!r}: object {unknown[0]} lacks a landmark of it, or both coincide")
    return lengths


def radial_figures(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    scales: Floats | None = None,
    unit: str = "px",
    within: Sequence[float] = (),
    groups: Sequence[Hashable] | None = None,
) -> dict[str, Any]:
    """Summarize the distances of predicted landmarks from the true ones.

    Parameters
    ----------
    y_true, y_pred : (n, n_landmarks, 2) array-like
        In pixels; NaN in `y_true` is missing.
    scales : (n,) array, optional
        Length of a pixel of each object in `unit`; objects with NaN are left out.
    unit : str
        Name of the unit.
    within : sequence of float
        Radii in `unit`.
    groups : sequence (n,), optional
        The image of each object, or what else makes objects alike; by default, none are.

    Returns
    -------
    dict
        Can be written as JSON: "unit", "n" (objects), "mean" (the mean radial error of all landmarks), "std",
        "interval_95" (of the mean, over groups), "median"; "within": a list of "radius" and "share", the
        fraction of landmarks at most that far off; "per_landmark": a list of "mean" and "within", the
        fractions, None for a landmark that is missing in all objects.
    """
    errors = landmark_errors(y_true, y_pred)
    labels = list(range(len(errors)) if groups is None else groups)
    if scales is not None:
        known = np.isfinite(scales)
        errors = errors[known] * scales[known, None]
        labels = [label for label, is_known in zip(labels, known, strict=True) if is_known]
    if not np.isfinite(errors).any():
        return {"unit": unit, "n": 0}
    values = errors[np.isfinite(errors)]
    return {
        "unit": unit,
        "n": len(errors),
        "mean": float(values.mean()),
        "std": float(values.std()),
        "interval_95": mean_interval(np.nansum(errors, axis=1), np.isfinite(errors).sum(axis=1), labels),
        "median": float(np.median(values)),
        "within": [{"radius": radius, "share": float((values <= radius).mean())} for radius in within],
        "per_landmark": [_of_landmark(column[np.isfinite(column)], within) for column in errors.T],
    }


def _of_landmark(values: Floats, within: Sequence[float]) -> dict[str, Any] | None:
    if not len(values):
        return None
    return {"mean": float(values.mean()), "within": [float((values <= radius).mean()) for radius in within]}


def radial_line(figures: dict[str, Any]) -> str:
    """Return the result of `radial_figures` as a line of text."""
    unit = figures["unit"]
    low, high = figures["interval_95"]
    line = f"mean radial error {figures['mean']:.3g} {unit} (95 % interval {low:.3g} - {high:.3g}), "
    line += f"median {figures['median']:.3g} {unit}"
    shares = [f"{100 * row['share']:.1f} % within {row['radius']:g} {unit}" for row in figures["within"]]
    return "; ".join([line, *shares])


def length_lines(figures: Mapping[str, Any]) -> list[str]:
    """Return the errors in pixels, and in the unit of the scale where there is one."""
    lines = [radial_line(figures["pixels"])]
    if (lengths := figures.get("lengths")) and lengths["n"]:
        part = "" if lengths["n"] == figures["n"] else f" ({lengths['n']} of {figures['n']} objects have a scale)"
        lines.append(radial_line(lengths) + part)
    return lines


def landmark_rows(figures: Mapping[str, Any]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return head and rows of a table of the errors of each landmark: in %, in pixels, in the unit, within radii."""
    lengths = figures.get("lengths")
    radial = [each for each in (figures["pixels"], lengths) if each and each["n"]]
    norm = next(iter(figures["norms"]))
    head = ["landmark", f"% {norm}"]
    for each in radial:
        head += [each["unit"], *(f"<= {row['radius']:g} {each['unit']}" for row in each["within"])]
    rows = []
    for i, name in enumerate(figures["landmark_names"]):
        value = figures["norms"][norm]["per_landmark"][i]
        row = [name, "-" if value is None else f"{value:.2f}"]
        for each in radial:
            one = each["per_landmark"][i] or {"mean": np.nan, "within": [np.nan] * len(each["within"])}
            row += [f"{one['mean']:.3g}", *(f"{share:.1%}" for share in one["within"])]
        rows.append(tuple(row))
    return tuple(head), rows
