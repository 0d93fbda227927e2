"""The samples that a cascade is trained on: every object with each of its starts."""

import hashlib
import json
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from ert.crop_store import Crops
from ert.geometry import image_to_frame, jitter_frames
from ert.metrics import nme, normalisers
from ert.parallel import Workers
from ert.parameters import Options
from ert.shapes import mean_shape as average
from ert.shapes import mirror_shapes
from ert.trees import BLOCK

__all__ = ["PART", "Samples", "draw_samples", "plain_samples"]

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

    def targets(self, part: slice | npt.NDArray[np.intp]) -> npt.NDArray[np.float32]:
        """Return the true landmarks of some samples in their own box coordinates (n, n_landmarks, 2)."""
        truth, jitter = self.truth[self.view[part]].astype(np.float64), self.jitter[part].astype(np.float64)
        return image_to_frame(truth, jitter).astype(np.float32)

    def mean_nme(self, norm: str | None, workers: Workers) -> float:
        """Return the mean error in percent of a normaliser, or of the side of the box."""
        parts = self.parts(slice(0, len(self)), 4 * PART)
        totals = np.zeros(len(parts))

        def add(thread: int, n_threads: int) -> None:
            for number in range(thread, len(parts), n_threads):
                part = parts[number]
                sides = self.sides[self.view[part], None]
                targets = self.targets(part) * sides
                # In these coordinates the side of the box is 1.
                lengths = np.ones(len(targets)) if norm is None else normalisers(targets, norm)
                totals[number] = nme(targets, self.shapes[part] * sides, lengths).sum()

        workers.run(add)
        return float(totals.sum() / len(self))

    def digest(self, options: Options) -> str:
        """Identify a fit by all that decides its result but the number of stages."""
        digest = hashlib.blake2b(json.dumps(asdict(options), sort_keys=True).encode(), digest_size=16)
        for first, columns, rows in self.crops.places:
            digest.update(self.crops.pixels[first : first + columns * rows].data)
            self.crops.release()
        for array in (self.truth, self.mean_shape, self.frames):
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


def draw_samples(
    crops: Crops,
    shapes: npt.NDArray[np.float64],
    swap: npt.NDArray[np.intp] | None,
    options: Options,
) -> Samples:
    """Give every object its starts: the mean shape in its box, then training shapes in jittered boxes.

    Parameters
    ----------
    crops : Crops
    shapes : float array (n_objects, n_landmarks, 2)
        True landmarks in box coordinates, NaN where missing.
    swap : int array (n_landmarks,) or None
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
    if swap is not None:
        shapes = np.concatenate([shapes, mirror_shapes(shapes, swap)])
        mirrored = np.repeat([False, True], n_objects)
        crop_of = np.tile(crop_of, 2)
    mean = average(shapes)
    filled = np.where(np.isnan(shapes), mean, shapes).astype(np.float32)

    n = len(shapes) * options.n_inits
    view = np.repeat(np.arange(len(shapes), dtype=np.int32), options.n_inits)
    first = np.arange(n) % options.n_inits == 0
    jitter = jitter_frames(n, options.shift_jitter, options.scale_jitter, options.roll_jitter, rng)
    jitter[first] = (1, 0, 0, 1, 0, 0)
    weights = rng.dirichlet(np.ones(options.n_mixed), n).astype(np.float32)
    others = rng.integers(len(shapes), size=(n, options.n_mixed))
    starts = np.empty((n, *mean.shape), np.float32)
    for block in range(0, n, BLOCK):
        part = slice(block, block + BLOCK)
        starts[part] = np.einsum("nk,nklc->nlc", weights[part], filled[others[part]])
    starts[first] = mean
    return Samples(
        crops=crops,
        truth=shapes.astype(np.float32),
        view=view,
        crop_of=crop_of[view].astype(np.int32),
        jitter=jitter.astype(np.float32),
        frames=_compose(crops.frames[crop_of[view]], jitter, mirrored[view]).astype(np.float32),
        shapes=starts,
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
