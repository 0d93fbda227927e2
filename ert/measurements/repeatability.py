"""Repeatability: how far two annotations of the same images differ."""

import math
import os
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ert._core.arguments import checked_arguments
from ert._core.exceptions import InputError, counted, one_line
from ert._core.types import Floats
from ert.datasets.dataset import Dataset
from ert.measurements.objects import image_names, specimen_names
from ert.measurements.scale import contradicts
from ert.metrics import bootstrap_interval

N_LARGEST = 10
_MAX_LISTED = 5


class Pairs(NamedTuple):
    """The objects that two datasets have in common.

    Parameters
    ----------
    a, b : Dataset
        The same objects and landmarks in the same order.
    notes : tuple of str
        What has no partner, one line each.
    """

    a: Dataset
    b: Dataset
    notes: tuple[str, ...]


@checked_arguments
def compare_annotations(a: Dataset, b: Dataset) -> dict[str, Any]:
    """Compare two annotations of the same images: of two observers, one observer twice, or a model and an observer.

    Objects are matched by their images, and within an image by their ids or, if these differ, their order.

    Parameters
    ----------
    a, b : Dataset
        With the same landmarks, by name, or as many.

    Returns
    -------
    dict
        ``n`` objects; ``units``: of "px", "percent" (of the diagonal of the box of the landmarks of `a`) and "mm"
        (where the scale of all objects is known) those that follow; ``overall``: for each unit the ``mean`` distance
        and the standard deviation of one annotation, ``deviation``, with the intervals ``mean_95`` and
        ``deviation_95`` (bootstrap over the objects); ``landmarks``: a list with ``name``, ``n``, and for each unit
        ``mean``, ``deviation``, ``bias_x`` and ``bias_y`` (mean of b minus a; x to the right, y downwards);
        ``largest``: the objects that differ most, with ``specimen``, ``image``, ``mean_px``, ``landmark`` and
        ``distance_px`` of the landmark that differs most; ``notes``: what has no partner.

        The standard deviation is Dahlberg's, also called the technical error of measurement:
        sqrt(sum of d**2 / 2n) with the distances d. It is that of one annotation where both are equally precise.

    Raises
    ------
    InputError
        When no image is in both, or the landmarks differ.
    """
    pairs = match_annotations(a, b)
    a, b, notes = pairs
    shifts = b.landmarks - a.landmarks
    distances = np.hypot(*np.moveaxis(shifts, 2, 0))
    is_known = ~np.isnan(distances)
    if not is_known.any():
        raise InputError(f"{a.name} and {b.name}: no landmark is annotated in both, expected one")
    units = {"px": np.ones(len(a))}
    with np.errstate(invalid="ignore"):
        diagonals = np.hypot(*(np.fmax.reduce(a.landmarks, axis=1) - np.fmin.reduce(a.landmarks, axis=1)).T)
    if (diagonals > 0).all():
        units["percent"] = 100 / diagonals
    scales = a.scales if a.scales is not None else b.scales
    if a.scales is not None and b.scales is not None:
        scales = np.where(np.isnan(a.scales), b.scales, a.scales)
        if contradicts(a.scales, b.scales):
            notes += (f"{a.name} and {b.name} have different scales, of which those of {a.name} are taken",)
    if scales is not None and not np.isnan(scales).any():
        units["mm"] = scales
    elif scales is not None:
        notes += (f"no distances in mm: the scale of {np.isnan(scales).sum()} of {len(a)} objects is not known",)
    return {
        "n": len(a),
        "units": list(units),
        "overall": {unit: _overall(distances * factors[:, None]) for unit, factors in units.items()},
        "landmarks": [
            {"name": name, "n": int(is_known[:, k].sum())}
            | {
                unit: _of_landmark(shifts[:, k] * factors[:, None], distances[:, k] * factors)
                for unit, factors in units.items()
            }
            for k, name in enumerate(a.landmark_names)
        ],
        "largest": list(_largest(a, distances)),
        "notes": list(notes),
    }


def _overall(distances: Floats) -> dict[str, Any]:
    # Of each object: the objects are independent, their landmarks are not.
    known = distances[~np.isnan(distances).all(axis=1)]
    means, squares = np.nanmean(known, axis=1), np.nanmean(known**2, axis=1)

    def deviation(sample: Floats) -> float:
        return math.sqrt(sample.mean() / 2)

    return {
        "mean": float(means.mean()),
        "mean_95": list(bootstrap_interval(means)),
        "deviation": deviation(squares),
        "deviation_95": list(bootstrap_interval(squares, statistic=deviation)),
    }


def _of_landmark(shifts: Floats, distances: Floats) -> dict[str, float | None]:
    known = ~np.isnan(distances)
    if not known.any():
        return dict.fromkeys(("mean", "deviation", "bias_x", "bias_y"))
    bias_x, bias_y = shifts[known].mean(axis=0).tolist()
    deviation = math.sqrt((distances[known] ** 2).mean() / 2)
    return {"mean": float(distances[known].mean()), "deviation": deviation, "bias_x": bias_x, "bias_y": bias_y}


def _largest(dataset: Dataset, distances: Floats) -> Iterator[dict[str, Any]]:
    means = np.full(len(distances), -1.0)
    known = ~np.isnan(distances).all(axis=1)
    means[known] = np.nanmean(distances[known], axis=1)
    specimens, images = specimen_names(dataset), image_names(dataset)
    for i in np.argsort(-means, kind="stable")[: min(N_LARGEST, known.sum())].tolist():
        k = int(np.nanargmax(distances[i]))
        yield {
            "specimen": specimens[i],
            "image": images[i],
            "mean_px": float(means[i]),
            "landmark": dataset.landmark_names[k],
            "distance_px": float(distances[i, k]),
        }


def match_annotations(a: Dataset, b: Dataset) -> Pairs:
    """Match the objects and landmarks of two datasets, as :func:`compare_annotations` describes."""
    b, notes = _with_landmarks_of(a, b)
    keys_a, keys_b = _common_keys(a, b)
    of_a, of_b = _by_key(keys_a), _by_key(keys_b)
    rows: list[tuple[int, int]] = []
    unmatched: list[str] = []
    for key, items in of_a.items():
        others = of_b.get(key, [])
        ids = [[dataset.ids[i] if dataset.ids else "" for i in each] for dataset, each in ((a, items), (b, others))]
        if len(set(ids[0])) == len(items) > 1 and set(ids[0]) == set(ids[1]) and len(others) == len(items):
            others = [others[ids[1].index(id)] for id in ids[0]]
        if others and len(items) != len(others):
            counts = f"{len(items)} objects in {a.name}, {len(others)} in {b.name}"
            unmatched.append(f"{a.files[items[0]].name}: {counts}, expected as many; left out")
        elif others:
            rows += zip(items, others, strict=True)
    for dataset, other, own, theirs in ((a, b, of_a, of_b), (b, a, of_b, of_a)):
        alone = [dataset.files[items[0]].name for key, items in own.items() if key not in theirs]
        if alone:
            listed = one_line(", ".join(alone[:_MAX_LISTED])) + (", ..." if len(alone) > _MAX_LISTED else "")
            unmatched.append(f"{len(alone)} of {len(own)} images of {dataset.name} are not in {other.name}: {listed}")
    if not rows:
        why = f" ({unmatched[0]})" if unmatched else ""
        raise InputError(f"{a.name} and {b.name}: no object in the same image, expected one{why}")
    first, second = np.array(rows).T
    return Pairs(a.subset(first), b.subset(second), (*notes, *unmatched))


def _with_landmarks_of(a: Dataset, b: Dataset) -> tuple[Dataset, tuple[str, ...]]:
    names, others = a.landmark_names, b.landmark_names
    if set(names) == set(others):
        return b.with_landmarks([others.index(name) for name in names]), ()
    if len(names) != len(others):
        raise InputError(f"{b.name}: {counted(len(others), 'landmark')}, expected {len(names)} as in {a.name}")
    return replace(b, landmark_names=names), (
        f"the landmarks of {a.name} and {b.name} have different names and are matched by their order",
    )


def _common_keys(a: Dataset, b: Dataset) -> tuple[Sequence[Hashable], Sequence[Hashable]]:
    """Return keys of the images of both: the way to name them by which most are in both."""

    def real(dataset: Dataset) -> list[Hashable]:
        return [os.path.realpath(file) for file in dataset.files]

    def unique(dataset: Dataset, part: str) -> list[Hashable]:
        files: dict[str, set[Path]] = {}
        for file in dataset.files:
            files.setdefault(getattr(file, part), set()).add(file)
        # Two images of one name, in different folders, have no partner by their name.
        return [name if len(files[name := getattr(file, part)]) == 1 else file for file in dataset.files]

    names: list[Callable[[Dataset], Sequence[Hashable]]] = [partial(unique, part=part) for part in ("name", "stem")]
    ways = [real, image_names, *names]
    return max(((way(a), way(b)) for way in ways), key=lambda keys: len(set(keys[0]) & set(keys[1])))


def _by_key(keys: Sequence[Hashable]) -> dict[Hashable, list[int]]:
    items: dict[Hashable, list[int]] = {}
    for i, key in enumerate(keys):
        items.setdefault(key, []).append(i)
    return items
