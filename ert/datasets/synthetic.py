"""Drawn faces with exact landmarks: train, test and learn without any data.

A face is a set of points in three dimensions: the 68 landmarks in iBUG order and an outline of the skull.
Random changes (a wider jaw, an open mouth, a raised brow, ...) make it a person with an expression; a
rotation and a scale put it into the picture, where `ert.synthetic_pictures` draws smooth curves through the
very same points. So the landmarks are where the picture shows them, to a fraction of a pixel.
"""

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ert._core.exceptions import InputError
from ert._core.files import write_atomically
from ert._core.types import Floats
from ert.datasets.synthetic_images import JAW, SKULL, clipped_normal, draw_face
from ert.model.schemes import FACE68_MIRROR

__all__ = [
    "FACE68_TEMPLATE",
    "synthetic_dataset",
    "synthetic_faces",
]


# Unit coordinates: the face is 1 wide at the eyes; x runs to the right of the picture, y down, z to the
# viewer; the origin is the bridge of the nose. Only the subject's right half (left in the picture) is here,
# without the jaw.
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
_BROWS, _NOSE, _EYES, _MOUTH = slice(17, 27), slice(27, 36), slice(36, 48), slice(48, 68)


def _arc(angle: Floats, right: float, down: float, powers: tuple[float, float]) -> tuple[Floats, Floats]:
    """Give x and y of a superellipse's lower half at angles from the vertical, -90 to 90 degrees."""
    sin, cos = np.sin(angle), np.cos(angle)
    return right * np.sign(sin) * np.abs(sin) ** powers[0], down * np.abs(cos) ** powers[1]


def _template() -> Floats:
    points = np.empty((79, 3))
    angle = np.linspace(-1, 1, 17) * np.pi / 2
    x, y = _arc(angle, 0.5, 0.83, (0.65, 1.25))
    points[JAW] = np.column_stack([x, y + 0.01, 0.02 - 0.2 * np.sin(angle) ** 2])
    for index, point in _HALF_FACE.items():
        points[FACE68_MIRROR[index]] = np.multiply(point, (-1, 1, 1))
        points[index] = point
    # From the left of the face (point 16) over the top to its right (point 0), both ends left out.
    x, y = _arc(np.linspace(1, -1, 13)[1:-1] * np.pi / 2, 0.52, -0.66, (0.8, 0.75))
    points[SKULL] = np.column_stack([x, y, np.full(11, -0.18)])
    return points


_TEMPLATE = _template()

FACE68_TEMPLATE: Floats = _TEMPLATE[:68, :2].copy()
"""A frontal face without expression, float64 (68, 2) in iBUG order, read-only.

In units of its own width at the eyes; the origin is the bridge of the nose, x to the right, y down.
"""
FACE68_TEMPLATE.setflags(write=False)


def synthetic_faces(n: int, seed: int = 0, *, size: int = 128) -> tuple[NDArray[np.uint8], Floats, Floats]:
    """Draw faces with exact landmarks and the boxes of an imaginary detector.

    Position, size, roll, yaw, pitch, proportions, expression, skin, hair, light, background, sharpness and
    noise are all random. Face `i` depends on `seed` and `i` only: a longer set begins with the shorter ones.

    Parameters
    ----------
    n : int
        How many faces, one per image.
    seed : int
        Not negative. The same seed gives the same faces.
    size : int
        Width and height of the images in pixels, at least 32.

    Returns
    -------
    images : (n, size, size) uint8 array
        Gray pictures.
    boxes : (n, 4) float64 array
        Left, top, width, height in pixels: square, loose, never quite in place.
    landmarks : (n, 68, 2) float64 array
        In iBUG order, x and y in pixels, pixel centers at whole numbers. A few may lie outside the image.

    Raises
    ------
    InputError
        When `n` or `seed` is negative, or `size` is less than 32.

    Examples
    --------
    >>> from ert.synthetic import synthetic_faces
    >>> images, boxes, landmarks = synthetic_faces(3)
    >>> images.shape, boxes.shape, landmarks.shape
    ((3, 128, 128), (3, 4), (3, 68, 2))
    """
    for name, value, least in (("n", n, 0), ("seed", seed, 0), ("size", size, 32)):
        if value < least:
            raise InputError(f"{name}: expected at least {least}, got {value!r}")
    images = np.empty((n, size, size), dtype=np.uint8)
    boxes = np.empty((n, 4))
    landmarks = np.empty((n, 68, 2))
    for i in range(n):
        rng = np.random.default_rng([seed, i])
        points = _place(_random_face(rng), rng, size)
        landmarks[i] = points[:68]
        boxes[i] = _detect(landmarks[i], rng)
        images[i] = draw_face(points, rng, size)
    return images, boxes, landmarks


def synthetic_dataset(folder: str | os.PathLike[str], n: int, seed: int = 0) -> Path:
    """Write faces of `synthetic_faces` as files, annotated in three formats.

    Parameters
    ----------
    folder : path-like
        Created if it does not exist; files of the same names in it are replaced.
    n : int
        How many faces, one per image.
    seed : int
        Not negative. The same seed gives the same files.

    Returns
    -------
    pathlib.Path
        The folder. In it:

        - ``face_0000.png``, ...: gray images.
        - ``face_0000.pts``, ...: landmarks as in 300-W, with the top left pixel at (1, 1).
        - ``landmarks.xml``: as dlib's imglab writes it, whole pixels from 0, parts ``00`` to ``67``.
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
        raise InputError(f"{folder}: cannot be made a folder: {error.strerror or error}") from error
    names = [f"face_{i:04d}" for i in range(n)]
    for name, image, shape in zip(names, images, landmarks, strict=True):
        with write_atomically(folder / f"{name}.png") as path:
            Image.fromarray(image).save(path)
        with write_atomically(folder / f"{name}.pts") as path:
            path.write_text(_pts(shape), encoding="ascii")
    with write_atomically(folder / "landmarks.xml") as path:
        path.write_text(_imglab(names, boxes, landmarks), encoding="ascii")
    with write_atomically(folder / "landmarks.csv") as path:
        path.write_text(_csv(names, boxes, landmarks), encoding="ascii")
    return folder


def _pts(shape: Floats) -> str:
    lines = [f"{x:.4f} {y:.4f}" for x, y in shape + 1]
    return "\n".join(["version: 1", "n_points: 68", "{", *lines, "}", ""])


def _imglab(names: list[str], boxes: Floats, landmarks: Floats) -> str:
    lines = [
        "<?xml version='1.0' encoding='ISO-8859-1'?>",
        "<dataset>",
        "<name>synthetic faces</name>",
        "<images>",
    ]
    for name, box, shape in zip(
        names, np.rint(boxes).astype(int), np.rint(landmarks).astype(int), strict=True
    ):
        left, top, width, height = box
        lines += [
            f"  <image file='{name}.png'>",
            f"    <box top='{top}' left='{left}' width='{width}' height='{height}'>",
            *(f"      <part name='{k:02d}' x='{x}' y='{y}'/>" for k, (x, y) in enumerate(shape)),
            "    </box>",
            "  </image>",
        ]
    return "\n".join([*lines, "</images>", "</dataset>", ""])


def _csv(names: list[str], boxes: Floats, landmarks: Floats) -> str:
    lines = [",".join(["image,left,top,width,height", *(f"x{k},y{k}" for k in range(68))])]
    for name, box, shape in zip(names, boxes, landmarks, strict=True):
        lines.append(",".join([f"{name}.png", *(f"{value:.4f}" for value in (*box, *shape.ravel()))]))
    return "\n".join([*lines, ""])


def _random_face(rng: np.random.Generator) -> Floats:
    """Give a person with an expression, looking straight ahead: (79, 3) in unit coordinates."""
    points = _TEMPLATE.copy()
    x0, y0, side = _TEMPLATE[:, 0], _TEMPLATE[:, 1], np.sign(_TEMPLATE[:, 0])
    x, y = points[:, 0], points[:, 1]
    chin = (y0[JAW].clip(0) / 0.84) ** 2

    def vary(sd: float) -> float:
        return sd * float(clipped_normal(rng, 1)[0])

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
    # mouth: width, fullness, smile, position, and how far it is open, which takes the chin along
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
    y[JAW] += 0.6 * gape * chin
    # nose and jaw: width, length
    x[_NOSE] *= 1 + vary(0.12)
    longer = vary(0.07)
    y[_NOSE] += longer * y0[_NOSE]
    y[_MOUTH] += 0.7 * longer * y0[33]
    x[JAW] *= 1 + vary(0.07) * chin
    y[JAW] += (vary(0.03) + 0.5 * longer) * chin
    y[SKULL] *= 1 + vary(0.07)
    # the whole: long or broad, flat or deep
    y += vary(0.05) * y.clip(0)
    x *= 1 + vary(0.04)
    points[:, 2] *= 1 + vary(0.12)
    return points


def _place(points: Floats, rng: np.random.Generator, size: int) -> Floats:
    """Turn the head and set it into the picture: (79, 2) in pixels."""
    yaw, pitch, roll = np.radians(clipped_normal(rng, 3) * (11, 6, 8))
    x, y, z = points.T
    x, z = x * np.cos(yaw) - z * np.sin(yaw), x * np.sin(yaw) + z * np.cos(yaw)
    y = y * np.cos(pitch) - z * np.sin(pitch)
    x, y = x * np.cos(roll) - y * np.sin(roll), x * np.sin(roll) + y * np.cos(roll)
    scale = rng.uniform(0.42, 0.56)
    center = rng.uniform(-0.06, 0.06, size=2) + 0.5 - scale * np.array([0, 0.25])
    placed: Floats = size * (center + scale * np.column_stack([x, y])) - 0.5
    return placed


def _detect(landmarks: Floats, rng: np.random.Generator) -> Floats:
    low, high = landmarks.min(axis=0), landmarks.max(axis=0)
    side = (high - low).mean()
    center = (low + high) / 2 + 0.03 * side * clipped_normal(rng, 2)
    side *= 1.05 * np.exp(0.06 * clipped_normal(rng, 1)[0])
    return np.array([*(center - side / 2), side, side])
