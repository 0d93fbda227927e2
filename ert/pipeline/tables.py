"""Predictions as tables: a row for each object (wide) or for each landmark (long), as CSV, JSON Lines or Parquet.

wide    image, specimen, object, left, top, width, height, roll, confidence, scale, x_NAME, y_NAME, std_NAME, ...
long    image, specimen, object, landmark, x, y, std, confidence, scale

Objects of an image are numbered from 1. What the model does not compute has no column. An image without an object has
a row with empty cells, in the long table one for each landmark, so that each photograph is in the table and none has a
false landmark.
"""

import csv
import io
import json
import math
import os
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from ert._core.exceptions import InputError
from ert.datasets.formats import image_name
from ert.datasets.parsing import BOX_COLUMNS, check_name, format_number
from ert.datasets.points import format_point, format_scale
from ert.pipeline.part import Columns, photo_entry
from ert.pipeline.predict import Photo, Prediction

PHOTOS_PER_ROW_GROUP = 1000


def wide_header(columns: Columns) -> list[str]:
    """Return the names of the columns of a wide table."""
    names = [check_name(name, "a table") for name in columns.names]
    header = ["image", "specimen", "object", *BOX_COLUMNS]
    header += [name for name in ("roll", "confidence", "scale") if getattr(columns, name)]
    axes = ("x", "y", "std") if columns.std else ("x", "y")
    return header + [f"{axis}_{name}" for name in names for axis in axes]


def long_header(columns: Columns) -> list[str]:
    """Return the names of the columns of a long table."""
    optional = [name for name in ("std", "confidence", "scale") if getattr(columns, name)]
    return ["image", "specimen", "object", "landmark", "x", "y", *optional]


def _wide_rows(photo: Photo, columns: Columns, image: str) -> Iterator[list[str]]:
    n_cells = len(wide_header(columns))
    if not photo.objects:
        row = [image, photo.item.specimen, *[""] * (n_cells - 2)]
        if columns.scale:
            row[wide_header(columns).index("scale")] = _scale(photo.item.scale)
        yield row
    for found in photo.objects:
        cells = [image, found.specimen, str(found.number), *map(format_number, found.box.tolist())]
        if columns.roll:
            cells.append(format_number(found.roll))
        if columns.confidence:
            cells.append(_number(found.confidence))
        if columns.scale:
            cells.append(_scale(found.scale))
        for point, std in zip(found.landmarks.tolist(), _stds(found), strict=True):
            cells += format_point(*point)
            if columns.std:
                cells.append(std)
        yield cells


def _long_rows(photo: Photo, columns: Columns, image: str) -> Iterator[list[str]]:
    nothing = [("", "", "")] * len(columns.names)
    for found in photo.objects or (None,):
        points = (
            nothing
            if found is None
            else [
                (*format_point(*point), std) for point, std in zip(found.landmarks.tolist(), _stds(found), strict=True)
            ]
        )
        specimen, number = (photo.item.specimen, "") if found is None else (found.specimen, str(found.number))
        for name, (x, y, std) in zip(columns.names, points, strict=True):
            cells = [image, specimen, number, name, x, y]
            if columns.std:
                cells.append(std)
            if columns.confidence:
                cells.append(_number(None if found is None else found.confidence))
            if columns.scale:
                cells.append(_scale(photo.item.scale))
            yield cells


def _number(value: float | None) -> str:
    return "" if value is None else format_number(value)


def _scale(scale: float | None) -> str:
    return "" if scale is None else format_scale(scale)


def _stds(found: Prediction) -> list[str]:
    return [""] * len(found.landmarks) if found.std is None else list(map(format_number, found.std.tolist()))


def write_wide(photos: Iterable[Photo], columns: Columns, folder: Path, *, header: bool = True) -> Iterator[str]:
    """Yield the text of a wide table."""
    return _csv(photos, columns, folder, wide_header(columns) if header else None, _wide_rows)


def write_long(photos: Iterable[Photo], columns: Columns, folder: Path, *, header: bool = True) -> Iterator[str]:
    """Yield the text of a long table."""
    return _csv(photos, columns, folder, long_header(columns) if header else None, _long_rows)


def _csv(
    photos: Iterable[Photo],
    columns: Columns,
    folder: Path,
    header: list[str] | None,
    rows: Callable[[Photo, Columns, str], Iterator[list[str]]],
) -> Iterator[str]:
    stream = io.StringIO()
    table = csv.writer(stream, lineterminator="\n")
    if header is not None:
        table.writerow(header)
    for photo in photos:
        table.writerows(rows(photo, columns, check_name(image_name(photo.item.file, folder), "CSV")))
        yield stream.getvalue()
        stream.seek(0)
        stream.truncate()
    yield stream.getvalue()


def write_json_lines(photos: Iterable[Photo], columns: Columns, folder: Path, *, header: bool = True) -> Iterator[str]:
    """Yield an object in each line, as JSON; of an image without an object, a line with ``"object": null``."""
    for photo in photos:
        entry = photo_entry(photo, image_name(photo.item.file, folder))
        objects = entry.pop("objects")
        entry["width"], entry["height"] = entry.pop("size")
        if not columns.scale:
            del entry["scale"]
        if not objects:
            yield _line(entry | {"object": None})
        for number, found in enumerate(objects, 1):
            names = dict(zip(columns.names, found.pop("landmarks"), strict=True))
            if "std" in found:
                found["std"] = dict(zip(columns.names, found["std"], strict=True))
            if not columns.roll:
                del found["roll"]
            yield _line(entry | {"object": number} | found | {"landmarks": names})


def _line(entry: dict[str, Any]) -> str:
    return json.dumps(entry, ensure_ascii=False, allow_nan=False) + "\n"


def require_pyarrow(path: Path) -> Any:
    """Return the package that writes Parquet, or raise an InputError that says how to install it."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise InputError(f"{path}: needs pyarrow, which is not installed: pip install pyarrow") from None
    return pyarrow


def write_parquet(photos: Iterable[Photo], columns: Columns, folder: Path, target: Path) -> None:
    """Write a wide table as Parquet, some photographs at a time."""
    pyarrow = require_pyarrow(target)
    header = wide_header(columns)
    kinds = {"image": pyarrow.string(), "specimen": pyarrow.string(), "object": pyarrow.int32()}
    schema = pyarrow.schema([(name, kinds.get(name, pyarrow.float64())) for name in header])
    remaining = iter(photos)
    with pyarrow.parquet.ParquetWriter(os.fspath(target), schema) as writer:
        while some := list(islice(remaining, PHOTOS_PER_ROW_GROUP)):
            rows = [row for photo in some for row in _wide_rows(photo, columns, image_name(photo.item.file, folder))]
            arrays = [
                pyarrow.array([_value(row[i], schema.field(i).name) for row in rows], schema.field(i).type)
                for i in range(len(header))
            ]
            writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))


def _value(cell: str, column: str) -> Any:
    if column in ("image", "specimen"):
        return cell
    if not cell:
        return None
    number = float(cell)
    return int(number) if column == "object" else None if math.isnan(number) else number
