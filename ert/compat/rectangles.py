"""dlib's points, rectangles and objects, in integer pixels and with dlib's names."""

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload


@dataclass
class point:
    """A point with integer coordinates.

    Parameters
    ----------
    x, y : int
    """

    x: int
    y: int

    def __post_init__(self) -> None:
        self.x, self.y = operator.index(self.x), operator.index(self.y)

    def __add__(self, other: "point") -> "point":
        return point(self.x + other.x, self.y + other.y)

    def __sub__(self, other: "point") -> "point":
        return point(self.x - other.x, self.y - other.y)

    def __repr__(self) -> str:
        return f"point{self}"

    def __str__(self) -> str:
        return f"({self.x}, {self.y})"


class rectangle:
    """A rectangle of pixels that includes its right column and bottom row.

    Parameters
    ----------
    left, top, right, bottom : int
        The default is the empty rectangle.
    """

    def __init__(self, left: int = 0, top: int = 0, right: int = -1, bottom: int = -1) -> None:
        self._edges: tuple[int, ...] = tuple(map(operator.index, (left, top, right, bottom)))

    def left(self) -> int:
        """Return the first column."""
        return self._edges[0]

    def top(self) -> int:
        """Return the first row."""
        return self._edges[1]

    def right(self) -> int:
        """Return the last column."""
        return self._edges[2]

    def bottom(self) -> int:
        """Return the last row."""
        return self._edges[3]

    def is_empty(self) -> bool:
        """Return whether the rectangle contains no pixel."""
        return self.left() > self.right() or self.top() > self.bottom()

    def width(self) -> int:
        """Return the number of columns."""
        return 0 if self.is_empty() else self.right() - self.left() + 1

    def height(self) -> int:
        """Return the number of rows."""
        return 0 if self.is_empty() else self.bottom() - self.top() + 1

    def area(self) -> int:
        """Return the number of pixels."""
        return self.width() * self.height()

    def center(self) -> point:
        """Return the center, rounded to the right and down."""
        return point((self.left() + self.right() + 1) // 2, (self.top() + self.bottom() + 1) // 2)

    def tl_corner(self) -> point:
        """Return the top left pixel."""
        return point(self.left(), self.top())

    def tr_corner(self) -> point:
        """Return the top right pixel."""
        return point(self.right(), self.top())

    def bl_corner(self) -> point:
        """Return the bottom left pixel."""
        return point(self.left(), self.bottom())

    def br_corner(self) -> point:
        """Return the bottom right pixel."""
        return point(self.right(), self.bottom())

    @overload
    def contains(self, x: "point | rectangle", /) -> bool: ...
    @overload
    def contains(self, x: int, y: int, /) -> bool: ...
    def contains(self, x: "int | point | rectangle", y: int | None = None, /) -> bool:
        """Return whether a point (or x and y) or all of another rectangle is inside."""
        if isinstance(x, rectangle):
            return x + self == self
        if isinstance(x, point):
            return self.contains(x.x, x.y)
        if y is None:
            raise TypeError("contains() takes a point, a rectangle, or x and y")
        return self.left() <= x <= self.right() and self.top() <= y <= self.bottom()

    def intersect(self, rect: "rectangle") -> "rectangle":
        """Return the intersection, which may be empty."""
        edges = zip(self._edges, rect._edges, (max, max, min, min), strict=True)
        return rectangle(*(choose(mine, other) for mine, other, choose in edges))

    def __add__(self, other: "rectangle") -> "rectangle":
        """Return the smallest rectangle that contains both."""
        if other.is_empty():
            return self
        if self.is_empty():
            return other
        edges = zip(self._edges, other._edges, (min, min, max, max), strict=True)
        return rectangle(*(choose(mine, its) for mine, its, choose in edges))

    def __eq__(self, other: object) -> bool:
        return self._edges == other._edges if isinstance(other, rectangle) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._edges)

    def __repr__(self) -> str:
        return f"rectangle({','.join(map(str, self._edges))})"

    def __str__(self) -> str:
        return f"[{self.tl_corner()} {self.br_corner()}]"


# dlib's containers have the methods of lists.
points = list[point]
rectangles = list[rectangle]


class full_object_detection:
    """An object: its rectangle and its points.

    Parameters
    ----------
    rect : rectangle
    parts : sequence of point
        A point with both coordinates 2**31 - 1 is missing.
    """

    def __init__(self, rect: rectangle, parts: Sequence[point]) -> None:
        self.rect = rect
        self._parts = list(parts)

    @property
    def num_parts(self) -> int:
        """The number of points."""
        return len(self._parts)

    def __repr__(self) -> str:
        return f"full_object_detection({self.rect!r}, {self.num_parts} parts)"

    def part(self, idx: int) -> point:
        """Return a point by its index; raise an IndexError when there is none."""
        if not 0 <= idx < len(self._parts):
            raise IndexError("Index out of range")
        return self._parts[idx]

    def parts(self) -> list[point]:
        """Return all points."""
        return list(self._parts)
