"""Larger photos made from annotated ones: the object moved, resized and turned, several objects, none.

A photo is pasted on a background that continues what its border looks like: its colors, slowly varying light and
noise, with a soft edge, so that the seam does not give the position away. Some backgrounds have another gray level, or
lines and spots. Everything is drawn from the seed.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter, zoom

# Of the canvas in photos, of the move in sides of the canvas, of the size, of the roll in degrees.
CANVAS, MOVE, SIZE, ROLL = 1.6, 0.15, (0.7, 1.4), 20.0
# Several objects on a canvas are smaller; margin of landmarks from the edges of the canvas in its sides.
SIZE_OF_SEVERAL, MARGIN = (0.5, 0.75), 0.02
# Width of the soft edge of a pasted photo, in its shorter side.
FEATHER = 0.06


class Scene(NamedTuple):
    """A photo, and the landmarks (n, n_landmarks, 2) of each of its objects."""

    image: np.ndarray
    landmarks: np.ndarray


@dataclass
class Border:
    """What the border of a photo looks like."""

    color: np.ndarray
    light: float
    noise: float

    @classmethod
    def of(cls, photo):
        """Measure the border of a photo."""
        width = max(4, min(photo.shape[:2]) // 25)
        pixels = photo.astype(float).reshape(*photo.shape[:2], -1)
        sides = [pixels[:width], pixels[-width:], pixels[:, :width].swapaxes(0, 1), pixels[:, -width:].swapaxes(0, 1)]
        ring = np.concatenate([side.reshape(-1, pixels.shape[2]) for side in sides])
        fine = [np.abs(np.diff(side, axis=1)).reshape(-1, pixels.shape[2]) for side in sides]
        spread = np.median(np.abs(ring - np.median(ring, axis=0)))
        return cls(np.median(ring, axis=0), float(min(spread, 25)), float(np.median(np.concatenate(fine))))


def background(border, rows, columns, kind, rng):
    """Return a canvas (rows, columns, channels) of floats: "own" like the border, "other" gray level, "clutter"."""
    color = border.color.copy()
    if kind == "other":
        color = np.clip(color + rng.choice([-1, 1]) * rng.uniform(20, 60), 5, 250)
    waves = zoom(rng.standard_normal((6, 7)), (rows / 6 + 1, columns / 7 + 1), order=1)[:rows, :columns]
    canvas = color + (border.light + 3) * waves[:, :, None]
    canvas += (border.noise + 0.5) * gaussian_filter(rng.standard_normal((rows, columns)), 0.7)[:, :, None]
    if kind == "clutter":
        y, x = np.mgrid[:rows, :columns]
        for _ in range(rng.integers(6, 14)):
            level = color * rng.uniform(0.3, 1.3) + rng.uniform(-20, 20)
            cx, cy, angle = rng.uniform(0, columns), rng.uniform(0, rows), rng.uniform(0, np.pi)
            u = (x - cx) * np.cos(angle) + (y - cy) * np.sin(angle)
            v = (y - cy) * np.cos(angle) - (x - cx) * np.sin(angle)
            length = rng.uniform(0.02, 0.25) * columns
            thick = rng.choice([0.004, 0.01, 0.3]) * (length if rng.random() < 0.5 else columns * 0.3)
            shape = (
                (np.abs(u) < length) & (np.abs(v) < thick)
                if rng.random() < 0.5
                else (u / length) ** 2 + (v / thick) ** 2 < 1
            )
            canvas[shape] = 0.2 * canvas[shape] + 0.8 * level
    return canvas


def _paste(canvas, photo, turn, shift):
    """Paste a photo: its pixel p lies at ``turn @ p + shift``; return the share of each pixel of the canvas."""
    rows, columns = canvas.shape[:2]
    inverse = np.linalg.inv(turn)
    # Pillow counts from the corners of pixels.
    offset = 0.5 - inverse @ (shift + 0.5)
    matrix = (*inverse[0], offset[0], *inverse[1], offset[1])
    y, x = np.mgrid[: photo.shape[0], : photo.shape[1]]
    inside = np.minimum(np.minimum(x, photo.shape[1] - 1 - x), np.minimum(y, photo.shape[0] - 1 - y))
    alpha = np.clip(inside / (FEATHER * min(photo.shape[:2])), 0, 1)
    moved = [
        np.asarray(
            Image.fromarray(part).transform((columns, rows), Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC)
        )
        for part in (photo, np.rint(255 * alpha).astype(np.uint8))
    ]
    share = (moved[1] / 255)[:, :, None]
    canvas[:] = (1 - share) * canvas + share * moved[0].reshape(rows, columns, -1)


def _similarity(scale, degrees):
    cos, sin = scale * np.cos(np.deg2rad(degrees)), scale * np.sin(np.deg2rad(degrees))
    return np.array([[cos, -sin], [sin, cos]])


def _finish(canvas, color):
    image = np.clip(np.rint(canvas), 0, 255).astype(np.uint8)
    return image if color else image[:, :, 0]


def one_object(photo, landmarks, rng, kind="own"):
    """Return a scene with one object, moved, resized and turned."""
    rows, columns = (int(CANVAS * side) for side in photo.shape[:2])
    canvas = background(Border.of(photo), rows, columns, kind, rng)
    scale, degrees = np.exp(rng.uniform(*np.log(SIZE))), rng.uniform(-ROLL, ROLL)
    size = np.array([columns, rows])
    turn = _similarity(scale, degrees)
    moved = landmarks @ turn.T
    low, high = np.nanmin(moved, axis=0), np.nanmax(moved, axis=0)
    # Objects that are too large are made smaller, those beyond an edge are moved back.
    fit = min(1.0, float(((1 - 2 * MARGIN) * size / (high - low)).min()))
    turn, moved, low, high = fit * turn, fit * moved, fit * low, fit * high
    shift = size / 2 - (low + high) / 2 + rng.uniform(-MOVE, MOVE, 2) * size
    shift = np.clip(shift, MARGIN * size - low, (1 - MARGIN) * size - high)
    _paste(canvas, photo, turn, shift)
    return Scene(_finish(canvas, photo.ndim == 3), (moved + shift)[None])


def several_objects(photos, landmarks, rng, kind="own"):
    """Return a scene with the objects of several photos, which do not overlap, as far as there is room."""
    rows, columns = (int(CANVAS * side) for side in photos[0].shape[:2])
    canvas = background(Border.of(photos[0]), rows, columns, kind, rng)
    size, placed, found = np.array([columns, rows]), [], []
    for photo, shape in zip(photos, landmarks, strict=True):
        for _ in range(60):
            turn = _similarity(np.exp(rng.uniform(*np.log(SIZE_OF_SEVERAL))), rng.uniform(-ROLL, ROLL))
            moved = shape @ turn.T
            low, high = np.nanmin(moved, axis=0), np.nanmax(moved, axis=0)
            room = size * (1 - 2 * MARGIN) - (high - low)
            if (room < 0).any():
                continue
            shift = MARGIN * size + rng.random(2) * room - low
            low, high = low + shift, high + shift
            gap = 0.03 * size.min()
            if all((low > other[1] + gap).any() or (high < other[0] - gap).any() for other in placed):
                placed.append((low, high))
                found.append(moved + shift)
                _paste_cut(canvas, photo, shape, turn, shift)
                break
    return Scene(_finish(canvas, photos[0].ndim == 3), np.array(found))


def _paste_cut(canvas, photo, shape, turn, shift):
    """Paste the part of a photo around its landmarks: the rest would cover neighbors."""
    low, high = np.nanmin(shape, axis=0), np.nanmax(shape, axis=0)
    margin = 0.1 * (high - low).max()
    left, top = np.maximum(np.floor(low - margin), 0).astype(int)
    right, bottom = np.ceil(high + margin).astype(int)
    _paste(canvas, np.ascontiguousarray(photo[top:bottom, left:right]), turn, shift + turn @ (left, top))


def no_object(photo, rng, kind="own"):
    """Return a scene of the size of :func:`one_object` with the background alone."""
    rows, columns = (int(CANVAS * side) for side in photo.shape[:2])
    canvas = background(Border.of(photo), rows, columns, kind, rng)
    return Scene(_finish(canvas, photo.ndim == 3), np.empty((0, 1, 2)))
