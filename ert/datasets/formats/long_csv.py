"""CSV tables with a row for each landmark."""

from collections.abc import Collection, Iterator
from itertools import groupby
from pathlib import Path

from ert._core.exceptions import InputError
from ert._core.types import StrPath
from ert.datasets.finder import ImageFinder, suffix_notes
from ert.datasets.parsing import Annotation, quoted
from ert.datasets.points import CoordinateReader, read_scale, read_std
from ert.datasets.tables import Row, with_header

_COLUMNS = ("image", "landmark", "x", "y")
# What distinguishes the objects; all but the image may be absent.
_OBJECT = ("image", "specimen", "object")


def is_long_table(header: list[str]) -> bool:
    """Return whether a table with this header has a row for each landmark."""
    return set(_COLUMNS) <= {name.lower() for name in header}


def read_long(
    path: Path,
    line: int,
    header: list[str],
    rows: Iterator[Row],
    *,
    image_folder: StrPath | None = None,
    missing: Collection[float] | None = None,
) -> Iterator[Annotation]:
    """Read a table with the columns ``image``, ``landmark``, ``x`` and ``y``, whose header is in `line`.

    The rows of an object follow each other: they have the same ``image``, ``specimen`` and ``object``, of which the
    last two may be absent. The specimen is the id. ``scale`` and ``std``, the standard error in pixels, are kept; other
    columns are not read. Names, coordinates and missing landmarks are as in `ert.datasets.formats.csv.read_csv`.
    """
    table = with_header(path, line, header, rows)
    next(table)
    index = {name.lower(): i for i, name in enumerate(header)}
    coordinates = CoordinateReader(missing, takes_halves=True)
    finder = ImageFinder(path, image_folder, any_suffix=True)
    seen: set[tuple[str, ...]] = set()

    def cell(cells: list[str], name: str) -> str:
        return cells[index[name]] if name in index else ""

    def read_object(key: tuple[str, ...], group: list[Row]) -> Annotation:
        here = f"{path}:{group[0][0]}"
        if key in seen:
            raise InputError(f"{here}: further rows of an object above, expected its rows one after the other")
        seen.add(key)
        points, std = {}, {}
        for number, cells in group:
            place, name = f"{path}:{number}", cell(cells, "landmark")
            if name in points or not name:
                raise InputError(f"{place}: landmark {quoted(name)}, expected a name, once in each object")
            points[name] = coordinates.point(cell(cells, "x"), cell(cells, "y"), place)
            std[name] = read_std(cell(cells, "std"), place, "std")
        scales = {cell(cells, "scale"): number for number, cells in group}
        if len(scales) > 1:
            raise InputError(f"{here}: scales {' and '.join(map(quoted, scales))}, expected one for an object")
        scale = read_scale(next(iter(scales)), f"{here}: scale")
        file, fault = finder.find(key[0], here)
        notes, errors = suffix_notes(key[0], file), std if "std" in index else None
        return Annotation(file, None, points, here, fault, notes=notes, id=key[1] or None, scale=scale, std=errors)

    for key, rows_of_object in groupby(table, lambda row: tuple(cell(row[1], name) for name in _OBJECT)):
        group = list(rows_of_object)
        try:
            annotation = read_object(key, group)
        except InputError as error:
            annotation = Annotation(path, None, {}, f"{path}:{group[0][0]}", str(error))
        yield annotation
    coordinates.finish()
