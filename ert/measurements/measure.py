"""Measurements of the objects of a dataset, in pixels or in the unit of its scale."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ert._core.arguments import checked_arguments
from ert._core.exceptions import InputError, counted
from ert._core.types import Floats
from ert.datasets.dataset import Dataset
from ert.measurements import geometry
from ert.measurements.geometry import Quantity, in_unit, standard_error
from ert.measurements.objects import Objects, Predicted, as_objects
from ert.measurements.references import read_measurements
from ert.measurements.scale import contradicts, known_scale, scale_from_points
from ert.measurements.superimposition import propagate, superimpose
from ert.measurements.table import Measurements
from ert.model.procrustes import Points, as_complex

# What a measurement is called, its number of landmarks (None: three or more), how it is computed, and the power of
# the scale in it; 0 are degrees.
_KINDS: dict[str, tuple[str, int | None, Callable[[Points, Sequence[int]], Quantity], int]] = {
    "distances": ("distance", 2, geometry.distance, 1),
    "angles": ("angle", 3, geometry.angle, 0),
    "areas": ("area", None, geometry.area, 2),
    "perimeters": ("perimeter", None, geometry.perimeter, 1),
}
UNITS = ("px", "mm", "cm", "um", "m", "in")


@checked_arguments
def measure(
    data: Dataset | Iterable[Predicted] | ArrayLike,
    *,
    distances: str | Sequence[Any] | Mapping[str, Any] = (),
    angles: str | Sequence[Any] | Mapping[str, Any] = (),
    areas: str | Sequence[Any] | Mapping[str, Any] = (),
    perimeters: str | Sequence[Any] | Mapping[str, Any] = (),
    centroid_size: bool = False,
    procrustes: bool = False,
    scales: float | ArrayLike | None = None,
    scale_points: str | None = None,
    unit: str | None = None,
    std: ArrayLike | None = None,
) -> Measurements:
    """Measure objects by their landmarks.

    Parameters
    ----------
    data : Dataset, iterable of Prediction, or (n, n_landmarks, 2) array-like
        The objects; x and y of each landmark in pixels, NaN where it is missing.
    distances, angles, areas, perimeters : str, sequence or mapping
        What to measure: ``"nose-tail,0-5"``, or a list of such texts or of tuples of names and integers. Landmarks are
        names, or numbers from 0 where no name is a number; a name with "-" in it that could be read in two ways stands
        in double quotes. ``"length=0-5"``, or a dict, names a measurement. An angle is at the second of its three
        landmarks, in degrees. Areas (shoelace formula) and perimeters are those of the polygon with the landmarks, in
        their order, as corners.
    centroid_size : bool
        The square root of the sum of the squared distances of all landmarks from their centroid.
    procrustes : bool
        Coordinates after generalized Procrustes analysis, without reflections and with unit centroid size, and the
        distance of each object from the mean: the root of the sum of the squared distances of its landmarks. y counts
        upwards, as in .tps files. Objects with missing landmarks have none.
    scales : float or (n,) array-like, optional
        Length of a pixel, in place of the scales of `data`; NaN where it is not known.
    scale_points : str, optional
        A known length in place of them: ``"a-b=10"``, two landmarks that are 10 apart in each object, or
        ``"x,y:x,y=10"``, two points of every image in pixels.
    unit : {"px", "mm", "cm", "um", "m", "in"}, optional
        "px", or what the unit of the scales is called; nothing is converted. By default "mm" if a scale is known, else
        "px".
    std : (n, n_landmarks) array-like, optional
        Standard error of each landmark along either axis in pixels, as :meth:`ert.ShapePredictor.predict` returns it,
        in place of those of `data`. It is propagated to first order, errors of different landmarks taken as
        independent; scales are taken as exact, but for those from landmarks.

    Returns
    -------
    Measurements

    Raises
    ------
    InputError
        When there is nothing to measure, a landmark does not exist, a scale is not above 0, two scales are given, or
        none is known for `unit`.

    Examples
    --------
    >>> wings = [[[0, 0], [30, 0], [30, 40]]]
    >>> table = ert.measure(wings, distances="0-2", angles="0-1-2", scales=0.1)
    >>> table["distance_0-2_mm"], table["angle_0-1-2_deg"]
    (array([5.]), array([90.]))
    """
    objects = as_objects(data)
    names, known_std = objects.names, objects.std
    if std is not None:
        known_std = _check_std(std, objects.landmarks)
    asked = {"distances": distances, "angles": angles, "areas": areas, "perimeters": perimeters}
    if not any(map(len, asked.values())) and not centroid_size and not procrustes:
        raise InputError(f"nothing to measure, expected {', '.join(asked)}, centroid_size or procrustes")
    points, notes = as_complex(objects.landmarks), list[str]()
    scale, unit = _choose_scale(objects, points, scales, scale_points, unit, notes)
    columns: dict[str, Floats] = {}

    def add(name: str, quantity: Quantity, power: int, of_unit: str) -> None:
        if power:
            quantity = in_unit(quantity, scale, power)
        added = {f"{name}_{of_unit}": quantity.values}
        if known_std is not None:
            errors = np.where(np.isnan(quantity.values), np.nan, standard_error(quantity.gradient, known_std))
            added[f"std_{name}_{of_unit}"] = errors
        if not columns.keys().isdisjoint(added):
            raise InputError(f"two measurements of the name {name!r}, expected each name once")
        columns.update(added)

    for what, given in asked.items():
        prefix, count, compute, power = _KINDS[what]
        for label, landmarks in read_measurements(given, what, count, names).items():
            is_unnamed = label == "-".join(names[k] for k in landmarks)
            name = f"{prefix}_{label}" if is_unnamed else label
            add(name, compute(points, landmarks), power, ("deg", unit, f"{unit}2")[power])
            if power == 2:
                n_crossed = int(geometry.is_crossed(points, landmarks).sum())
                crossed = f"{name}: the outline crosses itself in {n_crossed} of {len(points)} objects; "
                notes += [crossed + "expected the landmarks in their order along it"] * (n_crossed > 0)
    if centroid_size:
        add("centroid_size", geometry.centroid_size(points), 1, unit)
    if procrustes:
        columns |= _procrustes_columns(points.conj(), names, known_std, notes)
    return Measurements(objects.specimens, objects.images, columns, tuple(notes))


def _check_std(std: ArrayLike, shapes: Floats) -> Floats:
    checked = np.array(std, np.float64)
    if checked.shape != shapes.shape[:2] or (checked < 0).any():
        raise InputError(f"std: array of shape {checked.shape}, expected {shapes.shape[:2]}, from 0 up")
    return checked


def _choose_scale(
    objects: Objects, points: Points, scales: Any, scale_points: str | None, unit: str | None, notes: list[str]
) -> tuple[Quantity, str]:
    """Return the length of a pixel, 1 for pixels, and the unit; add to `notes` what a user may not expect."""
    if unit is not None and unit not in UNITS:
        raise InputError(f"unit is {unit!r}, expected one of {', '.join(UNITS)}")
    if scales is not None and scale_points is not None:
        raise InputError("scales and scale_points are given, expected one of them")
    own, scale = objects.scales, None
    if scales is not None:
        scale = known_scale(scales, points)
    elif scale_points is not None:
        scale = scale_from_points(scale_points, points, objects.names)
    elif own is not None and not np.isnan(own).all():
        scale = known_scale(own, points)
    if scale is None and unit not in (None, "px"):
        where = "in the file (SCALE=, column scale), or scales (--scale) or scale_points (--scale-points)"
        raise InputError(f"unit {unit!r}: no scale is known, expected one {where}")
    if scale is None or unit == "px":
        return Quantity(np.ones(len(points)), np.zeros_like(points)), "px"
    if own is not None and contradicts(scale.values, own):
        notes.append("the data have other scales, in place of which the given one is taken")
    n_unknown = int(np.isnan(scale.values).sum())
    if n_unknown:
        notes.append(
            f"no scale is known for {n_unknown} of {len(points)} objects: their cells in {unit or 'mm'} are empty"
        )
    return scale, unit or "mm"


def _procrustes_columns(
    points: Points, names: Sequence[str], std: Floats | None, notes: list[str]
) -> dict[str, Floats]:
    if len(names) < 3:
        raise InputError(f"procrustes: {counted(len(names), 'landmark')}, expected at least 3")
    n = len(points)
    is_complete = ~np.isnan(points).any(axis=1) & (points != points[:, :1]).any(axis=1)
    if not is_complete.all():
        skipped = f"procrustes: {n - is_complete.sum()} of {n} objects left out, "
        notes.append(skipped + "since landmarks are missing or all in one place")
    x, y, std_x, std_y = np.full((4, n, len(names)), np.nan)
    distances, std_distances = np.full((2, n), np.nan)
    if is_complete.any():
        found = superimpose(points[is_complete])
        x[is_complete], y[is_complete], distances[is_complete] = found.shapes.real, found.shapes.imag, found.distances
        if std is not None:
            relative = std[is_complete] / geometry.centroid_size(points[is_complete]).values[:, None]
            std_x[is_complete], std_y[is_complete], std_distances[is_complete] = propagate(found, relative)
    columns: dict[str, Floats] = {}
    for k, name in enumerate(names):
        columns |= {f"procrustes_x_{name}": x[:, k], f"procrustes_y_{name}": y[:, k]}
    if std is not None:
        for k, name in enumerate(names):
            columns |= {f"std_procrustes_x_{name}": std_x[:, k], f"std_procrustes_y_{name}": std_y[:, k]}
    columns["procrustes_distance"] = distances
    if std is not None:
        columns["std_procrustes_distance"] = std_distances
    return columns
