"""Which landmarks a measurement takes, from texts such as ``nose-tail`` or ``width=3-7``."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ert._core.exceptions import InputError, one_line, quoted

MAX_LISTED = 12
# Ways to read a text, of which one must be left.
_MAX_READINGS = 64


def read_measurements(given: Any, what: str, count: int | None, names: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Return the landmarks of each measurement by its name.

    Parameters
    ----------
    given : str, sequence or mapping
        ``"a-b,c-d"``, a sequence of such texts or of sequences of landmarks (names, or integers from 0), or a mapping
        from the names of measurements to these. In a text a name comes before "=", or the landmarks are the name.
    what : str
        What is measured, such as "distances".
    count : int or None
        Number of landmarks of a measurement; None is three or more.
    names : sequence of str
        The landmarks.

    Raises
    ------
    InputError
        A landmark that does not exist, a text that can be read in two ways, another number of landmarks, a landmark
        twice, or two measurements of the same name.
    """
    listed: list[tuple[str | None, Any]]
    if isinstance(given, Mapping):
        listed = list(given.items())
    else:
        parts = [given] if isinstance(given, str) and given else given
        # Of texts, each may be a list.
        listed = [(None, item) for part in parts for item in (_split(part, ",") if isinstance(part, str) else [part])]
    found: dict[str, tuple[int, ...]] = {}
    for name, item in listed:
        here = f"{what}: {quoted(item.strip() if isinstance(item, str) else item)}"
        if isinstance(item, str):
            *before, text = _split(item, "=", 1)
            landmarks = parse_landmarks(text, names, here, count)
            name = before[0].strip() if before else name
        elif isinstance(item, Sequence) or (isinstance(item, np.ndarray) and item.ndim):
            landmarks = tuple(_find(each, names, here) for each in item)
        else:
            raise InputError(f"{here}: expected a text such as 'A-B', or a sequence of landmarks")
        _check_count(landmarks, count, here)
        name = "-".join(names[k] for k in landmarks) if name is None else name
        if not name:
            raise InputError(f"{here}: expected a name before the '='")
        if name in found:
            raise InputError(f"{here}: {quoted(name)} is given twice, expected each name once")
        found[name] = landmarks
    return found


def parse_landmarks(text: str, names: Sequence[str], here: str, count: int | None) -> tuple[int, ...]:
    """Return the landmarks in a text: names, or numbers from 0 where no name is a number, with "-" between them.

    A name that contains "-" is found where the text can be read in one way only; otherwise it stands in double quotes.
    """
    pieces = [piece.strip() for piece in _split(text, "-")]
    # readings[i]: the ways to read the pieces from i on.
    readings: list[list[tuple[int, ...]]] = [[] for _ in pieces] + [[()]]
    index = {name: k for k, name in enumerate(names)}
    for start in reversed(range(len(pieces))):
        for end in range(start + 1, len(pieces) + 1):
            k = _index("-".join(pieces[start:end]), index) if readings[end] else None
            if k is not None:
                readings[start] += [(k, *rest) for rest in readings[end]][:_MAX_READINGS]
    possible = [each for each in readings[0] if count is None or len(each) == count]
    if len(possible) > 1:
        ways = " or ".join(", ".join(names[k] for k in each) for each in possible[:2])
        raise InputError(f"{here}: may be {ways}; expected names that contain '-' in double quotes")
    if possible:
        return possible[0]
    if readings[0]:
        return readings[0][0]  # of another number
    for piece in pieces:
        _find(piece, names, here)
    raise InputError(f"{here}: expected landmarks with '-' between them")


def _index(piece: str, index: Mapping[str, int]) -> int | None:
    if len(piece) > 1 and piece[0] == piece[-1] == '"':
        return index.get(piece[1:-1])
    if piece in index:
        return index[piece]
    is_number = re.fullmatch("[0-9]{1,9}", piece) and int(piece) < len(index)
    return int(piece) if is_number and not any(name.isdecimal() for name in index) else None


def _find(item: Any, names: Sequence[str], here: str) -> int:
    """Return the index of a landmark that is given by its name or by an integer."""
    k: int | None
    if isinstance(item, str):
        k = _index(item, {name: k for k, name in enumerate(names)})
    else:
        is_index = isinstance(item, (int, np.integer)) and not isinstance(item, bool) and 0 <= item < len(names)
        k = int(item) if is_index else None
    if k is None:
        listed = one_line(", ".join(names[:MAX_LISTED])) + (", ..." if len(names) > MAX_LISTED else "")
        numbers = "" if any(name.isdecimal() for name in names) else f", or a number from 0 to {len(names) - 1}"
        raise InputError(f"{here}: no landmark {quoted(item)}, expected one of {listed}{numbers}")
    return k


def _check_count(landmarks: tuple[int, ...], count: int | None, here: str) -> None:
    n, expected = len(landmarks), "three or more" if count is None else count
    if n != count and (count is not None or n < 3):
        raise InputError(f"{here}: {n} landmark{'s' * (n != 1)}, expected {expected} with '-' between them")
    if len(set(landmarks)) < n:
        raise InputError(f"{here}: the same landmark twice, expected {expected} different ones")


def _split(text: str, mark: str, maxsplit: int = 0) -> list[str]:
    """Split a text at a mark outside of double quotes."""
    return re.split(f'{mark}(?=(?:[^"]*"[^"]*")*[^"]*$)', text, maxsplit=maxsplit)
