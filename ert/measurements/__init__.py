"""Measurements of objects by their landmarks, and the repeatability of annotations.

A pixel is 0.1 mm long:

>>> import ert
>>> table = ert.measure([[[0, 0], [30, 0], [30, 40]]], distances="0-2", areas="0-1-2", scales=0.1)
>>> table["distance_0-2_mm"], table["area_0-1-2_mm2"]
(array([5.]), array([6.]))
>>> table.write("measurements.csv")
"""

from ert.measurements.measure import measure
from ert.measurements.repeatability import compare_annotations
from ert.measurements.table import Measurements

__all__ = ["Measurements", "compare_annotations", "measure"]
