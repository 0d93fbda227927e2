"""Training a stage of the cascade: residuals, trees (Kazemi & Sullivan 2014, algorithm 1)."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ert._kernels import FeaturePool, apply_stage
from ert._kernels.grow import BLOCK, SCORED_LIMIT, grow_trees_block
from ert._kernels.split_search import COLUMNS, count_groups, new_pool, pack_candidates, rounded_up
from ert._kernels.workers import Workers
from ert.model.cascade import Stage, quantize_basis
from ert.training.crops import Crops
from ert.training.features import draw_pool, pair_prior, pick_pairs
from ert.training.parameters import Options
from ert.training.samples import PART, Samples, draw_samples

__all__ = [
    "CANDIDATES_DRAWN",
    "N_SCORED",
    "draw_thresholds",
    "grow_trees",
    "most_used",
    "replay_stage",
    "train_stage",
    "warm_up_training",
]


# Components of the residuals that splits are scored on: more change nothing but the time (SketchBoost,
# arXiv 2211.12858, found the same of random projections).
N_SCORED = 8
# Candidate splits that are drawn or laid out at once, as far as whole trees go: drawing takes ten times what
# is kept.
CANDIDATES_DRAWN = 50_000
# Trees that are grown in one call of the kernel.
TREES_A_CALL = 16
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
        Called with the number of trees that have been grown, after some.

    Returns
    -------
    Stage
    """
    rng = np.random.default_rng([options.random_state, 1, stage])
    n_drawn = max(options.n_pixels, options.n_pool_candidates)
    anchors, deltas = draw_pool(
        samples.mean_shape.astype(float), n_drawn, options.padding, options.pool_spread, rng
    )
    pool, matrices = _read_pools(samples, anchors, deltas, options.kind, workers)
    missing = bool(np.isnan(samples.truth).any())
    shared = None if before is None or stage % options.stages_per_basis == 0 else before.basis
    basis, sigma = _residual_basis(samples, matrices, None if missing else options.n_components, shared, rng)
    residuals, present, scales = _residuals(samples, matrices, basis, sigma, missing, options, workers)

    sizes = np.array([part.stop - part.start for part in samples.blocks], np.int32)
    positions = (samples.mean_shape[anchors] + deltas).astype(np.float64)
    if n_drawn > options.n_pixels:
        trial = replace(options, n_trees=TRIAL_TREES, n_split_tests=min(options.n_split_tests, TRIAL_TESTS))
        splits = _draw_splits(pool, positions, trial, len(samples), workers, rng)
        pairs, _, _ = grow_trees(sizes, pool, residuals.copy(), present, scales, *splits, trial, workers)
        kept = most_used(pairs, n_drawn, options.n_pixels)
        anchors, deltas, positions = anchors[kept], deltas[kept], positions[kept]
        pool = _kept_pixels(pool, kept)
    splits = _draw_splits(pool, positions, options, len(samples), workers, rng)
    grown = grow_trees(sizes, pool, residuals, present, scales, *splits, options, workers, on_tree)
    whole_numbers = np.int8 if options.kind == "ert" else np.int16
    result = Stage(anchors, deltas, *grown, *quantize_basis(basis, scales, whole_numbers))
    _move_shapes(samples, result, pool, matrices, workers)
    return result


def _draw_splits(
    pool: npt.NDArray[np.uint8],
    positions: npt.NDArray[np.float64],
    options: Options,
    n_samples: int,
    workers: Workers,
    rng: np.random.Generator,
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.int16]]:
    """Draw the candidate splits of a stage: pairs (n_trees, n_splits, n_split_tests, 2) and thresholds."""
    n_splits = 2**options.max_depth - 1
    shape = (options.n_trees, n_splits, options.n_split_tests)
    n_pool_candidates = n_splits * options.n_split_tests
    pairs = np.empty((options.n_trees * n_pool_candidates, 2), np.uint16)
    thresholds = np.empty(len(pairs), np.int16)
    prior = pair_prior(positions, options.prior_length)
    step = max(1, CANDIDATES_DRAWN // n_pool_candidates) * n_pool_candidates

    def pick(
        thread: int,
        n_threads: int,
        first: int,
        places: npt.NDArray[np.float64],
        turns: npt.NDArray[np.float64],
        looked_at: npt.NDArray[np.int64],
    ) -> None:
        n = len(places)
        some = slice(n * thread // n_threads, n * (thread + 1) // n_threads)
        here = slice(first + some.start, first + some.stop)
        pairs[here] = pick_pairs(prior, places[some], turns[some])
        thresholds[here] = _differences(pool, pairs[here], looked_at[some])

    for first in range(0, len(pairs), step):
        n = min(step, len(pairs) - first)
        # Drawn by one thread, for the model not to depend on their number.
        workers.run(pick, first, rng.random(n), rng.random(n), rng.integers(n_samples, size=n))
    return pairs.reshape(*shape, 2), thresholds.reshape(shape)


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


def _kept_pixels(pool: npt.NDArray[np.uint8], kept: npt.NDArray[np.intp]) -> npt.NDArray[np.uint8]:
    n_blocks, block, _ = pool.shape
    smaller = new_pool(n_blocks, block, len(kept))
    for rows, some in zip(pool, smaller, strict=True):
        some[:, : len(kept)] = rows[:, kept]
    return smaller


def warm_up_training(options: Options, *, missing: bool, n_threads: int) -> None:
    """Train next to nothing with arrays of the kinds that the real training has, so that all is compiled."""
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
    arrays = vars(stage)

    def move(thread: int, n_threads: int) -> None:
        for number in range(thread, len(blocks), n_threads):
            part = blocks[number]
            apply_stage(arrays, pool[number], matrices[part], samples.shapes[part])

    workers.run(move)


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
    pool : uint8 array (n_blocks, BLOCK, n_pixels and some more)
    matrices : float32 array (n, 2)
        The similarity that turns each sample's displacements: for dlib's kind of cascade the identity.
    """
    blocks = samples.blocks
    pool = new_pool(len(blocks), BLOCK, len(anchors))
    matrices = np.empty((len(samples), 2), np.float32)
    reader = FeaturePool(samples.mean_shape, anchors, deltas)

    def read(thread: int, n_threads: int) -> None:
        for number in range(thread, len(blocks), n_threads):
            for part in samples.parts(blocks[number]):
                first, n = part.start - blocks[number].start, part.stop - part.start
                reader.read(
                    (samples.crops.pixels, samples.crops.places),
                    samples.crop_of[part],
                    samples.frames[part],
                    samples.shapes[part],
                    matrices[part],
                    pool[number, first : first + n],
                )
                samples.crops.release()

    workers.run(read)
    if kind == "dlib":
        matrices[:] = 1, 0
    return pool, matrices


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
        left = np.nan_to_num(samples.aligned_residuals(part, matrices)).astype(float)
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
        left = samples.aligned_residuals(np.arange(part.start, part.stop), matrices)
        projected: npt.NDArray[np.float32] = left if missing else left @ projection
        return projected

    def filled(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return np.nan_to_num(values) if missing else values

    # Twice through, for the largest first: kept, these numbers would be the largest array of all.
    extremes = np.zeros((len(blocks), len(basis)), np.float32)

    def measure(thread: int, n_threads: int) -> None:
        for number in range(thread, len(blocks), n_threads):
            for part in samples.parts(blocks[number]):
                sizes = np.abs(filled(components(part))).max(axis=0)
                extremes[number] = np.maximum(extremes[number], sizes)

    workers.run(measure)
    largest = extremes.max(axis=0).astype(float)
    shrinkage = options.learning_rate / options.n_trees_averaged
    limit = 2 ** (options.leaf_bits - 1) - 1
    scales = np.maximum.reduce([3 * shrinkage * sigma / limit, largest / 16_000, np.full(len(sigma), 1e-12)])

    def round_off(thread: int, n_threads: int) -> None:
        for number in range(thread, len(blocks), n_threads):
            for part in samples.parts(blocks[number]):
                values = components(part)
                here = slice(part.start - blocks[number].start, part.stop - blocks[number].start)
                if missing:
                    present[number, here] = ~np.isnan(values)
                residuals[number, here] = np.rint(filled(values) / scales.astype(np.float32))

    workers.run(round_off)
    return residuals, present, scales


def draw_thresholds(
    pool: npt.NDArray[np.uint8], pairs: npt.NDArray[np.uint16], n_samples: int, rng: np.random.Generator
) -> npt.NDArray[np.int16]:
    """Draw a threshold for each pair: the difference that it has in a sample drawn at random."""
    return _differences(pool, pairs, rng.integers(n_samples, size=pairs.shape[:-1]))


def _differences(
    pool: npt.NDArray[np.uint8], pairs: npt.NDArray[np.uint16], samples: npt.NDArray[np.int64]
) -> npt.NDArray[np.int16]:
    block, place = np.divmod(samples, BLOCK)
    first = pool[block, place, pairs[..., 0]].astype(np.int16)
    return first - pool[block, place, pairs[..., 1]]


def grow_trees(
    sizes: npt.NDArray[np.int32],
    pool: npt.NDArray[np.uint8],
    residuals: npt.NDArray[np.int16],
    present: npt.NDArray[np.uint8],
    scales: npt.NDArray[np.float64],
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
    largest = int(np.abs(residuals[..., :n_scored].astype(np.int32)).max())
    shift = max(0, largest.bit_length() - SCORED_LIMIT.bit_length())
    weights = scales[:n_scored] ** 2
    n_threads = workers.n_threads
    counts = np.empty((n_threads, n_splits, n_tests + 1), np.int64)
    leaf_sums = np.empty((n_threads, n_leaves, n_components), np.int64)
    data = sizes, pool, residuals, present
    work = (
        np.empty((n_blocks, BLOCK), np.int32),
        np.empty((n_blocks, n_leaves + 1), np.int32),
        np.empty((n_blocks, count_groups(n_tests), BLOCK), np.uint32),
        np.empty((n_blocks, BLOCK, rounded_up(n_scored, COLUMNS)), np.float32),
        counts,
        np.empty((*counts.shape, n_scored)),
        leaf_sums,
        np.empty_like(leaf_sums),
    )
    leaf_type = np.int8 if options.leaf_bits == 8 else np.int16
    limit = np.iinfo(leaf_type).max
    shrinkage = options.learning_rate / options.n_trees_averaged
    # With averaging, the trees of one tier all see the residuals that the tier began with.
    after = residuals if options.n_trees_averaged == 1 else residuals.copy()
    grown = []
    step = max(1, min(TREES_A_CALL, CANDIDATES_DRAWN // (n_splits * n_tests)))
    for first in range(0, n_trees, step):
        trees = np.arange(first, min(first + step, n_trees))
        chosen = np.empty((n_threads, len(trees), n_splits), np.int64)
        leaves = np.empty((n_threads, len(trees), n_leaves, n_components), np.int16)
        packed = pack_candidates(pairs[trees], thresholds[trees])
        tier = np.where((trees + 1) % options.n_trees_averaged == 0, after is not residuals, 0)
        n_counters = len(trees) * (options.max_depth + 1) + 1
        rest = weights, shrinkage, limit, after, tier, chosen, leaves
        workers.run_synchronized(grow_trees_block, n_counters, data, work, shift, *packed, *rest)
        at = trees[:, None], np.arange(n_splits), chosen[0]
        grown.append((pairs[at], thresholds[at], leaves[0].astype(leaf_type)))
        on_tree(len(trees))
    all_pairs, all_thresholds, all_leaves = (np.concatenate(parts) for parts in zip(*grown, strict=True))
    return all_pairs, all_thresholds, all_leaves
