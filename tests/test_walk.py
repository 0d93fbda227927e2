import naive
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ert.walk import add_float_leaves, aligned, index_bits, pack_nodes, walk_trees


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
