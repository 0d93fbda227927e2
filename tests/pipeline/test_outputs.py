"""Predictions in files of every format."""

import json
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from helpers import SHARED, write
from PIL import Image

import ert
from ert._core.exceptions import InputError
from ert.pipeline.inputs import Item
from ert.pipeline.outputs import OUTPUT_FORMATS, choose_output, images_in, write_photos
from ert.pipeline.part import Columns
from ert.pipeline.predict import Photo, Prediction

NAMES = ("a", "b_x", "y_c", "0", "x", "std")
ALL = Columns(NAMES, True, True, True, True)


def predictions(folder, n, columns=ALL, n_objects=1):
    """What might be found in n images of 40 x 30 pixels."""
    rng = np.random.default_rng(0)
    found = []
    for i in range(n):
        file = folder / f"p{i}.png"
        if not file.exists():
            Image.new("L", (40, 30)).save(file)
        for number in range(1, n_objects + 1):
            found.append(
                Prediction(
                    *(file, f"p{i}", rng.uniform(1, 20, 4).round(3)),
                    rng.uniform(0, 30, (len(columns.names), 2)).round(3),
                    columns.names,
                    12.5 if columns.roll else 0.0,
                    0.75 if columns.confidence else None,
                    rng.uniform(0, 2, len(columns.names)).round(3) if columns.std else None,
                    number,
                    0.05 if columns.scale else None,
                    (40, 30),
                )
            )
    return found


@pytest.mark.parametrize("name", ["out.tps", "out.csv", "out.json", "out.jsonl", "out.xml", "long.csv", "folder"])
def test_every_format_is_read_again(tmp_path, name):
    columns = ALL if name != "out.xml" else ALL._replace(names=("a", "b_x", "c"))
    found = predictions(tmp_path, 3, columns)
    out = tmp_path / "results" / name
    out.parent.mkdir()
    format = {"long.csv": "long", "folder": "pts"}.get(name)
    assert ert.write_predictions(iter(found), out, format) == 3
    dataset = ert.load_dataset(out, image_folder=tmp_path)
    assert [file.resolve() for file in dataset.files] == [each.image.resolve() for each in found]
    within = 0.5 if name == "out.xml" else 1e-9
    np.testing.assert_allclose(dataset.landmarks, [each.landmarks for each in found], atol=within)
    if name in ("out.csv", "out.json", "out.jsonl", "out.xml"):
        assert dataset.box_source == "given"
        np.testing.assert_allclose(dataset.boxes, [each.box for each in found], atol=within)
    if name not in ("out.xml", "folder"):
        assert dataset.ids == ("p0", "p1", "p2")
        assert dataset.scales.tolist() == [0.05] * 3
    if name not in ("out.tps", "folder"):
        assert dataset.landmark_names == columns.names


def test_wide_table(tmp_path):
    ert.write_predictions(predictions(tmp_path, 1, Columns(("a", "b"), True, True, True, True)), tmp_path / "t.csv")
    header, row = (tmp_path / "t.csv").read_text().splitlines()
    assert header == ("image,specimen,object,left,top,width,height,roll,confidence,scale,x_a,y_a,std_a,x_b,y_b,std_b")
    assert row.startswith("p0.png,p0,1,")
    assert ",12.5,0.75,0.05," in row
    ert.write_predictions(predictions(tmp_path, 1, Columns(("a",))), tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text().splitlines()[0] == ("image,specimen,object,left,top,width,height,x_a,y_a")


def test_long_table(tmp_path):
    columns = Columns(("a", "b"), True, True, True, True)
    ert.write_predictions(predictions(tmp_path, 1, columns, 2), tmp_path / "t.csv", "long")
    lines = (tmp_path / "t.csv").read_text().splitlines()
    assert lines[0] == "image,specimen,object,landmark,x,y,std,confidence,scale"
    assert [line.split(",")[:4] for line in lines[1:]] == [
        ["p0.png", "p0", str(number), name] for number in (1, 2) for name in "ab"
    ]
    assert len(ert.load_dataset(tmp_path / "t.csv")) == 2


def test_json_lines(tmp_path):
    (found,) = predictions(tmp_path, 1, Columns(("a", "b"), True, True, True, True))
    ert.write_predictions([found], tmp_path / "t.jsonl")
    (line,) = (tmp_path / "t.jsonl").read_text().splitlines()
    entry = json.loads(line)
    assert list(entry["landmarks"]) == ["a", "b"]
    assert entry["landmarks"]["b"] == found.landmarks[1].tolist()
    assert entry["std"]["a"] == found.std[0]
    assert [
        entry[key] for key in ("image", "specimen", "object", "roll", "confidence", "scale", "width", "height")
    ] == [*("p0.png", "p0", 1, 12.5, 0.75, 0.05, 40, 30)]


def test_parquet(tmp_path, monkeypatch):
    found = predictions(tmp_path, 3)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match="needs pyarrow, which is not installed: pip install pyarrow"):
        ert.write_predictions(found, tmp_path / "t.parquet")
    monkeypatch.undo()
    parquet = pytest.importorskip("pyarrow.parquet")
    ert.write_predictions(found, tmp_path / "t.parquet")
    table = parquet.read_table(tmp_path / "t.parquet").to_pydict()
    assert table["specimen"] == ["p0", "p1", "p2"]
    assert table["object"] == [1, 1, 1]
    assert table["x_std"] == [each.landmarks[5, 0] for each in found]


def test_tps_counts_y_from_the_bottom_and_names_specimens(tmp_path):
    (first, second) = predictions(tmp_path, 1, Columns(("a",), scale=True), 2)
    ert.write_predictions([first, second], tmp_path / "t.tps")
    x, y = first.landmarks[0]
    lines = (tmp_path / "t.tps").read_text().splitlines()
    assert lines[:5] == ["LM=1", f"{x:g} {29 - y:g}", "IMAGE=p0.png", "ID=p0", "SCALE=0.05"]
    assert lines[8] == "ID=p0_2"


def photos_of(found, folder):
    by_image = {}
    for each in found:
        by_image.setdefault(each.image, []).append(each)
    nothing = folder / "nothing.png"
    Image.new("L", (40, 30)).save(nothing)
    photos = [Photo(Item(file, file.stem, scale=0.05), (40, 30), tuple(each)) for file, each in by_image.items()]
    return [photos[0], Photo(Item(nothing, "nothing", scale=0.05), (40, 30)), *photos[1:]]


@pytest.mark.parametrize("format", [name for name in OUTPUT_FORMATS if name != "parquet"])
def test_an_image_without_an_object_gets_no_landmarks(tmp_path, format):
    photos = photos_of(predictions(tmp_path, 2), tmp_path)
    out = tmp_path / f"out{OUTPUT_FORMATS[format].suffix}"
    if format == "pts":
        # Of an earlier run that found something.
        write(out / "nothing.pts", "version: 1\nn_points: 1\n{\n1 1\n}\n")
    write_photos(out, format, lambda: iter(photos), ALL)
    if format == "jsonl":
        entry = json.loads(out.read_text().splitlines()[1])
        assert (entry["image"], entry["object"], "landmarks" in entry) == ("nothing.png", None, False)
        return
    dataset = ert.load_dataset(out, image_folder=tmp_path)
    assert [file.name for file in dataset.files] == ["p0.png", "p1.png"]
    if format in ("csv", "long"):
        # In the table, and passed over where it is read.
        assert "nothing.png,nothing,," in out.read_text()
        assert [(each.kind, each.file.name) for each in dataset.skipped] == [("no landmarks", "nothing.png")]


@pytest.mark.parametrize("format", ["csv", "long", "tps", "jsonl"])
def test_images_are_added_to_a_finished_output(tmp_path, format):
    photos = photos_of(predictions(tmp_path, 4), tmp_path)
    out = tmp_path / f"out{OUTPUT_FORMATS[format].suffix}"
    write_photos(out, format, lambda: iter(photos), ALL)
    expected = out.read_text()
    write_photos(out, format, lambda: iter(photos[:3]), ALL)
    # As an editor leaves it.
    out.write_text(out.read_text().rstrip("\n"))
    found = images_in(out, format, ALL)
    assert {Path(file).name for file in found} == {"p0.png", "nothing.png", "p1.png"} - (
        {"nothing.png"} if format == "tps" else set()
    )
    write_photos(out, format, lambda: iter(photos[3:]), ALL, add=True)
    assert out.read_text() == expected
    if format in ("csv", "long"):
        with pytest.raises(InputError, match=r"out.csv:1: has other columns"):
            images_in(out, format, ALL._replace(std=False))


@pytest.mark.parametrize(("format", "suffix"), [("coco", "json"), ("imglab", "xml"), ("parquet", "parquet")])
def test_formats_that_are_one_document_are_not_added_to(tmp_path, format, suffix):
    with pytest.raises(InputError, match=r"is finished, and images are added only to .tps, .csv, .jsonl and folders"):
        images_in(tmp_path / f"a.{suffix}", format, ALL)


def test_json_lines_of_others_are_not_added_to(tmp_path):
    with pytest.raises(InputError, match=r"a.jsonl:1: expected an object with an image"):
        images_in(write(tmp_path / "a.jsonl", '{"file": 1}\n'), "jsonl", ALL)


@pytest.mark.parametrize("format", [name for name in OUTPUT_FORMATS if name not in ("parquet", "pts")])
def test_memory_does_not_grow_with_the_number_of_images(tmp_path, format):
    columns = ALL._replace(names=tuple(f"n{i}" for i in range(30)))
    (found,) = predictions(tmp_path, 1, columns)
    peaks = []
    for n in (50, 50, 500):
        photos = [Photo(Item(found.image, "p"), (40, 30), (found,))] * n
        out = tmp_path / f"out{OUTPUT_FORMATS[format].suffix}"
        tracemalloc.start()
        write_photos(out, format, lambda photos=photos: iter(photos), columns)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] - peaks[1] < 0.5 * out.stat().st_size


@pytest.mark.parametrize(
    ("name", "format", "message"),
    [
        ("a.txt", None, r"a.txt: expected a file ending in .tps, .csv, .jsonl, .json, .xml, .parquet, or a folder"),
        ("a.csv", "excel", "format 'excel': expected one of tps, csv, long"),
        ("a.csv", "tps", r"a.csv: expected a file ending in .tps for the format tps"),
        ("a.csv", "pts", r"a.csv: expected a folder for the format pts"),
    ],
)
def test_formats_and_suffixes_that_do_not_fit(name, format, message):
    with pytest.raises(InputError, match=message):
        choose_output(name, format)


def test_what_cannot_be_written(tmp_path):
    found = predictions(tmp_path, 2, n_objects=2)
    with pytest.raises(InputError, match="no predictions, expected at least one"):
        ert.write_predictions([], tmp_path / "a.csv")
    with pytest.raises(InputError, match=r"has several objects, expected one for each .pts file"):
        ert.write_predictions(found, tmp_path / "pts", "pts")
    with pytest.raises(InputError, match=r"p0.png: landmarks of another model than the first"):
        ert.write_predictions([found[0], *predictions(tmp_path, 1, Columns(("a",)))], tmp_path / "a.csv")
    with pytest.raises(InputError, match=r"there is no folder"):
        ert.write_predictions(found, tmp_path / "none" / "a.csv")
    (tmp_path / "b").mkdir()
    twins = [found[0], *predictions(tmp_path / "b", 1)]
    with pytest.raises(InputError, match=r"p0.png has the same name"):
        ert.write_predictions(twins, tmp_path / "pts", "pts")


def test_wings_are_read_as_they_were_predicted(tmp_path):
    """A TPS file of real photographs, which counts y from the bottom."""
    if not SHARED.is_dir():
        pytest.skip("needs ../shared/data, which is not there")
    wings = SHARED / "wings"
    truth = ert.load_dataset(wings / "landmark-examples/tps-example.tps", image_folder=wings / "image-examples")
    found = [
        Prediction(file, id, box, shape, truth.landmark_names, image_size=(632, 480))
        for file, id, box, shape in zip(truth.files[:5], truth.ids, truth.boxes, truth.landmarks, strict=False)
    ]
    ert.write_predictions(found, tmp_path / "w.tps")
    again = ert.load_dataset(tmp_path / "w.tps")
    np.testing.assert_allclose(again.landmarks, truth.landmarks[:5], atol=1e-3)
