"""Which images to predict: files, folders, patterns, lists and annotations become a list without duplicates."""

import glob
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ert._core.embedded_image import embedded_pixels
from ert._core.exceptions import InputError
from ert._core.files import as_path
from ert._core.image_paths import Levels, image_path
from ert._core.images import check_image
from ert._core.types import Box, Pixels
from ert.datasets.dataset import Dataset
from ert.datasets.finder import IMAGE_SUFFIXES, TableImages, walk
from ert.datasets.formats import dataset_format, image_name
from ert.datasets.formats.conventions import read_with_conventions
from ert.datasets.formats.csv import read_boxes
from ert.datasets.formats.registry import FILE_FORMATS, FORMATS, READ_ONLY
from ert.datasets.parsing import check_name, natural_key, quoted
from ert.datasets.points import read_scale
from ert.datasets.tables import csv_table
from ert.datasets.text import text_lines
from ert.datasets.turns import Turns
from ert.inference.validation import check_box

_DATASET_SUFFIXES = {*FILE_FORMATS, *(format.suffix for format in READ_ONLY.values())}
_SPECIMEN_COLUMNS = ("specimen", "id")


class Item(NamedTuple):
    """An image to predict.

    Attributes
    ----------
    image : pathlib.Path or uint8 array
    specimen : str
        The name of its object in tables: the ID in a dataset, else the name of the file without suffix.
    boxes : tuple of (float, float, float, float)
        Left, top, width, height of objects, where they are given.
    ids : tuple of str
        The name of each of these objects; "" is `specimen`.
    scale : float or None
        Length of a pixel.
    """

    image: Path | Pixels
    specimen: str
    boxes: tuple[Box, ...] = ()
    ids: tuple[str, ...] = ()
    scale: float | None = None

    @property
    def file(self) -> Path:
        """The image file."""
        if isinstance(self.image, np.ndarray):
            raise InputError(f"image {self.specimen}: is an array, expected an image file")
        return self.image


@dataclass
class Inputs:
    """The images of the inputs, and what is wrong with others.

    Parameters
    ----------
    recursive : bool
        Whether the images in subfolders of a folder belong to it.
    image_folder : path-like, optional
        The folder of the images of annotations, see :func:`ert.load_dataset`.
    exif, levels
        See :func:`ert.load_dataset`; the default of `exif` is upright for images that are not of a dataset.

    Attributes
    ----------
    items : dict
        By the absolute path of the image, in the order of the inputs.
    faults : list of str
        Of inputs that cannot be used, one line each.
    notes : list of str
    has_boxes : bool
        Whether annotations gave a box.
    """

    recursive: bool = False
    image_folder: str | os.PathLike[str] | None = None
    exif: str | None = None
    levels: Levels | None = None
    items: dict[str, Item] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def has_boxes(self) -> bool:
        """Whether some image has a box that was given."""
        return any(item.boxes for item in self.items.values())

    def add(self, inputs: Iterable[Any]) -> "Inputs":
        """Add images, folders, patterns, ``@list`` files, annotations, datasets and arrays."""
        for i, given in enumerate(inputs):
            try:
                if isinstance(given, Dataset):
                    self._add_dataset(given)
                elif not isinstance(given, (str, os.PathLike)):
                    self.items[f"<array {i}>"] = Item(check_image(given, f"images[{i}]"), str(i))
                elif isinstance(given, str) and given.startswith("@"):
                    self._add_list(Path(given[1:]))
                else:
                    self._add_path(given)
            except InputError as error:
                self.faults.append(str(error))
        return self

    def _add_path(self, given: str | os.PathLike[str]) -> None:
        path = as_path(given, "images")
        if os.path.isdir(path):
            files = list(_images_in(path, self.recursive))
            if not files:
                others = "" if self.recursive else "; --recursive looks in its subfolders too"
                raise InputError(f"{path}: no image in this folder{others}")
            if not self.recursive and _has_images_below(path):
                self.notes.append(f"{path}: images in its subfolders are left out; --recursive takes them too")
        elif not os.path.lexists(path) and glob.has_magic(str(given)):
            found = sorted(glob.glob(str(given), recursive=True), key=natural_key)
            files = [Path(name) for name in found if is_image(name) and os.path.isfile(name)]
            if not files:
                raise InputError(f"{path}: no image matches this pattern")
        elif path.suffix.lower() in _DATASET_SUFFIXES:
            self._add_annotations(path)
            return
        else:
            files = [given if isinstance(given, Path) else path]
        plain = self.exif in (None, "upright") and self.levels is None
        for file in files:
            self._add_item(file if plain else image_path(file, self.exif == "stored", self.levels))

    def _add_item(self, file: Path, boxes: tuple[Box, ...] = (), id: str = "", scale: float | None = None) -> None:
        key = os.path.abspath(file)
        known = self.items.get(key)
        if known is None:
            if embedded_pixels(file) is not None:
                way = "ert convert --write-images DIR, or ert.datasets.write_images, writes them as files"
                raise InputError(f"{file.parent}: its images are pixels in the table; {way}")
            self.items[key] = Item(file, id or file.stem, boxes, (id,) * len(boxes), scale)
        elif boxes and not set(boxes) <= set(known.boxes):
            # Another object of the image.
            self.items[key] = known._replace(boxes=known.boxes + boxes, ids=(*known.ids, id))

    def _add_list(self, path: Path) -> None:
        for line, text in text_lines(path):
            name = text.strip()
            if name and not name.startswith("#"):
                if name.startswith("@"):
                    raise InputError(f"{path}:{line}: {quoted(name)}, expected an image, not another list")
                try:
                    self._add_path(os.path.join(path.parent, name))
                except InputError as error:
                    self.faults.append(f"{path}:{line}: {error}")

    def _add_annotations(self, path: Path) -> None:
        name = dataset_format(path)
        turns = Turns(self.exif, self.levels, stored_by_default=name == "imglab")
        # Which numbers stand for a missing landmark does not matter here.
        for annotation in read_with_conventions(
            (FORMATS | READ_ONLY)[name], path, turns, image_folder=self.image_folder, missing=[]
        ):
            if annotation.fault is not None:
                self.faults.append(annotation.fault)
                continue
            boxes = () if annotation.box is None else (annotation.box,)
            self._add_item(annotation.file, boxes, annotation.id or "", annotation.scale)
        self.notes += [f"{path}: {note}" for note in turns.notes()]

    def _add_dataset(self, dataset: Dataset) -> None:
        for i, file in enumerate(dataset.files):
            box = () if dataset.box_source == "landmarks" else (tuple(dataset.boxes[i].tolist()),)
            scale = math.nan if dataset.scales is None else float(dataset.scales[i])
            id = "" if dataset.ids is None else dataset.ids[i]
            self._add_item(file, box, id, None if math.isnan(scale) else scale)

    def leave_out_names(self, folder: Path) -> None:
        """Leave out images whose name, relative to the folder of the output, or specimen no table can hold."""
        for key, item in list(self.items.items()):
            try:
                check_name(image_name(item.file, folder), "a table")
                for name in filter(None, (item.specimen, *item.ids)):
                    check_name(name, "a table")
            except InputError as error:
                self.faults.append(f"{item.file}: {error}")
                del self.items[key]

    def give_boxes(self, boxes: Any) -> None:
        """Replace the boxes of the images.

        Parameters
        ----------
        boxes : str, sequence of 4 numbers, or sequence
            ``CSV:PREFIX``, a table of boxes; one box for all images; or for each image its box or boxes.
        """
        if isinstance(boxes, str):
            table = {os.fspath(file): box for file, (box, _) in read_boxes(boxes, self.image_folder).items()}
            for key, item in self.items.items():
                box = table.get(os.path.realpath(key))
                self.items[key] = item._replace(boxes=() if box is None else (box,), ids=("",) * (box is not None))
            return
        for_all = _is_box(boxes)
        if not for_all and (not isinstance(boxes, (Sequence, np.ndarray)) or len(boxes) != len(self.items)):
            raise InputError(f"boxes: expected left, top, width, height, or the boxes of {len(self.items)} images")
        for i, (key, item) in enumerate(self.items.items()):
            of_image = boxes if for_all else boxes[i]
            several = isinstance(of_image, (Sequence, np.ndarray)) and not _is_box(of_image)
            checked = [check_box(box, f"boxes[{i}]") for box in (of_image if several else [of_image])]
            self.items[key] = item._replace(boxes=tuple(checked), ids=("",) * len(checked))

    def give_scales(self, scale: float | str) -> None:
        """Set the length of a pixel: a number, or ``CSV:COLUMN``, a table with a column image, specimen or id."""
        try:
            number = read_scale(str(scale), "scale")
        except InputError:
            if not isinstance(scale, str) or ":" not in scale:
                raise InputError(f"scale {quoted(scale)}: expected a number above 0, or CSV:COLUMN") from None
            table, is_specimen = read_scale_table(scale, self.image_folder)
            for key, item in self.items.items():
                found = table.get(item.specimen if is_specimen else os.path.realpath(key))
                self.items[key] = item._replace(scale=found)
            return
        self.items = {key: item._replace(scale=number) for key, item in self.items.items()}


def _is_box(value: Any) -> bool:
    if not isinstance(value, (Sequence, np.ndarray)) or isinstance(value, str):
        return False
    return len(value) == 4 and all(isinstance(number, (int, float, np.number)) for number in value)


def _images_in(folder: Path, recursive: bool) -> Iterator[Path]:
    """Yield the images of a folder in natural order, hidden ones left out."""
    folders = sorted(walk(folder), key=lambda entry: natural_key(entry[0])) if recursive else [next(walk(folder))]
    for parent, names in folders:
        yield from (Path(parent, name) for name in sorted(names, key=natural_key) if is_image(name))


def _has_images_below(folder: Path) -> bool:
    with suppress(OSError), os.scandir(folder) as entries:
        return any(any(map(is_image, os.listdir(entry))) for entry in entries if entry.is_dir())
    return False


def is_image(name: str) -> bool:
    """Return whether a file has the suffix of an image, and is not hidden."""
    base = os.path.basename(name)
    return not base.startswith(".") and os.path.splitext(base)[1].lower() in IMAGE_SUFFIXES


def read_scale_table(spec: str, image_folder: str | os.PathLike[str] | None) -> tuple[dict[str, float | None], bool]:
    """Return the scales of a table by image or specimen, and whether it is by specimen."""
    name, _, column = spec.rpartition(":")
    path = Path(name)
    table = csv_table(path)
    line, header = next(table)
    by = next((name for name in ("image", *_SPECIMEN_COLUMNS) if name in header), None)
    if by is None or column not in header:
        raise InputError(f"{path}:{line}: no column {column if by else 'image'}; found: {', '.join(header)}")
    images, keys, values = TableImages(path, image_folder), header.index(by), header.index(column)
    scales: dict[str, float | None] = {}
    for line, cells in table:
        here = f"{path}:{line}"
        key = os.fspath(images.resolve(cells[keys], here)) if by == "image" else cells[keys]
        scale = read_scale(cells[values], f"{here}: {column}")
        if scales.setdefault(key, scale) != scale:
            raise InputError(f"{here}: {quoted(cells[keys])} has two scales, expected one")
    return scales, by != "image"
