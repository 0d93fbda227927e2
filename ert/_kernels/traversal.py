"""Traversal: packed splits, and the leaves of the trees of a stage that a face falls into.

Where the processor looks up bytes in vectors, pools have at most 512 (AVX-512 VBMI), 256 (NEON) or 128 pixels (AVX2),
and trees have a depth of 4, all splits of four trees are evaluated at once, and then the paths of 32 trees are followed
at once:

four trees   64 bytes  first pixel      sixteen a tree, the last of them empty
             64 bytes  second pixel
             64 bytes  threshold        0 or more: if it is less, the two pixels are exchanged
a stage      the lookups of all its trees; then the masks of all its trees, 64 bits each for four of them:
             flips      set where a face goes right if it does not exceed the threshold
             first, second    set where the index of a pixel is 256 or more; absent in smaller pools

Elsewhere trees are traversed node by node, four trees at a time:

node    the lowest b bits    first pixel           b bits hold the largest index of the pool
        the next nine        threshold + 256
        the highest b bits   second pixel
tree    2**depth nodes in breadth-first order, the last one empty: with depth 4 and up to 2048 pixels
        64 bytes, a cache line

Both ways find the same leaves.

leaves  tree by tree; a leaf is found by the offset of its first element
"""

from functools import reduce
from itertools import pairwise
from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload, register_jitable

from ert._kernels.llvm import (
    INT8,
    INT16,
    INT32,
    INT64,
    call,
    constant,
    data,
    joined,
    kernel,
    load,
    look_up,
    look_up_in_16,
    look_up_in_64,
    loop,
    prefetch,
    processor_has,
    splat,
    store,
    vector,
)
from ert._kernels.simd import CACHE_LINE_BYTES, aligned

# Differences of two pixels lie in -255 ... 255, so that these limits change no decision.
LOWEST, HIGHEST = -256, 255
THRESHOLD_BITS = 9
# Trees whose leaves are found together; arrays of leaf offsets are padded to a multiple of it.
TREES_PER_BLOCK = 32
# The largest leaf that is prefetched as soon as it is found. The processor fetches a limited number of lines
# at a time: of larger leaves some are prefetched here, and the others while they are added.
MAX_PREFETCHED_LEAF_BYTES = 256
LARGE_LEAVES_PREFETCHED = 2
# The largest pool whose splits can be evaluated four trees at a time.
MAX_MASK_PIXELS = 512
_WIDE, _NEON, _AVX2 = processor_has("avx512vbmi"), processor_has("neon"), processor_has("avx2")
# The same on this processor: with lookups in tables of 128, 64 and 16 bytes.
MAX_TABLE_PIXELS = 512 if _WIDE else 256 if _NEON else 128


def index_bits(n_pixels: int) -> int:
    """Return how many bits the index of a pixel takes in a node."""
    return max(1, (n_pixels - 1).bit_length())


def pack_nodes(
    pairs: npt.NDArray[np.uint16], thresholds: npt.NDArray[Any], n_pixels: int
) -> npt.NDArray[np.unsignedinteger]:
    """Pack the splits of trees for :func:`find_leaves`.

    Parameters
    ----------
    pairs : uint16 array (..., n_trees, n_splits, 2)
        The two pixels of each split.
    thresholds : array (..., n_trees, n_splits)
        A face goes left where the difference of the two pixels is greater; integers or not.

    Returns
    -------
    uint32 or uint64 array (..., n_trees * (n_splits + 1))
    """
    bits = index_bits(n_pixels)
    kind = np.uint32 if 2 * bits + THRESHOLD_BITS <= 32 else np.uint64
    *shape, n_trees, n_splits = thresholds.shape
    nodes = np.zeros((*shape, n_trees, n_splits + 1), kind)
    # Differences are integers: greater than a number if greater than its floor.
    whole = np.clip(np.floor(thresholds), LOWEST, HIGHEST).astype(np.int64) - LOWEST
    top = 8 * kind().itemsize - bits
    fields = ((pairs[..., 0], 0), (whole, bits), (pairs[..., 1], top))
    for field, place in fields:
        nodes[..., :-1] |= np.left_shift(field.astype(kind), kind(place))
    return nodes.reshape(*shape, -1)


def pack_splits(pairs: npt.NDArray[np.uint16], thresholds: npt.NDArray[Any], n_pixels: int) -> npt.NDArray[np.uint8]:
    """Pack the splits of trees of depth 4 for :func:`find_leaves`, to be evaluated four trees at a time.

    Parameters
    ----------
    pairs : uint16 array (..., n_trees, 15, 2)
        The two pixels of each split, below 512.
    thresholds : array (..., n_trees, 15)
        A face goes left where the difference of the two pixels is greater; integers or not.

    Returns
    -------
    uint8 array (..., n_bytes)
        Whole cache lines.
    """
    *shape, n_trees, _ = thresholds.shape
    whole = np.clip(np.floor(thresholds), LOWEST, HIGHEST).astype(np.int64)
    # a - b > t is the opposite of b - a > -t - 1.
    rotated = whole < 0
    first, second = (np.where(rotated, pairs[..., 1 - k], pairs[..., k]) for k in (0, 1))
    widths = [(0, 0)] * len(shape) + [(0, -n_trees % 4), (0, 1)]

    def of_four_trees(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.pad(values, widths).reshape(*shape, -1, 64)

    fields = first, second, np.where(rotated, -whole - 1, whole)
    lookups = np.stack([of_four_trees(field).astype(np.uint8) for field in fields], axis=-2)
    flags = (~rotated,) if n_pixels <= 256 else (~rotated, first > 255, second > 255)
    masks = np.stack([np.packbits(of_four_trees(flag), -1, "little") for flag in flags], axis=-2)
    parts = [part.reshape(*shape, -1) for part in (lookups, masks)]
    n_bytes = sum(part.shape[-1] for part in parts)
    parts.append(np.zeros((*shape, -n_bytes % CACHE_LINE_BYTES), np.uint8))
    return np.concatenate(parts, axis=-1)


def _uses_masks(n_splits: int, n_pixels: int) -> bool:
    """Return whether the splits of such trees are evaluated at once on this processor."""
    return n_splits == 15 and (_WIDE or _NEON or _AVX2) and n_pixels <= MAX_TABLE_PIXELS


class TreeArgs(NamedTuple):
    """The trees of all stages, packed.

    Parameters
    ----------
    splits : uint8 array (n_stages, ...)
        The splits, from :func:`pack_splits`; (n_stages, 0) where they are in `nodes`.
    nodes : array (n_stages, ...)
        The splits, from :func:`pack_nodes`; (n_stages, 0) where they are in `splits`.
    n_trees, depth : int
    leaves : array (n_stages, n_trees * n_leaves * leaf_size)
    leaf_size : int
        Numbers in a leaf.
    """

    splits: Any
    nodes: Any
    n_trees: int
    depth: int
    leaves: Any
    leaf_size: int


class TraversalWorkspace(NamedTuple):
    """Buffers for :func:`find_leaves`.

    Parameters
    ----------
    values : uint8 array (pool_values_size(n_pixels),)
        The pixels of the feature pool.
    masks : uint64 array (at least n_trees / 4, up to a multiple of 8)
    leaf_offsets : int64 array (at least n_trees, up to a multiple of 32)
        The result: the first element of each tree's leaf, in a stage's leaves.
    """

    values: Any
    masks: Any
    leaf_offsets: Any


def tree_args(
    pairs: npt.NDArray[np.uint16], thresholds: npt.NDArray[Any], leaves: npt.NDArray[Any], n_pixels: int
) -> TreeArgs:
    """Pack trees for the kernels, in the layout that is fastest on this processor.

    Parameters
    ----------
    pairs : uint16 array (n_stages, n_trees, n_splits, 2)
    thresholds : array (n_stages, n_trees, n_splits)
    leaves : array (n_stages, n_trees, n_leaves, leaf_size)
    n_pixels : int
        Pixels of a stage's feature pool.
    """
    n_stages, n_trees, n_splits = thresholds.shape
    splits = np.empty((n_stages, 0), np.uint8)
    if _uses_masks(n_splits, n_pixels):
        splits = aligned(pack_splits(pairs, thresholds, n_pixels))
        # Of the same type, so that kernels are compiled once for both layouts.
        pairs, thresholds = pairs[:, :0], thresholds[:, :0]
    nodes = aligned(pack_nodes(pairs, thresholds, n_pixels))
    depth = n_splits.bit_length()
    return TreeArgs(splits, nodes, n_trees, depth, aligned(leaves.reshape(n_stages, -1)), leaves.shape[-1])


@register_jitable
def pool_values_size(n_pixels: int) -> int:
    """Return how long the array of a pool's values must be; the values behind the pool's do not matter."""
    return max(MAX_MASK_PIXELS, n_pixels)


@register_jitable
def traversal_workspace(n_trees: int, n_pixels: int) -> Any:
    """Return buffers for the trees of a stage."""
    return TraversalWorkspace(
        np.empty(pool_values_size(n_pixels), np.uint8),
        np.empty(n_trees // 4 + TREES_PER_BLOCK, np.uint64),
        np.empty(n_trees + TREES_PER_BLOCK, np.int64),
    )


def _find_by_128(builder: Any, pixels: Any, source: Any, n_pixels: int) -> Any:
    """Return a function that looks up 64 of up to 512 pixels: AVX-512."""
    kind = vector(INT8, 64)
    tables = [load(builder, pixels, INT64(64 * i), kind) for i in range(n_pixels // 64)]
    zero = constant(kind, 0)

    def value(numbers: Any, mask: Any) -> Any:
        found = [look_up(builder, tables[i], numbers, tables[i + 1]) for i in range(0, len(tables), 2)]
        if len(tables) > 2:
            upper = builder.icmp_signed("<", numbers, zero)
            found = [builder.select(upper, found[i + 1], found[i]) for i in range(0, len(found), 2)]
        if len(tables) > 4:
            highest = builder.bitcast(load(builder, source, mask, INT64), upper.type)
            found = [builder.select(highest, found[1], found[0])]
        return found[0]

    return value


def _find_by_64(builder: Any, pixels: Any, source: Any, n_pixels: int) -> Any:
    """Return a function that looks up 16 of up to 256 pixels: NEON."""
    parts = [load(builder, pixels, INT64(16 * i), vector(INT8, 16)) for i in range(n_pixels // 16)]

    def value(numbers: Any, mask: Any) -> Any:
        found = look_up_in_64(builder, parts[:4], numbers)
        for i in range(4, len(parts), 4):
            # Indices count from the beginning of each table; those before it are then large, and find 0.
            numbers = builder.sub(numbers, constant(numbers.type, 64))
            found = builder.or_(found, look_up_in_64(builder, parts[i : i + 4], numbers))
        return found

    return value


def _find_by_16(builder: Any, pixels: Any, source: Any, n_pixels: int) -> Any:
    """Return a function that looks up 32 of up to 128 pixels: AVX2."""
    parts = [load(builder, pixels, INT64(16 * i), vector(INT8, 16)) for i in range(n_pixels // 16)]
    # Table after table, indices count from its beginning: those before it are negative and find 0, those behind it
    # find what their lower bits say. This is undone by the tables after it, which are differences.
    parts = [parts[0], *(builder.xor(a, b) for a, b in pairwise(parts))]
    tables = [joined(builder, part, part) for part in parts]

    def value(numbers: Any, mask: Any) -> Any:
        found = look_up_in_16(builder, tables[0], numbers)
        for table in tables[1:]:
            numbers = builder.sub(numbers, constant(numbers.type, 16))
            found = builder.xor(found, look_up_in_16(builder, table, numbers))
        return found

    return value


def _decide(n_pixels: int) -> Any:
    """Return a function that evaluates all splits of trees of depth 4, for pools of `n_pixels` at most.

    It takes `values`; `splits` from :func:`pack_splits`; `first`, the byte of them at which the stage begins;
    `n`, the number of groups of four trees; the range of these groups, `start` to `stop`; and `masks`, at
    least `n` numbers of 64 bits: written, the bit of each split is set where the face goes right.
    """
    lanes, finder = (64, _find_by_128) if _WIDE else (16, _find_by_64) if _NEON else (32, _find_by_16)
    n_masks = 3 if n_pixels > 256 else 1

    def typed(context: Any, values: Any, splits: Any, first: Any, n: Any, start: Any, stop: Any, masks: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            pixels, source, target = (data(context, builder, signature, args, i) for i in (0, 1, 6))
            _, _, origin, n, start, stop, _ = args
            kind = vector(INT8, lanes)
            flips_origin = builder.add(origin, builder.mul(n, INT64(3 * 64)))
            value = finder(builder, pixels, source, n_pixels)
            with loop(builder, builder.sub(stop, start)) as (i, _):
                i = builder.add(i, start)
                lookups = builder.add(origin, builder.mul(i, INT64(3 * 64)))
                flips = builder.add(flips_origin, builder.mul(i, INT64(8 * n_masks)))
                flipped, found = load(builder, source, flips, INT64), []
                for part in range(0, 64, lanes):
                    *places, limit = (builder.add(lookups, INT64(64 * k + part)) for k in range(3))
                    pair = [
                        value(load(builder, source, place, kind), builder.add(flips, INT64(8 * k)))
                        for k, place in enumerate(places, 1)
                    ]
                    more = call(builder, f"llvm.usub.sat.v{lanes}i8", kind, *pair)
                    limit = load(builder, source, limit, kind)
                    above = builder.bitcast(builder.icmp_unsigned(">", more, limit), ir.IntType(lanes))
                    found.append(builder.shl(builder.zext(above, INT64), INT64(part)))
                right = builder.xor(flipped, reduce(builder.or_, found))
                builder.store(right, builder.gep(target, [i]))
            return context.get_dummy_value()

        whole = types.uint64
        return types.void(values, splits, whole, whole, whole, whole, masks), generate

    return intrinsic(typed)


def _typed_follow(context: Any, masks: Any, block: Any, leaf_size: Any, rows: Any) -> Any:
    """Follow the paths of 32 trees of depth 4 down to their leaves."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source, target = (data(context, builder, signature, args, i) for i in (0, 3))
        read, wide = vector(INT16, TREES_PER_BLOCK), vector(INT32, TREES_PER_BLOCK)
        bits = load(builder, source, builder.mul(args[1], INT64(TREES_PER_BLOCK // 4)), read)
        # AVX2 has no shifts of 16 bits by different numbers.
        kind = wide if _AVX2 and not _WIDE else read
        bits = builder.zext(bits, wide) if kind is wide else bits
        one = constant(kind, 1)
        node = constant(kind, 0)
        for _ in range(4):
            bit = builder.and_(builder.lshr(bits, node), one)
            node = builder.add(builder.add(builder.add(node, node), one), bit)
        leaf = builder.sub(node, constant(kind, 15))
        leaf = leaf if kind is wide else builder.zext(leaf, wide)
        first = builder.trunc(builder.mul(args[1], INT64(16 * TREES_PER_BLOCK)), INT32)
        trees = builder.add(splat(builder, first, wide), constant(wide, [16 * i for i in range(TREES_PER_BLOCK)]))
        size = splat(builder, builder.trunc(args[2], INT32), wide)
        row = builder.zext(builder.mul(builder.add(trees, leaf), size), vector(INT64, TREES_PER_BLOCK))
        store(builder, row, target, builder.mul(args[1], INT64(TREES_PER_BLOCK)))
        return context.get_dummy_value()

    return types.void(masks, types.uint64, types.uint64, rows), generate


def _typed_prefetch_leaves(context: Any, table: Any, base: Any, rows: Any, start: Any, stop: Any, n: Any) -> Any:
    """Prefetch some rows of a table: their first `n` cache lines."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source, places = (data(context, builder, signature, args, i) for i in (0, 2))
        _, base, _, start, stop, n = args
        with loop(builder, builder.sub(stop, start)) as (i, _):
            row = builder.load(builder.gep(places, [builder.add(start, i)]))
            place = builder.bitcast(builder.gep(source, [builder.add(base, row)]), INT8.as_pointer())
            with loop(builder, n) as (line, _):
                prefetch(builder, builder.gep(place, [builder.mul(line, INT64(CACHE_LINE_BYTES))]))
        return context.get_dummy_value()

    whole = types.uint64
    return types.void(table, whole, rows, whole, whole, whole), generate


_prefetch_leaves: Any = intrinsic(_typed_prefetch_leaves)
_decide_128, _decide_256, _decide_512 = (_decide(min(n, MAX_TABLE_PIXELS)) for n in (128, 256, 512))
_follow: Any = intrinsic(_typed_follow)


@numba.njit(inline="always")
def _child(values, nodes, stage, place, node, bits, mask, top):
    # Unsigned: an index that may be negative costs a comparison.
    word = np.uint64(nodes[stage, place])
    difference = np.int32(values[word & mask]) - np.int32(values[word >> top])
    threshold = (word >> bits) & np.uint64(2**THRESHOLD_BITS - 1)
    goes_right = difference <= np.int32(threshold) + np.int32(LOWEST)
    return node + node + np.uint64(1) + np.uint64(goes_right)


@kernel
def _find_leaves_by_node(nodes, sizes, stage, n_pixels, workspace):
    values, leaf_offsets = workspace.values, workspace.leaf_offsets
    n_trees, depth, leaf_size = sizes
    bits = 1
    while (1 << bits) < n_pixels:
        bits += 1
    shift = np.uint64(bits)
    mask = (np.uint64(1) << shift) - np.uint64(1)
    top = np.uint64(8 * nodes.itemsize) - shift
    n_leaves = np.uint64(1) << np.uint64(depth)
    size = np.uint64(leaf_size)
    one = np.uint64(1)
    tree = np.uint64(0)
    whole = n_trees - n_trees % 4
    # Four trees at a time: while one waits for its pixels the others go on.
    for number in range(0, whole, 4):
        first, second = tree, tree + n_leaves
        third, fourth = second + n_leaves, second + n_leaves + n_leaves
        a = b = c = d = np.uint64(0)
        for _ in range(depth):
            a = _child(values, nodes, stage, first + a, a, shift, mask, top)
            b = _child(values, nodes, stage, second + b, b, shift, mask, top)
            c = _child(values, nodes, stage, third + c, c, shift, mask, top)
            d = _child(values, nodes, stage, fourth + d, d, shift, mask, top)
        leaf_offsets[number] = (first + a + one - n_leaves) * size
        leaf_offsets[number + 1] = (second + b + one - n_leaves) * size
        leaf_offsets[number + 2] = (third + c + one - n_leaves) * size
        leaf_offsets[number + 3] = (fourth + d + one - n_leaves) * size
        tree = fourth + n_leaves
    for number in range(whole, n_trees):
        a = np.uint64(0)
        for _ in range(depth):
            a = _child(values, nodes, stage, tree + a, a, shift, mask, top)
        leaf_offsets[number] = (tree + a + one - n_leaves) * size
        tree += n_leaves


@kernel
def find_leaves(trees, stage, n_pixels, workspace):
    """Find the leaf of each tree of a stage, and prefetch what will be added first.

    Parameters
    ----------
    trees : TreeArgs
    stage, n_pixels : int
    workspace : TraversalWorkspace
        `values` is read; `leaf_offsets` is the result.
    """
    _find_leaves(trees, stage, n_pixels, workspace)


def _find_leaves(trees, stage, n_pixels, workspace):
    """Depends on the processor, so that it can only be called in kernels."""
    raise NotImplementedError


@overload(_find_leaves)
def _choose_find_leaves(trees, stage, n_pixels, workspace):
    def either(trees, stage, n_pixels, workspace):
        if trees.splits.shape[1] > 0:
            _find_leaves_by_mask(trees, stage, n_pixels, workspace)
        else:
            sizes = trees.n_trees, trees.depth, trees.leaf_size
            _find_leaves_by_node(trees.nodes, sizes, stage, n_pixels, workspace)

    def by_node(trees, stage, n_pixels, workspace):
        sizes = trees.n_trees, trees.depth, trees.leaf_size
        _find_leaves_by_node(trees.nodes, sizes, stage, n_pixels, workspace)

    return either if _WIDE or _NEON or _AVX2 else by_node


@kernel
def _find_leaves_by_mask(trees, stage, n_pixels, workspace):
    values, splits, leaves = workspace.values, trees.splits, trees.leaves
    masks, leaf_offsets = workspace.masks, workspace.leaf_offsets
    n_trees, leaf_size = trees.n_trees, trees.leaf_size
    first, n = stage * splits.shape[1], (n_trees + 3) // 4
    base, leaf_bytes = stage * leaves.shape[1], leaf_size * leaves.itemsize
    n_blocks = (n_trees + TREES_PER_BLOCK - 1) // TREES_PER_BLOCK
    small = leaf_bytes <= MAX_PREFETCHED_LEAF_BYTES
    # Large leaves are on their way while the next trees' splits are decided.
    decided = n_blocks if small else 1
    for block in range(n_blocks):
        if block % decided == 0:
            start, stop = block * TREES_PER_BLOCK // 4, min((block + decided) * TREES_PER_BLOCK // 4, n)
            if n_pixels <= 128:
                _decide_128(values, splits, first, n, start, stop, masks)
            elif n_pixels <= 256:
                _decide_256(values, splits, first, n, start, stop, masks)
            else:
                _decide_512(values, splits, first, n, start, stop, masks)
        _follow(masks, block, leaf_size, leaf_offsets)
        if small:
            tree = block * TREES_PER_BLOCK
            _prefetch_leaves(leaves, base, leaf_offsets, tree, min(tree + TREES_PER_BLOCK, n_trees), 1)
        else:
            tree = block * LARGE_LEAVES_PREFETCHED
            n_lines = (leaf_bytes + CACHE_LINE_BYTES - 1) // CACHE_LINE_BYTES
            end = min(tree + LARGE_LEAVES_PREFETCHED, n_trees)
            _prefetch_leaves(leaves, base, leaf_offsets, tree, end, n_lines)
