import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ert.lanes import add_leaves, add_products

# Rows of whole vectors, with every kind of rest, and with nothing else.
SIZES = st.sampled_from([1, 7, 8, 10, 32, 37, 40, 47, 64, 144])


@given(st.integers(0, 10**6), st.integers(1, 600), SIZES, st.sampled_from([np.int8, np.int16]))
def test_adding_leaves_matches_its_twin(seed, n_trees, size, dtype):
    rng = np.random.default_rng(seed)
    limits = np.iinfo(dtype)
    leaves = rng.integers(limits.min, limits.max + 1, (n_trees, 4, size)).astype(dtype)
    leaf_of = rng.integers(0, 4, n_trees)
    out = np.ones(size, np.int32)
    add_leaves(leaves.reshape(-1), (np.arange(n_trees) * 4 + leaf_of) * size, out)
    assert out.tolist() == naive.add_leaves(leaves, leaf_of)


@pytest.mark.parametrize("dtype", [np.int8, np.int16])
@pytest.mark.parametrize("size", [3, 8, 32])
def test_the_largest_leaves_do_not_overflow(dtype, size):
    for extreme in (np.iinfo(dtype).min, np.iinfo(dtype).max):
        leaves = np.full(1000 * size, extreme, dtype)
        out = np.empty(size, np.int32)
        add_leaves(leaves, np.arange(1000) * size, out)
        assert out.tolist() == [1000 * extreme] * size


@given(st.integers(0, 10**6), st.integers(1, 40), SIZES, st.sampled_from([np.int8, np.int16]))
def test_products_match_their_twin_to_the_last_bit(seed, n_amounts, size, dtype):
    rng = np.random.default_rng(seed)
    amounts = rng.normal(size=n_amounts).astype(np.float32)
    matrix = rng.integers(-127, 128, (n_amounts, size)).astype(dtype)
    out = np.ones(size, np.float32)
    add_products(amounts, matrix, out)
    assert np.array_equal(out, naive.add_products(amounts, matrix))
