import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ert.walk import add_float_leaves, add_leaves, aligned, index_bits, pack_nodes, walk_trees


@given(st.integers(0, 10**6), st.integers(1, 6), st.sampled_from([2, 3, 400, 1024, 2048, 2049, 9000]))
def test_walking_matches_its_twin(seed, depth, n_pixels):
    rng = np.random.default_rng(seed)
    n_trees, n_splits = 9, 2**depth - 1
    values = rng.integers(0, 256, n_pixels).astype(np.int32)
    pairs = rng.integers(0, n_pixels, (n_trees, n_splits, 2)).astype(np.uint16)
    thresholds = rng.integers(-300, 300, (n_trees, n_splits)).astype(np.float32)
    thresholds += rng.choice([0, 0.5, -0.25], thresholds.shape).astype(np.float32)
    nodes = pack_nodes(pairs, thresholds, n_pixels)
    assert nodes.dtype == (np.uint32 if n_pixels <= 2048 else np.uint64)
    rows = np.empty(n_trees, np.int64)
    leaves = np.zeros((n_trees << depth) * 5, np.int8)
    walk_trees(values, nodes, index_bits(n_pixels), depth, 5, leaves, rows)
    leaf_of = [naive.walk(values, p, t) for p, t in zip(pairs, thresholds, strict=True)]
    assert rows.tolist() == [(2**depth * tree + leaf) * 5 for tree, leaf in enumerate(leaf_of)]


@given(st.integers(0, 10**6), st.integers(1, 40), st.sampled_from([np.int8, np.int16, np.float32]))
def test_adding_leaves_is_adding_rows(seed, n_trees, dtype):
    rng = np.random.default_rng(seed)
    leaves = rng.integers(-127, 128, (n_trees, 4, 33)).astype(dtype)
    leaf_of = rng.integers(0, 4, n_trees)
    rows = (np.arange(n_trees) * 4 + leaf_of) * 33
    expected = leaves[np.arange(n_trees), leaf_of].astype(np.int64).sum(axis=0)
    if dtype == np.float32:
        out = np.ones(33, np.float32)
        add_float_leaves(leaves.reshape(-1), rows, out)
        assert np.array_equal(out, expected + 1)
    else:
        out = np.ones(33, np.int32)
        add_leaves(leaves.reshape(-1), rows, out)
        assert np.array_equal(out, expected)


@pytest.mark.parametrize("dtype", [np.int8, np.int16])
def test_the_largest_leaves_do_not_overflow(dtype):
    leaves = np.full(1000 * 3, np.iinfo(dtype).min, dtype)
    out = np.empty(3, np.int32)
    add_leaves(leaves, np.arange(1000) * 3, out)
    assert out.tolist() == [1000 * np.iinfo(dtype).min] * 3


def test_float_leaves_are_rounded_tree_after_tree():
    rng = np.random.default_rng(0)
    leaves = rng.normal(size=(50, 7)).astype(np.float32)
    out, expected = np.zeros(7, np.float32), np.zeros(7, np.float32)
    for row in leaves:
        expected += row
    add_float_leaves(leaves.reshape(-1), np.arange(50) * 7, out)
    assert np.array_equal(out, expected)


def test_aligned_arrays_may_be_written_to_and_start_a_line():
    array = np.arange(30, dtype=np.float32).reshape(5, 6)
    read_only = np.frombuffer(array.tobytes(), np.float32).reshape(5, 6)
    for each in (read_only, array[:, ::2], array):
        copy = aligned(each)
        assert np.array_equal(copy, each)
        assert copy.flags.writeable
        assert copy.ctypes.data % 64 == 0
    assert aligned(copy) is copy
