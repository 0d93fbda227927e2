"""A stage of the cascade on the training samples: reading their feature pools, moving their shapes.

Samples lie in blocks, all of them full but the last one:

    shapes        float32  (n_samples, n_landmarks, 2)      in the box coordinates of each sample
    similarities  float32  (n_samples, 2)                   a, b of the matrix ((a, -b), (b, a))
    pool          uint8    (n_blocks, n_pixels, block length)   sample i is column i % block length of block
                                                                i // block length
"""

from collections.abc import Callable

import numba
import numpy as np
import numpy.typing as npt

from ert._kernels.orientation import maps_size, orientation_maps
from ert._kernels.pixels import CropView, pool_args, pool_workspace, read_pixels, similarity, similarity_args
from ert._kernels.predict import add_displacement
from ert._kernels.simd import add_leaves, basis_args, product_workspace
from ert._kernels.traversal import find_leaves, traversal_workspace, tree_args
from ert._kernels.workers import Workers

# Samples that are read at once: their crops are in memory at the same time.
SAMPLES_PER_READ = 128
# Pixels of the pool that are copied at once.
PIXELS_PER_PART = 16


def read_feature_pool(
    crops: tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]],
    samples: tuple[npt.NDArray[np.int32], npt.NDArray[np.float32], npt.NDArray[np.float32]],
    mean_shape: npt.NDArray[np.float32],
    features: tuple[npt.NDArray[np.uint16], npt.NDArray[np.float32], npt.NDArray[np.uint8] | None],
    pool: npt.NDArray[np.uint8],
    workers: Workers,
    after_read: Callable[[], object] | None = None,
) -> npt.NDArray[np.float32]:
    """Read the feature pool of every sample; return the similarities from the mean shape to its shape.

    Parameters
    ----------
    crops : pixels, places
        uint8 array, the crops one after another, each column by column; int64 array (n_crops, 3), the first
        pixel, the columns and the rows of each crop.
    samples : crop_of, transforms, shapes
        int32 array (n_samples,), float32 array (n_samples, 6), from box coordinates to pixels of the crop,
        and the current shapes.
    mean_shape : float32 array (n_landmarks, 2)
    features : anchors, deltas, channels
        uint16 array (n_pixels,) and float32 array (n_pixels, 2): each pixel lies at a landmark of the mean
        shape plus an offset. uint8 array (n_pixels,): see :class:`ert._kernels.pixels.PoolArgs`; None if all are
        gray levels.
    pool : uint8 array (n_blocks, n_pixels, block length)
        Written.
    after_read : callable, optional
        Called after each few samples.
    """
    crop_of, transforms, shapes = samples
    block_length = pool.shape[2]
    similarities = np.empty((len(shapes), 2), np.float32)
    anchors, deltas, channels = features
    pools = pool_args(anchors[None], deltas[None], None if channels is None else channels[None])
    arguments = similarity_args(mean_shape), pools

    def read(block: int) -> None:
        start = block * block_length
        stop = min(start + block_length, len(shapes))
        for first in range(start, stop, SAMPLES_PER_READ):
            part = slice(first, min(first + SAMPLES_PER_READ, stop))
            columns = pool[block, :, part.start - start : part.stop - start]
            inputs = crop_of[part], transforms[part], shapes[part]
            _read_samples(crops, inputs, *arguments, similarities[part], columns)
            if after_read is not None:
                after_read()

    list(workers.map(read, range(len(pool))))
    return similarities


def apply_stage(
    trees: tuple[npt.NDArray[np.uint16], npt.NDArray[np.int16], npt.NDArray[np.signedinteger]],
    basis: tuple[npt.NDArray[np.float32], npt.NDArray[np.signedinteger]],
    pool: npt.NDArray[np.uint8],
    similarities: npt.NDArray[np.float32],
    shapes: npt.NDArray[np.float32],
    workers: Workers,
) -> None:
    """Move the shape of every sample as prediction does.

    Parameters
    ----------
    trees : pairs, thresholds, leaves
        Arrays (n_trees, n_splits, 2), (n_trees, n_splits), (n_trees, n_leaves, n_components).
    basis : scales, basis
        Arrays (n_components,) and (n_components, 2 * n_landmarks): what leaves are multiplied by.
    pool : uint8 array (n_blocks, n_pixels, block length)
    similarities : float32 array (n_samples, 2)
        What displacements are multiplied by.
    shapes : float32 array (n_samples, n_landmarks, 2)
        Rewritten.
    """
    pairs, thresholds, leaves = trees
    scales, rows = basis
    _, n_pixels, block_length = pool.shape
    packed = (tree_args(pairs[None], thresholds[None], leaves[None], n_pixels), basis_args(scales[None], rows[None]))

    def move(block: int) -> None:
        part = slice(block * block_length, min((block + 1) * block_length, len(shapes)))
        _move_samples(*packed, pool[block], similarities[part], shapes[part])

    list(workers.map(move, range(len(pool))))


@numba.njit(cache=True, nogil=True)
def _read_samples(crops, samples, mean, pool, similarities, columns):
    """Read the pool (PoolArgs) of some samples into `columns`, and write their similarities."""
    pixels, places = crops
    crop_of, transforms, shapes = samples
    (n_samples, n_landmarks), n_pixels = shapes.shape[:2], pool.anchors.shape[1]
    shape = np.zeros((mean.basis.shape[1], 2), np.float32)
    rows = np.empty((n_samples, n_pixels), np.uint8)
    workspace = pool_workspace(mean.basis.shape[1], n_pixels)
    with_maps, mapped = np.empty(0, np.uint8), np.int64(-1)
    for i in range(n_samples):
        for k in range(n_landmarks):
            shape[k, 0], shape[k, 1] = shapes[i, k, 0], shapes[i, k, 1]
        a, b = similarity(mean, shape)
        similarities[i, 0], similarities[i, 1] = a, b
        first, n_columns, n_rows = places[crop_of[i]]
        n = n_columns * n_rows
        crop_pixels = pixels[first : first + n]
        if pool.channels.shape[0]:
            # The initializations of an object follow each other: its maps are computed once.
            if mapped != first:
                with_maps, mapped = np.empty(n + maps_size(n_columns, n_rows), np.uint8), first
                with_maps[:n] = crop_pixels
                orientation_maps(crop_pixels, n_columns, n_rows, n_rows, with_maps[n:])
            crop_pixels = with_maps
        crop = CropView(crop_pixels, n_columns, n_rows, n_rows, 1)
        read_pixels(crop, transforms[i], shape, (a, b), pool, 0, workspace, rows[i])
    # Rows become columns in parts that stay in the cache; padding is left out.
    for first in range(0, columns.shape[0], PIXELS_PER_PART):
        last = min(first + PIXELS_PER_PART, columns.shape[0])
        for i in range(n_samples):
            for p in range(first, last):
                columns[p, i] = rows[i, p]


@numba.njit(cache=True, nogil=True)
def _move_samples(trees, basis, columns, similarities, shapes):
    """Move the shapes of some samples, whose pools are `columns`, by one stage (TreeArgs, BasisArgs)."""
    n_pixels = columns.shape[0]
    traversal = traversal_workspace(trees.n_trees, n_pixels)
    products = product_workspace(basis)
    n_landmarks = shapes.shape[1]
    shape = np.zeros((basis.rows.shape[2] // 2, 2), np.float32)
    for i in range(shapes.shape[0]):
        for p in range(n_pixels):
            traversal.values[p] = columns[p, i]
        find_leaves(trees, np.int64(0), n_pixels, traversal)
        add_leaves(trees, np.int64(0), traversal.leaf_offsets, products.components)
        for k in range(n_landmarks):
            shape[k, 0], shape[k, 1] = shapes[i, k, 0], shapes[i, k, 1]
        add_displacement(basis, 0, 0, (similarities[i, 0], similarities[i, 1]), products, shape)
        for k in range(n_landmarks):
            shapes[i, k, 0], shapes[i, k, 1] = shape[k, 0], shape[k, 1]
