"""Annotated images as one dataset type: which images, which boxes, which landmarks."""

import os
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ert._core.exceptions import InputError
from ert._core.types import StrPath
from ert.datasets.formats.coco import read_coco
from ert.datasets.formats.csv import read_boxes, read_csv
from ert.datasets.formats.imglab import read_imglab
from ert.datasets.formats.ljson import read_ljson_folder
from ert.datasets.formats.pts import read_pts_folder
from ert.datasets.formats.tem import read_tem_folder
from ert.datasets.formats.tps import read_tps
from ert.datasets.parsing import Annotation, natural_key, walk

__all__ = [
    "FILE_FORMATS",
    "FOLDER_FORMATS",
    "Dataset",
    "concatenate",
    "dataset_format",
    "load_dataset",
]


# Suffix of a file -> its format, and of the files in a folder that is read as one dataset.
FILE_FORMATS = {".xml": "imglab", ".csv": "csv", ".tps": "tps", ".json": "coco"}
FOLDER_FORMATS = {".pts": "pts", ".tem": "tem", ".ljson": "ljson"}
_EXPECTED = "an imglab .xml, a .csv, a .tps, a COCO .json or a folder of .pts, .tem or .ljson files"


@dataclass(frozen=True, eq=False)
class Dataset:
    """Annotated objects in images.

    Attributes
    ----------
    files : list of pathlib.Path
        The image of each object; an image with several objects stands there several times.
    boxes : float64 array (n, 4)
        Left, top, width, height of each object, in pixels.
    landmarks : float64 array (n, n_landmarks, 2)
        x and y in pixels, the center of the first pixel at 0, 0. NaN = missing.
    landmark_names : tuple of str
        The names of the landmarks, in the order of the array.
    name : str
        What to call the dataset in reports.

    Raises
    ------
    InputError
        Arrays whose shapes do not fit together.
    """

    files: list[Path]
    boxes: NDArray[np.float64]
    landmarks: NDArray[np.float64]
    landmark_names: tuple[str, ...]
    name: str

    def __post_init__(self) -> None:
        n, n_landmarks = len(self.files), len(self.landmark_names)
        for what, values, shape in (
            ("boxes", self.boxes, (n, 4)),
            ("landmarks", self.landmarks, (n, n_landmarks, 2)),
        ):
            if values.shape != shape:
                raise InputError(f"{self.name}: {what} have shape {values.shape}, expected {shape}")

    def __len__(self) -> int:
        return len(self.files)

    @property
    def X(self) -> list[tuple[Path, NDArray[np.float64]]]:  # noqa: N802
        """What an estimator is fitted on: a pair (image file, box) for each object."""
        return list(zip(self.files, self.boxes, strict=True))

    @property
    def y(self) -> NDArray[np.float64]:
        """What an estimator learns: the landmarks, (n, n_landmarks, 2)."""
        return self.landmarks

    def subset(self, indices: slice | Sequence[int] | NDArray[np.integer] | NDArray[np.bool_]) -> "Dataset":
        """Return the objects at `indices` (whole numbers, a mask or a slice) as a new dataset."""
        chosen = np.arange(len(self))
        if isinstance(indices, slice):
            chosen = chosen[indices]
        else:
            # An empty list would be an array of floats, which is no index.
            chosen = chosen[np.asarray(indices)] if len(indices) else chosen[:0]
        files = [self.files[i] for i in chosen]
        return Dataset(files, self.boxes[chosen], self.landmarks[chosen], self.landmark_names, self.name)

    def __add__(self, other: "Dataset") -> "Dataset":
        return concatenate([self, other])


def concatenate(datasets: Sequence[Dataset]) -> Dataset:
    """Join datasets into one, in their order.

    Parameters
    ----------
    datasets : sequence of Dataset
        At least one; all with the same landmark names in the same order.

    Returns
    -------
    Dataset
        Its name is the names of the parts joined by " + ".

    Raises
    ------
    InputError
        No dataset, or landmark names that differ.
    """
    if not datasets:
        raise InputError("no datasets to join, expected at least one")
    names = datasets[0].landmark_names
    for other in datasets[1:]:
        as_in = f"as in {datasets[0].name}"
        if len(other.landmark_names) != len(names):
            found = len(other.landmark_names)
            raise InputError(f"{other.name}: {found} landmarks, expected {len(names)} {as_in}")
        for i, (found_name, name) in enumerate(zip(other.landmark_names, names, strict=True)):
            if found_name != name:
                raise InputError(f"{other.name}: landmark {i} is {found_name!r}, expected {name!r} {as_in}")
    return Dataset(
        [file for dataset in datasets for file in dataset.files],
        np.concatenate([dataset.boxes for dataset in datasets]),
        np.concatenate([dataset.landmarks for dataset in datasets]),
        names,
        " + ".join(dataset.name for dataset in datasets),
    )


def dataset_format(path: StrPath) -> str:
    """Tell the format of annotations by the suffix of the file, or by what is in the folder.

    Returns
    -------
    str
        "imglab", "csv", "tps" or "coco" for a file; "pts", "tem" or "ljson" for a folder.

    Raises
    ------
    InputError
        A path that is none of these, or a folder with files of two formats.
    """
    path = Path(path)
    if not path.is_dir():
        if path.is_file() and path.suffix.lower() in FILE_FORMATS:
            return FILE_FORMATS[path.suffix.lower()]
        what = "not a kind of file that is read" if path.is_file() else "no such file or folder"
        raise InputError(f"{path}: {what}, expected {_EXPECTED}")
    names = (name for _, names in walk(path) for name in names if not name.startswith("."))
    suffixes = sorted({os.path.splitext(name)[1].lower() for name in names} & set(FOLDER_FORMATS))
    if len(suffixes) > 1:
        raise InputError(f"{path}: holds {' and '.join(suffixes)} files, expected those of one format")
    if not suffixes:
        raise InputError(
            f"{path}: expected .pts, .tem or .ljson files in this folder or below it, found none"
        )
    return FOLDER_FORMATS[suffixes[0]]


def load_dataset(
    path: StrPath,
    *,
    boxes: str | None = None,
    split: str | None = None,
    part_order: str = "natural",
    image_folder: StrPath | None = None,
) -> Dataset:
    """Load annotations: imglab .xml, .csv, .tps, COCO .json, or a folder of .pts, .tem or .ljson files.

    Where the file has no boxes and `boxes` is not given, the box of an object is the square round its
    landmarks: its center is that of their bounding rectangle, its side the rectangle's longer one.

    Parameters
    ----------
    path : path-like
        The file or folder; see `ert.readers`, `ert.imglab`, `ert.tps`, `ert.coco` and `ert.folders`.
    boxes : str, optional
        ``CSV:PREFIX``: a table of boxes to take in place of any others, see `ert.readers.read_boxes`.
    split : str, optional
        Take only the images whose row in the table of boxes has this value in the column ``split``.
    part_order : {"natural", "dlib"}
        Order of the parts of an imglab file: "2" before "10", or sorted as text, as dlib does. The landmarks
        of the other formats have an order of their own.
    image_folder : path-like, optional
        Where the images are, when they are not beside the annotations (of a file, or in a folder beside
        it). Not for imglab files, which say where.

    Returns
    -------
    Dataset
        At least one object, each with at least one landmark; every landmark is there at least once.

    Raises
    ------
    InputError
        A path that is none of these, a file that cannot be used, an object without a landmark or without a
        row in the table of boxes, a box not wider and higher than 0, a landmark that no object has, or
        parts of an imglab file that look like a mistake because hardly any box has them.
    """
    path = Path(path)
    if part_order not in {"natural", "dlib"}:
        raise InputError(f"part_order is {part_order!r}, expected 'natural' or 'dlib'")
    if split is not None and boxes is None:
        raise InputError(f"{path}: split {split!r} without boxes, expected a box file with a column split")
    kind = dataset_format(path)
    if kind == "imglab":
        if image_folder is not None:
            raise InputError(f"{path}: image_folder {image_folder}, expected none: an imglab file says where")
        annotations = read_imglab(path)
    else:
        annotations = _READERS[kind](path, image_folder=image_folder)
    if boxes is not None:
        annotations = _with_boxes(annotations, boxes, split)
    absolute = Path(os.path.abspath(path))
    name = absolute.name if path.is_dir() else absolute.stem
    return _gather(annotations, path, name, part_order if kind == "imglab" else None)


_READERS = {
    "csv": read_csv,
    "tps": read_tps,
    "coco": read_coco,
    "pts": read_pts_folder,
    "tem": read_tem_folder,
    "ljson": read_ljson_folder,
}


def _with_boxes(annotations: Iterable[Annotation], spec: str, split: str | None) -> Iterator[Annotation]:
    """Put the boxes of a table into annotations; with a split, leave out all that does not belong to it."""
    boxes = read_boxes(spec)
    splits = {text for _, text in boxes.values() if text is not None}
    if split is not None and split not in splits:
        there = ", ".join(sorted(splits)) or "none"
        raise InputError(f"{spec}: no row has the split {split!r}; splits that are there: {there}")
    seen = set()
    for annotation in annotations:
        image = Path(os.path.realpath(annotation.file))
        box, row_split = boxes.get(image, (None, None))
        if split is not None and row_split != split:
            continue
        if box is None:
            raise InputError(f"{annotation.where}: image {annotation.file} has no row in the box file {spec}")
        if image in seen:
            raise InputError(
                f"{annotation.where}: {annotation.file} comes again, but {spec} has one box for it"
            )
        seen.add(image)
        yield replace(annotation, box=box)


def _gather(annotations: Iterable[Annotation], path: Path, name: str, part_order: str | None) -> Dataset:
    """Build the arrays; `part_order` is None where the landmarks come in the order that they shall have."""
    files: list[Path] = []
    wheres: list[str] = []
    names: dict[str, int] = {}
    # Numbers are kept as flat arrays, for as Python objects they would take several times the memory:
    # object i has counts[i] entries in columns (which landmark) and twice as many in coordinates.
    boxes, coordinates, counts, columns = array("d"), array("d"), array("i"), array("i")
    for annotation in annotations:
        boxes.extend(_checked_box(annotation))
        columns.extend(names.setdefault(part, len(names)) for part in annotation.landmarks)
        counts.append(len(annotation.landmarks))
        for point in annotation.landmarks.values():
            coordinates.extend(point)
        files.append(annotation.file)
        wheres.append(annotation.where)
    if not files:
        raise InputError(f"{path}: no annotated object, expected at least one")
    column_of, count_of = np.frombuffer(columns, np.intc), np.frombuffer(counts, np.intc)
    ordered = list(names)
    if part_order is not None:
        _check_parts(ordered, column_of, count_of, wheres)
        ordered.sort(key=natural_key if part_order == "natural" else None)
    position = np.empty(len(names), np.intp)
    position[[names[part] for part in ordered]] = np.arange(len(names))
    landmarks = np.full((len(files), len(names), 2), np.nan)
    points = np.frombuffer(coordinates).reshape(-1, 2)
    stop = 0
    for i, count in enumerate(counts):
        start, stop = stop, stop + count
        landmarks[i, position[column_of[start:stop]]] = points[start:stop]
    absent = np.flatnonzero(np.isnan(landmarks[:, :, 0]).all(axis=0))
    if len(absent):
        raise InputError(
            f"{path}: landmark {ordered[absent[0]]!r} is missing in all objects, expected in one"
        )
    return Dataset(files, np.array(boxes).reshape(-1, 4), landmarks, tuple(ordered), name)


def _checked_box(annotation: Annotation) -> tuple[float, float, float, float]:
    """Return the object's box, or the square round its landmarks where it has none."""
    known = [point for point in annotation.landmarks.values() if point[0] == point[0]]
    if not known:
        raise InputError(f"{annotation.where}: no landmark at all, expected at least one")
    box, origin = annotation.box, ""
    if box is None:
        (left, top), (right, bottom) = (tuple(map(f, zip(*known, strict=True))) for f in (min, max))
        side = max(right - left, bottom - top)
        box, origin = (
            ((left + right - side) / 2, (top + bottom - side) / 2, side, side),
            " round the landmarks",
        )
    if not (box[2] > 0 and box[3] > 0):
        size = f"{box[2]:g} wide and {box[3]:g} high"
        raise InputError(f"{annotation.where}: the box{origin} is {size}, expected more than 0")
    return box


def _check_parts(
    names: Sequence[str], columns: NDArray[np.intc], counts: NDArray[np.intc], wheres: Sequence[str]
) -> None:
    """Refuse parts that look like a slip of the annotator: in hardly any box, or in boxes of their own.

    `columns` holds the parts (as indices of `names`) of all boxes one after another, `counts` how many of
    them belong to each box.
    """
    n = len(counts)
    inits = np.cumsum(counts) - counts
    uses = np.bincount(columns, minlength=len(names))
    rare = np.flatnonzero(uses < max(2, n / 100))
    if n > 20 and len(rare):
        part = rare[0]
        box = int(np.searchsorted(inits, np.argmax(columns == part), side="right")) - 1
        message = f"part {names[part]!r} is in {uses[part]} of {n} boxes only"
        raise InputError(f"{wheres[box]}: {message}, expected the parts of the other boxes")
    # Parts that share a box get one number, the lowest of theirs; in the end each number is a group of boxes.
    group = np.arange(len(names))
    while True:
        lowest = np.minimum.reduceat(group[columns], inits)
        merged = group.copy()
        np.minimum.at(merged, columns, np.repeat(lowest, counts))
        if np.array_equal(merged, group):
            break
        group = merged
    groups, sizes = np.unique(lowest, return_counts=True)
    if len(groups) > 1:
        # Of equal groups, the one that comes later in the file is called the odd one.
        odd = groups[len(groups) - 1 - np.argmin(sizes[::-1])]
        box = int(np.argmax(lowest == odd))
        message = f"no part in common with other boxes, it has {names[columns[inits[box]]]!r}"
        raise InputError(f"{wheres[box]}: {message}, expected the parts of the other boxes")
