"""CSV tables: commas, semicolons or tabs between cells, a header, blank rows, commas at the ends of lines."""

import csv
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from ert._core.exceptions import InputError
from ert.datasets.parsing import first_duplicate, quoted
from ert.datasets.text import text_lines

_SEPARATORS = (",", ";", "\t")
Row = tuple[int, list[str]]


def csv_rows(path: Path) -> Iterator[Row]:
    """Yield (line, cells without blanks around them) of each row of a table, except blank ones."""
    numbered = text_lines(path)
    # The line that begins the table, and the next one, which may decide what separates the cells.
    head = _next_line(numbered)
    separator = ","
    if head and (declared := head[0][1].strip().lower()) in [f"sep={mark}" for mark in _SEPARATORS]:
        # Excel's way to say it; a tab at the end was stripped above.
        separator, head = declared[-1], _next_line(numbered)
    elif head and declared == "sep=":
        separator, head = "\t", _next_line(numbered)
    elif head:
        head += _next_line(numbered)
        separator = _find_separator(path, head)
    if not head:
        return
    # Lines that were skipped at the start count.
    skipped = head[0][0] - 1
    gap = head[1][0] - head[0][0] - 1 if len(head) > 1 else 0
    texts = chain([head[0][1]], ["\n"] * gap, [text for _, text in head[1:]], (text for _, text in numbered))
    reader = csv.reader(texts, delimiter=separator, strict=True, skipinitialspace=True)
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any(cells):
                yield skipped + reader.line_num, cells
    except csv.Error as error:
        raise InputError(f"{path}:{skipped + reader.line_num}: invalid CSV: {error}") from None


def _next_line(numbered: Iterator[tuple[int, str]]) -> list[tuple[int, str]]:
    """Return the next line that is not blank, in a list, which is empty at the end."""
    return next(([(line, text)] for line, text in numbered if text.strip()), [])


def _find_separator(path: Path, head: list[tuple[int, str]]) -> str:
    """Return what separates the cells of a table: in its first line or, if that has several marks, in both lines."""
    possible = [mark for mark in _SEPARATORS if _count_cells(head[0][1], mark) > 1]
    if len(possible) > 1 and len(head) > 1:
        n_cells = {mark: _count_cells(head[0][1], mark) for mark in possible}
        possible = [mark for mark in possible if _count_cells(head[1][1], mark) == n_cells[mark]] or possible
    if len(possible) > 1:
        marks = " or ".join(map(repr, possible))
        raise InputError(f"{path}:{head[0][0]}: cells may be separated by {marks}, expected one of them in the header")
    return possible[0] if possible else ","


def _count_cells(text: str, separator: str) -> int:
    try:
        return len(next(csv.reader([text], delimiter=separator, skipinitialspace=True), []))
    except csv.Error:
        return 0


def csv_table(path: Path) -> Iterator[Row]:
    """Yield (line, cells) of a CSV file: the header, then at least one row, all of the same length."""
    rows = csv_rows(path)
    line, header = next(rows, (1, []))
    yield from with_header(path, line, header, rows)


def with_header(
    path: Path, line: int, header: list[str], rows: Iterator[Row], *, ragged: bool = False
) -> Iterator[Row]:
    """Yield a header and at least one row below it; empty cells at the end are dropped.

    All have the same length, unless `ragged`; then `check_length` finds those that have not.
    """
    while len(header) > 1 and not header[-1]:
        header.pop()
    duplicate = first_duplicate(header)
    if duplicate is not None:
        raise InputError(f"{path}:{line}: duplicate column {quoted(duplicate)}")
    yield line, header
    header_line, n = line, len(header)
    for line, cells in rows:
        if len(cells) != n:
            if not any(cells[n:]):
                del cells[n:]
            if not ragged:
                check_length(cells, n, f"{path}:{line}")
        yield line, cells
    if line == header_line:
        raise InputError(f"{path}:{line + 1}: expected rows below the header, found none")


def check_length(cells: list[str], n: int, here: str) -> None:
    """Raise InputError for a row that is not as long as the header, of n cells."""
    if len(cells) != n:
        raise InputError(f"{here}: {len(cells)} cells, expected {n} as in the header")
