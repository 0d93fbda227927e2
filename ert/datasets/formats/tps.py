"""TPS files, the format of tpsDig and of geometric morphometrics."""

import math
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ert._core.exceptions import InputError, counted
from ert._core.images import image_size
from ert._core.types import StrPath
from ert.datasets.dataset import Dataset
from ert.datasets.finder import ImageFinder, suffix_notes
from ert.datasets.parsing import Annotation, Point, check_name, quoted
from ert.datasets.points import MISSING, CoordinateReader, format_point, format_scale, read_scale
from ert.datasets.text import text_lines
from ert.datasets.y_origin import count_y_from_top

# Keys of a specimen that do not change its landmarks and are not kept.
_IGNORED = ("COMMENT", "VARIABLES")
_OUTLINES = ("CURVES", "OUTLINES", "POINTS", "CHAIN", "RADII")
# In a COMMENT=, written by `write_tps`: negative coordinates are no missing landmarks.
_NEGATIVE = "negative coordinates are measured"
_START = re.compile(r"LM3?\s*(=|$)", re.IGNORECASE)


@dataclass(slots=True)
class _Specimen:
    here: str  # "file:line" of LM=
    points: list[Point]  # as in the file
    curves: list[Point] = field(default_factory=list)
    image: str = ""
    id: str | None = None
    scale: float | None = None
    notes: list[str] = field(default_factory=list)
    keeps_negative: bool = False
    fault: str | None = None


def read_tps(
    path: StrPath,
    *,
    image_folder: StrPath | None = None,
    missing: Collection[float] | None = None,
    curves: str | None = None,
) -> Iterator[Annotation]:
    """Read the specimens of a TPS file: ``LM=n``, n lines of x and y, and ``IMAGE=name``.

    TPS counts y from the bottom of the image, so y becomes ``height - 1 - y``: the bottom row of pixels is 0,
    like the left column. (Some tools take ``height - y``, one pixel lower.) Landmarks stay in pixels: ``SCALE=``
    and ``ID=`` are kept as they are, ``COMMENT=`` and ``VARIABLES=`` are ignored. Without ``IMAGE=``, the ``ID=``
    is the name of the image.

    Missing landmarks are ``NA NA``, two negative numbers such as ``-1 -1``, and all landmarks of a specimen that
    has only ``0 0``; or with `missing`, the pairs of one of these numbers instead. Landmark names are "0", "1", ...
    The points of curves and outlines are passed over; with ``curves="as-landmarks"`` they follow the landmarks. 3-D
    landmarks are an error.
    """
    return count_y_from_top(read_specimens(path, image_folder=image_folder, missing=missing, curves=curves))


def read_specimens(
    path: StrPath,
    *,
    image_folder: StrPath | None = None,
    missing: Collection[float] | None = None,
    curves: str | None = None,
) -> Iterator[Annotation]:
    """Read the specimens of a TPS file like `read_tps`, but with y as it is in the file."""
    if curves not in (None, "as-landmarks"):
        raise InputError(f"curves: {curves!r}, expected None or 'as-landmarks'")
    path = Path(path)
    finder = ImageFinder(path, image_folder, any_suffix=True)
    # Two negative numbers are looked for below.
    coordinates = CoordinateReader(() if missing is None else missing)
    first: tuple[str, int] | None = None
    specimen: _Specimen | None = None
    for specimen in _specimens(path, coordinates):
        here, points = specimen.here, specimen.points
        if missing is None:
            points = _without_fillers(points, specimen.keeps_negative)
        if curves is not None:
            points = points + specimen.curves
        elif specimen.curves:
            specimen.notes.append("points of curves or outlines are passed over; --curves=as-landmarks takes them")
        if specimen.fault is None:
            first = first or ((here, len(points)) if points else None)
        file, fault = finder.find(specimen.image or specimen.id or "", here)
        if fault is not None and not specimen.image:
            why = f"; its ID {quoted(specimen.id)} is not the name of exactly one" if specimen.id else ""
            fault = f"{here}: specimen without IMAGE=, expected the name of its image{why}"
        if points and first is not None and len(points) != first[1]:
            fault = f"{here}: {counted(len(points), 'landmark')}, expected {first[1]} as in {first[0]}"
        fault = specimen.fault or fault
        landmarks = {str(i): point for i, point in enumerate(points)}
        notes = (*specimen.notes, *suffix_notes(specimen.image, file))
        yield Annotation(file, None, landmarks, here, fault, notes=notes, id=specimen.id, scale=specimen.scale)
    if specimen is None:
        raise InputError(f"{path}:1: expected 'LM=' and a number, found the end of the file")
    if first is None and specimen.curves:
        raise InputError(f"{specimen.here}: no landmarks, but points of curves: --curves=as-landmarks takes them")
    coordinates.finish()


def _without_fillers(points: list[Point], keeps_negative: bool) -> list[Point]:
    """Replace the numbers that stand for a missing landmark by NaN."""
    if all(point == (0, 0) for point in points):
        return [MISSING] * len(points)
    if keeps_negative:
        return [MISSING if point == (-1, -1) else point for point in points]
    return [MISSING if point[0] < 0 and point[1] < 0 else point for point in points]


def _specimens(path: Path, coordinates: CoordinateReader) -> Iterator[_Specimen]:
    """Yield the specimens of a file, without a look at images."""
    rows = ((f"{path}:{line}", text.strip()) for line, text in text_lines(path))
    lines: list[tuple[str, str]] = []
    for here, text in rows:
        if not text or text[0] == "#":
            continue
        starts = _START.match(text) is not None
        if not starts and not lines:
            raise InputError(f"{here}: expected 'LM=' and a number, found {quoted(text)}")
        if starts and lines:
            yield _read_specimen(lines, coordinates)
            lines = []
        lines.append((here, text))
    if lines:
        yield _read_specimen(lines, coordinates)


def _read_specimen(lines: list[tuple[str, str]], coordinates: CoordinateReader) -> _Specimen:
    """Read the lines of a specimen; what is wrong in them is its fault."""
    specimen = _Specimen(lines[0][0], [])
    try:
        _fill(specimen, iter(lines), coordinates)
    except InputError as error:
        specimen.fault = str(error)
        images = (re.fullmatch(r"IMAGE\s*=\s*(.*)", text, re.IGNORECASE) for _, text in lines)
        specimen.image = next((_unquoted(match[1]) for match in images if match), "")
    return specimen


def _fill(specimen: _Specimen, lines: Iterator[tuple[str, str]], coordinates: CoordinateReader) -> None:
    in_chain = False

    def read_points(count: str, what: str) -> list[Point]:
        if not re.fullmatch("[0-9]{1,6}", count):
            raise InputError(f"{here}: {what} is {quoted(count)}, expected the number of landmarks or points")
        n, kind = int(count), "landmark" if what == "LM" else "point"
        return [_read_point(*next(lines, (here, "")), f"{kind} {i + 1} of {n}", coordinates) for i in range(n)]

    for here, text in lines:
        key, equals, value = (part.strip() for part in text.partition("="))
        key = key.upper()
        if key == "LM":
            specimen.points = read_points(value, "LM")
        elif key == "LM3" and equals:
            raise InputError(f"{here}: {quoted(text)}, expected landmarks of an image, with x and y only")
        elif not equals and in_chain:
            continue
        elif not equals or key not in ("IMAGE", "ID", "SCALE", *_IGNORED, *_OUTLINES):
            expected = ", ".join(f"{name}=" for name in ("LM", "IMAGE", "ID", "SCALE", *_IGNORED, *_OUTLINES[:2]))
            raise InputError(f"{here}: {quoted(text)}, expected one of {expected}")
        elif key == "POINTS":
            specimen.curves += read_points(value, "POINTS")
        elif key in ("CHAIN", "RADII"):
            # An outline as a chain of directions or as radii: no points to take, in lines up to the next key.
            in_chain = True
            specimen.notes.append(f"outlines with {key}= are passed over")
        elif key == "IMAGE":
            if specimen.image:
                raise InputError(f"{here}: {quoted(text)}, expected one IMAGE=name per specimen")
            specimen.image = _unquoted(value)
        elif key == "ID":
            if specimen.id not in (None, "", _unquoted(value)):
                raise InputError(f"{here}: {quoted(text)}, expected one ID= per specimen")
            specimen.id = _unquoted(value)
        elif key == "SCALE":
            previous = specimen.scale
            try:
                specimen.scale = read_scale(value, here)
            except InputError:
                specimen.notes.append("SCALE= that is no number above 0 is not kept")
            if previous not in (None, specimen.scale):
                raise InputError(f"{here}: {quoted(text)}, expected one SCALE= per specimen")
        elif key == "COMMENT" and value == _NEGATIVE:
            specimen.keeps_negative = True


def _unquoted(text: str) -> str:
    return text[1:-1].strip() if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text


def _read_point(here: str, text: str, which: str, coordinates: CoordinateReader) -> Point:
    cells = coordinates.cells(text.partition("#")[0], here)
    if len(cells) != 2:
        found = quoted(text) if text else "the end of the specimen"
        raise InputError(f"{here}: expected x and y of {which}, found {found}")
    return coordinates.point(cells[0], cells[1], here)


def write_tps(dataset: Dataset, images: list[str], heights: dict[Path, int] | None = None) -> Iterator[str]:
    """Yield the specimens of a TPS file; the heights of the images are read if they are not given."""
    if heights is None:
        heights = {file: image_size(file)[1] for file in dict.fromkeys(dataset.files)}
    for i, (file, image) in enumerate(zip(dataset.files, images, strict=True)):
        yield f"LM={len(dataset.landmark_names)}\n"
        points = dataset.landmarks[i] * (1, -1) + (0, heights[file] - 1)
        for x, y in points:
            yield ("-1 -1" if math.isnan(x) else " ".join(format_point(x, y))) + "\n"
        yield f"IMAGE={check_name(image, 'TPS')}\n"
        identity = str(i) if dataset.ids is None else dataset.ids[i]
        yield f"ID={identity and check_name(identity, 'TPS')}\n"
        if dataset.scales is not None and not math.isnan(dataset.scales[i]):
            yield f"SCALE={format_scale(dataset.scales[i])}\n"
        if (points < 0).all(axis=1).any():
            yield f"COMMENT={_NEGATIVE}\n"
