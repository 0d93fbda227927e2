"""Objects found in a photo by a locator: their boxes, rolls and confidences."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ert._core.images import ImageLike, read_image, to_gray
from ert._core.runtime import uninterrupted
from ert._core.types import Box, Pixels
from ert._kernels import choice
from ert.inference.gradients import Features, filter_windows, gradient_histograms, read_window
from ert.inference.rotated import locate_rotated
from ert.model.geometry import INITS
from ert.model.locator import CELL_PIXELS, CORNERS, Locator, poses_of

# From one size that is searched for to the next.
SIZE_STEP = 2**0.25
# A copy of the photo has at most so many times the size of the photo, and so many pixels.
MAX_SCALE, MAX_LEVEL_PIXELS = 4.0, 2_000_000
# Of a window, this part may lie beyond each edge of the photo.
MAX_OUTSIDE = 0.25
# Candidates that are looked at more closely, for each object that is wanted, and more.
N_CANDIDATES, MORE_CANDIDATES = 2, 4
# Two objects are not nearer than this, in widths and heights of their boxes.
MIN_DISTANCE = 0.5
# The initializations of each pass of the small cascade, and the score that a pass may lose.
PASSES, MAX_LOSS = (INITS[:1], INITS, INITS), 0.2

# The confidence that tells photos with an object best from others.
LIKELY_CONFIDENCE = 0.5
# An object as certain as this, where objects usually are, ends the search.
SURE_CONFIDENCE = 0.9


class Pose(NamedTuple):
    """Where an object may be: the center in pixels, the mean side of its box, the roll in degrees, the score."""

    x: float
    y: float
    side: float
    roll: float
    score: float


def locate_objects(
    locator: Locator,
    image: ImageLike,
    *,
    max_objects: int = 1,
    min_confidence: float = 0.0,
    channel_order: str = "rgb",
    gray_weights: str = "luma",
    what: str = "image",
) -> list[tuple[Box, float, float]]:
    """Find the objects of a photo.

    Parameters
    ----------
    locator : Locator
    image : uint8 array (rows, columns) or (rows, columns, 3), path or Pillow image
    max_objects : int
        At most this many are returned.
    min_confidence : float
        Objects with less confidence are left out.
    channel_order, gray_weights
        See :class:`ert.ShapePredictor`.
    what : str
        The image's name in error messages.

    Returns
    -------
    list of (box, roll, confidence)
        The most confident first. The box is left, top, width, height in pixels, as drawn around the upright object; the
        roll is in degrees, clockwise; the confidence is the probability that this is an object, rather than the
        likeliest place of a photo that shows none: 0.5 tells them apart best.

    Raises
    ------
    InputError
        When the image cannot be read.
    """
    warm_up_locator(locator)
    order = channel_order if isinstance(image, np.ndarray) else "rgb"
    gray = to_gray(read_image(image, what), order, gray_weights)
    small, factor = reduce_photo(gray, locator)
    found = [refine(locator, small, pose) for pose in start_pose(locator, small)] if max_objects == 1 else []
    if not found or confidence_of(locator, found[0].score) < SURE_CONFIDENCE:
        n_candidates = N_CANDIDATES * max_objects + MORE_CANDIDATES
        found += [refine(locator, small, pose) for pose in search(locator, small, n_candidates)]
    objects = []
    for pose in separate(locator, found, max_objects):
        confidence = confidence_of(locator, pose.score)
        if confidence >= min_confidence:
            objects.append((_box(locator, pose, factor), pose.roll, confidence))
    return objects


def warm_up_locator(locator: Locator) -> None:
    """Compile the kernels of a locator, or load them, once for all of a kind; Ctrl-C waits meanwhile."""
    cascade = locator.cascade
    kind = cascade.leaves.dtype.char, cascade.thresholds.shape[2], cascade.anchors.shape[1]
    if choice.is_compiled() and kind not in _WARM:
        with uninterrupted():
            refine(locator, np.zeros((32, 32), np.uint8), Pose(16.0, 16.0, 12.0, 0.0, 0.0))
        _WARM.add(kind)


_WARM: set[tuple[str, int, int]] = set()


def confidence_of(locator: Locator, score: float) -> float:
    """Return the confidence that an object with this score is one."""
    constant, weight = locator.confidence_weights.tolist()
    # Rounded: the last digits depend on the order of sums.
    return round(1 / (1 + math.exp(-min(max(constant + weight * score, -50), 50))), 6)


def _box(locator: Locator, pose: Pose, factor: int) -> Box:
    center = (np.array([pose.x, pose.y]) + 0.5) * factor - 0.5
    sides = pose.side * factor * locator.sides
    left, top = (center - sides / 2).tolist()
    width, height = (sides + 1).tolist()
    return left, top, width, height


def reduce_photo(gray: Pixels, locator: Locator) -> tuple[Pixels, int]:
    """Reduce a photo by the integer factor at which the smallest objects keep their details, and return both."""
    least = locator.relative_sides[0] * math.sqrt(gray.size)
    factor = max(1, math.floor(least / (2 * locator.pixels)))
    if factor == 1:
        return np.ascontiguousarray(gray), 1
    from PIL import Image

    return np.array(Image.fromarray(gray).reduce(factor)), factor


def start_pose(locator: Locator, gray: Pixels) -> list[Pose]:
    """Return the pose at which objects usually lie in a photo, if there is one."""
    x, y, side = locator.start.tolist()
    rows, columns = gray.shape
    return [Pose(x * columns - 0.5, y * rows - 0.5, side * math.sqrt(gray.size), 0.0, 0.0)] if side else []


def search_levels(gray: Pixels, locator: Locator) -> Iterator[tuple[Features, float, npt.NDArray[np.float64]]]:
    """Return for each size of objects: histograms, the mean side of a box, the center of the first window."""
    from PIL import Image

    photo = Image.fromarray(gray)
    rows, columns = locator.filters.shape[1:3]
    low, high = locator.relative_sides * math.sqrt(gray.size)
    margin = CELL_PIXELS * round(MAX_OUTSIDE * max(rows, columns))
    n_levels = 1 + max(0, math.ceil(math.log(high / low) / math.log(SIZE_STEP) - 1e-9))
    for side in low * SIZE_STEP ** np.arange(n_levels):
        scale = min(locator.pixels / side, MAX_SCALE, math.sqrt(MAX_LEVEL_PIXELS / gray.size))
        width, height = max(1, math.floor(photo.width * scale)), max(1, math.floor(photo.height * scale))
        box = 0, 0, min(width / scale, photo.width), min(height / scale, photo.height)
        level = np.asarray(photo.resize((width, height), Image.Resampling.BILINEAR, box, reducing_gap=2.0))
        level = np.pad(level, margin, mode="edge")
        histograms = gradient_histograms(level)
        if histograms.shape[0] >= rows and histograms.shape[1] >= columns:
            # The middle of the first window, between pixels of the level.
            middle = np.array([columns, rows]) * CELL_PIXELS / 2 - margin
            yield histograms, float(locator.pixels / scale), middle


def search(locator: Locator, gray: Pixels, n_candidates: int) -> list[Pose]:
    """Return the best windows of all sizes and rolls, the best first."""
    candidates: list[Pose] = []
    for histograms, side, middle in search_levels(gray, locator):
        scores = filter_windows(histograms, locator.filters) + locator.offsets
        best = np.argmax(scores, axis=2)
        scores = np.take_along_axis(scores, best[:, :, None], axis=2)[:, :, 0]
        scale = locator.pixels / side
        for i, j in _peaks(scores, n_candidates):
            x, y = (middle + CELL_PIXELS * np.array([j, i])) / scale - 0.5
            candidates.append(Pose(float(x), float(y), side, float(locator.rolls[best[i, j]]), float(scores[i, j])))
    return separate(locator, candidates, n_candidates)


def _peaks(scores: Features, n: int) -> list[tuple[int, int]]:
    """Return the places of the n largest local maxima."""
    from scipy.ndimage import maximum_filter

    places = np.argwhere(scores == maximum_filter(scores, 3, mode="nearest"))
    values = scores[tuple(places.T)]
    order = np.argsort(-values, kind="stable")[:n]
    return [(int(i), int(j)) for i, j in places[order]]


def separate(locator: Locator, poses: list[Pose], n: int) -> list[Pose]:
    """Return the n poses with the highest scores, without those too near to a better one."""
    kept: list[Pose] = []
    for pose in sorted(poses, key=lambda each: -each.score):
        if len(kept) == n:
            break
        if all(_distance(locator, pose, other) >= MIN_DISTANCE for other in kept):
            kept.append(pose)
    return kept


def _distance(locator: Locator, one: Pose, other: Pose) -> float:
    """Return the distance of centers along the sides of a box, in sides of the larger one."""
    larger = one if one.side > other.side else other
    turned = complex(one.x - other.x, one.y - other.y) * complex(
        math.cos(math.radians(larger.roll)), -math.sin(math.radians(larger.roll))
    )
    width, height = (larger.side * locator.sides).tolist()
    return float(max(abs(turned.real) / width, abs(turned.imag) / height))


def refine(locator: Locator, gray: Pixels, pose: Pose) -> Pose:
    """Return the pose whose corners the small cascade finds near a pose, with its score."""
    pose = pose._replace(score=score_of(locator, gray, pose))
    for inits in PASSES:
        box = _box(locator, pose, 1)
        corners = locate_rotated(locator.cascade, gray, box, pose.roll, inits, "rgb", "luma").mean(axis=0)
        boxes, rolls = poses_of(corners[None], CORNERS, np.ones(2))
        left, top, width, _ = boxes[0].tolist()
        side = width - 1
        if not 0.5 * pose.side <= side <= 2 * pose.side:
            break
        moved = Pose(left + side / 2, top + side / 2, side, float(rolls[0]), 0.0)
        moved = moved._replace(score=score_of(locator, gray, moved))
        # The corners are more accurate than the score; but the cascade errs far from the objects that it has seen.
        if moved.score < pose.score - MAX_LOSS:
            break
        pose = moved
    return pose


def score_of(locator: Locator, gray: Pixels, pose: Pose) -> float:
    """Return the score of the upright object's filter at a pose."""
    cells = locator.filters.shape[1], locator.filters.shape[2]
    window = read_window(gray, np.array([pose.x, pose.y]), pose.side, pose.roll, locator.pixels, cells)
    return float((window * locator.filters[0]).sum(dtype=np.float64) + locator.offsets[0])
