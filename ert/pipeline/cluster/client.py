"""A Dask cluster as its client sees it: a bounded number of parts of a run are in flight, until all are done.

A part whose worker dies is run again by Dask, on another worker. One that keeps killing workers is predicted image by
image, so that the image that does it is found, reported and passed over. A part that a worker cannot read or write is
given to other workers, `ATTEMPTS` times in all.
"""

from asyncio import CancelledError
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any, NamedTuple

import dask
from distributed import Client, KilledWorker, LocalCluster
from distributed.comm import resolve_address

from ert._core.exceptions import InputError, one_line, quoted
from ert._core.runtime import count_threads
from ert.pipeline.cluster.stores import item_name
from ert.pipeline.cluster.worker import (
    Failure,
    PredictionPlugin,
    Run,
    Summary,
    UninterruptedPlugin,
    predict_part,
    write_part,
)
from ert.pipeline.inputs import Item
from ert.pipeline.predict import Photo

ATTEMPTS = 3
# The next part of each thread waits at the scheduler.
PARTS_PER_THREAD = 2
CONNECT_SECONDS = 10
# Without any worker; nodes of a cloud take minutes to start.
WORKERS_SECONDS = 300.0
# How often the number of threads is asked for while parts take long, and at most.
REFRESH_SECONDS = 5.0
# Of workers that die with a part before it is predicted image by image, in a cluster of this machine.
ALLOWED_FAILURES = 1
# Of glibc: photographs that were predicted give their memory to the next ones. As Dask sets it, the memory goes back to
# the system each time, and a photograph of 2 megapixels takes 23 ms of processor time in place of 13.
MALLOC = {"MALLOC_ARENA_MAX": 1, "MALLOC_MMAP_THRESHOLD_": 1 << 25, "MALLOC_TRIM_THRESHOLD_": 1 << 28}
KEPT = "what is finished is kept, and --resume goes on"


class Part(NamedTuple):
    """Images that are predicted by one task; `name` is the file of their results, None where they are returned."""

    number: int
    items: list[Item]
    name: str | None = None


@dataclass
class _Job:
    """A part that is being predicted, and how: `photos` is what was found so far where it is image by image."""

    part: Part
    failed_on: list[str] = field(default_factory=list)
    photos: list[Photo] | None = None
    n_submitted: int = 0


@contextmanager
def connected(cluster: Any, warm_up: Callable[[], object] = lambda: None) -> Iterator[Client]:
    """Connect to a cluster, or start one on this machine that ends with the block.

    Parameters
    ----------
    cluster : str or distributed.Client
        The address of a scheduler, or ``local:N``: N processes of this machine. A client is left open.
    warm_up : callable
        Called before processes of this machine start: what it compiles, they do not.

    Raises
    ------
    InputError
        Where no scheduler or no worker is there.
    """
    if isinstance(cluster, Client):
        yield cluster
        return
    kind, _, number = str(cluster).partition(":")
    if kind == "local":
        with _local_cluster(number, warm_up) as local, _connect(local) as client:
            client.register_plugin(UninterruptedPlugin())
            yield client
        return
    _check_address(cluster)
    try:
        client = _connect(cluster)
    except (OSError, ValueError, TypeError) as error:
        reason = one_line(str(error)) or type(error).__name__
        raise InputError(f"cluster {cluster}: no scheduler answers at this address: {reason}") from None
    with client:
        yield client


def _check_address(cluster: Any) -> None:
    """Refuse what is no address: a client that was begun with it takes 20 s to end, with a traceback."""
    if not isinstance(cluster, str):
        return
    try:
        resolve_address(cluster)
    except OSError as error:
        raise InputError(
            f"cluster {cluster}: no scheduler answers at this address: {error.strerror or error}"
        ) from None
    except Exception:  # of all kinds, warnings too
        expected = "expected one such as tcp://10.0.0.1:8786, or local:4"
        raise InputError(f"cluster {quoted(cluster)}: no address of a scheduler, {expected}") from None


def _connect(cluster: Any) -> Client:
    # Not the one that Dask's collections use from now on.
    return Client(cluster, timeout=CONNECT_SECONDS, set_as_default=False)


@contextmanager
def _local_cluster(number: str, warm_up: Callable[[], object]) -> Iterator[LocalCluster]:
    try:
        n = count_threads(int(number or -1))
    except ValueError:
        raise InputError(f"cluster local:{number}: expected a number of processes, such as local:4") from None
    warm_up()
    environment = "distributed.nanny.pre-spawn-environ"
    # A worker gets one part at a time: none that only waits is suspected when it dies.
    options = {"distributed.scheduler.worker-saturation": 1.0, environment: dask.config.get(environment) | MALLOC}
    with (
        dask.config.set(options),
        LocalCluster(
            n_workers=n,
            threads_per_worker=1,
            processes=True,
            dashboard_address="127.0.0.1:0",
            silence_logs=50,
            scheduler_kwargs={"allowed_failures": ALLOWED_FAILURES},
        ) as cluster,
    ):
        yield cluster


def wait_for_workers(client: Client) -> int:
    """Wait until a worker is there; return the number of threads of all."""
    try:
        client.wait_for_workers(1, timeout=WORKERS_SECONDS)
    except TimeoutError:
        raise InputError(f"cluster {address(client)}: no worker within {WORKERS_SECONDS:g} s") from None
    return sum(_threads(client).values())


def address(client: Client) -> str:
    """Return the address of the scheduler."""
    return str(client.scheduler.address if client.scheduler else "")


@contextmanager
def sent(client: Client, run: Run) -> Iterator[None]:
    """Send a run to each worker once, those that join later included, and remove it at the end."""
    try:
        client.register_plugin(PredictionPlugin(run))
    except Exception as error:  # whatever a worker raises that has no ert, or another
        raise InputError(f"cluster {address(client)}: its workers cannot use ert: {one_line(str(error))}") from error
    try:
        yield
    finally:
        with suppress(Exception):  # the scheduler may be gone
            if client.status == "running":
                client.unregister_worker_plugin(run.key)


def written_parts(client: Client, key: str, parts: Iterable[Part]) -> Iterator[tuple[Part, Summary]]:
    """Yield parts that workers have written, as they are done, and what is in them.

    Raises
    ------
    InputError
        When a part cannot be read or written by `ATTEMPTS` workers, or the scheduler or all workers are gone.
    """
    with closing(_Loop(client, key, iter(parts))) as loop:
        yield from loop.results({})


def found_photos(client: Client, key: str, parts: Iterable[Part]) -> Iterator[Photo]:
    """Yield what workers return of each image, in the order of the images; it raises what `written_parts` does."""
    early: dict[int, list[Photo]] = {}
    first = 0
    with closing(_Loop(client, key, iter(parts))) as loop:
        for part, photos in loop.results(early):
            early[part.number] = photos
            while first in early:
                yield from early.pop(first)
                first += 1


class _Loop:
    """Parts in flight, each with one task at a time."""

    def __init__(self, client: Client, key: str, parts: Iterator[Part]) -> None:
        self.client, self.key, self.parts = client, key, parts
        self.done: SimpleQueue[Any] = SimpleQueue()
        self.active: dict[Any, tuple[Any, _Job]] = {}
        self.limit, self.refreshed, self.last_worker_seen = 0, -REFRESH_SECONDS, monotonic()

    def results(self, waiting: dict[int, Any]) -> Iterator[tuple[Part, Any]]:
        """Yield what is done, a `Summary` where parts have names, else a list of `Photo`.

        `waiting` are results that are not used yet, which count as parts in flight.
        """
        while True:
            self._refresh()
            while len(self.active) + len(waiting) // 2 < self.limit and (part := next(self.parts, None)):
                self._submit(_Job(part))
            if not self.active:
                return
            future, job = self._next()
            result = self._result(future, job)
            if result is not None:
                yield job.part, result

    def _refresh(self) -> None:
        now = monotonic()
        if now - self.refreshed < REFRESH_SECONDS:
            return
        n, self.refreshed = sum(_threads(self.client).values()), now
        self.limit = max(2, PARTS_PER_THREAD * n)
        if n:
            self.last_worker_seen = now
        elif now - self.last_worker_seen > WORKERS_SECONDS:
            raise InputError(f"cluster {address(self.client)}: no worker is left for {WORKERS_SECONDS:g} s; {KEPT}")

    def _submit(self, job: _Job) -> None:
        part = job.part
        function: Callable[..., object] = predict_part
        arguments: tuple[object, ...] = part.items, part.name
        if job.photos is not None:
            n = len(job.photos)
            if n < len(part.items):
                arguments = part.items[n : n + 1], None
            else:
                function, arguments = write_part, (job.photos, part.name)
        options: dict[str, Any] = {}
        if job.failed_on:
            others = [name for name in _threads(self.client) if name not in job.failed_on]
            options = {"workers": others, "allow_other_workers": True} if others else {}
        job.n_submitted += 1
        # Of a tuple: all tasks of a run are one group, of which the scheduler keeps counts alone.
        name = (self.key, part.number, job.n_submitted)
        try:
            future = self.client.submit(function, self.key, *arguments, key=name, pure=False, **options)
        except Exception as error:  # of all kinds, when the scheduler is gone
            raise _lost(self.client) from error
        self.active[future.key] = future, job
        future.add_done_callback(self.done.put)

    def _next(self) -> tuple[Any, _Job]:
        """Wait for a task that is done."""
        while True:
            try:
                future = self.done.get(timeout=REFRESH_SECONDS)
            except Empty:
                self._refresh()
                continue
            return self.active.pop(future.key)

    def _result(self, future: Any, job: _Job) -> list[Photo] | Summary | None:
        """Return the result of a part, or None when another task of it has been submitted."""
        part = job.part
        if future.status == "error":
            error = future.exception()
            if not isinstance(error, KilledWorker):
                what = f"{item_name(part.items[0])} and the next {len(part.items) - 1} images"
                raise InputError(f"{what}: {type(error).__name__}: {one_line(str(error))}") from error
            if job.photos is None:
                job.photos = []
            elif len(job.photos) < len(part.items):
                item = part.items[len(job.photos)]
                fault = f"{item_name(item)}: the worker died each time that it predicted this image"
                job.photos.append(Photo(item, fault=fault))
            else:
                raise InputError(f"{part.name}: the worker died each time that it wrote this file")
        elif future.status != "finished":
            raise _lost(self.client)
        else:
            try:
                result: list[Photo] | Summary | Failure = future.result()
            except (Exception, CancelledError) as error:  # the scheduler went after the task had finished
                raise _lost(self.client) from error
            if isinstance(result, Failure):
                job.failed_on.append(result.worker)
                if len(job.failed_on) == ATTEMPTS:
                    raise InputError(f"{result.message}; {KEPT}")
            elif job.photos is None or isinstance(result, Summary):
                return result
            else:
                job.photos += result
                job.failed_on.clear()
        if job.photos is not None and len(job.photos) == len(part.items) and part.name is None:
            return job.photos
        self._submit(job)
        return None

    def close(self) -> None:
        """Give up what is in flight."""
        futures = [future for future, _ in self.active.values()]
        self.active.clear()
        with suppress(Exception):  # the scheduler may be gone
            if futures and self.client.status == "running":
                self.client.cancel(futures, force=True)


def _threads(client: Client) -> dict[str, int]:
    """Return the number of threads of each worker."""
    try:
        return dict(client.nthreads())
    except Exception as error:  # of all kinds, when the scheduler is gone
        raise _lost(client) from error


def _lost(client: Client) -> InputError:
    return InputError(f"cluster {address(client)}: the connection to the scheduler is lost; {KEPT}")
