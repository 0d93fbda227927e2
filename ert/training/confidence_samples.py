"""The samples that a confidence model is trained on: predictions on objects left out of a fit."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ert._core.exceptions import InputError
from ert._core.images import to_gray
from ert._core.types import Box, Floats, Pixels
from ert._kernels import Workers, compile_confidence, observe_landmarks, rotate_image
from ert.inference.locate import Request, locate
from ert.inference.mode import FAST
from ert.inference.rotated import rotation
from ert.inference.validation import MIN_TRAINING_OBJECTS, Face, read_face
from ert.model.confidence import FAILED, NORMALIZER_ARGS
from ert.model.fitted import Fitted
from ert.model.geometry import square_box
from ert.training.parameters import Options

if TYPE_CHECKING:
    from ert._kernels import CompiledConfidence

# Standard deviations of the boxes around an object: shift in sides of the box, logarithm of the size.
LEVELS = ((0.0, 0.0), (0.05, 0.06), (0.05, 0.06), (0.1, 0.12), (0.1, 0.12), (0.2, 0.2), (0.35, 0.3))
BACKGROUND = -1
# Boxes on the background: their number, the largest intersection over union with an object's box, the range
# of their sides in sides of that box, and the least side in pixels.
N_BACKGROUND, MAX_OVERLAP, SIDE_RANGE, MIN_SIDE = 4, 0.1, (0.15, 1.5), 12.0
# Number of samples: few objects are sampled in several rounds, of too many objects only some are used.
MIN_SAMPLES, MAX_SAMPLES, MAX_ROUNDS = 6000, 150_000, 10
# All boxes of an object lie within this many sides of its box.
NEIGHBORHOOD = 3.0

# Crops are gray: neither the order of the channels nor their weights matter.
GRAY_REQUEST = Request(FAST, "rgb", "luma", 1, "X")


@dataclass(frozen=True)
class LeftOutObjects:
    """Objects, and for each fold a model that was trained without the objects of this fold."""

    settings: Mapping[str, Any]
    models: Sequence[Fitted]
    # The fold of each object (n,).
    folds: npt.NDArray[np.int64]
    X: Sequence[Face]
    # (n, n_landmarks, 2), NaN where missing.
    landmarks: Floats
    # The checked boxes of X.
    boxes: list[Box]
    # The lengths (n,) by which errors are divided.
    lengths: Floats
    # Of each object (n,) in degrees, where the models were trained with rolls.
    rolls: Floats | None = None


@dataclass(frozen=True)
class ConfidenceSamples:
    """The samples of a confidence model."""

    # The pixels (n, n_pixels) that the model reads.
    values: Pixels
    # The index of the object in X.
    owner: npt.NDArray[np.int64]
    # How far the box was scattered: an index into LEVELS, or BACKGROUND.
    level: npt.NDArray[np.int64]
    # The distance of each landmark from the truth in pixels (n, n_landmarks); NaN where unknown.
    errors: npt.NDArray[np.float32]
    # The side of the box in which the mean shape would lie on the predicted landmarks.
    side: Floats
    # The normalizers of the predicted landmarks, and of the true ones.
    length: Floats
    true_length: Floats

    def __len__(self) -> int:
        return len(self.owner)

    @property
    def on_object(self) -> npt.NDArray[np.bool_]:
        """Which samples are on an object, not on the background."""
        here: npt.NDArray[np.bool_] = self.level != BACKGROUND
        return here

    @property
    def good(self) -> npt.NDArray[np.bool_]:
        """Which samples are on an object and have not failed."""
        mean = np.full(len(self), np.inf)
        here = self.on_object
        mean[here] = np.nanmean(self.errors[here], axis=1) / self.true_length[here]
        good: npt.NDArray[np.bool_] = mean <= FAILED
        return good


def group_folds(X: Sequence[Face], groups: Sequence[Any] | None, n_folds: int, seed: int) -> npt.NDArray[np.int64]:
    """Return the fold of each object (n,); objects of one group, by default of one image, have the same fold."""
    labels = [_identity(image) for image, _ in X] if groups is None else [str(group) for group in groups]
    if len(labels) != len(X):
        raise InputError(f"groups: {len(labels)}, expected one for each of {len(X)} objects")
    if n_folds < 2:
        raise InputError(f"n_folds={n_folds}: expected at least 2")
    numbers = {label: i for i, label in enumerate(dict.fromkeys(labels))}
    fold = np.random.default_rng([seed, 2]).permutation(len(numbers)) % n_folds
    folds = fold[[numbers[label] for label in labels]]
    n_left_out = np.bincount(folds, minlength=n_folds)
    if len(numbers) < n_folds or len(X) - n_left_out.max() < MIN_TRAINING_OBJECTS:
        # Two folds leave half of the images for training.
        least, what = max(n_folds, 4 if n_folds == 2 else 3), "images" if groups is None else "groups"
        raise InputError(f"n_folds={n_folds}: at least {least} {what} are needed, got {len(numbers)}")
    return folds


def check_folds(landmarks: Floats, folds: npt.NDArray[np.int64]) -> None:
    """Check that each landmark is present in objects of two folds: each model is trained without one of them."""
    for fold in range(int(folds.max()) + 1):
        never = np.flatnonzero(np.isnan(landmarks[folds != fold]).any(axis=2).all(axis=0))
        if len(never):
            text = f"landmark {never[0]} is present only in objects of fold {fold + 1}"
            raise InputError(f"{text}: at least 2 images with it are needed, in different folds")


def _identity(image: Any) -> str:
    if not isinstance(image, np.ndarray):
        return str(image)
    import hashlib

    return hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).hexdigest()


def draw_confidence_samples(
    objects: LeftOutObjects, view: tuple[Any, ...], options: Options, workers: Workers
) -> ConfidenceSamples:
    """Locate every object with the model of its fold, in boxes scattered at all levels.

    `view` is the mean shape, crop specification, anchors and deltas of the confidence model.
    """
    X, boxes, models = objects.X, objects.boxes, objects.models
    mirror_map = models[0].mirror_map
    n_per_round = (len(LEVELS) + N_BACKGROUND) * (1 if mirror_map is None else 2)
    rng = np.random.default_rng([options.random_state, 4])
    n_chosen = min(len(X), max(MAX_SAMPLES // n_per_round, 1))
    chosen = np.sort(rng.permutation(len(X))[:n_chosen])
    rounds = int(np.clip(math.ceil(MIN_SAMPLES / (n_per_round * n_chosen)), 1, MAX_ROUNDS))
    neighbors: dict[str, list[Box]] = {}
    labels = [_identity(image) for image, _ in X]
    for label, box in zip(labels, boxes, strict=True):
        neighbors.setdefault(label, []).append(box)
    mean_shape, crop_spec, *pool = view
    compiled = compile_confidence(mean_shape, crop_spec.kernel_args, tuple(pool))

    def observe(i: int) -> list[tuple[Any, ...]]:
        draws = np.random.default_rng([options.random_state, 5, i])
        return _observe_object(objects, i, neighbors[labels[i]], rounds, compiled, draws)

    found = list(workers.map(observe, chosen.tolist()))
    owner = np.repeat(chosen, [len(each) for each in found])
    values, level, errors, side, length = zip(*(row for each in found for row in each), strict=True)
    return ConfidenceSamples(
        np.array(values, np.uint8),
        owner,
        np.array(level, np.int64),
        np.array(errors, np.float32),
        np.array(side),
        np.array(length),
        objects.lengths[owner],
    )


def _observe_object(
    objects: LeftOutObjects,
    i: int,
    neighbors: list[Box],
    rounds: int,
    compiled: "CompiledConfidence",
    rng: np.random.Generator,
) -> list[tuple[Any, ...]]:
    """Return pixels, level, errors, side and normalizer of each sample of one object.

    `neighbors` are the boxes of all objects in the image.
    """
    model, box = objects.models[objects.folds[i]], objects.boxes[i]
    image, order = read_face(objects.X[i][0], box, objects.settings["channel_order"], f"X[{i}]")
    # Only the neighborhood: the time does not depend on the size of the image.
    margin = NEIGHBORHOOD * max(box[2:])
    left, top = max(0, int(box[0] - margin)), max(0, int(box[1] - margin))
    part = image[top : int(box[1] + box[3] + margin) + 1, left : int(box[0] + box[2] + margin) + 1]
    gray = np.array(to_gray(part, order, model.params["gray_weights"]))
    truth = objects.landmarks[i] - (left, top)
    neighbors = [(b[0] - left, b[1] - top, b[2], b[3]) for b in neighbors]
    box = box[0] - left, box[1] - top, box[2], box[3]
    if objects.rolls is not None:
        gray, truth, neighbors = _upright(gray, box, float(objects.rolls[i]), truth, neighbors)
    rows, columns = gray.shape
    levels, boxes = _draw_boxes(box, neighbors, (columns, rows), rounds, rng)
    normalizer = NORMALIZER_ARGS[model.params["normalizer"]]
    samples = []
    for mirrored in (False,) if model.mirror_map is None else (False, True):
        if mirrored:
            gray = np.ascontiguousarray(gray[:, ::-1])
            boxes = [(columns - b[0] - b[2], b[1], b[2], b[3]) for b in boxes]
            truth = truth[model.mirror_map] * (-1, 1) + (columns - 1, 0)
        shapes, _ = locate(model, [(gray, b) for b in boxes], GRAY_REQUEST)
        for level, b, shape in zip(levels, boxes, shapes, strict=True):
            seen = observe_landmarks(compiled, gray, shape, square_box(*b)[2], normalizer)
            errors = np.hypot(*(shape - truth).T) if level != BACKGROUND else np.full(len(shape), np.nan)
            samples.append((seen[0].copy(), level, errors.astype(np.float32), *seen[1:]))
    return samples


def _upright(
    gray: Pixels, box: Box, roll: float, landmarks: Floats, neighbors: list[Box]
) -> tuple[Pixels, Floats, list[Box]]:
    """Rotate pixels back around the middle of a box, and landmarks and the middles of other boxes with them."""
    turn, center = rotation(roll), np.array([box[0] + (box[2] - 1) / 2, box[1] + (box[3] - 1) / 2])
    rotated = np.empty_like(gray)
    rotate_image(gray, turn, center - turn @ center, rotated)
    moved = []
    for left, top, width, height in neighbors:
        half = np.array([width - 1, height - 1]) / 2
        corner = (np.array([left, top]) + half - center) @ turn + center - half
        moved.append((float(corner[0]), float(corner[1]), width, height))
    return rotated, (landmarks - center) @ turn + center, moved


def _draw_boxes(
    box: Box, neighbors: list[Box], size: tuple[int, int], rounds: int, rng: np.random.Generator
) -> tuple[list[int], list[Box]]:
    """Return the levels and boxes of the samples of one object."""
    # The exact box is used in the first round only.
    levels = list(range(len(LEVELS))) + (rounds - 1) * list(range(1, len(LEVELS)))
    boxes = [scatter(box, *LEVELS[level], size, rng) for level in levels]
    background = background_boxes(box, neighbors, size, rounds * N_BACKGROUND, rng)
    return levels + [BACKGROUND] * len(background), boxes + background


def scatter(box: Box, shift: float, scale: float, size: tuple[int, int], rng: np.random.Generator) -> Box:
    """Shift and scale a box at random; it still touches the image."""
    draws = np.clip(rng.standard_normal(3), -2.5, 2.5)
    # Limited where the image contains only a part of the object.
    factor = min(math.exp(scale * draws[2]), max(1.0, 9 * max(size) / max(box[2:])))
    width, height = box[2] * factor, box[3] * factor
    x = box[0] + box[2] / 2 + shift * draws[0] * box[2]
    y = box[1] + box[3] / 2 + shift * draws[1] * box[3]
    if shift:
        x, y = min(max(x, 0.0), size[0] - 1.0), min(max(y, 0.0), size[1] - 1.0)
    return x - width / 2, y - height / 2, width, height


def background_boxes(
    box: Box, objects: list[Box], size: tuple[int, int], n: int, rng: np.random.Generator
) -> list[Box]:
    """Draw at most `n` square boxes that hardly overlap any object; some lie on a part of one."""
    n_drawn = 16 * n
    sides = (box[2] + box[3]) / 2 * np.exp(rng.uniform(math.log(SIDE_RANGE[0]), math.log(SIDE_RANGE[1]), n_drawn))
    corners = rng.uniform(0, 1, (n_drawn, 2)) * size - sides[:, None] / 2
    fits = sides >= MIN_SIDE
    for left, top, width, height in objects:
        x = np.minimum(corners[:, 0] + sides, left + width) - np.maximum(corners[:, 0], left)
        y = np.minimum(corners[:, 1] + sides, top + height) - np.maximum(corners[:, 1], top)
        shared = np.maximum(x, 0) * np.maximum(y, 0)
        fits &= shared <= MAX_OVERLAP * (sides**2 + width * height - shared)
    chosen = np.flatnonzero(fits)[:n]
    return [(*corners[i].tolist(), float(sides[i]), float(sides[i])) for i in chosen]
