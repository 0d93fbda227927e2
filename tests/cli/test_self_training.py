"""``ert train --unlabelled``."""

import pytest
from cli.running import refused, run
from cli.test_new_photos import TINY
from helpers import drawn_dataset

import ert


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A TPS file of some photos, and a folder of others with one that is damaged."""
    folder = tmp_path_factory.mktemp("place")
    ert.write_dataset(drawn_dataset(folder / "images", 10, shift=3, roll=4), folder / "drawn.tps")
    drawn_dataset(folder / "more", 6, 1, shift=3, roll=4)
    (folder / "more" / "damaged.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return folder


def test_train_learns_from_photos_without_annotations(place, tmp_path, capsys):
    options = "--unlabelled", place / "more", "--unlabelled", place / "images", "--teachers=2", "--keep=0.5"
    out = tmp_path / "m.ert"
    assert run("train", place / "drawn.tps", "--out", out, "--box-from=whole", "--cv=2", *options, *TINY) == 0
    err = capsys.readouterr().err
    assert "10 of 17 photos without annotations left out: they are among the annotated ones" in err
    assert "1 of 7 photos without annotations left out, first: " in err
    assert "7 photos without annotations: 3 of 6 objects are learned from, in which teachers differ by" in err
    assert [file.name for file in tmp_path.iterdir()] == ["m.ert"]
    assert run("info", out) == 0
    out = capsys.readouterr().out
    assert "3 of them marked by teachers in 7 photos without annotations" in out


def test_bad_options_are_refused(place, tmp_path, capsys):
    command = "train", place / "drawn.tps", "--out", tmp_path / "m.ert", "--unlabelled"
    assert "nowhere" in refused(capsys, *command, place / "nowhere", *TINY)
    assert "--keep 2: expected 0 to 1" in refused(capsys, *command, place / "more", "--keep=2", *TINY)
    left = tmp_path / "m.checkpoint.teacher1-2.ert"
    left.write_bytes(b"ERT")
    assert f"{left.name}: left by an interrupted training" in refused(capsys, *command, place / "more", *TINY)


def test_an_interrupt_of_teachers_says_how_to_continue(place, tmp_path, capsys, monkeypatch):
    out = tmp_path / "m.ert"
    options = "--unlabelled", place / "more", "--teachers=2", "--box-from=whole"
    with monkeypatch.context() as patch:

        def interrupt(*args, **kwargs):
            raise KeyboardInterrupt

        patch.setattr("ert.pipeline.self_training.mark_photos", interrupt)
        assert run("train", place / "drawn.tps", "--out", out, *options, *TINY) == 130
    assert "finished stages of teachers are kept: continue with --resume" in capsys.readouterr().err
    assert run("train", place / "drawn.tps", "--out", out, "--resume", *options, *TINY) == 0
    assert "m.checkpoint.ert: going on with the teachers" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["m.ert"]


def test_no_output_replaces_a_list_of_photos(place, tmp_path, capsys):
    listed = tmp_path / "photos.json"
    listed.write_text(f"{place / 'more' / 'damaged.png'}\n")
    options = "--out", tmp_path / "m.ert", "--unlabelled", f"@{listed}", "--json", listed
    before = listed.read_bytes()
    assert "photos.json" in refused(capsys, "train", place / "drawn.tps", *options, *TINY)
    assert listed.read_bytes() == before
