"""The judge's kernels: a closer look at landmarks, two forests walked, small tables read off."""

import math

import numba
import numpy as np

from ert._kernels.crop import crop_resampled
from ert._kernels.pixels import read_pixels, similarity
from ert._kernels.simd import add_leaves, add_products, product_workspace
from ert._kernels.traversal import find_leaves, pool_values_size, traversal_workspace

__all__ = [
    "FAILED",
    "LENGTHS",
    "WITHIN",
    "assess_landmarks",
    "norm_length",
    "place_square",
    "read_around_landmarks",
    "run_forest",
]


# An alignment has failed when its mean error is more than this part of the norm length; `within` is the
# probability that a landmark is off by no more than that part.
FAILED, WITHIN = 0.08, 0.05
# A shape is looked at as if it were within these times as large as its box.
SMALLEST, LARGEST = 0.25, 4.0
# Probabilities stay that far from 0 and 1.
SURE = 0.001
# How the norm length is measured: the box's side, between two runs of landmarks, the sides of the rectangle.
_BOX_SIDE, _BETWEEN, _RECTANGLE, _DIAGONAL = range(4)
LENGTHS = {
    None: (_BOX_SIDE, 0, 0, 0, 0),
    "inter-ocular": (_BETWEEN, 36, 37, 45, 46),
    "inter-pupil": (_BETWEEN, 36, 42, 42, 48),
    "box": (_RECTANGLE, 0, 0, 0, 0),
    "diagonal": (_DIAGONAL, 0, 0, 0, 0),
}


@numba.njit(cache=True, nogil=True)
def place_square(placed, box_side, similarity_basis, squared_norm):  # type: ignore[no-untyped-def]
    """Return x, y and side of the square that the mean shape would have been put into to lie on a shape."""
    n = placed.shape[0]
    x = y = a = b = 0.0
    for i in range(n):
        x += placed[i, 0] / n
        y += placed[i, 1] / n
        a += similarity_basis[0, i, 0] * placed[i, 0] + similarity_basis[0, i, 1] * placed[i, 1]
        b += similarity_basis[1, i, 0] * placed[i, 0] + similarity_basis[1, i, 1] * placed[i, 1]
    side = math.sqrt(a * a + b * b) / squared_norm if squared_norm > 0 else box_side
    side = min(max(side, SMALLEST * box_side), LARGEST * box_side)
    return x - side / 2, y - side / 2, side


@numba.njit(cache=True, nogil=True)
def read_around_landmarks(  # type: ignore[no-untyped-def]
    image,
    column,
    row,
    placed,
    box_side,
    similarity_basis,
    squared_norm,
    region,
    working_size,
    blur,
    min_contrast,
    columns,
    rows,
    anchors,
    deltas,
    values,
):
    """Read a pool's pixels round landmarks, at the landmarks' own place, scale and roll.

    Parameters
    ----------
    image, column, row
        See :func:`ert.running.predict_face`.
    placed : float64 array (n_landmarks, 2)
        x, y in pixels of all of the image.
    box_side : float
        The side of the box that they were found in.
    similarity_basis, squared_norm
        See :func:`ert.geometry.center`.
    region, working_size, blur, min_contrast, columns, rows
        See :func:`ert.crops.crop_resampled`.
    anchors, deltas
        The pool alone, from :func:`ert.features.pool_arrays`.
    values : uint8 array (at least as many as pixels)
        Written: the pixels.

    Returns
    -------
    float
        The side of the square that the mean shape would have been put into to lie on the landmarks.
    """
    x, y, side = place_square(placed, box_side, similarity_basis, squared_norm)
    crop = np.empty(columns * rows, np.uint8)
    frame = np.empty(6, np.float32)
    how = region, working_size, blur, min_contrast
    size = crop_resampled(image, column, row, x, y, side, *how, columns, rows, crop, frame)
    shape = np.zeros(similarity_basis.shape[1:], np.float32)
    for i in range(placed.shape[0]):
        shape[i, 0] = (placed[i, 0] - x) / side
        shape[i, 1] = (placed[i, 1] - y) / side
    a, b = similarity(similarity_basis, squared_norm, shape)
    n_pixels = anchors.shape[1]
    landmarks, anchored = np.empty(shape.shape[0], np.uint64), np.empty(n_pixels, np.uint64)
    places = np.empty(n_pixels, np.int32)
    read_pixels(crop, size, frame, shape, a, b, anchors, deltas, 0, landmarks, anchored, places, values)
    return side


@numba.njit(cache=True, nogil=True)
def _run_trees(values, n_pixels, forest):  # type: ignore[no-untyped-def]
    """Return what a forest says of the pixels, float32 (n_outputs,) with zeros after it."""
    nodes, n_trees, depth, leaves, leaf_size, scales, basis, limit = forest
    _, masks, rows = traversal_workspace(n_trees, n_pixels)
    components, amounts, whole, out = product_workspace(scales, basis)
    find_leaves(values, nodes, 0, n_trees, n_pixels, depth, leaf_size, leaves, masks, rows)
    add_leaves(leaves, 0, rows, n_trees, leaf_size, components)
    add_products(components, scales, 0, basis, 0, limit, amounts, whole, out)
    return out


@numba.njit(cache=True, nogil=True)
def run_forest(values, forest, out):  # type: ignore[no-untyped-def]
    """Run a forest on pixels that were read before.

    Parameters
    ----------
    values : uint8 array (n, n_pixels)
    forest : tuple
        See :meth:`ert.judge.Forest.kernel_arguments`.
    out : float32 array (n, n_outputs)
        Written.
    """
    n_pixels = values.shape[1]
    room = np.empty(pool_values_size(n_pixels), np.uint8)
    for i in range(values.shape[0]):
        for p in range(n_pixels):
            room[p] = values[i, p]
        out[i] = _run_trees(room, n_pixels, forest)[: out.shape[1]]


@numba.njit(cache=True, nogil=True)
def _between(table_x, table_y, x):  # type: ignore[no-untyped-def]
    """Interpolate; before the first and beyond the last number the nearest holds."""
    n = table_x.shape[0]
    if x <= table_x[0]:
        return table_y[0]
    if x >= table_x[n - 1]:
        return table_y[n - 1]
    low, high = 0, n - 1
    while high - low > 1:
        middle = (low + high) // 2
        if table_x[middle] <= x:
            low = middle
        else:
            high = middle
    width = table_x[high] - table_x[low]
    part = (x - table_x[low]) / width if width > 0 else 1.0
    return table_y[low] + part * (table_y[high] - table_y[low])


@numba.njit(cache=True, nogil=True)
def norm_length(placed, box_side, how):  # type: ignore[no-untyped-def]
    """Return the length that errors are measured by, of predicted landmarks; at least a pixel."""
    kind, a, b, c, d = how
    length = box_side
    if kind == _BETWEEN:
        x = placed[a:b, 0].mean() - placed[c:d, 0].mean()
        y = placed[a:b, 1].mean() - placed[c:d, 1].mean()
        length = math.hypot(x, y)
    elif kind != _BOX_SIDE:
        x = placed[:, 0].max() - placed[:, 0].min()
        y = placed[:, 1].max() - placed[:, 1].min()
        length = math.sqrt(x * y) if kind == _RECTANGLE else math.hypot(x, y)
    return max(length, 1.0)


@numba.njit(cache=True, nogil=True)
def _probability(logit):  # type: ignore[no-untyped-def]
    return min(max(1 / (1 + math.exp(-min(max(logit, -50.0), 50.0))), SURE), 1 - SURE)


@numba.njit(cache=True, nogil=True)
def assess_landmarks(  # type: ignore[no-untyped-def]
    image,
    column,
    row,
    placed,
    box_side,
    similarity_basis,
    squared_norm,
    region,
    working_size,
    blur,
    min_contrast,
    columns,
    rows,
    anchors,
    deltas,
    errors,
    trusts,
    curve,
    usual,
    ratios,
    within_curve,
    confidence_weights,
    how,
    std,
    within,
):
    """Judge the landmarks of one face in a gray image, in one call.

    Parameters
    ----------
    image, ..., deltas
        See :func:`read_around_landmarks`.
    errors, trusts : tuple
        The two forests, see :meth:`ert.judge.Forest.kernel_arguments`.
    curve, usual, ratios, within_curve, confidence_weights
        See :class:`ert.judge.ConfidenceModel`.
    how : tuple of 5 ints
        How the norm length is measured, and between which landmarks.
    std, within : float64 array (n_landmarks,)
        Written, see :class:`ert.judge.Assessment`.

    Returns
    -------
    float
        The confidence.
    """
    n_pixels = anchors.shape[1]
    values = np.empty(pool_values_size(n_pixels), np.uint8)
    side = read_around_landmarks(
        image,
        column,
        row,
        placed,
        box_side,
        similarity_basis,
        squared_norm,
        region,
        working_size,
        blur,
        min_contrast,
        columns,
        rows,
        anchors,
        deltas,
        values,
    )
    deviations = _run_trees(values, n_pixels, errors)
    trust = _run_trees(values, n_pixels, trusts)
    length = norm_length(placed, box_side, how)
    levels = np.linspace(0, 1, ratios.shape[0])
    total = 0.0
    for i in range(std.shape[0]):
        std[i] = side * math.exp(_between(curve[0], curve[1], deviations[i]) + usual[i])
        total += std[i]
        share = _between(ratios, levels, WITHIN * length / std[i])
        within[i] = min(max(_between(within_curve[0], within_curve[1], share), SURE), 1 - SURE)
    spread = math.log(total / std.shape[0] / length)
    weights = confidence_weights
    return _probability(weights[0] + weights[1] * trust[0] + weights[2] * spread)
