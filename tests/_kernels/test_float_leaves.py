import numpy as np
import pytest

from ert._kernels.predict_dlib import PREFETCH_TREES, add_float_leaves


@pytest.mark.parametrize("size", [1, 7, 10, 16, 31, 128, 130, 136, 137, 144, 388])
@pytest.mark.parametrize("n_trees", [1, 2, PREFETCH_TREES, 50])
def test_leaves_are_rounded_tree_after_tree(size, n_trees):
    rng = np.random.default_rng(size)
    leaves = rng.normal(size=(3, n_trees, 4, size)).astype(np.float32)
    which = rng.integers(0, 4, n_trees)
    out = rng.normal(size=size).astype(np.float32)
    expected = out.copy()
    for tree, leaf in enumerate(which):
        expected += leaves[1, tree, leaf]
    rows = np.zeros(n_trees + PREFETCH_TREES, np.int64)
    rows[:n_trees] = (np.arange(n_trees) * 4 + which) * size
    add_float_leaves(leaves.reshape(3, -1), 1, rows, n_trees, out)
    assert np.array_equal(out, expected)
