"""The state of an annotation: photos, their objects, what is done; every change is on disk before it is answered."""

import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from ert._core.exceptions import InputError
from ert._core.types import Floats
from ert.annotation.journal import Journal
from ert.annotation.photos import Photos
from ert.annotation.scheme import Links, check_landmark_names
from ert.datasets.assembly import squares_around
from ert.datasets.dataset import Dataset

Status: TypeAlias = Literal["todo", "started", "done", "skipped"]
STATUSES: tuple[Status, ...] = ("todo", "started", "done", "skipped")


@dataclass(frozen=True, eq=False)
class Marked:
    """One object of a photo.

    Attributes
    ----------
    landmarks : float64 array (n_landmarks, 2)
        In pixels of the upright image, as in :class:`ert.Dataset`; NaN is missing, or not marked yet.
    hidden : frozenset of int
        Landmarks that were marked although they cannot be seen.
    missing : frozenset of int
        Landmarks that a person said are missing: they are NaN, as are those that are not marked yet.
    box : float64 array (4,) or None
        Left, top, width, height; None is the square around the landmarks.
    id : str
        The user's number or name of the object; "" is none.
    """

    landmarks: Floats
    hidden: frozenset[int] = frozenset()
    box: Floats | None = None
    id: str = ""
    missing: frozenset[int] = frozenset()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Marked) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash((self.landmarks.tobytes(), self.hidden, self.id))

    def to_json(self) -> dict[str, Any]:
        """Return the object as the page and the journal have it."""
        points = [None if x != x else [x, y] for x, y in self.landmarks.tolist()]
        box = None if self.box is None else self.box.tolist()
        hidden, missing = sorted(self.hidden), sorted(self.missing)
        return {"landmarks": points, "hidden": hidden, "missing": missing, "box": box, "id": self.id}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Marked":
        """Return the object of a journal, whose form is known to be right."""
        points = [(np.nan, np.nan) if point is None else point for point in data["landmarks"]]
        box = None if data["box"] is None else np.array(data["box"], float)
        landmarks = np.array(points, float).reshape(-1, 2)
        # Journals of earlier versions do not tell missing landmarks from others.
        return cls(landmarks, frozenset(data["hidden"]), box, data["id"], frozenset(data.get("missing", ())))


@dataclass(frozen=True)
class PhotoState:
    """What is known of a photo: it is replaced by another one, with the next revision, by each change."""

    status: Status = "todo"
    objects: tuple[Marked, ...] = ()
    scale: float | None = None
    revision: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the state as the page and the journal have it."""
        return {
            "revision": self.revision,
            "status": self.status,
            "objects": [marked.to_json() for marked in self.objects],
            "scale": self.scale,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "PhotoState":
        """Return the state of a journal, whose form is known to be right."""
        objects = tuple(map(Marked.from_json, data["objects"]))
        return cls(data["status"], objects, data["scale"], data["revision"])


class Conflict(Exception):  # noqa: N818
    """A photo was changed by somebody else meanwhile; `current` is its state."""

    def __init__(self, current: PhotoState) -> None:
        super().__init__("this photo was changed elsewhere, for instance in another tab")
        self.current = current


class Project:
    """Photos and their objects; all methods may be called from several threads.

    Parameters
    ----------
    files : list of pathlib.Path
    landmark_names : sequence of str
    links : list of (int, int)
        Landmarks between which the page draws lines.
    journal : Journal
    names : sequence of str
        The names of the photos in files, see `image_names`.
    states : dict, optional
        What is known already, by the number of the photo.
    title, unit : str
        The unit is that of scales.
    """

    def __init__(
        self,
        files: list[Path],
        landmark_names: Sequence[str],
        links: Links,
        journal: Journal,
        *,
        names: Sequence[str],
        states: dict[int, PhotoState] | None = None,
        title: str = "",
        unit: str = "mm",
    ) -> None:
        self.files = files
        self.names = list(names)
        self.links = links
        self.title, self.unit = title, unit
        self.photos = Photos(files)
        self._landmark_names = tuple(landmark_names)
        self._journal = journal
        self._states = [PhotoState()] * len(files)
        for i, state in (states or {}).items():
            self._states[i] = state
        self._lock = threading.Lock()
        self._listeners: list[Callable[[int], object]] = []
        self._name_listeners: list[Callable[[], object]] = []
        # Photo -> number of its last change.
        self._changed: dict[int, int] = {}
        self._n_changes = 0

    @property
    def landmark_names(self) -> tuple[str, ...]:
        """The names of the landmarks, in the order of the arrays."""
        return self._landmark_names

    def __len__(self) -> int:
        return len(self.files)

    def size(self, i: int) -> tuple[int, int]:
        """Return width and height of a photo in pixels; InputError when it cannot be read."""
        return self.photos.size(i)

    def photo(self, i: int) -> PhotoState:
        """Return the state of a photo."""
        return self._states[i]

    def states(self) -> list[PhotoState]:
        """Return the states of all photos at one moment."""
        with self._lock:
            return list(self._states)

    def change(self, i: int, revision: int, state: PhotoState) -> PhotoState:
        """Replace the state of a photo, and return it with its new revision, when it is on disk.

        Objects without landmarks are dropped, unless the photo is not done and some are said to be missing.

        Raises
        ------
        Conflict
            When `revision` is not that of the current state, which differs.
        InputError
            When the journal cannot be written; then nothing has changed.
        """
        objects = tuple(
            marked
            for marked in state.objects
            if not np.isnan(marked.landmarks).all() or (marked.missing and state.status != "done")
        )
        with self._lock:
            current = self._states[i]
            # A page whose answer was lost sends its change again.
            is_repeated = replace(state, objects=objects, revision=current.revision) == current
            changed = current
            if current.revision != revision and not is_repeated:
                raise Conflict(current)
            if current.revision == revision:
                changed = replace(state, objects=objects, revision=revision + 1)
                self._journal.append({"kind": "photo", "image": self.names[i], **changed.to_json()})
                self._note(i, changed)
        # Outside of the lock: others may write to the journal meanwhile, which is then on disk as well.
        try:
            self._journal.sync()
        except InputError:
            with self._lock:
                if self._states[i] is changed:
                    self._note(i, current)
            raise
        self._tell(i)
        return changed

    def add(self, files: Sequence[Path], names: Sequence[str]) -> None:
        """Add photos behind the others, whose numbers stay."""
        with self._lock:
            self._journal.append({"kind": "photos", "images": list(names)})
            self.files += files
            self.names += names
            self._states += [PhotoState()] * len(files)
            self._n_changes += 1

    def replace_all(self, states: dict[int, PhotoState]) -> dict[int, PhotoState]:
        """Replace the states of photos by what another program wrote to the file, and return them as they are now."""
        replaced = {}
        with self._lock:
            for i, state in states.items():
                replaced[i] = changed = replace(state, revision=self._states[i].revision + 1)
                self._journal.append({"kind": "photo", "image": self.names[i], **changed.to_json()})
                self._note(i, changed)
        self._journal.sync()
        for i in states:
            self._tell(i)
        return replaced

    def _note(self, i: int, state: PhotoState) -> None:
        self._states[i] = state
        self._n_changes += 1
        self._changed[i] = self._n_changes

    def _tell(self, i: int) -> None:
        for callback in list(self._listeners):
            try:
                callback(i)
            except Exception:
                # The photo is saved, and the page is to know that.
                logging.getLogger("ert").exception("after a change of %s", self.names[i])

    def rename(self, names: Sequence[str]) -> None:
        """Give the landmarks other names; InputError for a wrong number of names, or names that no file can hold."""
        if len(names) != len(self._landmark_names):
            raise InputError(f"landmarks: {len(names)} names, expected {len(self._landmark_names)}")
        check_landmark_names(names, "landmarks")
        with self._lock:
            self._journal.append({"kind": "names", "landmarks": list(names)})
            self._landmark_names = tuple(names)
            self._n_changes += 1
        self._journal.sync()
        for callback in list(self._name_listeners):
            callback()

    def changes(self, since: int) -> tuple[int, list[int]]:
        """Return the number of changes so far, and the photos that were changed after the change `since`."""
        with self._lock:
            # A page of an earlier server has counted further.
            since = since if since <= self._n_changes else 0
            return self._n_changes, [i for i, number in self._changed.items() if number > since]

    def done(self) -> Dataset:
        """Return the objects of the photos that are done, in the order of the photos."""
        return self.dataset_of(dict(enumerate(self.states())))

    def dataset_of(self, states: Mapping[int, PhotoState]) -> Dataset:
        """Return the objects of those photos that are done; the states are by the number of the photo."""
        pairs = [
            (i, state, marked) for i, state in states.items() if state.status == "done" for marked in state.objects
        ]
        n, names = len(pairs), self._landmark_names
        landmarks = np.empty((n, len(names), 2))
        boxes = np.full((n, 4), np.nan)
        scales = np.full(n, np.nan)
        for k, (_, state, marked) in enumerate(pairs):
            landmarks[k] = marked.landmarks
            if marked.box is not None:
                boxes[k] = marked.box
            if state.scale is not None:
                scales[k] = state.scale
        derived = np.isnan(boxes[:, 0])
        boxes[derived] = squares_around(landmarks[derived])
        for k in np.flatnonzero(~(boxes[:, 2] > 0)).tolist():
            # A single point has no extent.
            width, height = self._size_or_one(pairs[k][0])
            boxes[k] = 0, 0, width, height
        ids = tuple(marked.id for _, _, marked in pairs)
        return Dataset(
            [self.files[i] for i, _, _ in pairs],
            boxes,
            landmarks,
            names,
            self.title,
            ids=ids if any(ids) else None,
            scales=None if np.isnan(scales).all() else scales,
            box_source="given" if n and not derived.any() else "landmarks",
        )

    def _size_or_one(self, i: int) -> tuple[int, int]:
        try:
            return self.size(i)
        except InputError:
            return 1, 1

    def todo(self) -> list[int]:
        """Return the photos that nobody has begun, in their order."""
        return [i for i, state in enumerate(self.states()) if state.status == "todo"]

    def counts(self) -> dict[str, int]:
        """Return the number of photos of each status."""
        counts = dict.fromkeys(map(str, STATUSES), 0)
        for state in self.states():
            counts[state.status] += 1
        return counts

    def listen(self, callback: Callable[[int], object]) -> None:
        """Call a function with the number of a photo after each change of it, in the thread that made the change."""
        self._listeners.append(callback)

    def listen_names(self, callback: Callable[[], object]) -> None:
        """Call a function after landmarks were renamed."""
        self._name_listeners.append(callback)

    def log(self, entry: dict[str, Any]) -> None:
        """Append an entry with a ``kind`` of its own to the journal, such as a proposal that somebody corrected."""
        self._journal.append(entry)

    def entries(self, kind: str) -> list[dict[str, Any]]:
        """Return the entries of the journal of a kind, the first one first."""
        return self._journal.entries(kind)


def image_names(files: Sequence[Path], folder: Path) -> list[str]:
    """Return the names of images relative to a folder, as files of annotations have them."""
    base, parents = os.path.realpath(folder), dict[Path, str]()
    names = []
    for file in files:
        parent = parents.get(file.parent)
        if parent is None:
            parent = os.path.realpath(file.parent)
            with suppress(ValueError):  # another drive
                parent = os.path.relpath(parent, base)
            parents[file.parent] = parent
        names.append(Path(parent, file.name).as_posix())
    return names


def states_of(
    dataset: Dataset,
    files: Sequence[Path],
    landmark_names: Sequence[str],
    format: str,
    earlier_names: Sequence[Sequence[str]] = (),
) -> dict[int, PhotoState]:
    """Return the states of photos whose objects are in a dataset; InputError for landmarks of other names."""
    # A file may not have been written since landmarks were renamed.
    known = [landmark_names, *reversed(earlier_names)]
    names = next((each for each in known if set(dataset.landmark_names) <= set(each)), landmark_names)
    landmarks = _in_order(dataset, names)
    index = {os.path.abspath(file): i for i, file in enumerate(files)}
    squares = squares_around(dataset.landmarks)
    tolerance = 1.5 if format == "imglab" else 1e-4
    around = np.abs(dataset.boxes - squares).max(axis=1, initial=0) <= tolerance
    derived = around | (dataset.box_source == "landmarks")
    states: dict[int, PhotoState] = {}
    for k, file in enumerate(dataset.files):
        i = index.get(os.path.abspath(file))
        if i is None:
            raise InputError(f"{file}: is not among the photos that are open")
        box = None if derived[k] else dataset.boxes[k]
        scale = None if dataset.scales is None or np.isnan(dataset.scales[k]) else float(dataset.scales[k])
        marked = Marked(landmarks[k], box=box, id="" if dataset.ids is None else dataset.ids[k])
        before = states.get(i, PhotoState("done", scale=scale))
        states[i] = replace(before, objects=(*before.objects, marked), scale=before.scale or scale)
    return states


def _in_order(dataset: Dataset, names: Sequence[str]) -> Any:
    """Return the landmarks in the order of `names`: by name where they have the same, else as they are."""
    found = dataset.landmark_names
    if set(found) <= set(names):
        landmarks = np.full((len(dataset), len(names), 2), np.nan)
        landmarks[:, [list(names).index(name) for name in found]] = dataset.landmarks
        return landmarks
    numbers = [str(k) for k in range(len(found))]
    if list(found) == numbers and len(found) == len(names):
        return dataset.landmarks
    other = next(name for name in found if name not in names)
    raise InputError(f"{dataset.name}: landmark {other!r} is none of those that are open: {', '.join(names[:8])}")
