"""How far annotated landmarks are from where models expect them that were not trained on their photo."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ert._core.exceptions import InputError
from ert._core.types import Floats
from ert.annotation.assistance.proposals import MAX_OFF, MOVES, object_sizes
from ert.annotation.assistance.trainer import fold_splits, marked_often
from ert.datasets.dataset import Dataset
from ert.pipeline.boxes import NewBoxes, new_boxes
from ert.pipeline.plan import Prepared, make_plan
from ert.predictor import ShapePredictor

KIND = "far from the prediction"
# A landmark is suspicious from this many robust standard deviations above the median difference of this landmark on,
# and this part of the size of the object; see benchmarks/annotation_checks.py.
MIN_SCORE, MIN_PART = 8.0, 0.03
# Predictions that are nearer to the annotation on average than this part of the size are of the same object.
SAME_OBJECT = 0.1
# Errors below this part of the size are noise of the annotation.
FLOOR = 0.001
MAX_NAMED = 3
# Two landmarks are swapped if each is nearer than this part of the size to where the other one is expected.
MAX_SWAPPED = 0.05
# The median of the length of a vector with two Gaussian components, in standard deviations of these.
RAYLEIGH_MEDIAN = 1.1774


class Expected(NamedTuple):
    """What models expect that were not trained on the photo of an object.

    Attributes
    ----------
    landmarks : float64 array (n, n_landmarks, 2)
        In pixels; NaN where nothing is known.
    boxes : float64 array (n, 4)
    rolls : float64 array (n,)
    """

    landmarks: Floats
    boxes: Floats
    rolls: Floats


@dataclass(frozen=True)
class Typical:
    """How far annotations of a dataset usually are from what models expect, in sizes of the object.

    Parameters
    ----------
    medians, deviations : float64 array (n_landmarks,)
        Of the differences of each landmark; the deviations are 1.4826 times the median distances from the median.
    parts_within : float64 array (n_landmarks,)
        Part of the objects in which the difference is less than `MAX_OFF`.
    """

    medians: Floats
    deviations: Floats
    parts_within: Floats


class Suspicion(NamedTuple):
    """Why an object is suspicious: landmarks that are far from where they are expected; 1 or more is suspicious."""

    score: float
    landmarks: tuple[int, ...]
    text: str


def expect_landmarks(
    dataset: Dataset,
    trusted: NDArray[np.bool_],
    given: Mapping[str, Any],
    report: Callable[[float, str], object] = lambda progress, text: None,
) -> Expected:
    """Train models on folds of the photos, and predict the objects of those left out.

    Parameters
    ----------
    dataset : Dataset
    trusted : bool array (n,)
        Objects that models may be trained on. Few gross errors are enough to ruin a model of few objects.
    given : dict
        Parameters of :class:`ert.ShapePredictor` in place of those that are chosen.
    report : callable
        Called with the progress, from 0 to 1, and a line.

    Raises
    ------
    InputError
        When there are too few photos for that.
    """
    splits = fold_splits([str(file) for file in dataset.files], given.get("random_state", 0))
    splits = [(rest[trusted[rest]], test) for rest, test in splits]
    kept = marked_often(dataset.landmarks, splits)
    if not splits or not len(kept):
        raise InputError(f"{dataset.name}: too few photos are done to train models that check them")
    expected = Expected(
        np.full(dataset.landmarks.shape, np.nan), np.full((len(dataset), 4), np.nan), np.zeros(len(dataset))
    )
    part = dataset.with_landmarks(kept)
    usable = trusted & np.isfinite(part.landmarks[:, :, 0]).any(axis=1)
    plan = make_plan(part.subset(usable), preset="fast", given=given)
    for number, (rest, test) in enumerate(splits):
        report(number / len(splits), f"training models, part {number + 1} of {len(splits)}")
        prepared = plan.prepare(part.subset(rest[usable[rest]]))
        model = prepared.fit()
        shapes, boxes, rolls = _expect(model, prepared, part.subset(test))
        expected.landmarks[np.ix_(test, kept)] = shapes
        expected.boxes[test], expected.rolls[test] = boxes, rolls
    return expected


def _expect(model: ShapePredictor, prepared: Prepared, dataset: Dataset) -> Expected:
    """Predict objects where a model finds them, or where they are annotated if it finds something else.

    An annotation in the wrong place must not move the prediction there, and an object that is not found is no reason
    to suspect its annotation.
    """
    source, locator = prepared.plan.box_source, prepared.boxes.locator
    options: Any = {"gray_weights": model.gray_weights, "n_jobs": model.n_jobs, "detector": prepared.plan.faces}
    found = _predict(model, dataset, new_boxes(dataset, source, locator, **options))
    if locator is None:
        return found
    boxes, rolls = locator.poses(dataset.landmarks)
    annotated = _predict(model, dataset, NewBoxes(boxes, rolls, np.isfinite(rolls)))
    with np.errstate(invalid="ignore"):
        first, second = (_mean_difference(dataset.landmarks, one) for one in (found, annotated))
        better = (second < SAME_OBJECT) & ~(first < second)
    return Expected(
        np.where(better[:, None, None], annotated.landmarks, found.landmarks),
        np.where(better[:, None], annotated.boxes, found.boxes),
        np.where(better, annotated.rolls, found.rolls),
    )


def _predict(model: ShapePredictor, dataset: Dataset, made: NewBoxes) -> Expected:
    """Return the means of predictions in boxes that are moved a little; they are nearer to the annotations than one."""
    files = [file for file, is_found in zip(dataset.files, made.found, strict=True) if is_found]
    boxes = made.boxes[made.found]
    rolls = np.zeros(len(dataset)) if made.rolls is None else made.rolls
    shapes = np.full(dataset.landmarks.shape, np.nan)
    sides = boxes[:, 2:].mean(axis=1, keepdims=True)
    total = np.zeros((len(files), *shapes.shape[1:]))
    moves = [np.zeros(4), *MOVES] if len(files) else []
    for x, y, growth, turn in moves:
        extents = boxes[:, 2:] * np.exp(growth)
        corners = boxes[:, :2] + (boxes[:, 2:] - extents) / 2 + sides * (x, y)
        pairs = list(zip(files, np.hstack([corners, extents]), strict=True))
        total += model.predict(pairs, rolls=rolls[made.found] + turn, n_jobs=model.n_jobs)
    shapes[made.found] = total / max(len(moves), 1)
    return Expected(shapes, made.boxes, np.where(made.found, rolls, 0.0))


def _mean_difference(landmarks: Floats, expected: Expected) -> Floats:
    means: Floats = np.nanmean(_pad(differences(landmarks, expected)), axis=1)
    return means


def _pad(values: Floats) -> Floats:
    # The mean of nothing is infinite.
    nothing = np.isnan(values).all(axis=1, keepdims=True)
    return np.where(nothing, np.inf, values)


def differences(landmarks: Floats, expected: Expected) -> Floats:
    """Return the distances (n, n_landmarks) of landmarks from where they are expected, in sizes of the object."""
    distances = np.hypot(*np.moveaxis(landmarks - expected.landmarks, 2, 0))
    parts: Floats = distances / object_sizes(expected.landmarks, expected.boxes)[:, None]
    return parts


def describe_typical(landmarks: Floats, expected: Expected) -> Typical:
    """Describe the differences of all objects of a dataset, of which most are right."""
    parts = _known_columns(differences(landmarks, expected))
    medians = np.nanmedian(parts, axis=0)
    deviations = 1.4826 * np.nanmedian(abs(parts - medians), axis=0)
    within = np.nanmean(np.where(np.isnan(parts), np.nan, parts < MAX_OFF), axis=0)
    return Typical(medians, np.maximum(deviations, FLOOR), within)


def _known_columns(parts: Floats) -> Floats:
    # Of a landmark of which nothing is known, nothing is suspicious.
    return np.where(np.isnan(parts).all(axis=0), 1.0, parts)


def suspect(landmarks: Floats, expected: Expected, typical: Typical, names: Sequence[str]) -> Suspicion | None:
    """Return why an object is suspicious, or None.

    Parameters
    ----------
    landmarks : float64 array (n_landmarks, 2)
    expected : Expected
        Of this object alone, arrays without the first axis.
    typical : Typical
    names : sequence of str
        The landmarks.
    """
    one = Expected(expected.landmarks[None], expected.boxes[None], np.zeros(1))
    size = float(object_sizes(one.landmarks, one.boxes)[0])
    parts = differences(landmarks[None], one)[0]
    scores = np.nan_to_num((parts - typical.medians) / typical.deviations)
    far = np.flatnonzero((scores >= MIN_SCORE) & (parts >= MIN_PART))
    if not len(far):
        return None
    far = far[np.argsort(-scores[far], kind="stable")]
    score = float(scores[far[0]] / MIN_SCORE)
    pair = _swapped(landmarks, expected.landmarks, size, far)
    if pair is not None:
        text = "{} and {} seem to be swapped".format(*(_name(k, names) for k in pair))
    else:
        text = _text(far, size * parts, size * typical.medians, names)
    return Suspicion(score, tuple(sorted(far.tolist())), text)


def _swapped(landmarks: Floats, expected: Floats, size: float, far: NDArray[np.intp]) -> tuple[int, int] | None:
    """Return the only two landmarks that are far, if each is where the other one is expected."""
    if len(far) != 2:
        return None
    first, second = sorted(far.tolist())
    distances = np.hypot(*(landmarks[[first, second]] - expected[[second, first]]).T)
    return (first, second) if (distances < MAX_SWAPPED * size).all() else None


def _name(k: int, names: Sequence[str]) -> str:
    return f"landmark {k}" + ("" if names[k] == str(k) else f" ({names[k]})")


def _text(far: NDArray[np.intp], pixels: Floats, usual: Floats, names: Sequence[str]) -> str:
    def one(k: int) -> str:
        where = f"{_name(k, names)} is {pixels[k]:.3g} px from where models trained without this photo expect it"
        return f"{where} (typical: {usual[k]:.2g} px)"

    if len(far) <= MAX_NAMED:
        return "; ".join(one(k) for k in far.tolist())
    return f"{len(far)} of {len(names)} landmarks are far from the prediction: {one(int(far[0]))}"


def opinion_of(expected: Expected, typical: Typical) -> dict[str, Any]:
    """Return what models expect of an object as a proposal has it; "landmarks" are None where nothing is known."""
    size = float(object_sizes(expected.landmarks[None], expected.boxes[None])[0])
    known = np.isfinite(expected.landmarks[:, 0])
    std = np.where(known, size * typical.medians / RAYLEIGH_MEDIAN, 0)
    return {
        "landmarks": [
            point if is_known else None for point, is_known in zip(expected.landmarks.tolist(), known, strict=True)
        ],
        "std": std.tolist(),
        "confidence": np.where(known, typical.parts_within, 0).tolist(),
        "box": expected.boxes.tolist(),
        "roll": float(expected.rolls),
    }
