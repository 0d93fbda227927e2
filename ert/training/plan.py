"""What a fit is determined by besides its images: checked parameters, boxes and landmarks."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ert._core.exceptions import InputError
from ert._core.types import Floats
from ert._core.version import __version__
from ert.inference.rotated import check_rolls
from ert.inference.validation import Face, box_array, check_landmarks, check_near, check_pairs
from ert.metrics import normalizer_lengths
from ert.model.cropping import CropSpec, check_crop_spec, crop_region
from ert.model.geometry import image_to_box, rotate_transforms
from ert.model.limits import (
    MAX_FILE_BYTES,
    MAX_SHAPE_SIDES,
    MAX_TEXT_BYTES,
    check_basis_products,
    check_bounds,
    check_landmark_count,
)
from ert.model.schemes import check_names, resolve_mirror_map
from ert.training.memory import MemoryPlan, Sizes, plan_memory
from ert.training.parameters import CascadeKind, Options, check_parameters, plain_params, training_options
from ert.training.samples import count_inits


@dataclass(frozen=True)
class Plan:
    """A fit whose arguments have been checked."""

    # Those of the estimator, and those that are stored in the model.
    settings: Mapping[str, Any]
    params: dict[str, Any]
    options: Options
    # The training data, and the validation data if there is any.
    parts: Mapping[str, "Objects"]
    # The initializations of each object.
    counts: npt.NDArray[np.int64]
    landmark_names: tuple[str, ...]
    notes: dict[str, str]
    mirror_map: npt.NDArray[np.intp] | None
    crop_spec: CropSpec

    @property
    def kind(self) -> CascadeKind:
        """The kind of cascade that is trained."""
        return self.options.cascade_kind

    @property
    def objects(self) -> "Objects":
        """The training data."""
        return self.parts["train"]

    @property
    def min_contrast(self) -> float:
        """The least contrast of crops whose light has been changed."""
        return self.crop_spec.min_contrast if self.options.kind == "ert" else 0.0

    def crop_sizes(self) -> dict[str, npt.NDArray[np.int64]]:
        """Return the columns and rows (n, 2) that the crops of each part have at most."""
        return {
            name: self.kind.crop_sizes(
                part.X if part.rolls is None else (), self.kind.box_transforms(part.boxes), self.crop_spec
            )
            for name, part in self.parts.items()
        }

    def plan_memory(self, crop_sizes: Mapping[str, npt.NDArray[np.int64]]) -> MemoryPlan:
        """Return which arrays are mapped from files, for crops of these sizes: of all objects, or of some."""
        n_objects = len(crop_sizes["train"])
        mirrored = self.mirror_map is not None
        n_samples = int(self.counts.sum()) * (2 if mirrored else 1) * n_objects // len(self.objects.boxes)
        sizes = Sizes(
            n_objects=n_objects,
            n_samples=n_samples,
            n_validation=len(crop_sizes.get("validation", ())),
            n_landmarks=self.objects.shapes.shape[1],
            n_stages=self.settings["n_members"] * self.settings["n_stages"],
            mirrored=mirrored,
            missing=self.objects.n_missing > 0,
            crop_bytes=sum(int(part.prod(axis=1).sum()) for part in crop_sizes.values()),
        )
        return plan_memory(self.settings["max_memory"], sizes, self.options)

    def summary(self, digest: str) -> dict[str, Any]:
        """Return what the model keeps about its training data."""
        return {
            "n_objects": len(self.objects.boxes),
            "n_samples": int(self.counts.sum()) * (1 if self.mirror_map is None else 2),
            "n_missing": self.objects.n_missing,
            "digest": digest,
            "library_version": __version__,
            "notes": self.notes,
        }


def plan_fit(
    settings: Mapping[str, Any],
    X: Sequence[Face],
    y: npt.ArrayLike,
    *,
    validation: tuple[Any, ...] | None,
    rolls: npt.ArrayLike | None,
    sample_weight: npt.ArrayLike | None,
    landmark_names: Sequence[str] | None,
    notes: dict[str, str] | None,
) -> Plan:
    """Check the arguments of a fit; those are of :func:`ert.training.fit.fit_cascade`."""
    params = plain_params(settings)
    check_parameters(settings)
    options = training_options(params)
    kind = options.cascade_kind
    objects = _validate(X, y, rolls, kind, settings)
    counts = count_inits(sample_weight, len(objects.X), options)
    if not counts.all():
        used = objects.landmarks[counts > 0]
        check_landmarks(used, len(used), "y of objects with a weight")
    n_landmarks = objects.landmarks.shape[1]
    _check_model(objects, int(settings["n_members"]), params["n_stages"], options)
    names = check_names(landmark_names, n_landmarks)
    notes = {str(key): str(text) for key, text in (notes or {}).items()}
    if (n_bytes := len(json.dumps([names, notes]))) > MAX_TEXT_BYTES:
        raise InputError(f"landmark_names and notes take {n_bytes} bytes, expected at most {MAX_TEXT_BYTES}")
    mirror_map = resolve_mirror_map(settings["mirror"], n_landmarks)
    region = crop_region(objects.shapes, settings["padding"], mirror_map is not None)
    crop_spec = CropSpec(region, params["working_size"], params["blur"], params["min_contrast"])
    check_crop_spec(crop_spec)
    parts = {"train": objects}
    if validation is not None:
        if len(validation) not in (2, 3):
            raise InputError("validation: expected (X, y) or (X, y, rolls)")
        held_out, truth, *its_rolls = validation
        rolls = its_rolls[0] if its_rolls else None
        parts["validation"] = _validate(held_out, truth, rolls, kind, settings, n_landmarks=n_landmarks)
    return Plan(settings, params, options, parts, counts, names, notes, mirror_map, crop_spec)


@dataclass(frozen=True)
class Objects:
    """Validated objects: their landmarks, NaN where missing, in image pixels and in box coordinates."""

    X: Sequence[Face]
    what: str
    boxes: Floats
    # Degrees, see :meth:`ert.ShapePredictor.predict`; None where images are read as they are.
    rolls: Floats | None
    landmarks: Floats
    # From box coordinates to image pixels.
    transforms: Floats
    shapes: Floats

    @property
    def n_missing(self) -> int:
        """The number of missing landmarks."""
        return int(np.isnan(self.shapes[:, :, 0]).sum())


def _validate(
    X: Sequence[Face],
    y: npt.ArrayLike,
    rolls: npt.ArrayLike | None,
    kind: CascadeKind,
    settings: Mapping[str, Any],
    *,
    n_landmarks: int | None = None,
) -> Objects:
    """Check X and y, and compute box transforms; `n_landmarks` is given for validation data."""
    to_train = n_landmarks is None
    what, what_y = ("X", "y") if to_train else ("validation X", "validation y")
    boxes = box_array(check_pairs(X, what))
    landmarks = check_landmarks(y, len(X), what_y, to_train=to_train)
    if not len(X):
        raise InputError("validation: 0 objects, at least 1 is needed")
    check_near(landmarks, boxes, what_y)
    if not to_train and landmarks.shape[1] != n_landmarks:
        raise InputError(f"validation: {landmarks.shape[1]} landmarks, the training data has {n_landmarks}")
    if settings["normalizer"] is not None:
        # Its errors name the object.
        normalizer_lengths(landmarks, settings["normalizer"])
    kind.check(settings, boxes, what)
    transforms = kind.box_transforms(boxes)
    if rolls is not None:
        rolls = check_rolls(rolls, len(X))
        transforms = rotate_transforms(transforms, rolls)
    return Objects(X, what, boxes, rolls, landmarks, transforms, image_to_box(landmarks, transforms))


def _check_model(objects: Objects, n_members: int, n_stages: int, options: Options) -> None:
    """Check that the model will be within the bounds of :mod:`ert.model.limits`: it could not be loaded else."""
    n_landmarks = objects.landmarks.shape[1]
    check_landmark_count(n_landmarks)
    check_bounds("the mean shape", np.nanmean(objects.shapes, axis=0), -MAX_SHAPE_SIDES, MAX_SHAPE_SIDES)
    n_components = 2 * n_landmarks if objects.n_missing else min(options.n_components, 2 * n_landmarks)
    n_bases = -(-n_stages // options.stages_per_basis)
    n_leaves = n_stages * options.n_trees * 2**options.max_depth
    n_bytes = n_components * (n_leaves * options.leaf_bits // 8 + n_bases * 2 * n_landmarks)
    leaf_bytes = 8 * n_landmarks if options.cascade_kind.has_float_leaves else n_components * options.leaf_bits // 8
    if (size := n_members * n_leaves * (6 + leaf_bytes)) > MAX_FILE_BYTES:
        trees = (
            f"{n_members} members of " * (n_members > 1)
            + f"{n_stages} stages of {options.n_trees} trees with {2**options.max_depth} leaves"
        )
        raise InputError(f"{trees} take {size / 1e9:.3g} GB, expected at most {MAX_FILE_BYTES / 1e9:.3g} GB")
    check_basis_products(n_stages, n_components, n_landmarks, n_bytes)
