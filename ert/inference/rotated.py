"""Objects rotated in the image plane: located in a copy of the image that is rotated back.

    image, box ──> surroundings: gray pixels ──> rotated back by a roll ──> cascade ──> shape, rotated again

A *roll* is the rotation of an object from upright, in degrees, clockwise in the image. The cascade sees
upright objects only, so that this works for a cascade of either kind.

An unknown roll is searched: several are tried, each in two passes. The box is redrawn around the shape that
the first pass found, so that the shape is upright in it; the second pass starts from initializations that are
rotated to either side. At the right roll they end in nearly the same shape; at all others they scatter.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ert._core.exceptions import InputError, quoted
from ert._core.types import Floats
from ert._kernels import rotate_image
from ert.model.cascade import NO_MIRROR_MAP, Cascade
from ert.model.cropping import CropSpec, largest_working_size
from ert.model.dlib_cascade import DlibCascade
from ert.model.geometry import INITS, box_transforms
from ert.model.procrustes import fit_similarity

# The error of a roll that a cascade tolerates, in degrees: half the step between rolls that are tried.
TOLERANCE_DEGREES = 15.0
# The initializations of both passes, and their rotations in the second, in degrees.
SEARCH_INITS = INITS[:3]
SECOND_PASS_ROLLS = (-15.0, 0.0, 15.0)
# A redrawn box stays within these scales and this shift, in sides of the first.
SCALE_RANGE = 0.8, 1.25
MAX_SHIFT_SIDES = 0.3
# Cascades of dlib's kind read pixels of the image itself: larger boxes are reduced to about this size.
DLIB_BOX_PIXELS = 400


class Pose(NamedTuple):
    """A box in the surroundings: its middle in their pixels, scale against the given box, roll in degrees."""

    place: Floats
    scale: float
    roll: float


class Reach(NamedTuple):
    """What a cascade reads of an image, in sides of the box."""

    # How far from the center of the box, in x and y.
    distances: Floats
    working_size: int
    # Whether it keeps the proportions of the box: only cascades of dlib's kind do.
    stretched: bool


class UprightCopies:
    """Gray pixels around a box, as far as a cascade can read at any rotation of the box, and copies rotated back.

    Parameters
    ----------
    reach : Reach
    image : uint8 array (rows, columns) or (rows, columns, 3)
    box : left, top, width, height
    channel_order, gray_weights
        See :class:`ert.ShapePredictor`.
    """

    def __init__(
        self,
        reach: Reach,
        image: npt.NDArray[np.uint8],
        box: tuple[float, float, float, float],
        channel_order: str,
        gray_weights: str,
    ) -> None:
        transform = box_transforms(np.array([box]))[0]
        sides = np.array(box[2:]) - 1 if reach.stretched else transform[[0, 3]]
        stretch = sides.max() / transform[0]
        distances, size, _ = reach
        radius = SCALE_RANGE[1] * stretch * float(np.hypot(*distances)) + MAX_SHIFT_SIDES
        size = min(size, largest_working_size(2 * radius))
        region = np.array([0.5 - radius, 0.5 - radius, 0.5 + radius, 0.5 + radius])
        spec = CropSpec(region, size, 0.0)
        self.pixels, placed = spec.cut(image, transform, channel_order, gray_weights, as_rows=True)
        self.zoom = float(placed[0] / transform[0])
        self.side = float(placed[0])
        self.sides = sides * self.zoom
        self.reach = distances * stretch * self.side
        self.middle = placed[4:] + placed[0] / 2
        self.offset = transform[4:] + transform[0] / 2 - self.middle / self.zoom

    def given(self, roll: float) -> Pose:
        """Return the pose of the given box at a roll."""
        return Pose(self.middle, 1.0, roll)

    def upright(self, pose: Pose) -> tuple[npt.NDArray[np.uint8], tuple[float, float, float, float], Floats]:
        """Return a copy in which the object of a pose is upright, its box there, and the middle of this box."""
        half = np.ceil(self.reach * pose.scale) + 1
        turn, place = rotation(pose.roll), pose.place
        # The center of the copy has the same fraction of a pixel: an upright copy has identical pixels.
        middle = half + place % 1
        rotated = np.empty((2 * half + 2).astype(int)[::-1], np.uint8)
        rotate_image(self.pixels, turn, place - turn @ middle, rotated)
        sides = self.sides * pose.scale
        return rotated, (*(middle - sides / 2).tolist(), *(sides + 1).tolist()), middle


class Surroundings(UprightCopies):
    """The copies that a cascade reads, and the shapes that it finds in them."""

    def __init__(
        self,
        cascade: Cascade | DlibCascade,
        image: npt.NDArray[np.uint8],
        box: tuple[float, float, float, float],
        channel_order: str,
        gray_weights: str,
    ) -> None:
        super().__init__(_reach(cascade), image, box, channel_order, gray_weights)
        self.cascade = cascade
        self.mean_shape = (cascade.mean_shape - 0.5) * self.sides

    def locate(self, pose: Pose, inits: Floats, mirror_map: npt.NDArray[np.intp] = NO_MIRROR_MAP) -> Floats:
        """Return the shapes (n_inits, n_landmarks, 2) found, in pixels of the surroundings."""
        rotated, box, middle = self.upright(pose)
        # Gray already: channel order and weights are ignored.
        found = self.cascade.predict_face(rotated, box, inits, "rgb", "luma", mirror_map)
        shapes: Floats = (found - middle) @ rotation(pose.roll).T + pose.place
        return shapes

    def redraw(self, shape: Floats) -> Pose:
        """Return the pose in which the mean shape fits a shape best."""
        turn, middle, center = fit_similarity(self.mean_shape, shape)
        # A single landmark has no scale.
        scale, roll = float(np.clip(abs(turn) or 1.0, *SCALE_RANGE)), float(np.angle(turn, deg=True))
        moved = center - scale * np.exp(1j * np.deg2rad(roll)) * middle
        shift = np.array([moved.real, moved.imag]) - self.middle
        length = float(np.hypot(*shift))
        shift *= min(1.0, MAX_SHIFT_SIDES * self.side / max(length, 1e-9))
        return Pose(self.middle + shift, scale, roll)

    def to_image(self, shapes: Floats) -> Floats:
        """Transform shapes to image pixels."""
        placed: Floats = shapes / self.zoom + self.offset
        return placed


def reach_of_crop(crop_spec: CropSpec, *, stretched: bool) -> Reach:
    """Return what a cascade reads whose crops are cut this way."""
    size = crop_spec.working_size
    # A cascade that smooths needs more pixels.
    size = DLIB_BOX_PIXELS if stretched else size if crop_spec.blur == 0 else 2 * size
    return Reach(_distances(crop_spec.region[:2], crop_spec.region[2:]), size, stretched)


def _reach(cascade: Cascade | DlibCascade) -> Reach:
    if isinstance(cascade, Cascade):
        return reach_of_crop(cascade.crop_spec, stretched=False)
    places = cascade.mean_shape[cascade.anchors] + cascade.deltas
    low, high = places.min(axis=(0, 1)) - MAX_SHIFT_SIDES, places.max(axis=(0, 1)) + MAX_SHIFT_SIDES
    return Reach(_distances(low, high), DLIB_BOX_PIXELS, stretched=True)


def _distances(low: Floats, high: Floats) -> Floats:
    return np.maximum(np.abs(low - 0.5), np.abs(high - 0.5)).astype(np.float64)


def rotation(degrees: float) -> Floats:
    """Return the matrix that rotates x, y clockwise, where y points down."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([[cos, -sin], [sin, cos]])


def locate_rotated(
    cascade: Cascade | DlibCascade,
    image: npt.NDArray[np.uint8],
    box: tuple[float, float, float, float],
    roll: float,
    inits: Floats,
    channel_order: str,
    gray_weights: str,
    mirror_map: npt.NDArray[np.intp] = NO_MIRROR_MAP,
) -> Floats:
    """Locate the landmarks of one object whose roll is known.

    Parameters
    ----------
    image : uint8 array (rows, columns) or (rows, columns, 3)
    box : left, top, width, height
        As it would be drawn around the upright object, with the same center.
    roll : float
        In degrees, clockwise.
    inits : float array (n_inits, 4)
        See :data:`ert.model.geometry.INITS`.
    channel_order, gray_weights
        See :class:`ert.ShapePredictor`.
    mirror_map : int array (n_landmarks,)
        For initializations that take the mirror image.

    Returns
    -------
    float array (n_inits, n_landmarks, 2)
        In image pixels.
    """
    surroundings = Surroundings(cascade, image, box, channel_order, gray_weights)
    return surroundings.to_image(surroundings.locate(surroundings.given(roll), inits, mirror_map))


def search_roll(
    cascade: Cascade | DlibCascade,
    image: npt.NDArray[np.uint8],
    box: tuple[float, float, float, float],
    roll: float,
    max_roll: float,
    channel_order: str,
    gray_weights: str,
) -> tuple[Floats, float]:
    """Locate the landmarks of one object whose roll is not known.

    Parameters
    ----------
    roll : float
        The center of the search, in degrees.
    max_roll : float
        Degrees to either side, at most 180.
    cascade, image, box, channel_order, gray_weights
        See :func:`locate_rotated`.

    Returns
    -------
    shape : float array (n_landmarks, 2)
        In image pixels: the median of nine initializations.
    spread : float
        Mean distance of their landmarks from it, in sides of the box: small where the initializations agree.
    """
    surroundings = Surroundings(cascade, image, box, channel_order, gray_weights)
    found = [_locate_in_two_passes(surroundings, roll + turn) for turn in candidate_rolls(max_roll)]
    shape, spread = min(found, key=lambda each: each[1])
    return surroundings.to_image(shape), spread


def candidate_rolls(max_roll: float) -> Floats:
    """Return rolls, 0 in the middle, of which one is near any roll up to `max_roll`."""
    n = 2 * math.ceil(max(max_roll - TOLERANCE_DEGREES, 0) / (2 * TOLERANCE_DEGREES)) + 1
    candidates: Floats = (np.arange(n, dtype=np.float64) - n // 2) * (2 * max_roll / n)
    return candidates


def _locate_in_two_passes(surroundings: Surroundings, roll: float) -> tuple[Floats, float]:
    first = np.median(surroundings.locate(surroundings.given(roll), SEARCH_INITS), axis=0)
    pose = surroundings.redraw(first)
    second = [surroundings.locate(pose._replace(roll=pose.roll + turn), SEARCH_INITS) for turn in SECOND_PASS_ROLLS]
    shapes = np.concatenate(second)
    shape: Floats = np.median(shapes, axis=0)
    return shape, float(np.hypot(*np.moveaxis(shapes - shape, 2, 0)).mean()) / surroundings.side


def roll_of(shapes: npt.ArrayLike, mean_shape: npt.ArrayLike) -> Floats:
    """Return the rotation of shapes against a mean shape.

    Parameters
    ----------
    shapes : array (n, n_landmarks, 2)
    mean_shape : array (n_landmarks, 2)

    Returns
    -------
    float array (n,)
        Degrees from -180 to 180, clockwise: the rotation of the least-squares similarity.
    """
    turns, _, _ = fit_similarity(mean_shape, shapes)
    return np.angle(turns, deg=True)


def check_rolls(rolls: float | Sequence[float] | npt.ArrayLike | None, n: int) -> Floats:
    """Return a roll for each of n objects: 0 by default, one number for all, or one for each."""
    expected = f"{n} finite numbers of degrees, one for each object, or one for all"
    try:
        given = np.array(0.0 if rolls is None else rolls, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"rolls: {quoted(rolls)}, expected {expected}") from None
    if given.shape not in ((), (n,)):
        raise InputError(f"rolls: array of shape {given.shape}, expected {expected}")
    bad = np.flatnonzero(~np.isfinite(given))
    if len(bad):
        raise InputError(f"rolls: number {bad[0]} is {given.flat[bad[0]]}, expected {expected}")
    return np.broadcast_to(given, n)


def check_max_roll(max_roll: Any) -> float:
    """Check that `max_roll` is a number from 0 to 180."""
    try:
        number = float(max_roll)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not 0 <= number <= 180:
        raise InputError(f"max_roll={quoted(max_roll)}: expected degrees from 0 to 180")
    return number
