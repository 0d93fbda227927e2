"""The length of a pixel in each object: known, or from two points of known distance."""

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from ert._core.exceptions import InputError, quoted
from ert._core.types import Floats
from ert.measurements.geometry import Quantity, distance
from ert.measurements.references import parse_landmarks
from ert.model.procrustes import Points

# How far two scales of the same image may differ and be the same, rounded by some program.
RELATIVE_TOLERANCE = 1e-4
_NUMBER = r"\s*([-+0-9.eE]+)\s*"
_IMAGE_POINTS = re.compile(f"{_NUMBER},{_NUMBER}:{_NUMBER},{_NUMBER}")


def known_scale(scales: Any, points: Points) -> Quantity:
    """Return the scale from a number, or from one for each object, NaN where it is not known."""
    try:
        values = np.array(scales, np.float64)
    except (TypeError, ValueError):
        raise InputError(f"scales: {quoted(scales)}, expected the length of a pixel, or one for each object") from None
    n = len(points)
    if values.shape not in ((), (n,)):
        raise InputError(f"scales: array of shape {values.shape}, expected one number, or one for each of {n} objects")
    values = np.broadcast_to(values, n)
    bad = np.flatnonzero(~(np.isnan(values) | ((values > 0) & np.isfinite(values))))
    if len(bad) or np.isnan(scales).all():
        found = values[bad[0]] if len(bad) else math.nan
        of_object = f"object {bad[0]}: " if len(bad) and np.ndim(scales) else ""
        raise InputError(f"scales: {of_object}{found:g}, expected the length of a pixel, above 0")
    return Quantity(values, np.zeros_like(points))


def scale_from_points(text: str, points: Points, names: Sequence[str]) -> Quantity:
    """Return the scale from a known length.

    Parameters
    ----------
    text : str
        ``a-b=10``: landmarks a and b are 10 apart in each object. ``x1,y1:x2,y2=10``: so are these two points of every
        image, in pixels.
    points : complex array (n, n_landmarks)
    names : sequence of str
        The landmarks.

    Returns
    -------
    Quantity
        NaN where one of the landmarks is missing.
    """
    here = f"scale_points: {quoted(text)}"
    ends, _, number = text.rpartition("=")
    try:
        length = float(number)
    except ValueError:
        length = math.nan
    if not 0 < length < math.inf or not ends:
        raise InputError(f"{here}: expected A-B=LENGTH or X,Y:X,Y=LENGTH, with a length above 0")
    match = _IMAGE_POINTS.fullmatch(ends)
    if match is not None:
        try:
            x, y, other_x, other_y = map(float, match.groups())
        except ValueError:
            raise InputError(f"{here}: expected X,Y:X,Y=LENGTH, with coordinates in pixels") from None
        pixels = Quantity(np.full(len(points), math.hypot(x - other_x, y - other_y)), np.zeros_like(points))
    else:
        pixels = distance(points, parse_landmarks(ends, names, here, 2))
    bad = np.flatnonzero(pixels.values == 0)
    if len(bad):
        of_object = "" if match else f" in object {bad[0]}"
        raise InputError(f"{here}: the two points are the same{of_object}, expected them apart")
    # An increase of the distance in pixels makes a pixel shorter.
    return Quantity(length / pixels.values, -pixels.gradient * (length / pixels.values**2)[:, None])


def contradicts(scale: Floats, other: Floats) -> bool:
    """Return whether two scales of the same objects differ where both are known."""
    known = ~np.isnan(scale) & ~np.isnan(other)
    return not np.allclose(scale[known], other[known], RELATIVE_TOLERANCE, 0)
