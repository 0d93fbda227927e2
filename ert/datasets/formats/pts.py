"""datasets.formats.pts."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from ert._core.exceptions import InputError
from ert._core.types import StrPath
from ert.datasets.parsing import Annotation, Point, annotation_files, quoted, read_point, text_lines

__all__ = [
    "read_pts_folder",
]


def read_pts_folder(folder: StrPath, *, image_folder: StrPath | None = None) -> Iterator[Annotation]:
    """Read every .pts file in a folder and the folders in it, in natural order of their paths.

    A .pts file counts pixels from 1, so 1 is subtracted. Its image stands beside it under the same name with
    the suffix .jpg, .jpeg, .png, .bmp, .tif, .tiff or .webp (of several, the first in the alphabet). A point
    "nan nan" is missing. Files whose name begins with a dot are passed over.

    Parameters
    ----------
    folder : path-like
        Where to look.
    image_folder : path-like, optional
        Where the images are (or below it), when they do not stand beside the .pts files.

    Yields
    ------
    Annotation
        One for each file, without a box; the landmarks are called "0", "1", ...

    Raises
    ------
    InputError
        No .pts file, one that is not as expected, lacks its image, or differs in its number of points.
    """
    first: tuple[Path, int] | None = None
    for path, image in annotation_files(Path(folder), ".pts", image_folder):
        points = _read_pts(path)
        first = first or (path, len(points))
        if len(points) != first[1]:
            raise InputError(f"{path}: n_points is {len(points)}, expected {first[1]} as in {first[0]}")
        yield Annotation(image, None, {str(i): (x - 1, y - 1) for i, (x, y) in enumerate(points)}, str(path))


def _read_pts(path: Path) -> list[Point]:
    stripped = ((line, text.strip()) for line, text in text_lines(path))
    rows = [(line, text) for line, text in stripped if text]
    # An empty text stands for the end of the file.
    remaining = iter([*rows, (rows[-1][0] + 1 if rows else 1, "")])

    def take(pattern: str, expected: str) -> tuple[str, Sequence[str]]:
        line, text = next(remaining)
        match = re.fullmatch(pattern, text)
        if match is None:
            found = quoted(text) if text else "the end of the file"
            raise InputError(f"{path}:{line}: expected {expected}, found {found}")
        return f"{path}:{line}", match.groups()

    take(r"version\s*:\s*1(?:\.0)?", "'version: 1'")
    n_points = int(take(r"n_points\s*:\s*([1-9][0-9]{0,5})", "'n_points:' and a number")[1][0])
    take(r"\{", "'{'")
    points = []
    for i in range(n_points):
        here, (x, y) = take(r"(\S+)\s+(\S+)", f"x and y of point {i + 1} of {n_points}")
        points.append(read_point(x, y, here, "x", "y"))
    take(r"\}", f"'}}' after {n_points} points")
    take("", "the end of the file")
    return points
