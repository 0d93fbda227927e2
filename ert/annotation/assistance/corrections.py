"""How many of the proposed landmarks a person has corrected: what was proposed is remembered, also after a restart."""

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from ert._core.exceptions import InputError
from ert._core.types import Floats
from ert.annotation.assistance.proposals import is_off, object_sizes
from ert.annotation.project import Project


class Corrections:
    """What was proposed for photos, and how many landmarks of those that are done were corrected.

    A landmark is corrected when it is moved by more than 2 % of the size of its object, added or removed.

    Parameters
    ----------
    project : Project
        Its journal holds what was proposed before.
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        self._lock = threading.Lock()
        # Photo -> what was shown last while nothing was marked in it, and what the journal holds.
        self._shown: dict[int, dict[str, Any]] = {}
        self._logged: dict[int, dict[str, Any]] = {}
        self._counts: dict[int, tuple[int, int]] = {}
        places = {name: i for i, name in enumerate(project.names)}
        for entry in project.entries("proposal"):
            if (i := places.get(entry["image"])) is not None:
                self._logged[i] = entry
        for i in self._logged:
            self._count(i)

    def propose(self, i: int, version: int, objects: Sequence[list[Any]]) -> None:
        """Note what is proposed for a photo while nothing is marked in it: [x, y], or None, of each landmark."""
        if objects and not self._project.photo(i).objects:
            entry = {"kind": "proposal", "image": self._project.names[i], "model": version, "objects": list(objects)}
            with self._lock:
                self._shown[i] = entry

    def change(self, i: int) -> None:
        """Note that the state of a photo has changed."""
        state = self._project.photo(i)
        with self._lock:
            shown = self._shown.pop(i, None) if state.objects else None
        if shown is not None and shown != self._logged.get(i):
            self._logged[i] = shown
            self._project.log(shown)
        if i not in self._logged:
            return
        before, after = self._counts.get(i), self._count(i)
        if after is not None and after != before:
            model = self._logged[i]["model"]
            entry = {"kind": "correction", "image": self._project.names[i], "model": model}
            self._project.log(entry | {"n_landmarks": after[0], "n_corrected": after[1]})

    def counts(self) -> dict[str, int]:
        """Return the number of landmarks that were proposed in photos that are done, and of those corrected."""
        with self._lock:
            rows = list(self._counts.values())
        return {"n_landmarks": sum(n for n, _ in rows), "n_corrected": sum(n for _, n in rows)}

    def _count(self, i: int) -> tuple[int, int] | None:
        """Count the landmarks of a photo, and those corrected, if it is done."""
        state = self._project.photo(i)
        count = None
        if state.status == "done":
            proposed = [
                np.array([(np.nan, np.nan) if point is None else point for point in points], np.float64).reshape(-1, 2)
                for points in self._logged[i]["objects"]
            ]
            count = count_corrected([marked.landmarks for marked in state.objects], proposed, self._photo_side(i))
        with self._lock:
            if count is None:
                self._counts.pop(i, None)
            else:
                self._counts[i] = count
        return count

    def _photo_side(self, i: int) -> float:
        try:
            return float(np.mean(self._project.size(i)))
        except InputError:
            return 1.0


def count_corrected(marked: Sequence[Floats], proposed: Sequence[Floats], photo_side: float = 1.0) -> tuple[int, int]:
    """Return the number of landmarks, and of those that were corrected.

    Parameters
    ----------
    marked, proposed : sequence of float64 array (n_landmarks, 2)
        Of the objects of a photo, in any order; NaN is missing. All landmarks of an object that was not proposed, or of
        a proposed one that is none, count as corrected.
    photo_side : float
        The size of objects without extent, such as single landmarks: the mean side of the photo.

    Returns
    -------
    n_landmarks, n_corrected : int
    """
    total = corrected = 0
    marked, proposed = ([one for one in some if np.isfinite(one).any()] for some in (marked, proposed))
    pairs = _match(marked, proposed)
    for landmarks, other in pairs:
        n = int((np.isfinite(landmarks).all(axis=1) | np.isfinite(other).all(axis=1)).sum())
        total += n
        if np.isnan(landmarks).all() or np.isnan(other).all():
            corrected += n
            continue
        size = float(object_sizes(landmarks[None], np.array([(0, 0, photo_side, photo_side)], np.float64))[0])
        corrected += int(is_off(landmarks, other, size).sum())
    return total, corrected


def _match(marked: Sequence[Floats], proposed: Sequence[Floats]) -> list[tuple[Floats, Floats]]:
    """Return pairs of objects with the least distances between their centers; NaN in place of one that is missing."""
    from scipy.optimize import linear_sum_assignment

    centers = [np.array([np.nanmean(one, axis=0) for one in objects]).reshape(-1, 2) for objects in (marked, proposed)]
    away = np.hypot(*np.moveaxis(centers[0][:, None] - centers[1][None], 2, 0))
    rows, columns = linear_sum_assignment(away)
    pairs = [(marked[i], proposed[k]) for i, k in zip(rows, columns, strict=True)]
    pairs += [(one, np.full_like(one, np.nan)) for i, one in enumerate(marked) if i not in rows]
    return pairs + [(np.full_like(one, np.nan), one) for k, one in enumerate(proposed) if k not in columns]
