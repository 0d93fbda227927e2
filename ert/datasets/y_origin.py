"""Files that count y from the bottom of the image."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from ert._core.exceptions import InputError
from ert._core.images import image_size
from ert.datasets.parsing import Annotation


def count_y_from_top(annotations: Iterable[Annotation]) -> Iterator[Annotation]:
    """Change the y of landmarks and boxes that is counted from the bottom row of pixels of the image.

    A box begins at its lower edge. If more landmarks are in the boxes that begin at their upper edge, the file
    contains these, which is an InputError.
    """
    file: Path | None = None
    height = n_upper = n_lower = 0
    where = ""
    for annotation in annotations:
        if annotation.fault is not None:
            yield annotation
            continue
        if annotation.file != file:
            try:
                height = image_size(annotation.file)[1]
            except InputError as error:
                yield replace(annotation, fault=str(error))
                continue
            file = annotation.file
        box = annotation.box
        if box is not None:
            left, edge, width, rows = box
            known = [y for _, y in annotation.landmarks.values() if y == y]
            center = sum(known) / max(len(known), 1)
            n_lower += edge <= center < edge + rows
            n_upper += edge - rows <= center < edge
            where = where or annotation.where
            box = left, height - edge - rows, width, rows
        landmarks = {name: (x, height - 1 - y) for name, (x, y) in annotation.landmarks.items()}
        yield replace(annotation, box=box, landmarks=landmarks)
    if n_upper > n_lower:
        raise InputError(f"{where}: the box is above its landmarks, expected the y of its lower edge in place of top")
