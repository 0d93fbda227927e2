"""Readers of folders with a file beside each image: webmorph's .tem and menpo's .ljson."""

from collections.abc import Iterator
from pathlib import Path

from ert._core.exceptions import InputError
from ert._core.types import StrPath
from ert.datasets.parsing import Annotation, Point, annotation_files, quoted, read_point, text_lines

__all__ = [
    "read_tem_folder",
]


def read_tem_folder(folder: StrPath, *, image_folder: StrPath | None = None) -> Iterator[Annotation]:
    """Read every .tem file of webmorph in a folder and the folders in it, in natural order of their paths.

    The first line is the number of points, then come as many lines of x and y; what follows (how many lines
    webmorph draws, and these lines) is passed over. Coordinates are taken as they are. A point "nan nan" is
    missing. The image stands beside the file, as for `ert.readers.read_pts_folder`.

    Parameters
    ----------
    folder : path-like
        Where to look.
    image_folder : path-like, optional
        Where the images are (or below it), when they do not stand beside the files.

    Yields
    ------
    Annotation
        One for each file, without a box; the landmarks are called "0", "1", ...

    Raises
    ------
    InputError
        No .tem file, one that is not as expected, lacks its image, or differs in its number of points.
    """
    first: tuple[Path, int] | None = None
    for path, image in annotation_files(Path(folder), ".tem", image_folder):
        points = _read_tem(path)
        first = first or (path, len(points))
        if len(points) != first[1]:
            raise InputError(f"{path}:1: {len(points)} points, expected {first[1]} as in {first[0]}")
        yield Annotation(image, None, {str(i): point for i, point in enumerate(points)}, str(path))


def _read_tem(path: Path) -> list[Point]:
    lines = ((f"{path}:{line}", text.strip()) for line, text in text_lines(path))
    here, text = next(lines, (f"{path}:1", ""))
    if not (text.isascii() and text.isdigit() and len(text) <= 6 and int(text)):
        raise InputError(f"{here}: expected the number of points, found {quoted(text)}")
    points = []
    for i in range(int(text)):
        here, row = next(lines, (here, ""))
        cells = row.split()
        if len(cells) != 2:
            found = quoted(row) if row else "the end"
            raise InputError(f"{here}: expected x and y of point {i + 1} of {text}, found {found}")
        points.append(read_point(cells[0], cells[1], here, "x", "y"))
    rest = [(here, row) for here, row in lines if row]
    # A line of two numbers would be one point more.
    if rest and not rest[0][1].isdecimal():
        here, row = rest[0]
        raise InputError(f"{here}: expected no more than {text} points, found {quoted(row)}")
    return points
