"""Learning from photos without annotations: teachers mark them, and a student is trained on these photos too.

annotated objects ──> teachers ──> marks: mean and spread ──> weights ──> student, trained on both
                         └───────────── further rounds ────────────┘
"""

import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from ert._core.arguments import checked_arguments
from ert._core.exceptions import InputError, counted
from ert._core.images import load_image
from ert._core.runtime import count_threads
from ert._core.threads import map_in_threads
from ert._core.types import Floats, Pixels, StrPath
from ert.inference.rotated import check_rolls
from ert.inference.validation import Face, box_array, check_landmarks, check_pairs, face_list
from ert.pipeline.sources import Found
from ert.predictor import ShapePredictor
from ert.training.fit import log
from ert.training.presets import choose_parameters

# Landmarks that a teacher finds: (image, box) pairs -> (n, n_landmarks, 2), or of several teachers (k, n, ...).
Teacher: TypeAlias = Callable[[Sequence[Face]], npt.ArrayLike]
# (index of a photo, its pixels) -> its objects.
Finder: TypeAlias = Callable[[int, Pixels], Sequence[Found]]


@dataclass(frozen=True)
class SelfTraining:
    """How photos without annotations are learned from; see :func:`self_train`.

    Parameters
    ----------
    n_teachers, n_rounds : int
    keep, weight : float
    """

    n_teachers: int = 5
    n_rounds: int = 1
    keep: float = 0.8
    weight: float = 1.0

    def __post_init__(self) -> None:
        for name, value, least, most in (
            ("n_teachers", self.n_teachers, 2, 100),
            ("n_rounds", self.n_rounds, 1, 10),
            ("keep", self.keep, 0, 1),
            ("weight", self.weight, 0, 10),
        ):
            if not least <= value <= most:
                raise InputError(f"{name}={value:g}: expected {least} to {most}")


class Marks(NamedTuple):
    """Objects in photos without annotations, and the landmarks that teachers have found.

    Attributes
    ----------
    photos : int array (n,)
        The index of each object's photo.
    boxes : float64 array (n, 4)
    rolls : float64 array (n,)
    landmarks : float64 array (n, n_landmarks, 2)
        The mean of the teachers.
    spread : float64 array (n,)
        The root mean square distance of the teachers' landmarks from their mean, relative to the object's size.
    n_photos, n_empty : int
        All photos, and those in which no object was found.
    faults : tuple of str
        Why photos could not be used.
    """

    photos: npt.NDArray[np.intp]
    boxes: Floats
    rolls: Floats
    landmarks: Floats
    spread: Floats
    n_photos: int
    n_empty: int = 0
    faults: tuple[str, ...] = ()


class Marked(NamedTuple):
    """What a student is trained on besides the annotated objects: those with a weight above 0.

    Attributes
    ----------
    X, landmarks, rolls, weights
        As for :meth:`ert.ShapePredictor.fit`.
    summary : dict
        Counts, for ``summary_["unlabelled"]``.
    text : str
        What happened, in a line.
    """

    X: list[Face]
    landmarks: Floats
    rolls: Floats
    weights: Floats
    summary: dict[str, Any]
    text: str


@checked_arguments
def self_train(
    X: Sequence[Face],
    y: npt.ArrayLike,
    unlabelled: Sequence[Face],
    *,
    estimator: ShapePredictor | None = None,
    rolls: npt.ArrayLike | None = None,
    unlabelled_rolls: npt.ArrayLike | None = None,
    teacher: Teacher | npt.ArrayLike | None = None,
    known: npt.ArrayLike | None = None,
    n_teachers: int = SelfTraining.n_teachers,
    n_rounds: int = SelfTraining.n_rounds,
    keep: float = SelfTraining.keep,
    weight: float = SelfTraining.weight,
    landmark_names: Sequence[str] | None = None,
    notes: dict[str, str] | None = None,
    checkpoint: StrPath | None = None,
    resume: bool = False,
) -> ShapePredictor:
    """Train a model on annotated objects and on photos without annotations.

    Teachers, cascades of other seeds that are trained on the annotated objects, mark the other photos in accurate
    mode. The student is trained on the annotated objects and on those of the photos in which the teachers agree best,
    with their mean as landmarks.

    Parameters
    ----------
    X, y
        As for :meth:`ert.ShapePredictor.fit`.
    unlabelled : sequence of (image, box)
        Objects without landmarks, in boxes as they will be at prediction. Photos that cannot be read are counted in a
        warning and left out.
    estimator : ShapePredictor, optional
        The parameters of teachers and student; by default, those of preset "auto" for as many objects.
    rolls, unlabelled_rolls : float or array (n,), optional
        Those of the objects X, and of the others: both or none.
    teacher : callable or array, optional
        Marks the photos in place of cascades: called with (image, box) pairs, it returns landmarks in image pixels
        (n, n_landmarks, 2), or those of several teachers (k, n, n_landmarks, 2); or such an array.
    known : array (n, n_landmarks, 2), optional
        Landmarks of the objects that are known, NaN where not. They do not train the student, but objects in which
        the teachers are far from them are left out.
    n_teachers : int
        Cascades that mark the photos.
    n_rounds : int
        Above 1: further teachers are trained as the student is, on marked photos too.
    keep : float
        Fraction of the marked objects that is used: those that the teachers agree on best.
    weight : float
        Of a marked object; that of an annotated one is 1, see `sample_weight` of :meth:`ert.ShapePredictor.fit`.
    landmark_names, notes, checkpoint, resume
        As for :meth:`ert.ShapePredictor.fit`. The teachers are written beside the checkpoint, and remain there.

    Returns
    -------
    ShapePredictor
        Fitted. ``summary_["unlabelled"]`` counts the photos that were marked and used.

    Raises
    ------
    InputError
        When parameters, objects or landmarks cannot be used.

    Examples
    --------
    >>> import ert
    >>> wings = ert.load_dataset("wings.tps")  # doctest: +SKIP
    >>> more = [(file, (0, 0, 640, 480)) for file in files]  # doctest: +SKIP
    >>> model = ert.self_train(wings.X, wings.y, more)  # doctest: +SKIP
    """
    settings = SelfTraining(n_teachers, n_rounds, keep, weight)
    X, unlabelled = face_list(X), face_list(unlabelled)
    landmarks = check_landmarks(y, len(X))
    boxes, new_boxes = box_array(check_pairs(X)), box_array(check_pairs(unlabelled, "unlabelled"))
    if not unlabelled:
        raise InputError("unlabelled: 0 objects, expected at least one")
    if (rolls is None) != (unlabelled_rolls is None):
        raise InputError("rolls and unlabelled_rolls: expected both or none")
    turns = None if rolls is None else check_rolls(rolls, len(X))
    new_turns = np.zeros(len(unlabelled)) if rolls is None else check_rolls(unlabelled_rolls, len(unlabelled))
    if known is not None:
        known, shape = np.asarray(known, np.float64), (len(unlabelled), *landmarks.shape[1:])
        if known.shape != shape:
            raise InputError(f"known: landmarks of shape {known.shape}, expected {shape}")
        if np.isinf(known).any():
            raise InputError("known: infinite value, expected finite ones, or NaN for landmarks that are not known")
    chosen: dict[str, Any] = {} if estimator is None else estimator.get_params()
    if chosen.get("random_state", 0) is None:
        raise InputError("random_state=None: expected an integer, from which those of the teachers follow")

    def make_model(n_marked: int) -> ShapePredictor:
        if estimator is not None:
            return ShapePredictor(**chosen)
        return ShapePredictor(**choose_parameters("auto", landmarks, boxes, n_marked=n_marked))

    verbose = bool(chosen.get("verbose"))
    teaching = Teaching(settings, make_model, X, landmarks, turns, log if verbose else lambda text: None)
    images = [image for image, _ in unlabelled]
    if teacher is not None:
        shape = (len(unlabelled), *landmarks.shape[1:])
        marks = _marks_of(teacher(unlabelled) if callable(teacher) else teacher, shape, new_boxes, new_turns)
    else:
        marks = teaching.mark(
            images, lambda i, _: [Found(new_boxes[i], float(new_turns[i]))], checkpoint=checkpoint, resume=resume
        )
    if marks.faults:
        warnings.warn(fault_text(marks), stacklevel=3)
    marked = select(marks, images, settings, None if known is None else known[marks.photos])
    teaching.say(marked.text)
    return fit_student(
        make_model(len(marked.X)),
        (X, landmarks, turns),
        marked,
        landmark_names=landmark_names,
        notes=notes,
        checkpoint=checkpoint,
        resume=resume,
    )


@dataclass(frozen=True)
class Teaching:
    """Annotated objects and how teachers are trained on them.

    Parameters
    ----------
    settings : SelfTraining
    make_model : callable
        Returns an unfitted model for the annotated objects and a number of marked ones.
    X, landmarks, rolls
        As for :meth:`ert.ShapePredictor.fit`.
    say : callable
        Called with lines about what happens.
    """

    settings: SelfTraining
    make_model: Callable[[int], ShapePredictor]
    X: Sequence[Face]
    landmarks: Floats
    rolls: Floats | None
    say: Callable[[str], object] = lambda text: None

    def mark(
        self,
        images: Sequence[Any],
        find: Finder,
        *,
        place: Callable[[Marks], Marks] = lambda marks: marks,
        checkpoint: StrPath | None = None,
        resume: bool = False,
    ) -> Marks:
        """Train teachers and mark photos, as often as there are rounds; `place` moves the boxes of marked objects."""
        marked: Marked | None = None
        for number in range(self.settings.n_rounds):
            teachers = []
            for k in range(self.settings.n_teachers):
                file = None if checkpoint is None else teacher_file(checkpoint, number, k)
                teachers.append(self._train(number, k, marked, file, resume))
                of_round = f", round {number + 1}" if self.settings.n_rounds > 1 else ""
                self.say(f"teacher {k + 1} of {self.settings.n_teachers} is trained{of_round}")
            marks = place(mark_photos(teachers, images, find, rotated=self.rolls is not None))
            marked = select(marks, images, self.settings)
        return marks

    def _train(self, number: int, k: int, marked: Marked | None, file: Path | None, resume: bool) -> ShapePredictor:
        model = self.make_model(0 if marked is None else len(marked.X))
        seed = int(model.random_state or 0)
        its_seed = (seed + 1 + number * self.settings.n_teachers + k) % 2**32
        # One member each: what several teachers mark is averaged.
        model.set_params(random_state=its_seed, n_members=1, verbose=0)
        options: dict[str, Any] = {"checkpoint": file, "resume": resume}
        if marked is None:
            return model.fit(self.X, self.landmarks, rolls=self.rolls, **options)
        return fit_student(model, (self.X, self.landmarks, self.rolls), marked, **options)


def teacher_file(checkpoint: StrPath, number: int, k: int) -> Path:
    """Return the checkpoint of teacher k of a round, beside that of the student."""
    path = Path(checkpoint)
    return path.with_name(f"{path.stem}.teacher{number + 1}-{k + 1}.ert")


def teacher_files(checkpoint: StrPath, settings: SelfTraining) -> list[Path]:
    """Return the checkpoints of all teachers."""
    return [teacher_file(checkpoint, n, k) for n in range(settings.n_rounds) for k in range(settings.n_teachers)]


def mark_photos(
    teachers: Sequence[ShapePredictor], images: Sequence[Any], find: Finder, *, rotated: bool = False
) -> Marks:
    """Find the objects in photos, and the landmarks that teachers place in them in accurate mode."""
    n_jobs, n_landmarks = teachers[0].n_jobs, teachers[0].n_landmarks_
    for teacher in teachers:
        # In the main thread, where an interrupt waits for the compiler.
        teacher.warm_up(rotated=rotated)

    def mark(i: int) -> str | tuple[list[Found], Floats]:
        image, order = images[i], None
        try:
            if isinstance(image, (str, os.PathLike)):
                image, order = load_image(image), "rgb"
            if not (found := list(find(i, image))):
                return [], np.empty((len(teachers), 0, n_landmarks, 2))
            pairs = [(image, one.box) for one in found]
            turns = [one.roll for one in found] if rotated else None
            options: Any = {"rolls": turns, "channel_order": order, "n_jobs": 1, "what": f"unlabelled[{i}], boxes"}
            return found, np.array([teacher.predict(pairs, "accurate", **options) for teacher in teachers])
        except InputError as error:
            return str(error)

    photos, boxes, rolls, shapes, faults, n_empty = [], [], [], [], [], 0
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        for i, result in enumerate(map_in_threads(mark, range(len(images)), count_threads(n_jobs))):
            if isinstance(result, str):
                faults.append(result)
                continue
            found, of_teachers = result
            n_empty += not found
            photos += [i] * len(found)
            boxes += [one.box for one in found]
            rolls += [one.roll for one in found]
            shapes.append(of_teachers)
    marks = np.concatenate(shapes, axis=1) if shapes else np.empty((len(teachers), 0, n_landmarks, 2))
    places = np.array(photos, np.intp), np.array(boxes, np.float64).reshape(-1, 4), np.array(rolls, np.float64)
    return Marks(*places, marks.mean(axis=0), spread_of(marks), len(images), n_empty, tuple(faults))


def _marks_of(given: npt.ArrayLike, shape: tuple[int, ...], boxes: Floats, rolls: Floats) -> Marks:
    """Return the marks of a teacher of the user's own."""
    several = np.asarray(given, np.float64)
    several = several[None] if several.ndim == 3 else several
    if several.ndim != 4 or not len(several) or several.shape[1:] != shape:
        raise InputError(f"teacher: landmarks of shape {several.shape}, expected {shape} or (n_teachers, *{shape})")
    known = np.asarray(np.isfinite(several).all(axis=(0, 2, 3)))
    faults = tuple(f"unlabelled[{i}]: the teacher has not marked it" for i in np.flatnonzero(~known))
    several = several[:, known]
    return Marks(
        np.flatnonzero(known),
        boxes[known],
        rolls[known],
        several.mean(axis=0),
        spread_of(several),
        len(known),
        0,
        faults,
    )


def spread_of(marks: Floats) -> Floats:
    """Return how far the landmarks of several teachers (k, n, n_landmarks, 2) are from their mean, for each object."""
    squares = ((marks - marks.mean(axis=0)) ** 2).sum(axis=3).mean(axis=(0, 2))
    spread: Floats = np.sqrt(squares) / _sizes(marks.mean(axis=0))
    return spread


def _sizes(landmarks: Floats) -> Floats:
    """Return the centroid sizes of objects, divided by the root of the number of landmarks."""
    if landmarks.shape[1] == 1:
        return np.ones(len(landmarks))
    offsets = landmarks - landmarks.mean(axis=1, keepdims=True)
    sizes: Floats = np.sqrt((offsets**2).sum(axis=2).mean(axis=1))
    return np.maximum(sizes, np.finfo(float).tiny)


def choose_weights(
    landmarks: Floats, spread: Floats, *, keep: float, weight: float, known: Floats | None = None
) -> Floats:
    """Return the weights of marked objects: `weight` for those that are kept, 0 for the others.

    Parameters
    ----------
    landmarks : float array (n, n_landmarks, 2)
        Marks, in image pixels.
    spread : float array (n,)
        How far teachers are from each other, in any unit.
    keep : float
        Fraction that is kept: those with the smallest spread.
    weight : float
    known : float array (n, n_landmarks, 2), optional
        Known landmarks, NaN where not. An object's doubt is the larger of its spread and of its distance from them,
        each divided by the median of all objects.

    Returns
    -------
    float64 array (n,)
    """
    doubt = np.asarray(spread, np.float64)
    if known is not None:
        doubt = doubt / _typical(doubt)
        distances = np.linalg.norm(landmarks - known, axis=2)
        has_known = np.isfinite(distances).any(axis=1)
        if has_known.any():
            errors = np.nanmean(distances[has_known], axis=1) / _sizes(landmarks[has_known])
            doubt[has_known] = np.maximum(doubt[has_known], errors / _typical(errors))
    weights = np.zeros(len(doubt))
    weights[np.argsort(doubt, kind="stable")[: round(keep * len(doubt))]] = weight
    return weights


def _typical(values: Floats) -> float:
    return float(np.median(values)) or 1.0 if len(values) else 1.0


def select(marks: Marks, images: Sequence[Any], settings: SelfTraining, known: Floats | None = None) -> Marked:
    """Return the marked objects that are learned from."""
    options: Any = {"keep": settings.keep, "weight": settings.weight, "known": known}
    weights = choose_weights(marks.landmarks, marks.spread, **options)
    kept = np.flatnonzero(weights > 0)
    X: list[Face] = [(images[marks.photos[i]], tuple(marks.boxes[i].tolist())) for i in kept]
    summary = {
        "n_photos": marks.n_photos,
        "n_empty": marks.n_empty,
        "n_unreadable": len(marks.faults),
        "n_marked": len(weights),
        "n_kept": len(kept),
        "spread": float(np.median(marks.spread[kept])) if len(kept) else None,
    }
    photos = f"{counted(marks.n_photos, 'photo')} without annotations"
    text = f"{photos}: {len(kept)} of {len(weights)} objects are learned from"
    if len(kept):
        text += (
            f", in which teachers differ by {100 * np.median(marks.spread[kept]):.2g} % of the size (median of all "
            f"{100 * np.median(marks.spread):.2g} %)"
        )
    if marks.n_empty:
        text += f"; no object found in {marks.n_empty}"
    return Marked(X, marks.landmarks[kept], marks.rolls[kept], weights[kept], summary, text)


def fault_text(marks: Marks) -> str:
    """Return how many photos could not be used, and why the first could not."""
    n = len(marks.faults)
    return f"{n} of {marks.n_photos} photos without annotations left out, first: {marks.faults[0]}"


def fit_student(
    model: ShapePredictor, annotated: tuple[Sequence[Face], Floats, Floats | None], marked: Marked, **options: Any
) -> ShapePredictor:
    """Fit a model to annotated and marked objects."""
    X, landmarks, training = _together(annotated, marked)
    model.fit(X, landmarks, **training, **options)
    model.fitted_ = replace(model.fitted_, summary=model.summary_ | {"unlabelled": marked.summary})
    return model


def fit_student_confidence(
    model: ShapePredictor, annotated: tuple[Sequence[Face], Floats, Floats | None], marked: Marked, **options: Any
) -> ShapePredictor:
    """Fit the confidence model of a student: annotated objects are assessed, marked ones train every fold."""
    X, landmarks, training = _together(annotated, marked)
    assessed = np.arange(len(X)) < len(annotated[0])
    return model.fit_confidence(X, landmarks, assessed=assessed, **training, **options)


def _together(
    annotated: tuple[Sequence[Face], Floats, Floats | None], marked: Marked
) -> tuple[list[Face], Floats, dict[str, Any]]:
    X, landmarks, rolls = annotated
    return (
        [*X, *marked.X],
        np.concatenate([landmarks, marked.landmarks]),
        {
            "rolls": None if rolls is None else np.concatenate([rolls, marked.rolls]),
            "sample_weight": np.concatenate([np.ones(len(X)), marked.weights]),
        },
    )
