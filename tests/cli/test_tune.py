"""``ert tune``: what it writes, what it says, and what it refuses."""

import json
import sys

import pytest
from cli.running import SMALL, read_page, refused, run

import ert
from ert.pipeline.tuning import study as studies

TINY = [*SMALL, "--n-trees=5", "--cv=2", "--box-from=whole", "--jobs=1"]


def test_model_report_and_json(dataset, tmp_path, capsys):
    pytest.importorskip("optuna")
    out, page = tmp_path / "m.ert", tmp_path / "r" / "report.html"
    outputs = ["--out", out, "--json", tmp_path / "m.json", "--report", page.parent]
    assert run("tune", dataset / "landmarks.csv", *outputs, "--trials", 3, *TINY) == 0
    said = capsys.readouterr().err
    assert "ert: trial 0: error " in said
    assert "(the preset)" in said
    assert "3 of 3 trials" in said
    assert said.count("boxes: ") == 1
    record = json.loads((tmp_path / "m.json").read_text())
    assert [row["number"] for row in record["trials"]] == [0, 1, 2]
    model = ert.load(out)
    assert {name: getattr(model, name) for name in record["parameters"]} == record["parameters"]
    text = read_page(page).text_content()
    assert "in other folds" in text
    assert page.read_text().count("<svg") >= 3
    # The study stays beside the model; the same command only reads it.
    before = out.read_bytes()
    assert (tmp_path / "m.tune.log").exists()
    assert run("tune", dataset / "landmarks.csv", *outputs, "--trials", 3, *TINY) == 0
    assert "continuing after 3 trials\n" in capsys.readouterr().err
    assert out.read_bytes() == before


def test_an_interrupt_keeps_what_is_done(dataset, tmp_path, capsys, monkeypatch):
    pytest.importorskip("optuna")

    def interrupted(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(studies, "evaluate", interrupted)
    arguments = ["tune", dataset / "landmarks.csv", "--out", tmp_path / "m.ert", "--trials", 2, *TINY]
    assert run(*arguments) == 130
    assert "finished trials are kept: the same command goes on" in capsys.readouterr().err
    assert not (tmp_path / "m.ert").exists()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--out", "m.dat"], "m.dat: expected a model file ending in .ert"),
        (["--time", "soon"], "'soon': expected a time such as 90s, 30m or 2h"),
        (["--trials", "0"], "--trials 0: expected at least 1"),
        (["--max-ms", "0"], "--max-ms 0: expected a number above 0"),
        (["--max-mb", "nan"], "--max-mb nan: expected a number above 0"),
        (["--cv", "1"], "--cv 1: expected at least 2 folds"),
        (["--cv", "99"], "--cv: "),
        (["--workers", "0", "--trials", "1"], "--workers 0: expected at least 1"),
        (["--storage", ""], "--storage '': expected a file, or the URL of a database"),
        (["--storage", "/dev/full"], "/dev/full: is a device or a pipe, expected a file for the study"),
        (["--storage", "none/study.log"], "there is no folder none"),
        (["--storage", "text.log"], "text.log: exists and is not a study of ert tune"),
        (["--storage", "nothing://me:secret@host/x", "--trials", "1"], "host/x: cannot hold a study: unknown kind of"),
    ],
)
def test_bad_options(dataset, tmp_path, capsys, monkeypatch, options, expected):
    pytest.importorskip("optuna")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.log").write_text("notes\n")
    out = [] if "--out" in options else ["--out", "m.ert"]
    line = refused(capsys, "tune", dataset / "landmarks.csv", *out, *SMALL, "--box-from=whole", *options)
    assert expected in line
    assert "secret" not in line
    assert not (tmp_path / "m.ert").exists()


def test_optuna_that_is_missing_is_named(dataset, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    line = refused(capsys, "tune", dataset, "--out", tmp_path / "m.ert")
    assert line.endswith('needs optuna, which is not installed: pip install "ert-landmarks[tune]"')
