"""`ShapePredictor.fit` on a Dask Bag: the client places a part of the objects on each worker, and collects the stages.

    client    boxes, landmarks ──> plan ──> a Rank on each worker ──> crops ──> stage ──> stage ──> ...
                                                                                 └─> model, checkpoint

A task of a stage runs on all workers at once. When one is lost, those that are left begin anew, with all objects, and
repeat the stages that the client has.
"""

import os
from asyncio import CancelledError
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from queue import Empty, SimpleQueue
from time import monotonic, sleep
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from ert._core.exceptions import InputError, one_line
from ert._core.images import image_size
from ert._core.runtime import count_threads
from ert._core.version import __version__
from ert._kernels import Workers
from ert.inference.validation import Face, check_pairs, landmark_list
from ert.model.cascade import Stage
from ert.model.fitted import Fitted
from ert.training.fit import Record, cut_part, held_out_samples, log, member_seed, warm_up
from ert.training.parameters import check_parameters
from ert.training.plan import Plan, plan_fit
from ert.training.sharded.links import LinkLostError
from ert.training.sharded.rank import (
    ShardPlan,
    check_worker,
    close_ranks,
    connect_rank,
    cut_faces,
    describe_rank,
    next_stage,
    open_rank,
    prepare_rank,
    rank_address,
    start_rank,
)
from ert.training.sharded.samples import data_digest
from ert.training.stage import OnTrees, replay_stage, useful_threads

# Times that workers may be lost in a row before another stage is finished.
ATTEMPTS = 4
# How often it is looked whether the workers are still there.
CHECK_SECONDS = 1.0
# Without any worker; nodes of a cloud take minutes to start.
WORKERS_SECONDS = 300.0
# Of a worker that Dask has paused.
PAUSED_SECONDS = 30.0
# The others fail this long after the first one.
FAILURE_SECONDS = 10.0
KEY_BYTES = 32

_R = TypeVar("_R")


class WorkerLostError(Exception):
    """A worker is gone, or cannot be reached by the others."""


def fit_shards(
    settings: Mapping[str, Any], X: Any, y: npt.ArrayLike, further: dict[str, Any], record: Record
) -> Fitted:
    """Fit a cascade on the workers of the current Dask client; the arguments are those of `fit_here`."""
    check_parameters(settings)
    count_threads(settings["n_jobs"])
    client = _current_client()
    try:
        partitions = _partitions(X)
        lengths, faces = _look_at(client, partitions, with_sizes=settings["kind"] == "dlib")
        if hasattr(y, "__dask_graph__"):
            y = client.compute(y).result()
        record.check_writable()
        plan = plan_fit(settings, faces, landmark_list(y), **further)
        training = _Training(client, plan, partitions, lengths)
        try:
            digest, mean_shape = training.start()
            return record.fit(plan, digest, mean_shape, training.stages)
        finally:
            training.close()
    except InputError:
        raise
    except (Exception, CancelledError) as error:
        if client.status != "running":
            kept = "what is finished is in the checkpoint" if record.checkpoint is not None else "the fit has ended"
            raise InputError(f"cluster {_address(client)}: the connection to the scheduler is lost; {kept}") from error
        raise


def _current_client() -> Any:
    try:
        from distributed import default_client
    except ImportError:
        message = "X is a Dask collection, which needs distributed: pip install 'ert-landmarks[cluster]'"
        raise InputError(message) from None
    try:
        return default_client()
    except ValueError:
        raise InputError("X is a Dask collection, expected a distributed.Client that is connected") from None


def _address(client: Any) -> str:
    return str(client.scheduler.address if client.scheduler else "")


def _partitions(X: Any) -> list[Any]:
    from dask.bag import Bag

    if not isinstance(X, Bag):
        raise InputError(f"X: expected a Dask Bag of pairs (image, box), got {type(X).__name__}")
    return list(X.to_delayed())


def _look_at(client: Any, partitions: Sequence[Any], *, with_sizes: bool) -> tuple[list[int], list[Face]]:
    """Return the number of faces in each partition, and all with their boxes, without the images."""
    from dask import delayed

    look = delayed(_faces_without_images, pure=False)
    found = client.gather(client.compute([look(part, i, with_sizes) for i, part in enumerate(partitions)]))
    return [len(part) for part in found], [face for part in found for face in part]


def _faces_without_images(partition: Any, number: int, with_sizes: bool) -> list[Face]:
    faces = list(partition)
    boxes = check_pairs(faces, f"partition {number} of X")
    if not with_sizes:
        return [(None, box) for box in boxes]  # type: ignore[misc]
    # An array that takes no memory stands for an image of its size.
    sizes = [_size(image) for image, _ in faces]
    return [(np.broadcast_to(np.uint8(0), size), box) for size, box in zip(sizes, boxes, strict=True)]


def _size(image: Any) -> tuple[int, int]:
    if isinstance(image, (str, os.PathLike)):
        columns, rows = image_size(image)
        return rows, columns
    rows, columns = np.shape(np.asarray(image))[:2]
    return rows, columns


class _Training:
    """A training on a cluster, and the workers that it runs on."""

    def __init__(self, client: Any, plan: Plan, partitions: Sequence[Any], lengths: Sequence[int]) -> None:
        self.client, self.plan, self.partitions, self.lengths = client, plan, partitions, lengths
        self.crop_sizes = plan.crop_sizes()
        objects = replace(plan.objects, X=(), landmarks=np.zeros((0, 0, 2)))
        self.sent = replace(plan, parts={"train": objects})
        self.ranks: _Ranks | None = None
        # The member whose samples the workers have, and by how many of its stages they have been moved.
        self.seed, self.n_moved = -1, 0
        self.mean_shape: npt.NDArray[np.float32] | None = None

    def close(self) -> None:
        """Remove what the workers have."""
        if self.ranks is not None:
            self.ranks.close()
            self.ranks = None

    def start(self) -> tuple[str, npt.NDArray[np.float32]]:
        """Cut the crops and draw the samples of the first member; return the digest of the data and the mean shape."""
        seed = self.plan.options.random_state
        found = self._attempt(lambda: self._with_samples(seed, ()).call(describe_rank))
        self.mean_shape = found[0][0]
        return data_digest(self.plan.options, self.mean_shape, [digests for _, digests in found]), self.mean_shape

    def stages(
        self, number: int, known: Sequence[Stage], on_trees: OnTrees
    ) -> Iterator[tuple[Stage, dict[str, float]]]:
        """Yield the stages of a member, first those that are known, and the errors after each."""
        seed, stages = member_seed(self.plan.options.random_state, number), list[Stage]()
        assert self.mean_shape is not None
        held_out = None
        if "validation" in self.plan.parts:
            held_out = _HeldOut(self.plan, self.crop_sizes["validation"], self.mean_shape)
        while len(stages) < self.plan.params["n_stages"]:
            is_known = len(stages) < len(known)
            stage, error = self._next_stage(seed, stages, known[len(stages)] if is_known else None)
            stages.append(stage)
            if not is_known and on_trees is not None:
                on_trees(self.plan.options.n_trees)
            yield stage, {"train": error} | ({} if held_out is None else held_out.errors(stage))

    def _next_stage(self, seed: int, stages: Sequence[Stage], known: Stage | None) -> tuple[Stage, float]:
        result = self._attempt(lambda: self._with_samples(seed, stages).next_stage(known))
        self.n_moved += 1
        return result

    def _attempt(self, step: Callable[[], _R]) -> _R:
        """Do something with all workers; where one is lost, again with those that are left."""
        n_lost = 0
        while True:
            try:
                return step()
            except WorkerLostError as error:
                self.close()
                n_lost += 1
                if n_lost == ATTEMPTS:
                    message = f"workers were lost {ATTEMPTS} times before the next stage was finished: {error}"
                    raise InputError(f"cluster {_address(self.client)}: {message}") from error
                if self.plan.settings["verbose"]:
                    log(f"{error}; going on with the others from the last stage")

    def _with_samples(self, seed: int, stages: Sequence[Stage]) -> "_Ranks":
        """Return workers with the samples of a member, moved by some stages."""
        if self.ranks is None:
            self.ranks, self.seed = self._open(), -1
        if self.seed != seed:
            self.ranks.call(start_rank, seed)
            self.seed, self.n_moved = seed, 0
        for stage in stages[self.n_moved :]:
            self.ranks.next_stage(stage)
            self.n_moved += 1
        return self.ranks

    def _open(self) -> "_Ranks":
        """Give each worker its objects, and let it cut their crops."""
        try:
            self.client.wait_for_workers(1, timeout=WORKERS_SECONDS)
        except TimeoutError:
            raise InputError(f"cluster {_address(self.client)}: no worker within {WORKERS_SECONDS:g} s") from None
        threads = dict(sorted(self.client.nthreads().items()))
        workers = list(threads)[: len(self.partitions)]
        first_partition = divide(self.lengths, [threads[each] for each in workers])
        firsts = np.concatenate([[0], np.cumsum(self.lengths)])
        bounds = tuple(int(firsts[i]) for i in first_partition)
        shard = ShardPlan(self.sent, self.crop_sizes["train"], bounds, os.urandom(KEY_BYTES))
        ranks = _Ranks(self.client, workers)
        try:
            ranks.open(shard, self.plan.settings["n_jobs"])
            # First: a firewall between workers is noticed before images are read.
            ranks.call(connect_rank, ranks.call(rank_address))
            ranks.cut(self.partitions, self.lengths, first_partition)
            ranks.call(prepare_rank)
        except BaseException:
            ranks.close()
            raise
        if self.plan.settings["verbose"]:
            log(f"training on {len(workers)} workers")
        return ranks


def divide(lengths: Sequence[int], threads: Sequence[int]) -> list[int]:
    """Return the first partition of each worker, and the number of all: shares of the objects as those of threads.

    There are at least as many partitions as workers, and each worker gets one or more.
    """
    n, middles = len(lengths), np.cumsum(lengths) - np.array(lengths) / 2
    shares = np.cumsum(threads)[:-1] / sum(threads)
    bounds = [0]
    for i, bound in enumerate(np.searchsorted(middles, shares * sum(lengths)).tolist()):
        bounds.append(min(max(bound, bounds[-1] + 1), n - (len(threads) - 1 - i)))
    return [*bounds, n]


class _HeldOut:
    """The validation data, which the client has."""

    def __init__(self, plan: Plan, sizes: npt.NDArray[np.int64], mean_shape: npt.NDArray[np.float32]) -> None:
        self.plan, n_threads = plan, count_threads(plan.settings["n_jobs"])
        memory = plan.plan_memory({"train": sizes[:0], "validation": sizes})
        warm_up(plan, n_threads)
        crops = {"validation": cut_part(plan, "validation", sizes, memory, n_threads)}
        self.samples = held_out_samples(plan, crops, mean_shape, memory)
        self.n_threads = useful_threads(len(self.samples), n_threads)

    def errors(self, stage: Stage) -> dict[str, float]:
        """Move the samples by a stage, and return their error."""
        from threadpoolctl import threadpool_limits

        with threadpool_limits(1), Workers(self.n_threads) as workers:
            replay_stage(self.samples, stage, self.plan.kind, workers)
            return {"validation": self.samples.mean_nme(self.plan.settings["normalizer"], workers)}


def _worker_states(client: Any) -> dict[str, str]:
    try:
        found = client.scheduler_info(n_workers=-1)
    except TypeError:  # before 2025 it returned all
        found = client.scheduler_info()
    return {name: worker.get("status", "running") for name, worker in found["workers"].items()}


class _Ranks:
    """The workers of a training: tasks that all run at the same time, one on each."""

    def __init__(self, client: Any, workers: Sequence[str]) -> None:
        self.client, self.workers = client, workers
        self.ranks: list[Any] = []
        # When no worker was paused.
        self.running = monotonic()

    def open(self, shard: ShardPlan, n_jobs: int | None) -> None:
        """Give all workers what they need."""
        found = self._results([self._submit(worker, check_worker) for worker in self.workers])
        for worker, (version, _) in zip(self.workers, found, strict=True):
            if version != __version__:
                raise InputError(f"worker {worker}: has ert {version}, expected {__version__} as the client has")
        sent = self.client.scatter(shard, broadcast=True, hash=False, workers=list(self.workers))
        limit = count_threads(n_jobs) if n_jobs is None or n_jobs > 0 else np.inf
        self.ranks = [
            self._submit(worker, open_rank, number, sent, int(min(n_threads, limit)))
            for number, (worker, (_, n_threads)) in enumerate(zip(self.workers, found, strict=True))
        ]
        self._wait(self.ranks)

    def cut(self, partitions: Sequence[Any], lengths: Sequence[int], first_partition: Sequence[int]) -> None:
        """Let each worker read the images of its partitions."""
        from dask import delayed

        cut = delayed(cut_faces, pure=False)
        firsts, futures = np.concatenate([[0], np.cumsum(lengths)]).tolist(), []
        for worker, rank, (low, high) in zip(self.workers, self.ranks, pairwise(first_partition), strict=True):
            tasks = [cut(rank, firsts[i], lengths[i], partitions[i]) for i in range(low, high)]
            futures += self.client.compute(tasks, workers=[worker], allow_other_workers=False)
        self._wait(futures)

    def call(self, function: Callable[..., Any], *args: Any) -> list[Any]:
        """Run a function on all workers at the same time; return the results."""
        pairs = zip(self.workers, self.ranks, strict=True)
        return self._results([self._submit(worker, function, rank, *args) for worker, rank in pairs])

    def next_stage(self, known: Stage | None) -> tuple[Stage, float]:
        """Train a stage, or repeat one."""
        result: tuple[Stage, float] = self.call(next_stage, known)[0]
        return result

    def close(self) -> None:
        """End the connections of all workers, and forget what they have."""
        self._end_connections()
        ranks, self.ranks = self.ranks, []
        self._cancel(ranks)

    def _end_connections(self) -> None:
        """Let what waits for other workers fail."""
        if self.client.status == "running":
            with suppress(Exception, CancelledError):  # workers, or the scheduler, may be gone
                alive = self.client.nthreads()
                workers = [worker for worker in self.workers if worker in alive]
                self.client.run(close_ranks, [rank.key for rank in self.ranks], workers=workers, on_error="ignore")

    def _cancel(self, futures: Sequence[Any]) -> None:
        if self.client.status == "running":
            with suppress(Exception, CancelledError):
                self.client.cancel(list(futures), force=True)

    def _submit(self, worker: str, function: Callable[..., Any], *args: Any) -> Any:
        return self.client.submit(function, *args, workers=[worker], allow_other_workers=False, pure=False)

    def _results(self, futures: Sequence[Any]) -> list[Any]:
        self._wait(futures)
        return list(self.client.gather(list(futures)))

    def _wait(self, futures: Sequence[Any]) -> None:
        """Wait until all are done; raise the error of the first that fails."""
        done: SimpleQueue[Any] = SimpleQueue()
        for future in futures:
            future.add_done_callback(done.put)
        n_done = 0
        try:
            while n_done < len(futures):
                try:
                    future = done.get(timeout=CHECK_SECONDS)
                except Empty:
                    self._check_workers()
                    continue
                n_done += 1
                if future.status != "finished":
                    self._fail(futures)
        except BaseException:
            self._end_connections()
            self._cancel(futures)
            raise

    def _check_workers(self) -> None:
        """Raise where a worker is gone, or runs no more tasks since it has too little memory."""
        states = _worker_states(self.client)
        if lost := [worker for worker in self.workers if worker not in states]:
            raise WorkerLostError(f"worker {lost[0]} is lost")
        paused = [worker for worker in self.workers if states[worker] == "paused"]
        if not paused:
            self.running = monotonic()
        elif monotonic() - self.running > PAUSED_SECONDS:
            message = "Dask has paused it: it uses more than its memory_limit; expected a higher one, or more workers"
            raise InputError(f"worker {paused[0]}: {message}")

    def _fail(self, futures: Sequence[Any]) -> None:
        """Raise what made workers fail, not what followed from it in others."""
        from distributed import KilledWorker

        self._end_connections()
        deadline = monotonic() + FAILURE_SECONDS
        while any(future.status == "pending" for future in futures) and monotonic() < deadline:
            self._check_workers()
            sleep(CHECK_SECONDS / 10)
        errors = [future.exception() for future in futures if future.status == "error"]
        for error in errors:
            if not isinstance(error, (LinkLostError, KilledWorker)):
                if isinstance(error, InputError):
                    raise error
                raise InputError(f"a worker failed: {type(error).__name__}: {one_line(str(error))}") from error
        self._check_workers()
        raise WorkerLostError(one_line(str(errors[0])) if errors else "tasks of a worker were cancelled")
