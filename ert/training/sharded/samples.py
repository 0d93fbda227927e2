"""The samples of one worker: those of its objects, and of their mirror images, among those of all workers."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields
from itertools import pairwise

import numba
import numpy as np
import numpy.typing as npt

from ert._core.types import Floats, Pixels
from ert._kernels import Workers
from ert.training.crops import Crops
from ert.training.exchange import Exchange
from ert.training.memory import BLOCK_LENGTH, PART_LENGTH
from ert.training.parameters import Options, without_neutral
from ert.training.samples import Samples, add_errors, divided, draw_samples, own_numbers, pixel_differences

DIGEST_BYTES = 16


@dataclass
class ShardSamples(Samples):
    """Samples of a worker. Whatever is computed with them has the same bits as in a training with all samples."""

    # Their numbers among all, ascending, and how many these are.
    numbers: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    n_all: int = 0

    @property
    def n_total(self) -> int:
        """The number of samples of all parts of the training."""
        return self.n_all

    def parts(self, block: slice) -> list[slice]:
        """Divide the samples of a block into parts that lie within parts of all samples."""
        numbers = self.numbers[block]
        ends = np.flatnonzero(np.diff(numbers // PART_LENGTH)) + 1
        bounds = [block.start, *(block.start + ends).tolist(), block.stop]
        return [slice(low, high) for low, high in pairwise(bounds) if low < high]

    def multiply(
        self, part: slice, residuals: npt.NDArray[np.float32], projection: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        """Return the products of the residuals of a part with a matrix.

        Rows of others are zeros: the last bit of a product may depend on how many rows there are, and on which it is.
        """
        numbers = self.numbers[part]
        start = int(numbers[0]) // PART_LENGTH * PART_LENGTH
        n = min(PART_LENGTH, self.n_all - start)
        if len(numbers) == n:
            return residuals @ projection
        rows = np.zeros((n, residuals.shape[1]), np.float32)
        rows[numbers - start] = residuals
        return (rows @ projection)[numbers - start]

    def _own(self, chosen: npt.NDArray[np.integer]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """Return which of the samples `chosen` are those of this worker, and which of these they are."""
        places = np.searchsorted(self.numbers, chosen)
        places[places == len(self.numbers)] = 0
        own = np.flatnonzero(self.numbers[places] == chosen) if len(self.numbers) else np.zeros(0, np.intp)
        return own, places[own]

    def parts_of_residuals(
        self, chosen: npt.NDArray[np.integer], similarities: npt.NDArray[np.float32]
    ) -> Iterator[npt.NDArray[np.float32]]:
        """Yield the residuals of the samples `chosen` in part 0, PART_LENGTH at a time."""
        own, places = self._own(chosen)
        which = self.exchange.gather(own)
        residuals = self.exchange.gather(self.aligned_residuals(places, similarities))
        if which:
            rows = np.empty((len(chosen), self.mean_shape.size), np.float32)
            rows[np.concatenate(which)] = np.concatenate(residuals)
            for part in divided(slice(0, len(rows)), PART_LENGTH):
                yield rows[part]

    def pixel_differences(
        self, pool: Pixels, pairs: npt.NDArray[np.uint16], chosen: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int16]:
        """Return the differences of pairs of pixels of the samples that are of this worker, 0 for others."""
        own, places = self._own(chosen)
        differences = np.zeros(len(pairs), np.int16)
        differences[own] = pixel_differences(pool, pairs[own], places)
        return differences

    def mean_nme(self, normalizer: str | None, workers: Workers) -> float:
        """Return the mean NME in percent in part 0; it is added up in the order of all samples."""
        sides, lengths = self.sides_and_lengths(normalizer)
        errors = np.empty(len(self))

        def measure(block: slice) -> None:
            samples = self.view[block], self.jitter[block], self.shapes[block]
            sample_errors(self.truth, *samples, sides, lengths, errors[block])

        list(workers.map(measure, self.blocks))
        which, parts = self.exchange.gather(self.numbers), self.exchange.gather(errors)
        if not which:
            return np.nan
        errors = np.empty(self.n_all)
        errors[np.concatenate(which)] = np.concatenate(parts)
        # One after another in each block, as the kernel does.
        blocks = divided(slice(0, self.n_all), BLOCK_LENGTH)
        totals = np.array([np.add.accumulate(errors[block])[-1] for block in blocks])
        return float(100 * totals.sum() / self.n_all)

    def object_digests(self) -> npt.NDArray[np.uint8]:
        """Return a digest (n_objects, DIGEST_BYTES) of each object: its crop, landmarks and samples."""
        n = len(self.crops)
        of_object = np.argsort(self.crop_of, kind="stable")
        ends = np.searchsorted(self.crop_of[of_object], np.arange(n + 1))
        views = self.truth.reshape(2 if len(self.truth) > n else 1, n, *self.truth.shape[1:])
        digests = np.empty((n, DIGEST_BYTES), np.uint8)
        for i, (first, columns, rows) in enumerate(self.crops.places.tolist()):
            digest = hashlib.blake2b(self.crops.pixels[first : first + columns * rows].data, digest_size=DIGEST_BYTES)
            digest.update(np.ascontiguousarray(views[:, i]).data)
            digest.update(self.transforms[of_object[ends[i] : ends[i + 1]]].tobytes())
            digests[i] = np.frombuffer(digest.digest(), np.uint8)
        self.crops.release()
        return digests


@numba.njit(cache=True, nogil=True)
def sample_errors(truth, view, jitter, shapes, sides, lengths, errors):  # type: ignore[no-untyped-def]
    """Write the error of each of some samples, see :func:`ert.training.samples.add_errors`."""
    for i in range(view.shape[0]):
        part = slice(i, i + 1)
        errors[i] = add_errors(truth, view[part], jitter[part], shapes[part], sides, lengths)


def draw_shard(
    crops: Crops,
    shapes: Floats,
    mirror_map: npt.NDArray[np.intp] | None,
    options: Options,
    counts: npt.NDArray[np.int64],
    own: slice,
    exchange: Exchange,
    map_pools: bool,
) -> ShardSamples:
    """Return the samples of the objects `own`, whose crops these are; the other arguments are of all objects."""
    drawn = draw_samples(
        crops, shapes, mirror_map, options, counts=counts, map_pools=map_pools, own=own, exchange=exchange
    )
    counts = counts if mirror_map is None else np.tile(counts, 2)
    numbers = own_numbers(counts, own, len(shapes))
    return ShardSamples(
        **{each.name: getattr(drawn, each.name) for each in fields(Samples)}, numbers=numbers, n_all=int(counts.sum())
    )


def data_digest(options: Options, mean_shape: npt.NDArray[np.float32], digests: Sequence[npt.NDArray[np.uint8]]) -> str:
    """Return a digest of what determines a fit but the number of stages; `digests` are of the objects in order."""
    parameters = json.dumps(without_neutral(asdict(options)), sort_keys=True)
    digest = hashlib.blake2b(parameters.encode(), digest_size=DIGEST_BYTES)
    for array in (*digests, mean_shape):
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
