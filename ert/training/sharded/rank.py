"""What one worker does: it has the crops and samples of its objects, and trains each stage together with the others.

Functions are tasks of Dask, each of which all workers run at the same time: they wait for each other in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from ert._core.exceptions import InputError
from ert._core.runtime import require_compiler
from ert._kernels import Workers
from ert.inference.validation import Face
from ert.model.cascade import Stage
from ert.training.augmentation import augment_crops, occlude_crops
from ert.training.crops import Crops, FaceReader, cut_crops
from ert.training.exchange import ALONE, Exchange
from ert.training.fit import warm_up
from ert.training.plan import Plan
from ert.training.samples import Samples
from ert.training.sharded.links import LinkLostError, Links, connect, listen
from ert.training.sharded.samples import ShardSamples, draw_shard
from ert.training.stage import replay_stage, train_stage, useful_threads


@dataclass(frozen=True)
class ShardPlan:
    """What all workers know: the plan, without images, and the first object of each, with the number of all."""

    plan: Plan
    crop_sizes: npt.NDArray[np.int64]
    bounds: tuple[int, ...]
    # By which workers recognize each other.
    key: bytes


class Rank:
    """One of the workers. It lies in the memory of its worker and cannot be sent elsewhere."""

    def __init__(self, number: int, shard: ShardPlan, n_threads: int, host: str = "127.0.0.1") -> None:
        from threadpoolctl import threadpool_limits

        require_compiler()
        self.number, self.plan, self.shard = number, shard.plan, shard
        self.own = slice(*shard.bounds[number : number + 2])
        sizes = shard.crop_sizes[self.own]
        self.memory = self.plan.plan_memory({"train": sizes})
        self.crops = Crops.reserve(sizes, mapped=self.memory.map_crops)
        self.shapes = self.plan.objects.shapes
        self.n_threads, self.closed = n_threads, False
        # One thread of linear algebra: the number of threads may change the last bit.
        threadpool_limits(1)
        warm_up(self.plan, n_threads, Exchange())
        self.listener = listen(host)
        self.exchange: Exchange = ALONE
        self.samples: ShardSamples | None = None
        self.options, self.n_stages = self.plan.options, 0
        self.before: Stage | None = None

    def __reduce__(self) -> NoReturn:
        raise TypeError("a worker of a training cannot be moved")

    def close(self) -> None:
        """End the connections: what waits for them fails."""
        self.closed = True
        self.listener.close()
        if isinstance(self.exchange, Links):
            self.exchange.close()

    def cut(self, first: int, faces: Sequence[Face]) -> None:
        """Cut the crops of faces, of which the first has this number among all."""
        if self.closed:
            raise LinkLostError("the training has ended")
        objects, settings = self.plan.objects, self.plan.settings
        part = slice(first, first + len(faces))
        own = slice(part.start - self.own.start, part.stop - self.own.start)
        crops = Crops(self.crops.pixels, self.crops.places[own], self.crops.transforms[own], self.crops.mapping)
        reader = FaceReader(settings["channel_order"], settings["gray_weights"], 1, objects.what, first)
        rolls = None if objects.rolls is None else objects.rolls[part]
        cut_crops(crops, faces, objects.boxes[part], rolls, self.plan.kind, self.plan.crop_spec, reader)

    def prepare(self) -> None:
        """Augment the crops, which have all been cut."""
        exchange, options = self.exchange, self.plan.options
        if options.warp or options.lighting:
            targets = np.flatnonzero(self.plan.counts)
            shapes = augment_crops(
                self.crops,
                self.shapes,
                options,
                targets=targets,
                min_contrast=self.plan.min_contrast,
                n_threads=self.n_threads,
                start=self.own.start,
            )
            self.shapes = exchange.join(shapes[self.own])
        if options.occlusion:
            occlude_crops(self.crops, self.shapes, options.occlusion, options.random_state, self.own, exchange)

    def start(self, seed: int) -> None:
        """Draw the samples of a member."""
        # Those of the member before take as much memory.
        self.samples = None
        self.options, self.n_stages, self.before = replace(self.plan.options, random_state=seed), 0, None
        plan = self.plan
        self.samples = draw_shard(
            self.crops,
            self.shapes,
            plan.mirror_map,
            self.options,
            plan.counts,
            self.own,
            self.exchange,
            self.memory.map_pools,
        )

    def next_stage(self, known: Stage | None) -> tuple[Stage, float]:
        """Train the next stage, or move the samples by one that is known; return it with the error in percent."""
        samples = self.samples
        assert samples is not None
        with Workers(useful_threads(len(samples), self.n_threads)) as workers:
            stage = self._move(samples, known, workers)
            error = samples.mean_nme(self.plan.settings["normalizer"], workers)
        self.before, self.n_stages = stage, self.n_stages + 1
        return stage, error

    def _move(self, samples: Samples, known: Stage | None, workers: Workers) -> Stage:
        if known is not None:
            replay_stage(samples, known, self.plan.kind, workers)
            return known
        return train_stage(samples, self.n_stages, self.options, workers, self.before)


def check_worker() -> tuple[str, int]:
    """Return the version of ert, and the number of threads of this worker."""
    from distributed import get_worker

    from ert._core.version import __version__

    return __version__, int(get_worker().state.nthreads)


def open_rank(number: int, shard: ShardPlan, n_threads: int) -> Rank:
    """Return what this worker has of a training."""
    from distributed import get_worker
    from distributed.comm import get_address_host

    address = get_worker().address
    return Rank(number, shard, n_threads, "127.0.0.1" if address.startswith("inproc") else get_address_host(address))


def rank_address(rank: Rank) -> tuple[str, int]:
    """Return where other workers connect."""
    host, port, *_ = rank.listener.getsockname()
    return host, port


def cut_faces(rank: Rank, first: int, n: int, faces: Any) -> None:
    """Cut the crops of a partition, which had `n` faces when their boxes were read."""
    found = list(faces)
    if len(found) != n:
        message = f"a partition has {len(found)} faces, and had {n} before; expected the same each time it is computed"
        raise InputError(f"X[{first}]: {message}")
    rank.cut(first, found)


def connect_rank(rank: Rank, addresses: Sequence[tuple[str, int]]) -> None:
    """Connect with the others."""
    if len(addresses) == 1:
        rank.listener.close()
    else:
        rank.exchange = connect(rank.number, rank.listener, addresses, rank.shard.key)


def prepare_rank(rank: Rank) -> None:
    """Augment the crops."""
    rank.prepare()


def start_rank(rank: Rank, seed: int) -> None:
    """Draw the samples of a member."""
    rank.start(seed)


def describe_rank(rank: Rank) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    """Return the mean shape, and the digests of the objects of this worker."""
    assert rank.samples is not None
    return rank.samples.mean_shape, rank.samples.object_digests()


def next_stage(rank: Rank, known: Stage | None) -> tuple[Stage, float] | None:
    """Train or repeat a stage; worker 0 returns it."""
    result = rank.next_stage(known)
    return None if rank.number else result


def sent_by_rank(rank: Rank) -> tuple[int, int]:
    """Return the messages and bytes that this worker has sent."""
    exchange = rank.exchange
    return (exchange.n_messages, exchange.n_bytes) if isinstance(exchange, Links) else (0, 0)


def close_ranks(keys: Sequence[str], dask_worker: Any) -> None:
    """End the connections of a worker, from outside of its tasks; `keys` are those of all workers of the training."""
    for key in keys:
        rank = dask_worker.data.get(key)
        if isinstance(rank, Rank):
            rank.close()
