"""What dlib's arrays of one type have in common: copies of their items, `resize`, slices of their own type."""

import operator
from collections.abc import Iterable
from typing import Any, ClassVar, Self, SupportsIndex


def integer(value: Any, what: str) -> int:
    """Return an integer; dlib refuses floats too, even those without a fraction."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{what}: {value!r}, expected an integer, as in dlib: int(round(...))") from None
    if not -(2**63) <= number < 2**63:
        raise TypeError(f"{what}: {number}, expected an integer of 64 bits")
    return number


def number(value: Any, what: str) -> float:
    """Return a float of an integer or a float."""
    if isinstance(value, (str, bytes)):
        raise TypeError(f"{what}: {value!r}, expected a number")
    return float(value)


class Array(list[Any]):
    """A list of objects of one type, which are copied when they are put in.

    Parameters
    ----------
    items : iterable or int, optional
        The objects, or how many with zeros.
    """

    item: ClassVar[Any]

    def __init__(self, items: Iterable[Any] | int = ()) -> None:
        super().__init__()
        if isinstance(items, SupportsIndex):
            self.resize(items)
        else:
            self.extend(items)

    @classmethod
    def own(cls, item: Any) -> Any:
        """Return a copy of an item, which may be of the installed dlib."""
        if type(item).__name__ != cls.item.__name__ and not isinstance(item, cls.item):
            raise TypeError(f"{cls.__name__}: an item of type {type(item).__name__}, expected {cls.item.__name__}")
        return cls.item.copy_of(item)

    @classmethod
    def copy_of(cls, other: Iterable[Any]) -> Self:
        """Return a copy of an array of this type, or of the installed dlib's."""
        return cls(other)

    def resize(self, size: SupportsIndex) -> None:
        """Remove items at the end, or add items with zeros."""
        length = operator.index(size)
        if length < 0:
            raise TypeError(f"{type(self).__name__}: size {length}, expected at least 0")
        del self[length:]
        super().extend(self.item.zero() for _ in range(length - len(self)))

    def append(self, item: Any) -> None:
        """Add an item at the end."""
        super().append(self.own(item))

    def extend(self, items: Iterable[Any]) -> None:
        """Add items at the end."""
        super().extend([self.own(item) for item in items])

    def insert(self, index: SupportsIndex, item: Any) -> None:
        """Insert an item before an index."""
        super().insert(index, self.own(item))

    def __setitem__(self, index: Any, value: Any) -> None:
        super().__setitem__(index, [self.own(item) for item in value] if isinstance(index, slice) else self.own(value))

    def __getitem__(self, index: Any) -> Any:
        return type(self)(super().__getitem__(index)) if isinstance(index, slice) else super().__getitem__(index)

    def __iadd__(self, items: Iterable[Any]) -> Self:  # type: ignore[misc]
        self.extend(items)
        return self

    def __repr__(self) -> str:
        return f"{type(self).__name__}[{', '.join(map(str, self))}]"
