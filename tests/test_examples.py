import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

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


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_every_example_is_tested_and_short(example):
    assert f"test_{example.stem}" in globals()
    assert len(example.read_text().splitlines()) <= 40
