"""Thumbnails: objects cut out of their images, with shapes drawn on them."""

from collections.abc import Sequence

import numpy as np

from ert._core.types import Floats, Pixels
from ert.plotting.landmarks import draw_landmarks

# A thumbnail shows the landmarks and a margin of this fraction of their extent.
_MARGIN = 0.15


def object_thumbnail(
    image: Pixels, box: Floats, shapes: Sequence[Floats], colors: Sequence[str | None], size: int
) -> Pixels:
    """Cut out a square around an object and draw shapes on it.

    Parameters
    ----------
    image : (rows, columns) or (rows, columns, 3) uint8 array
        Gray or RGB; pixels outside of it are black.
    box : (4,) array
        Left, top, width, height in pixels.
    shapes : sequence of (n_landmarks, 2) arrays
        x and y in pixels of the image; NaN = missing. The square contains all landmarks, except those far
        from the box.
    colors : sequence of str or None
        Color of each shape, None for the default colors.
    size : int
        Side of the thumbnail in pixels.

    Returns
    -------
    (size, size, 3) uint8 array
    """
    left, top, side = object_view(np.vstack(shapes), box)
    view = left, top, min(side, 3 * max(image.shape[:2]))
    placed = [to_thumbnail_pixels(shape, view, size) for shape in shapes]
    return draw_landmarks(crop_thumbnail(image, view, size), placed, colors=colors, min_size=size)


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
    return name if len(name) <= length else f"{name[: length - 16]}…{name[-15:]}"
