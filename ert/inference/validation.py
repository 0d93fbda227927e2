"""Input validation: X, boxes, landmarks, the images of faces."""

import math
import os
import warnings
from collections.abc import Sequence
from functools import cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ert._core.exceptions import InputError
from ert._core.images import WARNINGS_LOCK, ImageLike, read_image
from ert.model.geometry import MAX_BOX_TO_IMAGE, box_transforms, image_to_box

MAX_COORDINATE = 1e7
MAX_BOX_SIDES = 10
MIN_TRAINING_OBJECTS = 2
Box: TypeAlias = Sequence[float] | npt.NDArray[np.floating[Any]]
Face: TypeAlias = tuple[ImageLike, Box]


def check_box(box: Box, what: str) -> tuple[float, float, float, float]:
    """Check a box: four finite numbers, width and height positive and together more than two pixels.

    Parameters
    ----------
    box : sequence of 4 numbers
        Left, top, width, height in pixels.
    what : str
        Its name in error messages.

    Returns
    -------
    left, top, width, height : float
    """
    # Python floats: a face is located in less time than it takes to make small arrays.
    try:
        checked = tuple(map(float, box))
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{what}: expected a box of 4 numbers (left, top, width, height), got {box!r}") from None
    if len(checked) != 4 or not all(map(math.isfinite, checked)):
        raise InputError(f"{what}: expected a box of 4 finite numbers (left, top, width, height), got {box!r}")
    left, top, width, height = checked
    if not (min(checked) >= -MAX_COORDINATE and max(checked) <= MAX_COORDINATE):
        raise InputError(f"{what}: box {list(checked)}, expected pixels within {MAX_COORDINATE:g}")
    if width <= 0 or height <= 0 or width + height <= 2:
        raise InputError(f"{what}: a box of {width:g} x {height:g} pixels, expected more than 1 x 1")
    return left, top, width, height


def face_list(X: Any) -> Any:
    """Return X as a list of (image, box), where it is an array of objects or of pandas; anything else as it is.

    Such arrays are what scikit-learn indexes: of pairs, or with a column of images and a column of boxes.
    """
    if isinstance(X, Sequence):
        return X
    values = getattr(X, "to_numpy", lambda: X)()
    if not isinstance(values, np.ndarray) or values.dtype != object or values.ndim > 2:
        return X
    return list(values) if values.ndim == 1 else [tuple(row) for row in values]


def landmark_list(y: Any) -> Any:
    """Return y as a list, where it is an array of objects or of pandas with the landmarks of each object."""
    return list(y) if getattr(getattr(y, "dtype", None), "kind", "") == "O" else y


def check_pairs(X: Sequence[Face], what: str = "X") -> list[tuple[float, float, float, float]]:
    """Check that X is a sequence of (image, box) and return its boxes.

    Raises
    ------
    InputError
        Naming the item.
    """
    if not isinstance(X, Sequence):
        raise InputError(f"{what}: expected a sequence of pairs (image, box), got {type(X).__name__}")
    if type(X) is list and len(X) > 1:
        boxes = _valid_boxes(X)
        if boxes is not None:
            return boxes
    boxes = []
    for i, face in enumerate(X):
        # The general test takes longer than all others together.
        pair = type(face) is tuple or (isinstance(face, Sequence) and not isinstance(face, str))
        if not pair or len(face) != 2:
            raise InputError(f"{what}[{i}]: expected a pair (image, box), got {_describe(face)}{_pair_hint(X, face)}")
        boxes.append(check_box(face[1], f"{what}[{i}]"))
    return boxes


def _pair_hint(X: Sequence[Any], face: object) -> str:
    if is_face(X):
        return "; give a list, also of a single pair: [(image, box)]"
    if not isinstance(face, Sequence) or isinstance(face, str):
        return "; ert.align finds the faces of an image, and (0, 0, width, height) is the box of a whole image"
    return ""


def is_face(value: object) -> bool:
    """Return whether a value is a pair (image, box), such as a dataset's objects are, and not a list of two images."""
    if not isinstance(value, (tuple, list)) or len(value) != 2 or isinstance(value[1], (str, os.PathLike)):
        return False
    return isinstance(value[1], (tuple, list, np.ndarray)) and np.shape(value[1]) == (4,)


def _valid_boxes(X: list[Face]) -> list[tuple[float, float, float, float]] | None:
    """Return the boxes of X if all are valid, checked at once; None where one needs a closer look."""
    if not all(type(face) is tuple and len(face) == 2 for face in X):
        return None
    try:
        boxes = np.array([box for _, box in X], np.float64)
    except (TypeError, ValueError, OverflowError):
        return None
    if boxes.shape != (len(X), 4) or not (np.abs(boxes) <= MAX_COORDINATE).all():
        return None
    sides = boxes[:, 2:]
    if (sides <= 0).any() or (sides.sum(axis=1) <= 2).any():
        return None
    return list(map(tuple, boxes.tolist()))


def box_array(boxes: list[tuple[float, float, float, float]]) -> npt.NDArray[np.float64]:
    """Return boxes as an array (n, 4), also for no boxes."""
    return np.array(boxes, np.float64).reshape(-1, 4)


def _describe(face: object) -> str:
    name = type(face).__name__
    return f"a {name} of {len(face)}" if isinstance(face, Sequence) and not isinstance(face, str) else name


def check_landmarks(y: npt.ArrayLike, n: int, what: str = "y", *, to_train: bool = True) -> npt.NDArray[np.float64]:
    """Check y: (n, n_landmarks, 2), NaN = missing; no object and, for training, no landmark is all missing."""
    try:
        landmarks = np.array(landmark_list(y), dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise InputError(
            f"{what}: expected numbers of shape (n, n_landmarks, 2), the same count for each object"
        ) from None
    if landmarks.ndim != 3 or landmarks.shape[2] != 2 or landmarks.shape[1] == 0:
        raise InputError(f"{what}: expected shape (n, n_landmarks, 2), got {landmarks.shape}")
    if len(landmarks) != n:
        raise InputError(f"{what} has {len(landmarks)} objects and X has {n}, expected as many")
    if to_train and n < MIN_TRAINING_OBJECTS:
        raise InputError(f"{n} training object{'s' * (n != 1)}: at least {MIN_TRAINING_OBJECTS} are needed")
    if np.isinf(landmarks).any():
        i, j, _ = np.argwhere(np.isinf(landmarks))[0]
        raise InputError(f"{what}: landmark {j} of object {i} is infinite; a missing one is NaN")
    missing = np.isnan(landmarks).any(axis=2)
    landmarks[missing] = np.nan
    never = np.flatnonzero(np.all(missing, axis=0))
    if to_train and len(never):
        raise InputError(f"{what}: landmark {never[0]} is missing in every object")
    empty = np.flatnonzero(np.all(missing, axis=1))
    if len(empty):
        raise InputError(f"{what}: object {empty[0]} has no landmark at all")
    return landmarks


def check_near(landmarks: npt.NDArray[np.float64], boxes: npt.NDArray[np.float64], what: str = "y") -> None:
    """Check that all landmarks are within 10 sides of their object's box."""
    distance = sides_from_box(landmarks, boxes)
    far = np.flatnonzero(distance > MAX_BOX_SIDES)
    if len(far):
        sides = f"{distance[far[0]]:.3g} box sides from its box"
        raise InputError(f"{what}: object {far[0]} has a landmark {sides}, expected at most {MAX_BOX_SIDES}")


def sides_from_box(landmarks: npt.NDArray[np.float64], boxes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the largest distance of each object's landmarks from the center of its box, along x or y, in its sides."""
    shapes = image_to_box(landmarks, box_transforms(boxes))
    return np.nanmax(np.abs(shapes - 0.5), axis=(1, 2)) if len(shapes) else np.zeros(0)


def read_face(
    image: ImageLike, box: Sequence[float] | npt.NDArray[np.float64], channel_order: str, what: str
) -> tuple[npt.NDArray[np.uint8], str]:
    """Return the pixels of a face's image and the order of their colors.

    Parameters
    ----------
    box : left, top, width, height
        Checked, see :func:`check_box`.
    channel_order : {"rgb", "bgr"}
        Order of the colors in an array; files and images of Pillow are RGB.
    what : str
        The name of the face in error messages.

    Returns
    -------
    image : uint8 array (rows, columns) or (rows, columns, 3)
    channel_order : {"rgb", "bgr"}

    Raises
    ------
    InputError
        When the image cannot be used, or the box does not touch it or is far larger.
    """
    if not isinstance(image, np.ndarray):
        channel_order = "rgb"
        if isinstance(image, (str, os.PathLike)):
            what = f"{what}, {os.fspath(image)}"
    pixels = read_image(image, what)
    rows, columns = pixels.shape[:2]
    left, top, width, height = box
    if left > columns - 1 or top > rows - 1 or left + width < 1 or top + height < 1:
        raise InputError(f"{what}: the box lies outside the image of {columns} x {rows} pixels")
    if max(width, height) > MAX_BOX_TO_IMAGE * max(rows, columns):
        size = f"{width:g} x {height:g}"
        raise InputError(f"{what}: a box of {size} pixels is far larger than the image of {columns} x {rows}")
    if left + width > columns or top + height > rows:
        warn_of_corners(box, columns, rows)
    return pixels, channel_order


def fits_as_corners(box: Box, columns: int, rows: int) -> bool:
    """Return whether a box lies mostly outside its image, but would lie inside it if it were x1, y1, x2, y2."""
    left, top, width, height = box
    inside = max(0, min(left + width, columns) - max(left, 0)) * max(0, min(top + height, rows) - max(top, 0))
    return bool(inside < width * height / 2 and 0 <= left < width <= columns and 0 <= top < height <= rows)


def warn_of_corners(box: Box, columns: int, rows: int) -> None:
    """Warn of a box that may have been given as x1, y1, x2, y2."""
    if fits_as_corners(box, columns, rows):
        _warn_of_corners()


# Once: reading images resets what Python remembers of warnings.
@cache
def _warn_of_corners() -> None:
    question = "a box lies mostly outside its image, but would lie inside it as x1, y1, x2, y2; is it meant so?"
    # While another thread reads an image, warnings are ignored.
    with WARNINGS_LOCK:
        warnings.warn(f"{question} Boxes are left, top, width, height", stacklevel=3)


def check_landmark_array(landmarks: npt.ArrayLike, shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Return predicted landmarks as a float array of this shape.

    Raises
    ------
    InputError
        When the shape is another, or a number is not finite or absurdly large.
    """
    shapes = np.ascontiguousarray(landmarks, np.float64)
    if shapes.shape != shape:
        raise InputError(f"landmarks: expected shape {shape}, got {shapes.shape}")
    if not (np.abs(shapes) <= 2 * MAX_COORDINATE).all():
        raise InputError(f"landmarks: expected finite numbers within {2 * MAX_COORDINATE:g}")
    return shapes
