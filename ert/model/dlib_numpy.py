"""The numbers of dlib's model files in NumPy, where nothing is compiled: see :mod:`ert.model.dlib_format`.

A file is a sequence of INTs, of which a FLOAT is two, and all trees have the same size: a tree is an array of INTs
with a structured type.
"""

from itertools import repeat
from typing import Any

import numpy as np
import numpy.typing as npt

# How far the next INT is behind a control byte; 0 for one that cannot be.
_STEPS = bytes(1 + (control & 0x0F) if control & 0x7F in range(1, 9) else 0 for control in range(256))
_MASKS = np.array([2 ** (8 * n) - 1 for n in range(9)] + [0] * 7, np.uint64)
_LARGEST_POWER = 1000
_AT_ONCE = 2**16
# Numbers in the leaves of a tree: NumPy has no type of more than 2 GB.
_LARGEST_TREE = 2**26


class DamagedError(Exception):
    """What is wrong with a file: a key of `_ERRORS` in `ert.model.dlib_format`."""


class _Ints:
    """The INTs of a file, from the next on."""

    def __init__(self, data: npt.NDArray[np.uint8]) -> None:
        self.size, self.position = len(data), 0
        self._data = np.append(data, np.zeros(8, np.uint8))
        # The eight bytes from each byte on.
        self._words = np.ndarray(self.size + 1, "<u8", self._data, strides=(1,))

    def take(self, count: int) -> npt.NDArray[np.int64]:
        """Return so many INTs."""
        # Each takes two bytes at the least.
        _refuse(count > (self.size - self.position) // 2, -1)
        found = np.empty(count, np.int64)
        for first in range(0, count, _AT_ONCE):
            self._read(found[first : first + _AT_ONCE])
        return found

    def _read(self, out: npt.NDArray[np.int64]) -> None:
        begin, position = self.position, 0
        data, steps, starts = self._data[begin : begin + 9 * len(out)].tobytes(), _STEPS, []
        try:
            for _ in repeat(None, len(out)):
                starts.append(position)
                position += steps[data[position]]
        except IndexError:
            raise DamagedError(-1) from None
        self.position += position
        places = np.array(starts, np.intp) + begin
        control = self._data[places]
        _refuse(control & 0x70 != 0, -2)
        n_bytes = control & 0x0F
        _refuse((n_bytes < 1) | (n_bytes > 8), -6)
        _refuse(self.position > self.size, -1)
        values = self._words[places + 1] & _MASKS[n_bytes]
        _refuse(values >> np.uint64(62) != 0, -4)
        out[:] = values
        np.negative(out, out=out, where=control >= 0x80)

    def records(self, kind: np.dtype[Any], count: int) -> npt.NDArray[Any]:
        """Return so many records of INTs."""
        return self.take(count * (kind.itemsize // 8)).view(kind)

    def one(self) -> int:
        """Return one INT."""
        return int(self.take(1)[0])


def _refuse(wrong: Any, code: int) -> None:
    if np.any(wrong):
        raise DamagedError(code)


def _tree(n_splits: int, n_values: int) -> np.dtype[Any]:
    """Return the type of the INTs of a tree."""
    split = np.dtype([("pixels", "i8", 2), ("threshold", "i8", 2)])
    leaf = np.dtype([("rows", "i8"), ("columns", "i8"), ("values", "i8", (n_values, 2))])
    return np.dtype(
        [("n_splits", "i8"), ("splits", split, n_splits), ("n_leaves", "i8"), ("leaves", leaf, n_splits + 1)]
    )


def _floats(pairs: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Return the numbers of mantissas and exponents in the last axis."""
    mantissa, exponent = pairs[..., 0], pairs[..., 1]
    _refuse((mantissa == 0) & (exponent >= 32000), -3)
    _refuse(abs(exponent) > _LARGEST_POWER, -6)
    with np.errstate(over="ignore", under="ignore"):
        found = np.ldexp(mantissa.astype(np.float64), exponent.astype(np.int32)).astype(np.float32)
    _refuse(~np.isfinite(found), -3)
    return found


def check_version(data: npt.NDArray[np.uint8]) -> None:
    """Check the first number of a file."""
    _read_version(_Ints(data))


def _read_version(ints: _Ints) -> None:
    _refuse(ints.one() != 1, -6)


def read_model(data: npt.NDArray[np.uint8]) -> list[npt.NDArray[Any]]:
    """Return the mean shape, anchors, deltas, pairs, thresholds and leaves of a file.

    Raises
    ------
    DamagedError
        When a number is not as expected; nothing large is allocated before the sizes are known to fit the file.
    """
    ints = _Ints(data)
    _read_version(ints)
    n_values, n_columns = (abs(int(number)) for number in ints.take(2))
    _refuse(n_columns != 1 or n_values == 0 or n_values % 2 == 1, -6)
    # A FLOAT takes four bytes at the least.
    _refuse(4 * n_values > len(data), -4)
    mean_shape = _floats(ints.take(2 * n_values).reshape(-1, 2)).reshape(-1, 2)
    n_stages, begin = ints.one(), ints.position
    n_trees, n_splits = (int(number) for number in ints.take(2))
    ints.position = begin
    _refuse(min(n_stages, n_trees, n_splits) < 1 or max(n_stages, n_trees, n_splits) > len(data), -4)
    _refuse((n_splits + 1) & n_splits, -6)
    _refuse(4 * n_values * (n_splits + 1) * n_trees * n_stages > len(data), -4)
    _refuse(n_values * (n_splits + 1) > _LARGEST_TREE, -4)
    kind = _tree(n_splits, n_values)
    pairs = np.empty((n_stages, n_trees, n_splits, 2), np.uint16)
    thresholds = np.empty((n_stages, n_trees, n_splits), np.float32)
    leaves = np.empty((n_stages, n_trees, n_splits + 1, n_values), np.float32)
    for stage in range(n_stages):
        _refuse(ints.one() != n_trees, -4)
        trees = ints.records(kind, n_trees)
        _refuse((trees["n_splits"] != n_splits) | (trees["n_leaves"] != n_splits + 1), -4)
        _refuse((abs(trees["leaves"]["rows"]) != n_values) | (abs(trees["leaves"]["columns"]) != 1), -4)
        pairs[stage] = _numbers(trees["splits"]["pixels"])
        thresholds[stage], leaves[stage] = _floats(trees["splits"]["threshold"]), _floats(trees["leaves"]["values"])
    _refuse(ints.one() != n_stages, -4)
    begin = ints.position
    n_pixels = ints.one()
    ints.position = begin
    # An anchor takes two bytes and a delta eight.
    _refuse(not 1 <= n_pixels <= min(65535, len(data) // 10 // n_stages), -4)
    anchors = ints.take(n_stages * (n_pixels + 1)).reshape(n_stages, -1)
    _refuse(ints.one() != n_stages, -4)
    deltas = ints.take(n_stages * (4 * n_pixels + 1)).reshape(n_stages, -1)
    _refuse((anchors[:, 0] != n_pixels) | (deltas[:, 0] != n_pixels), -4)
    _refuse(ints.position != len(data), -7)
    found = _floats(deltas[:, 1:].reshape(n_stages, n_pixels, 2, 2))
    return [mean_shape, _numbers(anchors[:, 1:]), found, pairs, thresholds, leaves]


def _numbers(found: npt.NDArray[np.int64]) -> npt.NDArray[np.uint16]:
    """Return numbers of pixels or landmarks."""
    _refuse((found < 0) | (found > 65535), -5)
    return found.astype(np.uint16)


def write_model(
    mean_shape: npt.NDArray[np.float32],
    anchors: npt.NDArray[np.uint16],
    deltas: npt.NDArray[np.float32],
    pairs: npt.NDArray[np.uint16],
    thresholds: npt.NDArray[np.float32],
    leaves: npt.NDArray[np.float32],
) -> npt.NDArray[np.uint8]:
    """Return the bytes of a file."""
    n_stages, n_trees, n_splits = thresholds.shape
    n_values, n_pixels = mean_shape.size, anchors.shape[1]
    parts = [_bytes([1, -n_values, -1]), _bytes(_pairs(mean_shape)), _bytes([n_stages])]
    trees = np.empty(n_trees, _tree(n_splits, n_values))
    trees["n_splits"], trees["n_leaves"] = n_splits, n_splits + 1
    trees["leaves"]["rows"], trees["leaves"]["columns"] = -n_values, -1
    for stage in range(n_stages):
        trees["splits"]["pixels"] = pairs[stage]
        trees["splits"]["threshold"], trees["leaves"]["values"] = _pairs(thresholds[stage]), _pairs(leaves[stage])
        parts += [_bytes([n_trees]), _bytes(trees.view(np.int64))]
    for items in (anchors, _pairs(deltas)):
        rows = items.reshape(n_stages, -1)
        parts += [_bytes([n_stages]), _bytes(np.insert(rows.astype(np.int64), 0, n_pixels, axis=1))]
    return np.concatenate(parts)


def _pairs(values: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Return mantissas and exponents in a last axis, as dlib has them: no byte at the end of a mantissa is zero."""
    fraction, exponent = np.frexp(values.astype(np.float64))
    mantissa = (fraction * 2**24).astype(np.int64)
    exponent = np.where(mantissa == 0, 40, exponent - 24)
    for _ in range(2):
        even = (mantissa != 0) & (mantissa & 0xFF == 0)
        mantissa, exponent = np.where(even, mantissa >> 8, mantissa), exponent + 8 * even
    return np.stack([mantissa, exponent], axis=-1)


def _bytes(ints: npt.ArrayLike) -> npt.NDArray[np.uint8]:
    """Return INTs as a file has them."""
    values = np.asarray(ints, np.int64).ravel()
    sizes = abs(values)
    n_bytes = sum((sizes >> np.int64(8 * k) != 0 for k in range(1, 8)), np.ones(len(values), np.uint8))
    rows = np.empty((len(values), 9), np.uint8)
    rows[:, 0] = n_bytes | np.where(values < 0, 0x80, 0)
    rows[:, 1:] = sizes.astype("<i8").view(np.uint8).reshape(-1, 8)
    written: npt.NDArray[np.uint8] = rows[np.arange(9) <= n_bytes[:, None]]
    return written
