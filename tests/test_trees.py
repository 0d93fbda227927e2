import naive
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ert.parallel import Workers
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

DEPTH, PIXELS, TESTS, COMPONENTS, SCORED = 3, 12, 6, 5, 3


def blocks(n, rng):
    """Random training data of n samples, as `ert.trees` lays it out and as plain arrays."""
    n_blocks = -(-n // BLOCK)
    sizes = np.full(n_blocks, BLOCK, np.int32)
    sizes[-1] = n - (n_blocks - 1) * BLOCK
    pool = rng.integers(0, 256, (n_blocks, PIXELS, BLOCK), dtype=np.uint8)
    residuals = rng.integers(-9000, 9000, (n_blocks, BLOCK, COMPONENTS)).astype(np.int16)
    plain_pool = pool.transpose(1, 0, 2).reshape(PIXELS, -1)[:, :n]
    return sizes, pool, residuals, plain_pool, residuals.reshape(-1, COMPONENTS)[:n]


def grow(n, n_threads, rng, present=None):
    sizes, pool, residuals, plain_pool, plain = blocks(n, rng)
    n_splits, n_leaves = 2**DEPTH - 1, 2**DEPTH
    pairs = rng.integers(0, PIXELS, (n_splits, TESTS, 2)).astype(np.uint16)
    thresholds = rng.integers(-100, 100, (n_splits, TESTS)).astype(np.int16)
    weights = rng.random(SCORED)
    order, bounds = np.empty((len(sizes), BLOCK), np.int32), np.zeros((len(sizes), n_leaves + 1), np.int32)
    scored = np.empty((len(sizes), SCORED, BLOCK), np.float32)
    chosen_pairs, chosen_thresholds = np.empty((n_splits, 2), np.uint16), np.empty(n_splits, np.int16)
    with Workers(n_threads) as workers:
        workers.run(start_tree, sizes, residuals, 1, order, bounds, scored)
        for level in range(DEPTH):
            nodes = slice(2**level - 1, 2 ** (level + 1) - 1)
            counts = np.empty((n_threads, 2**level, TESTS + 1), np.int64)
            sums = np.empty((*counts.shape, SCORED))
            workers.run(
                score_level,
                sizes,
                pool,
                order,
                bounds,
                scored,
                pairs[nodes],
                thresholds[nodes],
                counts,
                sums,
            )
            chosen = np.empty(2**level, np.int64)
            choose_splits(counts, sums, weights, chosen)
            chosen_pairs[nodes] = pairs[nodes][np.arange(2**level), chosen]
            chosen_thresholds[nodes] = thresholds[nodes][np.arange(2**level), chosen]
            splits = chosen_pairs[nodes], chosen_thresholds[nodes]
            workers.run(split_level, sizes, pool, order, bounds, scored, *splits)
        leaf_sums = np.empty((n_threads, n_leaves, COMPONENTS), np.int64)
        leaf_counts = np.empty_like(leaf_sums)
        present = np.zeros((0, 0, 0), np.uint8) if present is None else present
        workers.run(sum_leaves, sizes, order, bounds, residuals, present, leaf_sums, leaf_counts)
        leaves = rng.integers(-100, 100, (n_leaves, COMPONENTS)).astype(np.int16)
        before = plain.copy()
        workers.run(apply_leaves, sizes, order, bounds, leaves, present, residuals)
    clipped = np.clip(before[:, :SCORED] >> 1, -SCORED_LIMIT, SCORED_LIMIT).astype(float)
    twin = naive.grow_tree(plain_pool, clipped, pairs, thresholds, weights)
    return twin, chosen_pairs, chosen_thresholds, leaf_sums.sum(0), leaf_counts.sum(0), before, leaves, plain


@settings(max_examples=25)
@given(
    st.integers(0, 10**6),
    st.sampled_from([1, 2, 30, 500, BLOCK, BLOCK + 1, 2 * BLOCK + 100]),
    st.integers(1, 3),
)
def test_a_tree_matches_its_twin(seed, n, n_threads):
    twin, pairs, thresholds, sums, counts, before, leaves, after = grow(
        n, n_threads, np.random.default_rng(seed)
    )
    twin_pairs, twin_thresholds, leaf_of = twin
    assert np.array_equal(pairs, twin_pairs)
    assert np.array_equal(thresholds, twin_thresholds)
    for leaf in range(2**DEPTH):
        members = leaf_of == leaf
        assert (counts[leaf] == members.sum()).all()
        assert np.array_equal(sums[leaf], before[members].astype(int).sum(axis=0))
    assert np.array_equal(after, before - leaves[leaf_of])


def test_missing_components_are_neither_counted_nor_moved():
    rng = np.random.default_rng(0)
    n = BLOCK + 50
    present = rng.integers(0, 2, (2, BLOCK, COMPONENTS)).astype(np.uint8)
    twin, _, _, _, counts, before, leaves, after = grow(n, 2, rng, present)
    there = present.reshape(-1, COMPONENTS)[:n]
    for leaf in range(2**DEPTH):
        assert np.array_equal(counts[leaf], there[twin[2] == leaf].sum(axis=0))
    assert np.array_equal(after, before - leaves[twin[2]] * there)


def test_sums_within_a_block_are_exact_in_float32():
    assert BLOCK * SCORED_LIMIT < 2**24
