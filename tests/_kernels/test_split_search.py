import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ert._kernels.split_search import (
    COMPONENTS_PER_PASS,
    GROUP_SIZE,
    accumulate_left_sums,
    evaluate_splits,
    pack_candidates,
    pair_components,
)
from ert.training.memory import BLOCK_LENGTH, new_pool


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10**6),
    st.sampled_from([1, 2, 63, 64, 65, 128, 129, 300, 400, 512, 513, 1000]),
    st.sampled_from([1, 5, 20, 31, 32, 33, 63, 64, 80]),
)
def test_decisions_and_sums_match_their_twins(seed, n_pixels, n_tests):
    rng = np.random.default_rng(seed)
    # In a node of few samples they are looked up, in others all samples of the block are compared.
    n_splits, n_rows = 3, int(rng.choice([40, 70, BLOCK_LENGTH]))
    pool = new_pool(BLOCK_LENGTH, n_pixels)[0]
    pool[...] = rng.choice([0, 1, 127, 128, 254, 255, *rng.integers(0, 256, 9)], pool.shape)
    pairs = rng.integers(0, n_pixels, (n_splits, n_tests, 2)).astype(np.uint16)
    thresholds = rng.integers(-256, 257, (n_splits, n_tests)).astype(np.int16)
    pixels, limits = pack_candidates(pairs, thresholds)
    scored = rng.integers(-8191, 8192, (n_rows, 2 * COMPONENTS_PER_PASS)).astype(np.int16)
    left_sums = np.empty((COMPONENTS_PER_PASS + 1, GROUP_SIZE), np.int32)
    node = rng.integers(n_splits)
    samples = rng.permutation(n_rows)[: rng.integers(rng.choice([3, n_rows]) + 1)].astype(np.int32)
    goes_left = np.zeros(len(samples), np.uint32)
    first, second = (pool[pairs[node, :, k]][:, samples].T.astype(int) for k in (0, 1))
    left = np.zeros((len(samples), pixels.shape[1] * GROUP_SIZE), bool)
    left[:, :n_tests] = first - second > thresholds[node]
    # The candidate after the last one sends every sample left.
    left[:, n_tests] = True
    decisions = np.empty((4, BLOCK_LENGTH), np.uint8)
    for group in range(pixels.shape[1]):
        n = min(GROUP_SIZE, n_tests + 1 - group * GROUP_SIZE)
        candidates = pixels[node, group], limits[node, group]
        evaluate_splits(pool, samples, n_rows, candidates, n, decisions, goes_left)
        goes_left &= np.uint32(2**n - 1)
        here = left[:, group * GROUP_SIZE : (group + 1) * GROUP_SIZE]
        assert np.array_equal(goes_left >> np.arange(32)[:, None] & 1, here.T)
        for column in (0, COMPONENTS_PER_PASS):
            paired = np.full((len(samples) // 2 + 1, COMPONENTS_PER_PASS, 2), 99, np.int16)
            pair_components(scored, samples, column, paired)
            accumulate_left_sums(goes_left, paired, n, left_sums)
            values = scored[samples][:, column : column + COMPONENTS_PER_PASS].astype(int)
            assert np.array_equal(left_sums[:COMPONENTS_PER_PASS, :n], (values.T @ here)[:, :n])
            assert np.array_equal(left_sums[COMPONENTS_PER_PASS, :n], here.sum(axis=0)[:n])
