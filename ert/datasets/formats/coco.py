"""Reading COCO keypoints, the JSON of the COCO dataset and of many tools for annotation."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ert._core.exceptions import InputError
from ert._core.types import StrPath
from ert.datasets.formats.json_lists import json_lists
from ert.datasets.parsing import (
    Annotation,
    Box,
    Point,
    check_number,
    find_image,
    image_folders,
    quoted,
)

__all__ = [
    "read_coco",
]


def read_coco(path: StrPath, *, image_folder: StrPath | None = None) -> Iterator[Annotation]:
    """Read the objects of a COCO keypoints file, in the order of its annotations.

    A keypoint with v = 0 is missing; v = 1 (hidden) and v = 2 (visible) are both there. Coordinates are taken
    as they are. Passed over are annotations that say ``num_keypoints: 0`` or ``iscrowd: 1``, which are of no
    one object's points. The file is read twice, for its annotations may stand before what they refer to.

    Parameters
    ----------
    path : path-like
        The file: an object with ``images``, ``annotations`` and ``categories``.
    image_folder : path-like, optional
        Where the images are. Else they are looked for beside the file, then in the folders beside it.

    Yields
    ------
    Annotation
        One for each annotation; the landmarks have the names of the category's ``keypoints``, or are called
        "0", "1", ... where it has none. The box is ``bbox``; without one, None.

    Raises
    ------
    InputError
        Not JSON, or not of this kind; a list or an id that stands twice; an id that stands for nothing;
        keypoints that are not numbers, or not as many as the category names; an image that is not found.
    """
    path = Path(path)
    images: dict[int | str, str] = {}
    categories: dict[int | str, list[str] | None] = {}
    missing = ["images", "categories", "annotations"]
    for key, entries in _lists(path):
        missing.remove(key)
        if key == "images":
            images = {number: _text(entry, "file_name", here) for here, number, entry in _by_id(entries)}
        elif key == "categories":
            categories = {number: _names(entry, here) for here, number, entry in _by_id(entries)}
    if missing:
        raise InputError(f"{path}: no list of {missing[0]}, expected COCO keypoints")
    folders = image_folders(path, image_folder)
    known: int | str | None = None
    for _, entries in (lists for lists in _lists(path) if lists[0] == "annotations"):
        for here, annotation in entries:
            if annotation.get("iscrowd") == 1 or annotation.get("num_keypoints") == 0:
                continue
            image = _reference(annotation, "image_id", images, here)
            names = categories[_reference(annotation, "category_id", categories, here)]
            # The next annotation is mostly of the same image.
            if image != known:
                known, file = image, find_image(images[image], folders, here)
            yield Annotation(file, _box(annotation, here), _landmarks(annotation, names, here), here)


def _lists(path: Path) -> Iterator[tuple[str, Iterator[tuple[str, dict[str, Any]]]]]:
    """Yield the lists of COCO that the file has, each with ("file: key[i]", entry) for its objects."""
    seen = set()
    for key, items in json_lists(path):
        if key not in ("images", "categories", "annotations"):
            continue
        if key in seen:
            raise InputError(f"{path}: the list of {key} stands twice, expected once")
        seen.add(key)
        if items is None:
            raise InputError(f"{path}: no list of {key}, expected COCO keypoints")
        yield key, _entries(items, f"{path}: {key}")


def _entries(items: Iterator[Any], what: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for i, entry in enumerate(items):
        if not isinstance(entry, dict):
            raise InputError(f"{what}[{i}] is {quoted(entry)}, expected an object")
        yield f"{what}[{i}]", entry


def _by_id(entries: Iterator[tuple[str, dict[str, Any]]]) -> Iterator[tuple[str, int | str, dict[str, Any]]]:
    seen = set()
    for here, entry in entries:
        number = entry.get("id")
        if not isinstance(number, int | str) or number in seen:
            raise InputError(f"{here}: id is {quoted(number)}, expected a number that stands once")
        seen.add(number)
        yield here, number, entry


def _reference(annotation: dict[str, Any], key: str, known: dict[Any, Any], here: str) -> int | str:
    value = annotation.get(key)
    if not isinstance(value, int | str) or value not in known:
        what = "images" if key == "image_id" else "categories"
        raise InputError(f"{here}: {key} is {quoted(value)}, expected an id of the {what}")
    return value


def _text(entry: dict[str, Any], key: str, here: str) -> str:
    value = entry.get(key)
    if not isinstance(value, str) or not value:
        raise InputError(f"{here}: {key} is {quoted(value)}, expected a name")
    return value


def _names(category: dict[str, Any], here: str) -> list[str] | None:
    names = category.get("keypoints")
    if names is None:
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise InputError(f"{here}: keypoints are {quoted(names)}, expected names")
    if len(set(names)) < len(names):
        raise InputError(f"{here}: a name of the keypoints stands twice, expected each once")
    return names


def _box(annotation: dict[str, Any], here: str) -> Box | None:
    box = annotation.get("bbox")
    if box is None:
        return None
    if not isinstance(box, list) or len(box) != 4:
        raise InputError(f"{here}: bbox is {quoted(box)}, expected left, top, width and height")
    left, top, width, height = (check_number(value, here, "a number of bbox") for value in box)
    return left, top, width, height


def _landmarks(annotation: dict[str, Any], names: list[str] | None, here: str) -> dict[str, Point]:
    numbers = annotation.get("keypoints")
    if not isinstance(numbers, list) or not numbers or len(numbers) % 3:
        raise InputError(f"{here}: keypoints are {quoted(numbers)}, expected x, y and v of each")
    n = len(numbers) // 3
    if names is None:
        names = [str(i) for i in range(n)]
    if n != len(names):
        raise InputError(f"{here}: {n} keypoints, expected {len(names)} as in the category")
    landmarks = {}
    for i, name in enumerate(names):
        x, y, visibility = numbers[3 * i : 3 * i + 3]
        if isinstance(visibility, bool) or visibility not in (0, 1, 2):
            raise InputError(f"{here}: v of {quoted(name)} is {quoted(visibility)}, expected 0, 1 or 2")
        if visibility:
            which = f"of {quoted(name)}"
            landmarks[name] = check_number(x, here, f"x {which}"), check_number(y, here, f"y {which}")
        else:
            landmarks[name] = float("nan"), float("nan")
    return landmarks
