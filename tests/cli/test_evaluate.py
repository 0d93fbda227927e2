import json
import sys

from cli.running import read_page, refused, run

import ert
import ert.training.fit


def facts(tree):
    return {dt.text: dt.getnext().text for dt in tree.xpath("//dl[@class='facts']/dt")}


def test_evaluate_prints_a_table_and_writes_json(model, dataset, tmp_path, capsys):
    out = tmp_path / "figures.json"
    assert run("evaluate", model, dataset / "landmarks.xml", "--json", out) == 0
    text = capsys.readouterr().out
    figures = json.loads(out.read_text())
    assert figures["n"] == 24
    assert f"{figures['norms']['inter-ocular']['mean']:.3f}" in text
    assert run("evaluate", model, dataset / "landmarks.xml", "--json", "-") == 0
    assert json.loads(capsys.readouterr().out)["norms"] == figures["norms"]


def test_evaluate_writes_a_report(trained, dataset, tmp_path, capsys):
    arguments = ["evaluate", trained[0], dataset, "--jobs", 1, "--report", tmp_path / "new"]
    assert run(*arguments) == 0
    captured = capsys.readouterr()
    assert captured.err.endswith(f"wrote {tmp_path / 'new' / 'report.html'}\n")
    tree = read_page(tmp_path / "new" / "report.html")
    assert tree.xpath("//h1")[0].text == "model.ert on faces"
    captions = [caption.text for caption in tree.xpath("//caption")]
    # All images are from one source: nothing to compare.
    assert [text for text in captions if text.startswith("By ") and "region" not in text] == [
        "By size",
        "By yaw",
        "By roll",
        "By mouth",
    ]
    assert "120 calls: 24 objects, 5 times each" in captions
    mean = captured.out.splitlines()[2].split()[1]
    assert mean in [cell.text for cell in tree.xpath("//td")]
    assert run(*arguments, "--by", "roll", "--normalizer", "box", "--inits", 3) == 0
    tree = read_page(tmp_path / "new" / "report.html")
    captions = [caption.text for caption in tree.xpath("//caption")]
    assert [text for text in captions if text.startswith("By ") and "region" not in text] == ["By roll"]
    assert facts(tree)["Initializations"] == "3"
    assert facts(tree)["Passes"] == "1"


def test_what_a_report_needs_is_checked_before_any_work(trained, dataset, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    for command in (("evaluate", trained[0], dataset), ("train", dataset, "--out", tmp_path / "x.ert")):
        line = refused(capsys, *command, "--report", tmp_path / "new")
        assert 'needs jinja2, which is not installed: pip install "ert-landmarks[plot]"' in line


def test_the_report_has_the_mode(dataset, tmp_path):
    faces = ert.load_dataset(dataset / "landmarks.csv")
    model = ert.ShapePredictor(
        n_stages=1, n_trees=5, n_inits=2, n_pixels=50, working_size=48, n_jobs=1, mirror="face68"
    )
    model.fit(faces.X, faces.y).save(tmp_path / "model.ert")
    assert run("evaluate", tmp_path / "model.ert", dataset, "--mode", "accurate", "--report", tmp_path / "best") == 0
    report = facts(read_page(tmp_path / "best" / "report.html"))
    assert report["Initializations"] == "3, and as many on the mirror image"
    assert report["Passes"] == "2"
