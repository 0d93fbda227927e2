"""COCO keypoints, the JSON format of the COCO dataset and of many annotation tools."""

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ert._core.exceptions import InputError
from ert._core.images import image_size
from ert._core.types import Box, StrPath
from ert.datasets.dataset import Dataset
from ert.datasets.finder import Found, ImageFinder
from ert.datasets.formats.foreign import tool_of_json
from ert.datasets.parsing import (
    DECIMALS,
    MAX_COORDINATE,
    Annotation,
    Point,
    check_number,
    first_duplicate,
    quoted,
    read_json,
)


def read_coco(path: StrPath, *, image_folder: StrPath | None = None) -> Iterator[Annotation]:
    """Read the objects of a COCO keypoints file, in the order of its annotations.

    A keypoint with v = 0 is missing; v = 1 (occluded) and v = 2 (visible) are both read. Coordinates are not
    changed. Annotations with ``iscrowd: 1`` are skipped; those with ``num_keypoints: 0`` or without
    ``keypoints`` have no landmarks. Landmark names are the ``keypoints`` of the category, or "0", "1", ...
    without them; the box is ``bbox``, if present and larger than nothing.
    """
    path = Path(path)
    data = read_json(path)
    tool = tool_of_json(data)
    if tool is not None:
        raise InputError(f"{path}: {tool}")
    images = {number: _file_name(image, here) for number, here, image in _numbered(data, "images", path)}
    sizes = {number: _size(image) for number, _, image in _numbered(data, "images", path)}
    categories = {
        number: (str(entry.get("name") or number), _keypoint_names(entry, here))
        for number, here, entry in _numbered(data, "categories", path)
    }
    finder = ImageFinder(path, image_folder)
    previous: int | str | None = None
    found = Found(path, None)
    for here, annotation in _entries(data, "annotations", path):
        if annotation.get("iscrowd") == 1:
            continue
        label = None
        try:
            label, names = categories[_reference(annotation, "category_id", categories, here)]
            image = _reference(annotation, "image_id", images, here)
            # Successive annotations often share an image.
            if image != previous:
                previous, found = image, finder.find(images[image], here)
            if annotation.get("num_keypoints") == 0 or annotation.get("keypoints") in (None, []):
                yield Annotation(found.file, None, {}, here, label=label)
                continue
            box, landmarks = _box(annotation, here), _landmarks(annotation, names, here)
        except InputError as error:
            yield Annotation(path, None, {}, here, str(error), label)
            continue
        more = _id_and_scale(annotation)
        yield Annotation(found.file, box, landmarks, here, found.fault, label, size=sizes[image], **more)


def _entries(data: Any, key: str, path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield ("file: key[i]", entry) for the objects of a list."""
    entries = data.get(key) if isinstance(data, dict) else None
    if not isinstance(entries, list):
        raise InputError(f"{path}: no list of {key}, expected COCO keypoints")
    for i, entry in enumerate(entries):
        here = f"{path}: {key}[{i}]"
        if not isinstance(entry, dict):
            raise InputError(f"{here} is {quoted(entry)}, expected an object")
        yield here, entry


def _numbered(data: Any, key: str, path: Path) -> Iterator[tuple[int | str, str, dict[str, Any]]]:
    """Yield (id, "file: key[i]", entry) for the objects of a list; check that the ids are unique."""
    seen = set()
    for here, entry in _entries(data, key, path):
        number = entry.get("id")
        if not isinstance(number, int | str):
            raise InputError(f"{here}: id is {quoted(number)}, expected an integer or a string")
        if number in seen:
            raise InputError(f"{here}: duplicate id {quoted(number)}")
        seen.add(number)
        yield number, here, entry


def _reference(annotation: dict[str, Any], key: str, known: dict[Any, Any], here: str) -> int | str:
    value = annotation.get(key)
    if not isinstance(value, int | str) or value not in known:
        what = "images" if key == "image_id" else "categories"
        raise InputError(f"{here}: {key} is {quoted(value)}, expected an id of the {what}")
    return value


def _file_name(image: dict[str, Any], here: str) -> str:
    name = image.get("file_name")
    if not isinstance(name, str) or not name:
        raise InputError(f"{here}: file_name is {quoted(name)}, expected a name")
    return name


def _size(image: dict[str, Any]) -> tuple[int, int] | None:
    """Return width and height of an image, which are optional and often 0."""
    width, height = image.get("width"), image.get("height")
    return (width, height) if isinstance(width, int) and isinstance(height, int) and width > 0 < height else None


def _keypoint_names(category: dict[str, Any], here: str) -> list[str] | None:
    names = category.get("keypoints")
    if names is None:
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise InputError(f"{here}: keypoints are {quoted(names)}, expected names")
    duplicate = first_duplicate(names)
    if duplicate is not None:
        raise InputError(f"{here}: duplicate keypoint {quoted(duplicate)}")
    return names


def _box(annotation: dict[str, Any], here: str) -> Box | None:
    box = annotation.get("bbox")
    if box is None:
        return None
    if not isinstance(box, list) or len(box) != 4:
        raise InputError(f"{here}: bbox is {quoted(box)}, expected left, top, width and height")
    left, top, width, height = (check_number(value, here, "a number of bbox") for value in box)
    # CVAT writes a box of no size around a single keypoint.
    return (left, top, width, height) if width > 0 and height > 0 else None


def _landmarks(annotation: dict[str, Any], names: list[str] | None, here: str) -> dict[str, Point]:
    numbers = annotation.get("keypoints")
    if not isinstance(numbers, list) or not numbers or len(numbers) % 3:
        raise InputError(f"{here}: keypoints are {quoted(numbers)}, expected x, y and v of each")
    n = len(numbers) // 3
    names = [str(i) for i in range(n)] if names is None else names
    if n != len(names):
        raise InputError(f"{here}: {n} keypoints, expected {len(names)} as in the category")
    landmarks = {}
    for i, name in enumerate(names):
        x, y, visibility = numbers[3 * i : 3 * i + 3]
        if isinstance(visibility, bool) or visibility not in (0, 1, 2):
            raise InputError(f"{here}: v of {quoted(name)} is {quoted(visibility)}, expected 0, 1 or 2")
        landmarks[name] = math.nan, math.nan
        if visibility:
            which = f"of {quoted(name)}"
            landmarks[name] = check_number(x, here, f"x {which}"), check_number(y, here, f"y {which}")
    return landmarks


def _id_and_scale(annotation: dict[str, Any]) -> dict[str, Any]:
    """Return the user's id and scale of an object, which `write_coco` writes to its attributes."""
    attributes = annotation.get("attributes")
    if not isinstance(attributes, dict):
        return {}
    number, scale = attributes.get("id"), attributes.get("scale")
    known: dict[str, Any] = {"id": number} if isinstance(number, str) else {}
    if isinstance(scale, int | float) and not isinstance(scale, bool) and 0 < scale <= MAX_COORDINATE:
        known["scale"] = float(scale)
    return known


def write_coco(
    dataset: Dataset, images: list[str], sizes: Mapping[Path, tuple[int, int]] | None = None
) -> Iterator[str]:
    """Yield a COCO keypoints file with one category; every landmark that is not missing is visible.

    The sizes of the images are read if they are not given.
    """
    ids = {file: i for i, file in enumerate(dict.fromkeys(dataset.files), 1)}
    names = dict(zip(dataset.files, images, strict=True))
    if sizes is None:
        sizes = {file: image_size(file) for file in ids}
    data: dict[str, Any] = {
        "images": [
            {"id": i, "file_name": names[file], "width": sizes[file][0], "height": sizes[file][1]}
            for file, i in ids.items()
        ],
        "annotations": [
            {"id": i + 1, "image_id": ids[file], **coco_object(dataset, i)} for i, file in enumerate(dataset.files)
        ],
        "categories": [{"id": 1, "name": "object", "keypoints": list(dataset.landmark_names), "skeleton": []}],
    }
    yield json.dumps(data, indent=1, allow_nan=False) + "\n"


def coco_object(dataset: Dataset, i: int) -> dict[str, Any]:
    """Return an object as an annotation without its ids."""
    shape = dataset.landmarks[i]
    left, top, width, height = (round(value, DECIMALS) for value in dataset.boxes[i].tolist())
    known = ~np.isnan(shape[:, 0])
    points = np.column_stack([np.where(known[:, None], shape.round(DECIMALS), 0), 2 * known])
    # Integers without ".0": required for v, allowed for coordinates.
    keypoints = [int(value) if value.is_integer() else value for value in points.ravel().tolist()]
    attributes: dict[str, str | float] = {}
    if dataset.ids is not None and dataset.ids[i]:
        attributes["id"] = dataset.ids[i]
    if dataset.scales is not None and not np.isnan(dataset.scales[i]):
        attributes["scale"] = float(dataset.scales[i])
    extra = {"attributes": attributes} if attributes else {}
    return extra | {
        "category_id": 1,
        "bbox": [left, top, width, height],
        "area": round(width * height, DECIMALS),
        "iscrowd": 0,
        "num_keypoints": int(known.sum()),
        "keypoints": keypoints,
    }
