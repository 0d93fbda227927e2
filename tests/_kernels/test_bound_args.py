import numba
import numpy as np
import pytest

from ert._kernels.bound_args import BoundArgs, entry_point, unpack


@numba.njit
def unpacked(bound, numbers):
    return unpack(bound, numbers)


def test_arguments_come_out_as_they_went_in():
    rng = np.random.default_rng(0)
    arguments = (
        rng.random((3, 4)),
        7,
        rng.integers(0, 9, (2, 3, 4), np.uint8),
        -2.5,
        np.float32(1 / 3),
        np.arange(5, dtype=np.int16),
        np.empty((0, 6), np.float32),
        -(2**40),
        rng.random((2, 3, 4, 5)).astype(np.float32),
    )
    bound = BoundArgs(arguments)
    for call in (unpacked, entry_point(unpacked, bound, bound.numbers)):
        found = call(bound, bound.numbers)
        assert len(found) == len(arguments)
        for value, expected in zip(found, arguments, strict=True):
            assert np.array_equal(value, expected)
            assert np.shape(value) == np.shape(expected)


def test_arrays_are_held_for_as_long_as_they_may_be_read():
    bound = BoundArgs((np.full(10**6, 3.0),))
    for _ in range(3):
        np.full(10**6, 4.0)
    assert (unpacked(bound, bound.numbers)[0] == 3).all()


def test_what_lies_in_pieces_is_refused():
    with pytest.raises(ValueError, match="one piece"):
        BoundArgs((np.zeros((4, 4))[:, ::2],))
