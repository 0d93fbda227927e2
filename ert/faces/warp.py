"""Aligned face crops, piecewise affine image warps and average faces."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ert._core.arguments import checked_arguments
from ert._core.exceptions import InputError, quoted
from ert._core.images import check_image
from ert._core.types import Floats, Pixels
from ert.faces.regions import check_face
from ert.model.procrustes import fit_similarity
from ert.model.schemes import FACE5_OF_FACE68
from ert.predictor import load

# Pixels within this distance of an edge belong to both triangles, so that rounding leaves no gap between
# them. Triangles of less height are skipped.
_TOLERANCE_PIXELS = 1e-6
# Longest side of a picture that is made, which takes up to 2 GB.
MAX_SIZE_PIXELS = 10_000


@dataclass(frozen=True, repr=False)
class Chip:
    """An aligned crop of a face.

    Parameters
    ----------
    image : uint8 array (size, size) or (size, size, 3)
    matrix : float array (2, 3)
        Transform from image to chip coordinates: ``chip_xy = matrix @ (x, y, 1)``.
    """

    image: Pixels
    matrix: Floats

    def to_chip(self, points: ArrayLike) -> Floats:
        """Transform points (..., 2) from image to chip coordinates."""
        chip_points: Floats = np.asarray(points, np.float64) @ self.matrix[:, :2].T + self.matrix[:, 2]
        return chip_points

    def to_image(self, points: ArrayLike) -> Floats:
        """Transform points (..., 2) from chip to image coordinates."""
        inverse = np.linalg.inv(self.matrix[:, :2])
        image_points: Floats = (np.asarray(points, np.float64) - self.matrix[:, 2]) @ inverse.T
        return image_points

    def __repr__(self) -> str:
        rows, columns = self.image.shape[:2]
        color = "gray" if self.image.ndim == 2 else "color"
        a, b = self.matrix[:, 0]
        angle = math.degrees(math.atan2(b, a))
        return f"Chip({columns} x {rows} pixels, {color}, scale {math.hypot(a, b):.3g}, rotation {angle:.1f}°)"


@checked_arguments
def chip(
    image: Pixels, landmarks: ArrayLike, size: int = 160, *, padding: float = 0.25, template: ArrayLike | None = None
) -> Chip:
    """Crop a face, moved, rotated and scaled so that its landmarks match a template.

    The similarity is fitted by least squares and keeps proportions and expression. Pixels outside the image
    are black. Large faces are reduced without aliasing.

    Parameters
    ----------
    image : uint8 array (rows, columns) or (rows, columns, 3)
        The order of the colors does not matter.
    landmarks : (n_landmarks, 2) array-like
        x, y in pixels; NaN = missing.
    size : int
        Side of the chip in pixels.
    padding : float
        Without `template`: margin on each side of the 68 landmarks, as a fraction of their longer extent.
    template : (n_landmarks, 2) array-like, optional
        Target positions of the landmarks in the chip, in its pixels. By default the mean shape of `face68`,
        for its 68 landmarks and for the five of `face5`.

    Returns
    -------
    Chip
        The crop and the transform of its points.

    Raises
    ------
    InputError
        When an argument is invalid, or fewer than two distinct landmarks are present.

    Examples
    --------
    >>> image = ert.load_image(ert.sample_image())
    >>> ert.chip(image, ert.align(image)[0].landmarks, size=150).image.shape
    (150, 150, 3)
    """
    image = check_image(image)
    if not 1 <= size <= MAX_SIZE_PIXELS:
        raise InputError(f"size: {quoted(size)} pixels, expected 1 to {MAX_SIZE_PIXELS}")
    if template is None:
        points = check_face(landmarks, 68, 5, many=False)
        target = face_template(len(points), size, padding)
    else:
        points, target = check_face(landmarks, many=False), np.asarray(template, np.float64)
        if target.shape != points.shape:
            raise InputError(f"template: array of shape {target.shape}, expected {points.shape}")
    matrix = _chip_matrix(points, target)
    return Chip(_crop(image, matrix, size), matrix)


def face_template(n_landmarks: int, size: int, padding: float = 0.25) -> Floats:
    """Return the mean shape of `face68`, or of its five landmarks in `face5`, in pixels of a chip."""
    if not 0 <= padding < math.inf:
        raise InputError(f"padding: {padding!r}, expected 0 or more")
    mean = _mean_face()
    low, high = mean.min(axis=0), mean.max(axis=0)
    # A chip extends half a pixel beyond the centers of its outermost pixels.
    scale = size / ((high - low).max() * (1 + 2 * padding))
    placed: Floats = (mean - (low + high) / 2) * scale + (size - 1) / 2
    return placed if n_landmarks == 68 else placed[list(FACE5_OF_FACE68)]


@cache
def _mean_face() -> Floats:
    return np.array(load("face68").fitted_.cascade.mean_shape, np.float64)


def _chip_matrix(points: Floats, target: Floats) -> Floats:
    """Return the least-squares similarity (2, 3) from points to a target."""
    known = np.isfinite(points).all(axis=1) & np.isfinite(target).all(axis=1)
    if known.sum() < 2 or not np.ptp(points[known], axis=0).sum() > 0:
        raise InputError(f"landmarks: {known.sum()} are present, expected at least two distinct ones")
    turn, middle, center = fit_similarity(points[known], target[known])
    if abs(turn) == 0:
        raise InputError("template: all points coincide, expected a shape")
    shift = center - turn * middle
    return np.array([(turn.real, -turn.imag, shift.real), (turn.imag, turn.real, shift.imag)])


def _crop(image: Pixels, matrix: Floats, size: int) -> Pixels:
    """Resample a chip (size, size) or (size, size, 3) from the image."""
    from PIL import Image

    # `back` transforms chip to image coordinates. In Pillow the center of the first pixel is (0.5, 0.5).
    back = np.linalg.inv(np.vstack([matrix, (0, 0, 1)]))[:2]
    back[:, 2] += 0.5 - back[:, :2].sum(axis=1) / 2
    corners = np.array([(0, 0, 1), (size, 0, 1), (0, size, 1), (size, size, 1)]) @ back.T
    factor = int(min(max(math.hypot(*back[:, 0]) + 1e-6, 1), max(image.shape[:2])))
    low = np.maximum(np.floor(corners.min(axis=0)) - 2 * factor, 0).astype(int)
    high = np.minimum(np.ceil(corners.max(axis=0)) + 2 * factor, image.shape[1::-1]).astype(int)
    if (high <= low).any():
        return np.zeros((size, size, *image.shape[2:]), np.uint8)
    part = Image.fromarray(np.ascontiguousarray(image[low[1] : high[1], low[0] : high[0]]))
    back[:, 2] -= low
    if factor > 1:
        part, back = part.reduce(factor), back / factor
    coefficients: Any = tuple(back.ravel().tolist())
    cut = np.empty((size, size, len(part.getbands())))
    for number, channel in enumerate(part.split()):
        # As floats, because Pillow truncates the fractions of bytes.
        floats = channel.convert("F")
        floats = floats.transform((size, size), Image.Transform.AFFINE, coefficients, Image.Resampling.BICUBIC)
        cut[..., number] = np.asarray(floats)
    pixels: Pixels = np.rint(cut.clip(0, 255)).astype(np.uint8).reshape(size, size, *image.shape[2:])
    return pixels


@checked_arguments
def triangles(points: ArrayLike) -> NDArray[np.intp]:
    """Return the Delaunay triangulation of points.

    Parameters
    ----------
    points : (n, 2) array-like
        NaN = missing, in no triangle. Of coinciding points one is used.

    Returns
    -------
    int array (n_triangles, 3)
        The indices of each triangle's corners.

    Raises
    ------
    InputError
        When fewer than three points are present or all are collinear.
    """
    checked = check_face(points, many=False)
    known = np.flatnonzero(np.isfinite(checked).all(axis=1))
    corners: NDArray[np.intp] = known[_delaunay(checked[known]).simplices]
    return corners


@checked_arguments
def warp(
    image: Pixels,
    from_points: ArrayLike,
    to_points: ArrayLike,
    *,
    size: tuple[int, int] | None = None,
    border: bool = True,
) -> Pixels:
    """Warp an image so that some of its points move to given positions (piecewise affine).

    The points are triangulated halfway between their two positions, and each triangle is mapped by its own
    affine transform with linear interpolation; an image that shrinks is reduced first, without aliasing.
    Triangles may collapse, as in an eye that closes; where they overlap, one of them is visible.

    Parameters
    ----------
    image : uint8 array (rows, columns) or (rows, columns, 3)
    from_points, to_points : (n, 2) array-like
        x, y of the same points in the image and in the result. Points that are NaN in either are ignored.
    size : (int, int), optional
        Width and height of the result, by default those of the image.
    border : bool
        Map the corners and edges of the image to those of the result, which fills all of it. Otherwise
        pixels outside the convex hull of the points are black.

    Returns
    -------
    uint8 array (rows, columns) or (rows, columns, 3)

    Raises
    ------
    InputError
        When an argument is invalid, or as :func:`triangles`.
    """
    from PIL import Image

    image = check_image(image)
    start, end = check_face(from_points, many=False), check_face(to_points, many=False)
    if start.shape != end.shape:
        raise InputError(f"to_points: array of shape {end.shape}, expected that of from_points, {start.shape}")
    sides = image.shape[1::-1] if size is None else size
    if len(sides) != 2 or (size is not None and not 1 <= min(size) <= max(size) <= MAX_SIZE_PIXELS):
        raise InputError(f"size: {quoted(size)}, expected width and height, each 1 to {MAX_SIZE_PIXELS} pixels")
    width, height = sides
    known = np.isfinite(start).all(axis=1) & np.isfinite(end).all(axis=1)
    start, end = start[known], end[known]
    if border:
        start = np.vstack([start, _border_points(*image.shape[1::-1])])
        end = np.vstack([end, _border_points(width, height)])
    extended = np.column_stack([start, np.ones(len(start))])
    affine = np.linalg.lstsq(extended, end, rcond=None)[0]
    mesh = _delaunay((end + extended @ affine) / 2).simplices
    determinant = abs(np.linalg.det(affine[:2]))
    shrinkage = determinant**-0.5 if determinant else 1.0
    factor = int(min(max(shrinkage + 1e-6, 1.0), *image.shape[:2]))
    if factor > 1:
        image, start = np.array(Image.fromarray(image).reduce(factor)), (start + 0.5) / factor - 0.5
    result = np.zeros((height, width, *image.shape[2:]), np.uint8)
    for before, after in zip(start[mesh], end[mesh], strict=True):
        corners = np.column_stack([after, np.ones(3)])
        longest = np.linalg.norm(after - np.roll(after, 1, axis=0), axis=1).max()
        if abs(np.linalg.det(corners)) <= _TOLERANCE_PIXELS * longest:
            continue
        y, x = _pixels(after, width, height)
        if image.shape == result.shape and np.array_equal(before, after):
            result[y, x] = image[y, x]  # most triangles, when few landmarks move
            continue
        source = np.column_stack([x, y, np.ones(len(x))]) @ np.linalg.solve(corners, before)
        result[y, x] = _interpolate(image, source)
    return result


class AverageFace(NamedTuple):
    """An average of faces."""

    image: Pixels
    """uint8 (size, size) or (size, size, 3)."""
    landmarks: Floats
    """float64 (n_landmarks, 2), in pixels of the image."""


@checked_arguments
def average_face(
    images: Sequence[Pixels],
    landmarks: Sequence[ArrayLike],
    size: int = 256,
    *,
    padding: float = 0.25,
    template: ArrayLike | None = None,
) -> AverageFace:
    """Average faces: their shapes, and their images warped to the average shape.

    Parameters
    ----------
    images : sequence of uint8 array (rows, columns) or (rows, columns, 3)
        One per face; the average of gray and color images is in color.
    landmarks : sequence of (n_landmarks, 2) array-like
        x, y in pixels of each face's image; NaN = missing.
    size, padding, template
        As for :func:`ert.chip`, which first aligns each face.

    Returns
    -------
    AverageFace

    Raises
    ------
    InputError
        When there are no faces or the numbers of images and shapes differ; as `chip` and `warp`.
    """
    if not len(images) or len(images) != len(landmarks):
        raise InputError(f"{len(images)} images and {len(landmarks)} shapes, expected one of each per face")
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
        warped = warp(cut.image, shape, mean)
        total += warped[..., None] if color and warped.ndim == 2 else warped
    return AverageFace(np.rint(total / len(chips)).astype(np.uint8), mean)


def _delaunay(points: Floats):  # type: ignore[no-untyped-def]
    from scipy.spatial import Delaunay, QhullError

    if len(points) < 3:
        raise InputError(f"points: {len(points)} are present, expected at least 3, not collinear")
    try:
        return Delaunay(points)
    except QhullError:
        raise InputError(f"points: all {len(points)} are collinear, expected a triangle") from None


def _border_points(width: int, height: int) -> Floats:
    """Return the corners and the midpoints of the edges of an image, on the outer edges of its pixels."""
    points = [(x, y) for y in (0, 0.5, 1) for x in (0, 0.5, 1) if (x, y) != (0.5, 0.5)]
    return np.array(points) * (width, height) - 0.5


def _pixels(triangle: Floats, width: int, height: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the rows and columns of the pixels whose centers are in a triangle or on its edges."""
    low, high = triangle[:, 1].min(), triangle[:, 1].max()
    rows = np.arange(max(np.ceil(low - _TOLERANCE_PIXELS), 0), min(np.floor(high + _TOLERANCE_PIXELS), height - 1) + 1)
    heads, tails = triangle, np.roll(triangle, 1, axis=0)
    slanted = np.abs(tails[:, 1] - heads[:, 1]) > _TOLERANCE_PIXELS
    heads, tails = heads[slanted], tails[slanted]
    along = (rows[:, None] - heads[:, 1]) / (tails - heads)[:, 1]
    crossings = heads[:, 0] + along.clip(0, 1) * (tails - heads)[:, 0]
    beyond = np.abs(along - along.clip(0, 1)) * np.abs(tails - heads)[:, 1]
    crossings[beyond > 2 * _TOLERANCE_PIXELS] = np.nan
    first = np.maximum(np.ceil(np.nanmin(crossings, axis=1) - _TOLERANCE_PIXELS), 0).astype(np.intp)
    last = np.minimum(np.floor(np.nanmax(crossings, axis=1) + _TOLERANCE_PIXELS), width - 1).astype(np.intp)
    counts = np.maximum(last - first + 1, 0)
    starts = np.repeat(first - np.cumsum(counts) + counts, counts)
    return np.repeat(rows.astype(np.intp), counts), starts + np.arange(counts.sum())


def _interpolate(image: Pixels, points: Floats) -> Pixels:
    """Return the pixel values at points (n, 2), linearly interpolated: (n,) or (n, 3)."""
    from scipy.ndimage import map_coordinates

    values = np.empty((len(points), *image.shape[2:]))
    for index in np.ndindex(image.shape[2:]):
        map_coordinates(image[..., *index], points[:, ::-1].T, values[..., *index], order=1, mode="nearest")
    return np.rint(values).astype(np.uint8)
