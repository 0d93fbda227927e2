"""An explanation in pictures: where the trees looked, and the shape stage by stage; on a sheet or moving."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ert._core.exceptions import InputError
from ert._core.files import write_atomically
from ert._core.types import Floats, Pixels
from ert.evaluation.explanation import Explanation
from ert.plotting.landmarks import contact_sheet, draw_landmarks, save_image
from ert.plotting.thumbnails import ON_PHOTOS, crop_thumbnail, object_view, to_thumbnail_pixels

__all__ = [
    "MOVING",
    "check_explanation_file",
    "explanation_sheet",
    "save_explanation",
]


# Kinds of file that move; all others are sheets.
MOVING = (".gif", ".apng")
_STILL = (".png", ".jpg", ".jpeg", ".webp")

_TILE, _PANEL = 420, 360
_COLUMNS = 4
# So many stages are shown on a sheet, the earlier ones closer to each other: those move the shape farthest.
_SHOWN = 8
# How far a read spreads, as a part of the picture, and how strongly the densest place covers the photo.
_SPREAD, _COVER = 0.02, 0.9
_HEAT = ("#3b0f70", "#b63679", "#fb8861", "#fcfdbf")
_MILLISECONDS = {"start": 1000, "stage": 250, "end": 2500}


def check_explanation_file(path: str | os.PathLike[str]) -> None:
    """Check, before long work, that a file's suffix is that of a picture.

    Raises
    ------
    InputError
    """
    suffix = Path(path).suffix
    if suffix.lower() not in (*_STILL, *MOVING):
        expected = f"{', '.join(_STILL)} for a sheet, {' or '.join(MOVING)} for a moving picture"
        raise InputError(f"{path}: unknown suffix {suffix!r}, expected {expected}")


def save_explanation(
    path: str | os.PathLike[str], image: Pixels, box: npt.ArrayLike, explanation: Explanation
) -> None:
    """Write an explanation: ``.gif`` and ``.apng`` show stage after stage, other pictures are a sheet.

    Parameters
    ----------
    path : path-like
    image : uint8 array (rows, columns) or (rows, columns, 3)
        Gray or RGB, as :func:`ert.explain` had it.
    box : left, top, width, height
        Likewise.
    explanation : Explanation

    Raises
    ------
    InputError
        When the suffix is unknown or the file cannot be written.
    """
    check_explanation_file(path)
    if Path(path).suffix.lower() in MOVING:
        _save_moving(path, list(_frames(image, np.array(box, float), explanation)))
    else:
        save_image(path, explanation_sheet(image, box, explanation))


def explanation_sheet(image: Pixels, box: npt.ArrayLike, explanation: Explanation) -> Pixels:
    """Draw where the trees looked and the shape after some of the stages, side by side.

    Parameters
    ----------
    image, box, explanation
        See :func:`save_explanation`.

    Returns
    -------
    uint8 array (rows, columns, 3)
    """
    place = np.array(box, float)
    view = _view(place, explanation)
    photo = crop_thumbnail(image, view, _TILE)
    n_stages = len(explanation.reads)
    thumbnails, captions = [], []
    for stages, caption in ((range(n_stages), "all stages"), (range(1), "stage 1"), ([n_stages - 1], "")):
        thumbnails.append(_looked(photo, view, explanation, stages))
        captions.append(f"where trees look: {caption or f'stage {n_stages}'}")
    thumbnails.append(_shape(photo, view, explanation, 0, place))
    captions.append("start: the mean shape in the box")
    moved = np.linalg.norm(np.diff(explanation.shapes, axis=0), axis=2).mean(axis=1)
    for stage in _chosen(n_stages):
        thumbnails.append(_shape(photo, view, explanation, stage))
        captions.append(f"stage {stage}: moved by {moved[stage - 1]:.2f} px")
    return contact_sheet(thumbnails, _COLUMNS, captions, tile_size=_TILE)


def _chosen(n_stages: int) -> list[int]:
    """Choose stages, counted from 1, the last among them."""
    if n_stages <= _SHOWN:
        return [*range(1, n_stages + 1)]
    chosen: list[int] = []
    for left, stage in enumerate(np.geomspace(1, n_stages, _SHOWN), 1 - _SHOWN):
        # All different, and none beyond those that are left for the others.
        chosen.append(min(max(round(stage), chosen[-1] + 1 if chosen else 1), n_stages + left))
    return chosen


def _view(box: Floats, explanation: Explanation) -> tuple[int, int, int]:
    corners = np.array([box[:2], box[:2] + box[2:] - 1])
    return object_view(np.vstack([corners, explanation.shapes[0], explanation.shapes[-1]]), box)


def _shape(
    photo: Pixels,
    view: tuple[int, int, int],
    explanation: Explanation,
    stage: int,
    box: Floats | None = None,
) -> Pixels:
    """Draw the shape after a stage, 0 being the start."""
    boxes = None
    if box is not None:
        left, top, right, bottom = to_thumbnail_pixels(
            np.array([box[:2], box[:2] + box[2:]]) - 0.5, view, len(photo)
        ).ravel()
        boxes = np.array([[left, top, right - left, bottom - top]]) + (0.5, 0.5, 0, 0)
    shape = to_thumbnail_pixels(explanation.shapes[stage], view, len(photo))
    return draw_landmarks(photo, [shape], boxes, colors=[ON_PHOTOS[0]], min_size=1)


def _looked(
    photo: Pixels, view: tuple[int, int, int], explanation: Explanation, stages: range | list[int]
) -> Pixels:
    """Draw how densely the photo was read in some stages over it, in gray."""
    from skimage.filters import gaussian

    size = len(photo)
    chosen = list(stages)
    places = to_thumbnail_pixels(explanation.pixels[chosen].reshape(-1, 2), view, size)
    weights = explanation.reads[chosen].ravel()
    edges = np.arange(size + 1) - 0.5
    counts, _, _ = np.histogram2d(places[:, 1], places[:, 0], [edges, edges], weights=weights)
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
    """Yield the pictures of a moving one: the shape after a stage, and where that stage looked."""
    from PIL import Image, ImageDraw, ImageFont

    view = _view(box, explanation)
    photo = crop_thumbnail(image, view, _PANEL)
    n_stages = len(explanation.reads)
    for stage in range(n_stages + 1):
        looked = _looked(photo, view, explanation, [max(stage - 1, 0)])
        if stage == 0:
            looked = np.repeat((0.75 * photo.mean(axis=2, keepdims=True)).astype(np.uint8), 3, axis=2)
        shape = _shape(photo, view, explanation, stage, box if stage == 0 else None)
        picture = Image.fromarray(np.hstack([shape, looked]))
        text = f"stage {stage} of {n_stages}" if stage else "start: the mean shape in the box"
        pen = ImageDraw.Draw(picture)
        for x, said in ((10, text), (_PANEL + 10, f"where stage {stage} looked" if stage else "")):
            pen.text(
                (x, 8), said, "#ffffff", ImageFont.load_default(16), stroke_width=2, stroke_fill="#080e1c"
            )
        yield np.array(picture, np.uint8)


def _save_moving(path: str | os.PathLike[str], frames: list[Pixels]) -> None:
    from PIL import Image

    times = [_MILLISECONDS["start"], *[_MILLISECONDS["stage"]] * (len(frames) - 2), _MILLISECONDS["end"]]
    pictures = [Image.fromarray(frame) for frame in frames]
    kind = "PNG"
    if Path(path).suffix.lower() == ".gif":
        # One palette for all, so that what does not change takes no room; the last has all the colors.
        palette = pictures[-1].quantize(256)
        pictures = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
        kind = "GIF"
    with write_atomically(path) as temporary:
        pictures[0].save(
            temporary, kind, save_all=True, append_images=pictures[1:], duration=times, loop=0, optimize=False
        )
