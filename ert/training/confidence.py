"""Training a judge on objects that the cascade never saw.

Every object is located by the model of a fold that was trained without it, in its own box and in boxes
scattered ever farther, and so is the background: boxes that hold hardly anything of an object. Each such
*look* gives the pixels that the judge reads, and how far off the landmarks are. A forest learns the errors,
one whether all went well. What they say of objects left out of *their* training is what they are brought to
scale by.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ert._core.exceptions import InputError
from ert._core.images import to_grey
from ert._kernels.confidence import FAILED, LENGTHS, WITHIN, look_closely, norm_length, run_forest
from ert._kernels.grow import BLOCK
from ert._kernels.pixels import square_frame
from ert._kernels.split_search import new_pool
from ert._kernels.traversal import room_for_values
from ert._kernels.workers import Workers
from ert.inference.validation import Face, read_face
from ert.model.cascade import whole_basis
from ert.model.confidence import GAUSSIAN_90, Forest, Judge, look_arguments
from ert.model.cropping import Cropping
from ert.training.calibration import fit_logistic, fit_monotone, fit_scale, roc_auc, told_at_kept
from ert.training.features import draw_pairs, draw_pool
from ert.training.parameters import Options
from ert.training.stage import draw_thresholds, grow_trees

if TYPE_CHECKING:
    from ert.predictor import ShapePredictor

__all__ = [
    "PRIOR",
    "Looks",
    "background_boxes",
    "draw_looks",
    "group_folds",
    "scatter",
    "train_judge",
]


Floats = npt.NDArray[np.float64]
Box = tuple[float, float, float, float]

# How boxes are scattered, mildly to hopelessly: shift in sides of the box, logarithm of the size.
LEVELS = ((0.0, 0.0), (0.05, 0.06), (0.05, 0.06), (0.1, 0.12), (0.1, 0.12), (0.2, 0.2), (0.35, 0.3))
# The first three are what detectors do: all is brought to scale on them. The first five tell larger errors.
N_USUAL, N_SCATTERED = 3, 5
BACKGROUND = -1
# Boxes on the background: how many, the part of an object's box that they may share with it (intersection
# over union), their sides in sides of that box, and the least side in pixels.
N_BACKGROUND, MOST_SHARED, SIDES, LEAST_SIDE = 4, 0.1, (0.15, 1.5), 12.0
# One in so many of what is judged is taken not to be the object.
PRIOR = 0.1
# Looks, at least and at most: few objects are looked at more often, of too many only some.
FEWEST_LOOKS, MOST_LOOKS, MOST_ROUNDS = 6000, 150_000, 10
# Round an object so many sides of its box are enough for all of its boxes.
NEIGHBOURHOOD = 3.0

N_PIXELS, POOL_SPREAD, POOL_PADDING = 512, 0.1, 0.05
# A judge reads pixels half as fine as the cascade does.
COARSER, LEAST_WORKING_SIZE = 2, 16
N_ERROR_TREES, N_TRUST_TREES, MAX_DEPTH, N_SPLIT_TESTS, N_COMPONENTS = 300, 300, 4, 40, 16
# Errors are learnt as the logarithm of their size and this in squares, in sides of the shape's box: below it
# all are alike, mere scatter of the annotation.
LEAST_ERROR = 0.004
N_RATIOS = 201


@dataclass(frozen=True)
class Looks:
    """What a judge learns from.

    Parameters
    ----------
    values : uint8 array (n, n_pixels)
        The pixels that it reads.
    owner : int array (n,)
        The number of the object in X.
    level : int array (n,)
        How far the box was scattered: the number in LEVELS, or BACKGROUND.
    errors : float32 array (n, n_landmarks)
        Distance of each landmark from the truth, in pixels; NaN where it is not known.
    side : float array (n,)
        See :func:`ert.judging.look_closely`.
    length : float array (n,)
        The norm length of the predicted landmarks.
    true_length : float array (n,)
        That of the true ones.
    """

    values: npt.NDArray[np.uint8]
    owner: npt.NDArray[np.int64]
    level: npt.NDArray[np.int64]
    errors: npt.NDArray[np.float32]
    side: Floats
    length: Floats
    true_length: Floats

    def __len__(self) -> int:
        return len(self.owner)

    @property
    def on_object(self) -> npt.NDArray[np.bool_]:
        """Which looks are at an object, not at the background."""
        here: npt.NDArray[np.bool_] = self.level != BACKGROUND
        return here

    @property
    def good(self) -> npt.NDArray[np.bool_]:
        """Which looks are at an object whose landmarks have not failed."""
        mean = np.full(len(self), np.inf)
        here = self.on_object
        mean[here] = np.nanmean(self.errors[here], axis=1) / self.true_length[here]
        good: npt.NDArray[np.bool_] = mean <= FAILED
        return good


def group_folds(
    X: Sequence[Face], groups: Sequence[Any] | None, n_folds: int, seed: int
) -> npt.NDArray[np.int64]:
    """Give every object a fold; what belongs to one group, or is in one image, has the same.

    Parameters
    ----------
    X : sequence of (image, box)
    groups : sequence, optional
        A group for each object, such as the person's name; by default the image.
    n_folds : int
    seed : int

    Returns
    -------
    int array (n,)

    Raises
    ------
    InputError
        When there are fewer groups than folds, or not as many as objects.
    """
    labels = [_identity(image) for image, _ in X] if groups is None else [str(group) for group in groups]
    if len(labels) != len(X):
        raise InputError(f"groups: {len(labels)}, expected one for each of {len(X)} objects")
    numbers = {label: i for i, label in enumerate(dict.fromkeys(labels))}
    if not 2 <= n_folds <= len(numbers):
        raise InputError(f"n_folds={n_folds}: expected 2 to {len(numbers)}, the number of images or groups")
    fold = np.random.default_rng([seed, 2]).permutation(len(numbers)) % n_folds
    return fold[[numbers[label] for label in labels]]


def _identity(image: Any) -> str:
    if not isinstance(image, np.ndarray):
        return str(image)
    import hashlib

    return hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).hexdigest()


def train_judge(
    mean_shape: npt.NDArray[np.float32],
    models: Sequence["ShapePredictor"],
    folds: npt.NDArray[np.int64],
    X: Sequence[Face],
    landmarks: Floats,
    boxes: list[Box],
    lengths: Floats,
    options: Options,
    workers: Workers,
) -> tuple[Judge, dict[str, Any]]:
    """Train a judge.

    Parameters
    ----------
    mean_shape : float32 array (n_landmarks, 2)
        That of the model which is to be judged.
    models : sequence of ShapePredictor
        One a fold, trained without the objects of that fold.
    folds : int array (n,)
        The fold of each object.
    X : sequence of (image, box)
    landmarks : float array (n, n_landmarks, 2)
        NaN = missing.
    boxes : list of (left, top, width, height)
        Those of X, checked.
    lengths : float array (n,)
        The norm length of each object.
    options : Options
        Of the whole model.
    workers : Workers

    Returns
    -------
    judge : Judge
    summary : dict
        Counts, and how well objects left out were judged.
    """
    rng = np.random.default_rng([options.random_state, 3])
    pool = _draw_pool(mean_shape, rng)
    cropping = _cropping(models[0], mean_shape, *pool)
    looks = draw_looks(
        models, folds, X, landmarks, boxes, lengths, (mean_shape, cropping, *pool), options, workers
    )
    positions = (mean_shape[pool[0]] + pool[1]).astype(np.float64)
    options = replace(
        options,
        max_depth=MAX_DEPTH,
        n_split_tests=N_SPLIT_TESTS,
        n_averaged=1,
        learning_rate=0.1,
        leaf_bits=8,
    )

    def forests(chosen: npt.NDArray[np.bool_], number: int) -> tuple[Forest, Forest]:
        return _grow_both(looks, chosen, positions, options, number, workers)

    # What a forest says of what it has not seen, to bring it to scale by.
    deviations = np.zeros(looks.errors.shape, np.float32)
    trust = np.zeros((len(looks), 1), np.float32)
    fold_of = folds[looks.owner]
    for fold in range(len(models)):
        errors_forest, trust_forest = forests(fold_of != fold, fold + 1)
        here = fold_of == fold
        deviations[here] = _run(errors_forest, looks.values[here])
        trust[here] = _run(trust_forest, looks.values[here])
    tables, figures = _calibrate(looks, deviations.astype(np.float64), trust[:, 0].astype(np.float64))
    judge = Judge(mean_shape, cropping, *pool, *forests(np.ones(len(looks), bool), 0), **tables)
    counts = {
        "n_folds": len(models),
        "n_objects": len(np.unique(looks.owner)),
        "n_looks": len(looks),
        "n_failed": int((looks.on_object & ~looks.good).sum()),
        "n_background": int((~looks.on_object).sum()),
    }
    return judge, counts | figures


def _draw_pool(
    mean_shape: npt.NDArray[np.float32], rng: np.random.Generator
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.float32]]:
    """Draw pixels round the landmarks, and as many evenly over the shape."""
    half = N_PIXELS // 2
    near = draw_pool(mean_shape.astype(float), half, 0.0, POOL_SPREAD, rng)
    even = draw_pool(mean_shape.astype(float), N_PIXELS - half, POOL_PADDING, 0.0, rng)
    return np.concatenate([near[0], even[0]]), np.concatenate([near[1], even[1]])


def _cropping(
    model: "ShapePredictor",
    mean_shape: npt.NDArray[np.float32],
    anchors: npt.NDArray[np.uint16],
    deltas: npt.NDArray[np.float32],
) -> Cropping:
    """Return what is read round landmarks: a square about their middle, for they may be turned."""
    reach = np.abs(mean_shape - mean_shape.mean(axis=0))[anchors] + np.abs(deltas)
    half = round(float(np.quantile(reach, 0.99)), 3)
    size = max(LEAST_WORKING_SIZE, model.working_size // COARSER)
    region = np.array([0.5 - half, 0.5 - half, 0.5 + half, 0.5 + half])
    return Cropping(region, size, 0.0, float(model.least_contrast))


# Looks.


def draw_looks(
    models: Sequence["ShapePredictor"],
    folds: npt.NDArray[np.int64],
    X: Sequence[Face],
    landmarks: Floats,
    boxes: list[Box],
    lengths: Floats,
    view: tuple[Any, ...],
    options: Options,
    workers: Workers,
) -> Looks:
    """Have every object located by the model of its fold, in boxes scattered ever farther.

    Parameters
    ----------
    view : mean_shape, cropping, anchors, deltas
        See :class:`ert.judge.Judge`.
    models, folds, X, landmarks, boxes, lengths, options, workers
        See :func:`train_judge`.

    Returns
    -------
    Looks
        Object by object.
    """
    swap = models[0].mirror_map_
    a_round = (len(LEVELS) + N_BACKGROUND) * (1 if swap is None else 2)
    rng = np.random.default_rng([options.random_state, 4])
    n_chosen = min(len(X), max(MOST_LOOKS // a_round, 1))
    chosen = np.sort(rng.permutation(len(X))[:n_chosen])
    rounds = int(np.clip(math.ceil(FEWEST_LOOKS / (a_round * n_chosen)), 1, MOST_ROUNDS))
    neighbours: dict[str, list[Box]] = {}
    labels = [_identity(image) for image, _ in X]
    for label, box in zip(labels, boxes, strict=True):
        neighbours.setdefault(label, []).append(box)
    arguments = look_arguments(*view)
    norm = models[0].fitted_.params["norm"]
    found: list[list[Any]] = [[] for _ in chosen]

    def look(thread: int, n_threads: int) -> None:
        for place in range(thread, n_chosen, n_threads):
            if workers.failed:
                return
            i = int(chosen[place])
            model = models[folds[i]]
            image, order = read_face(X[i][0], boxes[i], model.channels, f"X[{i}]")
            around = neighbours[labels[i]]
            draws = np.random.default_rng([options.random_state, 5, i])
            found[place] = _look_at(
                model, image, order, boxes[i], around, landmarks[i], rounds, arguments, norm, draws
            )

    workers.run(look)
    owner = np.repeat(chosen, [len(each) for each in found])
    columns = list(zip(*(row for each in found for row in each), strict=True))
    values, level, errors, side, length = columns
    return Looks(
        np.array(values, np.uint8),
        owner,
        np.array(level, np.int64),
        np.array(errors, np.float32),
        np.array(side),
        np.array(length),
        lengths[owner],
    )


def _look_at(
    model: "ShapePredictor",
    image: npt.NDArray[np.uint8],
    order: str,
    box: Box,
    around: list[Box],
    truth: Floats,
    rounds: int,
    arguments: tuple[Any, ...],
    norm: str | None,
    rng: np.random.Generator,
) -> list[tuple[Any, ...]]:
    """Return pixels, level, errors, side and norm length of each look at one object."""
    # What lies far from it is left out: a photo of any size is looked at in the same time.
    reach = NEIGHBOURHOOD * max(box[2:])
    left, top = max(0, int(box[0] - reach)), max(0, int(box[1] - reach))
    part = image[top : int(box[1] + box[3] + reach) + 1, left : int(box[0] + box[2] + reach) + 1]
    grey = np.array(to_grey(part, order, model.rgb))
    rows, columns = grey.shape
    placed = [(b[0] - left, b[1] - top, b[2], b[3]) for b in around]
    own = box[0] - left, box[1] - top, box[2], box[3]
    scattered = [scatter(own, *LEVELS[level], (columns, rows), rng) for level in range(len(LEVELS))]
    for _ in range(1, rounds):
        scattered += [scatter(own, *level, (columns, rows), rng) for level in LEVELS[1:]]
    levels = list(range(len(LEVELS))) + (rounds - 1) * list(range(1, len(LEVELS)))
    background = background_boxes(own, placed, (columns, rows), rounds * N_BACKGROUND, rng)
    boxes = scattered + background
    levels += [BACKGROUND] * len(background)
    true = truth - (left, top)
    looks = []
    swap = model.mirror_map_
    for mirrored in (False,) if swap is None else (False, True):
        if mirrored:
            grey = np.ascontiguousarray(grey[:, ::-1])
            boxes = [(columns - b[0] - b[2], b[1], b[2], b[3]) for b in boxes]
            true = true[swap] * (-1, 1) + (columns - 1, 0)
        shapes = model.predict([(grey, b) for b in boxes])
        for level, b, shape in zip(levels, boxes, shapes, strict=True):
            values = np.empty(room_for_values(arguments[-2].shape[1]), np.uint8)
            side = square_frame(*b)[2]
            scale = look_closely(grey, 0, 0, shape, side, *arguments, values)  # type: ignore[call-arg]
            errors = np.hypot(*(shape - true).T) if level != BACKGROUND else np.full(len(shape), np.nan)
            length = norm_length(shape, side, LENGTHS[norm])
            looks.append(
                (values[: arguments[-2].shape[1]].copy(), level, errors.astype(np.float32), scale, length)
            )
    return looks


def scatter(box: Box, shift: float, scale: float, size: tuple[int, int], rng: np.random.Generator) -> Box:
    """Move and resize a box at random; it still touches the image."""
    draws = np.clip(rng.standard_normal(3), -2.5, 2.5)
    # Not much larger than an image that holds only a part of the object.
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
    """Draw square boxes that share hardly anything with any object, most of them; parts of it too."""
    n_drawn = 16 * n
    sides = (box[2] + box[3]) / 2 * np.exp(rng.uniform(math.log(SIDES[0]), math.log(SIDES[1]), n_drawn))
    corners = rng.uniform(0, 1, (n_drawn, 2)) * size - sides[:, None] / 2
    fits = sides >= LEAST_SIDE
    for left, top, width, height in objects:
        x = np.minimum(corners[:, 0] + sides, left + width) - np.maximum(corners[:, 0], left)
        y = np.minimum(corners[:, 1] + sides, top + height) - np.maximum(corners[:, 1], top)
        shared = np.maximum(x, 0) * np.maximum(y, 0)
        fits &= shared <= MOST_SHARED * (sides**2 + width * height - shared)
    chosen = np.flatnonzero(fits)[:n]
    return [(*corners[i].tolist(), float(sides[i]), float(sides[i])) for i in chosen]


# Forests.


def _log_errors(looks: Looks, least: float) -> Floats:
    """Return the logarithm of every error in sides of the shape's box; NaN where it is not known."""
    relative = looks.errors / looks.side[:, None]
    logs: Floats = np.log(np.hypot(relative, least))
    return logs


def _grow_both(
    looks: Looks,
    chosen: npt.NDArray[np.bool_],
    positions: Floats,
    options: Options,
    number: int,
    workers: Workers,
) -> tuple[Forest, Forest]:
    """Grow the forest of errors on objects, and the forest of trust on all looks."""
    here = chosen & looks.on_object
    logs = _log_errors(looks, LEAST_ERROR)[here]
    logs -= np.nanmean(logs, axis=0)
    # Where a landmark is missing, the others tell best how far off it would be.
    logs = np.where(np.isnan(logs), np.nanmean(logs, axis=1, keepdims=True), logs)
    vectors = np.linalg.eigh(logs.T @ logs)[1]
    directions = vectors.T[: -min(N_COMPONENTS, len(vectors)) - 1 : -1].copy()
    seeds = options.random_state, 6, number
    errors = _grow(
        looks.values[here], logs @ directions.T, directions, positions, N_ERROR_TREES, options, seeds, workers
    )
    good = np.where(looks.good[chosen], 1.0, -1.0)[:, None]
    trust = _grow(
        looks.values[chosen],
        good - good.mean(),
        np.ones((1, 1)),
        positions,
        N_TRUST_TREES,
        options,
        (*seeds, 1),
        workers,
    )
    return errors, trust


def _grow(
    values: npt.NDArray[np.uint8],
    targets: Floats,
    directions: Floats,
    positions: Floats,
    n_trees: int,
    options: Options,
    seeds: tuple[int, ...],
    workers: Workers,
) -> Forest:
    """Boost trees that add up to targets (n, n_components), which stand for directions."""
    rng = np.random.default_rng(seeds)
    n, n_pixels = values.shape
    n_blocks, n_components = -(-n // BLOCK), targets.shape[1]
    sigma = np.sqrt((targets**2).mean(axis=0))
    # As in a stage of the cascade: the first leaves, the largest, reach three standard deviations.
    smallest = np.maximum(3 * options.learning_rate * sigma / 127, np.abs(targets).max(axis=0) / 16_000)
    units = np.maximum(smallest, 1e-12)
    pool = new_pool(n_blocks, BLOCK, n_pixels)
    residuals = np.zeros((n_blocks, BLOCK, n_components), np.int16)
    sizes = np.zeros(n_blocks, np.int32)
    for block in range(n_blocks):
        part = slice(block * BLOCK, min((block + 1) * BLOCK, n))
        sizes[block] = part.stop - part.start
        pool[block, : sizes[block], :n_pixels] = values[part]
        residuals[block, : sizes[block]] = np.rint(targets[part] / units)
    shape = n_trees, 2**options.max_depth - 1, options.n_split_tests
    pairs = draw_pairs(positions, math.prod(shape), options.prior_length, rng).reshape(*shape, 2)
    thresholds = draw_thresholds(pool, pairs, n, rng)
    present = np.zeros((0, 0, 0), np.uint8)
    grown = grow_trees(
        sizes, pool, residuals, present, units, pairs, thresholds, options, workers, lambda n: None
    )
    return Forest(*grown, *whole_basis(directions, units, np.int8))


def _run(forest: Forest, values: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    n_pixels = values.shape[1]
    out = np.empty((len(values), forest.basis.shape[1]), np.float32)
    run_forest(values, forest.kernel_arguments(n_pixels), out)
    return out


# Scale.


def _calibrate(looks: Looks, deviations: Floats, trust: Floats) -> tuple[dict[str, Any], dict[str, Any]]:
    """Bring to scale what forests said of looks that they had not seen.

    Returns
    -------
    tables : dict
        The calibration of a :class:`ert.judge.Judge`.
    figures : dict
        How well these looks were judged.
    """
    scattered = looks.on_object & (looks.level < N_SCATTERED)
    usual = looks.on_object & (looks.level < N_USUAL)
    logs = _log_errors(looks, 1e-9)
    curve, typical = fit_scale(deviations[scattered], logs[scattered])
    std = looks.side[:, None] * np.exp(np.interp(deviations, *curve) + typical)
    ratios = looks.errors / std
    there = np.isfinite(ratios) & usual[:, None]
    levels = np.linspace(0, 1, N_RATIOS)
    # The curve is known from what is scattered farther, too; the scale is that of usual boxes.
    scale = float(np.quantile(ratios[there], 0.9)) / GAUSSIAN_90
    typical += math.log(scale)
    std *= scale
    table = np.quantile(ratios[there] / scale, levels)

    shares = np.interp(WITHIN * looks.length[:, None] / std, table, levels)
    within = looks.errors <= WITHIN * looks.true_length[:, None]
    within_curve = fit_monotone(shares[there], within[there])

    spread = np.log(std.mean(axis=1) / looks.length)
    features = np.column_stack([trust, spread])
    background = ~looks.on_object
    counts = np.where(usual, (1 - PRIOR) / max(usual.sum(), 1), PRIOR / max(background.sum(), 1))
    judged = usual | background
    confidence_weights = fit_logistic(
        features[judged], looks.good[judged], counts[judged] * int(judged.sum())
    )
    scores = features @ confidence_weights[1:]
    figures = {
        "failed_auc": round(roc_auc(scores[usual], looks.good[usual]), 4) if usual.any() else None,
        "background_told": (
            round(told_at_kept(scores[usual], scores[background])["told"], 4) if background.any() else None
        ),
    }
    figures = {key: value if value is not None and value == value else None for key, value in figures.items()}
    tables = {
        "curve": curve,
        "usual": typical,
        "ratios": table,
        "within_curve": within_curve,
        "confidence_weights": confidence_weights,
    }
    return tables, figures
