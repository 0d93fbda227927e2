"""Explanation of a prediction: the shape after each stage, and the pixels that the trees compared."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ert._core.images import ImageLike, to_gray
from ert._core.types import Floats
from ert.inference.validation import check_box, read_face
from ert.model.cascade import Cascade
from ert.model.dlib_cascade import DlibCascade
from ert.model.geometry import box_frames, frame_to_image, image_to_frame, stretched_frames
from ert.model.procrustes import fit_similarity
from ert.predictor import ShapePredictor

__all__ = [
    "Explanation",
    "explain",
]


_Reader = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.int64]]


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
    frames = stretched_frames(place) if isinstance(cascade, DlibCascade) else box_frames(place)
    start = frame_to_image(cascade.mean_shape[None].astype(float), frames)
    stages = range(1, len(cascade.anchors) + 1)
    after = [_first_stages(model, n).predict([(pixels, checked)], channel_order=order) for n in stages]
    shapes = np.concatenate([start, *after])

    positions = np.empty((len(stages), *cascade.deltas.shape[1:]))
    reads, values = np.empty((2, *positions.shape[:2]), np.int64)
    splits = []
    read = _reader(model, pixels, frames[0], order)
    inside = image_to_frame(shapes, np.repeat(frames, len(shapes), axis=0)).astype(np.float32)
    # Pixel offsets rotate and scale with the shape, relative to the mean shape.
    factors = fit_similarity(cascade.mean_shape, inside)[0]
    for number, shape in enumerate(inside[:-1]):
        offsets = factors[number] * (cascade.deltas[number] @ (1, 1j))
        points = (shape[cascade.anchors[number]] + np.stack([offsets.real, offsets.imag], 1)).astype(
            np.float32
        )
        positions[number] = frame_to_image(points[None].astype(float), frames)[0]
        values[number] = read(points)
        pairs = cascade.pairs[number]
        splits.append(_visited_splits(values[number], pairs, cascade.thresholds[number]))
        visited = pairs[np.arange(len(pairs))[:, None], splits[-1]]
        reads[number] = np.bincount(visited.ravel(), minlength=len(points))
    return Explanation(shapes, positions, reads, values, np.stack(splits))


def _first_stages(model: ShapePredictor, n: int) -> ShapePredictor:
    """Return the model with only its first n stages and a single initialization."""
    cascade = model.cascade_
    arrays: dict[str, Any] = {
        name: array[:n] for name, array in cascade.arrays().items() if name != "mean_shape"
    }
    part = ShapePredictor(**model.get_params()).set_params(n_inits=1)
    part.fitted_ = replace(model.fitted_, cascade=replace(cascade, **arrays))
    return part


def _reader(
    model: ShapePredictor, image: npt.NDArray[np.uint8], frame: Floats, channel_order: str
) -> _Reader:
    """Return a function that reads the pixels at points (n, 2) in box coordinates as the cascade does."""
    cascade = model.cascade_
    if isinstance(cascade, Cascade):
        crop, placed = cascade.crop_spec.cut(image, frame, channel_order, model.gray_weights)
    else:
        # Columns first, as in crops; pixels outside the image are 0, as in dlib.
        crop, placed = (
            np.pad(to_gray(image, channel_order, model.gray_weights).T, 1),
            frame + (0, 0, 0, 0, 1, 1),
        )

    def read(points: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
        x, y = np.floor(frame_to_image(points[None].astype(float), placed[None])[0] + 0.5).T
        columns = np.clip(x, 0, crop.shape[0] - 1).astype(int)
        rows = np.clip(y, 0, crop.shape[1] - 1).astype(int)
        values: npt.NDArray[np.int64] = crop[columns, rows].astype(np.int64)
        return values

    return read


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
