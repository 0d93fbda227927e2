"""Open an annotation: what the dataset file holds, and what the journal adds to it."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ert._core.exceptions import InputError, quoted
from ert._core.image_paths import image_path
from ert.annotation.journal import NO_LINE, Journal, read_journal
from ert.annotation.project import STATUSES, PhotoState, Project, image_names, states_of
from ert.annotation.scheme import Scheme, known_links
from ert.annotation.storage import Saver, Target, format_notes, write_copy
from ert.datasets.dataset import Dataset
from ert.datasets.finder import find_pairs
from ert.datasets.formats import read_annotations
from ert.datasets.parsing import DECIMALS, check_name
from ert.datasets.turns import turn_notes

JOURNAL_VERSION = 1
# Of an imglab file coordinates are read as integers.
_TOLERANCE_PIXELS = {"imglab": 0.51}


_READING: dict[str, Any] = {
    **dict.fromkeys(("boxes", "split", "image_folder", "category", "label")),
    "part_order": "natural",
    "skip_bad": False,
}


@dataclass
class Request:
    """What to annotate.

    Attributes
    ----------
    photos : list of pathlib.Path
        Photos to annotate, beside those of a dataset.
    given : Dataset or None
        Annotations to begin with, if they are not those of the target.
    target : Target
        Where annotations are written.
    reading : dict
        Arguments of `read_annotations` for the target.
    scheme : Scheme or None
        The landmarks, if neither a dataset nor the journal has any.
    unit : str or None
    title : str
    replaces : bool
        Whether a target that does not belong to an earlier session is replaced.
    """

    photos: list[Path]
    target: Target
    given: Dataset | None = None
    reading: dict[str, Any] = field(default_factory=dict)
    scheme: Scheme | None = None
    unit: str | None = None
    title: str = ""
    replaces: bool = False


@dataclass
class Opened:
    """An open annotation; `close` ends it."""

    project: Project
    saver: Saver
    journal: Journal
    notes: list[str]

    def close(self) -> None:
        """Write everything, and let others open it."""
        self.saver.close()
        self.journal.close()


@dataclass
class _Recorded:
    """What the journal knows."""

    header: dict[str, Any] = field(default_factory=dict)
    names: list[str] | None = None
    # What landmarks were called before they were renamed.
    earlier_names: list[list[str]] = field(default_factory=list)
    states: dict[str, PhotoState] = field(default_factory=dict)
    # All photos that were ever open, those without annotations too.
    photos: list[str] = field(default_factory=list)
    # File -> the digests of its last two versions that ert read or wrote.
    digests: dict[str, list[str]] = field(default_factory=dict)
    was_written: bool = False
    n_written: int | None = None


def open_project(request: Request) -> Opened:
    """Open an annotation, which no other server then can.

    Raises
    ------
    InputError
        When it is open elsewhere, a file cannot be read, or the landmarks are unknown or others than before.
    """
    journal = Journal(request.target.journal)
    try:
        journal.shorten()
        return _open(request, journal)
    except BaseException:
        journal.close()
        raise


def recorded_reading(target: Target) -> dict[str, Any]:
    """Return the options of reading that an earlier session has noted in the journal."""
    first = next(read_journal(target.journal), None)
    options = first.get("reading") if first is not None and first["kind"] == "project" else None
    return options if isinstance(options, dict) else {}


def _open(request: Request, journal: Journal) -> Opened:
    target, recorded = request.target, _read_recorded(journal)
    notes: list[str] = []
    target.known = target.look()
    if target.kind.folder and request.photos:
        # They may be in another folder than their annotations.
        parents = {os.path.dirname(os.path.abspath(file)) for file in request.photos}
        request.reading["image_folder"] = request.reading.get("image_folder") or os.path.commonpath(parents)
    given = request.given
    begins_anew = not recorded.header and bool(target.known) and (given is not None or request.replaces)
    if begins_anew and not request.replaces:
        raise InputError(f"{target.path}: exists, but not from an earlier session: expected another name or --force")
    own = None if begins_anew else _read_own(request, recorded)
    # Once its objects are in the target, only the photos of the other dataset matter.
    source = given if own is None else own
    files = _photo_files(request, [each for each in (given, own) if each is not None], recorded)
    names = image_names(files, target.folder)
    if not files:
        raise InputError("no photos to annotate, expected at least one")
    check_photo_names(names, target)
    scheme = _scheme(request, recorded, source)
    index = {name: i for i, name in enumerate(names)}
    in_file = (
        {}
        if source is None or not len(source)
        else states_of(source, files, scheme.names, target.format, recorded.earlier_names)
    )
    outside = _changed_names(target, recorded)
    states, unsaved, replaced = _merge(in_file, recorded, index, outside, target)
    if source is given:
        unsaved |= set(in_file)
    if not recorded.header:
        reading = {key: value for key, value in request.reading.items() if value not in (None, False)}
        header = {"kind": "project", "version": JOURNAL_VERSION, "landmarks": list(scheme.names), "links": scheme.links}
        journal.append({**header, "unit": request.unit or "mm", "reading": reading})
    known = set(recorded.photos)
    if new := [name for name in names if name not in known]:
        journal.append({"kind": "photos", "images": new})
    unit = request.unit or recorded.header.get("unit") or "mm"
    title = request.title or target.path.name
    project = Project(files, scheme.names, scheme.links, journal, names=names, states=states, title=title, unit=unit)
    for i in replaced:
        # In later sessions too.
        journal.append({"kind": "photo", "image": names[i], **states[i].to_json()})
    replaced = {i: state for i, state in replaced.items() if state.objects}
    if replaced:
        kept = _keep_replaced(project, target, states, replaced)
        notes.append(f"{target.path}: was changed by another program, which counts; what was here before is in {kept}")
    elif not target.known and recorded.was_written:
        notes.append(f"{target.path}: is gone, and is written anew from {journal.path}")
    digests = {
        name: known.digest
        for name, known in target.known.items()
        if known.digest not in recorded.digests.get(name, ())[-1:]
    }
    if digests:
        journal.append({"kind": "read", "files": digests})
    target.is_foreign = bool(target.known) and not recorded.was_written
    sharing = target.without_file(project)
    if sharing:
        # Said before there is any work in them.
        shared = "photo has" if len(sharing) == 1 else "photos have"
        notes.append(
            f"{target.path}: {len(sharing)} {shared} the name of another one up to the suffix, first: {sharing[0]}; "
            f"their landmarks stay in {target.journal.name}"
        )
    absent = [name for name, state in recorded.states.items() if name not in index and state.objects]
    notes += [*_notes(target, own, absent), *exif_notes(project, target)]
    if source is not None:
        notes += [f"{target.path}: {note}" for note in source.notes]

    def read() -> dict[int, PhotoState]:
        return _read_again(request, project)

    return Opened(project, Saver(project, target, journal, unsaved, read), journal, notes)


def _notes(target: Target, own: Dataset | None, absent: list[str]) -> list[str]:
    """Return what a person should know before the file is written."""
    notes = []
    if absent:
        n = len(absent)
        found = f"{n} photo{'s are' if n > 1 else ' is'} not there, first: {absent[0]}"
        notes.append(f"{found}; their landmarks stay in {target.journal.name}")
    if target.is_foreign:
        kept = f"the first save keeps it as {target.path.name}.orig, and writes a new file"
        notes.append(f"{target.path}: {kept} without comments and whatever else ert does not read")
        skipped = [] if own is None else [each for each in own.skipped if each.kind != "no landmarks"]
        if skipped:
            notes.append(f"{target.path}: {len(skipped)} objects are left out in saving, first: {skipped[0].text}")
    return notes + format_notes(target)


def _read_recorded(journal: Journal) -> _Recorded:
    recorded, line = _Recorded(), 0
    try:
        for entry in journal.read():
            line += 1
            kind = entry["kind"]
            if kind == "photo":
                state = PhotoState.from_json(entry)
                _check_state(state, len(recorded.names or ()))
                recorded.states[_text(entry["image"])] = state
            elif kind == "project":
                _check_version(journal, entry)
                recorded.header = entry | {"links": [(int(a), int(b)) for a, b in entry["links"]]}
                recorded.names = list(map(_text, entry["landmarks"]))
            elif kind == "names":
                recorded.earlier_names.append(recorded.names or [])
                recorded.names = list(map(_text, entry["landmarks"]))
            elif kind == "photos":
                recorded.photos += map(_text, entry["images"])
            elif kind in ("read", "written"):
                for name, digest in entry["files"].items():
                    recorded.digests.setdefault(name, []).append(digest)
                    del recorded.digests[name][:-2]
                recorded.was_written |= kind == "written"
                recorded.n_written = entry.get("n")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{journal.path}:{line}: {NO_LINE}") from None
    return recorded


def _check_version(journal: Journal, header: dict[str, Any]) -> None:
    if header["version"] != JOURNAL_VERSION:
        raise InputError(f"{journal.path}: was written by another version of ert; open it with that one, or update ert")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _check_state(state: PhotoState, n_landmarks: int) -> None:
    """Raise ValueError or TypeError for a state whose form is not right."""
    is_known = state.status in STATUSES and isinstance(state.revision, int)
    if not is_known or not isinstance(state.scale, float | int | None):
        raise ValueError
    for marked in state.objects:
        boxes = np.zeros(4) if marked.box is None else marked.box
        if marked.landmarks.shape != (n_landmarks, 2) or boxes.shape != (4,) or not np.isfinite(boxes).all():
            raise ValueError
        _text(marked.id)
        if not all(isinstance(k, int) for k in marked.hidden | marked.missing):
            raise ValueError


def _read(path: str | Path, reading: dict[str, Any]) -> Dataset:
    return read_annotations(path, **(_READING | reading))


def _read_own(request: Request, recorded: _Recorded) -> Dataset | None:
    """Read the target, if there is anything in it."""
    target = request.target
    digests = {name: [known.digest] for name, known in target.known.items()}
    is_empty = recorded.n_written == 0 and digests == {name: both[-1:] for name, both in recorded.digests.items()}
    # Readers refuse a file in which nothing is done.
    if is_empty or not any(known.status[1] for known in target.known.values()):
        return None
    strict = not request.reading.get("skip_bad")
    dataset = _read(target.path, {**request.reading, "skip_bad": True})
    _note_files(target, request.reading)
    bad = [skipped for skipped in dataset.skipped if skipped.kind != "no landmarks"]
    images = image_names([skipped.file for skipped in bad], target.folder)
    for skipped, image in zip(bad, images, strict=True):
        # A photo that was removed since: the journal has its objects, until it is back.
        if strict and image not in recorded.states:
            raise InputError(skipped.text)
    return dataset


def _note_files(target: Target, reading: dict[str, Any]) -> None:
    """Note which file of a folder is that of which image."""
    if target.kind.folder:
        pairs = find_pairs(target.path, target.kind.suffix, reading.get("image_folder"))
        images = image_names([Path(image) for _, image, _ in pairs], target.folder)
        known = (Path(file).relative_to(target.path).as_posix() for file, _, _ in pairs)
        target.given = dict(zip(images, known, strict=True))


def check_photo_names(names: Sequence[str], target: Target) -> None:
    """Raise InputError for a photo whose name the file of annotations cannot hold, before anything is marked in it."""
    kind = target.kind.suffix
    # JSON holds any name.
    for name in names if target.format != "coco" else ():
        if target.kind.folder:
            if Path(name).name.startswith("."):
                raise InputError(f"{quoted(name)}: its {kind} file would be hidden; rename the photo, without the dot")
            continue
        try:
            check_name(name, kind)
        except InputError:
            raise InputError(
                f"{quoted(name)}: a {kind} file cannot hold this name of a photo: "
                "rename the photo, without line breaks, control characters, and spaces at its ends"
            ) from None


def _photo_files(request: Request, datasets: list[Dataset], recorded: _Recorded) -> list[Path]:
    """Return each photo once: those asked for, then those of the dataset, then others that were annotated before."""
    found: dict[str, Path] = {}
    of_dataset: list[Path] = []
    for each in datasets:
        of_dataset += [*each.files, *(skipped.file for skipped in each.skipped if skipped.kind == "no landmarks")]
    # Those of a dataset first, because their paths say how they are read; the order is that of the photos.
    for file in of_dataset:
        found.setdefault(os.path.abspath(file), file)
    files: dict[str, Path] = {}
    before = [] if request.photos or request.given is not None else recorded.photos
    earlier = [_as_read(request, image) for image in before]
    for file in [*request.photos, *(file for file in earlier if file.is_file()), *of_dataset]:
        key = os.path.abspath(file)
        files.setdefault(key, found.get(key, file))
    for image in recorded.states:
        path = _as_read(request, image)
        if path.is_file():
            real = next((key for key in (str(path), os.path.realpath(path)) if key in files), str(path))
            files.setdefault(real, path)
    return list(files.values())


def _as_read(request: Request, image: str) -> Path:
    """Return the path of an image of the journal, which is read as the others."""
    path = os.path.abspath(request.target.folder / image)
    stored, levels = request.reading.get("exif") == "stored", request.reading.get("levels")
    return image_path(path, stored, levels) if stored or levels is not None else Path(path)


def _scheme(request: Request, recorded: _Recorded, source: Dataset | None) -> Scheme:
    wanted = request.scheme
    if recorded.names is not None:
        known = Scheme(tuple(recorded.names), recorded.header["links"])
        where = request.target.journal
    elif source is not None and source.landmark_names:
        known = Scheme(source.landmark_names, known_links(len(source.landmark_names)))
        where = request.target.path if request.given is None else Path(request.given.name)
    elif wanted is not None:
        return wanted
    else:
        raise InputError("which landmarks? expected --points N, --scheme NAME or FILE, or --model MODEL")
    if wanted is not None and len(wanted.names) != len(known.names):
        raise InputError(f"{where}: {len(known.names)} landmarks, not {len(wanted.names)}")
    if wanted is not None and recorded.names is None and (wanted.links or not request.target.kind.names):
        numbers = tuple(map(str, range(len(known.names))))
        names = wanted.names if known.names == numbers else known.names
        return Scheme(names, wanted.links or known.links)
    return known


def _changed_names(target: Target, recorded: _Recorded) -> set[str]:
    """Return the files that are neither what ert wrote last nor, where it was killed, what it wrote before."""
    return {
        name
        for name, known in target.known.items()
        if recorded.header and known.digest not in recorded.digests.get(name, ())
    }


def _merge(
    in_file: dict[int, PhotoState], recorded: _Recorded, index: dict[str, int], outside: set[str], target: Target
) -> tuple[dict[int, PhotoState], set[int], dict[int, PhotoState]]:
    """Return the states, the photos that are not in the file yet, and states of the journal that the file replaced."""
    states = dict(in_file)
    unsaved, replaced = set[int](), dict[int, PhotoState]()
    for image, state in recorded.states.items():
        i = index.get(image)
        if i is None:
            continue
        found = in_file.get(i)
        is_outside = bool(outside) if not target.kind.folder else target.given.get(image) in outside
        same = found is not None and state.status == "done" and is_same(found, state, target.format)
        if not is_outside or same or (found is None and state.status != "done"):
            states[i] = state
            if not same and (state.status == "done" or found is not None):
                unsaved.add(i)
            continue
        states[i] = replace(found or PhotoState(), revision=state.revision + 1)
        replaced[i] = state
    return states, unsaved, replaced


def is_same(found: PhotoState, state: PhotoState, format: str) -> bool:
    """Return whether a file of a format holds these objects, up to what the format does not keep."""
    tolerance = _TOLERANCE_PIXELS.get(format, 2 * 10.0**-DECIMALS)
    if len(found.objects) != len(state.objects):
        return False
    for a, b in zip(found.objects, state.objects, strict=True):
        if not np.allclose(a.landmarks, b.landmarks, rtol=0, atol=tolerance, equal_nan=True):
            return False
        if a.box is not None and b.box is not None and not np.allclose(a.box, b.box, rtol=0, atol=2 * tolerance):
            return False
    return True


def _keep_replaced(
    project: Project, target: Target, states: dict[int, PhotoState], replaced: dict[int, PhotoState]
) -> str:
    """Write the version of the journal to a file beside the target; return its name."""
    path = target.free_name("mine")
    before = {i: replace(state, status="done") for i, state in {**states, **replaced}.items()}
    everything = [before.get(i, PhotoState()) for i in range(len(project))]
    write_copy(project, target, path, everything)
    return path.name


def _read_again(request: Request, project: Project) -> dict[int, PhotoState]:
    """Return the states of the photos whose state differs from what the target holds now."""
    target = request.target
    if not target.files():
        raise InputError(f"{target.path}: there is no file to read")
    reading = {**request.reading, "skip_bad": False}
    dataset = _read(target.path, reading)
    known = {os.path.abspath(file) for file in project.files}
    if new := [file for file in dict.fromkeys(dataset.files) if os.path.abspath(file) not in known]:
        names = image_names(new, target.folder)
        check_photo_names(names, target)
        project.add(new, names)
    _note_files(target, reading)
    found = states_of(dataset, project.files, project.landmark_names, target.format) if len(dataset) else {}
    changed = {}
    for i, state in enumerate(project.states()):
        if i in found:
            if state.status != "done" or not is_same(found[i], state, target.format):
                changed[i] = found[i]
        elif state.status == "done":
            changed[i] = PhotoState(scale=state.scale)
    return changed


def exif_notes(project: Project, target: Target) -> list[str]:
    """Return how the file is to be read where its photos note a turn (EXIF), unless that is the default."""
    return [f"{target.path}: {note}" for note in turn_notes(project.files, stored_by_default=target.format == "imglab")]
