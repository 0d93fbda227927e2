"""Evaluating candidate splits: 32 candidates at a time, one in each lane of a vector.

The samples of a node are rows of a block's arrays; its candidates come in groups of 32:

    pool       uint8    (block length, width)      a row per sample: its pixels, width a multiple of 64
    samples    int32    (n,)                       the node's samples: rows of `pool` and of `scored`
    pixels     uint16   (64,)                      the first pixel of each candidate, then the second pixels
    limits     int16    (32,)                      go left where first - second is greater
    goes_left  uint32   (n,)                       bit k: candidate k sends the sample left
    scored     float32  (block length, 8 * m)      the components of the residuals that splits are scored on
    left_sums  float32  (9, 32)                    a column per candidate: the sums of 8 components over the
                                                   samples that go left, and the number of these samples

With AVX-512 VBMI, which looks up 64 bytes at a time, both pixels of all 32 candidates are looked up in the
sample's row at once. The results are the same on every processor: integers, exact in their types.
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
    length,
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

# Candidates that are evaluated together, and components of the residuals that are summed together.
GROUP_SIZE = 32
COMPONENTS_PER_PASS = 8
# Pixels of the largest pool that is looked up in vectors.
_MAX_TABLE_PIXELS = 512
_USE_TABLES = processor_has("avx512vbmi")
_LANES = 16
# Samples whose pixels are prefetched ahead of their turn.
_PREFETCH_DISTANCE = 16
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


def _make_evaluate(n_tables: int) -> Any:
    """Return :func:`evaluate_splits` as an intrinsic, for pools of at most `n_tables` times 64 pixels."""

    def typed(context: Any, pool: Any, samples: Any, pixels: Any, limits: Any, goes_left: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            rows, numbers, candidates, least, target = (data(context, builder, signature, args, i) for i in range(5))
            width = length(context, builder, signature, args, 0, axis=1)
            n = length(context, builder, signature, args, 1)
            bytes_64, words_64, words_32 = vector(INT8, 64), vector(INT16, 64), vector(INT16, GROUP_SIZE)
            pixel = load(builder, candidates, INT64(0), words_64)
            limit = load(builder, least, INT64(0), words_32)
            # A table is 128 pixels: the low 7 bits look up in it, the others select the table.
            low_bits, high_bits = builder.trunc(pixel, bytes_64), builder.lshr(pixel, constant(words_64, 7))
            in_table = [builder.icmp_unsigned("==", high_bits, constant(words_64, k)) for k in range(n_tables // 2)]

            def row_of(j: Any) -> Any:
                sample = builder.load(builder.gep(numbers, [j]))
                return builder.mul(builder.zext(sample, INT64), width)

            last = builder.sub(n, INT64(1))
            with loop(builder, n) as (j, _):
                ahead = builder.add(j, INT64(_PREFETCH_DISTANCE))
                ahead = row_of(builder.select(builder.icmp_signed("<", ahead, last), ahead, last))
                for k in range(n_tables):
                    prefetch(builder, builder.gep(rows, [builder.add(ahead, INT64(64 * k))]))
                row = row_of(j)
                value = None
                for k, here in enumerate(in_table):
                    low, high = (
                        load(builder, rows, builder.add(row, INT64(64 * (2 * k + m))), bytes_64) for m in (0, 1)
                    )
                    found = look_up(builder, low, low_bits, high)
                    value = found if value is None else builder.select(here, found, value)
                first, second = (
                    builder.zext(chosen(builder, value, list(range(start, start + GROUP_SIZE))), words_32)
                    for start in (0, GROUP_SIZE)
                )
                left = builder.icmp_signed(">", builder.sub(first, second), limit)
                builder.store(builder.bitcast(left, INT32), builder.gep(target, [j]))
            return context.get_dummy_value()

        return types.void(pool, samples, pixels, limits, goes_left), generate

    return intrinsic(typed)


_evaluate_128: Any = _make_evaluate(2)
_evaluate_256: Any = _make_evaluate(4)
_evaluate_384: Any = _make_evaluate(6)
_evaluate_512: Any = _make_evaluate(8)


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
def evaluate_splits(pool, samples, pixels, limits, goes_left):
    """Write which samples of a node 32 candidates send left; 64 bytes after the end of the pool must be readable."""
    width = pool.shape[1]
    if _USE_TABLES and width <= _MAX_TABLE_PIXELS:
        if width <= 128:
            _evaluate_128(pool, samples, pixels, limits, goes_left)
        elif width <= 256:
            _evaluate_256(pool, samples, pixels, limits, goes_left)
        elif width <= 384:
            _evaluate_384(pool, samples, pixels, limits, goes_left)
        else:
            _evaluate_512(pool, samples, pixels, limits, goes_left)
        return
    # A flat array and unsigned indices: numba would check for negative ones.
    values = pool.reshape(-1)
    for j in range(samples.shape[0]):
        row = np.uint64(np.int64(samples[j]) * width)
        decisions = np.uint32(0)
        for k in range(GROUP_SIZE):
            first = np.int32(values[row + np.uint64(pixels[k])])
            second = np.int32(values[row + np.uint64(pixels[k + GROUP_SIZE])])
            decisions |= np.uint32(first - second > limits[k]) << np.uint32(k)
        goes_left[j] = decisions


@numba.njit(cache=True, nogil=True)
def accumulate_left_sums(goes_left, samples, scored, column, left_sums):
    """Write the sums of eight components, from `column` on, of the samples that go left, and count these."""
    _accumulate(goes_left, samples, scored, column, left_sums)
