"""File formats of annotations: one module per format, with its reader and its writer; load and write any of them.

A new format is a module in this folder with two functions and a line in `registry.py`; `CONTRIBUTING.md` says how.

- ``read(path, *, image_folder=None)`` yields an `Annotation` per object. Coordinates are x, y in pixels, and the
  center of the first pixel is 0, 0. Every error is an `InputError` that starts with file and line. Where reading can
  go on, the message is the `fault` of the annotation, and is not raised. An object without landmarks is no error.
- ``write(dataset, images)`` yields the text: in pieces, or one text per object if the format has one file per image.
  ``images[i]`` is the image name of object i, relative to the folder of the file.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ert._core.arguments import checked_arguments
from ert._core.embedded_image import embedded_pixels
from ert._core.exceptions import InputError
from ert._core.files import as_path, check_input, check_writable, write_text
from ert._core.image_paths import ImageURL, Levels
from ert._core.types import StrPath
from ert.datasets.assembly import assemble, check_not_empty
from ert.datasets.dataset import Dataset
from ert.datasets.finder import image_by_stem, walk
from ert.datasets.formats.conventions import read_with_conventions
from ert.datasets.formats.csv import read_boxes
from ert.datasets.formats.foreign import tool_of_suffix
from ert.datasets.formats.registry import FILE_FORMATS as FILE_FORMATS
from ert.datasets.formats.registry import FOLDER_FORMATS as FOLDER_FORMATS
from ert.datasets.formats.registry import FORMATS, READ_ONLY, Format
from ert.datasets.formats.sleap import read_sleap
from ert.datasets.parsing import DECIMALS, Annotation, first_duplicate, read_images, read_picture
from ert.datasets.selection import choose_label, drop_unreadable, image_boxes
from ert.datasets.turns import Turns, turn_notes


def dataset_format(path: StrPath) -> str:
    """Return the format of annotations: by the suffix of a file, or of the files in a folder.

    Parameters
    ----------
    path : path-like
        The file or folder.

    Returns
    -------
    str
        "imglab", "csv", "tps", "coco", "wflw" or "jsonl" for a file; "pts", "tem" or "ljson" for a folder.

    Raises
    ------
    InputError
        An unknown file type, a path that does not exist, or a folder with files of two formats.
    """
    path = as_path(path)
    formats = FILE_FORMATS | {format.suffix: name for name, format in READ_ONLY.items()}
    if os.path.isfile(path) and path.suffix.lower() in formats:
        return formats[path.suffix.lower()]
    files, folder_files = ", ".join(formats), f"{', '.join(FOLDER_FORMATS)} files"
    if not os.path.isdir(path):
        expected = f"a file {files} or a folder of {folder_files}"
        if not os.path.exists(path):
            raise InputError(f"{path}: no such file or folder, expected {expected}")
        check_input(path, expected)
        raise InputError(f"{path}: {tool_of_suffix(path) or f'unknown file type, expected {expected}'}")
    # Suffix -> the first file that has it.
    first: dict[str, str] = {}
    for parent, names in walk(path):
        for name in names:
            if not name.startswith("."):
                first.setdefault(os.path.splitext(name)[1].lower(), os.path.join(parent, name))
    suffixes = sorted(set(first) & set(FOLDER_FORMATS))
    if len(suffixes) > 1:
        raise InputError(f"{path}: contains {' and '.join(suffixes)} files, expected one format")
    if suffixes:
        return FOLDER_FORMATS[suffixes[0]]
    for suffix in sorted(set(first) & set(FILE_FORMATS)):
        raise InputError(f"{path}: expected a folder of {folder_files}, or a file such as {first[suffix]}")
    for file in first.values():
        tool = tool_of_suffix(Path(file))
        if tool is not None:
            raise InputError(f"{file}: {tool}")
    raise InputError(f"{path}: expected {folder_files} in this folder or its subfolders, found none")


@checked_arguments
def load_dataset(
    path: StrPath,
    *,
    boxes: str | None = None,
    split: str | None = None,
    part_order: str = "natural",
    image_folder: StrPath | None = None,
    category: str | Sequence[str] | None = None,
    label: str | Sequence[str] | None = None,
    skip_bad: bool = False,
    exif: str | None = None,
    levels: Levels | None = None,
    y_origin: str | None = None,
    missing: Sequence[float] | None = None,
    curves: str | None = None,
) -> Dataset:
    """Load annotations: imglab .xml, .csv, .tps, COCO .json, WFLW .txt, .jsonl, or a folder of .pts, .tem or .ljson.

    If the file has no boxes and `boxes` is not given, the box of an object is the square around its
    landmarks: centered on their bounding rectangle, with its longer side.

    Parameters
    ----------
    path : path-like
        The file or folder. The modules of `ert.datasets.formats` describe each format.
    boxes : str, optional
        ``CSV:PREFIX``: a table of boxes that replace those of the file, see
        `ert.datasets.formats.csv.read_boxes`. Or ``image``: the box of each object is its whole image, as it is
        by default where a dataset of a single landmark has no boxes.
    split : str, optional
        Load only images with this value in the column ``split`` of the table of boxes.
    part_order : {"natural", "dlib"}
        Order of the parts of an imglab file: "2" before "10", or sorted as text, as in dlib. Other formats
        define the order of their landmarks.
    image_folder : path-like, optional
        Folder of the images, if they are not beside the annotations. An image of which the file gives a path
        of another machine, or a URL, is looked for there by the end of that path.
    category : str or sequence of str, optional
        Load only objects of these categories of a COCO file; ``"*"`` is all. Required if there are several.
    label : str or sequence of str, optional
        The same for the labels of an imglab or CSV file; ``""`` is a box without a label.
    skip_bad : bool
        Leave out objects whose annotation is invalid, or whose image is missing or cannot be read. All images
        are read for this. By default, the first one is an error.
    exif : {"stored", "upright"}, optional
        How images are read in which a turn is noted (EXIF), here and wherever the paths of the dataset are
        given to ert: the pixels as they are stored, or turned. By default, in the way that fits the size that
        the file gives of the image, or else the one in which more landmarks are inside; where nothing decides, as
        stored for imglab files and for ``part_order="dlib"``, as dlib does, and upright for other files.
    levels : (float, float) or "auto", optional
        The values that become black and white in gray images of more than 8 bits, see :func:`ert.load_image`.
    y_origin : {"top", "bottom"}, optional
        The row of pixels from which y is counted: by default the bottom one in .tps files, else the top one.
    missing : sequence of float, optional
        Numbers v such that a landmark at v, v in the file is missing, for example ``[-1]``; ``[]`` is none. By
        default, as the format has it; where it has nothing (.csv, .pts), 0, -1 and the like are an error.
    curves : {"as-landmarks"}, optional
        Append the points of the curves and outlines of a .tps file to its landmarks. By default, they are
        passed over.

    Returns
    -------
    Dataset
        At least one object, each with at least one landmark; every landmark is annotated at least once. Objects
        without landmarks are left out. They and those of `skip_bad` are in its attribute ``skipped``.

    Raises
    ------
    InputError
        An unknown format, an invalid file, an image that does not exist, an object without a row in the table
        of boxes, a box without area, several categories or labels, a landmark that no object has, or parts of
        an imglab file that look like typos because hardly any box has them.

    Examples
    --------
    >>> folder = ert.datasets.synthetic_dataset("faces", 3)
    >>> faces = ert.load_dataset(folder / "landmarks.xml")
    >>> faces.landmarks.shape, faces.boxes.shape
    ((3, 68, 2), (3, 4))
    """
    dataset = read_annotations(
        path,
        boxes=boxes,
        split=split,
        part_order=part_order,
        image_folder=image_folder,
        category=category,
        label=label,
        skip_bad=skip_bad,
        exif=exif,
        levels=levels,
        y_origin=y_origin,
        missing=missing,
        curves=curves,
    )
    if skip_bad:
        dataset = drop_unreadable(dataset, read_images(read_picture, dataset.files))
    return check_not_empty(dataset, Path(path))


def read_annotations(
    path: StrPath,
    *,
    boxes: str | None,
    split: str | None,
    part_order: str,
    image_folder: StrPath | None,
    category: str | Sequence[str] | None,
    label: str | Sequence[str] | None,
    skip_bad: bool,
    exif: str | None = None,
    levels: Levels | None = None,
    **conventions: Any,
) -> Dataset:
    """Load annotations as `load_dataset` does, without reading images; with `skip_bad`, objects may all be left out."""
    path = as_path(path)
    if part_order not in {"natural", "dlib"}:
        raise InputError(f"part_order is {part_order!r}, expected 'natural' or 'dlib'")
    if split is not None and boxes in (None, "image"):
        raise InputError(f"{path}: split {split!r} without boxes, expected a box file with a column split")
    name = dataset_format(path)
    for option, value, wanted in (("category", category, "coco"), ("label", label, "imglab and csv")):
        if value is not None and name not in wanted.split():
            raise InputError(f"{path}: {option} {value!r}, expected none: only {wanted} files have it")
    format = (FORMATS | READ_ONLY)[name]
    turns = Turns(exif, levels, stored_by_default=name == "imglab" or part_order == "dlib")
    annotations = read_with_conventions(format, path, turns, image_folder=image_folder, **conventions)
    if name in ("coco", "imglab", "csv"):
        annotations = choose_label(annotations, path, "category" if name == "coco" else "label", category or label)
    if boxes == "image":
        annotations = image_boxes(annotations)
    elif boxes is not None:
        annotations = _replace_boxes(annotations, boxes, split, image_folder)
    absolute = Path(os.path.abspath(path))
    name = absolute.name if path.is_dir() else absolute.stem
    dataset = assemble(annotations, path, None if format.ordered else part_order, name, skip_bad)
    source = "whole" if boxes == "image" else dataset.box_source
    return replace(dataset, notes=(*dataset.notes, *turns.notes()), box_source=source)


def import_sleap(
    path: StrPath, frames: Path, *, boxes: str | None, image_folder: StrPath | None, skip_bad: bool
) -> Dataset:
    """Load a file that the package sleap-io reads; frames that are not image files are written to a folder."""
    path = Path(path)
    annotations = read_sleap(path, frames, image_folder=image_folder)
    if boxes == "image":
        annotations = image_boxes(annotations)
    elif boxes is not None:
        annotations = _replace_boxes(annotations, boxes, None, image_folder)
    return check_not_empty(assemble(annotations, path, None, path.stem, skip_bad), path)


def _replace_boxes(
    annotations: Iterable[Annotation], spec: str, split: str | None, image_folder: StrPath | None
) -> Iterator[Annotation]:
    """Replace the boxes by those of a table; with a split, skip images outside it."""
    boxes = read_boxes(spec, image_folder)
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
        if annotation.fault is None and annotation.landmarks:
            fault = None
            if box is None:
                fault = f"{annotation.where}: image {annotation.file} has no row in the box file {spec}"
            elif image in seen:
                fault = f"{annotation.where}: several objects in {annotation.file}, but {spec} has one box per image"
            seen.add(image)
            annotation = replace(annotation, box=box, fault=fault)
        yield annotation


@checked_arguments
def write_dataset(dataset: Dataset, path: StrPath, format: str | None = None) -> list[str]:
    """Write annotations: imglab .xml, .csv, .tps, COCO .json, or a folder of .pts, .tem or .ljson files.

    Coordinates are written to a millionth of a pixel, in imglab files as integers. Image names are relative
    to the folder of the file. A folder gets one file per image, named after it; images are not copied.
    Existing files of the format are replaced atomically.

    Parameters
    ----------
    dataset : Dataset
        Every object has at least one landmark, and every landmark is annotated in at least one object.
    path : path-like
        The file, or the folder, which is created if necessary.
    format : {"imglab", "csv", "tps", "coco", "pts", "tem", "ljson"}, optional
        By default, the format of the suffix of `path`. Required for folders.

    Returns
    -------
    list of str
        What the format rounds, drops or changes, one line each; empty if nothing is lost.

    Raises
    ------
    InputError
        An unknown format, or one that does not match the suffix; a name that the format cannot store; in
        folders, several objects in an image, two images of the same name, or files of another dataset; an
        unreadable image, if the format needs image sizes; a file that cannot be written.

    Examples
    --------
    >>> faces = ert.load_dataset(ert.datasets.synthetic_dataset("faces", 3) / "landmarks.xml")
    >>> ert.write_dataset(faces, "faces.tps")
    ['boxes are dropped: the format has none', 'landmark names are dropped: the format numbers landmarks']
    """
    path = as_path(path)
    chosen = _choose_format(path, format)
    _check(dataset)
    notes = []
    if chosen.folder:
        n_elsewhere = _write_folder(dataset, path, chosen)
        if n_elsewhere:
            which = "image is not beside its" if n_elsewhere == 1 else "images are not beside their"
            files = f"{chosen.suffix} file" if n_elsewhere == 1 else f"{chosen.suffix} files"
            notes.append(f"{n_elsewhere} {which} {files}: readers need the image folder")
    else:
        kind = FILE_FORMATS[chosen.suffix]
        check_writable(path, kind)
        text = "".join(chosen.write(dataset, _image_names(dataset, path)))
        with write_text(path, kind) as file:
            file.write(text)
    if not chosen.boxes:
        notes.append("boxes are dropped: the format has none")
    extras = ("ids", dataset.ids, chosen.ids), ("scales", dataset.scales, chosen.ids)
    for what, values, is_stored in (*extras, ("standard errors", dataset.std, chosen.std)):
        if values is not None and not is_stored:
            notes.append(f"{what} are dropped: the format has none")
    if not chosen.names and dataset.landmark_names != tuple(map(str, range(len(dataset.landmark_names)))):
        notes.append("landmark names are dropped: the format numbers landmarks")
    return [*notes, *turn_notes(dataset.files, stored_by_default=chosen.suffix == ".xml"), *chosen.notes(dataset)]


def _choose_format(path: Path, format: str | None) -> Format:
    if format is not None and format not in FORMATS:
        raise InputError(f"format is {format!r}, expected one of {', '.join(FORMATS)}")
    by_suffix = FILE_FORMATS.get(path.suffix.lower()) if not os.path.isdir(path) else None
    name = by_suffix if format is None else format
    if name is None:
        files, folders = ", ".join(FILE_FORMATS), ", ".join(FOLDER_FORMATS.values())
        raise InputError(f"{path}: expected a file ending in {files}, or the format {folders}")
    if name != by_suffix and (by_suffix or not FORMATS[name].folder):
        expected = "a folder" if FORMATS[name].folder else f"a file ending in {FORMATS[name].suffix}"
        raise InputError(f"{path}: expected {expected} for the format {name}")
    return FORMATS[name]


def _check(dataset: Dataset) -> None:
    """Raise InputError for a dataset that could not be read back."""
    names, landmarks, boxes = dataset.landmark_names, dataset.landmarks, dataset.boxes
    missing = np.isnan(landmarks)
    if not len(dataset) or not names:
        raise InputError(f"{dataset.name}: no objects or no landmarks, expected at least one of each")
    duplicate = first_duplicate(names)
    if duplicate is not None:
        raise InputError(f"{dataset.name}: duplicate landmark name {duplicate!r}")
    for file in dataset.files:
        if embedded_pixels(file) is not None:
            way = "ert convert --write-images DIR, or ert.datasets.write_images, writes them as files"
            raise InputError(f"{file.parent}: its images are pixels in the table; {way}")
    bad = np.isinf(landmarks).any(axis=(1, 2)) | (missing[:, :, 0] != missing[:, :, 1]).any(axis=1)
    bad |= ~np.isfinite(boxes).all(axis=1) | ~(boxes[:, 2:].round(DECIMALS) > 0).all(axis=1)
    bad |= missing.all(axis=(1, 2))
    for i in np.flatnonzero(bad):
        expected = "expected at least one landmark, each with x and y, and a box larger than 0, all finite"
        raise InputError(f"{dataset.name}: object {i} ({dataset.files[i]}): {expected}")
    for k in np.flatnonzero(missing.all(axis=(0, 2))):
        raise InputError(f"{dataset.name}: landmark {names[k]!r} is missing in all objects, expected in one")


def _image_names(dataset: Dataset, path: Path) -> list[str]:
    names = {file: image_name(file, path.parent) for file in set(dataset.files)}
    return [names[file] for file in dataset.files]


def image_name(file: Path, folder: Path) -> str:
    """Return the name of an image relative to the folder of a file, if possible."""
    if isinstance(file, ImageURL):
        return file.url
    # Links are resolved, because ".." behind a link leads elsewhere. The image itself may be a link.
    image = os.path.join(os.path.realpath(file.parent), file.name)
    with suppress(ValueError):  # another drive
        image = os.path.relpath(image, os.path.realpath(folder))
    return Path(image).as_posix()


def _write_folder(dataset: Dataset, folder: Path, format: Format) -> int:
    """Write one file per image into a folder; return the number of images that are not beside them."""
    suffix = format.suffix
    owners: dict[str, Path] = {}
    for file in dataset.files:
        # Names that differ only in case are the same file on many systems.
        other = owners.get(file.stem.lower())
        if other is not None:
            why = "it has several objects" if other == file else f"{other} has the same name"
            raise InputError(f"{file}: {why}, expected one object per {suffix} file")
        owners[file.stem.lower()] = file
        if file.stem.startswith("."):
            raise InputError(f"{file}: a hidden file, which readers of {suffix} skip")
    n_elsewhere = _check_folder(folder, suffix, dataset.files)
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot create folder: {error.strerror}") from None
    for file in dataset.files:
        check_writable(folder / (file.stem + suffix), suffix[1:])
    texts = format.write(dataset, [file.name for file in dataset.files])
    for file, text in zip(dataset.files, texts, strict=True):
        with write_text(folder / (file.stem + suffix), suffix[1:]) as target:
            target.write(text)
    return n_elsewhere


def _check_folder(folder: Path, suffix: str, files: list[Path]) -> int:
    """Raise InputError if readers would find other annotations or images; count images outside the folder."""
    own = {folder / (file.stem + suffix) for file in files}
    for parent, names in walk(folder) if folder.is_dir() else ():
        for path in (Path(parent, name) for name in names if name.lower().endswith(tuple(FOLDER_FORMATS))):
            if path not in own and not path.name.startswith("."):
                raise InputError(f"{path}: folder already contains annotations of another dataset")
    images = image_by_stem(os.listdir(folder)) if folder.is_dir() else {}
    for file in files:
        name = images.get(file.stem)
        if name is not None and os.path.realpath(folder / name) != os.path.realpath(file):
            raise InputError(f"{file}: {folder / name} would be read as the image of its {suffix} file")
    return sum(file.stem not in images for file in files)
