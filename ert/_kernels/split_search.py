"""Evaluating candidate splits: all samples of a block and eight candidates at a time.

The candidates of a node come in groups of 32, and the samples of a block lie next to each other, pixel by pixel:

    pool       uint8    (n_pixels, block length)   a row per pixel of the pool; whole vectors can be read
    samples    int32    (n,)                       the node's samples: columns of `pool`, rows of `scored`
    pixels     uint16   (64,)                      the first pixel of each candidate, then the second pixels
    limits     int16    (32,)                      go left where first - second is greater
    goes_left  uint32   (n,)                       bit k: candidate k sends the sample left
    scored     float32  (block length, 8 * m)      the components of the residuals that splits are scored on
    left_sums  float32  (9, 32)                    a column per candidate: the sums of 8 components over the
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
    BIT,
    FLOAT,
    INT8,
    INT16,
    INT32,
    INT64,
    call,
    chosen,
    constant,
    data,
    length,
    load,
    loop,
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
_LANES = 16
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


def _typed_accumulate(context: Any, goes_left: Any, samples: Any, scored: Any, column: Any, left_sums: Any) -> Any:
    """Compute :func:`accumulate_left_sums`, with all sums in registers."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        decisions, numbers, components, target = (data(context, builder, signature, args, i) for i in (0, 1, 2, 4))
        n = length(context, builder, signature, args, 1)
        width = length(context, builder, signature, args, 2, axis=1)
        kind = vector(FLOAT, _LANES)
        halves = range(GROUP_SIZE // _LANES)
        zero, one = constant(kind, 0.0), constant(kind, 1.0)
        totals = [[variable(builder, zero) for _ in halves] for _ in range(COMPONENTS_PER_PASS + 1)]
        with loop(builder, n) as (j, _):
            sample = builder.zext(builder.load(builder.gep(numbers, [j])), INT64)
            row = builder.add(builder.mul(sample, width), args[3])
            decision = builder.load(builder.gep(decisions, [j]))
            all_flags = builder.bitcast(decision, vector(BIT, GROUP_SIZE))
            left = [chosen(builder, all_flags, list(range(_LANES * half, _LANES * (half + 1)))) for half in halves]
            for d in range(COMPONENTS_PER_PASS + 1):
                value = one
                if d < COMPONENTS_PER_PASS:
                    component = builder.load(builder.gep(components, [builder.add(row, INT64(d))]))
                    value = splat(builder, component, kind)
                for half in halves:
                    total = builder.load(totals[d][half])
                    more = builder.fadd(total, value)
                    builder.store(builder.select(left[half], more, total), totals[d][half])
        for d in range(COMPONENTS_PER_PASS + 1):
            for half in halves:
                place = INT64(GROUP_SIZE * d + _LANES * half)
                store(builder, builder.load(totals[d][half]), target, place)
        return context.get_dummy_value()

    return types.void(goes_left, samples, scored, types.int64, left_sums), generate


_accumulate: Any = intrinsic(_typed_accumulate)


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
def accumulate_left_sums(goes_left, samples, scored, column, left_sums):
    """Write the sums of eight components, from `column` on, of the samples that go left, and count these."""
    _accumulate(goes_left, samples, scored, column, left_sums)
