"""Compiled kernels: arrays in, arrays out. Other packages use the names below, and no module of this one.

compile_*           arrays ──> opaque arguments: packing, padding and alignment stay inside
predict_*           a face, or several, through a cascade of either kind
assess, observe     the confidence model
crop, rotate, gray  images
the rest            training
"""

import ert._kernels.cache  # noqa: F401 - before numba makes a cache for each kernel
from ert._kernels.confidence import CompiledConfidence as CompiledConfidence
from ert._kernels.confidence import assess_face, compile_confidence, observe_landmarks, run_forest
from ert._kernels.crop import crop_resampled
from ert._kernels.grow import grow_trees
from ert._kernels.images import rotate_image, to_gray
from ert._kernels.predict import CompiledCascade as CompiledCascade
from ert._kernels.predict import compile_cascade, predict_batch, predict_face
from ert._kernels.predict_dlib import compile_dlib_cascade, predict_face_dlib
from ert._kernels.stage import apply_stage, read_feature_pool
from ert._kernels.workers import Workers

__all__ = [
    "Workers",
    "apply_stage",
    "assess_face",
    "compile_cascade",
    "compile_confidence",
    "compile_dlib_cascade",
    "crop_resampled",
    "grow_trees",
    "observe_landmarks",
    "predict_batch",
    "predict_face",
    "predict_face_dlib",
    "read_feature_pool",
    "rotate_image",
    "run_forest",
    "to_gray",
]
