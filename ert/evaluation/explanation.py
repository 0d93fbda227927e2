"""How a model came to its landmarks on one object: the shape after each stage, and where its trees looked."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ert._core.images import ImageLike, to_gray
from ert._core.types import Floats
from ert._kernels.pixels import center, similarity
from ert._kernels.simd import LANES, padded
from ert.inference.validation import check_box, read_face
from ert.model.cascade import Cascade
from ert.model.dlib_cascade import DlibCascade
from ert.model.geometry import box_frames, frame_to_image, image_to_frame, stretched_frames
from ert.predictor import ShapePredictor

__all__ = [
    "Explanation",
    "explain",
]


_Reader = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.int64]]


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
    frames = stretched_frames(place) if isinstance(cascade, DlibCascade) else box_frames(place)
    start = frame_to_image(cascade.mean_shape[None].astype(float), frames)
    stages = range(1, len(cascade.anchors) + 1)
    after = [_first_stages(model, n).predict([(pixels, checked)], channel_order=order) for n in stages]
    shapes = np.concatenate([start, *after])

    similarity_basis, squared_norm = center(cascade.mean_shape)
    positions = np.empty((len(stages), *cascade.deltas.shape[1:]))
    reads, values = np.empty((2, *positions.shape[:2]), np.int64)
    splits = []
    read = _reader(model, pixels, frames[0], order)
    inside = image_to_frame(shapes, np.repeat(frames, len(shapes), axis=0)).astype(np.float32)
    for number, shape in enumerate(inside[:-1]):
        a, b = similarity(similarity_basis, squared_norm, padded(shape, 0, LANES // 2))
        x, y = cascade.deltas[number].T
        rotated = np.stack([a * x - b * y, b * x + a * y], axis=1)
        points = shape[cascade.anchors[number]] + rotated
        positions[number] = frame_to_image(points[None].astype(float), frames)[0]
        values[number] = read(points)
        pairs = cascade.pairs[number]
        splits.append(_visited_splits(values[number], pairs, cascade.thresholds[number]))
        visited = pairs[np.arange(len(pairs))[:, None], splits[-1]]
        reads[number] = np.bincount(visited.ravel(), minlength=len(points))
    return Explanation(shapes, positions, reads, values, np.stack(splits))


def _first_stages(model: ShapePredictor, n: int) -> ShapePredictor:
    """Return the model with its first n stages alone, and a single start."""
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
    """Return a function that reads pixels as the cascade does, of points (n, 2) in box coordinates."""
    cascade = model.cascade_
    if isinstance(cascade, Cascade):
        crop, placed = cascade.crop_spec.cut(image, frame, channel_order, model.gray_weights)
    else:
        # Columns first, as crops are; zeros are what dlib reads outside the image.
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
