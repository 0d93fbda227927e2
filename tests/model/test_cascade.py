import numpy as np
from builders import random_cascade

from ert.model.cascade import quantize_basis, stack_stages


def test_quantized_directions_are_nearly_the_same():
    rng = np.random.default_rng(0)
    directions, amounts = rng.normal(size=(3, 20)), np.array([1e-6, 1e-3, 2.0])
    for kind in (np.int8, np.int16):
        scales, basis = quantize_basis(directions, amounts, kind)
        assert scales.dtype == np.float32
        assert basis.dtype == kind
        error = np.abs(basis * scales[:, None].astype(float) / amounts[:, None] - directions)
        assert (error <= np.abs(directions).max(axis=1, keepdims=True) * 0.51 / np.iinfo(kind).max).all()


def test_stages_are_taken_apart_and_stacked_again():
    cascade = random_cascade(np.random.default_rng(0))
    again = stack_stages(cascade.stages())
    assert all(np.array_equal(again[name], cascade.arrays()[name]) for name in again)
