"""What a worker does: it keeps the model of a run, and predicts parts of the images one after another.

A task runs on one thread. `PredictionPlugin` is what each worker gets once, also one that joins later: the bytes of the
model and how images are predicted. The model is loaded and its kernels are warmed by the first task on a worker.
"""

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any, NamedTuple

from distributed import Worker, WorkerPlugin, get_worker

from ert._core.exceptions import InputError, one_line
from ert._core.files import write_text
from ert._core.version import __version__
from ert.inference.locator import LIKELY_CONFIDENCE
from ert.pipeline.cluster.stores import is_url, item_name, publish, remove, with_files
from ert.pipeline.inputs import Item
from ert.pipeline.outputs import OUTPUT_FORMATS, write_photos
from ert.pipeline.part import Columns, photo_entry, read_photo
from ert.pipeline.predict import Photo, Request, predict_photo
from ert.predictor import ShapePredictor, load


class Run(NamedTuple):
    """What the parts of a run have in common.

    Parameters
    ----------
    key : str
        Identifies the run among those of the cluster.
    model : bytes
        A model file with this suffix.
    suffix : str
    options : tuple
        The fields of a `Request` without its model.
    folder : str
        Folder or URL of the files with results.
    format : str
    columns : Columns or None
        None where the results are returned, not written.
    version : str
        Of the package.
    """

    key: str
    model: bytes
    suffix: str
    options: tuple[Any, ...]
    folder: str = ""
    format: str = ""
    columns: Columns | None = None
    version: str = __version__


class Failure(NamedTuple):
    """Why a worker could not read or write a part; another one may."""

    worker: str
    message: str


class Summary(NamedTuple):
    """What is in a file of results."""

    n_images: int
    n_objects: int
    n_empty: int
    n_unlikely: int
    faults: tuple[str, ...]


class PredictionPlugin(WorkerPlugin):  # type: ignore[misc]
    """Holds a run on a worker."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.name = run.key

    def setup(self, worker: Worker) -> None:
        """Prepare what cannot be sent."""
        self.lock = Lock()
        self.request: Request | None = None

    def ready(self) -> Request:
        """Return the request with the model, which the first caller loads."""
        with self.lock:
            if self.request is None:
                if self.run.version != __version__:
                    raise InputError(f"has ert {__version__}, expected {self.run.version} as the client has")
                model = _load(self.run.model, self.run.suffix)
                request = Request(model, *self.run.options)
                _use_one_thread()
                model.warm_up(rotated=request.box_from == "learned")
                self.request = request
            return self.request


class UninterruptedPlugin(WorkerPlugin):  # type: ignore[misc]
    """Leaves Ctrl-C, which a terminal sends to all processes of a command, to the client."""

    name = "ert-uninterrupted"

    def setup(self, worker: Worker) -> None:
        """Change what the worker's process does."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _load(contents: bytes, suffix: str) -> ShapePredictor:
    with TemporaryDirectory(prefix="ert-") as folder:
        file = Path(folder, "model" + suffix)
        file.write_bytes(contents)
        return load(file)


def _use_one_thread() -> None:
    """Keep the libraries in this process from starting threads: the tasks of a worker are its threads."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)
    try:
        import cv2
    except ImportError:
        return
    cv2.setNumThreads(1)


def predict_part(key: str, items: list[Item], name: str | None) -> list[Photo] | Summary | Failure:
    """Predict images; return what was found, or write it to a file of this name and return its summary."""
    worker = get_worker()
    plugin = worker.plugins[key]
    try:
        request = plugin.ready()
        with TemporaryDirectory(prefix="ert-", dir=worker.local_directory) as folder:
            photos = list(_predict(request, items, Path(folder)))
        _check_folders(photos)
        return photos if name is None else _write(plugin.run, photos, name)
    except (InputError, OSError) as error:
        return _failure(worker, error)


def write_part(key: str, photos: list[Photo], name: str) -> Summary | Failure:
    """Write what was found in images to a file."""
    worker = get_worker()
    try:
        return _write(worker.plugins[key].run, photos, name)
    except (InputError, OSError) as error:
        return _failure(worker, error)


def _failure(worker: Worker, error: Exception) -> Failure:
    text = str(error)
    if isinstance(error, OSError):
        text = f"{error.filename or worker.local_directory}: {error.strerror or error}"
    return Failure(worker.address, f"worker {worker.address}: {one_line(text)}")


def _predict(request: Request, items: list[Item], folder: Path) -> Iterator[Photo]:
    for item, local in with_files(items, folder):
        if isinstance(local, str):
            yield Photo(item, fault=local)
            continue
        photo = predict_photo(request, local)
        if photo.fault is not None:
            file = os.fspath(local.file)
            photo = photo._replace(fault=photo.fault.replace(file, item_name(item)))
        objects = tuple(replace(found, image=item.file) for found in photo.objects)
        yield photo._replace(item=item, objects=objects)


def _check_folders(photos: list[Photo]) -> None:
    """Raise where no image of several could be used, and there is not even its folder: the next machine may have it."""
    folder = os.path.dirname(item_name(photos[0].item))
    missing = len(photos) > 1 and all(photo.fault is not None for photo in photos)
    if missing and not is_url(folder) and not os.path.isdir(folder):
        raise InputError(f"{folder}: there is no such folder on this machine, expected the same paths on all machines")


def _write(run: Run, photos: list[Photo], name: str) -> Summary:
    columns = run.columns
    assert columns is not None
    found = [photo for photo in photos if photo.fault is None]
    faults = tuple(photo.fault for photo in photos if photo.fault is not None)
    # Rounded as in the results of a run without workers.
    found = [
        read_photo(photo_entry(photo, item_name(photo.item)), columns.names)._replace(item=photo.item)
        for photo in found
    ]
    if faults:
        publish(run.folder, errors_name(name), lambda file: _write_lines(file, faults))
    else:
        # Of a worker that could not write the part after it, before the images were mended.
        remove(run.folder, errors_name(name))
    publish(run.folder, name, lambda file: write_photos(file, run.format, lambda: iter(found), columns))
    objects = [each for photo in found for each in photo.objects]
    n_unlikely = sum(each.confidence is not None and each.confidence < LIKELY_CONFIDENCE for each in objects)
    return Summary(len(found), len(objects), sum(not photo.objects for photo in found), n_unlikely, faults)


def errors_name(name: str) -> str:
    """Return the name of the file with the errors of a part."""
    return f"_{name.rpartition('.')[0]}.errors.txt"


def _write_lines(file: Path, lines: tuple[str, ...]) -> None:
    with write_text(file, "text") as stream:
        stream.writelines(f"{line}\n" for line in lines)


def part_name(number: int, digest: str, format: str) -> str:
    """Return the name of the file with the results of a part."""
    return f"part-{number:06}-{digest}{OUTPUT_FORMATS[format].suffix}"
