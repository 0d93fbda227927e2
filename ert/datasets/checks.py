"""What a dataset contains, and sanity checks: images, boxes and landmarks that differ from the others."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ert._core.types import Floats
from ert.datasets.assembly import squares_around
from ert.datasets.dataset import Dataset
from ert.datasets.parsing import Picture, read_images, read_picture, read_size
from ert.inference.validation import fits_as_corners
from ert.model.procrustes import (
    Points,
    as_complex,
    centre_known,
    column_medians,
    move_onto,
    procrustes_distances,
    typical_shape,
)
from ert.model.schemes import MIRROR_MAPS

# Of objects that were not loaded: the text begins with the place in the annotations.
NOT_LOADED = ("invalid annotation", "image not found", "no landmarks")
KINDS = (
    *NOT_LOADED,
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

# The thresholds were chosen by viewing the findings in datasets of faces, wings and shells.
MIN_BOX_IOU = 0.9  # of two boxes of the same object
MAX_BOX_OUTSIDE = 0.5  # of the area of a box
MIN_BOX_PIXELS = 16.0
MAX_BOX_SIDES = 0.5  # distance of a landmark from the box
# As fractions of the object size: the distance of coincident landmarks, and the median distance of landmarks
# that should not coincide. The lips of a closed mouth may touch, and so may eyelids.
COINCIDENT_DISTANCE, DISTINCT_DISTANCE = 1e-3, 0.3
MIN_DISTINCT_PIXELS = 5.0  # in smaller objects rounding to integers makes landmarks coincide
MIN_OUTLIER_SCORE = 5.0  # robust standard deviations above the median
MIN_STRAY_FACTOR = 10.0  # times the median residual of the landmark
MAX_SWAPPED_RATIO = 0.5  # of the Procrustes distances after and before swapping left and right
MIN_OBJECTS = 10  # to estimate what is typical
N_FOLDS = 5


@dataclass(frozen=True)
class Finding:
    """A possible annotation error.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    file : pathlib.Path
        The image.
    item : int or None
        Index of the object in the dataset; None if the finding is about the image.
    text : str
        Description.
    severity : float
        Larger is worse, among findings of the same kind.
    landmarks : tuple of int
        Those that it is about; empty if that is the whole object or the image.
    """

    kind: str
    file: Path
    item: int | None
    text: str
    severity: float
    landmarks: tuple[int, ...] = ()


def check_dataset(
    dataset: Dataset, pictures: Mapping[Path, Picture] | None = None, mirror_map: NDArray[np.intp] | None = None
) -> list[Finding]:
    """Find possible annotation errors in a dataset.

    Parameters
    ----------
    dataset : Dataset
        Dataset to check.
    pictures : mapping of pathlib.Path to Picture, optional
        Result of `ert.datasets.parsing.read_picture` for each image; by default the images are read.
    mirror_map : int array (n_landmarks,), optional
        The mirror map. With it, objects are reported whose landmarks fit the typical shape far better after
        swapping left and right; without it, objects whose reflection fits far better.

    Returns
    -------
    list of Finding
        In the order of `KINDS`, the most severe of each kind first. Objects that were not loaded, which are in
        ``dataset.skipped``, are findings too.
    """
    from threadpoolctl import threadpool_limits

    findings = [
        Finding(skipped.kind, skipped.file, None, skipped.text.removeprefix(f"{skipped.file}: "), 0)
        for skipped in dataset.skipped
    ]
    if not len(dataset):
        return sorted(findings, key=lambda finding: KINDS.index(finding.kind))
    if pictures is None:
        pictures = read_images(read_picture, dataset.files)
    # For such small matrices, BLAS threads can be a hundred times slower on a busy machine.
    with threadpool_limits(1):
        findings += [
            *_check_images(pictures),
            *_check_pairs(dataset),
            *_check_objects(dataset, pictures),
            *_check_coincidence(dataset),
            *_check_shapes(dataset, mirror_map),
        ]
    return sorted(findings, key=lambda finding: (KINDS.index(finding.kind), -finding.severity))


def _check_images(pictures: Mapping[Path, Picture]) -> Iterator[Finding]:
    first: dict[str, Path] = {}
    for file, picture in pictures.items():
        if picture.error is not None:
            yield Finding("unreadable image", file, None, picture.error.removeprefix(f"{file}: "), 0)
        elif first.setdefault(picture.digest, file) != file:
            yield Finding("duplicated image", file, None, f"same pixels as {first[picture.digest]}", 0)


def _check_pairs(dataset: Dataset) -> Iterator[Finding]:
    of_file: dict[Path, list[int]] = {}
    for i, file in enumerate(dataset.files):
        of_file.setdefault(file, []).append(i)
    for file, items in of_file.items():
        for i, j in combinations(items, 2):
            one, other = dataset.boxes[i], dataset.boxes[j]
            shared = _intersection(one, other)
            iou = shared / float(one[2:].prod() + other[2:].prod() - shared)
            if iou >= MIN_BOX_IOU:
                text = f"same box as object {i} (intersection over union {iou:.0%})"
                yield Finding("same object twice", file, j, text, iou)


def _intersection(one: Floats, other: Floats) -> float:
    """Return the area of the intersection of two boxes."""
    low = np.maximum(one[:2], other[:2])
    high = np.minimum(one[:2] + one[2:], other[:2] + other[2:])
    return float(np.maximum(high - low, 0).prod())


def _check_objects(dataset: Dataset, pictures: Mapping[Path, Picture]) -> Iterator[Finding]:
    """Check the box and the landmarks of each object."""
    for i, (file, box) in enumerate(dataset.X):
        shape, picture = dataset.landmarks[i], pictures[file]
        width, height = box[2:].tolist()
        if min(width, height) < MIN_BOX_PIXELS:
            yield Finding("tiny box", file, i, f"the box is {width:.4g} x {height:.4g} pixels", -min(width, height))
        missing = np.isnan(shape[:, 0])
        if missing.any():
            text = _named(dataset, missing)
            yield Finding("missing landmarks", file, i, text, int(missing.sum()), _indices(missing))
        if picture.error is None:
            image = np.array((-0.5, -0.5, picture.width, picture.height))
            outside = 1 - _intersection(box, image) / (width * height)
            if outside > MAX_BOX_OUTSIDE:
                text = f"{outside:.0%} of the box is outside the {picture.width} x {picture.height} image"
                if fits_as_corners(tuple(box.tolist()), picture.width, picture.height):
                    text += ", but it would be inside as x1, y1, x2, y2"
                yield Finding("box outside the image", file, i, text, outside)
            beyond = np.maximum(-0.5 - shape, shape - (image[2:] - 0.5)).max(axis=1)
            if (far := beyond > 0).any():
                text = f"{_named(dataset, far)}: by up to {np.nanmax(beyond):.3g} pixels"
                yield Finding("landmarks outside the image", file, i, text, float(np.nanmax(beyond)), _indices(far))
        beyond = (np.maximum(box[:2] - shape, shape - (box[:2] + box[2:] - 1)) / box[2:]).max(axis=1)
        if (far := beyond > MAX_BOX_SIDES).any():
            text = f"{_named(dataset, far)}: by up to {np.nanmax(beyond):.2g} of the box side"
            yield Finding("landmarks far from the box", file, i, text, float(np.nanmax(beyond)), _indices(far))


def _indices(which: NDArray[np.bool_]) -> tuple[int, ...]:
    return tuple(np.flatnonzero(which).tolist())


def _named(dataset: Dataset, which: NDArray[np.bool_]) -> str:
    names = [dataset.landmark_names[k] for k in np.flatnonzero(which)]
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    return ", ".join(names[:6]) + more


def _check_coincidence(dataset: Dataset) -> Iterator[Finding]:
    points = as_complex(dataset.landmarks)
    known = ~np.isnan(points)
    size = np.sqrt((abs(centre_known(points, known)) ** 2).sum(axis=1) / known.sum(axis=1))
    size[size == 0] = 1
    pairs: dict[int, list[tuple[float, str, int, int]]] = {}
    for k in range(points.shape[1] - 1):
        distances = abs(points[:, k + 1 :] - points[:, k, None]) / size[:, None]
        near = distances < COINCIDENT_DISTANCE
        for j in np.flatnonzero(near.any(axis=0)):
            median = float(np.nanmedian(distances[:, j]))
            if median > DISTINCT_DISTANCE:
                names = f"{dataset.landmark_names[k]} and {dataset.landmark_names[k + 1 + j]}"
                for i in np.flatnonzero(near[:, j] & (median * size > MIN_DISTINCT_PIXELS)):
                    pairs.setdefault(int(i), []).append((median, names, k, k + 1 + int(j)))
    for item, found in pairs.items():
        found.sort(reverse=True)
        more = f" and {len(found) - 3} more pairs" if len(found) > 3 else ""
        text = ", ".join(names for _, names, *_ in found[:3]) + more
        landmarks = tuple(dict.fromkeys(k for _, _, *both in found[:3] for k in both))
        yield Finding("coincident landmarks", dataset.files[item], item, text, found[0][0], landmarks)


def _check_shapes(dataset: Dataset, mirror_map: NDArray[np.intp] | None) -> Iterator[Finding]:
    if len(dataset) < MIN_OBJECTS or len(dataset.landmark_names) < 3:
        return
    shapes = dataset.landmarks
    typical = typical_shape(shapes)
    distances = procrustes_distances(shapes, typical)
    scores = _robust_scores(distances)
    for i in np.flatnonzero(scores > MIN_OUTLIER_SCORE):
        text = f"Procrustes distance {distances[i]:.3g} from the typical shape, median {np.nanmedian(distances):.3g}"
        text += f" (z {scores[i]:.1f})"
        yield Finding("outlier shape", dataset.files[i], int(i), text, float(scores[i]))
    yield from _check_residuals(dataset, typical)
    other = shapes[:, mirror_map] if mirror_map is not None else shapes * (-1, 1)
    swapped = procrustes_distances(other, typical)
    for i in np.flatnonzero(swapped < MAX_SWAPPED_RATIO * distances):
        text = f"Procrustes distance {distances[i]:.3g}, but {swapped[i]:.3g} when "
        text += "left and right are swapped" if mirror_map is not None else "reflected"
        yield Finding("left and right swapped", dataset.files[i], int(i), text, 1 - float(swapped[i] / distances[i]))


def _check_residuals(dataset: Dataset, typical: Floats) -> Iterator[Finding]:
    """Yield objects with landmarks far from where the principal components of the other objects predict them.

    The components explain pose and expression; a large residual is an annotation error or a rare object.
    """
    residuals = _residuals(as_complex(dataset.landmarks), as_complex(typical))
    if residuals is None:
        return
    known = ~np.isnan(residuals)
    distances = np.sqrt(np.where(known, residuals**2, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1))
    scores = _robust_scores(distances)
    median = column_medians(residuals)
    # A lower bound: for landmarks with tiny residuals everything would be an outlier.
    relative = np.nan_to_num(residuals / np.maximum(median, max(0.5 * float(np.nanmedian(median)), 1e-6)))
    severities = np.maximum(scores / MIN_OUTLIER_SCORE, relative.max(axis=1) / MIN_STRAY_FACTOR)
    for i in np.flatnonzero(severities > 1):
        worst = np.argsort(-relative[i])
        worst = worst[relative[i, worst] > 0.5 * relative[i, worst[0]]][:3]
        text = ", ".join(dataset.landmark_names[k] for k in worst)
        text += f": up to {relative[i, worst[0]]:.0f} times the median residual (z of the shape {scores[i]:.1f})"
        landmarks = tuple(worst.tolist())
        yield Finding("stray landmarks", dataset.files[i], int(i), text, float(severities[i]), landmarks)


def _residuals(points: Points, typical: Points) -> Floats | None:
    """Return the distances of landmarks from their reconstruction by components of the other objects."""
    n, n_landmarks = points.shape
    n_components = min(n_landmarks // 4, n // 10, 16)
    if n_components == 0:
        return None
    offsets = move_onto(points, typical) - typical
    columns = np.hstack([offsets.real, offsets.imag])
    present = ~np.isnan(columns)
    filled = np.where(present, columns, 0)
    # Norms are clipped so that no outlier gets a component of its own.
    norms = np.linalg.norm(filled, axis=1)
    filled *= np.minimum(1, 2 * np.median(norms) / np.maximum(norms, 1e-12))[:, None]
    fold = np.arange(n) % N_FOLDS
    for k in range(N_FOLDS):
        # The object itself is left out: with few objects a component could explain it.
        others = filled[fold != k]
        components = _principal_components(others, n_components)
        for i in np.flatnonzero(fold == k):
            known = present[i]
            if known.all():
                columns[i] -= components @ (components.T @ columns[i])
            elif known.any():
                weights = np.linalg.lstsq(components[known], columns[i, known], rcond=None)[0]
                columns[i] -= components @ weights
    return np.hypot(columns[:, :n_landmarks], columns[:, n_landmarks:])


def _principal_components(rows: Floats, n: int) -> Floats:
    """Return the n orthonormal directions, as columns, along which rows have the largest squares."""
    if len(rows) < rows.shape[1]:
        # The square of the number of columns may be too many to compute.
        return np.linalg.svd(rows, full_matrices=False)[2][:n].T
    return np.linalg.eigh(rows.T @ rows)[1][:, -n:]


def _robust_scores(values: Floats) -> Floats:
    """Return robust z scores: the distance above the median in units of 1.4826 times the MAD."""
    median = np.nanmedian(values)
    # A lower bound: exact copies of one shape differ by rounding errors only.
    deviation = max(1.4826 * float(np.nanmedian(abs(values - median))), 1e-6)
    return (values - median) / deviation


# Procrustes distance between the typical shape and its mirror image; faces of one dataset differ as much.
MAX_ASYMMETRY = 0.15


def describe_dataset(dataset: Dataset, sizes: Mapping[Path, tuple[int, int] | None] | None = None) -> dict[str, Any]:
    """Return counts and sizes of a dataset.

    Parameters
    ----------
    dataset : Dataset
        At least one object.
    sizes : mapping of pathlib.Path to (int, int) or None, optional
        Width and height of each image in pixels; None for an unreadable one. By default they are read.

    Returns
    -------
    dict
        JSON types only. "images", "objects", "landmarks" and "boxes_around_landmarks" (boxes equal to those
        that `load_dataset` makes from landmarks) are counts. "missing" is landmark name -> number of objects
        without it. "objects_per_image", "image_width", "image_height", "box_width" and "box_height" are dicts
        of "min", "median" and "max", or None without values. "landmark_names" and "unreadable_images" are
        lists; "mirror_scheme" is the result of `known_scheme`.
    """
    sizes = read_images(read_size, dataset.files) if sizes is None else sizes
    _, counts = np.unique([str(file) for file in dataset.files], return_counts=True)
    known = np.array([size for size in sizes.values() if size is not None]).reshape(-1, 2)
    missing = np.isnan(dataset.landmarks[:, :, 0]).sum(axis=0)
    around = np.isclose(squares_around(dataset.landmarks), dataset.boxes, rtol=0, atol=1e-4).all(axis=1)
    return {
        "images": len(counts),
        "objects": len(dataset),
        "objects_per_image": _range(counts),
        "landmarks": len(dataset.landmark_names),
        "landmark_names": list(dataset.landmark_names),
        "missing": dict(zip(dataset.landmark_names, missing.tolist(), strict=True)),
        "image_width": _range(known[:, 0]),
        "image_height": _range(known[:, 1]),
        "box_width": _range(dataset.boxes[:, 2]),
        "box_height": _range(dataset.boxes[:, 3]),
        "boxes_around_landmarks": int(around.sum()),
        "mirror_scheme": known_scheme(dataset),
        "unreadable_images": [str(file) for file, size in sizes.items() if size is None],
    }


def _range(values: NDArray[Any]) -> dict[str, float] | None:
    if not len(values):
        return None
    found = {"min": values.min(), "median": np.median(values), "max": values.max()}
    return {key: round(float(value), 3) for key, value in found.items()}


def known_scheme(dataset: Dataset) -> str | None:
    """Find the mirror scheme of a dataset: one in which its typical shape is symmetric.

    Parameters
    ----------
    dataset : Dataset
        At least one object.

    Returns
    -------
    str or None
        A key of `ert.model.schemes.MIRROR_MAPS` with the same number of landmarks, or None.
    """
    typical = None
    for name, scheme in MIRROR_MAPS.items():
        if len(scheme) == len(dataset.landmark_names):
            typical = typical_shape(dataset.landmarks) if typical is None else typical
            reflected = typical[list(scheme)] * (-1, 1)
            if procrustes_distances(reflected[None], typical)[0] < MAX_ASYMMETRY:
                return name
    return None
