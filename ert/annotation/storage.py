"""The dataset file: written in its own format after changes, and never over what another program wrote."""

import contextvars
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from hashlib import blake2b
from itertools import count
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ert._core.exceptions import InputError, one_line
from ert._core.files import check_writable, write_atomically
from ert.annotation.journal import Journal
from ert.annotation.project import PhotoState, Project
from ert.datasets.dataset import Dataset
from ert.datasets.finder import walk
from ert.datasets.formats.coco import write_coco
from ert.datasets.formats.registry import FORMATS
from ert.datasets.formats.tps import write_tps
from ert.datasets.parsing import DECIMALS

# Between the begin of a write and that of the next one.
WRITE_SECONDS = 0.5
# Between two looks whether another program has changed the file.
LOOK_SECONDS = 1.0
# After a write that failed.
RETRY_SECONDS = 5.0


class _Known(NamedTuple):
    """A file as it was last read or written."""

    status: tuple[int, int, int]
    digest: str


class Target:
    """The file of annotations, or the folder of files, one for each photo.

    Parameters
    ----------
    path : pathlib.Path
    format : str
        A key of `FORMATS`.
    """

    def __init__(self, path: Path, format: str) -> None:
        self.path, self.format = path, format
        self.kind = FORMATS[format]
        # Name relative to the folder -> what is known of the file.
        self.known: dict[str, _Known] = {}
        # Of a folder that was read: image name -> name of the file.
        self.given: dict[str, str] = {}
        # Whether what is there was made by others, so that it is copied before it is replaced.
        self.is_foreign = False

    @property
    def folder(self) -> Path:
        """The folder to which the names of images are relative."""
        return self.path if self.kind.folder else self.path.parent

    @property
    def journal(self) -> Path:
        """Where the journal lies."""
        return self.path.with_name(self.path.name + ".annotate.jsonl")

    def files(self) -> dict[str, Path]:
        """Return the files that exist, by their names."""
        if not self.kind.folder:
            return {self.path.name: self.path} if self.path.is_file() else {}
        found = {}
        for parent, names in walk(self.path) if self.path.is_dir() else ():
            for name in names:
                if name.lower().endswith(self.kind.suffix) and not name.startswith("."):
                    file = Path(parent, name)
                    found[file.relative_to(self.path).as_posix()] = file
        return found

    def look(self) -> dict[str, _Known]:
        """Return what the files are now; of those whose status is known, the contents are not read again."""
        found = {}
        for name, file in self.files().items():
            with suppress(FileNotFoundError):
                status, known = _status(file), self.known.get(name)
                found[name] = known if known and known.status == status else _Known(status, _digest(file.read_bytes()))
        return found

    def changed_outside(self) -> list[str]:
        """Return the names of files that another program has changed, made or removed since."""
        now = self.look()
        changed = [
            name
            for name in {**self.known, **now}
            if name not in now or name not in self.known or now[name].digest != self.known[name].digest
        ]
        if not changed:
            self.known = now
        return changed

    def keep_original(self) -> Path | None:
        """Copy what is there to NAME.orig, unless there is one; return the copy."""
        original = self.path.with_name(self.path.name + ".orig")
        if original.exists() or not self.files():
            return None
        self.copy_to(original)
        return original

    def copy_to(self, path: Path) -> None:
        """Copy the files of annotations to another file or folder, which exists completely or not at all."""
        try:
            if not self.kind.folder:
                with write_atomically(path) as temporary:
                    shutil.copy2(self.path, temporary)
                return
            begun = path.with_name(path.name + ".new")
            # Of a copy that was not finished.
            shutil.rmtree(begun, ignore_errors=True)
            for name, file in self.files().items():
                (begun / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(file, begun / name)
            begun.rename(path)
        except OSError as error:
            raise InputError(f"{path}: cannot be written: {error.strerror or error}") from None

    def free_name(self, word: str) -> Path:
        """Return a name for another version beside the file: NAME.WORD-1.SUFFIX, or the next number."""
        stem, suffix = (self.path.name, "") if self.kind.folder else (self.path.stem, self.path.suffix)
        number = 1
        while (path := self.path.with_name(f"{stem}.{word}-{number}{suffix}")).exists():
            number += 1
        return path

    def check(self, *, force: bool = False) -> None:
        """Raise InputError, before any work, when it cannot be written."""
        if self.kind.folder:
            if self.path.exists() and not self.path.is_dir():
                raise InputError(f"{self.path}: is a file, expected a folder for {self.format} files")
            probe = self.path / f"x{self.kind.suffix}" if self.path.is_dir() else self.path
        else:
            probe = self.path
        # Of this command the file that is read may be written: outside of the guard of the command line.
        contextvars.Context().run(check_writable, probe, None if force or self.kind.folder else self.format)

    # --- writing ---

    def write(
        self, project: Project, states: Sequence[PhotoState], changed: Iterable[int], announce: Callable[..., None]
    ) -> None:
        """Write the objects that are done; `announce` is called with the digests of files before they are written."""
        if self.is_foreign:
            self.keep_original()
            self.is_foreign = False
        if self.kind.folder:
            self._write_folder(project, states, changed, announce)
            return
        dataset = self.dataset_of(project, dict(enumerate(states)))
        data = text_of(self.format, project, dataset).encode()
        digest, known = _digest(data), self.known.get(self.path.name)
        if known is None or known.digest != digest:
            if self.changed_outside():
                # While the text was made. The next look finds it again.
                raise InputError(f"{self.path}: another program has changed it")
            announce({self.path.name: digest}, len(dataset))
            self.known[self.path.name] = self._replace(self.path, data)

    def _write_folder(
        self, project: Project, states: Sequence[PhotoState], changed: Iterable[int], announce: Callable[..., None]
    ) -> None:
        owners, texts = self.owners(project), dict[str, bytes | None]()
        for i in sorted(changed):
            if (name := owners.get(i)) is None:
                continue
            dataset = self.dataset_of(project, {i: states[i]})
            if len(dataset) == 1:
                text = "".join(self.kind.write(dataset, [project.files[i].name])).encode()
                if name not in self.known or self.known[name].digest != _digest(text):
                    texts[name] = text
            elif name in self.known:
                texts[name] = None
        announce({name: _digest(data) for name, data in texts.items() if data is not None})
        for name, data in texts.items():
            path = self.path / name
            if data is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                self.known[name] = self._replace(path, data)
            else:
                # Its photo is not done any more, or has several objects: they are in the journal.
                with suppress(FileNotFoundError):
                    path.unlink()
                self.known.pop(name, None)

    def dataset_of(self, project: Project, states: Mapping[int, PhotoState]) -> Dataset:
        """Return the objects that are done, without those that nobody could read from a file of this format."""
        dataset = project.dataset_of(states)
        if self.kind.boxes or len(dataset.landmark_names) == 1:
            return dataset
        # Readers derive the box from the landmarks.
        extents = np.fmax.reduce(dataset.landmarks, axis=1) - np.fmin.reduce(dataset.landmarks, axis=1)
        return dataset.subset(extents.max(axis=1) > 10**-DECIMALS)

    def owners(self, project: Project) -> dict[int, str]:
        """Return the file of each photo; of photos with the same name the first one has it."""
        owners, taken = dict[int, str](), {name.lower() for name in self.given.values()}
        for i, image in enumerate(project.names):
            if image in self.given:
                owners[i] = self.given[image]
                continue
            place = Path(image)
            inside = not place.is_absolute() and ".." not in place.parts
            name = (place if inside else Path(place.name)).with_suffix(self.kind.suffix).as_posix()
            if name.lower() not in taken:
                taken.add(name.lower())
                owners[i] = name
        return owners

    def without_file(self, project: Project) -> list[str]:
        """Return the names of the photos that have no file of their own in a folder, since another one has it."""
        if not self.kind.folder:
            return []
        owners = self.owners(project)
        return [image for i, image in enumerate(project.names) if i not in owners]

    def _replace(self, path: Path, data: bytes) -> _Known:
        with write_atomically(path) as temporary:
            with open(temporary, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            return _Known(_status(temporary), _digest(data))


def text_of(format: str, project: Project, dataset: Dataset) -> str:
    """Return the text of a dataset file with objects of a project."""
    kind = FORMATS[format]
    if format == "tps":
        dataset = _with_all_ids(dataset)
    if kind.names and len(dataset):
        # A landmark that no object has yet. Where landmarks have numbers only, it keeps its place.
        dataset = dataset.with_landmarks(np.flatnonzero(~np.isnan(dataset.landmarks[:, :, 0]).all(axis=0)))
    index = {file: i for i, file in enumerate(project.files)}
    images = [project.names[index[file]] for file in dataset.files]
    if format in ("tps", "coco"):
        # The project knows them: thousands of images need not be opened for each write.
        sizes = {file: project.size(index[file]) for file in dict.fromkeys(dataset.files)}
        if format == "coco":
            return "".join(write_coco(dataset, images, sizes))
        return "".join(write_tps(dataset, images, {file: height for file, (_, height) in sizes.items()}))
    return "".join(kind.write(dataset, images))


def _with_all_ids(dataset: Dataset) -> Dataset:
    """Return a dataset in which all objects have an id if some have: TPS files have an ID= for each."""
    if dataset.ids is None or all(dataset.ids):
        return dataset
    taken = set(dataset.ids)
    free = (str(number) for number in count() if str(number) not in taken)
    return replace(dataset, ids=tuple(id or next(free) for id in dataset.ids))


def format_notes(target: Target) -> list[str]:
    """Return what the format does not keep, in one line for people; nothing where it keeps all."""
    kind = target.kind
    lost = [
        *(() if kind.boxes else ("boxes",)),
        *(() if kind.names else ("names of landmarks",)),
        *(() if kind.ids else ("ids and scales",)),
        *(("fractions of pixels",) if target.format == "imglab" else ()),
        *(("objects with a single landmark",) if not kind.boxes else ()),
        *(("photos with several objects",) if kind.folder else ()),
        "which landmarks are hidden",
    ]
    listed = ", ".join(lost[:-1]) + (" and " if len(lost) > 1 else "") + lost[-1]
    what = f"{kind.suffix} files do" if kind.folder else f"a {kind.suffix} file does"
    return [f"{target.path}: {what} not keep {listed}; {target.journal.name} does"]


def _status(path: Path) -> tuple[int, int, int]:
    status = os.stat(path)
    return status.st_mtime_ns, status.st_size, status.st_ino


def _digest(data: bytes) -> str:
    return blake2b(data, digest_size=16).hexdigest()


class Saver:
    """Writes the dataset file in a thread of its own, soon after changes of the project.

    Parameters
    ----------
    project : Project
    target : Target
    journal : Journal
    unsaved : iterable of int
        Photos that were changed before, but are not in the file yet.
    read : callable
        It returns the states of all photos that the file holds now; for "reload".
    """

    def __init__(
        self,
        project: Project,
        target: Target,
        journal: Journal,
        unsaved: Iterable[int],
        read: Callable[[], dict[int, PhotoState]],
    ) -> None:
        self._project, self.target, self._journal, self._read = project, target, journal, read
        self._unsaved = set(unsaved)
        self._outside: list[str] = []
        self._failure = ""
        self._is_closed = False
        self._wake = threading.Condition()
        # Held while the file is read or written.
        self._busy = threading.Lock()
        project.listen(self._note)
        project.listen_names(self._note_names)
        self._thread = threading.Thread(target=self._run, name="ert-saver", daemon=True)
        self._thread.start()

    def status(self) -> dict[str, str]:
        """Return the part "disk" of the answer to /api/status."""
        if self._outside:
            listed = ", ".join(self._outside[:3]) + (", ..." if len(self._outside) > 3 else "")
            return {"state": "changed outside", "text": f"{listed}: another program has changed or removed it"}
        if self._failure:
            return {"state": "failed", "text": self._failure}
        if self._unsaved:
            return {"state": "saving", "text": ""}
        return {"state": "saved", "text": str(self.target.path)}

    @property
    def is_saved(self) -> bool:
        """Whether the file holds everything."""
        return not (self._unsaved or self._outside or self._failure)

    def summary(self) -> str:
        """Return, after `close`, how the annotation ended."""
        if self.is_saved:
            return f"saved, {self._project.counts()['done']} of {len(self._project)} photos done"
        return f"{self.status()['text']}; everything is in {self._journal.path}"

    def resolve(self, action: str) -> dict[str, str]:
        """Take the other program's version ("reload") or ours ("keep mine"), and keep the other one as a copy.

        Returns
        -------
        dict
            "kept" is the name of the copy; "" if there was nothing to copy.

        Raises
        ------
        InputError
            When the other version cannot be read or no copy can be written; then nothing has changed.
        """
        with self._busy:
            if not self._outside:
                raise InputError("nothing was changed outside")
            if action == "reload":
                before, states = dict(enumerate(self._project.states())), self._read()
                kept = write_copy(self._project, self.target, self.target.free_name("mine"))
                self.target.known = self.target.look()
                self._announce({name: known.digest for name, known in self.target.known.items()})
                replaced, self._outside = self._project.replace_all(states), []
                now = self._project.states()
                with self._wake:
                    # All but what was changed here meanwhile is what the file holds.
                    self._unsaved = {
                        i for i in self._unsaved if now[i] is not before.get(i) and now[i] is not replaced.get(i)
                    }
            else:
                kept = None
                if self.target.files():
                    kept = self.target.free_name("theirs")
                    self.target.copy_to(kept)
                self.target.known = self.target.look()
                self._unsaved.update(range(len(self._project)))
                self._outside = []
        self._save()
        return {"kept": kept.name if kept else ""}

    def close(self) -> None:
        """Write what is not in the file yet, and end the thread."""
        with self._wake:
            self._is_closed = True
            self._wake.notify()
        self._thread.join()
        self._look()
        if self._unsaved and not self._outside:
            self._save()

    def _note(self, i: int) -> None:
        with self._wake:
            self._unsaved.add(i)
            self._wake.notify()

    def _note_names(self) -> None:
        with self._wake:
            self._unsaved.update(range(len(self._project)))
            self._wake.notify()

    def _run(self) -> None:
        next_look = next_write = 0.0
        while not self._is_closed:
            begin, writes = time.monotonic(), bool(self._unsaved) and not self._outside
            pause = (next_write if writes else next_look) - begin
            if pause > 0:
                with self._wake:
                    if not self._is_closed and (writes or not self._unsaved or self._outside):
                        self._wake.wait(pause)
                continue
            self._look()
            # A folder of thousands of files takes longer to look at.
            next_look = time.monotonic() + max(LOOK_SECONDS, 20 * (time.monotonic() - begin))
            if writes and not self._outside:
                self._save()
                pause = RETRY_SECONDS if self._failure else max(WRITE_SECONDS, 2 * (time.monotonic() - begin))
                next_write = begin + pause
                if self._failure:
                    # Perhaps because another program has changed the file meanwhile.
                    self._look()

    def _look(self) -> None:
        with self._busy:
            try:
                self._outside = self.target.changed_outside()
                self._failure = self._failure if self._unsaved else ""
            except Exception as error:
                self._failure = one_line(str(error) or type(error).__name__)

    def _save(self) -> None:
        with self._busy:
            with self._wake:
                changed = set(self._unsaved)
            try:
                states = self._project.states()
                self.target.write(self._project, states, changed, self._announce)
            except Exception as error:
                # Whatever it is, later changes are still to be written.
                self._failure = one_line(str(error) or type(error).__name__)
                return
            self._failure = ""
            with self._wake:
                # Those that were changed meanwhile are written next time.
                now = self._project.states()
                self._unsaved -= {i for i in changed if now[i] is states[i]}

    def _announce(self, digests: dict[str, str], n: int | None = None) -> None:
        """Note what will be in the files, so that after a kill it is known who wrote them."""
        if digests:
            self._journal.append({"kind": "written", "files": digests, "n": n})


def write_copy(project: Project, target: Target, path: Path, states: Sequence[PhotoState] | None = None) -> Path | None:
    """Write the objects that are done to another file or folder; return None if there are none."""
    states = project.states() if states is None else states
    if not any(state.status == "done" for state in states):
        return None
    copy = Target(path, target.format)
    copy.given = target.given
    copy.write(project, states, range(len(states)), lambda *written: None)
    return path
