import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import naive

from ert._kernels.grow import (
    MAX_BLOCK_LENGTH,
    MAX_DIRECTION_SUM,
    SCORED_LIMIT,
    Boosting,
    Candidates,
    TrainingBlocks,
    TreeOutput,
    boost_trees,
    grow_trees,
    new_workspace,
    quantize_directions,
)
from ert._kernels.split_search import pack_candidates
from ert._kernels.workers import Workers
from ert.training.memory import new_pool

BLOCK = MAX_BLOCK_LENGTH
DEPTH, PIXELS, COMPONENTS, SCORED, LIMIT = 3, 12, 5, 3, 100
N_SPLITS, N_LEAVES = 2**DEPTH - 1, 2**DEPTH


def random_blocks(n, rng):
    """Random training data of n samples, in blocks and as a plain array of pixels."""
    n_blocks = -(-n // BLOCK)
    sizes = np.full(n_blocks, BLOCK, np.int32)
    sizes[-1] = n - (n_blocks - 1) * BLOCK
    pool = new_pool(n, PIXELS)
    pool[...] = rng.integers(0, 256, pool.shape)
    residuals = rng.integers(-9000, 9000, (n_blocks, BLOCK, COMPONENTS)).astype(np.int16)
    plain_pool = np.moveaxis(pool, 1, 0).reshape(PIXELS, -1)[:, :n]
    return sizes, pool, residuals, plain_pool


def plain(residuals, n):
    return residuals.reshape(-1, COMPONENTS)[:n].astype(int)


def random_candidates(rng, n_trees, n_tests):
    pairs = rng.integers(0, PIXELS, (n_trees, N_SPLITS, n_tests, 2)).astype(np.uint16)
    return pairs, rng.integers(-100, 100, (n_trees, N_SPLITS, n_tests)).astype(np.int16)


def grow(n, n_threads, rng, present=None, n_trees=3, n_tests=6, tier=None, directed=False):
    """Boost trees, and compare each of them with its twin."""
    sizes, pool, residuals, plain_pool = random_blocks(n, rng)
    present = np.zeros((0, 0, 0), np.uint8) if present is None else present
    there = plain(present, n) if present.size else np.ones((n, COMPONENTS), int)
    residuals *= present if present.size else np.int16(1)
    pairs, thresholds = random_candidates(rng, n_trees, n_tests)
    weights = rng.random(SCORED)
    directions = rng.integers(-3000, 3000, (n_trees, SCORED, COMPONENTS)).astype(np.int32) if directed else None
    none = np.zeros((n_trees, 0, 0), np.int32)
    shift = 10 if directed else 1
    chosen = np.empty((n_trees, N_SPLITS), np.int64)
    leaves = np.empty((n_trees, N_LEAVES, COMPONENTS), np.int16)
    before = plain(residuals, n)
    updated = residuals if tier is None else residuals.copy()
    ends = np.zeros(n_trees, int) if tier is None else np.array(tier)
    blocks = TrainingBlocks(sizes, pool, residuals, updated, present)
    arguments = (
        blocks,
        Candidates(*pack_candidates(pairs, thresholds)),
        Boosting(shift, weights, 0.25, LIMIT, ends, directions if directed else none),
        new_workspace(blocks, N_SPLITS, n_tests, SCORED, n_threads),
        TreeOutput(chosen, leaves),
    )
    with Workers(n_threads) as workers:
        workers.run_phases(n_trees * (DEPTH + 1) + 1, len(sizes), boost_trees, *arguments)
    left, at = before.copy(), np.arange(N_SPLITS)
    for tree in range(n_trees):
        scored = before @ directions[tree].T if directed else before[:, :SCORED]
        clipped = np.clip(scored >> shift, -SCORED_LIMIT, SCORED_LIMIT).astype(float)
        twin = naive.grow_tree(plain_pool, clipped, pairs[tree], thresholds[tree], weights)
        twin_pairs, twin_thresholds, leaf_of = twin
        assert np.array_equal(pairs[tree][at, chosen[tree]], twin_pairs)
        assert np.array_equal(thresholds[tree][at, chosen[tree]], twin_thresholds)
        for leaf in range(N_LEAVES):
            members = leaf_of == leaf
            mean = before[members].sum(axis=0) / np.maximum(there[members].sum(axis=0), 1)
            expected = np.clip(np.rint(0.25 * mean), -LIMIT, LIMIT)
            assert np.array_equal(leaves[tree, leaf], expected)
        left = np.clip(left - leaves[tree][leaf_of] * there, -32768, 32767)
        before = left.copy() if tier is None or tier[tree] else before
    assert np.array_equal(plain(updated, n), left)
    assert np.array_equal(plain(residuals, n), before)


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.sampled_from([1, 2, 30, 500, BLOCK, BLOCK + 1, 2 * BLOCK + 100]), st.integers(1, 3))
def test_trees_match_their_twins(seed, n, n_threads):
    grow(n, n_threads, np.random.default_rng(seed))


def test_more_candidates_than_a_group_has():
    grow(300, 2, np.random.default_rng(1), n_tests=70)


def test_missing_components_are_neither_counted_nor_moved():
    rng = np.random.default_rng(0)
    present = rng.integers(0, 2, (2, BLOCK, COMPONENTS)).astype(np.uint8)
    grow(BLOCK + 50, 2, rng, present)


def test_trees_of_a_tier_see_the_same_residuals():
    grow(BLOCK + 50, 2, np.random.default_rng(2), n_trees=5, tier=[0, 1, 0, 0, 1])
    grow(500, 1, np.random.default_rng(3), n_trees=2, tier=[0, 0])


@pytest.mark.parametrize("n_threads", [1, 2])
def test_products_of_the_components_are_scored(n_threads):
    grow(BLOCK + 50, n_threads, np.random.default_rng(4), directed=True)


@given(st.integers(0, 10**6), st.integers(1, 40))
def test_directions_keep_their_proportions_and_products_fit_into_32_bits(seed, n_components):
    rng = np.random.default_rng(seed)
    directions = rng.standard_normal((3, 2, n_components)) * 10 ** rng.uniform(-9, 3)
    sizes = rng.uniform(0, 1e4, 3) * 10 ** rng.uniform(-9, 3)
    rows, shift = quantize_directions(directions, sizes)
    assert np.abs(rows.astype(np.int64)).sum(axis=2).max() <= MAX_DIRECTION_SUM
    assert 0 <= shift <= 8
    for row, direction, size in zip(rows, directions, sizes, strict=True):
        unit = size / SCORED_LIMIT
        if np.abs(direction).sum(axis=1).max() < unit * MAX_DIRECTION_SUM / 2:
            np.testing.assert_allclose(row, direction / unit * 2**shift, atol=0.5 + 1e-9)


def test_sums_within_a_block_are_exact_in_float32():
    assert MAX_BLOCK_LENGTH * SCORED_LIMIT < 2**24


@pytest.mark.parametrize(("leaf_bits", "n_averaged"), [(8, 1), (16, 1), (16, 5)])
def test_trees_of_several_calls_match_their_twins(leaf_bits, n_averaged):
    """More trees than one call of the kernel grows, chained as `grow_trees` chains them."""
    rng = np.random.default_rng(0)
    n, n_trees = BLOCK + 50, 20
    _, pool, residuals, plain_pool = random_blocks(n, rng)
    pairs, thresholds = random_candidates(rng, n_trees, 6)
    weights, left, grown_counts = rng.random(SCORED), plain(residuals, n), []
    before = left.copy()
    targets = residuals, np.zeros((0, 0, 0), np.uint8), weights, n
    rule = 0.2, n_averaged, leaf_bits
    with Workers(2) as workers:
        grown = grow_trees(pool, targets, (pairs, thresholds), rule, workers, grown_counts.append)
    assert sum(grown_counts) == n_trees
    assert len(grown_counts) > 1
    limit = 2 ** (leaf_bits - 1) - 1
    assert grown[2].dtype == f"int{leaf_bits}"
    for tree in range(n_trees):
        # 9000 has one bit more than the limit of what is scored.
        clipped = np.clip(before[:, :SCORED] >> 1, -SCORED_LIMIT, SCORED_LIMIT).astype(float)
        twin_pairs, twin_thresholds, leaf_of = naive.grow_tree(
            plain_pool, clipped, pairs[tree], thresholds[tree], weights
        )
        assert np.array_equal(grown[0][tree], twin_pairs)
        assert np.array_equal(grown[1][tree], twin_thresholds)
        for leaf in range(N_LEAVES):
            members = leaf_of == leaf
            mean = before[members].sum(axis=0) / max(members.sum(), 1)
            expected = np.clip(np.rint(0.2 / n_averaged * mean), -limit, limit)
            assert np.array_equal(grown[2][tree, leaf], expected)
        left = left - grown[2][tree][leaf_of].astype(int)
        if (tree + 1) % n_averaged == 0:
            before = left.copy()


class Both:
    """Sums and extremes over two parts that grow trees in two threads."""

    def __init__(self):
        self.barrier, self.arrays = threading.Barrier(2), {}

    def combine(self, operation, array):
        self.arrays[threading.get_ident()] = array
        self.barrier.wait()
        result = operation(list(self.arrays.values()), axis=0)
        self.barrier.wait()
        return result

    def sum(self, array):
        return self.combine(np.sum, array)

    def max(self, array):
        return self.combine(np.max, array)


@pytest.mark.parametrize("n_averaged", [1, 3])
@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("directed", [False, True])
def test_parts_of_the_samples_grow_the_trees_of_all(n_averaged, missing, directed):
    rng = np.random.default_rng(0)
    n, n_first, n_trees = 2 * BLOCK + 50, BLOCK + 700, 7
    _, pool, residuals, _ = random_blocks(n, rng)
    present = rng.random(residuals.shape) < 0.9 if missing else np.zeros((0, 0, 0), bool)
    residuals *= present if missing else np.int16(1)
    candidates, weights = random_candidates(rng, n_trees, 6), rng.random(SCORED)
    scored = rng.normal(0, 1, (n_trees, SCORED, COMPONENTS)), np.full(n_trees, 9000.0)

    def grow_part(rows, exchange=None, n_threads=1):
        def part(array):
            if not array.size:
                return array
            blocks = np.zeros((-(-len(rows) // BLOCK), BLOCK, *array.shape[2:]), array.dtype)
            blocks.reshape(-1, *array.shape[2:])[: len(rows)] = array.reshape(-1, *array.shape[2:])[rows]
            return blocks

        its_pool = np.ascontiguousarray(np.swapaxes(part(np.swapaxes(pool, 1, 2)), 1, 2))
        targets = part(residuals), part(present).astype(np.uint8), weights, len(rows)
        with Workers(n_threads) as workers:
            directions = scored if directed else None
            rule = 0.2, n_averaged, 16
            return grow_trees(its_pool, targets, candidates, rule, workers, None, directions, exchange)

    whole = grow_part(np.arange(n))
    both = Both()
    with ThreadPoolExecutor() as threads:
        parts = [np.arange(n_first), np.arange(n_first, n)]
        for found in threads.map(grow_part, parts, [both] * 2, [1, 2]):
            assert all(map(np.array_equal, found, whole))


def test_a_pool_of_another_layout_is_refused():
    rng = np.random.default_rng(0)
    targets = np.zeros((1, BLOCK, 1), np.int16), np.zeros((0, 0, 0), np.uint8), np.ones(1), 9
    with Workers(1) as workers:
        for shape in ((1, 64, 63), (1, 64, 2 * BLOCK)):
            with pytest.raises(ValueError, match="expected blocks of a multiple of 64 samples"):
                grow_trees(np.zeros(shape, np.uint8), targets, random_candidates(rng, 1, 2), (0.1, 1, 8), workers)
