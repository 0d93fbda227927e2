import json

import numpy as np
import pytest
from cli.running import refused, run
from PIL import Image

import ert

HEADER = "image,x0,y0,x1,y1,x2,y2"


@pytest.fixture
def place(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    for name in "abc":
        Image.fromarray(rng.integers(0, 255, (80, 80), np.uint8)).save(tmp_path / f"{name}.png")
    (tmp_path / "one.csv").write_text(f"{HEADER}\na.png,10,10,40,10,40,50\nb.png,11,10,41,10,41,50\n")
    (tmp_path / "two.csv").write_text(
        f"{HEADER}\nb.png,14,14,41,10,41,50\na.png,10,10,40,12,40,50\nc.png,5,6,7,9,3,4\n"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_table_of_two_observers(place, capsys):
    assert run("compare", "one.csv", "two.csv", "--scale=0.25", "--json=out.json", "--draw=out.png") == 0
    captured = capsys.readouterr()
    assert "1 of 3 images of two.csv are not in one.csv: c.png" in captured.err
    figures = json.loads((place / "out.json").read_text())
    assert (figures["a"], figures["b"], figures["n"]) == ("one.csv", "two.csv", 2)
    assert figures["units"] == ["px", "percent", "mm"]
    assert figures["landmarks"][0]["px"] == pytest.approx({"mean": 2.5, "deviation": 2.5, "bias_x": 1.5, "bias_y": 2})
    assert figures["landmarks"][1]["mm"]["mean"] == pytest.approx(0.25)
    lines = captured.out.splitlines()
    assert lines[0] == "two.csv against one.csv: 2 objects in both"
    assert lines[1].startswith(
        "distance 1.17 px (95 % interval 0.667 - 1.67), standard deviation of one annotation 1.55 px"
    )
    assert lines[4] == "fewer than 10 objects: the intervals are too narrow"
    assert lines[5].split()[:8] == ["landmark", "n", "mean", "px", "dev.", "bias", "x", "bias"]
    assert lines[6].split()[:6] == ["0", "2", "2.500", "2.500", "1.500", "2.000"]
    assert lines[-2] == "  b.png (b): mean 1.67 px, landmark 0 5.00 px"
    picture = ert.load_image("out.png")
    assert picture.shape == (1600, 1600, 3)


def test_scales_of_the_files_and_none(place, capsys):
    assert run("compare", "one.csv", "two.csv", "--json=-") == 0
    assert json.loads(capsys.readouterr().out)["units"] == ["px", "percent"]
    (place / "scales.csv").write_text("image,mm\na.png,1\nb.png,2\nc.png,1\n")
    assert run("compare", "one.csv", "two.csv", "--scale=scales.csv:mm", "--json=-") == 0
    assert json.loads(capsys.readouterr().out)["overall"]["mm"]["mean"] == pytest.approx((2 / 3 + 10 / 3) / 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["one.csv", "none.csv"], "none.csv"),
        (["face68", "one.csv"], "face68: a model; expected MODEL_A MODEL_B DATASET, or two files of annotations"),
        (["one.csv", "m.ert"], "m.ert: a model; expected"),
        (["one.csv", "dlib:m.dat"], "dlib:m.dat: a model; expected"),
        (["one.csv", "two.csv", "--limit=3"], "--limit: only for two models and a dataset"),
        (["one.csv", "two.csv", "--plot=x.png"], "--plot: only for two models and a dataset"),
        (["one.csv", "two.csv", "--draw=x.txt"], "x.txt: unknown suffix '.txt'"),
        (["one.csv", "two.csv", "--scale=0"], "--scale 0: expected"),
        (["one.csv", "c.csv"], "one.csv and c.csv: no object in the same image"),
        (["face68", "face68", "one.csv", "--scale=1"], "--scale: only for two files of annotations"),
    ],
)
def test_bad_input_is_one_line(place, capsys, arguments, message):
    (place / "c.csv").write_text(f"{HEADER}\nc.png,5,6,7,9,3,4\n")
    assert message in refused(capsys, "compare", *arguments)
