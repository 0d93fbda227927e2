import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from annotation.annotating import NAMES, change, done, marked, opened, photos, same, saved, wait
from PIL import Image

from ert import InputError, load_dataset
from ert.annotation import storage
from ert.annotation.journal import Journal
from ert.annotation.project import PhotoState
from ert.datasets.formats import write_dataset

FORMATS = {"csv": "a.csv", "tps": "a.tps", "coco": "a.json", "imglab": "a.xml", "pts": "p", "tem": "t", "ljson": "l"}
FIRST = marked((1.25, 2), (30, 4), (5, 30.5))
SECOND = marked((11, 12), (40, 14), (15, 35))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Files are written and looked at as often as a test can tell."""
    for name in ("WRITE_SECONDS", "LOOK_SECONDS"):
        monkeypatch.setattr(f"ert.annotation.storage.{name}", 0.01)


@pytest.fixture
def files(tmp_path):
    return photos(tmp_path / "photos")


def read(out, files, **options):
    return load_dataset(out, image_folder=files[0].parent, **options)


@pytest.mark.parametrize(("format", "name"), FORMATS.items())
def test_what_is_done_is_in_the_file_in_any_format(tmp_path, files, format, name):
    out = tmp_path / name
    first = opened(out, files, format=format)
    change(first.project, 0, done(FIRST))
    change(first.project, 2, done(SECOND, scale=0.5))
    change(first.project, 1, PhotoState("started", (FIRST,)))
    change(first.project, 3, PhotoState("skipped"))
    saved(first)
    dataset = read(out, files)
    assert [file.name for file in dataset.files] == ["a0.png", "a2.png"]
    order = [dataset.landmark_names.index(landmark) for landmark in NAMES] if format == "imglab" else slice(None)
    found = dataset.landmarks[:, order]
    np.testing.assert_allclose(found, [FIRST.landmarks, SECOND.landmarks], atol=0.5 if format == "imglab" else 1e-5)
    if format in ("csv", "tps", "coco"):
        assert dataset.scales[1] == 0.5
    states = first.project.states()
    first.close()
    # All of it is back in the next session, also what the format does not keep.
    again = opened(out, files, format=format, names=None)
    assert all(map(same, again.project.states(), states))
    assert again.project.landmark_names == NAMES
    assert again.saver.is_saved
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    again.close()
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(("format", "name"), FORMATS.items())
def test_a_landmark_that_no_object_has_yet(tmp_path, files, format, name):
    out = tmp_path / name
    first = opened(out, files, format=format)
    change(first.project, 0, done(marked((1, 2), None, (3, 4))))
    saved(first)
    first.close()
    again = opened(out, files, format=format, names=None)
    assert again.saver.is_saved
    np.testing.assert_array_equal(again.project.photo(0).objects[0].landmarks[1], [np.nan, np.nan])
    change(again.project, 1, done(FIRST))
    saved(again)
    again.close()
    dataset = read(out, files)
    assert len(dataset) == 2
    assert len(dataset.landmark_names) == 3


@pytest.mark.parametrize(("format", "name"), FORMATS.items())
def test_nothing_done_any_more(tmp_path, files, format, name):
    out = tmp_path / name
    first = opened(out, files, format=format)
    change(first.project, 0, done(FIRST))
    saved(first)
    change(first.project, 0, PhotoState("started", (FIRST,)))
    saved(first)
    first.close()
    again = opened(out, files, format=format, names=None)
    assert [state.status for state in again.project.states()] == ["started", "todo", "todo", "todo"]
    again.close()
    with pytest.raises(InputError):
        read(out, files)


@pytest.mark.parametrize(
    ("format", "name"), [("csv", "a.csv"), ("tps", "a.tps"), ("coco", "a.json"), ("imglab", "a.xml")]
)
def test_several_objects_boxes_and_ids_are_kept(tmp_path, files, format, name):
    out = tmp_path / name
    first = opened(out, files, format=format)
    boxed = marked((1, 2), (30, 4), (5, 30), box=np.array([0.0, 1, 50, 33]), id="left wing")
    change(first.project, 1, done(boxed, marked((3, 3), None, None)))
    saved(first)
    first.close()
    dataset = read(out, files)
    assert [file.name for file in dataset.files] == ["a1.png"] * (2 if format != "tps" else 1)
    again = opened(out, files, format=format)
    assert len(again.project.photo(1).objects) == 2
    again.close()
    if format != "tps":
        np.testing.assert_array_equal(dataset.boxes[0], boxed.box)
        # A single landmark has no extent.
        np.testing.assert_array_equal(dataset.boxes[1], [0, 0, 60, 40])
    if format in ("csv", "coco"):
        assert dataset.ids == ("left wing", "")
    if format == "tps":
        assert dataset.ids == ("left wing",)


def dataset_of(folder, format, name):
    """A dataset that another program wrote."""
    files = photos(folder)
    source = opened(folder / "source.csv", files)
    change(source.project, 0, done(FIRST, scale=0.5))
    change(source.project, 3, done(marked((2, 3), (20, 5), (6, 20), id="7", box=np.array([1.0, 1, 30, 25]))))
    data = source.project.done()
    source.close()
    for path in folder.glob("source*"):
        path.unlink()
    write_dataset(data, folder / name, format)
    return folder / name


@pytest.mark.parametrize(("format", "name"), FORMATS.items())
def test_a_dataset_is_changed_in_place_and_a_copy_of_it_kept(tmp_path, format, name):
    folder = tmp_path / "photos"
    path = dataset_of(folder, format, "" if format in ("pts", "tem", "ljson") else name)
    target = folder if path == folder else path
    before = {file.name: file.read_bytes() for file in folder.glob("a*") if file.suffix != ".png"}
    data = load_dataset(target)
    first = opened(target, format=format, names=None, reading={})
    assert [state.status for state in first.project.states()] == ["done", "done"]
    assert np.isnan(first.project.photo(0).objects[0].landmarks).sum() == 0
    if format in ("csv", "coco", "imglab"):
        assert first.project.photo(0).objects[0].box is None
        assert first.project.photo(1).objects[0].box.tolist() == [1, 1, 30, 25]
    state = first.project.photo(1)
    moved = marked(*(state.objects[0].landmarks + 1), id=state.objects[0].id, box=state.objects[0].box)
    change(first.project, 1, done(moved, scale=state.scale))
    saved(first)
    first.close()
    now = load_dataset(target)
    np.testing.assert_allclose(now.landmarks[0], data.landmarks[0])
    np.testing.assert_allclose(now.landmarks[1], data.landmarks[1] + 1)
    if format in ("csv", "coco"):
        assert now.ids == data.ids
    if format in ("csv", "coco", "tps"):
        np.testing.assert_array_equal(now.scales, data.scales)
    original = target.with_name(target.name + ".orig")
    kept = {
        file.name.removesuffix(".orig"): file.read_bytes()
        for file in (original.iterdir() if original.is_dir() else [original])
    }
    assert kept == before
    # It is the first version that is kept.
    first = opened(target, format=format, names=None)
    change(first.project, 0, done(SECOND))
    saved(first)
    first.close()
    assert {
        file.name.removesuffix(".orig"): file.read_bytes()
        for file in (original.iterdir() if original.is_dir() else [original])
    } == before


def test_another_dataset_is_where_one_begins(tmp_path):
    path = dataset_of(tmp_path / "photos", "tps", "wings.tps")
    before, given = path.read_bytes(), load_dataset(path)
    out = tmp_path / "out.csv"
    for _ in range(2):
        one = opened(out, names=None, given=given)
        assert one.project.counts()["done"] == 2
        saved(one)
        one.close()
    change_again = opened(out, names=None, given=given)
    change(change_again.project, 1, PhotoState("skipped"))
    change_again.close()
    assert len(load_dataset(out)) == 1
    again = opened(out, names=None, given=given)
    assert again.project.counts() == {"todo": 0, "started": 0, "done": 1, "skipped": 1}
    again.close()
    assert path.read_bytes() == before
    other = tmp_path / "other.csv"
    shutil.copy(out, other)
    with pytest.raises(InputError, match="exists, but not from an earlier session"):
        opened(other, names=None, given=given)
    # With --force, a copy of what was there is kept.
    opened(other, names=None, given=given, replaces=True).close()
    assert len(load_dataset(other)) == 2
    assert (tmp_path / "other.csv.orig").read_bytes() == out.read_bytes()


# --- other programs ---


def edit(path: Path) -> None:
    """Change the file as another program does."""
    path.write_text(path.read_text().replace("30.5", "31.5"))


def test_a_file_that_another_program_changes_is_not_replaced(tmp_path, files):
    out = tmp_path / "a.csv"
    one = opened(out, files)
    change(one.project, 0, done(FIRST))
    saved(one)
    edit(out)
    theirs = out.read_text()
    change(one.project, 1, done(SECOND))
    wait(lambda: one.saver.status()["state"] == "changed outside")
    assert "a.csv" in one.saver.status()["text"]
    assert out.read_text() == theirs
    assert not one.saver.is_saved
    kept = one.saver.resolve("keep mine")["kept"]
    assert kept == "a.theirs-1.csv"
    assert (tmp_path / kept).read_text() == theirs
    saved(one)
    assert len(load_dataset(out, image_folder=files[0].parent)) == 2
    one.close()


def test_a_change_outside_while_the_file_is_made_is_noticed(tmp_path, files, monkeypatch):
    out = tmp_path / "a.csv"
    one = opened(out, files)
    change(one.project, 0, done(FIRST))
    saved(one)
    make = storage.text_of

    def slow(*arguments):
        text = make(*arguments)
        edit(out)
        return text

    monkeypatch.setattr(storage, "text_of", slow)
    change(one.project, 1, done(SECOND))
    wait(lambda: one.saver.status()["state"] == "changed outside")
    assert "31.5" in out.read_text()
    monkeypatch.setattr(storage, "text_of", make)
    one.saver.resolve("keep mine")
    saved(one)
    one.close()
    assert len(load_dataset(out, image_folder=files[0].parent)) == 2


def test_a_change_outside_is_noticed_without_any_change_here_and_can_be_read(tmp_path, files):
    out = tmp_path / "a.csv"
    one = opened(out, files)
    change(one.project, 0, done(marked(*FIRST.landmarks, hidden=frozenset([1]))))
    change(one.project, 1, done(SECOND))
    saved(one)
    mine = out.read_text()
    edit(out)
    wait(lambda: one.saver.status()["state"] == "changed outside")
    revisions = [state.revision for state in one.project.states()]
    kept = one.saver.resolve("reload")["kept"]
    assert (tmp_path / kept).read_text() == mine
    assert one.saver.is_saved
    assert one.project.photo(0).objects[0].landmarks[2, 1] == 31.5
    # A page that has it open is told; the other photo is as it was.
    assert [state.revision for state in one.project.states()] == [revisions[0] + 1, *revisions[1:]]
    assert one.project.photo(1).objects[0] == SECOND
    with pytest.raises(InputError, match="nothing was changed outside"):
        one.saver.resolve("reload")
    one.close()


def test_another_version_that_cannot_be_read_changes_nothing(tmp_path, files):
    out = tmp_path / "a.csv"
    one = opened(out, files)
    change(one.project, 0, done(FIRST))
    saved(one)
    state = one.project.photo(0)
    for text in ("junk", "image,x0,y0\nunknown.png,1,2\n", None):
        if text is None:
            out.unlink()
        else:
            out.write_text(text)
        wait(lambda: one.saver.status()["state"] == "changed outside")
        with pytest.raises(InputError):
            one.saver.resolve("reload")
        assert one.project.photo(0) is state
        assert one.saver.status()["state"] == "changed outside"
    assert one.saver.resolve("keep mine") == {"kept": ""}
    saved(one)
    one.close()
    assert len(load_dataset(out, image_folder=files[0].parent)) == 1


@pytest.mark.parametrize(("format", "name"), [("csv", "a.csv"), ("pts", "p")])
def test_another_version_with_photos_that_are_not_open_can_be_read(tmp_path, files, format, name):
    out = tmp_path / name
    reading = {"image_folder": str(files[0].parent)} if format == "pts" else {}
    one = opened(out, files[:2], format=format, reading=reading)
    change(one.project, 0, done(FIRST))
    saved(one)
    other = opened(tmp_path / f"other-{name}", files, format=format)
    for i, object in ((0, FIRST), (2, SECOND), (3, FIRST)):
        change(other.project, i, done(object))
    other.close()
    if format == "pts":
        for file in (tmp_path / f"other-{name}").iterdir():
            shutil.copy(file, out / file.name)
    else:
        shutil.copy(tmp_path / f"other-{name}", out)
    wait(lambda: one.saver.status()["state"] == "changed outside")
    one.saver.resolve("reload")
    assert [state.status for state in one.project.states()] == ["done", "todo", "done", "done"]
    assert one.project.photo(2).objects[0] == SECOND
    # They are photos as the others: the file keeps them, and so do later sessions.
    change(one.project, 2, done(FIRST))
    saved(one)
    assert len(one.project.photos.jpeg(3, 50)) > 0
    one.close()
    again = opened(out, files[:2], format=format, reading=reading)
    assert again.project.counts()["done"] == 3
    again.close()


@pytest.mark.parametrize("name", ["a\nb.png", "a.png ", "a\tb.png", b"\xff.png", "a\u2028b.png"])
def test_a_photo_whose_name_no_file_can_hold_is_refused_before_it_is_marked(tmp_path, files, name):
    photo = files[0].with_name(os.fsdecode(name))
    files[0].rename(photo)
    for format in ("csv", "tps", "imglab"):
        with pytest.raises(InputError, match="cannot hold this name of a photo: rename the photo"):
            opened(tmp_path / FORMATS[format], [photo, *files[1:]], format=format)
    with pytest.raises(InputError, match="would be hidden; rename the photo"):
        opened(tmp_path / "p", [files[1].rename(files[1].with_name(".a.png"))], format="pts")


def test_photos_that_share_a_file_are_told_before_they_are_marked(tmp_path, files):
    twin = files[0].with_suffix(".bmp")
    Image.new("L", (60, 40)).save(twin)
    one = opened(tmp_path / "p", [*files, twin], format="pts")
    assert any("1 photo has the name of another one up to the suffix, first: " in note for note in one.notes)
    assert any(twin.name in note for note in one.notes)
    one.close()


def test_what_is_missing_is_remembered(tmp_path, files):
    one = opened(tmp_path / "a.csv", files)
    lacking = marked((1, 2), None, None, missing=frozenset([2]))
    change(one.project, 0, done(lacking))
    change(one.project, 1, PhotoState("started", (marked(None, None, None, missing=frozenset([0])),)))
    change(one.project, 2, done(marked(None, None, None, missing=frozenset([0, 1, 2]))))
    one.close()
    again = opened(tmp_path / "a.csv", files)
    assert again.project.photo(0).objects == (lacking,)
    assert again.project.photo(1).objects[0].missing == {0}
    assert again.project.photo(2).objects == ()
    assert len(again.project.done()) == 1
    again.close()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"image":"photos/a0.png"', '"image":1'),
        ('"images":["photos/a0.png"', '"images":[[]'),
        ('"landmarks":["tip"', '"landmarks":[{}'),
        ('"links":[]', '"links":[1]'),
        ("[30.0,4.0]", "null,null"),
        ("[30.0,4.0]", "[30.0,{}]"),
        ('"box":[1.0,2.0', '"box":[1.0,[]'),
        ('"box":[1.0,2.0', '"box":[1.0'),
        ('"box":[1.0,2.0', '"box":[1.0,NaN'),
        ('"scale":0.5', '"scale":"x"'),
        ('"hidden":[1]', '"hidden":["x"]'),
        ('"id":"x"', '"id":[]'),
        ('"status":"done"', '"status":"finished"'),
        ('"revision":1', '"revision":null'),
    ],
)
def test_a_journal_that_is_damaged_is_refused_by_its_line(tmp_path, files, old, new):
    one = opened(tmp_path / "a.csv", files)
    object = marked(*FIRST.landmarks, hidden=frozenset([1]), box=np.array([1.0, 2, 30, 20]), id="x")
    change(one.project, 0, done(object, scale=0.5))
    one.close()
    journal, file = one.saver.target.journal, tmp_path / "a.csv"
    text, before = journal.read_text(), file.read_bytes()
    assert old in text
    journal.write_text(text.replace(old, new))
    with pytest.raises(InputError, match=r"jsonl:\d: no line of a journal of ert annotate: put a copy"):
        opened(tmp_path / "a.csv", files)
    assert (journal.read_text(), file.read_bytes()) == (text.replace(old, new), before)


def test_a_journal_of_another_version_is_refused(tmp_path, files):
    opened(tmp_path / "a.csv", files).close()
    journal = tmp_path / "a.csv.annotate.jsonl"
    text = journal.read_text()
    journal.write_text(text.replace('"version":1', '"version":2'))
    with pytest.raises(InputError, match="was written by another version of ert"):
        opened(tmp_path / "a.csv", files)
    assert '"version":2' in journal.read_text()


def test_a_change_that_does_not_reach_the_disk_is_none(tmp_path, files, monkeypatch):
    one = opened(tmp_path / "a.csv", files)
    monkeypatch.setattr(one.journal, "sync", lambda: (_ for _ in ()).throw(InputError("j: cannot be written")))
    with pytest.raises(InputError, match="cannot be written"):
        one.project.change(0, 0, done(FIRST))
    assert one.project.photo(0) == PhotoState()
    monkeypatch.undo()
    assert one.project.change(0, 0, done(SECOND)).revision == 1
    one.close()
    assert len(load_dataset(tmp_path / "a.csv", image_folder=files[0].parent)) == 1


def test_a_fault_of_who_listens_does_not_fail_a_change(tmp_path, files, caplog):
    one = opened(tmp_path / "a.csv", files)
    one.project.listen(lambda i: 1 / 0)
    heard = []
    one.project.listen(heard.append)
    change(one.project, 1, done(FIRST))
    assert heard == [1]
    assert "after a change of photos/a1.png" in caplog.text
    one.close()


def test_one_file_of_a_folder_is_changed_outside(tmp_path, files):
    folder = tmp_path / "points"
    one = opened(folder, files, format="pts")
    change(one.project, 0, done(FIRST))
    change(one.project, 1, done(SECOND))
    saved(one)
    edit(folder / "a0.pts")
    (folder / "a0.pts").write_text((folder / "a0.pts").read_text().replace("31.5", "33"))
    wait(lambda: one.saver.status()["state"] == "changed outside")
    assert one.saver.status()["text"].startswith("a0.pts: ")
    kept = one.saver.resolve("reload")["kept"]
    assert one.project.photo(0).objects[0].landmarks[2, 1] == 32
    assert "31.5" in (tmp_path / kept / "a0.pts").read_text()
    one.close()


@pytest.mark.parametrize("changes_after", [False, True])
def test_a_file_that_was_changed_between_two_sessions_counts_and_the_other_is_kept(tmp_path, files, changes_after):
    out = tmp_path / "a.csv"
    one = opened(out, files)
    change(one.project, 0, done(FIRST))
    change(one.project, 1, done(SECOND))
    saved(one)
    one.close()
    edit(out)
    if changes_after:
        journal = Journal(one.saver.target.journal)
        journal.append({"kind": "photo", "image": "photos/a2.png", **done(SECOND).to_json()})
        journal.close()
    again = opened(out, files)
    assert again.project.photo(0).objects[0].landmarks[2, 1] == 31.5
    assert again.project.photo(1).objects[0] == SECOND
    (note,) = (note for note in again.notes if "another program" in note)
    assert "a.mine-1.csv" in note
    again.close()
    kept = load_dataset(tmp_path / "a.mine-1.csv", image_folder=files[0].parent)
    assert kept.landmarks[0, 2, 1] == 30.5
    assert len(kept) == 2 + changes_after
    # It counts from then on.
    last = opened(out, files)
    assert last.project.photo(0).objects[0].landmarks[2, 1] == 31.5
    assert not any("another program" in note for note in last.notes)
    last.close()
    assert load_dataset(out, image_folder=files[0].parent).landmarks[0, 2, 1] == 31.5
    assert not (tmp_path / "a.mine-2.csv").exists()


def test_a_file_that_is_gone_is_written_anew(tmp_path, files):
    out = tmp_path / "a.csv"
    one = opened(out, files)
    change(one.project, 0, done(FIRST))
    saved(one)
    one.close()
    before = out.read_text()
    out.unlink()
    again = opened(out, files)
    assert any("is gone" in note for note in again.notes)
    saved(again)
    again.close()
    assert out.read_text() == before


# --- sessions ---


def test_only_one_server_has_the_annotations(tmp_path, files):
    one = opened(tmp_path / "a.csv", files)
    with pytest.raises(InputError, match="another ert annotate has these annotations open"):
        opened(tmp_path / "a.csv", files)
    one.close()
    opened(tmp_path / "a.csv", files).close()


def test_photos_that_are_removed_and_added_between_sessions(tmp_path, files):
    out = tmp_path / "a.csv"
    one = opened(out, files)
    for i in (0, 1):
        change(one.project, i, done(FIRST))
    saved(one)
    one.close()
    elsewhere = tmp_path / "elsewhere.png"
    shutil.move(files[1], elsewhere)
    (more,) = photos(tmp_path / "more", 1)
    shutil.move(more, files[0].parent / "a10.png")
    here = [files[0], files[2], files[3], files[0].parent / "a10.png"]
    again = opened(out, here)
    assert [state.status for state in again.project.states()] == ["done", "todo", "todo", "todo"]
    assert any("1 photo is not there, first: photos/a1.png" in note for note in again.notes)
    change(again.project, 3, done(SECOND))
    saved(again)
    again.close()
    shutil.move(elsewhere, files[1])
    back = opened(out, [*files, here[3]])
    assert [state.status for state in back.project.states()] == ["done", "done", "todo", "todo", "done"]
    saved(back)
    back.close()
    assert len(load_dataset(out)) == 3


def test_annotations_of_photos_that_are_not_there_are_not_lost_silently(tmp_path):
    path = dataset_of(tmp_path / "photos", "csv", "a.csv")
    (tmp_path / "photos" / "a3.png").unlink()
    with pytest.raises(InputError, match=r"a3\.png"):
        opened(path, names=None, reading={})
    one = opened(path, names=None, reading={"skip_bad": True})
    change(one.project, 0, done(SECOND))
    one.close()
    assert "a3.png" in path.with_name("a.csv.orig").read_text()


def test_landmarks_are_renamed_in_the_file(tmp_path, files):
    out = tmp_path / "a.csv"
    one = opened(out, files)
    change(one.project, 0, done(FIRST))
    saved(one)
    one.project.rename(["a", "b", "c"])
    saved(one)
    one.close()
    assert load_dataset(out, image_folder=files[0].parent).landmark_names == ("a", "b", "c")
    again = opened(out, files, names=None)
    assert again.project.landmark_names == ("a", "b", "c")
    again.close()
    with pytest.raises(InputError, match="3 landmarks, not 4"):
        opened(out, files, names=4)


def test_photos_of_a_dataset_without_landmarks_stay_open(tmp_path):
    folder = tmp_path / "photos"
    files = photos(folder)
    (folder / "a.csv").write_text("image,a_x,a_y,b_x,b_y\na0.png,,,,\na1.png,,,,\na2.png,5,6,7,9\na3.png,,,,\n")
    for k in range(3):
        one = opened(folder / "a.csv", names=None)
        assert sorted(file.name for file in one.project.files) == [file.name for file in files]
        assert one.project.counts() == {"todo": 3, "started": 0, "done": 1, "skipped": 0}
        i = [file.name for file in one.project.files].index("a2.png")
        change(one.project, i, done(marked((k, 2), (3, 4))))
        one.close()


def test_photos_that_are_not_begun_stay_open(tmp_path, files):
    one = opened(tmp_path / "b.csv", files)
    change(one.project, 2, done(FIRST))
    one.close()
    again = opened(tmp_path / "b.csv", names=None)
    assert [file.name for file in again.project.files] == [file.name for file in files]
    assert again.project.counts()["todo"] == 3
    again.close()


def test_a_kill_between_new_names_and_the_file_with_them(tmp_path, files):
    out = tmp_path / "a.csv"
    one = opened(out, files)
    change(one.project, 0, done(FIRST))
    saved(one)
    one.close()
    journal = Journal(one.saver.target.journal)
    journal.append({"kind": "names", "landmarks": ["a", "b", "c"]})
    journal.close()
    again = opened(out, files, names=None)
    assert again.project.landmark_names == ("a", "b", "c")
    assert again.project.photo(0).objects == (FIRST,)
    change(again.project, 1, done(SECOND))
    again.close()
    assert load_dataset(out, image_folder=files[0].parent).landmark_names == ("a", "b", "c")


def test_a_change_while_another_version_is_read_is_saved(tmp_path, files, monkeypatch):
    out = tmp_path / "a.csv"
    one = opened(out, files)
    change(one.project, 0, done(FIRST))
    saved(one)
    edit(out)
    wait(lambda: one.saver.status()["state"] == "changed outside")
    read_again = one.saver._read

    def slow():
        found = read_again()
        change(one.project, 3, done(SECOND))
        return found

    one.saver._read = slow
    one.saver.resolve("reload")
    saved(one)
    one.close()
    dataset = load_dataset(out, image_folder=files[0].parent)
    assert dataset.landmarks[0, 2, 1] == 31.5
    assert dataset.files[1].name == "a3.png"


def test_photos_with_a_turn_in_an_imglab_file(tmp_path, files):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("L", (60, 40)).save(files[0], exif=exif)
    one = opened(tmp_path / "a.xml", files, format="imglab", reading={"exif": "upright"})
    assert one.project.size(0) == (40, 60)
    assert any("1 image carries a turn (EXIF)" in note and "--exif upright" in note for note in one.notes)
    change(one.project, 0, done(marked((1, 2), (30, 50), (5, 30))))
    one.close()
    again = opened(tmp_path / "a.xml", files, format="imglab", reading={"exif": "upright"})
    assert again.project.photo(0).objects[0].landmarks[1, 1] == 50
    again.close()


def test_a_photo_outside_of_the_format_is_in_the_journal(tmp_path, files):
    folder = tmp_path / "points"
    one = opened(folder, files, format="pts")
    change(one.project, 0, done(FIRST))
    saved(one)
    assert (folder / "a0.pts").exists()
    change(one.project, 0, done(FIRST, SECOND))
    saved(one)
    assert not (folder / "a0.pts").exists()
    assert any("photos with several objects" in note for note in one.notes)
    one.close()
    again = opened(folder, files, format="pts")
    assert len(again.project.photo(0).objects) == 2
    again.close()


# --- kills ---


def test_a_line_that_was_not_finished_is_cut_off(tmp_path):
    path = tmp_path / "j"
    journal = Journal(path)
    journal.append({"kind": "x", "n": 1})
    journal.close()
    with path.open("ab") as file:
        file.write(b'{"kind":"x","n":' + b"2" * 100_000)
    journal = Journal(path)
    journal.append({"kind": "x", "n": 3})
    assert [entry["n"] for entry in journal.read()] == [1, 3]
    journal.close()


@pytest.mark.parametrize("line", ["junk", "[]", "{}", '{"kind":1}', '{"kind":"photo"}', '{"kind":"project"}'])
def test_a_journal_that_is_none_is_refused(tmp_path, files, line):
    (tmp_path / "a.csv.annotate.jsonl").write_text(line + "\n")
    for _ in range(2):  # it is not left locked
        with pytest.raises(InputError, match=r"a\.csv\.annotate\.jsonl:1: no line of a journal"):
            opened(tmp_path / "a.csv", files)


def test_a_long_journal_is_shortened(tmp_path, files, monkeypatch):
    out = tmp_path / "a.csv"
    one = opened(out, files)
    one.project.log({"kind": "proposal", "n": 1})
    for k in range(50):
        change(one.project, 0, done(marked((k, 1), (2, 3), (4, 5))))
    change(one.project, 1, PhotoState("skipped"))
    one.close()
    journal = one.saver.target.journal
    size = journal.stat().st_size
    monkeypatch.setattr("ert.annotation.journal._SHORTEN_BYTES", 1000)
    again = opened(out, files)
    assert journal.stat().st_size < size / 4
    assert again.project.photo(0).objects[0].landmarks[0, 0] == 49
    assert again.project.photo(0).revision == 50
    assert again.project.photo(1).status == "skipped"
    assert again.project.entries("proposal") == [{"kind": "proposal", "n": 1}]
    assert again.saver.is_saved
    with pytest.raises(InputError, match="another ert annotate"):
        opened(out, files)
    change(again.project, 2, done(SECOND))
    again.close()
    assert len(load_dataset(out, image_folder=files[0].parent)) == 2


def test_a_full_disk_loses_no_line(tmp_path, monkeypatch):
    path = tmp_path / "j"
    journal = Journal(path)
    journal.append({"kind": "x", "n": 1})
    write = os.write

    def fail(number, data):
        if len(data) < 20:
            raise OSError(28, "No space left on device")
        return write(number, data[:10])

    monkeypatch.setattr(os, "write", fail)
    with pytest.raises(InputError, match="j: cannot be written: No space left on device"):
        journal.append({"kind": "x", "n": 2})
    monkeypatch.setattr(os, "write", write)
    journal.append({"kind": "x", "n": 3})
    assert [entry["n"] for entry in journal.read()] == [1, 3]
    journal.close()


def test_a_file_that_cannot_be_written_is_reported_and_written_later(tmp_path, files, monkeypatch):
    out = tmp_path / "a.csv"
    one = opened(out, files)
    change(one.project, 0, done(FIRST))
    saved(one)
    monkeypatch.setattr("ert.annotation.storage.RETRY_SECONDS", 0.01)
    replace_file = os.replace

    def refuse(source, destination):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    change(one.project, 1, done(SECOND))
    wait(lambda: one.saver.status()["state"] == "failed")
    assert "No space left on device" in one.saver.status()["text"]
    monkeypatch.setattr(os, "replace", replace_file)
    saved(one)
    one.close()
    assert len(load_dataset(out, image_folder=files[0].parent)) == 2


KILLED = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    from annotation.annotating import change, done, marked, opened
    folder, format, name = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    one = opened(folder / name, sorted((folder / "photos").iterdir()), format=format)
    k = 0
    while True:
        k += 1
        # Like the answer to a PUT: only what is printed was promised.
        change(one.project, k % 4, done(marked((k, 1), (2, k), (4, 5.5))))
        print(k % 4, k, flush=True)
    """
)


@pytest.mark.parametrize(("format", "name"), [("csv", "a.csv"), ("pts", "p")])
def test_everything_that_was_answered_survives_kill_9(tmp_path, files, format, name):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])}
    last = {}
    for n_lines in (40, 90) if format == "csv" else (70,):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path), format, name],
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )
        for _ in range(n_lines):
            i, k = map(int, process.stdout.readline().split())
            last[i] = k
        process.send_signal(signal.SIGKILL)
        for line in process.stdout.read().splitlines():
            i, k = map(int, line.split())
            last[i] = k
        process.wait()
        process.stdout.close()
        if (tmp_path / name).is_file() or list((tmp_path / name).glob("*.pts")):
            read(tmp_path / name, files)
        again = opened(tmp_path / name, files, format=format)
        for i, k in last.items():
            # One more may have been written, but not answered.
            assert again.project.photo(i).objects[0].landmarks[0, 0] >= k
            assert again.project.photo(i).objects[0].landmarks[0, 0] in (k, k + 4)
        saved(again)
        dataset = read(tmp_path / name, files)
        again.close()
        assert len(dataset) == 4
        last = {i: again.project.photo(i).objects[0].landmarks[0, 0] for i in range(4)}
    assert not list(tmp_path.glob("*mine*"))


def test_the_journal_is_json_lines(tmp_path, files):
    one = opened(tmp_path / "a.csv", files)
    change(one.project, 0, done(FIRST))
    one.close()
    kinds = [json.loads(line)["kind"] for line in one.saver.target.journal.read_text().splitlines()]
    assert kinds == ["project", "photos", "photo", "written"]
