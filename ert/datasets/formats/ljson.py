"""datasets.formats.ljson."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ert._core.exceptions import InputError
from ert._core.types import StrPath
from ert.datasets.parsing import Annotation, Point, annotation_files, check_number, quoted, read_json

__all__ = [
    "read_ljson_folder",
]


def read_ljson_folder(folder: StrPath, *, image_folder: StrPath | None = None) -> Iterator[Annotation]:
    """Read every .ljson file of menpo in a folder and the folders in it, in natural order of their paths.

    Points stand there as y, x; null is a missing one. Versions 2 and 3 are read, the latter with one group.
    Labels are taken as the names of the landmarks where each label is of one point and each point has one;
    else they are regions, and the landmarks are numbered. The image stands beside the file, as for
    `ert.readers.read_pts_folder`.

    Parameters
    ----------
    folder : path-like
        Where to look.
    image_folder : path-like, optional
        Where the images are (or below it), when they do not stand beside the files.

    Yields
    ------
    Annotation
        One for each file, without a box.

    Raises
    ------
    InputError
        No .ljson file, one that is not as expected, lacks its image, or has other landmarks than the first.
    """
    first: tuple[Path, list[str]] | None = None
    for path, image in annotation_files(Path(folder), ".ljson", image_folder):
        landmarks = _read_ljson(path)
        first = first or (path, list(landmarks))
        if list(landmarks) != first[1]:
            raise InputError(f"{path}: other landmarks than in {first[0]}, expected the same")
        yield Annotation(image, None, landmarks, str(path))


def _read_ljson(path: Path) -> dict[str, Point]:
    data = read_json(path)
    version = data.get("version") if isinstance(data, dict) else None
    if version not in (2, 3):
        raise InputError(f"{path}: version is {quoted(version)}, expected landmarks of version 2 or 3")
    if version == 3:
        groups = data.get("groups")
        if not isinstance(groups, dict) or len(groups) != 1:
            raise InputError(f"{path}: groups are {quoted(groups)}, expected an object with one group")
        (data,) = groups.values()
    body = data.get("landmarks") if isinstance(data, dict) else None
    points = body.get("points") if isinstance(body, dict) else None
    if not isinstance(points, list) or not points:
        raise InputError(f"{path}: points are {quoted(points)}, expected a list of y, x")
    names = _point_names(data.get("labels"), len(points))
    return {
        name: _flipped(point, f"{path}: points[{i}]")
        for i, (name, point) in enumerate(zip(names, points, strict=True))
    }


def _flipped(point: Any, here: str) -> Point:
    if not isinstance(point, list) or len(point) != 2:
        raise InputError(f"{here} is {quoted(point)}, expected y, x")
    y, x = point
    if x is None and y is None:
        return math.nan, math.nan
    return check_number(x, here, "x"), check_number(y, here, "y")


def _point_names(labels: Any, n: int) -> list[str]:
    """Return the names of the points where the labels are such, else their numbers."""
    names: dict[int, str] = {}
    for label in labels if isinstance(labels, list) else []:
        name, mask = (label.get("label"), label.get("mask")) if isinstance(label, dict) else (None, None)
        point = mask[0] if isinstance(mask, list) and len(mask) == 1 else None
        if isinstance(name, str) and name and isinstance(point, int):
            names[point] = name
    numbers = [str(i) for i in range(n)]
    # Lists that say anything else name regions, which may overlap: no names of points.
    named = isinstance(labels, list) and len(labels) == len(names) == n == len(set(names.values()))
    return [names[i] for i in range(n)] if named and set(names) == set(range(n)) else numbers
