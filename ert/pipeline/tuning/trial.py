"""One trial: the error of a cross-validation with some parameters, as ``ert train --cv`` measures it.

Boxes and locators do not depend on what is searched, so that those of each fold are made once.
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ert._core.images import load_image
from ert._core.types import Floats
from ert.datasets.dataset import Dataset
from ert.metrics import NORMALIZERS, nme
from ert.pipeline.boxes import NewBoxes, new_boxes
from ert.pipeline.folds import Split
from ert.pipeline.plan import Plan, Prepared
from ert.pipeline.predict import DEFAULT_MODE
from ert.pipeline.validate import lengths_of
from ert.predictor import ShapePredictor
from ert.training.space import Values

# Steps of a fold, at each of which a trial can end.
STEPS = 5
# Objects that are timed, each as often.
MAX_TIMED, REPEATS = 10, 3


@dataclass(frozen=True)
class Fold:
    """A fold of a cross-validation.

    Parameters
    ----------
    prepared : Prepared
        With the boxes to train on and the parameters of the preset.
    test : Dataset
        The objects left out.
    boxes : NewBoxes
        Where they are found.
    norm : str
        What errors are divided by.
    """

    prepared: Prepared
    test: Dataset
    boxes: NewBoxes
    norm: str

    def held_out(self) -> tuple[Dataset, Floats | None]:
        """Return the objects left out that are found, in their boxes, and their rotations."""
        found = self.boxes.found
        rolls = None if self.boxes.rolls is None else self.boxes.rolls[found]
        return replace(self.test, boxes=self.boxes.boxes).subset(found), rolls

    def fit(self, values: Values, on_stage: Callable[[ShapePredictor], object] | None) -> ShapePredictor:
        """Train with some parameters; the history has the errors of the objects left out after each stage."""
        prepared = self.prepared.changed(values)
        if self.norm in NORMALIZERS:
            prepared.model.set_params(normalizer=self.norm)
        validation = None
        if on_stage is not None and self.boxes.found.any():
            part, rolls = self.held_out()
            validation = (part.X, part.y) if rolls is None else (part.X, part.y, rolls)
        return prepared.fit(validation, on_stage=on_stage)

    def errors(self, model: ShapePredictor) -> Floats:
        """Return the error of each object left out that is found, in percent."""
        part, rolls = self.held_out()
        if not len(part):
            return np.empty(0)
        predicted = model.predict(part.X, DEFAULT_MODE, rolls=rolls, n_jobs=model.n_jobs)
        return nme(part.y, predicted, lengths_of(part, [self.norm])[self.norm])


def prepare_folds(plan: Plan, dataset: Dataset, splits: Sequence[Split], norm: str) -> list[Fold]:
    """Return the folds of a cross-validation, with their boxes."""
    folds = []
    for rest, test in splits:
        quiet = replace(plan, given={**plan.given, "n_members": 1, "verbose": 0})
        prepared, part = quiet.prepare(dataset.subset(rest)), dataset.subset(test)
        options: Any = {"gray_weights": prepared.model.gray_weights, "n_jobs": prepared.model.n_jobs}
        boxes = new_boxes(part, plan.box_source, prepared.boxes.locator, detector=plan.faces, **options)
        folds.append(Fold(prepared, part, boxes, norm))
    return folds


@dataclass(frozen=True)
class Cost:
    """What a model costs: milliseconds for a face on one thread, without reading or finding it, and megabytes."""

    ms: float
    mb: float


def measure_cost(fold: Fold, model: ShapePredictor) -> Cost:
    """Measure a model of a fold; its file has the locator."""
    part, rolls = fold.held_out()
    times = []
    for i in range(min(len(part), MAX_TIMED)):
        image = load_image(part.files[i])
        options: Any = {} if rolls is None else {"rolls": rolls[i : i + 1]}
        for _ in range(REPEATS):
            begin = time.perf_counter()
            model.predict([(image, part.boxes[i])], DEFAULT_MODE, n_jobs=1, **options)
            times.append(time.perf_counter() - begin)
    with tempfile.TemporaryDirectory() as folder:
        model.save(file := Path(folder) / "model.ert")
        size = file.stat().st_size
    return Cost(1e3 * float(np.median(times)) if times else 0.0, size / 1e6)


def evaluate(
    folds: Sequence[Fold],
    values: Values,
    *,
    on_step: Callable[[int, float], object] | None = None,
    on_stage: Callable[[], object] = lambda: None,
    on_cost: Callable[[Cost], object] | None = None,
) -> tuple[float, Cost | None]:
    """Return the mean error of the objects left out, in percent, and what the model of the first fold costs.

    Parameters
    ----------
    folds : sequence of Fold
    values : dict
        As for :func:`ert.training.space.change`.
    on_step : callable, optional
        Called with the number of a step, `STEPS` for each fold, and the mean error so far: of the folds before, and of
        the stages of this one. What it raises ends the trial.
    on_stage : callable
        Called after each stage.
    on_cost : callable, optional
        Called with the cost after the first fold, which is measured if it is given.
    """
    known = np.empty(0)
    cost = None
    for k, fold in enumerate(folds):

        def after_stage(model: ShapePredictor, k: int = k, known: Floats = known, fold: Fold = fold) -> None:
            on_stage()
            stage, n_stages = len(model.history_), model.n_stages
            step = stage * STEPS // n_stages
            error = model.history_[-1].get("validation_nme")
            # The last step has the errors of predictions.
            if on_step is None or error is None or stage == n_stages or step == (stage - 1) * STEPS // n_stages:
                return
            n = int(fold.boxes.found.sum())
            on_step(STEPS * k + step - 1, (known.sum() + n * error) / (len(known) + n))

        model = fold.fit(values, after_stage)
        known = np.concatenate([known, fold.errors(model)])
        if k == 0 and on_cost is not None:
            cost = measure_cost(fold, model)
            on_cost(cost)
        if on_step is not None and len(known):
            on_step(STEPS * (k + 1) - 1, float(known.mean()))
    return float(known.mean()) if len(known) else float("inf"), cost
