"""Training one stage of the cascade (Kazemi & Sullivan 2014, algorithm 1)."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ert._core.types import Floats, Pixels
from ert._kernels import Workers, apply_stage, grow_trees, read_feature_pool
from ert.model.cascade import Stage, quantize_basis
from ert.training.buffers import new_pool
from ert.training.crops import Crops
from ert.training.features import draw_pool, pair_prior, pick_pairs, pixel_differences
from ert.training.kinds import CascadeKind
from ert.training.parameters import Options
from ert.training.samples import Samples, draw_samples
from ert.training.targets import compute_targets, residual_basis

# Candidate splits that are drawn at once: drawing takes ten times the memory of what is kept.
CANDIDATES_PER_DRAW = 50_000
# The trees, and the candidates of each of their splits, that select pixels from a larger pool.
N_SELECTION_TREES, N_SELECTION_TESTS = 40, 40


def train_stage(
    samples: Samples,
    stage: int,
    options: Options,
    workers: Workers,
    before: Stage | None = None,
    on_trees: Callable[[int], object] | None = None,
) -> Stage:
    """Train one stage of the cascade and move the samples' shapes by it.

    Parameters
    ----------
    samples : Samples
        `shapes` is rewritten.
    stage : int
        The number of the stage, which seeds its random draws.
    options : Options
    workers : Workers
    before : Stage, optional
        The stage before, whose basis may be shared.
    on_trees : callable, optional
        Called with the number of trees that have been grown since the last call.

    Returns
    -------
    Stage
    """
    rng = np.random.default_rng([options.random_state, 1, stage])
    kind = options.cascade_kind
    n_drawn = max(options.n_pixels, options.n_pool_candidates)
    anchors, deltas = draw_pool(samples.mean_shape.astype(float), n_drawn, options.padding, options.pool_spread, rng)
    pool, similarities = _read_pool(samples, anchors, deltas, kind, workers)
    missing = bool(np.isnan(samples.truth).any())
    shared = None if before is None or stage % options.stages_per_basis == 0 else before.basis
    n_components = None if missing else options.n_components
    basis = residual_basis(samples, similarities, n_components, shared, rng)
    targets = compute_targets(samples, similarities, basis, missing, options, workers)

    positions = (samples.mean_shape[anchors] + deltas).astype(np.float64)
    leaf_rule = options.learning_rate, options.n_trees_averaged, options.leaf_bits
    if n_drawn > options.n_pixels:
        n_tests = min(options.n_split_tests, N_SELECTION_TESTS)
        trial = replace(options, n_trees=N_SELECTION_TREES, n_split_tests=n_tests)
        candidates = _draw_candidates(pool, positions, trial, len(samples), workers, rng)
        arguments = targets.copy().kernel_arguments(), candidates, leaf_rule
        kept = most_used(grow_trees(pool, *arguments, workers)[0], n_drawn, options.n_pixels)
        anchors, deltas, positions = anchors[kept], deltas[kept], positions[kept]
        pool = _select_pixels(pool, kept, samples)
    candidates = _draw_candidates(pool, positions, options, len(samples), workers, rng)
    trees = grow_trees(pool, targets.kernel_arguments(), candidates, leaf_rule, workers, on_trees)
    scales, directions = quantize_basis(basis[0], targets.scales, kind.basis_dtype)
    result = Stage(anchors, deltas, *trees, scales, directions)
    _move_shapes(samples, result, pool, similarities, workers)
    return result


def replay_stage(samples: Samples, stage: Stage, kind: CascadeKind, workers: Workers) -> None:
    """Move the samples' shapes by a trained stage, to the same bytes as :func:`train_stage` did."""
    pool, similarities = _read_pool(samples, stage.anchors, stage.deltas, kind, workers)
    _move_shapes(samples, stage, pool, similarities, workers)


def _read_pool(
    samples: Samples,
    anchors: npt.NDArray[np.uint16],
    deltas: npt.NDArray[np.float32],
    kind: CascadeKind,
    workers: Workers,
) -> tuple[Pixels, npt.NDArray[np.float32]]:
    """Return every sample's feature pool, and the similarity (n, 2) that transforms its displacements."""
    pool = new_pool(len(samples), len(anchors), mapped=samples.map_pools)
    crops = samples.crops.pixels, samples.crops.places
    inputs = samples.crop_of, samples.transforms, samples.shapes
    features = anchors, deltas
    release = samples.crops.release
    similarities = read_feature_pool(crops, inputs, samples.mean_shape, features, pool, workers, release)
    if not kind.rotates_displacements:
        similarities[:] = 1, 0
    return pool, similarities


def _move_shapes(
    samples: Samples, stage: Stage, pool: Pixels, similarities: npt.NDArray[np.float32], workers: Workers
) -> None:
    """Move every sample's shape as prediction would, missing landmarks included."""
    trees = stage.pairs, stage.thresholds, stage.leaves
    basis = stage.scales, stage.basis
    apply_stage(trees, basis, len(stage.anchors), pool, similarities, samples.shapes, workers)


def _draw_candidates(
    pool: Pixels, positions: Floats, options: Options, n_samples: int, workers: Workers, rng: np.random.Generator
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.int16]]:
    """Draw pairs (n_trees, n_splits, n_split_tests, 2) and thresholds (n_trees, n_splits, n_split_tests)."""
    n_splits = 2**options.max_depth - 1
    shape = options.n_trees, n_splits, options.n_split_tests
    n_per_tree = n_splits * options.n_split_tests
    pairs = np.empty((options.n_trees * n_per_tree, 2), np.uint16)
    thresholds = np.empty(len(pairs), np.int16)
    prior = pair_prior(positions, options.prior_length)

    def pick(
        thread: int, n_threads: int, first: int, which: Floats, order: Floats, chosen: npt.NDArray[np.int64]
    ) -> None:
        n = len(which)
        part = slice(n * thread // n_threads, n * (thread + 1) // n_threads)
        rows = slice(first + part.start, first + part.stop)
        pairs[rows] = pick_pairs(prior, which[part], order[part])
        thresholds[rows] = pixel_differences(pool, pairs[rows], chosen[part])

    # Whole trees at once.
    step = max(1, CANDIDATES_PER_DRAW // n_per_tree) * n_per_tree
    for first in range(0, len(pairs), step):
        n = min(step, len(pairs) - first)
        # Drawn by one thread: the model must not depend on the number of threads.
        workers.run(pick, first, rng.random(n), rng.random(n), rng.integers(n_samples, size=n))
    return pairs.reshape(*shape, 2), thresholds.reshape(shape)


def most_used(pairs: npt.NDArray[np.uint16], n_drawn: int, n_kept: int) -> npt.NDArray[np.intp]:
    """Return the pixels that splits use most, in ascending order.

    Each use counts as much as the share of the samples that reach the split.

    Parameters
    ----------
    pairs : uint16 array (n_trees, n_splits, 2)
    n_drawn, n_kept : int
        Number of pixels in the pool, and of those to return.
    """
    level = np.log2(np.arange(1, pairs.shape[1] + 1)).astype(int)
    shares = np.broadcast_to(0.5 ** level[:, None], pairs.shape)
    uses = np.bincount(pairs.ravel(), shares.ravel(), n_drawn)
    return np.sort(np.argsort(-uses, kind="stable")[:n_kept])


def _select_pixels(pool: Pixels, kept: npt.NDArray[np.intp], samples: Samples) -> Pixels:
    smaller = new_pool(len(samples), len(kept), mapped=samples.map_pools)
    for rows, kept_rows in zip(pool, smaller, strict=True):
        kept_rows[:, : len(kept)] = rows[:, kept]
    return smaller


def warm_up_training(options: Options, *, missing: bool, n_threads: int) -> None:
    """Train a tiny stage with arrays of the types of the real ones, so that every kernel is compiled."""
    from threadpoolctl import threadpool_limits

    small = replace(
        options,
        n_trees=2,
        n_pixels=4,
        n_pool_candidates=0,
        n_split_tests=2,
        n_inits=1,
        n_trees_averaged=1,
        n_shapes_mixed=1,
    )
    shapes = np.random.default_rng(0).random((4, 3, 2))
    if missing:
        shapes[0, 0] = np.nan
    crops = Crops.of_one_size(np.zeros((4, 8, 8), np.uint8), np.array([8.0, 0, 0, 8, 0, 0]))
    samples = draw_samples(crops, shapes, None, small)
    with threadpool_limits(1), Workers(n_threads) as workers:
        replay_stage(samples, train_stage(samples, 0, small, workers), small.cascade_kind, workers)
