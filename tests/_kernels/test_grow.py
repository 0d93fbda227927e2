import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import naive

from ert._kernels.grow import BLOCK, SCORED_LIMIT, grow_trees_block
from ert._kernels.split_search import CANDIDATES, COLUMNS, new_pool, pack_candidates
from ert._kernels.workers import Workers

DEPTH, PIXELS, COMPONENTS, SCORED, LIMIT = 3, 12, 5, 3, 100
N_SPLITS, N_LEAVES = 2**DEPTH - 1, 2**DEPTH


def blocks(n, rng):
    """Random training data of n samples, as `ert.trees` lays it out and as plain arrays."""
    n_blocks = -(-n // BLOCK)
    sizes = np.full(n_blocks, BLOCK, np.int32)
    sizes[-1] = n - (n_blocks - 1) * BLOCK
    pool = new_pool(n_blocks, BLOCK, PIXELS)
    pool[...] = rng.integers(0, 256, pool.shape)
    residuals = rng.integers(-9000, 9000, (n_blocks, BLOCK, COMPONENTS)).astype(np.int16)
    plain_pool = pool.reshape(-1, pool.shape[2])[:n, :PIXELS].T
    return sizes, pool, residuals, plain_pool


def plain(residuals, n):
    return residuals.reshape(-1, COMPONENTS)[:n].astype(int)


def grow(n, n_threads, rng, present=None, n_trees=3, n_tests=6, tier=None):
    """Boost trees, and check each of them against its slow twin."""
    sizes, pool, residuals, plain_pool = blocks(n, rng)
    n_blocks = len(sizes)
    present = np.zeros((0, 0, 0), np.uint8) if present is None else present
    there = plain(present, n) if present.size else np.ones((n, COMPONENTS), int)
    residuals *= present if present.size else np.int16(1)
    pairs = rng.integers(0, PIXELS, (n_trees, N_SPLITS, n_tests, 2)).astype(np.uint16)
    thresholds = rng.integers(-100, 100, (n_trees, N_SPLITS, n_tests)).astype(np.int16)
    weights = rng.random(SCORED)
    counts = np.empty((n_threads, N_SPLITS, n_tests + 1), np.int64)
    leaf_sums = np.empty((n_threads, N_LEAVES, COMPONENTS), np.int64)
    work = (
        np.empty((n_blocks, BLOCK), np.int32),
        np.empty((n_blocks, N_LEAVES + 1), np.int32),
        np.empty((n_blocks, n_tests // CANDIDATES + 1, BLOCK), np.uint32),
        np.empty((n_blocks, BLOCK, COLUMNS), np.float32),
        counts,
        np.empty((*counts.shape, SCORED)),
        leaf_sums,
        np.empty_like(leaf_sums),
    )
    chosen = np.empty((n_threads, n_trees, N_SPLITS), np.int64)
    leaves = np.empty((n_threads, n_trees, N_LEAVES, COMPONENTS), np.int16)
    before = plain(residuals, n)
    after = residuals if tier is None else residuals.copy()
    ends = np.zeros(n_trees, int) if tier is None else np.array(tier)
    data, packed = (sizes, pool, residuals, present), pack_candidates(pairs, thresholds)
    rest = weights, 0.25, LIMIT, after, ends, chosen, leaves
    with Workers(n_threads) as workers:
        workers.run_synchronized(grow_trees_block, n_trees * (DEPTH + 1) + 1, data, work, 1, *packed, *rest)
    for thread in range(1, n_threads):
        assert np.array_equal(chosen[thread], chosen[0])
        assert np.array_equal(leaves[thread], leaves[0])
    left, at = before.copy(), np.arange(N_SPLITS)
    for tree in range(n_trees):
        clipped = np.clip(before[:, :SCORED] >> 1, -SCORED_LIMIT, SCORED_LIMIT).astype(float)
        twin = naive.grow_tree(plain_pool, clipped, pairs[tree], thresholds[tree], weights)
        twin_pairs, twin_thresholds, leaf_of = twin
        assert np.array_equal(pairs[tree][at, chosen[0, tree]], twin_pairs)
        assert np.array_equal(thresholds[tree][at, chosen[0, tree]], twin_thresholds)
        for leaf in range(N_LEAVES):
            members = leaf_of == leaf
            mean = before[members].sum(axis=0) / np.maximum(there[members].sum(axis=0), 1)
            expected = np.clip(np.rint(0.25 * mean), -LIMIT, LIMIT)
            assert np.array_equal(leaves[0, tree, leaf], expected)
        left = np.clip(left - leaves[0, tree][leaf_of] * there, -32768, 32767)
        before = left.copy() if tier is None or tier[tree] else before
    assert np.array_equal(plain(after, n), left)
    assert np.array_equal(plain(residuals, n), before)


@settings(max_examples=25)
@given(
    st.integers(0, 10**6),
    st.sampled_from([1, 2, 30, 500, BLOCK, BLOCK + 1, 2 * BLOCK + 100]),
    st.integers(1, 3),
)
def test_trees_match_their_twins(seed, n, n_threads):
    grow(n, n_threads, np.random.default_rng(seed))


def test_more_candidates_than_lanes():
    grow(300, 2, np.random.default_rng(1), n_tests=70)


def test_missing_components_are_neither_counted_nor_moved():
    rng = np.random.default_rng(0)
    present = rng.integers(0, 2, (2, BLOCK, COMPONENTS)).astype(np.uint8)
    grow(BLOCK + 50, 2, rng, present)


def test_trees_of_a_tier_see_the_same_residuals():
    grow(BLOCK + 50, 2, np.random.default_rng(2), n_trees=5, tier=[0, 1, 0, 0, 1])
    grow(500, 1, np.random.default_rng(3), n_trees=2, tier=[0, 0])


def test_sums_within_a_block_are_exact_in_float32():
    assert BLOCK * SCORED_LIMIT < 2**24
