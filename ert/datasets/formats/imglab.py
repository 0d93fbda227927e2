"""Reading imglab XML, the annotations of dlib's tools."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ert._core.exceptions import InputError, one_line
from ert._core.types import StrPath
from ert.datasets.parsing import (
    BOX_COLUMNS,
    Annotation,
    Box,
    Point,
    open_binary,
    quoted,
    read_number,
)

__all__ = [
    "read_imglab",
]


IMGLAB_PARENTS = {"dataset": "nothing", "images": "dataset", "image": "images", "box": "image", "part": "box"}
# What they may hold beside each other. Any other element would be a slip, and its points would be lost.
_INSIDE = {"images": (), "image": (), "box": ("label",), "part": ()}


def read_imglab(path: StrPath) -> Iterator[Annotation]:
    """Read the boxes of an imglab XML file, one after another.

    Boxes with ``ignore='1'`` and images without boxes are passed over. Boxes and parts are taken as they are.

    Parameters
    ----------
    path : path-like
        The XML file. Image files are relative to its folder.

    Yields
    ------
    Annotation
        One for each box; the landmarks are those parts that the box has, in the order of the file.

    Raises
    ------
    InputError
        Malformed XML, a DOCTYPE (so that there are no entities), an element that imglab does not know, an
        attribute that is absent or not a number, a part that stands twice in a box, an image file that does
        not exist.
    """
    path = Path(path)
    file, box_number, where = path, 0, ""
    box: Box | None = None
    parts: dict[str, Point] = {}
    for here, event, element in _imglab_events(path):
        if event == "end" and element.tag == "box" and box is not None:
            yield Annotation(file, box, parts, where)
        elif event == "end" and element.tag == "image":
            # The tree would grow with the file: what was read goes, and the emptied elements before it.
            element.clear()
            while element.getprevious() is not None:
                del element.getparent()[0]
        elif event == "start" and element.tag == "image":
            file, box_number = path.parent / _attribute(element, "file", here), 0
        elif event == "start" and element.tag == "box":
            box_number += 1
            box, parts, where = None, {}, f"{here}: box {box_number} of {one_line(repr(str(file)))}"
            ignored = element.get("ignore", "0").lower()
            if ignored not in {"0", "1", "false", "true"}:
                raise InputError(f"{here}: ignore is {quoted(ignored)}, expected 0 or 1")
            if ignored in {"1", "true"}:
                continue
            left, top, width, height = (
                read_number(_attribute(element, a, here), here, a) for a in BOX_COLUMNS
            )
            box = left, top, width, height
            if not os.path.isfile(file):
                raise InputError(f"{where}: there is no such image file")
        elif event == "start" and element.tag == "part" and box is not None:
            name = _attribute(element, "name", here)
            if name in parts:
                raise InputError(f"{here}: part {quoted(name)} stands twice in a box, expected once")
            x, y = (read_number(_attribute(element, a, here), here, a) for a in "xy")
            parts[name] = x, y


def _imglab_events(path: Path) -> Iterator[tuple[str, str, Any]]:
    """Yield ("file:line", "start" or "end", element) for the elements of imglab, each in its place."""
    from lxml import etree

    safe: Any = {"resolve_entities": False, "no_network": True, "load_dtd": False, "huge_tree": False}
    parser = etree.XMLPullParser(events=("start", "end"), **safe)
    line, here = 1, f"{path}:1"
    with open_binary(path) as stream:
        try:
            # Fed line by line (long ones in pieces), because libxml2 loses count after 65535 lines.
            for piece in iter(lambda: stream.readline(1 << 16), b""):
                here = f"{path}:{line}"
                parser.feed(piece)
                # An undefined entity stops the parser, but lxml raises nothing.
                if len(parser.feed_error_log):
                    raise InputError(f"{here}: malformed XML: {one_line(parser.feed_error_log[0].message)}")
                events: Iterator[Any] = parser.read_events()
                for event, element in events:
                    if event == "start":
                        _check_place(element, here)
                    if element.tag in IMGLAB_PARENTS:
                        yield here, event, element
                line += piece.endswith(b"\n")
            parser.close()
        except etree.XMLSyntaxError as error:
            raise InputError(f"{here}: malformed XML: {one_line(str(error.msg))}") from None


def _check_place(element: Any, here: str) -> None:
    parent = element.getparent()
    found = "nothing" if parent is None else one_line(parent.tag, 60)
    expected = IMGLAB_PARENTS.get(element.tag)
    if expected is None:
        if element.tag not in _INSIDE.get(found, (element.tag,)):
            known = [tag for tag, place in IMGLAB_PARENTS.items() if place == found] + list(_INSIDE[found])
            wrong = f"{quoted(element.tag)} in <{found}>"
            raise InputError(
                f"{here}: not an imglab file: {wrong}, expected {' or '.join(known) or 'nothing'}"
            )
        return
    if found != expected:
        wrong = f"<{element.tag}> in {found}, expected in {expected}"
        raise InputError(f"{here}: not an imglab file: {wrong}")
    # Imglab files have none, and entities, which may be bombs, cannot be declared without.
    if parent is None and element.getroottree().docinfo.internalDTD is not None:
        raise InputError(f"{here}: expected no DOCTYPE before <dataset>")


def _attribute(element: Any, name: str, here: str) -> str:
    value: str | None = element.get(name)
    if not value:
        raise InputError(f"{here}: <{element.tag}> without {name}, expected {name}='...'")
    return value
