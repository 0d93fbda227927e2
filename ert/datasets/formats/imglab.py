"""Imglab XML, the format of dlib's tools."""

import codecs
import re
from collections.abc import Iterator
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from ert._core.exceptions import InputError, one_line
from ert._core.types import Box, StrPath
from ert.datasets.dataset import Dataset
from ert.datasets.finder import Found, ImageFinder
from ert.datasets.formats.foreign import tool_of_xml
from ert.datasets.parsing import (
    BOX_COLUMNS,
    Annotation,
    Point,
    check_name,
    natural_key,
    open_binary,
    quoted,
    read_number,
)

# Element -> its parent.
_PARENTS = {"dataset": "nothing", "images": "dataset", "image": "images", "box": "image", "part": "box"}
# Other children that are allowed. Any other element would be a typo, and its points would be lost.
_OTHER_CHILDREN = {"images": (), "image": (), "box": ("label",), "part": ()}
# Width or height of an image, which newer versions of dlib write.
_SIDE = re.compile("[1-9][0-9]{0,5}")
_READ = {*_PARENTS, "label"}
# Of these one is often stated and another meant.
_CONFUSED_ENCODINGS = (b"utf-8", b"utf8", b"us-ascii", b"ascii", b"iso-8859-1", b"latin1", b"windows-1252", b"cp1252")


def read_imglab(path: StrPath, *, image_folder: StrPath | None = None) -> Iterator[Annotation]:
    """Read the boxes of an imglab XML file in little memory; landmarks are the parts of a box.

    Boxes with ``ignore='1'`` and images without boxes are skipped. Coordinates are not changed. Image files
    are relative to `image_folder`, or to the folder of the XML file. A DOCTYPE is an error, so that there are
    no entities.
    """
    path = Path(path)
    finder = ImageFinder(path, image_folder)
    name, box_number, where, label, is_ignored = "", 0, "", "", False
    found: Found | None = None
    size: tuple[int, int] | None = None
    fault: str | None = None
    box: Box | None = None
    parts: dict[str, Point] = {}
    for here, event, element in _imglab_events(path):
        if event == "end" and element.tag == "box" and not is_ignored:
            # The image is looked for only if it has a box that is not ignored.
            found = found or finder.find(name, where)
            yield Annotation(found.file, box, parts, where, fault or found.fault, label or None, size=size)
        elif event == "end" and element.tag == "image":
            # The tree would grow with the file, so elements that were read are removed.
            element.clear()
            while element.getprevious() is not None:
                del element.getparent()[0]
        elif event == "end" and element.tag == "label":
            label = (element.text or "").strip()
        elif event == "start" and element.tag == "image":
            name, box_number, found = _attribute(element, "file", here), 0, None
            sides = [element.get(side, "") for side in ("width", "height")]
            size = (int(sides[0]), int(sides[1])) if all(map(_SIDE.fullmatch, sides)) else None
        elif event == "start" and element.tag == "box":
            box_number += 1
            box, parts, label, fault, is_ignored = None, {}, "", None, False
            where = f"{here}: box {box_number} of {one_line(repr(name))}"
            try:
                is_ignored = _is_ignored(element, here)
                if not is_ignored:
                    left, top, width, height = (read_number(_attribute(element, a, here), here, a) for a in BOX_COLUMNS)
                    box = left, top, width, height
            except InputError as error:
                fault = str(error)
        elif event == "start" and element.tag == "part" and not is_ignored:
            try:
                part = _attribute(element, "name", here)
                if part in parts:
                    raise InputError(f"{here}: duplicate part {quoted(part)} in a box")
                x, y = (read_number(_attribute(element, a, here), here, a) for a in "xy")
                parts[part] = x, y
            except InputError as error:
                fault = fault or str(error)


def _is_ignored(box: Any, here: str) -> bool:
    ignored = box.get("ignore", "0").lower()
    if ignored not in {"0", "1", "false", "true"}:
        raise InputError(f"{here}: ignore is {quoted(ignored)}, expected 0 or 1")
    return ignored in {"1", "true"}


def _imglab_events(path: Path) -> Iterator[tuple[str, str, Any]]:
    """Yield ("file:line", "start" or "end", element) for the elements of imglab; check their nesting."""
    from lxml import etree

    safe: Any = {"resolve_entities": False, "no_network": True, "load_dtd": False, "huge_tree": False}
    parser = etree.XMLPullParser(events=("start", "end"), encoding=_real_encoding(path), **safe)
    line, here = 1, f"{path}:1"
    with open_binary(path) as stream:
        try:
            # Line by line (long ones in pieces), because libxml2 does not count beyond 65535 lines.
            for piece in iter(lambda: stream.readline(1 << 16), b""):
                here = f"{path}:{line}"
                parser.feed(piece)
                # An undefined entity stops the parser, but lxml raises nothing.
                if len(parser.feed_error_log):
                    raise InputError(f"{here}: malformed XML: {one_line(parser.feed_error_log[0].message)}")
                events: Iterator[Any] = parser.read_events()
                for event, element in events:
                    if event == "start":
                        _check_nesting(element, here)
                    if element.tag in _READ:
                        yield here, event, element
                line += piece.endswith(b"\n")
            parser.close()
        except etree.XMLSyntaxError as error:
            # The parser may notice an error some lines after its place, but does not count beyond 65535.
            if 0 < (error.lineno or 0) < min(line, 65535):
                here = f"{path}:{error.lineno}"
            message = re.sub(r", line [0-9]+, column [0-9]+$", "", one_line(str(error.msg)))
            raise InputError(f"{here}: malformed XML: {message}") from None


def _real_encoding(path: Path) -> str | None:
    """Return the encoding of a file whose header may be wrong about it; None if the header decides.

    imglab states ISO-8859-1 and writes names as the system stores them.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    with open_binary(path) as stream:
        piece = stream.read(1 << 16)
        stated = re.match(rb"(?:\xef\xbb\xbf)?\s*<\?xml[^>]*?encoding\s*=\s*['\"]([\w.-]+)", piece)
        if stated is not None and stated[1].lower() not in _CONFUSED_ENCODINGS:
            return None
        if piece.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in piece[:4]:
            return None
        is_ascii = True
        try:
            while piece:
                if not piece.isascii() or not is_ascii:
                    is_ascii = False
                    decoder.decode(piece)
                piece = stream.read(1 << 16)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "windows-1252"
    return None if is_ascii else "UTF-8"


def _check_nesting(element: Any, here: str) -> None:
    parent = element.getparent()
    found = "nothing" if parent is None else one_line(parent.tag, 60)
    expected = _PARENTS.get(element.tag)
    tool = tool_of_xml(element.tag) if parent is None else None
    if tool is not None:
        raise InputError(f"{here}: {tool}")
    if expected is None:
        if element.tag not in _OTHER_CHILDREN.get(found, (element.tag,)):
            known = [tag for tag, place in _PARENTS.items() if place == found] + list(_OTHER_CHILDREN[found])
            wrong = f"{quoted(element.tag)} in <{found}>"
            raise InputError(f"{here}: not an imglab file: {wrong}, expected {' or '.join(known) or 'nothing'}")
        return
    if found != expected:
        raise InputError(f"{here}: not an imglab file: <{element.tag}> in {found}, expected in {expected}")
    # Entities, which may be bombs, need a DOCTYPE, and imglab files have none.
    if parent is None and element.getroottree().docinfo.internalDTD is not None:
        raise InputError(f"{here}: expected no DOCTYPE before <dataset>")


def _attribute(element: Any, name: str, here: str) -> str:
    value: str | None = element.get(name)
    if not value:
        raise InputError(f"{here}: <{element.tag}> without {name}, expected {name}='...'")
    return value


IMGLAB_HEAD = "<?xml version='1.0' encoding='UTF-8'?>\n<dataset>\n<images>\n"
IMGLAB_TAIL = "</images>\n</dataset>\n"


def write_imglab(dataset: Dataset, images: list[str]) -> Iterator[str]:
    """Yield an imglab XML file; coordinates are rounded to integers, which dlib requires."""
    yield IMGLAB_HEAD
    yield from imglab_images(dataset, images)
    yield IMGLAB_TAIL


def imglab_images(dataset: Dataset, images: list[str]) -> Iterator[str]:
    """Yield the images of an imglab XML file."""

    def attribute(name: str) -> str:
        return f"'{escape(check_name(name, 'imglab XML'))}'"

    parts = [attribute(name) for name in dataset.landmark_names]
    boxes = np.rint(dataset.boxes).astype(np.int64)
    # A box of less than half a pixel would become empty.
    boxes[:, 2:] = boxes[:, 2:].clip(1)
    for image, group in groupby(range(len(dataset)), key=lambda i: images[i]):
        yield f"  <image file={attribute(image)}>\n"
        for i in group:
            left, top, width, height = boxes[i]
            yield f"    <box top='{top}' left='{left}' width='{width}' height='{height}'>\n"
            for part, (x, y) in zip(parts, np.rint(dataset.landmarks[i]), strict=True):
                if x == x:
                    yield f"      <part name={part} x='{x:.0f}' y='{y:.0f}'/>\n"
            yield "    </box>\n"
        yield "  </image>\n"


def imglab_notes(dataset: Dataset) -> Iterator[str]:
    """Yield what an imglab file does not keep."""
    numbers = np.concatenate([dataset.boxes.ravel(), dataset.landmarks.ravel()])
    if np.any(np.rint(numbers) != numbers, where=np.isfinite(numbers)):
        yield "landmarks and boxes are rounded to integers"
    if list(dataset.landmark_names) != sorted(dataset.landmark_names, key=natural_key):
        yield "landmarks will be read in the order of their names: imglab files have no other order"
