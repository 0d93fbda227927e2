"""A fitted model: all results of a fit, read from and written to model files."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ert._core.estimator import not_fitted_error
from ert._core.exceptions import InputError, one_line, quoted
from ert._core.files import as_path
from ert.model.cascade import Cascade, check_cascade
from ert.model.confidence import NORMALIZER_ARGS, ConfidenceModel
from ert.model.cropping import CropSpec
from ert.model.dlib_cascade import DlibCascade, check_dlib_cascade, compact
from ert.model.ert_format import read_model_file, write_model_file
from ert.model.locator import Locator
from ert.model.members import further_members, member_arrays, take_members
from ert.model.schemes import check_names, resolve_mirror_map

_BOX_CONVENTION = "left, top, width, height in pixels; the unit square is from the first pixel's center to the last's"
# Pools of at most this many pixels are read by other kernels than larger ones, on some processors.
MAX_MASK_PIXELS = 512
# Given by the user, the whole image, a face detector, or the locator in the model.
BOX_SOURCES = ("given", "whole", "face", "learned")
# Of models that find their objects without a detector of faces.
OBJECT_SOURCES = ("whole", "learned")
_COUNTS = ("n_objects", "n_samples", "n_missing")
# None where there was nothing to measure them on.
_CONFIDENCE_FIGURES = ("background_rejected", "failed_auc")
# Of the error of new photos: counts, texts, numbers, and numbers that may be None.
_VALIDATION_COUNTS = ("n_images", "n_objects", "n_found")
_VALIDATION_TEXTS = ("method", "normalizer", "unit")
_VALIDATION_NUMBERS = ("error", "low", "high", "training_error", "pixels")
_VALIDATION_FIGURES = ("length", "scattered_error")
# Of photos without annotations that were learned from.
_UNLABELLED_COUNTS = ("n_photos", "n_empty", "n_unreadable", "n_marked", "n_kept")


@dataclass(frozen=True)
class Fitted:
    """The result of a fit.

    Parameters
    ----------
    cascade : Cascade or DlibCascade
    params : dict
        The parameters that it was trained with, as JSON types.
    landmark_names : tuple of str
    mirror_map : int array (n_landmarks,) or None
    history : list of dict
        For each stage: "stage", "train_nme" and, with validation data, "validation_nme", in percent. Then the same
        of the other members, with "member", from 2.
    summary : dict
        The training data: "n_objects", "n_samples", "n_missing", "digest" of the data, "library_version"
        and "notes"; "validation", if the error of new photos was measured; "trained_on", by which objects of the
        training data are recognized; "unlabelled", if photos without annotations were learned from.
    confidence_model : ConfidenceModel or None
    confidence_summary : dict
        The training data of the confidence model, and how well it assessed objects left out.
    box_source : {"given", "whole", "face", "learned"}
        Where the boxes come from that it was trained on.
    locator : Locator or None
        Finds the boxes of a model whose boxes are "learned".
    further_members : tuple of Cascade
        Cascades that were trained alike, which share the initializations of a prediction with the first.
    """

    cascade: Cascade | DlibCascade
    params: dict[str, Any]
    landmark_names: tuple[str, ...]
    mirror_map: npt.NDArray[np.intp] | None
    history: list[dict[str, float]]
    summary: dict[str, Any]
    confidence_model: ConfidenceModel | None = None
    confidence_summary: dict[str, Any] = field(default_factory=dict)
    box_source: str = "given"
    locator: Locator | None = None
    further_members: tuple[Cascade | DlibCascade, ...] = ()

    @property
    def members(self) -> tuple[Cascade | DlibCascade, ...]:
        """All cascades, the first first."""
        return self.cascade, *self.further_members

    @cached_property
    def kernels(self) -> tuple[object, ...]:
        """Identify the kernels that prediction needs: equal for models that share them."""
        cascade = self.cascade
        sizes = cascade.thresholds.shape[2], cascade.anchors.shape[1] <= MAX_MASK_PIXELS
        return type(cascade).__name__, cascade.leaves.dtype.char, sizes, self.confidence_model is not None

    def require_confidence_model(self) -> ConfidenceModel:
        """Return the confidence model.

        Raises
        ------
        InputError
            When there is none.
        """
        if self.confidence_model is None:
            raise InputError(
                "this model has no confidence model: train it with fit_confidence, or ert train --confidence"
            )
        return self.confidence_model


class FittedAttributes:
    """The parts of a fitted model as attributes of its predictor, with scikit-learn's trailing underscore."""

    fitted_: Fitted

    def _fitted(self) -> Fitted:
        if not hasattr(self, "fitted_"):
            raise not_fitted_error("this ShapePredictor is not fitted: call fit, or load a model")
        return self.fitted_

    @property
    def cascade_(self) -> Cascade | DlibCascade:
        """The fitted cascade."""
        return self._fitted().cascade

    @property
    def members_(self) -> tuple[Cascade | DlibCascade, ...]:
        """All fitted cascades, `n_members` of them; the first is `cascade_`."""
        return self._fitted().members

    @property
    def landmark_names_(self) -> tuple[str, ...]:
        """The names of the landmarks."""
        return self._fitted().landmark_names

    @property
    def mirror_map_(self) -> npt.NDArray[np.intp] | None:
        """For each landmark, the index of its mirror image."""
        return self._fitted().mirror_map

    @property
    def history_(self) -> list[dict[str, float]]:
        """The errors after each stage of the fit, in percent."""
        return self._fitted().history

    @property
    def summary_(self) -> dict[str, Any]:
        """Counts of the training data, version and notes."""
        return self._fitted().summary

    @property
    def confidence_model_(self) -> ConfidenceModel | None:
        """The confidence model, or None."""
        return self._fitted().confidence_model

    @property
    def box_source_(self) -> str:
        """Where boxes come from: "given", "whole", "face" or "learned"."""
        return self._fitted().box_source

    @property
    def n_landmarks_(self) -> int:
        """The number of landmarks."""
        return len(self._fitted().cascade.mean_shape)

    def std_radius(self, level: float = 0.9) -> float:
        """Return the radius, in standard errors, that contains true landmarks with a probability."""
        if not 0 <= level <= 1:
            raise InputError(f"level={level!r}: expected 0 to 1")
        return self._fitted().require_confidence_model().radius(level)


def compacted(fitted: Fitted) -> Fitted:
    """Return a model whose leaves are small integers, as those of ``kind="ert"`` always are."""
    cascade = fitted.cascade
    return replace(fitted, cascade=compact(cascade)) if isinstance(cascade, DlibCascade) else fitted


def stage_text(entry: Mapping[str, float]) -> str:
    """Return which stage an entry of `history_` is about: "stage 3", or "stage 3 of member 2"."""
    return f"stage {entry['stage']:.0f}" + (f" of member {entry['member']:.0f}" if "member" in entry else "")


def array_bytes(cascade: Cascade | DlibCascade) -> int:
    """Return the bytes of a cascade's arrays."""
    return sum(array.nbytes for array in cascade.arrays().values())


def model_sizes(fitted: Fitted) -> dict[str, int]:
    """Return the sizes of the first cascade's parts, the number of cascades and the bytes of their arrays."""
    cascade = fitted.cascade
    n_stages, n_trees, n_leaves, n_components = cascade.leaves.shape
    return {
        "stages": n_stages,
        "trees_per_stage": n_trees,
        "leaves_per_tree": n_leaves,
        "components": n_components,
        "bits_per_leaf_number": 8 * cascade.leaves.dtype.itemsize,
        "members": len(fitted.members),
        "array_bytes": sum(map(array_bytes, fitted.members)),
    }


def write_fitted(path: str | os.PathLike[str], fitted: Fitted, compress: bool = False) -> None:
    """Write a fitted model: `.dat` in dlib's format, any other file as a compact model file.

    Raises
    ------
    InputError
        When the file cannot be written, or its format cannot express the model.
    """
    cascade = fitted.cascade
    if (path := as_path(path)).suffix == ".dat":
        if compress:
            raise InputError(f"{path}: dlib's format has no compressed models; expected .ert")
        if isinstance(cascade, Cascade):
            reason = "it reads resampled crops and rotates its displacements with the shape"
            advice = "train with kind='dlib' for that"
            raise InputError(f"{path}: dlib's format cannot express this model: {reason}; {advice}")
        if fitted.params.get("gray_weights") != "dlib":
            raise InputError(f"{path}: dlib's format cannot express gray_weights={fitted.params.get('gray_weights')!r}")
        from ert.model.dlib_format import write_dlib_file

        write_dlib_file(path, cascade)
        return
    mirror_map = fitted.mirror_map
    header: dict[str, Any] = {
        "box_convention": _BOX_CONVENTION,
        "params": fitted.params,
        "landmark_names": list(fitted.landmark_names),
        "mirror_map": None if mirror_map is None else mirror_map.tolist(),
        "history": fitted.history,
        "summary": fitted.summary,
    }
    if fitted.box_source != BOX_SOURCES[0]:
        header["box_source"] = fitted.box_source
    if isinstance(cascade, Cascade):
        crop_spec = cascade.crop_spec
        header |= {"kind": "ert", "crop_spec": asdict(crop_spec) | {"region": crop_spec.region.tolist()}}
        header |= {"stages_per_basis": cascade.stages_per_basis}
    else:
        header |= {"kind": "dlib"}
    arrays, confidence_model = cascade.arrays(), fitted.confidence_model
    if fitted.further_members:
        header["n_members"] = len(fitted.members)
        arrays |= member_arrays(fitted.further_members)
    if confidence_model is not None:
        header["confidence"] = confidence_model.header() | {"summary": fitted.confidence_summary}
        arrays |= confidence_model.arrays()
    if fitted.locator is not None:
        header["locator"] = fitted.locator.header()
        arrays |= fitted.locator.arrays()
    write_model_file(path, header, arrays, compress=compress)


def read_fitted(path: str | os.PathLike[str]) -> Fitted:
    """Read a model file, or dlib's `.dat`.

    Raises
    ------
    InputError
        When the file is damaged, truncated, foreign, of a newer version, or its parts do not fit together.
    """
    if Path(path).suffix == ".dat":
        from ert.model.dlib_format import read_dlib_file

        found = read_dlib_file(path)
        try:
            check_dlib_cascade(found)
        except InputError as error:
            raise InputError(f"{path}: the dlib model file does not hold a valid model: {error}") from error
        return _from_dlib(found)
    header, arrays = read_model_file(path)
    try:
        cascade: Cascade | DlibCascade
        confidence = header.get("confidence")
        # Its arrays are removed: those left are the cascade's.
        confidence_model = None if confidence is None else ConfidenceModel.from_file(confidence, arrays)
        locator = Locator.from_file(header["locator"], arrays) if "locator" in header else None
        others = take_members(header, arrays)
        if header["kind"] == "dlib":
            cascade = DlibCascade(**arrays)
            check_dlib_cascade(cascade)
        elif header["kind"] != "ert":
            raise InputError(f"kind={header['kind']!r}: expected ert or dlib")
        else:
            together = header["stages_per_basis"]
            cascade = Cascade(crop_spec=CropSpec.from_header(header["crop_spec"]), **arrays, stages_per_basis=together)
            check_cascade(cascade)
        n_landmarks = len(cascade.mean_shape)
        if NORMALIZER_ARGS.get(header["params"].get("normalizer"), (0,))[-1] > n_landmarks:
            raise InputError(f"{header['params']['normalizer']} distance of {n_landmarks} landmarks, expected 68")
        if locator is not None and len(locator.shape) != n_landmarks:
            raise InputError(f"a locator of {len(locator.shape)} landmarks, expected {n_landmarks}")
        return Fitted(
            cascade,
            header["params"],
            check_names(_check_texts("landmark_names", header["landmark_names"]), n_landmarks),
            resolve_mirror_map(header["mirror_map"], n_landmarks),
            _check_history(header["history"]),
            _check_summary(header["summary"]),
            confidence_model,
            {} if confidence is None else _check_confidence_summary(confidence["summary"]),
            _check_box_source(header.get("box_source", BOX_SOURCES[0])),
            locator,
            further_members(cascade, others) if isinstance(cascade, Cascade) else (),
        )
    except (AttributeError, LookupError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InputError(f"{path}: the model file does not hold a valid model: {one_line(str(error))}") from error


def _from_dlib(cascade: DlibCascade) -> Fitted:
    n_stages, n_trees, n_splits = cascade.thresholds.shape
    params = {
        "kind": "dlib",
        "n_stages": n_stages,
        "n_trees": n_trees,
        "max_depth": n_splits.bit_length(),
        "n_pixels": cascade.anchors.shape[1],
        "gray_weights": "dlib",
    }
    summary = dict.fromkeys(_COUNTS, 0) | {
        "digest": "",
        "library_version": "",
        "notes": {"origin": "a model file of dlib"},
    }
    return Fitted(cascade, params, check_names(None, len(cascade.mean_shape)), None, [], summary)


def _check_box_source(source: Any) -> str:
    if source not in BOX_SOURCES:
        raise InputError(f"box_source: {quoted(source)}, expected one of {', '.join(BOX_SOURCES)}")
    return str(source)


def _check_history(history: list[dict[str, float]]) -> list[dict[str, float]]:
    for entry in history:
        if "stage" not in entry:
            raise InputError("history: an entry without a stage")
        _check_numbers("history", entry, entry)
    return list(history)


def _check_summary(summary: dict[str, Any]) -> dict[str, Any]:
    _check_numbers("summary", summary, _COUNTS, whole=True)
    for key in ("digest", "library_version", *({"trained_on"} & summary.keys())):
        if not isinstance(summary[key], str):
            raise InputError(f"summary: {key} is {quoted(summary[key])}, expected a text")
    _check_texts("notes", list(summary["notes"].values()))
    validation = summary.get("validation")
    if validation is not None:
        _check_numbers("validation", validation, _VALIDATION_COUNTS, whole=True)
        _check_texts("validation", [validation[key] for key in _VALIDATION_TEXTS])
        known = [key for key in _VALIDATION_FIGURES if validation[key] is not None]
        _check_numbers("validation", validation, (*_VALIDATION_NUMBERS, *known))
    unlabelled = summary.get("unlabelled")
    if unlabelled is not None:
        _check_numbers("unlabelled", unlabelled, _UNLABELLED_COUNTS, whole=True)
        if unlabelled["spread"] is not None:
            _check_numbers("unlabelled", unlabelled, ("spread",))
    return summary


def _check_confidence_summary(summary: dict[str, Any]) -> dict[str, Any]:
    known = {key: value for key, value in summary.items() if value is not None or key not in _CONFIDENCE_FIGURES}
    _check_numbers("confidence", known, ("n_folds", *known))
    return dict.fromkeys(_CONFIDENCE_FIGURES) | summary


def _check_numbers(what: str, values: dict[str, Any], keys: Iterable[str], *, whole: bool = False) -> None:
    for key in keys:
        if isinstance(values[key], bool) or not isinstance(values[key], int if whole else (int, float)):
            expected = "an integer" if whole else "a number"
            raise InputError(f"{what}: {key} is {quoted(values[key])}, expected {expected}")


def _check_texts(what: str, texts: list[str]) -> list[str]:
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise InputError(f"{what}: expected texts")
    return texts
