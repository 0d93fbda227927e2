"""The kernels that run a cascade on faces.

    image ──> crop ──> per stage: similarity ──> pixels of the pool ──> leaves of the trees
                                  ──> sum of leaves ──> shape += sum @ basis

Several faces of a batch, or initializations of a face, go through a stage one after another before the next
stage, so that the stage's trees are read from memory once:

    squares     float64 (n, 3)                  the box of each face as x, y, side
    crops       uint8   (n, columns * rows)     with the maps of each behind it where pools have them
    sizes       int32   (n, 4)                  columns, rows, column step, row step of each crop
    transforms  float32 (n * n_inits, 6)        from box coordinates to pixels of the crop
    shapes      float32 (n * n_inits, n_padded, 2)   in box coordinates; zeros behind the last landmark
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt
from numba.extending import register_jitable

from ert._kernels.bound_args import (
    DUMMY_BOX,
    DUMMY_COLOR_IMAGE,
    DUMMY_IMAGE,
    BoundArgs,
    color_at,
    entry_point,
    gray_at,
    unpack,
)
from ert._kernels.crop import CropArgs, crop_args, cut_crop, gray_part
from ert._kernels.llvm import kernel
from ert._kernels.orientation import maps_size, orientation_maps
from ert._kernels.pixels import (
    CropView,
    PoolArgs,
    SimilarityArgs,
    pool_args,
    pool_workspace,
    read_pixels,
    similarity,
    similarity_args,
    square_box,
)
from ert._kernels.simd import (
    LANES,
    BasisArgs,
    add_leaves,
    add_products,
    add_transformed,
    aligned,
    basis_args,
    padded,
    product_workspace,
)
from ert._kernels.traversal import TreeArgs, find_leaves, traversal_workspace, tree_args

# Landmarks stay within this distance of the box, in its sides: those of a model that works never reach it.
MAX_LANDMARK_SIDES = 100.0


class CascadeArgs(NamedTuple):
    """A cascade, laid out for the kernels.

    Parameters
    ----------
    crop : CropArgs
    n_landmarks : int
    mean_shape : float32 array (n_padded, 2)
        Zeros up to a multiple of 8 landmarks.
    mean : SimilarityArgs
    pool : PoolArgs
    trees : TreeArgs
    basis : BasisArgs
    stages_per_basis : int
    """

    crop: CropArgs
    n_landmarks: int
    mean_shape: Any
    mean: SimilarityArgs
    pool: PoolArgs
    trees: TreeArgs
    basis: BasisArgs
    stages_per_basis: int


class StartArgs(NamedTuple):
    """What a face begins with, which does not depend on the kind of trees: see :class:`CascadeArgs`."""

    crop: CropArgs
    mean_shape: Any
    channels: Any


class FaceBatch(NamedTuple):
    """Faces on their way through the cascade, see the module's picture."""

    squares: Any
    crops: Any
    sizes: Any
    transforms: Any
    shapes: Any


class CompiledCascade:
    """A cascade as the kernels take it.

    Parameters
    ----------
    args : NamedTuple

    Attributes
    ----------
    bound : BoundArgs
    entry_point : callable
        The kernel of one face, compiled for a gray image: it does not look at the types of its arguments.
    color_part : callable or None
        :func:`color_part`, compiled likewise, if the kernel of one face can do with a part of the image.
    """

    color_part: Callable[..., tuple[npt.NDArray[np.uint8], int, int]] | None = None

    def __init__(self, args: tuple[Any, ...], call: Callable[[BoundArgs], Callable[..., bool]]) -> None:
        self.bound = BoundArgs(args)
        self.entry_point = call(self.bound)


def compile_cascade(
    arrays: dict[str, npt.NDArray[Any]],
    crop: tuple[npt.NDArray[np.float64], int, float, float, tuple[int, int]],
    stages_per_basis: int,
) -> CompiledCascade:
    """Lay out a cascade for :func:`predict_face` and :func:`predict_batch`, and compile the first.

    Parameters
    ----------
    arrays : dict of ndarray
        The arrays of :class:`ert.model.cascade.Cascade`.
    crop : region, working_size, blur, min_contrast, (columns, rows)
        See :class:`ert._kernels.crop.CropArgs`.
    """
    mean_shape = arrays["mean_shape"]
    pool = pool_args(arrays["anchors"], arrays["deltas"], arrays.get("channels"))
    trees = arrays["pairs"], arrays["thresholds"], arrays["leaves"]
    args = CascadeArgs(
        crop_args(*crop),
        len(mean_shape),
        aligned(padded(mean_shape, 0, LANES // 2)),
        similarity_args(mean_shape),
        pool,
        tree_args(*trees, pool.anchors.shape[1]),
        basis_args(arrays["scales"], arrays["basis"]),
        stages_per_basis,
    )
    inits, mirror_map = np.array([[0.0, 0.0, 1.0, 0.0]]), np.empty(0, np.intp)
    landmarks = np.empty((1, len(mean_shape), 2))

    def call(bound: BoundArgs) -> Callable[..., bool]:
        face = DUMMY_IMAGE, (0, 0), DUMMY_BOX, 0
        return entry_point(predict_face, *face, inits, mirror_map, bound, landmarks)

    compiled = CompiledCascade(args, call)
    weights = np.zeros(4, np.uint32)
    compiled.color_part = entry_point(color_part, DUMMY_COLOR_IMAGE, weights, DUMMY_BOX, 0, compiled.bound)
    return compiled


@kernel
def add_displacement(basis, stage, number, matrix, workspace, shape):
    """Add a stage's displacement to a shape, rotated and scaled as the shape is against the mean shape.

    Parameters
    ----------
    basis : BasisArgs
    stage, number : int
        Of the scales, and of the basis.
    matrix : tuple of 2 float32
        From :func:`ert._kernels.pixels.similarity`.
    workspace : ProductWorkspace
        Its `components` are the sums of the stage's leaves.
    shape : float32 array (n_padded, 2)
        Added to.
    """
    a, b = matrix
    add_products(basis, stage, number, workspace)
    zero = np.float32(0)
    add_transformed(workspace.displacement, (a, -b, b, a, zero, zero), shape)


@kernel
def _run_stages(faces, cascade, traversal, products, pixels):
    """Move the shapes of faces by all stages.

    Parameters
    ----------
    faces : FaceBatch
        Its shapes are rewritten.
    cascade : CascadeArgs
    traversal : TraversalWorkspace
    products : ProductWorkspace
    pixels : PoolWorkspace
        Overwritten, these three.
    """
    n_stages, n_pixels = cascade.pool.anchors.shape
    inits_per_crop = faces.shapes.shape[0] // faces.crops.shape[0]
    for stage in range(n_stages):
        number = stage // cascade.stages_per_basis
        for k in range(faces.shapes.shape[0]):
            i = k // inits_per_crop
            size = faces.sizes[i]
            crop = CropView(faces.crops[i], size[0], size[1], size[2], size[3])
            shape = faces.shapes[k]
            matrix = similarity(cascade.mean, shape)
            values = traversal.values
            read_pixels(crop, faces.transforms[k], shape, matrix, cascade.pool, stage, pixels, values)
            find_leaves(cascade.trees, stage, n_pixels, traversal)
            add_leaves(cascade.trees, stage, traversal.leaf_offsets, products.components)
            add_displacement(cascade.basis, stage, number, matrix, products, shape)


@numba.njit(cache=True, nogil=True)
def is_plain(image, box, max_box_to_image):
    """Return whether an image is contiguous, and a box touches it and is not far larger.

    Parameters
    ----------
    image : uint8 array (rows, columns) or (rows, columns, channels)
    box : tuple of 4 float
        Left, top, width, height.
    max_box_to_image : int
        How many times as large as the image the box may be.
    """
    rows, columns = image.shape[0], image.shape[1]
    return (
        image.strides[0] * rows == image.size
        and image.strides[1] * columns == image.strides[0]
        and image.strides[image.ndim - 1] == 1
        and is_near(rows, columns, box, max_box_to_image)
    )


@numba.njit(cache=True, nogil=True)
def is_near(rows, columns, box, max_box_to_image):
    """Return whether an image has pixels, and a box touches it and is not far larger."""
    left, top, width, height = box
    largest = max_box_to_image * max(rows, columns)
    return (
        min(rows, columns) > 0
        and 1 < width <= largest
        and 1 < height <= largest
        and 1 - width <= left <= columns - 1
        and 1 - height <= top <= rows - 1
    )


@numba.njit(cache=True, nogil=True)
def color_part(image, weights, box, max_box_to_image, bound):
    """Convert the part of a color image that the crop of a box needs to gray.

    Parameters
    ----------
    image : uint8 array (rows, columns, 3)
    weights : uint32 array (4,)
        See :func:`ert._kernels.images.to_gray`.
    box, max_box_to_image, bound
        As for :func:`predict_face`.

    Returns
    -------
    part : uint8 array (rows, columns)
        Without pixels when image or box are not plain.
    column, row : int
        Where it begins.
    """
    if not is_plain(image, box, max_box_to_image):
        return np.empty((0, 0), np.uint8), np.int64(0), np.int64(0)
    return gray_part(image, weights, box, unpack(bound).crop)


@numba.njit(cache=True, nogil=True)
def predict_face(image, origin, box, max_box_to_image, inits, mirror_map, bound, landmarks):
    """Locate the landmarks of one face in a gray image: a whole prediction in one call.

    Parameters
    ----------
    image : uint8 array (rows, columns)
        All of the image, or the part of it that the crop needs.
    origin : tuple of 2 int
        Column and row of all of the image where this begins.
    box : tuple of 4 float
        Left, top, width, height.
    max_box_to_image : int
        See :func:`is_plain`; 0 if image and box have been checked.
    inits : float64 array (n_inits, 4)
        See :data:`ert.model.geometry.INITS`. The crop is the same for all.
    mirror_map : int array (n_landmarks,)
        May be empty if no initialization takes the mirror image.
    bound : BoundArgs
        Of a :class:`CascadeArgs`.
    landmarks : float64 array (n_inits, n_landmarks, 2)
        Written: x, y in image pixels.

    Returns
    -------
    bool
        False when image or box were to be checked and are not plain: nothing is done then.
    """
    if max_box_to_image and not is_plain(image, box, max_box_to_image):
        return False
    cascade = unpack(bound)
    start = StartArgs(cascade.crop, cascade.mean_shape, cascade.pool.channels)
    faces = _face_batch(1, inits.shape[0], start)
    # A literal 0 has a type of its own: the function would be compiled twice.
    _start_face(image, origin, box, np.int64(0), inits, start, faces)
    _finish_faces(inits, mirror_map, cascade, faces, landmarks[np.newaxis])
    return True


def predict_batch(
    images: tuple[npt.NDArray[np.uint8], ...],
    weights: npt.NDArray[np.uint32],
    boxes: npt.NDArray[np.float64],
    max_box_to_image: int,
    bound: BoundArgs,
    landmarks: npt.NDArray[np.float64],
) -> bool:
    """Locate the landmarks of several faces, each from one initialization, stage by stage.

    Parameters
    ----------
    images : tuple of contiguous uint8 arrays
        (rows, columns) or (rows, columns, 3).
    weights : uint32 array (4,)
        See :func:`ert._kernels.images.to_gray`.
    boxes : float64 array (n, 4)
    max_box_to_image : int
        See :func:`is_plain`.
    bound : BoundArgs
        Of a :class:`CascadeArgs`.
    landmarks : float64 array (n, 1, n_landmarks, 2)
        Written.

    Returns
    -------
    bool
        False when an image or its box is not plain: nothing is done then.
    """
    table = np.array([(image.ctypes.data, *image.shape[:2], image.ndim) for image in images], np.int64)
    return bool(_predict_batch(table, weights, boxes, max_box_to_image, bound, landmarks))


@numba.njit(cache=True, nogil=True)
def _predict_batch(images, weights, boxes, max_box_to_image, bound, landmarks):
    """Do what `predict_batch` does; images are int64 (n, 4): address, rows, columns, axes."""
    for i in range(images.shape[0]):
        left, top, width, height = boxes[i]
        if not is_near(images[i, 1], images[i, 2], (left, top, width, height), max_box_to_image):
            return False
    cascade = unpack(bound)
    start = StartArgs(cascade.crop, cascade.mean_shape, cascade.pool.channels)
    inits, mirror_map = np.zeros((1, 4), np.float64), np.empty(0, np.intp)
    inits[0, 2] = 1
    faces = _face_batch(images.shape[0], 1, start)
    for i in range(images.shape[0]):
        address, rows, columns, n_axes = images[i]
        left, top, width, height = boxes[i]
        box = left, top, width, height
        if n_axes == 2:
            _start_face(gray_at(address, (rows, columns)), (np.int64(0), np.int64(0)), box, i, inits, start, faces)
        else:
            gray, column, row = gray_part(color_at(address, (rows, columns, 3)), weights, box, cascade.crop)
            _start_face(gray, (column, row), box, i, inits, start, faces)
    _finish_faces(inits, mirror_map, cascade, faces, landmarks)
    return True


@register_jitable
def _face_batch(n, n_inits, start):
    crop = start.crop
    n_bytes = crop.columns * crop.rows
    if start.channels.shape[0]:
        n_bytes += maps_size(crop.columns, crop.rows)
    return FaceBatch(
        np.empty((n, 3), np.float64),
        np.empty((n, n_bytes), np.uint8),
        np.empty((n, 4), np.int32),
        np.empty((n * n_inits, 6), np.float32),
        np.empty((n * n_inits, *start.mean_shape.shape), np.float32),
    )


@numba.njit(cache=True, nogil=True)
def _start_face(image, origin, box, i, inits, start, faces):
    """Cut the crop of face `i`, and lay out its initializations."""
    left, top, width, height = box
    x, y, side = square_box(left, top, width, height)
    faces.squares[i, 0], faces.squares[i, 1], faces.squares[i, 2] = x, y, side
    whole = np.empty(6, np.float32)
    size = cut_crop(image, origin, (x, y, side), start.crop, faces.crops[i], whole)
    for k in range(4):
        faces.sizes[i, k] = size[k]
    if start.channels.shape[0]:
        crop = faces.crops[i]
        orientation_maps(crop, size[0], size[1], size[2], crop[size[0] * size[1] :])
    n_inits = inits.shape[0]
    for k in range(n_inits):
        to_crop, shape = faces.transforms[i * n_inits + k], faces.shapes[i * n_inits + k]
        # From the box of the initialization to the box: u -> scale u + shift.
        scale = inits[k, 2]
        shift_x, shift_y = (1 - scale) / 2 + inits[k, 0], (1 - scale) / 2 + inits[k, 1]
        to_crop[1] = to_crop[2] = 0
        to_crop[0] = to_crop[3] = whole[0] * scale
        to_crop[4] = whole[4] + whole[0] * shift_x
        to_crop[5] = whole[5] + whole[0] * shift_y
        if inits[k, 3] != 0:
            # u becomes 1 - u.
            to_crop[0] = -to_crop[0]
            to_crop[4] = whole[4] + whole[0] * (1 - shift_x)
        # One by one: numba compiles for four seconds what copies arrays of any shape.
        for j in range(shape.shape[0]):
            shape[j, 0], shape[j, 1] = start.mean_shape[j, 0], start.mean_shape[j, 1]


@numba.njit(cache=True, nogil=True)
def _finish_faces(inits, mirror_map, cascade, faces, landmarks):
    """Run the stages on faces that have been started, and write where their landmarks are."""
    n_pixels = cascade.pool.anchors.shape[1]
    _run_stages(
        faces,
        cascade,
        traversal_workspace(cascade.trees.n_trees, n_pixels),
        product_workspace(cascade.basis),
        pool_workspace(faces.shapes.shape[1], n_pixels),
    )
    for i in range(landmarks.shape[0]):
        _write_landmarks(i, inits, mirror_map, cascade.n_landmarks, faces, landmarks[i])


@numba.njit(inline="always")
def within_reach(coordinate):
    """Clamp a coordinate of a landmark, in sides of the box."""
    return min(max(np.float64(coordinate), -MAX_LANDMARK_SIDES), MAX_LANDMARK_SIDES)


@numba.njit(cache=True, nogil=True)
def _write_landmarks(i, inits, mirror_map, n_landmarks, faces, landmarks):
    """Write the landmarks of face `i` (n_inits, n_landmarks, 2), in image pixels."""
    x, y, side = faces.squares[i]
    n_inits = inits.shape[0]
    for k in range(n_inits):
        shape = faces.shapes[i * n_inits + k]
        scale = inits[k, 2]
        shift_x, shift_y = (1 - scale) / 2 + inits[k, 0], (1 - scale) / 2 + inits[k, 1]
        mirrored = inits[k, 3] != 0
        for j in range(n_landmarks):
            u, v = within_reach(shape[j, 0]) * scale + shift_x, within_reach(shape[j, 1]) * scale + shift_y
            to = mirror_map[j] if mirrored else j
            landmarks[k, to, 0] = (1 - u if mirrored else u) * side + x
            landmarks[k, to, 1] = v * side + y
