"""Tables of the programs that track animals: DeepLabCut and SLEAP."""

import math
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from ert._core.exceptions import InputError
from ert._core.types import StrPath
from ert.datasets.finder import IMAGE_SUFFIXES, Found, ImageFinder, walk
from ert.datasets.parsing import Annotation, quoted
from ert.datasets.points import CoordinateReader
from ert.datasets.tables import Row, check_length

_DEEPLABCUT_ROWS = ("scorer", "individuals", "bodyparts", "coords")
_SCORES = ("likelihood", "score")
_FRAME_NOTE = "the image of a frame is the one whose name ends with its number"
_SCORE_NOTE = "likelihoods and scores of landmarks are not kept"
_MAX_DIGITS = 9


class _Layout(NamedTuple):
    """The columns of a table."""

    image: list[int]  # the folders and the name of the image, or the number of a frame
    landmarks: dict[str, dict[str, list[int]]]  # individual -> landmark -> x, y
    labels: list[str]
    has_scores: bool


def is_tracks_table(header: list[str]) -> bool:
    """Return whether a table with this first row is one of DeepLabCut or SLEAP."""
    names = [name.lower() for name in header]
    return "frame_idx" in names or (bool(names) and names[0] in _DEEPLABCUT_ROWS)


def read_tracks(
    path: Path,
    header: list[str],
    rows: Iterator[Row],
    *,
    image_folder: StrPath | None = None,
    missing: Collection[float] | None = None,
) -> Iterator[Annotation]:
    """Read a table of DeepLabCut, labels or predictions, or an analysis table of SLEAP.

    DeepLabCut's header has three rows (scorer, bodyparts, coords), or four with individuals, each of which is an
    object. The image is in the first column or, in parts of its path, in the first three. SLEAP's table has the columns
    ``frame_idx`` and, for each landmark, ``nose.x`` and ``nose.y``. Where a table has the numbers of frames in place of
    images, the image of frame 7 is the one in the folder of the table or `image_folder`, or a folder below, whose name
    ends with 7, such as ``img0007.png``. Likelihoods and scores are not kept.
    """
    layout = (
        _sleap_layout(path, header) if "frame_idx" in map(str.lower, header) else _deeplabcut_layout(path, header, rows)
    )
    coordinates = CoordinateReader(missing, takes_halves=True)
    finder, frames = ImageFinder(path, image_folder), _FrameFinder(Path(image_folder or path.parent))
    n_objects = len(layout.landmarks)
    differ = len({tuple(landmarks) for landmarks in layout.landmarks.values()}) > 1

    def read_row(cells: list[str], here: str) -> Iterator[Annotation]:
        check_length(cells, len(header), here)
        name = "/".join(cells[i] for i in layout.image)
        notes = [_SCORE_NOTE] if layout.has_scores else []
        if re.fullmatch(r"[0-9]{1,9}(\.0)?", name):
            notes.append(_FRAME_NOTE)
            file, fault = frames.find(int(float(name)), here)
        else:
            file, fault = finder.find(name, here)
        for individual, columns in layout.landmarks.items():
            points = {
                landmark: coordinates.point(cells[x], cells[y], here, layout.labels[x], layout.labels[y])
                for landmark, (x, y) in columns.items()
            }
            # Absent individuals are no objects.
            if n_objects == 1 or not all(math.isnan(x) for x, _ in points.values()):
                yield Annotation(file, None, points, here, fault, individual if differ else None, tuple(notes))

    for line, cells in rows:
        here = f"{path}:{line}"
        try:
            yield from read_row(cells, here)
        except InputError as error:
            yield Annotation(path, None, {}, here, str(error))
    coordinates.finish()


def _deeplabcut_layout(path: Path, header: list[str], rows: Iterator[Row]) -> _Layout:
    levels = {header[0].lower(): header}
    n, line = len(header), 1
    while "coords" not in levels:
        line, row = next(rows, (line, [""]))
        if row[0].lower() not in _DEEPLABCUT_ROWS or row[0].lower() in levels or len(row) != n:
            expected = "rows scorer, bodyparts and coords of the same length, as DeepLabCut writes them"
            raise InputError(f"{path}:{line}: {quoted(row[0])}, expected {expected}")
        levels[row[0].lower()] = row
    if "bodyparts" not in levels:
        raise InputError(f"{path}:{line}: no row bodyparts, expected one above the row coords")
    coords, parts = levels["coords"], levels["bodyparts"]
    individuals = levels.get("individuals", [""] * n)
    image = [0]
    while image[-1] + 1 < n and not coords[image[-1] + 1] and not parts[image[-1] + 1]:
        image.append(image[-1] + 1)
    labels = [" ".join(filter(None, names)) for names in zip(individuals, parts, coords, strict=True)]
    cells = [(individuals[i], parts[i], coords[i].lower(), i) for i in range(len(image), n)]
    return _layout(path, line, image, cells, labels)


def _sleap_layout(path: Path, header: list[str]) -> _Layout:
    cells = []
    for i, name in enumerate(header):
        part, dot, coordinate = name.rpartition(".")
        if dot and part != "instance":
            cells.append(("", part, coordinate.lower(), i))
    return _layout(path, 1, [[name.lower() for name in header].index("frame_idx")], cells, header)


def _layout(
    path: Path, line: int, image: list[int], cells: list[tuple[str, str, str, int]], labels: list[str]
) -> _Layout:
    """Collect columns, each given as individual, landmark, coordinate and index."""
    found: dict[str, dict[str, dict[str, int]]] = {}
    has_scores = False
    for individual, part, coordinate, i in cells:
        axes = found.setdefault(individual, {}).setdefault(part, {})
        if coordinate not in ("x", "y", *_SCORES) or coordinate in axes:
            raise InputError(f"{path}:{line}: column {quoted(labels[i])}, expected one x and y of each landmark")
        axes[coordinate] = i
        has_scores |= coordinate in _SCORES
    landmarks: dict[str, dict[str, list[int]]] = {}
    for individual, of_individual in found.items():
        for part, axes in of_individual.items():
            if not {"x", "y"} <= set(axes):
                raise InputError(f"{path}:{line}: landmark {quoted(part)}, expected x and y")
            landmarks.setdefault(individual, {})[part] = [axes["x"], axes["y"]]
    if not landmarks:
        raise InputError(f"{path}:{line}: no landmark columns, expected x and y of each landmark")
    return _Layout(image, landmarks, [f"column {quoted(label)}" for label in labels], has_scores)


class _FrameFinder:
    """Finds the images of frames of a video by the numbers at the end of their names."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[int, list[Path]] | None = None

    def find(self, frame: int, here: str) -> Found:
        """Return the image of a frame, or why there is none."""
        if self._files is None:
            self._files = {}
            for parent, names in walk(self._folder):
                for name in names:
                    stem, dot, suffix = name.rpartition(".")
                    digits = re.search(r"[0-9]+$", stem)
                    if dot and digits and len(digits[0]) <= _MAX_DIGITS and f".{suffix}".lower() in IMAGE_SUFFIXES:
                        self._files.setdefault(int(digits[0]), []).append(Path(parent, name))
            numbers = sorted(self._files)
            if len(numbers) > 1 and numbers == list(range(1, len(numbers) + 1)):
                counted = f"the images in {self._folder} are numbered from 1, and frames from 0"
                raise InputError(f"{here}: {counted}; expected the number of its frame at the end of each name")
        found = self._files.get(frame, [])
        if len(found) == 1:
            return Found(found[0], None)
        expected = f"expected one image in {self._folder} whose name ends with {frame}"
        which = f"{found[0]} or {found[1]}" if found else "no image"
        return Found(self._folder / f"{frame}.png", f"{here}: {which} for frame {frame}, {expected}")
