"""Training one stage of the cascade (Kazemi & Sullivan 2014, algorithm 1).

feature pool -> residuals, as integers in a basis of displacements -> candidate splits -> trees -> new shapes
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, partial
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ert._core.types import Floats, Pixels
from ert._kernels import Workers, apply_stage, grow_trees, read_feature_pool
from ert.model.cascade import N_CHANNELS, Stage, quantize_basis
from ert.training.crops import Crops
from ert.training.exchange import ALONE, Exchange
from ert.training.memory import BLOCK_LENGTH, CANDIDATES_PER_DRAW, N_SCORED, new_pool
from ert.training.parameters import CascadeKind, Options
from ert.training.samples import Samples, draw_samples

# Least half-width of a pool in sides of the box: a single landmark, or several on a line, have no width.
MIN_HALF_WIDTH = 0.1
# Residuals of at most this many samples determine the basis.
MAX_BASIS_SAMPLES = 20_000
# Largest residual in units of its component.
MAX_RESIDUAL = 16_000
# Samples that one thread trains on by itself. A level of a tree takes it less than 1 ms, and a thread that a busy
# system suspends for 3 ms or more while it has some of the samples delays all others: with 9200 samples, two threads
# took 1.3 times as long as one beside other jobs.
SAMPLES_OF_ONE_THREAD = 8 * BLOCK_LENGTH
# The trees, and the candidates of each of their splits, that select pixels from a larger pool.
N_SELECTION_TREES, N_SELECTION_TESTS = 40, 40
# Trees for single landmarks: the pixels that pairs are drawn from, those nearest to the landmark; the distance in which
# pairs become rarer by a factor of e, and the least spread of a stage's pool, in spreads and in sides of the box.
N_LOCAL_PIXELS = 128
RADIUS_PER_SPREAD = 0.5
MIN_SPREAD = 0.01
# The share of a pool's pixels that are gray levels where the others are read from maps of orientations.
GRAY_SHARE = 0.3

Targets: TypeAlias = tuple[npt.NDArray[np.int16], npt.NDArray[np.uint8], Floats, int]
Trees: TypeAlias = tuple[npt.NDArray[np.uint16], npt.NDArray[np.int16], npt.NDArray[np.signedinteger]]
Prior: TypeAlias = tuple[npt.NDArray[np.uint16], Floats]
OnTrees: TypeAlias = Callable[[int], object] | None


def useful_threads(n_samples: int, n_threads: int) -> int:
    """Return how many of `n_threads` threads are worth using; this does not change the model."""
    return n_threads if n_samples >= SAMPLES_OF_ONE_THREAD else 1


def train_stage(
    samples: Samples,
    stage: int,
    options: Options,
    workers: Workers,
    before: Stage | None = None,
    on_trees: OnTrees = None,
) -> Stage:
    """Train one stage of the cascade and move the samples' shapes by it.

    Random draws are seeded by the number of the stage. `before` is the stage before, whose basis may be shared;
    `on_trees` is called with the number of trees that have been grown since the last call.
    """
    rng = np.random.default_rng([options.random_state, 1, stage])
    kind = options.cascade_kind
    n_drawn = max(options.n_pixels, options.n_pool_candidates)
    mean_shape = samples.mean_shape.astype(float)
    spread = spread_of_stage(options, stage)
    exchange = samples.exchange
    anchors, deltas = exchange.same(draw_pool(mean_shape, n_drawn, options.padding, spread, rng))
    channels = draw_channels(n_drawn, rng) if options.channels == "gray+orientation" else None
    pool, similarities = _read_pool(samples, anchors, deltas, channels, kind, workers)
    missing = bool(exchange.max(np.isnan(samples.truth).any(keepdims=True).ravel())[0])
    shared = None if before is None or stage % options.stages_per_basis == 0 else before.basis
    n_components = None if missing else options.n_components
    basis = residual_basis(samples, similarities, n_components, shared, rng)
    targets, scales = compute_targets(samples, similarities, basis, missing, options, workers)

    def grow(pool: Pixels, positions: Floats, targets: Targets, options: Options, on_trees: OnTrees = None) -> Trees:
        """Grow trees for the whole shape, or each for a landmark."""
        if options.tree_target == "shape":
            candidates = _draw_candidates(pool, positions, options, samples, workers, rng)
            return grow_trees(pool, targets, candidates, leaf_rule, workers, on_trees, exchange=in_step)
        chosen = draw_landmarks(options.n_trees, len(mean_shape), rng)
        near: Callable[[int], Prior] = cache(
            partial(local_prior, positions, options.prior_length, mean_shape, RADIUS_PER_SPREAD * spread)
        )
        if in_step is not None:
            priors = [exchange.same(near(number)) for number in range(len(mean_shape))]
            near = priors.__getitem__
        candidates = _draw_candidates(
            pool, positions, options, samples, workers, rng, lambda tree: near(int(chosen[tree]))
        )
        directions, sizes = landmark_directions(basis, scales)
        scored = directions[chosen], sizes[chosen]
        return grow_trees(pool, targets, candidates, leaf_rule, workers, on_trees, scored, in_step)

    positions = (samples.mean_shape[anchors] + deltas).astype(np.float64)
    leaf_rule = options.learning_rate, options.n_trees_averaged, options.leaf_bits
    in_step = None if exchange is ALONE else exchange
    if n_drawn > options.n_pixels:
        n_tests = min(options.n_split_tests, N_SELECTION_TESTS)
        trial = replace(options, n_trees=n_selection_trees(options, len(mean_shape)), n_split_tests=n_tests)
        trial_targets = targets[0].copy(), *targets[1:]
        trial_pairs, _, _ = grow(pool, positions, trial_targets, trial)
        del trial_targets
        kept = most_used(trial_pairs, n_drawn, options.n_pixels)
        anchors, deltas, positions = anchors[kept], deltas[kept], positions[kept]
        channels = None if channels is None else channels[kept]
        pool = _select_pixels(pool, kept, samples)
    trees = grow(pool, positions, targets, options, on_trees)
    result = Stage(anchors, deltas, *trees, *quantize_basis(basis[0], scales, kind.basis_dtype), channels)
    _move_shapes(samples, result, pool, similarities, workers)
    return result


def replay_stage(samples: Samples, stage: Stage, kind: CascadeKind, workers: Workers) -> None:
    """Move the samples' shapes by a trained stage, to the same bytes as :func:`train_stage` did."""
    pool, similarities = _read_pool(samples, stage.anchors, stage.deltas, stage.channels, kind, workers)
    _move_shapes(samples, stage, pool, similarities, workers)


def _read_pool(
    samples: Samples,
    anchors: npt.NDArray[np.uint16],
    deltas: npt.NDArray[np.float32],
    channels: npt.NDArray[np.uint8] | None,
    kind: CascadeKind,
    workers: Workers,
) -> tuple[Pixels, npt.NDArray[np.float32]]:
    """Return every sample's feature pool, and the similarity (n, 2) that transforms its displacements."""
    pool, crops = new_pool(len(samples), len(anchors), mapped=samples.map_pools), samples.crops
    similarities = read_feature_pool(
        (crops.pixels, crops.places),
        (samples.crop_of, samples.transforms, samples.shapes),
        samples.mean_shape,
        (anchors, deltas, channels),
        pool,
        workers,
        None if crops.mapping is None else crops.release,
    )
    if not kind.rotates_displacements:
        similarities[:] = 1, 0
    return pool, similarities


def _move_shapes(
    samples: Samples, stage: Stage, pool: Pixels, similarities: npt.NDArray[np.float32], workers: Workers
) -> None:
    """Move every sample's shape as prediction would, missing landmarks included."""
    trees = stage.pairs, stage.thresholds, stage.leaves
    basis = stage.scales, stage.basis
    apply_stage(trees, basis, pool, similarities, samples.shapes, workers)


def draw_pool(
    mean_shape: Floats, n_pixels: int, padding: float, spread: float, rng: np.random.Generator
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.float32]]:
    """Draw the feature pool of a stage: positions on the mean shape, relative to the nearest landmarks.

    Positions lie up to `padding` outside the mean shape's bounding rectangle; with a positive `spread` they are
    normally distributed around random landmarks, with this standard deviation. All are in sides of the box.
    Return the nearest landmark (n_pixels,) and the offset from it (n_pixels, 2): Kazemi & Sullivan 2014, section 2.3.1.
    """
    if spread > 0:
        around = mean_shape[rng.integers(len(mean_shape), size=n_pixels)]
        positions = around + rng.normal(0, spread, (n_pixels, 2))
    else:
        low, high = mean_shape.min(axis=0), mean_shape.max(axis=0)
        half = np.maximum((high - low) / 2 + padding, MIN_HALF_WIDTH)
        positions = (low + high) / 2 + rng.uniform(-half, half, (n_pixels, 2))
    distances = np.linalg.norm(positions[:, None] - mean_shape[None], axis=2)
    anchors = distances.argmin(axis=1)
    return anchors.astype(np.uint16), (positions - mean_shape[anchors]).astype(np.float32)


def draw_channels(n_pixels: int, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Draw what each pixel (n_pixels,) of a pool is read from, see :class:`ert.model.cascade.Stage`."""
    n_maps = N_CHANNELS - 1
    return rng.choice(N_CHANNELS, n_pixels, p=[GRAY_SHARE] + [(1 - GRAY_SHARE) / n_maps] * n_maps).astype(np.uint8)


def spread_of_stage(options: Options, stage: int) -> float:
    """Return the spread of the feature pool of a stage, counted from 0: it shrinks from one to the next."""
    shrunk = options.pool_spread * options.spread_decay**stage
    return max(shrunk, min(MIN_SPREAD, options.pool_spread))


def n_selection_trees(options: Options, n_landmarks: int) -> int:
    """Return the number of trees that select pixels: those for single landmarks serve every landmark."""
    return N_SELECTION_TREES if options.tree_target == "shape" else max(N_SELECTION_TREES, n_landmarks)


def draw_landmarks(n_trees: int, n_landmarks: int, rng: np.random.Generator) -> npt.NDArray[np.intp]:
    """Return the landmark (n_trees,) of each tree: all of them in turn, each time in another order."""
    turns = [rng.permutation(n_landmarks) for _ in range(-(-n_trees // n_landmarks))]
    chosen: npt.NDArray[np.intp] = np.concatenate(turns)[:n_trees]
    return chosen


def landmark_directions(basis: tuple[Floats, Floats], scales: Floats) -> tuple[Floats, Floats]:
    """Return the products (n_landmarks, 2, n_components) of components that are a landmark's residual, and its size.

    The size (n_landmarks,) is five times its root mean square: what is larger counts as much.
    """
    vectors, sigma = basis
    squares = ((vectors * sigma[:, None]) ** 2).sum(axis=0).reshape(-1, 2).max(axis=1)
    return (vectors * scales[:, None]).T.reshape(-1, 2, len(scales)), 5 * np.sqrt(squares)


def _draw_candidates(
    pool: Pixels,
    positions: Floats,
    options: Options,
    samples: Samples,
    workers: Workers,
    rng: np.random.Generator,
    prior_of: Callable[[int], Prior] | None = None,
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.int16]]:
    """Draw pairs (n_trees, n_splits, n_split_tests, 2) and thresholds (n_trees, n_splits, n_split_tests).

    `prior_of` returns the pairs of each tree, and their probabilities; those of :func:`pair_prior` by default.
    """
    n_splits = 2**options.max_depth - 1
    shape = options.n_trees, n_splits, options.n_split_tests
    n_per_tree = n_splits * options.n_split_tests
    pairs = np.empty((options.n_trees * n_per_tree, 2), np.uint16)
    thresholds = np.empty(len(pairs), np.int16)
    # All of them at once where they have the same pairs.
    n_alike = n_per_tree
    if prior_of is None:
        alike, cumulative = pair_prior(positions, options.prior_length)
        n_alike, shared = len(pairs), (alike, *samples.exchange.same((cumulative,)))

        def prior_of(tree: int) -> Prior:
            return shared

    def pick(first: int, which: Floats, order: Floats, chosen: npt.NDArray[np.int64]) -> None:
        rows = slice(first, first + len(which))
        for i in range(0, len(which), n_alike):
            part = slice(i, i + n_alike)
            pairs[rows][part] = pick_pairs(prior_of((first + i) // n_per_tree), which[part], order[part])
        thresholds[rows] = samples.pixel_differences(pool, pairs[rows], chosen)

    # Whole trees at once.
    step = max(1, CANDIDATES_PER_DRAW // n_per_tree) * n_per_tree
    for first in range(0, len(pairs), step):
        n = min(step, len(pairs) - first)
        # Drawn by one thread: the model must not depend on the number of threads.
        draws = rng.random(n), rng.random(n), rng.integers(samples.n_total, size=n)
        cuts = range(0, n, -(-n // (n_per_tree * workers.n_threads)) * n_per_tree)
        parts = [[draw[cut : cut + cuts.step] for cut in cuts] for draw in draws]
        list(workers.map(pick, [first + cut for cut in cuts], *parts))
    return pairs.reshape(*shape, 2), samples.exchange.sum(thresholds).reshape(shape)


def draw_pairs(
    positions: Floats, n_pairs: int, prior_length: float, rng: np.random.Generator
) -> npt.NDArray[np.uint16]:
    """Draw pairs (n_pairs, 2) of pixels with probability proportional to exp(-distance / prior_length).

    Lengths are in sides of the box; `prior_length` is the inverse of the paper's lambda (section 2.3.3),
    dlib's `lambda_param`.
    """
    prior = pair_prior(positions, prior_length)
    return pick_pairs(prior, rng.random(n_pairs), rng.random(n_pairs))


def pair_prior(positions: Floats, prior_length: float) -> Prior:
    """Return all pairs (n, 2) of pixels and their cumulative, unnormalized probabilities (n,)."""
    n = len(positions)
    n_after = np.arange(n - 1, -1, -1)
    second = np.concatenate([np.arange(i + 1, n, dtype=np.uint16) for i in range(n)])
    pairs = np.stack([np.repeat(np.arange(n, dtype=np.uint16), n_after), second], axis=1)
    # A coordinate at a time and in place, a quarter of the time of numpy.linalg.norm with the same bits.
    values = np.zeros(len(pairs))
    for coordinate in np.ascontiguousarray(positions.T):
        differences = np.repeat(coordinate, n_after)
        differences -= coordinate[second]
        differences *= differences
        values += differences
    distances = np.sqrt(values, out=values)
    exponents = np.subtract(distances.min(), distances, out=values)
    exponents /= prior_length
    return pairs, np.cumsum(np.exp(exponents, out=values), out=values)


def local_prior(positions: Floats, prior_length: float, points: Floats, radius: float, number: int) -> Prior:
    """Return pairs (n, 2) of the pixels next to a point, and their cumulative, unnormalized probabilities (n,).

    Those of :func:`pair_prior` are multiplied by exp(-distance / radius) for the distance of the pair's middle.
    """
    point = points[number]
    nearest = np.argsort(np.linalg.norm(positions - point, axis=1), kind="stable")[:N_LOCAL_PIXELS]
    first, second = np.triu_indices(len(nearest), k=1)
    ends = positions[nearest[first]], positions[nearest[second]]
    exponents = np.linalg.norm(ends[0] - ends[1], axis=1) / prior_length
    exponents += np.linalg.norm((ends[0] + ends[1]) / 2 - point, axis=1) / radius
    pairs = np.stack([nearest[first], nearest[second]], axis=1).astype(np.uint16)
    return pairs, np.cumsum(np.exp(exponents.min() - exponents))


def pick_pairs(prior: Prior, which: Floats, order: Floats) -> npt.NDArray[np.uint16]:
    """Return the pairs (n, 2) at random numbers `which` in [0, 1), exchanged where `order` is below 0.5."""
    pairs, cumulative = prior
    # In ascending order: a search in the cache, a quarter of the time.
    ascending = np.argsort(which)
    places = np.empty(len(which), np.int64)
    places[ascending] = np.searchsorted(cumulative, which[ascending] * cumulative[-1], side="right")
    picked: npt.NDArray[np.uint16] = pairs[places]
    exchanged = order < 0.5
    picked[exchanged] = picked[exchanged, ::-1]
    return picked


def residual_basis(
    samples: Samples,
    similarities: npt.NDArray[np.float32],
    n_components: int | None,
    shared: npt.NDArray[np.signedinteger] | None,
    rng: np.random.Generator,
) -> tuple[Floats, Floats]:
    """Return the principal directions (n_components, 2 * n_landmarks) of the residuals and their deviations.

    `similarities` (n, 2) are those from the mean shape to each sample's shape. Where `n_components` is None,
    which missing landmarks require, the basis is the identity. A `shared` basis, that of the stage before, is
    kept; the standard deviations are those of the residuals along it.
    """
    n_chosen = min(samples.n_total, MAX_BASIS_SAMPLES)
    chosen = np.sort(rng.choice(samples.n_total, n_chosen, replace=False))
    # The second moment, not the covariance: the mean residual must be corrected as well.
    moment = np.zeros((samples.mean_shape.size, samples.mean_shape.size))
    for part in samples.parts_of_residuals(chosen, similarities):
        residuals = np.nan_to_num(part).astype(float)
        moment += residuals.T @ residuals / n_chosen
    return samples.exchange.same(_basis_of_moment(moment, n_components, shared))


def _basis_of_moment(
    moment: Floats, n_components: int | None, shared: npt.NDArray[np.signedinteger] | None
) -> tuple[Floats, Floats]:
    if n_components is None:
        return np.eye(len(moment)), np.sqrt(np.diag(moment))
    if shared is not None:
        # Nearly orthogonal: later trees correct what rounding to integers has changed.
        directions = shared / np.linalg.norm(shared.astype(float), axis=1, keepdims=True)
        variances = np.einsum("di,ij,dj->d", directions, moment, directions)
        return directions, np.sqrt(np.maximum(variances, 0))
    variances, vectors = np.linalg.eigh(moment)
    largest = slice(None, -min(n_components, len(moment)) - 1, -1)
    return vectors.T[largest].copy(), np.sqrt(np.maximum(variances[largest], 0))


def leaf_scales(sigma: Floats, largest: Floats, shrinkage: float, leaf_bits: int) -> Floats:
    """Return the unit of each component (n_components,), as small as leaves of `leaf_bits` allow.

    The leaves of the first trees, the largest, reach three standard deviations of the residuals times the
    shrinkage; the largest residual has at most 16,000 units.
    """
    leaf_units = 3 * shrinkage * sigma / (2 ** (leaf_bits - 1) - 1)
    scales: Floats = np.maximum(np.maximum(leaf_units, largest / MAX_RESIDUAL), 1e-12)
    return scales


def compute_targets(
    samples: Samples,
    similarities: npt.NDArray[np.float32],
    basis: tuple[Floats, Floats],
    missing: bool,
    options: Options,
    workers: Workers,
) -> tuple[Targets, Floats]:
    """Return the residuals in a basis as :func:`ert._kernels.grow_trees` takes them, and their units.

    The residuals are in integer units of the leaves, so that each tree corrects the rounding of those before it.
    """
    directions, sigma = basis
    blocks = samples.blocks
    shape = len(blocks), BLOCK_LENGTH, len(directions)
    residuals = np.zeros(shape, np.int16)
    present = np.zeros(shape if missing else (0, 0, 0), np.uint8)
    projection = directions.T.astype(np.float32)

    def read_parts(block: slice) -> Iterator[tuple[slice, npt.NDArray[np.float32]]]:
        """Yield the rows of parts of a block, and their components, NaN where missing."""
        for part in samples.parts(block):
            aligned = samples.aligned_residuals(np.arange(part.start, part.stop), similarities)
            rows = slice(part.start - block.start, part.stop - block.start)
            yield rows, aligned if missing else samples.multiply(part, aligned, projection)

    # Computed twice, first for the extremes: in float32 they would be the largest array of all.
    def find_extremes(block: slice) -> npt.NDArray[np.float32]:
        extremes = np.zeros(len(directions), np.float32)
        for _, components in read_parts(block):
            # fmax ignores NaN.
            extremes = np.fmax(extremes, np.fmax.reduce(np.abs(components)))
        return extremes

    extremes = [np.zeros(len(directions), np.float32), *workers.map(find_extremes, blocks)]
    largest = samples.exchange.max(np.max(extremes, axis=0)).astype(float)
    shrinkage = options.learning_rate / options.n_trees_averaged
    scales = leaf_scales(sigma, largest, shrinkage, options.leaf_bits)

    def quantize(number: int) -> None:
        for rows, components in read_parts(blocks[number]):
            if missing:
                present[number, rows] = ~np.isnan(components)
                components = np.nan_to_num(components)
            residuals[number, rows] = np.rint(components / scales.astype(np.float32))

    list(workers.map(quantize, range(len(blocks))))
    n_scored = len(scales) if missing else N_SCORED
    return (residuals, present, scales[:n_scored] ** 2, len(samples)), scales


def most_used(pairs: npt.NDArray[np.uint16], n_drawn: int, n_kept: int) -> npt.NDArray[np.intp]:
    """Return the `n_kept` of `n_drawn` pixels that splits (n_trees, n_splits, 2) use most, in ascending order.

    Each use counts as much as the share of the samples that reach the split.
    """
    level = np.log2(np.arange(1, pairs.shape[1] + 1)).astype(int)
    shares = np.broadcast_to(0.5 ** level[:, None], pairs.shape)
    uses = np.bincount(pairs.ravel(), shares.ravel(), n_drawn)
    return np.sort(np.argsort(-uses, kind="stable")[:n_kept])


def _select_pixels(pool: Pixels, kept: npt.NDArray[np.intp], samples: Samples) -> Pixels:
    smaller = new_pool(len(samples), len(kept), mapped=samples.map_pools)
    for rows, kept_rows in zip(pool, smaller, strict=True):
        np.take(rows, kept, axis=0, out=kept_rows)
    return smaller


def warm_up_training(options: Options, *, missing: bool, n_threads: int, exchange: Exchange = ALONE) -> None:
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
    crops = Crops.pack(np.zeros((4, 8, 8), np.uint8), np.array([8.0, 0, 0, 8, 0, 0]))
    samples = draw_samples(crops, shapes, None, small)
    samples.exchange = exchange
    with threadpool_limits(1), Workers(n_threads) as workers:
        replay_stage(samples, train_stage(samples, 0, small, workers), small.cascade_kind, workers)
