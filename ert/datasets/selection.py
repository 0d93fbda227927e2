"""Which objects of a file are loaded: those of a category or label, and those whose image can be read."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ert._core.exceptions import InputError, counted
from ert._core.images import image_size
from ert.datasets.dataset import Dataset, Skipped
from ert.datasets.parsing import Annotation, Picture, quoted

MAX_LISTED_LABELS = 10


def choose_label(
    annotations: Iterable[Annotation], path: Path, option: str, wanted: str | Sequence[str] | None
) -> Iterator[Annotation]:
    """Yield the objects with a wanted category or label; without a choice, raise InputError if there are several."""
    chosen = {wanted} if isinstance(wanted, str) else None if wanted is None else set(wanted)
    counts: Counter[str] = Counter()
    for annotation in annotations:
        label = annotation.label or ""
        counts[label] += bool(annotation.landmarks)
        if chosen is None or "*" in chosen or label in chosen:
            yield annotation
    found = [label for label, count in counts.items() if count]
    listed = ", ".join(f"{quoted(label)} ({counted(counts[label], 'object')})" for label in found[:MAX_LISTED_LABELS])
    listed += f" and {len(found) - MAX_LISTED_LABELS} more" if len(found) > MAX_LISTED_LABELS else ""
    if chosen is None and len(set(found) - {""}) > 1:
        raise InputError(f"{path}: several values of {option}: {listed}; choose with --{option} NAME, '*' is all")
    for label in sorted((chosen or set()) - {"*"} - set(found)):
        raise InputError(f"{path}: no object of {option} {quoted(label)}; found: {listed or 'none'}")


def image_boxes(annotations: Iterable[Annotation]) -> Iterator[Annotation]:
    """Replace each box by the whole image."""
    for annotation in annotations:
        if annotation.fault is None and annotation.landmarks:
            try:
                annotation = replace(annotation, box=image_box(annotation.file))
            except InputError as error:
                annotation = replace(annotation, fault=str(error))
        yield annotation


def image_box(file: Path) -> tuple[float, float, float, float]:
    """Return the box around all pixels of an image."""
    width, height = image_size(file)
    return 0.0, 0.0, float(width), float(height)


def drop_unreadable(dataset: Dataset, pictures: Mapping[Path, Picture]) -> Dataset:
    """Leave out the objects in images that cannot be read; `pictures` are the results of `read_picture`."""
    errors = [pictures[file].error for file in dataset.files]
    keep = [i for i, error in enumerate(errors) if error is None]
    bad = [Skipped("unreadable image", dataset.files[i], error) for i, error in enumerate(errors) if error is not None]
    if not bad:
        return dataset
    return replace(dataset.subset(keep), skipped=(*dataset.skipped, *bad), notes=dataset.notes)
