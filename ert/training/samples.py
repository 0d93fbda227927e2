"""The training samples: every object with each of its initializations."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from ert._core.exceptions import InputError
from ert._core.types import Floats, Pixels
from ert._kernels import Workers
from ert.metrics import normalizer_lengths
from ert.model.geometry import jitter_transforms
from ert.model.limits import PARAMETER_LIMITS
from ert.model.schemes import mean_shape as average
from ert.model.schemes import mirror_shapes
from ert.training.crops import Crops
from ert.training.exchange import ALONE, Exchange
from ert.training.memory import BLOCK_LENGTH, PART_LENGTH
from ert.training.parameters import Options, without_neutral

# Rows of random numbers that are drawn at once where a part of them is used.
ROWS_PER_DRAW = 2**16


@dataclass
class Samples:
    """Every object with each of its initializations, then the same of the mirror images."""

    crops: Crops
    # The true landmarks of each object, then of its mirror image, in box coordinates; NaN where missing.
    truth: npt.NDArray[np.float32]  # (n_views, n_landmarks, 2)
    # The row of `truth` and the crop of each sample.
    view: npt.NDArray[np.int32]
    crop_of: npt.NDArray[np.int32]
    # From a sample's jittered box coordinates to those of the box, and to pixels of the crop.
    jitter: npt.NDArray[np.float32]  # (n, 6)
    transforms: npt.NDArray[np.float32]  # (n, 6)
    # The current estimates of the landmarks, in the sample's box coordinates.
    shapes: npt.NDArray[np.float32]  # (n, n_landmarks, 2)
    mean_shape: npt.NDArray[np.float32]
    # Width and height of box coordinates relative to their mean: 1 where a box transform is square.
    sides: npt.NDArray[np.float32]  # (n_views, 2)
    # Whether feature pools are mapped from temporary files.
    map_pools: bool = False
    exchange: Exchange = ALONE

    def __len__(self) -> int:
        return len(self.crop_of)

    @property
    def n_total(self) -> int:
        """The number of samples of all parts of the training."""
        return len(self)

    @property
    def blocks(self) -> list[slice]:
        """The samples of each block."""
        return divided(slice(0, len(self)), BLOCK_LENGTH)

    def parts(self, block: slice) -> list[slice]:
        """Divide the samples of a block into parts of at most PART_LENGTH."""
        return divided(block, PART_LENGTH)

    def aligned_residuals(
        self, chosen: npt.NDArray[np.integer], similarities: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        """Return the residuals (m, 2 * n_landmarks) of the samples `chosen` (m,), NaN where a landmark is missing.

        They are rotated and scaled back to the mean shape, by `similarities` (n, 2) from it to the shapes.
        """
        residuals = np.empty((len(chosen), self.mean_shape.size), np.float32)
        arrays = self.truth, self.view, self.jitter, self.shapes
        aligned_residuals(chosen, *arrays, similarities, residuals)
        return residuals

    def parts_of_residuals(
        self, chosen: npt.NDArray[np.integer], similarities: npt.NDArray[np.float32]
    ) -> Iterator[npt.NDArray[np.float32]]:
        """Yield the residuals of the samples `chosen`, numbers among those of all parts, PART_LENGTH at a time."""
        for part in divided(slice(0, len(chosen)), PART_LENGTH):
            yield self.aligned_residuals(chosen[part], similarities)

    def multiply(
        self, part: slice, residuals: npt.NDArray[np.float32], projection: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        """Return the products of the residuals of a part of a block with a matrix."""
        return residuals @ projection

    def pixel_differences(
        self, pool: Pixels, pairs: npt.NDArray[np.uint16], chosen: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int16]:
        """Return :func:`pixel_differences` of samples, numbers among those of all parts; 0 for those of others."""
        return pixel_differences(pool, pairs, chosen)

    def sides_and_lengths(self, normalizer: str | None) -> tuple[Floats, Floats]:
        """Return the sides of each view, and what its errors are divided by; None is the side of the box."""
        sides = self.sides.astype(np.float64)
        # In these coordinates the side of the box is 1.
        if normalizer is None:
            return sides, np.ones(len(sides))
        return sides, normalizer_lengths(self.truth * sides[:, None], normalizer)

    def mean_nme(self, normalizer: str | None, workers: Workers) -> float:
        """Return the mean NME in percent; the normalizer None is the side of the box."""
        sides, lengths = self.sides_and_lengths(normalizer)

        def add(block: slice) -> float:
            samples = self.view[block], self.jitter[block], self.shapes[block]
            return add_errors(self.truth, *samples, sides, lengths)  # type: ignore[no-any-return]

        totals = np.array(list(workers.map(add, self.blocks)))
        return float(100 * totals.sum() / len(self))

    def digest(self, options: Options) -> str:
        """Return a digest of everything that determines the result of a fit but the number of stages."""
        digest = hashlib.blake2b(json.dumps(without_neutral(asdict(options)), sort_keys=True).encode(), digest_size=16)
        for first, columns, rows in self.crops.places:
            digest.update(self.crops.pixels[first : first + columns * rows].data)
            self.crops.release()
        for array in (self.truth, self.mean_shape, self.transforms):
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


def pixel_differences(
    pool: Pixels, pairs: npt.NDArray[np.uint16], samples: npt.NDArray[np.int64]
) -> npt.NDArray[np.int16]:
    """Return the first pixel minus the second one of pairs (..., 2), each in one of the samples (...)."""
    block, column = np.divmod(samples, pool.shape[2])
    first = pool[block, pairs[..., 0], column].astype(np.int16)
    return first - pool[block, pairs[..., 1], column]


def divided(whole: slice, size: int) -> list[slice]:
    """Divide a slice into parts of at most `size`."""
    return [slice(i, min(i + size, whole.stop)) for i in range(whole.start, whole.stop, size)]


@numba.njit(cache=True, nogil=True)
def aligned_residuals(chosen, truth, view, jitter, shapes, similarities, residuals):  # type: ignore[no-untyped-def]
    """Write the residuals of :meth:`Samples.aligned_residuals`; the arguments are its arrays."""
    for j in range(chosen.shape[0]):
        i = chosen[j]
        a, b = np.float64(jitter[i, 0]), np.float64(jitter[i, 1])
        c, d = np.float64(jitter[i, 2]), np.float64(jitter[i, 3])
        determinant = a * d - b * c
        a, b, c, d = d / determinant, -b / determinant, -c / determinant, a / determinant
        squared_norm = similarities[i, 0] * similarities[i, 0] + similarities[i, 1] * similarities[i, 1]
        inverse_a, inverse_b = similarities[i, 0] / squared_norm, similarities[i, 1] / squared_norm
        for k in range(truth.shape[1]):
            x = np.float64(truth[view[i], k, 0]) - jitter[i, 4]
            y = np.float64(truth[view[i], k, 1]) - jitter[i, 5]
            x, y = np.float32(a * x + b * y) - shapes[i, k, 0], np.float32(c * x + d * y) - shapes[i, k, 1]
            residuals[j, 2 * k] = inverse_a * x + inverse_b * y
            residuals[j, 2 * k + 1] = inverse_a * y - inverse_b * x


@numba.njit(cache=True, nogil=True)
def add_errors(truth, view, jitter, shapes, sides, lengths):  # type: ignore[no-untyped-def]
    """Return the sum of the errors of some samples: mean distances over landmarks present, over a length.

    `truth`, `sides` (float64) and `lengths` have a row per view; `view`, `jitter` and `shapes` are the samples'.
    """
    total = 0.0
    for i in range(view.shape[0]):
        number = view[i]
        a, b, c, d, move_x, move_y = jitter[i]
        width, height = sides[number]
        distances, n = 0.0, 0
        for k in range(truth.shape[1]):
            x, y = np.float64(shapes[i, k, 0]), np.float64(shapes[i, k, 1])
            far_x = (a * x + b * y + move_x - truth[number, k, 0]) * width
            far_y = (c * x + d * y + move_y - truth[number, k, 1]) * height
            if not np.isnan(truth[number, k, 0] + truth[number, k, 1]):
                distances += np.sqrt(far_x * far_x + far_y * far_y)
                n += 1
        total += distances / n / lengths[number]
    return total


def count_inits(sample_weight: npt.ArrayLike | None, n_objects: int, options: Options) -> npt.NDArray[np.int64]:
    """Return the initializations of each object (n_objects,): its weight times `n_inits`, rounded at random."""
    if sample_weight is None:
        return np.full(n_objects, options.n_inits)
    weights = check_weights(sample_weight, n_objects, options.n_inits)
    draws = np.random.default_rng([options.random_state, 5]).random(n_objects)
    counts = np.floor(weights * options.n_inits + draws).astype(np.int64)
    return counts


def check_weights(sample_weight: npt.ArrayLike, n_objects: int, n_inits: int) -> Floats:
    """Check the weights of objects, and return them (n_objects,)."""
    try:
        weights = np.asarray(sample_weight, np.float64)
    except (TypeError, ValueError):
        raise InputError("sample_weight: expected numbers") from None
    if weights.shape != (n_objects,):
        raise InputError(f"sample_weight: shape {weights.shape}, expected ({n_objects},)")
    most = PARAMETER_LIMITS["n_inits"][2] / n_inits
    wrong = np.flatnonzero(~((weights >= 0) & (weights <= most)))
    if len(wrong):
        raise InputError(f"sample_weight[{wrong[0]}]: {weights[wrong[0]]:g}, expected 0 to {most:g}")
    return weights


def draw_samples(
    crops: Crops,
    shapes: Floats,
    mirror_map: npt.NDArray[np.intp] | None,
    options: Options,
    *,
    counts: npt.NDArray[np.int64] | None = None,
    map_pools: bool = False,
    own: slice | None = None,
    exchange: Exchange = ALONE,
) -> Samples:
    """Return every object with the mean shape in its box, then with training shapes in jittered boxes.

    `shapes` (n_objects, n_landmarks, 2) are the true landmarks in box coordinates, NaN where missing, and `counts`
    (n_objects,) the initializations, `n_inits` by default. With a mirror map every object is also used mirrored.
    `own` are the objects that crops are of, all by default: others are drawn for, too, as every part does.
    """
    if counts is None:
        counts = np.full(len(shapes), options.n_inits)
    rng = np.random.default_rng([options.random_state, 0])
    n_objects, n_crops = len(shapes), len(crops)
    mirrored = np.zeros(n_crops, bool)
    crop_of = np.arange(n_crops)
    if mirror_map is not None:
        shapes = np.concatenate([shapes, mirror_shapes(shapes, mirror_map)])
        mirrored = np.repeat([False, True], n_crops)
        crop_of, counts = np.tile(crop_of, 2), np.tile(counts, 2)
    n = int(counts.sum())
    # Every object once where all have the same weight.
    same_weight = (counts == counts[0]).all()
    chosen = np.arange(len(shapes)) if same_weight else np.repeat(np.arange(len(shapes), dtype=np.int32), counts)
    (mean,) = exchange.same((average(shapes[chosen]),))
    filled = np.where(np.isnan(shapes), mean, shapes).astype(np.float32)
    truth, numbers = shapes, None
    if own is not None:
        numbers = own_numbers(counts, own, n_objects)
        views = np.concatenate([np.arange(i + own.start, i + own.stop) for i in range(0, len(shapes), n_objects)])
        truth, counts = shapes[views], counts[views]
    view = np.repeat(np.arange(len(truth), dtype=np.int32), counts)
    first = np.diff(view, prepend=-1) > 0
    jitters = options.shift_jitter, options.scale_jitter, options.roll_jitter
    jitter = _draw(n, numbers, lambda m: jitter_transforms(m, *jitters, rng))
    jitter[first] = (1, 0, 0, 1, 0, 0)
    weights = _draw(n, numbers, lambda m: rng.dirichlet(np.ones(options.n_shapes_mixed), m)).astype(np.float32)
    others = chosen[_draw(n, numbers, lambda m: rng.integers(len(chosen), size=(m, options.n_shapes_mixed)))]
    inits = np.empty((len(view), *mean.shape), np.float32)
    for block in range(0, len(view), BLOCK_LENGTH):
        part = slice(block, block + BLOCK_LENGTH)
        inits[part] = np.einsum("nk,nklc->nlc", weights[part], filled[others[part]])
    inits[first] = mean
    return Samples(
        crops=crops,
        truth=truth.astype(np.float32),
        view=view,
        crop_of=crop_of[view].astype(np.int32),
        jitter=jitter.astype(np.float32),
        transforms=_compose(crops.transforms[crop_of[view]], jitter, mirrored[view]).astype(np.float32),
        shapes=inits,
        mean_shape=mean.astype(np.float32),
        sides=_sides(crops.transforms)[crop_of],
        map_pools=map_pools,
        exchange=exchange,
    )


def own_numbers(counts: npt.NDArray[np.int64], own: slice, n_objects: int) -> npt.NDArray[np.int64]:
    """Return the numbers of the samples of some objects, and of their mirror images, among all: `counts` a view."""
    ends = np.concatenate([[0], np.cumsum(counts)])
    return np.concatenate(
        [np.arange(ends[i + own.start], ends[i + own.stop]) for i in range(0, len(counts), n_objects)]
    )


def _draw(n: int, numbers: npt.NDArray[np.int64] | None, draw: Callable[[int], npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Draw `n` rows and return those of some numbers, all by default; only a part of them is in memory at a time."""
    if numbers is None:
        return draw(n)
    parts = []
    for first in range(0, n, ROWS_PER_DRAW):
        rows = draw(min(ROWS_PER_DRAW, n - first))
        low, high = np.searchsorted(numbers, (first, first + len(rows)))
        parts.append(rows[numbers[low:high] - first])
    return np.concatenate(parts)


def plain_samples(
    crops: Crops, shapes: Floats, mean_shape: npt.NDArray[np.float32], *, map_pools: bool = False
) -> Samples:
    """Return every object with the initialization of prediction: the mean shape in its box."""
    n = len(crops)
    return Samples(
        crops=crops,
        truth=shapes.astype(np.float32),
        view=np.arange(n, dtype=np.int32),
        crop_of=np.arange(n, dtype=np.int32),
        jitter=np.tile(np.array([1, 0, 0, 1, 0, 0], np.float32), (n, 1)),
        transforms=crops.transforms.astype(np.float32),
        shapes=np.tile(mean_shape, (n, 1, 1)),
        mean_shape=mean_shape,
        sides=_sides(crops.transforms),
        map_pools=map_pools,
    )


def _sides(transforms: Floats) -> npt.NDArray[np.float32]:
    sides = transforms[:, [0, 3]]
    relative: Floats = sides / sides.mean(axis=1, keepdims=True)
    return relative.astype(np.float32)


def _compose(crop_transforms: Floats, jitter: Floats, mirrored: npt.NDArray[np.bool_]) -> Floats:
    """Compose transforms: jittered box -> box -> (where mirrored, u becomes 1 - u) -> crop."""
    sign = np.where(mirrored, -1.0, 1.0)
    width, height = crop_transforms[:, 0], crop_transforms[:, 3]
    transforms = jitter.copy()
    transforms[:, [0, 1, 4]] *= (sign * width)[:, None]
    transforms[:, [2, 3, 5]] *= height[:, None]
    transforms[:, 4] += crop_transforms[:, 4] + width * mirrored
    transforms[:, 5] += crop_transforms[:, 5]
    return transforms
