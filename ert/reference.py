"""Prediction in plain NumPy, to be read next to the paper: slow, and the same landmarks as the kernels.

Kazemi & Sullivan, *One Millisecond Face Alignment with an Ensemble of Regression Trees*, CVPR 2014. A cascade
moves the mean shape onto a face, stage by stage: ``shape += r_t(image, shape)`` (section 2.1). Each r_t is a sum
of regression trees whose splits compare pairs of pixels that move with the shape (section 2.3.1). Single
precision and the order of sums are those of the kernels, so that borderline pixels are the same.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ert._core.images import to_gray
from ert._core.types import Box, Floats, Pixels
from ert.model.dlib_cascade import DlibCascade
from ert.model.fitted import Fitted
from ert.model.geometry import square_box

__all__ = ["Step", "find_leaf", "orientation_maps", "predict", "run_stages", "similarity"]

Matrix = tuple[np.float32, np.float32]


class Step(NamedTuple):
    """A stage of a prediction: the shape (n_landmarks, 2) after it, and the pixels of its feature pool.

    `positions` (n_pixels, 2) are in image pixels, like the shape; `values` (n_pixels,) are gray levels.
    """

    shape: Floats
    positions: Floats
    values: Pixels


def predict(fitted: Fitted, image: Pixels, box: Box, channel_order: str = "rgb") -> Floats:
    """Return the landmarks (n_landmarks, 2) of one face, in image pixels, as ``mode="fast"`` finds them."""
    *_, last = run_stages(fitted, image, box, channel_order)
    return last.shape


def run_stages(fitted: Fitted, image: Pixels, box: Box, channel_order: str = "rgb") -> Iterator[Step]:
    """Run the cascade of ``model.fitted_`` on one face, stage by stage."""
    cascade, weights = fitted.cascade, fitted.params["gray_weights"]
    left, top, width, height = map(float, box)
    if isinstance(cascade, DlibCascade):  # reads the image itself, in the stretched box
        origin, side = np.array([left, top]), np.array([width - 1, height - 1])
        crop = to_gray(image, channel_order, weights).T
        to_crop = np.array([side[0], 0, 0, side[1], left, top])
    else:  # reads a crop, resampled to the working size, of the square box
        x, y, length = square_box(left, top, width, height)
        origin, side = np.array([x, y]), np.array([length, length])
        box_transform = np.array([length, 0, 0, length, x, y])
        crop, to_crop = cascade.crop_spec.cut(image, box_transform, channel_order, weights)
    shape, half = cascade.mean_shape.copy(), np.float32(0.5)
    for stage in cascade.stages():
        a, b = similarity(cascade.mean_shape, shape)
        (u, v), (x, y) = stage.deltas.T, shape[stage.anchors].T  # section 2.3.1: x + s R delta
        if isinstance(cascade, DlibCascade):
            a, b = _precise_similarity(cascade.mean_shape, shape)
            columns = np.floor(((a * u - b * v) + x).astype(float) * to_crop[0] + to_crop[4] + 0.5)
            rows = np.floor(((b * u + a * v) + y).astype(float) * to_crop[3] + to_crop[5] + 0.5)
            inside = (columns >= 0) & (rows >= 0) & (columns < crop.shape[0]) & (rows < crop.shape[1])
        else:  # to pixels of the crop, in one step
            scale, *_, shift_x, shift_y = to_crop.astype(np.float32)
            columns = (x * scale + (shift_x + half)) + scale * a * u + -scale * b * v
            rows = (y * scale + (shift_y + half)) + scale * b * u + scale * a * v
            inside = np.True_  # positions outside read the nearest pixel
        i, j = (np.clip(v, 0, n - 1).astype(int) for v, n in zip((columns, rows), crop.shape, strict=True))
        values = np.where(inside, crop[i, j], 0).astype(np.uint8)
        if stage.channels is not None:  # others are read from maps at half the scale
            maps = np.stack([crop[::2, ::2], *orientation_maps(crop)])
            values = np.where(stage.channels > 0, maps[stage.channels, i // 2, j // 2], values)
        leaves = np.stack(
            [
                leaf[find_leaf(values, pairs, limits)]
                for pairs, limits, leaf in zip(stage.pairs, stage.thresholds, stage.leaves, strict=True)
            ]
        )
        positions = np.stack([x + a * u - b * v, y + b * u + a * v], axis=1) * side + origin
        if leaves.dtype == np.float32:  # dlib: whole shapes, added one by one
            for leaf in leaves:
                shape = shape + leaf.reshape(-1, 2)
        else:  # section 2.1: S += r_t, in the mean shape's scale and rotation for our own kind
            dx, dy = _product(leaves.sum(axis=0, dtype=np.int32), stage.scales, stage.basis).reshape(-1, 2).T
            turn = (np.float32(1), np.float32(0)) if isinstance(cascade, DlibCascade) else (a, b)
            moved = [dx * turn[0] + dy * -turn[1], dy * turn[0] + dx * turn[1]]
            shape = np.stack(moved, axis=1) + shape
        yield Step(shape.astype(np.float64) * side + origin, positions, values)


def orientation_maps(crop: Pixels) -> Pixels:
    """Return how steep a crop (columns, rows) is in four directions, at half its scale: (4, columns, rows).

    The directions are those of gradients: across, down to the right, down, down to the left.
    """
    around = [(1, 1 + size % 2) for size in crop.shape]
    padded = np.pad(crop.astype(np.int64), around, mode="edge")
    across, down = padded[2:, 1:-1] - padded[:-2, 1:-1], padded[1:-1, 2:] - padded[1:-1, :-2]
    both, same = np.minimum(abs(across), abs(down)), (across > 0) == (down > 0)
    parts = np.stack([abs(across) - both, both * same, abs(down) - both, both * ~same])
    cells = parts[:, ::2, ::2] + parts[:, 1::2, ::2] + parts[:, ::2, 1::2] + parts[:, 1::2, 1::2]
    cells = np.pad(cells, ((0, 0), (1, 1), (1, 1)), mode="edge")
    sums = cells[:, :-2] + 2 * cells[:, 1:-1] + cells[:, 2:]
    sums = sums[:, :, :-2] + 2 * sums[:, :, 1:-1] + sums[:, :, 2:]
    levels_per_root = np.array([3.25, 3.25 * 2**0.25, 3.25, 3.25 * 2**0.25], np.float32)
    roots = np.sqrt(sums.astype(np.float32)) * levels_per_root[:, None, None]
    maps: Pixels = np.minimum(roots, 255).astype(np.uint8)
    return maps


def find_leaf(values: Pixels, pairs: npt.NDArray[np.uint16], thresholds: npt.NDArray[np.generic]) -> int:
    """Follow the splits of a tree to its leaf (section 2.3.1): node i has the children 2i + 1 and 2i + 2."""
    node = 0
    while node < len(thresholds):
        first, second = pairs[node]
        goes_left = int(values[first]) - int(values[second]) > thresholds[node]
        node = 2 * node + (1 if goes_left else 2)
    return node - len(thresholds)


def similarity(mean_shape: npt.NDArray[np.float32], shape: npt.NDArray[np.float32]) -> Matrix:
    """Fit the scale and rotation ((a, -b), (b, a)) from the mean shape to a shape (section 2.3.1)."""
    centered = (mean_shape - mean_shape.mean(axis=0, dtype=np.float64)).astype(np.float32)
    squares = np.float32((centered.astype(np.float64) ** 2).sum())
    if squares == 0:
        return np.float32(1), np.float32(0)
    a = _sum((shape * centered).ravel()) / squares
    b = _sum((shape * (centered[:, ::-1] * np.array([-1, 1], np.float32))).ravel()) / squares
    scale = np.float32(math.hypot(a, b))
    if scale >= 0.5:
        return a, b
    return (a * (np.float32(0.5) / scale), b * (np.float32(0.5) / scale)) if scale else (np.float32(0.5), b)


def _precise_similarity(mean_shape: npt.NDArray[np.float32], shape: npt.NDArray[np.float32]) -> Matrix:
    u, v = (mean_shape.astype(np.float64) - mean_shape.mean(axis=0, dtype=np.float64)).T
    s, t = (shape.astype(np.float64) - shape.mean(axis=0, dtype=np.float64)).T
    squares = (u * u + v * v).sum()
    a, b = ((u * s + v * t).sum(), (u * t - v * s).sum()) if squares else (1.0, 0.0)
    return np.float32(a / (squares or 1.0)), np.float32(b / (squares or 1.0))


def _product(
    components: npt.NDArray[np.int32], scales: npt.NDArray[np.float32], basis: npt.NDArray[np.signedinteger]
) -> npt.NDArray[np.float32]:
    """Multiply the sum of leaves by the basis: rounded to 16 bits first, as the kernels do, then exact."""
    amounts = components.astype(np.float32) * scales
    largest = np.abs(amounts).max()
    if largest < 1e-30:
        return np.zeros(basis.shape[1], np.float32)
    limit = np.float32(2 ** (32 - 8 * basis.itemsize) + -len(amounts) // 16 * 16)
    factor = min(np.float32(32767) / largest, limit / _sum(np.abs(amounts)))
    product = np.rint(amounts * factor).astype(np.int64) @ basis.astype(np.int64)
    unit = np.float32(1) / factor
    moved: npt.NDArray[np.float32] = product.astype(np.float32) * unit
    return moved


def _sum(numbers: npt.NDArray[np.float32]) -> np.float32:
    """Sum as the kernels do: 16 running totals, then folded half on half."""
    totals = np.pad(numbers, (0, -len(numbers) % 16)).reshape(-1, 16).cumsum(axis=0, dtype=np.float32)[-1]
    while len(totals) > 1:
        totals = totals[: len(totals) // 2] + totals[len(totals) // 2 :]
    return np.float32(totals[0])
