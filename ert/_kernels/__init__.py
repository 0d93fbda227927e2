"""Kernels: arrays in, arrays out. Other packages use the names below, and no module of this one.

compile_*           arrays ──> opaque arguments: packing, padding and alignment stay inside
predict_batch       several faces through a cascade
assess, observe     the confidence model
crop, rotate, gray  images
choice              compiled kernels, or NumPy
njit                compile a function, and keep it in the cache
the rest            training

Those of prediction are compiled or NumPy's, as :mod:`ert._kernels.start.choice` has it; numba is imported with the
first that is compiled.
"""

from typing import TYPE_CHECKING, Any

from ert._kernels.start import choice

if TYPE_CHECKING:
    from ert._kernels.cache import njit
    from ert._kernels.confidence import CompiledConfidence as CompiledConfidence
    from ert._kernels.confidence import observe_landmarks, run_forest
    from ert._kernels.grow import grow_trees
    from ert._kernels.predict import CompiledCascade as CompiledCascade
    from ert._kernels.stage import apply_stage, read_feature_pool
    from ert._kernels.workers import Workers

__all__ = [
    "Workers",
    "apply_stage",
    "assess_face",
    "choice",
    "compile_cascade",
    "compile_confidence",
    "compile_dlib_cascade",
    "crop_resampled",
    "grow_trees",
    "njit",
    "observe_landmarks",
    "predict_batch",
    "read_feature_pool",
    "rotate_image",
    "run_forest",
    "to_gray",
]


def _forms() -> Any:
    if choice.is_compiled():
        from ert._kernels.start import compiled

        return compiled
    from ert._kernels import numpy_forms

    return numpy_forms


def compile_cascade(*args: Any) -> "CompiledCascade":
    """Lay out a cascade, see :func:`ert._kernels.predict.compile_cascade`."""
    return _forms().compile_cascade(*args)  # type: ignore[no-any-return]


def compile_dlib_cascade(*args: Any) -> "CompiledCascade":
    """Lay out a cascade of dlib, see :func:`ert._kernels.predict_dlib.compile_dlib_cascade`."""
    return _forms().compile_dlib_cascade(*args)  # type: ignore[no-any-return]


def compile_confidence(*args: Any) -> "CompiledConfidence":
    """Lay out a confidence model, see :func:`ert._kernels.confidence.compile_confidence`."""
    return _forms().compile_confidence(*args)  # type: ignore[no-any-return]


def assess_face(compiled: "CompiledConfidence", *args: Any) -> float:
    """Assess the landmarks of one face in a gray image, see :func:`ert._kernels.confidence.assess_face`."""
    image, origin, landmarks, box_side, normalizer, std, within = args
    return compiled.entry_point(image, origin, landmarks, box_side, compiled.bound, normalizer, std, within)


def predict_batch(images: Any, weights: Any, boxes: Any, max_box_to_image: int, bound: Any, landmarks: Any) -> bool:
    """Locate several faces, see :func:`ert._kernels.predict.predict_batch`; NumPy, with no `bound`, does none."""
    if bound is None:
        return False
    from ert._kernels.start import compiled

    return bool(compiled.predict_batch(images, weights, boxes, max_box_to_image, bound, landmarks))


def crop_resampled(*args: Any) -> Any:
    """Cut the region around a box out of a gray image, see :func:`ert._kernels.crop.crop_resampled`."""
    return _forms().crop_resampled(*args)


def rotate_image(*args: Any) -> None:
    """Read an image along rotated lines, see :func:`ert._kernels.images.rotate_image`."""
    _forms().rotate_image(*args)


def to_gray(*args: Any) -> None:
    """Convert a part of a color image to gray, see :func:`ert._kernels.images.to_gray`."""
    _forms().to_gray(*args)


def __getattr__(name: str) -> Any:
    """Return what is needed by training alone, or by code of others that is to be compiled: it takes numba."""
    if name not in __all__:
        raise AttributeError(f"module 'ert._kernels' has no attribute {name!r}")
    from ert._kernels.start import compiled

    return getattr(compiled, name)
