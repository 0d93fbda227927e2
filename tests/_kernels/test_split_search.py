import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ert._kernels import split_search
from ert._kernels.split_search import (
    COMPONENTS_PER_PASS,
    GROUP_SIZE,
    accumulate_left_sums,
    evaluate_splits,
    pack_candidates,
)
from ert.training.memory import BLOCK_LENGTH, new_pool


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10**6),
    st.sampled_from([1, 2, 63, 64, 65, 128, 129, 300, 400, 512, 513, 1000]),
    st.sampled_from([1, 5, 20, 31, 32, 33, 63, 64, 80]),
    st.booleans(),
)
def test_decisions_and_sums_match_their_twins(seed, n_pixels, n_tests, compiled):
    rng = np.random.default_rng(seed)
    n_splits, n_rows = 3, 40
    pool = new_pool(BLOCK_LENGTH, n_pixels)[0]
    pool[:n_rows] = rng.choice([0, 1, 127, 128, 254, 255, *rng.integers(0, 256, 9)], pool[:n_rows].shape)
    pairs = rng.integers(0, n_pixels, (n_splits, n_tests, 2)).astype(np.uint16)
    thresholds = rng.integers(-256, 257, (n_splits, n_tests)).astype(np.int16)
    pixels, limits = pack_candidates(pairs, thresholds)
    scored = rng.integers(-8191, 8192, (n_rows, 2 * COMPONENTS_PER_PASS)).astype(np.float32)
    left_sums = np.empty((COMPONENTS_PER_PASS + 1, GROUP_SIZE), np.float32)
    node = rng.integers(n_splits)
    samples = rng.permutation(n_rows)[: rng.integers(n_rows + 1)].astype(np.int32)
    goes_left = np.zeros(len(samples), np.uint32)
    first, second = (pool[samples][:, pairs[node, :, k]].astype(int) for k in (0, 1))
    left = np.zeros((len(samples), pixels.shape[1] * GROUP_SIZE), bool)
    left[:, :n_tests] = first - second > thresholds[node]
    # The candidate after the last one sends every sample left.
    left[:, n_tests] = True
    # The Python function does what kernels do on processors without 64-byte look-ups.
    evaluate = evaluate_splits if compiled else evaluate_splits.py_func
    for group in range(pixels.shape[1]):
        with pytest.MonkeyPatch.context() as patch, np.errstate(over="ignore"):
            patch.setattr(split_search, "_USE_TABLES", False)
            evaluate(pool, samples, pixels[node, group], limits[node, group], goes_left)
        here = left[:, group * GROUP_SIZE : (group + 1) * GROUP_SIZE]
        assert np.array_equal(goes_left >> np.arange(32)[:, None] & 1, here.T)
        for column in (0, COMPONENTS_PER_PASS):
            accumulate_left_sums(goes_left, samples, scored, column, left_sums)
            values = scored[samples][:, column : column + COMPONENTS_PER_PASS]
            assert np.array_equal(left_sums[:COMPONENTS_PER_PASS], values.T @ here)
            assert np.array_equal(left_sums[COMPONENTS_PER_PASS], here.sum(axis=0))
