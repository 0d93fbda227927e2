"""The numbers of dlib's model files, read and written by compiled functions: see :mod:`ert.model.dlib_format`."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from ert._kernels import njit
from ert.model.dlib_numpy import DamagedError


def check_version(data: npt.NDArray[np.uint8]) -> None:
    """Check the first number of a file."""
    _check(_read_version(data))


def read_model(data: npt.NDArray[np.uint8]) -> list[npt.NDArray[Any]]:
    """Return the arrays of a file, see :func:`ert.model.dlib_numpy.read_model`."""
    sizes = np.zeros(4, np.int64)
    _check(_read_sizes(data, sizes))
    n_landmarks, n_stages, n_trees, n_splits = (int(size) for size in sizes)
    mean_shape = np.empty((n_landmarks, 2), np.float32)
    pairs = np.empty((n_stages, n_trees, n_splits, 2), np.uint16)
    thresholds = np.empty((n_stages, n_trees, n_splits), np.float32)
    leaves = np.empty((n_stages, n_trees, n_splits + 1, 2 * n_landmarks), np.float32)
    position = _check(_read_forests(data, mean_shape, pairs, thresholds, leaves))
    n_pixels = _check(_read_pool_size(data, position, n_stages))
    anchors = np.empty((n_stages, n_pixels), np.uint16)
    deltas = np.empty((n_stages, n_pixels, 2), np.float32)
    position = _check(_read_pools(data, position, anchors, deltas))
    if position != len(data):
        raise DamagedError(-7)
    return [mean_shape, anchors, deltas, pairs, thresholds, leaves]


def write_model(*arrays: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Return the bytes of a file, see :func:`ert.model.dlib_numpy.write_model`."""
    # An INT takes 9 bytes at the most, and a FLOAT of 32 bits 4 + 3.
    numbers = sum(array.size for array in arrays) + 3 * arrays[-1].size + 100
    buffer = np.empty(9 * numbers, np.uint8)
    return buffer[: _write_model(buffer, *arrays)]


def _check(position: int) -> int:
    if position < 0:
        raise DamagedError(position)
    return position


# Times 2 to the power of so much, integers of four bytes stay finite in single precision.
LARGEST_POWER = 90
_POWERS = 2.0 ** np.arange(-LARGEST_POWER, LARGEST_POWER + 1)


@njit
def _read_int(data, position):  # type: ignore[no-untyped-def]
    """Return an INT and the position behind it; a negative position is an error of `_ERRORS`."""
    if position < 0:
        return 0, position
    if position >= data.shape[0]:
        return 0, -1
    control = data[position]
    if control & 0x70:
        return 0, -2
    n = control & 0x0F
    if n < 1 or n > 8:
        return 0, -6
    if position + n >= data.shape[0]:
        return 0, -1
    value = np.uint64(0)
    for i in range(n):
        value |= np.uint64(data[position + 1 + i]) << np.uint64(8 * i)
    if value >> np.uint64(62):
        return 0, -4
    signed = np.int64(value)
    return (-signed if control & 0x80 else signed), position + 1 + n


@njit
def _read_float(data, position):  # type: ignore[no-untyped-def]
    # Nearly all have a mantissa of up to four bytes and an exponent of one, within what these are exact for.
    if position >= 0 and position + 8 < data.shape[0]:
        control = data[position]
        n = np.int64(control & 0x0F)
        if control & 0x70 == 0 and 1 <= n <= 4:
            sign = data[position + 1 + n]
            size = np.int64(data[position + 2 + n])
            if sign & 0x7F == 1 and size <= LARGEST_POWER:
                whole = np.int64(0)
                for i in range(n):
                    whole |= np.int64(data[position + 1 + i]) << np.int64(8 * i)
                power = LARGEST_POWER - size if sign & 0x80 else LARGEST_POWER + size
                number = np.float32(np.float64(-whole if control & 0x80 else whole) * _POWERS[power])
                return number, position + 3 + n
    mantissa, position = _read_int(data, position)
    exponent, position = _read_int(data, position)
    if position < 0:
        return np.float32(0), position
    if mantissa == 0 and exponent >= 32000:
        return np.float32(0), -3
    if abs(exponent) > 1000:
        return np.float32(0), -6
    value = np.float32(math.ldexp(float(mantissa), exponent))
    if not math.isfinite(value):
        return np.float32(0), -3
    return value, position


@njit
def _read_column(data, position, out):  # type: ignore[no-untyped-def]
    """Read a MATRIX of one column into a flat array."""
    rows, position = _read_int(data, position)
    columns, position = _read_int(data, position)
    if position >= 0 and (abs(rows) != out.size or abs(columns) != 1):
        position = -4
    for i in range(out.size):
        out[i], position = _read_float(data, position)
    return position


@njit
def _read_version(data):  # type: ignore[no-untyped-def]
    version, position = _read_int(data, 0)
    if position >= 0 and version != 1:
        return -6
    return position


@njit
def _read_sizes(data, sizes):  # type: ignore[no-untyped-def]
    """Write n_landmarks, n_stages, n_trees, n_splits as the first stage and the first tree have them."""
    position = _read_version(data)
    rows, position = _read_int(data, position)
    columns, position = _read_int(data, position)
    n_values = abs(rows)
    if position >= 0 and (abs(columns) != 1 or n_values == 0 or n_values % 2):
        return -6
    # Every number of a file takes two bytes at the least, and a FLOAT four.
    if position >= 0 and n_values > data.size // 4:
        return -4
    for _ in range(n_values):
        _, position = _read_float(data, position)
    n_stages, position = _read_int(data, position)
    n_trees, position = _read_int(data, position)
    n_splits, position = _read_int(data, position)
    if position < 0:
        return position
    largest = data.size
    if min(n_stages, n_trees, n_splits) < 1 or max(n_stages, n_trees, n_splits, n_values) > largest:
        return -4
    if (n_splits + 1) & n_splits:
        return -6
    # Divided one by one, so that no product overflows.
    if largest // 4 // n_values // (n_splits + 1) // n_trees // n_stages < 1:
        return -4
    sizes[0] = n_values // 2
    sizes[1] = n_stages
    sizes[2] = n_trees
    sizes[3] = n_splits
    return position


@njit
def _expect(data, position, count):  # type: ignore[no-untyped-def]
    """Read the count of a VECTOR that must have a known length."""
    found, position = _read_int(data, position)
    if position >= 0 and found != count:
        return -4
    return position


@njit
def _read_forests(data, mean_shape, pairs, thresholds, leaves):  # type: ignore[no-untyped-def]
    n_stages, n_trees, n_splits = thresholds.shape
    _, position = _read_int(data, 0)
    position = _read_column(data, position, mean_shape.reshape(-1))
    position = _expect(data, position, n_stages)
    for stage in range(n_stages):
        position = _expect(data, position, n_trees)
        for tree in range(n_trees):
            position = _expect(data, position, n_splits)
            for split in range(n_splits):
                for side in range(2):
                    pixel, position = _read_int(data, position)
                    if pixel < 0 or pixel > 65535:
                        return -5
                    pairs[stage, tree, split, side] = pixel
                thresholds[stage, tree, split], position = _read_float(data, position)
            position = _expect(data, position, n_splits + 1)
            for leaf in range(n_splits + 1):
                position = _read_column(data, position, leaves[stage, tree, leaf])
            if position < 0:
                return position
    return position


@njit
def _read_pool_size(data, position, n_stages):  # type: ignore[no-untyped-def]
    position = _expect(data, position, n_stages)
    n_pixels, position = _read_int(data, position)
    if position < 0:
        return position
    # An anchor takes two bytes and a delta eight.
    if n_pixels < 1 or n_pixels > 65535 or n_pixels > data.size // 10 // n_stages:
        return -4
    return n_pixels


@njit
def _read_pools(data, position, anchors, deltas):  # type: ignore[no-untyped-def]
    n_stages, n_pixels = anchors.shape
    position = _expect(data, position, n_stages)
    for stage in range(n_stages):
        position = _expect(data, position, n_pixels)
        for pixel in range(n_pixels):
            anchor, position = _read_int(data, position)
            if anchor < 0 or anchor > 65535:
                return -5
            anchors[stage, pixel] = anchor
        if position < 0:
            return position
    position = _expect(data, position, n_stages)
    for stage in range(n_stages):
        position = _expect(data, position, n_pixels)
        for pixel in range(n_pixels):
            for axis in range(2):
                deltas[stage, pixel, axis], position = _read_float(data, position)
        if position < 0:
            return position
    return position


@njit
def _write_int(buffer, position, value):  # type: ignore[no-untyped-def]
    rest = np.uint64(abs(value))
    n = 0
    while n == 0 or rest:
        buffer[position + 1 + n] = rest & np.uint64(0xFF)
        rest >>= np.uint64(8)
        n += 1
    buffer[position] = n | (0x80 if value < 0 else 0)
    return position + 1 + n


@njit
def _write_float(buffer, position, value):  # type: ignore[no-untyped-def]
    fraction, exponent = math.frexp(float(value))
    mantissa = np.int64(fraction * 16777216.0)
    exponent -= 24
    if mantissa == 0:
        exponent = 40
    for _ in range(8):
        if mantissa == 0 or mantissa & 0xFF:
            break
        mantissa >>= 8
        exponent += 8
    return _write_int(buffer, _write_int(buffer, position, mantissa), np.int64(exponent))


@njit
def _write_column(buffer, position, values):  # type: ignore[no-untyped-def]
    position = _write_int(buffer, _write_int(buffer, position, -values.size), -1)
    for value in values:
        position = _write_float(buffer, position, value)
    return position


@njit
def _write_model(buffer, mean_shape, anchors, deltas, pairs, thresholds, leaves):  # type: ignore[no-untyped-def]
    n_stages, n_trees, n_splits = thresholds.shape
    n_pixels = anchors.shape[1]
    position = _write_column(buffer, _write_int(buffer, 0, 1), mean_shape.reshape(-1))
    position = _write_int(buffer, position, n_stages)
    for stage in range(n_stages):
        position = _write_int(buffer, position, n_trees)
        for tree in range(n_trees):
            position = _write_int(buffer, position, n_splits)
            for split in range(n_splits):
                for side in range(2):
                    position = _write_int(buffer, position, np.int64(pairs[stage, tree, split, side]))
                position = _write_float(buffer, position, thresholds[stage, tree, split])
            position = _write_int(buffer, position, n_splits + 1)
            for leaf in range(n_splits + 1):
                position = _write_column(buffer, position, leaves[stage, tree, leaf])
    position = _write_int(buffer, position, n_stages)
    for stage in range(n_stages):
        position = _write_int(buffer, position, n_pixels)
        for pixel in range(n_pixels):
            position = _write_int(buffer, position, np.int64(anchors[stage, pixel]))
    position = _write_int(buffer, position, n_stages)
    for stage in range(n_stages):
        position = _write_int(buffer, position, n_pixels)
        for pixel in range(n_pixels):
            for axis in range(2):
                position = _write_float(buffer, position, deltas[stage, pixel, axis])
    return position
