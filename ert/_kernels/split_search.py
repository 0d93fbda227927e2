"""Evaluating candidate splits: all samples of a block and eight candidates at a time.

The candidates of a node come in groups of 32, and the samples of a block lie next to each other, pixel by pixel:

    pool       uint8    (n_pixels, block length)   a row per pixel of the pool; whole vectors can be read
    samples    int32    (n,)                       the node's samples: columns of `pool`, rows of `scored`
    pixels     uint16   (64,)                      the first pixel of each candidate, then the second pixels
    limits     int16    (32,)                      go left where first - second is greater
    goes_left  uint32   (n,)                       bit k: candidate k sends the sample left
    scored     int16    (block length, 8 * m)      the components of the residuals that splits are scored on
    paired     int16    (n / 2 rounded up, 8, 2)   eight components of the node's samples, two samples side by side
    left_sums  int32    (9, 32)                    a column per candidate: the sums of 8 components over the
                                                   samples that go left, and the number of these samples

Comparing all samples of a block, those of other nodes too, takes less time than looking up the pixels of those of a
node, unless these are few. The results are the same on every processor: integers, exact in their types.
"""

from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from numba import types
from numba.extending import intrinsic

from ert._kernels.llvm import (
    INT8,
    INT16,
    INT32,
    INT64,
    call,
    chosen,
    constant,
    data,
    joined,
    length,
    load,
    loop,
    multiply_pairs,
    processor_has,
    splat,
    store,
    variable,
    vector,
)

# Candidates that are evaluated together, and components of the residuals that are summed together.
GROUP_SIZE = 32
COMPONENTS_PER_PASS = 8
# Candidates whose decisions for a sample are a byte, and samples of a vector.
CANDIDATES_PER_BYTE, SAMPLES_PER_VECTOR = 8, 64
# Candidates whose sums are in registers at once.
_LANES = 16 if processor_has("avx512bw") else 8
# A node whose samples are less than this share of its block looks up their pixels.
_FEW = 32
# Limits that every difference of two pixels exceeds, and that none exceeds.
_ALWAYS, _NEVER = -(2**15), 2**15 - 1


def pack_candidates(
    pairs: npt.NDArray[np.uint16], thresholds: npt.NDArray[np.int16]
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.int16]]:
    """Lay out candidates in groups of 32 for :func:`evaluate_splits`.

    The candidate after a split's last one sends every sample left, so that its sums are those of the node.

    Pairs (..., n_split_tests, 2) and thresholds (..., n_split_tests) become pixels (..., n_groups, 64) and limits
    (..., n_groups, 32).
    """
    *shape, n_tests = thresholds.shape
    n_groups = n_tests // GROUP_SIZE + 1
    pixels = np.zeros((*shape, n_groups, 2, GROUP_SIZE), np.uint16)
    limits = np.full((*shape, n_groups * GROUP_SIZE), _NEVER, np.int16)
    limits[..., :n_tests] = thresholds
    limits[..., n_tests] = _ALWAYS
    for group in range(n_groups):
        part = pairs[..., group * GROUP_SIZE : (group + 1) * GROUP_SIZE, :]
        pixels[..., group, :, : part.shape[-2]] = np.swapaxes(part, -1, -2)
    return pixels.reshape(*shape, n_groups, -1), limits.reshape(*shape, n_groups, -1)


def _typed_evaluate_eight(context: Any, pool: Any, n: Any, pixels: Any, limits: Any, byte: Any, decisions: Any) -> Any:
    """Write a row of decisions: what eight candidates, the bits of a byte of a group, decide on the first samples."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        rows, candidates, least, target = (data(context, builder, signature, args, i) for i in (0, 2, 3, 5))
        width = length(context, builder, signature, args, 0, axis=1)
        kind = vector(INT8, SAMPLES_PER_VECTOR)
        first = builder.mul(args[4], INT64(CANDIDATES_PER_BYTE))
        flips, eight = INT8(0), []
        for k in range(CANDIDATES_PER_BYTE):
            number = builder.add(first, INT64(k))
            limit = builder.sext(load(builder, least, number, INT16), INT32)
            # a - b > t is the opposite of b - a > -t - 1.
            opposite = builder.icmp_signed("<", limit, INT32(0))
            limit = builder.select(opposite, builder.not_(limit), limit)
            limit = builder.select(builder.icmp_signed(">", limit, INT32(255)), INT32(255), limit)
            flips = builder.or_(flips, builder.shl(builder.zext(opposite, INT8), INT8(k)))
            pair = [
                builder.mul(builder.zext(load(builder, candidates, place, INT16), INT64), width)
                for place in (number, builder.add(number, INT64(GROUP_SIZE)))
            ]
            ordered = [builder.select(opposite, pair[1 - m], pair[m]) for m in (0, 1)]
            eight.append((ordered, splat(builder, builder.trunc(limit, INT8), kind)))
        flipped, nothing = splat(builder, flips, kind), constant(kind, 0)
        target = builder.gep(target, [builder.mul(args[4], length(context, builder, signature, args, 5, axis=1))])
        with loop(builder, args[1], SAMPLES_PER_VECTOR) as (i, _):
            found = flipped
            for k, (pair, limit) in enumerate(eight):
                one, other = (load(builder, rows, builder.add(row, i), kind) for row in pair)
                more = call(builder, f"llvm.usub.sat.v{SAMPLES_PER_VECTOR}i8", kind, one, other)
                bit = constant(kind, 1 << k)
                above = builder.icmp_unsigned(">", more, limit)
                found = builder.xor(found, builder.select(above, bit, nothing))
            store(builder, found, target, i)
        return context.get_dummy_value()

    number = types.int64
    return types.void(pool, number, pixels, limits, number, decisions), generate


_evaluate_eight: Any = intrinsic(_typed_evaluate_eight)


def _typed_accumulate(context: Any, goes_left: Any, paired: Any, first: Any, left_sums: Any) -> Any:
    """Compute columns of :func:`accumulate_left_sums` from a candidate on, with all sums in registers."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        decisions, components, target = (data(context, builder, signature, args, i) for i in (0, 1, 3))
        n = length(context, builder, signature, args, 0)
        kind, words = vector(INT32, _LANES), vector(INT16, 2 * _LANES)
        bits = constant(words, [1 << (k // 2) for k in range(2 * _LANES)])
        ones = constant(words, 1)
        totals = [variable(builder, constant(kind, 0)) for _ in range(COMPONENTS_PER_PASS + 1)]
        start = builder.trunc(args[2], INT32)

        def decision(j: Any) -> Any:
            return builder.lshr(builder.load(builder.gep(decisions, [j])), start)

        with loop(builder, n, 2) as (j, _):
            following = builder.add(j, INT64(1))
            there = builder.icmp_signed("<", following, n)
            # An odd number of samples: nothing goes left in place of the last one.
            second = builder.select(there, decision(builder.select(there, following, j)), INT32(0))
            both = builder.or_(builder.and_(decision(j), INT32(0xFFFF)), builder.shl(second, INT32(16)))
            among = builder.and_(builder.bitcast(splat(builder, both, kind), words), bits)
            # -1 where a sample goes left.
            left = builder.sext(builder.icmp_unsigned("==", among, bits), words)
            row = builder.mul(j, INT64(COMPONENTS_PER_PASS))
            for d in range(COMPONENTS_PER_PASS + 1):
                pair = ones
                if d < COMPONENTS_PER_PASS:
                    two = load(builder, components, builder.add(row, INT64(2 * d)), INT32)
                    pair = builder.bitcast(splat(builder, two, kind), words)
                total = builder.sub(builder.load(totals[d]), multiply_pairs(builder, left, pair))
                builder.store(total, totals[d])
        for d in range(COMPONENTS_PER_PASS + 1):
            store(builder, builder.load(totals[d]), target, builder.add(args[2], INT64(GROUP_SIZE * d)))
        return context.get_dummy_value()

    return types.void(goes_left, paired, types.int64, left_sums), generate


_accumulate: Any = intrinsic(_typed_accumulate)


def _typed_pair(context: Any, scored: Any, samples: Any, column: Any, paired: Any) -> Any:
    """Compute :func:`pair_components`."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        components, numbers, target = (data(context, builder, signature, args, i) for i in (0, 1, 3))
        width = length(context, builder, signature, args, 0, axis=1)
        n = length(context, builder, signature, args, 1)
        kind = vector(INT16, COMPONENTS_PER_PASS)

        def row(j: Any) -> Any:
            sample = builder.zext(builder.load(builder.gep(numbers, [j])), INT64)
            return load(builder, components, builder.add(builder.mul(sample, width), args[2]), kind)

        with loop(builder, n, 2) as (j, _):
            following = builder.add(j, INT64(1))
            following = builder.select(builder.icmp_signed("<", following, n), following, j)
            both = joined(builder, row(j), row(following))
            lanes = [k // 2 + k % 2 * COMPONENTS_PER_PASS for k in range(2 * COMPONENTS_PER_PASS)]
            store(builder, chosen(builder, both, lanes), target, builder.mul(j, INT64(COMPONENTS_PER_PASS)))
        return context.get_dummy_value()

    return types.void(scored, samples, types.int64, paired), generate


_pair: Any = intrinsic(_typed_pair)


@numba.njit(cache=True, nogil=True)
def evaluate_splits(pool, samples, n_samples, candidates, n_candidates, decisions, goes_left):
    """Write which samples of a node the first candidates of a group send left.

    Parameters
    ----------
    pool, samples, goes_left
        See the picture at the top of this file. The bits of further candidates mean nothing.
    n_samples : int
        Of all nodes: the first columns of the pool.
    candidates : pixels, limits
    n_candidates : int
    decisions : uint8 array (4, block length)
        Overwritten.
    """
    pixels, limits = candidates
    n = samples.shape[0]
    if n * _FEW < n_samples:
        for j in range(n):
            bits = np.uint32(0)
            for k in range(n_candidates):
                first = np.int32(pool[pixels[k], samples[j]])
                second = np.int32(pool[pixels[k + GROUP_SIZE], samples[j]])
                bits |= np.uint32(first - second > limits[k]) << np.uint32(k)
            goes_left[j] = bits
        return
    n_bytes = (n_candidates + CANDIDATES_PER_BYTE - 1) // CANDIDATES_PER_BYTE
    for byte in range(n_bytes):
        _evaluate_eight(pool, n_samples, pixels, limits, byte, decisions)
    for j in range(n):
        bits = np.uint32(0)
        for byte in range(n_bytes):
            bits |= np.uint32(decisions[byte, samples[j]]) << np.uint32(CANDIDATES_PER_BYTE * byte)
        goes_left[j] = bits


@numba.njit(cache=True, nogil=True)
def pair_components(scored, samples, column, paired):
    """Write eight components of the samples of a node, from `column` on, two samples side by side.

    What is beside the last of an odd number of samples means nothing.
    """
    _pair(scored, samples, column, paired)


@numba.njit(cache=True, nogil=True)
def accumulate_left_sums(goes_left, paired, n_candidates, left_sums):
    """Write the sums of eight components of the samples that go left, and count these, for the first candidates."""
    for first in range(0, n_candidates, _LANES):
        _accumulate(goes_left, paired, first, left_sums)
