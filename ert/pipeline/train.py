"""From a dataset to a model: boxes, parameters, honest validation, and the model of all photos."""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ert._core.arguments import checked_arguments
from ert._core.exceptions import InputError
from ert._core.types import Floats, StrPath
from ert.datasets.dataset import Dataset
from ert.datasets.split import fold_groups
from ert.faces.detection import Detector
from ert.metrics import bootstrap_interval, nme
from ert.pipeline.plan import Plan, make_plan
from ert.pipeline.validate import (
    CURVE_FRACTIONS,
    Predictions,
    concatenate_predictions,
    default_normalizer,
    error_figures,
    image_interval,
    lengths_of,
    predict_new,
    training_error,
)
from ert.predictor import ShapePredictor
from ert.training.confidence_samples import check_folds
from ert.training.fit import log

# Folds of the learning curve where nothing else is said.
CURVE_FOLDS = 5
_Split = tuple[NDArray[np.intp], NDArray[np.intp]]


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
        A label for each object: objects of a group are never separated. By default, the image.
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
    groups : sequence, optional
        A label for each object, such as the specimen: objects of a group are never separated. By default, the image.
    confidence : int
        Folds of a confidence model, see :meth:`ert.ShapePredictor.fit_confidence`; 0 is none.
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
    plan = make_plan(dataset, box_from=box_from, preset=preset, detector=detector, given=params)
    checks = Checks(validation, cv, groups=groups)
    say = log if ShapePredictor(**params).verbose else lambda text: None
    return run_training(
        plan, dataset, checks, confidence=confidence, notes=notes, checkpoint=checkpoint, resume=resume, say=say
    ).model


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
    say: Callable[[str], object] = lambda text: None,
) -> Trained:
    """Validate as `checks` say, train the model, and note its errors in it.

    `on_model` is called with the model before it is fitted, `say` with lines about what happens. The other parameters
    are those of `train`.
    """
    say(plan.text)
    rest, held_out = hold_out(dataset, checks, plan.random_state)
    checkpoint = None if checkpoint is None else Path(checkpoint)
    files: Any = {"resume": resume, "checkpoint": checkpoint, "say": say}
    splits = _splits(dataset, rest, held_out, checks, plan.random_state)
    predictions, training, curve = None, float("nan"), None
    norm = checks.options(dataset)["norms"][0]
    if checks.n_folds:
        predictions, training = cross_validate(plan, dataset, splits, norm, **files)
    prepared = plan.prepare(rest)
    for text in filter(None, (prepared.boxes.note, prepared.choice, prepared.advice)):
        say(text)
    on_model(prepared.model)
    model = prepared.fit(held_out, notes=notes, checkpoint=checkpoint, resume=resume, on_stage=on_stage)
    if held_out is not None:
        predictions = predict_new(
            model, held_out, box_from=plan.box_source, detector=plan.detector, n_jobs=model.n_jobs
        )
        training = training_error(model, prepared.boxes.dataset, prepared.boxes.rolls, norm, model.n_jobs)
    if checks.curve and predictions is not None:
        curve = learning_curve(plan, dataset, splits, predictions, norm, **files)
    if confidence:
        part = prepared.boxes.dataset
        model.fit_confidence(part.X, part.y, n_folds=confidence, checkpoint=checkpoint, resume=resume)
    figures = None
    if predictions is not None:
        figures = {"method": checks.method, "training_error": training}
        figures |= error_figures(predictions, **checks.options(dataset))
        summary = model.summary_ | {"validation": validation_summary(figures, predictions)}
        model.fitted_ = replace(model.fitted_, summary=summary)
    return Trained(model, predictions, figures, curve)


def hold_out(dataset: Dataset, checks: Checks, seed: int) -> tuple[Dataset, Dataset | None]:
    """Split the held-out images off a dataset, if there are to be any."""
    if not checks.validation:
        return dataset, None
    chosen = _held_out(dataset, checks, seed)
    return dataset.subset(~chosen), dataset.subset(chosen)


def _held_out(dataset: Dataset, checks: Checks, seed: int) -> NDArray[np.bool_]:
    labels: Sequence[Any] = dataset.files if checks.groups is None else checks.groups
    groups = sorted(set(labels))
    n_held_out = max(1, round(checks.validation * len(groups)))
    drawn = np.random.default_rng(seed).permutation(len(groups))[:n_held_out]
    chosen = {groups[i] for i in drawn}
    return np.array([label in chosen for label in labels])


def _splits(dataset: Dataset, rest: Dataset, held_out: Dataset | None, checks: Checks, seed: int) -> list[_Split]:
    """Return the indices of training and test objects of each split."""
    if held_out is not None:
        chosen = _held_out(dataset, checks, seed)
        return [(np.flatnonzero(~chosen), np.flatnonzero(chosen))]
    if not checks.n_folds:
        return []
    labels = [str(file) for file in dataset.files] if checks.groups is None else list(map(str, checks.groups))
    fold_of = fold_groups(labels, checks.n_folds, seed)
    check_folds(dataset.landmarks, fold_of)
    return [(np.flatnonzero(fold_of != k), np.flatnonzero(fold_of == k)) for k in range(checks.n_folds)]


def check_splits(dataset: Dataset, checks: Checks, seed: int) -> None:
    """Raise an InputError if there are too few images for the folds."""
    if checks.n_folds:
        _splits(dataset, dataset, None, checks, seed)


def cross_validate(
    plan: Plan,
    dataset: Dataset,
    splits: Sequence[_Split],
    norm: str,
    *,
    fraction: float = 1.0,
    checkpoint: Path | None = None,
    resume: bool = False,
    say: Callable[[str], object] = lambda text: None,
) -> tuple[Predictions, float]:
    """Train a model on each split, as the final one is trained, and predict the objects left out of it.

    With a `fraction`, only that part of the training images is used. Also returns the mean error of the training
    objects in percent of `norm`.
    """
    parts, errors = [], []
    for number, (rest, test) in enumerate(splits, 1):
        rest = _share_of_images(dataset, rest, fraction, plan.random_state + number)
        file = None if checkpoint is None else fold_checkpoint(checkpoint, number, fraction)
        prepared = replace(plan, given={**plan.given, "verbose": 0}).prepare(dataset.subset(rest))
        model = prepared.fit(checkpoint=file, resume=resume)
        options: Any = {"box_from": plan.box_source, "detector": plan.detector, "n_jobs": model.n_jobs}
        part = predict_new(model, dataset.subset(test), **options)
        errors.append(training_error(model, prepared.boxes.dataset, prepared.boxes.rolls, norm, model.n_jobs))
        parts.append(part)
        found, shapes = part.found_only()
        of = f"{len(found)} of {len(test)} objects found" if len(found) < len(test) else f"{len(test)} objects"
        text = f"{nme(found.y, shapes, lengths_of(found, [norm])[norm]).mean():.2f} %" if len(found) else "none"
        share = "" if fraction == 1 else f", {fraction:.0%} of the rest"
        say(f"fold {number} of {len(splits)}{share}: error of new photos {text} ({of})")
    return concatenate_predictions(parts, [test for _, test in splits]), float(np.mean(errors))


def fold_checkpoint(checkpoint: Path, number: int, fraction: float = 1.0) -> Path:
    """Return the checkpoint of a fold of the cross-validation."""
    part = "" if fraction == 1 else f"-{100 * fraction:.0f}"
    return checkpoint.with_name(f"{checkpoint.stem}.cv{number}{part}.ert")


def fold_files(checkpoint: Path, checks: Checks) -> Iterator[Path]:
    """Yield all checkpoints that the validation writes."""
    n_splits = checks.n_folds or int(checks.validation > 0)
    for fraction in CURVE_FRACTIONS if checks.curve else (1.0,):
        for number in range(1, n_splits + 1):
            if fraction < 1 or checks.n_folds:
                yield fold_checkpoint(checkpoint, number, fraction)


def _share_of_images(dataset: Dataset, chosen: NDArray[np.intp], fraction: float, seed: int) -> NDArray[np.intp]:
    """Return the objects of a fraction of the images; a smaller fraction is a part of a larger one."""
    if fraction == 1:
        return chosen
    files = sorted({str(dataset.files[i]) for i in chosen})
    n = max(2, round(fraction * len(files)))
    kept = {files[i] for i in np.random.default_rng(seed).permutation(len(files))[:n]}
    return np.array([i for i in chosen if str(dataset.files[i]) in kept], np.intp)


def learning_curve(
    plan: Plan, dataset: Dataset, splits: Sequence[_Split], complete: Predictions, norm: str, **files: Any
) -> list[dict[str, Any]]:
    """Return the error of new photos by the number of training images.

    Parameters
    ----------
    plan, dataset, splits, norm
        As for `cross_validate`.
    complete : Predictions
        Of models that were trained on all images of their splits.
    **files
        Other arguments of `cross_validate`.

    Returns
    -------
    list of dict
        For each fraction: "fraction", "n_images" (mean over splits), "n_objects", "n_found", "error" in percent,
        "interval_95" over images, None where there are few, and "change" against the fraction before with its
        "change_interval_95", over objects found both times: -0.2 is a fifth less.
    """
    rows: list[dict[str, Any]] = []
    before: Floats | None = None
    for fraction in CURVE_FRACTIONS:
        one = complete if fraction == 1 else cross_validate(plan, dataset, splits, norm, fraction=fraction, **files)[0]
        errors = np.full(len(one.dataset), np.nan)
        found, shapes = one.found_only()
        if len(found):
            errors[one.found] = nme(found.y, shapes, lengths_of(found, [norm])[norm])
        counts = [
            len({dataset.files[i] for i in _share_of_images(dataset, rest, fraction, plan.random_state + number)})
            for number, (rest, _) in enumerate(splits, 1)
        ]
        rows.append(
            {
                "fraction": fraction,
                "n_images": round(float(np.mean(counts))),
                "n_objects": len(errors),
                "n_found": len(found),
                "error": float(np.nanmean(errors)) if len(found) else None,
                "interval_95": image_interval(errors[one.found], found.files) if len(found) else None,
            }
            | _change(before, errors)
        )
        before = errors
    return rows


def _change(before: Floats | None, errors: Floats) -> dict[str, Any]:
    both = np.empty((0, 2)) if before is None else np.column_stack([before, errors])
    both = both[np.isfinite(both).all(axis=1)]
    if not len(both) or not both[:, 0].any():
        return {"change": None, "change_interval_95": None}

    def change(rows: Floats) -> float:
        first, second = rows.mean(axis=0)
        return float(second / first - 1) if first else 0.0

    return {"change": change(both), "change_interval_95": list(bootstrap_interval(both, statistic=change))}


def curve_table(curve: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return head and rows of a table of a learning curve."""
    rows: list[tuple[str, ...]] = []
    for row in curve:
        found = str(row["n_objects"]) if row["n_found"] == row["n_objects"] else f"{row['n_found']}/{row['n_objects']}"
        error = "-" if row["error"] is None else f"{row['error']:.2f}"
        span = "-" if row["interval_95"] is None else "{:.2f} - {:.2f}".format(*row["interval_95"])
        rows.append((str(row["n_images"]), found, error, span))
    return ("photos", "objects", "error %", "95 % interval"), rows


def curve_lines(curve: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what a learning curve says, in words."""
    lines = []
    for before, row in pairwise(curve):
        if row["change"] is None:
            continue
        low, high = row["change_interval_95"]
        photos = f"from {before['n_images']} to {row['n_images']} photos"
        span = f"(95 % interval {low:+.0%} to {high:+.0%})"
        if low <= 0 <= high:
            lines.append(f"{photos}: no clear change of the error, {row['change']:+.0%} {span}")
        else:
            lines.append(f"{photos}: {abs(row['change']):.0%} {'less' if high < 0 else 'more'} error {span}")
    if lines and curve[-1]["change"] is not None:
        high = curve[-1]["change_interval_95"][1]
        last = "another doubling is likely to gain less than the last one"
        lines.append(last if high < 0 else "more photos of the same kind promise little")
    return lines


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
