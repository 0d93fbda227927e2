"""TPS files, the format of tpsDig and of geometric morphometrics."""

import math
import re
from collections.abc import Iterator
from pathlib import Path

from ert._core.exceptions import InputError
from ert._core.images import image_size
from ert._core.types import StrPath
from ert.datasets.dataset import Dataset
from ert.datasets.finder import ImageFinder
from ert.datasets.parsing import Annotation, Point, check_name, format_number, quoted, read_point, text_lines

# Keys of a specimen that do not change its landmarks.
_IGNORED = ("ID", "SCALE", "COMMENT", "VARIABLES")
_CURVES = ("CURVES", "POINTS", "OUTLINES", "CHAIN", "RADII", "LM3")


def read_tps(path: StrPath, *, image_folder: StrPath | None = None) -> Iterator[Annotation]:
    """Read the specimens of a TPS file: ``LM=n``, n lines of x and y, and ``IMAGE=name``.

    TPS counts y from the bottom of the image, so y becomes ``height - 1 - y``: the bottom row of pixels is 0,
    like the left column. (Some tools take ``height - y``, one pixel lower.) Landmarks stay in pixels:
    ``SCALE=``, ``ID=``, ``COMMENT=`` and ``VARIABLES=`` are ignored. ``-1 -1``, which tpsDig writes, and
    ``NA NA`` are missing landmarks. Landmark names are "0", "1", ... Curves, outlines and 3-D landmarks are
    errors.
    """
    path = Path(path)
    finder = ImageFinder(path, image_folder)
    first: tuple[str, int] | None = None
    file, height = path, 0
    for here, points, name in _specimens(path):
        if not name:
            raise InputError(f"{here}: specimen without IMAGE=, expected the name of its image")
        first = first or (here, len(points))
        if len(points) != first[1]:
            raise InputError(f"{here}: LM is {len(points)}, expected {first[1]} as in {first[0]}")
        image, fault = finder.find(name, here)
        if image != file and fault is None:
            try:
                file, height = image, image_size(image)[1]
            except InputError as error:
                fault = str(error)
        landmarks = {str(i): (x, height - 1 - y) for i, (x, y) in enumerate(points)}
        yield Annotation(image, None, landmarks, here, fault)
    if first is None:
        raise InputError(f"{path}:1: expected 'LM=' and a number, found the end of the file")


def _specimens(path: Path) -> Iterator[tuple[str, list[Point], str]]:
    """Yield ("file:line" of LM=, points as in the file, image name or "")."""
    lines = ((f"{path}:{line}", text.strip()) for line, text in text_lines(path) if text.strip())
    where, points, image = "", list[Point](), ""
    for here, text in lines:
        key, equals, value = (part.strip() for part in text.partition("="))
        key = key.upper()
        if key in _CURVES and equals and value != "0":
            raise InputError(f"{here}: {quoted(text)}, expected landmarks only: no curves, outlines or 3-D")
        if key == "LM":
            if where:
                yield where, points, image
            if not re.fullmatch("[1-9][0-9]{0,5}", value):
                raise InputError(f"{here}: LM is {quoted(value)}, expected the number of landmarks")
            where, image = here, ""
            points = [_read_point(*next(lines, (here, "")), f"{i + 1} of {value}") for i in range(int(value))]
        elif not where:
            raise InputError(f"{here}: expected 'LM=' and a number, found {quoted(text)}")
        elif key == "IMAGE" and equals:
            if image or not value:
                raise InputError(f"{here}: {quoted(text)}, expected one IMAGE=name per specimen")
            image = value
        elif not equals or key not in (*_IGNORED, *_CURVES):
            expected = ", ".join(f"{name}=" for name in ("LM", "IMAGE", *_IGNORED))
            raise InputError(f"{here}: {quoted(text)}, expected one of {expected}")
    if where:
        yield where, points, image


def _read_point(here: str, text: str, which: str) -> Point:
    cells = text.split()
    if len(cells) != 2:
        found = quoted(text) if text else "the end of the file"
        raise InputError(f"{here}: expected x and y of landmark {which}, found {found}")
    x, y = ("nan" if cell.upper() == "NA" else cell for cell in cells)
    point = read_point(x, y, here)
    return (math.nan, math.nan) if point == (-1, -1) else point


def write_tps(dataset: Dataset, images: list[str]) -> Iterator[str]:
    """Yield the specimens of a TPS file."""
    heights = {file: image_size(file)[1] for file in dict.fromkeys(dataset.files)}
    for i, (file, image) in enumerate(zip(dataset.files, images, strict=True)):
        yield f"LM={len(dataset.landmark_names)}\n"
        for x, y in dataset.landmarks[i]:
            point = f"{format_number(x)} {format_number(heights[file] - 1 - y)}"
            # -1 -1 is a missing landmark, so a landmark at that point moves by a ten-thousandth of a pixel.
            yield ("-1 -1" if math.isnan(x) else "-1.0001 -1" if point == "-1 -1" else point) + "\n"
        yield f"IMAGE={check_name(image, 'TPS')}\nID={i}\n"
