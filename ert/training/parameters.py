"""The parameters of training and their limits, and the two kinds of cascade that can be trained.

"ert" is the library's own kind. "dlib" follows dlib's `shape_predictor`, so that dlib can run the model.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from ert._core.exceptions import InputError, quoted
from ert._core.images import image_size
from ert._core.types import Floats, Pixels
from ert.inference.validation import Face
from ert.metrics import NORMALIZERS
from ert.model.cascade import Cascade, Stage, stack_stages
from ert.model.cropping import CropSpec, crop_native, raw_sizes
from ert.model.dlib_cascade import DlibCascade, expand
from ert.model.geometry import box_transforms, image_to_box, stretched_transforms
from ert.model.limits import PARAMETER_LIMITS


@dataclass(frozen=True)
class CascadeKind:
    """All that differs between the two kinds of cascade."""

    # (settings, boxes, what): raise an InputError when this kind cannot use them.
    check: Callable[[Mapping[str, Any], Floats, str], None]
    # Boxes (n, 4) -> transforms (n, 6) from box coordinates to image pixels.
    box_transforms: Callable[[Floats], Floats]
    # (X, transforms, crop_spec) -> columns and rows (n, 2) that crops have at most; no X where copies are cut.
    crop_sizes: Callable[[Sequence[Face], Floats, CropSpec], npt.NDArray[np.int64]]
    # (image, transform, crop_spec, channel_order, gray_weights) -> a crop (columns, rows) and its transform.
    cut: Callable[[Pixels, Floats, CropSpec, str, str], tuple[Pixels, Floats]]
    # Whether boxes that are not square are stretched to a square.
    stretches: bool
    # Whether a stage's displacement is rotated and scaled with the current shape.
    rotates_displacements: bool
    basis_dtype: type[np.signedinteger]
    # Whether leaves of the finished model are displacements of all landmarks in float32.
    has_float_leaves: bool
    # (mean_shape, crop_spec, stages, stages_per_basis) -> the cascade.
    assemble: Callable[[npt.NDArray[np.float32], CropSpec, list[Stage], int], Cascade | DlibCascade]
    # The cascade after the last stage -> the cascade of the model.
    finish: Callable[[Any], Cascade | DlibCascade]


def _check_dlib(settings: Mapping[str, Any], boxes: Floats, what: str) -> None:
    if settings["gray_weights"] != "dlib":
        raise InputError(f"gray_weights={settings['gray_weights']!r}: expected 'dlib' with kind='dlib'")
    if settings["channels"] != "gray":
        raise InputError(f"channels={settings['channels']!r}: expected 'gray' with kind='dlib'")
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
            rows, columns = np.shape(np.asarray(image))[:2]
        # At most the image, and one pixel on either side in place of everything outside it.
        sizes[i] = np.minimum(sizes[i], (columns + 2, rows + 2))
    return sizes


KINDS = {
    "ert": CascadeKind(
        check=lambda settings, boxes, what: None,
        box_transforms=box_transforms,
        crop_sizes=lambda X, transforms, crop_spec: np.tile(np.array(crop_spec.shape, np.int64), (len(transforms), 1)),
        cut=lambda image, transform, crop_spec, *colors: crop_spec.cut(image, transform, *colors),
        stretches=False,
        rotates_displacements=True,
        basis_dtype=np.int8,
        has_float_leaves=False,
        assemble=lambda mean_shape, crop_spec, stages, stages_per_basis: Cascade(
            mean_shape, crop_spec, **stack_stages(stages, stages_per_basis), stages_per_basis=stages_per_basis
        ),
        finish=lambda cascade: cascade,
    ),
    "dlib": CascadeKind(
        check=_check_dlib,
        box_transforms=stretched_transforms,
        crop_sizes=_native_sizes,
        cut=lambda image, transform, crop_spec, *colors: crop_native(image, transform, crop_spec.region, *colors),
        stretches=True,
        rotates_displacements=False,
        basis_dtype=np.int16,
        has_float_leaves=True,
        assemble=lambda mean_shape, crop_spec, stages, stages_per_basis: DlibCascade.from_stages(mean_shape, stages),
        # As the .dat file will have it, so that dlib finds the same landmarks.
        finish=expand,
    ),
}

# Parameters that do not change the model and are not stored in it.
NOT_SAVED = ("n_jobs", "max_memory", "verbose")
# Parameters that are stored only where they have other values than these, as in files from before there were any.
NEUTRAL: dict[str, Any] = {
    "n_members": 1,
    "tree_target": "shape",
    "channels": "gray",
    "spread_decay": 1.0,
    "warp": 0.0,
    "lighting": 0.0,
}

# See `pool_advice`. For 220 drawn faces in boxes of 1 to 10 times their size, a spread of 1.5 standard deviations of
# their place in the box divides the error by 2 to 8 far beyond these limits, and by 0.8 to 2 near them.
MIN_EXTENT, MAX_SCATTER, SPREAD_PER_SCATTER = 0.15, 0.25, 1.5
# Narrower objects have a pool of this width.
MIN_POOL_WIDTH = 0.2
# All candidate splits of a stage are drawn before it is grown; this many take 5 GB.
MAX_CANDIDATES = 500_000_000
_CHOICES: dict[str, tuple[object, ...]] = {
    "kind": tuple(KINDS),
    "leaf_bits": (8, 16),
    "normalizer": (None, *NORMALIZERS),
    "channel_order": ("rgb", "bgr"),
    "gray_weights": ("luma", "dlib"),
    "tree_target": ("shape", "landmark"),
    "channels": ("gray", "gray+orientation"),
}


@dataclass(frozen=True)
class Options:
    """The parameters of :class:`ert.ShapePredictor` that determine how stages are trained."""

    kind: str
    n_trees: int
    max_depth: int
    learning_rate: float
    n_trees_averaged: int
    n_pixels: int
    n_pool_candidates: int
    n_split_tests: int
    prior_length: float
    padding: float
    pool_spread: float
    spread_decay: float
    tree_target: str
    channels: str
    n_components: int
    stages_per_basis: int
    leaf_bits: int
    n_inits: int
    n_shapes_mixed: int
    shift_jitter: float
    scale_jitter: float
    roll_jitter: float
    occlusion: float
    warp: float
    lighting: float
    random_state: int

    @property
    def cascade_kind(self) -> CascadeKind:
        """The kind of cascade that is trained."""
        return KINDS[self.kind]


def check_parameters(params: Mapping[str, Any]) -> None:
    """Check the parameters of :class:`ert.ShapePredictor`."""
    for name, (kind, low, high) in PARAMETER_LIMITS.items():
        value = params[name]
        is_integer = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
        if not (is_integer or (kind is float and isinstance(value, (float, np.floating)))):
            raise InputError(f"{name}={quoted(value)}: expected {'an integer' if kind is int else 'a number'}")
        if not low <= value <= high:
            raise InputError(f"{name}={quoted(value)}: expected {low:g} to {high:g}")
    candidates = params["n_trees"] * 2 ** params["max_depth"] * params["n_split_tests"]
    if candidates > MAX_CANDIDATES:
        product = f"n_trees * 2**max_depth * n_split_tests = {candidates}"
        raise InputError(f"{product} candidate splits per stage: expected at most {MAX_CANDIDATES}")
    for name, choices in _CHOICES.items():
        # An array equals nothing, but item by item.
        if isinstance(params[name], np.ndarray) or params[name] not in choices:
            raise InputError(f"{name}={quoted(params[name])}: expected one of {', '.join(map(str, choices))}")
    if params["kind"] == "dlib" and params["n_members"] > 1:
        raise InputError(f"n_members={params['n_members']}: expected 1 with kind='dlib'")
    if params["tree_target"] == "landmark" and not params["pool_spread"]:
        raise InputError("pool_spread=0: expected more than 0 with tree_target='landmark'")


def pool_advice(landmarks: Floats, boxes: Floats) -> str | None:
    """Return which `pool_spread` to try where objects are small in their boxes, or lie elsewhere in each; else None."""
    extent, scatter, spread = measure_spread(landmarks, boxes)
    if not spread:
        return None
    return (
        f"the landmarks fill {extent:.0%} of the side of their boxes, and their place in it varies by {scatter:.0%} "
        f"(standard deviation): boxes closer to the landmarks, or else pool_spread={spread:.2g} (--pool-spread), are "
        "likely to give smaller errors"
    )


def measure_spread(landmarks: Floats, boxes: Floats) -> tuple[float, float, float]:
    """Return the size of objects, the standard deviation of their place, and the `pool_spread` that they need or 0.

    All are in sides of the box, in the direction in which they are larger. The feature pool lies on the mean shape:
    where most of an object is elsewhere, there is nothing to compare.
    """
    if not landmarks.size:
        return 0, 0, 0
    shapes = image_to_box(landmarks, box_transforms(boxes))
    low, high = np.nanmin(shapes, axis=1), np.nanmax(shapes, axis=1)
    extent = np.median(high - low, axis=0)
    centers = (low + high) / 2
    distances = np.abs(centers - np.median(centers, axis=0))
    # Farther ones are mistakes, of which a single one could decide.
    scatter = centers.std(axis=0, where=distances <= 10 * np.median(distances, axis=0))
    spread = 0.0
    if extent.max() < MIN_EXTENT or (scatter > MAX_SCATTER * np.maximum(extent, MIN_POOL_WIDTH)).any():
        _, _, largest = PARAMETER_LIMITS["pool_spread"]
        spread = min(max(0.05, round(SPREAD_PER_SCATTER * float(scatter.max()) / 0.05) * 0.05), largest)
    return float(extent.max()), float(scatter.max()), spread


def plain_params(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that determine the model, as Python numbers, for the file and its digest."""
    params = without_neutral({name: value for name, value in settings.items() if name not in NOT_SAVED})
    if not isinstance(params["mirror"], str | None):
        try:
            params["mirror"] = np.asarray(params["mirror"]).tolist()
        except ValueError:
            raise InputError(f"mirror={quoted(params['mirror'])}: expected a name or a list of integers") from None
    # A grid search passes NumPy numbers, which JSON cannot store.
    return {key: value.item() if isinstance(value, np.generic) else value for key, value in params.items()}


def without_neutral(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters but those that have their value of NEUTRAL."""
    # Arrays, which are refused later, equal nothing.
    return {
        name: value
        for name, value in params.items()
        if name not in NEUTRAL or isinstance(value, np.ndarray) or value != NEUTRAL[name]
    }


def training_options(params: Mapping[str, Any]) -> Options:
    """Return the parameters that training needs."""
    known = NEUTRAL | dict(params)
    return Options(**{field.name: known[field.name] for field in fields(Options)})
