"""`predict_on_cluster`: landmarks of any number of images, in a folder of files that workers write, part by part.

    _ert_predict.json                      what was asked for, and at the end what was found
    part-000000-8c1f2ab0e2d94a37.parquet   a part; the digest is of the model, the options and the names of its images
    _part-000000-8c1f2ab0e2d94a37.errors.txt   its images that could not be used, a line each

A part that is there is finished. The client keeps a part's number and digest for each, and nothing for each image.
"""

import json
import os
import re
import uuid
from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from ert._core.arguments import checked_arguments
from ert._core.exceptions import InputError, one_line
from ert._core.files import as_path, model_path, write_text
from ert._core.image_paths import Levels, image_path, image_url
from ert._core.types import StrPath
from ert._kernels import choice
from ert.datasets.parsing import check_name
from ert.faces.detection import Detector
from ert.inference.mode import PredictionMode
from ert.inference.validation import check_box
from ert.pipeline.cluster.stores import batches, is_url, item_name, list_images, names_in, publish, read_text
from ert.pipeline.inputs import Inputs, Item
from ert.pipeline.outputs import OUTPUT_FORMATS, choose_output
from ert.pipeline.part import table_columns
from ert.pipeline.predict import DEFAULT_MODE, Photo, Request, choose_request
from ert.pipeline.tables import wide_header
from ert.predictor import ShapePredictor, load

if TYPE_CHECKING:
    from ert.pipeline.cluster.client import Part
    from ert.pipeline.cluster.worker import Summary

# A part takes seconds to a minute; 100 million images have 100,000.
IMAGES_PER_PART = 1000
# Where results are returned and not written, they are used, and shown, sooner.
IMAGES_PER_TASK = 50
SETTINGS = "_ert_predict.json"
FORMATS = ("parquet", "tps")
_PART = re.compile(r"part-(\d{6,})-([0-9a-f]{16})\.\w+")


class ClusterResult(NamedTuple):
    """What a run has found.

    Attributes
    ----------
    n_images : int
        In the files that this run has written; so are the next three.
    n_objects : int
    n_empty : int
        Images in which nothing was found.
    n_unlikely : int
        Objects of low confidence.
    n_faults : int
        Images and inputs that could not be used, of the parts that were finished before, too.
    n_parts : int
        Files.
    n_parts_before : int
        Of these, those that were finished before.
    """

    n_images: int
    n_objects: int
    n_empty: int
    n_unlikely: int
    n_faults: int
    n_parts: int
    n_parts_before: int


def require_distributed() -> None:
    """Raise an InputError that names the extra where Dask is not installed."""
    try:
        import distributed  # noqa: F401
        import fsspec  # noqa: F401
    except ImportError:
        raise InputError("a cluster needs dask, which is not installed: pip install 'ert-landmarks[cluster]'") from None


@checked_arguments
def predict_on_cluster(
    model: ShapePredictor | StrPath,
    images: Any,
    out: StrPath,
    *,
    cluster: Any,
    format: str = "parquet",
    images_per_part: int = IMAGES_PER_PART,
    box: Any = None,
    box_from: str | None = None,
    mode: str | PredictionMode = DEFAULT_MODE,
    max_objects: int | None = None,
    min_confidence: float | None = None,
    detector: str | Detector = "auto",
    scale: float | None = None,
    recursive: bool = False,
    stored: bool = False,
    levels: Levels | None = None,
    resume: bool = False,
    on_error: Callable[[str], object] | None = None,
    on_progress: Callable[[int], object] | None = None,
    on_start: Callable[[Any], object] | None = None,
) -> ClusterResult:
    """Locate the landmarks in any number of images on the workers of a Dask cluster, which write them to files.

    Memory does not grow with the number of images, except that the names in one folder are sorted. An image that is
    named twice is predicted twice.

    Parameters
    ----------
    model : ShapePredictor, str or path-like
        A fitted predictor, or a name or file for :func:`ert.load`. Workers get it once.
    images : str, path-like or iterable of them
        Images, folders, patterns such as ``"photos/*.jpg"``, and ``"@list.txt"`` (a file with one of them in each
        line), as paths that are the same on all machines or as URLs that fsspec reads, such as ``"s3://bucket/photos"``.
    out : path-like
        The folder of the results, or the URL of one; workers write to it. Each part of the images is a file,
        ``part-000000-....parquet``, whose columns are those of `ert.pipeline.tables`; images that could not be used are
        listed in ``_part-000000-....errors.txt``.
    cluster : str or distributed.Client
        Address of a scheduler such as ``"tcp://10.0.0.1:8786"``, or ``"local:4"``: four processes of this machine.
    format : {"parquet", "tps"}
    images_per_part : int
        Images of a file.
    box : (4,), optional
        Left, top, width, height of the object in all images.
    box_from, mode, max_objects, min_confidence, detector
        As for :func:`ert.predict`.
    scale : float, optional
        Length of a pixel.
    recursive : bool
        Whether folders are searched with their subfolders.
    stored, levels
        How images are read, see ``exif`` and ``levels`` of :func:`ert.load_dataset`.
    resume : bool
        Go on with a run that was interrupted: parts that are finished are not predicted again.
    on_error : callable, optional
        Called with a line about each image or input that could not be used, of finished parts, too.
    on_progress : callable, optional
        Called with the number of images that are done since the last call.
    on_start : callable, optional
        Called with the client when it is connected.

    Returns
    -------
    ClusterResult

    Raises
    ------
    InputError
        When there are no images, the model lacks what is asked for, or the folder has results of another run or, with
        `resume`, of another model, other options or other images; when the scheduler, all workers or a store are gone
        or a part cannot be written. Finished parts are kept.
    """
    require_distributed()
    from ert.pipeline.cluster.client import connected, sent, written_parts
    from ert.pipeline.cluster.worker import Run

    given = [images] if isinstance(images, (str, os.PathLike)) else images
    predictor, contents, suffix = read_model(model)
    boxes = () if box is None else (check_box(box, "box"),)
    target = _Target(out, format, images_per_part)
    # Stands for all images: whether they have boxes is what is looked at.
    inputs = Inputs(items={"": Item(Path(), "", boxes)})
    request = choose_request(
        predictor,
        inputs,
        box_from=box_from,
        boxes_given=box is not None,
        mode=mode,
        max_objects=max_objects,
        min_confidence=min_confidence,
        detector=detector,
    )
    reading = {"boxes": boxes, "scale": scale, "stored": stored, "levels": levels}
    columns = table_columns(request, scale is not None)
    wide_header(columns)
    digest = run_digest(contents, request, reading, images_per_part)
    target.open(digest, resume)
    counts = _Counts(on_error or (lambda text: None))

    def items() -> Iterator[Item]:
        listed = list_images(map(os.fspath, given), recursive=recursive, on_fault=counts.fault)
        for name in listed:
            file = (
                image_url(name, stored, levels) if target.is_url or is_url(name) else image_path(name, stored, levels)
            )
            try:
                check_name(name, "a table")
                check_name(file.stem, "a table")
            except InputError as error:
                counts.fault(f"{name}: {error}")
                continue
            yield Item(file, file.stem, boxes, ("",) * len(boxes), scale)

    with connected(cluster, lambda: _warm_up(predictor, request)) as client:
        if on_start is not None:
            on_start(client)
        run = Run(new_key(), contents, suffix, request[1:], target.folder, format, columns)
        with sent(client, run):
            parts = target.parts(digest, items(), images_per_part, counts.fault)
            for part, found in written_parts(client, run.key, parts):
                counts.add(found)
                if on_progress is not None:
                    on_progress(len(part.items))
    if not target.n_parts:
        raise InputError("images: none found, expected at least one")
    target.finish(counts.result(target))
    return counts.result(target)


def _warm_up(model: ShapePredictor, request: Request) -> None:
    """Compile what is not in the cache yet: each process of this machine would, at the same time."""
    if not choice.ahead.is_ready() and choice.cache_folders.can_write():
        model.warm_up(rotated=request.box_from == "learned")


def read_model(model: ShapePredictor | StrPath) -> tuple[ShapePredictor, bytes, str]:
    """Return a model, the bytes of its file, and their suffix."""
    if not isinstance(model, ShapePredictor):
        path = model_path(model)
        return load(path), path.read_bytes(), path.suffix
    with TemporaryDirectory(prefix="ert-") as folder:
        path = Path(folder, "model.ert")
        model.save(path)
        return model, path.read_bytes(), path.suffix


def new_key() -> str:
    """Return a name for a run, of which a cluster may have several at a time, even of the same model."""
    return f"ert_predict-{uuid.uuid4().hex}"


def run_digest(model: bytes, request: Request, *more: object) -> str:
    """Return a digest of what results depend on besides the names of the images."""
    digest = blake2b(model, digest_size=16)
    detector = request.detector
    if not isinstance(detector, str):
        detector = getattr(detector, "__qualname__", type(detector).__name__)
    digest.update(repr((request._replace(detector=detector)[1:], *more)).encode())
    return digest.hexdigest()


class _Counts:
    """What was found so far."""

    def __init__(self, report: Callable[[str], object]) -> None:
        self.report = report
        self.numbers, self.n_faults = (0, 0, 0, 0), 0

    def fault(self, message: str) -> None:
        """Note an image or input that could not be used."""
        self.n_faults += 1
        self.report(message)

    def add(self, found: "Summary") -> None:
        """Add a part."""
        images, objects, empty, unlikely = self.numbers
        self.numbers = (
            images + found.n_images,
            objects + found.n_objects,
            empty + found.n_empty,
            unlikely + found.n_unlikely,
        )
        for message in found.faults:
            self.fault(message)

    def result(self, target: "_Target") -> ClusterResult:
        """Return all."""
        return ClusterResult(*self.numbers, self.n_faults, target.n_parts, target.n_before)


class _Target:
    """The folder of the results, and which parts are in it."""

    def __init__(self, out: StrPath, format: str, images_per_part: int) -> None:
        self.is_url = is_url(os.fspath(out))
        self.folder = os.fspath(out).rstrip("/") if self.is_url else os.path.abspath(as_path(out))
        if format not in FORMATS:
            raise InputError(f"format={format!r}: expected one of {', '.join(FORMATS)}")
        if images_per_part < 1:
            raise InputError(f"images_per_part={images_per_part}: expected at least 1")
        # Raises an InputError where a package is missing that writes the format.
        choose_output(f"part{OUTPUT_FORMATS[format].suffix}")
        self.format = format
        self.n_parts = self.n_before = 0
        self.digests: dict[int, str] = {}
        self.errors: set[str] = set()
        self.settings: dict[str, object] = {}

    def open(self, digest: str, resume: bool) -> None:
        """Look at what is there, and note what was asked for."""
        if not self.is_url:
            try:
                os.makedirs(self.folder, exist_ok=True)
            except OSError as error:
                raise InputError(f"{self.folder}: cannot create folder: {error.strerror}") from None
        self.settings = {"ert_predict": 1, "digest": digest, "format": self.format}
        has_settings = False
        for name in names_in(self.folder):
            has_settings |= name == SETTINGS
            if found := _PART.fullmatch(name):
                self.digests[int(found[1])] = found[2]
            elif name.startswith("_part-"):
                self.errors.add(name)
        if self.digests and not resume:
            raise InputError(f"{self.folder}: has results of a run; --resume goes on with it, or give another --out")
        if self.digests and has_settings:
            try:
                known = json.loads(read_text(self.folder, SETTINGS))
                same = {name: known[name] for name in self.settings} == self.settings
            except (OSError, ValueError, LookupError, TypeError):
                raise InputError(f"{self.folder}/{SETTINGS}: damaged; expected another --out") from None
            if not same:
                raise InputError(
                    f"{self.folder}: results of another model or of other options; expected the same as in the run "
                    "that was interrupted, or another --out"
                )
        self._write_settings()

    def parts(
        self, of_run: str, items: Iterable[Item], images_per_part: int, on_fault: Callable[[str], object]
    ) -> "Iterator[Part]":
        """Yield the parts that are not finished; the faults of the others are what their files of errors say.

        Raises
        ------
        InputError
            When a finished part has other images.
        """
        from ert.pipeline.cluster.client import Part
        from ert.pipeline.cluster.worker import errors_name, part_name

        for number, batch in enumerate(batches(items, images_per_part)):
            self.n_parts += 1
            names = "\n".join(map(item_name, batch))
            digest = blake2b(f"{of_run}\n{names}".encode(errors="surrogateescape"), digest_size=8).hexdigest()
            finished = self.digests.pop(number, None)
            name = part_name(number, digest, self.format)
            if finished is None:
                yield Part(number, batch, name)
            elif finished == digest:
                self.n_before += 1
                if (errors := errors_name(name)) in self.errors:
                    self._report(errors, on_fault)
            else:
                self._refuse(number, finished)
        for number, finished in sorted(self.digests.items()):
            self._refuse(number, finished)

    def _report(self, errors: str, on_fault: Callable[[str], object]) -> None:
        try:
            lines = read_text(self.folder, errors).split("\n")
        except (OSError, ValueError) as error:
            raise InputError(f"{self.folder}/{errors}: cannot be read: {one_line(str(error))}") from None
        for line in filter(None, lines):
            on_fault(line)

    def _refuse(self, number: int, digest: str) -> NoReturn:
        raise InputError(
            f"{self.folder}/part-{number:06}-{digest}: is of other images than there are now; expected the same images "
            "as in the run that was interrupted, or another --out"
        )

    def finish(self, result: ClusterResult) -> None:
        """Note that all parts are there."""
        self.settings |= {"finished": True, "parts": result.n_parts}
        self._write_settings()

    def _write_settings(self) -> None:
        text = json.dumps(self.settings, indent=1) + "\n"

        def write(file: Path) -> None:
            with write_text(file, "json") as stream:
                stream.write(text)

        publish(self.folder, SETTINGS, write)


def predict_photos_on_cluster(
    cluster: Any, model: StrPath, request: Request, items: Iterable[Item], on_start: Callable[[Any], object]
) -> Iterator[Photo]:
    """Yield what the workers of a cluster find in each image, in order, like `predict_photos`."""
    require_distributed()
    from ert.pipeline.cluster.client import Part, connected, found_photos, sent
    from ert.pipeline.cluster.worker import Run

    predictor, contents, suffix = read_model(model)
    run = Run(new_key(), contents, suffix, request[1:])
    with connected(cluster, lambda: _warm_up(predictor, request)) as client:
        on_start(client)
        with sent(client, run):
            parts = (Part(number, batch) for number, batch in enumerate(batches(items, IMAGES_PER_TASK)))
            yield from found_photos(client, run.key, parts)
