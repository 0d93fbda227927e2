"""dlib's points, with integer coordinates and with floats."""

import math
from collections.abc import Iterable, Sequence
from typing import Any, Self

import numpy as np

from ert.compat.arrays import Array, integer, number


def nearest(value: float) -> int:
    """Round to the nearest integer, halves up."""
    return math.floor(value + 0.5)


class _Point:
    """What both kinds of point can do.

    Equality compares coordinates. As in dlib, the hash does not: two points of the same pixel are two keys of
    a dictionary, and one that is moved stays the same key.
    """

    __slots__ = ("x", "y")
    x: Any
    y: Any

    def __eq__(self, other: object) -> bool:
        return (self.x, self.y) == (other.x, other.y) if isinstance(other, type(self)) else NotImplemented

    __hash__ = object.__hash__

    def __add__(self, other: Self) -> Self:
        return type(self)(self.x + other.x, self.y + other.y) if isinstance(other, type(self)) else NotImplemented

    def __sub__(self, other: Self) -> Self:
        return type(self)(self.x - other.x, self.y - other.y) if isinstance(other, type(self)) else NotImplemented

    def __mul__(self, factor: float) -> "dpoint":
        return dpoint(self.x * number(factor, "factor"), self.y * number(factor, "factor"))

    __rmul__ = __mul__

    def __truediv__(self, divisor: float) -> "dpoint":
        divisor = np.float64(number(divisor, "divisor"))
        with np.errstate(divide="ignore", invalid="ignore"):
            return dpoint(self.x / divisor, self.y / divisor)

    def normalize(self) -> "dpoint":
        """Return the vector of length 1 in the same direction."""
        return self / math.hypot(self.x, self.y)

    def __repr__(self) -> str:
        return f"{type(self).__name__}{self}"

    def __str__(self) -> str:
        return f"({self.x:g}, {self.y:g})"

    @classmethod
    def zero(cls) -> Self:
        """Return the point at the origin."""
        return cls(0, 0)

    @classmethod
    def copy_of(cls, other: Any) -> Self:
        """Return a copy of a point, which may be of the installed dlib."""
        return cls(other.x, other.y)

    def __init__(self, x: Any, y: Any = None) -> None:
        if y is None:
            # Another kind of point, or an array of two numbers.
            x, y = (x.x, x.y) if isinstance(x, _Point) else np.asarray(x, np.float64).ravel().tolist()
            x, y = self._rounded(x), self._rounded(y)
        self.x, self.y = x, y

    @staticmethod
    def _rounded(value: float) -> Any:
        return value


class point(_Point):
    """A point with integer coordinates.

    Parameters
    ----------
    x : int, or dpoint, or array of two numbers
        Point and array are rounded.
    y : int
    """

    __slots__ = ()

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, integer(value, f"point {name}"))

    @staticmethod
    def _rounded(value: float) -> int:
        return nearest(value)

    def __str__(self) -> str:
        return f"({self.x}, {self.y})"


def point_of_pixel(x: int, y: int) -> point:
    """Return the point of two integers, which are not checked: that takes longer than to locate landmarks."""
    found = _new(point)
    _set_x(found, x)
    _set_y(found, y)
    return found


_new = object.__new__
_set_x, _set_y = vars(_Point)["x"].__set__, vars(_Point)["y"].__set__


class dpoint(_Point):
    """A point with floats as coordinates.

    Parameters
    ----------
    x : float, or point, or array of two numbers
    y : float
    """

    __slots__ = ()

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, number(value, f"dpoint {name}"))


class points(Array):
    """An array of points."""

    item = point

    @classmethod
    def of_pixels(cls, pixels: Iterable[tuple[int, int]]) -> Self:
        """Return the points of pairs of integers, which are not checked."""
        found = cls()
        list.extend(found, [point_of_pixel(x, y) for x, y in pixels])
        return found


class dpoints(Array):
    """An array of points with floats as coordinates."""

    item = dpoint


def length(p: point | dpoint) -> float:
    """Return the distance of a point from the origin."""
    return math.hypot(p.x, p.y)


def polygon_area(pts: Sequence[point | dpoint]) -> float:
    """Return the area of a polygon that does not intersect itself."""
    corners = [(corner.x, corner.y) for corner in pts]
    shifted = corners[1:] + corners[:1]
    doubled: float = sum(x * v - u * y for (x, y), (u, v) in zip(corners, shifted, strict=True))
    return abs(doubled) / 2
