"""Fitting a cascade: validation, crops, samples, then one stage after another with checkpoints.

objects -> box transforms -> crops -> augmentation -> samples -> stages -> model
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ert._core.exceptions import InputError
from ert._core.files import check_writable, remove_temporaries
from ert._core.images import DUMMY_IMAGES
from ert._core.interrupts import uninterrupted
from ert._core.threads import count_threads
from ert._core.types import StrPath
from ert._core.version import __version__
from ert._kernels.workers import Workers
from ert.inference.validation import Face
from ert.model.cascade import Stage
from ert.model.cropping import CropSpec, check_crop_spec, crop_region
from ert.model.fitted import Fitted, read_fitted, write_fitted
from ert.model.schemes import check_names, resolve_mirror_map
from ert.training.augmentation import occlude_crops
from ert.training.crops import Crops, FaceReader, cut_crops
from ert.training.memory import MemoryPlan, Sizes, plan_memory
from ert.training.objects import TrainingObjects, validate_objects
from ert.training.parameters import Options, check_parameters, plain_params, training_options
from ert.training.progress import Progress, log
from ert.training.samples import draw_samples, plain_samples
from ert.training.stage import replay_stage, train_stage, warm_up_training

__all__ = ["fit_cascade"]


def fit_cascade(
    settings: Mapping[str, Any],
    X: Sequence[Face],
    y: npt.ArrayLike,
    *,
    validation: tuple[Sequence[Face], npt.ArrayLike] | None = None,
    landmark_names: Sequence[str] | None = None,
    notes: dict[str, str] | None = None,
    checkpoint: StrPath | None = None,
    resume: bool = False,
    on_stage: Callable[[Fitted], object] = lambda fitted: None,
) -> Fitted:
    """Fit a cascade; parameters not listed here are those of :meth:`ert.ShapePredictor.fit`.

    Parameters
    ----------
    settings : mapping
        All parameters of the estimator.
    on_stage : callable
        Called with the model after each stage.

    Returns
    -------
    Fitted

    Raises
    ------
    InputError
    """
    from threadpoolctl import threadpool_limits

    params = plain_params(settings)
    check_parameters(params)
    options = training_options(params)
    kind, normalizer = options.cascade_kind, settings["normalizer"]
    objects = validate_objects(X, y, kind, settings)
    n_landmarks = objects.landmarks.shape[1]
    names = check_names(landmark_names, n_landmarks)
    mirror_map = resolve_mirror_map(settings["mirror"], n_landmarks)
    n_threads = count_threads(settings["n_jobs"])
    if checkpoint is not None:
        check_writable(checkpoint)
    region = crop_region(objects.shapes, settings["padding"], mirror_map is not None)
    crop_spec = CropSpec(region, params["working_size"], params["blur"], params["min_contrast"])
    check_crop_spec(crop_spec)
    parts = {"training": objects}
    if validation is not None:
        parts["validation"] = validate_objects(*validation, kind, settings, n_landmarks=n_landmarks)
    plan = _plan_memory(settings, parts, crop_spec, options, mirror_map is not None)
    _warm_up(options, crop_spec, objects, n_threads)

    crops = {name: _cut_crops(part, settings, options, crop_spec, plan) for name, part in parts.items()}
    if options.occlusion:
        occlude_crops(crops["training"], objects.shapes, options.occlusion, options.random_state)
    map_pools = plan.map_pools
    training = draw_samples(crops["training"], objects.shapes, mirror_map, options, map_pools=map_pools)
    samples = {"training": training}
    if "validation" in parts:
        shapes = parts["validation"].shapes
        samples["validation"] = plain_samples(
            crops["validation"], shapes, training.mean_shape, map_pools=map_pools
        )

    digest = training.digest(options)
    summary = {
        "n_objects": len(objects),
        "n_samples": len(training),
        "n_missing": int(np.isnan(objects.landmarks[:, :, 0]).sum()),
        "digest": digest,
        "library_version": __version__,
        "notes": {str(key): str(text) for key, text in (notes or {}).items()},
    }
    stages = _finished_stages(checkpoint, digest, resume)[: params["n_stages"]]
    n_finished = len(stages)
    history: list[dict[str, float]] = []
    progress = Progress(params["n_stages"], params["n_trees"], normalizer, settings["verbose"])
    # One thread of linear algebra: the number of threads may change the last bit.
    with threadpool_limits(1), Workers(n_threads) as workers, progress:
        for number in range(params["n_stages"]):
            if number < n_finished:
                replay_stage(training, stages[number], kind, workers)
            else:
                before = stages[-1] if stages else None
                stages.append(train_stage(training, number, options, workers, before, progress.add_trees))
            if "validation" in samples:
                replay_stage(samples["validation"], stages[number], kind, workers)
            errors = {name: part.mean_nme(normalizer, workers) for name, part in samples.items()}
            progress.end_stage(number + 1, errors, replayed=number < n_finished)
            history.append({"stage": number + 1} | _history_row(errors))
            cascade = kind.assemble(
                training.mean_shape, crop_spec, stages[: number + 1], options.stages_per_basis
            )
            fitted = Fitted(cascade, params, names, mirror_map, list(history), summary)
            if checkpoint is not None and number >= n_finished:
                write_fitted(checkpoint, fitted)
            on_stage(fitted)
    return replace(fitted, cascade=kind.finish(fitted.cascade))


def _history_row(errors: Mapping[str, float]) -> dict[str, float]:
    keys = {"training": "train_nme", "validation": "validation_nme"}
    return {keys[name]: value for name, value in errors.items()}


def _plan_memory(
    settings: Mapping[str, Any],
    parts: Mapping[str, TrainingObjects],
    crop_spec: CropSpec,
    options: Options,
    mirrored: bool,
) -> MemoryPlan:
    crop_sizes = options.cascade_kind.crop_sizes
    objects = parts["training"]
    sizes = Sizes(
        n_objects=len(objects),
        n_validation=len(parts["validation"]) if "validation" in parts else 0,
        n_landmarks=objects.landmarks.shape[1],
        n_stages=settings["n_stages"],
        mirrored=mirrored,
        missing=bool(np.isnan(objects.landmarks).any()),
        crop_bytes=sum(
            int(crop_sizes(part.X, part.transforms, crop_spec).prod(axis=1).sum()) for part in parts.values()
        ),
    )
    plan = plan_memory(settings["max_memory"], sizes, options)
    if plan.map_crops and settings["verbose"]:
        what = "crops and feature pools" if plan.map_pools else "crops"
        log(f"max_memory={settings['max_memory']}: {what} are mapped from temporary files")
    return plan


def _warm_up(options: Options, crop_spec: CropSpec, objects: TrainingObjects, n_threads: int) -> None:
    """Compile all kernels before Ctrl-C can interrupt the compiler."""
    missing = bool(np.isnan(objects.landmarks).any())
    kind = options.cascade_kind
    with uninterrupted():
        for image in DUMMY_IMAGES:
            kind.cut(image, objects.transforms[0], crop_spec, "rgb", "luma")
        warm_up_training(options, missing=missing, n_threads=n_threads)


def _cut_crops(
    objects: TrainingObjects,
    settings: Mapping[str, Any],
    options: Options,
    crop_spec: CropSpec,
    plan: MemoryPlan,
) -> Crops:
    reader = FaceReader(
        settings["channel_order"], settings["gray_weights"], count_threads(settings["n_jobs"]), objects.what
    )
    kind, transforms = options.cascade_kind, objects.transforms
    return cut_crops(objects.X, objects.boxes, transforms, kind, crop_spec, reader, mapped=plan.map_crops)


def _finished_stages(checkpoint: StrPath | None, digest: str, resume: bool) -> list[Stage]:
    """Return the stages of a checkpoint, none where there is nothing to resume."""
    if checkpoint is None or not resume:
        return []
    remove_temporaries(checkpoint)
    if not Path(checkpoint).exists():
        return []
    fitted = read_fitted(checkpoint)
    if fitted.summary["digest"] != digest or fitted.cascade.basis.shape[1] == 0:
        raise InputError(
            f"{os.fspath(checkpoint)}: the checkpoint was written by a fit with other data or parameters"
        )
    return fitted.cascade.stages()
