"""Drawn objects at any position, size and roll, for tests of what finds them."""

import numpy as np
from PIL import Image, ImageDraw

# An outline without symmetry, in sides of the object; its corners are the landmarks.
OUTLINE = np.array([(-0.5, -0.3), (0.1, -0.35), (0.5, 0.05), (0.2, 0.3), (-0.1, 0.1), (-0.4, 0.35)])


def place(x, y, side, roll):
    """Return the landmarks (6, 2) of an object: its middle and size in pixels, its roll in degrees, clockwise."""
    turn = side * np.exp(1j * np.deg2rad(roll))
    points = complex(x, y) + turn * (OUTLINE[:, 0] + 1j * OUTLINE[:, 1])
    return np.column_stack([points.real, points.imag])


def draw(objects, size, rng, level=200):
    """Return a gray photo (rows, columns) with some noise, and objects that are given by their landmarks."""
    columns, rows = size
    image = Image.new("L", (4 * columns, 4 * rows), level)
    pen = ImageDraw.Draw(image)
    for points in objects:
        corners = [tuple(4 * (point + 0.5)) for point in points]
        pen.polygon(corners, fill=level - 110)
        middle, radius = np.mean(corners, axis=0), 0.08 * 4 * np.ptp(points, axis=0).max()
        pen.ellipse([*(middle - radius), *(middle + radius)], fill=level + 40)
        pen.line([corners[0], corners[3]], fill=level - 20, width=8)
    pixels = np.asarray(image.reduce(4)).astype(float) + rng.normal(0, 3, (rows, columns))
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def standard_photos(n, rng):
    """Return photos of one upright object in the middle, and its landmarks (n, 6, 2)."""
    shapes = [
        place(*(60, 50) + rng.normal(0, 3, 2), 60 * np.exp(rng.normal(0, 0.08)), rng.normal(0, 3)) for _ in range(n)
    ]
    shapes = np.array(shapes) + rng.normal(0, 0.4, (n, 6, 2))
    return [draw([shape], (120, 100), rng) for shape in shapes], shapes


def scattered_photo(rng, n=1, size=(300, 240), level=200):
    """Return a larger photo with n objects, and their landmarks (n, 6, 2)."""
    shapes = []
    for i in range(n):
        x = size[0] * (i + 0.5) / n if n > 1 else rng.uniform(0.3, 0.7) * size[0]
        shapes.append(place(x, rng.uniform(0.35, 0.65) * size[1], rng.uniform(55, 80), rng.uniform(-25, 25)))
    return draw(shapes, size, rng, level), np.array(shapes)
