"""The dataset type: images, boxes and landmarks of annotated objects; load it from any format."""

import base64
import io
import math
import os
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ert._core.exceptions import InputError
from ert._core.images import load_image
from ert._core.types import Floats, StrPath
from ert.datasets.formats import FORMATS, dataset_format
from ert.datasets.formats.csv import read_boxes
from ert.datasets.parsing import Annotation, natural_key
from ert.datasets.split import connected_items
from ert.model.schemes import resolve_mirror_map

# In notebooks.
MAX_THUMBNAILS = 12
_COLUMNS = 6
_THUMBNAIL_PIXELS = 128


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
        counts, folder = self._overview()
        sizes = ", ".join(f"{value} {key}" for key, value in counts.items())
        return f"<Dataset {self.name!r}: {sizes}" + (f",\n images in {folder}>" if folder else ">")

    def _repr_html_(self) -> str:
        counts, folder = self._overview()
        cells = "".join(
            f'<tr><th style="text-align: left">{escape(key)}</th>'
            f'<td style="text-align: left">{escape(str(value))}</td></tr>'
            for key, value in {**counts, "image folder": folder or "-"}.items()
        )
        sheet = _contact_sheet(self)
        picture = f'<img alt="objects with landmarks" src="data:image/jpeg;base64,{sheet}">' if sheet else ""
        return f"<div><b>{escape(self.name)}</b><table>{cells}</table>{picture}</div>"

    def _overview(self) -> tuple[dict[str, int], str]:
        """Return sizes, and the folder that contains all images, "" if there is none."""
        counts = {
            "objects": len(self),
            "images": len(set(self.files)),
            "landmarks": len(self.landmark_names),
            "missing points": int(np.isnan(self.landmarks[:, :, 0]).sum()),
        }
        try:
            return counts, os.path.commonpath({str(file.parent) for file in self.files})
        except ValueError:  # no images, several drives, or both absolute and relative paths
            return counts, ""

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
        if not isinstance(indices, slice):
            # An empty list would become an array of floats, which is not an index.
            indices = np.asarray(indices) if len(indices) else slice(0)
        chosen = np.arange(len(self))[indices]
        files = [self.files[i] for i in chosen]
        return Dataset(files, self.boxes[chosen], self.landmarks[chosen], self.landmark_names, self.name)

    def __add__(self, other: "Dataset") -> "Dataset":
        return concatenate([self, other])


def _contact_sheet(dataset: Dataset) -> str:
    """Return a JPEG of up to `MAX_THUMBNAILS` objects, evenly spaced, in base64; "" if none can be drawn."""
    from PIL import Image

    from ert.plotting.landmarks import contact_sheet
    from ert.plotting.thumbnails import object_thumbnail

    n_known = np.isfinite(dataset.landmarks).all(axis=2).sum(axis=1)
    items = np.flatnonzero(np.isfinite(dataset.boxes).all(axis=1) & (n_known > 0))
    thumbnails = []
    for i in items[np.linspace(0, len(items) - 1, min(len(items), MAX_THUMBNAILS)).astype(int)]:
        try:
            image = load_image(dataset.files[i])
        except InputError:
            continue
        thumbnails.append(object_thumbnail(image, dataset.boxes[i], [dataset.landmarks[i]], [None], _THUMBNAIL_PIXELS))
    if not thumbnails:
        return ""
    sheet = contact_sheet(thumbnails, min(_COLUMNS, len(thumbnails)), tile_size=_THUMBNAIL_PIXELS)
    stream = io.BytesIO()
    Image.fromarray(sheet).save(stream, "JPEG", quality=88)
    return base64.b64encode(stream.getvalue()).decode()


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
    names, as_in = datasets[0].landmark_names, f"as in {datasets[0].name}"
    for other in datasets[1:]:
        if len(other.landmark_names) != len(names):
            raise InputError(f"{other.name}: {len(other.landmark_names)} landmarks, expected {len(names)} {as_in}")
        for i, (found, name) in enumerate(zip(other.landmark_names, names, strict=True)):
            if found != name:
                raise InputError(f"{other.name}: landmark {i} is {found!r}, expected {name!r} {as_in}")
    return Dataset(
        [file for dataset in datasets for file in dataset.files],
        np.concatenate([dataset.boxes for dataset in datasets]),
        np.concatenate([dataset.landmarks for dataset in datasets]),
        names,
        " + ".join(dataset.name for dataset in datasets),
    )


def mirror_dataset(
    dataset: Dataset,
    widths: ArrayLike,
    mirror_map: str | Sequence[int] | NDArray[np.integer],
    files: Sequence[Path] | None = None,
) -> Dataset:
    """Return the annotations of mirrored images: x becomes width - 1 - x, and landmark pairs are swapped.

    Parameters
    ----------
    dataset : Dataset
        Annotations to mirror.
    widths : array-like (n,)
        Width of the image of each object in pixels.
    mirror_map : str or sequence of int
        Name of a mirror scheme, or for each landmark the index of its mirror partner.
    files : sequence of pathlib.Path, optional
        The mirrored image of each object; by default the files of `dataset`.

    Returns
    -------
    Dataset
        Mirroring twice gives the original, up to rounding.

    Raises
    ------
    InputError
        An unknown scheme, or a map that is not made of pairs.
    """
    numbers = mirror_map if isinstance(mirror_map, str) else np.asarray(mirror_map).tolist()
    partners = resolve_mirror_map(numbers, len(dataset.landmark_names))
    columns = np.asarray(widths, float)
    landmarks = dataset.landmarks[:, partners]
    landmarks[:, :, 0] = columns[:, None] - 1 - landmarks[:, :, 0]
    boxes = dataset.boxes.copy()
    boxes[:, 0] = columns - boxes[:, 0] - boxes[:, 2]
    mirrored = list(dataset.files if files is None else files)
    return Dataset(mirrored, boxes, landmarks, dataset.landmark_names, f"{dataset.name} mirrored")


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
    absolute = Path(os.path.abspath(path))
    name = absolute.name if path.is_dir() else absolute.stem
    return _assemble(annotations, path, None if format.ordered else part_order, name)


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
            what = f"several objects in {annotation.file}"
            raise InputError(f"{annotation.where}: {what}, but {spec} has one box per image")
        seen.add(image)
        yield replace(annotation, box=box)


def _assemble(annotations: Iterable[Annotation], path: Path, part_order: str | None, name: str) -> Dataset:
    """Collect annotations in arrays and check them, as `load_dataset` describes.

    `part_order` is "natural" or "dlib" where landmarks have no order of their own, else None.
    """
    files: list[Path] = []
    wheres: list[str] = []
    index: dict[str, int] = {}
    # Flat arrays, because Python floats would take several times the memory: object i has counts[i] entries
    # in columns (which landmark) and twice as many in coordinates.
    numbers, coordinates, counts, columns = array("d"), array("d"), array("i"), array("i")
    for annotation in annotations:
        if not any(x == x for x, _ in annotation.landmarks.values()):
            raise InputError(f"{annotation.where}: no landmarks, expected at least one")
        numbers.extend(annotation.box or (math.nan,) * 4)
        columns.extend(index.setdefault(landmark, len(index)) for landmark in annotation.landmarks)
        counts.append(len(annotation.landmarks))
        for point in annotation.landmarks.values():
            coordinates.extend(point)
        files.append(annotation.file)
        wheres.append(annotation.where)
    if not files:
        raise InputError(f"{path}: no annotated object, expected at least one")
    names = list(index)
    column_of = np.frombuffer(columns, np.intc)
    if part_order is not None:
        _check_parts(names, np.repeat(np.arange(len(files), dtype=np.intc), counts), column_of, wheres)
        names.sort(key=natural_key if part_order == "natural" else None)
    position = np.argsort([index[landmark] for landmark in names])
    landmarks = np.full((len(files), len(names), 2), np.nan)
    points, start = np.frombuffer(coordinates).reshape(-1, 2), 0
    for shape, count in zip(landmarks, counts, strict=True):
        shape[position[column_of[start : start + count]]] = points[start : start + count]
        start += count
    absent = np.flatnonzero(np.isnan(landmarks[:, :, 0]).all(axis=0))
    if len(absent):
        raise InputError(f"{path}: landmark {names[absent[0]]!r} is missing in all objects, expected in one")
    boxes = np.array(numbers).reshape(-1, 4)
    without = np.isnan(boxes[:, 0])
    boxes[without] = squares_around(landmarks[without])
    for i in np.flatnonzero(~(boxes[:, 2:] > 0).all(axis=1)):
        origin = " around the landmarks" if without[i] else ""
        size = f"{boxes[i, 2]:g} wide and {boxes[i, 3]:g} high"
        raise InputError(f"{wheres[i]}: the box{origin} is {size}, expected more than 0")
    return Dataset(files, boxes, landmarks, tuple(names), name)


def squares_around(landmarks: Floats) -> Floats:
    """Return boxes (n, 4) around landmarks: centered on their bounding rectangle, with its longer side."""
    low, high = np.fmin.reduce(landmarks, axis=1), np.fmax.reduce(landmarks, axis=1)
    side = (high - low).max(axis=1, keepdims=True)
    return np.hstack([(low + high - side) / 2, side, side])


def _check_parts(names: list[str], box_of: NDArray[np.intc], part_of: NDArray[np.intc], wheres: list[str]) -> None:
    """Raise InputError for part names that look like typos: in hardly any box, or only in boxes of their own.

    Box ``box_of[i]`` has part ``part_of[i]``, an index into `names`; `wheres` are the places of the boxes.
    """
    n = len(wheres)
    uses = np.bincount(part_of, minlength=len(names))
    rare = np.flatnonzero(uses < max(2, n / 100))
    if n > 20 and len(rare):
        part = rare[0]
        box = box_of[np.argmax(part_of == part)]
        message = f"part {names[part]!r} is in {uses[part]} of {n} boxes only"
        raise InputError(f"{wheres[box]}: {message}, expected the parts of the other boxes")
    groups, sizes = np.unique(connected_items(box_of, part_of), return_counts=True)
    if len(groups) > 1:
        # Of groups of equal size, the later one in the file is reported.
        box = groups[len(groups) - 1 - np.argmin(sizes[::-1])]
        part = part_of[np.argmax(box_of == box)]
        message = f"no part in common with other boxes, it has {names[part]!r}"
        raise InputError(f"{wheres[box]}: {message}, expected the parts of the other boxes")
