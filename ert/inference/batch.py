"""Several faces in one kernel call.

Threads contend for the interpreter wherever Python code runs: one call for many faces takes it less often.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ert._core.images import UINT8, channel_weights, is_kernel_ready
from ert._kernels import predict_batch
from ert.inference.validation import Face
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
    landmarks : float64 array (n, n_landmarks, 2)
        Written for these faces, in pixels of their images.

    Returns
    -------
    bool
        False where an image is not an array like the others, or a box is not right: nothing is done then.
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
    weights, bound = channel_weights(*colors), cascade.compiled.bound
    return bool(predict_batch(tuple(images), weights, boxes[batch], MAX_BOX_TO_IMAGE, bound, landmarks[batch, None]))
