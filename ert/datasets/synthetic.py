"""Synthetic faces with exact landmarks, for training and tests without any data.

A face is a set of points in three dimensions: the 68 landmarks in iBUG order and an outline of the skull.
Random deformations (a wider jaw, an open mouth, a raised brow, ...) give identity and expression; a rotation
and a scale place it in the image, where `synthetic_images` draws smooth curves through the same points. So
the landmarks match the image to a fraction of a pixel.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ert._core.exceptions import InputError
from ert._core.files import write_atomically
from ert._core.types import Floats, StrPath
from ert.datasets.dataset import Dataset
from ert.datasets.formats.csv import write_csv
from ert.datasets.formats.imglab import write_imglab
from ert.datasets.formats.pts import write_pts
from ert.datasets.synthetic_images import JAW, SKULL, clipped_normal, draw_face
from ert.datasets.write import write_text
from ert.model.schemes import FACE68_MIRROR

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
_BROWS, _NOSE, _EYES, _MOUTH = slice(17, 27), slice(27, 36), slice(36, 48), slice(48, 68)


def _arc(angle: Floats, right: float, down: float, powers: tuple[float, float]) -> tuple[Floats, Floats]:
    """Return x and y of the lower half of a superellipse at angles from the vertical, -90 to 90 degrees."""
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
    # From point 16 over the top to point 0, without these two.
    x, y = _arc(np.linspace(1, -1, 13)[1:-1] * np.pi / 2, 0.52, -0.66, (0.8, 0.75))
    points[SKULL] = np.column_stack([x, y, np.full(11, -0.18)])
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
        images[i] = draw_face(points, rng, size)
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
        with write_atomically(file) as path:
            Image.fromarray(image).save(path)
        write_text(file.with_suffix(".pts"), [pts])
    write_text(folder / "landmarks.xml", write_imglab(exact, names))
    write_text(folder / "landmarks.csv", write_csv(rounded, names))
    return folder


def _random_face(rng: np.random.Generator) -> Floats:
    """Return a random face with an expression, frontal: (79, 3), 1 unit wide at the eyes."""
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
    y[JAW] += 0.6 * gape * chin
    # nose and jaw: width, length
    x[_NOSE] *= 1 + vary(0.12)
    longer = vary(0.07)
    y[_NOSE] += longer * y0[_NOSE]
    y[_MOUTH] += 0.7 * longer * y0[33]
    x[JAW] *= 1 + vary(0.07) * chin
    y[JAW] += (vary(0.03) + 0.5 * longer) * chin
    y[SKULL] *= 1 + vary(0.07)
    # the whole face: length, width, depth
    y += vary(0.05) * y.clip(0)
    x *= 1 + vary(0.04)
    points[:, 2] *= 1 + vary(0.12)
    return points


def _project(points: Floats, rng: np.random.Generator, size: int) -> Floats:
    """Rotate the head and place it in the image: (79, 2) in pixels."""
    yaw, pitch, roll = np.radians(clipped_normal(rng, 3) * (11, 6, 8))
    x, y, z = points.T
    x, z = x * np.cos(yaw) - z * np.sin(yaw), x * np.sin(yaw) + z * np.cos(yaw)
    y = y * np.cos(pitch) - z * np.sin(pitch)
    x, y = x * np.cos(roll) - y * np.sin(roll), x * np.sin(roll) + y * np.cos(roll)
    scale = rng.uniform(0.42, 0.56)
    center = rng.uniform(-0.06, 0.06, size=2) + 0.5 - scale * np.array([0, 0.25])
    projected: Floats = size * (center + scale * np.column_stack([x, y])) - 0.5
    return projected


def _simulate_box(landmarks: Floats, rng: np.random.Generator) -> Floats:
    """Return a square around the landmarks with errors in position and size."""
    low, high = landmarks.min(axis=0), landmarks.max(axis=0)
    side = (high - low).mean()
    center = (low + high) / 2 + 0.03 * side * clipped_normal(rng, 2)
    side *= 1.05 * np.exp(0.06 * clipped_normal(rng, 1)[0])
    return np.array([*(center - side / 2), side, side])
