import numpy as np

from ert.cascade import Cascade, check_cascade, stack_stages, whole_basis
from ert.crops import Cropping

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
