"""Draw the images of synthetic faces: hair, skin, eyes, nose, mouth and light, through given points."""

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ert._core.types import Floats

if TYPE_CHECKING:
    from PIL import Image
    from PIL.ImageDraw import ImageDraw

# Of the 79 points of a face: the landmarks of the jaw, and the outline of the skull after the 68.
JAW, SKULL = slice(0, 17), slice(68, 79)

# Corners of Pillow's polygons are integers; at four times the size they are exact to 1/8 pixel.
_SUPERSAMPLING = 4


def draw_face(points: Floats, rng: np.random.Generator, size: int) -> NDArray[np.uint8]:
    """Draw a face through its points, with random hair, light, background, sharpness and noise.

    Parameters
    ----------
    points : float array (79, 2)
        The 68 landmarks and the outline of the skull, in pixels.
    rng : numpy.random.Generator
    size : int
        Width and height of the image in pixels.

    Returns
    -------
    uint8 array (size, size)
    """
    from PIL import Image, ImageDraw, ImageFilter

    skin, hair = rng.uniform(95, 215), rng.choice([25, 45, 80, 150, 205]) + rng.uniform(-15, 15)
    ink = min(skin, hair + 40) * 0.45  # brows and lashes match the hair but stay darker than the skin
    big = (points + 0.5) * _SUPERSAMPLING - 0.5
    # Width of the face, estimated from its height, which hardly depends on yaw.
    unit = 1.2 * float(np.hypot(*(big[8] - big[27])))

    canvas = _background(rng, size)
    draw = ImageDraw.Draw(canvas)
    _draw_head(draw, big, unit, skin, hair, rng)
    _draw_brows(draw, big, unit, ink)
    _draw_eyes(canvas, big, unit, skin, ink, rng)
    _draw_nose(draw, big, unit, skin)
    _draw_mouth(draw, big, unit, skin, rng)

    picture = np.asarray(canvas.reduce(_SUPERSAMPLING)) * _shading(points, rng, size)
    sharp = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
    blurred = sharp.filter(ImageFilter.GaussianBlur(rng.uniform(0, 0.006) * size))
    picture = np.asarray(blurred) + rng.normal(scale=rng.uniform(0, 6), size=(size, size))
    return np.clip(picture, 0, 255).astype(np.uint8)


def clipped_normal(rng: np.random.Generator, n: int) -> Floats:
    """Return normal random numbers clipped to two standard deviations, so that no parts of a face cross."""
    return rng.normal(size=n).clip(-2, 2)


@cache
def _spline(n: int) -> Floats:
    """Return the matrix from n points to a Catmull-Rom curve through them, with 6 steps per segment."""
    steps = np.arange(6 * (n - 1) + 1)
    k = np.minimum(steps // 6, n - 2)
    t = (steps / 6 - k)[:, None]
    weights = 0.5 * np.hstack([-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, t**3 - t**2])
    # The curve is extended by reflecting the second and the second to last point.
    extended = np.vstack([2 * np.eye(n)[0] - np.eye(n)[1], np.eye(n), 2 * np.eye(n)[-1] - np.eye(n)[-2]])
    return np.asarray(np.einsum("sj,sjn->sn", weights, extended[k[:, None] + np.arange(4)]))


def _curve(points: Floats) -> Floats:
    curve: Floats = _spline(len(points)) @ points
    return curve


def _polygon(draw: "ImageDraw", points: Floats, gray: float) -> None:
    draw.polygon(np.rint(points).astype(int).ravel().tolist(), fill=_gray(gray))


def _stroke(draw: "ImageDraw", curve: Floats, width: ArrayLike, gray: float) -> None:
    """Draw a line of a given width, one number or one per point."""
    longer = np.concatenate([curve[:1], curve, curve[-1:]])
    along = longer[2:] - longer[:-2]
    across = along[:, ::-1] * (-1, 1) / (np.hypot(*along.T)[:, None] + 1e-9)
    half = across * np.reshape(width, (-1, 1)) / 2
    _polygon(draw, np.concatenate([curve + half, (curve - half)[::-1]]), gray)


def _disc(draw: "ImageDraw", center: Floats, rx: float, ry: float, gray: float) -> None:
    box = np.rint([center[0] - rx, center[1] - ry, center[0] + rx, center[1] + ry]).astype(int)
    draw.ellipse(box.tolist(), fill=_gray(gray))


def _gray(value: float) -> int:
    return int(max(0.0, min(255.0, value)))


def _background(rng: np.random.Generator, size: int) -> "Image.Image":
    from PIL import Image, ImageDraw

    base = rng.uniform(25, 225)
    coarse = np.clip(base + rng.normal(scale=rng.uniform(3, 30), size=(7, 7)), 0, 255).astype(np.uint8)
    side = size * _SUPERSAMPLING
    smooth = Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC)
    canvas = smooth.resize((side, side), Image.Resampling.NEAREST)
    draw = ImageDraw.Draw(canvas)
    for _ in range(rng.integers(4)):
        corners = rng.uniform(-0.2, 1.2, size=(2, 2)) + rng.normal(scale=0.3, size=(2, 1, 2))
        _polygon(draw, side * corners.reshape(4, 2), base + rng.normal() * 40)
    return canvas


def _draw_head(
    draw: "ImageDraw", points: Floats, unit: float, skin: float, hair: float, rng: np.random.Generator
) -> None:
    jaw, skull = points[JAW], points[SKULL]
    middle = (jaw[0] + jaw[16]) / 2
    across, down = (jaw[16] - jaw[0]) / 2, (jaw[8] - middle) / 0.84
    style = rng.choice(["bald", "short", "long"], p=[0.15, 0.5, 0.35])
    outer = _curve(np.concatenate([jaw[15:], skull, jaw[:2]]))
    outer = middle + (outer - middle) * rng.uniform(1.06, 1.2)
    if style != "bald":
        _polygon(draw, outer, hair * 0.8)
    if style == "long":
        ends = middle + np.array([[-1.12], [1.12]]) * across + rng.uniform(0.5, 1.3) * down
        _polygon(draw, np.concatenate([outer, ends]), hair * 0.8)
    # neck and shoulders; the shadow of the chin keeps the jaw visible
    neck = middle + np.array([[-0.62], [0.62]]) * across + 0.45 * down
    below = middle + np.array([[0.66], [2.3], [2.4], [-2.4], [-2.3], [-0.66]]) * across
    below += np.array([[1.15], [1.4], [4.0], [4.0], [1.4], [1.15]]) * down
    _polygon(draw, below, rng.uniform(20, 230))
    _polygon(draw, np.concatenate([neck, below[[0]], middle[None] + 1.35 * down, below[[5]]]), skin * 0.66)
    if style != "long":
        for end, sign in ((jaw[1], -1), (jaw[15], 1)):
            center = end + sign * 0.03 * across - 0.02 * down
            _disc(draw, center, 0.06 * unit, 0.12 * unit, skin * 0.78)
            _disc(draw, center, 0.035 * unit, 0.08 * unit, skin * 0.62)
    face = _curve(np.concatenate([jaw, skull, jaw[:1]]))
    _polygon(draw, face, skin)
    _stroke(draw, _curve(jaw), 0.014 * unit, skin * 0.55)
    if style != "bald":
        # The hairline starts at the ears and is farthest from the outline above the forehead.
        arc = np.sin(np.linspace(0, np.pi, len(outer)))[:, None]
        inner = middle + (outer - middle) * (1 - 0.1 * np.sqrt(arc))
        inner += arc * (rng.uniform(0.02, 0.2) * down + rng.uniform(-0.1, 0.1) * across)
        _polygon(draw, np.concatenate([outer, inner[::-1]]), hair)


def _draw_brows(draw: "ImageDraw", points: Floats, unit: float, ink: float) -> None:
    # Thick at the nose, pointed at the temple.
    taper = np.interp(np.arange(25), [0, 8, 20, 24], [0.01, 0.036, 0.044, 0.03]) * unit
    _stroke(draw, _curve(points[17:22]), taper, ink)
    _stroke(draw, _curve(points[22:27]), taper[::-1], ink)


def _draw_eyes(
    canvas: "Image.Image", points: Floats, unit: float, skin: float, ink: float, rng: np.random.Generator
) -> None:
    """Draw sclera, iris and pupil on a separate layer, and paste the part between the lids."""
    from PIL import Image, ImageDraw

    layer = Image.new("L", canvas.size, _gray(min(245, skin + 70)))
    lids = Image.new("L", canvas.size, 0)
    on_layer, on_lids, draw = ImageDraw.Draw(layer), ImageDraw.Draw(lids), ImageDraw.Draw(canvas)
    iris = min(rng.uniform(25, 110), skin * 0.6)
    gaze = clipped_normal(rng, 2) * (0.016, 0.006) * unit
    for eye in (points[36:42], points[42:48]):
        upper, lower = _curve(eye[:4]), _curve(eye[[3, 4, 5, 0]])
        _polygon(on_lids, np.concatenate([upper, lower]), 255)
        center = eye.mean(axis=0) + gaze
        radius = 0.25 * float(np.hypot(*(eye[3] - eye[0])))
        _disc(on_layer, center, radius, radius, iris)
        _disc(on_layer, center, 0.5 * radius, 0.5 * radius, 12)
        _disc(on_layer, center - 0.35 * radius, 0.2 * radius, 0.2 * radius, 240)
    canvas.paste(layer, mask=lids)
    for eye in (points[36:42], points[42:48]):
        upper, lower = _curve(eye[:4]), _curve(eye[[3, 4, 5, 0]])
        crease = upper + (eye[1:3].mean(axis=0) - eye[4:].mean(axis=0)) * 0.25
        crease += (points[27] - points[28]) * 0.22
        _stroke(draw, crease, 0.008 * unit, skin * 0.72)
        _stroke(draw, lower, 0.009 * unit, skin * 0.6)
        _stroke(draw, upper, 0.02 * unit, ink * 0.8)


def _draw_nose(draw: "ImageDraw", points: Floats, unit: float, skin: float) -> None:
    bridge, base = _curve(points[27:31]), _curve(points[31:36])
    wing, up = points[35] - points[31], points[27] - points[33]
    _stroke(draw, bridge, np.linspace(0.02, 0.045, len(bridge)) * unit, skin * 1.14)
    _disc(draw, points[30], 0.035 * unit, 0.03 * unit, skin * 1.22)
    _stroke(draw, base, 0.016 * unit, skin * 0.62)
    for side, nostril in ((-1, (points[31] + 2 * points[32]) / 3), (1, (points[35] + 2 * points[34]) / 3)):
        _disc(draw, nostril + 0.025 * up, 0.026 * unit, 0.015 * unit, skin * 0.3)
        end = points[31] if side < 0 else points[35]
        rim = _curve(np.array([end, end + 0.07 * side * wing + 0.08 * up, end - 0.03 * side * wing + 0.19 * up]))
        _stroke(draw, rim, np.linspace(0.016, 0.006, len(rim)) * unit, skin * 0.62)


def _draw_mouth(draw: "ImageDraw", points: Floats, unit: float, skin: float, rng: np.random.Generator) -> None:
    lips = skin * rng.uniform(0.5, 0.75)
    upper, lower = _curve(points[48:55]), _curve(points[[54, 55, 56, 57, 58, 59, 48]])
    inner_upper, inner_lower = _curve(points[60:65]), _curve(points[[64, 65, 66, 67, 60]])
    _polygon(draw, np.concatenate([upper, lower]), lips)
    _polygon(draw, np.concatenate([upper, inner_upper[::-1]]), lips * 0.85)
    _polygon(draw, np.concatenate([inner_upper, inner_lower]), 28)
    teeth = inner_upper + 0.4 * (inner_lower[::-1] - inner_upper)
    if rng.random() < 0.6:
        _polygon(draw, np.concatenate([inner_upper, teeth[::-1]]), min(240, skin + 60))
    _stroke(draw, inner_upper, 0.01 * unit, lips * 0.4)
    _stroke(draw, inner_lower, 0.008 * unit, lips * 0.5)


def _shading(points: Floats, rng: np.random.Generator, size: int) -> Floats:
    """Return the factors of light and shadow, (size, size)."""
    from PIL import Image, ImageDraw, ImageFilter

    canvas = Image.new("L", (size, size), 128)
    draw = ImageDraw.Draw(canvas)
    jaw, skull = points[JAW], points[SKULL]
    head = np.concatenate([jaw, skull])
    unit = float(np.hypot(*(points[8] - points[27])))
    light = rng.uniform(-1, 1) * (points[16] - points[0])
    # A head is darker toward its edge, most on the side away from the light.
    _polygon(draw, head, 108)
    _polygon(draw, points[27] + (head - points[27]) * 0.78 + 0.1 * light, 138)
    for eye, brow in ((points[36:42], points[17:22]), (points[42:48], points[22:27])):
        _polygon(draw, np.concatenate([brow, eye[[3, 0]]]), 116)
    _polygon(draw, np.concatenate([points[27:31], points[31:34], points[[39]]]), 128 + 20 * np.sign(light[0]))
    _polygon(draw, np.concatenate([points[27:31], points[[33, 34, 35, 42]]]), 128 - 20 * np.sign(light[0]))
    under = 0.06 * (points[33] - points[27])
    _polygon(draw, np.concatenate([points[31:36], points[[35, 31]] + 2 * under]), 108)
    _polygon(draw, np.concatenate([points[55:60], points[[59, 55]] + 2.5 * under]), 112)
    canvas = canvas.filter(ImageFilter.GaussianBlur(0.05 * unit))
    slope_x, slope_y = rng.normal(scale=0.12, size=(2, 1)) * np.linspace(-1, 1, size)
    factors: Floats = np.asarray(canvas) / 128 * (1 + slope_x + slope_y[:, None])
    return factors
