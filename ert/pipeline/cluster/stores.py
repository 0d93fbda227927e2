"""Folders, patterns, lists and object stores: images are listed one by one and read ahead; results are published.

A name with ``://`` is a URL, which fsspec reads: ``s3://bucket/folder``, ``gs://``, ``https://``, ``memory://``. All
else is a path, which has to be the same on all machines.
"""

import glob
import os
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from itertools import chain, islice
from pathlib import Path
from queue import Empty, SimpleQueue
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any, TypeVar

from ert._core.exceptions import InputError, one_line
from ert._core.image_paths import ImageURL, image_path
from ert.datasets.parsing import natural_key
from ert.datasets.text import text_lines
from ert.pipeline.inputs import Item, is_image

_T = TypeVar("_T")
# A store that has not answered for so long is not waited for.
STORE_SECONDS = 60.0
# Images that are requested from a store at a time; the next are read while these are predicted.
IMAGES_PER_REQUEST = 16


def batches(items: Iterable[_T], n: int) -> Iterator[list[_T]]:
    """Yield lists of n items, the last of which may be shorter."""
    remaining = iter(items)
    while batch := list(islice(remaining, n)):
        yield batch


class UnreadableError(InputError):
    """A folder, a list or a store that is there and cannot be read: going on would leave images out."""


def is_url(name: str) -> bool:
    """Return whether a name is a URL, not a path."""
    return "://" in name


def file_system(url: str) -> tuple[Any, str]:
    """Return fsspec's file system of a URL, without a cache of what is in its folders, and the path in it."""
    from fsspec.core import url_to_fs

    try:
        fs, path = url_to_fs(url, use_listings_cache=False)
    except (ImportError, ValueError, OSError) as error:
        raise InputError(f"{url}: {one_line(str(error))}") from None
    return fs, path


# Lists of images


def list_images(inputs: Iterable[str], *, recursive: bool = False, on_fault: Callable[[str], None]) -> Iterator[str]:
    """Yield absolute paths and URLs of images, in the same order each time; at most one folder is kept in memory.

    Parameters
    ----------
    inputs : iterable of str
        Images, folders, patterns, and ``@list`` files with one of them in each line, relative to the list.
    recursive : bool
        Whether the images in subfolders of a folder belong to it.
    on_fault : callable
        Called with a message about each input that is not there or has no images.

    Raises
    ------
    UnreadableError
    """
    for given in inputs:
        try:
            if given.startswith("@"):
                for where, name in _list_lines(given[1:]):
                    try:
                        yield from _images_of(name, recursive)
                    except UnreadableError:
                        raise
                    except InputError as error:
                        on_fault(f"{where}: {error}")
            else:
                yield from _images_of(given, recursive)
        except UnreadableError:
            raise
        except InputError as error:
            on_fault(str(error))


def _list_lines(name: str) -> Iterator[tuple[str, str]]:
    if is_url(name):
        fs, path = file_system(name)
        try:
            with fs.open(path, "rt", encoding="utf-8-sig") as file:
                yield from _names(name, enumerate(file, 1))
        except (OSError, ValueError) as error:
            raise UnreadableError(f"{name}: cannot be read: {one_line(str(error))}") from None
    else:
        yield from _names(name, text_lines(Path(name)))


def _names(of: str, lines: Iterable[tuple[int, str]]) -> Iterator[tuple[str, str]]:
    folder = of.rpartition("/")[0] if is_url(of) else os.path.dirname(of)
    for number, text in lines:
        name = text.strip()
        if name and not name.startswith("#"):
            yield f"{of}:{number}", name if is_url(name) or not folder else _join(folder, name)


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if is_url(folder) else os.path.join(folder, name)


def _images_of(name: str, recursive: bool) -> Iterator[str]:
    fs, path = file_system(name) if is_url(name) else (None, os.path.abspath(name))
    # Lists have millions of images: none is looked at here.
    if is_image(path) and not glob.has_magic(path):
        yield name if fs else path
        return
    head, tail = os.path.split(path)
    is_folder = fs.isdir if fs else os.path.isdir
    if is_folder(path):
        folders, pattern = [path], "*"
    elif glob.has_magic(path):
        recursive = tail == "**"
        folders, pattern = [head], "*" if recursive else tail
        if glob.has_magic(head):
            found = fs.glob(head) if fs else glob.glob(head, recursive=True)
            folders = sorted(filter(is_folder, found), key=natural_key)
    else:
        what = "no such folder, and no image by its suffix; annotations are read where --out is a file"
        raise InputError(f"{name}: {what}")
    images = chain.from_iterable(_in_folder(fs, folder, recursive) for folder in folders)
    n = 0
    for image in images:
        if fnmatchcase(os.path.basename(image), pattern):
            yield fs.unstrip_protocol(image) if fs else image
            n += 1
    if not n:
        raise InputError(f"{name}: no image {'in this folder' if pattern == '*' else 'matches this pattern'}")


def _in_folder(fs: Any, folder: str, recursive: bool) -> Iterator[str]:
    """Yield the images of a folder, then those of its subfolders."""
    try:
        if fs:
            entries = [
                (entry["name"].rstrip("/"), entry["type"] == "directory") for entry in fs.ls(folder, detail=True)
            ]
        else:
            with os.scandir(folder) as found:
                entries = [(entry.path, entry.is_dir()) for entry in found]
    except (OSError, ValueError) as error:
        raise UnreadableError(f"{folder}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    yield from sorted((path for path, is_folder in entries if not is_folder and is_image(path)), key=natural_key)
    if recursive:
        for path in sorted((path for path, is_folder in entries if is_folder), key=natural_key):
            yield from _in_folder(fs, path, recursive)


# Images that are read


def with_files(items: Iterable[Item], folder: Path) -> Iterator[tuple[Item, Item | str]]:
    """Yield items, each with one whose image is a file, or with what is wrong with its image.

    Images of stores are read some at a time, and the next while these are used; their files, in `folder`, are there
    until the next item is asked for.

    Raises
    ------
    InputError
        When a store does not answer, or refuses; only an image that is not there is passed over.
    """
    groups = batches(items, IMAGES_PER_REQUEST)
    batch = next(groups, [])
    answer = _started(_contents, batch)
    while batch:
        try:
            contents = _finished(answer, STORE_SECONDS)
        except TimeoutError:
            first = next(item for item in batch if isinstance(item.image, ImageURL))
            raise InputError(f"{item_name(first)}: its store has not answered for {STORE_SECONDS:g} s") from None
        now, batch = batch, next(groups, [])
        answer = _started(_contents, batch)
        for item in now:
            if not isinstance(item.image, ImageURL) or not is_url(item.image.url):
                yield item, item._replace(image=_plain(item.file))
                continue
            found = contents[item.image.url]
            if isinstance(found, FileNotFoundError):
                yield item, f"{item.image.url}: no such file"
                continue
            if isinstance(found, Exception):
                reason = one_line(str(found)) or type(found).__name__
                raise InputError(f"{item.image.url}: cannot be read: {reason}")
            file = image_path(folder / f"image{item.image.suffix}", item.image.stored, item.image.levels)
            file.write_bytes(found)
            yield item, item._replace(image=file)


def item_name(item: Item) -> str:
    """Return the URL or the path of an image."""
    return item.image.url if isinstance(item.image, ImageURL) else os.fspath(item.file)


def _plain(file: Path) -> Path:
    return image_path(file.url, file.stored, file.levels) if isinstance(file, ImageURL) else file


def _contents(items: Iterable[Item]) -> dict[str, bytes | Exception]:
    """Return the contents of images in stores by URL, or the error of reading them."""
    paths = defaultdict(list)
    for item in items:
        if isinstance(item.image, ImageURL) and is_url(item.image.url):
            fs, path = file_system(item.image.url)
            paths[fs].append((item.image.url, path))
    contents: dict[str, bytes | Exception] = {}
    for fs, names in paths.items():
        found = fs.cat_ranges([path for _, path in names], None, None, on_error="return")
        contents |= dict(zip((url for url, _ in names), found, strict=True))
    return contents


def _started(function: Callable[..., Any], *arguments: Any) -> SimpleQueue[tuple[Any, BaseException | None]]:
    """Call a function in a thread of its own, which nobody has to wait for."""
    answer: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()

    def work() -> None:
        try:
            answer.put((function(*arguments), None))
        except BaseException as error:
            answer.put((None, error))

    Thread(target=work, daemon=True).start()
    return answer


def _finished(answer: SimpleQueue[tuple[Any, BaseException | None]], seconds: float) -> Any:
    try:
        value, error = answer.get(timeout=seconds)
    except Empty:
        raise TimeoutError from None
    if error is not None:
        raise error
    return value


# Results


def publish(folder: str, name: str, write: Callable[[Path], object]) -> None:
    """Let a function write a file, atomically, whose name in a folder or store is then there as a whole.

    Raises
    ------
    InputError
        When it cannot be written.
    """
    if not is_url(folder):
        write(Path(folder, name))
        return
    fs, root = file_system(folder)
    try:
        with TemporaryDirectory(prefix="ert-") as temporary:
            write(Path(temporary, name))
            incomplete = f"{root}/_{uuid.uuid4().hex}.incomplete"
            fs.put_file(os.path.join(temporary, name), incomplete)
            fs.mv(incomplete, f"{root}/{name}")
    except OSError as error:
        raise InputError(f"{folder}/{name}: cannot be written: {one_line(str(error))}") from None


def remove(folder: str, name: str) -> None:
    """Remove a file from a folder or store, if it is there.

    Raises
    ------
    InputError
        When it cannot be removed.
    """
    try:
        if not is_url(folder):
            Path(folder, name).unlink(missing_ok=True)
            return
        fs, root = file_system(folder)
        if fs.exists(path := f"{root}/{name}"):
            fs.rm(path)
    except OSError as error:
        raise InputError(f"{folder}/{name}: cannot be removed: {one_line(error.strerror or str(error))}") from None


def names_in(folder: str) -> Iterator[str]:
    """Yield the names of the files in a folder or store; none where there is no such folder."""
    try:
        if is_url(folder):
            fs, root = file_system(folder)
            yield from (os.path.basename(path) for path in fs.ls(root, detail=False))
        else:
            with os.scandir(folder) as entries:
                yield from (entry.name for entry in entries)
    except FileNotFoundError:
        return
    except OSError as error:
        raise InputError(f"{folder}: cannot be read: {one_line(error.strerror or str(error))}") from None


def read_text(folder: str, name: str) -> str:
    """Return the text of a file in a folder or store."""
    if is_url(folder):
        fs, root = file_system(folder)
        return str(fs.cat_file(f"{root}/{name}").decode())
    return Path(folder, name).read_text(encoding="utf-8")
