"""Attributes of the objects of a dataset: measured, or from a user's table."""

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ert._core.exceptions import InputError, one_line
from ert._core.images import load_image, to_gray
from ert._core.runtime import count_threads
from ert._core.types import Floats, Pixels
from ert.datasets.dataset import Dataset
from ert.datasets.finder import TableImages
from ert.datasets.parsing import quoted
from ert.datasets.tables import csv_table
from ert.faces.regions import lengths, mouth_opening, zero_to_nan
from ert.model.schemes import FACE68_REGIONS

MEASURED = {
    "size": "distance in pixels between the outer eye corners",
    "yaw": "|ln of the ratio| of the distances from the nose to the cheeks: a proxy for the yaw angle",
    "roll": "angle in degrees between the line of the eyes and the horizontal",
    "brightness": "mean gray level of the skin, 0 to 255; depends on light and camera as much as on the skin",
    "mouth": "gap between the inner lips divided by the width of the mouth",
    "source": "top folder of the image in the dataset",
}
"""Measured attributes and their descriptions."""

_EYES = (list(FACE68_REGIONS["right_eye"]), list(FACE68_REGIONS["left_eye"]))
_NOSE_TIP = 30
# The upper end of the jaw line on each side, from the ear down.
_CHEEKS = (list(range(0, 5)), list(range(12, 17)))
# Around the face: along the jaw, and back over the brows.
_OUTLINE = [*range(0, 17), *range(26, 16, -1)]
_NO_SKIN = (*_EYES, list(FACE68_REGIONS["outer_lips"]))


def object_size(landmarks: Floats, boxes: Floats) -> Floats:
    """Return the sizes of objects in pixels: the distance between the outer eye corners of faces (n, 68, 2).

    For other objects it is the mean of the width and the height of their boxes (n, 4).
    """
    if landmarks.shape[1] != 68:
        side: Floats = boxes[:, 2:].mean(axis=1)
        return side
    return lengths(landmarks[:, 45] - landmarks[:, 36])


def yaw(landmarks: Floats) -> Floats:
    """Return a proxy for the absolute yaw angle of faces (n, 68, 2).

    |ln(right / left)| of the mean distances from the tip of the nose to five points of the upper jaw line on each
    side: 0 for a frontal face, 0.69 if one distance is twice the other. It also depends on the face and on annotation
    errors. Without a sign, faces turned to the left and to the right are grouped together.
    """
    right, left = (lengths(landmarks[:, cheek] - landmarks[:, [_NOSE_TIP]]).mean(axis=1) for cheek in _CHEEKS)
    asymmetry: Floats = np.abs(np.log(zero_to_nan(right)) - np.log(zero_to_nan(left)))
    return asymmetry


def roll(landmarks: Floats) -> Floats:
    """Return the absolute angle in degrees between the eyes of faces (n, 68, 2) and the horizontal."""
    right, left = (landmarks[:, eye].mean(axis=1) for eye in _EYES)
    x, y = (left - right).T
    angles: Floats = np.abs(np.degrees(np.arctan2(y, x)))
    return angles


def skin_brightness(image: Pixels, shape: Floats) -> float:
    """Return the mean gray level of the skin of a face (68, 2): within jaw and brows, without eyes and mouth.

    It depends on light and camera as much as on the skin, so it is not a measure of skin color. NaN if a landmark that
    is needed is missing or no skin is within the image.
    """
    from skimage.draw import polygon

    needed = [*_OUTLINE, *(i for part in _NO_SKIN for i in part)]
    if np.isnan(shape[needed]).any():
        return np.nan
    low = np.maximum(np.floor(shape[_OUTLINE].min(axis=0)), 0).astype(int)
    high = np.minimum(np.ceil(shape[_OUTLINE].max(axis=0)) + 1, image.shape[1::-1]).astype(int)
    if (high <= low).any():
        return np.nan
    gray = to_gray(image[low[1] : high[1], low[0] : high[0]])
    skin = np.zeros(gray.shape, bool)
    for part in (_OUTLINE, *_NO_SKIN):
        x, y = (shape[part] - low).T
        inside = polygon(y, x, skin.shape)  # type: ignore[no-untyped-call]
        skin[inside] = part is _OUTLINE
    return float(gray[skin].mean()) if skin.any() else np.nan


_FACE_MEASURES: dict[str, Callable[[Floats], Floats]] = {"yaw": yaw, "roll": roll, "mouth": mouth_opening}
_NEED_68 = (*_FACE_MEASURES, "brightness")


class Column(NamedTuple):
    """An attribute of each object of a dataset."""

    values: NDArray[Any]
    """(n,) float64, NaN = missing; or text, "" = missing."""
    about: str
    """Description of the attribute."""


def group_columns(
    names: Sequence[str],
    dataset: Dataset,
    folder: Path,
    table: Path | None = None,
    *,
    part: bool = False,
    n_jobs: int = 1,
) -> dict[str, Column]:
    """Return attributes of the objects of a dataset, to group them by.

    Parameters
    ----------
    names : sequence of str
        Columns of the table, or names from `MEASURED`.
    dataset : Dataset
        Its images are read only for "brightness".
    folder : pathlib.Path
        Folder that contains the images, also in subfolders: "source" and the paths of the table are relative to it.
    table : pathlib.Path, optional
        CSV file with a header. The column ``image`` (by default the first one) contains the image of each row: a path
        relative to the folder of the table or to `folder`, or a file name; the optional column ``object`` the index of
        an object within its image.
    part : bool
        Whether to ignore rows of the table for images that are not in the dataset.
    n_jobs : int
        Number of threads that read images.

    Returns
    -------
    dict of str to Column
        In the order of `names`.

    Raises
    ------
    InputError
        When a name is unknown or needs the 68 points of a face, or the table is invalid.
    """
    given = {} if table is None else read_table(table, dataset, folder, part=part)
    columns: dict[str, Column] = {}
    for name in names:
        if name in given:
            columns[name] = Column(_numbers_or_texts(given[name]), f"column of {table}")
        elif name in MEASURED:
            about = MEASURED[name]
            if name == "size" and dataset.landmarks.shape[1] != 68:
                about = "mean width and height of the box in pixels"
            columns[name] = Column(_measured(name, dataset, folder, n_jobs), about)
        else:
            known = one_line(", ".join([*given, *(other for other in MEASURED if other not in given)]))
            more = "" if table else "; a table (--columns) adds others"
            raise InputError(f"unknown attribute {quoted(name)}, expected one of {known}{more}")
    return columns


def _measured(name: str, dataset: Dataset, folder: Path, n_jobs: int) -> NDArray[Any]:
    if name in _NEED_68 and dataset.landmarks.shape[1] != 68:
        found = dataset.landmarks.shape[1]
        raise InputError(f"{dataset.name}: {name} needs the 68 points of a face, got {found} landmarks")
    if name in _FACE_MEASURES:
        return _FACE_MEASURES[name](dataset.landmarks)
    if name == "size":
        return object_size(dataset.landmarks, dataset.boxes)
    if name == "source":
        return np.array([_source(file, folder) for file in dataset.files], object)
    return _brightness(dataset, n_jobs)


def _source(file: Path, folder: Path) -> str:
    inside = os.path.relpath(os.path.realpath(file), os.path.realpath(folder)).split(os.sep)
    if inside[0] == os.pardir:
        return file.parent.name
    # Images directly in the folder are named after it.
    return inside[0] if len(inside) > 1 else os.path.basename(os.path.realpath(folder))


def _brightness(dataset: Dataset, n_jobs: int) -> Floats:
    from joblib import Parallel, delayed

    of_file: dict[Path, list[int]] = {}
    for i, file in enumerate(dataset.files):
        of_file.setdefault(file, []).append(i)
    brightness = np.empty(len(dataset))

    def measure(file: Path) -> None:
        image = load_image(file)
        for i in of_file[file]:
            brightness[i] = skin_brightness(image, dataset.landmarks[i])

    # Image decoders release the GIL.
    Parallel(count_threads(n_jobs), require="sharedmem")(delayed(measure)(file) for file in of_file)
    return brightness


def _numbers_or_texts(cells: Sequence[str]) -> NDArray[Any]:
    """Return a column as numbers if all its cells are numbers, else as text; empty and "nan" are missing."""
    cells = ["" if cell.lower() == "nan" else cell for cell in cells]
    try:
        numbers = [float(cell) if cell else math.nan for cell in cells]
    except ValueError:
        return np.array(cells, object)
    return np.array(cells, object) if any(map(math.isinf, numbers)) else np.array(numbers)


def attribute_table(
    dataset: Dataset, folder: Path | None = None, table: Path | None = None, *, n_jobs: int = 1
) -> dict[str, NDArray[Any]]:
    """Return a table with a row for each object of a dataset, for pandas to group.

    Parameters
    ----------
    dataset : Dataset
        Its images are read for the brightness of faces.
    folder : pathlib.Path, optional
        Folder that contains the images, also in subfolders; by default their common folder.
    table : pathlib.Path, optional
        CSV file with further attributes, see `group_columns`.
    n_jobs : int
        Number of threads that read images.

    Returns
    -------
    dict of str to (n,) array
        The columns: "image", the path; "size" and "source", for the 68 points of a face also "yaw", "roll",
        "brightness" and "mouth"; and those of `table`, which take precedence.

    Raises
    ------
    InputError
        As `group_columns`.

    Examples
    --------
    >>> rows = pandas.DataFrame(ert.evaluation.attribute_table(dataset))  # doctest: +SKIP
    >>> rows.assign(error=errors).groupby("source")["error"].mean()  # doctest: +SKIP
    """
    if folder is None:
        folder = Path(os.path.commonpath([file.parent for file in dataset.files]))
    face = dataset.landmarks.shape[1] == 68
    names = [name for name in MEASURED if face or name not in _NEED_68]
    if table is not None:
        names += [name for name in read_table(table, dataset, folder) if name not in names]
    columns = group_columns(names, dataset, folder, table, n_jobs=n_jobs)
    files = np.array([str(file) for file in dataset.files], object)
    return {"image": files} | {name: column.values for name, column in columns.items()}


def read_table(path: Path, dataset: Dataset, folder: Path, *, part: bool = False) -> dict[str, list[str]]:
    """Read a table of attributes: for each column the value of each object, "" without a row.

    The column ``image`` (by default the first one) contains the image of each row: a path relative to the folder of the
    table or to `folder`, or a file name. The optional column ``object`` contains the index of an object within its
    image, from 0; if it is empty, the row applies to all objects of the image. With `part`, rows of images that are not
    in the dataset are ignored.
    """
    table = csv_table(path)
    line, header = next(table)
    image = header.index("image") if "image" in header else 0
    number = header.index("object") if "object" in header else None
    kept = [i for i in range(len(header)) if i not in (image, number)]
    if not kept:
        raise InputError(f"{path}:{line}: no column besides {one_line(', '.join(header))}, expected one to group by")
    items, images = _items(dataset), TableImages(path, folder)
    row_of: dict[int, tuple[int, list[str]]] = {}
    for line, cells in table:
        here = f"{path}:{line}"
        chosen = _find(cells[image], (path.parent, folder), items, here)
        if not chosen:
            real = images.resolve(cells[image], here)
            chosen = items.get(real.name, {}).get(str(real), [])
        if not chosen:
            if part:
                continue
            raise InputError(
                f"{here}: image {quoted(cells[image])} is not in {dataset.name}, expected one of its images"
            )
        if number is not None and cells[number]:
            chosen = [_object(cells[number], chosen, here)]
        for i in chosen:
            if i in row_of:
                message = f"duplicate row (first in line {row_of[i][0]}), expected one row per object"
                raise InputError(f"{here}: {quoted(cells[image])}: {message}")
            row_of[i] = line, cells
    if not row_of:
        raise InputError(f"{path}: no row has an image of {dataset.name}, expected at least one")
    empty = (0, [""] * len(header))
    return {header[k]: [row_of.get(i, empty)[1][k] for i in range(len(dataset))] for k in kept}


def _items(dataset: Dataset) -> dict[str, dict[str, list[int]]]:
    """Return a dict of file name to a dict of path to the indices of the image's objects."""
    items: dict[str, dict[str, list[int]]] = {}
    for i, file in enumerate(dataset.files):
        real = os.path.realpath(file)
        for name in {file.name, os.path.basename(real)}:
            items.setdefault(name, {}).setdefault(real, []).append(i)
    return items


def _find(image: str, folders: tuple[Path, Path], items: dict[str, dict[str, list[int]]], here: str) -> list[int]:
    """Return the indices of the objects of a row's image; none if the image is not in the dataset."""
    for folder in folders:
        real = os.path.realpath(folder / image)
        found = items.get(os.path.basename(real), {}).get(real)
        if found:
            return found
    if os.path.basename(image) != image:
        return []
    of_name = items.get(image, {})
    if len(of_name) > 1:
        first, second = list(of_name)[:2]
        raise InputError(f"{here}: ambiguous image name {quoted(image)} ({first}, {second}); give a path")
    return next(iter(of_name.values()), [])


def _object(text: str, chosen: list[int], here: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) < len(chosen)):
        last = len(chosen) - 1
        raise InputError(f"{here}: object {quoted(text)}, expected an index from 0 to {last}")
    return chosen[int(text)]
