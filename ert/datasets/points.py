"""Coordinates as other programs write them: decimal commas, words and numbers that stand for a missing landmark."""

import math
import re
from collections.abc import Collection

import numpy as np

from ert._core.exceptions import InputError
from ert.datasets.parsing import DECIMALS, MAX_COORDINATE, Point, format_number, quoted, read_number

MISSING: Point = (math.nan, math.nan)
# Pairs of the same number that some programs write for a missing landmark, and others for a point.
FILLERS = frozenset((0.0, -1.0, -99.0, -999.0, -9999.0))
_WORDS = frozenset(("", "nan", "na", "n/a", "#n/a", "<na>", "none", "null"))
_DECIMAL_COMMA = re.compile(r"([+-]?)([0-9]*),([0-9]*)(e[+-]?[0-9]+)?", re.IGNORECASE)
_SEPARATORS = re.compile(r"\s*;\s*|\s*,\s+|\s+,\s*|\s+")
# The side of a JPEG has at most 65535 pixels.
_MAX_THOUSANDS = 65


class CoordinateReader:
    """Parses the coordinates of one file; `finish` is called at its end.

    Parameters
    ----------
    missing : collection of float, optional
        Values v such that "v v" is a missing landmark. By default, one of `FILLERS` is an error that asks.
    takes_halves : bool
        Whether a landmark is missing if a word like ``NA`` stands for one of its coordinates; otherwise an error.
    """

    def __init__(self, missing: Collection[float] | None = None, *, takes_halves: bool = False) -> None:
        self._fillers = FILLERS if missing is None else frozenset(missing)
        self._asks = missing is None
        self._takes_halves = takes_halves
        # The first number whose comma may also separate thousands, until another number decides.
        self._doubtful: str | None = None
        self._has_decimal_comma = False
        self._comma_separates: str | None = None
        self.n_halves = 0

    def point(self, x: str, y: str, here: str, x_label: str = "x", y_label: str = "y") -> Point:
        """Parse x and y; `here` and the labels are place and items for error messages. NaN, NaN is missing."""
        try:
            point = float(x), float(y)
        except ValueError:
            point = MISSING
        if not (abs(point[0]) <= MAX_COORDINATE and abs(point[1]) <= MAX_COORDINATE) or "_" in x or "_" in y:
            is_missing = x.lower() in _WORDS, y.lower() in _WORDS
            if all(is_missing):
                return MISSING
            if self._takes_halves and any(is_missing) and x and y:
                self.n_halves += 1
                return MISSING
            point = self.number(x, here, x_label), self.number(y, here, y_label)
        if point[0] == point[1] and point[0] in self._fillers:
            if self._asks:
                value = format_number(point[0])
                choice = f"--missing={value} if that stands for a missing landmark, --missing=none if it is a point"
                raise InputError(f"{here}: {x_label} and {y_label} are {value}: give {choice}")
            return MISSING
        return point

    def cells(self, text: str, here: str) -> list[str]:
        """Return the cells of a line of coordinates, which blanks, semicolons or commas separate.

        A comma beside a blank is a separator. Within a word, it is one if the line is a single word with one comma or
        decimal points; otherwise it is a decimal comma.
        """
        if "," not in text and ";" not in text:
            return text.split()
        cells = _SEPARATORS.split(text.strip(" \t,;"))
        if len(cells) == 1 and (text.count(",") == 1 or "." in text):
            self._comma_separates = self._comma_separates or f"{here}: {quoted(text)}"
            return text.split(",")
        return cells

    def number(self, text: str, here: str, what: str) -> float:
        """Parse a coordinate in pixels."""
        try:
            value = math.nan if "_" in text else float(text)
        except ValueError:
            value = self._with_decimal_comma(text, here, what)
        if not abs(value) <= MAX_COORDINATE:
            raise InputError(f"{here}: {what} is {quoted(text)}, expected a number of pixels")
        return value

    def _with_decimal_comma(self, text: str, here: str, what: str) -> float:
        match = _DECIMAL_COMMA.fullmatch(text)
        if match is None or not (match[2] or match[3]):
            return math.nan
        _, whole, decimals, exponent = match.groups()
        if exponent or len(decimals) != 3 or whole[:1] in ("", "0") or len(whole) > 3 or int(whole) > _MAX_THOUSANDS:
            self._has_decimal_comma = True
        elif self._doubtful is None:
            self._doubtful = f"{here}: {what} is {quoted(text)}"
        return float(text.replace(",", "."))

    def finish(self) -> None:
        """Raise InputError if the commas of the file have two meanings, or all may separate thousands."""
        if self._comma_separates and (self._doubtful or self._has_decimal_comma):
            raise InputError(f"{self._comma_separates}, expected two numbers with decimal commas, as in other lines")
        if self._doubtful is not None and not self._has_decimal_comma:
            raise InputError(f"{self._doubtful}, expected a decimal point: the comma may separate thousands")


def format_point(x: float, y: float) -> tuple[str, str]:
    """Return a point as text; one that readers could take for a missing landmark moves by a millionth of a pixel."""
    first, second = format_number(x), format_number(y)
    if first == second and float(first) in FILLERS:
        first = format_number(float(first) + 10**-DECIMALS)
    return first, second


def read_scale(text: str, what: str) -> float | None:
    """Parse the length of a pixel, or return None for an empty text; `what` is place and item for the error message."""
    if text.lower() in _WORDS:
        return None
    try:
        scale = math.nan if "_" in text else float(text.replace(",", "."))
    except ValueError:
        scale = math.nan
    if not 0 < scale < math.inf:
        raise InputError(f"{what} is {quoted(text)}, expected a number above 0 or nothing")
    return scale


def read_std(text: str, here: str, what: str) -> float:
    """Parse a standard error in pixels; NaN for an empty text. `here` and `what` are place and item for the message."""
    if text.lower() in _WORDS:
        return math.nan
    value = read_number(text.replace(",", "."), here, what)
    if value < 0:
        raise InputError(f"{here}: {what} is {quoted(text)}, expected a standard error from 0 up or nothing")
    return value


def format_scale(scale: float) -> str:
    """Return a scale with all its digits, without an exponent, which some programs cannot read; "" for NaN."""
    return "" if math.isnan(scale) else np.format_float_positional(scale, trim="-")
