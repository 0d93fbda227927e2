"""Parts of imglab files that look like typos."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ert.datasets.split import connected_items


def part_faults(
    names: list[str], box_of: NDArray[np.intc], part_of: NDArray[np.intc], wheres: list[str]
) -> Iterator[tuple[int, str]]:
    """Yield boxes with parts that look like typos, in hardly any box or only in boxes of their own, and why.

    Box ``box_of[i]`` has part ``part_of[i]``, an index into `names`; `wheres` are the places of the boxes.
    """
    n = len(wheres)
    uses = np.bincount(part_of, minlength=len(names))
    rare = np.flatnonzero(uses < max(2, n / 100)) if n > 20 else ()
    for part in rare:
        for box in box_of[part_of == part].tolist():
            message = f"part {names[part]!r} is in {uses[part]} of {n} boxes only"
            yield box, f"{wheres[box]}: {message}, expected the parts of the other boxes"
    group_of = connected_items(box_of, part_of)
    groups, sizes = np.unique(group_of, return_counts=True)
    # The smallest group first; of groups of equal size, the later one in the file.
    for group in groups[np.lexsort([-groups, sizes])][:-1]:
        for box in np.flatnonzero(group_of == group).tolist():
            part = part_of[np.argmax(box_of == box)]
            message = f"no part in common with other boxes, it has {names[part]!r}"
            yield box, f"{wheres[box]}: {message}, expected the parts of the other boxes"
