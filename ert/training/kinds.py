"""The two kinds of cascade that can be trained, and all that differs between them.

"ert" is the library's own kind. "dlib" follows dlib's `shape_predictor`, so that dlib can run the model.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ert._core.exceptions import InputError
from ert._core.images import image_size
from ert._core.types import Floats, Pixels
from ert.inference.validation import Face
from ert.model.cascade import Cascade, Stage, stack_stages
from ert.model.cropping import CropSpec, crop_native, raw_sizes
from ert.model.dlib_cascade import DlibCascade, expand
from ert.model.geometry import box_frames, stretched_frames


@dataclass(frozen=True)
class CascadeKind:
    """What a kind of cascade does in its own way."""

    # (settings, boxes, what): raise an InputError when this kind cannot use them.
    check: Callable[[Mapping[str, Any], Floats, str], None]
    # Boxes (n, 4) -> transforms (n, 6) from box coordinates to image pixels.
    box_transforms: Callable[[Floats], Floats]
    # (X, transforms, crop_spec) -> columns and rows (n, 2) that crops have at most.
    crop_sizes: Callable[[Sequence[Face], Floats, CropSpec], npt.NDArray[np.int64]]
    # (image, transform, crop_spec, channel_order, gray_weights) -> a crop (columns, rows) and its transform.
    cut: Callable[[Pixels, Floats, CropSpec, str, str], tuple[Pixels, Floats]]
    # Whether a stage's displacement is rotated and scaled with the current shape.
    rotates_displacements: bool
    basis_dtype: type[np.signedinteger]
    # Whether leaves of the finished model are displacements of all landmarks in float32.
    has_float_leaves: bool
    # (mean_shape, crop_spec, stages, stages_per_basis) -> the cascade.
    assemble: Callable[[npt.NDArray[np.float32], CropSpec, list[Stage], int], Cascade | DlibCascade]
    # The cascade after the last stage -> the cascade of the model.
    finish: Callable[[Any], Cascade | DlibCascade]


def _resampled_sizes(X: Sequence[Face], transforms: Floats, crop_spec: CropSpec) -> npt.NDArray[np.int64]:
    return np.tile(np.array(crop_spec.shape, np.int64), (len(X), 1))


def _assemble(
    mean_shape: npt.NDArray[np.float32], crop_spec: CropSpec, stages: list[Stage], stages_per_basis: int
) -> Cascade:
    arrays = stack_stages(stages, stages_per_basis)
    return Cascade(mean_shape, crop_spec, **arrays, stages_per_basis=stages_per_basis)


def _check_dlib(settings: Mapping[str, Any], boxes: Floats, what: str) -> None:
    if settings["gray_weights"] != "dlib":
        raise InputError(f"gray_weights={settings['gray_weights']!r}: expected 'dlib' with kind='dlib'")
    thin = np.flatnonzero((boxes[:, 2:] <= 1).any(axis=1))
    if len(thin):
        size = " x ".join(f"{side:g}" for side in boxes[thin[0], 2:])
        raise InputError(f"{what}[{thin[0]}]: a box of {size} pixels, expected more than 1 each way")


def _native_sizes(X: Sequence[Face], transforms: Floats, crop_spec: CropSpec) -> npt.NDArray[np.int64]:
    sizes = raw_sizes(transforms, crop_spec.region)
    for i, (image, _) in enumerate(X):
        if isinstance(image, (str, os.PathLike)):
            columns, rows = image_size(image)
        else:
            rows, columns = np.shape(image)[:2]
        # At most the image, and one pixel on either side in place of everything outside it.
        sizes[i] = np.minimum(sizes[i], (columns + 2, rows + 2))
    return sizes


def _cut_native(
    image: Pixels, transform: Floats, crop_spec: CropSpec, channel_order: str, gray_weights: str
) -> tuple[Pixels, Floats]:
    return crop_native(image, transform, crop_spec.region, channel_order, gray_weights)


def _assemble_dlib(
    mean_shape: npt.NDArray[np.float32], crop_spec: CropSpec, stages: list[Stage], stages_per_basis: int
) -> DlibCascade:
    return DlibCascade.from_stages(mean_shape, stages)


KINDS = {
    "ert": CascadeKind(
        check=lambda settings, boxes, what: None,
        box_transforms=box_frames,
        crop_sizes=_resampled_sizes,
        cut=lambda image, transform, crop_spec, *colors: crop_spec.cut(image, transform, *colors),
        rotates_displacements=True,
        basis_dtype=np.int8,
        has_float_leaves=False,
        assemble=_assemble,
        finish=lambda cascade: cascade,
    ),
    "dlib": CascadeKind(
        check=_check_dlib,
        box_transforms=stretched_frames,
        crop_sizes=_native_sizes,
        cut=_cut_native,
        rotates_displacements=False,
        basis_dtype=np.int16,
        has_float_leaves=True,
        assemble=_assemble_dlib,
        # As the .dat file will have it, so that dlib finds the same landmarks.
        finish=expand,
    ),
}
