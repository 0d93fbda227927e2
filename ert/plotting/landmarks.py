"""Landmarks, boxes and head poses drawn on images; thumbnails of objects, contact sheets and image files."""

from base64 import b64encode
from collections.abc import Sequence
from html import escape
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ert._core.arguments import checked_arguments
from ert._core.exceptions import InputError, counted, one_line, printable
from ert._core.files import write_atomically
from ert._core.images import check_image
from ert._core.types import Floats, Pixels, StrPath
from ert.plotting.strokes import (
    DOT,
    OUTLINE,
    Stroke,
    box_strokes,
    disc_strokes,
    line_width,
    object_size,
    opaque,
    paint,
    shape_strokes,
)

if TYPE_CHECKING:
    from PIL import Image

_AXIS_COLORS = ("#ff6b6b", "#7ee787", "#5aa9ff")  # to the subject's left, up, forward
_HTML_WIDTH = 480

# Colors of predicted shapes on photographs, from the palette of Okabe and Ito, and of the truth.
PHOTO_COLORS = ("#56b4e9", "#e69f00")
TRUTH = "#ffffff"

# A thumbnail shows the landmarks and a margin of this fraction of their extent.
_MARGIN = 0.15
# More names of landmarks are written smaller.
MANY_NAMES = 40


@checked_arguments
def draw_landmarks(
    image: Pixels,
    shapes: Sequence[ArrayLike] | NDArray[Any],
    boxes: ArrayLike | None = None,
    *,
    scheme: str = "auto",
    names: Sequence[str] | None = None,
    labels: Sequence[str] | None = None,
    colors: Sequence[str | None] | None = None,
    radii: Sequence[ArrayLike] | None = None,
    min_size: int = 800,
) -> Pixels:
    """Draw landmarks on a copy of an image.

    Parameters
    ----------
    image : (rows, columns) or (rows, columns, 3) uint8 array
        Gray or RGB.
    shapes : sequence of (n_landmarks, 2)
        Landmarks of each object, x and y in pixels of `image`; NaN landmarks are not drawn.
    boxes : (n, 4), optional
        Boxes to draw: left, top, width, height.
    scheme : {"auto", "face68", "points"}
        "face68" joins the 68 points of a face by curves, "points" draws dots only; "auto" is "face68" for
        shapes of 68 landmarks.
    names : sequence of str, optional
        Text beside each landmark, such as its number.
    labels : sequence of str, optional
        Text above each box.
    colors : sequence of str or None, optional
        Color of each shape ("white", "#ff8800"), None for the default colors.
    radii : sequence of (n_landmarks,), optional
        Radius in pixels of `image` of a translucent disc around each landmark, such as the circle that
        contains the true landmark with a probability of 0.9.
    min_size : int
        Smaller images are enlarged until their longest side has this many pixels.

    Returns
    -------
    (rows, columns, 3) uint8 array
        RGB.

    Raises
    ------
    InputError
        When an argument does not have the described type, shape or value.

    Examples
    --------
    >>> image = ert.load_image(ert.sample_image())
    >>> picture = ert.plotting.draw_landmarks(image, [face.landmarks for face in ert.align(image)])
    >>> ert.plotting.save_image("landmarks.png", picture)
    """
    picture, scale = _enlarge(check_image(image), min_size)
    placed = [_scale_points(shape, scale) for shape in check_shapes(shapes)]
    if scheme not in ("auto", "face68", "points"):
        raise InputError(f"scheme: {scheme!r}, expected 'auto', 'face68' or 'points'")
    for number, points in enumerate(placed):
        if scheme == "face68" and len(points) != 68:
            raise InputError(f"shape {number}: {counted(len(points), 'landmark')}, expected 68 for scheme 'face68'")
        if names is not None and len(names) != len(points):
            raise InputError(f"names: {len(names)}, expected one for each of {len(points)} landmarks")
    checked_boxes = check_boxes(boxes)
    if labels is not None and len(labels) != len(checked_boxes):
        raise InputError(f"labels: {len(labels)}, expected one for each box")
    if colors is not None and len(colors) != len(placed):
        raise InputError(f"colors: {len(colors)}, expected one for each of {len(placed)} shapes")
    if radii is not None and [np.shape(each) for each in radii] != [(len(points),) for points in placed]:
        raise InputError("radii: expected one for each landmark of each shape")
    longest_side = max(picture.size)
    placed_boxes = checked_boxes * np.tile(scale, 2)
    strokes = box_strokes(placed_boxes, longest_side)
    for number, points in enumerate(placed):
        if radii is not None:
            strokes += disc_strokes(points, np.asarray(radii[number], np.float64) * float(np.mean(scale)))
        strokes += shape_strokes(points, scheme, colors[number] if colors else None, longest_side)
    paint(picture, strokes)
    if names is not None:
        for points in placed:
            _write_names(picture, points, names)
    if labels:
        _write_labels(picture, placed_boxes, labels)
    return np.array(picture, np.uint8)


class _Pose(Protocol):
    # Rotation (3, 3) from the head's axes (left, down, into the head) to those of the camera.
    rotation: Floats

    def axes(self) -> Floats: ...

    def project(self, points: ArrayLike) -> Floats: ...


@checked_arguments
def draw_poses(image: Pixels, poses: Sequence[_Pose], *, min_size: int = 800) -> Pixels:
    """Draw the axes of heads on a copy of an image.

    The axes start at the tip of the nose and point to the subject's left (red), up (green) and forward
    (blue); each is as long as the distance between the outer eye corners.

    Parameters
    ----------
    image : (rows, columns) or (rows, columns, 3) uint8 array
        Gray or RGB.
    poses : sequence of HeadPose
        Results of :func:`ert.head_pose` for `image`, or objects with the same attributes.
    min_size : int
        Smaller images are enlarged until their longest side has this many pixels.

    Returns
    -------
    (rows, columns, 3) uint8 array
        RGB.

    Raises
    ------
    InputError
        When `image` is not an image.
    """
    picture, scale = _enlarge(check_image(image), min_size)
    strokes = []
    for pose in poses:
        axes = _scale_points(pose.axes(), scale)
        eyes = _scale_points(pose.project([(-0.5, 0, 0), (0.5, 0, 0)]), scale)
        width = line_width(0.03 * float(np.linalg.norm(eyes[1] - eyes[0])), max(picture.size))
        # The farthest first, so that an axis towards the camera covers the others.
        order = np.argsort(-pose.rotation[2] * (1, -1, -1))
        for layer, axis in enumerate(order.tolist()):
            line = axes[[0, axis + 1]]
            if np.isfinite(line).all():
                strokes.append(Stroke(line, 1.8 * width, OUTLINE, 2 * layer))
                strokes.append(Stroke(line, width, opaque(_AXIS_COLORS[axis]), 2 * layer + 1))
    paint(picture, strokes)
    return np.array(picture, np.uint8)


def object_thumbnail(
    image: Pixels,
    box: Floats,
    shapes: Sequence[Floats],
    colors: Sequence[str | None],
    size: int,
    names: Sequence[str] = (),
) -> Pixels:
    """Cut out a square around an object, resize it to (size, size, 3) and draw shapes (n_landmarks, 2) on it.

    The square contains all landmarks, except those far from the box; what is outside of the image is black. `names`
    are written beside the landmarks of the first shape.
    """
    left, top, side = object_view(np.vstack(shapes), box)
    view = left, top, min(side, 3 * max(image.shape[:2]))
    placed = [to_thumbnail_pixels(shape, view, size) for shape in shapes]
    drawn = draw_landmarks(crop_thumbnail(image, view, size), placed, colors=colors, min_size=size)
    if not len(names):
        return drawn
    from PIL import Image

    picture = Image.fromarray(drawn)
    text_size = size / (32 if len(names) <= MANY_NAMES else 64)
    for (x, y), name in zip(placed[0], names, strict=True):
        if np.isfinite(x):
            write_text(picture, (x + 0.3 * text_size, y - 0.3 * text_size), str(name), text_size, "ls")
    return np.array(picture, np.uint8)


def crop_thumbnail(image: Pixels, view: tuple[int, int, int], size: int) -> Pixels:
    """Cut a square (left, top, side in pixels) out of an image and resize it: (size, size, 3) uint8 array."""
    from PIL import Image

    left, top, side = view
    # Outside the image Pillow's crop is black.
    crop = Image.fromarray(image).convert("RGB").crop((left, top, left + side, top + side))
    how = Image.Resampling.LANCZOS if side > size else Image.Resampling.BICUBIC
    return np.array(crop.resize((size, size), how), np.uint8)


def to_thumbnail_pixels(points: Floats, view: tuple[int, int, int], size: int) -> Floats:
    """Transform points (..., 2) from pixels of the image to pixels of a thumbnail of that view and size."""
    left, top, side = view
    placed: Floats = (points - (left, top) + 0.5) * (size / side) - 0.5
    return placed


def object_view(points: Floats, box: Floats) -> tuple[int, int, int]:
    """Return left, top and side, integers, of the square around the landmarks that a thumbnail shows."""
    known = points[np.isfinite(points).all(axis=1)]
    # At most one box side around the box: an outlier must not shrink the object to a dot.
    low = np.maximum(known.min(axis=0), box[:2] - box[2:])
    high = np.minimum(known.max(axis=0), box[:2] + 2 * box[2:])
    # All landmarks are far from the box: show the box.
    if (high <= low).any():
        low, high = box[:2], box[:2] + box[2:]
    half = (0.5 + _MARGIN) * max(*(high - low), 2.0)
    left, top = np.floor((low + high) / 2 - half).astype(int).tolist()
    return left, top, int(np.ceil(2 * half))


def shortened(name: str, length: int = 34) -> str:
    """Shorten a file name in the middle, since its end is the more informative part."""
    name = printable(name)
    return name if len(name) <= length else f"{name[: length - 16]}…{name[-15:]}"


@checked_arguments
def contact_sheet(
    thumbnails: Sequence[Pixels], columns: int, captions: Sequence[str] | None = None, *, tile_size: int = 256
) -> Pixels:
    """Arrange pictures in a grid, row by row.

    Parameters
    ----------
    thumbnails : sequence of (rows, columns) or (rows, columns, 3) uint8 arrays
        Pictures of any size; each is fitted into a square.
    columns : int
        Number of pictures side by side.
    captions : sequence of str, optional
        Text below each picture; long texts are truncated.
    tile_size : int
        Side of a square in pixels.

    Returns
    -------
    (rows, columns, 3) uint8 array
        RGB.

    Raises
    ------
    InputError
        When there are no thumbnails, one is not an image, or there is not one caption for each.
    """
    from PIL import Image, ImageDraw, ImageFont

    if not len(thumbnails):
        raise InputError("contact sheet: no thumbnails, expected at least one")
    if columns < 1 or tile_size < 1:
        raise InputError(f"contact sheet: {columns} columns of {tile_size} pixels, expected at least 1 of each")
    if captions is not None and len(captions) != len(thumbnails):
        raise InputError(
            f"contact sheet: {len(captions)} captions, expected one for each of {len(thumbnails)} thumbnails"
        )
    gap = max(2, tile_size // 32)
    text_size = max(9.0, tile_size / 18)
    row_height = tile_size + gap + (round(1.7 * text_size) if captions else 0)
    rows = -(-len(thumbnails) // columns)
    columns = min(columns, len(thumbnails))
    sheet = Image.new("RGB", (columns * (tile_size + gap) + gap, rows * row_height + gap), "#16181d")
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(text_size)
    for number, thumbnail in enumerate(thumbnails):
        left = gap + number % columns * (tile_size + gap)
        top = gap + number // columns * row_height
        picture = Image.fromarray(check_image(thumbnail, f"thumbnail {number}")).convert("RGB")
        scale = tile_size / max(picture.size)
        size = [max(1, round(side * scale)) for side in picture.size]
        picture = picture.resize((size[0], size[1]), Image.Resampling.LANCZOS)
        sheet.paste(picture, (left + (tile_size - size[0]) // 2, top + (tile_size - size[1]) // 2))
        if captions is not None:
            text = caption = captions[number]
            while text and pen.textlength(text, font) > tile_size:
                caption = caption[:-1]
                text = caption + "…" if caption else ""
            middle = left + tile_size / 2
            pen.text((middle, top + tile_size + 0.85 * text_size), text, "#d8dce4", font, anchor="mm")
    return np.array(sheet, np.uint8)


@checked_arguments
def save_image(path: StrPath, image: Pixels) -> None:
    """Write an image file; the suffix determines the format.

    Parameters
    ----------
    path : path-like
        An existing image is replaced atomically.
    image : (rows, columns) or (rows, columns, 3) uint8 array
        Gray or RGB.

    Raises
    ------
    InputError
        When no image format has the suffix, or the file cannot be written.
    """
    from PIL import Image

    path = Path(path)
    kind = Image.registered_extensions().get(path.suffix.lower())
    if kind not in Image.SAVE:
        raise InputError(f"{path}: unknown suffix {path.suffix!r}, expected an image format: .png, .jpg, .webp")
    picture = Image.fromarray(check_image(image))
    options = {"quality": 92} if kind in ("JPEG", "WEBP") else {}
    with write_atomically(path, "image") as temporary:
        picture.save(temporary, kind, **options)


def data_uri(image: Pixels) -> str:
    """Return an image as a JPEG in a ``data:`` URI, for ``src`` in HTML."""
    from PIL import Image

    data = BytesIO()
    # Without chroma subsampling, which would blur the colors of thin lines.
    Image.fromarray(check_image(image)).save(data, "JPEG", quality=85, subsampling=0)
    return "data:image/jpeg;base64," + b64encode(data.getvalue()).decode("ascii")


@checked_arguments
def picture_html(
    image: Pixels, shapes: Sequence[ArrayLike] | NDArray[Any], boxes: ArrayLike | None = None, alt: str = ""
) -> str:
    """Return an ``<img>`` element with landmarks drawn on an image, at most 480 pixels wide.

    Parameters
    ----------
    image, shapes, boxes
        As in :func:`draw_landmarks`.
    alt : str
        Alternative text; it is escaped.

    Returns
    -------
    str
        HTML that contains the picture as a ``data:`` URI.
    """
    from PIL import Image

    picture = Image.fromarray(check_image(image)).convert("RGB")
    # Reduced before drawing, so that lines do not become too thin.
    size = (min(picture.width, _HTML_WIDTH), max(1, round(picture.height * min(1, _HTML_WIDTH / picture.width))))
    scale = np.divide(size, picture.size)
    placed = [_scale_points(points, scale) for points in check_shapes(shapes)]
    reduced = np.array(picture.resize(size, Image.Resampling.LANCZOS), np.uint8)
    drawn = draw_landmarks(reduced, placed, check_boxes(boxes) * np.tile(scale, 2), min_size=_HTML_WIDTH)
    rows, columns = drawn.shape[:2]
    return f'<img src="{data_uri(drawn)}" width="{columns}" height="{rows}" alt="{escape(one_line(alt))}">'


def _enlarge(image: Pixels, min_size: int) -> tuple["Image.Image", Floats]:
    """Return an image as a picture to draw on, and the scales of x and y."""
    from PIL import Image

    picture = Image.fromarray(image).convert("RGB")
    scale = max(1.0, min_size / max(picture.size))
    width, height = (max(1, round(side * scale)) for side in picture.size)
    scales = np.array((width, height)) / picture.size
    if scale > 1:
        picture = picture.resize((width, height), Image.Resampling.BICUBIC)
    return picture, scales


def check_shapes(shapes: Any) -> list[Floats]:
    """Return shapes as float64 arrays (n_landmarks, 2); a single array is one shape."""
    listed = [shapes] if isinstance(shapes, np.ndarray) and shapes.ndim == 2 else shapes
    checked = []
    for number, shape in enumerate(listed):
        points = np.array(shape, np.float64)
        if points.ndim != 2 or points.shape[1] != 2:
            raise InputError(f"shape {number}: array of shape {points.shape}, expected (n_landmarks, 2)")
        checked.append(points)
    return checked


def check_boxes(boxes: Any) -> Floats:
    """Return boxes as a float64 array (n, 4): a single box is one row, None has no rows."""
    checked = np.array(() if boxes is None else boxes, np.float64)
    if checked.size == 0:
        return np.empty((0, 4))
    if checked.ndim == 1:
        checked = checked[None]
    if checked.ndim != 2 or checked.shape[1] != 4 or not np.isfinite(checked).all():
        raise InputError(f"boxes: array of shape {checked.shape}, expected (n, 4), finite")
    return checked


def _scale_points(points: Floats, scale: Floats) -> Floats:
    placed: Floats = (points + 0.5) * scale - 0.5
    # Coordinates of a failed prediction may be so large that they overflow Pillow's integers.
    placed[~(np.abs(placed) < 1e6).all(axis=1)] = np.nan
    return placed


def _write_names(picture: "Image.Image", points: Floats, names: Sequence[str]) -> None:
    size = object_size(points, max(picture.size))
    for (x, y), name in zip(points, names, strict=True):
        if np.isfinite(x):
            place = x + DOT * size, y - 0.5 * DOT * size
            write_text(picture, place, str(name), max(0.032 * size, 9.0), "ls", outline=1)


def _write_labels(picture: "Image.Image", boxes: Floats, labels: Sequence[str]) -> None:
    for (left, top, width, height), label in zip(boxes, labels, strict=True):
        size = max(0.12 * float(np.sqrt(width * height)), 10.0)
        # Inside the box if there is no space above it.
        above = top - 0.2 * size > size
        place = max(float(left), 0.0), top - 0.2 * size if above else max(float(top), 0.0)
        write_text(picture, place, label, size, "ls" if above else "lt")


def write_text(
    picture: "Image.Image",
    place: tuple[float, float],
    text: str,
    size: float,
    anchor: str = "la",
    outline: int = 2,
    color: str = "#ffffff",
) -> None:
    """Write text with a dark outline; `anchor` is Pillow's."""
    from PIL import ImageDraw, ImageFont

    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(size)
    pen.text(place, text, color, font, anchor, stroke_width=outline, stroke_fill="#080e1c")
