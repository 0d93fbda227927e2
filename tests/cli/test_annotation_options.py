"""What the user says about a file of annotations on the command line."""

import json

import numpy as np
import pytest
from cli.running import refused, run
from PIL import Image

import ert


@pytest.fixture
def table(tmp_path):
    Image.new("L", (30, 20)).save(tmp_path / "a.png")
    path = tmp_path / "t.csv"
    path.write_text("image,x0,y0,x1,y1,x2,y2\na.png,1,2,3,5,-1,-1\na.png,1,2,3,5,7,7\n")
    return path


def test_y_origin_and_missing(table, tmp_path, capsys):
    assert "t.csv:2: column 'x2' and column 'y2' are -1: give --missing=-1" in refused(capsys, "dataset", "info", table)
    out = tmp_path / "o.json"
    assert run("convert", table, out, "--missing=-1", "--y-origin", "bottom") == 0
    landmarks = ert.load_dataset(out).landmarks
    np.testing.assert_array_equal(landmarks[0], [[1, 17], [3, 14], [np.nan, np.nan]])
    assert landmarks[1].tolist() == [[1, 17], [3, 14], [7, 12]]
    assert run("convert", table, out, "--missing", "-1,7") == 2
    assert "landmark '2' is missing in all objects" in capsys.readouterr().err
    assert run("convert", table, out, "--missing=none") == 0
    assert ert.load_dataset(out).landmarks[0, 2].tolist() == [-1, -1]
    assert "'many': expected numbers such as -1, or none" in refused(capsys, "convert", table, out, "--missing=many")
    assert "'left', expected top or bottom" in refused(capsys, "convert", table, out, "--y-origin=left")
    assert "only .tps files have curves" in refused(capsys, "convert", table, out, "--curves=as-landmarks")
    model = ("convert", "face68", tmp_path / "x.ert")
    for option in ("--y-origin=top", "--missing=none", "--curves=as-landmarks", "--write-images=x"):
        assert "expected none with a model" in refused(capsys, *model, option)


def test_curves_and_notes(table, tmp_path, capsys):
    path = tmp_path / "x.tps"
    path.write_text("LM=2\n1 2\n3 4\nCURVES=1\nPOINTS=1\n5 5\nIMAGE=a.png\nID=0\nSCALE=0.5\n")
    assert run("convert", path, tmp_path / "y.tps") == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].endswith(
        "points of curves or outlines are passed over; --curves=as-landmarks takes them (1 object)"
    )
    assert "SCALE=0.5\n" in (tmp_path / "y.tps").read_text()
    assert run("dataset", "info", path, "--curves=as-landmarks", "--json", "-") == 0
    assert json.loads(capsys.readouterr().out)["landmark_names"] == ["0", "1", "2"]


def test_images_in_a_table_are_written_if_asked(tmp_path, capsys):
    path = tmp_path / "training.csv"
    pixels = " ".join(map(str, range(16)))
    path.write_text(f"nose_x,nose_y,Image\n1,2,{pixels}\n3,2,{pixels}\n")
    assert run("dataset", "check", path) in (0, 1)
    assert run("dataset", "show", path, "--out", tmp_path / "sheet.png") == 0
    message = refused(capsys, "convert", path, tmp_path / "x.xml")
    assert message.endswith("ert convert --write-images DIR, or ert.datasets.write_images, writes them as files")
    assert run("convert", path, tmp_path / "x.xml", "--write-images", tmp_path / "images") == 0
    data = ert.load_dataset(tmp_path / "x.xml")
    assert [file.name for file in data.files] == ["training_2.png", "training_3.png"]
    assert ert.load_image(data.files[0]).tolist() == np.arange(16).reshape(4, 4).tolist()
    assert run("dataset", "mirror", path, "--map", "0", "--out", tmp_path / "mirrored") == 0
    mirrored = ert.load_dataset(tmp_path / "mirrored" / "mirrored.csv")
    assert mirrored.landmarks.tolist() == [[[2, 2]], [[0, 2]]]
