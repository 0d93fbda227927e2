"""Writing a dataset in every format that is read."""

import csv
import io
import json
import math
import os
import re
from collections.abc import Callable, Iterator
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ert._core.exceptions import InputError
from ert._core.files import check_writable, write_atomically
from ert._core.images import image_size
from ert._core.types import StrPath
from ert.datasets.dataset import FILE_FORMATS, FOLDER_FORMATS, Dataset
from ert.datasets.parsing import BOX_COLUMNS, first_images, natural_key, quoted, walk

__all__ = [
    "write_dataset",
]


# What XML, lines and cells cannot hold: control characters, halves of characters, blanks at the ends.
_UNFIT = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff\ufffd-\uffff]|^\s|\s$|^$")
_DECIMALS = 6


def write_dataset(dataset: Dataset, path: StrPath, format: str | None = None) -> list[str]:
    """Write annotations: imglab .xml, .csv, .tps, COCO .json, or a folder of .pts, .tem or .ljson files.

    Coordinates are written to a millionth of a pixel, by imglab in whole pixels. Names of images are relative
    to the folder of the file. A folder gets one file for each image, named after it; the images stay where
    they are. Files that are there are replaced, each once its new content is complete.

    Parameters
    ----------
    dataset : Dataset
        What to write; as `load_dataset` gives it, with at least one landmark an object and one object a
        landmark.
    path : path-like
        The file, or the folder (made if it is not there).
    format : {"imglab", "csv", "tps", "coco", "pts", "tem", "ljson"}, optional
        By default, what the suffix of `path` says. A folder needs one of the last three.

    Returns
    -------
    list of str
        What the format rounds, drops or changes, a line for each; empty where it keeps everything.

    Raises
    ------
    InputError
        A format that is not known or does not go with the suffix; a name that the format cannot hold; for
        folders, an image with several objects, two images of one name, or files of others in the folder;
        for TPS and COCO, which need the images' sizes, an image that cannot be read; a file that cannot be
        written.
    """
    path = Path(path)
    format = _checked_format(path, format)
    _check(dataset)
    n = len(dataset.landmark_names)
    numbered = dataset.landmark_names == tuple(map(str, range(n)))
    notes = []
    if format in FOLDER_FORMATS.values():
        notes += _write_folder(dataset, path, format)
    else:
        check_writable(path)
        text = "".join(_TEXTS[format](dataset, _image_names(dataset, path)))
        with write_atomically(path) as temporary:
            temporary.write_text(text, encoding="utf-8", newline="")
    if format not in ("imglab", "csv", "coco"):
        notes.append("boxes are dropped: the format has none")
    if format in ("tps", "pts", "tem") and not numbered:
        notes.append("names of landmarks are dropped: the format numbers them")
    if format == "tem" and np.isnan(dataset.landmarks).any():
        notes.append("missing landmarks are written as nan, which webmorph itself does not know")
    if format == "imglab":
        numbers = np.concatenate([dataset.boxes.ravel(), dataset.landmarks.ravel()])
        if np.any(np.rint(numbers) != numbers, where=np.isfinite(numbers)):
            notes.append("landmarks and boxes are rounded to whole pixels")
        if list(dataset.landmark_names) != sorted(dataset.landmark_names, key=natural_key):
            notes.append("landmarks will be read in the order of their names: imglab files keep no other")
    return notes


def _checked_format(path: Path, format: str | None) -> str:
    formats = [*FILE_FORMATS.values(), *FOLDER_FORMATS.values()]
    if format is not None and format not in formats:
        raise InputError(f"format is {format!r}, expected one of {', '.join(formats)}")
    by_suffix = FILE_FORMATS.get(path.suffix.lower()) if not path.is_dir() else None
    if format is None and by_suffix is None:
        suffixes = ", ".join(FILE_FORMATS)
        raise InputError(f"{path}: expected a file ending in {suffixes}, or the format pts, tem or ljson")
    if format is not None and by_suffix != format and (by_suffix or format in FILE_FORMATS.values()):
        suffix = next((key for key, value in FILE_FORMATS.items() if value == format), None)
        expected = f"a file ending in {suffix}" if suffix else "a folder"
        raise InputError(f"{path}: expected {expected} for the format {format}")
    return format or str(by_suffix)


def _check(dataset: Dataset) -> None:
    """Refuse what could not be read back."""
    names, landmarks, boxes = dataset.landmark_names, dataset.landmarks, dataset.boxes
    missing = np.isnan(landmarks)
    if not len(dataset) or not names:
        raise InputError(f"{dataset.name}: no objects or no landmarks, expected at least one of each")
    if len(set(names)) < len(names):
        raise InputError(f"{dataset.name}: a name of the landmarks stands twice, expected each once")
    bad = np.isinf(landmarks).any(axis=(1, 2)) | (missing[:, :, 0] != missing[:, :, 1]).any(axis=1)
    bad |= ~np.isfinite(boxes).all(axis=1) | ~(boxes[:, 2:].round(_DECIMALS) > 0).all(axis=1)
    bad |= missing.all(axis=(1, 2))
    if bad.any():
        i = int(np.argmax(bad))
        expected = "expected landmarks with both x and y, one at least, and a box larger than 0, all finite"
        raise InputError(f"{dataset.name}: object {i} ({dataset.files[i]}): {expected}")
    absent = missing.all(axis=(0, 2))
    if absent.any():
        name = names[int(np.argmax(absent))]
        raise InputError(f"{dataset.name}: landmark {name!r} is missing in all objects, expected in one")


def _image_names(dataset: Dataset, path: Path) -> list[str]:
    """Return the images' names as they stand in a file: relative to its folder where there is a way."""
    # Links are resolved, for ".." would lead elsewhere from behind one. The image itself may be a link.
    folder = os.path.realpath(path.parent)
    names: dict[Path, str] = {}
    for file in set(dataset.files):
        image = os.path.join(os.path.realpath(file.parent), file.name)
        try:
            names[file] = Path(os.path.relpath(image, folder)).as_posix()
        except ValueError:  # another drive
            names[file] = Path(image).as_posix()
    return [names[file] for file in dataset.files]


def _fit(name: str, path: str) -> str:
    if _UNFIT.search(name):
        raise InputError(f"{quoted(name)} is a name that {path} cannot hold, expected one line of text")
    return name


def _number(value: float) -> str:
    text = f"{value:.{_DECIMALS}f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _attribute(name: str) -> str:
    return f'"{escape(_fit(name, "imglab XML"))}"'


def _imglab(dataset: Dataset, images: list[str]) -> Iterator[str]:
    yield "<?xml version='1.0' encoding='UTF-8'?>\n<dataset>\n<images>\n"
    parts = [_attribute(name) for name in dataset.landmark_names]
    boxes = np.rint(dataset.boxes).astype(np.int64)
    # A box of less than half a pixel would be none.
    boxes[:, 2:] = boxes[:, 2:].clip(1)
    for image, group in groupby(range(len(dataset)), key=lambda i: images[i]):
        yield f"  <image file={_attribute(image)}>\n"
        for i in group:
            left, top, width, height = boxes[i]
            yield f"    <box top='{top}' left='{left}' width='{width}' height='{height}'>\n"
            for part, (x, y) in zip(parts, np.rint(dataset.landmarks[i]), strict=True):
                if x == x:
                    yield f"      <part name={part} x='{x:.0f}' y='{y:.0f}'/>\n"
            yield "    </box>\n"
        yield "  </image>\n"
    yield "</images>\n</dataset>\n"


def _csv(dataset: Dataset, images: list[str]) -> Iterator[str]:
    names = [_fit(name, "a CSV header") for name in dataset.landmark_names]
    # Columns called box_... would be taken for those of the box.
    prefix = "box_" if any(name.lower().startswith("box") for name in names) else ""
    header = ["image", *(prefix + name for name in BOX_COLUMNS)]
    for name in names:
        header += [f"x{name}", f"y{name}"] if re.fullmatch("[0-9]+", name) else [f"{name}_x", f"{name}_y"]
    stream = io.StringIO()
    table = csv.writer(stream, lineterminator="\n")
    table.writerow(header)
    for image, box, shape in zip(images, dataset.boxes, dataset.landmarks, strict=True):
        numbers = ["" if math.isnan(value) else _number(value) for value in (*box, *shape.ravel())]
        table.writerow([_fit(image, "CSV"), *numbers])
    yield stream.getvalue()


def _tps(dataset: Dataset, images: list[str]) -> Iterator[str]:
    heights = {file: image_size(file)[1] for file in dict.fromkeys(dataset.files)}
    for i, (file, image) in enumerate(zip(dataset.files, images, strict=True)):
        yield f"LM={len(dataset.landmark_names)}\n"
        for x, y in dataset.landmarks[i]:
            point = f"{_number(x)} {_number(heights[file] - 1 - y)}"
            # -1 -1 stands for a missing landmark; one that really is there moves by a ten-thousandth.
            yield ("-1 -1" if math.isnan(x) else "-1.0001 -1" if point == "-1 -1" else point) + "\n"
        yield f"IMAGE={_fit(image, 'TPS')}\nID={i}\n"


def _coco(dataset: Dataset, images: list[str]) -> Iterator[str]:
    files = {file: i + 1 for i, file in enumerate(dict.fromkeys(dataset.files))}
    names = dict(zip(dataset.files, images, strict=True))
    sizes = {file: image_size(file) for file in files}
    data: dict[str, Any] = {
        "images": [
            {"id": i, "file_name": names[file], "width": sizes[file][0], "height": sizes[file][1]}
            for file, i in files.items()
        ],
        "annotations": [
            _coco_annotation(i, files[file], dataset.boxes[i], dataset.landmarks[i])
            for i, file in enumerate(dataset.files)
        ],
        "categories": [
            {"id": 1, "name": "object", "keypoints": list(dataset.landmark_names), "skeleton": []}
        ],
    }
    yield json.dumps(data, indent=1, allow_nan=False) + "\n"


def _coco_annotation(
    i: int, image: int, box: NDArray[np.float64], shape: NDArray[np.float64]
) -> dict[str, Any]:
    left, top, width, height = (round(value, _DECIMALS) for value in box.tolist())
    there = ~np.isnan(shape[:, 0])
    points = np.column_stack([np.where(there[:, None], shape.round(_DECIMALS), 0), 2 * there])
    # Whole numbers without ".0", as v has to be and coordinates may be.
    keypoints = [int(value) if value.is_integer() else value for value in points.ravel().tolist()]
    return {
        "id": i + 1,
        "image_id": image,
        "category_id": 1,
        "bbox": [left, top, width, height],
        "area": round(width * height, _DECIMALS),
        "iscrowd": 0,
        "num_keypoints": int(there.sum()),
        "keypoints": keypoints,
    }


_TEXTS: dict[str, Callable[[Dataset, list[str]], Iterator[str]]] = {
    "imglab": _imglab,
    "csv": _csv,
    "tps": _tps,
    "coco": _coco,
}


def _write_folder(dataset: Dataset, folder: Path, format: str) -> list[str]:
    """Write a file for each image into a folder; return a note when the images are not beside them."""
    suffix = "." + format
    owners: dict[str, Path] = {}
    for file in dataset.files:
        # Names that differ in case only are one file on many systems.
        other = owners.get(file.stem.lower())
        if other is not None:
            why = "it has several objects" if other == file else f"{other} has the same name"
            raise InputError(f"{file}: {why}, expected one object for each {suffix} file")
        owners[file.stem.lower()] = file
        if file.stem.startswith("."):
            raise InputError(f"{file}: a hidden file, which readers of {suffix} pass over")
    absent = _check_folder(folder, suffix, dataset.files)
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be made: {error.strerror}") from None
    for file, shape in zip(dataset.files, dataset.landmarks, strict=True):
        with write_atomically(folder / (file.stem + suffix)) as temporary:
            temporary.write_text(_FOLDER_TEXTS[format](dataset, shape), encoding="utf-8", newline="")
    if not absent:
        return []
    return [f"{absent} images do not stand beside their {suffix} files: tell readers where they are"]


def _check_folder(folder: Path, suffix: str, files: list[Path]) -> int:
    """Refuse a folder where readers would find other annotations or images; count images not in it."""
    own = {folder / (file.stem + suffix) for file in files}
    for parent, names in walk(folder) if folder.is_dir() else ():
        for path in (Path(parent, name) for name in names if name.lower().endswith(tuple(FOLDER_FORMATS))):
            if path not in own and not path.name.startswith("."):
                raise InputError(f"{path}: of another dataset, expected a folder without its like")
    beside = first_images(os.listdir(folder)) if folder.is_dir() else {}
    for file in files:
        name = beside.get(file.stem)
        if name is not None and os.path.realpath(folder / name) != os.path.realpath(file):
            raise InputError(f"{file}: {folder / name} would be taken for the image of its {suffix} file")
    return sum(file.stem not in beside for file in files)


def _rows(shape: NDArray[np.float64], blank: str) -> list[str]:
    return [blank.join("nan" if math.isnan(v) else _number(v) for v in point) for point in shape]


def _pts(dataset: Dataset, shape: NDArray[np.float64]) -> str:
    return "\n".join(["version: 1", f"n_points: {len(shape)}", "{", *_rows(shape + 1, " "), "}", ""])


def _tem(dataset: Dataset, shape: NDArray[np.float64]) -> str:
    # The 0 is the number of lines to draw.
    return "\n".join([str(len(shape)), *_rows(shape, "\t"), "0", ""])


def _ljson(dataset: Dataset, shape: NDArray[np.float64]) -> str:
    points = [
        [None, None] if math.isnan(x) else [round(y, _DECIMALS), round(x, _DECIMALS)]
        for x, y in shape.tolist()
    ]
    # A label for each point keeps its name.
    labels = [{"label": name, "mask": [i]} for i, name in enumerate(dataset.landmark_names)]
    data = {"version": 2, "labels": labels, "landmarks": {"points": points}}
    return json.dumps(data, allow_nan=False) + "\n"


_FOLDER_TEXTS: dict[str, Callable[[Dataset, NDArray[np.float64]], str]] = {
    "pts": _pts,
    "tem": _tem,
    "ljson": _ljson,
}
