"""Predictions in files of any format, written from the results image by image."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain, groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

from ert._core.arguments import checked_arguments
from ert._core.exceptions import InputError
from ert._core.files import as_path, check_writable, write_atomically, write_text
from ert._core.types import StrPath
from ert.datasets.dataset import Dataset
from ert.datasets.formats import image_name
from ert.datasets.formats.coco import coco_object
from ert.datasets.formats.imglab import IMGLAB_HEAD, IMGLAB_TAIL, imglab_images
from ert.datasets.formats.pts import write_pts
from ert.datasets.formats.tps import write_tps
from ert.datasets.parsing import quoted
from ert.datasets.tables import csv_rows
from ert.datasets.text import text_lines
from ert.pipeline.inputs import Item
from ert.pipeline.part import Columns, PartFile
from ert.pipeline.predict import Photo, Prediction
from ert.pipeline.tables import (
    long_header,
    require_pyarrow,
    wide_header,
    write_json_lines,
    write_long,
    write_parquet,
    write_wide,
)

Photos = Callable[[], Iterator[Photo]]


class OutputFormat(NamedTuple):
    """A format of predictions: its suffix, its kind of file, and whether finished files can be added to."""

    suffix: str
    kind: str
    grows: bool = True


OUTPUT_FORMATS: Mapping[str, OutputFormat] = {
    "tps": OutputFormat(".tps", "tps"),
    "csv": OutputFormat(".csv", "csv"),
    "long": OutputFormat(".csv", "csv"),
    "jsonl": OutputFormat(".jsonl", "jsonl"),
    "coco": OutputFormat(".json", "coco", grows=False),
    "imglab": OutputFormat(".xml", "imglab", grows=False),
    "parquet": OutputFormat(".parquet", "parquet", grows=False),
    "pts": OutputFormat("", "pts"),
}
_BY_SUFFIX = {format.suffix: name for name, format in OUTPUT_FORMATS.items() if name not in ("long", "pts")}


def choose_output(path: StrPath, format: str | None = None) -> str:
    """Return the name of the format of an output, by its suffix; ``pts`` has to be given.

    Raises
    ------
    InputError
        An unknown format or suffix, or two that do not fit; Parquet without its package.
    """
    path = as_path(path)
    suffix = path.suffix.lower()
    if format is not None and format not in OUTPUT_FORMATS:
        raise InputError(f"format {format!r}: expected one of {', '.join(OUTPUT_FORMATS)}")
    name = format or _BY_SUFFIX.get(suffix)
    if name is None:
        raise InputError(f"{path}: expected a file ending in {', '.join(_BY_SUFFIX)}, or a folder and the format pts")
    if suffix in _BY_SUFFIX and suffix != OUTPUT_FORMATS[name].suffix:
        expected = OUTPUT_FORMATS[name].suffix
        raise InputError(
            f"{path}: expected a file ending in {expected} for the format {name}"
            if expected
            else f"{path}: expected a folder for the format {name}"
        )
    if name == "parquet":
        require_pyarrow(path)
    return name


def images_in(path: Path, format: str, columns: Columns) -> set[str]:
    """Return the images in a finished output, as paths without links; to it, others can then be added.

    Raises
    ------
    InputError
        When the format cannot be added to, or a table has other columns.
    """
    if not OUTPUT_FORMATS[format].grows:
        grows = ", ".join(dict.fromkeys(kind.suffix for kind in OUTPUT_FORMATS.values() if kind.grows and kind.suffix))
        raise InputError(
            f"{path}: is finished, and images are added only to {grows} and folders of .pts; give another --out"
        )
    if format in ("csv", "long"):
        rows = csv_rows(path)
        line, header = next(rows, (1, []))
        if header != (wide_header if format == "csv" else long_header)(columns):
            raise InputError(
                f"{path}:{line}: has other columns than this model and these options give; give another --out"
            )
        names: Iterable[str] = (cells[0] for _, cells in rows)
    elif format == "jsonl":
        names = _json_lines_images(path)
    else:
        lines = (text.partition("=") for _, text in text_lines(path))
        names = (value.strip() for key, _, value in lines if key.strip().upper() == "IMAGE")
    return {image_key(path.parent / name) for name in names}


def _json_lines_images(path: Path) -> Iterator[str]:
    for number, text in text_lines(path):
        try:
            yield json.loads(text)["image"]
        except (ValueError, LookupError, TypeError):
            raise InputError(f"{path}:{number}: expected an object with an image, as ert predict writes") from None


def image_key(file: StrPath) -> str:
    """Return the path of an image by which the same one is recognized: its folder without links."""
    folder, name = os.path.split(os.path.abspath(file))
    return os.path.join(os.path.realpath(folder), name)


def pts_file(folder: Path, item: Item) -> Path:
    """Return the .pts file of an image."""
    return folder / f"{item.file.stem}.pts"


def check_pts(folder: Path, items: Iterable[tuple[Item, int]]) -> None:
    """Raise InputError where two images, or several objects of one, would need the same .pts file.

    Each item comes with the number of its objects.
    """
    owners: dict[str, Item] = {}
    exists = folder.is_dir()
    for item, n_objects in items:
        path = pts_file(folder, item)
        other = owners.setdefault(path.name.lower(), item)
        if other is not item:
            raise InputError(f"{item.image}: {other.image} has the same name, expected one image for each .pts file")
        if n_objects > 1:
            raise InputError(f"{item.image}: has several objects, expected one for each .pts file")
        if exists:
            check_writable(path, "pts")


def write_photos(path: Path, format: str, photos: Photos, columns: Columns, *, add: bool = False) -> None:
    """Write predictions; with `add`, to those in an existing file.

    Parameters
    ----------
    photos : callable
        Returns an iterator over what was found, each time from the start.
    """
    if format == "pts":
        _write_pts_folder(path, photos())
        return
    kind = OUTPUT_FORMATS[format].kind
    if format == "parquet":
        with write_atomically(path, kind) as temporary:
            write_parquet(photos(), columns, path.parent, temporary)
        return
    pieces = _WRITERS[format](photos, columns, path.parent, not add)
    with write_text(path, kind) as file:
        if add:
            last = "\n"
            with path.open(encoding="utf-8", newline="") as existing:
                while text := existing.read(1 << 20):
                    file.write(text)
                    last = text[-1]
            if last != "\n":
                file.write("\n")
        for piece in pieces:
            file.write(piece)


def _dataset(photo: Photo, names: tuple[str, ...]) -> Dataset:
    """Return the objects of an image as a dataset, which the writers of annotations take."""
    found, n = photo.objects, len(photo.objects)
    return Dataset(
        [photo.item.file] * n,
        np.array([one.box for one in found]).reshape(n, 4),
        np.array([one.landmarks for one in found]).reshape(n, len(names), 2),
        names,
        "predictions",
        ids=tuple(
            one.specimen if i == 0 or one.specimen != found[0].specimen else f"{one.specimen}_{one.number}"
            for i, one in enumerate(found)
        ),
        scales=np.full(n, np.nan if photo.item.scale is None else photo.item.scale),
    )


def _write_tps(photos: Photos, columns: Columns, folder: Path, header: bool) -> Iterator[str]:
    for photo in photos():
        dataset = _dataset(photo, columns.names)
        images = [image_name(photo.item.file, folder)] * len(dataset)
        yield from write_tps(dataset, images, {photo.item.file: photo.size[1]})


def _write_imglab(photos: Photos, columns: Columns, folder: Path, header: bool) -> Iterator[str]:
    yield IMGLAB_HEAD
    for photo in photos():
        dataset = _dataset(photo, columns.names)
        yield from imglab_images(dataset, [image_name(photo.item.file, folder)] * len(dataset))
    yield IMGLAB_TAIL


def _write_coco(photos: Photos, columns: Columns, folder: Path, header: bool) -> Iterator[str]:
    """Yield images, then annotations: two passes over the results, so that neither is kept."""

    def entries(key: str, items: Iterator[dict[str, Any]]) -> Iterator[str]:
        yield f' "{key}": ['
        for i, item in enumerate(items):
            yield (",\n  " if i else "\n  ") + json.dumps(item, allow_nan=False)
        yield "\n ],\n"

    def images() -> Iterator[dict[str, Any]]:
        for number, photo in enumerate(photos(), 1):
            name = image_name(photo.item.file, folder)
            yield {"id": number, "file_name": name, "width": photo.size[0], "height": photo.size[1]}

    def annotations() -> Iterator[dict[str, Any]]:
        n = 0
        for number, photo in enumerate(photos(), 1):
            dataset = _dataset(photo, columns.names)
            for i, found in enumerate(photo.objects):
                n += 1
                score = {} if found.confidence is None else {"score": found.confidence}
                yield {"id": n, "image_id": number, **coco_object(dataset, i), **score}

    yield "{\n"
    yield from entries("images", images())
    yield from entries("annotations", annotations())
    category = {"id": 1, "name": "object", "keypoints": list(columns.names), "skeleton": []}
    yield f' "categories": [\n  {json.dumps(category)}\n ]\n}}\n'


def _write_pts_folder(folder: Path, photos: Iterator[Photo]) -> None:
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot create folder: {error.strerror}") from None
    for photo in photos:
        path = pts_file(folder, photo.item)
        if not photo.objects:
            # Of an earlier run.
            path.unlink(missing_ok=True)
            continue
        (text,) = write_pts(_dataset(photo, photo.objects[0].landmark_names), [])
        with write_text(path, "pts") as file:
            file.write(text)


_WRITERS: Mapping[str, Callable[[Photos, Columns, Path, bool], Iterator[str]]] = {
    "tps": _write_tps,
    "csv": lambda photos, columns, folder, header: write_wide(photos(), columns, folder, header=header),
    "long": lambda photos, columns, folder, header: write_long(photos(), columns, folder, header=header),
    "jsonl": lambda photos, columns, folder, header: write_json_lines(photos(), columns, folder),
    "coco": _write_coco,
    "imglab": _write_imglab,
}


def _photos_of(predictions: Iterable[Prediction]) -> Iterator[Photo]:
    def image_of(found: Any) -> str:
        if not isinstance(found, Prediction):
            raise InputError(f"predictions: {quoted(found)}, expected results of ert.predict")
        return os.fspath(Item(found.image, found.specimen).file)

    for _, group in groupby(predictions, key=image_of):
        objects = tuple(group)
        first = objects[0]
        yield Photo(Item(first.image, first.specimen, scale=first.scale), first.image_size, objects)


@checked_arguments
def write_predictions(predictions: Iterable[Prediction], path: StrPath, format: str | None = None) -> int:
    """Write predictions to a file, in memory that does not grow with their number.

    Parameters
    ----------
    predictions : iterable of Prediction
        Results of :func:`ert.predict` for image files, at least one.
    path : path-like
        A file ending in ``.tps``, ``.csv``, ``.jsonl`` (JSON Lines), ``.json`` (COCO keypoints), ``.xml`` (imglab) or
        ``.parquet``, see `ert.pipeline.tables` for the columns; or a folder of .pts files.
    format : {"csv", "long", "pts", "tps", "jsonl", "coco", "imglab", "parquet"}, optional
        By default, that of the suffix; "long" is a .csv file with a row for each landmark.

    Returns
    -------
    int
        The number of objects.

    Raises
    ------
    InputError
        No predictions, images that are no files, an unknown format, or a file that cannot be written.
    """
    path = as_path(path)
    name = choose_output(path, format)
    if name != "pts":
        check_writable(path, OUTPUT_FORMATS[name].kind)
    photos = _photos_of(predictions)
    head = next(photos, None)
    if head is None:
        raise InputError(f"{path}: no predictions, expected at least one")
    names, n = head.objects[0].landmark_names, 0
    roll = confidence = std = scale = False
    with TemporaryDirectory(prefix="ert-") as folder, PartFile(Path(folder, "p.part"), "", Columns(names)) as part:
        for photo in chain([head], photos):
            for found in photo.objects:
                if found.landmark_names != names:
                    raise InputError(f"{found.image}: landmarks of another model than the first, expected the same")
                roll |= found.roll != 0
                confidence |= found.confidence is not None
                std |= found.std is not None
                scale |= found.scale is not None
            part.add(photo)
            n += len(photo.objects)
        if name == "pts":
            check_pts(path, ((photo.item, len(photo.objects)) for photo in part.photos()))
        write_photos(path, name, part.photos, Columns(names, roll, confidence, std, scale))
    return n
