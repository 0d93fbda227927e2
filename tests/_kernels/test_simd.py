import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import njit
from reference import naive

from ert._kernels import llvm
from ert._kernels.simd import (
    ProductWorkspace,
    _sum_of_products,
    add_leaves,
    add_products,
    add_transformed,
    basis_args,
    dot,
    padded,
    pair_rows,
    transform,
)
from ert._kernels.traversal import TreeArgs

# Rows of whole vectors, with every kind of rest, and with nothing else.
SIZES = st.sampled_from([1, 7, 8, 10, 32, 37, 40, 47, 64, 144])


@given(st.integers(0, 10**6), st.integers(1, 600), SIZES, st.sampled_from([np.int8, np.int16]))
def test_adding_leaves_matches_its_twin(seed, n_trees, size, dtype):
    rng = np.random.default_rng(seed)
    limits = np.iinfo(dtype)
    leaves = rng.integers(limits.min, limits.max + 1, (2, n_trees, 4, size)).astype(dtype)
    leaf_of = rng.integers(0, 4, n_trees)
    out = np.ones(size + 3, np.int32)
    rows = (np.arange(n_trees) * 4 + leaf_of) * size
    add_leaves(TreeArgs(None, None, n_trees, 2, leaves.reshape(2, -1), size), 1, rows, out)
    assert out[:size].tolist() == naive.add_leaves(leaves[1], leaf_of)
    assert out[size:].tolist() == [1, 1, 1]


@pytest.mark.parametrize("dtype", [np.int8, np.int16])
@pytest.mark.parametrize("size", [3, 8, 32])
def test_the_largest_leaves_do_not_overflow(dtype, size):
    for extreme in (np.iinfo(dtype).min, np.iinfo(dtype).max):
        leaves = np.full((1, 1000 * size), extreme, dtype)
        out = np.empty(size, np.int32)
        add_leaves(TreeArgs(None, None, 1000, 0, leaves, size), 0, np.arange(1000) * size, out)
        assert out.tolist() == [1000 * extreme] * size


def product(components, scales, matrix, stage=0):
    """What :func:`add_products` writes, and the rounded amounts that it made on the way."""
    basis = basis_args(scales.astype(np.float32), matrix)
    numbers = padded(components.astype(np.int32), -1)
    rounded = np.zeros(len(numbers), np.int16)
    out = np.ones(basis.rows.shape[2], np.float32)
    workspace = ProductWorkspace(numbers, np.empty(len(numbers), np.float32), rounded, out)
    add_products(basis, stage, stage, workspace)
    return out, rounded


@given(st.integers(0, 10**6), st.integers(1, 40), SIZES, st.sampled_from([np.int8, np.int16]))
def test_products_match_their_twin(seed, n_rows, size, dtype):
    rng = np.random.default_rng(seed)
    components = rng.integers(-12700, 12701, n_rows)
    scales = rng.lognormal(0, 2, (2, n_rows))
    limits = np.iinfo(dtype)
    matrix = rng.integers(limits.min, limits.max + 1, (2, n_rows, size)).astype(dtype)
    out, whole = product(components, scales, matrix, 1)
    assert (out[size:] == 0).all()
    exact = (components * scales[1]) @ matrix[1].astype(float)
    # Each amount is rounded by half a unit of 16 bits at the most.
    unit = np.abs(components * scales[1]).max() / max(np.abs(whole).max(), 1)
    assert np.abs(out[:size] - exact).max() <= 0.51 * unit * np.abs(matrix[1].astype(float)).sum(axis=0).max()
    assert np.array_equal(out, naive.add_products(components, scales[1], matrix[1], out.size))


@pytest.mark.parametrize("dtype", [np.int8, np.int16])
@pytest.mark.parametrize("sign", [-1, 1])
def test_the_largest_products_do_not_overflow(dtype, sign):
    limits = np.iinfo(dtype)
    for extreme in (limits.min, limits.max):
        matrix = np.full((1, 200, 16), extreme, dtype)
        out, _ = product(np.full(200, sign * 12700), np.ones((1, 200)), matrix)
        np.testing.assert_allclose(out, sign * 200 * 12700.0 * extreme, rtol=0.01)


def test_products_of_nothing_are_nothing():
    for components in (np.zeros(5), np.full(5, 1)):
        out, _ = product(components, np.full((1, 5), 1e-36), np.ones((1, 5, 4), np.int8))
        assert (out == 0).all()


@pytest.mark.parametrize("features", [(), ("avx2",), ("avx2", "avx512bw")])
def test_products_are_the_same_with_any_instruction_for_pairs(monkeypatch, features):
    if not all(map(llvm.processor_has, features)):
        pytest.skip("the processor has no such instruction")
    monkeypatch.setattr(llvm, "processor_has", lambda feature: feature in features)
    multiply = _sum_of_products(16)

    @njit
    def run(whole, paired, out):
        multiply(whole, paired, 1, 0, np.float32(0.25), out)

    rng = np.random.default_rng(0)
    for dtype in (np.int8, np.int16):
        limits = np.iinfo(dtype)
        matrix = rng.integers(limits.min, limits.max + 1, (2, 32, 16)).astype(dtype)
        whole = rng.integers(-900, 900, 32).astype(np.int16)
        out = np.zeros(16, np.float32)
        run(whole, pair_rows(matrix), out)
        assert np.array_equal(out, (whole.astype(int) @ matrix[1].astype(int)).astype(np.float32) / 4)


@njit
def transformed(points, matrix, shift, out, added):
    a, b, c, d = matrix
    transform(points, (a, b, c, d, shift[0], shift[1]), out)
    add_transformed(points, (a, b, c, d, shift[0], shift[1]), added)


@given(st.integers(0, 10**6), st.integers(1, 5))
def test_points_are_carried_by_a_matrix(seed, n):
    rng = np.random.default_rng(seed)
    points, before = rng.normal(size=(2, 8 * n, 2)).astype(np.float32)
    matrix, shift = rng.normal(size=4).astype(np.float32), rng.normal(size=2).astype(np.float32)
    out, added = np.empty_like(points), before.copy()
    transformed(points, tuple(matrix), tuple(shift), out, added)
    rotated = points.astype(float) @ matrix.reshape(2, 2).T
    np.testing.assert_allclose(out, rotated + shift, atol=1e-5)
    np.testing.assert_allclose(added, before + rotated, atol=1e-5)


@njit
def dotted(array, others, number):
    return dot(array, others, number)


@given(st.integers(0, 10**6), st.integers(1, 5))
def test_dot_products(seed, n):
    rng = np.random.default_rng(seed)
    array, others = rng.normal(size=(8 * n, 2)).astype(np.float32), rng.normal(size=(3, 8 * n, 2))
    found = dotted(array, others.astype(np.float32), 2)
    assert found == pytest.approx((array * others[2]).sum(), abs=1e-4)


def test_padding():
    assert padded(np.ones((3, 5)), -1).shape == (3, 16)
    assert padded(np.ones((3, 5)), 0, 8).sum() == 15
    assert padded(np.ones((3, 16)), 1).shape == (3, 16)
    rows = pair_rows(np.arange(6).reshape(1, 2, 3).astype(np.int8))
    assert rows.shape == (1, 8, 16, 2)
    assert rows[0, 0, :3].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert not rows[0, 1:].any()
