import json

import numpy as np
from cli.running import SMALL, refused, run

import ert
import ert.training.fit


def test_models_are_converted_there_and_back(tmp_path, capsys):
    from builders import random_dlib_cascade
    from reference import naive

    source = tmp_path / "a.dat"
    source.write_bytes(naive.dlib_model(random_dlib_cascade(3)))
    assert run("convert", source, tmp_path / "exact.ert", "--exact") == 0
    assert run("convert", tmp_path / "exact.ert", tmp_path / "b.dat") == 0
    assert (tmp_path / "b.dat").read_bytes() == source.read_bytes()
    assert run("convert", source, tmp_path / "small.ert") == 0
    assert ert.load(tmp_path / "small.ert").cascade_.leaves.dtype == np.int8
    assert "expected a model file ending in" in refused(capsys, "convert", source, tmp_path / "c.txt")
    assert "cannot express" in refused(capsys, "convert", "face68", tmp_path / "c.dat")
    assert run("info", source) == 0
    assert run("convert", "face68", tmp_path / "copy.ert") == 0
    assert (tmp_path / "copy.ert").read_bytes() == ert._core.files.bundled_models()["face68"].read_bytes()


def test_annotations_are_converted(dataset, tmp_path, capsys):
    capsys.readouterr()
    assert run("convert", dataset / "landmarks.csv", tmp_path / "a.tps") == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == f"{dataset / 'landmarks.csv'} -> {tmp_path / 'a.tps'}: 24 objects, 68 landmarks"
    assert lines[1:] == ["  boxes are dropped: the format has none"]
    assert run("convert", tmp_path / "a.tps", tmp_path / "b", "--to", "tem") == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[1] == "  COMMENT= and VARIABLES=, if any, are not kept"
    assert "24 images are not beside" in lines[2]
    assert run("convert", tmp_path / "b", tmp_path / "c.json", "--images", dataset) == 0
    expected = ert.load_dataset(dataset / "landmarks.csv")
    result = ert.load_dataset(tmp_path / "c.json")
    np.testing.assert_allclose(result.landmarks, expected.landmarks, atol=1e-3)
    assert result.landmark_names == expected.landmark_names


def test_convert_takes_boxes_and_a_split(dataset, tmp_path):
    rows = [f"{dataset / f'face_{i:04d}.png'},{'ab'[i > 3]},{i},2,30,40" for i in range(24)]
    (tmp_path / "boxes.csv").write_text("image,split,my_left,my_top,my_width,my_height\n" + "\n".join(rows))
    boxes = ("--boxes", f"{tmp_path / 'boxes.csv'}:my", "--split", "a")
    assert run("convert", dataset / "landmarks.csv", tmp_path / "few.xml", *boxes) == 0
    assert ert.load_dataset(tmp_path / "few.xml").boxes.tolist() == [[i, 2, 30, 40] for i in range(4)]


def test_dlibs_order_of_parts(dataset, tmp_path):
    labels, order = tmp_path / "x.xml", ("--part-order", "dlib")
    assert run("convert", dataset / "landmarks.csv", labels) == 0
    by_text = tuple(sorted(map(str, range(68))))
    assert run("convert", labels, tmp_path / "x.csv", *order) == 0
    assert ert.load_dataset(tmp_path / "x.csv").landmark_names == by_text
    out = tmp_path / "x.ert"
    assert run("train", labels, "--out", out, *order, *SMALL) == 0
    assert ert.load(out).landmark_names_ == by_text
    means = []
    for options in ((), order):
        assert run("evaluate", out, labels, *options, "--json", tmp_path / "x.json") == 0
        means.append(json.loads((tmp_path / "x.json").read_text())["norms"]["box"]["mean"])
    # Landmarks are put in the order of their names in the model.
    assert means[0] == means[1]


def test_convert_refuses(dataset, model, tmp_path, capsys):
    labels = dataset / "landmarks.csv"
    for arguments, message in [
        ((labels, tmp_path / "x"), "x: expected a file ending in .xml, .csv, .tps, .json, or the format pts"),
        ((labels, tmp_path / "x.xml", "--exact"), "--exact and --compress are for models"),
        ((labels, tmp_path / "x.xml", "--to", "pts"), "x.xml: expected a folder for the format pts"),
        ((tmp_path / "no.xml", tmp_path / "x.xml"), "no.xml: no such file or folder"),
        ((model, tmp_path / "x.ert", "--images", dataset), "are for annotations, expected none with a model"),
        ((model, tmp_path / "x.ert", "--part-order", "dlib"), "expected none with a model"),
        ((model, tmp_path / "x.ert", "--label", "a"), "expected none with a model"),
        ((labels, tmp_path / "x.ert"), "landmarks.csv"),
    ]:
        assert message in refused(capsys, "convert", *arguments)
