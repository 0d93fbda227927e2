"""A table of measurements, one row an object."""

import csv
import io
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ert._core.exceptions import InputError
from ert._core.files import write_text
from ert._core.types import Floats, StrPath

if TYPE_CHECKING:
    import pandas

# Digits of a measurement in a file: more than any camera resolves.
_DIGITS = 9
# Suffix -> kind of the file.
TABLE_KINDS = {".csv": "csv", ".json": "json"}


@dataclass(frozen=True, repr=False)
class Measurements:
    """Measurements of objects, as :func:`ert.measure` returns them.

    Parameters
    ----------
    specimens : tuple of str
        The name of each object.
    images : tuple of str
        Its image.
    columns : dict of str to (n,) float array
        The measurements by name, which ends with the unit, such as ``distance_0-3_mm``; NaN where a landmark is
        missing or the scale is not known. Where landmarks have standard errors, a column ``std_...`` follows.
    notes : tuple of str
        What could not be measured, one line each.
    """

    specimens: tuple[str, ...]
    images: tuple[str, ...]
    columns: dict[str, Floats]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.specimens)

    def __getitem__(self, name: str) -> Floats:
        """Return a column."""
        try:
            return self.columns[name]
        except KeyError:
            raise InputError(f"no column {name!r}, expected one of {', '.join(self.columns)}") from None

    def __repr__(self) -> str:
        shown = ", ".join(list(self.columns)[:6]) + (", ..." if len(self.columns) > 6 else "")
        return f"<Measurements: {len(self)} objects, {len(self.columns)} columns: {shown}>"

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the rows: specimen, image, and the measurements, None where there is none."""
        for i, (specimen, image) in enumerate(zip(self.specimens, self.images, strict=True)):
            numbers = {name: float(values[i]) for name, values in self.columns.items()}
            known = {name: None if math.isnan(value) else value for name, value in numbers.items()}
            yield {"specimen": specimen, "image": image, **known}

    def to_dataframe(self) -> "pandas.DataFrame":
        """Return a table of pandas with the columns ``specimen``, ``image`` and the measurements.

        Returns
        -------
        pandas.DataFrame

        Raises
        ------
        InputError
            When pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError:
            raise InputError("to_dataframe: needs pandas, which is not installed: pip install pandas") from None
        return pd.DataFrame({"specimen": self.specimens, "image": self.images, **self.columns})

    def text(self, suffix: str) -> str:
        """Return the table as text: for ``.csv`` with empty cells for NaN, for ``.json`` a list of its rows."""
        if suffix == ".json":
            return json.dumps(list(self.rows()), indent=1, allow_nan=False) + "\n"
        stream = io.StringIO()
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(["specimen", "image", *self.columns])
        for row in self.rows():
            table.writerow(
                [
                    f"{cell:.{_DIGITS}g}" if isinstance(cell, float) else "" if cell is None else cell
                    for cell in row.values()
                ]
            )
        return stream.getvalue()

    def write(self, path: StrPath) -> None:
        """Write the table to a file, which is replaced atomically.

        Parameters
        ----------
        path : path-like
            It ends in ``.csv`` or ``.json``.

        Raises
        ------
        InputError
            Another suffix, or a file that cannot be written.
        """
        kind = table_kind(path)
        with write_text(path, kind) as file:
            file.write(self.text(Path(path).suffix.lower()))


def table_kind(path: StrPath) -> str:
    """Return the kind of file of a table by its suffix."""
    suffix = Path(path).suffix.lower()
    if suffix not in TABLE_KINDS:
        raise InputError(f"{path}: unknown suffix {suffix!r}, expected {' or '.join(TABLE_KINDS)}")
    return TABLE_KINDS[suffix]
