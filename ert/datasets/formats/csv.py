"""CSV tables of landmarks, and CSV tables of boxes."""

import csv
import io
import math
import os
import re
from collections.abc import Callable, Collection, Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from ert._core.exceptions import InputError, one_line
from ert._core.types import Box, StrPath
from ert.datasets.dataset import Dataset
from ert.datasets.embedded import is_pixel_text, read_pixels
from ert.datasets.finder import IMAGE_SUFFIXES, ImageFinder, TableImages, suffix_notes
from ert.datasets.formats.columns import Columns, find_columns, long_columns
from ert.datasets.formats.foreign import tool_of_table
from ert.datasets.formats.tracks import is_tracks_table, read_tracks
from ert.datasets.parsing import BOX_COLUMNS, MAX_COORDINATE, Annotation, Point, check_name, format_number, quoted
from ert.datasets.points import FILLERS, CoordinateReader, format_point, format_scale, read_scale, read_std
from ert.datasets.selection import image_box
from ert.datasets.tables import check_length, csv_rows, csv_table, with_header

# A name that is a number as `x0` has it.
_NUMBER = re.compile("0|[1-9][0-9]*")


def read_csv(
    path: StrPath, *, image_folder: StrPath | None = None, missing: Collection[float] | None = None
) -> Iterator[Annotation]:
    """Read a table with one object per row: the image, x and y of each landmark, optionally a box.

    The image is in the first column, or in one with a name such as ``image`` or ``filename``. Landmarks are
    ``x0, y0, x1, y1, ...`` (names "0", "1", ...), or ``nose_x, nose_y, ...`` (names "nose", ...), or ``0, 1, 2,
    3, ...`` with x and y in turn. The box is ``left, top, width, height``, ``x, y, w, h``, ``xmin, ymin, xmax,
    ymax`` or ``left, top, right, bottom``, also with ``box_`` or ``bbox_`` before each name. The columns ``id`` (or
    ``specimen``), ``scale``, and ``std0, std1, ...`` or ``std_nose, ...``, the standard errors of landmarks, are kept.
    Labels, indices, ``object``, ``roll`` and ``confidence`` are ignored.

    The tables of ``ert predict`` are read too: wide ones, with ``specimen`` and ``x_nose, y_nose, ...``, beside which
    further columns are ignored, and long ones, with a row for each ``landmark`` and its ``x, y``, in which the rows of
    an object follow each other. Objects without landmarks, whose cells are empty, are passed over.

    The table is separated by commas, semicolons or tabs, and has a header. Numbers may have decimal commas. An empty
    cell, ``nan``, ``NA`` or ``None`` is a missing landmark; with `missing`, also the pairs of one of these numbers.

    In Kaggle's table of facial keypoints, the images are the pixels in the column ``Image``, and the box is the image.
    Tables of DeepLabCut and SLEAP are read by `ert.datasets.formats.tracks.read_tracks`.
    """
    path = Path(path)
    rows = csv_rows(path)
    line, header = next(rows, (1, []))
    if is_tracks_table(header):
        yield from read_tracks(path, header, rows, image_folder=image_folder, missing=missing)
        return
    if tool := tool_of_table(header):
        raise InputError(f"{path}: {tool}")
    if (found := long_columns(header, f"{path}:{line}")) is not None:
        table = with_header(path, line, header, rows)
        yield from _read_long(path, table, found, ImageFinder(path, image_folder, any_suffix=True), missing)
        return
    if any(os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES for name in header):
        raise InputError(f"{path}:{line}: an image in the first row, expected a header above it: image,x0,y0,x1,y1,...")
    table = with_header(path, line, header, rows, ragged=True)
    next(table)
    columns = find_columns(header, f"{path}:{line}")
    labels = [f"column {quoted(name)}" for name in header]
    if missing is None and columns.is_muct:
        missing = (0.0,)
    coordinates = CoordinateReader(missing, takes_halves=True)
    landmarks = _landmark_reader(columns, labels, coordinates, FILLERS if missing is None else frozenset(missing))
    finder = ImageFinder(path, image_folder, any_suffix=True)
    notes: tuple[str, ...] = ("scores of landmarks are not kept",) if columns.has_scores else ()

    def read_row(line: int, cells: list[str]) -> Annotation:
        here = f"{path}:{line}"
        check_length(cells, len(header), here)
        n_halves = coordinates.n_halves
        points = landmarks(cells, here)
        box = None
        is_empty = not any(cells[i] for i in columns.box) and all(x != x for x, _ in points.values())
        if columns.box and not is_empty:
            left, top, width, height = (coordinates.number(cells[i], here, labels[i]) for i in columns.box)
            box = (left, top, width - left, height - top) if columns.has_corners else (left, top, width, height)
        extra: dict[str, Any] = {}
        if columns.label is not None:
            extra["label"] = cells[columns.label]
        if columns.id is not None:
            extra["id"] = cells[columns.id]
        if columns.scale is not None:
            extra["scale"] = read_scale(cells[columns.scale], f"{here}: {labels[columns.scale]}")
        if columns.std:
            extra["std"] = {name: read_std(cells[i], here, labels[i]) for name, i in columns.std.items()}
        name, all_notes = cells[columns.image], notes
        if coordinates.n_halves > n_halves:
            all_notes = (*notes, "landmarks with x or y only are missing")
        if is_pixel_text(name):
            file, fault = read_pixels(name, path, line, here)
            if fault is None:
                box = box or image_box(file)
        else:
            file, fault = finder.find(name, here)
            all_notes += suffix_notes(name, file)
        return Annotation(file, box, points, here, fault, notes=all_notes, **extra)

    for line, cells in table:
        try:
            annotation = read_row(line, cells)
        except InputError as error:
            annotation = Annotation(path, None, {}, f"{path}:{line}", str(error))
        yield annotation
    coordinates.finish()


def _read_long(
    path: Path,
    table: Iterator[tuple[int, list[str]]],
    columns: tuple[int, ...],
    finder: ImageFinder,
    missing: Collection[float] | None,
) -> Iterator[Annotation]:
    """Read a table with a row for each landmark; the rows of an object follow each other."""
    image, name, x, y, number, id, scale, std = columns
    coordinates = CoordinateReader(missing, takes_halves=True)
    _, header = next(table)
    keys = [i for i in (image, number, id) if i >= 0]
    seen: set[tuple[str, ...]] = set()
    for key, rows in groupby(table, key=lambda row: tuple(row[1][i] for i in keys)):
        landmarks: dict[str, Point] = {}
        errors: dict[str, float] = {}
        here, cells, fault = "", list[str](), None
        for line, cells in rows:
            here = here or f"{path}:{line}"
            try:
                if cells[name] in landmarks:
                    raise InputError(f"{path}:{line}: duplicate landmark {quoted(cells[name])} of an object")
                landmarks[cells[name]] = coordinates.point(cells[x], cells[y], f"{path}:{line}", header[x], header[y])
                if std >= 0:
                    errors[cells[name]] = read_std(cells[std], f"{path}:{line}", header[std])
            except InputError as error:
                fault = fault or str(error)
        extra: dict[str, Any] = {"id": cells[id]} if id >= 0 else {}
        try:
            extra |= {"scale": read_scale(cells[scale], f"{here}: {header[scale]}")} if scale >= 0 else {}
        except InputError as error:
            fault = fault or str(error)
        if key in seen:
            fault = fault or f"{here}: further rows of an object above, expected its rows one after the other"
        seen.add(key)
        file, not_found = finder.find(cells[image], here)
        yield Annotation(file, None, landmarks, here, fault or not_found, **extra, std=errors or None)
    coordinates.finish()


def _landmark_reader(
    columns: Columns, labels: list[str], coordinates: CoordinateReader, fillers: frozenset[float]
) -> Callable[[list[str], str], dict[str, Point]]:
    """Return a function that parses the landmarks of a row, given its cells and its place."""
    names = list(columns.landmarks)
    numeric = itemgetter(*(i for pair in columns.landmarks.values() for i in pair))

    def read(cells: list[str], here: str) -> dict[str, Point]:
        texts = numeric(cells)
        try:
            # Usual rows have nothing but numbers.
            numbers = [*map(float, texts)]
            if sum(map(abs, numbers)) <= MAX_COORDINATE and fillers.isdisjoint(numbers) and "_" not in "".join(texts):
                return dict(zip(names, zip(numbers[::2], numbers[1::2], strict=True), strict=True))
        except ValueError:
            pass
        return {
            name: coordinates.point(cells[x], cells[y], here, labels[x], labels[y])
            for name, (x, y) in columns.landmarks.items()
        }

    return read


def read_boxes(spec: str, image_folder: StrPath | None = None) -> dict[Path, tuple[Box, str | None]]:
    """Read a table of boxes: a column ``image``, four columns of the box, optionally a column ``split``.

    `spec` is ``CSV:PREFIX``, for example ``boxes.csv:dlib`` for the columns dlib_left, dlib_top, dlib_width and
    dlib_height of boxes.csv. Without a prefix the columns are left, top, width and height.

    The result is resolved path of an image (relative to the folder of the table, or to `image_folder`) -> (box, split).
    The box is in pixels; split is None without such a column.
    """
    # A path may contain colons, so the whole is tried first.
    name, _, prefix = (spec, "", "") if os.path.isfile(spec) else spec.rpartition(":")
    path = Path(name)
    if not os.path.isfile(path):
        raise InputError(f"{spec}: no such box file, expected CSV or CSV:PREFIX, for example boxes.csv:dlib")
    table = csv_table(path)
    line, header = next(table)
    wanted = ["image", *(f"{prefix}_{name}" if prefix else name for name in BOX_COLUMNS)]
    absent = [column for column in wanted if column not in header]
    if absent:
        found = one_line(" ".join(column for column in header if column.endswith("left"))) or "none"
        raise InputError(f"{path}:{line}: no column {', '.join(absent)}; box columns found: {found}")
    image, *box_columns = (header.index(column) for column in wanted)
    split = header.index("split") if "split" in header else None
    images, coordinates = TableImages(path, image_folder), CoordinateReader(())
    boxes: dict[Path, tuple[Box, str | None]] = {}
    for line, cells in table:
        here = f"{path}:{line}"
        file = images.resolve(cells[image], here)
        if file in boxes:
            raise InputError(f"{here}: duplicate image {quoted(cells[image])}, expected one box per image")
        left, top, width, height = (coordinates.number(cells[i], here, header[i]) for i in box_columns)
        if width <= 0 or height <= 0:
            raise InputError(f"{here}: the box is {width:g} wide and {height:g} high, expected more than 0")
        boxes[file] = (left, top, width, height), None if split is None else cells[split]
    coordinates.finish()
    return boxes


def write_csv(dataset: Dataset, images: list[str]) -> Iterator[str]:
    """Yield a table with one object per row: image, box, x and y of each landmark; id, scale and std if known."""
    names = [check_name(name, "a CSV header") for name in dataset.landmark_names]
    # Landmark columns that start with box_ would be read as the box.
    prefix = "box_" if any(name.lower().startswith(("box", "bbox", "rect")) for name in names) else ""
    header = ["image", *(prefix + name for name in BOX_COLUMNS)]
    for name in names:
        header += [f"x{name}", f"y{name}"] if _NUMBER.fullmatch(name) else [f"{name}_x", f"{name}_y"]
    extra = [column for column, values in (("id", dataset.ids), ("scale", dataset.scales)) if values is not None]
    if dataset.std is not None:
        extra += [f"std{name}" if _NUMBER.fullmatch(name) else f"std_{name}" for name in names]
    stream = io.StringIO()
    table = csv.writer(stream, lineterminator="\n")
    table.writerow(header + extra)
    for i, (image, box, shape) in enumerate(zip(images, dataset.boxes, dataset.landmarks, strict=True)):
        cells = [check_name(image, "CSV"), *map(format_number, box)]
        for x, y in shape:
            cells += ("", "") if math.isnan(x) else format_point(x, y)
        if dataset.ids is not None:
            cells.append(dataset.ids[i])
        if dataset.scales is not None:
            cells.append(format_scale(dataset.scales[i]))
        if dataset.std is not None:
            cells += ["" if math.isnan(value) else format_number(value) for value in dataset.std[i]]
        table.writerow(cells)
    yield stream.getvalue()
