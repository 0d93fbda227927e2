"""Measurements of objects by their landmarks, and the repeatability of annotations."""

from ert.measurements.measure import measure
from ert.measurements.repeatability import compare_annotations
from ert.measurements.table import Measurements

__all__ = ["Measurements", "compare_annotations", "measure"]
