import threading

import numpy as np
import pytest
from annotation.annotating import change, done, marked, opened, photos, saved

from ert import InputError
from ert.annotation.project import Conflict, Marked, PhotoState, image_names

SHAPE = marked((1, 2), (30, 4), (5, 30))


@pytest.fixture
def one(tmp_path):
    one = opened(tmp_path / "a.csv", photos(tmp_path / "photos", 4), title="wings")
    yield one
    one.close()


@pytest.fixture
def project(one):
    return one.project


def test_a_change_is_refused_when_somebody_else_was_faster(project):
    first = project.change(1, 0, done(SHAPE))
    assert first.revision == 1
    with pytest.raises(Conflict) as info:
        project.change(1, 0, PhotoState("skipped"))
    assert info.value.current is first
    assert project.change(1, 1, PhotoState("skipped")).revision == 2
    assert project.photo(1).status == "skipped"


def test_a_change_that_is_sent_again_since_its_answer_was_lost_is_no_conflict(project):
    first = project.change(1, 0, done(SHAPE))
    assert project.change(1, 0, done(SHAPE)) is first
    assert project.photo(1).revision == 1


def test_of_threads_that_change_a_photo_at_once_one_wins(project):
    results = []

    def work(k):
        try:
            results.append(project.change(0, 0, done(marked((k, k), None, None))))
        except Conflict as conflict:
            results.append(conflict)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(type(result).__name__ for result in results) == ["Conflict"] * 7 + ["PhotoState"]


def test_listeners_and_changes(project):
    told = []
    project.listen(lambda i: told.append((i, project.photo(i).status)))
    change(project, 2, PhotoState("skipped"))
    change(project, 0, PhotoState("started", (SHAPE,)))
    change(project, 2, PhotoState("todo"))
    assert told == [(2, "skipped"), (0, "started"), (2, "todo")]
    assert project.changes(0) == (3, [2, 0])
    assert project.changes(2) == (3, [2])
    assert project.changes(3) == (3, [])
    assert project.todo() == [1, 2, 3]
    assert project.counts() == {"todo": 3, "started": 1, "done": 0, "skipped": 0}


def test_what_is_done_as_a_dataset(project):
    boxed = Marked(SHAPE.landmarks, frozenset([1]), np.array([0.0, 1, 40, 30]), "x")
    change(project, 3, done(SHAPE, scale=0.5))
    change(project, 0, done(boxed, marked((7, 8), None, None)))
    change(project, 1, PhotoState("started", (SHAPE,)))
    dataset = project.done()
    assert [file.name for file in dataset.files] == ["a0.png", "a0.png", "a3.png"]
    assert dataset.ids == ("x", "", "")
    assert dataset.name == "wings"
    assert dataset.box_source == "landmarks"
    np.testing.assert_array_equal(dataset.scales, [np.nan, np.nan, 0.5])
    # Drawn; the whole photo around a single point; the square around the landmarks.
    np.testing.assert_array_equal(dataset.boxes, [[0, 1, 40, 30], [0, 0, 60, 40], [1, 1.5, 29, 29]])
    change(project, 3, PhotoState("todo"))
    change(project, 0, done(boxed))
    assert project.done().box_source == "given"
    assert project.done().scales is None
    change(project, 0, PhotoState("todo"))
    assert len(project.done()) == 0


def test_an_object_without_landmarks_is_dropped(project):
    assert change(project, 0, done(marked(None, None, None), SHAPE)).objects == (SHAPE,)


def test_a_journal_that_cannot_be_written_changes_nothing(one, monkeypatch):
    def refuse(entry):
        raise InputError("no space")

    monkeypatch.setattr(one.journal, "append", refuse)
    with pytest.raises(InputError, match="no space"):
        change(one.project, 0, done(SHAPE))
    with pytest.raises(InputError, match="no space"):
        one.project.rename(["a", "b", "c"])
    assert one.project.photo(0) == PhotoState()
    assert one.project.landmark_names == ("tip", "wing", "tail")
    assert one.project.changes(0) == (0, [])


def test_entries_of_the_journal(project):
    project.log({"n": 1, "kind": "proposal", "text": "Ä"})
    project.log({"kind": "correction"})
    project.log({"kind": "proposal", "note": '"kind":"correction"'})
    assert [entry.get("n") for entry in project.entries("proposal")] == [1, None]
    assert len(project.entries("correction")) == 1
    assert project.entries("other") == []


def test_a_state_survives_json(one, tmp_path):
    state = PhotoState("started", (Marked(SHAPE.landmarks / 7, frozenset([0, 2]), np.array([0.1, 0, 3, 4]), "é"),), 0.1)
    change(one.project, 0, state)
    saved(one)
    one.close()
    again = opened(tmp_path / "a.csv", one.project.files)
    assert again.project.photo(0).to_json() == {**state.to_json(), "revision": 1}
    again.close()


def test_names_are_relative_to_the_folder_of_the_file(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "b", target_is_directory=True)
    files = [tmp_path / "a" / "x.png", tmp_path / "b" / "y.png", tmp_path / "link" / "z.png", tmp_path / "w.png"]
    assert image_names(files, tmp_path / "a") == ["x.png", "../b/y.png", "../b/z.png", "../w.png"]


def test_photos_named_twice_are_one(tmp_path):
    files = photos(tmp_path / "photos", 2)
    one = opened(tmp_path / "a.csv", [*files, tmp_path / "photos" / ".." / "photos" / "a1.png"])
    assert len(one.project) == 2
    one.close()


def test_no_landmarks_or_no_photos(tmp_path):
    with pytest.raises(InputError, match="which landmarks"):
        opened(tmp_path / "a.csv", photos(tmp_path, 1), names=None)
    with pytest.raises(InputError, match="no photos to annotate"):
        opened(tmp_path / "a.csv", [])
    # Nothing is left behind.
    assert [path.name for path in tmp_path.iterdir()] == ["a0.png"]
