"""From a dataset to a model: boxes, parameters, honest validation, and the model of all photos."""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ert._core.arguments import checked_arguments
from ert._core.exceptions import InputError, quoted
from ert._core.types import Floats, StrPath
from ert.datasets.dataset import Dataset
from ert.datasets.split import fold_groups, join_groups
from ert.faces.detection import Detector
from ert.pipeline.folds import CURVE_FRACTIONS, Split, cross_validate, fold_checkpoint, learning_curve
from ert.pipeline.plan import Plan, make_plan
from ert.pipeline.self_training import SelfTraining, fit_student_confidence, teacher_files
from ert.pipeline.unlabelled import Unlabelled, find_unlabelled
from ert.pipeline.validate import (
    Predictions,
    default_normalizer,
    error_figures,
    object_digests,
    predict_new,
    training_error,
)
from ert.predictor import ShapePredictor
from ert.training.confidence_samples import check_folds
from ert.training.fit import log

# Folds of the learning curve where nothing else is said.
CURVE_FOLDS = 5
# Training objects that a model remembers, in 8 bytes each.
MAX_REMEMBERED = 500


@dataclass(frozen=True)
class Checks:
    """How the errors of new photos are measured.

    Parameters
    ----------
    validation : float
        Fraction of the groups that is held out; 0 is none.
    cv : int
        Folds of the cross-validation; 0 is none.
    curve : bool
        Whether to compute a learning curve.
    groups : sequence, optional
        A label for each object: objects of a group or an image are never separated. By default, the image.
    norms : sequence of str, optional
        What errors are divided by, the first in all lines, see :func:`ert.pipeline.validate.error_figures`.
    unit, within
        As for :func:`ert.pipeline.validate.error_figures`.
    """

    validation: float = 0.0
    cv: int = 0
    curve: bool = False
    groups: Sequence[Hashable] | None = None
    norms: Sequence[str] | None = None
    unit: str = "mm"
    within: Sequence[float] = ()

    def __post_init__(self) -> None:
        if self.validation and self.cv:
            raise InputError("validation and cv: expected one of the two")
        if self.validation and not 0 < self.validation < 1:
            raise InputError(f"validation {self.validation:g}: expected a fraction between 0 and 1")
        if self.cv and self.cv < 2:
            raise InputError(f"cv {self.cv}: expected at least 2 folds")

    @property
    def n_folds(self) -> int:
        """Folds of the cross-validation, also of the learning curve."""
        return self.cv or (CURVE_FOLDS if self.curve and not self.validation else 0)

    @property
    def method(self) -> str:
        """How the errors are measured, in words."""
        return f"{self.n_folds}-fold cross-validation" if self.n_folds else "held-out images"

    def labels(self, dataset: Dataset) -> list[str]:
        """Return what is never separated: the image of each object, or the groups and images it is connected with."""
        files = [str(file) for file in dataset.files]
        if self.groups is None:
            return files
        return [str(i) for i in join_groups(files, [str(group) for group in self.groups]).tolist()]

    def options(self, dataset: Dataset) -> dict[str, Any]:
        """Return the arguments of `error_figures`."""
        norms = self.norms or [default_normalizer(dataset.landmarks)]
        return {"norms": norms, "unit": self.unit, "within": self.within}


@dataclass(frozen=True)
class Trained:
    """A model and what is known of its errors.

    Parameters
    ----------
    model : ShapePredictor
    predictions : Predictions or None
        Of the objects that were held out.
    figures : dict or None
        Their errors, see :func:`ert.pipeline.validate.error_figures`, with "method" and "training_error".
    curve : list of dict or None
        The learning curve, see `learning_curve`.
    """

    model: ShapePredictor
    predictions: Predictions | None = None
    figures: dict[str, Any] | None = None
    curve: list[dict[str, Any]] | None = None


@checked_arguments
def train(
    dataset: Dataset,
    *,
    box_from: str = "auto",
    preset: str = "auto",
    detector: str | Detector = "auto",
    validation: float = 0.0,
    cv: int = 0,
    groups: Sequence[Hashable] | None = None,
    confidence: int = 0,
    unlabelled: Any = None,
    self_training: Mapping[str, Any] | None = None,
    notes: Mapping[str, str] | None = None,
    checkpoint: StrPath | None = None,
    resume: bool = False,
    **params: Any,
) -> ShapePredictor:
    """Train a model on annotated images, with settings that fit the data.

    Parameters
    ----------
    dataset : Dataset
        Result of :func:`ert.load_dataset`.
    box_from : {"auto", "given", "whole", "face", "learned"}
        Where boxes come from, also at prediction: the user gives them, the box is the whole image, a face
        detector draws it, or a locator that is trained too finds the object. "auto" takes boxes as given where the
        file has them, and otherwise looks at how the objects lie in the images.
    preset : {"auto", "small", "large", "fast", "accurate", "none"}
        What the parameters that are not given are chosen for, see
        :func:`ert.training.presets.choose_parameters`; "none" keeps the defaults of :class:`ert.ShapePredictor`.
    detector : str or callable
        For faces, see :func:`ert.detect_faces`.
    validation : float
        Fraction of the images that is held out to measure the error.
    cv : int
        Folds of a cross-validation, which measures the error of new photos; the model is then trained on all images.
        With 10 rather than 5, the models of the folds are trained on nearly as many images.
    groups : sequence, optional
        A label for each object, such as the specimen: objects of a group or an image are never separated, and are
        drawn together for intervals. By default, the image.
    confidence : int
        Folds of a confidence model, see :meth:`ert.ShapePredictor.fit_confidence`; 0 is none.
    unlabelled : path, Dataset or sequence of them, optional
        Photos without annotations that are learned from too: folders, patterns, ``"@list.txt"`` or annotation files.
        Those that are in the dataset, or are copies, are left out.
    self_training : mapping, optional
        How: `n_teachers`, `n_rounds`, `keep` and `weight` of :func:`ert.self_train`.
    notes, checkpoint, resume
        As for :meth:`ert.ShapePredictor.fit`.
    **params
        Parameters of :class:`ert.ShapePredictor`.

    Returns
    -------
    ShapePredictor
        Fitted. With `validation` or `cv`, ``summary_["validation"]`` has the error of new photos: objects get the
        boxes that they would get in a new photo, not boxes around the true landmarks.

    Raises
    ------
    InputError
        When parameters, images, boxes or landmarks cannot be used.

    Examples
    --------
    >>> import ert
    >>> model = ert.train(ert.load_dataset("wings.tps"), cv=5)  # doctest: +SKIP
    >>> model.save("wings.ert")  # doctest: +SKIP
    """
    checks = Checks(validation, cv, groups=groups)
    say = log if ShapePredictor(**params).verbose else lambda text: None
    more = None
    if unlabelled is not None:
        more = find_unlabelled(unlabelled, dataset, _self_training(self_training or {}), say=say)
    elif self_training is not None:
        raise InputError("self_training: expected photos without annotations (unlabelled) with it")
    options: Any = {"box_from": box_from, "preset": preset, "detector": detector, "unlabelled": more}
    plan = make_plan(dataset, **options, given=params)
    return run_training(
        plan, dataset, checks, confidence=confidence, notes=notes, checkpoint=checkpoint, resume=resume, say=say
    ).model


def _self_training(given: Mapping[str, Any]) -> SelfTraining:
    known = {field.name: field.type for field in fields(SelfTraining)}
    for name, value in given.items():
        if name not in known:
            raise InputError(f"self_training: {quoted(name)}, expected {', '.join(known)}")
        kind, what = (Integral, "an integer") if known[name] is int else (Real, "a number")
        if not isinstance(value, kind):
            raise InputError(f"self_training: {name}={quoted(value)}, expected {what}")
    return SelfTraining(**given)


def run_training(
    plan: Plan,
    dataset: Dataset,
    checks: Checks,
    *,
    confidence: int = 0,
    notes: Mapping[str, str] | None = None,
    checkpoint: StrPath | None = None,
    resume: bool = False,
    on_model: Callable[[ShapePredictor], object] = lambda model: None,
    on_stage: Callable[[ShapePredictor], object] | None = None,
    brief: bool = False,
    say: Callable[[str], object] = lambda text: None,
) -> Trained:
    """Validate as `checks` say, train the model, and note its errors in it.

    `on_model` is called with the model before it is fitted, `say` with lines about what happens: with `brief`, without
    those about the source of boxes and the choice of parameters. The other parameters are those of `train`.
    """
    if checks.groups is not None and len(checks.groups) != len(dataset):
        raise InputError(f"groups: {len(checks.groups)}, expected one for each of {len(dataset)} objects")
    if confidence and confidence < 2:
        raise InputError(f"confidence {confidence}: expected at least 2 folds")
    if not brief:
        say(plan.text)
    rest, held_out = hold_out(dataset, checks, plan.random_state)
    checkpoint = None if checkpoint is None else Path(checkpoint)
    files: Any = {"resume": resume, "checkpoint": checkpoint, "say": say}
    splits = _splits(dataset, rest, held_out, checks, plan.random_state)
    labels = checks.labels(dataset)
    predictions, training, curve = None, float("nan"), None
    norm = checks.options(dataset)["norms"][0]
    if checks.n_folds:
        predictions, training = cross_validate(plan, dataset, splits, norm, **files)
    prepared = plan.prepare(rest)
    choice = () if brief else (prepared.choice, prepared.advice)
    for text in filter(None, (prepared.boxes.note, *choice)):
        say(text)
    on_model(prepared.model)
    model = prepared.fit(held_out, notes=notes, checkpoint=checkpoint, resume=resume, on_stage=on_stage, say=say)
    if held_out is not None:
        predictions = predict_new(model, held_out, box_from=plan.box_source, detector=plan.faces, n_jobs=model.n_jobs)
        training = training_error(model, prepared.boxes.dataset, prepared.boxes.rolls, norm, model.n_jobs)
    if predictions is not None and checks.groups is not None:
        tested = np.sort(np.concatenate([test for _, test in splits]))
        predictions = replace(predictions, groups=[labels[i] for i in tested])
    if checks.curve and predictions is not None:
        curve = learning_curve(plan, dataset, splits, predictions, norm, **files)
    if confidence:
        part = prepared.boxes.dataset
        rolls = prepared.boxes.rolls
        groups = None
        if checks.groups is not None:
            items = np.arange(len(dataset)) if held_out is None else splits[0][0]
            kept = prepared.boxes.kept
            groups = [labels[i] for i in (items if kept is None else items[kept])]
        options: Any = {"n_folds": confidence, "groups": groups, "checkpoint": checkpoint, "resume": resume}
        if (marked := prepared.marked) is None:
            model.fit_confidence(part.X, part.y, rolls=rolls, **options)
        else:
            fit_student_confidence(model, (part.X, part.y, rolls), marked, **options)
    figures, summary = None, model.summary_ | {"trained_on": "".join(object_digests(_some(rest)))}
    if predictions is not None and not predictions.found.any():
        say(f"none of the {len(predictions.dataset)} objects left out was found: their error is unknown")
    elif predictions is not None:
        figures = {"method": checks.method, "training_error": training}
        figures |= error_figures(predictions, **checks.options(dataset))
        summary["validation"] = validation_summary(figures, predictions)
    model.fitted_ = replace(model.fitted_, summary=summary)
    if checkpoint is not None:
        for file in [*fold_files(checkpoint, checks), *all_teacher_files(checkpoint, checks, plan.unlabelled)]:
            file.unlink(missing_ok=True)
    return Trained(model, predictions, figures, curve)


def _some(dataset: Dataset) -> Floats:
    """Return the landmarks of the objects that a model remembers, evenly spaced."""
    items = np.linspace(0, len(dataset) - 1, min(len(dataset), MAX_REMEMBERED)).astype(int)
    landmarks: Floats = dataset.landmarks[items]
    return landmarks


def hold_out(dataset: Dataset, checks: Checks, seed: int) -> tuple[Dataset, Dataset | None]:
    """Split the held-out images off a dataset, if there are to be any."""
    if not checks.validation:
        return dataset, None
    chosen = _held_out(dataset, checks, seed)
    return dataset.subset(~chosen), dataset.subset(chosen)


def _held_out(dataset: Dataset, checks: Checks, seed: int) -> NDArray[np.bool_]:
    labels: Sequence[Any] = dataset.files if checks.groups is None else checks.labels(dataset)
    groups = sorted(set(labels))
    n_held_out = max(1, round(checks.validation * len(groups)))
    drawn = np.random.default_rng(seed).permutation(len(groups))[:n_held_out]
    chosen = {groups[i] for i in drawn}
    return np.array([label in chosen for label in labels])


def _splits(dataset: Dataset, rest: Dataset, held_out: Dataset | None, checks: Checks, seed: int) -> list[Split]:
    """Return the indices of training and test objects of each split."""
    if held_out is not None:
        chosen = _held_out(dataset, checks, seed)
        return [(np.flatnonzero(~chosen), np.flatnonzero(chosen))]
    if not checks.n_folds:
        return []
    fold_of = fold_groups(checks.labels(dataset), checks.n_folds, seed)
    check_folds(dataset.landmarks, fold_of)
    return [(np.flatnonzero(fold_of != k), np.flatnonzero(fold_of == k)) for k in range(checks.n_folds)]


def check_splits(dataset: Dataset, checks: Checks, seed: int) -> list[Split]:
    """Return the splits of the cross-validation; raise an InputError if there are too few images for the folds."""
    return _splits(dataset, dataset, None, checks, seed) if checks.n_folds else []


def fold_files(checkpoint: Path, checks: Checks) -> Iterator[Path]:
    """Yield all checkpoints that the validation writes."""
    n_splits = checks.n_folds or int(checks.validation > 0)
    for fraction in CURVE_FRACTIONS if checks.curve else (1.0,):
        for number in range(1, n_splits + 1):
            if fraction < 1 or checks.n_folds:
                yield fold_checkpoint(checkpoint, number, fraction)


def all_teacher_files(checkpoint: Path, checks: Checks, unlabelled: Unlabelled | None) -> Iterator[Path]:
    """Yield the checkpoints of all teachers, those of the validation too."""
    if unlabelled is not None:
        for file in (checkpoint, *fold_files(checkpoint, checks)):
            yield from teacher_files(file, unlabelled.settings)


def validation_summary(figures: Mapping[str, Any], predictions: Predictions) -> dict[str, Any]:
    """Return the figures of a validation that a model keeps: numbers, texts, and None where there is no number."""
    norm, row = next(iter(figures["norms"].items()))
    low, high = row["interval_95"]
    lengths = figures.get("lengths") or {"n": 0}
    scattered = figures.get("scattered_boxes", {}).get(norm)
    return {
        "method": figures["method"],
        "n_images": len(set(predictions.dataset.files)),
        "n_objects": figures["n_objects"],
        "n_found": figures["n_found"],
        "normalizer": norm,
        "error": row["mean"],
        "low": low,
        "high": high,
        "training_error": figures["training_error"],
        "pixels": figures["pixels"]["mean"],
        "length": lengths["mean"] if lengths["n"] else None,
        "unit": lengths["unit"] if lengths["n"] else "",
        "scattered_error": None if scattered is None else scattered["mean"],
    }
