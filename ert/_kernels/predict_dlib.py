"""Leaves of floats added up, as dlib's models have them: whole shapes, tree after tree.

A leaf of 68 points is nine lines of the cache, which lie anywhere in tens of megabytes: what counts is how
many lines are on their way at a time. The sums stay in registers, and lines are asked for some trees ahead: a
leaf's first line before the others, for all of them wait until its page has been found.
"""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba import types
from numba.extending import intrinsic, overload

from ert._kernels.bound_args import unpack
from ert._kernels.gray import weigh
from ert._kernels.llvm import FLOAT, INT64, data, load, loop, prefetch, store, variable, vector
from ert._kernels.predict import add_displacement, usual
from ert._kernels.simd import LANES, add_leaves, product_workspace
from ert._kernels.traversal import BLOCK_OF_TREES, find_leaves, traversal_workspace

__all__ = [
    "AHEAD",
    "add_float_leaves",
    "ask_ahead",
    "predict_dlib",
]


@numba.njit(cache=True, nogil=True)
def predict_dlib(  # type: ignore[no-untyped-def]
    image, n_channels, column, row, weights, left, top, width, height, most, bound, numbers, placed
):
    """Run dlib's cascade on an image.

    The order of the additions and the precision of every step are dlib's (`shape_predictor.h`), because a
    last bit decides now and then which pixel is read.

    Parameters
    ----------
    image : uint8 array (rows, columns * n_channels)
        All of it, or the part of it that can matter.
    n_channels : 1 or 3
    column, row : int
        Where in the image it begins.
    weights : uint32 array (4,)
        How colors become gray; see :func:`ert.colors.channel_weights`.
    left, top, width, height : float
        The box; its unit square reaches to the center of its last pixel.
    most : int
        How many times as large as the image the box may be: 0 if image and box have been checked.
    bound, numbers
        See :class:`ert.held.BoundArgs`: :attr:`DlibCascade.kernel_arguments`.
    placed : float64 array (1, n_landmarks, 2)
        Written: x, y in pixels of the image.

    Returns
    -------
    bool
        False when something was to be checked and is not as :func:`ert.running.usual` expects.
    """
    if most and not usual(image, left, top, width, height, most):
        return False
    arguments = unpack(bound, numbers)
    mean_shape, anchors, deltas, nodes, n_trees, depth = arguments[:6]
    leaves, leaf_size, scales, basis, limit = arguments[6:]
    rows, columns = image.shape[0], image.shape[1] // n_channels
    n_stages, n_pixels = anchors.shape
    values, masks, leaf_of = traversal_workspace(n_trees, n_pixels)
    total, amounts, whole, moved = product_workspace(scales, basis)
    anchored = np.empty((2, n_pixels), np.float32)
    places = np.empty(n_pixels, np.float64)
    flat = image.reshape(-1)
    pixels = image.reshape(rows * columns, n_channels)
    n_landmarks = mean_shape.shape[0]
    room = np.zeros((basis.shape[2] // 2, 2), np.float32)
    for i in range(n_landmarks):
        room[i, 0], room[i, 1] = mean_shape[i, 0], mean_shape[i, 1]
    shape = room[:n_landmarks]
    leaves_of, scratch = (leaves, leaf_of), (total, amounts, whole, moved, room)
    for stage in range(n_stages):
        a, b = _similarity(mean_shape, shape)
        us, vs = deltas[stage, 0], deltas[stage, 1]
        xs, ys = anchored[0], anchored[1]
        for p in range(n_pixels):
            anchor = np.uint64(anchors[stage, p])
            xs[p] = shape[anchor, 0]
            ys[p] = shape[anchor, 1]
        for p in range(n_pixels):
            px = np.float32(np.float32(a * us[p]) - np.float32(b * vs[p])) + xs[p]
            py = np.float32(np.float32(b * us[p]) + np.float32(a * vs[p])) + ys[p]
            x = np.floor(np.float64(px) * (width - 1) + left + 0.5) - column
            y = np.floor(np.float64(py) * (height - 1) + top + 0.5) - row
            inside = (x >= 0) & (y >= 0) & (x < columns) & (y < rows)
            places[p] = y * columns + x if inside else -1.0
        for p in range(n_pixels):
            place = places[p]
            if n_channels == 1:
                values[p] = flat[np.uint64(place)] if place >= 0 else 0
            else:
                values[p] = weigh(pixels[np.uint64(place)], weights) if place >= 0 else 0
        find_leaves(values, nodes, stage, n_trees, n_pixels, depth, leaf_size, leaves, masks, leaf_of)
        _add_stage(*leaves_of, stage, n_trees, leaf_size, scales, basis, limit, *scratch)  # type: ignore[no-untyped-call]
    for i in range(shape.shape[0]):
        placed[0, i, 0] = np.float64(shape[i, 0]) * (width - 1) + left
        placed[0, i, 1] = np.float64(shape[i, 1]) * (height - 1) + top
    return True


def _add_stage(leaves, rows, stage, n_trees, size, scales, basis, limit, *scratch):  # type: ignore[no-untyped-def]
    """Add a stage's leaves to a shape: only to be called in kernels, where it depends on the leaves' type.

    `scratch` is what :func:`ert.running.add_displacement` works in, and the shape.
    """
    raise NotImplementedError


@overload(_add_stage)
def _choose_add_stage(leaves, rows, stage, n_trees, size, scales, basis, limit, *scratch):  # type: ignore[no-untyped-def]
    def floats(leaves, rows, stage, n_trees, size, scales, basis, limit, *scratch):  # type: ignore[no-untyped-def]
        add_float_leaves(leaves, stage, rows, n_trees, scratch[-1].reshape(-1)[:size])

    def whole_numbers(leaves, rows, stage, n_trees, size, scales, basis, limit, *scratch):  # type: ignore[no-untyped-def]
        total, amounts, whole, moved, shape = scratch
        add_leaves(leaves, stage, rows, n_trees, size, total)
        # Not turned with the shape.
        one, zero = np.float32(1), np.float32(0)
        add_displacement(total, scales, stage, basis, stage, limit, one, zero, amounts, whole, moved, shape)

    return floats if isinstance(leaves.dtype, types.Float) else whole_numbers


@numba.njit(cache=True, nogil=True)
def _similarity(mean_shape, shape):  # type: ignore[no-untyped-def]
    """Least-squares similarity from the mean shape to a shape, in double precision, rounded to single."""
    n = shape.shape[0]
    mean_x = mean_y = x = y = 0.0
    for i in range(n):
        mean_x += mean_shape[i, 0]
        mean_y += mean_shape[i, 1]
        x += shape[i, 0]
        y += shape[i, 1]
    mean_x, mean_y, x, y = mean_x / n, mean_y / n, x / n, y / n
    a = b = total = 0.0
    for i in range(n):
        u, v = mean_shape[i, 0] - mean_x, mean_shape[i, 1] - mean_y
        s, t = shape[i, 0] - x, shape[i, 1] - y
        a += u * s + v * t
        b += u * t - v * s
        total += u * u + v * v
    if total == 0:
        return np.float32(1), np.float32(0)
    return np.float32(a / total), np.float32(b / total)


# The most trees whose leaves are asked for before their turn: rows have room for so many more.
AHEAD = BLOCK_OF_TREES
# The last two lines are asked for so many trees before their turn, and each two before them so many earlier.
_LAST, _EARLIER = 8, 6


def ask_ahead(builder: Any, source: Any, base: Any, rows: Any, tree: Any, starts: list[int]) -> None:
    """Have the leaves of coming trees brought near.

    Parameters
    ----------
    source : where the table begins
    base : element that rows are counted from
    rows : where the rows begin, `AHEAD` more of them than trees
    tree : number of the tree whose turn it is
    inits : elements of a leaf at which lines begin
    """
    for number, start in enumerate(starts):
        ahead = min(AHEAD, _LAST + _EARLIER * ((len(starts) - 1 - number) // 2))
        row = builder.load(builder.gep(rows, [builder.add(tree, INT64(ahead))]))
        prefetch(builder, builder.gep(source, [builder.add(builder.add(base, row), INT64(start))]))


def _add_columns(widths: list[int]) -> Any:
    """Make a function that adds some columns of rows, as many as all vectors of these widths have lanes.

    It takes `table`; `base`, the element that rows are counted from; `rows`, and how many there are; the
    first column; and `out`.
    """
    starts = [sum(widths[:i]) for i in range(len(widths))]
    lines = list(range(0, sum(widths), LANES))

    def typed(context: Any, table: Any, base: Any, rows: Any, n: Any, first: Any, out: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            source, places, target = (data(context, builder, signature, args, i) for i in (0, 2, 5))
            _, base, _, n, first, _ = args
            base = builder.add(base, first)
            kinds = [vector(FLOAT, width) for width in widths]
            columns = [builder.add(first, INT64(start)) for start in starts]
            totals = [
                variable(builder, load(builder, target, column, kind))
                for column, kind in zip(columns, kinds, strict=True)
            ]

            def element(tree: Any, start: int) -> Any:
                row = builder.load(builder.gep(places, [tree]))
                return builder.add(builder.add(base, row), INT64(start))

            with loop(builder, n) as (tree, _):
                ask_ahead(builder, source, base, places, tree, lines)
                for start, kind, total in zip(starts, kinds, totals, strict=True):
                    numbers = load(builder, source, element(tree, start), kind)
                    builder.store(builder.fadd(builder.load(total), numbers), total)
            for column, total in zip(columns, totals, strict=True):
                store(builder, builder.load(total), target, column)
            return context.get_dummy_value()

        whole = types.uint64
        return types.void(table, whole, rows, whole, whole, out), generate

    return intrinsic(typed)


# The shape of 68 points, which most models have, at once.
_add_136: Callable[..., None] = _add_columns([LANES] * 8 + [8])
_add_128: Callable[..., None] = _add_columns([LANES] * 8)
_add_16: Callable[..., None] = _add_columns([LANES])


@numba.njit(cache=True, nogil=True)
def add_float_leaves(leaves, stage, rows, n_trees, out):  # type: ignore[no-untyped-def]
    """Add leaves of floats to what is there, tree after tree, so that every rounding is that of dlib.

    Parameters
    ----------
    leaves : float32 array (n_stages, n_trees * n_leaves * leaf_size)
    stage : int
    rows : int64 array (at least n_trees + AHEAD,)
        From :func:`ert.walk.find_leaves`. What stands behind them is overwritten.
    n_trees : int
    out : float32 array (leaf_size,)
        Added to.
    """
    base, size, first = stage * leaves.shape[1], out.shape[0], 0
    for i in range(AHEAD):
        rows[n_trees + i] = rows[n_trees - 1]
    if size == 136:
        _add_136(leaves, base, rows, n_trees, first, out)
        return
    while size - first >= 128:
        _add_128(leaves, base, rows, n_trees, first, out)
        first += 128
    while size - first >= LANES:
        _add_16(leaves, base, rows, n_trees, first, out)
        first += LANES
    for t in range(n_trees):
        for i in range(first, size):
            out[i] += leaves[stage, np.uint64(rows[t] + i)]
