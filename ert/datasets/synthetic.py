"""Synthetic faces with exact landmarks, for training and tests without any data.

A face is a set of points in three dimensions: the 68 landmarks in iBUG order and an outline of the skull.
Random deformations (a wider jaw, an open mouth, a raised brow, ...) give identity and expression; a rotation
and a scale place it in the image, where smooth curves are drawn through the same points. So the landmarks match the
image to a fraction of a pixel.
"""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ert._core.exceptions import InputError
from ert._core.files import write_atomically, write_text
from ert._core.types import Floats, StrPath
from ert.datasets.dataset import Dataset
from ert.datasets.formats.csv import write_csv
from ert.datasets.formats.imglab import write_imglab
from ert.datasets.formats.pts import write_pts
from ert.model.schemes import FACE68_MIRROR

if TYPE_CHECKING:
    from PIL import Image
    from PIL.ImageDraw import ImageDraw

# The face is 1 unit wide at the eyes; x points right in the image, y down, z to the viewer; the origin is the
# bridge of the nose. Only the subject's right half (left in the image), without the jaw.
# fmt: off
_HALF_FACE = {
    # brow
    17: (-0.415, -0.135, -0.06), 18: (-0.360, -0.185, -0.01), 19: (-0.280, -0.203, 0.03),
    20: (-0.190, -0.190, 0.06), 21: (-0.100, -0.160, 0.08),
    # eye
    36: (-0.315, 0.008, -0.04), 37: (-0.262, -0.037, -0.01), 38: (-0.192, -0.039, 0.00),
    39: (-0.135, 0.014, 0.00), 40: (-0.192, 0.030, 0.00), 41: (-0.258, 0.032, -0.01),
    # nose
    27: (0.000, 0.000, 0.08), 28: (0.000, 0.095, 0.12), 29: (0.000, 0.190, 0.16), 30: (0.000, 0.280, 0.20),
    31: (-0.088, 0.335, 0.06), 32: (-0.044, 0.353, 0.09), 33: (0.000, 0.366, 0.11),
    # lips, outer and inner
    48: (-0.185, 0.522, 0.02), 49: (-0.120, 0.486, 0.06), 50: (-0.045, 0.466, 0.09), 51: (0.000, 0.476, 0.09),
    57: (0.000, 0.610, 0.08), 58: (-0.048, 0.606, 0.08), 59: (-0.115, 0.580, 0.05),
    60: (-0.160, 0.524, 0.03), 61: (-0.055, 0.514, 0.07), 62: (0.000, 0.519, 0.08),
    66: (0.000, 0.531, 0.08), 67: (-0.055, 0.528, 0.07),
}
# fmt: on
# Of the 79 points of a face: the landmarks of the jaw, and the outline of the skull after the 68.
_JAW, _SKULL = slice(0, 17), slice(68, 79)
_BROWS, _NOSE, _EYES, _MOUTH = slice(17, 27), slice(27, 36), slice(36, 48), slice(48, 68)


def _arc(angle: Floats, right: float, down: float, powers: tuple[float, float]) -> tuple[Floats, Floats]:
    """Return x and y of the lower half of a superellipse at angles from the vertical, -90 to 90 degrees."""
    sin, cos = np.sin(angle), np.cos(angle)
    return right * np.sign(sin) * np.abs(sin) ** powers[0], down * np.abs(cos) ** powers[1]


def _template() -> Floats:
    points = np.empty((79, 3))
    angle = np.linspace(-1, 1, 17) * np.pi / 2
    x, y = _arc(angle, 0.5, 0.83, (0.65, 1.25))
    points[_JAW] = np.column_stack([x, y + 0.01, 0.02 - 0.2 * np.sin(angle) ** 2])
    for index, point in _HALF_FACE.items():
        points[FACE68_MIRROR[index]] = np.multiply(point, (-1, 1, 1))
        points[index] = point
    # From point 16 over the top to point 0, without these two.
    x, y = _arc(np.linspace(1, -1, 13)[1:-1] * np.pi / 2, 0.52, -0.66, (0.8, 0.75))
    points[_SKULL] = np.column_stack([x, y, np.full(11, -0.18)])
    return points


_TEMPLATE = _template()

FACE68_TEMPLATE: Floats = _TEMPLATE[:68, :2].copy()
"""A frontal neutral face, float64 (68, 2) in iBUG order, read-only.

In units of its width at the eyes; the origin is the bridge of the nose, x points right, y down.
"""
FACE68_TEMPLATE.setflags(write=False)


def synthetic_faces(n: int, seed: int = 0, *, size: int = 128) -> tuple[NDArray[np.uint8], Floats, Floats]:
    """Draw faces with exact landmarks and the boxes of a simulated detector.

    Position, size, roll, yaw, pitch, proportions, expression, skin, hair, light, background, sharpness and
    noise are random. Face `i` depends only on `seed` and `i`: a larger set starts with the smaller ones.

    Parameters
    ----------
    n : int
        Number of faces, one per image.
    seed : int
        Not negative. The same seed gives the same faces.
    size : int
        Width and height of the images in pixels, at least 32.

    Returns
    -------
    images : (n, size, size) uint8 array
        Gray images.
    boxes : (n, 4) float64 array
        Left, top, width, height in pixels: square and slightly off, as from a detector.
    landmarks : (n, 68, 2) float64 array
        In iBUG order, x and y in pixels; pixel centers are integers. A few may be outside the image.

    Raises
    ------
    InputError
        When `n` or `seed` is negative, or `size` is less than 32.

    Examples
    --------
    >>> from ert.datasets import synthetic_faces
    >>> images, boxes, landmarks = synthetic_faces(3)
    >>> images.shape, boxes.shape, landmarks.shape
    ((3, 128, 128), (3, 4), (3, 68, 2))
    """
    for name, value, minimum in (("n", n, 0), ("seed", seed, 0), ("size", size, 32)):
        if value < minimum:
            raise InputError(f"{name}: expected at least {minimum}, got {value!r}")
    images = np.empty((n, size, size), dtype=np.uint8)
    boxes = np.empty((n, 4))
    landmarks = np.empty((n, 68, 2))
    for i in range(n):
        rng = np.random.default_rng([seed, i])
        points = _project(_random_face(rng), rng, size)
        landmarks[i] = points[:68]
        boxes[i] = _simulate_box(landmarks[i], rng)
        images[i] = _draw_face(points, rng, size)
    return images, boxes, landmarks


def synthetic_dataset(folder: StrPath, n: int, seed: int = 0) -> Path:
    """Write faces of `synthetic_faces` as files, annotated in three formats.

    Parameters
    ----------
    folder : path-like
        Created if it does not exist; files of the same names in it are replaced.
    n : int
        Number of faces, one per image.
    seed : int
        Not negative. The same seed gives the same files.

    Returns
    -------
    pathlib.Path
        The folder. It contains:

        - ``face_0000.png``, ...: gray images.
        - ``face_0000.pts``, ...: landmarks as in 300-W, where the first pixel is 1, 1.
        - ``landmarks.xml``: imglab, integers that count from 0, parts ``00`` to ``67``.
        - ``landmarks.csv``: ``image,left,top,width,height,x0,y0,...,x67,y67``, pixels from 0.

    Raises
    ------
    InputError
        When `n` or `seed` is negative, or the folder or a file cannot be written.
    """
    from PIL import Image

    images, boxes, landmarks = synthetic_faces(n, seed)
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot create folder: {error.strerror or error}") from error
    names = [f"face_{i:04d}.png" for i in range(n)]
    files = [folder / name for name in names]
    padded, numbers = tuple(f"{k:02d}" for k in range(68)), tuple(map(str, range(68)))
    exact = Dataset(files, boxes, landmarks, padded, "synthetic faces")
    rounded = Dataset(files, boxes.round(4), landmarks.round(4), numbers, "synthetic faces")
    for file, image, pts in zip(files, images, write_pts(rounded, names), strict=True):
        with write_atomically(file, "image") as path:
            Image.fromarray(image).save(path)
        with write_text(file.with_suffix(".pts"), "pts") as target:
            target.write(pts)
    with write_text(folder / "landmarks.xml", "imglab") as target:
        target.writelines(write_imglab(exact, names))
    with write_text(folder / "landmarks.csv", "csv") as target:
        target.writelines(write_csv(rounded, names))
    return folder


def _random_face(rng: np.random.Generator) -> Floats:
    """Return a random face with an expression, frontal: (79, 3), 1 unit wide at the eyes."""
    points = _TEMPLATE.copy()
    x0, y0, side = _TEMPLATE[:, 0], _TEMPLATE[:, 1], np.sign(_TEMPLATE[:, 0])
    x, y = points[:, 0], points[:, 1]
    chin = (y0[_JAW].clip(0) / 0.84) ** 2

    def vary(sd: float) -> float:
        return sd * float(_clipped_normal(rng, 1)[0])

    # eyes: size, openness (of both, of one), slant
    eye_x, eye_y = x0[_EYES] - side[_EYES] * 0.225, y0[_EYES] - 0.002
    scale = 1 + vary(0.09)
    openness = max(0.25, 1 + vary(0.35)) + side[_EYES] * vary(0.06)
    x[_EYES] += (scale - 1) * eye_x
    y[_EYES] += (scale * openness - 1) * eye_y + vary(0.08) * side[_EYES] * eye_x
    # brows: height (of both, of one), tilt, length, arch
    brow_x = x0[_BROWS] - side[_BROWS] * 0.26
    y[_BROWS] += vary(0.022) + vary(0.01) * side[_BROWS] + vary(0.08) * side[_BROWS] * brow_x
    y[_BROWS] += vary(0.5) * (brow_x**2 - 0.013)
    x[_BROWS] += vary(0.05) * brow_x
    apart = vary(0.01) * side[17:48]
    x[_BROWS] += apart[:10]
    x[_EYES] += apart[19:]
    # mouth: width, fullness, smile, position, and opening, which moves the chin
    x[_MOUTH] *= 1 + vary(0.1)
    smile = 0.4 + vary(0.9)
    y[_MOUTH] += smile * (0.009 - 0.9 * x0[_MOUTH] ** 2) + vary(0.012) + vary(0.03) * x0[_MOUTH]
    x[_MOUTH] *= 1 + 0.08 * smile
    fullness = vary(0.008)
    y[49:54] -= fullness
    y[55:60] += fullness
    gape = 0.16 * rng.beta(0.5, 1.6)
    y[[56, 57, 58, 65, 66, 67]] += gape
    y[[55, 59]] += 0.8 * gape
    y[[49, 50, 51, 52, 53, 61, 62, 63]] -= 0.1 * gape
    y[[48, 54, 60, 64]] += 0.35 * gape
    x[_MOUTH] *= 1 - 0.6 * gape
    y[_JAW] += 0.6 * gape * chin
    # nose and jaw: width, length
    x[_NOSE] *= 1 + vary(0.12)
    longer = vary(0.07)
    y[_NOSE] += longer * y0[_NOSE]
    y[_MOUTH] += 0.7 * longer * y0[33]
    x[_JAW] *= 1 + vary(0.07) * chin
    y[_JAW] += (vary(0.03) + 0.5 * longer) * chin
    y[_SKULL] *= 1 + vary(0.07)
    # the whole face: length, width, depth
    y += vary(0.05) * y.clip(0)
    x *= 1 + vary(0.04)
    points[:, 2] *= 1 + vary(0.12)
    return points


def _project(points: Floats, rng: np.random.Generator, size: int) -> Floats:
    """Rotate the head and place it in the image: (79, 2) in pixels."""
    yaw, pitch, roll = np.radians(_clipped_normal(rng, 3) * (11, 6, 8))
    x, y, z = points.T
    x, z = x * np.cos(yaw) - z * np.sin(yaw), x * np.sin(yaw) + z * np.cos(yaw)
    y = y * np.cos(pitch) - z * np.sin(pitch)
    x, y = x * np.cos(roll) - y * np.sin(roll), x * np.sin(roll) + y * np.cos(roll)
    scale = rng.uniform(0.42, 0.56)
    center = rng.uniform(-0.06, 0.06, size=2) + 0.5 - scale * np.array([0, 0.25])
    return size * (center + scale * np.column_stack([x, y])) - 0.5


def _simulate_box(landmarks: Floats, rng: np.random.Generator) -> Floats:
    """Return a square around the landmarks with errors in position and size."""
    low, high = landmarks.min(axis=0), landmarks.max(axis=0)
    side = (high - low).mean()
    center = (low + high) / 2 + 0.03 * side * _clipped_normal(rng, 2)
    side *= 1.05 * np.exp(0.06 * _clipped_normal(rng, 1)[0])
    return np.array([*(center - side / 2), side, side])


# --- images ---

# Corners of Pillow's polygons are integers; at four times the size they are exact to 1/8 pixel.
_SUPERSAMPLING = 4


def _draw_face(points: Floats, rng: np.random.Generator, size: int) -> NDArray[np.uint8]:
    """Draw a face through its 79 points, with random hair, light, background, sharpness and noise: (size, size)."""
    from PIL import Image, ImageDraw, ImageFilter

    skin, hair = rng.uniform(95, 215), rng.choice([25, 45, 80, 150, 205]) + rng.uniform(-15, 15)
    ink = min(skin, hair + 40) * 0.45  # brows and lashes match the hair but stay darker than the skin
    big = (points + 0.5) * _SUPERSAMPLING - 0.5
    # Width of the face, estimated from its height, which hardly depends on yaw.
    unit = 1.2 * float(np.hypot(*(big[8] - big[27])))

    canvas = _background(rng, size)
    draw = ImageDraw.Draw(canvas)
    _draw_head(draw, big, unit, skin, hair, rng)
    # Brows are thick at the nose, pointed at the temple.
    taper = np.interp(np.arange(25), [0, 8, 20, 24], [0.01, 0.036, 0.044, 0.03]) * unit
    _stroke(draw, _curve(big[17:22]), taper, ink)
    _stroke(draw, _curve(big[22:27]), taper[::-1], ink)
    _draw_eyes(canvas, big, unit, skin, ink, rng)
    _draw_nose(draw, big, unit, skin)
    _draw_mouth(draw, big, unit, skin, rng)

    picture = np.asarray(canvas.reduce(_SUPERSAMPLING)) * _shading(points, rng, size)
    sharp = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
    blurred = sharp.filter(ImageFilter.GaussianBlur(rng.uniform(0, 0.006) * size))
    picture = np.asarray(blurred) + rng.normal(scale=rng.uniform(0, 6), size=(size, size))
    return np.clip(picture, 0, 255).astype(np.uint8)


def _clipped_normal(rng: np.random.Generator, n: int) -> Floats:
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
    return _spline(len(points)) @ points


def _polygon(draw: "ImageDraw", points: Floats, gray: float) -> None:
    draw.polygon(np.rint(points).astype(int).ravel().tolist(), fill=int(np.clip(gray, 0, 255)))


def _stroke(draw: "ImageDraw", curve: Floats, width: ArrayLike, gray: float) -> None:
    """Draw a line of a given width, one number or one per point."""
    longer = np.concatenate([curve[:1], curve, curve[-1:]])
    along = longer[2:] - longer[:-2]
    across = along[:, ::-1] * (-1, 1) / (np.hypot(*along.T)[:, None] + 1e-9)
    half = across * np.reshape(width, (-1, 1)) / 2
    _polygon(draw, np.concatenate([curve + half, (curve - half)[::-1]]), gray)


def _disc(draw: "ImageDraw", center: Floats, rx: float, ry: float, gray: float) -> None:
    box = np.rint([center[0] - rx, center[1] - ry, center[0] + rx, center[1] + ry]).astype(int)
    draw.ellipse(box.tolist(), fill=int(np.clip(gray, 0, 255)))


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
    jaw, skull = points[_JAW], points[_SKULL]
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
    _polygon(draw, _curve(np.concatenate([jaw, skull, jaw[:1]])), skin)
    _stroke(draw, _curve(jaw), 0.014 * unit, skin * 0.55)
    if style != "bald":
        # The hairline starts at the ears and is farthest from the outline above the forehead.
        arc = np.sin(np.linspace(0, np.pi, len(outer)))[:, None]
        inner = middle + (outer - middle) * (1 - 0.1 * np.sqrt(arc))
        inner += arc * (rng.uniform(0.02, 0.2) * down + rng.uniform(-0.1, 0.1) * across)
        _polygon(draw, np.concatenate([outer, inner[::-1]]), hair)


def _draw_eyes(
    canvas: "Image.Image", points: Floats, unit: float, skin: float, ink: float, rng: np.random.Generator
) -> None:
    """Draw sclera, iris and pupil on a separate layer, and paste the part between the lids."""
    from PIL import Image, ImageDraw

    layer = Image.new("L", canvas.size, int(min(245, skin + 70)))
    lids = Image.new("L", canvas.size, 0)
    on_layer, on_lids, draw = ImageDraw.Draw(layer), ImageDraw.Draw(lids), ImageDraw.Draw(canvas)
    iris = min(rng.uniform(25, 110), skin * 0.6)
    gaze = _clipped_normal(rng, 2) * (0.016, 0.006) * unit
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
        crease = upper + (eye[1:3].mean(axis=0) - eye[4:].mean(axis=0)) * 0.25 + (points[27] - points[28]) * 0.22
        _stroke(draw, crease, 0.008 * unit, skin * 0.72)
        _stroke(draw, lower, 0.009 * unit, skin * 0.6)
        _stroke(draw, upper, 0.02 * unit, ink * 0.8)


def _draw_nose(draw: "ImageDraw", points: Floats, unit: float, skin: float) -> None:
    bridge, base = _curve(points[27:31]), _curve(points[31:36])
    wing, up = points[35] - points[31], points[27] - points[33]
    _stroke(draw, bridge, np.linspace(0.02, 0.045, len(bridge)) * unit, skin * 1.14)
    _disc(draw, points[30], 0.035 * unit, 0.03 * unit, skin * 1.22)
    _stroke(draw, base, 0.016 * unit, skin * 0.62)
    for side, end, inner in ((-1, points[31], points[32]), (1, points[35], points[34])):
        _disc(draw, (end + 2 * inner) / 3 + 0.025 * up, 0.026 * unit, 0.015 * unit, skin * 0.3)
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
    head = np.concatenate([points[_JAW], points[_SKULL]])
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
