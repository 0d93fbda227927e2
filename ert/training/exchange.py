"""What a training exchanges with the other parts of its samples, where each worker of a cluster has a part."""

from typing import Any, TypeVar

import numpy.typing as npt

Arrays = TypeVar("Arrays", bound=tuple[npt.NDArray[Any] | None, ...])


class Exchange:
    """That of a training that has all samples: everything is there already.

    Attributes
    ----------
    rank : int
        The number of this part, from 0 on.
    n_ranks : int
        All parts call the same methods in the same order.
    """

    rank, n_ranks = 0, 1

    def sum(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the sum of the arrays of all parts; those of integers are exact."""
        return array

    def max(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the largest of the numbers of all parts, element by element."""
        return array

    def same(self, arrays: Arrays) -> Arrays:
        """Return the arrays of part 0, of the shapes and types that all have.

        Floats that other processors may compute with another last bit pass through it: parts that disagree on a
        candidate would sum up different things.
        """
        return arrays

    def gather(self, array: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """Return in part 0 the arrays of all parts, of any length, in others nothing."""
        return [array]

    def join(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the rows of all parts one after another, in all parts."""
        return array

    def copy(self, array: npt.NDArray[Any], source: int, target: int) -> npt.NDArray[Any]:
        """Return in the part `target` the array of the part `source`; the others do nothing."""
        return array


# In a training that has this one, trees are grown in one call of a kernel.
ALONE = Exchange()
