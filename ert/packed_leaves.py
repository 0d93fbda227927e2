"""dlib's leaves in 21 bits a number, which add up to the very floats that dlib's additions give.

What a leaf adds is rounded with the sum: bits far below the sum's last one decide nothing, except on which
side of the middle between two floats the sum lies, and whether it lies just there. A number that is
rounded to odd keeps that (Boldo & Melquiond, "Emulation of FMA and correctly rounded sums: proved
algorithms using rounding to odd", IEEE Trans. Computers 2008): where it is not a multiple of its unit, the
odd of its two neighbours is taken. It holds for sums from 2^25 units on, so each column has a unit of its
own, and the smallest sums are watched: below that the stage is added again, in floats. The columns nearest to
that from the start stay floats. Six lines of the cache have to be fetched for a leaf instead of nine.

    a leaf:  16 floats | 40 words of 64 bits: three numbers each, and whether the leaf is not packed
    byte     0           64                   bits 43, 22, 1          bit 0

    beside:  scales of 144 lanes | and back | lanes of columns | bytes of even lanes, as bits
    byte     0                     576        1152               1696

             leaves that are not packed, in lanes, scaled
             1728

A leaf with a number too large for 21 bits is not packed: in place of its first word stands where it is.

An instruction takes any bits of 64 apart, so that a line, A to E, makes a vector and a half:

    lane      0   1   2   3 ..              0   1   2   3 ..
    vector 1  A0  A1  A0' A1'     vector 6  A2  B2  A2' B2'
       ..                                7  C2  D2  C2' D2'
           5  E0  E1  E0' E1'            8  E2  -   E2' -        vector 0: the floats
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
    prefetch,
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
LEAF = 6 * LINE
# Part of the mean shape's coordinate that a sum has to keep. Less would leave fewer bits to the leaves.
KEPT = 0.3
# The least that the smallest mean of a packed column may be.
LEAST_MEAN = 2.0**-20
_BITS = 21
# Of the three numbers in a word.
_FIRST_BITS = 43, 22, 1
_VECTORS = 9
# Numbers in one of the lines that hold words.
_WORDS = 8
_BACK, _LANES, _EVENS, _FLOATS = 576, 1152, 1696, 1728
# Leaves added between two looks at the sums. In between they are less by half as many leaves at most, and by
# what is rounded, which is less than the other half.
_TOGETHER = 4
_WATCHED = 1 + _TOGETHER * 2.0 ** (_BITS - 1 - 25)
# So many trees before its turn a leaf that is not packed is asked for: its first lines are there by then.
_ASKED = 8


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
    if len(means) != COLUMNS or not processor_has("avx512vbmi"):
        return None
    least = np.exp2(np.floor(np.log2(np.maximum(KEPT * means, LEAST_MEAN))))
    order = np.argsort(means - _WATCHED * least, kind="stable")
    columns = order[LANES:]
    if means[columns].min() < LEAST_MEAN:
        return None
    lanes, words, shifts = np.array(list(_layout())).T
    least = least[columns]
    per_unit = 2.0**25 / least
    rows = leaves.reshape(-1, COLUMNS)
    others = np.flatnonzero((np.abs(rows[:, columns]) * per_unit >= 2 ** (_BITS - 1)).any(axis=1))
    beside = aligned(np.zeros(_FLOATS + len(others) * _VECTORS * LINE, np.uint8))
    # So that the least sum is the same in all lanes, and what is unpacked can be added as it is.
    scales = np.ones(_VECTORS * LANES, np.float32)
    scales[lanes] = per_unit * 2 ** (32 - _BITS)
    beside[:_BACK] = scales.view(np.uint8)
    beside[_BACK:_LANES] = (1 / scales).view(np.uint8)
    lane_of = np.empty(COLUMNS, np.int32)
    lane_of[order] = np.append(np.arange(LANES), lanes)
    beside[_LANES : _LANES + lane_of.nbytes] = lane_of.view(np.uint8)
    beside[_EVENS : _EVENS + 8] = np.array([0x0F0F0F0F0F0F0F0F]).view(np.uint8)
    beside[_FLOATS:].view(np.float32).reshape(-1, _VECTORS * LANES)[:, lane_of] = (
        rows[others] * scales[lane_of]
    )
    places = np.zeros(len(rows), np.int64)
    places[others] = _FLOATS + _VECTORS * LINE * np.arange(len(others))
    # Zeros stand behind the last leaf.
    packed = aligned(np.zeros((len(rows) + 1, LEAF), np.uint8))
    _pack_rows(rows, order, per_unit, words, shifts, places, packed.view(np.float32), packed.view(np.int64))
    return packed[:-1].reshape(len(leaves), -1), beside


def _layout() -> Iterator[tuple[int, int, int]]:
    """Yield each packed column's lane, which word of a leaf it is in, and from which bit on."""
    for number in range(1, _VECTORS):
        for lane in range(LANES):
            line, part = number - 1, lane % 2
            if line >= 5:
                line, part = 2 * (line - 5) + part, 2
            if line < 5:
                yield LANES * number + lane, _WORDS * (1 + line) + lane // 2, _FIRST_BITS[part]


def _bits_of(parts: tuple[int, int]) -> list[int]:
    """Return from which bit of a word on each byte of a vector is taken, for every two lanes alike.

    Numbers end where their lane ends: what lies below is part of another.
    """
    return [(_FIRST_BITS[part] + _BITS - 32 + 8 * k) % 64 for part in parts for k in range(4)] * _WORDS


@numba.njit(cache=True, nogil=True)
def _pack_rows(rows, order, per_unit, words, shifts, places, floats, packed):  # type: ignore[no-untyped-def]
    """Write leaves; of those that have a place elsewhere only this."""
    for i in range(len(rows)):
        if places[i]:
            packed[i, _WORDS] = places[i] << 1 | 1
            continue
        for j in range(LANES):
            floats[i, j] = rows[i, order[j]]
        for j in range(len(words)):
            exact = rows[i, order[LANES + j]] * per_unit[j]
            number = np.int64(np.floor(exact))
            if number != exact:
                # The odd neighbour: this one, or the one above.
                number |= 1
            packed[i, words[j]] |= (number & (2**_BITS - 1)) << shifts[j]


def _typed_add(context: Any, packed: Any, base: Any, beside: Any, rows: Any, n: Any, shape: Any) -> Any:
    """Add leaves to a shape, some at a time, and tell whether no sum came near 0: it stays as it was then."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source, header, places, target = (data(context, builder, signature, args, i) for i in (0, 2, 3, 5))
        _, base, _, _, n, _ = args
        floats, bytes_, halves = vector(FLOAT, LANES), vector(INT8, LINE), vector(INT32, LANES)
        room = builder.alloca(FLOAT, size=_VECTORS * LANES)
        lanes = builder.bitcast(builder.gep(header, [INT64(_LANES)]), INT32.as_pointer())

        def to_lanes(back: bool) -> None:
            with loop(builder, INT64(COLUMNS)) as (i, _):
                number = builder.zext(builder.load(builder.gep(lanes, [i])), INT64)
                column, lane = builder.gep(target, [i]), builder.gep(room, [number])
                pair = (lane, column) if back else (column, lane)
                builder.store(builder.load(pair[0]), pair[1])

        # Some lanes have no column, and must not be the smallest.
        store(builder, constant(floats, 2.0**120), room, INT64((_VECTORS - 1) * LANES))
        to_lanes(back=False)

        def scaled(start: int, i: int, numbers: Any) -> Any:
            return builder.fmul(numbers, load(builder, header, INT64(start + LINE * i), floats))

        totals = [
            variable(builder, scaled(0, i, load(builder, room, INT64(i * LANES), floats)))
            for i in range(_VECTORS)
        ]
        watched = totals[1:]
        smallest = [variable(builder, constant(floats, 2.0**126)) for _ in range(2)]
        upper = constant(halves, -(2 ** (32 - _BITS)))
        # Loaded, and not constant: else it is not part of the instruction.
        evens = builder.bitcast(load(builder, header, INT64(_EVENS), INT64), vector(BIT, LINE))
        first_two, third = (constant(bytes_, _bits_of(parts)) for parts in ((0, 1), (2, 2)))

        def leaf_of(tree: Any) -> Any:
            return builder.add(base, builder.load(builder.gep(places, [tree])))

        def first_word(leaf: Any) -> Any:
            return load(builder, source, builder.add(leaf, INT64(LINE)), INT64)

        def elsewhere(word: Any) -> Any:
            return builder.trunc(word, BIT)

        def place_of(word: Any) -> Any:
            return builder.lshr(word, INT64(1))

        def watch() -> None:
            for i, total in enumerate(watched):
                low = smallest[i % 2]
                old, new = builder.load(low), builder.load(total)
                builder.store(builder.select(builder.fcmp_ordered("<", new, old), new, old), low)

        def add_floats(array: Any, place: Any, some: list[Any]) -> None:
            for i, total in enumerate(some):
                numbers = load(builder, array, builder.add(place, INT64(LINE * i)), floats)
                builder.store(builder.fadd(builder.load(total), numbers), total)

        def spread(line: Any, bits: Any) -> Any:
            return call(builder, "llvm.x86.avx512.pmultishift.qb.512", bytes_, bits, line)

        def add_packed(leaf: Any) -> None:
            add_floats(source, leaf, totals[:1])
            lines = [
                load(builder, source, builder.add(leaf, INT64(LINE * (1 + i))), bytes_) for i in range(5)
            ]
            found = [spread(line, first_two) for line in lines]
            for even, line in (lines[:2], lines[2:4]):
                found.append(builder.select(evens, spread(even, third), spread(line, third)))
            found.append(spread(lines[4], third))
            for total, number in zip(watched, found, strict=True):
                numbers = builder.sitofp(builder.and_(builder.bitcast(number, halves), upper), floats)
                builder.store(builder.fadd(builder.load(total), numbers), total)

        def add(leaf: Any) -> None:
            word = first_word(leaf)
            with builder.if_else(elsewhere(word), likely=False) as (other, usual):
                with other:
                    watch()
                    add_floats(header, place_of(word), totals)
                    watch()
                with usual:
                    add_packed(leaf)

        watch()
        with loop(builder, n, _TOGETHER) as (tree, _):
            for k in range(_TOGETHER):
                number = builder.add(tree, INT64(k))
                ask_ahead(builder, source, base, places, number, list(range(0, LEAF, LINE)))
                word = first_word(leaf_of(builder.add(number, INT64(_ASKED))))
                with builder.if_then(elsewhere(word), likely=False):
                    for i in range(_VECTORS):
                        prefetch(builder, builder.gep(header, [builder.add(place_of(word), INT64(LINE * i))]))
            for k in range(_TOGETHER):
                add(leaf_of(builder.add(tree, INT64(k))))
            watch()
        low, other = (builder.load(low) for low in smallest)
        low = builder.select(builder.fcmp_ordered("<", low, other), low, other)
        below = builder.fcmp_ordered("<", low, constant(floats, _WATCHED * 2.0 ** (25 + 32 - _BITS)))
        sound = builder.icmp_unsigned("==", builder.bitcast(below, INT16), INT16(0))
        with builder.if_then(sound):
            for i, total in enumerate(totals):
                store(builder, scaled(_BACK, i, builder.load(total)), room, INT64(i * LANES))
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
    # Some are added at a time: the last ones with the zeros behind all leaves.
    first = stage * packed.shape[1]
    for i in range(AHEAD):
        rows[n_trees + i] = packed.size - first
    return _add(packed, first, beside, rows, n_trees, shape)
