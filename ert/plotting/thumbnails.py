"""An object cut out of its image, with shapes drawn on it, as square pictures are made of."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ert.plotting.landmarks import draw_landmarks

__all__ = [
    "ON_PHOTOS",
    "TRUTH",
    "crop_thumbnail",
    "object_thumbnail",
    "object_view",
    "shortened",
    "to_thumbnail_pixels",
]


# Of the palette of Okabe and Ito, which color-blind readers tell apart: the lighter pair, for photographs.
ON_PHOTOS = ("#56b4e9", "#e69f00")
TRUTH = "#ffffff"

# A tile shows the landmarks and this part of their extent around them.
_MARGIN = 0.15


def object_thumbnail(
    image: npt.NDArray[np.uint8],
    box: npt.NDArray[np.float64],
    shapes: Sequence[npt.NDArray[np.float64]],
    colors: Sequence[str | None],
    size: int,
) -> npt.NDArray[np.uint8]:
    """Cut a square round an object and draw shapes on it.

    Parameters
    ----------
    image : uint8 array (rows, columns) or (rows, columns, 3)
        Gray or RGB; black is what lies outside of it.
    box : (4,) array
        Left, top, width, height in pixels.
    shapes : sequence of (n_landmarks, 2) arrays
        x, y in pixels of the image; NaN = missing. The square holds them all, unless they lie far from the
        box.
    colors : sequence of str or None
        Of the shapes, see :func:`ert.draw.draw_landmarks`.
    size : int
        Side of the tile in pixels.

    Returns
    -------
    uint8 array (size, size, 3)
    """
    left, top, side = object_view(np.vstack(shapes), box)
    view = left, top, min(side, 3 * max(image.shape[:2]))
    placed = [to_thumbnail_pixels(shape, view, size) for shape in shapes]
    return draw_landmarks(crop_thumbnail(image, view, size), placed, colors=colors, min_size=size)


def crop_thumbnail(
    image: npt.NDArray[np.uint8], view: tuple[int, int, int], size: int
) -> npt.NDArray[np.uint8]:
    """Cut a square out of an image (left, top and side in pixels), brought to that size: (size, size, 3)."""
    from PIL import Image

    left, top, side = view
    # Outside the image Pillow's crop is black.
    crop = Image.fromarray(image).convert("RGB").crop((left, top, left + side, top + side))
    how = Image.Resampling.LANCZOS if side > size else Image.Resampling.BICUBIC
    return np.array(crop.resize((size, size), how), np.uint8)


def to_thumbnail_pixels(
    points: npt.NDArray[np.float64], view: tuple[int, int, int], size: int
) -> npt.NDArray[np.float64]:
    """Carry points (..., 2) from pixels of the image to those of a tile of that size."""
    left, top, side = view
    placed: npt.NDArray[np.float64] = (points - (left, top) + 0.5) * (size / side) - 0.5
    return placed


def object_view(points: npt.NDArray[np.float64], box: npt.NDArray[np.float64]) -> tuple[int, int, int]:
    """Give the left, top and side of the square to show: around the landmarks, whole pixels."""
    known = points[np.isfinite(points).all(axis=1)]
    # One box side around the box at most: a landmark gone astray shall not shrink the face to a dot.
    low = np.maximum(known.min(axis=0), box[:2] - box[2:])
    high = np.minimum(known.max(axis=0), box[:2] + 2 * box[2:])
    # Nor shall landmarks that lie far from the box leave nothing to show.
    if (high <= low).any():
        low, high = box[:2], box[:2] + box[2:]
    half = (0.5 + _MARGIN) * max(*(high - low), 2.0)
    left, top = np.floor((low + high) / 2 - half).astype(int).tolist()
    return left, top, int(np.ceil(2 * half))


def shortened(name: str, length: int = 34) -> str:
    """Shorten a file's name in the middle: its end tells more."""
    return name if len(name) <= length else f"{name[: length - 16]}…{name[-15:]}"
