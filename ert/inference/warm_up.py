"""Which kernels a prediction needs: chosen, compiled or loaded before it begins, or all of them ahead."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from ert._core.files import bundled_models
from ert._core.images import DUMMY_IMAGES
from ert._core.runtime import require_compiler, uninterrupted
from ert._kernels import choice
from ert.inference.batch import BATCH_SIZE, locate_batch
from ert.inference.mode import FAST, PredictionMode
from ert.inference.rotated import SEARCH_INITS, SECOND_PASS_ROLLS, candidate_rolls, search_roll
from ert.model.cascade import Cascade
from ert.model.dlib_cascade import DlibCascade, compact
from ert.model.fitted import Fitted, read_fitted
from ert.model.geometry import ONE_INIT

DUMMY_BOX = (0.0, 0.0, 9.0, 9.0)
# The kernels of a model, see `Fitted.kernels`, and which of their uses: "upright", "rotated", or a batch of
# images with 2 or 3 axes.
_WARM: set[tuple[tuple[object, ...], object]] = set()


def prepare(fitted: Fitted, n_objects: int, mode: PredictionMode = FAST, max_roll: float | None = None) -> None:
    """Choose between NumPy and kernels for predictions of so many objects; compile or load the kernels.

    Parameters
    ----------
    mode, max_roll
        As for :meth:`ert.ShapePredictor.predict`.
    """
    n_runs = (2 if mode.flip else 1) * mode.n_inits + mode.n_passes - 1
    if max_roll is not None:
        n_runs = len(SEARCH_INITS) * (1 + len(SECOND_PASS_ROLLS)) * len(candidate_rolls(max_roll))
    if choice.take_over(n_objects * n_runs * fitted.cascade.numpy_runs):
        _warm_up(fitted, rotated=max_roll is not None)


def warm_up(fitted: Fitted, *, rotated: bool = False) -> None:
    """Compile the kernels that prediction needs, or load them, and use them from here on; Ctrl-C waits meanwhile."""
    if choice.use_compiled():
        _warm_up(fitted, rotated=rotated)


def _warm_up(fitted: Fitted, *, rotated: bool) -> None:
    kind = fitted.kernels, "rotated" if rotated else "upright"
    if kind in _WARM:
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
    _WARM.add(kind)


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


def compile_all() -> None:
    """Compile prediction with all kinds of models, on gray and color images; note in the cache that all of it is there.

    Raises
    ------
    InputError
        When numba must not compile.
    """
    require_compiler()
    for fitted in _kinds_of_models():
        _warm_up(fitted, rotated=True)
        if isinstance(fitted.cascade, Cascade):
            for image in DUMMY_IMAGES:
                warm_up_batch(fitted, fitted.cascade, image)
    if not choice.not_kept:
        choice.ahead.note_ready(choice.files_used)


def _kinds_of_models() -> Iterator[Fitted]:
    """Yield a model for each dtype of leaves that a model can have."""
    bundled = [read_fitted(path) for path in bundled_models().values()]
    yield from bundled
    with_cascade = partial(replace, bundled[0])
    cascade = bundled[0].cascade
    if isinstance(cascade, Cascade):
        yield with_cascade(cascade=replace(cascade, leaves=cascade.leaves.astype(np.int16)))
    for n_splits in (1, 15):
        smallest = _smallest_dlib_cascade(n_splits)
        yield with_cascade(cascade=smallest)
        yield with_cascade(cascade=compact(smallest))


def _smallest_dlib_cascade(n_splits: int) -> DlibCascade:
    """Return one stage of one tree over two pixels whose leaves are zero."""
    return DlibCascade(
        mean_shape=np.zeros((1, 2), np.float32),
        anchors=np.zeros((1, 2), np.uint16),
        deltas=np.zeros((1, 2, 2), np.float32),
        pairs=np.zeros((1, 1, n_splits, 2), np.uint16),
        thresholds=np.zeros((1, 1, n_splits), np.float32),
        leaves=np.zeros((1, 1, n_splits + 1, 2), np.float32),
        scales=np.zeros((1, 0), np.float32),
        basis=np.zeros((1, 0, 2), np.int16),
    )
