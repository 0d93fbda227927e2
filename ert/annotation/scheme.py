"""The names of landmarks to annotate, and the lines to draw between them."""

import json
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from ert._core.exceptions import InputError, quoted
from ert._core.files import check_input
from ert.datasets.parsing import check_name, first_duplicate, read_json
from ert.datasets.text import text_lines
from ert.measurements.references import parse_landmarks
from ert.model.schemes import FACE68_CLOSED, FACE68_REGIONS

Links: TypeAlias = list[tuple[int, int]]
MAX_LANDMARKS = 10_000
_LINKS = "links:"


class Scheme(NamedTuple):
    """Names of landmarks, and pairs of landmarks between which a line is drawn."""

    names: tuple[str, ...]
    links: Links


def numbered_scheme(n: int) -> Scheme:
    """Return n landmarks whose names are their numbers."""
    if not 1 <= n <= MAX_LANDMARKS:
        raise InputError(f"--points {n}: expected a number from 1 to {MAX_LANDMARKS}")
    names = tuple(map(str, range(n)))
    return Scheme(names, known_links(n))


def known_links(n: int) -> Links:
    """Return the lines of the bundled scheme with this number of landmarks, of which only face68 has any."""
    if n != 68:
        return []
    links: Links = []
    for name, region in FACE68_REGIONS.items():
        links += pairwise(region)
        if name in FACE68_CLOSED:
            links.append((region[-1], region[0]))
    return links


_FACE5 = Scheme(("left_eye_outer", "left_eye_inner", "right_eye_outer", "right_eye_inner", "nose"), [(0, 1), (2, 3)])
# The landmarks of face68 have numbers, as in every file of 300-W.
SCHEMES = {"face5": _FACE5, "face68": numbered_scheme(68)}


def read_scheme(name: str) -> Scheme:
    """Return a bundled scheme, or read one from a file.

    Parameters
    ----------
    name : str
        "face5", "face68", or a file. A text file has a name in each line; ``#`` starts a comment, and a line such
        as ``links: tip-hinge-notch, hinge-hip`` says between which landmarks lines are drawn. A .json file is a list
        of names, or ``{"landmarks": [names], "links": [[0, 1], ["tip", "hinge"]]}``.

    Raises
    ------
    InputError
        For an unknown scheme, no names, a name twice, or a link to an unknown landmark.
    """
    if name in SCHEMES:
        return SCHEMES[name]
    path = Path(name)
    if not path.exists():
        raise InputError(f"--scheme {name}: no such file, and no scheme of that name; known: {', '.join(SCHEMES)}")
    check_input(path, "a file of landmark names")
    names, links = _from_json(path) if path.suffix.lower() == ".json" else _from_text(path)
    check_landmark_names(names, str(path))
    return Scheme(tuple(names), list(_resolve(links, names, path)))


def check_landmark_names(names: Sequence[str], here: str) -> None:
    """Raise InputError for names that no file could hold, or one that appears twice."""
    if not 1 <= len(names) <= MAX_LANDMARKS:
        raise InputError(f"{here}: {len(names)} landmark names, expected 1 to {MAX_LANDMARKS}")
    for name in names:
        try:
            check_name(name, "a table")
        except InputError as error:
            raise InputError(f"{here}: {error}") from None
    twin = first_duplicate(names)
    if twin is not None:
        raise InputError(f"{here}: duplicate landmark name {quoted(twin)}")


def _from_json(path: Path) -> tuple[list[str], list[Any]]:
    data = read_json(path)
    names, links = (data.get("landmarks"), data.get("links", [])) if isinstance(data, dict) else (data, [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError(f"{path}: landmarks are {quoted(names)}, expected a list of names")
    if not isinstance(links, list):
        raise InputError(f"{path}: links are {quoted(links)}, expected a list of pairs of landmarks")
    return names, links


def _from_text(path: Path) -> tuple[list[str], list[Any]]:
    names, links = list[str](), list[Any]()
    for _, line in text_lines(path):
        text = line.strip()
        if text.lower().startswith(_LINKS):
            links += [part.strip() for part in text[len(_LINKS) :].split(",") if part.strip()]
        elif text and not text.startswith("#"):
            names.append(text)
    return names, links


def _resolve(links: Sequence[Any], names: Sequence[str], path: Path) -> Iterator[tuple[int, int]]:
    for link in links:
        here = f"{path}: link {quoted(link) if isinstance(link, str) else json.dumps(link)[:60]}"
        if isinstance(link, str):
            chain = parse_landmarks(link, names, here, None)
        elif isinstance(link, list):
            chain = tuple(_landmark(item, names, here) for item in link)
        else:
            chain = ()
        if len(chain) < 2:
            raise InputError(f"{here}: expected two landmarks or more")
        yield from pairwise(chain)


def _landmark(item: Any, names: Sequence[str], here: str) -> int:
    if isinstance(item, str) and item in names:
        return list(names).index(item)
    if isinstance(item, int) and not isinstance(item, bool) and 0 <= item < len(names):
        return item
    raise InputError(f"{here}: no landmark {quoted(item)}, expected a name or a number from 0 to {len(names) - 1}")
