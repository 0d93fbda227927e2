import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_dlib_cascade import BOXES, likely_cascade

from ert import packed_leaves
from ert.float_leaves import AHEAD
from ert.geometry import STARTS
from ert.packed_leaves import COLUMNS, LEAF, add_packed_leaves, pack_leaves
from ert.vectors import processor_has

packs = pytest.mark.skipif(not processor_has("avx512vbmi"), reason="leaves are not packed on this processor")


def added(mean_shape, leaves, which, shape):
    """Add one leaf a tree of the second stage: the shape then, and whether it has been added."""
    packed, beside = pack_leaves(mean_shape, leaves)
    n_trees = len(which)
    rows = np.zeros(n_trees + AHEAD, np.int64)
    rows[:n_trees] = (np.arange(n_trees) * leaves.shape[2] + which) * LEAF
    out = shape.copy()
    return out, add_packed_leaves(packed, beside, 1, rows, n_trees, out)


@packs
@given(st.integers(0, 2**32 - 1), st.floats(-7, -1.5), st.integers(1, 60))
def test_sums_are_those_of_floats_to_the_last_bit(seed, size, n_trees):
    rng = np.random.default_rng(seed)
    mean_shape = rng.uniform(-0.04, 1.1, (68, 2)).astype(np.float32)
    # Some leaves are far larger than the others, and some numbers need fewer bits.
    leaves = (10**size * rng.standard_t(2, (3, n_trees, 4, COLUMNS))).astype(np.float32)
    leaves[:, ::3] = np.round(leaves[:, ::3] * 2**20) / 2**20
    which = rng.integers(0, 4, n_trees)
    shape = (mean_shape + rng.normal(0, 0.01, mean_shape.shape)).astype(np.float32).reshape(-1)
    found, done = added(mean_shape, leaves, which, shape)
    expected = naive.add_float_leaves(shape, leaves[1], which)
    assert np.array_equal(found, expected if done else shape)


@packs
def test_sums_near_zero_are_left_to_floats():
    rng = np.random.default_rng(0)
    mean_shape = np.linspace(0.01, 1, COLUMNS, dtype=np.float32).reshape(-1, 2)
    leaves = rng.normal(0, 1e-4, (2, 20, 4, COLUMNS)).astype(np.float32)
    shape, which = mean_shape.reshape(-1).copy(), np.zeros(20, np.int64)
    assert added(mean_shape, leaves, which, shape)[1]
    # The smallest of the columns that are packed; on the way only, by packed leaves and by one that is not.
    first = 16
    shape[first] = 1e-3
    assert not added(mean_shape, leaves, which, shape)[1]
    shape[first] = 0.036
    assert added(mean_shape, leaves, which, shape)[1]
    leaves[1, :9, 0, first], leaves[1, 9:18, 0, first] = -9e-4, 9e-4
    assert not added(mean_shape, leaves, which, shape)[1]
    shape[first] = mean_shape.reshape(-1)[first]
    assert added(mean_shape, leaves, which, shape)[1]
    leaves[1, 7, 0, first], leaves[1, 8, 0, first] = -0.12, 0.12
    assert not added(mean_shape, leaves, which, shape)[1]
    # Of those that stay floats any may be near 0.
    leaves[1, 7:9, 0, first] = 0
    shape[:first] = 0
    assert added(mean_shape, leaves, which, shape)[1]


@packs
def test_a_shape_that_comes_near_zero_is_found_all_the_same(monkeypatch):
    found = []
    for part in (0.35, 0.9, 1e3):
        monkeypatch.setattr(packed_leaves, "KEPT", part)
        cascade = likely_cascade(0, n_landmarks=68)
        assert cascade.kernel_arguments[6] is not cascade.kernel_arguments[5]
        image = np.random.default_rng(0).integers(0, 256, (60, 70), dtype=np.uint8)
        found.append(cascade.predict_face(image, BOXES[0], STARTS[:1], "rgb", "dlib"))
    monkeypatch.setattr(packed_leaves, "processor_has", lambda _: False)
    found.append(likely_cascade(0, n_landmarks=68).predict_face(image, BOXES[0], STARTS[:1], "rgb", "dlib"))
    assert all(np.array_equal(found[0], other) for other in found[1:])


def test_only_what_gains_by_it_is_packed(monkeypatch):
    mean_shape = np.linspace(0.01, 1, COLUMNS, dtype=np.float32).reshape(-1, 2)
    leaves = np.zeros((1, 2, 2, COLUMNS), np.float32)
    assert pack_leaves(mean_shape[:-1], leaves[..., 2:]) is None
    assert pack_leaves(mean_shape - np.float32(0.5), leaves) is None
    monkeypatch.setattr(packed_leaves, "processor_has", lambda _: False)
    assert pack_leaves(mean_shape, leaves) is None
