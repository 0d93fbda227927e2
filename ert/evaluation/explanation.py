"""Explanation of a prediction: the shape after each stage, and the pixels that the trees compared; its pictures."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ert._core.arguments import checked_arguments
from ert._core.exceptions import InputError
from ert._core.files import write_atomically
from ert._core.images import ImageLike
from ert._core.types import Floats, Pixels, StrPath
from ert.inference.validation import check_box, read_face
from ert.model.dlib_cascade import DlibCascade
from ert.model.geometry import box_to_image, box_transforms, stretched_transforms
from ert.plotting.landmarks import (
    PHOTO_COLORS,
    contact_sheet,
    crop_thumbnail,
    draw_landmarks,
    object_view,
    save_image,
    to_thumbnail_pixels,
    write_text,
)
from ert.predictor import ShapePredictor
from ert.reference import run_stages

# Suffixes of animations; other images are contact sheets.
_ANIMATIONS = (".gif", ".apng")
_STILL = (".png", ".jpg", ".jpeg", ".webp")

_THUMBNAIL_SIZE, _PANEL_SIZE = 420, 360
# Number of stages on a sheet. Early ones are preferred, because they move the shape most.
_N_SHOWN = 8
# Blur of the map of reads as a fraction of the picture, and its opacity where it is densest.
_SPREAD, _COVER = 0.02, 0.9
_HEAT = ("#3b0f70", "#b63679", "#fb8861", "#fcfdbf")


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
        The visited splits of each tree: 0 is the root, and split i has the children 2i + 1 (left) and 2i + 2 (right).
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


@checked_arguments
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
    start = box_to_image(
        cascade.mean_shape[None].astype(float), (stretched_transforms if stretched else box_transforms)(place)
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


def check_explanation_file(path: StrPath) -> None:
    """Raise an InputError, before long work, if a file does not have the suffix of an image."""
    suffix = Path(path).suffix
    if suffix.lower() not in (*_STILL, *_ANIMATIONS):
        expected = f"{', '.join(_STILL)} for a sheet, {' or '.join(_ANIMATIONS)} for an animation"
        raise InputError(f"{path}: unknown suffix {suffix!r}, expected {expected}")


def save_explanation(path: StrPath, image: Pixels, box: npt.ArrayLike, explanation: Explanation) -> None:
    """Write the pictures of an explanation: an animation of the stages, or a contact sheet."""
    check_explanation_file(path)
    if Path(path).suffix.lower() in _ANIMATIONS:
        _save_animation(path, list(_frames(image, np.array(box, float), explanation)))
    else:
        save_image(path, explanation_sheet(image, box, explanation))


def explanation_sheet(image: Pixels, box: npt.ArrayLike, explanation: Explanation) -> Pixels:
    """Return a contact sheet (RGB) of where the trees read pixels and of the shape after some stages."""
    place = np.array(box, float)
    view = _view(place, explanation)
    photo = crop_thumbnail(image, view, _THUMBNAIL_SIZE)
    n_stages = len(explanation.reads)
    captions = ["pixels read: all stages", "pixels read: stage 1", f"pixels read: stage {n_stages}"]
    read = [[*range(n_stages)], [0], [n_stages - 1]]
    thumbnails = [_reads_map(photo, view, explanation, stages) for stages in read]
    thumbnails.append(_shape(photo, view, explanation, 0, place))
    captions.append("initial shape: mean shape in the box")
    moved = np.linalg.norm(np.diff(explanation.shapes, axis=0), axis=2).mean(axis=1)
    for stage in _shown_stages(n_stages):
        thumbnails.append(_shape(photo, view, explanation, stage, place))
        captions.append(f"stage {stage}: moved by {moved[stage - 1]:.2f} px")
    return contact_sheet(thumbnails, 4, captions, tile_size=_THUMBNAIL_SIZE)


def _shown_stages(n_stages: int) -> list[int]:
    """Return the stages to show, counted from 1; the last one is always included."""
    if n_stages <= _N_SHOWN:
        return [*range(1, n_stages + 1)]
    chosen: list[int] = []
    for left, stage in enumerate(np.geomspace(1, n_stages, _N_SHOWN), 1 - _N_SHOWN):
        # Distinct, with enough stages left for the remaining ones.
        chosen.append(min(max(round(stage), chosen[-1] + 1 if chosen else 1), n_stages + left))
    return chosen


def _view(box: Floats, explanation: Explanation) -> tuple[int, int, int]:
    corners = np.array([box[:2], box[:2] + box[2:] - 1])
    return object_view(np.vstack([corners, explanation.shapes[0], explanation.shapes[-1]]), box)


def _shape(photo: Pixels, view: tuple[int, int, int], explanation: Explanation, stage: int, box: Floats) -> Pixels:
    """Draw the shape after a stage; 0 is the initial shape, which is drawn in its box."""
    boxes = np.concatenate([box[:2] - view[:2], box[2:]]) * (len(photo) / view[2]) if stage == 0 else None
    shape = to_thumbnail_pixels(explanation.shapes[stage], view, len(photo))
    return draw_landmarks(photo, [shape], boxes, colors=[PHOTO_COLORS[0]], min_size=1)


def _reads_map(photo: Pixels, view: tuple[int, int, int], explanation: Explanation, stages: list[int]) -> Pixels:
    """Draw the density of the pixels read in some stages over the gray photo."""
    from skimage.filters import gaussian

    size = len(photo)
    x, y = to_thumbnail_pixels(explanation.pixels[stages].reshape(-1, 2), view, size).T
    edges = np.arange(size + 1) - 0.5
    counts, _, _ = np.histogram2d(y, x, [edges, edges], weights=explanation.reads[stages].ravel())
    density = gaussian(counts, _SPREAD * size, mode="constant")  # type: ignore[no-untyped-call]
    density /= density.max() or 1.0
    stops = np.linspace(0, 1, len(_HEAT))
    levels = np.array([[int(color[i : i + 2], 16) for i in (1, 3, 5)] for color in _HEAT])
    heat = np.stack([np.interp(density, stops, levels[:, k]) for k in range(3)], axis=2)
    cover = _COVER * np.sqrt(density)[..., None]
    gray = 0.75 * photo.mean(axis=2, keepdims=True)
    covered: Pixels = np.rint(cover * heat + (1 - cover) * gray).astype(np.uint8)
    return covered


def _frames(image: Pixels, box: Floats, explanation: Explanation) -> Iterator[Pixels]:
    """Yield the frames of an animation: the shape after a stage, and where that stage read pixels."""
    from PIL import Image

    view = _view(box, explanation)
    photo = crop_thumbnail(image, view, _PANEL_SIZE)
    n_stages = len(explanation.reads)
    for stage in range(n_stages + 1):
        if stage == 0:
            reads = np.repeat((0.75 * photo.mean(axis=2, keepdims=True)).astype(np.uint8), 3, axis=2)
            captions = ("initial shape: mean shape in the box", "")
        else:
            reads = _reads_map(photo, view, explanation, [stage - 1])
            captions = (f"stage {stage} of {n_stages}", f"pixels read by stage {stage}")
        picture = Image.fromarray(np.hstack([_shape(photo, view, explanation, stage, box), reads]))
        for x, caption in zip((10, _PANEL_SIZE + 10), captions, strict=True):
            write_text(picture, (x, 8), caption, 16)
        yield np.array(picture, np.uint8)


def _save_animation(path: StrPath, frames: list[Pixels]) -> None:
    from PIL import Image

    milliseconds = [1000, *[250] * (len(frames) - 2), 2500]
    pictures = [Image.fromarray(frame) for frame in frames]
    kind = "PNG"
    if Path(path).suffix.lower() == ".gif":
        # A palette for all frames, so that unchanged parts are not stored again; the last has all colors.
        palette = pictures[-1].quantize(256)
        pictures = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
        kind = "GIF"
    with write_atomically(path, "image") as temporary:
        pictures[0].save(
            temporary, kind, save_all=True, append_images=pictures[1:], duration=milliseconds, loop=0, optimize=False
        )
