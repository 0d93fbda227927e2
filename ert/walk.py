"""Running the trees of a stage for one face: nodes packed into words, leaves found, leaves added.

node    the lowest b bits    first pixel           b is as many bits as the pool's numbers take
        the next nine        threshold + 256
        the highest b bits   second pixel
tree    2**depth nodes in the order of their numbers, the last one empty: with depth 4 and up to 2048
        pixels 64 bytes, a line of the cache
leaves  rows of numbers, tree by tree; a row is found by the number of its first element
"""

from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = ["add_float_leaves", "aligned", "index_bits", "pack_nodes", "walk_trees"]

# Differences of two pixels lie in -255 ... 255, so that these limits change no decision.
LOWEST, HIGHEST = -256, 255
THRESHOLD_BITS = 9
# Bytes of a line of the cache.
LINE = 64


def aligned(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return an array that begins with a line of the cache and may be written to: itself, or a copy.

    Kernels are compiled for one kind of array only; what comes from a file is read-only.
    """
    if array.ctypes.data % LINE == 0 and array.flags.c_contiguous and array.flags.writeable:
        return array
    room = np.empty(array.nbytes + LINE, np.uint8)
    start = -room.ctypes.data % LINE
    copy: npt.NDArray[Any] = room[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def index_bits(n_pixels: int) -> int:
    """How many bits the number of a pixel takes in a node."""
    return max(1, (n_pixels - 1).bit_length())


def pack_nodes(
    pairs: npt.NDArray[np.uint16], thresholds: npt.NDArray[Any], n_pixels: int
) -> npt.NDArray[np.unsignedinteger]:
    """Pack the splits of trees for :func:`walk_trees`.

    Parameters
    ----------
    pairs : uint16 array (..., n_trees, n_splits, 2)
        The two pixels of each split.
    thresholds : array (..., n_trees, n_splits)
        A face goes left where their difference is greater; whole numbers or not.
    n_pixels : int

    Returns
    -------
    uint32 or uint64 array (..., n_trees * (n_splits + 1))
    """
    bits = index_bits(n_pixels)
    kind = np.uint32 if 2 * bits + THRESHOLD_BITS <= 32 else np.uint64
    *shape, n_trees, n_splits = thresholds.shape
    nodes = np.zeros((*shape, n_trees, n_splits + 1), kind)
    # A difference is a whole number: it is greater than a number when it is greater than its floor.
    whole = np.clip(np.floor(thresholds), LOWEST, HIGHEST).astype(np.int64) - LOWEST
    top = 8 * kind().itemsize - bits
    fields = ((pairs[..., 0], 0), (whole, bits), (pairs[..., 1], top))
    for field, place in fields:
        nodes[..., :-1] |= np.left_shift(field.astype(kind), kind(place))
    return nodes.reshape(*shape, -1)


def _typed_fetch(typing_context: Any, array: Any, element: Any) -> Any:
    """Have an element of an array brought near: LLVM's prefetch, which numba has no name for."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        from llvmlite import ir

        memory = context.make_array(signature.args[0])(context, builder, args[0]).data
        place = builder.bitcast(builder.gep(memory, [args[1]]), ir.IntType(8).as_pointer())
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [place.type, number, number, number])
        # To read, to all levels of the cache, data.
        name = "llvm.prefetch.p0i8"
        prefetch = cgutils.get_or_insert_function(builder.module, kind, name)  # type: ignore[no-untyped-call]
        builder.call(prefetch, [place, number(0), number(3), number(1)])
        return context.get_dummy_value()

    return types.void(array, types.uint64), generate


_fetch: Any = intrinsic(_typed_fetch)


@numba.njit(inline="always")
def _child(values, nodes, tree, node, bits, mask, top):  # type: ignore[no-untyped-def]
    # Unsigned all along: the number of an element that may be negative costs a comparison.
    word = np.uint64(nodes[tree + node])
    difference = values[word & mask] - values[word >> top]
    threshold = (word >> bits) & np.uint64(2**THRESHOLD_BITS - 1)
    goes_right = difference <= np.int32(threshold) + np.int32(LOWEST)
    return node + node + np.uint64(1) + np.uint64(goes_right)


@numba.njit(cache=True, nogil=True)
def walk_trees(values, nodes, bits, depth, leaf_size, leaves, rows):  # type: ignore[no-untyped-def]
    """Walk all trees of a stage.

    Parameters
    ----------
    values : int32 array (n_pixels,)
        The pool's pixels, 0 to 255.
    nodes : uint32 or uint64 array (n_trees * 2**depth,)
        From :func:`pack_nodes`.
    bits : int
        :func:`index_bits`.
    depth : int
    leaf_size : int
        How many numbers a leaf has.
    leaves : array (n_trees * n_leaves * leaf_size,)
        The stage's leaves: those that will be added are asked for at once, for they lie anywhere in memory.
    rows : int64 array (n_trees,)
        Written: the number of the first element of each tree's leaf.
    """
    shift = np.uint64(bits)
    mask = (np.uint64(1) << shift) - np.uint64(1)
    top = np.uint64(8 * nodes.itemsize) - shift
    n_leaves = np.uint64(1) << np.uint64(depth)
    size = np.uint64(leaf_size)
    one = np.uint64(1)
    tree = np.uint64(0)
    whole = rows.shape[0] - rows.shape[0] % 4
    # Four trees at a time: while one waits for its pixels the others go on.
    for number in range(0, whole, 4):
        first, second = tree, tree + n_leaves
        third, fourth = second + n_leaves, second + n_leaves + n_leaves
        a = b = c = d = np.uint64(0)
        for _ in range(depth):
            a = _child(values, nodes, first, a, shift, mask, top)
            b = _child(values, nodes, second, b, shift, mask, top)
            c = _child(values, nodes, third, c, shift, mask, top)
            d = _child(values, nodes, fourth, d, shift, mask, top)
        rows[number] = (first + a + one - n_leaves) * size
        rows[number + 1] = (second + b + one - n_leaves) * size
        rows[number + 2] = (third + c + one - n_leaves) * size
        rows[number + 3] = (fourth + d + one - n_leaves) * size
        for i in range(number, number + 4):
            _fetch(leaves, np.uint64(rows[i]))
        tree = fourth + n_leaves
    for number in range(whole, rows.shape[0]):
        a = np.uint64(0)
        for _ in range(depth):
            a = _child(values, nodes, tree, a, shift, mask, top)
        rows[number] = (tree + a + one - n_leaves) * size
        tree += n_leaves


@numba.njit(cache=True, nogil=True)
def add_float_leaves(leaves, rows, out):  # type: ignore[no-untyped-def]
    """Add leaves of floats to what is there, tree after tree, so that every rounding is that of dlib.

    Parameters
    ----------
    leaves : float32 array (n_trees * n_leaves * leaf_size,)
    rows : int64 array (n_trees,)
        From :func:`walk_trees`.
    out : float32 array (leaf_size,)
        Added to.
    """
    n = rows.shape[0]
    for t in range(0, n - 3, 4):
        a, b, c, d = (
            np.uint64(rows[t]),
            np.uint64(rows[t + 1]),
            np.uint64(rows[t + 2]),
            np.uint64(rows[t + 3]),
        )
        for i in range(out.shape[0]):
            j = np.uint64(i)
            out[i] = (((out[i] + leaves[a + j]) + leaves[b + j]) + leaves[c + j]) + leaves[d + j]
    for t in range(n - n % 4, n):
        row = np.uint64(rows[t])
        for i in range(out.shape[0]):
            out[i] += leaves[row + np.uint64(i)]
