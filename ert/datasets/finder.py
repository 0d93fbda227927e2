"""Find the images that annotations name: as written, or where the images of another machine lie on this one."""

import os
import re
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, NoReturn, TypeAlias
from urllib.parse import unquote, urlsplit

from ert._core.exceptions import InputError
from ert._core.types import StrPath
from ert.datasets.parsing import natural_key, quoted

# What `load_image` reads. Of several images with the same stem, the one with the first of these suffixes is taken.
IMAGE_SUFFIXES = (
    *(".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp", ".apng", ".avif", ".avifs", ".blp", ".bw", ".dds"),
    *(".dib", ".gif", ".heic", ".heif", ".icb", ".icns", ".ico", ".im", ".j2c", ".j2k", ".jfif", ".jp2", ".jpc"),
    *(".jpe", ".jpf", ".jpx", ".mpo", ".msp", ".pbm", ".pcx", ".pfm", ".pgm", ".pnm", ".ppm", ".psd", ".qoi", ".ras"),
    *(".rgb", ".rgba", ".sgi", ".tga", ".vda", ".vst", ".xbm", ".xpm"),
)
_RANKS = {suffix: rank for rank, suffix in enumerate(IMAGE_SUFFIXES)}
_SEPARATOR = re.compile(r"[\\/]+")


# Whether subfolders are searched, and the keys of the folders on the way from there.
_Place: TypeAlias = tuple[bool, tuple[str, ...]]


class Found(NamedTuple):
    """The image of an object; if there is none, where it was expected and the error message."""

    file: Path
    fault: str | None


class ImageFinder:
    r"""Find images by the names in an annotation file.

    A name is taken as it is written, relative to `image_folder`, or to the folder of the file and its subfolders.
    If there is no such image, ``\`` is a separator, case does not matter, and the folders at the start of the name
    are dropped one by one: those of another machine, or that `image_folder` already contains. Each folder is listed
    once, when it is first needed.

    Parameters
    ----------
    path : pathlib.Path
        The annotation file.
    image_folder : path-like, optional
        The folder of the images.
    any_suffix : bool
        Whether ``a.jpg`` may be ``a.png`` if there is no other; ``a``, without a suffix, always may.
    """

    def __init__(self, path: Path, image_folder: StrPath | None = None, *, any_suffix: bool = False) -> None:
        self._any_suffix = any_suffix
        self._first = str(path.parent if image_folder is None else image_folder)
        self._with_subfolders = image_folder is None
        self._subfolders: list[str] | None = None
        self._listings: dict[str, dict[str, list[str]]] = {}
        # A relative folder -> key of a name -> files; the same for the stems of images.
        self._files: dict[_Place, dict[str, list[str]]] = {}
        self._stems: dict[_Place, dict[str, list[str]]] = {}
        # Image -> the name that led to it: with folders that were dropped, or with no or another suffix.
        self._names_of: dict[str, tuple[str, ...]] = {}
        self._found_by_stem: dict[str, str] = {}
        self._as_written: set[str] = set()

    def find(self, name: str, here: str) -> Found:
        """Return the image `name`, or with `here`, the place of the name, why it is not found."""
        as_written = os.path.join(self._first, name)
        if os.path.isfile(as_written):
            self._as_written.add(as_written)
            other = self._found_by_stem.get(as_written)
            return Found(Path(as_written), other and _same_image(other, name, as_written, here))
        for parts, k, places in self._tails(name):
            files = [self._look_up(self._index(*place), parts[-1]) for place in places]
            # The same case before any other, and beside the annotations before subfolders.
            ending = os.sep + os.path.join(*parts[k:])
            same_case = [[file for file in of_place if file.endswith(ending)] for of_place in files]
            found = next((of_place for of_place in (*same_case, *files) if of_place), [])
            if len(found) > 1:
                return Found(Path(found[0]), _ambiguous(name, found, here))
            if found:
                if k:
                    self._check_unique(found[0], parts, here)
                return Found(Path(found[0]), None)
        by_stem = self._find_by_stem(name, here)
        if by_stem is not None:
            return by_stem
        below = " or its subfolders; give another folder with --images" if self._with_subfolders else ""
        fault = f"{here}: image {quoted(name)} not found, expected it in {Path(self._first)}{below}"
        return Found(Path(as_written), fault)

    def _find_by_stem(self, name: str, here: str) -> Found | None:
        """Return the only image of that name up to its suffix, if there is one: names may lack it or have another."""
        for parts, _, places in self._tails(name):
            stem, suffix = os.path.splitext(parts[-1])
            if suffix.lower() not in _RANKS:
                stem = parts[-1]
            elif not self._any_suffix:
                return None
            found = [file for place in places for file in self._look_up(self._stem_index(*place), stem)]
            if not found:
                continue
            fault = None
            if len(found) > 1:
                fault = _ambiguous(name, found, here)
            elif found[0] in self._as_written:
                fault = _same_image(os.path.basename(found[0]), name, found[0], here)
            elif _key(other := self._found_by_stem.setdefault(found[0], name)) != _key(name):
                fault = _same_image(other, name, found[0], here)
            return Found(Path(found[0]), fault)
        return None

    def _tails(self, name: str) -> Iterator[tuple[list[str], int, list[_Place]]]:
        """Yield the parts of a name, how many of them are dropped, and the places to look at, the likely ones first."""
        for spelling in _spellings(name):
            parts = name_parts(spelling)
            for k in range(len(parts)):
                parents = tuple(map(_key, parts[k:-1]))
                # Only a name of this machine may be in a subfolder: folders that were dropped distinguish images.
                is_local = self._with_subfolders and k == 0 and not is_absolute(spelling)
                yield parts, k, [(False, parents), (True, parents)] if is_local else [(False, parents)]

    def _look_up(self, index: dict[str, list[str]], name: str) -> list[str]:
        return [file for file in index.get(_key(name), ()) if os.path.isfile(file)]

    def _index(self, in_subfolders: bool, parents: tuple[str, ...]) -> dict[str, list[str]]:
        """Return key of a name -> files of the keys `parents` below the first folder, or below its subfolders."""
        place = in_subfolders, parents
        index = self._files.get(place)
        if index is None:
            folders = self._other_folders() if in_subfolders else [self._first]
            for parent in parents:
                folders = [os.path.join(at, name) for at in folders for name in self._listing(at).get(parent, ())]
            index = self._files[place] = {}
            for at in folders:
                for key, names in self._listing(at).items():
                    index.setdefault(key, []).extend(os.path.join(at, name) for name in names)
        return index

    def _stem_index(self, in_subfolders: bool, parents: tuple[str, ...]) -> dict[str, list[str]]:
        """Return the same for the stems of images."""
        place = in_subfolders, parents
        index = self._stems.get(place)
        if index is None:
            index = self._stems[place] = {}
            for files in self._index(*place).values():
                for file in files:
                    stem, suffix = os.path.splitext(os.path.basename(file))
                    if suffix.lower() in _RANKS:
                        index.setdefault(_key(stem), []).append(file)
        return index

    def _other_folders(self) -> list[str]:
        if self._subfolders is None:
            self._subfolders = []
            with suppress(OSError), os.scandir(self._first) as entries:
                self._subfolders = sorted(os.path.join(self._first, entry.name) for entry in entries if entry.is_dir())
        return self._subfolders

    def _listing(self, folder: str) -> dict[str, list[str]]:
        """Return key -> names in a folder; nothing if it is no folder."""
        listing = self._listings.get(folder)
        if listing is None:
            listing = self._listings[folder] = {}
            names: list[str] = []
            with suppress(OSError, ValueError):
                names = sorted(os.listdir(folder))
            for name in names:
                listing.setdefault(_key(name), []).append(name)
        return listing

    def _check_unique(self, file: str, parts: list[str], here: str) -> None:
        """Raise InputError if another name, which differs in the folders that were dropped, led to the same file."""
        known = self._names_of.setdefault(file, tuple(parts))
        if known != tuple(parts):
            both = f"{quoted('/'.join(known))} and {quoted('/'.join(parts))}"
            raise InputError(f"{here}: both {both} would be {file}, expected a folder of images for each")


def suffix_notes(name: str, file: Path) -> tuple[str, ...]:
    """Return a note if an image was found under a name with another suffix."""
    if name[-3:].lower() == file.name[-3:].lower() or os.path.splitext(name)[1].lower() not in _RANKS:
        return ()
    return ("the image has another suffix than its name",)


def _ambiguous(name: str, found: list[str], here: str) -> str:
    return f"{here}: ambiguous image name {quoted(name)} ({found[0]} or {found[1]}); give a path"


def _same_image(one: str, other: str, file: str, here: str) -> str:
    return f"{here}: both {quoted(one)} and {quoted(other)} would be {file}, expected an image for each"


class TableImages:
    """Absolute paths of the images that a table about images names, to be compared with those of a dataset."""

    def __init__(self, path: Path, image_folder: StrPath | None = None) -> None:
        self._folder = path.parent
        folders = [None] if image_folder is None else [None, image_folder]
        self._finders = [ImageFinder(path, folder) for folder in folders]

    def resolve(self, name: str, here: str) -> Path:
        """Return the path of an image without links; one that is not found is taken as it is written."""
        for finder in self._finders:
            file, fault = finder.find(name, here)
            if fault is None:
                return Path(os.path.realpath(file))
        return Path(os.path.realpath(self._folder / name))


def _spellings(name: str) -> Iterator[str]:
    """Yield a name, and what it may be if its encoding is not the one that the file states."""
    yield name
    seen = {name}
    if name.isascii():
        return
    for stated, real in (("latin-1", "utf-8"), ("cp1252", "utf-8"), ("latin-1", "cp1252")):
        try:
            other = name.encode(stated).decode(real)
        except UnicodeError:
            continue
        if other not in seen:
            seen.add(other)
            yield other


def is_absolute(name: str) -> bool:
    """Return whether a name is a URL or an absolute path of any system."""
    return re.match(r"[A-Za-z]:[\\/]|[\\/]|[A-Za-z][A-Za-z0-9+.-]+://", name) is not None


def name_parts(name: str) -> list[str]:
    """Return the folders and the file name of a path of any system, or of a URL, without "." and ".."."""
    if re.match("[A-Za-z][A-Za-z0-9+.-]+://", name):
        try:
            name = unquote(urlsplit(name).path)
        except ValueError:
            return []
    name = re.sub("^[A-Za-z]:", "", name)
    return [part for part in _SEPARATOR.split(name) if part not in ("", ".", "..")]


def _key(name: str) -> str:
    """Return what names have in common that differ in case or, as on macOS, in how accents are stored."""
    return name.lower() if name.isascii() else unicodedata.normalize("NFC", name).casefold()


def find_pairs(folder: Path, suffix: str, image_folder: StrPath | None) -> list[tuple[str, str, str | None]]:
    """Return (annotation file, image, fault) for all files with a suffix in a folder and its subfolders.

    They are in natural order. The image has the same stem and is in the same folder, or in `image_folder` or a
    subfolder of it. Without one, or with several, the fault is an error message. Hidden files are skipped.
    """
    images: dict[str, list[str]] = {}
    if image_folder is not None:
        for parent, names in walk(Path(image_folder)):
            for name in image_by_stem(names).values():
                images.setdefault(_key(os.path.splitext(name)[0]), []).append(os.path.join(parent, name))
    # Strings, because a million Path objects take several times the memory.
    found: list[tuple[str, str, str | None]] = []
    for parent, names in walk(folder):
        if image_folder is None:
            images = {}
            for name in image_by_stem(names).values():
                images.setdefault(_key(os.path.splitext(name)[0]), []).append(os.path.join(parent, name))
        for name in names:
            stem, ending = os.path.splitext(name)
            if ending.lower() != suffix or stem.startswith("."):
                continue
            path, fault = os.path.join(parent, name), None
            candidates = images.get(_key(stem), [])
            same_case = [image for image in candidates if os.path.splitext(os.path.basename(image))[0] == stem]
            candidates = same_case or candidates
            if not candidates and os.path.splitext(stem)[1].lower() in _RANKS:
                # a.png.pts
                inner = images.get(_key(os.path.splitext(stem)[0]), [])
                candidates = [image for image in inner if _key(os.path.basename(image)) == _key(stem)]
            if not candidates:
                where = "beside it" if image_folder is None else f"in {image_folder} or its subfolders"
                fault = f"{Path(path)}: no image {where}, expected {stem}.jpg, .png or similar"
                candidates = [os.path.join(parent, f"{stem}.jpg")]
            if len(candidates) > 1:
                either = " or ".join(str(Path(image)) for image in candidates[:2])
                fault = f"{Path(path)}: ambiguous image ({either}), expected one"
            found.append((path, candidates[0], fault))
    if not found:
        raise InputError(f"{folder}: expected {suffix} files in this folder or its subfolders, found none")
    return sorted(found, key=lambda pair: natural_key(pair[0]))


def walk(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield a folder and its subfolders, each with the sorted names of its files."""

    def refuse(error: OSError) -> NoReturn:
        raise InputError(f"{error.filename}: cannot be read: {error.strerror}") from None

    for parent, _, names in os.walk(folder, onerror=refuse):
        yield parent, sorted(names)


def image_by_stem(names: list[str]) -> dict[str, str]:
    """Return stem -> image name for the files of one folder; of equal stems, the first in `IMAGE_SUFFIXES`."""
    split = [(*os.path.splitext(name), name) for name in names]
    images = [(_RANKS[suffix.lower()], name, stem) for stem, suffix, name in split if suffix.lower() in _RANKS]
    return {stem: name for _, name, stem in sorted(images, reverse=True)}
