"""Ensembles of regression trees for landmark localisation: train them, run them, judge them.

>>> import ert
>>> faces = ert.align("photo.jpg")
>>> faces[0].landmarks.shape
(68, 2)
"""

from ert.errors import InputError
from ert.predictor import ShapePredictor, load

__version__ = "0.1.0"

__all__ = ["InputError", "ShapePredictor", "__version__", "load"]
