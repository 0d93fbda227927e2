"""What deserves a look in annotated images: pictures, boxes and landmarks that do not fit the others."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ert._core.exceptions import InputError
from ert._core.images import load_image
from ert._core.types import Floats
from ert.datasets.dataset import Dataset
from ert.model.procrustes import (
    Points,
    as_complex,
    centre_known,
    column_medians,
    move_onto,
    procrustes_distances,
    typical_shape,
)

__all__ = [
    "KINDS",
    "Finding",
    "Picture",
    "check_dataset",
    "read_picture",
]


KINDS = (
    "unreadable image",
    "duplicated image",
    "same object twice",
    "box outside the image",
    "tiny box",
    "missing landmarks",
    "landmarks outside the image",
    "landmarks far from the box",
    "coincident landmarks",
    "outlier shape",
    "stray landmarks",
    "left and right swapped",
)

# The thresholds were chosen by looking at what they name in photographs of faces, wings and shells.
_SAME_BOX = 0.9  # intersection over union of two boxes
_OUTSIDE = 0.5  # of the area of a box
_TINY = 16.0  # pixels
_FAR = 0.5  # sides of the box
# As fractions of the object's size: how near to each other is the same place, and how far apart two landmarks
# usually are that should not be there. The lips of a closed mouth may touch, and so may eyelids.
_SAME_PLACE, _APART = 1e-3, 0.3
_ROUNDING = 5.0  # pixels
_OUTLIER = 5.0  # robust standard deviations above the median
_STRAY = 10.0  # times as far off as the landmark usually is
_MIRRORED = 0.5  # of the Procrustes distance is left after swapping
_FEWEST = 10  # objects that tell what is typical
_FOLDS = 5


class Picture(NamedTuple):
    """What reading an image showed: its size, a digest of its pixels, and why it cannot be read, or None."""

    width: int
    height: int
    digest: str
    error: str | None


@dataclass(frozen=True)
class Finding:
    """Something that deserves a look.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    file : pathlib.Path
        The image.
    item : int or None
        The number of the object in the dataset, from 0; None where it is the image as a whole.
    text : str
        What was found, in words.
    severity : float
        The larger the worse, among findings of one kind.
    """

    kind: str
    file: Path
    item: int | None
    text: str
    severity: float


def read_picture(file: Path) -> Picture:
    """Read an image; what cannot be read gets the size 0, 0, an empty digest and the reason."""
    try:
        image = load_image(file)
    except InputError as error:
        return Picture(0, 0, "", str(error))
    digest = hashlib.blake2b(repr(image.shape).encode(), digest_size=16)
    digest.update(image.data)
    return Picture(image.shape[1], image.shape[0], digest.hexdigest(), None)


def check_dataset(
    dataset: Dataset, pictures: Mapping[Path, Picture], mirror_map: NDArray[np.intp] | None = None
) -> list[Finding]:
    """Find what deserves a look in a dataset.

    Parameters
    ----------
    dataset : Dataset
        What to check.
    pictures : mapping of pathlib.Path to Picture
        What `read_picture` says of each image of the dataset.
    mirror_map : int array (n_landmarks,), optional
        The mirror map. With it an object whose landmarks fit the typical shape far better after swapping
        left and right is named; without it, one whose reflection fits far better.

    Returns
    -------
    list of Finding
        In the order of `KINDS`, the worst of each kind first.
    """
    from threadpoolctl import threadpool_limits

    # For matrices this small, threads of the algebra library are a burden: a hundredfold on a busy machine.
    with threadpool_limits(1):
        odd_shapes = list(_check_shapes(dataset, mirror_map))
    findings = [
        *_check_images(pictures),
        *_check_pairs(dataset),
        *_check_boxes(dataset, pictures),
        *_check_landmarks(dataset, pictures),
        *_check_coincidence(dataset),
        *odd_shapes,
    ]
    return sorted(findings, key=lambda finding: (KINDS.index(finding.kind), -finding.severity))


def _check_images(pictures: Mapping[Path, Picture]) -> Iterator[Finding]:
    first: dict[str, Path] = {}
    for file, picture in pictures.items():
        if picture.error is not None:
            reason = picture.error.removeprefix(f"{file}: ")
            yield Finding("unreadable image", file, None, reason, 0)
        elif first.setdefault(picture.digest, file) != file:
            text = f"the same pixels as {first[picture.digest]}"
            yield Finding("duplicated image", file, None, text, 0)


def _check_pairs(dataset: Dataset) -> Iterator[Finding]:
    of_file: dict[Path, list[int]] = {}
    for i, file in enumerate(dataset.files):
        of_file.setdefault(file, []).append(i)
    for file, items in of_file.items():
        for i, j in combinations(items, 2):
            overlap = _overlap(dataset.boxes[i], dataset.boxes[j])
            if overlap >= _SAME_BOX:
                text = f"its box is that of object {i} (they share {overlap:.0%} of their area)"
                yield Finding("same object twice", file, j, text, overlap)


def _overlap(one: Floats, other: Floats) -> float:
    """Tell the intersection over union of two boxes."""
    low = np.maximum(one[:2], other[:2])
    high = np.minimum(one[:2] + one[2:], other[:2] + other[2:])
    shared = np.maximum(high - low, 0).prod()
    return float(shared / (one[2:].prod() + other[2:].prod() - shared))


def _check_boxes(dataset: Dataset, pictures: Mapping[Path, Picture]) -> Iterator[Finding]:
    for i, (file, box) in enumerate(dataset.X):
        width, height = box[2:]
        if min(width, height) < _TINY:
            text = f"the box is {width:.4g} x {height:.4g} pixels"
            yield Finding("tiny box", file, i, text, -float(min(width, height)))
        picture = pictures[file]
        if picture.error is None:
            low = np.maximum(box[:2], -0.5)
            high = np.minimum(box[:2] + box[2:], np.array((picture.width, picture.height)) - 0.5)
            outside = float(1 - np.maximum(high - low, 0).prod() / (width * height))
            if outside > _OUTSIDE:
                text = f"{outside:.0%} of the box is outside the {picture.width} x {picture.height} image"
                yield Finding("box outside the image", file, i, text, outside)


def _check_landmarks(dataset: Dataset, pictures: Mapping[Path, Picture]) -> Iterator[Finding]:
    for i, (file, box) in enumerate(dataset.X):
        shape, picture = dataset.landmarks[i], pictures[file]
        missing = np.isnan(shape[:, 0])
        if missing.any():
            yield Finding("missing landmarks", file, i, _named(dataset, missing), int(missing.sum()))
        if picture.error is None:
            size = np.array((picture.width, picture.height))
            beyond = np.maximum(-0.5 - shape, shape - (size - 0.5)).max(axis=1)
            if (beyond > 0).any():
                text = f"{_named(dataset, beyond > 0)}: by up to {np.nanmax(beyond):.3g} pixels"
                yield Finding("landmarks outside the image", file, i, text, float(np.nanmax(beyond)))
        beyond = (np.maximum(box[:2] - shape, shape - (box[:2] + box[2:] - 1)) / box[2:]).max(axis=1)
        if (beyond > _FAR).any():
            text = f"{_named(dataset, beyond > _FAR)}: by up to {np.nanmax(beyond):.2g} of the box's side"
            yield Finding("landmarks far from the box", file, i, text, float(np.nanmax(beyond)))


def _named(dataset: Dataset, which: NDArray[np.bool_]) -> str:
    names = [dataset.landmark_names[k] for k in np.flatnonzero(which)]
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    return ", ".join(names[:6]) + more


def _check_coincidence(dataset: Dataset) -> Iterator[Finding]:
    points = as_complex(dataset.landmarks)
    known = ~np.isnan(points)
    centered = centre_known(points, known)
    size = np.sqrt((abs(centered) ** 2).sum(axis=1) / known.sum(axis=1))
    size[size == 0] = 1
    pairs: dict[int, list[tuple[float, str]]] = {}
    for k in range(points.shape[1] - 1):
        distances = abs(points[:, k + 1 :] - points[:, k, None]) / size[:, None]
        near = distances < _SAME_PLACE
        for j in np.flatnonzero(near.any(axis=0)):
            usual = float(np.nanmedian(distances[:, j]))
            if usual > _APART:
                names = f"{dataset.landmark_names[k]} and {dataset.landmark_names[k + 1 + j]}"
                # In small objects whole pixels are too coarse to keep landmarks apart.
                for i in np.flatnonzero(near[:, j] & (usual * size > _ROUNDING)):
                    pairs.setdefault(int(i), []).append((usual, names))
    for item, found in pairs.items():
        found.sort(reverse=True)
        more = f" and {len(found) - 3} more pairs" if len(found) > 3 else ""
        text = ", ".join(names for _, names in found[:3]) + more
        yield Finding("coincident landmarks", dataset.files[item], item, text, found[0][0])


def _check_shapes(dataset: Dataset, mirror_map: NDArray[np.intp] | None) -> Iterator[Finding]:
    if len(dataset) < _FEWEST or len(dataset.landmark_names) < 3:
        return
    shapes = dataset.landmarks
    typical = typical_shape(shapes)
    distances = procrustes_distances(shapes, typical)
    usual = np.nanmedian(distances)
    scores = _robust_scores(distances)
    for i in np.flatnonzero(scores > _OUTLIER):
        text = f"Procrustes distance {distances[i]:.3g} from the typical shape, usually {usual:.3g}"
        yield Finding(
            "outlier shape", dataset.files[i], int(i), f"{text} (z {scores[i]:.1f})", float(scores[i])
        )
    yield from _check_residuals(dataset, typical)
    other = shapes[:, mirror_map] if mirror_map is not None else shapes * (-1, 1)
    swapped = procrustes_distances(other, typical)
    for i in np.flatnonzero(swapped < _MIRRORED * distances):
        text = f"Procrustes distance {distances[i]:.3g}, but {swapped[i]:.3g} when "
        text += "left and right are swapped" if mirror_map is not None else "reflected"
        severity = 1 - swapped[i] / distances[i]
        yield Finding("left and right swapped", dataset.files[i], int(i), text, float(severity))


def _check_residuals(dataset: Dataset, typical: Floats) -> Iterator[Finding]:
    """Name objects in which landmarks are not where the object's other landmarks and other objects put them.

    Pose and expression move all landmarks, but in ways that other objects show too: what is left after the
    principal components of those is the annotator's, or a rare object.
    """
    residuals = _residuals(as_complex(dataset.landmarks), as_complex(typical))
    if residuals is None:
        return
    known = ~np.isnan(residuals)
    distances = np.sqrt(np.where(known, residuals**2, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1))
    scores = _robust_scores(distances)
    usual = column_medians(residuals)
    # Landmarks that are hardly ever off, such as those that others define, would make much of a trifle.
    relative = np.nan_to_num(residuals / np.maximum(usual, max(0.5 * float(np.nanmedian(usual)), 1e-6)))
    severities = np.maximum(scores / _OUTLIER, relative.max(axis=1) / _STRAY)
    for i in np.flatnonzero(severities > 1):
        worst = np.argsort(-relative[i])
        worst = worst[relative[i, worst] > 0.5 * relative[i, worst[0]]][:3]
        names = ", ".join(dataset.landmark_names[k] for k in worst)
        far = f"{relative[i, worst[0]]:.0f} times as far as usual from where the others would have it"
        text = f"{names}: up to {far} (z of the shape {scores[i]:.1f})"
        yield Finding("stray landmarks", dataset.files[i], int(i), text, float(severities[i]))


def _residuals(points: Points, typical: Points) -> Floats | None:
    """Return how far landmarks are from what principal components of other objects make of the object."""
    n, n_landmarks = points.shape
    n_components = min(n_landmarks // 4, n // 10, 16)
    if n_components == 0:
        return None
    offsets = move_onto(points, typical) - typical
    columns = np.hstack([offsets.real, offsets.imag])
    there = ~np.isnan(columns)
    filled = np.where(there, columns, 0)
    # An odd object must not earn a component of its own.
    norms = np.linalg.norm(filled, axis=1)
    filled *= np.minimum(1, 2 * np.median(norms) / np.maximum(norms, 1e-12))[:, None]
    fold = np.arange(n) % _FOLDS
    for k in range(_FOLDS):
        # An object is judged by the others: else a few of them would explain a single odd one away.
        others = filled[fold != k]
        components = np.linalg.eigh(others.T @ others)[1][:, -n_components:]
        for i in np.flatnonzero(fold == k):
            known = there[i]
            if known.all():
                columns[i] -= components @ (components.T @ columns[i])
            elif known.any():
                weights = np.linalg.lstsq(components[known], columns[i, known], rcond=None)[0]
                columns[i] -= components @ weights
    return np.hypot(columns[:, :n_landmarks], columns[:, n_landmarks:])


def _robust_scores(values: Floats) -> Floats:
    """Return how many standard deviations above the median values are, with a deviation that is robust."""
    median = np.nanmedian(values)
    deviation = 1.4826 * np.nanmedian(abs(values - median))
    # Exact copies of one shape leave rounding errors, which are no deviation.
    scores: Floats = (values - median) / max(deviation, 1e-6)
    return scores
