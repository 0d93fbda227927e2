"""Strokes of drawings: the curves of a shape and the outlines of boxes, painted with smooth edges."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ert._core.exceptions import InputError
from ert._core.types import Floats
from ert.model.schemes import FACE68_CLOSED, FACE68_REGIONS

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

REGION_COLORS = {
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
POINT_COLOR = "#ffc857"
_SHADE = (8, 14, 28, 130)  # under every line, so that it is visible on bright pictures too
_DISC = (255, 80, 30, 105)
OUTLINE = (8, 14, 28, 255)

# Line width and dot diameter as fractions of the object's size.
_LINE = 0.0065
DOT = 0.0165

# Strokes are painted this many times larger, block by block, and reduced: smooth edges in little memory.
_OVERSAMPLING = 4
BLOCK_SIZE = 512


class Stroke(NamedTuple):
    """A line with round ends; a single point is a dot."""

    points: Floats  # (n, 2), pixels of the picture
    width: float
    color: tuple[int, int, int, int]
    layer: int  # lower layers are painted first


def object_size(points: Floats, longest_side: int) -> float:
    """Return the side of a square with the area of the rectangle around the landmarks."""
    known = points[np.isfinite(points[:, 0])]
    extent = np.ptp(known, axis=0) if len(known) else np.zeros(2)
    side = np.sqrt(extent.prod())
    # Bounded, so that a single outlier does not enlarge the dots of all landmarks.
    return float(min(max(side, 0.3 * extent.max(), 0.02 * longest_side), longest_side))


def shape_strokes(points: Floats, scheme: str, color: str | None, longest_side: int) -> list[Stroke]:
    """Return the dots of a shape, and the curves of the 68 points of a face."""
    size = object_size(points, longest_side)
    width = line_width(_LINE * size, longest_side)
    # Smaller dots for many landmarks, which would overlap.
    dot = DOT * size * min(1.0, (68 / max(len(points), 1)) ** 0.5)
    colors = [opaque(color or POINT_COLOR)] * len(points)
    strokes = []
    if len(points) == 68 and scheme != "points":
        for name, region in FACE68_REGIONS.items():
            shade = opaque(color or REGION_COLORS[name])
            for index in region:
                colors[index] = shade
            for curve in smooth_curves(points, region, name in FACE68_CLOSED):
                strokes.append(Stroke(curve, 2.4 * width, _SHADE, 0))
                strokes.append(Stroke(curve, width, shade, 1))
    if strokes and dot < 2:
        return strokes  # on such a small face the dots would cover the curves
    dot = max(dot, 2.5 * width)
    for point, shade in zip(points, colors, strict=True):
        if np.isfinite(point[0]):
            strokes.append(Stroke(point[None], dot + 0.8 * width, OUTLINE, 2))
            strokes.append(Stroke(point[None], dot, shade, 3))
    return strokes


def disc_strokes(points: Floats, radii: Floats) -> list[Stroke]:
    """Return translucent discs below all lines, the largest first."""
    known = np.flatnonzero(np.isfinite(points[:, 0]) & (radii > 0) & (radii < 1e6))
    order = known[np.argsort(-radii[known], kind="stable")]
    return [Stroke(points[i][None], 2 * radii[i], _DISC, -1) for i in order]


def line_width(width: float, longest_side: int) -> float:
    """Return a width that stays visible: large pictures are viewed reduced, so their lines are wider."""
    return max(width, 1.2, 0.0004 * longest_side)


def smooth_curves(points: Floats, region: range, closed: bool) -> Iterator[Floats]:
    """Yield smooth curves through the landmarks of a region, interrupted at missing ones."""
    # Eyes and lips: an upper and a lower curve that meet in corners.
    half = len(region) // 2
    arcs = [[*region[: half + 1]], [*region[half:], region[0]]] if closed else [[*region]]
    for arc in arcs:
        line = points[arc]
        for run in np.split(line, np.flatnonzero(~np.isfinite(line[:, 0]))):
            run = run[np.isfinite(run[:, 0])]
            if len(run) > 1:
                yield _spline(run)


def _spline(points: Floats, steps: int = 10) -> Floats:
    """Interpolate points by a centripetal Catmull-Rom spline: the uniform one would overshoot."""
    lengths = np.maximum(np.linalg.norm(np.diff(points, axis=0), axis=1), 1e-6) ** 0.5
    # The tangent at a landmark is that of the parabola through it and its neighbors.
    tangents = np.gradient(points, np.append(0, np.cumsum(lengths)), axis=0)
    t = np.arange(steps)[:, None] / steps
    pieces = []
    for i, length in enumerate(lengths):
        step = points[i + 1] - points[i]
        leave, arrive = tangents[i] * length, tangents[i + 1] * length
        bend = (3 * step - 2 * leave - arrive) * t**2 + (leave + arrive - 2 * step) * t**3
        pieces.append(points[i] + leave * t + bend)
    return np.vstack([*pieces, points[-1:]])


def box_strokes(boxes: Floats, longest_side: int) -> list[Stroke]:
    """Return the outlines of boxes, with round corners."""
    strokes = []
    for left, top, width, height in boxes:
        radius = 0.06 * min(width, height)
        line = line_width(0.005 * np.sqrt(width * height), longest_side)
        angles = np.arange(4)[:, None] * np.pi / 2 + np.linspace(0, np.pi / 2, 16)
        right, bottom = left + width - radius, top + height - radius
        centers = np.array(
            [(right, bottom), (left + radius, bottom), (left + radius, top + radius), (right, top + radius)]
        )
        corners = centers[:, None] + radius * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
        outline = np.vstack([corners.reshape(-1, 2), corners[0, :1]]) - 0.5
        strokes.append(Stroke(outline, 2.2 * line, _SHADE, 0))
        strokes.append(Stroke(outline, line, (255, 255, 255, 255), 1))
    return strokes


def opaque(color: str) -> tuple[int, int, int, int]:
    """Return the RGBA of a color name or of "#rrggbb"."""
    from PIL import ImageColor

    try:
        red, green, blue = ImageColor.getrgb(color)[:3]
    except (AttributeError, TypeError, ValueError):
        raise InputError(f"colors: {color!r}, expected a name or '#rrggbb'") from None
    return red, green, blue, 255


def paint(picture: "Image.Image", strokes: list[Stroke]) -> None:
    """Paint strokes on an RGB picture."""
    from PIL import Image, ImageDraw

    strokes = sorted(strokes, key=lambda stroke: stroke.layer)
    lows = np.array([stroke.points.min(axis=0) - stroke.width for stroke in strokes]).reshape(-1, 2)
    highs = np.array([stroke.points.max(axis=0) + stroke.width for stroke in strokes]).reshape(-1, 2)
    for top in range(0, picture.height, BLOCK_SIZE):
        for left in range(0, picture.width, BLOCK_SIZE):
            width, height = min(BLOCK_SIZE, picture.width - left), min(BLOCK_SIZE, picture.height - top)
            touched = ((highs > (left - 1, top - 1)) & (lows < (left + width, top + height))).all(axis=1)
            if not touched.any():
                continue
            overlay = Image.new("RGBA", (width * _OVERSAMPLING, height * _OVERSAMPLING))
            pen = ImageDraw.Draw(overlay)
            for number in np.flatnonzero(touched):
                _paint_stroke(pen, strokes[number], np.array((left, top)))
            block = picture.crop((left, top, left + width, top + height)).convert("RGBA")
            block.alpha_composite(overlay.reduce(_OVERSAMPLING))
            picture.paste(block.convert("RGB"), (left, top))


def _paint_stroke(pen: "ImageDraw.ImageDraw", stroke: Stroke, origin: NDArray[np.int64]) -> None:
    # Rounded here: Pillow truncates towards zero, so that lines would break where two blocks meet.
    points = np.floor((stroke.points - origin + 0.5) * _OVERSAMPLING).astype(int)
    width = round(stroke.width * _OVERSAMPLING)
    if len(points) > 1:
        pen.line([(x, y) for x, y in points.tolist()], stroke.color, width)
    for x, y in points.tolist():
        left, top = x - width // 2, y - width // 2
        pen.ellipse((left, top, left + width - 1, top + width - 1), stroke.color)
