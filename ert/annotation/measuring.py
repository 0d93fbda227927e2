"""Measurements of the objects of an open photo, as the page shows them."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ert._core.exceptions import InputError
from ert._core.types import Floats
from ert.datasets.dataset import Dataset
from ert.measurements.measure import UNITS, measure

TEXTS = ("distances", "angles", "areas", "perimeters")
MAX_OBJECTS, MAX_TEXT_LENGTH = 1000, 10_000
# Columns of `measure` end with the unit.
_SIGNS = {"deg": "°", "px2": "px²"}


class Named(Protocol):
    """What is needed of a project: the names of landmarks, and the unit of scales."""

    unit: str

    @property
    def landmark_names(self) -> tuple[str, ...]:
        """The landmarks."""


def measure_objects(project: Named, request: Any) -> dict[str, Any]:
    """Measure the objects of a photo.

    Parameters
    ----------
    project : Project
    request : dict
        "objects": the objects with their "landmarks", as a photo has them. "scale": length of a pixel, or None.
        "distances", "angles", "areas", "perimeters" (texts) and "centroid_size" (bool) as for :func:`ert.measure`.

    Returns
    -------
    dict
        "measurements": a list with "name", "value" (None where a landmark is missing), "unit", and "object", the
        index of the object.

    Raises
    ------
    InputError
        In one line, what is wrong with the request.
    """
    if not isinstance(request, Mapping):
        raise InputError("request: expected an object of JSON")
    names = project.landmark_names
    shapes = _read_shapes(request.get("objects"), len(names))
    asked: dict[str, Any] = {what: _read_text(request, what) for what in TEXTS}
    is_sized, scale = request.get("centroid_size", False), _read_scale(request.get("scale"))
    if not isinstance(is_sized, bool):
        raise InputError("centroid_size: expected true or false")
    if not (is_sized or any(asked.values())):
        return {"measurements": []}
    n = len(shapes)
    dataset = Dataset([Path("photo")] * n, np.zeros((n, 4)), shapes, names, "photo")
    # One of those that `measure` knows; the project's may have any name.
    unit = "px" if scale is None else UNITS[1]
    columns = measure(dataset, **asked, centroid_size=is_sized, scales=scale, unit=unit).columns
    signs = _SIGNS | {UNITS[1]: project.unit, f"{UNITS[1]}2": f"{project.unit}²"}
    found = []
    for i in range(n):
        for column, values in columns.items():
            name, _, of = column.rpartition("_")
            value = float(values[i])
            known = None if math.isnan(value) else value
            found.append({"name": name, "value": known, "unit": signs.get(of, of), "object": i})
    return {"measurements": found}


def _read_shapes(objects: Any, n_landmarks: int) -> Floats:
    if not isinstance(objects, list) or len(objects) > MAX_OBJECTS:
        raise InputError(f"objects: expected a list of at most {MAX_OBJECTS} objects")
    shapes = np.full((len(objects), n_landmarks, 2), np.nan)
    for i, one in enumerate(objects):
        points = one.get("landmarks") if isinstance(one, Mapping) else None
        if not isinstance(points, list) or len(points) != n_landmarks:
            raise InputError(f"object {i}: expected {n_landmarks} landmarks")
        for k, point in enumerate(points):
            if point is not None:
                shapes[i, k] = _read_point(point, f"object {i}: landmark {k}")
    return shapes


def _read_point(point: Any, here: str) -> tuple[float, float]:
    if not isinstance(point, list) or len(point) != 2 or not all(map(_is_number, point)):
        raise InputError(f"{here}: expected [x, y] or null")
    return float(point[0]), float(point[1])


def _is_number(value: Any) -> bool:
    # Integers may be too large for a float.
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e12


def _read_text(request: Mapping[str, Any], what: str) -> str:
    text = request.get(what) or ""
    if not isinstance(text, str) or len(text) > MAX_TEXT_LENGTH:
        raise InputError(f"{what}: expected a text such as '0-4,1-2'")
    return text.strip()


def _read_scale(scale: Any) -> float | None:
    if scale is None:
        return None
    if not _is_number(scale) or not scale > 0:
        raise InputError("scale: expected the length of a pixel, above 0, or null")
    return float(scale)
