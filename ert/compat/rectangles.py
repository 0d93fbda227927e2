"""dlib's rectangles, in integer pixels and with floats, and its functions of them."""

import math
from typing import Any, ClassVar, Self, overload

import numpy as np

from ert.compat.arrays import Array, integer, number
from ert.compat.points import dpoint, nearest, point, points


class _Rectangle:
    """What both kinds of rectangle can do; edges are left, top, right, bottom, the last two inclusive."""

    __slots__ = ("_edges",)
    _edges: tuple[Any, ...]
    _corner: ClassVar[Any]

    def __init__(self, left: Any = 0, top: Any = 0, right: Any = -1, bottom: Any = -1) -> None:
        self._edges = (left, top, right, bottom)

    def left(self) -> Any:
        """Return the first column."""
        return self._edges[0]

    def top(self) -> Any:
        """Return the first row."""
        return self._edges[1]

    def right(self) -> Any:
        """Return the last column."""
        return self._edges[2]

    def bottom(self) -> Any:
        """Return the last row."""
        return self._edges[3]

    def is_empty(self) -> bool:
        """Return whether the rectangle contains no pixel."""
        return bool(self.left() > self.right() or self.top() > self.bottom())

    def width(self) -> Any:
        """Return the number of columns."""
        return type(self.left())(0) if self.is_empty() else self.right() - self.left() + 1

    def height(self) -> Any:
        """Return the number of rows."""
        return type(self.left())(0) if self.is_empty() else self.bottom() - self.top() + 1

    def area(self) -> Any:
        """Return the number of pixels."""
        return self.width() * self.height()

    def dcenter(self) -> point:
        """Return the center; dlib rounds it, in spite of the name."""
        return point(dpoint((self.left() + self.right()) / 2, (self.top() + self.bottom()) / 2))

    def tl_corner(self) -> Any:
        """Return the top left pixel."""
        return self._corner(self.left(), self.top())

    def tr_corner(self) -> Any:
        """Return the top right pixel."""
        return self._corner(self.right(), self.top())

    def bl_corner(self) -> Any:
        """Return the bottom left pixel."""
        return self._corner(self.left(), self.bottom())

    def br_corner(self) -> Any:
        """Return the bottom right pixel."""
        return self._corner(self.right(), self.bottom())

    @overload
    def contains(self, x: "point | dpoint | Self", /) -> bool: ...
    @overload
    def contains(self, x: int, y: int) -> bool: ...
    def contains(self, x: Any = None, y: int | None = None, *, point: Any = None, rectangle: Any = None) -> bool:
        """Return whether a point (or x and y) or all of another rectangle is inside."""
        other: Any = next((each for each in (point, rectangle, x) if each is not None), None)
        if isinstance(other, type(self)):
            return self._contains_all(other)
        if hasattr(other, "x") and hasattr(other, "y"):
            x, y = other.x, other.y
        elif y is None:
            raise TypeError("contains() takes a point, a rectangle of the same kind, or x and y")
        else:
            x, y = integer(x, "x"), integer(y, "y")
        return bool(self.left() <= x <= self.right() and self.top() <= y <= self.bottom())

    def _contains_all(self, other: Self) -> bool:
        return other.joined(self) == self

    def intersect(self, rectangle: Self) -> Self:
        """Return the intersection, which may be empty."""
        edges = zip(self._edges, rectangle._edges, (max, max, min, min), strict=True)
        return type(self)(*(choose(mine, other) for mine, other, choose in edges))

    def joined(self, other: Self) -> Self:
        """Return the smallest rectangle that contains both."""
        if other.is_empty():
            return self
        if self.is_empty():
            return other
        edges = zip(self._edges, other._edges, (min, min, max, max), strict=True)
        return type(self)(*(choose(mine, its) for mine, its, choose in edges))

    def __eq__(self, other: object) -> bool:
        return self._edges == other._edges if isinstance(other, type(self)) else NotImplemented

    # As in dlib.
    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        return f"[{self.tl_corner()} {self.br_corner()}]"

    @classmethod
    def zero(cls) -> Self:
        """Return an empty rectangle."""
        return cls()

    @classmethod
    def copy_of(cls, other: Any) -> Self:
        """Return the same rectangle, or a copy of one of the installed dlib."""
        return other if isinstance(other, cls) else cls(other.left(), other.top(), other.right(), other.bottom())


class rectangle(_Rectangle):
    """A rectangle of pixels that includes its right column and bottom row.

    Parameters
    ----------
    left, top, right, bottom : int
        The default is the empty rectangle. In place of all four, a rectangle, or a :class:`drectangle`, which
        is rounded. Floats are refused, as in dlib.
    """

    __slots__ = ()
    _corner = point

    def __init__(self, left: Any = 0, top: Any = None, right: Any = None, bottom: Any = None, *, rect: Any = None):
        if isinstance(rect := left if rect is None else rect, _Rectangle):
            self._edges = tuple(math.floor(abs(edge) + 0.5) * (1 if edge > 0 else -1) for edge in rect._edges)
        elif (top, right, bottom) == (None, None, None) and left == 0:
            self._edges = (0, 0, -1, -1)
        else:
            edges = {"left": left, "top": top, "right": right, "bottom": bottom}
            self._edges = tuple(integer(edge, f"rectangle {name}") for name, edge in edges.items())

    def center(self) -> point:
        """Return the center, rounded to the right and down."""
        return point((self.left() + self.right() + 1) // 2, (self.top() + self.bottom() + 1) // 2)

    def __add__(self, other: "rectangle | point") -> "rectangle":
        """Return the smallest rectangle that contains both; `other` may be a point too."""
        if isinstance(other, point):
            other = rectangle(other.x, other.y, other.x, other.y)
        return self.joined(other) if isinstance(other, rectangle) else NotImplemented

    def __repr__(self) -> str:
        return f"rectangle({','.join(map(str, self._edges))})"


class drectangle(_Rectangle):
    """A rectangle with floats as edges; its width is right - left + 1.

    Parameters
    ----------
    left, top, right, bottom : float
        The default is the empty rectangle. In place of all four, a rectangle of either kind.
    """

    __slots__ = ()
    _corner = dpoint

    def __init__(self, left: Any = 0, top: Any = 0, right: Any = -1, bottom: Any = -1, *, rect: Any = None):
        if isinstance(rect := left if rect is None else rect, _Rectangle):
            left, top, right, bottom = rect._edges
        self._edges = tuple(number(edge, "drectangle") for edge in (left, top, right, bottom))

    def center(self) -> point:
        """Return the center, rounded."""
        return self.dcenter()

    def _contains_all(self, other: Self) -> bool:
        # As in dlib, whose other rectangles contain empty ones only in part.
        return other.is_empty() or super()._contains_all(other)

    def __repr__(self) -> str:
        return f"drectangle({','.join(f'{edge:g}' for edge in self._edges)})"


class rectangles(Array):
    """An array of rectangles."""

    item = rectangle


class rectangless(Array):
    """An array of arrays of rectangles."""

    item = rectangles


def center(rect: rectangle | drectangle) -> point | dpoint:
    """Return the center of a rectangle, rounded for a :class:`rectangle`."""
    if isinstance(rect, rectangle):
        return rect.center()
    return dpoint((rect.left() + rect.right()) / 2, (rect.top() + rect.bottom()) / 2)


def centered_rect(p: point | dpoint | rectangle | drectangle, width: int, height: int) -> rectangle:
    """Return the rectangle of this size around a point, or around the center of a rectangle."""
    if isinstance(p, (rectangle, drectangle)):
        # As in dlib: toward zero.
        rect = rectangle(p)
        x, y = int((rect.left() + rect.right()) / 2), int((rect.top() + rect.bottom()) / 2)
    else:
        x, y = nearest(p.x), nearest(p.y)
    left, top = x - integer(width, "width") // 2, y - integer(height, "height") // 2
    return rectangle(left, top, left + width - 1, top + height - 1)


def centered_rects(pts: points, width: int, height: int) -> rectangles:
    """Return the rectangles of this size around points."""
    return rectangles(centered_rect(each, width, height) for each in pts)


def shrink_rect(rect: rectangle, num: int) -> rectangle:
    """Return a rectangle whose edges are all this much farther inside."""
    return rectangle(rect.left() + num, rect.top() + num, rect.right() - num, rect.bottom() - num)


def grow_rect(rect: rectangle, num: int) -> rectangle:
    """Return a rectangle whose edges are all this much farther outside."""
    return shrink_rect(rect, -num)


def scale_rect(rect: rectangle, scale: float) -> rectangle:
    """Return a rectangle whose edges are multiplied by a factor."""
    return rectangle(drectangle(*(edge * scale for edge in rect._edges)))


@overload
def translate_rect(rect: rectangle, p: point | dpoint) -> rectangle: ...
@overload
def translate_rect(rect: drectangle, p: point | dpoint) -> drectangle: ...
def translate_rect(rect: Any, p: Any) -> Any:
    """Return a rectangle moved by a vector, which is rounded for a :class:`rectangle`."""
    x, y = (nearest(p.x), nearest(p.y)) if isinstance(rect, rectangle) else (p.x, p.y)
    return type(rect)(rect.left() + x, rect.top() + y, rect.right() + x, rect.bottom() + y)


def get_rect(img: Any) -> rectangle:
    """Return the rectangle of all pixels of an image."""
    rows, columns = np.shape(img)[:2]
    return rectangle(0, 0, columns - 1, rows - 1)
