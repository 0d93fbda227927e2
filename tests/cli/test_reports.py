import numpy as np
import pytest
from lxml import html
from PIL import Image

import ert
import ert.training.fit
from ert.cli.main import main
from ert.datasets.synthetic import synthetic_dataset

SMALL = ["--n-stages=3", "--n-trees=20", "--n-inits=4", "--n-pixels=100", "--working-size=48", "--n-jobs=1"]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return synthetic_dataset(tmp_path_factory.mktemp("reports") / "faces", 24, seed=3)


@pytest.fixture(scope="module")
def trained(dataset):
    """A model, and the report of its training."""
    out, report = dataset.parent / "model.ert", dataset.parent / "training"
    assert run("train", dataset, "--out", out, "--validation", 0.2, "--report", report, *SMALL) == 0
    return out, report / "report.html"


def run(*arguments):
    return main([str(argument) for argument in arguments])


def read(page):
    return html.document_fromstring(page.read_text(encoding="utf-8"))


def facts(tree):
    return {dt.text: dt.getnext().text for dt in tree.xpath("//dl[@class='facts']/dt")}


def refused(capsys, *arguments):
    capsys.readouterr()
    assert run(*arguments) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def test_train_writes_a_report(trained):
    model, page = trained
    tree = read(page)
    assert not tree.xpath("//meta[@http-equiv='refresh']")
    assert tree.xpath("//h1")[0].text == "Training model.ert"
    text = tree.text_content()
    assert "19 to learn from, 5 held out for validation" in text
    assert "Finished: " in text
    assert f"{ert.load(model).history_[-1]['validation_nme']:.3f}" in text


def test_an_interrupted_training_says_so_and_goes_on(dataset, trained, tmp_path, monkeypatch, capsys):
    train_stage = ert.training.fit.train_stage

    def interrupted(samples, stage, *args):
        if stage == 1:
            raise KeyboardInterrupt
        return train_stage(samples, stage, *args)

    out, page = tmp_path / "model.ert", tmp_path / "live" / "report.html"
    arguments = ["train", dataset, "--out", out, "--validation", 0.2, "--report", page.parent, *SMALL]
    monkeypatch.setattr("ert.training.fit.train_stage", interrupted)
    assert run(*arguments) == 130
    assert read(page).xpath("//strong")[0].text == "Interrupted"
    assert read(page).xpath("//progress/@value") == ["1"]
    monkeypatch.undo()
    assert run(*arguments, "--resume") == 0
    assert read(page).xpath("//progress/@value") == ["3"]
    assert out.read_bytes() == trained[0].read_bytes()


def test_evaluate_writes_a_report(trained, dataset, tmp_path, capsys):
    arguments = ["evaluate", trained[0], dataset, "--jobs", 1, "--report", tmp_path / "new"]
    assert run(*arguments) == 0
    captured = capsys.readouterr()
    assert captured.err.endswith(f"wrote {tmp_path / 'new' / 'report.html'}\n")
    tree = read(tmp_path / "new" / "report.html")
    assert tree.xpath("//h1")[0].text == "model.ert on faces"
    captions = [caption.text for caption in tree.xpath("//caption")]
    # All images are from one source: nothing to compare.
    assert [text for text in captions if text.startswith("By ") and "part" not in text] == [
        "By size",
        "By yaw",
        "By roll",
        "By mouth",
    ]
    assert "120 calls: 24 objects, 5 times each" in captions
    mean = captured.out.splitlines()[2].split()[1]
    assert mean in [cell.text for cell in tree.xpath("//td")]
    assert run(*arguments, "--by", "roll", "--normalizer", "box", "--inits", 3) == 0
    tree = read(tmp_path / "new" / "report.html")
    captions = [caption.text for caption in tree.xpath("//caption")]
    assert [text for text in captions if text.startswith("By ") and "part" not in text] == ["By roll"]
    assert facts(tree)["Starts"] == "3"
    assert facts(tree)["Passes"] == "1"


def test_the_report_says_how_the_best_was_predicted(dataset, tmp_path):
    faces = ert.load_dataset(dataset / "landmarks.csv")
    model = ert.ShapePredictor(
        n_stages=1, n_trees=5, n_inits=2, n_pixels=50, working_size=48, n_jobs=1, mirror="face68"
    )
    model.fit(faces.X, faces.y).save(tmp_path / "model.ert")
    assert run("evaluate", tmp_path / "model.ert", dataset, "--best", "--report", tmp_path / "best") == 0
    told = facts(read(tmp_path / "best" / "report.html"))
    assert told["Starts"] == "3, and as many on the mirror image"
    assert told["Passes"] == "2"


def test_explain_writes_pictures(trained, dataset, tmp_path, capsys):
    image = dataset / "face_0000.png"
    for name in ("sheet.jpg", "moving.gif"):
        assert run("explain", trained[0], image, "--box", "20,20,80,80", "--out", tmp_path / name) == 0
        with Image.open(tmp_path / name) as picture:
            assert getattr(picture, "n_frames", 1) == (4 if name == "moving.gif" else 1)
    assert "240 pairs of pixels compared" in capsys.readouterr().err  # 3 stages, 20 trees, 4 levels
    assert sorted(path.name for path in tmp_path.iterdir()) == ["moving.gif", "sheet.jpg"]


def test_explain_finds_the_largest_face_itself(tmp_path, capsys):
    assert run("explain", "face5", ert.sample_image(), "--out", tmp_path / "sheet.png") == 0
    box = ",".join(f"{number:.0f}" for number in ert.detect_faces(ert.sample_image())[0])
    assert f"box {box}," in capsys.readouterr().err


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
        (("evaluate", model, dataset, "--report", tmp_path / "file"), "file: cannot be made"),
        (
            ("train", dataset, "--out", tmp_path / "x.ert", "--report", tmp_path / "file" / "x", *SMALL),
            "cannot be made",
        ),
    ]:
        assert message in refused(capsys, *arguments)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["blank.png", "file"]
