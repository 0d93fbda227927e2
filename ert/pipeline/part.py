"""The results of a run that is not finished: a line of JSON for each image, beside the output.

A run that is interrupted, even killed, goes on from it; every format is written from it at the end, so that memory
does not grow with the number of images.

    {"ert_predict": 1, "digest": "...", "add": false, "columns": {...}}    what was asked for
    {"image": "/a/b.jpg", "specimen": "b", "size": [640, 480], "scale": null, "objects": [{"box": [...], ...}]}
"""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple, Self

import numpy as np

from ert._core.exceptions import InputError
from ert._core.files import check_writable
from ert.pipeline.inputs import Item
from ert.pipeline.predict import Photo, Prediction, Request

VERSION = 1
# Pixels, degrees and probabilities are kept to this many decimals.
DECIMALS, CONFIDENCE_DECIMALS = 3, 4
# Boxes are where landmarks come from: with fewer decimals they can give others.
BOX_DECIMALS = 6


fcntl: Any
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


class Columns(NamedTuple):
    """What tables contain: landmark names, and which of the optional columns there are."""

    names: tuple[str, ...]
    roll: bool = False
    confidence: bool = False
    std: bool = False
    scale: bool = False


def table_columns(request: Request, scale: bool) -> Columns:
    """Return what tables of a request contain; `scale` is whether the length of a pixel is known."""
    has_model, learned = request.model.confidence_model_ is not None, request.box_from == "learned"
    return Columns(request.model.landmark_names_, learned, has_model or learned, has_model, scale)


def part_path(out: str | os.PathLike[str]) -> Path:
    """Return the file beside an output that keeps the results of a run that is not finished."""
    return Path(f"{os.fspath(out).rstrip(os.sep)}.part")


def adds_to_output(path: Path, is_finished: bool) -> bool:
    """Return whether the results in a file are to be added to the output.

    Without a first line that says so, as of a run that was killed before it was written, they are if there is one.
    """
    with suppress(OSError), path.open("rb") as file:
        header = _read_line(file.readline())
        if header is not None and "add" in header:
            return bool(header["add"])
    return is_finished


class PartFile:
    """Results that are appended to a file, image by image, and read again; a file without any is removed at the end.

    Parameters
    ----------
    path : pathlib.Path
    digest : str
        Identifies the model and the options: only results with the same are gone on with.
    columns : Columns
    add : bool
        Whether the results are to be added to an output that was finished before.
    resume : bool
        Go on with an existing file.

    Raises
    ------
    InputError
        When there is a file of another run, or one and `resume` is false.
    """

    def __init__(self, path: Path, digest: str, columns: Columns, *, resume: bool = False, add: bool = False) -> None:
        self.path, self.columns = path, columns
        self.done: set[str] = set()
        check_writable(path, "part")
        header = {"ert_predict": VERSION, "digest": digest, "add": add, "columns": columns._asdict()}
        # The same types as read from a file.
        header = json.loads(json.dumps(header))
        if not resume and path.exists() and path.stat().st_size:
            raise InputError(f"{path}: results of an interrupted run; --resume goes on with them, or remove the file")
        try:
            self._file: IO[bytes] = path.open("ab")
        except OSError as error:
            raise InputError(f"{path}: cannot be written: {error.strerror}") from None
        try:
            self._lock()
            self._go_on(header)
        except BaseException:
            self._close()
            raise

    def _lock(self) -> None:
        if fcntl is not None:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError(f"{self.path}: another run is writing its results to it") from None
            except OSError:  # file systems without locks
                pass

    def _go_on(self, header: dict[str, Any]) -> None:
        """Note which images are done, and cut off a line that was not written to its end."""
        end = 0
        with self.path.open("rb") as file:
            for line in file:
                entry = _read_line(line)
                if entry is None:
                    break
                if end == 0 and entry != header:
                    raise InputError(
                        f"{self.path}: results of another model, of other options or of another version; expected "
                        "the same as in the run that was interrupted, or another --out, or remove the file"
                    )
                if end and not isinstance(entry.get("image"), str):
                    break
                if end:
                    self.done.add(entry["image"])
                end += len(line)
        self._file.truncate(end)
        if not end:
            self._write(header)

    def add(self, photo: Photo) -> None:
        """Append what was found in an image; a process that is killed afterwards has not lost it."""
        key = os.path.abspath(photo.item.file)
        self._write(photo_entry(photo, key))
        self.done.add(key)

    def _write(self, entry: dict[str, Any]) -> None:
        try:
            self._file.write(json.dumps(entry, separators=(",", ":")).encode() + b"\n")
            self._file.flush()
        except OSError as error:
            raise InputError(f"{self.path}: cannot be written: {error.strerror}") from error

    def _close(self) -> None:
        # Python tries again to write what a full disk did not take, whose error is already told.
        with suppress(OSError):
            self._file.close()

    def photos(self) -> Iterator[Photo]:
        """Yield what was found in the images, in the order in which they were added."""
        with self.path.open("rb") as file:
            next(file)
            for number, line in enumerate(file, 2):
                try:
                    photo = read_photo(json.loads(line), self.columns.names)
                except (AttributeError, LookupError, TypeError, ValueError, RecursionError):
                    raise InputError(f"{self.path}:{number}: damaged results; remove the file") from None
                yield photo

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()
        if not self.done:
            self.path.unlink(missing_ok=True)

    def discard(self) -> None:
        """Note that the results are no longer needed: the file is removed at the end."""
        self.done.clear()


def _read_line(line: bytes) -> Any:
    """Return the object that a line holds, or None if it was not written to its end."""
    with suppress(ValueError, RecursionError):
        entry = json.loads(line)
        return entry if line.endswith(b"\n") and isinstance(entry, dict) else None
    return None


def photo_entry(photo: Photo, image: str) -> dict[str, Any]:
    """Return what was found in an image as JSON."""
    return {
        "image": image,
        "specimen": photo.item.specimen,
        "size": photo.size,
        "scale": photo.item.scale,
        "objects": [_object_entry(found) for found in photo.objects],
    }


def _object_entry(found: Prediction) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "specimen": found.specimen,
        "box": found.box.round(BOX_DECIMALS).tolist(),
        "roll": round(found.roll, BOX_DECIMALS),
        "landmarks": found.landmarks.round(DECIMALS).tolist(),
    }
    if found.confidence is not None:
        entry["confidence"] = round(found.confidence, CONFIDENCE_DECIMALS)
    if found.std is not None:
        entry["std"] = found.std.round(DECIMALS).tolist()
    return entry


def read_photo(entry: dict[str, Any], names: tuple[str, ...]) -> Photo:
    """Return what `photo_entry` has written."""
    item = Item(Path(entry["image"]), entry["specimen"], scale=entry["scale"])
    size = int(entry["size"][0]), int(entry["size"][1])
    objects = [
        Prediction(
            item.image,
            found["specimen"],
            np.array(found["box"], np.float64).reshape(4),
            np.array(found["landmarks"], np.float64).reshape(len(names), 2),
            names,
            found["roll"],
            found.get("confidence"),
            np.array(found["std"], np.float64).reshape(len(names)) if "std" in found else None,
            number,
            item.scale,
            size,
        )
        for number, found in enumerate(entry["objects"], 1)
    ]
    return Photo(item, size, tuple(objects))
