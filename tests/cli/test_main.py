import os
import subprocess
import sys

import numpy as np
import pytest
from cli.running import SMALL, refused, run
from PIL import Image

import ert
from ert.cli.main import main


def test_bad_input_is_one_line_that_names_it(model, dataset, tmp_path, capsys):
    (tmp_path / "text.jpg").write_text("no image")
    photo = (dataset / "face_0000.png").read_bytes()
    (tmp_path / "short.png").write_bytes(photo[: len(photo) // 2])
    wide = np.zeros((20, 20), np.uint16)
    Image.fromarray(wide).save(tmp_path / "deep.png")
    box = ("--box", "2,2,10,10")
    face = dataset / "face_0000.png"
    for arguments, message in [
        (("align", tmp_path / "text.jpg", "--model", model), "text.jpg: is not an image"),
        (("align", tmp_path / "short.png", "--model", model), "short.png: the image is corrupt or truncated"),
        (("align", tmp_path / "deep.png", "--model", model, *box), "8-bit pixels were expected"),
        (("align", tmp_path / "none.png", "--model", model), "none.png: no such file"),
        (("align", face, "--model", "nothing"), "nothing: no such file, and no bundled model"),
        (("align", face, "--model", model, "--box", "9,9,0,9"), "face_0000.png, boxes[0]: a box of 0 x 9"),
        (
            ("align", face, "--model", model, "--box", "nan,9,9,9"),
            "face_0000.png, boxes[0]: expected a box of 4 finite",
        ),
        (("align", face, "--model", model, "--box", "900,9,9,9"), "face_0000.png, boxes[0]: the box lies outside"),
        (("align", face, "--model", model, "--detector", "crystal ball"), "crystal ball"),
        (("evaluate", model, tmp_path / "none.xml"), "none.xml"),
        (("evaluate", tmp_path / "text.jpg", dataset), "text.jpg: is not an ert model file"),
        (("info", tmp_path), "is a folder, expected a model file"),
        (("train", tmp_path / "none.csv", "--out", tmp_path / "x.ert"), "none.csv"),
        (("train", dataset, "--out", tmp_path / "x.txt"), "x.txt: expected a model file ending in .ert"),
        (("train", dataset, "--out", tmp_path / "x.ert", "--n-trees", "0"), "--n-trees 0: expected 1 to"),
        (("train", dataset, "--out", tmp_path / "x.ert", "--note", "free"), "--note 'free': expected KEY=TEXT"),
        (("train", dataset, "--out", tmp_path / "x.ert", "--validation", "2"), "validation 2: expected a fraction"),
        (("train", dataset, "--out", tmp_path / "x.ert", "--boxes", "none.csv:dlib"), "none.csv"),
        (("train", dataset, "--out", tmp_path / "x.ert", "--mirror", "hand"), "no scheme 'hand'"),
        (("train", dataset, "--out", tmp_path / "x.ert", "--mirror", "1,,0"), "--mirror 1,,0: expected"),
        (("train", dataset, "--out", tmp_path / "no" / "x.ert"), "x.ert: cannot be written"),
        (("evaluate", model, dataset, "--json", tmp_path / "no" / "x.json"), "x.json: cannot be written"),
        (("align", face, "--model", model, "--json", "."), ".: cannot be written"),
    ]:
        assert message in refused(capsys, *arguments)


def test_unwritable_outputs_are_named(model, dataset, tmp_path, capsys):
    face, box = dataset / "face_0000.png", ("--box", "20,20,80,80")
    capsys.readouterr()
    assert run("align", face, "--model", model, *box, "--json", tmp_path / "no" / "x.json") == 2
    assert "x.json: cannot be written" in capsys.readouterr().err
    (tmp_path / "file").touch()
    assert "cannot be created" in refused(capsys, "align", face, "--model", model, *box, "--draw", tmp_path / "file")


def test_wrong_usage_exits_with_2(capsys):
    for arguments in (["align"], ["align", "x.png", "--box", "1,2,3"], ["fly"]):
        with pytest.raises(SystemExit) as error:
            main(arguments)
        assert error.value.code == 2


def test_a_reader_that_goes_away_is_no_error(model):
    command = f"{sys.executable} -m ert info {model} --json - | head -c 1"
    result = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert result.returncode == 0
    assert result.stderr == ""


def test_bad_input_is_one_line_before_any_work(trained, dataset, tmp_path, capsys):
    model = trained[0]
    image = dataset / "face_0000.png"
    (tmp_path / "file").write_text("x")
    blank = tmp_path / "blank.png"
    Image.fromarray(np.zeros((60, 60), np.uint8)).save(blank)
    out = ("--out", tmp_path / "a.png")
    for arguments, message in [
        (("explain", model, image, "--out", tmp_path / "a.pdf"), "a.pdf: unknown suffix '.pdf'"),
        (("explain", model, image, "--out", tmp_path / "no" / "a.png"), "there is no folder"),
        (("explain", model, blank, *out), "blank.png: no face found, expected one or --box"),
        (("explain", model, image, "--box", "900,0,9,9", *out), "face_0000.png: the box lies outside"),
        (("explain", model, tmp_path / "none.png", *out), "none.png: no such file"),
        (("evaluate", model, dataset, "--report", tmp_path / "file"), "file: cannot be created"),
        (
            ("train", dataset, "--out", tmp_path / "x.ert", "--report", tmp_path / "file" / "x", *SMALL),
            "cannot be created",
        ),
    ]:
        assert message in refused(capsys, *arguments)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["blank.png", "file"]


def test_kernels_that_do_not_exist_are_one_line():
    env = os.environ | {"ERT_KERNELS": "sse"}
    command = [sys.executable, "-m", "ert", "align", ert.sample_image()]
    result = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (
        2,
        "ert: ERT_KERNELS=sse: expected auto, avx512, avx2, neon or portable\n",
    )


def test_errors_name_the_options_that_were_typed(model, dataset, tmp_path, capsys):
    image, out = dataset / "face_0000.png", ("--out", tmp_path / "x.ert")
    for arguments, begin in [
        (("align", image, "--jobs", 0), "ert: --jobs 0: expected an integer"),
        (("train", dataset / "landmarks.xml", *out, *SMALL, "--jobs=0"), "ert: --jobs 0: expected an integer"),
        (("train", dataset / "landmarks.xml", *out, *SMALL, "--max-depth=99"), "ert: --max-depth 99: expected"),
        (("predict", model, image, "--max-objects=0", "--out", tmp_path / "a.csv"), "ert: --max-objects 0: expected"),
        (("evaluate", model, dataset, "--inits=9"), "ert: --inits 9: expected"),
        # Not typed: an error of another place.
        (("train", dataset / "none.xml", *out), f"ert: {dataset / 'none.xml'}: "),
    ]:
        assert refused(capsys, *arguments).startswith(begin)
