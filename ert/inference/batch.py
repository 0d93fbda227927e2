"""Several faces in one kernel call, and the compilation of all kernels of a prediction.

Threads contend for the interpreter wherever Python code runs: one call for many faces takes it less often.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ert._core.images import DUMMY_IMAGES, UINT8, channel_weights, is_kernel_ready
from ert._core.runtime import uninterrupted
from ert._kernels import predict_batch
from ert.inference.rotated import search_roll
from ert.inference.validation import Face
from ert.model.cascade import Cascade
from ert.model.fitted import Fitted
from ert.model.geometry import MAX_BOX_TO_IMAGE, ONE_INIT

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


DUMMY_BOX = (0.0, 0.0, 9.0, 9.0)
# The kernels of a model, see `Fitted.kernels`, and which of their uses: "upright", "rotated", or a batch of
# images with 2 or 3 axes.
_WARM: set[tuple[tuple[object, ...], object]] = set()


def is_warm(fitted: Fitted, *, rotated: bool = False) -> bool:
    """Return whether :func:`warm_up` has been done in this process."""
    return (fitted.kernels, "rotated" if rotated else "upright") in _WARM


def warm_up(fitted: Fitted, *, rotated: bool = False) -> None:
    """Compile the kernels that prediction needs, once for all models of a kind; Ctrl-C waits meanwhile."""
    if is_warm(fitted, rotated=rotated):
        return
    cascade, confidence_model = fitted.cascade, fitted.confidence_model
    with uninterrupted():
        for image in DUMMY_IMAGES:
            found = cascade.predict_face(image, DUMMY_BOX, ONE_INIT, "rgb", "luma")
            if confidence_model is not None:
                std, within = np.empty((2, len(found[0])))
                confidence_model.assess_face(image, DUMMY_BOX, found[0], "rgb", "luma", None, std, within)
            if rotated:
                search_roll(cascade, image, DUMMY_BOX, 0.0, 0.0, "rgb", "luma")
    _WARM.add((fitted.kernels, "rotated" if rotated else "upright"))


def warm_up_batch(fitted: Fitted, cascade: Cascade, image: object) -> None:
    """Compile the kernel that takes several images like this one at a time."""
    for dummy in DUMMY_IMAGES:
        n_axes = dummy.ndim
        if n_axes == getattr(image, "ndim", None) and (fitted.kernels, n_axes) not in _WARM:
            with uninterrupted():
                X = [(dummy, DUMMY_BOX)] * BATCH_SIZE
                landmarks = np.empty((BATCH_SIZE, *cascade.mean_shape.shape))
                boxes = np.tile(DUMMY_BOX, (BATCH_SIZE, 1))
                locate_batch(cascade, X, boxes, 0, ("rgb", "luma"), landmarks)
            _WARM.add((fitted.kernels, n_axes))
