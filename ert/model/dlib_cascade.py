"""A cascade of dlib, run to the same pixels and the same rounding as in dlib.

What differs from :mod:`ert.model.cascade`: pixels are read from the image, 0 outside it; the box is stretched
to the unit square; leaves are whole shapes of floats, and are not rotated by the similarity.
"""

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from ert._core.images import channel_weights
from ert._core.runtime import kernel_property
from ert._kernels import compile_dlib_cascade
from ert.model.cascade import NO_MIRROR_MAP, FieldsOnly, PlainKernels, Stage, check_arrays, quantize_basis, stack_stages

if TYPE_CHECKING:
    from ert._kernels import CompiledCascade

# Of the 136 numbers in a leaf of a 68-point model, as many as fit into a fifth of the size of dlib's file.
N_DISPLACEMENTS = 128
N_FINE = 16
# The margin around the box that is copied of an image that kernels cannot read, in sides of the box.
COPY_MARGIN_SIDES = 3
# Directions with less than this part of the largest one's squared length are rounding errors.
MIN_SQUARED_LENGTH = 1e-12

# The kernel takes weights for gray images too.
GRAY_WEIGHTS = channel_weights("rgb", "dlib")


@dataclass(frozen=True)
class DlibCascade(FieldsOnly):
    """The arrays of a `shape_predictor`; the first axis of all but the mean shape is the stage.

    Parameters
    ----------
    mean_shape : float32 array (n_landmarks, 2)
        The initial shape, in box coordinates.
    anchors : uint16 array (n_stages, n_pixels)
    deltas : float32 array (n_stages, n_pixels, 2)
    pairs : uint16 array (n_stages, n_trees, n_splits, 2)
    thresholds : float32 array (n_stages, n_trees, n_splits)
    leaves : float32 array (n_stages, n_trees, n_leaves, 2 * n_landmarks)
        x0, y0, x1, y1, ... In a compact cascade int8 or int16 (n_stages, n_trees, n_leaves, n_components).
    scales : float32 array (n_stages, n_components)
    basis : int16 array (n_stages, n_components, 2 * n_landmarks)
        The basis of a compact cascade's leaves, see :class:`ert.model.cascade.Stage`; n_components is 0 in an
        exact one.
    """

    mean_shape: npt.NDArray[np.float32]
    anchors: npt.NDArray[np.uint16]
    deltas: npt.NDArray[np.float32]
    pairs: npt.NDArray[np.uint16]
    thresholds: npt.NDArray[np.float32]
    leaves: npt.NDArray[np.float32] | npt.NDArray[np.signedinteger]
    scales: npt.NDArray[np.float32]
    basis: npt.NDArray[np.int16]

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return all arrays by name, for the model file."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_stages(cls, mean_shape: npt.NDArray[np.float32], stages: list[Stage]) -> Self:
        """Assemble stages that were trained here to a compact cascade."""
        arrays = stack_stages(stages)
        arrays["thresholds"] = arrays["thresholds"].astype(np.float32)
        return cls(mean_shape, **arrays)

    def stages(self) -> list[Stage]:
        """Return the stages one by one."""
        arrays = {name: array for name, array in self.arrays().items() if name != "mean_shape"}
        return [Stage(*parts) for parts in zip(*arrays.values(), strict=True)]

    def predict_face(
        self,
        image: npt.NDArray[np.uint8],
        box: tuple[float, float, float, float],
        inits: npt.NDArray[np.float64],
        channel_order: str,
        gray_weights: str,
        mirror_map: npt.NDArray[np.intp] = NO_MIRROR_MAP,
    ) -> npt.NDArray[np.float64]:
        """Locate the landmarks of one face, see :meth:`ert.model.cascade.Cascade.predict_face`."""
        flags = image.flags
        column = row = 0
        if not (flags.c_contiguous and flags.writeable):
            # Kernels are compiled for one kind of array. No working cascade reads pixels farther away.
            columns, rows = (
                slice(
                    max(int(low - COPY_MARGIN_SIDES * side), 0), max(int(low + (COPY_MARGIN_SIDES + 1) * side) + 1, 1)
                )
                for low, side in ((box[0], box[2]), (box[1], box[3]))
            )
            image, column, row = image[rows, columns].copy(), columns.start, rows.start
        color = 1 if image.ndim == 2 else 3, channel_weights(channel_order, gray_weights)
        pixels, origin = image.reshape(len(image), -1), (column, row)
        landmarks, compiled = np.empty((len(inits), *self.mean_shape.shape)), self.compiled
        left, top, width, height = box
        for number, (shift_x, shift_y, scale, mirrored) in enumerate(inits.tolist()):
            place = left, top, width, height
            # The box itself is left as it is, to the last bit.
            if (shift_x, shift_y, scale) != (0, 0, 1):
                x, y = shift_x + (1 - scale) / 2, shift_y + (1 - scale) / 2
                right, down = width - 1, height - 1
                place = left + x * right, top + y * down, scale * right + 1, scale * down + 1
            if mirrored:
                # From its right end to its left.
                place = place[0] + place[2] - 1, place[1], 2 - place[2], place[3]
            found = landmarks[number : number + 1]
            compiled.entry_point(pixels, origin, place, 0, color, compiled.bound, found)
            if mirrored:
                landmarks[number, mirror_map] = landmarks[number].copy()
        return landmarks

    @kernel_property
    def compiled(self) -> "CompiledCascade":
        """Return the arguments of the kernel of one face, and the kernel."""
        return compile_dlib_cascade(self.arrays())

    @kernel_property
    def plain_kernels(self) -> PlainKernels:
        """Return the kernel of one face of a gray image, from one initialization."""
        compiled = self.compiled
        rest = (1, GRAY_WEIGHTS), compiled.bound
        return PlainKernels(compiled.entry_point, rest, (1, *self.mean_shape.shape), None)


def check_dlib_cascade(cascade: DlibCascade) -> None:
    """Check that the arrays fit together, that no index in them is out of bounds, and no number absurd."""
    n_components = cascade.basis.shape[1]
    size: int = n_components
    types: tuple[str, ...] = ("int8", "int16")
    if n_components == 0:
        size, types = 2 * len(cascade.mean_shape), ("float32",)
    check_arrays(cascade.arrays(), "float32", size, types, "int16", len(cascade.anchors))


def compact(cascade: DlibCascade) -> DlibCascade:
    """Express each stage's leaves in their principal displacements, as 8-bit integers.

    The first displacements, which move the shape most, are in the basis twice: with a coarse scale, and with
    the fine scale of what rounding to it leaves. Landmarks of single faces move, by half a pixel on average,
    because the least rounding changes some splits and later stages; the error over many faces does not
    change.

    Parameters
    ----------
    cascade : DlibCascade
        With leaves of floats.

    Returns
    -------
    DlibCascade
        Itself, if it is compact already.
    """
    if cascade.basis.shape[1]:
        return cascade
    n_stages, n_trees, n_leaves, n_values = cascade.leaves.shape
    found = []
    for stage in range(n_stages):
        rows = cascade.leaves[stage].reshape(-1, n_values).astype(np.float64)
        values, vectors = np.linalg.eigh(rows.T @ rows)
        found.append((rows, vectors[:, ::-1], int((values > MIN_SQUARED_LENGTH * values[-1]).sum())))
    # Cascades trained here have no more directions than components: the rest are rounding errors.
    kept = max(1, min(N_DISPLACEMENTS, max(rank for *_, rank in found)))
    fine = min(kept, N_FINE)
    leaves = np.empty((n_stages, n_trees, n_leaves, kept + fine), np.int8)
    scales = np.empty((n_stages, kept + fine), np.float32)
    basis = np.empty((n_stages, kept + fine, n_values), np.int16)
    for stage, (rows, vectors, _) in enumerate(found):
        directions = vectors[:, :kept]
        amounts = rows @ directions
        coarse, coarse_units = _whole_numbers(amounts)
        rest, fine_units = _whole_numbers((amounts - coarse * coarse_units)[:, :fine])
        leaves[stage] = np.hstack([coarse, rest]).reshape(n_trees, n_leaves, -1)
        scales[stage], basis[stage] = quantize_basis(
            np.hstack([directions, directions[:, :fine]]).T, np.append(coarse_units, fine_units), np.int16
        )
    return replace(cascade, leaves=leaves, scales=scales, basis=basis)


def _whole_numbers(amounts: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    scales = np.maximum(np.abs(amounts).max(axis=0) / np.iinfo(np.int8).max, 1e-12)
    return np.rint(amounts / scales), scales


def expand(cascade: DlibCascade) -> DlibCascade:
    """Undo :func:`compact`, up to rounding: leaves are whole shapes of floats again."""
    basis = cascade.basis * cascade.scales[:, :, None]
    leaves = np.einsum("stld,sdv->stlv", cascade.leaves.astype(np.float32), basis)
    return replace(cascade, leaves=leaves, scales=cascade.scales[:, :0], basis=cascade.basis[:, :0])
