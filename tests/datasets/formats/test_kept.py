"""The table of docs/annotations.md: what is kept in each format."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ert._core.exceptions import InputError
from ert.datasets import load_dataset, write_dataset
from ert.datasets.formats.registry import FORMATS, READ_ONLY

PAGE = Path(__file__).resolve().parents[3] / "docs" / "annotations.md"
COLUMNS = ["missing landmarks", "names of landmarks", "boxes", "ids, scales", "standard errors"]


@pytest.fixture(scope="module")
def table():
    """What the page says: suffix -> column -> yes or no."""
    text = PAGE.read_text(encoding="utf-8").partition("## What is kept in each format")[2]
    rows = re.findall(r"^\|(.*)\|$", text.partition("\n\n- ")[0], re.MULTILINE)
    head, _, *cells = [[cell.strip() for cell in row.split("|")] for row in rows]
    return {re.search(r"`(\..*)`", row[0])[1]: dict(zip(head[1:], row[1:], strict=True)) for row in cells}


@pytest.fixture
def full(three):
    """Objects with all that any format keeps."""
    return replace(three, ids=("s1", "s2", "s3"), scales=np.full(3, 0.25), std=np.full((3, 3), 1.5))


def kept(before, after):
    """Return which columns of the table hold."""
    same_names = set(after.landmark_names) == set(before.landmark_names)
    order = [after.landmark_names.index(name) if same_names else i for i, name in enumerate(before.landmark_names)]
    lost = np.isnan(after.landmarks[:, order]) != np.isnan(before.landmarks)
    held = [
        *(not lost.any(), same_names, after.box_source == "given"),
        *(after.ids == before.ids and after.scales is not None, after.std is not None),
    ]
    return {column: "yes" if value else "no" for column, value in zip(COLUMNS, held, strict=True)}


def test_every_format_has_a_row(table):
    assert set(table) == {format.suffix for format in (FORMATS | READ_ONLY).values()}


@pytest.mark.parametrize("name", FORMATS)
def test_the_table_is_right(table, full, tmp_path, name):
    format = FORMATS[name]
    row = table[format.suffix]
    path = tmp_path / "out" if format.folder else tmp_path / f"out{format.suffix}"
    if row["several objects in an image"] == "no":
        with pytest.raises(InputError, match="several objects"):
            write_dataset(full, path, name)
        full = full.subset([1, 2])
    write_dataset(full, path, name)
    found = load_dataset(path, image_folder=tmp_path if format.folder else None)
    assert len(found) == len(full)
    assert kept(full, found) == {column: row[column] for column in COLUMNS}
    flags = format.names, format.boxes, format.ids, format.std
    assert [row[column] == "yes" for column in COLUMNS[1:]] == list(flags)


def test_the_table_is_right_about_json_lines(table, full, tmp_path):
    lines = []
    for i, file in enumerate(full.files):
        points = zip(full.landmark_names, full.landmarks[i].tolist(), strict=True)
        entry = {"image": file.name, "specimen": full.ids[i], "box": full.boxes[i].tolist(), "scale": full.scales[i]}
        entry["landmarks"] = {name: None if np.isnan(x) else [x, y] for name, (x, y) in points}
        entry["std"] = dict.fromkeys(full.landmark_names, 1.5)
        lines.append(json.dumps(entry))
    (tmp_path / "out.jsonl").write_text("\n".join([*lines, ""]))
    row = table[".jsonl"]
    assert kept(full, load_dataset(tmp_path / "out.jsonl")) == {column: row[column] for column in COLUMNS}


def test_the_table_is_right_about_lists_of_wflw(table, three, tmp_path):
    lines = []
    for file, shape in zip(three.files, three.landmarks, strict=True):
        numbers = " ".join("-1 -1" if np.isnan(x) else f"{x} {y}" for x, y in shape)
        lines.append(f"{numbers} 1 2 31 42 0 0 0 0 0 0 {file.name}")
    (tmp_path / "out.txt").write_text("\n".join([*lines, ""]))
    found = kept(three, load_dataset(tmp_path / "out.txt", missing=[-1]))
    row = table[".txt"]
    # The format has neither ids, nor scales, nor standard errors.
    assert {column: found[column] for column in COLUMNS[:3]} == {column: row[column] for column in COLUMNS[:3]}
