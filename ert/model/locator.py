"""The locator: finds the objects of a photo, with their sizes and rolls, for a cascade that needs boxes.

    photo ──> copies of several sizes ──> histograms of gradients ──> a linear filter for each roll ──> candidates
    candidate ──> small cascade: the corners of its box ──> box, roll ──> filter of the upright object ──> confidence

A *pose* is a box and a roll, as :meth:`ert.ShapePredictor.predict` takes them: the box has the center and the sides of
the one around the upright object. The pose of known landmarks is that of the mean shape that fits them best.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ert._core.exceptions import InputError, counted
from ert._core.types import Floats
from ert.model.cascade import Cascade, FieldsOnly, check_cascade
from ert.model.cropping import CropSpec
from ert.model.geometry import box_to_image, box_transforms, image_to_box, rotate_transforms
from ert.model.limits import MAX_LANDMARKS, MAX_SHAPE_SIDES, check_bounds
from ert.model.procrustes import fit_known

# Pixels along the side of a cell, and directions of gradients that a cell counts.
CELL_PIXELS, N_DIRECTIONS = 4, 8
# Cells along a side of a window, filters, and sides of objects in square roots of the photo's area.
MAX_CELLS, MAX_FILTERS = 16, 24
MIN_RELATIVE_SIDE, MAX_RELATIVE_SIDE = 0.02, 3.0
# Objects lie alike in their photos below these standard deviations: of the center in sides of the photo, of the
# logarithm of the size, of the roll in degrees.
MAX_CENTER_STD, MAX_SIZE_STD, MAX_ROLL_STD = 0.1, 0.2, 10.0
# The corners of a box that the small cascade locates, in box coordinates.
CORNERS = np.array([(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)])
_PREFIX, _CASCADE_PREFIX = "locator_", "locator_cascade_"


@dataclass(frozen=True)
class Locator(FieldsOnly):
    """A fitted locator.

    Parameters
    ----------
    shape : float32 array (n_landmarks, 2)
        The mean shape, upright, in coordinates of a square box.
    sides : float64 array (2,)
        Width and height of the box around it; their mean is 1.
    pixels : float
        The mean side of a box in the copy of the photo in which filters find it.
    relative_sides : float64 array (2,)
        The least and the largest mean side that is searched for, in square roots of the photo's area.
    rolls : float32 array (n_filters,)
        In degrees, clockwise. The first is that of upright objects, 0.
    filters : float32 array (n_filters, rows, columns, N_DIRECTIONS)
        Weights of the histograms of the cells of a window.
    offsets : float32 array (n_filters,)
        Added to the weighted sums.
    start : float64 array (3,)
        Where the objects lie that it was trained on, if they lie alike in all photos: x and y of the center in widths
        and heights of the photo, the mean side of the box in square roots of its area. A side of 0 is nowhere.
    confidence_weights : float64 array (2,)
        The logit of the confidence: a constant, and the weight of the score.
    cascade : Cascade
        Locates the corners of a box, from a box near it.
    """

    shape: npt.NDArray[np.float32]
    sides: npt.NDArray[np.float64]
    pixels: float
    relative_sides: npt.NDArray[np.float64]
    rolls: npt.NDArray[np.float32]
    filters: npt.NDArray[np.float32]
    offsets: npt.NDArray[np.float32]
    start: npt.NDArray[np.float64]
    confidence_weights: npt.NDArray[np.float64]
    cascade: Cascade

    def poses(self, landmarks: npt.ArrayLike) -> tuple[Floats, Floats]:
        """Return the poses of objects whose landmarks are known.

        Parameters
        ----------
        landmarks : array (n, n_landmarks, 2)
            In image pixels; NaN where missing. Two of an object are enough.

        Returns
        -------
        boxes : float64 array (n, 4)
            Left, top, width, height in pixels; NaN where there are fewer than two landmarks.
        rolls : float64 array (n,)
            In degrees from -180 to 180, clockwise.
        """
        return poses_of(landmarks, self.shape, self.sides)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return all arrays by name, for the model file."""
        arrays = {f"{_PREFIX}{name}": getattr(self, name) for name in _ARRAYS}
        return arrays | {f"{_CASCADE_PREFIX}{name}": array for name, array in self.cascade.arrays().items()}

    def header(self) -> dict[str, Any]:
        """Return its part of the model file's header."""
        crop_spec = self.cascade.crop_spec
        return {
            "pixels": self.pixels,
            "crop_spec": asdict(crop_spec) | {"region": crop_spec.region.tolist()},
            "stages_per_basis": self.cascade.stages_per_basis,
        }

    @classmethod
    def from_file(cls, header: Mapping[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> Self:
        """Restore from :meth:`header` and :meth:`arrays`; its arrays are removed from `arrays`."""
        names = [name.removeprefix(_CASCADE_PREFIX) for name in arrays if name.startswith(_CASCADE_PREFIX)]
        cascade = Cascade(
            crop_spec=CropSpec.from_header(header["crop_spec"]),
            stages_per_basis=header["stages_per_basis"],
            **{name: arrays.pop(f"{_CASCADE_PREFIX}{name}") for name in names},
        )
        parts = {name: arrays.pop(f"{_PREFIX}{name}") for name in _ARRAYS}
        locator = cls(pixels=header["pixels"], cascade=cascade, **parts)
        check_locator(locator)
        return locator


_ARRAYS = tuple(field.name for field in fields(Locator) if field.name not in ("pixels", "cascade"))


def poses_of(
    landmarks: npt.ArrayLike, shape: npt.NDArray[np.floating[Any]], sides: npt.NDArray[np.float64]
) -> tuple[Floats, Floats]:
    """Return the boxes and rolls of objects, see :meth:`Locator.poses`; `shape` and `sides` are those of a locator."""
    turn, middle, center = fit_known(shape, landmarks)
    turn = np.where(abs(turn) > 0, turn, np.nan)
    place = center + turn * (complex(0.5, 0.5) - middle)
    # Between the centers of the first and the last pixel, as in box coordinates.
    lengths = abs(turn)[:, None] * sides
    corner = np.stack([place.real, place.imag], axis=1) - lengths / 2
    return np.hstack([corner, lengths + 1]), np.angle(turn, deg=True)


def corners_of(boxes: Floats, rolls: Floats) -> Floats:
    """Return the corners (n, 4, 2) of the squares of boxes (n, 4) at rolls (n,)."""
    transforms = rotate_transforms(box_transforms(boxes), rolls)
    return box_to_image(np.broadcast_to(CORNERS, (len(boxes), 4, 2)), transforms)


def shapes_in_boxes(landmarks: Floats, boxes: Floats, rolls: Floats) -> Floats:
    """Return landmarks (n, n_landmarks, 2) in coordinates of their upright square boxes."""
    return image_to_box(landmarks, rotate_transforms(box_transforms(boxes), rolls))


def check_locator(locator: Locator) -> None:
    """Check that the arrays of a locator fit together, and that no number is absurd."""
    n_landmarks = len(locator.shape)
    n_filters, rows, columns = locator.filters.shape[:3]
    if not 2 <= n_landmarks <= MAX_LANDMARKS:
        raise InputError(f"locator: {counted(n_landmarks, 'landmark')}, expected 2 to {MAX_LANDMARKS}")
    if not (1 <= n_filters <= MAX_FILTERS and min(rows, columns) >= 1 and max(rows, columns) <= MAX_CELLS):
        sizes = f"{n_filters} filters of {columns} x {rows} cells"
        raise InputError(f"locator: {sizes}, expected at most {MAX_FILTERS} of {MAX_CELLS} x {MAX_CELLS}")
    if not isinstance(locator.pixels, (int, float)) or not CELL_PIXELS <= locator.pixels <= MAX_CELLS * CELL_PIXELS:
        raise InputError(f"locator: pixels={locator.pixels!r}, expected {CELL_PIXELS} to {MAX_CELLS * CELL_PIXELS}")
    expected: dict[str, tuple[tuple[int, ...], str, float, float]] = {
        "shape": ((n_landmarks, 2), "float32", -MAX_SHAPE_SIDES, MAX_SHAPE_SIDES),
        "sides": ((2,), "float64", 0.05, 1.95),
        "relative_sides": ((2,), "float64", MIN_RELATIVE_SIDE, MAX_RELATIVE_SIDE),
        "rolls": ((n_filters,), "float32", -180, 180),
        "filters": ((n_filters, rows, columns, N_DIRECTIONS), "float32", -1e6, 1e6),
        "offsets": ((n_filters,), "float32", -1e6, 1e6),
        "start": ((3,), "float64", 0, MAX_RELATIVE_SIDE),
        "confidence_weights": ((2,), "float64", -1e6, 1e6),
    }
    for name, (size, kind, low, high) in expected.items():
        array = getattr(locator, name)
        if array.shape != size or array.dtype.name != kind:
            raise InputError(f"locator: {name} has shape {array.shape} and type {array.dtype}, expected {size}")
        check_bounds(f"locator: {name}", array, low, high)
    if not math.isclose(locator.sides.mean(), 1, abs_tol=1e-6):
        raise InputError(f"locator: sides {locator.sides.tolist()}, expected a mean of 1")
    if locator.relative_sides[0] > locator.relative_sides[1]:
        raise InputError(f"locator: relative_sides {locator.relative_sides.tolist()}, expected increasing numbers")
    if locator.cascade.mean_shape.shape != CORNERS.shape:
        raise InputError(f"locator: a cascade of {len(locator.cascade.mean_shape)} landmarks, expected 4 corners")
    check_cascade(locator.cascade)
