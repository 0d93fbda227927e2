"""Training for the assistant: a model of the photos that are done, and its errors in those it was not trained on."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ert._core.exceptions import InputError
from ert._core.images import load_image
from ert._core.types import Floats
from ert.annotation.assistance.proposals import Calibration, Proposal, fit_calibration, locate_repeatedly, object_sizes
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
from ert.predictor import ShapePredictor

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
    dataset, kept, splits = _usable(dataset, random_state)
    files = [str(file) for file in dataset.files]
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
    landmarks = landmark_places(base, dataset.landmark_names)
    kept = Trained(base, None, {}, landmarks, 0, trained.max_objects)
    digests = base.summary_.get("trained_on", "")
    known = {digests[i : i + 8] for i in range(0, len(digests), 8)}
    own_order = dataset.landmarks[:, landmarks]
    new = [i for i, digest in enumerate(object_digests(own_order)) if digest not in known]
    if base.box_source_ == "given":
        return trained
    if len(new) < MIN_NEW_TO_BASE:
        return kept
    found = measure(base, dataset.subset(new).with_landmarks(list(landmarks)), detector, n_jobs)
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


def _usable(dataset: Dataset, seed: int) -> tuple[Dataset, NDArray[np.intp], list[Split]]:
    """Return the objects and landmarks that models of all folds can be trained on, which landmarks, and the folds."""
    kept = np.arange(len(dataset.landmark_names))
    while True:
        splits = fold_splits([str(file) for file in dataset.files], seed)
        often = marked_often(dataset.landmarks, splits)
        if not len(often):
            raise InputError(f"{dataset.name}: no landmark is marked in enough photos yet")
        kept, dataset = kept[often], dataset.with_landmarks(often)
        objects = np.flatnonzero(_known(dataset.landmarks).sum(axis=1))
        if len(objects) == len(dataset):
            return dataset, kept, splits
        # Without some objects, the folds are others.
        dataset = dataset.subset(objects)


def landmark_places(model: ShapePredictor, names: Sequence[str]) -> tuple[int, ...]:
    """Return which of the landmarks with these names each one of a model is: by name, or else by number."""
    own = model.landmark_names_
    return tuple(list(names).index(name) for name in own) if set(own) == set(names) else tuple(range(len(names)))


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


def score_of(proposals: Sequence[Proposal]) -> float:
    """Return the mean confidence of all landmarks, 0 where nothing is proposed."""
    return float(np.mean([one.confidence for one in proposals])) if proposals else 0.0


def work(send: Callable[[tuple[float, str]], object], dataset: Dataset, options: Mapping[str, Any]) -> Trained:
    """Train in a process of its own, see :class:`ert.annotation.process.Job`; progress and lines are sent."""
    return train_on(dataset, **options, say=lambda progress, text: send((progress, text)))
