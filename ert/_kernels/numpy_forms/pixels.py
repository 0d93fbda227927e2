"""Similarities, feature pools, trees and sums of leaves: see :mod:`ert._kernels.pixels`, `traversal` and `simd`."""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ert._kernels.numpy_forms.crop import Crop

Pixels = npt.NDArray[np.uint8]
Floats32 = npt.NDArray[np.float32]
Matrix = tuple[np.float32, np.float32]

_LANES = 16
_MIN_SCALE, _MAX_SCALE, _MIN_SQUARED_NORM = np.float32(0.5), np.float32(100), 1e-12
_MAX_ROUNDED, _MIN_AMOUNT = np.float32(32767), 1e-30
_MIRRORED_CHANNELS = np.array([0, 1, 4, 3, 2])
_LEVELS_PER_ROOT = np.array([3.25, 3.25 * 2**0.25, 3.25, 3.25 * 2**0.25], np.float32)


def sum_in_lanes(numbers: Floats32) -> np.float32:
    """Sum as the kernels do: 16 running totals, then folded half on half."""
    rows = np.zeros((-(-len(numbers) // _LANES), _LANES), np.float32)
    rows.reshape(-1)[: len(numbers)] = numbers
    totals = np.add.accumulate(rows)[-1]
    while len(totals) > 1:
        totals = totals[: len(totals) // 2] + totals[len(totals) // 2 :]
    return np.float32(totals[0])


class MeanShape(NamedTuple):
    """A mean shape (n_landmarks, 2), prepared for similarities: centered, and that rotated by a right angle."""

    basis: Floats32
    squared_norm: np.float32

    @classmethod
    def of(cls, mean_shape: Floats32) -> "MeanShape":
        """Prepare a mean shape."""
        mean = mean_shape.astype(np.float64)
        centered = mean - mean.mean(axis=0)
        rotated = np.stack([-centered[:, 1], centered[:, 0]], axis=1)
        basis = np.stack([centered, rotated]).astype(np.float32)
        norm = np.float32((basis[0].astype(np.float64) ** 2).sum())
        return cls(basis, np.float32(0) if norm < _MIN_SQUARED_NORM else norm)

    def similarity(self, shape: Floats32) -> Matrix:
        """Return a, b: the least-squares rotation and scale ((a, -b), (b, a)) to a shape, within bounds."""
        if self.squared_norm == 0:
            return np.float32(1), np.float32(0)
        a, b = (np.float32(sum_in_lanes((shape * basis).ravel()) / self.squared_norm) for basis in self.basis)
        scale = np.float32(math.sqrt(a * a + b * b))
        if _MIN_SCALE <= scale <= _MAX_SCALE:
            return a, b
        if scale == 0:
            return _MIN_SCALE, np.float32(0)
        factor = (_MAX_SCALE if scale > _MAX_SCALE else _MIN_SCALE) / scale
        return a * factor, b * factor


class Pool(NamedTuple):
    """The feature pool of a stage.

    Parameters
    ----------
    anchors : int array (n_pixels,)
    deltas : float32 array (2, n_pixels)
    channels : int array (n_pixels,) or None
    """

    anchors: npt.NDArray[np.intp]
    deltas: Floats32
    channels: npt.NDArray[np.intp] | None


def pools(
    anchors: npt.NDArray[np.uint16], deltas: Floats32, channels: npt.NDArray[np.uint8] | None = None
) -> list[Pool]:
    """Lay out the pools of all stages: anchors (n_stages, n_pixels), deltas (n_stages, n_pixels, 2)."""
    numbers = [None] * len(anchors) if channels is None else list(channels.astype(np.intp))
    turned = np.ascontiguousarray(deltas.transpose(0, 2, 1))
    return [Pool(*each) for each in zip(anchors.astype(np.intp), turned, numbers, strict=True)]


class Channels(NamedTuple):
    """What pixels of a pool are read from.

    Parameters
    ----------
    pixels : uint8 array (columns, rows)
        The crop.
    maps : uint8 array (4, columns, rows) or None
        Those of :func:`orientation_maps`.
    transform : float32 array (6,)
        From box coordinates to pixels of the crop.
    """

    pixels: Pixels
    maps: Pixels | None
    transform: Floats32


def channels_of(crop: Crop, *, with_maps: bool) -> Channels:
    """Return what the pixels of pools are read from in a crop."""
    return Channels(crop.pixels, orientation_maps(crop.pixels) if with_maps else None, crop.transform)


def orientation_maps(crop: Pixels) -> Pixels:
    """Return how steep a crop (columns, rows) is in four directions, at half its scale: (4, columns, rows)."""
    padded = np.pad(crop.astype(np.int32), [(1, 1 + size % 2) for size in crop.shape], mode="edge")
    across, down = padded[2:, 1:-1] - padded[:-2, 1:-1], padded[1:-1, 2:] - padded[1:-1, :-2]
    steep_across, steep_down, same = np.abs(across), np.abs(down), (across > 0) == (down > 0)
    both = np.minimum(steep_across, steep_down)
    parts = np.stack([steep_across - both, both * same, steep_down - both, both * ~same])
    cells = parts[:, ::2, ::2] + parts[:, 1::2, ::2] + parts[:, ::2, 1::2] + parts[:, 1::2, 1::2]
    cells = np.pad(cells, ((0, 0), (1, 1), (1, 1)), mode="edge")
    sums = cells[:, :-2] + 2 * cells[:, 1:-1] + cells[:, 2:]
    sums = sums[:, :, :-2] + 2 * sums[:, :, 1:-1] + sums[:, :, 2:]
    roots = np.sqrt(sums.astype(np.float32)) * _LEVELS_PER_ROOT[:, None, None]
    maps: Pixels = np.minimum(roots, np.float32(255)).astype(np.uint8)
    return maps


def read_pixels(channels: Channels, to_pixels: Floats32, shape: Floats32, matrix: Matrix, pool: Pool) -> Pixels:
    """Read a pool's pixels (n_pixels,) for one shape; a position outside the crop reads the nearest pixel.

    Parameters
    ----------
    to_pixels : float32 array (6,)
        From the coordinates of the shape to pixels of the crop.
    """
    a, b = matrix
    xx, xy = to_pixels[0] * a + to_pixels[1] * b, to_pixels[1] * a - to_pixels[0] * b
    yx, yy = to_pixels[2] * a + to_pixels[3] * b, to_pixels[3] * a - to_pixels[2] * b
    half, zero = np.float32(0.5), np.float32(0)
    (u, v), (du, dv) = shape.T, pool.deltas
    placed_x = (u * to_pixels[0] + v * to_pixels[1]) + (to_pixels[4] + half)
    placed_y = (v * to_pixels[3] + u * to_pixels[2]) + (to_pixels[5] + half)
    i, j = (
        # A NaN is the first pixel.
        np.minimum(np.where(place > zero, place, zero), np.float32(size - 1)).astype(np.intp)
        for place, size in zip(
            (placed_x[pool.anchors] + xx * du + xy * dv, placed_y[pool.anchors] + yx * du + yy * dv),
            channels.pixels.shape,
            strict=True,
        )
    )
    values: Pixels = channels.pixels[i, j]
    if channels.maps is not None and pool.channels is not None:
        mirrored = to_pixels[0] * to_pixels[3] < to_pixels[1] * to_pixels[2]
        numbers = _MIRRORED_CHANNELS[pool.channels] if mirrored else pool.channels
        values = np.where(numbers > 0, channels.maps[numbers - 1, i // 2, j // 2], values)
    return values


class Trees(NamedTuple):
    """The trees of a stage, one after another.

    Parameters
    ----------
    first, second : int array (n_trees * n_splits,)
        The two pixels of each split.
    thresholds : array (n_trees * n_splits,)
    leaves : array (n_trees * n_leaves, n_numbers)
    roots, depth
        The place of each tree's first split; the splits from there to a leaf.
    """

    first: npt.NDArray[np.intp]
    second: npt.NDArray[np.intp]
    thresholds: npt.NDArray[Any]
    leaves: npt.NDArray[Any]
    roots: npt.NDArray[np.intp]
    depth: int

    @classmethod
    def of(cls, pairs: npt.NDArray[np.uint16], thresholds: npt.NDArray[Any], leaves: npt.NDArray[Any]) -> "Trees":
        """Lay out pairs (n_trees, n_splits, 2), thresholds (n_trees, n_splits), leaves (n_trees, n_leaves, n)."""
        n_trees, n_splits = thresholds.shape
        first, second = np.moveaxis(pairs, -1, 0).reshape(2, -1).astype(np.intp)
        roots = np.arange(n_trees) * n_splits
        flat = leaves.reshape(n_trees * (n_splits + 1), -1)
        return cls(first, second, thresholds.reshape(-1), flat, roots, n_splits.bit_length())

    def leaves_of(self, values: Pixels) -> npt.NDArray[Any]:
        """Return the leaf (n_trees, n_numbers) of each tree; node i has the children 2i + 1 and 2i + 2."""
        levels = values.astype(np.int16)
        node, n_splits = np.zeros_like(self.roots), (1 << self.depth) - 1
        for _ in range(self.depth):
            place = self.roots + node
            difference = levels[self.first[place]] - levels[self.second[place]]
            node = 2 * node + 2 - (difference > self.thresholds[place])
        # A tree has one leaf more than splits.
        leaves: npt.NDArray[Any] = self.leaves[self.roots + np.arange(len(node)) + (node - n_splits)]
        return leaves


class Basis(NamedTuple):
    """What sums of leaves are expressed in: scales (n,), integers (n, n_outputs), and the largest sum of amounts."""

    scales: Floats32
    rows: npt.NDArray[np.float64]
    limit: np.float32

    @classmethod
    def of(cls, scales: Floats32, rows: npt.NDArray[np.signedinteger]) -> "Basis":
        """Prepare scales and rows; integers below 2**53 are exact in doubles, whose products are quicker."""
        limit = np.float32(2 ** (32 - 8 * rows.itemsize) - -(-len(rows) // _LANES) * _LANES)
        return cls(scales.astype(np.float32), rows.astype(np.float64), limit)

    def product(self, components: npt.NDArray[np.int32]) -> Floats32:
        """Multiply the sum of leaves by the basis: rounded to 16 bits first, then exact."""
        amounts = components.astype(np.float32) * self.scales
        sizes = np.abs(amounts)
        largest = sizes.max(initial=0)
        if largest < _MIN_AMOUNT:
            return np.zeros(self.rows.shape[1], np.float32)
        factor = min(_MAX_ROUNDED / largest, self.limit / sum_in_lanes(sizes))
        product = np.rint(amounts * factor).astype(np.float64) @ self.rows
        unit = np.float32(1) / factor
        moved: Floats32 = product.astype(np.float32) * unit
        return moved


def sum_of_leaves(leaves: npt.NDArray[np.signedinteger]) -> npt.NDArray[np.int32]:
    """Return the sum (n,) of leaves (n_trees, n) of small integers."""
    total: npt.NDArray[np.int32] = leaves.sum(axis=0, dtype=np.int32)
    return total
