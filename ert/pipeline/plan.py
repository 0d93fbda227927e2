"""What is trained: box source, preset and parameters, the same for the model and for each fold of its validation."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ert._core.exceptions import InputError, quoted
from ert._core.images import image_size
from ert._core.types import Floats, StrPath
from ert.datasets.dataset import Dataset
from ert.faces.detection import Detector
from ert.inference.validation import MIN_TRAINING_OBJECTS
from ert.model.schemes import resolve_mirror_map
from ert.pipeline.boxes import (
    SOURCE_TEXTS,
    DetectedFaces,
    TrainingBoxes,
    new_boxes,
    resolve_box_source,
    training_boxes,
    with_known_source,
)
from ert.pipeline.self_training import Marked, Teaching, fault_text, fit_student, select
from ert.pipeline.unlabelled import Unlabelled, place
from ert.predictor import ShapePredictor
from ert.training.parameters import check_parameters, pool_advice
from ert.training.presets import PRESETS, choose_parameters, explain_choice
from ert.training.space import Values, change


@dataclass
class Prepared:
    """A cascade that is ready to be trained on a dataset.

    Parameters
    ----------
    plan : Plan
    boxes : TrainingBoxes
    model : ShapePredictor
        With its parameters, not fitted.
    chosen : dict
        The parameters that the preset has chosen.
    choose : callable
        Returns what it chooses if a number of marked objects is trained on too.
    marked : Marked or None
        What it is trained on besides annotated objects.
    """

    plan: "Plan"
    boxes: TrainingBoxes
    model: ShapePredictor
    chosen: Mapping[str, Any]
    choose: Callable[[int], dict[str, Any]]
    marked: Marked | None = None

    @property
    def choice(self) -> str:
        """What the preset has chosen, in a line; "" is nothing."""
        if not self.chosen:
            return ""
        dataset = self.boxes.dataset
        return explain_choice(self.plan.preset, self.chosen, dataset.landmarks, dataset.boxes, self.plan.box_source)

    @property
    def advice(self) -> str:
        """What to do about boxes that are much larger than the landmarks; "" where they are not."""
        if self.model.padding > 0 or self.model.pool_spread:
            return ""
        return pool_advice(self.boxes.dataset.landmarks, self.boxes.dataset.boxes) or ""

    def fit(
        self,
        held_out: Dataset | tuple[Any, ...] | None = None,
        *,
        notes: Mapping[str, str] | None = None,
        checkpoint: StrPath | None = None,
        resume: bool = False,
        on_stage: Callable[[ShapePredictor], object] | None = None,
        say: Callable[[str], object] = lambda text: None,
    ) -> ShapePredictor:
        """Train the cascade; the stages get the errors of `held_out`, also as `validation` has returned it."""
        dataset, rolls, locator, *_ = self.boxes
        notes = {"preset": self.plan.preset} | dict(notes or {}) if self.chosen else dict(notes or {})
        options: dict[str, Any] = {
            "validation": self.validation(held_out) if isinstance(held_out, Dataset) else held_out,
            "landmark_names": dataset.landmark_names,
            "notes": notes,
            "checkpoint": checkpoint,
            "resume": resume,
            "on_stage": on_stage,
        }
        if self.plan.unlabelled is None:
            self.model.fit(dataset.X, dataset.y, rolls=rolls, **options)
        else:
            self.marked = self._mark(self.plan.unlabelled, checkpoint=checkpoint, resume=resume, say=say)
            # The report of a training keeps this model.
            self.model.set_params(**self._make_model(len(self.marked.X)).get_params())
            fit_student(self.model, (dataset.X, dataset.y, rolls), self.marked, **options)
        self.model.fitted_ = replace(self.model.fitted_, box_source=self.plan.box_source, locator=locator)
        return self.model

    def _make_model(self, n_marked: int) -> ShapePredictor:
        return ShapePredictor(**self.choose(n_marked) | dict(self.plan.given))

    def _mark(
        self, unlabelled: Unlabelled, *, checkpoint: StrPath | None, resume: bool, say: Callable[[str], object]
    ) -> Marked:
        dataset, rolls, locator, *_ = self.boxes
        teaching = Teaching(unlabelled.settings, self._make_model, dataset.X, dataset.y, rolls, say)
        options: Any = {"faces": self.plan.faces, "gray_weights": self.model.gray_weights, "locator": locator}
        find = unlabelled.finder(self.plan.box_source, dataset, **options)
        images = unlabelled.files
        marks = teaching.mark(images, find, place=place(locator), checkpoint=checkpoint, resume=resume)
        marked = select(marks, images, unlabelled.settings)
        if marks.faults:
            say(fault_text(marks))
        say(marked.text)
        return marked

    def changed(self, values: Values) -> "Prepared":
        """Return the same with other parameters, see :func:`ert.training.space.change`."""
        before = self.model.get_params()
        params = change(before, values) | dict(self.plan.given)
        chosen = dict(self.chosen) | {name: value for name, value in params.items() if value != before[name]}
        return replace(self, model=ShapePredictor(**params), chosen=chosen)

    def validation(self, held_out: Dataset) -> tuple[Any, ...] | None:
        """Return X, y and perhaps rolls of objects in the boxes that they get as new photos; None if none is found."""
        options: Any = {"detector": self.plan.faces, "n_jobs": self.model.n_jobs}
        options |= {"gray_weights": self.model.gray_weights}
        boxes, rolls, found = new_boxes(held_out, self.plan.box_source, self.boxes.locator, **options)
        if not found.any():
            return None
        part = replace(held_out, boxes=boxes).subset(found)
        return (part.X, part.y) if rolls is None else (part.X, part.y, rolls[found])


@dataclass(frozen=True)
class Plan:
    """How models are trained.

    Parameters
    ----------
    box_source : {"given", "whole", "face", "learned"}
    reason : str
        Why, in a few words.
    preset : str
        A preset, or "none" for the defaults.
    given : dict
        Parameters of :class:`ert.ShapePredictor` that the preset leaves as they are.
    faces : DetectedFaces
        The boxes of faces, where they come from a detector.
    unlabelled : Unlabelled or None
        Photos without annotations that are learned from too, in every fold.
    changes : dict
        How parameters differ from those of the preset, see :func:`ert.training.space.change`.
    """

    box_source: str
    reason: str
    preset: str
    given: Mapping[str, Any]
    faces: DetectedFaces
    unlabelled: Unlabelled | None = None
    changes: Values = field(default_factory=dict)

    @property
    def random_state(self) -> int:
        """The seed of everything that is drawn."""
        return int(ShapePredictor(**self.given).random_state or 0)

    @property
    def text(self) -> str:
        """Box source and reason, in a line."""
        return f"boxes: {SOURCE_TEXTS[self.box_source]} ({self.reason})"

    def prepare(self, dataset: Dataset) -> Prepared:
        """Find the boxes of a dataset and choose the parameters.

        Raises
        ------
        InputError
            When there are too few objects.
        """
        given = ShapePredictor(**self.given)
        if len(dataset) < MIN_TRAINING_OBJECTS:
            raise InputError(f"{dataset.name}: {len(dataset)} objects, expected at least {MIN_TRAINING_OBJECTS}")
        boxes = training_boxes(
            dataset,
            self.box_source,
            detector=self.faces,
            gray_weights=given.gray_weights,
            n_jobs=given.n_jobs,
            random_state=self.random_state,
        )

        def choose(n_marked: int = 0) -> dict[str, Any]:
            if self.preset == "none":
                return {}
            chosen = choose_parameters(
                self.preset,
                dataset.landmarks,
                boxes.dataset.boxes,
                box_source=self.box_source,
                kind=given.kind,
                image_sizes=_image_sizes(dataset),
                n_marked=n_marked,
            )
            return {name: value for name, value in chosen.items() if name not in self.given}

        chosen = choose()
        prepared = Prepared(self, boxes, ShapePredictor(**chosen | dict(self.given)), chosen, choose)
        return prepared.changed(self.changes) if self.changes else prepared


def make_plan(
    dataset: Dataset,
    *,
    box_from: str = "auto",
    preset: str = "auto",
    detector: str | Detector = "auto",
    suffix: str = ".ert",
    given: Mapping[str, Any],
    unlabelled: Unlabelled | None = None,
) -> Plan:
    """Decide how a model is trained on a dataset; `suffix` is that of its file.

    Raises
    ------
    InputError
        When parameters, preset or box source are invalid.
    """
    model = ShapePredictor(**given)
    check_parameters(model.get_params())
    resolve_mirror_map(model.mirror, len(dataset.landmark_names))
    if preset not in (*PRESETS, "none"):
        raise InputError(f"preset={quoted(preset)}: expected one of {', '.join(PRESETS)}, none")
    source, reason = resolve_box_source(with_known_source(dataset), box_from, suffix=suffix)
    if unlabelled is not None and source == "given" and not any(item.boxes for item in unlabelled.items):
        raise InputError(
            "unlabelled: the model is trained on boxes that are given, and no photo without annotations has one; "
            "expected annotation files with boxes, or another box_from (learned, whole, face)"
        )
    return Plan(source, reason, preset, dict(given), DetectedFaces(detector), unlabelled)


def _image_sizes(dataset: Dataset) -> Floats:
    sizes = {file: image_size(file) for file in dict.fromkeys(dataset.files)}
    return np.array([sizes[file] for file in dataset.files], np.float64)
