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
# Spreads below this part of the size make no difference.
MIN_SPREAD = 0.003
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
    spreads : float64 array (n, n_landmarks)
        How much predictions differ in boxes that are moved a little, in pixels: root mean square distances.
    boxes : float64 array (n, 4)
    rolls : float64 array (n,)
    """

    landmarks: Floats
    spreads: Floats
    boxes: Floats
    rolls: Floats


@dataclass(frozen=True)
class Typical:
    """How far annotations of a dataset usually are from what models expect.

    Parameters
    ----------
    medians, deviations : float64 array (n_landmarks,)
        Of the differences of each landmark in sizes of the object, divided by `weights`; the deviations are 1.4826
        times the median distances from the median.
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
    expected = unknown(len(dataset), len(dataset.landmark_names))
    part = dataset.with_landmarks(kept)
    usable = trusted & np.isfinite(part.landmarks[:, :, 0]).any(axis=1)
    plan = make_plan(part.subset(usable), preset="fast", given=given)
    for number, (rest, test) in enumerate(splits):
        report(number / len(splits), f"training models, part {number + 1} of {len(splits)}")
        prepared = plan.prepare(part.subset(rest[usable[rest]]))
        model = prepared.fit()
        found = _expect(model, prepared, part.subset(test))
        expected.landmarks[np.ix_(test, kept)] = found.landmarks
        expected.spreads[np.ix_(test, kept)] = found.spreads
        expected.boxes[test], expected.rolls[test] = found.boxes, found.rolls
    return expected


def unknown(n: int, n_landmarks: int) -> Expected:
    """Return n objects of which nothing is expected."""
    return Expected(
        np.full((n, n_landmarks, 2), np.nan), np.full((n, n_landmarks), np.nan), np.full((n, 4), np.nan), np.zeros(n)
    )


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
    first, second = (_mean_difference(dataset.landmarks, one) for one in (found, annotated))
    better = (second < SAME_OBJECT) & ~(first < second)
    return Expected(
        *(
            np.where(better.reshape(-1, *[1] * (one.ndim - 1)), other, one)
            for one, other in zip(found, annotated, strict=True)
        )
    )


def _predict(model: ShapePredictor, dataset: Dataset, made: NewBoxes) -> Expected:
    """Return the means of predictions in boxes that are moved a little; they are nearer to the annotations than one."""
    files = [file for file, is_found in zip(dataset.files, made.found, strict=True) if is_found]
    boxes = made.boxes[made.found]
    rolls = np.zeros(len(dataset)) if made.rolls is None else made.rolls
    sides = boxes[:, 2:].mean(axis=1, keepdims=True)
    shapes = np.empty((1 + len(MOVES), len(files), *dataset.landmarks.shape[1:]))
    for number, (x, y, growth, turn) in enumerate([np.zeros(4), *MOVES] if files else []):
        extents = boxes[:, 2:] * np.exp(growth)
        corners = boxes[:, :2] + (boxes[:, 2:] - extents) / 2 + sides * (x, y)
        pairs = list(zip(files, np.hstack([corners, extents]), strict=True))
        shapes[number] = model.predict(pairs, rolls=rolls[made.found] + turn, n_jobs=model.n_jobs)
    means = shapes.mean(axis=0)
    expected = unknown(len(dataset), means.shape[1])
    expected.landmarks[made.found] = means
    expected.spreads[made.found] = np.sqrt(((shapes - means) ** 2).sum(axis=3).mean(axis=0))
    return expected._replace(boxes=made.boxes, rolls=np.where(made.found, rolls, 0.0))


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


def weights(expected: Expected) -> Floats:
    """Return what differences (n, n_landmarks) are divided by: they count less where models are unsure.

    It is the root of the spread, and not the spread, since annotations also differ where models are sure.
    """
    spreads = expected.spreads / object_sizes(expected.landmarks, expected.boxes)[:, None]
    factors: Floats = np.sqrt(np.hypot(spreads, MIN_SPREAD) / MIN_SPREAD)
    return factors


def describe_typical(landmarks: Floats, expected: Expected) -> Typical:
    """Describe the differences of all objects of a dataset, of which most are right."""
    parts = _known_columns(differences(landmarks, expected))
    scaled = _known_columns(parts / weights(expected))
    medians = np.nanmedian(scaled, axis=0)
    deviations = 1.4826 * np.nanmedian(abs(scaled - medians), axis=0)
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
    one = Expected(*(np.asarray(array)[None] for array in expected))
    size = float(object_sizes(one.landmarks, one.boxes)[0])
    parts, factors = differences(landmarks[None], one)[0], weights(one)[0]
    scores = np.nan_to_num((parts / factors - typical.medians) / typical.deviations)
    far = np.flatnonzero((scores >= MIN_SCORE) & (parts >= MIN_PART))
    if not len(far):
        return None
    far = far[np.argsort(-scores[far], kind="stable")]
    score = float(scores[far[0]] / MIN_SCORE)
    pair = _swapped(landmarks, expected.landmarks, size, far)
    if pair is not None:
        text = "{} and {} seem to be swapped".format(*(_name(k, names) for k in pair))
    else:
        text = _text(far, size * parts, size * typical.medians * factors, names)
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
    one = Expected(*(np.asarray(array)[None] for array in expected))
    size = float(object_sizes(one.landmarks, one.boxes)[0])
    known = np.isfinite(expected.landmarks[:, 0])
    std = np.where(known, size * typical.medians * weights(one)[0] / RAYLEIGH_MEDIAN, 0)
    return {
        "landmarks": [
            point if is_known else None for point, is_known in zip(expected.landmarks.tolist(), known, strict=True)
        ],
        "std": std.tolist(),
        "confidence": np.where(known, typical.parts_within, 0).tolist(),
        "box": expected.boxes.tolist(),
        "roll": float(expected.rolls),
    }
