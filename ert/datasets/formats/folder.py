"""What formats with one annotation file per image share."""

from collections.abc import Callable, Iterator
from pathlib import Path

from ert._core.exceptions import InputError
from ert._core.types import StrPath
from ert.datasets.images import find_pairs
from ert.datasets.parsing import Annotation, Point


def read_folder(
    folder: StrPath,
    suffix: str,
    read_file: Callable[[Path], tuple[str, dict[str, Point]]],
    image_folder: StrPath | None,
) -> Iterator[Annotation]:
    """Read all files with a suffix in a folder and its subfolders; all have the same landmarks and no box.

    `find_pairs` finds the files and their images. `read_file` returns the place where the file states its
    number of landmarks ("file" or "file:line"), and the landmarks.
    """
    first: Path | None = None
    names: list[str] = []
    for path, image in find_pairs(Path(folder), suffix, image_folder):
        here, landmarks = read_file(path)
        if first is None:
            first, names = path, list(landmarks)
        if len(landmarks) != len(names):
            raise InputError(f"{here}: {len(landmarks)} landmarks, expected {len(names)} as in {first}")
        if list(landmarks) != names:
            raise InputError(f"{here}: other landmark names than in {first}, expected the same")
        yield Annotation(image, None, landmarks, str(path))
