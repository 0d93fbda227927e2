"""All kernels that other packages call, compiled."""

from ert._kernels.cache import njit
from ert._kernels.confidence import compile_confidence, observe_landmarks, run_forest
from ert._kernels.crop import crop_resampled
from ert._kernels.grow import grow_trees
from ert._kernels.images import rotate_image, to_gray
from ert._kernels.predict import compile_cascade, predict_batch
from ert._kernels.predict_dlib import compile_dlib_cascade
from ert._kernels.stage import apply_stage, read_feature_pool
from ert._kernels.workers import Workers

__all__ = [
    "Workers",
    "apply_stage",
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
