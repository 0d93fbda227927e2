"""Sums and products of many short rows, with running totals in vector registers.

numba's loops load and store each total for every few rows, because the compiler does not know the number of
columns. Here some columns at a time are one vector (:mod:`ert._kernels.llvm`), and rows are added one by one,
so that rounding is the same everywhere.

    leaves  int8 or int16 (n_stages, n_trees * n_leaves * leaf_size)   a leaf is found by its first element
    basis   int8 or int16 (n_bases, n_rows / 2, n_columns, 2)          rows in pairs, element by element
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import types
from numba.extending import intrinsic, register_jitable

from ert._kernels.llvm import (
    BIT,
    FLOAT,
    INT16,
    INT32,
    INT64,
    call,
    chosen,
    constant,
    data,
    kernel,
    length,
    load,
    loop,
    multiply_pairs,
    splat,
    store,
    variable,
    vector,
)

_FLOATS_6: Any = types.UniTuple(types.float32, 6)
# Float arrays that pass through here are padded with zeros to a multiple of this.
LANES = 16
# Bytes of a cache line.
CACHE_LINE_BYTES = 64
# The largest amount of 16 bits.
MAX_ROUNDED = 32767
# Smaller amounts move nothing.
MIN_AMOUNT = 1e-30
# The sum of this many leaves of 8 bits fits into 16 bits.
MAX_ROWS_IN_16_BITS = 256


def aligned(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return an array that begins with a cache line and may be written to: itself, or a copy.

    Kernels are compiled for one kind of array only; what comes from a file is read-only.
    """
    if array.ctypes.data % CACHE_LINE_BYTES == 0 and array.flags.c_contiguous and array.flags.writeable:
        return array
    buffer = np.empty(array.nbytes + CACHE_LINE_BYTES, np.uint8)
    start = -buffer.ctypes.data % CACHE_LINE_BYTES
    copy: npt.NDArray[Any] = buffer[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def padded(array: npt.NDArray[Any], axis: int, multiple: int = LANES) -> npt.NDArray[Any]:
    """Return a copy of an array with zeros at the end of an axis, up to a multiple in length."""
    widths = [(0, 0)] * array.ndim
    widths[axis] = (0, -array.shape[axis] % multiple)
    return np.ascontiguousarray(np.pad(array, widths))


def pair_rows(matrix: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Lay out integer matrices for :func:`add_products`: rows in pairs, element by element.

    Parameters
    ----------
    matrix : int8 or int16 array (..., n_rows, n_columns)

    Returns
    -------
    array (..., n_rows / 2, n_columns, 2)
        Rows and columns are padded with zeros to multiples of 16.
    """
    whole = padded(padded(matrix, -2), -1)
    *rest, n_rows, n = whole.shape
    return np.ascontiguousarray(np.moveaxis(whole.reshape(*rest, n_rows // 2, 2, n), -2, -1))


def sum_limit(matrix: npt.NDArray[Any]) -> np.float32:
    """Return the largest sum of absolute amounts for which no product overflows 32 bits.

    Parameters
    ----------
    matrix : int8 or int16 array (..., n_rows / 2, n_columns, 2)
        From :func:`pair_rows`.
    """
    # Rounding adds up to a half to each amount.
    return np.float32(2 ** (32 - 8 * matrix.itemsize) - 2 * matrix.shape[-3])


def _sum_of_rows(lanes: int) -> Any:
    """Return a function that sums some columns of some rows.

    It takes `table`, all rows in one array; `base`, the element that rows are counted from; `rows`, the
    first element of each row; `start` and `stop`, the range of rows; `first`, the first column; and `out`,
    whose elements from `first` on are added to. Totals have the type twice as wide as the table's; sums of
    8 bits are few enough to fit.
    """

    def typed(context: Any, table: Any, base: Any, rows: Any, start: Any, stop: Any, first: Any, out: Any) -> Any:
        number = types.uint64

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            source, places, totals = (data(context, builder, signature, args, i) for i in (0, 2, 6))
            _, base, _, low, high, column, _ = args
            origin = builder.add(base, column)
            read = vector(source.type.pointee, lanes)
            kept = vector(totals.type.pointee, lanes)
            middle = vector(INT32 if table.dtype.bitwidth == 16 else INT16, lanes)
            total = variable(builder, constant(middle, 0))
            with loop(builder, builder.sub(high, low)) as (i, _):
                row = builder.load(builder.gep(places, [builder.add(low, i)]))
                numbers = load(builder, source, builder.add(row, origin), read)
                builder.store(builder.add(builder.load(total), builder.sext(numbers, middle)), total)
            result = builder.load(total)
            wide = result if middle == kept else builder.sext(result, kept)
            store(builder, builder.add(load(builder, totals, column, kept), wide), totals, column)
            return context.get_dummy_value()

        return types.void(table, number, rows, number, number, number, out), generate

    return intrinsic(typed)


def _sum_of_products(lanes: int) -> Any:
    """Return a function that computes some columns of the product of a vector and an integer matrix.

    It takes `amounts` (n_rows,) of 16 bits; matrices from :func:`pair_rows`, and the index of one; `first`,
    the first column; a factor for all; and `out`. Sums are in 32 bits.
    """

    def typed(context: Any, amounts: Any, matrix: Any, number: Any, first: Any, factor: Any, out: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            factors, source, target = (data(context, builder, signature, args, i) for i in (0, 1, 5))
            n_pairs, width = (length(context, builder, signature, args, 1, axis) for axis in (1, 2))
            _, _, which, column, factor, _ = args
            base = builder.add(builder.mul(builder.mul(which, n_pairs), width), column)
            read, pairs = vector(source.type.pointee, 2 * lanes), vector(INT16, 2 * lanes)
            kept, some = vector(INT32, LANES), vector(INT16, 2 * LANES)
            totals = [variable(builder, constant(kept, 0)) for _ in range(lanes // LANES)]
            with loop(builder, n_pairs) as (i, _):
                place = builder.mul(builder.add(builder.mul(i, width), base), INT64(2))
                numbers = load(builder, source, place, read)
                if read != pairs:
                    numbers = builder.sext(numbers, pairs)
                pair = load(builder, factors, builder.mul(i, INT64(2)), INT32)
                pair = builder.bitcast(splat(builder, pair, kept), some)
                for number, total in enumerate(totals):
                    first = 2 * LANES * number
                    part = chosen(builder, numbers, list(range(first, first + 2 * LANES)))
                    products = multiply_pairs(builder, part, pair)
                    builder.store(builder.add(builder.load(total), products), total)
            floats = vector(FLOAT, LANES)
            for number, total in enumerate(totals):
                product = builder.fmul(builder.sitofp(builder.load(total), floats), splat(builder, factor, floats))
                store(builder, product, target, builder.add(column, INT64(LANES * number)))
            return context.get_dummy_value()

        return types.void(amounts, matrix, types.uint64, types.uint64, types.float32, out), generate

    return intrinsic(typed)


def _typed_scale(context: Any, components: Any, scales: Any, number: Any, products: Any) -> Any:
    """Multiply integers by a row of scales; return the largest absolute product and the sum of all."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        whole, unit, out = (data(context, builder, signature, args, i) for i in (0, 1, 3))
        kind = vector(FLOAT, LANES)
        n = length(context, builder, signature, args, 3)
        base = builder.mul(args[2], n)
        largest, total = (variable(builder, constant(kind, 0.0)) for _ in range(2))
        with loop(builder, n, LANES) as (i, _):
            numbers = builder.sitofp(load(builder, whole, i, vector(INT32, LANES)), kind)
            numbers = builder.fmul(numbers, load(builder, unit, builder.add(base, i), kind))
            store(builder, numbers, out, i)
            sizes = call(builder, f"llvm.fabs.v{LANES}f32", kind, numbers)
            so_far = builder.load(largest)
            builder.store(builder.select(builder.fcmp_ordered(">", sizes, so_far), sizes, so_far), largest)
            builder.store(builder.fadd(builder.load(total), sizes), total)

        def larger(a: Any, b: Any) -> Any:
            return builder.select(builder.fcmp_ordered(">", a, b), a, b)

        results = [_folded(builder, builder.load(largest), larger), _folded(builder, builder.load(total), builder.fadd)]
        return context.make_tuple(builder, signature.return_type, results)

    two: Any = types.UniTuple(types.float32, 2)
    return two(components, scales, types.uint64, products), generate


def _typed_round(context: Any, numbers: Any, factor: Any, out: Any) -> Any:
    """Multiply floats by a factor and around them to integers of 16 bits."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source, target = (data(context, builder, signature, args, i) for i in (0, 2))
        kind = vector(FLOAT, LANES)
        with loop(builder, length(context, builder, signature, args, 0), LANES) as (i, _):
            scaled = builder.fmul(load(builder, source, i, kind), splat(builder, args[1], kind))
            nearest = call(builder, f"llvm.rint.v{LANES}f32", kind, scaled)
            store(builder, builder.fptosi(nearest, vector(INT16, LANES)), target, i)
        return context.get_dummy_value()

    return types.void(numbers, types.float32, out), generate


def _typed_dot(context: Any, array: Any, others: Any, number: Any) -> Any:
    """Multiply a float32 array element by element by one of several and add up."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        a, b = (data(context, builder, signature, args, i) for i in (0, 1))
        kind = vector(FLOAT, LANES)
        total = variable(builder, constant(kind, 0.0))
        n = length(context, builder, signature, args, 0)
        base = builder.mul(args[2], n)
        with loop(builder, n, LANES) as (i, _):
            product = builder.fmul(load(builder, a, i, kind), load(builder, b, builder.add(base, i), kind))
            builder.store(builder.fadd(builder.load(total), product), total)
        return _folded(builder, builder.load(total), builder.fadd)

    return types.float32(array, others, types.uint64), generate


def _folded(builder: Any, values: Any, operation: Callable[[Any, Any], Any]) -> Any:
    """Fold a vector half on half until one number is left."""
    lanes = values.type.count
    while lanes > 1:
        lanes //= 2
        values = operation(
            chosen(builder, values, list(range(lanes))), chosen(builder, values, list(range(lanes, 2 * lanes)))
        )
    return builder.extract_element(values, INT32(0))


def _transform(adding: bool) -> Any:
    """Return a function that transforms points, and stores the result or adds it to `out`.

    It takes `points`, float32 x, y, x, y, ...; the matrix, row by row, and the shift; and `out`. When adding,
    the shift is ignored.
    """

    def typed(context: Any, points: Any, numbers: Any, out: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            source, target = (data(context, builder, signature, args, i) for i in (0, 2))
            # `out` may hold x and y as one number of 64 bits.
            target = builder.bitcast(target, FLOAT.as_pointer())
            kind = vector(FLOAT, LANES)
            numbers = [splat(builder, builder.extract_value(args[1], i), kind) for i in range(6)]
            is_y = constant(vector(BIT, LANES), [i % 2 for i in range(LANES)])
            # For x, y, x, y, ...: the factors of the number itself and of its neighbor, and the shift.
            own, other, shift = (
                builder.select(is_y, numbers[odd], numbers[even]) for even, odd in ((0, 3), (1, 2), (4, 5))
            )
            neighbors = [i ^ 1 for i in range(LANES)]
            with loop(builder, length(context, builder, signature, args, 0), LANES) as (i, _):
                here = load(builder, source, i, kind)
                there = chosen(builder, here, neighbors)
                moved = builder.fadd(builder.fmul(here, own), builder.fmul(there, other))
                base = load(builder, target, i, kind) if adding else shift
                store(builder, builder.fadd(moved, base), target, i)
            return context.get_dummy_value()

        return types.void(points, _FLOATS_6, out), generate

    return intrinsic(typed)


# 32 components of a leaf at a time, then 8.
_add_32: Callable[..., None] = _sum_of_rows(32)
_add_8: Callable[..., None] = _sum_of_rows(8)
_multiply_48: Callable[..., None] = _sum_of_products(48)
_multiply_16: Callable[..., None] = _sum_of_products(16)
_scale: Any = intrinsic(_typed_scale)
_round: Callable[..., None] = intrinsic(_typed_round)
dot: Any = intrinsic(_typed_dot)
transform: Callable[..., None] = _transform(adding=False)
add_transformed: Callable[..., None] = _transform(adding=True)


class BasisArgs(NamedTuple):
    """The shape displacements that leaves are expressed in; the first axes are stages and bases.

    Parameters
    ----------
    scales : float32 array (n_stages, n_rows)
        What 1 in a component stands for, times its row of the basis.
    rows : int8 or int16 array (n_bases, n_rows / 2, n_columns, 2)
        The displacements, from :func:`pair_rows`.
    limit : float32
        From :func:`sum_limit`.
    """

    scales: Any
    rows: Any
    limit: Any


class ProductWorkspace(NamedTuple):
    """Buffers for :func:`add_products`.

    Parameters
    ----------
    components : int32 array (n_rows,)
        The sums of leaves; zeros behind the size of a leaf.
    amounts : float32 array (n_rows,)
    rounded : int16 array (n_rows,)
    displacement : float32 array (n_columns,)
        The product.
    """

    components: Any
    amounts: Any
    rounded: Any
    displacement: Any


def basis_args(scales: npt.NDArray[np.float32], basis: npt.NDArray[np.signedinteger]) -> BasisArgs:
    """Lay out scales (n_stages, n_components) and bases (n_bases, n_components, n_columns) for kernels."""
    rows = pair_rows(basis)
    return BasisArgs(aligned(padded(scales, -1)), aligned(rows), sum_limit(rows))


@register_jitable
def product_workspace(basis: Any) -> Any:
    """Return buffers for a basis."""
    n_rows = basis.scales.shape[1]
    return ProductWorkspace(
        np.zeros(n_rows, np.int32),
        np.empty(n_rows, np.float32),
        np.empty(n_rows, np.int16),
        np.empty(basis.rows.shape[2], np.float32),
    )


@kernel
def add_leaves(trees, stage, leaf_offsets, out):
    """Sum one leaf of integers of each tree of a stage.

    Parameters
    ----------
    trees : TreeArgs
        See :mod:`ert._kernels.traversal`; its leaves are int8 or int16.
    stage : int
    leaf_offsets : int64 array (at least n_trees,)
        From :func:`ert._kernels.traversal.find_leaves`.
    out : int32 array (at least leaf_size,)
        Written, up to the leaf's size.
    """
    leaves, n_trees, leaf_size = trees.leaves, trees.n_trees, trees.leaf_size
    base = np.uint64(stage * leaves.shape[1])
    by_32 = leaf_size - leaf_size % 32
    by_8 = leaf_size - leaf_size % 8
    for i in range(leaf_size):
        out[i] = 0
    for start in range(0, n_trees, MAX_ROWS_IN_16_BITS):
        stop = min(start + MAX_ROWS_IN_16_BITS, n_trees)
        for first in range(0, by_32, 32):
            _add_32(leaves, base, leaf_offsets, start, stop, first, out)
        for first in range(by_32, by_8, 8):
            _add_8(leaves, base, leaf_offsets, start, stop, first, out)
    for i in range(by_8, leaf_size):
        for t in range(n_trees):
            out[i] += leaves[stage, np.uint64(leaf_offsets[t] + i)]


@kernel
def add_products(basis, stage, number, workspace):
    """Multiply components, a scale each, by a matrix of integers.

    The scaled components are rounded to 16 bits first, in a unit that makes the most of them; all that
    follows is exact, so that the result is the same on every processor.

    Parameters
    ----------
    basis : BasisArgs
    stage : int
        The row of scales.
    number : int
        Which of the bases.
    workspace : ProductWorkspace
        `components` is read, the rest is overwritten: `displacement` is the result.
    """
    out = workspace.displacement
    largest, total = _scale(workspace.components, basis.scales, stage, workspace.amounts)
    if largest < np.float32(MIN_AMOUNT):
        out[:] = 0
        return
    factor = min(np.float32(MAX_ROUNDED) / largest, basis.limit / total)
    _round(workspace.amounts, factor, workspace.rounded)
    unit = np.float32(1) / factor
    size = out.shape[0]
    by_48 = size - size % 48
    for first in range(0, by_48, 48):
        _multiply_48(workspace.rounded, basis.rows, number, first, unit, out)
    for first in range(by_48, size, 16):
        _multiply_16(workspace.rounded, basis.rows, number, first, unit, out)
