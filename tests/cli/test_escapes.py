"""Terminal codes in names, notes and paths: they are printed as text, in messages and in results."""

import json
import os
import shutil
import subprocess
import sys
import warnings

import pytest
from cli.running import SMALL, refused, run

import ert
from ert.cli import main

CODES = "\x1b]0;title\x07\x1b[2J\u202e"
SHOWN = r"\x1b]0;title\x07\x1b[2J\u202e"
BOX = ("--box", "8,8,80,80")


@pytest.fixture
def place(dataset, tmp_path, monkeypatch):
    """A folder with a photo and a dataset that have such names, and a model with such notes."""
    try:
        shutil.copy(dataset / "face_0000.png", tmp_path / f"a{CODES}.png")
    except OSError:
        pytest.skip("needs a file system with such names")
    table = (dataset / "landmarks.csv").read_text().replace("x0,y0", "nose_x,nose_y")
    (tmp_path / f"t{CODES}.csv").write_text(table)
    monkeypatch.chdir(tmp_path)
    note = f"k{CODES}={CODES}{'long ' * 1000}"
    assert run("train", dataset, "--out", "model.ert", "--note", note, *SMALL, "--n-trees=2") == 0
    return tmp_path


def assert_printable(captured):
    for text in captured:
        assert all(line.isprintable() and len(line) <= 1000 for line in text.splitlines())


def test_results_are_printable(place, dataset, capsys):
    capsys.readouterr()
    photo, table = f"a{CODES}.png", f"t{CODES}.csv"
    assert run("align", photo, "--model", "model.ert", *BOX, "--draw", f"d{CODES}", "--json", "x.json") == 0
    captured = capsys.readouterr()
    assert captured.err.startswith(f"a{SHOWN}.png: 1 face: box 8,8,80,80 -> d{SHOWN}/a{SHOWN}_landmarks.png")
    assert_printable(captured)
    # A program that reads JSON gets the name as it is.
    assert json.loads((place / "x.json").read_text())["images"][0]["file"] == photo
    assert run("info", "model.ert") == 0
    captured = capsys.readouterr()
    assert f"  k{SHOWN}: {SHOWN}long long" in captured.out
    assert_printable(captured)
    assert run("dataset", "info", table, "--images", dataset) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith(f"t{SHOWN}.csv: csv, 24 objects")
    assert_printable(captured)
    assert run("convert", table, f"u{CODES}.csv", "--images", dataset) == 0
    captured = capsys.readouterr()
    assert captured.err.startswith(f"t{SHOWN}.csv -> u{SHOWN}.csv: 24 objects")
    assert_printable(captured)


def test_representations_are_printable(place, dataset):
    (place / f"t{CODES}").mkdir()
    table = (dataset / "landmarks.csv").read_text().splitlines()[:2]
    shutil.copy(dataset / "face_0000.png", place / f"t{CODES}")
    path = place / f"t{CODES}" / f"l{CODES}.csv"
    path.write_text("\n".join(table) + "\n")
    text = repr(ert.load_dataset(path))
    assert all(line.isprintable() for line in text.splitlines())
    assert SHOWN in text


def test_messages_are_printable(place, capsys):
    os.rename(f"a{CODES}.png", f"a{CODES}.ert")
    for arguments in (
        ["info", f"a{CODES}.ert"],
        ["info", f"none{CODES}.ert"],
        ["info", f"none{CODES}"],
        ["evaluate", "model.ert", f"t{CODES}.csv"],
        ["convert", f"a{CODES}.ert", f"x{CODES}"],
        [f"x{CODES}"],
        ["align", "x.png", f"--x{CODES}"],
        ["align", "x.png", "--box", CODES],
        ["align", "x" * 10**5],
        ["info", "x" * 10**5],
        ["info", "model.ert", "--json", "x" * 10**5],
    ):
        line = refused(capsys, *arguments)
        assert line.isprintable()
        assert len(line) <= 1000
    with pytest.raises(ert.InputError) as info:
        ert.load(f"a{CODES}.ert")
    assert str(info.value).startswith(f"a{SHOWN}.ert: is not an ert model file")


@pytest.mark.filterwarnings("always")
def test_warnings_are_printable(monkeypatch, capsys):
    def warn(_):
        warnings.warn(CODES + "\n" + "x" * 5000, stacklevel=1)
        return ()

    monkeypatch.setattr(main, "_read_files", warn)
    assert run("models") == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"ert: {SHOWN}\\nxxx")
    assert line.isprintable()
    assert len(line) <= 1000


def test_names_that_the_terminal_lacks_are_escaped(place):
    os.rename(f"a{CODES}.png", "ä日.png")
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    command = [sys.executable, "-m", "ert", "dataset", "info", "ä日.csv"]
    table = (place / f"t{CODES}.csv").read_text().splitlines()[:2]
    (place / "ä日.csv").write_text("\n".join([table[0], table[1].replace("face_0000", "ä日")]))
    result = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(rb"\xe4\u65e5.csv: csv, 1 object")
