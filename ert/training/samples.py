"""The samples that a cascade is trained on: every object with each of its starts."""

import hashlib
import json
from dataclasses import asdict, dataclass

import numba
import numpy as np
import numpy.typing as npt

from ert._kernels.grow import BLOCK
from ert._kernels.workers import Workers
from ert.metrics import normalizer_lengths
from ert.model.geometry import jitter_frames
from ert.model.schemes import mean_shape as average
from ert.model.schemes import mirror_shapes
from ert.training.crops import Crops
from ert.training.parameters import Options

__all__ = [
    "PART",
    "Samples",
    "add_errors",
    "aligned_residuals",
    "draw_samples",
    "plain_samples",
]


# Samples whose landmarks are worked on at once, so that what that takes stays small.
PART = 128


@dataclass
class Samples:
    """Every object with every one of its starts (and the same of its mirror image), in blocks.

    Parameters
    ----------
    crops : Crops
    truth : float32 array (n_views, n_landmarks, 2)
        True landmarks of each object, then of its mirror image, in box coordinates; NaN where missing.
    view, crop_of : int32 array (n,)
        Which truth and which crop each sample has.
    jitter : float32 array (n, 6)
        From the sample's jittered box coordinates to those of the box.
    frames : float32 array (n, 6)
        From the sample's box coordinates to pixels of the crop.
    shapes : float32 array (n, n_landmarks, 2)
        Where the cascade has the landmarks now, in the sample's box coordinates.
    mean_shape : float32 array (n_landmarks, 2)
    sides : float32 array (n_views, 2)
        Width and height of each object's box coordinates, as parts of the mean of both: 1 in a square frame.
    """

    crops: Crops
    truth: npt.NDArray[np.float32]
    view: npt.NDArray[np.int32]
    crop_of: npt.NDArray[np.int32]
    jitter: npt.NDArray[np.float32]
    frames: npt.NDArray[np.float32]
    shapes: npt.NDArray[np.float32]
    mean_shape: npt.NDArray[np.float32]
    sides: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.crop_of)

    @property
    def blocks(self) -> list[slice]:
        """The samples of each block."""
        return self.parts(slice(0, len(self)), BLOCK)

    def parts(self, block: slice, size: int = PART) -> list[slice]:
        """Cut some of the samples into parts."""
        return [slice(i, min(i + size, block.stop)) for i in range(block.start, block.stop, size)]

    def aligned_residuals(
        self, some: npt.NDArray[np.integer], matrices: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        """Return what is left to move of some samples, turned and scaled back to the mean shape.

        Parameters
        ----------
        some : int array (m,)
        matrices : float32 array (n, 2)
            The similarity from the mean shape to each sample's shape.

        Returns
        -------
        float32 array (m, 2 * n_landmarks)
            NaN where a landmark is missing.
        """
        left = np.empty((len(some), self.mean_shape.size), np.float32)
        aligned_residuals(some, self.truth, self.view, self.jitter, self.shapes, matrices, left)
        return left

    def mean_nme(self, normalizer: str | None, workers: Workers) -> float:
        """Return the mean error in percent of a normalizer, or of the side of the box."""
        sides = self.sides.astype(np.float64)
        # In these coordinates the side of the box is 1.
        lengths = (
            np.ones(len(sides))
            if normalizer is None
            else normalizer_lengths(self.truth * sides[:, None], normalizer)
        )
        blocks, totals = self.blocks, np.zeros(len(self.blocks))

        def add(thread: int, n_threads: int) -> None:
            for number in range(thread, len(blocks), n_threads):
                part = blocks[number]
                rest = self.truth, self.view[part], self.jitter[part], self.shapes[part], sides, lengths
                totals[number] = add_errors(*rest)

        workers.run(add)
        return float(100 * totals.sum() / len(self))

    def digest(self, options: Options) -> str:
        """Identify a fit by all that decides its result but the number of stages."""
        digest = hashlib.blake2b(json.dumps(asdict(options), sort_keys=True).encode(), digest_size=16)
        for first, columns, rows in self.crops.places:
            digest.update(self.crops.pixels[first : first + columns * rows].data)
            self.crops.release()
        for array in (self.truth, self.mean_shape, self.frames):
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


@numba.njit(cache=True, nogil=True)
def aligned_residuals(some, truth, view, jitter, shapes, matrices, left):  # type: ignore[no-untyped-def]
    """See the method of this name in :class:`Samples`: `left` is written, the rest are its arrays."""
    for j in range(some.shape[0]):
        i = some[j]
        a, b, c, d = (
            np.float64(jitter[i, 0]),
            np.float64(jitter[i, 1]),
            np.float64(jitter[i, 2]),
            np.float64(jitter[i, 3]),
        )
        scale = a * d - b * c
        a, b, c, d = d / scale, -b / scale, -c / scale, a / scale
        normalizer = matrices[i, 0] * matrices[i, 0] + matrices[i, 1] * matrices[i, 1]
        turn_x, turn_y = matrices[i, 0] / normalizer, matrices[i, 1] / normalizer
        for k in range(truth.shape[1]):
            x = np.float64(truth[view[i], k, 0]) - jitter[i, 4]
            y = np.float64(truth[view[i], k, 1]) - jitter[i, 5]
            x, y = np.float32(a * x + b * y) - shapes[i, k, 0], np.float32(c * x + d * y) - shapes[i, k, 1]
            left[j, 2 * k] = turn_x * x + turn_y * y
            left[j, 2 * k + 1] = turn_x * y - turn_y * x


@numba.njit(cache=True, nogil=True)
def add_errors(truth, view, jitter, shapes, sides, lengths):  # type: ignore[no-untyped-def]
    """Add up the errors of samples: mean distances of the landmarks that are not missing, over a length.

    Parameters
    ----------
    truth, view, jitter, shapes, sides
        See :class:`Samples`; `sides` as float64, `view`, `jitter` and `shapes` of the samples that count.
    lengths : float64 array (n_views,)

    Returns
    -------
    float
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


def draw_samples(
    crops: Crops,
    shapes: npt.NDArray[np.float64],
    mirror_map: npt.NDArray[np.intp] | None,
    options: Options,
) -> Samples:
    """Give every object its starts: the mean shape in its box, then training shapes in jittered boxes.

    Parameters
    ----------
    crops : Crops
    shapes : float array (n_objects, n_landmarks, 2)
        True landmarks in box coordinates, NaN where missing.
    mirror_map : int array (n_landmarks,) or None
        The mirror map; with it, every object is also used mirrored.
    options : Options

    Returns
    -------
    Samples
    """
    rng = np.random.default_rng([options.random_state, 0])
    n_objects = len(crops)
    mirrored = np.zeros(n_objects, bool)
    crop_of = np.arange(n_objects)
    if mirror_map is not None:
        shapes = np.concatenate([shapes, mirror_shapes(shapes, mirror_map)])
        mirrored = np.repeat([False, True], n_objects)
        crop_of = np.tile(crop_of, 2)
    mean = average(shapes)
    filled = np.where(np.isnan(shapes), mean, shapes).astype(np.float32)

    n = len(shapes) * options.n_inits
    view = np.repeat(np.arange(len(shapes), dtype=np.int32), options.n_inits)
    first = np.arange(n) % options.n_inits == 0
    jitter = jitter_frames(n, options.shift_jitter, options.scale_jitter, options.roll_jitter, rng)
    jitter[first] = (1, 0, 0, 1, 0, 0)
    weights = rng.dirichlet(np.ones(options.n_shapes_mixed), n).astype(np.float32)
    others = rng.integers(len(shapes), size=(n, options.n_shapes_mixed))
    inits = np.empty((n, *mean.shape), np.float32)
    for block in range(0, n, BLOCK):
        part = slice(block, block + BLOCK)
        inits[part] = np.einsum("nk,nklc->nlc", weights[part], filled[others[part]])
    inits[first] = mean
    return Samples(
        crops=crops,
        truth=shapes.astype(np.float32),
        view=view,
        crop_of=crop_of[view].astype(np.int32),
        jitter=jitter.astype(np.float32),
        frames=_compose(crops.frames[crop_of[view]], jitter, mirrored[view]).astype(np.float32),
        shapes=inits,
        mean_shape=mean.astype(np.float32),
        sides=_sides(crops.frames)[crop_of],
    )


def plain_samples(
    crops: Crops,
    shapes: npt.NDArray[np.float64],
    mean_shape: npt.NDArray[np.float32],
) -> Samples:
    """Give every object the one start that it has at prediction: the mean shape in its own box."""
    n = len(crops)
    return Samples(
        crops=crops,
        truth=shapes.astype(np.float32),
        view=np.arange(n, dtype=np.int32),
        crop_of=np.arange(n, dtype=np.int32),
        jitter=np.tile(np.array([1, 0, 0, 1, 0, 0], np.float32), (n, 1)),
        frames=crops.frames.astype(np.float32),
        shapes=np.tile(mean_shape, (n, 1, 1)),
        mean_shape=mean_shape,
        sides=_sides(crops.frames),
    )


def _sides(frames: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    sides = frames[:, [0, 3]]
    parts: npt.NDArray[np.float64] = sides / sides.mean(axis=1, keepdims=True)
    return parts.astype(np.float32)


def _compose(
    crop_frames: npt.NDArray[np.float64], jitter: npt.NDArray[np.float64], mirrored: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    """Join frames: jittered box -> box -> (where mirrored, u becomes 1 - u) -> crop."""
    sign = np.where(mirrored, -1.0, 1.0)
    width, height = crop_frames[:, 0], crop_frames[:, 3]
    frames = jitter.copy()
    frames[:, [0, 1, 4]] *= (sign * width)[:, None]
    frames[:, [2, 3, 5]] *= height[:, None]
    frames[:, 4] += crop_frames[:, 4] + width * mirrored
    frames[:, 5] += crop_frames[:, 5]
    return frames
