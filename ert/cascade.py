"""The fitted cascade as dense arrays, and the kernel that runs it on a face.

    image -> crop -> for each stage: similarity -> read pool -> walk trees
                                     -> add leaves -> shape += leaves @ basis

A stage's leaves are small integers in a basis of `n_components` shape displacements; the stage's sum of
leaves is multiplied by the basis once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from numba.extending import register_jitable

from ert.compiling import BLANK, FieldsOnly, compiled
from ert.crops import Cropping, check_cropping, cut_crop
from ert.errors import InputError
from ert.features import pool_arrays, read_pixels
from ert.geometry import ONE_START, centre, similarity, square_frame
from ert.held import Held, unpack
from ert.images import Part, plain_grey, read_part
from ert.inputs import MAX_BOX_TO_IMAGE
from ert.lanes import (
    LANES,
    add_leaves,
    add_products,
    add_transformed,
    padded,
    pair_rows,
    room_to_multiply,
    sum_limit,
)
from ert.vectors import kernel
from ert.walk import aligned, pack_trees, room_to_walk, walk_trees

__all__ = [
    "NO_SWAP",
    "Cascade",
    "Stage",
    "add_displacement",
    "begin_face",
    "check_cascade",
    "end_face",
    "kernel_basis",
    "predict_face",
    "room_for_faces",
    "run_faces",
    "run_stages",
    "stack_stages",
    "usual",
    "whole_basis",
]


# The mirror map where no start needs one.
NO_SWAP = np.empty(0, np.intp)


@dataclass(frozen=True)
class Stage:
    """One fitted stage.

    Parameters
    ----------
    anchors : uint16 array (n_pixels,)
        The landmark that each pixel of the pool is tied to.
    deltas : float32 array (n_pixels, 2)
        Where it lies from there on the mean shape, in box coordinates.
    pairs : uint16 array (n_trees, n_splits, 2)
        The two pixels of each split.
    thresholds : int16 array (n_trees, n_splits)
        A face goes left where their difference is greater.
    leaves : int8 or int16 array (n_trees, n_leaves, n_components)
    units : float32 array (n_components,)
    basis : int8 or int16 array (n_components, 2 * n_landmarks)
        Times its unit, the displacement of the shape for 1 in a leaf's component, in box coordinates.
    """

    anchors: npt.NDArray[np.uint16]
    deltas: npt.NDArray[np.float32]
    pairs: npt.NDArray[np.uint16]
    thresholds: npt.NDArray[np.int16]
    leaves: npt.NDArray[np.signedinteger]
    units: npt.NDArray[np.float32]
    basis: npt.NDArray[np.signedinteger]


@dataclass(frozen=True)
class Cascade(FieldsOnly):
    """All that prediction needs.

    Parameters
    ----------
    mean_shape : float32 array (n_landmarks, 2)
        The start shape, in box coordinates.
    cropping : Cropping
        What of the image is read, and at which scale.
    anchors, deltas, pairs, thresholds, leaves, units, basis
        The arrays of :class:`Stage`, stacked: the first axis is the stage, in `basis` so many stages.
    stages_per_basis : int
        How many stages one after another have the same basis.
    """

    mean_shape: npt.NDArray[np.float32]
    cropping: Cropping
    anchors: npt.NDArray[np.uint16]
    deltas: npt.NDArray[np.float32]
    pairs: npt.NDArray[np.uint16]
    thresholds: npt.NDArray[np.int16]
    leaves: npt.NDArray[np.signedinteger]
    units: npt.NDArray[np.float32]
    basis: npt.NDArray[np.signedinteger]
    stages_per_basis: int = 1

    def predict_face(
        self,
        image: npt.NDArray[np.uint8],
        box: tuple[float, float, float, float],
        starts: npt.NDArray[np.float64],
        channels: str,
        rgb: str,
        swap: npt.NDArray[np.intp] = NO_SWAP,
        part: Part | None = None,
    ) -> npt.NDArray[np.float64]:
        """Locate the landmarks of one face from several starts.

        Parameters
        ----------
        image : uint8 array (rows, columns) or (rows, columns, 3)
        box : left, top, width, height
        starts : float64 array (n_starts, 4)
            See :data:`ert.geometry.STARTS`.
        channels, rgb
            See :class:`ert.ShapePredictor`.
        swap : int array (n_landmarks,)
            The mirror map: starts that take the image for its mirror image need it.
        part : (image, column, row), optional
            What :meth:`read_part` gave, when it has been called already.

        Returns
        -------
        float64 array (n_starts, n_landmarks, 2)
            In pixels of the image.
        """
        image, column, row = part or self.read_part(image, box, channels, rgb)
        placed = np.empty((len(starts), *self.mean_shape.shape))
        how = np.ascontiguousarray(starts, np.float64), np.ascontiguousarray(swap, np.intp)
        kernel, held, numbers, _ = self._quick
        kernel(image, column, row, *box, 0, *how, held, numbers, placed)
        return placed

    def predict_grey(
        self, image: npt.NDArray[np.uint8], left: float, top: float, width: float, height: float
    ) -> npt.NDArray[np.float64] | None:
        """Locate the landmarks of one face from one start, with as little Python as can be.

        Parameters
        ----------
        image : uint8 array (rows, columns)
            Of this type and as many axes for certain: nothing looks at that any more.
        left, top, width, height : float
            The box, not checked.

        Returns
        -------
        float64 array (1, n_landmarks, 2)
            In pixels of the image. None where the box is not right, or the image does not lie in one piece.
        """
        kernel, held, numbers, size = self._quick
        placed = np.empty(size)
        box = left, top, width, height
        good = kernel(image, 0, 0, *box, MAX_BOX_TO_IMAGE, ONE_START, NO_SWAP, held, numbers, placed)
        return placed if good else None

    @cached_property
    def _quick(self) -> tuple[Callable[..., bool], Held, npt.NDArray[np.int64], tuple[int, int, int]]:
        size = 1, len(self.mean_shape), 2
        held = Held(self.kernel_arguments)
        blank = BLANK[0], 0, 0, 0.0, 0.0, 9.0, 9.0, 0, ONE_START, NO_SWAP
        return compiled(predict_face, *blank, held, held.numbers, np.empty(size)), held, held.numbers, size

    def read_part(
        self, image: npt.NDArray[np.uint8], box: tuple[float, float, float, float], channels: str, rgb: str
    ) -> Part:
        """Return what of an image the crop of a box needs, in grey, and where in the image it begins."""
        if plain_grey(image):
            return image, 0, 0
        columns, rows = self.cropping.touched(*box, image.shape)
        return read_part(image, columns, rows, channels, rgb)

    @cached_property
    def kernel_arguments(self) -> tuple[Any, ...]:
        """What :func:`begin_face` and :func:`run_faces` take of the model.

        How crops are cut: `region`, `working_size`, `blur` and `least_contrast` of
        :class:`ert.crops.Cropping`, and the most columns and rows that they have; the number of landmarks,
        and the mean shape with zeros up to a multiple of 8; then what :func:`run_stages` names.
        """
        n_stages, n_trees, n_splits = self.thresholds.shape
        cropping = self.cropping
        compass, squared_norm = centre(self.mean_shape)
        anchors, deltas = pool_arrays(self.anchors, self.deltas)
        return (
            aligned(cropping.region),
            cropping.working_size,
            float(cropping.blur),
            float(cropping.least_contrast),
            *cropping.shape,
            len(self.mean_shape),
            aligned(padded(self.mean_shape, 0, LANES // 2)),
            aligned(compass),
            squared_norm,
            aligned(anchors),
            aligned(deltas),
            aligned(pack_trees(self.pairs, self.thresholds, anchors.shape[1])),
            n_trees,
            n_splits.bit_length(),
            aligned(self.leaves.reshape(n_stages, -1)),
            *kernel_basis(self.leaves, self.units, self.basis),
            self.stages_per_basis,
        )

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """All arrays by name, for the model file."""
        return {name: getattr(self, name) for name in ("mean_shape", *_STACKED)}

    def stages(self) -> list[Stage]:
        """Take the stages apart again."""
        stacked = [getattr(self, name) for name in _STACKED[:-1]]
        bases = np.repeat(self.basis, self.stages_per_basis, axis=0)[: len(self.anchors)]
        return [Stage(*arrays) for arrays in zip(*stacked, bases, strict=True)]


_STACKED = ("anchors", "deltas", "pairs", "thresholds", "leaves", "units", "basis")


def stack_stages(stages: list[Stage], stages_per_basis: int = 1) -> dict[str, npt.NDArray[Any]]:
    """Stack the arrays of stages for :class:`Cascade`."""
    arrays = {name: np.stack([getattr(stage, name) for stage in stages]) for name in _STACKED[:-1]}
    return arrays | {"basis": np.stack([stage.basis for stage in stages[::stages_per_basis]])}


def whole_basis(
    directions: npt.NDArray[np.float64], units: npt.NDArray[np.float64], kind: type[np.signedinteger]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.signedinteger]]:
    """Express directions (n_components, 2 * n_landmarks), a unit each, in whole numbers.

    Returns
    -------
    units : float32 array (n_components,)
    basis : array (n_components, 2 * n_landmarks) of that type
        The largest number of each row is the largest of the type.
    """
    largest = np.maximum(np.abs(directions).max(axis=1), np.finfo(np.float32).tiny)
    limit = np.iinfo(kind).max
    basis = np.rint(directions * (limit / largest)[:, None]).astype(kind)
    return (units * largest / limit).astype(np.float32), basis


def check_cascade(cascade: Cascade) -> None:
    """Check that the arrays fit together and that no number in them leads a kernel out of an array.

    Raises
    ------
    InputError
    """
    n_components = cascade.leaves.shape[-1]
    together = cascade.stages_per_basis
    if type(together) is not int or together < 1:
        raise InputError(f"stages_per_basis={together!r}: expected a whole number from 1 on")
    n_bases = -(-len(cascade.anchors) // together)
    check_arrays(cascade.arrays(), "int16", n_components, ("int8", "int16"), "int8", n_bases)
    if n_components == 0 or cascade.basis.shape[1] != n_components:
        raise InputError(f"basis has {cascade.basis.shape[1]} components and the leaves {n_components}")
    check_cropping(cascade.cropping)


def check_arrays(
    arrays: dict[str, npt.NDArray[Any]],
    threshold_type: str,
    leaf_size: int,
    leaf_types: tuple[str, ...],
    basis_type: str,
    n_bases: int,
) -> None:
    """Check shapes and types of a cascade's arrays, and that what counts landmarks and pixels stays in range.

    Parameters
    ----------
    arrays : dict of ndarray
    threshold_type : str
    leaf_size : int
        How many numbers a leaf has.
    leaf_types : tuple of str
        Those that the leaves may have.
    basis_type : str
    n_bases : int
        How many bases there must be.

    Raises
    ------
    InputError
    """
    n_landmarks = len(arrays["mean_shape"])
    n_stages, n_pixels = arrays["anchors"].shape
    _, n_trees, n_splits = arrays["thresholds"].shape
    expected: dict[str, tuple[tuple[int, ...], tuple[str, ...]]] = {
        "mean_shape": ((n_landmarks, 2), ("float32",)),
        "anchors": ((n_stages, n_pixels), ("uint16",)),
        "deltas": ((n_stages, n_pixels, 2), ("float32",)),
        "pairs": ((n_stages, n_trees, n_splits, 2), ("uint16",)),
        "thresholds": ((n_stages, n_trees, n_splits), (threshold_type,)),
        "leaves": ((n_stages, n_trees, n_splits + 1, leaf_size), leaf_types),
        "units": ((n_stages, arrays["basis"].shape[1]), ("float32",)),
        "basis": ((n_bases, arrays["basis"].shape[1], 2 * n_landmarks), (basis_type,)),
    }
    for name, (shape, types) in expected.items():
        array = arrays[name]
        if array.shape != shape or array.dtype.name not in types or 0 in shape[:1]:
            raise InputError(f"{name} has shape {array.shape} and type {array.dtype}, expected {shape}")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise InputError(f"{name} holds numbers that are not finite")
    if min(n_stages, n_trees, n_splits) < 1 or (n_splits + 1) & n_splits:
        raise InputError(f"{n_trees} trees of {n_splits} splits are not full binary trees")
    if n_pixels < 1 or arrays["anchors"].max() >= n_landmarks:
        raise InputError(f"anchors: expected landmarks below {n_landmarks}")
    if arrays["pairs"].max() >= n_pixels:
        raise InputError(f"pairs: expected pixels below {n_pixels}")


def kernel_basis(
    leaves: npt.NDArray[Any], units: npt.NDArray[np.float32], basis: npt.NDArray[np.signedinteger]
) -> tuple[int, npt.NDArray[np.float32], npt.NDArray[np.signedinteger], np.float32]:
    """Return what :func:`add_displacement` takes: leaf size, units, basis and its limit, of stages or one."""
    paired = pair_rows(basis)
    return leaves.shape[-1], aligned(padded(units, -1)), aligned(paired), sum_limit(paired)


@kernel
def add_displacement(  # type: ignore[no-untyped-def]
    components, units, stage, basis, number, limit, a, b, amounts, whole, moved, shape
):
    """Add a stage's displacement, turned and scaled as the current shape is against the mean shape.

    Parameters
    ----------
    components : int32 array (n_components,)
    units : float32 array (n_stages, n_components)
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
    add_products(components, units, stage, basis, number, limit, amounts, whole, moved)
    add_transformed(moved, a, -b, b, a, np.float32(0), np.float32(0), shape)


@kernel
def run_stages(  # type: ignore[no-untyped-def]
    crops,
    sizes,
    frames,
    shapes,
    compass,
    squared_norm,
    anchors,
    deltas,
    nodes,
    n_trees,
    depth,
    leaves,
    leaf_size,
    units,
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
    compass, squared_norm
        See :func:`ert.geometry.similarity`.
    anchors, deltas
        See :func:`ert.features.read_pixels`.
    nodes, n_trees, depth
        See :func:`ert.walk.walk_trees`.
    leaves : int8 or int16 array (n_stages, n_trees * n_leaves * leaf_size)
    leaf_size, units, basis, limit
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
            a, b = similarity(compass, squared_norm, shape)
            pool = anchors, deltas, stage, landmarks, anchored, places, values
            read_pixels(crops[i], size, frames[k], shape, a, b, *pool)
            walk_trees(values, nodes, stage, n_trees, anchors.shape[1], depth, leaf_size, leaves, masks, rows)
            add_leaves(leaves, stage, rows, n_trees, leaf_size, components)
            how = units, stage, basis, number, limit, a, b, amounts, whole, moved
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
    image, column, row, left, top, width, height, most, starts, swap, held, numbers, placed
):
    """Locate the landmarks of one face in a grey image: all that a prediction does, in one call.

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
    starts : float64 array (n_starts, 4)
        See :data:`ert.geometry.STARTS`.
    swap : int array (n_landmarks,)
        The mirror map.
    held, numbers
        See :class:`ert.held.Held`: :attr:`Cascade.kernel_arguments`.
    placed : float64 array (n_starts, n_landmarks, 2)
        Written: x, y in pixels of the image.

    Returns
    -------
    bool
        False when something was to be checked and is not as :func:`usual` expects: nothing is done then.
    """
    if most and not usual(image, left, top, width, height, most):
        return False
    arguments = unpack(held, numbers)
    how, mean_shape = arguments[:6], arguments[7]
    room = room_for_faces(1, starts.shape[0], how[4] * how[5], mean_shape)  # type: ignore[no-untyped-call]
    begin_face(image, column, row, left, top, width, height, 0, starts, *how, mean_shape, *room)  # type: ignore[call-arg]
    run_faces(*room[1:], *arguments[8:])
    end_face(0, starts, swap, arguments[6], room[0], room[4], placed)
    return True


@register_jitable
def room_for_faces(n, n_starts, n_bytes, mean_shape):  # type: ignore[no-untyped-def]
    """Return what faces are found in: their squares, crops, sizes and frames of these, and shapes."""
    return (
        np.empty((n, 3), np.float64),
        np.empty((n, n_bytes), np.uint8),
        np.empty((n, 4), np.int32),
        np.empty((n * n_starts, 6), np.float32),
        np.empty((n * n_starts, *mean_shape.shape), np.float32),
    )


@numba.njit(cache=True, nogil=True)
def begin_face(  # type: ignore[no-untyped-def]
    image,
    column,
    row,
    left,
    top,
    width,
    height,
    i,
    starts,
    region,
    working_size,
    blur,
    least_contrast,
    columns,
    rows,
    mean_shape,
    squares,
    crops,
    sizes,
    frames,
    shapes,
):
    """Cut the crop of face `i` and lay out its starts; the parameters are those of :func:`predict_face`.

    squares : float64 array (n, 3)
    crops, sizes, frames, shapes
        Written for this face, see :func:`run_stages`; its square as x, y, side.
    """
    x, y, side = square_frame(left, top, width, height)
    squares[i, 0], squares[i, 1], squares[i, 2] = x, y, side
    whole = np.empty(6, np.float32)
    how = region, working_size, blur, least_contrast
    size = cut_crop(image, column, row, x, y, side, *how, columns, rows, crops[i], whole)
    for k in range(4):
        sizes[i, k] = size[k]
    n_starts = starts.shape[0]
    for k in range(n_starts):
        frame, shape = frames[i * n_starts + k], shapes[i * n_starts + k]
        # From the start's box to the box: u -> scale u + shift.
        scale = starts[k, 2]
        shift_x, shift_y = (1 - scale) / 2 + starts[k, 0], (1 - scale) / 2 + starts[k, 1]
        frame[1] = frame[2] = 0
        frame[0] = frame[3] = whole[0] * scale
        frame[4] = whole[4] + whole[0] * shift_x
        frame[5] = whole[5] + whole[0] * shift_y
        if starts[k, 3] != 0:
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
    compass,
    squared_norm,
    anchors,
    deltas,
    nodes,
    n_trees,
    depth,
    leaves,
    leaf_size,
    units,
    basis,
    limit,
    stages_per_basis,
):
    """Call :func:`run_stages` with room to work in."""
    n_pixels = anchors.shape[1]
    run_stages(
        *(crops, sizes, frames, shapes, compass, squared_norm, anchors, deltas),
        *(nodes, n_trees, depth, leaves, leaf_size, units, basis, limit, stages_per_basis),
        *room_to_walk(n_trees, n_pixels),
        *room_to_multiply(units, basis),
        np.empty(shapes.shape[1], np.uint64),
        np.empty(n_pixels, np.uint64),
        np.empty(n_pixels, np.int32),
    )


@numba.njit(cache=True, nogil=True)
def end_face(i, starts, swap, n_landmarks, squares, shapes, placed):  # type: ignore[no-untyped-def]
    """Write where the landmarks of face `i` are; the parameters are those of :func:`begin_face`.

    placed : float64 array (n_starts, n_landmarks, 2)
        Written, in pixels of the image.
    """
    x, y, side = squares[i]
    n_starts = starts.shape[0]
    for k in range(n_starts):
        shape = shapes[i * n_starts + k]
        scale = starts[k, 2]
        shift_x, shift_y = (1 - scale) / 2 + starts[k, 0], (1 - scale) / 2 + starts[k, 1]
        mirrored = starts[k, 3] != 0
        for j in range(n_landmarks):
            u, v = shape[j, 0] * scale + shift_x, shape[j, 1] * scale + shift_y
            to = swap[j] if mirrored else j
            placed[k, to, 0] = (1 - u if mirrored else u) * side + x
            placed[k, to, 1] = v * side + y
