"""Pictures of an explanation: where the trees read pixels, and the shape after each stage."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ert._core.exceptions import InputError
from ert._core.files import write_atomically
from ert._core.types import Floats, Pixels, StrPath
from ert.evaluation.explanation import Explanation
from ert.plotting.landmarks import (
    PHOTO_COLORS,
    contact_sheet,
    crop_thumbnail,
    draw_landmarks,
    object_view,
    save_image,
    to_thumbnail_pixels,
)

# Suffixes of animations; other images are contact sheets.
ANIMATIONS = (".gif", ".apng")
_STILL = (".png", ".jpg", ".jpeg", ".webp")

_THUMBNAIL_SIZE, _PANEL_SIZE = 420, 360
_N_COLUMNS = 4
# Number of stages on a sheet. Early ones are preferred, because they move the shape most.
_N_SHOWN = 8
# Blur of the map of reads as a fraction of the picture, and its opacity where it is densest.
_SPREAD, _COVER = 0.02, 0.9
_HEAT = ("#3b0f70", "#b63679", "#fb8861", "#fcfdbf")
_FRAME_MS = {"start": 1000, "stage": 250, "end": 2500}


def check_explanation_file(path: StrPath) -> None:
    """Raise an InputError, before long work, if a file does not have the suffix of an image."""
    suffix = Path(path).suffix
    if suffix.lower() not in (*_STILL, *ANIMATIONS):
        expected = f"{', '.join(_STILL)} for a sheet, {' or '.join(ANIMATIONS)} for an animation"
        raise InputError(f"{path}: unknown suffix {suffix!r}, expected {expected}")


def save_explanation(path: StrPath, image: Pixels, box: npt.ArrayLike, explanation: Explanation) -> None:
    """Write the pictures of an explanation: an animation of the stages, or a contact sheet.

    Parameters
    ----------
    path : path-like
        ``.gif`` or ``.apng`` for an animation; other image formats for a sheet.
    image : (rows, columns) or (rows, columns, 3) uint8 array
        The explained image, gray or RGB.
    box : left, top, width, height
        The explained box.
    explanation : Explanation

    Raises
    ------
    InputError
        When the suffix is unknown or the file cannot be written.
    """
    check_explanation_file(path)
    if Path(path).suffix.lower() in ANIMATIONS:
        _save_animation(path, list(_frames(image, np.array(box, float), explanation)))
    else:
        save_image(path, explanation_sheet(image, box, explanation))


def explanation_sheet(image: Pixels, box: npt.ArrayLike, explanation: Explanation) -> Pixels:
    """Return a contact sheet (RGB) of where the trees read pixels and of the shape after some stages."""
    place = np.array(box, float)
    view = _view(place, explanation)
    photo = crop_thumbnail(image, view, _THUMBNAIL_SIZE)
    n_stages = len(explanation.reads)
    thumbnails, captions = [], []
    for stages, caption in ((range(n_stages), "all stages"), (range(1), "stage 1"), ([n_stages - 1], "")):
        thumbnails.append(_reads_map(photo, view, explanation, stages))
        captions.append(f"pixels read: {caption or f'stage {n_stages}'}")
    thumbnails.append(_shape(photo, view, explanation, 0, place))
    captions.append("initial shape: mean shape in the box")
    moved = np.linalg.norm(np.diff(explanation.shapes, axis=0), axis=2).mean(axis=1)
    for stage in _shown_stages(n_stages):
        thumbnails.append(_shape(photo, view, explanation, stage))
        captions.append(f"stage {stage}: moved by {moved[stage - 1]:.2f} px")
    return contact_sheet(thumbnails, _N_COLUMNS, captions, tile_size=_THUMBNAIL_SIZE)


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


def _shape(
    photo: Pixels, view: tuple[int, int, int], explanation: Explanation, stage: int, box: Floats | None = None
) -> Pixels:
    """Draw the shape after a stage; 0 is the initial shape."""
    boxes = None
    if box is not None:
        left, top, right, bottom = to_thumbnail_pixels(
            np.array([box[:2], box[:2] + box[2:]]) - 0.5, view, len(photo)
        ).ravel()
        boxes = np.array([[left, top, right - left, bottom - top]]) + (0.5, 0.5, 0, 0)
    shape = to_thumbnail_pixels(explanation.shapes[stage], view, len(photo))
    return draw_landmarks(photo, [shape], boxes, colors=[PHOTO_COLORS[0]], min_size=1)


def _reads_map(
    photo: Pixels, view: tuple[int, int, int], explanation: Explanation, stages: range | list[int]
) -> Pixels:
    """Draw the density of the pixels read in some stages over the gray photo."""
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
    """Yield the frames of an animation: the shape after a stage, and where that stage read pixels."""
    from PIL import Image, ImageDraw, ImageFont

    view = _view(box, explanation)
    photo = crop_thumbnail(image, view, _PANEL_SIZE)
    n_stages = len(explanation.reads)
    for stage in range(n_stages + 1):
        reads = _reads_map(photo, view, explanation, [max(stage - 1, 0)])
        if stage == 0:
            reads = np.repeat((0.75 * photo.mean(axis=2, keepdims=True)).astype(np.uint8), 3, axis=2)
        shape = _shape(photo, view, explanation, stage, box if stage == 0 else None)
        picture = Image.fromarray(np.hstack([shape, reads]))
        text = f"stage {stage} of {n_stages}" if stage else "initial shape: mean shape in the box"
        pen = ImageDraw.Draw(picture)
        for x, caption in ((10, text), (_PANEL_SIZE + 10, f"pixels read by stage {stage}" if stage else "")):
            pen.text((x, 8), caption, "#ffffff", ImageFont.load_default(16), stroke_width=2, stroke_fill="#080e1c")
        yield np.array(picture, np.uint8)


def _save_animation(path: StrPath, frames: list[Pixels]) -> None:
    from PIL import Image

    times = [_FRAME_MS["start"], *[_FRAME_MS["stage"]] * (len(frames) - 2), _FRAME_MS["end"]]
    pictures = [Image.fromarray(frame) for frame in frames]
    kind = "PNG"
    if Path(path).suffix.lower() == ".gif":
        # A palette for all frames, so that unchanged parts are not stored again; the last has all colors.
        palette = pictures[-1].quantize(256)
        pictures = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
        kind = "GIF"
    with write_atomically(path) as temporary:
        pictures[0].save(
            temporary, kind, save_all=True, append_images=pictures[1:], duration=times, loop=0, optimize=False
        )
