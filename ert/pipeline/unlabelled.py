"""Photos without annotations: which they are, and where their objects lie."""

import filecmp
import glob
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ert._core.exceptions import InputError
from ert._core.types import Pixels, StrPath
from ert.datasets.dataset import Dataset
from ert.inference.locator import locate_objects
from ert.model.locator import Locator
from ert.pipeline.boxes import DetectedFaces
from ert.pipeline.inputs import Inputs, Item
from ert.pipeline.self_training import Finder, Marks, SelfTraining
from ert.pipeline.sources import Found, least_confidence, whole_boxes


@dataclass(frozen=True)
class Unlabelled:
    """Photos without annotations, and how they are learned from.

    Parameters
    ----------
    items : tuple of Item
    settings : SelfTraining
    """

    items: tuple[Item, ...]
    settings: SelfTraining

    @property
    def files(self) -> list[Path]:
        """The image files."""
        return [item.file for item in self.items]

    def finder(
        self,
        source: str,
        annotated: Dataset,
        *,
        locator: Locator | None = None,
        faces: DetectedFaces,
        gray_weights: str = "luma",
    ) -> Finder:
        """Return the function that finds the objects of a photo, as they will be found in new photos."""
        n = max(Counter(annotated.files).values())
        options: Any = {"max_objects": n, "min_confidence": least_confidence(n), "gray_weights": gray_weights}

        def find(i: int, image: Pixels) -> Sequence[Found]:
            item = self.items[i]
            if source == "given":
                return [Found(np.array(box)) for box in item.boxes]
            if source == "whole":
                return [Found(whole_boxes([item.file])[0])]
            if source == "face":
                return [Found(box) for box in faces(item.file)]
            assert locator is not None
            found = locate_objects(locator, image, **options, what=str(item.file))
            return [Found(np.array(box), roll, confidence) for box, roll, confidence in found]

        return find


def place(locator: Locator | None) -> Callable[[Marks], Marks]:
    """Return the function that gives marked objects the boxes that training objects with these landmarks have."""

    def moved(marks: Marks) -> Marks:
        if locator is None or not len(marks.landmarks):
            return marks
        boxes, rolls = locator.poses(marks.landmarks)
        return marks._replace(boxes=boxes, rolls=rolls)

    return moved


def find_unlabelled(
    given: Any,
    dataset: Dataset,
    settings: SelfTraining,
    *,
    boxes: str | None = None,
    image_folder: StrPath | None = None,
    say: Callable[[str], object] = lambda text: None,
) -> Unlabelled:
    """Return the photos of folders, patterns, lists or annotation files that are not in a dataset.

    A photo is in the dataset if it is one of its files or a copy of one.

    Raises
    ------
    InputError
        When an input cannot be used, or no photo is left.
    """
    several = [given] if isinstance(given, (str, os.PathLike, Dataset)) else list(given)
    for text in several:
        if not isinstance(text, (str, os.PathLike)) or str(text).startswith("@"):
            continue
        if not os.path.exists(text) and not glob.has_magic(str(text)):
            raise InputError(f"unlabelled: {os.fspath(text)}: there is no such file or folder")
    inputs = Inputs(image_folder=image_folder).add(several)
    if inputs.faults:
        raise InputError(f"unlabelled: {inputs.faults[0]}")
    for note in inputs.notes:
        say(note)
    if boxes is not None:
        inputs.give_boxes(boxes)
    known = {os.path.realpath(file) for file in dataset.files}
    by_size: dict[int, list[str]] = {}
    for name in known:
        if os.path.isfile(name):
            by_size.setdefault(os.path.getsize(name), []).append(name)
    items = [item for item in inputs.items.values() if not _is_known(item.file, known, by_size)]
    if n := len(inputs.items) - len(items):
        say(f"{n} of {len(inputs.items)} photos without annotations left out: they are among the annotated ones")
    if not items:
        raise InputError("unlabelled: expected at least one photo that is not among the annotated ones")
    return Unlabelled(tuple(items), settings)


def _is_known(file: Path, known: set[str], by_size: dict[int, list[str]]) -> bool:
    path = os.path.realpath(file)
    if path in known:
        return True
    same_size = by_size.get(os.path.getsize(path), []) if os.path.isfile(path) else []
    return any(filecmp.cmp(path, name, shallow=False) for name in same_size)
