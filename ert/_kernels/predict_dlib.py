"""The kernel that runs a cascade of dlib on a face, to dlib's pixels and dlib's rounding.

What differs from :mod:`ert._kernels.predict`: pixels are read from the image, 0 outside it; the box is
stretched to the unit square; leaves are whole shapes of floats, and the similarity does not rotate them.

    leaves  float32 (n_stages, n_trees * n_leaves * 2 * n_landmarks)   x0, y0, x1, y1, ...

A leaf of 68 landmarks is nine cache lines, anywhere in tens of megabytes: what counts is how many lines are
on their way at a time. The sums stay in registers, and lines are prefetched some trees ahead, a leaf's first
line before the others, since all of them wait until its page has been found.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt
from numba import types
from numba.extending import intrinsic, overload

from ert._kernels.bound_args import DUMMY_BOX, DUMMY_IMAGE, BoundArgs, entry_point, unpack
from ert._kernels.images import weigh
from ert._kernels.llvm import FLOAT, INT64, data, load, loop, prefetch, store, variable, vector
from ert._kernels.predict import CompiledCascade, add_displacement, is_plain, within_reach
from ert._kernels.simd import LANES, BasisArgs, add_leaves, aligned, basis_args, product_workspace
from ert._kernels.traversal import TREES_PER_BLOCK, TreeArgs, find_leaves, traversal_workspace, tree_args


class DlibCascadeArgs(NamedTuple):
    """A cascade of dlib, laid out for the kernels; the first axis of all but the mean shape is the stage.

    Parameters
    ----------
    mean_shape : float32 array (n_landmarks, 2)
    anchors : uint16 array (n_stages, n_pixels)
    deltas : float32 array (n_stages, 2, n_pixels)
    trees : TreeArgs
    basis : BasisArgs
        Empty where leaves are floats.
    """

    mean_shape: Any
    anchors: Any
    deltas: Any
    trees: TreeArgs
    basis: BasisArgs


def compile_dlib_cascade(arrays: dict[str, npt.NDArray[Any]]) -> CompiledCascade:
    """Lay out a cascade of dlib for :func:`predict_face_dlib`, and compile it.

    Parameters
    ----------
    arrays : dict of ndarray
        As :class:`ert.model.dlib_cascade.DlibCascade` has them.
    """
    mean_shape, anchors = arrays["mean_shape"], arrays["anchors"]
    trees = arrays["pairs"], arrays["thresholds"], arrays["leaves"]
    args = DlibCascadeArgs(
        aligned(mean_shape),
        aligned(anchors),
        aligned(arrays["deltas"].transpose(0, 2, 1)),
        tree_args(*trees, anchors.shape[1]),
        basis_args(arrays["scales"], arrays["basis"]),
    )
    color = 1, np.zeros(4, np.uint32)

    def call(bound: BoundArgs) -> Callable[..., bool]:
        landmarks = np.empty((1, len(mean_shape), 2))
        return entry_point(predict_face_dlib, DUMMY_IMAGE, (0, 0), DUMMY_BOX, 0, color, bound, landmarks)

    return CompiledCascade(args, call)


@numba.njit(cache=True, nogil=True)
def predict_face_dlib(image, origin, box, max_box_to_image, color, bound, landmarks):
    """Locate the landmarks of one face.

    The order of the additions and the precision of every step are dlib's (`shape_predictor.h`), because a
    last bit decides now and then which pixel is read.

    Parameters
    ----------
    image : uint8 array (rows, columns * n_channels)
        All of the image, or the part of it that can matter.
    origin : tuple of 2 int
        Column and row of all of the image where this begins.
    box : tuple of 4 float
        Left, top, width, height; the unit square reaches to the center of its last pixel.
    max_box_to_image : int
        See :func:`ert._kernels.predict.is_plain`; 0 if image and box have been checked.
    color : int, uint32 array (4,)
        The number of channels, 1 or 3, and the weights that convert a pixel to gray.
    bound : BoundArgs
        Of a :class:`DlibCascadeArgs`.
    landmarks : float64 array (1, n_landmarks, 2)
        Written: x, y in image pixels.

    Returns
    -------
    bool
        False when image or box were to be checked and are not plain.
    """
    if max_box_to_image and not is_plain(image, box, max_box_to_image):
        return False
    left, top, width, height = box
    column, row = origin
    n_channels, weights = color
    cascade = unpack(bound)
    mean_shape, anchors, deltas, trees = cascade.mean_shape, cascade.anchors, cascade.deltas, cascade.trees
    rows, columns = image.shape[0], image.shape[1] // n_channels
    n_stages, n_pixels = anchors.shape
    traversal = traversal_workspace(trees.n_trees, n_pixels)
    products = product_workspace(cascade.basis)
    values = traversal.values
    anchored = np.empty((2, n_pixels), np.float32)
    places = np.empty(n_pixels, np.float64)
    flat = image.reshape(-1)
    pixels = image.reshape(rows * columns, n_channels)
    n_landmarks = mean_shape.shape[0]
    padded_shape = np.zeros((cascade.basis.rows.shape[2] // 2, 2), np.float32)
    for i in range(n_landmarks):
        padded_shape[i, 0], padded_shape[i, 1] = mean_shape[i, 0], mean_shape[i, 1]
    shape = padded_shape[:n_landmarks]
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
        find_leaves(trees, stage, n_pixels, traversal)
        _add_stage(trees, cascade.basis, stage, traversal, products, padded_shape)
    for i in range(n_landmarks):
        landmarks[0, i, 0] = within_reach(shape[i, 0]) * (width - 1) + left
        landmarks[0, i, 1] = within_reach(shape[i, 1]) * (height - 1) + top
    return True


def _add_stage(trees, basis, stage, traversal, products, shape):
    """Add a stage's leaves to a shape; depends on their type, so that it can only be called in kernels."""
    raise NotImplementedError


@overload(_add_stage)
def _choose_add_stage(trees, basis, stage, traversal, products, shape):
    def floats(trees, basis, stage, traversal, products, shape):
        out = shape.reshape(-1)[: trees.leaf_size]
        add_float_leaves(trees.leaves, stage, traversal.leaf_offsets, trees.n_trees, out)

    def integers(trees, basis, stage, traversal, products, shape):
        add_leaves(trees, stage, traversal.leaf_offsets, products.components)
        # Not rotated with the shape.
        add_displacement(basis, stage, stage, (np.float32(1), np.float32(0)), products, shape)

    leaves = trees.types[trees.fields.index("leaves")]
    return floats if isinstance(leaves.dtype, types.Float) else integers


@numba.njit(cache=True, nogil=True)
def _similarity(mean_shape, shape):
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


# The most trees whose leaves are prefetched before their turn; offsets have as many elements more.
PREFETCH_TREES = TREES_PER_BLOCK
# The last two lines are prefetched 8 trees before their turn, and each two lines before them 6 trees earlier.
_LAST_LINE_TREES, _EARLIER_TREES = 8, 6


def _prefetch_ahead(builder: Any, source: Any, base: Any, rows: Any, tree: Any, starts: list[int]) -> None:
    """Prefetch leaves of coming trees.

    Parameters
    ----------
    source
        Pointer to the leaves.
    base
        The element that offsets are counted from.
    rows
        Pointer to the offsets, `PREFETCH_TREES` more of them than trees.
    tree
        The tree whose leaf is added now.
    starts
        The elements of a leaf at which cache lines begin.
    """
    for number, start in enumerate(starts):
        ahead = min(PREFETCH_TREES, _LAST_LINE_TREES + _EARLIER_TREES * ((len(starts) - 1 - number) // 2))
        row = builder.load(builder.gep(rows, [builder.add(tree, INT64(ahead))]))
        prefetch(builder, builder.gep(source, [builder.add(builder.add(base, row), INT64(start))]))


def _add_columns(widths: list[int]) -> Any:
    """Return a function that sums some columns of leaves, as many as all vectors of these widths have lanes.

    It takes the leaves; the element that offsets are counted from; the offsets, and how many there are; the
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
                _prefetch_ahead(builder, source, base, places, tree, lines)
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
def add_float_leaves(leaves, stage, rows, n_trees, out):
    """Add leaves of floats to a shape, tree after tree, so that every rounding is that of dlib.

    Parameters
    ----------
    leaves : float32 array (n_stages, n_trees * n_leaves * leaf_size)
    stage : int
    rows : int64 array (at least n_trees + PREFETCH_TREES,)
        From :func:`ert._kernels.traversal.find_leaves`; the elements behind the trees' are overwritten.
    n_trees : int
    out : float32 array (leaf_size,)
        Added to.
    """
    base, size, first = stage * leaves.shape[1], out.shape[0], 0
    for i in range(PREFETCH_TREES):
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
