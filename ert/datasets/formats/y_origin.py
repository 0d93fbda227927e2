"""Files that count y from the bottom of the image."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from ert._core.exceptions import InputError
from ert._core.images import image_size
from ert.datasets.parsing import Annotation

Y_ORIGINS = ("top", "bottom")


def count_y_from_top(annotations: Iterable[Annotation]) -> Iterator[Annotation]:
    """Change the y of landmarks and boxes that is counted from the bottom row of pixels of the image.

    A box is turned as a rectangle, from its lower edge and its height. If landmarks rather lie in the boxes below what
    the files give as their edges, these are the upper ones, which is an InputError.
    """
    file: Path | None = None
    height = n_upper = n_lower = 0
    where = ""
    for annotation in annotations:
        if annotation.fault is not None:
            yield annotation
            continue
        if annotation.file is not file:
            try:
                height = image_size(annotation.file)[1]
            except InputError as error:
                yield replace(annotation, fault=f"{annotation.where}: {error}")
                continue
            file = annotation.file
        box = annotation.box
        if box is not None:
            left, edge, width, rows = box
            known = [y for _, y in annotation.landmarks.values() if y == y]
            center = sum(known) / max(len(known), 1)
            n_lower += edge <= center < edge + rows
            if edge - rows <= center < edge:
                n_upper, where = n_upper + 1, where or annotation.where
            box = left, height - edge - rows, width, rows
        landmarks = {name: (x, height - 1 - y) for name, (x, y) in annotation.landmarks.items()}
        yield replace(annotation, box=box, landmarks=landmarks)
    if n_upper > n_lower:
        raise InputError(f"{where}: the landmarks are below the box, expected the lower edge of a box in place of its top")
