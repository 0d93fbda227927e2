"""Which kernels this process has compiled, or loaded from the cache: all of the warm-up state."""

import numpy as np

from ert._core.images import DUMMY_IMAGES
from ert._core.interrupts import uninterrupted
from ert.inference.batch import BATCH_SIZE, locate_batch
from ert.inference.rotated import search_roll
from ert.model.cascade import Cascade
from ert.model.fitted import Fitted
from ert.model.geometry import ONE_INIT

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
                locate_batch(cascade, X, boxes, 0, ("rgb", "luma"), "X", landmarks)
            _WARM.add((fitted.kernels, n_axes))
