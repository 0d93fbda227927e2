"""Fitting a cascade: what is given checked, crops cut, stages grown one after another, checkpoints kept."""

import math
import os
import sys
import warnings
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
from ert._core.version import __version__
from ert._kernels.workers import Workers
from ert.inference.validation import Face, box_array, check_landmarks, check_near, check_pairs
from ert.metrics import normalizer_lengths
from ert.model.cascade import Cascade, Stage, stack_stages
from ert.model.cropping import CropSpec, check_crop_spec, crop_region
from ert.model.dlib_cascade import DlibCascade, expand
from ert.model.fitted import Fitted, read_fitted, write_fitted
from ert.model.geometry import box_frames, image_to_frame, stretched_frames
from ert.model.schemes import check_names, resolve_mirror_map
from ert.training.augmentation import occlude_crops
from ert.training.crops import Crops, cut_faces, cut_raw_faces, raw_crop_sizes
from ert.training.memory import Sizes, plan_memory
from ert.training.parameters import Options, check_parameters, plain_params, training_options
from ert.training.samples import Samples, draw_samples, plain_samples
from ert.training.stage import replay_stage, train_stage, warm_up_training

__all__ = [
    "fit_cascade",
    "log",
]


def fit_cascade(
    settings: Mapping[str, Any],
    X: Sequence[Face],
    y: npt.ArrayLike,
    *,
    validation: tuple[Sequence[Face], npt.ArrayLike] | None = None,
    landmark_names: Sequence[str] | None = None,
    notes: dict[str, str] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    resume: bool = False,
    on_stage: Callable[[Fitted], object] = lambda fitted: None,
) -> Fitted:
    """Train a cascade; what is not told here is as for :meth:`ert.ShapePredictor.fit`.

    Parameters
    ----------
    settings : mapping
        All parameters of the estimator.
    on_stage : callable
        Called after each stage with what is fitted so far.

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
    boxes = box_array(check_pairs(X))
    landmarks = check_landmarks(y, len(X))
    check_near(landmarks, boxes)
    names = check_names(landmark_names, landmarks.shape[1])
    mirror_map, normalizer = (
        resolve_mirror_map(settings["mirror"], landmarks.shape[1]),
        settings["normalizer"],
    )
    if normalizer is not None:
        normalizer_lengths(landmarks, normalizer)  # now, and with the number of the object in its errors
    n_threads = count_threads(settings["n_jobs"])
    if checkpoint is not None:
        check_writable(checkpoint)

    shapes = image_to_frame(landmarks, _frames(settings, boxes, "X"))
    region = crop_region(shapes, settings["padding"], mirror_map is not None)
    crop_spec = CropSpec(region, params["working_size"], params["blur"], params["min_contrast"])
    check_crop_spec(crop_spec)
    watched_boxes = [] if validation is None else check_pairs(validation[0], "validation X")
    sizes = Sizes(
        n_objects=len(X),
        n_validation=len(watched_boxes),
        n_landmarks=landmarks.shape[1],
        n_stages=params["n_stages"],
        mirrored=mirror_map is not None,
        missing=bool(np.isnan(landmarks).any()),
        crop_bytes=_crop_bytes(settings, X, boxes, crop_spec)
        + (
            0
            if validation is None
            else _crop_bytes(settings, validation[0], box_array(watched_boxes), crop_spec)
        ),
    )
    options, mapped = _plan(settings, sizes, training_options(params))
    params["n_inits"] = options.n_inits
    with uninterrupted():
        for blank in DUMMY_IMAGES:
            crop_spec.cut(blank, box_frames(boxes[:1])[0])
        warm_up_training(options, missing=sizes.missing, n_threads=n_threads)
    crops = _crops(settings, X, boxes, crop_spec, "X", mapped)
    if options.occlusion:
        occlude_crops(crops, shapes, options.occlusion, options.random_state)
    samples = draw_samples(crops, shapes, mirror_map, options)
    watched = {"train": samples}
    if validation is not None:
        watched["validation"] = _validation_samples(
            settings, *validation, samples.mean_shape, crop_spec, mapped
        )

    digest = samples.digest(options)
    summary = {
        "n_objects": len(X),
        "n_samples": len(samples),
        "n_missing": int(np.isnan(landmarks[:, :, 0]).sum()),
        "digest": digest,
        "library_version": __version__,
        "notes": {str(key): str(text) for key, text in (notes or {}).items()},
    }
    stages: list[Stage] = []
    if resume and checkpoint is not None:
        remove_temporaries(checkpoint)
    if resume and checkpoint is not None and Path(checkpoint).exists():
        stages = _finished_stages(checkpoint, digest)[: params["n_stages"]]
    finished = len(stages)
    history: list[dict[str, float]] = []
    # One thread of linear algebra: how many it takes may change the last bit.
    with threadpool_limits(1), Workers(n_threads) as workers, _progress(settings) as progress:
        for number in range(params["n_stages"]):
            if number < finished:
                replay_stage(samples, stages[number], options.kind, workers)
                progress.update(params["n_trees"])
            else:
                before = stages[-1] if stages else None
                stages.append(train_stage(samples, number, options, workers, before, progress.update))
            if "validation" in watched:
                replay_stage(watched["validation"], stages[number], options.kind, workers)
            errors = {f"{name}_nme": watch.mean_nme(normalizer, workers) for name, watch in watched.items()}
            history.append({"stage": number + 1} | errors)
            progress.set_postfix({name: f"{value:.2f} %" for name, value in errors.items()})
            cascade = _cascade(options, samples.mean_shape, crop_spec, stages[: number + 1])
            fitted = Fitted(cascade, params, names, mirror_map, list(history), summary)
            if checkpoint is not None and number >= finished:
                write_fitted(checkpoint, fitted)
            # All at once, so that an interrupted fit leaves a model that holds together.
            on_stage(fitted)
    if isinstance(fitted.cascade, DlibCascade):
        # As its `.dat` will have it, so that the points here are those that dlib will find.
        fitted = replace(fitted, cascade=expand(fitted.cascade))
    return fitted


def log(text: str, *, verbose: int) -> None:
    """Say what a fit does, or does otherwise than it was asked to."""
    if verbose:
        print(f"ert: {text}", file=sys.stderr, flush=True)
    else:
        # Of whoever called `fit`, which called `fit_cascade`, which planned.
        warnings.warn(text, stacklevel=5)


def _plan(settings: Mapping[str, Any], sizes: Sizes, options: Options) -> tuple[Options, bool | None]:
    """Return the options with as many starts as memory allows, and whether crops lie in a file."""
    max_memory, verbose = settings["max_memory"], settings["verbose"]
    plan, bound = plan_memory(max_memory, sizes, options), f"max_memory={max_memory}"
    if plan.mapped and verbose:
        log(f"{bound}: crops lie in a temporary file", verbose=verbose)
    if plan.n_inits < options.n_inits:
        text = f"{bound}: {plan.n_inits} starts of each object, not {options.n_inits}"
        log(text, verbose=verbose)
    return replace(options, n_inits=plan.n_inits), plan.mapped


def _frames(
    settings: Mapping[str, Any], boxes: npt.NDArray[np.float64], what: str
) -> npt.NDArray[np.float64]:
    """Return the frames that this kind of cascade gives to boxes."""
    if settings["kind"] == "ert":
        return box_frames(boxes)
    if settings["gray_weights"] != "dlib":
        raise InputError(f"gray_weights={settings['gray_weights']!r}: expected 'dlib' with kind='dlib'")
    thin = np.flatnonzero((boxes[:, 2:] <= 1).any(axis=1))
    if len(thin):
        size = " x ".join(f"{side:g}" for side in boxes[thin[0], 2:])
        raise InputError(f"{what}[{thin[0]}]: a box of {size} pixels, expected more than 1 each way")
    return stretched_frames(boxes)


def _crops(
    settings: Mapping[str, Any],
    X: Sequence[Face],
    boxes: npt.NDArray[np.float64],
    crop_spec: CropSpec,
    what: str,
    mapped: bool | None,
) -> Crops:
    rest = settings["channel_order"], settings["gray_weights"], count_threads(settings["n_jobs"]), what
    if settings["kind"] == "ert":
        return cut_faces(X, boxes, crop_spec, *rest, mapped=mapped)
    return cut_raw_faces(X, boxes, crop_spec.region, *rest, mapped=mapped)


def _crop_bytes(
    settings: Mapping[str, Any], X: Sequence[Face], boxes: npt.NDArray[np.float64], crop_spec: CropSpec
) -> int:
    if settings["kind"] == "ert":
        return len(boxes) * math.prod(crop_spec.shape)
    return int(raw_crop_sizes(X, boxes, crop_spec.region).prod(axis=1).sum())


def _validation_samples(
    settings: Mapping[str, Any],
    X: Sequence[Face],
    y: npt.ArrayLike,
    mean_shape: npt.NDArray[np.float32],
    crop_spec: CropSpec,
    mapped: bool | None,
) -> Samples:
    boxes = box_array(check_pairs(X, "validation X"))
    landmarks = check_landmarks(y, len(X), "validation y", to_train=False)
    check_near(landmarks, boxes, "validation y")
    if settings["normalizer"] is not None:
        normalizer_lengths(landmarks, settings["normalizer"])
    if landmarks.shape[1:] != mean_shape.shape:
        raise InputError(
            f"validation: {landmarks.shape[1]} landmarks, the training data has {len(mean_shape)}"
        )
    shapes = image_to_frame(landmarks, _frames(settings, boxes, "validation X"))
    return plain_samples(_crops(settings, X, boxes, crop_spec, "validation X", mapped), shapes, mean_shape)


def _cascade(
    options: Options, mean_shape: npt.NDArray[np.float32], crop_spec: CropSpec, stages: list[Stage]
) -> Cascade | DlibCascade:
    if options.kind == "ert":
        together = options.stages_per_basis
        return Cascade(mean_shape, crop_spec, **stack_stages(stages, together), stages_per_basis=together)
    return DlibCascade.from_stages(mean_shape, stages)


def _progress(settings: Mapping[str, Any]) -> Any:
    from tqdm import tqdm

    total = settings["n_stages"] * settings["n_trees"]
    quiet = not settings["verbose"]
    return tqdm(total=total, unit="tree", disable=quiet, desc="training", dynamic_ncols=True)


def _finished_stages(checkpoint: str | os.PathLike[str], digest: str) -> list[Stage]:
    fitted = read_fitted(checkpoint)
    if fitted.summary["digest"] != digest or fitted.cascade.basis.shape[1] == 0:
        raise InputError(f"{checkpoint}: the checkpoint was written by a fit with other data or parameters")
    return fitted.cascade.stages()
