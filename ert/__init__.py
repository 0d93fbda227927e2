"""Ensembles of regression trees for landmark localisation: train them, run them, judge them.

>>> import ert
>>> faces = ert.align(ert.sample_image())
>>> faces[0].landmarks.shape
(68, 2)
"""

import ert.cache  # noqa: F401 - before the kernels, whose decorators look for the folder
from ert.alignment import AlignedFace, align
from ert.blinks import BlinkCounter
from ert.chips import Chip, chip
from ert.datasets import Dataset, load_dataset
from ert.detection import detect_faces
from ert.errors import InputError
from ert.explanation import Explanation, explain
from ert.face_regions import regions
from ert.images import load_image, sample_image
from ert.judge import Assessment
from ert.loading import load
from ert.measures import eye_aspect_ratio, mouth_opening
from ert.pose import HeadPose, head_pose
from ert.predictor import ShapePredictor
from ert.tables import to_dataframe
from ert.tracker import TrackedFace, Tracker
from ert.version import __version__
from ert.warping import average_face, triangles, warp
from ert.writers import write_dataset

__all__ = [
    "AlignedFace",
    "Assessment",
    "BlinkCounter",
    "Chip",
    "Dataset",
    "Explanation",
    "HeadPose",
    "InputError",
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
