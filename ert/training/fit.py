"""Fitting a cascade: validation, crops, samples, then one stage after another with checkpoints.

objects -> box transforms -> crops -> augmentation -> for each member: samples -> stages -> model
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ert._core.exceptions import InputError, printable
from ert._core.files import check_writable
from ert._core.images import DUMMY_IMAGES
from ert._core.runtime import count_threads, require_compiler, uninterrupted
from ert._core.types import Floats, StrPath
from ert._core.version import __version__
from ert._kernels import Workers
from ert.inference.rotated import check_rolls
from ert.inference.validation import Face, box_array, check_landmarks, check_near, check_pairs
from ert.metrics import normalizer_lengths, normalizer_text
from ert.model.cascade import Cascade, Stage
from ert.model.cropping import CropSpec, check_crop_spec, crop_region
from ert.model.dlib_cascade import DlibCascade
from ert.model.fitted import Fitted, read_fitted, write_fitted
from ert.model.geometry import image_to_box, rotate_transforms
from ert.model.limits import (
    MAX_FILE_BYTES,
    MAX_SHAPE_SIDES,
    MAX_TEXT_BYTES,
    check_basis_products,
    check_bounds,
    check_landmark_count,
)
from ert.model.schemes import check_names, resolve_mirror_map
from ert.training.augmentation import augment_crops, occlude_crops
from ert.training.crops import Crops, FaceReader, cut_crops
from ert.training.memory import MemoryPlan, Sizes, plan_memory
from ert.training.parameters import CascadeKind, Options, check_parameters, plain_params, training_options
from ert.training.samples import Samples, count_inits, draw_samples, plain_samples
from ert.training.stage import replay_stage, train_stage, useful_threads, warm_up_training


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
    from threadpoolctl import threadpool_limits

    require_compiler()
    settings = _with_seed(settings, checkpoint if resume else None)
    params = plain_params(settings)
    check_parameters(settings)
    options = training_options(params)
    kind, normalizer = options.cascade_kind, settings["normalizer"]
    objects = _validate(X, y, rolls, kind, settings)
    counts = count_inits(sample_weight, len(objects.X), options)
    if not counts.all():
        used = objects.landmarks[counts > 0]
        check_landmarks(used, len(used), "y of objects with a weight")
    n_landmarks = objects.landmarks.shape[1]
    n_members, n_stages = int(settings["n_members"]), params["n_stages"]
    _check_model(objects, n_members, n_stages, options)
    names = check_names(landmark_names, n_landmarks)
    notes = {str(key): str(text) for key, text in (notes or {}).items()}
    if (n_bytes := len(json.dumps([names, notes]))) > MAX_TEXT_BYTES:
        raise InputError(f"landmark_names and notes take {n_bytes} bytes, expected at most {MAX_TEXT_BYTES}")
    mirror_map = resolve_mirror_map(settings["mirror"], n_landmarks)
    n_threads = count_threads(settings["n_jobs"])
    if checkpoint is not None:
        check_writable(checkpoint, "model")
    region = crop_region(objects.shapes, settings["padding"], mirror_map is not None)
    crop_spec = CropSpec(region, params["working_size"], params["blur"], params["min_contrast"])
    check_crop_spec(crop_spec)
    parts = {"train": objects}
    if validation is not None:
        if len(validation) not in (2, 3):
            raise InputError("validation: expected (X, y) or (X, y, rolls)")
        held_out, truth, *its_rolls = validation
        rolls = its_rolls[0] if its_rolls else None
        parts["validation"] = _validate(held_out, truth, rolls, kind, settings, n_landmarks=n_landmarks)
    crop_sizes = {
        name: kind.crop_sizes(part.X if part.rolls is None else (), kind.box_transforms(part.boxes), crop_spec)
        for name, part in parts.items()
    }
    plan = _plan_memory(settings, parts, crop_sizes, options, counts, mirror_map is not None)
    # Compile all kernels before Ctrl-C can interrupt the compiler.
    with uninterrupted():
        for image in DUMMY_IMAGES:
            kind.cut(image, kind.box_transforms(objects.boxes[:1])[0], crop_spec, "rgb", "luma")
        warm_up_training(options, missing=objects.n_missing > 0, n_threads=n_threads)

    crops = {}
    for name, part in parts.items():
        reader = FaceReader(settings["channel_order"], settings["gray_weights"], n_threads, part.what)
        reserved = Crops.reserve(crop_sizes[name], mapped=plan.map_crops)
        crops[name] = cut_crops(reserved, part.X, part.boxes, part.rolls, kind, crop_spec, reader)
    shapes = objects.shapes
    if options.warp or options.lighting:
        min_contrast = crop_spec.min_contrast if options.kind == "ert" else 0.0
        targets = np.flatnonzero(counts)
        shapes = augment_crops(
            crops["train"], shapes, options, targets=targets, min_contrast=min_contrast, n_threads=n_threads
        )
    if options.occlusion:
        occlude_crops(crops["train"], shapes, options.occlusion, options.random_state)

    def draw(seed: int) -> dict[str, Samples]:
        its_options = replace(options, random_state=seed)
        training = draw_samples(
            crops["train"], shapes, mirror_map, its_options, counts=counts, map_pools=plan.map_pools
        )
        if "validation" not in parts:
            return {"train": training}
        truth = parts["validation"].shapes
        held_out = plain_samples(crops["validation"], truth, training.mean_shape, map_pools=plan.map_pools)
        return {"train": training, "validation": held_out}

    samples = draw(options.random_state)
    mean_shape = samples["train"].mean_shape
    digest = samples["train"].digest(options)
    summary = {
        "n_objects": len(objects.X),
        "n_samples": len(samples["train"]),
        "n_missing": objects.n_missing,
        "digest": digest,
        "library_version": __version__,
        "notes": notes,
    }
    finished = _finished_members(checkpoint, digest) if resume else ()
    members: list[Cascade | DlibCascade] = []
    history: list[dict[str, float]] = []
    progress = Progress(n_stages, params["n_trees"], normalizer, settings["verbose"], n_members)
    n_useful = useful_threads(max(map(len, samples.values())), n_threads)
    # One thread of linear algebra: the number of threads may change the last bit.
    with threadpool_limits(1), Workers(n_useful) as workers, progress:
        for number in range(n_members):
            seed = member_seed(options.random_state, number)
            if number:
                # The memory plan has the samples of one member.
                samples.clear()
                samples |= draw(seed)
            known = finished[number].stages()[:n_stages] if number < len(finished) else []
            train = train_stages(
                samples, known, n_stages, replace(options, random_state=seed), workers, progress.on_trees
            )
            stages: list[Stage] = []
            for stage in train:
                stages.append(stage)
                replayed = len(stages) <= len(known)
                errors = {name: part.mean_nme(normalizer, workers) for name, part in samples.items()}
                progress.end_stage(len(history) + 1, errors, replayed=replayed)
                which = {"stage": len(stages)} | ({"member": number + 1} if number else {})
                history.append(which | {f"{name}_nme": value for name, value in errors.items()})
                cascade = kind.assemble(mean_shape, crop_spec, stages, options.stages_per_basis)
                first, *others = *members, cascade
                fitted = Fitted(first, params, names, mirror_map, list(history), summary, further_members=tuple(others))
                if checkpoint is not None and not replayed:
                    others += finished[number + 1 :]
                    write_fitted(checkpoint, replace(fitted, further_members=tuple(others)))
                on_stage(fitted)
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


@dataclass(frozen=True)
class _Objects:
    """Validated objects: their landmarks, NaN where missing, in image pixels and in box coordinates."""

    X: Sequence[Face]
    what: str
    boxes: Floats
    # Degrees, see :meth:`ert.ShapePredictor.predict`; None where images are read as they are.
    rolls: Floats | None
    landmarks: Floats
    # From box coordinates to image pixels.
    transforms: Floats
    shapes: Floats

    @property
    def n_missing(self) -> int:
        return int(np.isnan(self.landmarks[:, :, 0]).sum())


def _validate(
    X: Sequence[Face],
    y: npt.ArrayLike,
    rolls: npt.ArrayLike | None,
    kind: CascadeKind,
    settings: Mapping[str, Any],
    *,
    n_landmarks: int | None = None,
) -> _Objects:
    """Check X and y, and compute box transforms; `n_landmarks` is given for validation data."""
    to_train = n_landmarks is None
    what, what_y = ("X", "y") if to_train else ("validation X", "validation y")
    boxes = box_array(check_pairs(X, what))
    landmarks = check_landmarks(y, len(X), what_y, to_train=to_train)
    if not len(X):
        raise InputError("validation: 0 objects, at least 1 is needed")
    check_near(landmarks, boxes, what_y)
    if not to_train and landmarks.shape[1] != n_landmarks:
        raise InputError(f"validation: {landmarks.shape[1]} landmarks, the training data has {n_landmarks}")
    if settings["normalizer"] is not None:
        # Its errors name the object.
        normalizer_lengths(landmarks, settings["normalizer"])
    kind.check(settings, boxes, what)
    transforms = kind.box_transforms(boxes)
    if rolls is not None:
        rolls = check_rolls(rolls, len(X))
        transforms = rotate_transforms(transforms, rolls)
    return _Objects(X, what, boxes, rolls, landmarks, transforms, image_to_box(landmarks, transforms))


def _check_model(objects: _Objects, n_members: int, n_stages: int, options: Options) -> None:
    """Check that the model will be within the bounds of :mod:`ert.model.limits`: it could not be loaded else."""
    n_landmarks = objects.landmarks.shape[1]
    check_landmark_count(n_landmarks)
    check_bounds("the mean shape", np.nanmean(objects.shapes, axis=0), -MAX_SHAPE_SIDES, MAX_SHAPE_SIDES)
    n_components = 2 * n_landmarks if objects.n_missing else min(options.n_components, 2 * n_landmarks)
    n_bases = -(-n_stages // options.stages_per_basis)
    n_leaves = n_stages * options.n_trees * 2**options.max_depth
    n_bytes = n_components * (n_leaves * options.leaf_bits // 8 + n_bases * 2 * n_landmarks)
    leaf_bytes = 8 * n_landmarks if options.cascade_kind.has_float_leaves else n_components * options.leaf_bits // 8
    if (size := n_members * n_leaves * (6 + leaf_bytes)) > MAX_FILE_BYTES:
        trees = (
            f"{n_members} members of " * (n_members > 1)
            + f"{n_stages} stages of {options.n_trees} trees with {2**options.max_depth} leaves"
        )
        raise InputError(f"{trees} take {size / 1e9:.3g} GB, expected at most {MAX_FILE_BYTES / 1e9:.3g} GB")
    check_basis_products(n_stages, n_components, n_landmarks, n_bytes)


def _plan_memory(
    settings: Mapping[str, Any],
    parts: Mapping[str, _Objects],
    crop_sizes: Mapping[str, npt.NDArray[np.int64]],
    options: Options,
    counts: npt.NDArray[np.int64],
    mirrored: bool,
) -> MemoryPlan:
    objects = parts["train"]
    sizes = Sizes(
        n_objects=len(objects.X),
        n_samples=int(counts.sum()) * (2 if mirrored else 1),
        n_validation=len(parts["validation"].X) if "validation" in parts else 0,
        n_landmarks=objects.landmarks.shape[1],
        n_stages=settings["n_members"] * settings["n_stages"],
        mirrored=mirrored,
        missing=objects.n_missing > 0,
        crop_bytes=sum(int(part.prod(axis=1).sum()) for part in crop_sizes.values()),
    )
    plan = plan_memory(settings["max_memory"], sizes, options)
    if plan.map_crops and settings["verbose"]:
        what = "crops and feature pools" if plan.map_pools else "crops"
        log(f"max_memory={settings['max_memory']}: {what} are mapped from temporary files")
    return plan


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
