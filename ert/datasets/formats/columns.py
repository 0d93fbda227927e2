"""What the columns of a table of landmarks contain, by their names."""

import re
from typing import NamedTuple

from ert._core.exceptions import InputError
from ert.datasets.parsing import BOX_COLUMNS, quoted

_IMAGE_NAMES = re.compile("(image|img|file)(name|file|path)?|path")
_CORNERS = [("left", "top", "right", "bottom"), ("xmin", "ymin", "xmax", "ymax"), ("x_min", "y_min", "x_max", "y_max")]
_BOXES = [BOX_COLUMNS, ("x", "y", "width", "height"), ("x", "y", "w", "h"), *_CORNERS]
# Only with a prefix: without one, these are landmarks.
_PREFIXED_CORNERS = [("x1", "y1", "x2", "y2")]
_BOX_PREFIXES = ("box_", "bbox_", "rect_")
# An index without a name, too.
_IGNORED = re.compile(r"confidence|std[0-9]+|index|unnamed: ?[0-9]+|tag|split|object|roll|", re.IGNORECASE)
# Of "std0", "std_nose".
_STD = re.compile(r"std_?(?:0*(?P<number>[0-9]+)|(?P<name>.+))", re.IGNORECASE)
_LABELS = frozenset(("label", "class", "category"))
_IDS = ("id", "specimen")
_SCORES = re.compile(r"(.+)[_ .](likelihood|score|confidence)", re.IGNORECASE)
# Of "x0" and "x_0", "nose_x", "p0x" and "noseX", "x_nose".
_AXES = (
    re.compile(r"(?P<axis>[xy])_?0*(?P<name>[0-9]+)", re.IGNORECASE),
    re.compile(r"(?P<name>.+)[_ .-](?P<axis>[xy])", re.IGNORECASE),
    re.compile(r"(?P<name>.*[0-9])(?P<axis>[xy])", re.IGNORECASE),
    re.compile(r"(?P<name>.*[a-z])(?P<axis>[XY])"),
    re.compile(r"(?P<axis>[xy])[_ .-](?P<name>.+)", re.IGNORECASE),
)


class Columns(NamedTuple):
    """Indices of the columns of a table."""

    image: int
    box: list[int]  # four, or none
    has_corners: bool  # the box is left, top, right, bottom in place of left, top, width, height
    landmarks: dict[str, tuple[int, int]]  # name -> x, y
    label: int | None
    id: int | None
    scale: int | None
    has_scores: bool  # there are scores of landmarks, which are not read
    is_muct: bool  # the table of MUCT, where 0, 0 is a missing landmark
    std: dict[str, int]  # name -> standard error, of the landmarks that have one


def find_columns(header: list[str], here: str) -> Columns:
    """Find the columns of an image, landmarks, and optionally a box and others; raise InputError for unknown ones."""
    image = _find_image(header, here)
    index = {name.lower(): i for i, name in enumerate(header) if i != image}
    box, has_corners = _find_box(index, here)
    label = next((index[name] for name in _LABELS if name in index), None)
    std = _find_std(header)
    taken = {image, *box, *std.values()} | {index.get(name, image) for name in (*_IDS, "scale", *_LABELS)}
    id = next((index[name] for name in _IDS if name in index), None)
    if "specimen" in index and (landmarks := _predicted_landmarks(header, here)):
        std = {name: header.index(f"std_{name}") for name in landmarks if f"std_{name}" in header}
        return Columns(image, box, has_corners, landmarks, None, id, index.get("scale"), False, False, std)
    if {"width", "height"} <= set(index) and not {"left", "top"} & set(index):
        taken |= {index["width"], index["height"]}  # of the image
    rest = [i for i in range(len(header)) if i not in taken and not _IGNORED.fullmatch(header[i])]
    scores = {i: match[1] for i in rest if (match := _SCORES.fullmatch(header[i]))}
    landmarks = _find_landmarks(header, [i for i in rest if i not in scores], here)
    for i, name in scores.items():
        if name not in landmarks:
            raise InputError(f"{here}: column {quoted(header[i])}, expected a landmark {quoted(name)} with x and y")
    is_muct = [name.lower() for name in header[:3]] == ["name", "tag", "x00"]
    return Columns(image, box, has_corners, landmarks, label, id, index.get("scale"), bool(scores), is_muct, std)


def _find_std(header: list[str]) -> dict[str, int]:
    """Return the columns of standard errors, by the names of landmarks that have an x or a y."""
    landmarks = {found[0] for column in header if (found := _axis_of(column))}
    matches = [(i, match) for i, column in enumerate(header) if (match := _STD.fullmatch(column))]
    named = {match["number"] or match["name"]: i for i, match in matches}
    return {name: i for name, i in named.items() if name in landmarks}


def _predicted_landmarks(header: list[str], here: str) -> dict[str, tuple[int, int]]:
    """Return the columns x_NAME, y_NAME of `ert predict`, where NAME may be any; further columns are not read."""
    index = {name: i for i, name in enumerate(header)}
    names = dict.fromkeys(name[2:] for name in header if name[:2] in ("x_", "y_"))
    for name in names:
        for axis in "xy":
            if f"{axis}_{name}" not in index:
                raise InputError(f"{here}: no column {quoted(f'{axis}_{name}')}, expected x and y of each landmark")
    return {name: (index[f"x_{name}"], index[f"y_{name}"]) for name in names}


def long_columns(header: list[str], here: str) -> tuple[int, ...] | None:
    """Return the columns image, landmark, x, y, object, specimen, scale, std of a table with a row for each landmark.

    The last four are -1 where they are absent. The result is None for a table with a row for each object.
    """
    index = {name.lower(): i for i, name in enumerate(header)}
    if not {"landmark", "x", "y"} <= index.keys():
        return None
    id = next((index[name] for name in _IDS if name in index), -1)
    numbers = [index[name] for name in ("landmark", "x", "y")]
    return (
        _find_image(header, here),
        *numbers,
        index.get("object", -1),
        id,
        index.get("scale", -1),
        index.get("std", -1),
    )


def _find_image(header: list[str], here: str) -> int:
    """Return the column of the image: the first one, unless the name of one other column says that it is that."""
    named = [i for i, name in enumerate(header) if _IMAGE_NAMES.fullmatch(re.sub("[ _-]", "", name.lower()))]
    if not named or named[0] == 0:
        if not named and len(header) > 1 and _axis_of(header[0]) and _axis_of(header[1]):
            raise InputError(f"{here}: no column of the image, expected one named image")
        return 0
    if len(named) > 1:
        both = " and ".join(quoted(header[i]) for i in named[:2])
        raise InputError(f"{here}: columns {both}, expected one column of the image")
    return named[0]


def _find_box(index: dict[str, int], here: str) -> tuple[list[int], bool]:
    """Return the columns of the box, and whether they are its corners."""
    prefixes = [prefix for prefix in _BOX_PREFIXES if any(name.startswith(prefix) for name in index)]
    is_usual = all((prefixes or [""])[0] + name in index for name in BOX_COLUMNS)
    found = [
        ([index[prefix + name] for name in names], names in _CORNERS + _PREFIXED_CORNERS)
        for prefix in prefixes or [""]
        for names in _BOXES + (_PREFIXED_CORNERS if prefix else [])
        if all(prefix + name in index for name in names)
    ]
    # The usual names come first: beside them, the x and y of "box_x, box_y, box_width, box_height" are a landmark.
    if len(found) > 1 and not is_usual:
        raise InputError(f"{here}: columns of several boxes, expected one box")
    if found:
        return found[0]
    prefix = prefixes[0] if prefixes else ""
    absent = [prefix + name for name in BOX_COLUMNS if prefix + name not in index]
    has_edge = any(prefix + name in index for name in ("left", "top"))
    if has_edge or (prefix and len(absent) < len(BOX_COLUMNS)):
        raise InputError(f"{here}: no column {', '.join(absent)}, expected all four columns of a box or none")
    return [], False


def _axis_of(column: str) -> tuple[str, str] | None:
    """Return the name of a landmark and "x" or "y", or None if a column has another name."""
    match = next((match for pattern in _AXES if (match := pattern.fullmatch(column))), None)
    return match and (match["name"], match["axis"].lower())


def _find_landmarks(header: list[str], rest: list[int], here: str) -> dict[str, tuple[int, int]]:
    if not rest:
        raise InputError(f"{here}: no landmark columns, expected the image, then x0, y0, x1, y1, ...")
    names = [header[i] for i in rest]
    if [name.lower() for name in names] == ["x", "y"]:
        names = ["x0", "y0"]
    elif all(re.fullmatch("[0-9]{1,6}", name) for name in names):
        if any(int(name) != int(names[0]) + k for k, name in enumerate(names)):
            raise InputError(f"{here}: numbered columns out of order, expected 0, 1, 2, 3, ...")
        names = [f"{'xy'[k % 2]}{k // 2}" for k in range(len(names))]
    axes: dict[str, dict[str, int]] = {}
    for i, column in zip(rest, names, strict=True):
        found = _axis_of(column)
        if found is None:
            raise InputError(f"{here}: column {quoted(column)}, expected a name like x0 or nose_x")
        name, axis = found
        if axis in axes.setdefault(name, {}):
            raise InputError(f"{here}: column {quoted(column)}, expected one {axis} of {quoted(name)}")
        axes[name][axis] = i
    for name, of_name in axes.items():
        if len(of_name) < 2:
            raise InputError(f"{here}: landmark {quoted(name)} has {min(of_name)} only, expected x and y")
    return {name: (of_name["x"], of_name["y"]) for name, of_name in axes.items()}
