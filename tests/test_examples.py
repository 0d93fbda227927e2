import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ert import load_image, sample_image

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_align_photo(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["align_photo.py"])
    runpy.run_path(str(EXAMPLES / "align_photo.py"), run_name="__main__")
    assert "nose tip" in capsys.readouterr().out
    with Image.open("aligned.png") as picture:
        assert picture.mode == "RGB"


def test_train_your_own(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(EXAMPLES / "train_your_own.py"), run_name="__main__")
    error = float(capsys.readouterr().out.split(": ")[1].split()[0])
    assert error < 3
    assert Path("five_points.ert").exists()


def test_dlib_drop_in(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["dlib_drop_in.py"])
    runpy.run_path(str(EXAMPLES / "dlib_drop_in.py"), run_name="__main__")
    assert "awake" in capsys.readouterr().out
    with Image.open("landmarks.png") as picture:
        green = np.all(np.array(picture) == (0, 255, 0), axis=2)
    assert 200 < green.sum() <= 68 * 9


def run(name, folder, monkeypatch, *arguments):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", [f"{name}.py", *arguments])
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")


def test_drowsiness_alarm(tmp_path, monkeypatch, capsys):
    run("drowsiness_alarm", tmp_path, monkeypatch)
    said = capsys.readouterr().out
    assert said.startswith("1 blink, eyes closed for 1.")
    assert said.endswith("alarm: True\n")
    assert load_image("drowsiness.png").ndim == 3


def test_sunglasses(tmp_path, monkeypatch):
    run("sunglasses", tmp_path, monkeypatch)
    before, after = load_image(sample_image()).astype(int), load_image("sunglasses.png")
    assert after.shape == before.shape
    eyes = [[103, 101], [246, 203]]  # rows, columns
    assert (after[*eyes].max(axis=1) < 60).all()
    changed = np.argwhere((after != before).any(axis=2))
    assert changed.min(axis=0)[0] > 80
    assert changed.max(axis=0)[0] < 125
    assert 1000 < len(changed) < 4000


def test_head_pose(tmp_path, monkeypatch, capsys):
    pytest.importorskip("cv2")
    run("head_pose", tmp_path, monkeypatch)
    assert "(to its left), pitch" in capsys.readouterr().out
    assert load_image("head_pose.png").shape == (800, 800, 3)


def test_average_face(tmp_path, monkeypatch):
    run("average_face", tmp_path, monkeypatch)
    one_of_them, mirrored, average = np.split(
        load_image("average_face.png")[8:264, 8:].astype(int), 3, axis=1
    )
    face = slice(60, 200)
    for face_of_two in (one_of_them, mirrored):
        # Moved by 12 pixels it is 29.
        assert abs(average[face, face] - face_of_two[face, face]).mean() < 24


def test_face_tables(tmp_path, monkeypatch, capsys):
    pytest.importorskip("pandas")
    run("face_tables", tmp_path, monkeypatch)
    assert "'xy': (1, 68, 2)" in capsys.readouterr().out
    assert len(Path("landmarks.csv").read_text().splitlines()) == 69


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_every_example_is_tested_and_short(example):
    assert f"test_{example.stem}" in globals()
    assert len(example.read_text().splitlines()) <= 40
