"""Formats with one file for each image: the files of a folder, and their images."""

from collections.abc import Callable, Iterator
from pathlib import Path

from ert._core.exceptions import InputError, counted
from ert._core.types import StrPath
from ert.datasets.finder import find_pairs
from ert.datasets.parsing import Annotation, Point


def read_folder(
    folder: StrPath,
    suffix: str,
    read_file: Callable[[Path], tuple[str, dict[str, Point]]],
    image_folder: StrPath | None,
) -> Iterator[Annotation]:
    """Read all files with a suffix in a folder and its subfolders; all have the same landmarks and no box.

    `read_file` returns the place where the file states its number of landmarks ("file" or "file:line"), and the
    landmarks. A file that it refuses is a fault.
    """
    first, names = "", list[str]()
    for file, image, fault in find_pairs(Path(folder), suffix, image_folder):
        path, landmarks = Path(file), dict[str, Point]()
        try:
            here, landmarks = read_file(path)
            if not first:
                first, names = str(path), list(landmarks)
            if len(landmarks) != len(names):
                raise InputError(f"{here}: {counted(len(landmarks), 'landmark')}, expected {len(names)} as in {first}")
            if list(landmarks) != names:
                raise InputError(f"{here}: other landmark names than in {first}, expected the same")
        except InputError as error:
            fault = fault or str(error)
        yield Annotation(Path(image), None, landmarks, str(path), fault)
