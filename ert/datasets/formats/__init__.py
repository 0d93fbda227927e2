"""File formats of annotations: one module per format, with its reader and its writer.

A new format is a module in this folder with two functions and a line in `FORMATS`; `CONTRIBUTING.md` has the recipe.

- ``read(path, *, image_folder=None)`` yields an `Annotation` per object. Coordinates are x, y in pixels, and the
  center of the first pixel is 0, 0. Every error is an `InputError` that starts with file and line.
- ``write(dataset, images)`` yields the text: in pieces, or one text per object if the format has one file per image.
  ``images[i]`` is the image name of object i, relative to the folder of the file.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ert._core.exceptions import InputError
from ert._core.files import check_writable, write_atomically
from ert._core.types import StrPath
from ert.datasets.formats.coco import read_coco, write_coco
from ert.datasets.formats.csv import read_csv, write_csv
from ert.datasets.formats.imglab import imglab_notes, read_imglab, write_imglab
from ert.datasets.formats.ljson import read_ljson_folder, write_ljson
from ert.datasets.formats.pts import read_pts_folder, write_pts
from ert.datasets.formats.tem import read_tem_folder, tem_notes, write_tem
from ert.datasets.formats.tps import read_tps, write_tps
from ert.datasets.parsing import DECIMALS, Annotation, first_duplicate, image_by_stem, walk

if TYPE_CHECKING:
    from ert.datasets.dataset import Dataset


class Format(NamedTuple):
    """A file format."""

    suffix: str
    read: Callable[..., Iterator[Annotation]]
    write: Callable[["Dataset", list[str]], Iterator[str]]
    folder: bool = False  # one file per image
    boxes: bool = True  # stores boxes
    names: bool = True  # stores landmark names
    ordered: bool = True  # defines the order of the landmarks; otherwise they are sorted by name
    notes: Callable[["Dataset"], Iterator[str]] = lambda dataset: iter(())  # further losses in writing


FORMATS = {
    "imglab": Format(".xml", read_imglab, write_imglab, ordered=False, notes=imglab_notes),
    "csv": Format(".csv", read_csv, write_csv),
    "tps": Format(".tps", read_tps, write_tps, boxes=False, names=False),
    "coco": Format(".json", read_coco, write_coco),
    "pts": Format(".pts", read_pts_folder, write_pts, folder=True, boxes=False, names=False),
    "tem": Format(".tem", read_tem_folder, write_tem, folder=True, boxes=False, names=False, notes=tem_notes),
    "ljson": Format(".ljson", read_ljson_folder, write_ljson, folder=True, boxes=False),
}
# Suffix -> name of the format.
FILE_FORMATS = {format.suffix: name for name, format in FORMATS.items() if not format.folder}
FOLDER_FORMATS = {format.suffix: name for name, format in FORMATS.items() if format.folder}


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
    if path.is_file() and path.suffix.lower() in FILE_FORMATS:
        return FILE_FORMATS[path.suffix.lower()]
    files, folder_files = ", ".join(FILE_FORMATS), f"{', '.join(FOLDER_FORMATS)} files"
    if not path.is_dir():
        what = "unknown file type" if path.is_file() else "no such file or folder"
        raise InputError(f"{path}: {what}, expected a file {files} or a folder of {folder_files}")
    names = (name for _, names in walk(path) for name in names if not name.startswith("."))
    suffixes = sorted({os.path.splitext(name)[1].lower() for name in names} & set(FOLDER_FORMATS))
    if len(suffixes) > 1:
        raise InputError(f"{path}: contains {' and '.join(suffixes)} files, expected one format")
    if not suffixes:
        raise InputError(f"{path}: expected {folder_files} in this folder or its subfolders, found none")
    return FOLDER_FORMATS[suffixes[0]]


def write_dataset(dataset: "Dataset", path: StrPath, format: str | None = None) -> list[str]:
    """Write annotations: imglab .xml, .csv, .tps, COCO .json, or a folder of .pts, .tem or .ljson files.

    Coordinates are written to a millionth of a pixel, in imglab files as integers. Image names are relative
    to the folder of the file. A folder gets one file per image, named after it; images are not copied.
    Existing files are replaced atomically.

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
    """
    path = Path(path)
    chosen = FORMATS[_choose_format(path, format)]
    _check(dataset)
    notes = []
    if chosen.folder:
        n_elsewhere = _write_folder(dataset, path, chosen)
        if n_elsewhere:
            where = f"beside their {chosen.suffix} files"
            notes.append(f"{n_elsewhere} images are not {where}: readers need the image folder")
    else:
        check_writable(path)
        write_text(path, chosen.write(dataset, _image_names(dataset, path)))
    if not chosen.boxes:
        notes.append("boxes are dropped: the format has none")
    if not chosen.names and dataset.landmark_names != tuple(map(str, range(len(dataset.landmark_names)))):
        notes.append("landmark names are dropped: the format numbers landmarks")
    return [*notes, *chosen.notes(dataset)]


def _choose_format(path: Path, format: str | None) -> str:
    if format is not None and format not in FORMATS:
        raise InputError(f"format is {format!r}, expected one of {', '.join(FORMATS)}")
    by_suffix = FILE_FORMATS.get(path.suffix.lower()) if not path.is_dir() else None
    if format is None:
        if by_suffix is None:
            files, folders = ", ".join(FILE_FORMATS), ", ".join(FOLDER_FORMATS.values())
            raise InputError(f"{path}: expected a file ending in {files}, or the format {folders}")
        return by_suffix
    if by_suffix != format and (by_suffix or not FORMATS[format].folder):
        expected = "a folder" if FORMATS[format].folder else f"a file ending in {FORMATS[format].suffix}"
        raise InputError(f"{path}: expected {expected} for the format {format}")
    return format


def _check(dataset: "Dataset") -> None:
    """Raise InputError for a dataset that could not be read back."""
    names, landmarks, boxes = dataset.landmark_names, dataset.landmarks, dataset.boxes
    missing = np.isnan(landmarks)
    if not len(dataset) or not names:
        raise InputError(f"{dataset.name}: no objects or no landmarks, expected at least one of each")
    duplicate = first_duplicate(names)
    if duplicate is not None:
        raise InputError(f"{dataset.name}: duplicate landmark name {duplicate!r}")
    bad = np.isinf(landmarks).any(axis=(1, 2)) | (missing[:, :, 0] != missing[:, :, 1]).any(axis=1)
    bad |= ~np.isfinite(boxes).all(axis=1) | ~(boxes[:, 2:].round(DECIMALS) > 0).all(axis=1)
    bad |= missing.all(axis=(1, 2))
    if bad.any():
        i = int(np.argmax(bad))
        expected = "expected at least one landmark, each with x and y, and a box larger than 0, all finite"
        raise InputError(f"{dataset.name}: object {i} ({dataset.files[i]}): {expected}")
    absent = missing.all(axis=(0, 2))
    if absent.any():
        name = names[int(np.argmax(absent))]
        raise InputError(f"{dataset.name}: landmark {name!r} is missing in all objects, expected in one")


def _image_names(dataset: "Dataset", path: Path) -> list[str]:
    """Return the image names relative to the folder of a file, if possible."""
    # Links are resolved, because ".." behind a link leads elsewhere. The image itself may be a link.
    folder = os.path.realpath(path.parent)
    names: dict[Path, str] = {}
    for file in set(dataset.files):
        image = os.path.join(os.path.realpath(file.parent), file.name)
        with suppress(ValueError):  # another drive
            image = os.path.relpath(image, folder)
        names[file] = Path(image).as_posix()
    return [names[file] for file in dataset.files]


def write_text(path: Path, pieces: Iterable[str]) -> None:
    """Write pieces of text to a file, atomically."""
    text = "".join(pieces)
    with write_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def _write_folder(dataset: "Dataset", folder: Path, format: Format) -> int:
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
    texts = format.write(dataset, [file.name for file in dataset.files])
    for file, text in zip(dataset.files, texts, strict=True):
        write_text(folder / (file.stem + suffix), [text])
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
