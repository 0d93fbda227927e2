import naive
import numpy as np

from ert.cascade import (
    Cascade,
    add_displacement,
    check_cascade,
    kernel_basis,
    stack_stages,
    whole_basis,
)
from ert.crops import Cropping
from ert.geometry import STARTS, box_frames
from ert.lanes import padded

N_LANDMARKS, N_PIXELS, N_COMPONENTS = 6, 30, 5


def random_cascade(rng, depth=3, dtype=np.int8):
    n_stages, n_trees, n_splits = 3, 8, 2**depth - 1
    cascade = Cascade(
        mean_shape=rng.random((N_LANDMARKS, 2)).astype(np.float32),
        cropping=Cropping(np.array([-0.2, -0.2, 1.2, 1.2]), 40, 1.0),
        anchors=rng.integers(0, N_LANDMARKS, (n_stages, N_PIXELS)).astype(np.uint16),
        deltas=rng.normal(0, 0.1, (n_stages, N_PIXELS, 2)).astype(np.float32),
        pairs=rng.integers(0, N_PIXELS, (n_stages, n_trees, n_splits, 2)).astype(np.uint16),
        thresholds=rng.integers(-90, 90, (n_stages, n_trees, n_splits)).astype(np.int16),
        leaves=rng.integers(-99, 99, (n_stages, n_trees, n_splits + 1, N_COMPONENTS)).astype(dtype),
        units=rng.uniform(0, 2e-6, (n_stages, N_COMPONENTS)).astype(np.float32),
        basis=rng.integers(-127, 128, (n_stages, N_COMPONENTS, 2 * N_LANDMARKS)).astype(np.int8),
    )
    check_cascade(cascade)
    return cascade


def test_running_a_cascade_matches_its_twin():
    agreed = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        cascade = random_cascade(rng, depth=1 + seed % 4, dtype=(np.int8, np.int16)[seed % 2])
        image = rng.integers(0, 256, (70, 80), dtype=np.uint8)
        box = 15.0, 12.0, 41.0, 41.0
        found = cascade.predict_face(image, box, STARTS[:1], "rgb", "luma")[0]
        crop, frame = cascade.cropping.cut(image, box_frames(np.array([box]))[0])
        expected = naive.predict(crop, frame, cascade) * 40 + box[:2]
        # A position on the border of two pixels may fall to either in single precision.
        agreed += np.allclose(found, expected, atol=4e-3)
    assert agreed >= 36


def test_a_displacement_is_turned_and_scaled_with_the_shape():
    rng = np.random.default_rng(0)
    shape = rng.random((N_LANDMARKS, 2))
    units = rng.random(N_COMPONENTS).astype(np.float32)
    basis = rng.integers(-9, 9, (N_COMPONENTS, 2 * N_LANDMARKS)).astype(np.int8)
    components = rng.integers(-9, 9, N_COMPONENTS).astype(np.int32)
    leaf_size, units_of, paired, limit = kernel_basis(
        np.zeros((1, 1, N_COMPONENTS), np.int8), units[None], basis[None]
    )
    assert leaf_size == N_COMPONENTS
    moved = padded(shape.astype(np.float32), 0, 8)
    room = np.empty(16, np.float32), np.empty(16, np.int16), np.empty(16, np.float32)
    turn = np.float32(0.8), np.float32(0.3)
    add_displacement(padded(components, 0), units_of, 0, paired, 0, limit, *turn, *room, moved)
    displacement = ((components * units) @ basis).reshape(-1, 2)
    expected = shape + displacement @ np.array([[0.8, 0.3], [-0.3, 0.8]])
    np.testing.assert_allclose(moved[:N_LANDMARKS], expected, rtol=1e-3, atol=1e-3)
    assert not moved[N_LANDMARKS:].any()


def test_directions_in_whole_numbers_are_nearly_the_same():
    rng = np.random.default_rng(0)
    directions, amounts = rng.normal(size=(3, 20)), np.array([1e-6, 1e-3, 2.0])
    for kind in (np.int8, np.int16):
        units, basis = whole_basis(directions, amounts, kind)
        assert units.dtype == np.float32
        assert basis.dtype == kind
        error = np.abs(basis * units[:, None].astype(float) / amounts[:, None] - directions)
        assert (error <= np.abs(directions).max(axis=1, keepdims=True) * 0.51 / np.iinfo(kind).max).all()


def test_stages_are_taken_apart_and_stacked_again():
    cascade = random_cascade(np.random.default_rng(0))
    again = stack_stages(cascade.stages())
    assert all(np.array_equal(again[name], cascade.arrays()[name]) for name in again)
