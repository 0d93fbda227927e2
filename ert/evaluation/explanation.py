"""Explanation of a prediction: the shape after each stage, and the pixels that the trees compared."""

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


@dataclass(frozen=True, eq=False, repr=False)
class Explanation:
    """What a model did to predict the landmarks of one object, from a single initialization.

    Parameters
    ----------
    shapes : (n_stages + 1, n_landmarks, 2) float64 array
        Landmarks in pixels of the image: the initial shape, which is the mean shape in the box, and the shape
        after each stage.
    pixels : (n_stages, n_pixels, 2) float64 array
        Positions of the pool's pixels in the image at each stage, before rounding.
    reads : (n_stages, n_pixels) int64 array
        How often the visited splits compared each pixel with another.
    values : (n_stages, n_pixels) int64 array
        Gray levels of the pixels, as the trees read them.
    splits : (n_stages, n_trees, max_depth) int64 array
        The visited splits of each tree: 0 is the root, and split i has the children 2i + 1 (left) and 2i + 2
        (right).
    """

    shapes: Floats
    pixels: Floats
    reads: npt.NDArray[np.int64]
    values: npt.NDArray[np.int64]
    splits: npt.NDArray[np.int64]

    def __repr__(self) -> str:
        n_stages, n_pixels = self.reads.shape
        n_landmarks, n_trees = self.shapes.shape[1], self.splits.shape[1]
        moved = float(np.linalg.norm(self.shapes[-1] - self.shapes[0], axis=1).mean())
        return (
            f"Explanation of {n_landmarks} landmarks, moved by {moved:.2f} px on average:\n"
            f"  {n_stages} stages of {n_trees} trees and {n_pixels} pixels, {int(self.reads.sum())} reads"
        )


def explain(
    model: ShapePredictor,
    image: ImageLike,
    box: Sequence[float] | Floats,
    *,
    channel_order: str | None = None,
    what: str = "explain",
) -> Explanation:
    """Explain how a model predicts the landmarks of one object.

    Each node of a tree compares two pixels of the stage's pool, which move with the shape. An object visits
    `max_depth` nodes of each tree; only the pixels that they compare determine its landmarks.

    Parameters
    ----------
    model : ShapePredictor
        Fitted. Of several initializations the first one, the mean shape, is explained.
    image : (rows, columns) or (rows, columns, 3) uint8 array, or path-like
        Gray or color.
    box : left, top, width, height
        In pixels.
    channel_order : {"rgb", "bgr"}, optional
        Channel order of a color array; by default the model's.
    what : str
        Name of the object in error messages.

    Returns
    -------
    Explanation

    Raises
    ------
    InputError
        When the image or the box is invalid, or the model is not fitted.

    Examples
    --------
    >>> model = ert.load("face68-small")
    >>> image = ert.load_image(ert.sample_image())
    >>> explanation = ert.explain(model, image, ert.detect_faces(image)[0])
    >>> explanation.shapes.shape[1:]
    (68, 2)
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
    """Return the splits (n_trees, depth) that an object with these pixels visits."""
    n_trees, n_splits = thresholds.shape
    trees, node = np.arange(n_trees), np.zeros(n_trees, np.int64)
    visited = []
    while node[0] < n_splits:
        visited.append(node)
        pair = pairs[trees, node]
        left = values[pair[:, 0]] - values[pair[:, 1]] > thresholds[trees, node]
        node = 2 * node + np.where(left, 1, 2)
    return np.stack(visited, axis=1)
