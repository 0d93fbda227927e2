"""dlib's leaves in 24 bits a number, which add up to the very floats that dlib's additions give.

What a leaf adds is rounded with the sum: bits far below the sum's last one decide nothing, except on which
side of the middle between two floats the sum lies, and whether it lies just there. A number that is
rounded to odd keeps that (Boldo & Melquiond, "Emulation of FMA and correctly rounded sums: proved
algorithms using rounding to odd", IEEE Trans. Computers 2008): where it is not a multiple of its unit, the
odd of its two neighbours is taken. It holds for sums from 2^25 units on, so each column has a unit of its
own, and the smallest sums are watched: below that the stage is added again, in floats. Columns that are
near 0 from the start stay floats. Seven lines of the cache have to be fetched for a leaf instead of nine.

    a leaf:  32 floats | 104 numbers of 24 bits | its floats' place, in lines: 0 if it is packed
    byte     0           128                      444

    beside:  units of 112 lanes | their least sums | order of 136 columns | masks | zeros | leaves as floats
    byte     0                    448                896                    1440    1472    2048

What lies across two lines is slow to load. So each of the five lines that hold 24 bits a number has 16
columns in its first 48 bytes, A to E, and five of two more vectors behind them, F and G.

    byte     0    48         63
             A    F, 0 to 4   -
             B    F, 5 to 9   -
             C    F, 10 to 14 -       lane 15 of F has no column
             D    G, 0 to 4   -
             E    G, 5 to 8   the place
"""

from collections.abc import Callable, Iterator
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from numba import types
from numba.extending import intrinsic

from ert.float_leaves import AHEAD, ask_ahead
from ert.lanes import LANES
from ert.vectors import (
    BIT,
    FLOAT,
    INT8,
    INT16,
    INT32,
    INT64,
    call,
    constant,
    data,
    load,
    loop,
    processor_has,
    store,
    variable,
    vector,
)
from ert.walk import LINE, aligned

__all__ = ["LEAF", "add_packed_leaves", "pack_leaves"]

# Columns of a leaf: the shape of 68 points, which most models have.
COLUMNS = 136
# Bytes of a leaf.
LEAF = 7 * LINE
# Part of the mean shape's coordinate that a sum has to keep. Less would leave fewer bits to the leaves.
KEPT = 0.35
# The least that the smallest mean of a packed column may be.
LEAST_MEAN = 2.0**-20
# Of a packed number; it is loaded to the upper ones of 32.
_BITS = 24
_VECTORS = 9
_N_FLOATS = 2 * LANES
_N_PACKED = COLUMNS - _N_FLOATS
_PLACE = LEAF - 4
_LEAST, _ORDER, _MASKS, _FLOATS = 448, 896, 1440, 2048
# Columns of F or G that stand in one line, and lanes before the one without a column.
_PART = 5
_BEFORE = _N_FLOATS + 5 * LANES + 3 * _PART


def pack_leaves(
    mean_shape: npt.NDArray[np.float32], leaves: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]] | None:
    """Pack leaves for :func:`add_packed_leaves`.

    Parameters
    ----------
    mean_shape : float32 array (n_landmarks, 2)
        What the sums are about, in box coordinates.
    leaves : float32 array (n_stages, n_trees, n_leaves, 2 * n_landmarks)

    Returns
    -------
    packed : uint8 array (n_stages, n_trees * n_leaves * LEAF)
    beside : uint8 array (n_bytes,)
        None where that gains nothing: on processors that cannot unpack quickly, with other than 68
        landmarks, with a mean shape that has many coordinates near 0.
    """
    means = mean_shape.reshape(-1).astype(np.float64)
    order = np.argsort(means, kind="stable")
    columns = order[_N_FLOATS:]
    if len(means) != COLUMNS or not processor_has("avx512vbmi") or means[columns[0]] < LEAST_MEAN:
        return None
    lanes = np.delete(np.arange(COLUMNS + 1), _BEFORE)
    # Every other sum is looked at: the one between may be less by a leaf's most, a quarter of this.
    least = np.exp2(np.floor(np.log2(KEPT * means[columns])))
    per_unit = 2.0**25 / least
    most = 2.0 ** (_BITS - 1) / per_unit
    rows = leaves.reshape(-1, COLUMNS)
    others = np.flatnonzero((np.abs(rows[:, columns]) >= most).any(axis=1))
    beside = aligned(np.zeros(_FLOATS + len(others) * _VECTORS * LINE, np.uint8))
    numbers = np.zeros((2, _VECTORS * LANES), np.float32)
    numbers[0, lanes[_N_FLOATS:]] = 1 / per_unit / 2 ** (32 - _BITS)
    numbers[1, lanes[_N_FLOATS:]] = 1.25 * least
    beside[:_ORDER] = numbers[:, _N_FLOATS:].copy().view(np.uint8).reshape(-1)
    beside[_ORDER:_MASKS] = order.astype(np.int32).view(np.uint8)
    beside[_MASKS : _MASKS + 32] = np.array(list(_masks()), np.uint64).view(np.uint8)
    beside[_FLOATS:].view(np.float32).reshape(-1, _VECTORS * LANES)[:, lanes] = rows[others][:, order]
    places = np.zeros(len(rows), np.uint32)
    places[others] = _FLOATS // LINE + _VECTORS * np.arange(len(others))
    # Zeros stand behind the last leaf.
    packed = aligned(np.empty((len(rows) + 1, LEAF), np.uint8))
    packed[-1] = 0
    _pack_rows(rows, order, per_unit, places, packed)
    return packed[:-1].reshape(len(leaves), -1), beside


def _masks() -> Iterator[int]:
    """Yield which bytes are loaded: the upper three of each lane; of those the first, next and last part."""
    for lanes in (range(LANES), *(range(_PART * i, _PART * (i + 1)) for i in range(3))):
        yield sum(0b1110 << 4 * i for i in lanes)


@numba.njit(cache=True, nogil=True)
def _pack_rows(rows, order, per_unit, places, packed):  # type: ignore[no-untyped-def]
    """Write leaves; of those that have a place elsewhere only zeros and this."""
    for i in range(len(rows)):
        place = places[i]
        for k in range(LEAF - 4):
            packed[i, k] = 0
        for k in range(4):
            packed[i, _PLACE + k] = (place >> np.uint32(8 * k)) & np.uint32(255)
        if place:
            continue
        floats = packed[i, : 4 * _N_FLOATS].view(np.float32)
        for j in range(_N_FLOATS):
            floats[j] = rows[i, order[j]]
        for j in range(_N_PACKED):
            exact = rows[i, order[_N_FLOATS + j]] * per_unit[j]
            number = np.int64(np.floor(exact))
            if number != exact:
                # The odd neighbour: this one, or the one above.
                number |= 1
            line, lane = j // LANES, j % LANES
            if line >= 5:
                line, lane = (j - 5 * LANES) // _PART, LANES + (j - 5 * LANES) % _PART
            first = 4 * _N_FLOATS + LINE * line + 3 * lane
            for k in range(3):
                packed[i, first + k] = (number >> (8 * k)) & 255


def _typed_add(context: Any, packed: Any, base: Any, beside: Any, rows: Any, n: Any, shape: Any) -> Any:
    """Add leaves to a shape, two at a time, and tell whether no sum came near 0: it stays as it was then."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source, header, places, target = (data(context, builder, signature, args, i) for i in (0, 2, 3, 5))
        _, base, _, _, n, _ = args
        floats, bytes_ = vector(FLOAT, LANES), vector(INT8, LINE)
        room = builder.alloca(FLOAT, size=_VECTORS * LANES)
        order = builder.bitcast(builder.gep(header, [INT64(_ORDER)]), INT32.as_pointer())

        def to_lanes(back: bool) -> None:
            for first, stop, skipped in ((0, _BEFORE, 0), (_BEFORE, COLUMNS, 1)):
                with loop(builder, INT64(stop - first)) as (i, _):
                    i = builder.add(i, INT64(first))
                    number = builder.zext(builder.load(builder.gep(order, [i])), INT64)
                    column = builder.gep(target, [number])
                    lane = builder.gep(room, [builder.add(i, INT64(skipped))])
                    pair = (lane, column) if back else (column, lane)
                    builder.store(builder.load(pair[0]), pair[1])

        for i in (-2, -1):
            store(builder, constant(floats, 0.0), room, INT64((_VECTORS + i) * LANES))
        to_lanes(back=False)
        totals = [variable(builder, load(builder, room, INT64(i * LANES), floats)) for i in range(_VECTORS)]
        watched = totals[_N_FLOATS // LANES :]
        smallest = [variable(builder, builder.load(total)) for total in watched]
        units, least = (
            [load(builder, header, INT64(start + LINE * i), floats) for i in range(len(watched))]
            for start in (0, _LEAST)
        )
        # Loaded, and not constants: else the instruction is replaced by one that takes three times as long.
        upper, *parts = (
            builder.bitcast(load(builder, header, INT64(_MASKS + 8 * i), INT64), vector(BIT, LINE))
            for i in range(4)
        )
        # Three bytes to the upper ones of four: of the first 48, and over and over of the next 15.
        spread, spread_part = (
            constant(bytes_, [max(first + 3 * (i % n) + k - 1, 0) for i in range(LANES) for k in range(4)])
            for first, n in ((0, LANES), (3 * LANES, _PART))
        )

        def watch() -> None:
            for total, low in zip(watched, smallest, strict=True):
                old, new = builder.load(low), builder.load(total)
                builder.store(builder.select(builder.fcmp_ordered("<", new, old), new, old), low)

        def add_floats(array: Any, leaf: Any, some: list[Any]) -> None:
            for i, total in enumerate(some):
                numbers = load(builder, array, builder.add(leaf, INT64(LINE * i)), floats)
                builder.store(builder.fadd(builder.load(total), numbers), total)

        def add(leaf: Any) -> None:
            add_floats(source, leaf, totals[: -len(watched)])
            lines = [
                load(builder, source, builder.add(leaf, INT64(4 * _N_FLOATS + LINE * i)), bytes_)
                for i in range(5)
            ]

            def bytes_of(line: Any, where: Any, mask: Any, others: Any) -> Any:
                moved = call(builder, "llvm.x86.avx512.permvar.qi.512", bytes_, line, where)
                return builder.select(mask, moved, others)

            nothing = constant(bytes_, 0)
            vectors = [bytes_of(line, spread, upper, nothing) for line in lines]
            for some in (lines[:3], lines[3:]):
                vectors.append(nothing)
                for line, mask in zip(some, parts, strict=False):
                    vectors[-1] = bytes_of(line, spread_part, mask, vectors[-1])
            for total, unit, found in zip(watched, units, vectors, strict=True):
                numbers = builder.sitofp(builder.bitcast(found, vector(INT32, LANES)), floats)
                total_now = builder.load(total)
                builder.store(call(builder, "llvm.fma.v16f32", floats, numbers, unit, total_now), total)
            place = load(builder, source, builder.add(leaf, INT64(_PLACE)), INT32)
            with builder.if_then(builder.icmp_unsigned("!=", place, INT32(0)), likely=False):
                watch()
                add_floats(header, builder.mul(builder.zext(place, INT64), INT64(LINE)), totals)
                watch()

        with loop(builder, n, 2) as (tree, _):
            for k in (0, 1):
                number = builder.add(tree, INT64(k))
                ask_ahead(builder, source, base, places, number, list(range(0, LEAF, LINE)))
            for k in (0, 1):
                add(builder.add(base, builder.load(builder.gep(places, [builder.add(tree, INT64(k))]))))
            watch()
        below = [
            builder.fcmp_ordered("<", builder.load(low), bound)
            for low, bound in zip(smallest, least, strict=True)
        ]
        any_below = below[0]
        for lane in below[1:]:
            any_below = builder.or_(any_below, lane)
        sound = builder.icmp_unsigned("==", builder.bitcast(any_below, INT16), INT16(0))
        with builder.if_then(sound):
            for i, total in enumerate(totals):
                store(builder, builder.load(total), room, INT64(i * LANES))
            to_lanes(back=True)
        return sound

    whole = types.uint64
    return types.boolean(packed, whole, beside, rows, whole, shape), generate


_add: Callable[..., bool] = intrinsic(_typed_add)


@numba.njit(cache=True, nogil=True)
def add_packed_leaves(packed, beside, stage, rows, n_trees, shape):  # type: ignore[no-untyped-def]
    """Add leaves to what is there, tree after tree, so that every rounding is that of dlib.

    Parameters
    ----------
    packed, beside
        From :func:`pack_leaves`.
    stage : int
    rows : int64 array (at least n_trees + AHEAD,)
        From :func:`ert.walk.walk_trees`, for leaves of `LEAF` bytes. What stands behind them is overwritten.
    n_trees : int
    shape : float32 array (136,)
        Added to.

    Returns
    -------
    bool
        Whether it was: False where a sum came too near 0, and the shape is as it was.
    """
    # They are added in pairs: an odd one out with the zeros behind all leaves.
    first = stage * packed.shape[1]
    for i in range(AHEAD):
        rows[n_trees + i] = packed.size - first
    return _add(packed, first, beside, rows, n_trees, shape)
