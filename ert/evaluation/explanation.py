"""How a model came to its landmarks on one object: the shape after each stage, and which pixels its trees read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ert._core.images import ImageLike
from ert._core.types import Floats
from ert.inference.validation import check_box, read_face
from ert.model.dlib_cascade import DlibCascade
from ert.model.geometry import box_frames, frame_to_image, stretched_frames
from ert.predictor import ShapePredictor
from ert.reference import run_stages

__all__ = [
    "Explanation",
    "explain",
]


@dataclass(frozen=True)
class Explanation:
    """What a model did on one object, with a single start.

    Parameters
    ----------
    shapes : (n_stages + 1, n_landmarks, 2) float64 array
        Landmarks in image pixels: at the start, which is the mean shape in the box, and after each stage.
    pixels : (n_stages, n_pixels, 2) float64 array
        Where the pool's pixels lay in the image in each stage, before rounding.
    reads : (n_stages, n_pixels) int64 array
        How often the splits that the object went through compared each of them with another.
    values : (n_stages, n_pixels) int64 array
        Their gray levels, as the trees had them.
    splits : (n_stages, n_trees, max_depth) int64 array
        The splits that the object went through in each tree: 0 is the root, and split i has the children
        2i + 1, to the left, and 2i + 2.
    """

    shapes: Floats
    pixels: Floats
    reads: npt.NDArray[np.int64]
    values: npt.NDArray[np.int64]
    splits: npt.NDArray[np.int64]


def explain(
    model: ShapePredictor,
    image: ImageLike,
    box: Sequence[float] | Floats,
    *,
    channel_order: str | None = None,
    what: str = "explain",
) -> Explanation:
    """Tell how a model came to the landmarks of one object.

    Every node of a tree compares two pixels of the stage's pool, which move with the shape. An object goes
    through `max_depth` nodes of each tree; those pixels alone decided where its landmarks went.

    Parameters
    ----------
    model : ShapePredictor
        Fitted. Of several starts (`n_inits`) the first is explained.
    image : uint8 array (rows, columns) or (rows, columns, 3), or path-like
    box : left, top, width, height
    channel_order : {"rgb", "bgr"}, optional
        Order of the colors of an array; the model's by default.
    what : str
        What error messages call the object.

    Returns
    -------
    Explanation

    Raises
    ------
    InputError
        When the image or the box cannot be used.
    """
    checked = check_box(box, what)
    pixels, order = read_face(image, checked, channel_order or model.channel_order, what)
    place = np.array([checked])
    cascade = model.cascade_
    stretched = isinstance(cascade, DlibCascade)
    start = frame_to_image(
        cascade.mean_shape[None].astype(float), (stretched_frames if stretched else box_frames)(place)
    )
    steps = list(run_stages(model.fitted_, pixels, checked, order))
    reads, splits = [], []
    for step, pairs, thresholds in zip(steps, cascade.pairs, cascade.thresholds, strict=True):
        splits.append(_visited_splits(step.values.astype(np.int64), pairs, thresholds))
        visited = pairs[np.arange(len(pairs))[:, None], splits[-1]]
        reads.append(np.bincount(visited.ravel(), minlength=len(step.values)))
    return Explanation(
        np.concatenate([start, [step.shape for step in steps]]),
        np.array([step.positions for step in steps]),
        np.array(reads),
        np.array([step.values for step in steps], np.int64),
        np.stack(splits),
    )


def _visited_splits(
    values: npt.NDArray[np.int64], pairs: npt.NDArray[np.uint16], thresholds: npt.NDArray[Any]
) -> npt.NDArray[np.int64]:
    """Return the splits (n_trees, depth) that an object with those pixels goes through."""
    n_trees, n_splits = thresholds.shape
    trees, node = np.arange(n_trees), np.zeros(n_trees, np.int64)
    visited = []
    while node[0] < n_splits:
        visited.append(node)
        pair = pairs[trees, node]
        left = values[pair[:, 0]] - values[pair[:, 1]] > thresholds[trees, node]
        node = 2 * node + np.where(left, 1, 2)
    return np.stack(visited, axis=1)
