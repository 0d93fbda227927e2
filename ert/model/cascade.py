"""The fitted cascade as dense arrays.

A stage's leaves are small integers in a basis of `n_components` shape displacements; the stage's sum of
leaves is multiplied by the basis once.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ert._core.exceptions import InputError
from ert._core.images import DUMMY_IMAGES, Part, is_kernel_ready_gray, read_part
from ert._core.interrupts import uninterrupted
from ert._kernels.bound_args import BoundArgs, entry_point
from ert._kernels.pixels import center, pool_arrays
from ert._kernels.predict import kernel_basis, predict_face
from ert._kernels.simd import LANES, padded
from ert._kernels.traversal import aligned, pack_trees
from ert.model.cropping import CropSpec, check_crop_spec
from ert.model.geometry import MAX_BOX_TO_IMAGE, ONE_INIT

__all__ = [
    "NO_MIRROR_MAP",
    "Cascade",
    "FieldsOnly",
    "GrayKernel",
    "Stage",
    "check_arrays",
    "check_cascade",
    "quantize_basis",
    "stack_stages",
]


# The mirror map where no start needs one.
NO_MIRROR_MAP = np.empty(0, np.intp)

# kernel, before, after, size: `kernel(image, *before, left, top, width, height, *after, placed)` writes what
# `placed = np.empty(size)` is in pixels of the image. The image must be an array of uint8 with two axes for
# certain, as nothing looks at that any more; the kernel returns False where the image does not lie in one
# piece, or the box is not right.
GrayKernel = tuple[Callable[..., bool], tuple[Any, ...], tuple[Any, ...], tuple[int, int, int]]


class FieldsOnly:
    """A dataclass that is pickled without what :class:`functools.cached_property` keeps: no kernel can be."""

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]


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
    scales : float32 array (n_components,)
    basis : int8 or int16 array (n_components, 2 * n_landmarks)
        Times its unit, the displacement of the shape for 1 in a leaf's component, in box coordinates.
    """

    anchors: npt.NDArray[np.uint16]
    deltas: npt.NDArray[np.float32]
    pairs: npt.NDArray[np.uint16]
    thresholds: npt.NDArray[np.int16]
    leaves: npt.NDArray[np.signedinteger]
    scales: npt.NDArray[np.float32]
    basis: npt.NDArray[np.signedinteger]


@dataclass(frozen=True)
class Cascade(FieldsOnly):
    """All that prediction needs.

    Parameters
    ----------
    mean_shape : float32 array (n_landmarks, 2)
        The start shape, in box coordinates.
    crop_spec : Cropping
        What of the image is read, and at which scale.
    anchors, deltas, pairs, thresholds, leaves, units, basis
        The arrays of :class:`Stage`, stacked: the first axis is the stage, in `basis` so many stages.
    stages_per_basis : int
        How many stages one after another have the same basis.
    """

    mean_shape: npt.NDArray[np.float32]
    crop_spec: CropSpec
    anchors: npt.NDArray[np.uint16]
    deltas: npt.NDArray[np.float32]
    pairs: npt.NDArray[np.uint16]
    thresholds: npt.NDArray[np.int16]
    leaves: npt.NDArray[np.signedinteger]
    scales: npt.NDArray[np.float32]
    basis: npt.NDArray[np.signedinteger]
    stages_per_basis: int = 1

    def predict_face(
        self,
        image: npt.NDArray[np.uint8],
        box: tuple[float, float, float, float],
        inits: npt.NDArray[np.float64],
        channel_order: str,
        gray_weights: str,
        mirror_map: npt.NDArray[np.intp] = NO_MIRROR_MAP,
        part: Part | None = None,
    ) -> npt.NDArray[np.float64]:
        """Locate the landmarks of one face from several starts.

        Parameters
        ----------
        image : uint8 array (rows, columns) or (rows, columns, 3)
        box : left, top, width, height
        inits : float64 array (n_starts, 4)
            See :data:`ert.geometry.INITS`.
        channel_order, gray_weights
            See :class:`ert.ShapePredictor`.
        mirror_map : int array (n_landmarks,)
            The mirror map: starts that take the image for its mirror image need it.
        part : (image, column, row), optional
            What :meth:`read_part` gave, when it has been called already.

        Returns
        -------
        float64 array (n_starts, n_landmarks, 2)
            In pixels of the image.
        """
        image, column, row = part or self.read_part(image, box, channel_order, gray_weights)
        placed = np.empty((len(inits), *self.mean_shape.shape))
        how = np.ascontiguousarray(inits, np.float64), np.ascontiguousarray(mirror_map, np.intp)
        kernel, _, (*_, bound, numbers), _ = self.gray_kernel
        kernel(image, column, row, *box, 0, *how, bound, numbers, placed)
        return placed

    @cached_property
    def gray_kernel(self) -> GrayKernel:
        """What locates the landmarks of one face in a gray image from one start."""
        bound = BoundArgs(self.kernel_arguments)
        size = 1, len(self.mean_shape), 2
        blank = DUMMY_IMAGES[0], 0, 0, 0.0, 0.0, 9.0, 9.0, 0, ONE_INIT, NO_MIRROR_MAP, bound, bound.numbers
        after = MAX_BOX_TO_IMAGE, ONE_INIT, NO_MIRROR_MAP, bound, bound.numbers
        with uninterrupted():
            kernel = entry_point(predict_face, *blank, np.empty(size))
        return kernel, (0, 0), after, size

    def read_part(
        self,
        image: npt.NDArray[np.uint8],
        box: tuple[float, float, float, float],
        channel_order: str,
        gray_weights: str,
    ) -> Part:
        """Return what of an image the crop of a box needs, in gray, and where in the image it begins."""
        if is_kernel_ready_gray(image):
            return image, 0, 0
        columns, rows = self.crop_spec.touched(*box, image.shape)
        return read_part(image, columns, rows, channel_order, gray_weights)

    @cached_property
    def kernel_arguments(self) -> tuple[Any, ...]:
        """What :func:`ert.running.begin_face` and :func:`ert.running.run_faces` take of the model.

        How crops are cut: `region`, `working_size`, `blur` and `min_contrast` of
        :class:`ert.crops.CropSpec`, and the most columns and rows that they have; the number of landmarks,
        and the mean shape with zeros up to a multiple of 8; then what :func:`ert.running.run_stages` names.
        """
        n_stages, n_trees, n_splits = self.thresholds.shape
        crop_spec = self.crop_spec
        similarity_basis, squared_norm = center(self.mean_shape)
        anchors, deltas = pool_arrays(self.anchors, self.deltas)
        return (
            aligned(crop_spec.region),
            crop_spec.working_size,
            float(crop_spec.blur),
            float(crop_spec.min_contrast),
            *crop_spec.shape,
            len(self.mean_shape),
            aligned(padded(self.mean_shape, 0, LANES // 2)),
            aligned(similarity_basis),
            squared_norm,
            aligned(anchors),
            aligned(deltas),
            aligned(pack_trees(self.pairs, self.thresholds, anchors.shape[1])),
            n_trees,
            n_splits.bit_length(),
            aligned(self.leaves.reshape(n_stages, -1)),
            *kernel_basis(self.leaves, self.scales, self.basis),
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


_STACKED = ("anchors", "deltas", "pairs", "thresholds", "leaves", "scales", "basis")


def stack_stages(stages: list[Stage], stages_per_basis: int = 1) -> dict[str, npt.NDArray[Any]]:
    """Stack the arrays of stages for :class:`Cascade`."""
    arrays = {name: np.stack([getattr(stage, name) for stage in stages]) for name in _STACKED[:-1]}
    return arrays | {"basis": np.stack([stage.basis for stage in stages[::stages_per_basis]])}


def quantize_basis(
    directions: npt.NDArray[np.float64], scales: npt.NDArray[np.float64], kind: type[np.signedinteger]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.signedinteger]]:
    """Express directions (n_components, 2 * n_landmarks), a unit each, in whole numbers.

    Returns
    -------
    scales : float32 array (n_components,)
    basis : array (n_components, 2 * n_landmarks) of that type
        The largest number of each row is the largest of the type.
    """
    largest = np.maximum(np.abs(directions).max(axis=1), np.finfo(np.float32).tiny)
    limit = np.iinfo(kind).max
    basis = np.rint(directions * (limit / largest)[:, None]).astype(kind)
    return (scales * largest / limit).astype(np.float32), basis


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
    check_crop_spec(cascade.crop_spec)


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
        "scales": ((n_stages, arrays["basis"].shape[1]), ("float32",)),
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
