"""Several faces in one call of a kernel: threads wait for each other wherever Python runs."""

from collections.abc import Sequence
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from ert.cascade import NO_SWAP, Cascade
from ert.colours import grey_weights, weigh_channels
from ert.compiling import BLANK, uninterrupted
from ert.geometry import ONE_START
from ert.images import UINT8, plain
from ert.inputs import MAX_BOX_TO_IMAGE, Face, read_face
from ert.running import begin_face, finish_faces, room_for_faces, usual

__all__ = ["TOGETHER", "predict_colours", "predict_greys", "predict_together", "warm_up_together"]

# Faces of one call. Kernels are compiled for this number of images.
TOGETHER = 16
# Whose kernels this process has compiled or loaded, and for images of how many axes.
_WARM: set[tuple[object, int]] = set()


def predict_together(
    cascade: Cascade,
    X: Sequence[Face],
    boxes: npt.NDArray[np.float64],
    first: int,
    channels: str,
    rgb: str,
    what: str,
    placed: npt.NDArray[np.float64],
) -> bool:
    """Locate the landmarks of `TOGETHER` faces, each from one start, if their images lie in memory as usual.

    Parameters
    ----------
    cascade : Cascade
    X : sequence of (image, box)
    boxes : float64 array (n, 4)
        Of all of X.
    first : int
        The first of the faces.
    channels, rgb, what
        See :meth:`ert.ShapePredictor.predict`.
    placed : float64 array (n, n_landmarks, 2)
        Written for these faces, in pixels of their images.

    Returns
    -------
    bool
        False where some image is no array, or not of the same kind as the others, or a grey image's box is
        not right: nothing is done then.

    Raises
    ------
    InputError
        When an image cannot be used; the message names it.
    """
    if first + TOGETHER > len(X):
        return False
    images: list[Any] = [image for image, _ in X[first : first + TOGETHER]]
    n_axes = getattr(images[0], "ndim", 0)
    for image in images:
        if type(image) is not np.ndarray or image.dtype is not UINT8 or image.ndim != n_axes:
            return False
        if not plain(image) or (n_axes == 3 and image.shape[2] != 3):
            return False
    together = slice(first, first + TOGETHER)
    found = placed[together, None]
    if n_axes == 2:
        rest = ONE_START, NO_SWAP, cascade.kernel_arguments, found
        return bool(predict_greys(tuple(images), boxes[together], MAX_BOX_TO_IMAGE, *rest))
    parts = np.empty((TOGETHER, 4), np.intp)
    for i, (part, image) in enumerate(zip(parts, images, strict=True), first):
        read_face(image, boxes[i], channels, f"{what}[{i}]")
        left, top, width, height = boxes[i].tolist()
        columns, rows = cascade.cropping.touched(left, top, width, height, image.shape)
        part[:] = columns.start, columns.stop, rows.start, rows.stop
    weights = grey_weights(channels, rgb)
    rest = ONE_START, NO_SWAP, cascade.kernel_arguments, found
    predict_colours(tuple(images), parts, weights, boxes[together], *rest)
    return True


def warm_up_together(kernels: object, cascade: Cascade, image: object) -> None:
    """Compile what many faces in images like this need, or load it from the cache: once for `kernels`."""
    for blank in BLANK:
        n_axes = blank.ndim
        if n_axes == getattr(image, "ndim", None) and (kernels, n_axes) not in _WARM:
            with uninterrupted():
                X = [(blank, (0.0, 0.0, 9.0, 9.0))] * TOGETHER
                boxes = np.array([box for _, box in X])
                placed = np.empty((TOGETHER, *cascade.mean_shape.shape))
                predict_together(cascade, X, boxes, 0, "rgb", "luma", "X", placed)
            _WARM.add((kernels, n_axes))


@numba.njit(cache=True, nogil=True)
def predict_greys(images, boxes, most, starts, swap, arguments, placed):  # type: ignore[no-untyped-def]
    """Do as :func:`ert.running.predict_face` with several faces, stage by stage.

    Parameters
    ----------
    images : tuple of uint8 arrays (rows, columns)
    boxes : float64 array (n, 4)
    most, starts, swap, arguments
        See :func:`ert.running.predict_face` and :attr:`ert.cascade.Cascade.kernel_arguments`.
    placed : float64 array (n, n_starts, n_landmarks, 2)
        Written.

    Returns
    -------
    bool
        False when an image or a box is not as :func:`ert.running.usual` expects: nothing is done then.
    """
    for i in range(len(images)):
        left, top, width, height = boxes[i]
        if not usual(images[i], left, top, width, height, most):
            return False
    room = room_for_faces(len(images), starts.shape[0], arguments)  # type: ignore[no-untyped-call]
    for i in range(len(images)):
        left, top, width, height = boxes[i]
        begin_face(images[i], 0, 0, left, top, width, height, i, starts, arguments, room)
    finish_faces(starts, swap, arguments, room, placed)
    return True


@numba.njit(cache=True, nogil=True)
def predict_colours(images, parts, weights, boxes, starts, swap, arguments, placed):  # type: ignore[no-untyped-def]
    """Do as :func:`predict_greys` with images (rows, columns, 3), of which parts are turned to grey.

    Parameters
    ----------
    parts : int array (n, 4)
        First column, the one behind the last, first row, the one behind the last.
    weights : uint32 array (4,)
        See :func:`ert.colours.grey_weights`.
    """
    room = room_for_faces(len(images), starts.shape[0], arguments)  # type: ignore[no-untyped-call]
    for i in range(len(images)):
        left, top, width, height = boxes[i]
        column, right, row, bottom = parts[i]
        grey = np.empty((bottom - row, right - column), np.uint8)
        weigh_channels(images[i], row, column, weights, grey)
        begin_face(grey, column, row, left, top, width, height, i, starts, arguments, room)
    finish_faces(starts, swap, arguments, room, placed)
