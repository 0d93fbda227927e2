"""The tables of docs/dlib.md."""

import re
from dataclasses import fields
from pathlib import Path

from ert.compat.dlib import shape_predictor_training_options
from ert.compat.training import _OPTIONS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "dlib.md"


def test_the_table_has_every_option_of_training():
    text = PAGE.read_text(encoding="utf-8").partition("| `shape_predictor_training_options` |")[2].partition("\n\n")[0]
    rows = dict(re.findall(r"^\| `(\w+)`[^|]*\| `?(\w+)", text, re.MULTILINE))
    assert set(rows) == {field.name for field in fields(shape_predictor_training_options)}
    assert {option: rows[option] for option in _OPTIONS.values()} == {value: key for key, value in _OPTIONS.items()}
