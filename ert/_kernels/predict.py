"""The kernels that run a cascade on faces.

    image -> crop -> for each stage: similarity -> read pool -> walk trees
                                     -> add leaves -> shape += leaves @ basis

Several faces of a batch, or starts of a face, go through a stage one after another before the next stage.
"""

from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from numba.extending import register_jitable

from ert._kernels.bound_args import unpack
from ert._kernels.crop import crop_resampled
from ert._kernels.gray import weigh_channels
from ert._kernels.llvm import kernel
from ert._kernels.pixels import read_pixels, similarity, square_frame
from ert._kernels.simd import (
    add_leaves,
    add_products,
    add_transformed,
    padded,
    pair_rows,
    product_workspace,
    sum_limit,
)
from ert._kernels.traversal import aligned, find_leaves, traversal_workspace

__all__ = [
    "add_displacement",
    "batch_workspace",
    "begin_face",
    "finish_faces",
    "kernel_basis",
    "move_block",
    "predict_colors",
    "predict_face",
    "predict_grays",
    "run_stages",
    "usual",
]


@numba.njit(cache=True, nogil=True)
def predict_grays(images, boxes, most, inits, mirror_map, arguments, placed):  # type: ignore[no-untyped-def]
    """Do as :func:`ert.running.predict_face` with several faces, stage by stage.

    Parameters
    ----------
    images : tuple of uint8 arrays (rows, columns)
    boxes : float64 array (n, 4)
    most, inits, mirror_map, arguments
        See :func:`ert.running.predict_face` and :attr:`ert.cascade.Cascade.kernel_arguments`.
    placed : float64 array (n, n_starts, n_landmarks, 2)
        Written.

    Returns
    -------
    bool
        False when an image or a box is not as :func:`ert.running.usual` expects: nothing is done then.
    """
    for i in range(len(images)):
        left, top, width, height = boxes[i]
        if not usual(images[i], left, top, width, height, most):
            return False
    room = batch_workspace(len(images), inits.shape[0], arguments)  # type: ignore[no-untyped-call]
    for i in range(len(images)):
        left, top, width, height = boxes[i]
        begin_face(images[i], 0, 0, left, top, width, height, i, inits, arguments, room)
    finish_faces(inits, mirror_map, arguments, room, placed)
    return True


@numba.njit(cache=True, nogil=True)
def predict_colors(images, parts, weights, boxes, inits, mirror_map, arguments, placed):  # type: ignore[no-untyped-def]
    """Do as :func:`predict_grays` with images (rows, columns, 3), of which parts are turned to gray.

    Parameters
    ----------
    parts : int array (n, 4)
        First column, the one behind the last, first row, the one behind the last.
    weights : uint32 array (4,)
        See :func:`ert.colors.channel_weights`.
    """
    room = batch_workspace(len(images), inits.shape[0], arguments)  # type: ignore[no-untyped-call]
    for i in range(len(images)):
        left, top, width, height = boxes[i]
        column, right, row, bottom = parts[i]
        gray = np.empty((bottom - row, right - column), np.uint8)
        weigh_channels(images[i], row, column, weights, gray)
        begin_face(gray, column, row, left, top, width, height, i, inits, arguments, room)
    finish_faces(inits, mirror_map, arguments, room, placed)


def kernel_basis(
    leaves: npt.NDArray[Any], scales: npt.NDArray[np.float32], basis: npt.NDArray[np.signedinteger]
) -> tuple[int, npt.NDArray[np.float32], npt.NDArray[np.signedinteger], np.float32]:
    """Return what :func:`add_displacement` takes: leaf size, units, basis and its limit, of stages or one."""
    paired = pair_rows(basis)
    return leaves.shape[-1], aligned(padded(scales, -1)), aligned(paired), sum_limit(paired)


@kernel
def add_displacement(  # type: ignore[no-untyped-def]
    components, scales, stage, basis, number, limit, a, b, amounts, whole, moved, shape
):
    """Add a stage's displacement, turned and scaled as the current shape is against the mean shape.

    Parameters
    ----------
    components : int32 array (n_components,)
    scales : float32 array (n_stages, n_components)
    stage : int
    basis, limit
        See :func:`kernel_basis`.
    number : int
        Of the stage's basis.
    a, b : float32
        The similarity.
    amounts : float32 array (n_components,)
    whole : int16 array (n_components,)
    moved : float32 array (2 * n_padded,)
        Overwritten, these three: room to work in.
    shape : float32 array (n_padded, 2)
        Added to.
    """
    add_products(components, scales, stage, basis, number, limit, amounts, whole, moved)
    add_transformed(moved, a, -b, b, a, np.float32(0), np.float32(0), shape)


@kernel
def run_stages(  # type: ignore[no-untyped-def]
    crops,
    sizes,
    frames,
    shapes,
    similarity_basis,
    squared_norm,
    anchors,
    deltas,
    nodes,
    n_trees,
    depth,
    leaves,
    leaf_size,
    scales,
    basis,
    limit,
    stages_per_basis,
    values,
    masks,
    rows,
    components,
    amounts,
    whole,
    moved,
    landmarks,
    anchored,
    places,
):
    """Move start shapes onto the faces in crops, all of them by a stage before the next: it is read once.

    Parameters
    ----------
    crops : uint8 array (n, n_bytes)
        Each for as many shapes, one after another.
    sizes : int32 array (n, 4)
        See :func:`ert.features.read_pixels`.
    frames : float32 array (n_shapes, 6)
        From box coordinates to pixels of the crop.
    shapes : float32 array (n_shapes, n_padded, 2)
        Rewritten, in box coordinates; zeros follow the last landmark.
    similarity_basis, squared_norm
        See :func:`ert.geometry.similarity`.
    anchors, deltas
        See :func:`ert.features.read_pixels`.
    nodes, n_trees, depth
        See :func:`ert.walk.find_leaves`.
    leaves : int8 or int16 array (n_stages, n_trees * n_leaves * leaf_size)
    leaf_size, scales, basis, limit
        See :func:`kernel_basis`.
    stages_per_basis : int
    values, masks, rows, components, amounts, whole, moved, landmarks, anchored, places
        Overwritten: room to work in, zeros in `components`.
    """
    per_crop = shapes.shape[0] // crops.shape[0]
    for stage in range(anchors.shape[0]):
        number = stage // stages_per_basis
        for k in range(shapes.shape[0]):
            i = k // per_crop
            size = sizes[i, 0], sizes[i, 1], sizes[i, 2], sizes[i, 3]
            shape = shapes[k]
            a, b = similarity(similarity_basis, squared_norm, shape)
            pool = anchors, deltas, stage, landmarks, anchored, places, values
            read_pixels(crops[i], size, frames[k], shape, a, b, *pool)
            find_leaves(
                values, nodes, stage, n_trees, anchors.shape[1], depth, leaf_size, leaves, masks, rows
            )
            add_leaves(leaves, stage, rows, n_trees, leaf_size, components)
            how = scales, stage, basis, number, limit, a, b, amounts, whole, moved
            add_displacement(components, *how, shape)


@numba.njit(cache=True, nogil=True)
def usual(image, left, top, width, height, most):  # type: ignore[no-untyped-def]
    """Tell whether an image lies in memory row after row, and a box touches it and is not far larger."""
    rows, columns = image.shape
    largest = most * max(rows, columns)
    return (
        image.strides[0] == columns
        and image.strides[1] == 1
        and min(rows, columns) > 0
        and 1 < width <= largest
        and 1 < height <= largest
        and 1 - width <= left <= columns - 1
        and 1 - height <= top <= rows - 1
    )


@numba.njit(cache=True, nogil=True)
def predict_face(  # type: ignore[no-untyped-def]
    image, column, row, left, top, width, height, most, inits, mirror_map, bound, numbers, placed
):
    """Locate the landmarks of one face in a gray image: all that a prediction does, in one call.

    The crop is the same for all starts.

    Parameters
    ----------
    image : uint8 array (rows, columns)
        All of it, or the part of it that the crop needs.
    column, row : int
        Where in all of the image it begins.
    left, top, width, height : float
        The box.
    most : int
        How many times as large as the image the box may be: 0 if image and box have been checked.
    inits : float64 array (n_starts, 4)
        See :data:`ert.geometry.INITS`.
    mirror_map : int array (n_landmarks,)
        The mirror map.
    bound, numbers
        See :class:`ert.held.BoundArgs`: :attr:`ert.cascade.Cascade.kernel_arguments`.
    placed : float64 array (n_starts, n_landmarks, 2)
        Written: x, y in pixels of the image.

    Returns
    -------
    bool
        False when something was to be checked and is not as :func:`usual` expects: nothing is done then.
    """
    if most and not usual(image, left, top, width, height, most):
        return False
    arguments = unpack(bound, numbers)
    room = batch_workspace(1, inits.shape[0], arguments)  # type: ignore[no-untyped-call]
    begin_face(image, column, row, left, top, width, height, 0, inits, arguments, room)
    finish_faces(inits, mirror_map, arguments, room, placed[np.newaxis])
    return True


@numba.njit(cache=True, nogil=True)
def finish_faces(inits, mirror_map, arguments, room, placed):  # type: ignore[no-untyped-def]
    """Run the stages on faces that have begun, and write where their landmarks are.

    arguments
        See :attr:`ert.cascade.Cascade.kernel_arguments`.
    room
        From :func:`batch_workspace`.
    placed : float64 array (n, n_starts, n_landmarks, 2)
        Written, in pixels of the images.
    """
    run_faces(*room[1:], *arguments[8:])
    for i in range(placed.shape[0]):
        end_face(i, inits, mirror_map, arguments[6], room[0], room[4], placed[i])


@register_jitable
def batch_workspace(n, n_inits, arguments):  # type: ignore[no-untyped-def]
    """Return what faces are found in.

    arguments
        See :attr:`ert.cascade.Cascade.kernel_arguments`.

    Returns
    -------
    squares : float64 array (n, 3)
        Of each face as x, y, side.
    crops, sizes, frames, shapes
        See :func:`run_stages`.
    """
    columns, rows, _, mean_shape = arguments[4:8]
    return (
        np.empty((n, 3), np.float64),
        np.empty((n, columns * rows), np.uint8),
        np.empty((n, 4), np.int32),
        np.empty((n * n_inits, 6), np.float32),
        np.empty((n * n_inits, *mean_shape.shape), np.float32),
    )


@numba.njit(cache=True, nogil=True)
def begin_face(image, column, row, left, top, width, height, i, inits, arguments, room):  # type: ignore[no-untyped-def]
    """Cut the crop of face `i` and lay out its starts in what :func:`batch_workspace` returned.

    The other parameters are those of :func:`predict_face`, and :attr:`ert.cascade.Cascade.kernel_arguments`.
    """
    region, working_size, blur, min_contrast, columns, rows, _, mean_shape = arguments[:8]
    squares, crops, sizes, frames, shapes = room
    x, y, side = square_frame(left, top, width, height)
    squares[i, 0], squares[i, 1], squares[i, 2] = x, y, side
    whole = np.empty(6, np.float32)
    how = region, working_size, blur, min_contrast
    size = crop_resampled(image, column, row, x, y, side, *how, columns, rows, crops[i], whole)
    for k in range(4):
        sizes[i, k] = size[k]
    n_inits = inits.shape[0]
    for k in range(n_inits):
        frame, shape = frames[i * n_inits + k], shapes[i * n_inits + k]
        # From the start's box to the box: u -> scale u + shift.
        scale = inits[k, 2]
        shift_x, shift_y = (1 - scale) / 2 + inits[k, 0], (1 - scale) / 2 + inits[k, 1]
        frame[1] = frame[2] = 0
        frame[0] = frame[3] = whole[0] * scale
        frame[4] = whole[4] + whole[0] * shift_x
        frame[5] = whole[5] + whole[0] * shift_y
        if inits[k, 3] != 0:
            # u becomes 1 - u.
            frame[0] = -frame[0]
            frame[4] = whole[4] + whole[0] * (1 - shift_x)
        # One by one: numba compiles four seconds on what copies arrays of any shape.
        for j in range(shape.shape[0]):
            shape[j, 0], shape[j, 1] = mean_shape[j, 0], mean_shape[j, 1]


@numba.njit(cache=True, nogil=True)
def run_faces(  # type: ignore[no-untyped-def]
    crops,
    sizes,
    frames,
    shapes,
    similarity_basis,
    squared_norm,
    anchors,
    deltas,
    nodes,
    n_trees,
    depth,
    leaves,
    leaf_size,
    scales,
    basis,
    limit,
    stages_per_basis,
):
    """Call :func:`run_stages` with room to work in."""
    n_pixels = anchors.shape[1]
    run_stages(
        *(crops, sizes, frames, shapes, similarity_basis, squared_norm, anchors, deltas),
        *(nodes, n_trees, depth, leaves, leaf_size, scales, basis, limit, stages_per_basis),
        *traversal_workspace(n_trees, n_pixels),
        *product_workspace(scales, basis),
        np.empty(shapes.shape[1], np.uint64),
        np.empty(n_pixels, np.uint64),
        np.empty(n_pixels, np.int32),
    )


@numba.njit(cache=True, nogil=True)
def end_face(i, inits, mirror_map, n_landmarks, squares, shapes, placed):  # type: ignore[no-untyped-def]
    """Write where the landmarks of face `i` are; see :func:`batch_workspace`.

    placed : float64 array (n_starts, n_landmarks, 2)
        Written, in pixels of the image.
    """
    x, y, side = squares[i]
    n_inits = inits.shape[0]
    for k in range(n_inits):
        shape = shapes[i * n_inits + k]
        scale = inits[k, 2]
        shift_x, shift_y = (1 - scale) / 2 + inits[k, 0], (1 - scale) / 2 + inits[k, 1]
        mirrored = inits[k, 3] != 0
        for j in range(n_landmarks):
            u, v = shape[j, 0] * scale + shift_x, shape[j, 1] * scale + shift_y
            to = mirror_map[j] if mirrored else j
            placed[k, to, 0] = (1 - u if mirrored else u) * side + x
            placed[k, to, 1] = v * side + y


@numba.njit(cache=True, nogil=True)
def move_block(  # type: ignore[no-untyped-def]
    pool, n_pixels, nodes, n_trees, depth, leaves, leaf_size, scales, basis, limit, matrices, shapes
):
    values, masks, rows = traversal_workspace(n_trees, n_pixels)
    components, amounts, whole, moved = product_workspace(scales, basis)
    n_landmarks = shapes.shape[1]
    shape = np.zeros((basis.shape[2] // 2, 2), np.float32)
    for i in range(shapes.shape[0]):
        for p in range(n_pixels):
            values[p] = pool[i, p]
        find_leaves(values, nodes, 0, n_trees, n_pixels, depth, leaf_size, leaves, masks, rows)
        add_leaves(leaves, 0, rows, n_trees, leaf_size, components)
        for k in range(n_landmarks):
            shape[k, 0], shape[k, 1] = shapes[i, k, 0], shapes[i, k, 1]
        a, b = matrices[i, 0], matrices[i, 1]
        add_displacement(components, scales, 0, basis, 0, limit, a, b, amounts, whole, moved, shape)
        for k in range(n_landmarks):
            shapes[i, k, 0], shapes[i, k, 1] = shape[k, 0], shape[k, 1]
