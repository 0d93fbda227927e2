"""Objects that are turned in the image plane: located in a turned copy of the image, where they are upright.

    image, box ──> surroundings: gray pixels ──> turned back by a roll ──> cascade ──> shape, turned again

A *roll* says in degrees how far an object is turned from upright, clockwise as the picture is seen. The
cascade knows nothing of it, so that this works for a cascade of either kind.

When the roll is not known, the cascade looks from several. Round the shape that it found the box is drawn
anew, so that the shape is upright in it, and the cascade looks again from there, now from starts that lean to
either side: those of the right roll end in nearly the same shape, all others scatter.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ert._core.exceptions import InputError
from ert._core.types import Floats
from ert._kernels import rotate_image
from ert.model.cascade import NO_MIRROR_MAP, Cascade
from ert.model.cropping import CropSpec
from ert.model.dlib_cascade import DlibCascade
from ert.model.geometry import INITS, box_frames
from ert.model.procrustes import fit_similarity

__all__ = [
    "check_max_roll",
    "check_rolls",
    "locate_rotated",
    "roll_of",
    "rotation",
    "search_roll",
]


# How far a roll may be off for a cascade to find its way; half of what lies between two that are tried.
TOLERANCE = 15.0
# The starts of each look, and how they lean in the second.
SEARCH_INITS = INITS[:3]
LEANS = (-15.0, 0.0, 15.0)
# A box that is redrawn stays within this scale and this shift, in sides of the first.
SCALES = 0.8, 1.25
SHIFT = 0.3
# A cascade of dlib's kind reads pixels as they are: larger boxes are reduced to about this size.
DLIB_SIZE = 400


class Pose(NamedTuple):
    """A box in the surroundings: its middle in their pixels, scale against the given box, roll in degrees."""

    place: Floats
    scale: float
    roll: float


class Surroundings:
    """Gray pixels around a box, as far as the cascade may look however the box is turned.

    Parameters
    ----------
    cascade : Cascade or DlibCascade
    image : uint8 array (rows, columns) or (rows, columns, 3)
    box : left, top, width, height
    channel_order, gray_weights
        See :class:`ert.ShapePredictor`.
    """

    def __init__(
        self,
        cascade: Cascade | DlibCascade,
        image: npt.NDArray[np.uint8],
        box: tuple[float, float, float, float],
        channel_order: str,
        gray_weights: str,
    ) -> None:
        self.cascade = cascade
        frame = box_frames(np.array([box]))[0]
        # Of the two kinds, dlib's alone keeps the proportions of the box.
        sides = np.array(box[2:]) - 1 if isinstance(cascade, DlibCascade) else frame[[0, 3]]
        stretch = sides.max() / frame[0]
        reach, size = _reach(cascade)
        radius = SCALES[1] * stretch * float(np.hypot(*reach)) + SHIFT
        region = np.array([0.5 - radius, 0.5 - radius, 0.5 + radius, 0.5 + radius])
        pixels, placed = CropSpec(region, size, 0.0).cut(image, frame, channel_order, gray_weights)
        self.pixels = np.ascontiguousarray(pixels.T)
        self.zoom = float(placed[0] / frame[0])
        self.side = float(placed[0])
        self.sides = sides * self.zoom
        self.reach = reach * stretch * self.side
        self.middle = placed[4:] + placed[0] / 2
        self.offset = frame[4:] + frame[0] / 2 - self.middle / self.zoom
        self.mean_shape = (cascade.mean_shape - 0.5) * self.sides

    def given(self, roll: float) -> Pose:
        """Return the pose of the given box with a roll."""
        return Pose(self.middle, 1.0, roll)

    def locate(self, pose: Pose, inits: Floats, mirror_map: npt.NDArray[np.intp] = NO_MIRROR_MAP) -> Floats:
        """Return the shapes (n_inits, n_landmarks, 2) that starts lead to, in pixels of the surroundings."""
        half = np.ceil(self.reach * pose.scale) + 1
        turn, place = rotation(pose.roll), pose.place
        # The copy's middle lies between pixels as the place does: an upright copy has the very same pixels.
        middle = half + place % 1
        rotated = np.empty((2 * half + 2).astype(int)[::-1], np.uint8)
        rotate_image(self.pixels, turn, place - turn @ middle, rotated)
        sides = self.sides * pose.scale
        box = (*(middle - sides / 2).tolist(), *(sides + 1).tolist())
        # Gray already, so that channels and weights mean nothing.
        found = self.cascade.predict_face(rotated, box, inits, "rgb", "luma", mirror_map)
        shapes: Floats = (found - middle) @ turn.T + place
        return shapes

    def redraw(self, shape: Floats) -> Pose:
        """Return the pose in which the mean shape lies on a shape as well as it can."""
        turn, middle, center = fit_similarity(self.mean_shape, shape)
        # A single landmark has no size.
        scale, roll = float(np.clip(abs(turn) or 1.0, *SCALES)), float(np.angle(turn, deg=True))
        moved = center - scale * np.exp(1j * np.deg2rad(roll)) * middle
        shift = np.array([moved.real, moved.imag]) - self.middle
        length = float(np.hypot(*shift))
        shift *= min(1.0, SHIFT * self.side / max(length, 1e-9))
        return Pose(self.middle + shift, scale, roll)

    def to_image(self, shapes: Floats) -> Floats:
        """Carry shapes to pixels of the image."""
        placed: Floats = shapes / self.zoom + self.offset
        return placed


def _reach(cascade: Cascade | DlibCascade) -> tuple[Floats, int]:
    """Return how far from the box's middle pixels are read, in sides of it, and the size they are read at."""
    if isinstance(cascade, Cascade):
        low, high = cascade.crop_spec.region[:2], cascade.crop_spec.region[2:]
        size = cascade.crop_spec.working_size
        # What the cascade will reduce and smooth itself needs more pixels than that.
        size = size if cascade.crop_spec.blur == 0 else 2 * size
    else:
        places = cascade.mean_shape[cascade.anchors] + cascade.deltas
        low, high = places.min(axis=(0, 1)) - SHIFT, places.max(axis=(0, 1)) + SHIFT
        size = DLIB_SIZE
    return np.maximum(np.abs(low - 0.5), np.abs(high - 0.5)).astype(np.float64), size


def rotation(degrees: float) -> Floats:
    """Return the matrix that turns x, y clockwise, where y points down."""
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
    cascade : Cascade or DlibCascade
    image : uint8 array (rows, columns) or (rows, columns, 3)
    box : left, top, width, height
        As it would be drawn around the upright object, about the same center.
    roll : float
        In degrees, clockwise.
    inits : float array (n_inits, 4)
        See :data:`ert.model.geometry.INITS`.
    channel_order, gray_weights
        See :class:`ert.ShapePredictor`.
    mirror_map : int array (n_landmarks,)
        The mirror map: starts that take the image for its mirror image need it.

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
        About what to search, in degrees.
    max_roll : float
        How far to either side, at most 180.
    cascade, image, box, channel_order, gray_weights
        See :func:`locate_rotated`.

    Returns
    -------
    shape : float array (n_landmarks, 2)
        In image pixels: the median of nine starts.
    spread : float
        Mean distance of their landmarks from it, in sides of the box: small where the starts agree.
    """
    surroundings = Surroundings(cascade, image, box, channel_order, gray_weights)
    looks = [_look_twice(surroundings, roll + turn) for turn in candidate_rolls(max_roll)]
    shape, spread = min(looks, key=lambda look: look[1])
    return surroundings.to_image(shape), spread


def candidate_rolls(max_roll: float) -> Floats:
    """Return rolls of which one is near any roll up to `max_roll`; 0 is in their middle."""
    n = 2 * math.ceil(max(max_roll - TOLERANCE, 0) / (2 * TOLERANCE)) + 1
    candidates: Floats = (np.arange(n, dtype=np.float64) - n // 2) * (2 * max_roll / n)
    return candidates


def _look_twice(surroundings: Surroundings, roll: float) -> tuple[Floats, float]:
    first = np.median(surroundings.locate(surroundings.given(roll), SEARCH_INITS), axis=0)
    pose = surroundings.redraw(first)
    leaning = [surroundings.locate(pose._replace(roll=pose.roll + lean), SEARCH_INITS) for lean in LEANS]
    shapes = np.concatenate(leaning)
    shape: Floats = np.median(shapes, axis=0)
    return shape, float(np.hypot(*np.moveaxis(shapes - shape, 2, 0)).mean()) / surroundings.side


def roll_of(shapes: npt.ArrayLike, mean_shape: npt.ArrayLike) -> Floats:
    """Return how far shapes are turned against a mean shape.

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
    """Return a roll for each of n objects: 0 where there is none, the same for all where there is one.

    Raises
    ------
    InputError
    """
    expected = f"{n} finite numbers of degrees, one for each object, or one for all"
    try:
        given = np.array(0.0 if rolls is None else rolls, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"rolls: {rolls!r}, expected {expected}") from None
    if given.shape not in ((), (n,)):
        raise InputError(f"rolls: array of shape {given.shape}, expected {expected}")
    bad = np.flatnonzero(~np.isfinite(given))
    if len(bad):
        raise InputError(f"rolls: number {bad[0]} is {given.flat[bad[0]]}, expected {expected}")
    return np.broadcast_to(given, n)


def check_max_roll(max_roll: Any) -> float:
    """Check that `max_roll` is a number from 0 to 180.

    Raises
    ------
    InputError
    """
    try:
        number = float(max_roll)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number <= 180:
        raise InputError(f"max_roll={max_roll!r}: expected degrees from 0 to 180")
    return number
