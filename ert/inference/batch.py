"""Several faces in one call of a kernel: threads wait for each other wherever Python runs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ert._core.images import UINT8, grey_weights, plain
from ert._core.interrupts import uninterrupted
from ert._kernels.bound_args import BLANK
from ert._kernels.predict import predict_colours, predict_greys
from ert.inference.validation import Face, read_face
from ert.model.cascade import NO_SWAP, Cascade
from ert.model.geometry import MAX_BOX_TO_IMAGE, ONE_START

__all__ = [
    "TOGETHER",
    "predict_together",
    "warm_up_together",
]


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
