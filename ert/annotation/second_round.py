"""An observer's second round: a random part of the photos is annotated again, without the marks of the first."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from ert._core.exceptions import InputError, quoted
from ert._core.types import Floats
from ert.datasets.dataset import Dataset
from ert.measurements.objects import image_names
from ert.measurements.repeatability import compare_annotations


@dataclass(frozen=True, eq=False)
class SecondRound:
    """Photos that are annotated again.

    Parameters
    ----------
    first : Dataset
        The first annotations of these photos.
    files : list of pathlib.Path
        The photos, in the order in which they are annotated.
    """

    first: Dataset
    files: list[Path]

    def to_json(self) -> dict[str, Any]:
        """Return what the page shows of it: the name of the first annotations, and the number of photos."""
        return {"of": self.first.name, "n": len(self.files)}

    def repeatability(self, done: Dataset) -> dict[str, Any]:
        """Compare the photos that are done with the first annotations.

        Parameters
        ----------
        done : Dataset
            Objects of the second round.

        Returns
        -------
        dict
            See :func:`ert.measurements.compare_annotations`; "n" is 0 and there are no figures as long as no landmark
            is in both.
        """
        # A project that is opened again may have other paths to the same photos.
        first, done = (replace(each, files=list(map(_real, each.files))) for each in (self.first, done))
        files = set(done.files)
        first = first.subset([i for i, file in enumerate(first.files) if file in files])
        done = replace(done, name="second round").subset(_in_order_of(first, done))
        try:
            return compare_annotations(first, done)
        except InputError as error:  # nothing is in both yet
            notes = [str(error)] if len(done) else []
            return {"n": 0, "units": [], "overall": {}, "landmarks": [], "largest": [], "notes": notes}


def _real(file: Path) -> Path:
    return Path(os.path.realpath(file))


def draw_second_round(dataset: Dataset, part: str, seed: int = 0) -> SecondRound:
    """Draw photos of a dataset at random, the same for the same seed.

    Parameters
    ----------
    dataset : Dataset
        The first annotations.
    part : str
        How many photos: a number such as "20", or a percentage such as "20%".
    seed : int
        Of another observer or another round.

    Raises
    ------
    InputError
        When `part` is neither, or not between one photo and all.
    """
    names = dict(zip(dataset.files, image_names(dataset), strict=True))
    n = read_part(part, len(names))

    def draw(file: Path) -> bytes:
        # Not a permutation: photos that are added later leave the order of the others as it is.
        return sha256(f"{seed}/{names[file]}".encode()).digest()

    files = sorted(names, key=draw)[:n]
    chosen = set(files)
    return SecondRound(dataset.subset([i for i, file in enumerate(dataset.files) if file in chosen]), files)


def read_part(part: str, n_photos: int) -> int:
    """Return how many of `n_photos` photos "20" or "20%" are; at least one."""
    text, is_percentage = part.strip().removesuffix("%"), part.strip().endswith("%")
    try:
        number = float(text)
        n = max(1, round(number / 100 * n_photos)) if is_percentage else int(text)
    except (ValueError, OverflowError):
        number, n = 0.0, 0
    if not number > 0 or not 1 <= n <= n_photos or (is_percentage and number > 100):
        raise InputError(
            f"--second-round {quoted(part)}: expected a number of photos from 1 to {n_photos}, "
            "or a percentage such as 20%"
        )
    return n


def _in_order_of(first: Dataset, second: Dataset) -> Sequence[int]:
    """Return the objects of `second` with those of each photo in the order of the nearest ones in `first`."""
    from scipy.optimize import linear_sum_assignment

    order = list(range(len(second)))
    for file in dict.fromkeys(second.files):
        ours = [i for i, other in enumerate(first.files) if other == file]
        theirs = [i for i, other in enumerate(second.files) if other == file]
        if len(ours) == len(theirs) > 1:
            distances = _centers(first, ours)[:, None] - _centers(second, theirs)[None]
            chosen = linear_sum_assignment(np.hypot(*np.moveaxis(distances, 2, 0)))[1]
            for place, k in zip(theirs, chosen.tolist(), strict=True):
                order[place] = theirs[k]
    return order


def _centers(dataset: Dataset, items: Sequence[int]) -> Floats:
    shapes = dataset.landmarks[items]
    centers: Floats = (np.fmax.reduce(shapes, axis=1) + np.fmin.reduce(shapes, axis=1)) / 2
    return np.where(np.isnan(centers), 1e9, centers)
