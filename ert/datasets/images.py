"""Find the images of a dataset, and read their sizes and contents in parallel."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, TypeVar

from ert._core.exceptions import InputError
from ert._core.images import image_size, load_image
from ert._core.types import StrPath
from ert.datasets.parsing import natural_key, quoted

_T = TypeVar("_T")

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")


class Picture(NamedTuple):
    """The size of an image, a digest of its pixels, and the error if it cannot be read (else None)."""

    width: int
    height: int
    digest: str
    error: str | None


def read_picture(file: Path) -> Picture:
    """Read an image; an unreadable one has size 0, 0, an empty digest and an error message."""
    try:
        image = load_image(file)
    except InputError as error:
        return Picture(0, 0, "", str(error))
    digest = hashlib.blake2b(repr(image.shape).encode(), digest_size=16)
    digest.update(image.data)
    return Picture(image.shape[1], image.shape[0], digest.hexdigest(), None)


def read_size(file: Path) -> tuple[int, int] | None:
    """Return width and height of an image in pixels, or None if it is unreadable."""
    try:
        return image_size(file)
    except InputError:
        return None


def read_images(
    read: Callable[[Path], _T],
    files: Iterable[Path],
    n_jobs: int = -1,
    progress: Callable[[Iterable[Any]], Iterable[Any]] = iter,
) -> dict[Path, _T]:
    """Read images in parallel threads, each file once.

    Parameters
    ----------
    read : callable
        Called with each file, for example `read_picture` or `read_size`.
    files : iterable of pathlib.Path
        Image files; duplicates are allowed.
    n_jobs : int
        Number of threads; -1 uses all processors.
    progress : callable
        Wraps the iterator over the results, for example ``tqdm``.

    Returns
    -------
    dict
        File -> result, in the order of `files`.
    """
    from joblib import Parallel, delayed

    # Image decoders release the GIL, so threads are enough.
    unique = list(dict.fromkeys(files))
    parallel = Parallel(n_jobs=n_jobs, prefer="threads", return_as="generator")
    return dict(zip(unique, progress(parallel(delayed(read)(file) for file in unique)), strict=True))


def image_folders(path: Path, image_folder: StrPath | None) -> list[Path]:
    """Return the folders to search for images: `image_folder`, or the folder of `path` and its subfolders."""
    if image_folder is not None:
        return [Path(image_folder)]
    return [path.parent, *sorted(entry for entry in path.parent.glob("*") if entry.is_dir())]


def find_image(name: str, folders: list[Path], here: str) -> Path:
    """Return the image file `name` in the first folder, or in the only other folder that contains it.

    Raises
    ------
    InputError
        Starting with `here`: image not found, or found in several folders.
    """
    found = [folder / name for folder in folders if os.path.isfile(folder / name)]
    if not found:
        below = " or its subfolders" if len(folders) > 1 else ""
        raise InputError(f"{here}: image {quoted(name)} not found, expected it in {folders[0]}{below}")
    if len(found) > 1 and found[0] != folders[0] / name:
        both = f"{found[0]} or {found[1]}"
        raise InputError(f"{here}: ambiguous image name {quoted(name)} ({both}); give a path")
    return found[0]


def find_pairs(folder: Path, suffix: str, image_folder: StrPath | None) -> Iterator[tuple[Path, Path]]:
    """Yield (annotation file, image) for all files with a suffix in a folder and its subfolders.

    The image has the same stem and is in the same folder, or in `image_folder` or a subfolder of it. Pairs
    are in natural order of their paths; hidden files are skipped.
    """
    images: dict[str, list[str]] = {}
    if image_folder is not None:
        for parent, names in walk(Path(image_folder)):
            for stem, name in image_by_stem(names).items():
                images.setdefault(stem, []).append(os.path.join(parent, name))
    # Strings, because a million Path objects take several times the memory.
    found: list[tuple[str, str]] = []
    for parent, names in walk(folder):
        if image_folder is None:
            images = {stem: [os.path.join(parent, name)] for stem, name in image_by_stem(names).items()}
        for name in names:
            stem, ending = os.path.splitext(name)
            if ending.lower() != suffix or stem.startswith("."):
                continue
            path = os.path.join(parent, name)
            candidates = images.get(stem, [])
            if not candidates:
                where = "beside it" if image_folder is None else f"in {image_folder} or its subfolders"
                raise InputError(f"{Path(path)}: no image {where}, expected {stem}.jpg, .png or similar")
            if len(candidates) > 1:
                first, second = map(Path, candidates[:2])
                raise InputError(f"{Path(path)}: ambiguous image ({first} or {second}), expected one")
            found.append((path, candidates[0]))
    if not found:
        raise InputError(f"{folder}: expected {suffix} files in this folder or its subfolders, found none")
    found.sort(key=lambda pair: natural_key(pair[0]))
    for path, image in found:
        yield Path(path), Path(image)


def walk(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield a folder and its subfolders, each with the sorted names of its files."""

    def refuse(error: OSError) -> NoReturn:
        raise InputError(f"{error.filename}: cannot be read: {error.strerror}") from None

    for parent, _, names in os.walk(folder, onerror=refuse):
        yield parent, sorted(names)


def image_by_stem(names: list[str]) -> dict[str, str]:
    """Return stem -> image name for the files of one folder; of equal stems, the first in the alphabet."""
    split = ((name, *os.path.splitext(name)) for name in sorted(names, reverse=True))
    return {stem: name for name, stem, suffix in split if suffix.lower() in IMAGE_SUFFIXES}
