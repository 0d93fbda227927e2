"""Ensembles of regression trees for landmark localisation: train them, run them, judge them.

>>> import ert
>>> faces = ert.align(ert.sample_image())
>>> faces[0].landmarks.shape
(68, 2)
"""

import ert.cache  # noqa: F401 - before the kernels, whose decorators look for the folder
from ert.alignment import AlignedFace, align
from ert.datasets import Dataset, load_dataset
from ert.detection import detect_faces
from ert.errors import InputError
from ert.explanation import Explanation, explain
from ert.images import load_image, sample_image
from ert.predictor import ShapePredictor, load
from ert.version import __version__
from ert.writers import write_dataset

__all__ = [
    "AlignedFace",
    "Dataset",
    "Explanation",
    "InputError",
    "ShapePredictor",
    "__version__",
    "align",
    "detect_faces",
    "explain",
    "load",
    "load_dataset",
    "load_image",
    "sample_image",
    "write_dataset",
]
