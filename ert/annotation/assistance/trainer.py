"""Training for the assistant: a model of the photos that are done, and its errors in those it was not trained on.

As a process, ``python -m ert.annotation.assistance.trainer FOLDER``, it reads FOLDER/request.pickle, writes
FOLDER/model.ert and FOLDER/model.json, and reports in lines of JSON on standard output:

    {"progress": 0.4, "text": "..."}   {"trained": true}   {"scores": {"17": 0.93}}   {"failed": "one line"}

It ends when its standard input is closed, which happens when the process that has started it dies.
"""

import json
import os
import pickle
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ert._core.exceptions import InputError, one_line
from ert._core.files import write_atomically
from ert._core.images import load_image
from ert._core.types import Floats
from ert.annotation.assistance.proposals import (
    Calibration,
    Proposal,
    fit_calibration,
    locate_repeatedly,
    object_sizes,
    propose,
)
from ert.datasets.dataset import Dataset
from ert.datasets.split import fold_groups
from ert.evaluation.radial import mean_interval
from ert.faces.detection import Detector
from ert.inference.validation import MIN_TRAINING_OBJECTS
from ert.pipeline.boxes import DetectedFaces
from ert.pipeline.folds import Split
from ert.pipeline.plan import Plan, make_plan
from ert.pipeline.sources import Found
from ert.pipeline.validate import boxes_for, object_digests
from ert.predictor import ShapePredictor, load

# Folds of the photos, each of which is left out of a model of its own; fewer where there are many photos, whose
# models take longer.
N_FOLDS, N_FOLDS_OF_MANY, MANY_PHOTOS = 5, 3, 60
# The least number of annotations of a landmark in each of these models; others are not proposed.
MIN_MARKED = 2
UNIT = "% of the size"
# The error of a photo in which nothing is found, in these.
MISSED = 50.0
# Objects that a given model was not trained on, by which it is compared with a new one.
MIN_NEW_TO_BASE = 5

Say = Callable[[float, str], object]


@dataclass(frozen=True)
class HeldOut:
    """What models locate in photos that they were not trained on, beside what a person has marked.

    Parameters
    ----------
    files : list of str
        The photo of each object.
    errors, spreads : float64 array (n, n_landmarks)
        Distances from the marked landmarks, and how much landmarks move with the box, in sizes of the object; NaN
        where a landmark is missing or the object was not found.
    """

    files: list[str]
    errors: Floats
    spreads: Floats

    @property
    def mean_errors(self) -> dict[str, float]:
        """The mean error of each photo with an object that was found, in percent of the size."""
        sums: dict[str, list[float]] = {}
        for file, row in zip(self.files, self.errors, strict=True):
            if np.isfinite(row).any():
                sums.setdefault(file, []).append(100 * float(np.nanmean(row)))
        return {file: float(np.mean(values)) for file, values in sums.items()}


@dataclass(frozen=True)
class Trained:
    """A model with what is known of its errors.

    Parameters
    ----------
    model : ShapePredictor
    calibration : Calibration or None
        None where no photo is known that the model was not trained on.
    errors : dict
        The mean error of each photo that a model was not trained on, in percent of the size, by the name of its file.
    landmarks : tuple of int
        Which landmarks of the project the model locates.
    n_photos : int
        That it was trained on.
    max_objects : int
        The largest number of objects in a photo.
    """

    model: ShapePredictor
    calibration: Calibration | None
    errors: Mapping[str, float]
    landmarks: tuple[int, ...]
    n_photos: int
    max_objects: int = 1

    def write(self, folder: Path) -> None:
        """Write model.ert and model.json."""
        self.model.save(folder / "model.ert")
        known = {
            "calibration": None if self.calibration is None else self.calibration.to_json(),
            "errors": dict(self.errors),
            "landmarks": list(self.landmarks),
            "n_photos": self.n_photos,
            "max_objects": self.max_objects,
        }
        with write_atomically(folder / "model.json") as path:
            path.write_text(json.dumps(known), "utf-8")

    @classmethod
    def read(cls, folder: Path) -> "Trained":
        """Read what `write` has written."""
        known = json.loads((folder / "model.json").read_text("utf-8"))
        calibration = known["calibration"]
        return cls(
            load(folder / "model.ert"),
            None if calibration is None else Calibration.from_json(calibration),
            known["errors"],
            tuple(known["landmarks"]),
            known["n_photos"],
            known["max_objects"],
        )


def error_figures(errors: Mapping[str, float], n_photos: int) -> dict[str, Any]:
    """Return the mean error of photos with its interval of 95 %, as the status has it."""
    values = np.array(list(errors.values()))
    if not len(values):
        return {"n_photos": n_photos, "error": None, "low": None, "high": None, "unit": UNIT}
    low, high = mean_interval(values, np.ones(len(values)), list(errors))
    return {"n_photos": n_photos, "error": float(values.mean()), "low": low, "high": high, "unit": UNIT}


def train_on(
    dataset: Dataset,
    *,
    n_jobs: int = 1,
    random_state: int = 0,
    detector: str | Detector = "auto",
    base: ShapePredictor | None = None,
    validate: bool = True,
    params: Mapping[str, Any] | None = None,
    say: Say = lambda progress, text: None,
) -> Trained:
    """Train a model on photos that are done, and measure its errors on folds of them.

    Parameters
    ----------
    dataset : Dataset
        All objects of these photos.
    n_jobs, random_state
        See :class:`ert.ShapePredictor`.
    detector : str or callable
        For faces, see :func:`ert.detect_faces`.
    base : ShapePredictor, optional
        A model of other photos: it is returned, calibrated, if its errors are not larger than those of the new one.
    validate : bool
        Whether errors are measured; without, there is no calibration.
    params : dict, optional
        Other parameters of :class:`ert.ShapePredictor`, in place of those that the preset chooses.
    say : callable
        Called with the progress, 0 to 1, and a line.

    Returns
    -------
    Trained

    Raises
    ------
    InputError
        When there are too few objects, or a photo cannot be read.
    """
    # A box that a person draws is not there in a new photo.
    whole = dataset = replace(dataset, box_source="landmarks")
    say(0.0, f"Training on {count_photos(dataset)} photos.")
    files = [str(file) for file in dataset.files]
    splits = fold_splits(files, random_state)
    kept = marked_often(dataset.landmarks, splits)
    if not len(kept):
        raise InputError(f"{dataset.name}: no landmark is marked in enough photos yet")
    dataset = dataset.with_landmarks(kept)
    dataset = dataset.subset(np.flatnonzero(_known(dataset.landmarks).sum(axis=1)))
    files = [str(file) for file in dataset.files]
    splits = fold_splits(files, random_state)
    given = {"n_jobs": n_jobs, "random_state": random_state} | dict(params or {})
    plan = make_plan(dataset, detector=detector, given=given)
    n_steps = 1 + len(splits) * validate
    model = plan.prepare(dataset).fit()
    calibration: Calibration | None = None
    errors: dict[str, float] = {}
    if validate and splits:
        parts = []
        for number, (rest, test) in enumerate(splits, 1):
            say(number / n_steps, f"Measuring the error: part {number} of {len(splits)}.")
            parts.append(_held_out(plan, dataset, rest, test))
        held_out = HeldOut(
            [file for part in parts for file in part.files],
            np.concatenate([part.errors for part in parts]),
            np.concatenate([part.spreads for part in parts]),
        )
        calibration, errors = fit_calibration(held_out.errors, held_out.spreads), held_out.mean_errors
    most = max(Counter(files).values())
    trained = Trained(model, calibration, errors, tuple(kept.tolist()), len(set(files)), most)
    return trained if base is None else _better(trained, base, whole, detector, n_jobs)


def _better(trained: Trained, base: ShapePredictor, dataset: Dataset, detector: str | Detector, n_jobs: int) -> Trained:
    """Return the base, calibrated if it can be, unless its errors in photos that are new to it are larger."""
    landmarks = tuple(range(len(dataset.landmark_names)))
    kept = Trained(base, None, {}, landmarks, 0, trained.max_objects)
    digests = base.summary_.get("trained_on", "")
    known = {digests[i : i + 8] for i in range(0, len(digests), 8)}
    new = [i for i, digest in enumerate(object_digests(dataset.landmarks)) if digest not in known]
    if base.box_source_ == "given":
        return trained
    if len(new) < MIN_NEW_TO_BASE:
        return kept
    found = measure(base, dataset.subset(new), detector, n_jobs)
    calibration = fit_calibration(found.errors, found.spreads)
    kept = replace(kept, calibration=calibration, errors=found.mean_errors)
    files = sorted(set(found.files))
    ours, theirs = (np.mean([one.errors.get(file, MISSED) for file in files]) for one in (trained, kept))
    return trained if ours < theirs else kept


def count_photos(dataset: Dataset) -> int:
    """Return the number of photos of a dataset."""
    return len(set(dataset.files))


def fold_splits(files: Sequence[str], seed: int) -> list[Split]:
    """Return the objects to train on and those left out, for each fold of the photos; none if there are too few."""
    n = len(set(files))
    n_folds = min(N_FOLDS if n <= MANY_PHOTOS else N_FOLDS_OF_MANY, n)
    if n_folds < 2:
        return []
    fold_of = fold_groups(files, n_folds, seed)
    splits = [(np.flatnonzero(fold_of != k), np.flatnonzero(fold_of == k)) for k in range(n_folds)]
    return splits if min(len(rest) for rest, _ in splits) >= MIN_TRAINING_OBJECTS else []


def marked_often(landmarks: Floats, splits: Sequence[Split]) -> NDArray[np.intp]:
    """Return the landmarks that each of the models of the folds has some annotations of."""
    known = _known(landmarks)
    parts = [known[rest] for rest, _ in splits] or [known]
    return np.flatnonzero(np.min([part.sum(axis=0) for part in parts], axis=0) >= MIN_MARKED)


def _known(landmarks: Floats) -> NDArray[np.bool_]:
    return np.asarray(np.isfinite(landmarks).all(axis=2))


def _held_out(plan: Plan, dataset: Dataset, rest: NDArray[np.intp], test: NDArray[np.intp]) -> HeldOut:
    """Train a model on some objects and locate the landmarks of the others."""
    model = plan.prepare(dataset.subset(rest)).fit()
    return measure(model, dataset.subset(test), plan.faces, model.n_jobs)


def measure(
    model: ShapePredictor, dataset: Dataset, detector: str | Detector | DetectedFaces = "auto", n_jobs: int = 1
) -> HeldOut:
    """Locate the landmarks of objects as those of new photos, and compare them with what is marked."""
    made = boxes_for(model, dataset, None, detector, n_jobs)[1]
    landmarks = np.full(dataset.landmarks.shape, np.nan)
    spreads = np.full(landmarks.shape[:2], np.nan)
    items: dict[Path, list[int]] = {}
    for i in np.flatnonzero(made.found).tolist():
        items.setdefault(dataset.files[i], []).append(i)
    for file, of_file in items.items():
        found = [Found(made.boxes[i], 0.0 if made.rolls is None else float(made.rolls[i])) for i in of_file]
        landmarks[of_file], spreads[of_file] = locate_repeatedly(model, load_image(file), found, n_jobs)
    sizes = object_sizes(dataset.landmarks, dataset.boxes)[:, None]
    errors = np.hypot(*np.moveaxis(landmarks - dataset.landmarks, 2, 0)) / sizes
    return HeldOut([str(file) for file in dataset.files], errors, spreads / sizes)


def score_photos(trained: Trained, photos: Sequence[tuple[int, Path]]) -> Iterator[tuple[int, float]]:
    """Yield the number of each photo with its score: the mean confidence of its landmarks, 0 if nothing is found."""
    for number, file in photos:
        try:
            found = propose(trained.model, load_image(file), trained.calibration, max_objects=trained.max_objects)
        except InputError:
            continue
        yield number, score_of(found)


def score_of(proposals: Sequence[Proposal]) -> float:
    """Return the mean confidence of all landmarks, 0 where nothing is proposed."""
    return float(np.mean([one.confidence for one in proposals])) if proposals else 0.0


class Request(NamedTuple):
    """What a process is to train on.

    Attributes
    ----------
    dataset : Dataset
        The objects of the photos that are done.
    todo : list of (int, pathlib.Path)
        The numbers and files of photos that are scored after the training.
    options : dict
        Other arguments of `train_on`; "base" is a file in place of a model.
    """

    dataset: Dataset
    todo: list[tuple[int, Path]]
    options: dict[str, Any]

    def write(self, folder: Path) -> None:
        """Write the request; pickled, as files of photos know how they are read."""
        (folder / "request.pickle").write_bytes(pickle.dumps(self))


def _end_with_parent(folder: Path) -> None:
    """Remove the folder and end when standard input is closed."""

    def wait() -> None:
        while sys.stdin.buffer.read(1):
            pass
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(1)

    Thread(target=wait, daemon=True).start()


def run(folder: Path) -> None:
    """Do what a request asks for, and report."""

    def report(**values: Any) -> None:
        print(json.dumps(values), flush=True)

    try:
        dataset, todo, options = pickle.loads((folder / "request.pickle").read_bytes())
        if options.get("base") is not None:
            options["base"] = load(options["base"])
        trained = train_on(dataset, **options, say=lambda progress, text: report(progress=progress, text=text))
        trained.write(folder)
        report(trained=True)
        trained.model.n_jobs = 1
        for number, score in score_photos(trained, todo):
            report(scores={str(number): score})
    except (InputError, OSError, ValueError, MemoryError) as error:
        report(failed=one_line(str(error) or type(error).__name__))


if __name__ == "__main__":
    _end_with_parent(Path(sys.argv[1]))
    if hasattr(os, "nice"):
        os.nice(10)
    run(Path(sys.argv[1]))
