"""Fitting a cascade: validation, crops, samples, then one stage after another with checkpoints.

objects -> box transforms -> crops -> augmentation -> for each member: samples -> stages -> model
"""

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from ert._core.exceptions import InputError, printable
from ert._core.files import check_writable
from ert._core.images import DUMMY_IMAGES
from ert._core.runtime import count_threads, require_compiler, uninterrupted
from ert._core.types import StrPath
from ert._kernels import Workers
from ert.inference.validation import Face
from ert.metrics import normalizer_text
from ert.model.cascade import Cascade, Stage
from ert.model.dlib_cascade import DlibCascade
from ert.model.fitted import Fitted, read_fitted, write_fitted
from ert.training.augmentation import augment_crops, occlude_crops
from ert.training.crops import Crops, FaceReader, cut_crops
from ert.training.exchange import ALONE, Exchange
from ert.training.memory import MemoryPlan
from ert.training.parameters import Options
from ert.training.plan import Plan, plan_fit
from ert.training.samples import Samples, draw_samples, plain_samples
from ert.training.stage import OnTrees, replay_stage, train_stage, useful_threads, warm_up_training


def fit_cascade(
    settings: Mapping[str, Any],
    X: Sequence[Face],
    y: npt.ArrayLike,
    *,
    validation: tuple[Any, ...] | None = None,
    rolls: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
    landmark_names: Sequence[str] | None = None,
    notes: dict[str, str] | None = None,
    checkpoint: StrPath | None = None,
    resume: bool = False,
    on_stage: Callable[[Fitted], object] = lambda fitted: None,
) -> Fitted:
    """Fit a cascade with all `settings` of the estimator; `on_stage` is called with the model after each stage.

    The other parameters are those of :meth:`ert.ShapePredictor.fit`.
    """
    if hasattr(X, "__dask_graph__"):
        from ert.training.sharded.client import fit_shards

        fit = fit_shards
    else:
        fit = fit_here
    require_compiler()
    settings = _with_seed(settings, checkpoint if resume else None)
    further = {
        "validation": validation,
        "rolls": rolls,
        "sample_weight": sample_weight,
        "landmark_names": landmark_names,
        "notes": notes,
    }
    return fit(settings, X, y, further, Record(checkpoint, resume, on_stage))


def fit_here(
    settings: Mapping[str, Any], X: Sequence[Face], y: npt.ArrayLike, further: dict[str, Any], record: "Record"
) -> Fitted:
    """Fit a cascade in this process; `further` are the other arguments of :func:`plan_fit`."""
    from threadpoolctl import threadpool_limits

    plan = plan_fit(settings, X, y, **further)
    options = plan.options
    n_threads = count_threads(settings["n_jobs"])
    record.check_writable()
    crop_sizes = plan.crop_sizes()
    memory = plan.plan_memory(crop_sizes)
    if memory.map_crops and settings["verbose"]:
        what = "crops and feature pools" if memory.map_pools else "crops"
        log(f"max_memory={settings['max_memory']}: {what} are mapped from temporary files")
    warm_up(plan, n_threads)
    crops = {name: cut_part(plan, name, crop_sizes[name], memory, n_threads) for name in plan.parts}
    shapes = plan.objects.shapes
    if options.warp or options.lighting:
        targets = np.flatnonzero(plan.counts)
        shapes = augment_crops(
            crops["train"], shapes, options, targets=targets, min_contrast=plan.min_contrast, n_threads=n_threads
        )
    if options.occlusion:
        occlude_crops(crops["train"], shapes, options.occlusion, options.random_state)

    def draw(seed: int) -> dict[str, Samples]:
        its_options = replace(options, random_state=seed)
        training = draw_samples(
            crops["train"], shapes, plan.mirror_map, its_options, counts=plan.counts, map_pools=memory.map_pools
        )
        if "validation" not in plan.parts:
            return {"train": training}
        return {"train": training, "validation": held_out_samples(plan, crops, training.mean_shape, memory)}

    samples = draw(options.random_state)
    mean_shape = samples["train"].mean_shape
    digest = samples["train"].digest(options)
    n_useful = useful_threads(max(map(len, samples.values())), n_threads)

    # One thread of linear algebra: the number of threads may change the last bit.
    with threadpool_limits(1), Workers(n_useful) as workers:

        def train(number: int, known: Sequence[Stage], on_trees: OnTrees) -> Iterator[tuple[Stage, dict[str, float]]]:
            seed = member_seed(options.random_state, number)
            if number:
                # The memory plan has the samples of one member.
                samples.clear()
                samples.update(draw(seed))
            its_options = replace(options, random_state=seed)
            for stage in train_stages(samples, known, plan.params["n_stages"], its_options, workers, on_trees):
                normalizer = settings["normalizer"]
                yield stage, {name: part.mean_nme(normalizer, workers) for name, part in samples.items()}

        return record.fit(plan, digest, mean_shape, train)


def warm_up(plan: Plan, n_threads: int, exchange: Exchange = ALONE) -> None:
    """Compile all kernels before Ctrl-C can interrupt the compiler."""
    with uninterrupted():
        for image in DUMMY_IMAGES:
            plan.kind.cut(image, plan.kind.box_transforms(plan.objects.boxes[:1])[0], plan.crop_spec, "rgb", "luma")
        missing = plan.objects.n_missing > 0
        warm_up_training(plan.options, missing=missing, n_threads=n_threads, exchange=exchange)


def cut_part(plan: Plan, name: str, sizes: npt.NDArray[np.int64], memory: MemoryPlan, n_threads: int) -> Crops:
    """Cut the crops of the training or of the validation data."""
    part, settings = plan.parts[name], plan.settings
    reader = FaceReader(settings["channel_order"], settings["gray_weights"], n_threads, part.what)
    reserved = Crops.reserve(sizes, mapped=memory.map_crops)
    return cut_crops(reserved, part.X, part.boxes, part.rolls, plan.kind, plan.crop_spec, reader)


def held_out_samples(
    plan: Plan, crops: Mapping[str, Crops], mean_shape: npt.NDArray[np.float32], memory: MemoryPlan
) -> Samples:
    """Return the samples of the validation data."""
    truth = plan.parts["validation"].shapes
    return plain_samples(crops["validation"], truth, mean_shape, map_pools=memory.map_pools)


# (number of the member, stages that are finished, on_trees) -> each stage, and the errors after it.
Train: TypeAlias = Callable[[int, Sequence[Stage], OnTrees], Iterator[tuple[Stage, dict[str, float]]]]


@dataclass
class Record:
    """What becomes of the stages of a fit: a model, a checkpoint, calls of `on_stage`, lines on standard error."""

    checkpoint: StrPath | None
    resume: bool
    on_stage: Callable[[Fitted], object]

    def check_writable(self) -> None:
        """Check that the checkpoint can be written."""
        if self.checkpoint is not None:
            check_writable(self.checkpoint, "model")

    def fit(self, plan: Plan, digest: str, mean_shape: npt.NDArray[np.float32], train: Train) -> Fitted:
        """Train all members, go on from the checkpoint where there is one, and return the model."""
        options, kind, params = plan.options, plan.kind, plan.params
        n_members, n_stages = int(plan.settings["n_members"]), params["n_stages"]
        normalizer, summary = plan.settings["normalizer"], plan.summary(digest)
        finished = _finished_members(self.checkpoint, digest) if self.resume else ()
        members: list[Cascade | DlibCascade] = []
        history: list[dict[str, float]] = []
        with Progress(n_stages, params["n_trees"], normalizer, plan.settings["verbose"], n_members) as progress:
            for number in range(n_members):
                known = finished[number].stages()[:n_stages] if number < len(finished) else []
                stages: list[Stage] = []
                for stage, errors in train(number, known, progress.on_trees):
                    stages.append(stage)
                    replayed = len(stages) <= len(known)
                    progress.end_stage(len(history) + 1, errors, replayed=replayed)
                    which = {"stage": len(stages)} | ({"member": number + 1} if number else {})
                    history.append(which | {f"{name}_nme": value for name, value in errors.items()})
                    cascade = kind.assemble(mean_shape, plan.crop_spec, stages, options.stages_per_basis)
                    first, *others = *members, cascade
                    fitted = Fitted(
                        first,
                        params,
                        plan.landmark_names,
                        plan.mirror_map,
                        list(history),
                        summary,
                        further_members=tuple(others),
                    )
                    if self.checkpoint is not None and not replayed:
                        others += finished[number + 1 :]
                        write_fitted(self.checkpoint, replace(fitted, further_members=tuple(others)))
                    self.on_stage(fitted)
                members.append(cascade)
        return replace(fitted, cascade=kind.finish(fitted.cascade))


def member_seed(random_state: int, number: int) -> int:
    """Return the seed of a member, numbered from 0; that of the first is `random_state`."""
    return int(np.random.SeedSequence([random_state, number]).generate_state(1)[0]) if number else random_state


def train_stages(
    samples: Mapping[str, Samples],
    finished: Sequence[Stage],
    n_stages: int,
    options: Options,
    workers: Workers,
    on_trees: Callable[[int], object] | None,
) -> Iterator[Stage]:
    """Yield the stages of a cascade: those that are finished, then trained ones; all samples are moved by each."""
    training, kind, before = samples["train"], options.cascade_kind, None
    for number in range(n_stages):
        if number < len(finished):
            stage = finished[number]
            replay_stage(training, stage, kind, workers)
        else:
            stage = train_stage(training, number, options, workers, before, on_trees)
        if "validation" in samples:
            replay_stage(samples["validation"], stage, kind, workers)
        before = stage
        yield stage


def _with_seed(settings: Mapping[str, Any], checkpoint: StrPath | None) -> Mapping[str, Any]:
    """Return the settings with a seed in place of None: that of a checkpoint, or another one."""
    if settings["random_state"] is not None:
        return settings
    if checkpoint is not None and Path(checkpoint).exists():
        seed = read_fitted(checkpoint).params["random_state"]
    else:
        # The generator that scikit-learn takes for None.
        seed = int(np.random.randint(2**32, dtype=np.uint32))  # noqa: NPY002
    return {**settings, "random_state": seed}


def _finished_members(checkpoint: StrPath | None, digest: str) -> tuple[Cascade | DlibCascade, ...]:
    """Return the members of a checkpoint with the stages so far, none where there is nothing to resume."""
    if checkpoint is None or not Path(checkpoint).exists():
        return ()
    fitted = read_fitted(checkpoint)
    if fitted.summary["digest"] != digest or fitted.cascade.basis.shape[1] == 0:
        raise InputError(f"{os.fspath(checkpoint)}: the checkpoint was written by a fit with other data or parameters")
    return fitted.members


def log(text: str) -> None:
    """Write a line to standard error."""
    print(printable(f"ert: {text}"), file=sys.stderr, flush=True)


class Progress:
    """The progress of a fit on standard error: a bar on a terminal, one line per stage elsewhere.

    It is silent unless `verbose`. Errors are percentages of `normalizer`.
    """

    def __init__(self, n_stages: int, n_trees: int, normalizer: str | None, verbose: int, n_members: int = 1) -> None:
        self._n_stages, self._n_trees, self._normalizer = n_stages, n_trees, normalizer
        self._n_members, self._verbose = n_members, bool(verbose)
        self._bar: Any = None
        self._begin = time.monotonic()
        self._n_trained = 0

    def __enter__(self) -> Self:
        if self._verbose and sys.stderr.isatty():
            from tqdm import tqdm

            total = self._n_members * self._n_stages * self._n_trees
            self._bar = tqdm(total=total, unit="tree", desc="training", dynamic_ncols=True)
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.close()

    @property
    def on_trees(self) -> Callable[[int], object] | None:
        """The function that is called with the number of trees that have been grown since the last call."""
        return None if self._bar is None else self._bar.update

    def end_stage(self, number: int, errors: Mapping[str, float], *, replayed: bool) -> None:
        """Report the errors ("train", "validation") after a stage, in percent; stages of all members are counted."""
        self._n_trained += not replayed
        if self._bar is not None:
            self._bar.update(self._n_trees if replayed else 0)
            self._bar.set_postfix({name: f"{value:.2f} %" for name, value in errors.items()})
        elif self._verbose:
            elapsed = time.monotonic() - self._begin
            names = {"train": "training", "validation": "validation"}
            text = ", ".join(f"{names[name]} error {value:.2f} %" for name, value in errors.items())
            member, stage = divmod(number - 1, self._n_stages)
            line = f"member {member + 1} of {self._n_members}, " * (self._n_members > 1)
            line += f"stage {stage + 1} of {self._n_stages}: {text} of the {normalizer_text(self._normalizer)}"
            line += f", {_clock(elapsed)} elapsed"
            if not replayed:
                left = elapsed / self._n_trained * (self._n_members * self._n_stages - number)
                line += f", {_clock(left)} left"
            log(line)


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
