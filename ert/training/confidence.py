"""Training the confidence model on objects that the cascade has not seen.

Each object is located by the model of a fold that was trained without it, in its own box, in boxes shifted
and scaled at random, and on the background: in boxes that contain hardly anything of an object. Each such
sample has the pixels that the confidence model reads and the errors of the landmarks. One forest is fitted to
the errors, another to whether the alignment is good; both are calibrated on objects left out of their own
training.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ert._core.exceptions import InputError
from ert._core.files import as_path
from ert._core.runtime import count_threads
from ert._core.types import Floats, Pixels, StrPath
from ert._kernels import Workers, grow_trees, run_forest
from ert.inference.rotated import check_rolls
from ert.inference.validation import Face, box_array, check_landmarks, check_near, check_pairs
from ert.metrics import normalizer_lengths
from ert.model.cascade import quantize_basis
from ert.model.confidence import GAUSSIAN_90, WITHIN, ConfidenceModel, Forest
from ert.model.cropping import MAX_REGION_SIDES, CropSpec, largest_working_size
from ert.model.fitted import Fitted
from ert.model.geometry import box_transforms
from ert.training.calibration import fit_error_curve, fit_isotonic, fit_logistic, rejection_rate_at_recall, roc_auc
from ert.training.confidence_samples import (
    ConfidenceSamples,
    LeftOutObjects,
    check_folds,
    draw_confidence_samples,
    group_folds,
)
from ert.training.fit import fit_cascade, log
from ert.training.memory import N_SCORED, new_pool
from ert.training.parameters import Options, check_parameters, plain_params, training_options
from ert.training.samples import check_weights, pixel_differences
from ert.training.stage import draw_pairs, draw_pool, leaf_scales, useful_threads

# Levels of scattering (see confidence_samples) that are typical of detectors: everything is calibrated on
# them; and levels that the curve of errors is fitted to.
N_TYPICAL_LEVELS, N_CURVE_LEVELS = 3, 5
# Prior probability of the background.
BACKGROUND_PRIOR = 0.1

N_PIXELS, POOL_SPREAD, POOL_PADDING = 512, 0.1, 0.05
# The confidence model reads pixels of half the resolution of the cascade's.
WORKING_SIZE_DIVISOR, MIN_WORKING_SIZE = 2, 16
N_ERROR_TREES, N_TRUST_TREES, MAX_DEPTH, N_SPLIT_TESTS, N_COMPONENTS = 300, 300, 4, 40, 16
# The targets are log(hypot(error, ERROR_FLOOR)) with errors in sides of the shape's box: smaller errors are
# mostly noise of the annotation.
ERROR_FLOOR = 0.004
N_RATIOS = 201


def fit_confidence(
    settings: Mapping[str, Any],
    fitted: Fitted,
    X: Sequence[Face],
    y: npt.ArrayLike,
    *,
    rolls: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
    assessed: npt.ArrayLike | None = None,
    n_folds: int,
    groups: Sequence[Any] | None,
    checkpoint: StrPath | None,
    resume: bool,
) -> Fitted:
    """Train the confidence model of a fitted model on objects that its fold models have not seen.

    `settings` are all parameters of the estimator; the others are those of
    :meth:`ert.ShapePredictor.fit_confidence`. The fold models are trained one after another: each fit uses all
    threads.
    """
    from threadpoolctl import threadpool_limits

    if settings["random_state"] is None:
        settings = {**settings, "random_state": fitted.params["random_state"]}
    check_parameters(settings)
    boxes = check_pairs(X)
    landmarks = check_landmarks(y, len(X))
    check_near(landmarks, box_array(boxes))
    n_landmarks = len(fitted.cascade.mean_shape)
    if landmarks.shape[1] != n_landmarks:
        raise InputError(f"y: {landmarks.shape[1]} landmarks, the model has {n_landmarks}")
    normalizer = fitted.params["normalizer"]
    lengths = (
        box_transforms(box_array(boxes))[:, 0] if normalizer is None else normalizer_lengths(landmarks, normalizer)
    )
    turns = None if rolls is None else check_rolls(rolls, len(X))
    weights = None if sample_weight is None else check_weights(sample_weight, len(X), settings["n_inits"])
    chosen = _chosen(assessed, len(X))
    if groups is not None and len(groups) != len(X):
        raise InputError(f"groups: {len(groups)}, expected one for each of {len(X)} objects")
    of_group = None if groups is None else [groups[i] for i in chosen]
    # No fold: in the training data of all.
    folds = np.full(len(X), -1)
    folds[chosen] = group_folds([X[i] for i in chosen], of_group, n_folds, settings["random_state"])
    check_folds(landmarks[chosen], folds[chosen])
    files = [None] * n_folds if checkpoint is None else fold_checkpoints(checkpoint, n_folds)
    # Landmarks of the fast mode are assessed, which the first member finds.
    settings, models = {**settings, "n_members": 1}, []
    for fold, file in enumerate(files):
        if settings["verbose"]:
            log(f"confidence model: fold {fold + 1} of {n_folds}")
        rest = np.flatnonzero(folds != fold).tolist()
        part = [X[i] for i in rest], landmarks[rest]
        models.append(
            fit_cascade(
                settings,
                *part,
                rolls=None if turns is None else turns[rest],
                sample_weight=None if weights is None else weights[rest],
                checkpoint=file,
                resume=resume,
            )
        )
    options = training_options(plain_params(settings))
    with threadpool_limits(1), Workers(count_threads(settings["n_jobs"])) as workers:
        faces, places = [X[i] for i in chosen], [boxes[i] for i in chosen]
        turns = None if turns is None else turns[chosen]
        truth = landmarks[chosen], places, lengths[chosen], turns
        objects = LeftOutObjects(settings, models, folds[chosen], faces, *truth)
        confidence_model, summary = train_forests(fitted.cascade.mean_shape, objects, options, workers)
    return replace(fitted, confidence_model=confidence_model, confidence_summary=summary)


def _chosen(assessed: npt.ArrayLike | None, n_objects: int) -> list[int]:
    """Return the indices of the objects that are assessed."""
    mask = np.ones(n_objects, bool) if assessed is None else np.asarray(assessed)
    if mask.dtype != bool or mask.shape != (n_objects,):
        raise InputError(f"assessed: {mask.dtype} of shape {mask.shape}, expected bool of shape ({n_objects},)")
    return np.flatnonzero(mask).tolist()


def fold_checkpoints(checkpoint: StrPath, n_folds: int) -> list[Path]:
    """Return the checkpoint files of the fold models: runs/face.fold1.ert, runs/face.fold2.ert, ...

    They are not removed by :func:`fit_confidence`.
    """
    path = as_path(checkpoint)
    if not path.name:
        raise InputError(f"checkpoint: {path}, expected the path of a file")
    return [path.with_name(f"{path.stem}.fold{number}{path.suffix}") for number in range(1, n_folds + 1)]


def train_forests(
    mean_shape: npt.NDArray[np.float32], objects: LeftOutObjects, options: Options, workers: Workers
) -> tuple[ConfidenceModel, dict[str, Any]]:
    """Grow the two forests of a confidence model and calibrate them.

    `mean_shape` and `options` are those of the model whose landmarks are assessed. The summary has counts, and
    how well left-out objects were assessed.
    """
    rng = np.random.default_rng([options.random_state, 3])
    pool = _draw_pool(mean_shape, rng)
    crop_spec = _crop_spec(objects.settings, mean_shape, *pool)
    samples = draw_confidence_samples(objects, (mean_shape, crop_spec, *pool), options, workers)
    positions = (mean_shape[pool[0]] + pool[1]).astype(np.float64)
    options = replace(
        options, max_depth=MAX_DEPTH, n_split_tests=N_SPLIT_TESTS, n_trees_averaged=1, learning_rate=0.1, leaf_bits=8
    )

    def forests(chosen: npt.NDArray[np.bool_], number: int) -> tuple[Forest, Forest]:
        return _grow_both(samples, chosen, positions, options, number, workers)

    # Predictions on samples that a forest was not fitted to, for the calibration.
    deviations = np.zeros(samples.errors.shape, np.float32)
    trust = np.zeros((len(samples), 1), np.float32)
    fold_of = objects.folds[samples.owner]
    for fold in range(len(objects.models)):
        errors_forest, trust_forest = forests(fold_of != fold, fold + 1)
        here = fold_of == fold
        deviations[here] = run_forest(samples.values[here], errors_forest.arrays())
        trust[here] = run_forest(samples.values[here], trust_forest.arrays())
    tables, figures = _calibrate(samples, deviations.astype(np.float64), trust[:, 0].astype(np.float64))
    confidence_model = ConfidenceModel(mean_shape, crop_spec, *pool, *forests(np.ones(len(samples), bool), 0), **tables)
    counts = {
        "n_folds": len(objects.models),
        "n_objects": len(np.unique(samples.owner)),
        "n_samples": len(samples),
        "n_failed": int((samples.on_object & ~samples.good).sum()),
        "n_background": int((~samples.on_object).sum()),
    }
    return confidence_model, counts | figures


def _draw_pool(
    mean_shape: npt.NDArray[np.float32], rng: np.random.Generator
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.float32]]:
    """Draw half of the pixels around the landmarks, half evenly over the shape."""
    half = N_PIXELS // 2
    near = draw_pool(mean_shape.astype(float), half, 0.0, POOL_SPREAD, rng)
    even = draw_pool(mean_shape.astype(float), N_PIXELS - half, POOL_PADDING, 0.0, rng)
    return np.concatenate([near[0], even[0]]), np.concatenate([near[1], even[1]])


def _crop_spec(
    settings: Mapping[str, Any],
    mean_shape: npt.NDArray[np.float32],
    anchors: npt.NDArray[np.uint16],
    deltas: npt.NDArray[np.float32],
) -> CropSpec:
    """Return the crop around landmarks: a square with their center, as the object may be rotated."""
    distances = np.abs(mean_shape - mean_shape.mean(axis=0))[anchors] + np.abs(deltas)
    half = min(round(float(np.quantile(distances, 0.99)), 3), MAX_REGION_SIDES - 0.5)
    size = max(MIN_WORKING_SIZE, settings["working_size"] // WORKING_SIZE_DIVISOR)
    size = min(size, largest_working_size(2 * half))
    region = np.array([0.5 - half, 0.5 - half, 0.5 + half, 0.5 + half])
    return CropSpec(region, size, 0.0, float(settings["min_contrast"]))


def _log_errors(samples: ConfidenceSamples, floor: float) -> Floats:
    """Return the logarithm of every error in sides of the shape's box; NaN where unknown."""
    logs: Floats = np.log(np.hypot(samples.errors / samples.side[:, None], floor))
    return logs


def _grow_both(
    samples: ConfidenceSamples,
    chosen: npt.NDArray[np.bool_],
    positions: Floats,
    options: Options,
    number: int,
    workers: Workers,
) -> tuple[Forest, Forest]:
    """Fit the forest of errors to samples on objects, and the forest of trust to all samples."""
    here = chosen & samples.on_object
    logs = _log_errors(samples, ERROR_FLOOR)[here]
    logs -= np.nanmean(logs, axis=0)
    # The error of a missing landmark is estimated by those of the others.
    logs = np.where(np.isnan(logs), np.nanmean(logs, axis=1, keepdims=True), logs)
    vectors = np.linalg.eigh(logs.T @ logs)[1]
    directions = vectors.T[: -min(N_COMPONENTS, len(vectors)) - 1 : -1].copy()
    seeds = options.random_state, 6, number
    good = np.where(samples.good[chosen], 1.0, -1.0)[:, None]
    errors = N_ERROR_TREES, samples.values[here], logs @ directions.T, directions
    trust = N_TRUST_TREES, samples.values[chosen], good - good.mean(), np.ones((1, 1))
    return (_grow(*errors, positions, options, seeds, workers), _grow(*trust, positions, options, (*seeds, 1), workers))


def _grow(
    n_trees: int,
    values: Pixels,
    targets: Floats,
    directions: Floats,
    positions: Floats,
    options: Options,
    seeds: tuple[int, ...],
    workers: Workers,
) -> Forest:
    """Fit a forest to targets (n, n_components), components in the basis of some directions."""
    rng = np.random.default_rng(seeds)
    n, n_pixels = values.shape
    sigma = np.sqrt((targets**2).mean(axis=0))
    scales = leaf_scales(sigma, np.abs(targets).max(axis=0), options.learning_rate, options.leaf_bits)
    pool = new_pool(n, n_pixels)
    n_blocks, _, block_length = pool.shape
    residuals = np.zeros((n_blocks, block_length, targets.shape[1]), np.int16)
    for block, first in enumerate(range(0, n, block_length)):
        part = values[first : first + block_length]
        pool[block, :, : len(part)] = part.T
    residuals.reshape(-1, residuals.shape[2])[:n] = np.rint(targets / scales)
    shape = n_trees, 2**options.max_depth - 1, options.n_split_tests
    pairs = draw_pairs(positions, math.prod(shape), options.prior_length, rng).reshape(*shape, 2)
    thresholds = pixel_differences(pool, pairs, rng.integers(n, size=shape))
    grow_targets = residuals, np.zeros((0, 0, 0), np.uint8), scales[:N_SCORED] ** 2, n
    leaf_rule = options.learning_rate, options.n_trees_averaged, options.leaf_bits
    if useful_threads(n, workers.n_threads) == 1:
        workers = Workers(1)
    grown = grow_trees(pool, grow_targets, (pairs, thresholds), leaf_rule, workers)
    return Forest(*grown, *quantize_basis(directions, scales, np.int8))


def _calibrate(samples: ConfidenceSamples, deviations: Floats, trust: Floats) -> tuple[dict[str, Any], dict[str, Any]]:
    """Calibrate the predictions of forests on samples that they were not fitted to.

    Return the calibration of a :class:`ert.model.confidence.ConfidenceModel`, and how well these samples were
    assessed.
    """
    on_curve = samples.on_object & (samples.level < N_CURVE_LEVELS)
    typical = samples.on_object & (samples.level < N_TYPICAL_LEVELS)
    logs = _log_errors(samples, 1e-9)
    curve, typical_log = fit_error_curve(deviations[on_curve], logs[on_curve])
    std = samples.side[:, None] * np.exp(np.interp(deviations, *curve) + typical_log)
    ratios = samples.errors / std
    known = np.isfinite(ratios) & typical[:, None]
    levels = np.linspace(0, 1, N_RATIOS)
    # The curve is fitted to boxes scattered farther, too; the scale is that of typical boxes.
    scale = float(np.quantile(ratios[known], 0.9)) / GAUSSIAN_90
    typical_log += math.log(scale)
    std *= scale
    table = np.quantile(ratios[known] / scale, levels)

    predicted = np.interp(WITHIN * samples.length[:, None] / std, table, levels)
    within = samples.errors <= WITHIN * samples.true_length[:, None]
    within_curve = fit_isotonic(predicted[known], within[known])

    spread = np.log(std.mean(axis=1) / samples.length)
    features = np.column_stack([trust, spread])
    background = ~samples.on_object
    weights = (1 - BACKGROUND_PRIOR) / max(typical.sum(), 1), BACKGROUND_PRIOR / max(background.sum(), 1)
    assessed = typical | background
    counts = np.where(typical, *weights)[assessed] * int(assessed.sum())
    confidence_weights = fit_logistic(features[assessed], samples.good[assessed], counts)
    scores = features @ confidence_weights[1:]
    auc = roc_auc(scores[typical], samples.good[typical])
    figures = {
        # None where a class is empty.
        "failed_auc": None if math.isnan(auc) else round(auc, 4),
        "background_rejected": (
            round(rejection_rate_at_recall(scores[typical], scores[background])["rejected"], 4)
            if typical.any() and background.any()
            else None
        ),
    }
    tables = {
        "curve": curve,
        "baseline": typical_log,
        "ratios": table,
        "within_curve": within_curve,
        "confidence_weights": confidence_weights,
    }
    return tables, figures
