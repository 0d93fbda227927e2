"""The fitted cascade as dense arrays.

A stage's leaves are small integers in a basis of `n_components` shape displacements; the stage's sum of
leaves is multiplied by the basis once.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ert._core.exceptions import InputError
from ert._core.images import Part, is_kernel_ready_gray, read_part
from ert._core.runtime import kernel_property
from ert._kernels import choice, compile_cascade
from ert.model.cropping import CropSpec, check_crop_spec
from ert.model.geometry import ONE_INIT
from ert.model.limits import (
    FINITE,
    MAX_DELTA_SIDES,
    MAX_SHAPE_SIDES,
    MAX_STAGE_SIDES,
    PARAMETER_LIMITS,
    check_basis_products,
    check_bounds,
    check_landmark_count,
    check_size,
    check_sum_of_leaves,
    check_trees,
)

if TYPE_CHECKING:
    from ert._kernels import CompiledCascade

# The largest crop that NumPy reads pixels from.
MAX_NUMPY_PIXELS = 300_000
# What a pixel of a pool can be read from: gray levels, and four maps of orientations.
N_CHANNELS = 5
# The mirror map where no initialization needs one.
NO_MIRROR_MAP = np.empty(0, np.intp)


class PlainKernels(NamedTuple):
    """The compiled kernels for one face from one initialization, which do not check the types of arrays.

    ``predict(image, origin, box, max_box_to_image, *rest, landmarks)`` takes a uint8 array of two axes and writes
    ``np.empty(shape)``; it returns False where the image is not contiguous or the box is not right.
    ``color_part(image, weights, box, max_box_to_image, bound)`` takes one of three axes and returns a gray part and
    its origin.
    """

    predict: Callable[..., bool]
    rest: tuple[Any, ...]
    shape: tuple[int, int, int]
    color_part: Callable[..., tuple[npt.NDArray[np.uint8], int, int]] | None


class FieldsOnly:
    """A dataclass that is pickled without its cached properties: compiled kernels cannot be pickled."""

    @property
    def numpy_runs(self) -> int:
        """Return how many runs one of NumPy counts for: many with a large crop, which takes memory."""
        spec: CropSpec | None = getattr(self, "crop_spec", None)
        large = spec is not None and math.prod(spec.shape) > MAX_NUMPY_PIXELS
        return choice.MANY_RUNS if large else 1

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]


@dataclass(frozen=True)
class Stage:
    """One fitted stage.

    Parameters
    ----------
    anchors : uint16 array (n_pixels,)
        The landmark nearest to each pixel of the feature pool.
    deltas : float32 array (n_pixels, 2)
        Its offset from there on the mean shape, in box coordinates.
    pairs : uint16 array (n_trees, n_splits, 2)
        The two pixels of each split.
    thresholds : int16 array (n_trees, n_splits)
        A face goes left where the difference of the two pixels is greater.
    leaves : int8 or int16 array (n_trees, n_leaves, n_components)
    scales : float32 array (n_components,)
    basis : int8 or int16 array (n_components, 2 * n_landmarks)
        Times its scale, the displacement of the shape for 1 in a leaf's component, in box coordinates.
    channels : uint8 array (n_pixels,), optional
        What each pixel is read from: 0 for the crop, 1 to 4 for the maps of :mod:`ert._kernels.orientation`.
    """

    anchors: npt.NDArray[np.uint16]
    deltas: npt.NDArray[np.float32]
    pairs: npt.NDArray[np.uint16]
    thresholds: npt.NDArray[np.int16]
    leaves: npt.NDArray[np.signedinteger]
    scales: npt.NDArray[np.float32]
    basis: npt.NDArray[np.signedinteger]
    channels: npt.NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class Cascade(FieldsOnly):
    """A fitted cascade.

    Parameters
    ----------
    mean_shape : float32 array (n_landmarks, 2)
        The initial shape, in box coordinates.
    crop_spec : CropSpec
        The part of the image that is read, and its scale.
    anchors, deltas, pairs, thresholds, leaves, scales, basis
        The arrays of :class:`Stage`, stacked: the first axis is the stage, and in `basis` the group of stages
        that share one.
    stages_per_basis : int
        The number of consecutive stages that share a basis.
    channels : uint8 array (n_stages, n_pixels), optional
        Those of :class:`Stage`.
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
    channels: npt.NDArray[np.uint8] | None = None

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
        """Locate the landmarks of one face from several initializations.

        Parameters
        ----------
        image : uint8 array (rows, columns) or (rows, columns, 3)
        inits : float64 array (n_inits, 4)
            See :data:`ert.model.geometry.INITS`.
        channel_order, gray_weights
            As for :class:`ert.ShapePredictor`.
        mirror_map : int array (n_landmarks,)
            For initializations that take the mirror image.
        part : (image, column, row), optional
            The result of :meth:`read_part`, if it has been called already.

        Returns
        -------
        float64 array (n_inits, n_landmarks, 2)
            In image pixels.
        """
        image, column, row = part or self.read_part(image, box, channel_order, gray_weights)
        landmarks = np.empty((len(inits), *self.mean_shape.shape))
        inits, mirror_map = np.ascontiguousarray(inits, np.float64), np.ascontiguousarray(mirror_map, np.intp)
        compiled = self.compiled
        compiled.entry_point(image, (column, row), tuple(box), 0, inits, mirror_map, compiled.bound, landmarks)
        return landmarks

    @kernel_property
    def compiled(self) -> "CompiledCascade":
        """Return the arguments of the kernels, and the kernel of one face."""
        return compile_cascade(self.arrays(), self.crop_spec.kernel_args, self.stages_per_basis)

    @kernel_property
    def plain_kernels(self) -> PlainKernels:
        """Return the kernels of one face from one initialization."""
        compiled, shape = self.compiled, (1, *self.mean_shape.shape)
        rest = ONE_INIT, NO_MIRROR_MAP, compiled.bound
        return PlainKernels(compiled.entry_point, rest, shape, compiled.color_part)

    def read_part(
        self,
        image: npt.NDArray[np.uint8],
        box: tuple[float, float, float, float],
        channel_order: str,
        gray_weights: str,
    ) -> Part:
        """Return the part of an image that the crop of a box needs, in gray, and its column and row."""
        if is_kernel_ready_gray(image):
            return image, 0, 0
        columns, rows = self.crop_spec.touched(*box, image.shape)
        return read_part(image, columns, rows, channel_order, gray_weights)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return all arrays by name, for the model file."""
        arrays = {name: getattr(self, name) for name in ("mean_shape", *_STACKED)}
        return arrays if self.channels is None else arrays | {"channels": self.channels}

    def stages(self) -> list[Stage]:
        """Return the stages one by one."""
        stacked = [getattr(self, name) for name in _STACKED[:-1]]
        bases = np.repeat(self.basis, self.stages_per_basis, axis=0)[: len(self.anchors)]
        channels = [None] * len(bases) if self.channels is None else self.channels
        return [Stage(*arrays) for arrays in zip(*stacked, bases, channels, strict=True)]


_STACKED = ("anchors", "deltas", "pairs", "thresholds", "leaves", "scales", "basis")


def stack_stages(stages: list[Stage], stages_per_basis: int = 1) -> dict[str, npt.NDArray[Any]]:
    """Stack the arrays of stages for :class:`Cascade`."""
    names = _STACKED[:-1] if stages[0].channels is None else (*_STACKED[:-1], "channels")
    arrays = {name: np.stack([getattr(stage, name) for stage in stages]) for name in names}
    return arrays | {"basis": np.stack([stage.basis for stage in stages[::stages_per_basis]])}


def quantize_basis(
    directions: npt.NDArray[np.float64], scales: npt.NDArray[np.float64], kind: type[np.signedinteger]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.signedinteger]]:
    """Round directions (n_components, 2 * n_landmarks), a scale each, to integers.

    Returns
    -------
    scales : float32 array (n_components,)
    basis : array (n_components, 2 * n_landmarks) of the given type
        The largest number of each row is the largest of the type.
    """
    largest = np.maximum(np.abs(directions).max(axis=1), np.finfo(np.float32).tiny)
    limit = np.iinfo(kind).max
    basis = np.rint(directions * (limit / largest)[:, None]).astype(kind)
    return (scales * largest / limit).astype(np.float32), basis


def check_cascade(cascade: Cascade) -> None:
    """Check that the arrays fit together, that no index in them is out of bounds, and no number absurd."""
    together = cascade.stages_per_basis
    check_size("stages_per_basis", together)
    n_components = cascade.leaves.shape[-1]
    if n_components == 0 or cascade.basis.shape[1:2] != (n_components,):
        raise InputError(f"basis has shape {cascade.basis.shape} and the leaves {n_components} components")
    n_bases = -(-len(cascade.anchors) // together)
    check_arrays(cascade.arrays(), "int16", n_components, ("int8", "int16"), "int8", n_bases)
    check_crop_spec(cascade.crop_spec)


def check_arrays(
    arrays: dict[str, npt.NDArray[Any]],
    threshold_type: str,
    leaf_size: int,
    leaf_types: tuple[str, ...],
    basis_type: str,
    n_bases: int,
) -> None:
    """Check shapes, types, indices and numbers of a cascade's arrays.

    Parameters
    ----------
    leaf_size : int
        Numbers in a leaf.
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
    if "channels" in arrays:
        expected["channels"] = (n_stages, n_pixels), ("uint8",)
    for name, (shape, types) in expected.items():
        array = arrays[name]
        if array.shape != shape or array.dtype.name not in types or 0 in shape[:1]:
            raise InputError(f"{name} has shape {array.shape} and type {array.dtype}, expected {shape}")
    check_landmark_count(n_landmarks)
    check_size("n_stages", n_stages)
    check_trees(n_trees, n_splits, n_pixels)
    check_size("n_components", leaf_size, max(PARAMETER_LIMITS["n_components"][2], 2 * n_landmarks))
    check_bounds("mean_shape", arrays["mean_shape"], -MAX_SHAPE_SIDES, MAX_SHAPE_SIDES)
    check_bounds("deltas", arrays["deltas"], -MAX_DELTA_SIDES, MAX_DELTA_SIDES)
    check_bounds("thresholds", arrays["thresholds"], *FINITE)
    check_sum_of_leaves("the cascade", arrays["leaves"], arrays["scales"], arrays["basis"], MAX_STAGE_SIDES)
    n_bytes = sum(array.nbytes for array in arrays.values())
    check_basis_products(n_stages, arrays["basis"].shape[1], n_landmarks, n_bytes)
    if arrays["anchors"].max() >= n_landmarks:
        raise InputError(f"anchors: expected landmarks below {n_landmarks}")
    if "channels" in arrays and arrays["channels"].max() > N_CHANNELS - 1:
        raise InputError(f"channels: expected numbers below {N_CHANNELS}")
    if arrays["pairs"].max() >= n_pixels:
        raise InputError(f"pairs: expected pixels below {n_pixels}")
