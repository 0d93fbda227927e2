"""Sums over many short rows, whose running totals stay in the processor's vectors.

Loops of numba's read and write each total for every few rows, because the compiler does not know how many
columns there are. Here some columns at a time, as many as `lanes` says, are one number to LLVM: it cuts them
into whatever vectors the processor has. Adding goes row by row, so that rounding is the same everywhere.
"""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = ["add_leaves", "add_products", "reduce_line"]

# Of leaves of 8 bits so many add up to no more than 16 bits hold.
SHORT = 256


def _sum_of_rows(lanes: int) -> Any:
    """Make a function that adds up some columns of some rows.

    It takes `table`, all rows in one array; `rows`, the number of each row's first element; `start`, `stop`,
    which of the rows; `first`, the first of the columns; `out`, whose elements from `first` on are added to.
    Totals are in the type twice as wide as the table's, and those of 8 bits so few that they fit.
    """

    def typed(context: Any, table: Any, rows: Any, start: Any, stop: Any, first: Any, out: Any) -> Any:
        number = types.uint64

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            data, places, totals = (_data(context, builder, signature, args, i) for i in (0, 1, 5))
            _, _, low, high, column, _ = args
            read = ir.VectorType(data.type.pointee, lanes)
            kept = ir.VectorType(totals.type.pointee, lanes)
            middle = ir.VectorType(ir.IntType(2 * table.dtype.bitwidth), lanes)
            total = _variable(builder, ir.Constant(middle, [0] * lanes))
            with cgutils.for_range(builder, high, start=low) as loop:
                row = builder.load(builder.gep(places, [loop.index]))
                numbers = _load(builder, data, builder.add(row, column), read)
                builder.store(builder.add(builder.load(total), builder.sext(numbers, middle)), total)
            result = builder.load(total)
            wide = result if middle == kept else builder.sext(result, kept)
            _store(builder, builder.add(_load(builder, totals, column, kept), wide), totals, column)
            return context.get_dummy_value()

        return types.void(table, rows, number, number, number, out), generate

    return intrinsic(typed)


def _sum_of_products(lanes: int) -> Any:
    """Make a function that writes some columns of the product of a vector and a matrix of whole numbers.

    It takes `amounts`, `matrix` (n_amounts, n_columns), `first`, the first of the columns, and `out`.
    """

    def typed(context: Any, amounts: Any, matrix: Any, first: Any, out: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            factors, data, totals = (_data(context, builder, signature, args, i) for i in (0, 1, 3))
            shape = context.make_array(signature.args[1])(context, builder, args[1]).shape
            n_rows, n_columns = (builder.extract_value(shape, axis) for axis in (0, 1))
            column = args[2]
            read = ir.VectorType(data.type.pointee, lanes)
            kept = ir.VectorType(totals.type.pointee, lanes)
            total = _variable(builder, ir.Constant(kept, [0.0] * lanes))
            everywhere = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
            with cgutils.for_range(builder, n_rows) as loop:
                place = builder.add(builder.mul(loop.index, n_columns), column)
                numbers = builder.sitofp(_load(builder, data, place, read), kept)
                single = builder.insert_element(
                    ir.Constant(kept, ir.Undefined),
                    builder.load(builder.gep(factors, [loop.index])),
                    ir.IntType(32)(0),
                )
                amount = builder.shuffle_vector(single, ir.Constant(kept, ir.Undefined), everywhere)
                builder.store(builder.fadd(builder.load(total), builder.fmul(amount, numbers)), total)
            _store(builder, builder.load(total), totals, column)
            return context.get_dummy_value()

        return types.void(amounts, matrix, types.uint64, out), generate

    return intrinsic(typed)


def _variable(builder: Any, value: Any) -> Any:
    return cgutils.alloca_once_value(builder, value)  # type: ignore[no-untyped-call]


def _mean_of_four(factor: int) -> Any:
    """Make a function that reduces two lines of pixels by a factor, to 16 pixels.

    It takes `pixels`; `first` and `second`, where in it the two lines begin; `out`; and `place`, where in it
    the 16 are written. Each is the mean of the first and the last of `factor` pixels of both lines.
    """

    def typed(context: Any, pixels: Any, first: Any, second: Any, out: Any, place: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            source, target = (_data(context, builder, signature, args, i) for i in (0, 3))
            read = ir.VectorType(ir.IntType(8), 16 * factor)
            wide = ir.VectorType(ir.IntType(16), 16)
            total = ir.Constant(wide, [2] * 16)
            for line in (args[1], args[2]):
                numbers = _load(builder, source, line, read)
                for start in (0, factor - 1):
                    chosen = ir.Constant(
                        ir.VectorType(ir.IntType(32), 16), [start + factor * i for i in range(16)]
                    )
                    some = builder.shuffle_vector(numbers, ir.Constant(read, ir.Undefined), chosen)
                    total = builder.add(total, builder.zext(some, wide))
            mean = builder.lshr(total, ir.Constant(wide, [2] * 16))
            _store(builder, builder.trunc(mean, ir.VectorType(ir.IntType(8), 16)), target, args[4])
            return context.get_dummy_value()

        return types.void(pixels, types.uint64, types.uint64, out, types.uint64), generate

    return intrinsic(typed)


def _data(context: Any, builder: Any, signature: Any, args: Any, i: int) -> Any:
    return context.make_array(signature.args[i])(context, builder, args[i]).data


def _load(builder: Any, data: Any, place: Any, vector: Any) -> Any:
    return builder.load(_at(builder, data, place, vector), align=1)


def _store(builder: Any, value: Any, data: Any, place: Any) -> None:
    builder.store(value, _at(builder, data, place, value.type), align=1)


def _at(builder: Any, data: Any, place: Any, vector: Any) -> Any:
    return builder.bitcast(builder.gep(data, [place]), vector.as_pointer())


# A leaf's 32 components, and what is left over.
_add_32: Callable[..., None] = _sum_of_rows(32)
_add_8: Callable[..., None] = _sum_of_rows(8)
_multiply_64: Callable[..., None] = _sum_of_products(64)
_multiply_8: Callable[..., None] = _sum_of_products(8)


_reduce_by_1: Callable[..., None] = _mean_of_four(1)
_reduce_by_2: Callable[..., None] = _mean_of_four(2)
_reduce_by_3: Callable[..., None] = _mean_of_four(3)
_reduce_by_4: Callable[..., None] = _mean_of_four(4)


@numba.njit(nogil=True)
def reduce_line(pixels, first, second, factor, out, place, n):  # type: ignore[no-untyped-def]
    """Reduce two lines of pixels to one by a factor of 1 to 4, if there are 16 to be made.

    Parameters
    ----------
    pixels : uint8 array
    first, second : int
        Where in it the lines begin.
    factor : int
    out : uint8 array
        Written, from `place` on.
    place, n : int
        `n` pixels are to be made.

    Returns
    -------
    int
        How many were made.
    """
    if n < 16:
        return 0
    for start in range(0, n, 16):
        # The last ones once more, if the line does not end with these.
        c = min(start, n - 16)
        here, there, to = first + c * factor, second + c * factor, place + c
        if factor == 1:
            _reduce_by_1(pixels, here, there, out, to)
        elif factor == 2:
            _reduce_by_2(pixels, here, there, out, to)
        elif factor == 3:
            _reduce_by_3(pixels, here, there, out, to)
        else:
            _reduce_by_4(pixels, here, there, out, to)
    return n


@numba.njit(cache=True, nogil=True)
def add_leaves(leaves, rows, out):  # type: ignore[no-untyped-def]
    """Add up leaves of whole numbers.

    Parameters
    ----------
    leaves : int8 or int16 array (n_trees * n_leaves * leaf_size,)
    rows : int64 array (n_trees,)
        From :func:`ert.walk.walk_trees`.
    out : int32 array (leaf_size,)
        Written.
    """
    n, size = rows.shape[0], out.shape[0]
    by_32 = size - size % 32
    by_8 = size - size % 8
    out[:] = 0
    for start in range(0, n, SHORT):
        stop = min(start + SHORT, n)
        for first in range(0, by_32, 32):
            _add_32(leaves, rows, start, stop, first, out)
        for first in range(by_32, by_8, 8):
            _add_8(leaves, rows, start, stop, first, out)
    for t in range(n):
        for i in range(by_8, size):
            out[i] += leaves[np.uint64(rows[t] + i)]


@numba.njit(cache=True, nogil=True)
def add_products(amounts, matrix, out):  # type: ignore[no-untyped-def]
    """Multiply a vector by a matrix of whole numbers.

    Parameters
    ----------
    amounts : float32 array (n_amounts,)
    matrix : int8 or int16 array (n_amounts, n_columns)
    out : float32 array (n_columns,)
        Written.
    """
    size = out.shape[0]
    by_64 = size - size % 64
    by_8 = size - size % 8
    for first in range(0, by_64, 64):
        _multiply_64(amounts, matrix, first, out)
    for first in range(by_64, by_8, 8):
        _multiply_8(amounts, matrix, first, out)
    for i in range(by_8, size):
        out[i] = 0
        for d in range(amounts.shape[0]):
            out[i] += amounts[d] * np.float32(matrix[d, i])
