"""Pictures bent so that their landmarks lie elsewhere, and faces averaged."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ert._core.exceptions import InputError
from ert._core.images import check_image
from ert._core.types import Floats
from ert.faces.chip import chip
from ert.faces.regions import check_face

__all__ = [
    "AverageFace",
    "average_face",
    "triangles",
    "warp",
]


# Pixels this near to an edge, in pixels, belong to both triangles: rounding must leave no gap between them,
# nor must a triangle that is no higher than this, which is left out.
_ON_EDGE = 1e-6


def triangles(points: ArrayLike) -> NDArray[np.intp]:
    """Join points to triangles, none of which has another point inside its circumcircle (Delaunay).

    Parameters
    ----------
    points : (n, 2) array-like
        NaN = missing: in no triangle. Of points that coincide one is used.

    Returns
    -------
    int array (n_triangles, 3)
        The numbers of each triangle's corners.

    Raises
    ------
    InputError
        When there are not three points that are known and not on one line.
    """
    placed = check_face(points, many=False)
    known = np.flatnonzero(np.isfinite(placed).all(axis=1))
    joined: NDArray[np.intp] = known[_delaunay(placed[known]).simplices]
    return joined


def warp(
    image: NDArray[np.uint8],
    from_points: ArrayLike,
    to_points: ArrayLike,
    *,
    size: tuple[int, int] | None = None,
    frame: bool = True,
) -> NDArray[np.uint8]:
    """Bend a picture so that points of it come to lie elsewhere, exactly, and all else goes along.

    The points are joined to triangles halfway between the two places, and every triangle moves by an affine
    map of its own; pixels are interpolated linearly, and an image that shrinks is reduced first, without
    aliasing. Triangles may collapse, as in an eye that is shut; where they overlap, one of them is seen.

    Parameters
    ----------
    image : uint8 array (rows, columns) or (rows, columns, 3)
    from_points, to_points : (n, 2) array-like
        x, y of the same points in the image and in the result. Those that are NaN in either are passed over.
    size : (int, int), optional
        Width and height of the result, by default the image's.
    frame : bool
        Whether corners and edges of the image go to those of the result, so that all of it is filled. Else
        what is outside the points' convex hull is black.

    Returns
    -------
    uint8 array (rows, columns) or (rows, columns, 3)

    Raises
    ------
    InputError
        When an argument is not as described, or there are no three points that are not on one line.
    """
    from PIL import Image

    image = check_image(image)
    start, end = check_face(from_points, many=False), check_face(to_points, many=False)
    if start.shape != end.shape:
        raise InputError(
            f"to_points: array of shape {end.shape}, expected that of from_points, {start.shape}"
        )
    width, height = image.shape[1::-1] if size is None else size
    if width < 1 or height < 1:
        raise InputError(f"size: {width} x {height} pixels, expected at least 1 of each")
    known = np.isfinite(start).all(axis=1) & np.isfinite(end).all(axis=1)
    start, end = start[known], end[known]
    if frame:
        start = np.vstack([start, _frame(*image.shape[1::-1])])
        end = np.vstack([end, _frame(width, height)])
    linear = _best_map(start, end)
    mesh = _delaunay((end + np.column_stack([start, np.ones(len(start))]) @ linear) / 2).simplices
    shrinkage = abs(np.linalg.det(linear[:2])) ** -0.5 if np.linalg.det(linear[:2]) else 1.0
    factor = int(min(max(shrinkage + 1e-6, 1.0), *image.shape[:2]))
    if factor > 1:
        image, start = np.array(Image.fromarray(image).reduce(factor)), (start + 0.5) / factor - 0.5
    result = np.zeros((height, width, *image.shape[2:]), np.uint8)
    for before, after in zip(start[mesh], end[mesh], strict=True):
        corners = np.column_stack([after, np.ones(3)])
        longest = np.linalg.norm(after - np.roll(after, 1, axis=0), axis=1).max()
        if abs(np.linalg.det(corners)) <= _ON_EDGE * longest:
            continue
        y, x = _pixels(after, width, height)
        if image.shape == result.shape and np.array_equal(before, after):
            result[y, x] = image[y, x]  # most of a picture, where few landmarks move
            continue
        places = np.column_stack([x, y, np.ones(len(x))]) @ np.linalg.solve(corners, before)
        result[y, x] = _read(image, places)
    return result


class AverageFace(NamedTuple):
    """What many faces have in common."""

    image: NDArray[np.uint8]
    """uint8 (size, size) or (size, size, 3)."""
    landmarks: Floats
    """float64 (n_landmarks, 2), in pixels of the image."""


def average_face(
    images: Sequence[NDArray[np.uint8]],
    landmarks: Sequence[ArrayLike],
    size: int = 256,
    *,
    padding: float = 0.25,
    template: ArrayLike | None = None,
) -> AverageFace:
    """Average faces: their shapes, and their pictures bent to the average shape.

    Parameters
    ----------
    images : sequence of uint8 array (rows, columns) or (rows, columns, 3)
        One for each face; where some are gray and some are not, gray ones are taken as color.
    landmarks : sequence of (n_landmarks, 2) array-like
        x, y in pixels of each face's image; NaN = missing.
    size, padding, template
        See :func:`ert.chip`, which sets each face upright first.

    Returns
    -------
    AverageFace

    Raises
    ------
    InputError
        When there are no faces, or not as many images as shapes, and as `chip` and `warp`.
    """
    if not len(images) or len(images) != len(landmarks):
        raise InputError(f"{len(images)} images and {len(landmarks)} shapes, expected one of each for a face")
    chips = [
        chip(image, shape, size, padding=padding, template=template)
        for image, shape in zip(images, landmarks, strict=True)
    ]
    shapes = np.array([cut.to_chip(shape) for cut, shape in zip(chips, landmarks, strict=True)])
    known = np.isfinite(shapes)
    mean = np.where(known, shapes, 0).sum(axis=0) / np.where(known.any(axis=0), known.sum(axis=0), np.nan)
    color = any(cut.image.ndim == 3 for cut in chips)
    total = np.zeros((size, size, 3) if color else (size, size))
    for cut, shape in zip(chips, shapes, strict=True):
        bent = warp(cut.image, shape, mean)
        total += bent[..., None] if color and bent.ndim == 2 else bent
    return AverageFace(np.rint(total / len(chips)).astype(np.uint8), mean)


def _delaunay(points: Floats):  # type: ignore[no-untyped-def]
    from scipy.spatial import Delaunay, QhullError

    if len(points) < 3:
        raise InputError(f"points: {len(points)} are known, expected at least 3, not on one line")
    try:
        return Delaunay(points)
    except QhullError:
        raise InputError(f"points: all {len(points)} lie on one line, expected a triangle") from None


def _frame(width: int, height: int) -> Floats:
    """Return corners and middles of the edges of a picture, on the outer border of its pixels."""
    places = [(x, y) for y in (0, 0.5, 1) for x in (0, 0.5, 1) if (x, y) != (0.5, 0.5)]
    return np.array(places) * (width, height) - 0.5


def _best_map(start: Floats, end: Floats) -> Floats:
    """Return the affine map (3, 2) that brings points as near to their ends as one map can."""
    extended = np.column_stack([start, np.ones(len(start))])
    return np.asarray(np.linalg.lstsq(extended, end, rcond=None)[0], np.float64)


def _pixels(triangle: Floats, width: int, height: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return rows and columns of the pixels whose centers lie in a triangle or on its edges."""
    low, high = triangle[:, 1].min(), triangle[:, 1].max()
    rows = np.arange(max(np.ceil(low - _ON_EDGE), 0), min(np.floor(high + _ON_EDGE), height - 1) + 1)
    heads, tails = triangle, np.roll(triangle, 1, axis=0)
    slanted = np.abs(tails[:, 1] - heads[:, 1]) > _ON_EDGE
    heads, tails = heads[slanted], tails[slanted]
    along = (rows[:, None] - heads[:, 1]) / (tails - heads)[:, 1]
    crossings = heads[:, 0] + along.clip(0, 1) * (tails - heads)[:, 0]
    beyond = np.abs(along - along.clip(0, 1)) * np.abs(tails - heads)[:, 1]
    crossings[beyond > 2 * _ON_EDGE] = np.nan
    first = np.maximum(np.ceil(np.nanmin(crossings, axis=1) - _ON_EDGE), 0).astype(np.intp)
    last = np.minimum(np.floor(np.nanmax(crossings, axis=1) + _ON_EDGE), width - 1).astype(np.intp)
    counts = np.maximum(last - first + 1, 0)
    inits = np.repeat(first - np.cumsum(counts) + counts, counts)
    return np.repeat(rows.astype(np.intp), counts), inits + np.arange(counts.sum())


def _read(image: NDArray[np.uint8], places: Floats) -> NDArray[np.uint8]:
    from scipy.ndimage import map_coordinates

    channel_order = [image] if image.ndim == 2 else [image[..., i] for i in range(3)]
    read = [
        map_coordinates(channel, places[:, ::-1].T, np.float64, order=1, mode="nearest")
        for channel in channel_order
    ]
    values: NDArray[np.uint8] = np.rint(np.stack(read, axis=-1)).astype(np.uint8)
    return values[:, 0] if image.ndim == 2 else values
