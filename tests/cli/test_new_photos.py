"""Errors of new photos on the command line: where boxes come from, cross-validation, millimeters, reports."""

import json
import re

import numpy as np
import pytest
from cli.running import read_page, refused, run
from helpers import drawn_dataset

import ert

TINY = ["--preset=none", "--n-stages=2", "--n-trees=10", "--n-inits=3", "--n-pixels=60", "--working-size=40"]
TINY += ["--jobs=1"]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A TPS file of 24 drawn shapes, without boxes."""
    folder = tmp_path_factory.mktemp("drawn")
    ert.write_dataset(drawn_dataset(folder / "images", 24, shift=3, roll=4), folder / "drawn.tps")
    return folder / "drawn.tps"


@pytest.fixture(scope="module")
def trained(drawn, tmp_path_factory):
    """The model of a cross-validation, its JSON file and its report."""
    folder = tmp_path_factory.mktemp("trained")
    files = "--out", folder / "m.ert", "--json", folder / "m.json", "--report", folder / "report"
    options = "--cv=2", "--learning-curve", "--scale=0.5", "--within=1,2", "--normalizer=0-2", "--box-from=whole"
    assert run("train", drawn, *files, *options, *TINY) == 0
    return folder


def test_train_cross_validates_and_writes_what_it_prints(drawn, trained, tmp_path, capsys):
    data = json.loads((trained / "m.json").read_text())
    assert (data["box_source"], data["preset"]) == ("whole", "none")
    figures = data["validation"]
    row = figures["norms"]["0-2"]
    assert figures["n"] == figures["n_found"] == 24
    assert figures["lengths"]["mean"] == pytest.approx(figures["pixels"]["mean"] / 2)
    assert [each["radius"] for each in figures["lengths"]["within"]] == [1, 2]
    assert [each["n_images"] for each in data["learning_curve"]] == [3, 6, 12]
    # The report has the same numbers.
    text = " ".join(read_page(trained / "report" / "report.html").text_content().split())
    assert f"Error of new photos (2-fold cross-validation, 24 objects): {row['mean']:.2f} % of the 0-2 distance" in text
    assert f"error of new photos{row['mean']:.2f} %of the 0-2 distance" in text
    assert f"{data['learning_curve'][0]['error']:.2f}" in text
    for each in figures["lengths"]["per_landmark"]:
        assert f"{each['mean']:.3g}" in text
    assert "Learning curve" in text
    # So has the model.
    assert run("info", trained / "m.ert") == 0
    printed = capsys.readouterr().out
    assert "  boxes: the whole image\n" in printed
    assert f"error of new photos {row['mean']:.2f} % of the 0-2 distance (95 % interval" in printed
    assert f"{figures['lengths']['mean']:.3g} mm" in printed
    assert sorted(path.name for path in trained.iterdir()) == ["m.ert", "m.json", "report"]
    # And the terminal.
    options = "--cv=2", "--per-landmark", "--box-from=whole"
    assert run("train", drawn, "--out", tmp_path / "n.ert", *options, *TINY) == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("ert: boxes: the whole images (as asked for")
    (at,) = [i for i, line in enumerate(lines) if line.startswith("error of new photos (2-fold")]
    assert lines[at + 1].startswith("mean radial error ")
    assert lines[at + 2].startswith("training error ")
    assert lines[at + 3].split() == ["landmark", "%", "diagonal", "px"]
    assert [line.split()[0] for line in lines[at + 4 :]] == list("01234")


def test_boxes_around_the_landmarks_are_told_in_the_first_line(drawn, tmp_path, capsys):
    given = "train", drawn, "--box-from=given", "--out", tmp_path / "g.ert", *TINY
    assert run(*given, "--validation=0.3") == 0
    lines = capsys.readouterr().err.splitlines()
    (at,) = [i for i, line in enumerate(lines) if line.startswith("boxes are those around the true landmarks")]
    assert lines[at + 1].startswith("error of new photos (held-out images, 7 objects)")
    scattered = ert.load(tmp_path / "g.ert").summary_["validation"]["scattered_error"]
    assert f"{scattered:.2f} % (95 % interval" in lines[at]
    assert run("info", tmp_path / "g.ert") == 0
    assert f"boxes around the true landmarks: {scattered:.2f} %" in capsys.readouterr().out
    json_file, report = tmp_path / "g.json", tmp_path / "report"
    assert run("evaluate", tmp_path / "g.ert", drawn, "--json", json_file, "--report", report, "--jobs=1") == 0
    lines = capsys.readouterr().out.splitlines()
    figures = json.loads(json_file.read_text())
    text = f"{figures['scattered_boxes']['diagonal']['mean']:.2f} % (95 % interval"
    assert lines[0].startswith("boxes are those around the true landmarks")
    assert text in lines[0]
    remark, trained_on = read_page(report / "report.html").xpath("//p[@class='remark']")
    # Of 24, seven were held out.
    assert figures["n_trained_on"] == 17
    assert lines[1].startswith("the model was trained on 17 of these 24 objects: errors of new photos are larger, ")
    assert trained_on.text.startswith("The model was trained on 17 of these 24 objects")
    assert text in " ".join(remark.text_content().split())
    # Converted annotations have boxes, but the same ones.
    assert run("convert", drawn, tmp_path / "drawn.csv") == 0
    assert run("evaluate", tmp_path / "g.ert", tmp_path / "drawn.csv", "--images", drawn.parent, "--jobs=1") == 0
    assert capsys.readouterr().out.startswith("boxes are those around")


def test_evaluate_takes_the_boxes_of_a_new_photo(drawn, trained, tmp_path, capsys):
    model, found = trained / "m.ert", {}
    for source in ("auto", "whole", "given"):
        out = tmp_path / f"{source}.json"
        assert run("evaluate", model, drawn, "--box-from", source, "--json", out, "--jobs=1") == 0
        found[source] = json.loads(out.read_text())
    assert found["auto"]["box_source"] == "whole"
    assert found["auto"]["norms"] == found["whole"]["norms"]
    assert found["given"]["norms"]["box"]["mean"] > 2 * found["whole"]["norms"]["box"]["mean"]
    capsys.readouterr()
    assert run("evaluate", model, drawn, "--boxes=image", "--jobs=1") == 0
    assert "trained for others" not in capsys.readouterr().out
    assert run("evaluate", model, drawn, "--box-from=given", "--jobs=1") == 0
    assert "boxes: from the annotations; the model was trained for others, the whole images" in capsys.readouterr().out
    assert "has no locator" in refused(capsys, "evaluate", model, drawn, "--box-from", "learnt")


def test_the_report_of_an_evaluation_has_the_numbers_of_the_json(drawn, trained, tmp_path, capsys):
    out, page = tmp_path / "e.json", tmp_path / "report" / "report.html"
    options = "--scale=0.5", "--within=0.5,1", "--per-landmark", "--normalizer=1-3", "--jobs=1"
    assert run("evaluate", trained / "m.ert", drawn, "--json", out, "--report", page.parent, *options) == 0
    figures, printed = json.loads(out.read_text()), capsys.readouterr().out
    tree = read_page(page)
    cells = [cell.text_content() for cell in tree.xpath("//td | //dd")]
    row, lengths = figures["norms"]["1-3"], figures["lengths"]
    assert f"{row['mean']:.3f}" in cells
    assert f"{row['mean']:.3f}" in printed
    assert f"{lengths['mean']:.3g} mm" in cells
    assert f"{100 * lengths['within'][1]['share']:.1f} % within 1 mm" in printed
    for value, each in zip(row["per_landmark"], lengths["per_landmark"], strict=True):
        assert f"{value:.2f}" in cells
        assert f"{each['mean']:.3g}" in cells
    # The names of the landmarks are in the chart, and pictures open large, without scripts.
    assert {text.text for text in tree.xpath("//svg//*[local-name()='text']")} >= set("01234")
    for link in tree.xpath("//ul[@class='gallery']//a/@href"):
        assert tree.xpath(f"//*[@id='{link[1:]}']")
    assert tree.xpath("//li//img[@class='large']/@width")[0] == "800"
    assert not tree.xpath("//script")


def test_compare_gives_each_model_its_boxes(drawn, trained, tmp_path, capsys):
    given = tmp_path / "g.ert"
    assert run("train", drawn, "--box-from=given", "--out", given, *TINY) == 0
    out = tmp_path / "c.json"
    capsys.readouterr()
    assert run("compare", trained / "m.ert", given, drawn, "--repeats=1", "--json", out) == 0
    assert capsys.readouterr().out.startswith(
        "boxes are those around the true landmarks, which no new photo has; moved"
    )
    data = json.loads(out.read_text())
    whole = tmp_path / "e.json"
    assert run("evaluate", trained / "m.ert", drawn, "--json", whole, "--jobs=1") == 0
    assert data["errors"]["a"]["mean"] == pytest.approx(json.loads(whole.read_text())["norms"]["box"]["mean"])
    assert data["scattered_boxes"][1] > data["errors"]["b"]["mean"]
    capsys.readouterr()
    assert run("compare", trained / "m.ert", trained / "m.ert", drawn, "--repeats=1") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "A m.ert was trained on 24 of these 24 objects: its errors are too small"
    assert lines[2].startswith("drawn: 24 objects")


def test_an_interrupted_cross_validation_is_resumed(drawn, tmp_path, capsys, monkeypatch):
    import ert.training.fit

    options = "train", drawn, "--cv=2", "--box-from=whole", *TINY
    assert run(*options, "--out", tmp_path / "a.ert") == 0
    train_stage, calls = ert.training.fit.train_stage, []

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return train_stage(*arguments)

    monkeypatch.setattr("ert.training.fit.train_stage", interrupted)
    assert run(*options, "--out", tmp_path / "b.ert") == 130
    monkeypatch.undo()
    assert "ert: interrupted; finished folds are kept: continue with --resume" in capsys.readouterr().err
    left = sorted(path.name for path in tmp_path.glob("b.*"))
    assert left == ["b.checkpoint.cv1.ert", "b.checkpoint.cv2.ert"]
    assert "continue with --resume" in refused(capsys, *options, "--out", tmp_path / "b.ert")
    assert run(*options, "--out", tmp_path / "b.ert", "--resume") == 0
    assert "b.checkpoint.ert: going on with the folds" in capsys.readouterr().err
    assert (tmp_path / "a.ert").read_bytes() == (tmp_path / "b.ert").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.ert", "b.ert"]


def test_a_dat_file_has_whole_boxes_and_no_locator(drawn, tmp_path, capsys):
    out = tmp_path / "m.dat"
    assert run("train", drawn, "--out", out, "--box-from=whole", *TINY) == 0
    assert f"{out}: nor where boxes come from: predict with --box-from whole" in capsys.readouterr().err
    whole = ert.load(out).predict([(drawn.parent / "images" / "shape0_00.png", (0, 0, 96, 96))])
    assert np.isfinite(whole).all()
    line = refused(capsys, "train", drawn, "--out", out, "--box-from=learned", *TINY)
    assert "dlib's format (.dat) cannot store a locator, expected whole or given" in line


def test_a_single_landmark_is_measured_in_sides_of_the_image(drawn, tmp_path, capsys):
    dataset = ert.load_dataset(drawn)
    one = ert.Dataset(dataset.files, dataset.boxes, dataset.landmarks[:, :1], ("tip",), "one")
    ert.write_dataset(one, tmp_path / "one.tps")
    assert run("train", tmp_path / "one.tps", "--out", tmp_path / "m.ert", "--cv=2", *TINY) == 0
    printed = capsys.readouterr().err
    assert "boxes: the whole images (a single landmark has no size)" in printed
    assert re.search(r"error of new photos .* % of the side of the box", printed)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--cv=1"], "cv 1: expected at least 2 folds"),
        (["--cv=30"], "drawn.tps: --cv: 30 folds: at least 30 images or groups are needed, got 24"),
        (["--cv=2", "--validation=0.2"], "validation and cv: expected one of the two"),
        (["--normalizer=0-9"], "normalizer '0-9': expected inter-ocular"),
        (["--within=0"], "'0': expected numbers above 0"),
        (["--scale=0"], "--scale 0: expected the length of a pixel"),
        (["--group=(x)"], "group '(x)' not found in the file name"),
        (["--box-from=whole", "--boxes=b.csv:x"], "--box-from whole and --boxes b.csv:x: expected one of the two"),
    ],
)
def test_bad_options_of_training_are_refused(drawn, tmp_path, capsys, options, message):
    assert message in refused(capsys, "train", drawn, "--out", tmp_path / "m.ert", *TINY, *options)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_validation_in_a_model_file_is_refused(trained, tmp_path):
    from dataclasses import replace

    from ert.model.fitted import write_fitted

    model = ert.load(trained / "m.ert")
    for key, value in (("error", "small"), ("method", 3), ("n_found", 1.5), ("length", "1")):
        summary = model.summary_ | {"validation": model.summary_["validation"] | {key: value}}
        write_fitted(tmp_path / "x.ert", replace(model.fitted_, summary=summary))
        with pytest.raises(ert.InputError, match=re.escape("validation")):
            ert.load(tmp_path / "x.ert")


def test_predict_replaces_no_annotations_that_the_model_was_trained_on(drawn, trained, tmp_path, capsys):
    annotated = tmp_path / "annotated.tps"
    ert.write_dataset(ert.load_dataset(drawn), annotated)
    before = annotated.read_bytes()
    refused(capsys, "predict", trained / "m.ert", drawn.parent / "images", "--out", annotated)
    assert annotated.read_bytes() == before
    # Predictions are replaced by force.
    for _ in range(2):
        options = "--out", tmp_path / "predicted.tps", "--force"
        assert run("predict", trained / "m.ert", drawn.parent / "images", *options) == 0
    assert run("predict", trained / "m.ert", drawn.parent / "images", "--out", annotated, "--force") == 0
    assert annotated.read_bytes() != before
