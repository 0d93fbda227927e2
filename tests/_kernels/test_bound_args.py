from typing import NamedTuple

import numba
import numpy as np
import pytest

from ert._kernels.bound_args import BoundArgs, entry_point, unpack


class Inner(NamedTuple):
    array: np.ndarray
    number: float


class Arguments(NamedTuple):
    first: np.ndarray
    second: int
    inner: Inner
    rest: tuple


@numba.njit
def unpacked(bound):
    return unpack(bound)


@numba.njit
def unpacked_by_name(bound):
    arguments = unpack(bound)
    return arguments.inner.array.sum() * arguments.inner.number + arguments.second + arguments.first[1]


def test_named_tuples_are_unpacked_by_their_names():
    inner = Inner(np.arange(6.0).reshape(2, 3), 0.5)
    bound = BoundArgs(Arguments(np.array([1, 2, 3]), 7, inner, (np.ones(2), 4)))
    assert unpacked_by_name(bound) == 7.5 + 7 + 2
    assert unpacked(bound).rest[1] == 4


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
    for call in (unpacked, entry_point(unpacked, bound)):
        found = call(bound)
        assert len(found) == len(arguments)
        for value, expected in zip(found, arguments, strict=True):
            assert np.array_equal(value, expected)
            assert np.shape(value) == np.shape(expected)


def test_arrays_are_kept_alive():
    bound = BoundArgs((np.full(10**6, 3.0),))
    for _ in range(3):
        np.full(10**6, 4.0)
    assert (unpacked(bound)[0] == 3).all()


def test_arrays_that_are_not_contiguous_are_refused():
    with pytest.raises(ValueError, match="contiguous"):
        BoundArgs((np.zeros((4, 4))[:, ::2],))
