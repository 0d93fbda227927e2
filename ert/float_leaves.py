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
from numba.extending import intrinsic

from ert.lanes import LANES
from ert.vectors import FLOAT, INT64, data, load, loop, prefetch, store, variable, vector
from ert.walk import BLOCK_OF_TREES

__all__ = ["AHEAD", "add_float_leaves", "ask_ahead"]

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
    starts : elements of a leaf at which lines begin
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
        From :func:`ert.walk.walk_trees`. What stands behind them is overwritten.
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
