"""Pipes, devices, sockets and files of nothing but holes, given for each kind of input: one line at once."""

import os
import shutil

import pytest
from cli.running import SMALL, refused

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")

BOX = ("--box", "8,8,80,80")
# The suffix of the odd file, and the arguments of the command with {}.
INPUTS = {
    "image": (".png", "align {} --model model.ert"),
    "image to explain": (".jpg", "explain model.ert {} --out x.png"),
    "model": (".ert", "info {}"),
    "model of dlib": (".dat", "align face_0000.png --model {}"),
    "model to convert": (".dat", "convert {} x.ert"),
    "model to compare": (".ert", "compare model.ert {} landmarks.csv"),
    "model that dlib runs": (".dat", "compare model.ert dlib:{} landmarks.csv"),
    "imglab": (".xml", "dataset info {}"),
    "csv": (".csv", f"train {{}} --out x.ert {' '.join(SMALL)}"),
    "tps": (".tps", "evaluate model.ert {}"),
    "coco": (".json", "dataset check {}"),
    "pts": (".pts", "dataset info ."),
    "ljson": (".ljson", "dataset info only"),
    "image of a dataset": (".png", "evaluate model.ert images.csv"),
    "table of boxes": (".csv", "dataset info landmarks.csv --boxes {}:"),
    "table of columns": (".csv", "evaluate model.ert landmarks.csv --by group --columns {}"),
    "table of groups": (".csv", "dataset split landmarks.csv --group {}:group --out x"),
    "video": (".avi", "video {} --model model.ert --csv x.csv"),
    "detector": (".onnx", "align face_0000.png --model model.ert --detector yunet:{}"),
}


def make_pipe(path):
    os.mkfifo(path)


def link_to_zeros(path):
    os.symlink("/dev/zero", path)


def make_holes(path):
    with open(path, "wb") as file:
        file.truncate(8 << 30)


@pytest.fixture
def place(dataset, model, tmp_path, monkeypatch):
    for name in ("landmarks.csv", "face_0000.png", "face_0000.pts", "face_0001.png", "face_0001.pts"):
        shutil.copy(dataset / name, tmp_path)
    shutil.copy(model, tmp_path / "model.ert")
    header, *rows = (tmp_path / "landmarks.csv").read_text().splitlines()
    (tmp_path / "landmarks.csv").write_text("\n".join([header, *rows[:2]]) + "\n")
    (tmp_path / "images.csv").write_text("\n".join([header, rows[0], rows[1].replace("face_0001", "odd")]) + "\n")
    (tmp_path / "only").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("make", [make_pipe, link_to_zeros, make_holes], ids=lambda make: make.__name__)
@pytest.mark.parametrize("name", INPUTS)
def test_what_is_no_file_of_data_is_refused_at_once(place, capsys, make, name):
    if name == "detector":
        pytest.importorskip("cv2")
    if name == "model that dlib runs":
        pytest.importorskip("dlib")
    suffix, arguments = INPUTS[name]
    odd = place / ("only" if suffix == ".ljson" else ".") / f"odd{suffix}"
    make(odd)
    if name == "pts":
        shutil.copy("face_0000.png", "odd.png")
    elif name == "ljson":
        shutil.copy("face_0000.png", "only/odd.png")
    line = refused(capsys, *arguments.format(odd.name).split())
    assert "odd" in line
    what = {make_pipe: "is a pipe, expected ", link_to_zeros: "is a device, expected "}.get(
        make, "of nearly nothing but"
    )
    absent = "no such box file" if name == "table of boxes" else "'odd.png' not found"
    assert what in line or (make is not make_holes and absent in line)
    assert not [path for path in place.iterdir() if path.name.startswith("x")]
