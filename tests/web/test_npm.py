import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from cli.running import refused, run
from PIL import Image

import ert


def test_the_folder_has_all_that_a_program_needs(tmp_path, faces):
    assert run("export", "npm", "face5", "--out", tmp_path / "npm") == 0
    folder = tmp_path / "npm"
    files = {path.name for path in folder.iterdir()}
    assert {"package.json", "README.md", "LICENSE", "ert.js", "ert.d.ts", "face5.ert", "faces.json"} <= files
    assert {"tracker.js", "tracker.d.ts"} <= files
    package = json.loads((folder / "package.json").read_text())
    assert {"face5.ert", "faces.json", "LICENSE"} <= set(package["files"])
    for module in [*folder.glob("*.js"), *folder.glob("internal/*.js")]:
        for imported in re.findall(r'from "(\./[^"]+)"', module.read_text()):
            assert (module.parent / imported).is_file(), f"{module.name} imports {imported}"
    assert [path.name for path in tmp_path.iterdir()] == ["npm"]
    if shutil.which("node") is None:
        pytest.skip("needs node")
    (image, box), *_ = faces[0]
    pixels = np.asarray(Image.fromarray(image).convert("L"))
    Image.fromarray(pixels).save(tmp_path / "face.pgm")
    command = ["node", "example.mjs", "face5.ert", tmp_path / "face.pgm", *map(str, box)]
    output = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout
    found = [[float(cell) for cell in line.split(",")[1:]] for line in output.splitlines()]
    (expected,) = ert.load("face5").predict([(pixels, box)], "accurate")
    assert np.abs(expected - found).max() < 0.02


def test_an_existing_folder_is_not_changed(tmp_path, capsys, small_model):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    (tmp_path / "empty").mkdir()
    message = "full: exists, expected a new or an empty folder"
    assert message in refused(capsys, "export", "npm", "face5", "--out", tmp_path / "full")
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine"]
    assert "cannot be written" in refused(capsys, "export", "npm", "face5", "--out", tmp_path / "none" / "npm")
    ert.web.export_npm(small_model, tmp_path / "empty")
    assert Path(tmp_path, "empty", "model.ert").exists()
    assert not Path(tmp_path, "empty", "faces.json").exists()
