import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from reference import naive

from ert._kernels import traversal
from ert._kernels.llvm import processor_has
from ert._kernels.simd import aligned
from ert._kernels.traversal import (
    TREES_PER_BLOCK,
    TraversalWorkspace,
    TreeArgs,
    find_leaves,
    pack_nodes,
    pack_splits,
    pool_values_size,
    tree_args,
)


def random_trees(rng, n_stages, n_trees, n_splits, n_pixels):
    pairs = rng.integers(0, n_pixels, (n_stages, n_trees, n_splits, 2)).astype(np.uint16)
    thresholds = rng.integers(-300, 300, (n_stages, n_trees, n_splits)).astype(np.float32)
    # The limits of what a difference of two pixels can be, and not whole ones.
    extremes = rng.random(thresholds.shape) < 0.1
    thresholds[extremes] = rng.choice([-257, -256, -255, -1, 0, 254, 255, 256], extremes.sum())
    thresholds += rng.choice([0, 0.5, -0.25], thresholds.shape).astype(np.float32)
    return pairs, thresholds


def walked(nodes, stage, values, n_trees, n_pixels, depth):
    padded = np.full(pool_values_size(n_pixels), 99, np.uint8)
    padded[:n_pixels] = values
    offsets = np.full(n_trees + TREES_PER_BLOCK, -1)
    workspace = TraversalWorkspace(padded, np.empty(n_trees // 4 + 8, np.uint64), offsets)
    leaves = np.zeros((len(nodes), n_trees * 2**depth * 5), np.int8)
    splits = nodes if nodes.dtype == np.uint8 else np.empty((len(nodes), 0), np.uint8)
    nodes = np.empty((len(nodes), 0), np.uint32) if nodes.dtype == np.uint8 else nodes
    find_leaves(TreeArgs(aligned(splits), aligned(nodes), n_trees, depth, leaves, 5), stage, n_pixels, workspace)
    return offsets[:n_trees].tolist()


def expected_rows(values, pairs, thresholds, depth):
    leaf_of = [naive.walk(values, p, t) for p, t in zip(pairs, thresholds, strict=True)]
    return [(2**depth * tree + leaf) * 5 for tree, leaf in enumerate(leaf_of)]


@given(st.integers(0, 10**6), st.integers(1, 6), st.sampled_from([2, 3, 400, 1024, 2048, 2049, 9000]))
def test_traversal_node_by_node_matches_its_twin(seed, depth, n_pixels):
    rng = np.random.default_rng(seed)
    pairs, thresholds = random_trees(rng, 2, 9, 2**depth - 1, n_pixels)
    values = rng.integers(0, 256, n_pixels).astype(np.uint8)
    nodes = pack_nodes(pairs, thresholds, n_pixels)
    assert nodes.dtype == (np.uint32 if n_pixels <= 2048 else np.uint64)
    found = walked(nodes, 1, values, 9, n_pixels, depth)
    assert found == expected_rows(values, pairs[1], thresholds[1], depth)


@pytest.mark.skipif(
    not processor_has("avx2") and not processor_has("neon"), reason="the processor has no such instruction"
)
@given(st.integers(0, 10**6), st.integers(1, 70), st.sampled_from([2, 64, 128, 129, 256, 257, 300, 512]))
def test_traversal_by_masks_matches_its_twin(seed, n_trees, n_pixels):
    assume(n_pixels <= traversal.MAX_TABLE_PIXELS)
    rng = np.random.default_rng(seed)
    pairs, thresholds = random_trees(rng, 2, n_trees, 15, n_pixels)
    values = rng.choice([0, 255, 128, *rng.integers(0, 256, 5)], n_pixels).astype(np.uint8)
    found = walked(pack_splits(pairs, thresholds, n_pixels), 1, values, n_trees, n_pixels, 4)
    assert found == expected_rows(values, pairs[1], thresholds[1], 4)


@pytest.mark.parametrize(("kinds", "most"), [(("_WIDE", "_AVX2"), 512), (("_NEON",), 256), (("_AVX2",), 128), ((), 0)])
def test_trees_are_packed_for_the_processor(monkeypatch, kinds, most):
    pairs, thresholds = random_trees(np.random.default_rng(0), 1, 5, 15, 100)
    leaves = np.zeros((1, 5, 16, 3), np.int8)
    for name in ("_WIDE", "_NEON", "_AVX2"):
        monkeypatch.setattr(traversal, name, name in kinds)
    monkeypatch.setattr(traversal, "MAX_TABLE_PIXELS", most)
    for n_pixels in (100, 128, 129, 256, 257, 512, 513):
        trees = tree_args(pairs, thresholds, leaves, n_pixels)
        assert (trees.splits.size > 0, trees.nodes.size > 0) == (n_pixels <= most, n_pixels > most)
    assert tree_args(pairs[:, :, :7], thresholds[:, :, :7], leaves[:, :, :8], 100).nodes.dtype == np.uint32


def test_aligned_arrays_are_writeable_and_begin_with_a_cache_line():
    array = np.arange(30, dtype=np.float32).reshape(5, 6)
    read_only = np.frombuffer(array.tobytes(), np.float32).reshape(5, 6)
    for each in (read_only, array[:, ::2], array):
        copy = aligned(each)
        assert np.array_equal(copy, each)
        assert copy.flags.writeable
        assert copy.ctypes.data % 64 == 0
    assert aligned(copy) is copy
