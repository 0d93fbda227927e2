import json
import shutil

import numpy as np
from cli.running import run
from PIL import Image


def test_the_demo_writes_a_picture_and_the_points(tmp_path, capsys):
    assert run("demo", "--out", tmp_path / "demo") == 0
    points = json.loads((tmp_path / "demo" / "astronaut.json").read_text())
    assert len(points["images"][0]["faces"]) == 1
    assert np.asarray(Image.open(tmp_path / "demo" / "astronaut_landmarks.png")).shape[2] == 3
    shutil.rmtree(tmp_path / "demo")
