import csv
import io
import json

import numpy as np
import pytest
from cli.running import refused, run
from helpers import SHARED, write
from PIL import Image

import ert

SPECIMENS = """LM=4
10 10
40 10
40 50
10 50
IMAGE=a.png
ID=fly 1
SCALE=0.5
LM=4
10 10
16 10
16 18
-1 -1
IMAGE=b.png
ID=fly 2
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    for name in "ab":
        Image.fromarray(np.zeros((60, 60), np.uint8)).save(tmp_path / f"{name}.png")
    write(tmp_path / "flies.tps", SPECIMENS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_a_table_on_standard_output(place, capsys):
    asked = ["--distances=0-2,height=1-2", "--angles=0-1-2", "--areas=0-1-2-3", "--perimeters=0-1-2", "--centroid-size"]
    assert run("measure", "flies.tps", *asked) == 0
    captured = capsys.readouterr()
    first, second = rows(captured.out)
    assert first == {
        "specimen": "fly 1",
        "image": "a.png",
        "distance_0-2_mm": "25",
        "height_mm": "20",
        "angle_0-1-2_deg": "90",
        "area_0-1-2-3_mm2": "300",
        "perimeter_0-1-2_mm": "60",
        "centroid_size_mm": "25",
    }
    assert set(second.values()) == {"fly 2", "b.png", "", "90"}
    assert captured.err.splitlines()[-1] == (
        "flies.tps: no scale is known for 1 of 2 objects: their cells in mm are empty"
    )
    assert run("measure", "flies.tps", "--distances=0-2,0-3", "--unit=px") == 0
    assert [row["distance_0-2_px"] for row in rows(capsys.readouterr().out)] == ["50", "10"]


def test_tables_in_files(place, capsys):
    for out in ("out.csv", "out.json"):
        assert run("measure", "flies.tps", "--distances=0-2", "--procrustes", "--out", out) == 0
        assert f"wrote {out}: 2 objects, 10 columns" in capsys.readouterr().err
    first, second = json.loads((place / "out.json").read_text())
    assert first["distance_0-2_mm"] == 25
    assert second["procrustes_distance"] is None
    assert rows((place / "out.csv").read_text())[0]["procrustes_y_0"] == "-0.4"


@pytest.mark.parametrize(
    ("scale", "expected"),
    [
        (["--scale=0.1"], ["5", "1"]),
        (["--scale-points=0-1=3"], ["5", "5"]),
        (["--scale-points=0,0:3,4=10"], ["100", "20"]),
        (["--scale=by_image.csv:mm"], ["100", "2"]),
        (["--scale=by_specimen.csv:mm"], ["50", ""]),
    ],
)
def test_scales(place, capsys, scale, expected):
    (place / "by_image.csv").write_text("image,mm\nb.png,0.2\na.png,2\nc.png,7\n")
    (place / "by_specimen.csv").write_text("mm;specimen\n1;fly 1\n;fly 2\n7;fly 3\n")
    assert run("measure", "flies.tps", "--distances=0-2", *scale) == 0
    captured = capsys.readouterr()
    assert [row["distance_0-2_mm"] for row in rows(captured.out)] == expected
    assert "flies.tps: the data have other scales, in place of which the given one is taken" in captured.err


def test_standard_errors_of_a_table_of_predictions(place, capsys):
    columns = "image,specimen,object,left,top,width,height,roll,confidence,scale,x_a,y_a,std_a,x_b-c,y_b-c,std_b-c"
    write(place / "predicted.csv", f"{columns}\na.png,fly 1,0,0,0,60,60,0,0.9,0.5,10,10,3,40,50,4\n")
    assert run("measure", "predicted.csv", "--distances", "a-b-c") == 0
    (row,) = rows(capsys.readouterr().out)
    assert row == {"specimen": "fly 1", "image": "a.png", "distance_a-b-c_mm": "25", "std_distance_a-b-c_mm": "2.5"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to measure, expected distances, angles"),
        (["--distances=0-9"], "distances: '0-9': no landmark '9', expected one of 0, 1, 2, 3"),
        (["--centroid-size", "--scale=0"], "--scale 0: expected the length of a pixel, above 0, or CSV:COLUMN"),
        (["--centroid-size", "--scale=-2"], "--scale -2: expected"),
        (["--centroid-size", "--scale=nan"], "--scale nan: expected"),
        (["--centroid-size", "--scale=wide"], "--scale wide: expected the length of a pixel, or CSV:COLUMN"),
        (["--centroid-size", "--scale=none.csv:mm"], "none.csv: no such file"),
        (["--centroid-size", "--scale=scales.csv:cm"], "scales.csv:1: no column cm; found: image, mm"),
        (["--centroid-size", "--scale=scales.csv:mm"], "scales.csv:2: mm is '-1', expected a number above 0"),
        (["--centroid-size", "--scale=twice.csv:mm"], "twice.csv:3: 'fly 1' has two scales, expected one"),
        (
            ["--centroid-size", "--scale=others.csv:mm"],
            "--scale others.csv:mm: no row has the specimen of an object of flies",
        ),
        (["--centroid-size", "--scale=1", "--scale-points=0-1=3"], "--scale and --scale-points: expected one of them"),
        (["--centroid-size", "--scale-points=0-1=0"], "scale_points: '0-1=0': expected"),
        (["--centroid-size", "--out=table.xls"], "table.xls: unknown suffix '.xls', expected .csv or .json"),
        (["--centroid-size", "--out=no/table.csv"], "table.csv: cannot be written: there is no folder no"),
        (["--centroid-size", "--scale=scales.csv:mm", "--out=scales.csv"], "scales.csv: cannot be written: it is also"),
    ],
)
def test_bad_input_is_one_line(place, capsys, arguments, message):
    (place / "scales.csv").write_text("image,mm\na.png,-1\n")
    (place / "twice.csv").write_text("specimen,mm\nfly 1,1\nfly 1,2\n")
    (place / "others.csv").write_text("id,mm\nx,1\n")
    assert message in refused(capsys, "measure", "flies.tps", *arguments)


def test_millimeters_without_a_scale_are_one_line(place, capsys):
    run("convert", "flies.tps", "flies.xml")
    line = refused(capsys, "measure", "flies.xml", "--centroid-size", "--unit=mm")
    assert line.startswith("ert: unit 'mm': no scale is known, expected one in the file (SCALE=, column scale), or ")


@pytest.mark.skipif(not (SHARED / "wings").is_dir(), reason="needs ../shared/data")
def test_real_wings():
    folder = SHARED / "wings"
    wings = ert.load_dataset(folder / "landmark-examples" / "tps-example.tps", image_folder=folder / "image-examples")
    table = ert.measure(wings, distances="0-4", procrustes=True, centroid_size=True)
    assert len(table) == 58
    # As in the file, where landmark 0 of the first wing is 290, 108 and landmark 4 is 476, 310.
    assert table["distance_0-4_px"][0] == pytest.approx(np.hypot(476 - 290, 310 - 108))
    assert 0.01 < np.median(table["procrustes_distance"]) < 0.06
