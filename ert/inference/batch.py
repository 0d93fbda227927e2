"""Several faces in one kernel call: threads contend for the interpreter wherever Python code runs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ert._core.images import UINT8, channel_weights, is_kernel_ready
from ert._kernels import predict_batch
from ert.inference.validation import Face, read_face
from ert.model.cascade import Cascade
from ert.model.geometry import MAX_BOX_TO_IMAGE

# Faces per call; the kernel is compiled for this number of images.
BATCH_SIZE = 16


def locate_batch(
    cascade: Cascade,
    X: Sequence[Face],
    boxes: npt.NDArray[np.float64],
    first: int,
    colors: tuple[str, str],
    what: str,
    landmarks: npt.NDArray[np.float64],
) -> bool:
    """Locate the landmarks of `BATCH_SIZE` faces, each from one initialization.

    Parameters
    ----------
    X : sequence of (image, box)
    boxes : float64 array (n, 4)
        Of all of X.
    first : int
        The first of the faces.
    what : str
        What error messages call X.
    landmarks : float64 array (n, n_landmarks, 2)
        Written for these faces, in pixels of their images.

    Returns
    -------
    bool
        False where an image is not an array like the others, or a gray image's box is not right: nothing is
        done then.

    Raises
    ------
    InputError
        When an image cannot be used; the message names it.
    """
    if first + BATCH_SIZE > len(X):
        return False
    images: list[Any] = [image for image, _ in X[first : first + BATCH_SIZE]]
    n_axes = getattr(images[0], "ndim", 0)
    for image in images:
        if type(image) is not np.ndarray or image.dtype is not UINT8 or image.ndim != n_axes:
            return False
        if not is_kernel_ready(image) or (n_axes == 3 and image.shape[2] != 3):
            return False
    batch = slice(first, first + BATCH_SIZE)
    found = landmarks[batch, None]
    parts = np.zeros((BATCH_SIZE, 4), np.intp)
    if n_axes == 3:
        for i, (part, image) in enumerate(zip(parts, images, strict=True), first):
            read_face(image, boxes[i], colors[0], f"{what}[{i}]")
            left, top, width, height = boxes[i].tolist()
            columns, rows = cascade.crop_spec.touched(left, top, width, height, image.shape)
            part[:] = columns.start, columns.stop, rows.start, rows.stop
    weights = channel_weights(*colors)
    bound = cascade.compiled.bound
    return bool(predict_batch(tuple(images), parts, weights, boxes[batch], MAX_BOX_TO_IMAGE, bound, found))
