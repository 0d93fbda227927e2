"""Folders of .ljson files, the format of menpo."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ert._core.exceptions import InputError
from ert._core.types import StrPath
from ert.datasets.dataset import Dataset
from ert.datasets.folders import read_folder
from ert.datasets.parsing import DECIMALS, Annotation, Point, check_number, quoted, read_json


def read_ljson_folder(folder: StrPath, *, image_folder: StrPath | None = None) -> Iterator[Annotation]:
    """Read all .ljson files in a folder and its subfolders.

    Versions 2 and 3 are supported, the latter with one group. Points are y, x; null is a missing landmark.
    Labels are landmark names if there is exactly one label per point. Otherwise labels are regions, and the
    landmark names are "0", "1", ...
    """
    return read_folder(folder, ".ljson", _read_file, image_folder)


def _read_file(path: Path) -> tuple[str, dict[str, Point]]:
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
    landmarks: dict[str, Point] = {}
    for i, name in enumerate(_landmark_names(data.get("labels"), len(points))):
        here, point = f"{path}: points[{i}]", points[i]
        if not isinstance(point, list) or len(point) != 2:
            raise InputError(f"{here} is {quoted(point)}, expected y, x")
        landmarks[name] = math.nan, math.nan
        if point != [None, None]:
            landmarks[name] = check_number(point[1], here, "x"), check_number(point[0], here, "y")
    return str(path), landmarks


def _landmark_names(labels: Any, n: int) -> list[str]:
    """Return the labels if there is exactly one per point, else numbers."""
    names: dict[int, str] = {}
    for label in labels if isinstance(labels, list) else []:
        name, mask = (label.get("label"), label.get("mask")) if isinstance(label, dict) else (None, None)
        point = mask[0] if isinstance(mask, list) and len(mask) == 1 else None
        if isinstance(name, str) and name and isinstance(point, int):
            names[point] = name
    one_each = isinstance(labels, list) and len(labels) == len(set(names.values())) == n and set(names) == set(range(n))
    return [names[i] if one_each else str(i) for i in range(n)]


def write_ljson(dataset: Dataset, images: list[str]) -> Iterator[str]:
    """Yield one .ljson file of version 2 per object, with a label per landmark."""
    labels = [{"label": name, "mask": [i]} for i, name in enumerate(dataset.landmark_names)]
    for shape in dataset.landmarks.tolist():
        points = [[None, None] if math.isnan(x) else [round(y, DECIMALS), round(x, DECIMALS)] for x, y in shape]
        data = {"version": 2, "labels": labels, "landmarks": {"points": points}}
        yield json.dumps(data, allow_nan=False) + "\n"
