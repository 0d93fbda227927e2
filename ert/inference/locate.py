"""How a prediction is made: the one place that chooses between single faces, batches and rotated objects.

X ──> boxes checked ──> a batch of 16 plain images, fast mode ──> one kernel call
├──> a face ──> passes, initializations, restart
└──> a rotated object ──> a copy rotated back, or several
└──> standard errors, where asked for
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ert._core.runtime import count_threads
from ert._kernels import choice
from ert.inference.batch import BATCH_SIZE, locate_batch
from ert.inference.mode import FAST, PredictionMode
from ert.inference.rotated import check_max_roll, check_rolls, locate_rotated, search_roll
from ert.inference.single import initializations, locate_face, locate_plain_face, median_shape, share_inits
from ert.inference.validation import Face, box_array, check_landmark_array, check_pairs, read_face
from ert.inference.warm_up import prepare, warm_up_batch
from ert.model.cascade import Cascade
from ert.model.confidence import Assessment
from ert.model.fitted import Fitted

# Fewer faces are not worth compiling the kernel that takes several at a time.
MIN_BATCH = 4 * BATCH_SIZE
# Larger crops are cut one at a time: those of a batch are in memory together.
MAX_BATCH_CROP_PIXELS = 1_000_000
NO_BOXES = box_array([])
# Faces of a thread at a time: it takes longer to start than fewer faces to locate.
BLOCK_SIZE = 4


class Request(NamedTuple):
    """What a call of :meth:`ert.ShapePredictor.predict` asks for besides the faces.

    Parameters
    ----------
    mode : PredictionMode
    rolls, max_roll, return_std, what
        As for :meth:`ert.ShapePredictor.predict`.
    channel_order, gray_weights, n_jobs
        As for :class:`ert.ShapePredictor`.
    """

    mode: PredictionMode
    channel_order: str
    gray_weights: str
    n_jobs: int | None
    what: str
    rolls: npt.ArrayLike | None = None
    max_roll: float | None = None
    return_std: bool = False


def locate(
    fitted: Fitted, X: Sequence[Face], request: Request
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Locate the landmarks of many faces.

    Returns
    -------
    shapes : float64 array (n, n_landmarks, 2)
        In image pixels.
    std : float64 array (n, n_landmarks)
        Standard errors in pixels; (0, n_landmarks) where they were not asked for.

    Raises
    ------
    InputError
        Naming the item.
    """
    cascade, mode, what = fitted.cascade, request.mode, request.what
    confidence_model = fitted.require_confidence_model() if request.return_std else None
    normalizer = fitted.params.get("normalizer")
    colors = request.channel_order, request.gray_weights
    boxes = check_pairs(X, what)
    rotated = request.rolls is not None or request.max_roll is not None
    rolls = check_rolls(request.rolls, len(X)).tolist() if rotated else []
    max_roll = None if request.max_roll is None else check_max_roll(request.max_roll)
    inits, mirror_map = initializations(mode, fitted.mirror_map)
    prepare(fitted, len(X), mode, 0.0 if rotated and max_roll is None else max_roll)

    plain = mode == FAST and not rotated
    batched = None
    few = len(X) < MIN_BATCH or not plain or confidence_model is not None or not choice.is_compiled()
    if not few and isinstance(cascade, Cascade) and math.prod(cascade.crop_spec.shape) <= MAX_BATCH_CROP_PIXELS:
        warm_up_batch(fitted, cascade, X[0][0])
        batched = cascade
    shapes = np.empty((len(X), *cascade.mean_shape.shape))
    std, within = np.empty((2, len(X) if request.return_std else 0, len(cascade.mean_shape)))
    size, corners = (BATCH_SIZE, box_array(boxes)) if batched else (BLOCK_SIZE, NO_BOXES)

    def locate_block(first: int) -> None:
        if batched and locate_batch(batched, X, corners, first, colors, shapes):
            return
        for i in range(first, min(first + size, len(X))):
            locate_one(i)

    def locate_one(i: int) -> None:
        found = locate_plain_face(fitted, X[i], *colors) if plain else None
        if found is not None:
            shapes[i] = found[0]
            if confidence_model is None:
                return
        image, order = read_face(X[i][0], boxes[i], request.channel_order, f"{what}[{i}]")
        read_as, part = (order, request.gray_weights), None
        if max_roll is not None:
            shapes[i] = search_roll(cascade, image, boxes[i], rolls[i], max_roll, *read_as)[0]
        elif rotated:
            place = image, boxes[i], rolls[i]
            found = share_inits(
                fitted, inits, lambda member, own: locate_rotated(member, *place, own, *read_as, mirror_map)
            )
            shapes[i] = median_shape(found)
        elif found is None:
            shapes[i], part = locate_face(fitted, image, boxes[i], mode, read_as, confidence_model is not None)
        if confidence_model is not None:
            confidence_model.assess_face(image, boxes[i], shapes[i], *read_as, normalizer, std[i], within[i], part)

    _share(range(0, len(X), size), locate_block, request.n_jobs)
    return shapes, std


def assess(fitted: Fitted, X: Sequence[Face], landmarks: npt.ArrayLike, request: Request) -> Assessment:
    """Compute how far landmarks can be trusted, face by face, see :meth:`ert.ShapePredictor.assess`."""
    confidence_model = fitted.require_confidence_model()
    normalizer, what = fitted.params.get("normalizer"), request.what
    boxes = check_pairs(X, what)
    shapes = check_landmark_array(landmarks, (len(X), *fitted.cascade.mean_shape.shape))
    prepare(fitted, len(X))
    std, within = np.empty((2, *shapes.shape[:2]))
    confidence = np.empty(len(X))

    def assess_block(first: int) -> None:
        for i in range(first, min(first + BLOCK_SIZE, len(X))):
            image, order = read_face(X[i][0], boxes[i], request.channel_order, f"{what}[{i}]")
            read_as = order, request.gray_weights
            confidence[i] = confidence_model.assess_face(
                image, boxes[i], shapes[i], *read_as, normalizer, std[i], within[i]
            )

    _share(range(0, len(X), BLOCK_SIZE), assess_block, request.n_jobs)
    return Assessment(std, within, confidence)


def _share(blocks: range, work: Callable[[int], None], n_jobs: int | None) -> None:
    """Call `work` for each block of faces, in threads if there are several."""
    n_blocks = len(blocks)
    # Counting processors takes as long as a face.
    n_threads = 1 if n_blocks <= 1 and n_jobs in (None, 1, -1) else max(1, min(count_threads(n_jobs), n_blocks))
    # Threads of NumPy would wait for each other.
    if n_threads == 1 or not choice.is_compiled():
        for first in blocks:
            work(first)
        return
    from ert._kernels import Workers

    with Workers(n_threads) as workers:
        list(workers.map(work, blocks))
