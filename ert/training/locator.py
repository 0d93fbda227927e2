"""Training a locator on the photos that a cascade is trained on.

landmarks ──> mean shape, poses ──> windows around objects, at each roll ──┐
photos ──> windows elsewhere ──────────────────────────────────────────────┴──> linear discriminants: filters
photos, poses ──> small cascade of the corners of boxes
photos searched with filters of other photos ──> scores of objects and of other places ──> confidence
"""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ert._core.exceptions import InputError
from ert._core.images import ImageLike, read_image, to_gray
from ert._core.types import Floats, Pixels
from ert.inference.gradients import Features, read_window, windows_of
from ert.inference.locator import SIZE_STEP, Pose, refine, search, search_levels
from ert.inference.validation import check_landmarks
from ert.model.cascade import Cascade
from ert.model.locator import (
    CELL_PIXELS,
    MAX_CENTER_STD,
    MAX_RELATIVE_SIDE,
    MAX_ROLL_STD,
    MAX_SIZE_STD,
    MIN_RELATIVE_SIDE,
    Locator,
    check_locator,
    corners_of,
    poses_of,
)
from ert.model.procrustes import as_complex, fit_known, typical_shape
from ert.training.calibration import fit_logistic
from ert.training.parameters import NEUTRAL

# Photos that a locator is trained on, and that its confidence is calibrated on, at most.
MAX_PHOTOS, MAX_CALIBRATION_PHOTOS = 200, 60
# The longer side of a window in cells, and its margin around the box in mean sides of the box.
WINDOW_CELLS, CONTEXT = 12, 0.15
# Objects without extent in a direction have a box of this part of the other.
MIN_ASPECT = 0.25
# From one filter to the next, and what is searched at least, in degrees.
ROLL_STEP, MIN_ROLL = 15.0, 30.0
# Sizes that are searched for, in those of the training photos.
SMALLEST, LARGEST = 0.3, 1.4
# Windows of an object for each roll, their shift in pixels and rotation in degrees, at most.
N_JITTERED, SHIFT_PIXELS, TURN_DEGREES = 4, 2.0, 7.0
N_NEGATIVES = 6000
# Windows are elsewhere beyond this distance from an object in sides of its box, or this factor of its size.
FAR_SIDES, FAR_FACTOR = 0.35, 1.5
# Part of the mean variance that is added to the covariance of windows.
REGULARIZATION = 0.05
# Around the landmarks, in mean sides of the box: what is left of a photo on another background.
BACKGROUND_MARGIN = 0.1, 0.25
N_FOLDS = 3
# Places without an object that are the most like one, in each of so many photos. With them, the largest confidence of
# photos of other objects falls from 0.71 to 0.54 for a locator of wings.
MAX_LIKELY_PHOTOS, N_LIKELY = 40, 12
_CASCADE = {
    "n_stages": 8,
    "n_trees": 150,
    "max_depth": 4,
    "n_pixels": 300,
    "n_inits": 30,
    "n_shapes_mixed": 1,
    "shift_jitter": 0.07,
    "scale_jitter": 0.12,
    "roll_jitter": 8.0,
    "padding": 0.1,
    "working_size": 96,
    "blur": 0.0,
    "stages_per_basis": 8,
    "n_jobs": 1,
}


@dataclass(frozen=True)
class _Photo:
    """A photo in gray, reduced, and its objects."""

    gray: Pixels
    boxes: Floats
    rolls: Floats
    # The landmarks of each, NaN where missing.
    shapes: Floats

    def poses(self) -> list[Pose]:
        centers = self.boxes[:, :2] + (self.boxes[:, 2:] - 1) / 2
        sides = (self.boxes[:, 2:] - 1).mean(axis=1)
        numbers = np.column_stack([centers, sides, self.rolls]).tolist()
        return [Pose(x, y, side, roll, 0.0) for x, y, side, roll in numbers]


def fit_locator(
    images: Sequence[ImageLike],
    landmarks: npt.ArrayLike,
    *,
    channel_order: str = "rgb",
    gray_weights: str = "luma",
    n_jobs: int | None = 1,
    random_state: int = 0,
) -> Locator:
    """Train a locator.

    Parameters
    ----------
    images : sequence of arrays, paths or Pillow images
        The photo of each object. Objects of one photo have the same array or path.
    landmarks : array (n, n_landmarks, 2)
        In image pixels; NaN where missing. There must be at least two landmarks.
    channel_order, gray_weights, n_jobs
        See :class:`ert.ShapePredictor`.
    random_state : int
        Seed.

    Returns
    -------
    Locator

    Raises
    ------
    InputError
        When an image cannot be read, or there are too few landmarks or objects.
    """
    from threadpoolctl import threadpool_limits

    shapes = check_landmarks(landmarks, len(images))
    shape, sides = mean_box(shapes)
    boxes, rolls = poses_of(shapes, shape, sides)
    known = np.flatnonzero(np.isfinite(rolls))
    if len(known) < 2:
        raise InputError("locator: fewer than 2 objects with two landmarks or more")
    pixels = WINDOW_CELLS * CELL_PIXELS / float((sides + 2 * CONTEXT).max())
    rows, columns = (max(2, round(side * pixels / CELL_PIXELS)) for side in (sides + 2 * CONTEXT)[::-1])
    rng = np.random.default_rng([random_state, 4])
    with threadpool_limits(1):
        photos, relative = _read_photos(images, shapes, boxes, rolls, known, pixels, (channel_order, gray_weights))
        changed = [_on_another_background(i, photos, rng) for i in range(len(photos))]
        locator = Locator(
            shape=shape.astype(np.float32),
            sides=sides,
            pixels=pixels,
            relative_sides=np.clip(
                [SMALLEST * relative.min(), LARGEST * relative.max()], MIN_RELATIVE_SIDE, MAX_RELATIVE_SIDE
            ),
            rolls=filter_rolls(rolls[known]),
            filters=np.zeros((1, rows, columns, 8), np.float32),
            offsets=np.zeros(1, np.float32),
            start=_typical_start(photos),
            confidence_weights=np.zeros(2),
            cascade=_fit_corners([*photos, *changed], random_state, n_jobs),
        )
        windows = _Windows.read(locator, photos, changed, rng)
        everything = np.ones(len(photos), bool)
        windows = windows.with_likely(windows.discriminants(locator, everything), photos, changed)
        folds = np.arange(len(photos)) % min(N_FOLDS, len(photos))
        scores = []
        for fold in range(int(folds.max()) + 1):
            without = windows.discriminants(locator, folds != fold if folds.max() else everything)
            chosen = np.flatnonzero(folds == fold)[: MAX_CALIBRATION_PHOTOS // N_FOLDS]
            scores += [_scores(without, photos[i]) for i in chosen]
        locator = windows.discriminants(locator, everything)
        locator = replace(locator, confidence_weights=_calibrate(*map(np.concatenate, zip(*scores, strict=True))))
    if locator.start.max() > MAX_RELATIVE_SIDE:
        raise InputError("locator: the objects are far larger than their photos: do the landmarks belong to them?")
    check_locator(locator)
    return locator


def mean_box(landmarks: Floats) -> tuple[Floats, Floats]:
    """Return the mean shape in coordinates of its box, as upright as the objects are in the mean, and its sides."""
    if landmarks.shape[1] < 2:
        raise InputError("locator: objects of a single landmark have no size, expected at least 2 landmarks")
    points = as_complex(np.nan_to_num(typical_shape(landmarks)))
    shape = np.column_stack([points.real, points.imag])
    turn, _, _ = fit_known(shape, landmarks)
    turn = turn[abs(turn) > 0]
    mean = (turn / abs(turn)).mean() if len(turn) else 1
    # Objects at any roll have no mean.
    if abs(mean) > 0.3:
        points = points * (mean / abs(mean))
    shape = np.column_stack([points.real, points.imag])
    low, high = shape.min(axis=0), shape.max(axis=0)
    extents = np.maximum(high - low, MIN_ASPECT * (high - low).max())
    if not extents.max() > 0:
        raise InputError("locator: all landmarks coincide")
    side = extents.mean()
    return (shape - (low + high) / 2) / side + 0.5, extents / side


def filter_rolls(rolls: Floats) -> npt.NDArray[np.float32]:
    """Return the rolls of filters, 0 first: as far as those of nearly all objects."""
    most = max(MIN_ROLL, float(np.quantile(np.abs(rolls), 0.98)))
    n = math.ceil(most / ROLL_STEP - 0.5)
    if n >= 11:
        return ((np.arange(24) * ROLL_STEP + 180) % 360 - 180).astype(np.float32)
    return (ROLL_STEP * np.array([0, *range(-n, 0), *range(1, n + 1)])).astype(np.float32)


def _read_photos(
    images: Sequence[ImageLike],
    shapes: Floats,
    boxes: Floats,
    rolls: Floats,
    known: npt.NDArray[np.intp],
    pixels: float,
    colors: tuple[str, str],
) -> tuple[list[_Photo], Floats]:
    """Return photos reduced to about twice the resolution of windows, and the relative sides of all objects."""
    owners: dict[Any, list[int]] = {}
    for i in known.tolist():
        image = images[i]
        owners.setdefault(os.fspath(image) if isinstance(image, (str, os.PathLike)) else id(image), []).append(i)
    groups = list(owners.values())
    chosen = np.unique(np.linspace(0, len(groups) - 1, min(len(groups), MAX_PHOTOS)).round().astype(int))
    photos, relative = [], []
    for group in (groups[i] for i in chosen):
        image = images[group[0]]
        order = colors[0] if isinstance(image, np.ndarray) else "rgb"
        gray = to_gray(read_image(image, f"images[{group[0]}]"), order, colors[1])
        sides = (boxes[group, 2:] - 1).mean(axis=1)
        relative.append(sides / math.sqrt(gray.size))
        factor = max(1, math.floor(sides.min() / (2 * pixels)))
        if factor > 1:
            from PIL import Image

            gray = np.array(Image.fromarray(gray).reduce(factor))
        centers = ((boxes[group, :2] + (boxes[group, 2:] - 1) / 2) + 0.5) / factor - 0.5
        lengths = (boxes[group, 2:] - 1) / factor
        own = np.hstack([centers - lengths / 2, lengths + 1]), rolls[group], (shapes[group] + 0.5) / factor - 0.5
        photos.append(_Photo(gray, *own))
    return photos, np.concatenate(relative)


def _typical_start(photos: Sequence[_Photo]) -> Floats:
    """Return where objects lie in their photos, see :class:`Locator`; a side of 0 if they do not lie alike."""
    if any(len(photo.rolls) > 1 for photo in photos):
        return np.zeros(3)
    sizes = np.array([photo.gray.shape[::-1] for photo in photos], np.float64)
    poses = np.array([pose for photo in photos for pose in photo.poses()])
    centers = (poses[:, :2] + 0.5) / sizes
    sides = np.log(poses[:, 2] / np.sqrt(sizes.prod(axis=1)))
    most = np.array([MAX_CENTER_STD, MAX_CENTER_STD, MAX_SIZE_STD, MAX_ROLL_STD])
    if (np.array([*centers.std(axis=0), sides.std(), poses[:, 3].std()]) > most).any():
        return np.zeros(3)
    start = np.array([*np.median(centers, axis=0), np.exp(np.median(sides))])
    return start if start.min() > 0 else np.zeros(3)


def _on_another_background(i: int, photos: Sequence[_Photo], rng: np.random.Generator) -> _Photo:
    """Return a photo with a part of another one, or an even gray, around its objects.

    What surrounds an object is often the same in all training photos, its place in the photo too.
    """
    from scipy.ndimage import gaussian_filter
    from skimage.draw import polygon2mask

    photo = photos[i]
    gray = photo.gray
    mask = np.zeros(gray.shape, np.float32)
    for shape, pose in zip(photo.shapes, photo.poses(), strict=True):
        margin = rng.uniform(*BACKGROUND_MARGIN) * pose.side
        around = np.exp(2j * np.pi * np.arange(12) / 12) * margin
        points = shape[np.isfinite(shape[:, 0])]
        hull = _hull((points[:, None] + np.column_stack([around.real, around.imag])).reshape(-1, 2))
        mask[polygon2mask(gray.shape, hull[:, ::-1])] = 1  # type: ignore[no-untyped-call]
    mask = gaussian_filter(mask, 0.03 * photo.poses()[0].side)
    if rng.random() < 0.5:
        background = np.full(gray.shape, rng.integers(256), np.float32)
    else:
        other = photos[int(rng.integers(len(photos)))].gray
        rows, columns = ((int(rng.integers(n)) + np.arange(m)) for m, n in zip(gray.shape, other.shape, strict=True))
        # Mirrored at its edges.
        background = other[_bounce(rows, other.shape[0])][:, _bounce(columns, other.shape[1])].astype(np.float32)
    mixed = mask * gray + (1 - mask) * background
    return replace(photo, gray=np.rint(mixed).astype(np.uint8))


def _bounce(places: npt.NDArray[np.int64], n: int) -> npt.NDArray[np.int64]:
    rest = places % (2 * n)
    return np.minimum(rest, 2 * n - 1 - rest)


def _hull(points: Floats) -> Floats:
    from scipy.spatial import ConvexHull

    return points[ConvexHull(points).vertices]  # type: ignore[no-any-return]


def _fit_corners(photos: Sequence[_Photo], random_state: int, n_jobs: int | None) -> Cascade:
    """Train the small cascade that locates the corners of boxes."""
    from ert.training.fit import fit_cascade

    X = [(photo.gray, box) for photo in photos for box in photo.boxes]
    boxes, rolls = (np.concatenate([getattr(photo, name) for photo in photos]) for name in ("boxes", "rolls"))
    settings = NEUTRAL | _default_settings() | _CASCADE | {"random_state": random_state, "n_jobs": n_jobs}
    fitted = fit_cascade(settings, X, corners_of(boxes, rolls), rolls=rolls)
    assert isinstance(fitted.cascade, Cascade)
    return fitted.cascade


def _default_settings() -> dict[str, Any]:
    return {
        "kind": "ert",
        "learning_rate": 0.1,
        "n_trees_averaged": 1,
        "n_pool_candidates": 0,
        "n_split_tests": 20,
        "prior_length": 0.1,
        "pool_spread": 0.0,
        "occlusion": 0.0,
        "mirror": None,
        "n_components": 8,
        "leaf_bits": 8,
        "min_contrast": 0.0,
        "normalizer": None,
        "channel_order": "rgb",
        "gray_weights": "luma",
        "max_memory": None,
        "verbose": 0,
    }


@dataclass(frozen=True)
class _Windows:
    """Histograms of windows, and the photos that they are from."""

    # At each roll of a filter, (n_rolls, n, size).
    objects: Features
    object_photos: npt.NDArray[np.intp]
    # Places without an object: drawn at random, and the most like one.
    elsewhere: tuple[Features, Features]
    elsewhere_photos: tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]

    @classmethod
    def read(
        cls, locator: Locator, photos: Sequence[_Photo], changed: Sequence[_Photo], rng: np.random.Generator
    ) -> "_Windows":
        cells = locator.filters.shape[1], locator.filters.shape[2]
        objects: list[Features] = []
        owners, elsewhere, photo_of = [], [], []
        for i, photo in enumerate(photos):
            for pose in photo.poses():
                for number in range(N_JITTERED):
                    gray = (photo if number % 2 == 0 else changed[i]).gray
                    shift, size, turn = rng.uniform(-1, 1, 2), rng.uniform(-0.5, 0.5), rng.uniform(-1, 1)
                    side = pose.side * SIZE_STEP**size
                    center = np.array([pose.x, pose.y]) + shift * SHIFT_PIXELS * side / locator.pixels
                    turned = pose.roll - locator.rolls + turn * TURN_DEGREES
                    objects.append(
                        np.stack(
                            [read_window(gray, center, side, float(roll), locator.pixels, cells) for roll in turned]
                        )
                    )
                    owners.append(i)
            for each in (photo, changed[i]):
                found = _elsewhere(locator, each, max(20, N_NEGATIVES // (2 * len(photos))), rng)
                elsewhere.append(found)
                photo_of += [i] * len(found)
        at_rolls = np.stack(objects, axis=1).reshape(len(locator.rolls), len(objects), -1)
        places, owners_of_places = np.concatenate(elsewhere), np.array(photo_of, np.intp)
        return cls(at_rolls, np.array(owners), (places, places[:0]), (owners_of_places, owners_of_places[:0]))

    def with_likely(self, locator: Locator, photos: Sequence[_Photo], changed: Sequence[_Photo]) -> "_Windows":
        """Return these, and the windows without an object that have the highest scores in some of the photos."""
        cells = locator.filters.shape[1], locator.filters.shape[2]
        found, owners = [self.elsewhere[0][:0]], []
        for i in range(min(len(photos), MAX_LIKELY_PHOTOS)):
            for photo in (photos[i], changed[i]):
                for pose in search(locator, photo.gray, N_LIKELY):
                    if all(_is_far(pose, other) for other in photo.poses()):
                        center = np.array([pose.x, pose.y])
                        window = read_window(photo.gray, center, pose.side, 0.0, locator.pixels, cells)
                        found.append(window.reshape(1, -1))
                        owners.append(i)
        likely = np.concatenate(found), np.array(owners, np.intp)
        return replace(
            self, elsewhere=(self.elsewhere[0], likely[0]), elsewhere_photos=(self.elsewhere_photos[0], likely[1])
        )

    def discriminants(self, locator: Locator, photos: npt.NDArray[np.bool_]) -> Locator:
        """Return the locator with filters of linear discriminant analysis, from some of the photos.

        A filter has the score 0 for the mean of windows elsewhere, 1 for the mean of objects at its roll.
        """
        from scipy.linalg import cho_factor, cho_solve

        objects = self.objects[:, photos[self.object_photos]]
        places = [part[photos[owners]] for part, owners in zip(self.elsewhere, self.elsewhere_photos, strict=True)]
        # Photos that are too small to have any count as an even gray.
        places = [part for part in places if len(part)] or [np.zeros_like(objects[0, :1])]
        background = np.mean([part.mean(axis=0, dtype=np.float64) for part in places], axis=0)
        means = objects.mean(axis=1, dtype=np.float64)
        covariance = np.zeros((len(background), len(background)))
        # Objects count as much as all places without one, likely places as much as random ones.
        for parts, centers in ((places, [background] * len(places)), (objects, means)):
            for part, center in zip(parts, centers, strict=True):
                rest = part - center.astype(np.float32)
                covariance += (rest.T @ rest) * (0.5 / (len(parts) * len(part)))
        covariance[np.diag_indices_from(covariance)] += REGULARIZATION * np.trace(covariance) / len(covariance)
        differences = means - background
        weights = cho_solve(cho_factor(covariance, overwrite_a=True), differences.T).T
        weights /= (weights * differences).sum(axis=1, keepdims=True)
        size = (len(weights), *locator.filters.shape[1:])
        return replace(
            locator,
            filters=weights.reshape(size).astype(np.float32),
            offsets=-(weights @ background).astype(np.float32),
        )


def _elsewhere(locator: Locator, photo: _Photo, n: int, rng: np.random.Generator) -> Features:
    """Return up to n windows of a photo that are not on its objects."""
    rows, columns = locator.filters.shape[1:3]
    found = []
    levels = list(search_levels(photo.gray, locator))
    for histograms, side, middle in levels:
        windows = windows_of(histograms, rows, columns)
        down, across = np.mgrid[: windows.shape[0], : windows.shape[1]]
        places = (middle + CELL_PIXELS * np.stack([across, down], axis=2)) * (side / locator.pixels) - 0.5
        free = np.ones(down.shape, bool)
        for pose in photo.poses():
            if max(side / pose.side, pose.side / side) < FAR_FACTOR:
                distance = np.hypot(places[:, :, 0] - pose.x, places[:, :, 1] - pose.y)
                free &= distance > FAR_SIDES * pose.side
        choice = np.flatnonzero(free)
        choice = rng.permutation(choice)[: max(1, n // len(levels))]
        found.append(windows[np.unravel_index(choice, free.shape)].reshape(len(choice), locator.filters[0].size))
    return np.concatenate(found) if found else np.empty((0, locator.filters[0].size), np.float32)


def _scores(locator: Locator, photo: _Photo) -> tuple[Floats, Floats]:
    """Return the scores of the objects of a photo, and the highest elsewhere."""
    objects = [refine(locator, photo.gray, pose).score for pose in photo.poses()]
    others = []
    for pose in search(locator, photo.gray, len(objects) + 4):
        pose = refine(locator, photo.gray, pose)
        if all(_is_far(pose, other) for other in photo.poses()):
            others.append(pose.score)
    return np.array(objects), np.array([max(others)] if others else [])


def _is_far(pose: Pose, other: Pose) -> bool:
    if max(pose.side / other.side, other.side / pose.side) > FAR_FACTOR:
        return True
    return math.hypot(pose.x - other.x, pose.y - other.y) > FAR_SIDES * other.side


def _calibrate(objects: Floats, others: Floats) -> Floats:
    """Return the weights of the confidence, as if every second photo had an object."""
    # The least that is known: the mean of windows elsewhere.
    others = others if len(others) else np.zeros(1)
    truth = np.repeat([1.0, 0.0], [len(objects), len(others)])
    weights = np.repeat([0.5 / len(objects), 0.5 / len(others)], [len(objects), len(others)]) * len(truth)
    return fit_logistic(np.concatenate([objects, others])[:, None], truth, weights)
