"""Training a stage of the cascade: residuals, trees (Kazemi & Sullivan 2014, algorithm 1)."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from ert.cascade import Stage, add_displacement, kernel_basis, whole_basis
from ert.crop_store import Crops
from ert.features import draw_pairs, draw_pool, pool_arrays, read_pool_block
from ert.geometry import centre
from ert.lanes import add_leaves, room_to_multiply
from ert.parallel import Workers
from ert.parameters import Options
from ert.samples import PART, Samples, draw_samples
from ert.trees import (
    BLOCK,
    SCORED_LIMIT,
    apply_leaves,
    choose_splits,
    score_level,
    split_level,
    start_tree,
    sum_leaves,
)
from ert.walk import pack_trees, room_to_walk, walk_trees

__all__ = [
    "CANDIDATES_DRAWN",
    "N_SCORED",
    "draw_thresholds",
    "grow_trees",
    "most_used",
    "rehearse",
    "replay_stage",
    "train_stage",
]

# Components of the residuals that splits are scored on: more change nothing but the time (SketchBoost,
# arXiv 2211.12858, found the same of random projections).
N_SCORED = 8
# Candidate splits that are drawn at once, as far as whole trees go: drawing takes ten times what is kept.
CANDIDATES_DRAWN = 50_000
# Trees that are grown to learn which pixels are worth having, and the candidates of each of their splits.
TRIAL_TREES, TRIAL_TESTS = 40, 40


def train_stage(
    samples: Samples,
    stage: int,
    options: Options,
    workers: Workers,
    before: Stage | None = None,
    on_tree: Callable[[int], object] = lambda n: None,
) -> Stage:
    """Grow one stage of the cascade and move the samples' shapes by it.

    Parameters
    ----------
    samples : Samples
        `shapes` is rewritten.
    stage : int
        Its number, which seeds its random draws.
    options : Options
    workers : Workers
    before : Stage
        The stage before it, whose basis it may share.
    on_tree : callable
        Called with 1 after each tree.

    Returns
    -------
    Stage
    """
    rng = np.random.default_rng([options.random_state, 1, stage])
    n_drawn = max(options.n_pixels, options.n_candidates)
    anchors, deltas = draw_pool(
        samples.mean_shape.astype(float), n_drawn, options.padding, options.pool_spread, rng
    )
    pool, matrices = _read_pools(samples, anchors, deltas, options.kind, workers)
    missing = bool(np.isnan(samples.truth).any())
    shared = None if before is None or stage % options.stages_per_basis == 0 else before.basis
    basis, sigma = _residual_basis(samples, matrices, None if missing else options.n_components, shared, rng)
    residuals, present, units = _residuals(samples, matrices, basis, sigma, missing, options, workers)

    sizes = np.array([part.stop - part.start for part in samples.blocks], np.int32)
    positions = (samples.mean_shape[anchors] + deltas).astype(np.float64)
    if n_drawn > options.n_pixels:
        trial = replace(options, n_trees=TRIAL_TREES, n_split_tests=min(options.n_split_tests, TRIAL_TESTS))
        splits = _draw_splits(pool, positions, trial, len(samples), rng)
        pairs, _, _ = grow_trees(sizes, pool, residuals.copy(), present, units, *splits, trial, workers)
        kept = most_used(pairs, n_drawn, options.n_pixels)
        anchors, deltas, positions = anchors[kept], deltas[kept], positions[kept]
        pool = np.ascontiguousarray(pool[:, kept])
    splits = _draw_splits(pool, positions, options, len(samples), rng)
    grown = grow_trees(sizes, pool, residuals, present, units, *splits, options, workers, on_tree)
    whole_numbers = np.int8 if options.kind == "ert" else np.int16
    result = Stage(anchors, deltas, *grown, *whole_basis(basis, units, whole_numbers))
    _move_shapes(samples, result, pool, matrices, workers)
    return result


def _draw_splits(
    pool: npt.NDArray[np.uint8],
    positions: npt.NDArray[np.float64],
    options: Options,
    n_samples: int,
    rng: np.random.Generator,
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.int16]]:
    """Draw the candidate splits of a stage: pairs (n_trees, n_splits, n_split_tests, 2) and thresholds."""
    n_splits = 2**options.max_depth - 1
    shape = (options.n_trees, n_splits, options.n_split_tests)
    pairs = np.empty((*shape, 2), np.uint16)
    thresholds = np.empty(shape, np.int16)
    n_candidates = n_splits * options.n_split_tests
    step = max(1, CANDIDATES_DRAWN // n_candidates)
    for first in range(0, options.n_trees, step):
        trees = slice(first, min(first + step, options.n_trees))
        drawn = draw_pairs(positions, (trees.stop - first) * n_candidates, options.prior_length, rng)
        pairs[trees] = drawn.reshape(-1, *shape[1:], 2)
        thresholds[trees] = draw_thresholds(pool, pairs[trees], n_samples, rng)
    return pairs, thresholds


def most_used(pairs: npt.NDArray[np.uint16], n_drawn: int, n_kept: int) -> npt.NDArray[np.intp]:
    """Return the pixels that splits use most, each use as much as its share of the samples, in their order.

    Parameters
    ----------
    pairs : uint16 array (n_trees, n_splits, 2)
    n_drawn, n_kept : int
        Pixels of the pool, and how many of them to return.
    """
    level = np.log2(np.arange(1, pairs.shape[1] + 1)).astype(int)
    shares = np.broadcast_to(0.5 ** level[:, None], pairs.shape)
    uses = np.bincount(pairs.ravel(), shares.ravel(), n_drawn)
    return np.sort(np.argsort(-uses, kind="stable")[:n_kept])


def rehearse(options: Options, *, missing: bool, n_threads: int) -> None:
    """Train next to nothing with arrays of the kinds that the real training has, so that all is compiled."""
    from threadpoolctl import threadpool_limits

    small = replace(
        options, n_trees=2, n_pixels=4, n_candidates=0, n_split_tests=2, n_inits=1, n_averaged=1, n_mixed=1
    )
    shapes = np.random.default_rng(0).random((4, 3, 2))
    if missing:
        shapes[0, 0] = np.nan
    crops = Crops.of_one_size(np.zeros((4, 8, 8), np.uint8), np.array([8.0, 0, 0, 8, 0, 0]))
    samples = draw_samples(crops, shapes, None, small)
    with threadpool_limits(1), Workers(n_threads) as workers:
        replay_stage(samples, train_stage(samples, 0, small, workers), small.kind, workers)


def replay_stage(samples: Samples, stage: Stage, kind: str, workers: Workers) -> None:
    """Move the samples' shapes by a stage trained before, to the same bytes as :func:`train_stage` did."""
    pool, matrices = _read_pools(samples, stage.anchors, stage.deltas, kind, workers)
    _move_shapes(samples, stage, pool, matrices, workers)


def _move_shapes(
    samples: Samples,
    stage: Stage,
    pool: npt.NDArray[np.uint8],
    matrices: npt.NDArray[np.float32],
    workers: Workers,
) -> None:
    """Move every sample's shape as prediction would, the landmarks that it lacks included."""
    blocks = samples.blocks
    n_trees, n_splits = stage.thresholds.shape
    nodes = pack_trees(stage.pairs[None], stage.thresholds[None], len(stage.anchors))
    leaves = stage.leaves.reshape(1, -1)
    basis = kernel_basis(stage.leaves, stage.units[None], stage.basis[None])
    arrays = nodes, n_trees, n_splits.bit_length(), leaves, *basis

    def move(thread: int, n_threads: int) -> None:
        for number in range(thread, len(blocks), n_threads):
            part = blocks[number]
            _move_block(pool[number], *arrays, matrices[part], samples.shapes[part])

    workers.run(move)


@numba.njit(cache=True, nogil=True)
def _move_block(  # type: ignore[no-untyped-def]
    pool, nodes, n_trees, depth, leaves, leaf_size, units, basis, limit, matrices, shapes
):
    n_pixels = pool.shape[0]
    values, masks, rows = room_to_walk(n_trees, n_pixels)
    components, amounts, whole, moved = room_to_multiply(units, basis)
    n_landmarks = shapes.shape[1]
    shape = np.zeros((basis.shape[2] // 2, 2), np.float32)
    for i in range(shapes.shape[0]):
        values[:n_pixels] = pool[:, i]
        walk_trees(values, nodes, 0, n_trees, n_pixels, depth, leaf_size, leaves, masks, rows)
        add_leaves(leaves, 0, rows, n_trees, leaf_size, components)
        shape[:n_landmarks] = shapes[i]
        a, b = matrices[i, 0], matrices[i, 1]
        add_displacement(components, units, 0, basis, 0, limit, a, b, amounts, whole, moved, shape)
        shapes[i] = shape[:n_landmarks]


def _read_pools(
    samples: Samples,
    anchors: npt.NDArray[np.uint16],
    deltas: npt.NDArray[np.float32],
    kind: str,
    workers: Workers,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """Read the stage's pool for every sample.

    Returns
    -------
    pool : uint8 array (n_blocks, n_pixels, BLOCK)
    matrices : float32 array (n, 2)
        The similarity that turns each sample's displacements: for dlib's kind of cascade the identity.
    """
    blocks = samples.blocks
    pool = np.zeros((len(blocks), len(anchors), BLOCK), np.uint8)
    matrices = np.empty((len(samples), 2), np.float32)
    compass, squared_norm = centre(samples.mean_shape)
    arrays = pool_arrays(anchors[None], deltas[None])

    def read(thread: int, n_threads: int) -> None:
        values = np.empty((len(anchors), PART), np.uint8)
        for number in range(thread, len(blocks), n_threads):
            for part in samples.parts(blocks[number]):
                read_pool_block(
                    samples.crops.pixels,
                    samples.crops.places,
                    samples.crop_of[part],
                    samples.frames[part],
                    samples.shapes[part],
                    compass,
                    squared_norm,
                    *arrays,
                    matrices[part],
                    values,
                )
                first, n = part.start - blocks[number].start, part.stop - part.start
                pool[number, :, first : first + n] = values[:, :n]
                samples.crops.release()

    workers.run(read)
    if kind == "dlib":
        matrices[:] = 1, 0
    return pool, matrices


def _aligned_residuals(
    targets: npt.NDArray[np.float32], shapes: npt.NDArray[np.float32], matrices: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Return what is left to move, turned and scaled back to the mean shape (n, 2 * n_landmarks)."""
    left = targets - shapes
    a, b = (matrices / (matrices**2).sum(axis=1, keepdims=True)).T[:, :, None]
    x, y = left[..., 0], left[..., 1]
    return np.stack([a * x + b * y, a * y - b * x], axis=2).reshape(len(left), -1)


def _residual_basis(
    samples: Samples,
    matrices: npt.NDArray[np.float32],
    n_components: int | None,
    shared: npt.NDArray[np.signedinteger] | None,
    rng: np.random.Generator,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the principal directions of the residuals (n_components, 2 * n_landmarks) and their sizes.

    With None the basis is the identity: every coordinate for itself, as missing landmarks need it. A shared
    one is kept as it is, and the sizes are those that the residuals have along it.
    """
    some = np.sort(rng.choice(len(samples), min(len(samples), 20_000), replace=False))
    # The second moment, not the covariance: the mean residual is to be removed as well.
    moment = np.zeros((samples.mean_shape.size, samples.mean_shape.size))
    for first in range(0, len(some), PART):
        part = some[first : first + PART]
        left = np.nan_to_num(
            _aligned_residuals(samples.targets(part), samples.shapes[part], matrices[part])
        ).astype(float)
        moment += left.T @ left / len(some)
    if n_components is None:
        return np.eye(len(moment)), np.sqrt(np.diag(moment))
    if shared is not None:
        # Nearly orthogonal: what rounding to whole numbers did to it is made good by later trees.
        directions = shared / np.linalg.norm(shared.astype(float), axis=1, keepdims=True)
        sizes = np.einsum("di,ij,dj->d", directions, moment, directions)
        return directions, np.sqrt(np.maximum(sizes, 0))
    values, vectors = np.linalg.eigh(moment)
    keep = slice(None, -min(n_components, len(moment)) - 1, -1)
    return vectors.T[keep].copy(), np.sqrt(np.maximum(values[keep], 0))


def _residuals(
    samples: Samples,
    matrices: npt.NDArray[np.float32],
    basis: npt.NDArray[np.float64],
    sigma: npt.NDArray[np.float64],
    missing: bool,
    options: Options,
    workers: Workers,
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.uint8], npt.NDArray[np.float64]]:
    """Express the residuals in whole units of the leaves.

    The unit of a component is as small as leaves of `leaf_bits` allow: the first trees' leaves, the largest,
    reach three standard deviations of the residuals times the learning rate. Growing trees on residuals in
    these units corrects in every tree what rounding did to the ones before it.
    """
    blocks = samples.blocks
    shape = len(blocks), BLOCK, len(basis)
    residuals = np.zeros(shape, np.int16)
    present = np.zeros(shape if missing else (0, 0, 0), np.uint8)
    projection = basis.T.astype(np.float32)

    def components(part: slice) -> npt.NDArray[np.float32]:
        left = _aligned_residuals(samples.targets(part), samples.shapes[part], matrices[part])
        projected: npt.NDArray[np.float32] = left if missing else left @ projection
        return projected

    # Twice through, for the largest first: kept, these numbers would be the largest array of all.
    extremes = np.zeros((len(blocks), len(basis)), np.float32)

    def measure(thread: int, n_threads: int) -> None:
        for number in range(thread, len(blocks), n_threads):
            for part in samples.parts(blocks[number]):
                sizes = np.abs(np.nan_to_num(components(part))).max(axis=0)
                extremes[number] = np.maximum(extremes[number], sizes)

    workers.run(measure)
    largest = extremes.max(axis=0).astype(float)
    shrinkage = options.learning_rate / options.n_averaged
    limit = 2 ** (options.leaf_bits - 1) - 1
    units = np.maximum.reduce([3 * shrinkage * sigma / limit, largest / 16_000, np.full(len(sigma), 1e-12)])

    def round_off(thread: int, n_threads: int) -> None:
        for number in range(thread, len(blocks), n_threads):
            for part in samples.parts(blocks[number]):
                values = components(part)
                here = slice(part.start - blocks[number].start, part.stop - blocks[number].start)
                if missing:
                    present[number, here] = ~np.isnan(values)
                residuals[number, here] = np.rint(np.nan_to_num(values) / units.astype(np.float32))

    workers.run(round_off)
    return residuals, present, units


def draw_thresholds(
    pool: npt.NDArray[np.uint8], pairs: npt.NDArray[np.uint16], n_samples: int, rng: np.random.Generator
) -> npt.NDArray[np.int16]:
    """Draw a threshold for each pair: the difference that it has in a sample drawn at random."""
    block, place = np.divmod(rng.integers(n_samples, size=pairs.shape[:-1]), BLOCK)
    first = pool[block, pairs[..., 0], place].astype(np.int16)
    return first - pool[block, pairs[..., 1], place]


def grow_trees(
    sizes: npt.NDArray[np.int32],
    pool: npt.NDArray[np.uint8],
    residuals: npt.NDArray[np.int16],
    present: npt.NDArray[np.uint8],
    units: npt.NDArray[np.float64],
    pairs: npt.NDArray[np.uint16],
    thresholds: npt.NDArray[np.int16],
    options: Options,
    workers: Workers,
    on_tree: Callable[[int], object] = lambda n: None,
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.int16], npt.NDArray[np.signedinteger]]:
    """Boost the trees of a stage, on blocks of so many samples (see :mod:`ert.trees`)."""
    n_trees, n_splits, n_tests = thresholds.shape
    n_leaves = n_splits + 1
    n_blocks, _, n_components = residuals.shape
    n_scored = n_components if present.size else min(N_SCORED, n_components)
    order = np.empty((n_blocks, BLOCK), np.int32)
    bounds = np.zeros((n_blocks, n_leaves + 1), np.int32)
    scored = np.empty((n_blocks, n_scored, BLOCK), np.float32)
    # For each level arrays of its own: a part of larger ones would be another kind of array to the compiler.
    counts = [
        np.empty((workers.n_threads, 2**level, n_tests + 1), np.int64) for level in range(options.max_depth)
    ]
    sums = [np.empty((*each.shape, n_scored)) for each in counts]
    leaf_sums = np.empty((workers.n_threads, n_leaves, n_components), np.int64)
    leaf_counts = np.empty_like(leaf_sums)
    largest = int(np.abs(residuals[..., :n_scored].astype(np.int32)).max())
    shift = max(0, largest.bit_length() - SCORED_LIMIT.bit_length())
    weights = units[:n_scored] ** 2

    chosen_pairs = np.empty((n_trees, n_splits, 2), np.uint16)
    chosen_thresholds = np.empty((n_trees, n_splits), np.int16)
    leaves = np.empty((n_trees, n_leaves, n_components), np.int8 if options.leaf_bits == 8 else np.int16)
    limit = np.iinfo(leaves.dtype).max
    shrinkage = options.learning_rate / options.n_averaged
    # With averaging, the trees of one tier all see the residuals that the tier began with.
    after = residuals if options.n_averaged == 1 else residuals.copy()
    blocks = sizes, pool, order, bounds, scored
    # What each thread has to do before the next choice; the blocks that it handles are always the same.
    work: list[tuple[Any, ...]] = []
    for tree in range(n_trees):
        work.append((start_tree, sizes, residuals, shift, order, bounds, scored))
        for level in range(options.max_depth):
            nodes = slice(2**level - 1, 2 ** (level + 1) - 1)
            candidates = pairs[tree, nodes], thresholds[tree, nodes]
            work.append((score_level, *blocks, *candidates, counts[level], sums[level]))
            workers.run_all(work)
            chosen = np.empty(2**level, np.int64)
            choose_splits(counts[level], sums[level], weights, chosen)
            here = np.arange(2**level)
            chosen_pairs[tree, nodes] = candidates[0][here, chosen]
            chosen_thresholds[tree, nodes] = candidates[1][here, chosen]
            work = [(split_level, *blocks, chosen_pairs[tree, nodes], chosen_thresholds[tree, nodes])]
        work.append((sum_leaves, sizes, order, bounds, residuals, present, leaf_sums, leaf_counts))
        workers.run_all(work)
        means = leaf_sums.sum(axis=0) / np.maximum(leaf_counts.sum(axis=0), 1)
        leaves[tree] = np.clip(np.rint(shrinkage * means), -limit, limit)
        work = [(apply_leaves, sizes, order, bounds, leaves[tree].astype(np.int16), present, after)]
        if after is not residuals and (tree + 1) % options.n_averaged == 0:
            workers.run_all(work)
            work = []
            residuals[:] = after
        on_tree(1)
    return chosen_pairs, chosen_thresholds, leaves
