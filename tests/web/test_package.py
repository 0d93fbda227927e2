"""The folder that is published: package.json, types and the example of the README."""

import json
import re

import numpy as np
from builders import likely_cascade
from web.node import WEB, node

import ert
from ert._core.version import __version__
from ert.model.dlib_format import write_dlib_file


def test_the_package_names_files_that_are_there_and_the_version_of_the_library():
    package = json.loads((WEB / "package.json").read_text())
    assert package["version"] == __version__
    assert not {"dependencies", "devDependencies", "scripts"} & package.keys()
    for name in (package["main"], package["types"], "README.md", "example.mjs"):
        assert (WEB / name).is_file()


def test_types_describe_what_the_module_has():
    module, types = (WEB / "ert.js").read_text(), (WEB / "ert.d.ts").read_text()
    described = set(re.findall(r"^export (?:class|function) (\w+)", types, re.MULTILINE))
    assert described == {"Model", "ModelError", "loadModel", "grayImage"}
    for name in described:
        assert re.search(rf"^export [^\n]*\b{name}\b", module, re.MULTILINE)
    fields = set(re.findall(r"^    this\.(\w+) = ", module.split("export class Model")[1], re.MULTILINE))
    assert fields == set(re.findall(r"^  readonly (\w+):", types.split("class Model ")[1], re.MULTILINE))


def test_modules_import_only_each_other_and_are_short():
    for path in [*WEB.glob("*.js"), *WEB.glob("internal/*.js")]:
        text = path.read_text()
        lines = text.splitlines()
        assert len(lines) <= (600 if path.name == "ert.js" else 500), path.name
        assert max(map(len, lines)) <= 120, path.name
        for name in re.findall(r'from "([^"]+)"', text):
            assert (path.parent / name).is_file(), f"{path.name}: {name}"


def test_the_example_prints_the_landmarks_of_python(tmp_path):
    write_dlib_file(tmp_path / "x.dat", likely_cascade(3))
    model = ert.load(tmp_path / "x.dat")
    image = np.random.default_rng(0).integers(0, 256, (60, 70), dtype=np.uint8)
    photo = tmp_path / "photo.pgm"
    photo.write_bytes(b"P5\n70 60\n255\n" + image.tobytes())
    printed = node(WEB / "example.mjs", tmp_path / "x.dat", photo, 20, 15, 30.5, 28)
    rows = [line.split(",") for line in printed.splitlines()]
    landmarks = model.predict([(image, (20, 15, 30.5, 28))], mode="accurate")[0]
    assert [row[0] for row in rows] == list(model.landmark_names_)
    assert np.abs(np.array([row[1:] for row in rows], float) - landmarks).max() < 0.006
