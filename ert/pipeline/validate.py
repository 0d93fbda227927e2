"""Errors of new photos: on held-out images, by cross-validation, and as a function of the number of images.

Objects get the boxes that those of a new photo would get from the model's own box source. Objects that are not found
are counted, and have no error.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from ert._core.exceptions import InputError, counted
from ert._core.types import Floats
from ert.datasets.dataset import Dataset
from ert.evaluation.radial import length_lines, mean_interval, normalizer_or_pair, radial_figures
from ert.inference.mode import Mode
from ert.metrics import evaluate, nme, normalizer_text
from ert.pipeline.boxes import SOURCE_TEXTS, FaceFinder, NewBoxes, new_boxes, scatter_boxes, with_known_source
from ert.pipeline.predict import DEFAULT_MODE
from ert.predictor import ShapePredictor

# The error of new photos relative to that of the training objects. Up to the first, more of the same photos can gain
# little; from the second on, most of the error is that of photos that are not alike enough.
ALIKE_RATIO, OVERFITTED_RATIO = 1.25, 2.0
# Where twice the photos reduce the error by less than this part, it is limited by something else.
MIN_GAIN = 0.1
# What errors are divided by where objects have no size.
BOX_SIDE = "box side"


@dataclass(frozen=True, eq=False)
class Predictions:
    """Landmarks of annotated objects that a model was not trained on.

    Parameters
    ----------
    dataset : Dataset
        All objects, with their boxes: NaN where an object was not found.
    landmarks : float64 array (n, n_landmarks, 2)
        NaN where the object was not found.
    rolls : float64 array (n,) or None
    box_source : {"given", "whole", "face", "learned"}
    scattered : float64 array (n, n_landmarks, 2) or None
        Predicted in boxes that are moved and scaled at random, where the boxes are those around the true landmarks.
    groups : sequence (n,) or None
        Objects of a group are alike; by default those of an image.
    """

    dataset: Dataset
    landmarks: Floats
    rolls: Floats | None
    box_source: str
    scattered: Floats | None = None
    groups: Sequence[Hashable] | None = None

    @property
    def units(self) -> Sequence[Hashable]:
        """What is drawn at random in intervals, for each object: its group, or its image."""
        return self.dataset.files if self.groups is None else self.groups

    @property
    def found(self) -> NDArray[np.bool_]:
        """Which objects were found."""
        return np.isfinite(self.landmarks[:, 0, 0])

    def found_only(self) -> tuple[Dataset, Floats]:
        """Return the objects that were found and their landmarks."""
        return self.dataset.subset(self.found), self.landmarks[self.found]


def predict_new(
    model: ShapePredictor,
    dataset: Dataset,
    *,
    box_from: str | None = None,
    mode: Mode = DEFAULT_MODE,
    detector: FaceFinder = "auto",
    n_jobs: int = -1,
    what: str = "X",
) -> Predictions:
    """Predict the landmarks of a dataset as if its photos were new.

    Parameters
    ----------
    model : ShapePredictor
        Fitted.
    dataset : Dataset
    box_from : {"given", "whole", "face", "learned"}, optional
        By default, the model's own way; for faces and models of given boxes, the boxes in the dataset if it has any.
    mode, n_jobs, what
        As for :meth:`ert.ShapePredictor.predict`.
    detector : str or callable
        For faces, see :func:`ert.detect_faces`.

    Returns
    -------
    Predictions
    """
    dataset = with_known_source(dataset)
    source, made = boxes_for(model, dataset, box_from, detector, n_jobs)
    landmarks = _predict(model, dataset, made, mode, n_jobs, what)
    scattered = None
    if source == "given" and dataset.box_source == "landmarks":
        scattered = _predict(model, dataset, made._replace(boxes=scatter_boxes(made.boxes)), mode, n_jobs, what)
    return Predictions(replace(dataset, boxes=made.boxes), landmarks, made.rolls, source, scattered)


def boxes_for(
    model: ShapePredictor, dataset: Dataset, box_from: str | None, detector: FaceFinder = "auto", n_jobs: int = -1
) -> tuple[str, NewBoxes]:
    """Return where the boxes of new photos come from, and those boxes; see `predict_new`."""
    source = box_from or model.box_source_
    if box_from is None and source == "face" and dataset.box_source == "given":
        source = "given"
    options: Any = {"gray_weights": model.gray_weights, "detector": detector, "n_jobs": n_jobs}
    return source, new_boxes(dataset, source, model.fitted_.locator, **options)


def _predict(model: ShapePredictor, dataset: Dataset, boxes: NewBoxes, mode: Mode, n_jobs: int, what: str) -> Floats:
    found = boxes.found
    shapes = np.full(dataset.landmarks.shape, np.nan)
    if found.any():
        part = replace(dataset, boxes=boxes.boxes).subset(found)
        rolls = None if boxes.rolls is None else boxes.rolls[found]
        shapes[found] = model.predict(part.X, mode, rolls=rolls, n_jobs=n_jobs, what=what)
    return shapes


def concatenate_predictions(parts: Sequence[Predictions], places: Sequence[NDArray[np.intp]]) -> Predictions:
    """Join the predictions of folds; ``places[k]`` are the places of the objects of part k."""
    order = np.argsort(np.concatenate(places), kind="stable")
    dataset = sum((part.dataset for part in parts[1:]), parts[0].dataset).subset(order)

    def joined(arrays: list[Any]) -> Any:
        return None if arrays[0] is None else np.concatenate(arrays)[order]

    return Predictions(
        replace(dataset, name=parts[0].dataset.name),
        joined([part.landmarks for part in parts]),
        joined([part.rolls for part in parts]),
        parts[0].box_source,
        joined([part.scattered for part in parts]),
    )


def default_normalizer(landmarks: Floats) -> str:
    """Return the usual normalizer: the inter-ocular distance of faces, the diagonal of other objects.

    Objects of a single landmark have no size: it is the side of their boxes.
    """
    if landmarks.shape[1] == 68 and np.isfinite(landmarks[:, 36:48]).all():
        return "inter-ocular"
    sizes = np.fmax.reduce(landmarks, axis=1) - np.fmin.reduce(landmarks, axis=1)
    return "diagonal" if sizes.any(axis=1).all() else BOX_SIDE


def error_figures(
    predictions: Predictions, *, norms: Sequence[str] | None = None, unit: str = "mm", within: Sequence[float] = ()
) -> dict[str, Any]:
    """Summarize the errors of predictions in a dict that can be written as JSON.

    Parameters
    ----------
    predictions : Predictions
    norms : sequence of str, optional
        Normalizers, or names of two landmarks as ``a-b``; by default those of :func:`ert.metrics.evaluate`.
    unit : str
        Name of the unit of the scales of the dataset.
    within : sequence of float
        Radii in `unit`, or in pixels where there is no scale.

    Returns
    -------
    dict
        As :func:`ert.metrics.evaluate`, with "landmark_names", "n_objects" and "n_found", "box_source",
        "boxes_around_landmarks", "pixels" and, where there is a scale, "lengths", see
        :func:`ert.evaluation.radial.radial_figures`. Where boxes are those around the true landmarks,
        "scattered_boxes" are the errors by normalizer in boxes that are moved and scaled at random.

    Raises
    ------
    InputError
        When no object was found, or a normalizer cannot be computed.
    """
    dataset, predicted = predictions.found_only()
    units = [unit for unit, found in zip(predictions.units, predictions.found, strict=True) if found]
    total = len(predictions.dataset)
    if not len(dataset):
        raise InputError(f"{predictions.dataset.name}: none of {total} objects was found in its image")
    chosen = None if norms is None else lengths_of(dataset, norms)
    figures = evaluate(dataset.y, predicted, chosen)
    if norms is None and (usual := default_normalizer(dataset.y)) in figures["norms"]:
        # First, as in a cross-validation.
        figures["norms"] = {usual: figures["norms"][usual]} | figures["norms"]
    for name, row in figures["norms"].items():
        errors = nme(dataset.y, predicted, name if chosen is None else chosen[name])
        row["interval_95"] = mean_interval(errors, np.ones(len(errors)), units)
        row["percentile_90"] = float(np.percentile(errors, 90))
    scales = dataset.scales
    figures |= {
        "landmark_names": list(dataset.landmark_names),
        "n_objects": total,
        "n_found": len(dataset),
        "box_source": predictions.box_source,
        "boxes_around_landmarks": predictions.scattered is not None,
        "pixels": radial_figures(dataset.y, predicted, within=within if scales is None else (), groups=units),
    }
    if scales is not None:
        lengths: Any = {"scales": scales, "unit": unit, "within": within}
        figures["lengths"] = radial_figures(dataset.y, predicted, groups=units, **lengths)
    if predictions.scattered is not None:
        rows = evaluate(dataset.y, predictions.scattered, chosen)["norms"]
        rows = {name: rows[name] for name in figures["norms"]}
        for name, row in rows.items():
            errors = nme(dataset.y, predictions.scattered, name if chosen is None else chosen[name])
            row["interval_95"] = mean_interval(errors, np.ones(len(errors)), units)
        figures["scattered_boxes"] = {
            name: {key: row[key] for key in ("mean", "median", "interval_95")} for name, row in rows.items()
        }
    return figures


def lengths_of(dataset: Dataset, norms: Sequence[str]) -> Mapping[str, Any]:
    """Return what errors are divided by, by name: a normalizer, or distances between two landmarks."""
    sides = {BOX_SIDE: dataset.boxes[:, 2:].mean(axis=1)}
    return {
        name: sides[name] if name in sides else normalizer_or_pair(name, dataset.landmarks, dataset.landmark_names)
        for name in norms
    }


def box_lines(figures: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Return what is to be said before any error about boxes around the true landmarks, and about objects not found."""
    first, lines = [], []
    if "scattered_boxes" in figures:
        name, row = next(iter(figures["scattered_boxes"].items()))
        low, high = row["interval_95"]
        here = figures["norms"][name]["mean"]
        first.append(
            f"boxes are those around the true landmarks, which no new photo has: error {here:.2f} % of the "
            f"{normalizer_text(name)} in them, {row['mean']:.2f} % (95 % interval {low:.2f} - {high:.2f}) in boxes "
            "moved and scaled at random by 10 %"
        )
    if figures["box_source"] in ("face", "learned"):
        found, total = figures["n_found"], figures["n_objects"]
        over = "" if found == total else "; errors are those of the objects found"
        by = "face detector" if figures["box_source"] == "face" else "locator of the model"
        lines.append(f"{found} of {total} objects found by the {by}{over}")
    return first, lines


def other_boxes_line(model: ShapePredictor, predictions: Predictions) -> str:
    """Return what is to be said where a model is evaluated in boxes that new photos do not get; "" is nothing."""
    own, source = model.box_source_, predictions.box_source
    if source == "given" and predictions.dataset.box_source == "whole":
        source = "whole"
    if source == own or own == "given" or (own, source) == ("face", "given"):
        return ""
    return (
        f"boxes: {SOURCE_TEXTS[source]}; the model was trained for others, {SOURCE_TEXTS[own]}, which new photos get: "
        "their errors differ"
    )


def validation_lines(figures: Mapping[str, Any], curve: Sequence[Mapping[str, Any]] | None = None) -> list[str]:
    """Return what a validation has found: the error of new photos, and what would help most."""
    norm, row = next(iter(figures["norms"].items()))
    low, high = row["interval_95"]
    lines, found = box_lines(figures)
    lines.append(
        f"error of new photos ({figures['method']}, {counted(figures['n_objects'], 'object')}): {row['mean']:.2f} % of "
        f"the {normalizer_text(norm)} (95 % interval {low:.2f} - {high:.2f}); 9 of 10 objects have at most "
        f"{row['percentile_90']:.2f} %"
    )
    return [*lines, *found, *length_lines(figures), verdict(figures["training_error"], row["mean"], curve)]


def object_digests(landmarks: Floats) -> list[str]:
    """Return a digest of the landmarks of each object, by which those that a model was trained on are recognized."""
    rounded = np.nan_to_num(np.round(100 * landmarks), nan=-1e9).astype("<i8")
    return [f"{crc32(shape.tobytes()):08x}" for shape in rounded]


def count_trained_on(model: ShapePredictor, dataset: Dataset) -> int:
    """Return how many objects of a dataset a model was trained on, as far as it remembers them."""
    text = model.summary_.get("trained_on", "")
    known = {text[i : i + 8] for i in range(0, len(text), 8)}
    return sum(digest in known for digest in object_digests(dataset.landmarks))


def trained_on_line(model: ShapePredictor, n: int, total: int) -> str:
    """Return what is to be said first where a model is evaluated on objects that it was trained on."""
    line = f"the model was trained on {n} of these {total} objects: errors of new photos are larger"
    if (known := model.summary_.get("validation")) is not None:
        of = normalizer_text(known["normalizer"])
        return f"{line}, {known['error']:.2f} % of the {of} by {known['method']}"
    return f"{line}; ert train --cv 5 measures them"


def verdict(training: float, new: float, curve: Sequence[Mapping[str, Any]] | None = None) -> str:
    """Say what would help most, from the errors of the training objects and of new photos in percent.

    The ratio of the two says that a model is over-fitted, but not how much more photos help: that of wings is 20, of
    cephalograms 6, and twice the photos reduce their errors by 22 and 7 %. Where there is a learning curve, it decides.
    """
    errors = f"training error {training:.2f} %, new photos {new:.2f} %"
    ratio = new / max(training, 1e-9)
    gain = None if not curve or curve[-1]["change"] is None else -curve[-1]["change"]
    if ratio <= ALIKE_RATIO:
        return f"{errors}, nearly the same: more trees and stages (--preset large) would help more than more photos"
    if gain is not None and gain < MIN_GAIN:
        return (
            f"{errors}, but twice the photos changed the error by {-gain:+.0%} only: more exact annotations, or more "
            "trees and stages (--preset large), may help more than more photos"
        )
    measured = "" if gain is not None else " (--learning-curve measures how much)"
    if ratio >= OVERFITTED_RATIO or gain is not None:
        return f"{errors}: more annotated photos would help most{measured}"
    return f"{errors}: more annotated photos, or more trees and stages (--preset large), may help{measured}"


def training_error(model: ShapePredictor, dataset: Dataset, rolls: Floats | None, norm: str, n_jobs: int = -1) -> float:
    """Return the mean error of the objects that a model was trained on, in percent; `dataset` has their boxes."""
    if len(dataset) > MAX_TRAINING_OBJECTS:
        chosen = np.sort(np.random.default_rng(0).permutation(len(dataset))[:MAX_TRAINING_OBJECTS])
        dataset, rolls = dataset.subset(chosen), None if rolls is None else rolls[chosen]
    predicted = model.predict(dataset.X, rolls=rolls, n_jobs=n_jobs)
    return float(nme(dataset.y, predicted, lengths_of(dataset, [norm])[norm]).mean())


# Enough for two digits.
MAX_TRAINING_OBJECTS = 500
