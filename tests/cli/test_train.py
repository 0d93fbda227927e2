import json
import shutil

import numpy as np
import pytest
from cli.running import SMALL, read_page, refused, run
from PIL import Image

import ert
import ert.training.fit


def test_train_writes_a_model_and_leaves_no_checkpoint(model):
    assert sorted(path.name for path in model.parent.iterdir()) == ["faces", "model.ert"]
    loaded = ert.load(model)
    assert loaded.n_landmarks_ == 68
    assert loaded.landmark_names_[:2] == ("00", "01")
    assert loaded.summary_["notes"] == {"license": "free"}
    assert loaded.get_params()["n_trees"] == 20


def test_images_may_be_elsewhere(model, dataset, tmp_path):
    labels = tmp_path / "labels.csv"
    shutil.copy(dataset / "landmarks.csv", labels)
    images = ("--images", dataset)
    assert run("train", labels, "--out", tmp_path / "x.ert", *SMALL, *images) == 0
    assert run("evaluate", tmp_path / "x.ert", labels, *images) == 0


def test_bad_objects_are_left_out_by_option_and_told(model, dataset, tmp_path, capsys):
    faces = tmp_path / "faces"
    shutil.copytree(dataset, faces)
    (faces / "face_0002.png").write_bytes(b"nothing")
    (faces / "face_0005.png").unlink()
    labels, out = faces / "landmarks.csv", tmp_path / "x.ert"
    for command in (("train", labels, "--out", out, *SMALL), ("evaluate", model, labels)):
        assert refused(capsys, *command).startswith(f"ert: {labels}:7: image 'face_0005.png' not found")
        assert run(*command, "--skip-bad") == 0
        errors = capsys.readouterr().err
        assert f"{labels}: 1 of 24 objects left out (image not found), first: {labels}:7: image" in errors
        assert f"{labels}: 1 of 24 objects left out (unreadable image), first: {faces / 'face_0002.png'}" in errors
        assert command[0] == "evaluate" or "from 22 objects" in errors


def test_train_writes_dlibs_format(dataset, tmp_path, capsys):
    out = tmp_path / "model.dat"
    assert run("train", dataset, "--out", out, *SMALL) == 0
    assert list(tmp_path.iterdir()) == [out]
    assert run("evaluate", out, dataset) == 0
    assert ert.load(out).kind == "dlib"


def test_all_formats_train_the_same_shapes(dataset, tmp_path, capsys):
    for source in (dataset, dataset / "landmarks.csv"):
        out = tmp_path / f"{source.stem}.ert"
        assert run("train", source, "--out", out, "--validation", 0.25, "--mirror", "face68", *SMALL) == 0
        err = capsys.readouterr().err
        assert "18 objects, 68 landmarks" in err
        assert "validation error" in err
        assert ert.load(out).mirror_map_ is not None


def test_an_interrupted_training_is_resumed(dataset, model, tmp_path, capsys, monkeypatch):
    out, checkpoint = tmp_path / "model.ert", tmp_path / "model.checkpoint.ert"
    train_stage = ert.training.fit.train_stage

    def interrupted(samples, stage, *args):
        if stage == 1:
            raise KeyboardInterrupt
        return train_stage(samples, stage, *args)

    arguments = ["train", dataset / "landmarks.xml", "--out", out, "--note", "license=free", *SMALL]
    monkeypatch.setattr("ert.training.fit.train_stage", interrupted)
    assert run(*arguments) == 130
    assert "1 finished stage" in capsys.readouterr().err
    assert checkpoint.exists()
    monkeypatch.undo()
    assert "continue with --resume" in refused(capsys, *arguments)
    assert run(*arguments, "--resume") == 0
    assert not checkpoint.exists()
    assert out.read_bytes() == model.read_bytes()


def test_confidence_from_training_to_pictures(dataset, model, tmp_path, capsys, monkeypatch):
    from ert.training import confidence as confidence_training

    for name, value in (("N_ERROR_TREES", 12), ("N_TRUST_TREES", 9)):
        monkeypatch.setattr(confidence_training, name, value)
    monkeypatch.setattr("ert.training.confidence_samples.MIN_SAMPLES", 500)
    out = tmp_path / "confident.ert"
    assert run("train", dataset, "--out", out, "--confidence", 2, *SMALL) == 0
    assert list(tmp_path.iterdir()) == [out]
    assessed = ert.load(out)
    assert assessed.fitted_.confidence_summary["n_folds"] == 2

    assert run("info", out, "--json", tmp_path / "info.json") == 0
    assert "confidence model fitted in 2 folds" in capsys.readouterr().out
    assert json.loads((tmp_path / "info.json").read_text())["confidence"]["n_objects"] == 24
    assert run("info", model) == 0
    assert "no confidence model" in capsys.readouterr().out

    image, box = dataset / "face_0000.png", "20,20,80,80"
    to_json = "--json", tmp_path / "points.json"
    assert run("align", image, "--model", out, "--box", box, *to_json, "--draw", tmp_path / "a") == 0
    face = json.loads((tmp_path / "points.json").read_text())["images"][0]["faces"][0]
    X = [(image, (20, 20, 80, 80))]
    assessment = assessed.assess(X, assessed.predict(X))
    np.testing.assert_allclose(face["std"], assessment.std[0], atol=6e-4)
    assert face["confidence"] == pytest.approx(assessment.confidence[0], abs=6e-5)
    assert f"({face['confidence']:.2f})" in capsys.readouterr().err
    assert run("align", image, "--model", out, "--box", box, "--draw", tmp_path / "b", "--show-std") == 0
    pictures = [np.asarray(Image.open(tmp_path / folder / "face_0000_landmarks.png")) for folder in "ab"]
    assert (pictures[0] != pictures[1]).any()
    assert run("align", image, "--model", out, "--box", box, *to_json, "--min-confidence", 1) == 0
    assert json.loads((tmp_path / "points.json").read_text())["images"][0]["faces"] == []


def test_what_needs_a_confidence_model_is_refused_without(dataset, model, tmp_path, capsys):
    align = "align", dataset / "face_0000.png", "--model", model, "--box", "20,20,80,80"
    for option in (("--min-confidence", 0.5), ("--show-std",)):
        assert "has no confidence model" in refused(capsys, *align, *option)
    train = "train", dataset, "--out", tmp_path / "x.ert", *SMALL
    assert "n_folds=1: expected at least 2" in refused(capsys, *train, "--confidence", 1)
    dat = "train", dataset, "--out", tmp_path / "x.dat", *SMALL, "--confidence"
    assert "a .dat file has no confidence model" in refused(capsys, *dat)


def test_train_writes_a_report(trained):
    model, page = trained
    tree = read_page(page)
    assert not tree.xpath("//meta[@http-equiv='refresh']")
    assert tree.xpath("//h1")[0].text == "Training model.ert"
    text = tree.text_content()
    assert "19 for training, 5 held out for validation" in text
    assert "Finished: " in text
    assert f"{ert.load(model).history_[-1]['validation_nme']:.3f}" in text


def test_the_report_of_an_interrupted_training_goes_on(dataset, trained, tmp_path, monkeypatch, capsys):
    train_stage = ert.training.fit.train_stage

    def interrupted(samples, stage, *args):
        if stage == 1:
            raise KeyboardInterrupt
        return train_stage(samples, stage, *args)

    out, page = tmp_path / "model.ert", tmp_path / "live" / "report.html"
    arguments = ["train", dataset, "--out", out, "--validation", 0.2, "--report", page.parent, *SMALL, "--n-stages=3"]
    monkeypatch.setattr("ert.training.fit.train_stage", interrupted)
    assert run(*arguments) == 130
    assert read_page(page).xpath("//strong")[0].text == "Interrupted"
    assert read_page(page).xpath("//progress/@value") == ["1"]
    monkeypatch.undo()
    assert run(*arguments, "--resume") == 0
    assert read_page(page).xpath("//progress/@value") == ["3"]
    assert out.read_bytes() == trained[0].read_bytes()
