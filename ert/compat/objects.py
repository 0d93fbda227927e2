"""dlib's objects: a rectangle with its points, or with the score of a detector."""

from collections.abc import Iterable
from typing import Any, Self

from ert.compat.arrays import Array
from ert.compat.points import point, point_of_pixel, points
from ert.compat.rectangles import rectangle


class full_object_detection:
    """An object: its rectangle and its points.

    Parameters
    ----------
    rect : rectangle
    parts : points, or sequence of point
        A point with both coordinates 2**31 - 1 is missing.
    """

    __slots__ = ("_parts", "_rect")

    def __init__(self, rect: rectangle, parts: Iterable[point]) -> None:
        if type(rect).__name__ != "rectangle" and not isinstance(rect, rectangle):
            raise TypeError(f"rect: {type(rect).__name__}, expected a rectangle")
        self._rect = rectangle.copy_of(rect)
        # Numbers take less time than points, most of which nobody asks for.
        self._parts = [(part.x, part.y) for part in map(points.own, parts)]

    @classmethod
    def located(cls, rect: rectangle, parts: Iterable[tuple[int, int]]) -> Self:
        """Return the object of points that are given as pairs of integers."""
        found = cls.__new__(cls)
        found._rect, found._parts = rect, list(parts)
        return found

    @property
    def rect(self) -> rectangle:
        """The rectangle that the points were located in."""
        return self._rect

    @property
    def num_parts(self) -> int:
        """The number of points."""
        return len(self._parts)

    def part(self, idx: int) -> point:
        """Return a point by its index; raise an IndexError when there is none."""
        if not 0 <= idx < len(self._parts):
            raise IndexError("Index out of range")
        return point_of_pixel(*self._parts[idx])

    def parts(self) -> points:
        """Return all points."""
        return points.of_pixels(self._parts)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, full_object_detection):
            return NotImplemented
        return self._rect == other._rect and self._parts == other._parts

    # As in dlib, and as of its points.
    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"full_object_detection({self.rect!r}, {self.num_parts} parts)"

    @classmethod
    def zero(cls) -> Self:
        """Return an object without points in an empty rectangle."""
        return cls(rectangle(), [])

    @classmethod
    def copy_of(cls, other: Any) -> Self:
        """Return a copy of an object, which may be of the installed dlib."""
        return cls(other.rect, other.parts())


class full_object_detections(Array):
    """An array of objects."""

    item = full_object_detection


class mmod_rectangle:
    """What dlib's convolutional detector found.

    Parameters
    ----------
    rect : rectangle
    confidence : float
    """

    __slots__ = ("confidence", "rect")

    def __init__(self, rect: rectangle, confidence: float = 0.0) -> None:
        self.rect, self.confidence = rectangle.copy_of(rect), float(confidence)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, mmod_rectangle):
            return NotImplemented
        return (self.rect, self.confidence) == (other.rect, other.confidence)

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"mmod_rectangle({self.rect!r}, confidence={self.confidence:g})"

    @classmethod
    def zero(cls) -> Self:
        """Return an empty rectangle."""
        return cls(rectangle())

    @classmethod
    def copy_of(cls, other: Any) -> Self:
        """Return a copy of a rectangle, which may be of the installed dlib."""
        return cls(other.rect, other.confidence)


class mmod_rectangles(Array):
    """An array of what dlib's convolutional detector found."""

    item = mmod_rectangle


class mmod_rectangless(Array):
    """An array of arrays of what dlib's convolutional detector found."""

    item = mmod_rectangles
