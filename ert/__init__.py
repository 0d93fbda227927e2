"""Ensembles of regression trees for landmark localization: train them, run them, judge them.

>>> import ert
>>> faces = ert.align(ert.sample_image())
>>> faces[0].landmarks.shape
(68, 2)
"""

import ert._core.numba_cache  # noqa: F401 - before the kernels, whose decorators look for the folder
from ert._core.exceptions import InputError
from ert._core.images import load_image
from ert._core.resources import sample_image
from ert._core.version import __version__
from ert.datasets.dataset import Dataset, load_dataset
from ert.datasets.write import write_dataset
from ert.evaluation.explanation import Explanation, explain
from ert.faces.align import AlignedFace, align
from ert.faces.blinks import BlinkCounter
from ert.faces.chip import Chip, chip
from ert.faces.dataframe import to_dataframe
from ert.faces.detection import detect_faces
from ert.faces.pose import HeadPose, head_pose
from ert.faces.regions import eye_aspect_ratio, mouth_opening, regions
from ert.faces.warp import average_face, triangles, warp
from ert.inference.mode import PredictionMode
from ert.model.confidence import Assessment
from ert.predictor import ShapePredictor, load
from ert.tracking.tracker import TrackedFace, Tracker

__all__ = [
    "AlignedFace",
    "Assessment",
    "BlinkCounter",
    "Chip",
    "Dataset",
    "Explanation",
    "HeadPose",
    "InputError",
    "PredictionMode",
    "ShapePredictor",
    "TrackedFace",
    "Tracker",
    "__version__",
    "align",
    "average_face",
    "chip",
    "detect_faces",
    "explain",
    "eye_aspect_ratio",
    "head_pose",
    "load",
    "load_dataset",
    "load_image",
    "mouth_opening",
    "regions",
    "sample_image",
    "to_dataframe",
    "triangles",
    "warp",
    "write_dataset",
]
