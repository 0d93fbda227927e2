"""The dataset type: images, boxes and landmarks of annotated objects; loading it from any format."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ert._core.exceptions import InputError
from ert._core.types import Floats, StrPath
from ert.datasets.assemble import assemble_arrays
from ert.datasets.display import dataset_html, dataset_repr
from ert.datasets.formats import FILE_FORMATS, FOLDER_FORMATS, FORMATS
from ert.datasets.formats.csv import read_boxes
from ert.datasets.images import walk
from ert.datasets.parsing import Annotation


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Annotated objects in images.

    Parameters
    ----------
    files : list of pathlib.Path
        The image of each object; an image with several objects is repeated.
    boxes : float64 array (n, 4)
        Left, top, width, height of each object in pixels.
    landmarks : float64 array (n, n_landmarks, 2)
        x and y in pixels; the center of the first pixel is 0, 0. NaN is a missing landmark.
    landmark_names : tuple of str
        Landmark names, in the order of the array.
    name : str
        Name of the dataset in reports.

    Raises
    ------
    InputError
        Arrays with inconsistent shapes.
    """

    files: list[Path]
    boxes: Floats
    landmarks: Floats
    landmark_names: tuple[str, ...]
    name: str

    def __post_init__(self) -> None:
        n, n_landmarks = len(self.files), len(self.landmark_names)
        for what, values, shape in (("boxes", self.boxes, (n, 4)), ("landmarks", self.landmarks, (n, n_landmarks, 2))):
            if values.shape != shape:
                raise InputError(f"{self.name}: {what} have shape {values.shape}, expected {shape}")

    def __len__(self) -> int:
        return len(self.files)

    def __repr__(self) -> str:
        return dataset_repr(self)

    def _repr_html_(self) -> str:
        return dataset_html(self)

    @property
    def X(self) -> list[tuple[Path, Floats]]:  # noqa: N802
        """Input of an estimator: a pair (image file, box) for each object."""
        return list(zip(self.files, self.boxes, strict=True))

    @property
    def y(self) -> Floats:
        """Target of an estimator: the landmarks, (n, n_landmarks, 2)."""
        return self.landmarks

    def subset(self, indices: slice | Sequence[int] | NDArray[np.integer] | NDArray[np.bool_]) -> "Dataset":
        """Return the objects at `indices` (integers, a mask or a slice) as a new dataset."""
        chosen = np.arange(len(self))
        if isinstance(indices, slice):
            chosen = chosen[indices]
        else:
            # An empty list would become an array of floats, which is not an index.
            chosen = chosen[np.asarray(indices)] if len(indices) else chosen[:0]
        files = [self.files[i] for i in chosen]
        return Dataset(files, self.boxes[chosen], self.landmarks[chosen], self.landmark_names, self.name)

    def __add__(self, other: "Dataset") -> "Dataset":
        return concatenate([self, other])


def concatenate(datasets: Sequence[Dataset]) -> Dataset:
    """Concatenate datasets.

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
        No datasets, or different landmark names.
    """
    if not datasets:
        raise InputError("no datasets to concatenate, expected at least one")
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
    """Return the format of annotations: by the suffix of a file, or of the files in a folder.

    Parameters
    ----------
    path : path-like
        The file or folder.

    Returns
    -------
    str
        "imglab", "csv", "tps" or "coco" for a file; "pts", "tem" or "ljson" for a folder.

    Raises
    ------
    InputError
        An unknown file type, a path that does not exist, or a folder with files of two formats.
    """
    path = Path(path)
    folder_suffixes = ", ".join(FOLDER_FORMATS)
    if not path.is_dir():
        if path.is_file() and path.suffix.lower() in FILE_FORMATS:
            return FILE_FORMATS[path.suffix.lower()]
        what = "unknown file type" if path.is_file() else "no such file or folder"
        files = ", ".join(FILE_FORMATS)
        raise InputError(f"{path}: {what}, expected a file {files} or a folder of {folder_suffixes} files")
    names = (name for _, names in walk(path) for name in names if not name.startswith("."))
    suffixes = sorted({os.path.splitext(name)[1].lower() for name in names} & set(FOLDER_FORMATS))
    if len(suffixes) > 1:
        raise InputError(f"{path}: contains {' and '.join(suffixes)} files, expected one format")
    if not suffixes:
        expected = f"expected {folder_suffixes} files in this folder or its subfolders"
        raise InputError(f"{path}: {expected}, found none")
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

    If the file has no boxes and `boxes` is not given, the box of an object is the square around its
    landmarks: centered on their bounding rectangle, with its longer side.

    Parameters
    ----------
    path : path-like
        The file or folder. The modules of `ert.datasets.formats` describe each format.
    boxes : str, optional
        ``CSV:PREFIX``: a table of boxes that replace those of the file, see
        `ert.datasets.formats.csv.read_boxes`.
    split : str, optional
        Load only images with this value in the column ``split`` of the table of boxes.
    part_order : {"natural", "dlib"}
        Order of the parts of an imglab file: "2" before "10", or sorted as text, as in dlib. Other formats
        define the order of their landmarks.
    image_folder : path-like, optional
        Folder of the images, if they are not beside the annotations. Not for imglab files, which contain the
        paths of their images.

    Returns
    -------
    Dataset
        At least one object, each with at least one landmark; every landmark is annotated at least once.

    Raises
    ------
    InputError
        An unknown format, an invalid file, an object without landmarks or without a row in the table of
        boxes, a box without area, a landmark that no object has, or parts of an imglab file that look like
        typos because hardly any box has them.
    """
    path = Path(path)
    if part_order not in {"natural", "dlib"}:
        raise InputError(f"part_order is {part_order!r}, expected 'natural' or 'dlib'")
    if split is not None and boxes is None:
        raise InputError(f"{path}: split {split!r} without boxes, expected a box file with a column split")
    format = FORMATS[dataset_format(path)]
    annotations = format.read(path, image_folder=image_folder)
    if boxes is not None:
        annotations = _replace_boxes(annotations, boxes, split)
    arrays = assemble_arrays(annotations, path, None if format.ordered else part_order)
    absolute = Path(os.path.abspath(path))
    return Dataset(*arrays, absolute.name if path.is_dir() else absolute.stem)


def _replace_boxes(annotations: Iterable[Annotation], spec: str, split: str | None) -> Iterator[Annotation]:
    """Replace the boxes by those of a table; with a split, skip images outside it."""
    boxes = read_boxes(spec)
    splits = {text for _, text in boxes.values() if text is not None}
    if split is not None and split not in splits:
        known = ", ".join(sorted(splits)) or "none"
        raise InputError(f"{spec}: no row has the split {split!r}; splits found: {known}")
    seen = set()
    for annotation in annotations:
        image = Path(os.path.realpath(annotation.file))
        box, row_split = boxes.get(image, (None, None))
        if split is not None and row_split != split:
            continue
        if box is None:
            raise InputError(f"{annotation.where}: image {annotation.file} has no row in the box file {spec}")
        if image in seen:
            several = f"several objects in {annotation.file}"
            raise InputError(f"{annotation.where}: {several}, but {spec} has one box per image")
        seen.add(image)
        yield replace(annotation, box=box)
