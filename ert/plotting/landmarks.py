"""Pictures with landmarks drawn on them."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ert._core.exceptions import InputError
from ert._core.files import write_atomically
from ert._core.images import check_image
from ert.faces.pose import HeadPose
from ert.model.schemes import FACE68_CLOSED, FACE68_REGIONS

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

__all__ = [
    "contact_sheet",
    "draw_landmarks",
    "draw_poses",
    "save_image",
]


_REGION_COLORS = {
    "jaw": "#8ecbff",
    "right_brow": "#ffc857",
    "left_brow": "#ffc857",
    "nose_bridge": "#8ff0c4",
    "nostrils": "#8ff0c4",
    "right_eye": "#5ee6ff",
    "left_eye": "#5ee6ff",
    "outer_lips": "#ff8fa3",
    "inner_lips": "#ff8fa3",
}
_POINT_COLOR = "#ffc857"
_BOX_COLOR = "#ffffff"
_AXIS_COLORS = ("#ff6b6b", "#7ee787", "#5aa9ff")  # to the subject's left, up, forward
_SHADE = (8, 14, 28, 130)  # under every line, so that it shows on bright pictures too
_VEIL = (255, 80, 30, 105)
_OUTLINE = (8, 14, 28, 255)

# Line width and dot diameter as fractions of the object's size.
_LINE = 0.0065
_DOT = 0.0165

# Everything is drawn this many times larger, block by block, and reduced: smooth edges in little memory.
_OVERSAMPLING = 4
_BLOCK = 512


class _Stroke(NamedTuple):
    """A line with round ends; a single point is a dot."""

    points: NDArray[np.float64]  # (n, 2), pixels of the picture
    width: float
    color: tuple[int, int, int, int]
    layer: int  # lower ones are drawn first


def draw_landmarks(
    image: NDArray[np.uint8],
    shapes: Sequence[ArrayLike] | NDArray[Any],
    boxes: ArrayLike | None = None,
    *,
    scheme: str = "auto",
    names: Sequence[str] | None = None,
    labels: Sequence[str] | None = None,
    colors: Sequence[str | None] | None = None,
    radii: Sequence[ArrayLike] | None = None,
    min_size: int = 800,
) -> NDArray[np.uint8]:
    """Draw landmarks on a copy of an image.

    Parameters
    ----------
    image : ndarray of uint8, (rows, columns) or (rows, columns, 3)
        The picture, gray or RGB.
    shapes : sequence of (n_landmarks, 2)
        Landmarks as x, y in pixels of `image`, one array an object; those that are NaN are left out.
    boxes : (n, 4), optional
        Boxes to draw: left, top, width, height.
    scheme : {"auto", "face68", "points"}
        "face68" joins the 68 points of a face by curves, "points" draws dots only; "auto" takes "face68" for
        shapes of 68 landmarks.
    names : sequence of str, optional
        What to write beside the landmarks, such as their numbers.
    labels : sequence of str, optional
        What to write above each box.
    colors : sequence of str or None, optional
        A color for each shape ("white", "#ff8800"), None for the usual ones: tells two shapes of one face
        apart.
    radii : sequence of (n_landmarks,), optional
        Radii in pixels of `image`, one array an object: round each landmark a veil of that size, such as the
        circle that holds the true one nine times in ten.
    min_size : int
        A picture whose longest side is shorter, in pixels, is enlarged to it.

    Returns
    -------
    ndarray of uint8, (rows, columns, 3)
        The picture in RGB.

    Raises
    ------
    InputError
        When an argument is not as described.
    """
    picture, scale = _enlarge(check_image(image), min_size)
    placed = [_to_picture(shape, scale) for shape in _check_shapes(shapes)]
    if scheme not in ("auto", "face68", "points"):
        raise InputError(f"scheme: {scheme!r}, expected 'auto', 'face68' or 'points'")
    for number, points in enumerate(placed):
        if scheme == "face68" and len(points) != 68:
            raise InputError(f"shape {number}: {len(points)} landmarks, expected 68 for scheme 'face68'")
        if names is not None and len(names) != len(points):
            raise InputError(f"names: {len(names)}, expected one for each of {len(points)} landmarks")
    if labels is not None and len(labels) != (0 if boxes is None else len(_check_boxes(boxes))):
        raise InputError(f"labels: {len(labels)}, expected one for each box")
    if colors is not None and len(colors) != len(placed):
        raise InputError(f"colors: {len(colors)}, expected one for each of {len(placed)} shapes")

    if radii is not None and [np.shape(each) for each in radii] != [(len(points),) for points in placed]:
        raise InputError("radii: expected one for each landmark of each shape")
    longest_side = max(picture.size)
    strokes = [] if boxes is None else _box_strokes(_check_boxes(boxes) * np.tile(scale, 2), longest_side)
    for number, points in enumerate(placed):
        if radii is not None:
            strokes += _veils(points, np.asarray(radii[number], np.float64) * float(np.mean(scale)))
        strokes += _shape_strokes(points, scheme, colors[number] if colors else None, longest_side)
    _paint(picture, strokes)
    if names is not None:
        for points in placed:
            _write_names(picture, points, names)
    if labels:
        _write_labels(picture, _check_boxes(boxes) * np.tile(scale, 2), labels)
    return np.array(picture, np.uint8)


def draw_poses(
    image: NDArray[np.uint8], poses: Sequence[HeadPose], *, min_size: int = 800
) -> NDArray[np.uint8]:
    """Draw the axes of heads on a copy of an image.

    From the tip of the nose to the subject's left (red), up (green) and forward (blue), each as long as the
    distance between the outer eye corners.

    Parameters
    ----------
    image : ndarray of uint8, (rows, columns) or (rows, columns, 3)
        The picture, gray or RGB.
    poses : sequence of HeadPose
        What :func:`ert.head_pose` found in `image`.
    min_size : int
        A picture whose longest side is shorter, in pixels, is enlarged to it.

    Returns
    -------
    ndarray of uint8, (rows, columns, 3)
        The picture in RGB.

    Raises
    ------
    InputError
        When `image` is none.
    """
    picture, scale = _enlarge(check_image(image), min_size)
    strokes = []
    for pose in poses:
        axes = _to_picture(pose.axes(), scale)
        eyes = _to_picture(pose.project([(-0.5, 0, 0), (0.5, 0, 0)]), scale)
        width = _line_width(0.03 * float(np.linalg.norm(eyes[1] - eyes[0])), max(picture.size))
        # The farthest first: what points at the camera lies over the others.
        order = np.argsort(-pose.rotation[2] * (1, -1, -1))
        for layer, axis in enumerate(order.tolist()):
            line = axes[[0, axis + 1]]
            if np.isfinite(line).all():
                strokes.append(_Stroke(line, 1.8 * width, _OUTLINE, 2 * layer))
                strokes.append(_Stroke(line, width, _opaque(_AXIS_COLORS[axis]), 2 * layer + 1))
    _paint(picture, strokes)
    return np.array(picture, np.uint8)


def contact_sheet(
    thumbnails: Sequence[NDArray[np.uint8]],
    columns: int,
    captions: Sequence[str] | None = None,
    *,
    tile_size: int = 256,
) -> NDArray[np.uint8]:
    """Arrange pictures in a grid, row by row.

    Parameters
    ----------
    thumbnails : sequence of ndarray of uint8, (rows, columns) or (rows, columns, 3)
        The pictures, of any size: each is fitted into a square.
    columns : int
        How many stand side by side.
    captions : sequence of str, optional
        What to write below each; what is too long is cut.
    tile_size : int
        Side of a square, in pixels.

    Returns
    -------
    ndarray of uint8, (rows, columns, 3)
        The sheet in RGB.

    Raises
    ------
    InputError
        When there are no tiles, one is not an image, or the numbers do not fit.
    """
    from PIL import Image, ImageDraw, ImageFont

    if not len(thumbnails):
        raise InputError("contact sheet: no tiles, expected at least one")
    if columns < 1 or tile_size < 1:
        raise InputError(
            f"contact sheet: {columns} columns of {tile_size} pixels, expected at least 1 of each"
        )
    if captions is not None and len(captions) != len(thumbnails):
        raise InputError(
            f"contact sheet: {len(captions)} captions, expected one for each of {len(thumbnails)} tiles"
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
        picture = Image.fromarray(check_image(thumbnail, f"tile {number}")).convert("RGB")
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


def save_image(path: str | os.PathLike[str], image: NDArray[np.uint8]) -> None:
    """Write an image file whose kind its suffix says.

    Parameters
    ----------
    path : path-like
        The file; an existing one is replaced, and only once the new one is complete.
    image : ndarray of uint8, (rows, columns) or (rows, columns, 3)
        The picture, gray or RGB.

    Raises
    ------
    InputError
        When the suffix is that of no kind of image, or the file cannot be written.
    """
    from PIL import Image

    path = Path(path)
    kind = Image.registered_extensions().get(path.suffix.lower())
    if kind not in Image.SAVE:
        raise InputError(
            f"{path}: unknown suffix {path.suffix!r}, expected that of an image: .png, .jpg, .webp"
        )
    picture = Image.fromarray(check_image(image))
    with write_atomically(path) as temporary:
        picture.save(temporary, kind, **({"quality": 92} if kind in ("JPEG", "WEBP") else {}))


def _enlarge(image: NDArray[np.uint8], min_size: int) -> tuple["Image.Image", NDArray[np.float64]]:
    """Turn an image into a picture to draw on; tell the scales of x and y."""
    from PIL import Image

    picture = Image.fromarray(image).convert("RGB")
    scale = max(1.0, min_size / max(picture.size))
    width, height = (max(1, round(side * scale)) for side in picture.size)
    scales = np.array((width, height)) / picture.size
    if scale > 1:
        picture = picture.resize((width, height), Image.Resampling.BICUBIC)
    return picture, scales


def _check_shapes(shapes: Any) -> list[NDArray[np.float64]]:
    # A lone shape is a frequent slip, and means what it says.
    listed = [shapes] if isinstance(shapes, np.ndarray) and shapes.ndim == 2 else shapes
    checked = []
    for number, shape in enumerate(listed):
        points = np.array(shape, np.float64)
        if points.ndim != 2 or points.shape[1] != 2:
            raise InputError(f"shape {number}: array of shape {points.shape}, expected (n_landmarks, 2)")
        checked.append(points)
    return checked


def _check_boxes(boxes: Any) -> NDArray[np.float64]:
    checked = np.array(boxes, np.float64)
    if checked.size == 0:
        return np.empty((0, 4))
    if checked.ndim == 1:
        checked = checked[None]
    if checked.ndim != 2 or checked.shape[1] != 4 or not np.isfinite(checked).all():
        raise InputError(f"boxes: array of shape {checked.shape}, expected (n, 4), finite")
    return checked


def _to_picture(points: NDArray[np.float64], scale: NDArray[np.float64]) -> NDArray[np.float64]:
    placed: NDArray[np.float64] = (points + 0.5) * scale - 0.5
    # What a wild prediction throws far away is as good as missing, and would overflow Pillow's integers.
    placed[~(np.abs(placed) < 1e6).all(axis=1)] = np.nan
    return placed


def _object_size(points: NDArray[np.float64], longest_side: int) -> float:
    """Tell how large the landmarks lie: the side of a square as large as the rectangle round them."""
    known = points[np.isfinite(points[:, 0])]
    extent = np.ptp(known, axis=0) if len(known) else np.zeros(2)
    side = np.sqrt(extent.prod())
    # Bounded, so that one landmark gone astray does not swell the dots of all.
    return float(min(max(side, 0.3 * extent.max(), 0.02 * longest_side), longest_side))


def _shape_strokes(
    points: NDArray[np.float64], scheme: str, color: str | None, longest_side: int
) -> list[_Stroke]:
    size = _object_size(points, longest_side)
    width = _line_width(_LINE * size, longest_side)
    # Many landmarks would run together.
    dot = _DOT * size * min(1.0, (68 / max(len(points), 1)) ** 0.5)
    colors = [_opaque(color or _POINT_COLOR)] * len(points)
    strokes = []
    if len(points) == 68 and scheme != "points":
        for name, region in FACE68_REGIONS.items():
            shade = _opaque(color or _REGION_COLORS[name])
            for index in region:
                colors[index] = shade
            for curve in _curves(points, region, name in FACE68_CLOSED):
                strokes.append(_Stroke(curve, 2.4 * width, _SHADE, 0))
                strokes.append(_Stroke(curve, width, shade, 1))
    if strokes and dot < 2:
        return strokes  # on so small a face the dots would cover the curves
    dot = max(dot, 2.5 * width)
    for point, shade in zip(points, colors, strict=True):
        if np.isfinite(point[0]):
            strokes.append(_Stroke(point[None], dot + 0.8 * width, _OUTLINE, 2))
            strokes.append(_Stroke(point[None], dot, shade, 3))
    return strokes


def _veils(points: NDArray[np.float64], radii: NDArray[np.float64]) -> list[_Stroke]:
    """Discs under all lines, the largest first."""
    known = np.flatnonzero(np.isfinite(points[:, 0]) & (radii > 0) & (radii < 1e6))
    order = known[np.argsort(-radii[known], kind="stable")]
    return [_Stroke(points[i][None], 2 * radii[i], _VEIL, -1) for i in order]


def _line_width(width: float, longest_side: int) -> float:
    # Thinner lines vanish, in large pictures all the sooner because those are looked at from afar.
    return max(width, 1.2, 0.0004 * longest_side)


def _curves(points: NDArray[np.float64], region: range, closed: bool) -> Iterator[NDArray[np.float64]]:
    """Yield smooth curves through the landmarks of a region, interrupted where one is missing."""
    if closed:
        # Eyes and lips: an upper and a lower curve that meet in corners.
        half = len(region) // 2
        arcs = [[*region[: half + 1]], [*region[half:], region[0]]]
    else:
        arcs = [[*region]]
    for arc in arcs:
        known = np.isfinite(points[arc, 0])
        for run in np.split(np.arange(len(arc)), np.flatnonzero(~known)):
            run = run[known[run]]
            if len(run) > 1:
                yield _smooth(points[[arc[number] for number in run]])


def _smooth(points: NDArray[np.float64], steps: int = 10) -> NDArray[np.float64]:
    """Run a centripetal Catmull-Rom spline through points: unlike the uniform one it does not overshoot."""
    before, after = 2 * points[0] - points[1], 2 * points[-1] - points[-2]
    padded = np.vstack([before, points, after])
    knots = np.maximum(np.linalg.norm(np.diff(padded, axis=0), axis=1), 1e-6)[:, None] ** 0.5
    slopes = np.diff(padded, axis=0) / knots
    # The slope at a landmark: of the parabola through it and its neighbors.
    tangents = (slopes[:-1] * knots[1:] + slopes[1:] * knots[:-1]) / (knots[:-1] + knots[1:])
    t = np.arange(steps)[:, None] / steps
    pieces = []
    for number in range(len(points) - 1):
        start, end = points[number], points[number + 1]
        leave, arrive = tangents[number] * knots[number + 1], tangents[number + 1] * knots[number + 1]
        bend = (3 * (end - start) - 2 * leave - arrive) * t**2 + (leave + arrive - 2 * (end - start)) * t**3
        pieces.append(start + leave * t + bend)
    return np.vstack([*pieces, points[-1:]])


def _box_strokes(boxes: NDArray[np.float64], longest_side: int) -> list[_Stroke]:
    strokes = []
    for left, top, width, height in boxes:
        radius = 0.06 * min(width, height)
        line = _line_width(0.005 * np.sqrt(width * height), longest_side)
        turns = np.arange(4)[:, None] * np.pi / 2 + np.linspace(0, np.pi / 2, 16)
        right, bottom = left + width - radius, top + height - radius
        centers = np.array(
            [(right, bottom), (left + radius, bottom), (left + radius, top + radius), (right, top + radius)]
        )
        corners = centers[:, None] + radius * np.stack([np.cos(turns), np.sin(turns)], axis=-1)
        outline = np.vstack([corners.reshape(-1, 2), corners[0, :1]]) - 0.5
        strokes.append(_Stroke(outline, 2.2 * line, _SHADE, 0))
        strokes.append(_Stroke(outline, line, _opaque(_BOX_COLOR), 1))
    return strokes


def _opaque(color: str) -> tuple[int, int, int, int]:
    from PIL import ImageColor

    try:
        red, green, blue = ImageColor.getrgb(color)[:3]
    except (AttributeError, ValueError):
        raise InputError(f"colors: {color!r}, expected a name or '#rrggbb'") from None
    return red, green, blue, 255


def _paint(picture: "Image.Image", strokes: list[_Stroke]) -> None:
    from PIL import Image, ImageDraw

    strokes = sorted(strokes, key=lambda stroke: stroke.layer)
    lows = np.array([stroke.points.min(axis=0) - stroke.width for stroke in strokes]).reshape(-1, 2)
    highs = np.array([stroke.points.max(axis=0) + stroke.width for stroke in strokes]).reshape(-1, 2)
    for top in range(0, picture.height, _BLOCK):
        for left in range(0, picture.width, _BLOCK):
            width, height = min(_BLOCK, picture.width - left), min(_BLOCK, picture.height - top)
            touched = ((highs > (left - 1, top - 1)) & (lows < (left + width, top + height))).all(axis=1)
            if not touched.any():
                continue
            overlay = Image.new("RGBA", (width * _OVERSAMPLING, height * _OVERSAMPLING))
            pen = ImageDraw.Draw(overlay)
            for number in np.flatnonzero(touched):
                _draw_stroke(pen, strokes[number], np.array((left, top)))
            block = picture.crop((left, top, left + width, top + height)).convert("RGBA")
            block.alpha_composite(overlay.reduce(_OVERSAMPLING))
            picture.paste(block.convert("RGB"), (left, top))


def _draw_stroke(pen: "ImageDraw.ImageDraw", stroke: _Stroke, origin: NDArray[np.int64]) -> None:
    # Rounded here: Pillow cuts towards zero, so that lines would break where two blocks meet.
    points = np.floor((stroke.points - origin + 0.5) * _OVERSAMPLING).astype(int)
    width = round(stroke.width * _OVERSAMPLING)
    if len(points) > 1:
        pen.line([(x, y) for x, y in points.tolist()], stroke.color, width)
    for x, y in points.tolist():
        left, top = x - width // 2, y - width // 2
        pen.ellipse((left, top, left + width - 1, top + width - 1), stroke.color)


def _write_names(picture: "Image.Image", points: NDArray[np.float64], names: Sequence[str]) -> None:
    from PIL import ImageDraw, ImageFont

    size = _object_size(points, max(picture.size))
    pen = ImageDraw.Draw(picture)
    font = ImageFont.load_default(max(0.032 * size, 9.0))
    for (x, y), name in zip(points, names, strict=True):
        if np.isfinite(x):
            place = (x + _DOT * size, y - 0.5 * _DOT * size)
            pen.text(place, str(name), "#ffffff", font, anchor="ls", stroke_width=1, stroke_fill="#080e1c")


def _write_labels(picture: "Image.Image", boxes: NDArray[np.float64], labels: Sequence[str]) -> None:
    from PIL import ImageDraw, ImageFont

    pen = ImageDraw.Draw(picture)
    for (left, top, width, height), label in zip(boxes, labels, strict=True):
        size = max(0.12 * float(np.sqrt(width * height)), 10.0)
        # Inside the box where there is no room above.
        above = top - 0.2 * size > size
        place = (max(float(left), 0.0), top - 0.2 * size if above else max(float(top), 0.0))
        font = ImageFont.load_default(size)
        pen.text(
            place, label, "#ffffff", font, "ls" if above else "lt", stroke_width=2, stroke_fill="#080e1c"
        )
