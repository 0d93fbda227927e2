"""Boxes of the objects of a dataset: those to train on, and those that a new photo would get."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ert._core.exceptions import InputError, quoted
from ert._core.types import Floats
from ert.datasets.assembly import squares_around
from ert.datasets.dataset import Dataset
from ert.datasets.parsing import read_images
from ert.faces.detection import Detector, detect_faces
from ert.inference.locator import locate_objects
from ert.model.fitted import BOX_SOURCES
from ert.model.geometry import box_transforms, image_to_box
from ert.model.locator import Locator
from ert.model.procrustes import column_medians, fit_similarity
from ert.pipeline.sources import Found, choose_box_source, least_confidence, whole_boxes
from ert.predictor import load
from ert.training.locator import fit_locator

SOURCE_TEXTS = {
    "given": "from the annotations",
    "whole": "the whole images",
    "face": "of the face detector",
    "learned": "of the locator in the model",
}
# Spellings of `box_from`.
BOX_FROM = ("auto", *BOX_SOURCES, "learnt")
# A box belongs to an annotated object when its intersection over union with the box around it is at least this. That
# of a face detector's box with the square around 68 landmarks is 0.5 to 0.7.
MIN_OVERLAP = 0.3
# With fewer detected faces, the typical box is that of the bundled model.
MIN_DETECTED = 10
# Standard deviations of scattered boxes: shift in sides of the box, logarithm of the size.
SCATTER_SHIFT, SCATTER_SIZE = 0.1, 0.1


class TrainingBoxes(NamedTuple):
    """What a cascade is trained on.

    Attributes
    ----------
    dataset : Dataset
        With the boxes of the source.
    rolls : float64 array (n,) or None
        Rotation of each object in degrees.
    locator : Locator or None
        Which finds the objects in new photos.
    note : str
        What there is to say about the boxes, "" is nothing.
    kept : bool array or None
        Which objects there is a box for; None is all.
    """

    dataset: Dataset
    rolls: Floats | None = None
    locator: Locator | None = None
    note: str = ""
    kept: NDArray[np.bool_] | None = None


class NewBoxes(NamedTuple):
    """The boxes that the objects of a dataset get as those of a new photo do.

    Attributes
    ----------
    boxes : float64 array (n, 4)
        NaN where the object was not found.
    rolls : float64 array (n,) or None
    found : bool array (n,)
    """

    boxes: Floats
    rolls: Floats | None
    found: NDArray[np.bool_]


class DetectedFaces:
    """Boxes of a face detector, which runs once on each image file."""

    def __init__(self, detector: str | Detector = "auto") -> None:
        self._detector = detector
        self._boxes: dict[Path, Floats] = {}

    def __call__(self, file: Path) -> Floats:
        """Return the boxes (n, 4) in an image."""
        if file not in self._boxes:
            self._boxes[file] = detect_faces(file, self._detector)
        return self._boxes[file]


FaceFinder: TypeAlias = str | Detector | DetectedFaces


def resolve_box_source(dataset: Dataset, box_from: str, *, suffix: str = ".ert") -> tuple[str, str]:
    """Return where the boxes of a model come from, and why in a few words; `suffix` is that of the model file.

    Raises
    ------
    InputError
        When `box_from` is unknown, or the model file cannot store a locator.
    """
    if box_from not in BOX_FROM:
        raise InputError(f"box_from={quoted(box_from)}: expected one of {', '.join(BOX_FROM[:-1])}")
    source, reason = ("learned" if box_from == "learnt" else box_from), "as asked for"
    if box_from == "auto":
        source, reason = choose_box_source(with_known_source(dataset), with_locator=suffix != ".dat")
    if source == "learned" and suffix == ".dat":
        if box_from != "auto":
            raise InputError(
                f"box_from={quoted(box_from)}: dlib's format (.dat) cannot store a locator, expected whole or given, "
                "or a model file ending in .ert"
            )
        source, reason = "given", f"a .dat file cannot store a locator, which would be needed: {reason}"
    return source, reason


def with_known_source(dataset: Dataset) -> Dataset:
    """Return a dataset whose `box_source` is "landmarks" where the boxes in its file are those around the landmarks."""
    if dataset.box_source != "given" or not len(dataset):
        return dataset
    around = np.isclose(squares_around(dataset.landmarks), dataset.boxes, rtol=0, atol=1).all()
    return replace(dataset, box_source="landmarks") if around else dataset


def training_boxes(
    dataset: Dataset,
    source: str,
    *,
    detector: FaceFinder = "auto",
    gray_weights: str = "luma",
    n_jobs: int = -1,
    random_state: int = 0,
) -> TrainingBoxes:
    """Return a dataset with the boxes that a cascade of a source is trained on."""
    if source == "whole":
        return TrainingBoxes(replace(dataset, boxes=whole_boxes(dataset.files), box_source="whole"))
    if source == "face":
        boxes, n_detected = face_boxes(dataset, detector, n_jobs)
        note = f"{n_detected} of {len(dataset)} faces are detected; the others have the typical box of the detector"
        return TrainingBoxes(replace(dataset, boxes=boxes, box_source="given"), note=note)
    if source == "learned":
        locator = fit_locator(
            dataset.files, dataset.landmarks, gray_weights=gray_weights, n_jobs=n_jobs, random_state=random_state
        )
        boxes, rolls = locator.poses(dataset.landmarks)
        placed = np.isfinite(rolls)
        n = int((~placed).sum())
        note = f"{n} object{'s' * (n != 1)} with fewer than two landmarks left out" if n else ""
        part = replace(dataset, boxes=boxes, box_source="given").subset(placed)
        return TrainingBoxes(part, rolls[placed], locator, note, placed)
    return TrainingBoxes(dataset)


def face_boxes(dataset: Dataset, detector: FaceFinder = "auto", n_jobs: int = -1) -> tuple[Floats, int]:
    """Return the boxes (n, 4) of a face detector, and how many there are.

    Faces that it misses get the box that it would typically draw around such landmarks.
    """
    detected = new_boxes(dataset, "face", detector=detector, n_jobs=n_jobs)
    boxes, n_detected = detected.boxes.copy(), int(detected.found.sum())
    if n_detected == len(dataset):
        return boxes, n_detected
    n_landmarks = dataset.landmarks.shape[1]
    if n_detected >= MIN_DETECTED:
        known = dataset.landmarks[detected.found]
        shapes = image_to_box(known, box_transforms(boxes[detected.found]))
        typical = column_medians(shapes.reshape(len(shapes), -1)).reshape(-1, 2)
    elif n_landmarks == 68:
        typical = load("face68").cascade_.mean_shape.astype(np.float64)
    else:
        raise InputError(
            f"{dataset.name}: the face detector finds {n_detected} of {len(dataset)} annotated objects, expected at "
            f"least {MIN_DETECTED}: --box-from whole or learned is for other objects"
        )
    for i in np.flatnonzero(~detected.found):
        known = np.isfinite(dataset.landmarks[i] + typical).all(axis=1)
        turn, middle, center = fit_similarity(typical[known], dataset.landmarks[i, known])
        side = max(float(abs(turn)), 2.0)
        corner = complex(center - side * middle)
        boxes[i] = corner.real, corner.imag, side + 1, side + 1
    return boxes, n_detected


def new_boxes(
    dataset: Dataset,
    source: str,
    locator: Locator | None = None,
    *,
    gray_weights: str = "luma",
    detector: FaceFinder = "auto",
    n_jobs: int = -1,
) -> NewBoxes:
    """Find the objects of a dataset as in new photos: what is known of them only says which one a box belongs to."""
    everything = np.ones(len(dataset), np.bool_)
    if source == "given":
        return NewBoxes(dataset.boxes, None, everything)
    if source == "whole":
        return NewBoxes(whole_boxes(dataset.files), None, everything)
    if source == "learned" and locator is None:
        raise InputError("the model has no locator: train it with ert train --box-from learned")
    expected = squares_around(dataset.landmarks) if locator is None else locator.poses(dataset.landmarks)[0]
    items: dict[Path, list[int]] = {}
    for i, file in enumerate(dataset.files):
        items.setdefault(file, []).append(i)

    faces = detector if isinstance(detector, DetectedFaces) else DetectedFaces(detector)

    def find(file: Path) -> list[Found]:
        if locator is None:
            return [Found(box) for box in faces(file)]
        n = len(items[file])
        # As in a prediction.
        options: Any = {"max_objects": n, "min_confidence": least_confidence(n), "gray_weights": gray_weights}
        found = locate_objects(locator, file, **options, what=str(file))
        return [Found(np.array(box), roll, confidence) for box, roll, confidence in found]

    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        results = read_images(find, dataset.files, n_jobs)
    boxes, rolls, found = np.full((len(dataset), 4), np.nan), np.zeros(len(dataset)), ~everything
    for file, of_file in items.items():
        candidates = results[file]
        # The only object is the most confident one, wherever it is found.
        single = source == "learned" and len(of_file) == 1
        pairs = [(0, 0)] if single and candidates else [] if single else _match(candidates, expected[of_file])
        for item, which in pairs:
            boxes[of_file[item]], rolls[of_file[item]] = candidates[which].box, candidates[which].roll
            found[of_file[item]] = True
    return NewBoxes(boxes, rolls if source == "learned" else None, found)


def _match(candidates: Sequence[Found], expected: Floats) -> list[tuple[int, int]]:
    """Return pairs (item, candidate) of boxes that overlap enough, so that the overlaps are largest in all."""
    from scipy.optimize import linear_sum_assignment

    overlaps = overlap(expected[:, None], np.array([found.box for found in candidates]).reshape(-1, 4)[None])
    chosen = zip(*linear_sum_assignment(overlaps, maximize=True), strict=True)
    return [(int(i), int(k)) for i, k in chosen if overlaps[i, k] >= MIN_OVERLAP]


def overlap(a: Floats, b: Floats) -> Floats:
    """Return the intersection over union of boxes (..., 4)."""
    low, high = np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., :2] + a[..., 2:], b[..., :2] + b[..., 2:])
    both = np.clip(high - low, 0, None).prod(axis=-1)
    shared: Floats = both / (a[..., 2:].prod(axis=-1) + b[..., 2:].prod(axis=-1) - both)
    return shared


def scatter_boxes(boxes: Floats, seed: int = 0) -> Floats:
    """Return boxes (n, 4) moved and scaled at random, as a detector's are; the same for the same seed."""
    rng = np.random.default_rng(seed)
    sides = boxes[:, 2:].mean(axis=1, keepdims=True)
    centers = boxes[:, :2] + boxes[:, 2:] / 2 + SCATTER_SHIFT * sides * rng.standard_normal((len(boxes), 2))
    sizes = boxes[:, 2:] * np.exp(SCATTER_SIZE * rng.standard_normal((len(boxes), 1)))
    return np.hstack([centers - sizes / 2, sizes])
