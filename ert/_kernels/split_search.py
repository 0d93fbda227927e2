"""Scoring the candidate splits of a node: 32 at a time, in the lanes of a vector.

    candidates   32 pairs of pixels and their thresholds
    pool         a sample's pixels in a row of whole lines of the cache
    decisions    32 bits for each sample of the node: whether the candidate would send it left
    sums         32 numbers for each component, those of the samples that go left; at last their counts

Where the processor looks up 64 bytes at a time (AVX-512 VBMI), both pixels of all 32 pairs are looked up in
the sample's row at once. Everywhere the sums are the same: whole numbers, exact in the type that holds them.
"""

from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from numba import types
from numba.extending import intrinsic

from ert._kernels.llvm import (
    BIT,
    FLOAT,
    INT8,
    INT16,
    INT32,
    INT64,
    chosen,
    constant,
    data,
    load,
    look_up,
    loop,
    prefetch,
    processor_has,
    splat,
    store,
    variable,
    vector,
)

__all__ = [
    "CANDIDATES",
    "COLUMNS",
    "ROW",
    "accumulate_left_sums",
    "count_groups",
    "evaluate_splits",
    "new_pool",
    "pack_candidates",
    "rounded_up",
]


# How many candidates are scored together, and on how many components of the residuals.
CANDIDATES = 32
COLUMNS = 8
# A sample's pixels take a multiple of it.
ROW = 64
# Pixels of the largest pool that is looked up in vectors.
MOST_PIXELS = 512
_WIDE = processor_has("avx512vbmi")
_LANES = 16
# Samples whose pixels are asked for before their turn.
AHEAD = 16
_ALWAYS, _NEVER = -(2**15), 2**15 - 1


def rounded_up(n: int, step: int) -> int:
    """Return the least multiple of a step that is not below a number."""
    return -(-n // step) * step


def count_groups(n_tests: int) -> int:
    """How many times 32 candidates a split has, with the one that is true of every sample."""
    return n_tests // CANDIDATES + 1


def new_pool(n_blocks: int, block: int, n_pixels: int) -> npt.NDArray[np.uint8]:
    """Return room for the pixels of samples, (n_blocks, block, n_pixels and up to 63 more).

    A line of the cache more than that is read behind the end.
    """
    width = rounded_up(n_pixels, ROW)
    size = n_blocks * block * width
    pool: npt.NDArray[np.uint8] = np.zeros(size + ROW, np.uint8)[:size].reshape(n_blocks, block, width)
    return pool


def pack_candidates(
    pairs: npt.NDArray[np.uint16], thresholds: npt.NDArray[np.int16]
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.int16]]:
    """Lay out candidates for :func:`evaluate_splits`; after a split's last one comes one that is true of every sample.

    Parameters
    ----------
    pairs : uint16 array (..., n_split_tests, 2)
    thresholds : int16 array (..., n_split_tests)

    Returns
    -------
    numbers : uint16 array (..., n_groups, 64)
        The first pixels of 32 candidates, then the second ones.
    limits : int16 array (..., n_groups, 32)
        A sample goes left where their difference is greater.
    """
    *shape, n_tests = thresholds.shape
    n_groups = count_groups(n_tests)
    numbers = np.zeros((*shape, n_groups, 2, CANDIDATES), np.uint16)
    limits = np.full((*shape, n_groups * CANDIDATES), _NEVER, np.int16)
    limits[..., :n_tests] = thresholds
    limits[..., n_tests] = _ALWAYS
    for group in range(n_groups):
        some = pairs[..., group * CANDIDATES : (group + 1) * CANDIDATES, :]
        numbers[..., group, :, : some.shape[-2]] = np.swapaxes(some, -1, -2)
    return numbers.reshape(*shape, n_groups, -1), limits.reshape(*shape, n_groups, -1)


def _decide_in(n_tables: int) -> Any:
    """Make a function that does what :func:`evaluate_splits` does, for pools of up to so many times 64 pixels.

    It takes `pool` and where in it the block begins; `width`; `order` and where in it the node begins;
    how many samples the node has; `numbers` and `limits` and the number of the group; and `bits` and where
    in it they are written.
    """

    def typed(
        context: Any,
        pool: Any,
        origin: Any,
        width: Any,
        order: Any,
        first: Any,
        n: Any,
        numbers: Any,
        limits: Any,
        group: Any,
        bits: Any,
        place: Any,
    ) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            pixels, samples, numbers, limits, target = (
                data(context, builder, signature, args, i) for i in (0, 3, 6, 7, 9)
            )
            _, origin, width, _, first, n, _, _, group, _, place = args
            kind, wide, sixteen = vector(INT8, 64), vector(INT16, 64), vector(INT16, CANDIDATES)
            both = load(builder, numbers, builder.mul(group, INT64(64)), wide)
            least = load(builder, limits, builder.mul(group, INT64(CANDIDATES)), sixteen)
            places = builder.trunc(both, kind)
            upper = builder.lshr(both, constant(wide, 7))
            tables = [builder.icmp_unsigned("==", upper, constant(wide, k)) for k in range(n_tables // 2)]

            def row_of(j: Any) -> Any:
                i = builder.load(builder.gep(samples, [builder.add(first, j)]))
                return builder.add(origin, builder.mul(builder.zext(i, INT64), width))

            last = builder.sub(n, INT64(1))
            with loop(builder, n) as (j, _):
                ahead = builder.add(j, INT64(AHEAD))
                ahead = row_of(builder.select(builder.icmp_signed("<", ahead, last), ahead, last))
                for k in range(n_tables):
                    prefetch(builder, builder.gep(pixels, [builder.add(ahead, INT64(64 * k))]))
                row = row_of(j)
                value = None
                for k, here in enumerate(tables):
                    low, high = (
                        load(builder, pixels, builder.add(row, INT64(64 * (2 * k + m))), kind) for m in (0, 1)
                    )
                    found = look_up(builder, low, places, high)
                    value = found if value is None else builder.select(here, found, value)
                a, b = (
                    builder.zext(chosen(builder, value, list(range(start, start + CANDIDATES))), sixteen)
                    for start in (0, CANDIDATES)
                )
                left = builder.icmp_signed(">", builder.sub(a, b), least)
                builder.store(builder.bitcast(left, INT32), builder.gep(target, [builder.add(place, j)]))
            return context.get_dummy_value()

        whole = types.int64
        kinds = pool, whole, whole, order, whole, whole, numbers, limits, whole, bits, whole
        return types.void(*kinds), generate

    return intrinsic(typed)


_decide_128: Any = _decide_in(2)
_decide_256: Any = _decide_in(4)
_decide_384: Any = _decide_in(6)
_decide_512: Any = _decide_in(8)


def _typed_add_up(
    context: Any,
    bits: Any,
    place: Any,
    n: Any,
    order: Any,
    first: Any,
    scored: Any,
    origin: Any,
    width: Any,
    out: Any,
) -> Any:
    """Add up what :func:`accumulate_left_sums` adds up, in registers."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        decisions, samples, components, target = (
            data(context, builder, signature, args, i) for i in (0, 3, 5, 8)
        )
        _, place, n, _, first, _, origin, width, _ = args
        kind = vector(FLOAT, _LANES)
        halves = range(CANDIDATES // _LANES)
        zero, one = constant(kind, 0.0), constant(kind, 1.0)
        totals = [[variable(builder, zero) for _ in halves] for _ in range(COLUMNS + 1)]
        with loop(builder, n) as (j, _):
            i = builder.load(builder.gep(samples, [builder.add(first, j)]))
            row = builder.add(origin, builder.mul(builder.zext(i, INT64), width))
            decision = builder.load(builder.gep(decisions, [builder.add(place, j)]))
            all_flags = builder.bitcast(decision, vector(BIT, CANDIDATES))
            left = [
                chosen(builder, all_flags, list(range(_LANES * half, _LANES * (half + 1)))) for half in halves
            ]
            for d in range(COLUMNS + 1):
                value = one
                if d < COLUMNS:
                    component = builder.load(builder.gep(components, [builder.add(row, INT64(d))]))
                    value = splat(builder, component, kind)
                for half in halves:
                    total = builder.load(totals[d][half])
                    more = builder.fadd(total, value)
                    builder.store(builder.select(left[half], more, total), totals[d][half])
        for d in range(COLUMNS + 1):
            for half in halves:
                to = INT64(CANDIDATES * d + _LANES * half)
                store(builder, builder.load(totals[d][half]), target, to)
        return context.get_dummy_value()

    whole = types.int64
    return types.void(bits, whole, whole, order, whole, scored, whole, whole, out), generate


_add_up: Any = intrinsic(_typed_add_up)


@numba.njit(cache=True, nogil=True)
def evaluate_splits(pool, block, order, low, high, numbers, limits, node, group, bits):
    """Decide for the samples of a node which of 32 candidates send them left.

    Parameters
    ----------
    pool : uint8 array (n_blocks, BLOCK, width)
        From :func:`new_pool`.
    block : int
    order : int32 array (n_blocks, BLOCK)
    low, high : int
        The samples are ``order[block, low:high]``.
    numbers, limits
        From :func:`pack_candidates`.
    node, group : int
        Which 32 of them.
    bits : uint32 array (n_blocks, n_groups, BLOCK)
        Written from `low` to `high`: a bit for each candidate, the lowest for the first.
    """
    width = pool.shape[2]
    origin, first, n = block * pool.shape[1] * width, block * order.shape[1] + low, high - low
    which = node * numbers.shape[1] + group
    if _WIDE and width <= MOST_PIXELS:
        place = (block * bits.shape[1] + group) * bits.shape[2] + low
        rest = pool, origin, width, order, first, n, numbers, limits, which, bits, place
        if width <= 128:
            _decide_128(*rest)
        elif width <= 256:
            _decide_256(*rest)
        elif width <= 384:
            _decide_384(*rest)
        else:
            _decide_512(*rest)
        return
    pixels, some, least = pool.reshape(-1), numbers[node, group], limits[node, group]
    for j in range(n):
        row = np.uint64(origin + np.int64(order[block, low + j]) * width)
        decisions = np.uint32(0)
        for k in range(CANDIDATES):
            a = np.int32(pixels[row + np.uint64(some[k])])
            b = np.int32(pixels[row + np.uint64(some[k + CANDIDATES])])
            decisions |= np.uint32(a - b > least[k]) << np.uint32(k)
        bits[block, group, low + j] = decisions


@numba.njit(cache=True, nogil=True)
def accumulate_left_sums(bits, block, group, order, low, high, scored, column, out):
    """Add up the components of the samples that each candidate sends left, and count them.

    Parameters
    ----------
    bits, block, group, order, low, high
        See :func:`evaluate_splits`.
    scored : float32 array (n_blocks, BLOCK, a multiple of 8)
        The components.
    column : int
        The first of the eight that are added up.
    out : float32 array (9, 32)
        Written: the sums, at last the counts.
    """
    width = scored.shape[2]
    origin = block * scored.shape[1] * width + column
    place = (block * bits.shape[1] + group) * bits.shape[2] + low
    _add_up(bits, place, high - low, order, block * order.shape[1] + low, scored, origin, width, out)
