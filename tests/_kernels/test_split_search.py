import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ert._kernels import split_search as scoring
from ert._kernels.split_search import (
    CANDIDATES,
    COLUMNS,
    accumulate_left_sums,
    evaluate_splits,
    new_pool,
    pack_candidates,
)

BLOCK = 40


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10**6),
    st.sampled_from([1, 2, 63, 64, 65, 128, 129, 300, 400, 512, 513, 1000]),
    st.sampled_from([1, 5, 20, 31, 32, 33, 63, 64, 80]),
    st.booleans(),
)
def test_decisions_and_sums_match_the_slow_ones(seed, n_pixels, n_tests, entry_point):
    rng = np.random.default_rng(seed)
    n_blocks, n_splits = 2, 3
    pool = new_pool(n_blocks, BLOCK, n_pixels)
    pool[...] = rng.choice([0, 1, 127, 128, 254, 255, *rng.integers(0, 256, 9)], pool.shape)
    pairs = rng.integers(0, n_pixels, (n_splits, n_tests, 2)).astype(np.uint16)
    thresholds = rng.integers(-256, 257, (n_splits, n_tests)).astype(np.int16)
    numbers, limits = pack_candidates(pairs, thresholds)
    order = np.stack([rng.permutation(BLOCK) for _ in range(n_blocks)]).astype(np.int32)
    scored = rng.integers(-8191, 8192, (n_blocks, BLOCK, 2 * COLUMNS)).astype(np.float32)
    bits = np.zeros((n_blocks, numbers.shape[1], BLOCK), np.uint32)
    out = np.empty((COLUMNS + 1, CANDIDATES), np.float32)
    block, node = rng.integers(n_blocks), rng.integers(n_splits)
    low, high = np.sort(rng.integers(0, BLOCK + 1, 2))
    samples = order[block, low:high]
    first, second = (pool[block][samples][:, pairs[node, :, k]].astype(int) for k in (0, 1))
    left = np.zeros((high - low, numbers.shape[1] * CANDIDATES), bool)
    left[:, :n_tests] = first - second > thresholds[node]
    # And one that is true of all.
    left[:, n_tests] = True
    # Not compiled it does as on processors without wide look-ups.
    call = evaluate_splits if entry_point else evaluate_splits.py_func
    for group in range(numbers.shape[1]):
        with pytest.MonkeyPatch.context() as patch, np.errstate(over="ignore"):
            patch.setattr(scoring, "_WIDE", False)
            call(pool, block, order, low, high, numbers, limits, node, group, bits)
        here = left[:, group * CANDIDATES : (group + 1) * CANDIDATES]
        assert np.array_equal(bits[block, group, low:high] >> np.arange(32)[:, None] & 1, here.T)
        for column in (0, COLUMNS):
            accumulate_left_sums(bits, block, group, order, low, high, scored, column, out)
            values = scored[block][samples][:, column : column + COLUMNS]
            assert np.array_equal(out[:COLUMNS], values.T @ here)
            assert np.array_equal(out[COLUMNS], here.sum(axis=0))


def test_rows_are_whole_lines_and_what_is_read_behind_the_last_belongs_to_the_pool():
    pool = new_pool(3, BLOCK, 65)
    assert pool.shape == (3, BLOCK, 128)
    assert pool.base.size >= pool.size + 64
