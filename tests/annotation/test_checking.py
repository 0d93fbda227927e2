import json
import re
import threading
from dataclasses import replace

import numpy as np
import pytest
from annotation.annotating import change, opened, wait
from helpers import drawn_dataset

from ert.annotation.checking import Checker, check_and_expect, finding_text, object_scores, trust
from ert.annotation.project import Marked, PhotoState
from ert.annotation.suspicion import (
    KIND,
    Expected,
    describe_typical,
    differences,
    expect_landmarks,
    opinion_of,
    suspect,
)
from ert.datasets.assembly import squares_around
from ert.datasets.checks import Finding, check_dataset
from ert.datasets.dataset import concatenate
from ert.datasets.formats import load_dataset
from ert.pipeline.boxes import new_boxes

SMALL = {
    "n_jobs": 1, "n_stages": 8, "n_trees": 60, "n_inits": 20, "n_pixels": 150, "working_size": 64,
    "n_pool_candidates": 0,
}  # fmt: skip
SWAPPED, MOVED, MIRRORED = 3, 7, 11
NAMES = ("tip", "wing", "tail", "notch", "hip")


def plant(landmarks):
    """Return landmarks with two swapped, one displaced by 8 % of the size, and an object mirrored."""
    planted = landmarks.copy()
    planted[SWAPPED, [0, 1]] = planted[SWAPPED, [1, 0]]
    planted[MOVED, 2] += 0.08 * np.hypot(*np.ptp(landmarks[MOVED], axis=0)) * np.array([0.6, 0.8])
    planted[MIRRORED, :, 0] = planted[MIRRORED, :, 0].min() + planted[MIRRORED, :, 0].max() - planted[MIRRORED, :, 0]
    return planted


@pytest.fixture(scope="module")
def right(tmp_path_factory):
    """Drawn objects in boxes that somebody has drawn, which are not those around the landmarks."""
    dataset = drawn_dataset(tmp_path_factory.mktemp("photos"), 30, seed=4)
    return replace(dataset, boxes=dataset.boxes + (-4, -4, 8, 8), box_source="given")


@pytest.fixture(scope="module")
def wrong(right):
    return replace(right, landmarks=plant(right.landmarks))


@pytest.fixture(scope="module")
def checked(wrong):
    """The messages and the result of the work of the process."""
    messages = []
    expected, note = check_and_expect(messages.append, wrong, SMALL)
    assert note == ""
    return messages, expected


@pytest.fixture
def open_checker(tmp_path, wrong):
    """A project in which all photos are done, and its checker, whose process may be another one."""
    projects = []

    def start(dataset=wrong, **rest):
        files = list(dict.fromkeys(dataset.files))
        project = opened(tmp_path / f"marks{len(projects)}.csv", files, names=NAMES)
        projects.append((project, checker := Checker(project.project, **(SMALL | rest))))
        for i, file in enumerate(files):
            items = [k for k, other in enumerate(dataset.files) if other == file]
            marked = (Marked(dataset.landmarks[k], box=dataset.boxes[k]) for k in items)
            change(project.project, i, PhotoState("done", tuple(marked)))
        return project.project, checker

    yield start
    for project, checker in projects:
        checker.close()
        project.close()


@pytest.fixture
def at_once(monkeypatch, checked):
    """The process has run already."""

    class Done:
        def __init__(self, work, dataset, given, *, on_message, on_end):
            self.dataset = dataset

            def run():
                for message in checked[0]:
                    on_message(message)
                on_end((checked[1], ""), "")

            self._thread = threading.Thread(target=run)
            self._thread.start()

        def stop(self):
            self._thread.join()

    monkeypatch.setattr("ert.annotation.checking.Job", Done)


def test_planted_mistakes_come_first(open_checker, at_once):
    _, checker = open_checker()
    checker.start()
    wait(lambda: checker.status()["state"] == "ready")
    order = checker.order()
    assert set(order[:3]) == {SWAPPED, MOVED, MIRRORED}
    # Those that are wrong in many places before the one that is a little displaced.
    assert order[2] == MOVED
    assert checker.status() == {"state": "ready", "progress": 1.0, "text": "", "n_suspicious": len(order)}
    # Nearly no false alarms.
    assert len(order) <= 4
    texts = {i: [one["text"] for one in checker.findings(i)] for i in order}
    assert "landmark 0 (tip) and landmark 1 (wing) seem to be swapped" in texts[SWAPPED]
    assert any(text.startswith("left and right swapped: ") for text in texts[MIRRORED])
    (moved,) = [one for one in checker.findings(MOVED) if one["kind"] == KIND]
    assert (moved["object"], moved["landmarks"]) == (0, [2])
    assert moved["text"].startswith("landmark 2 (tail) is ")
    assert "px from where models trained without this photo expect it (typical: 0." in moved["text"]
    json.dumps(checker.findings(MIRRORED), allow_nan=False)


def test_right_annotations_are_not_suspicious(right):
    expected = expect_landmarks(right, np.ones(len(right), bool), SMALL)
    typical = describe_typical(right.landmarks, expected)
    found = [suspect(right.landmarks[i], one_of(expected, i), typical, NAMES) for i in range(len(right))]
    assert sum(one is not None for one in found) <= 1
    assert (typical.medians < 0.03).all()


def one_of(expected, i):
    return Expected(*(array[i] for array in expected))


def test_models_were_not_trained_on_what_they_predict(right, checked):
    # A photo that is unlike all others is predicted as badly as a new one.
    expected = checked[1]
    assert np.nanmedian(differences(right.landmarks, expected)) < 0.03
    # The prediction of a wrong annotation is where it is right.
    assert differences(right.landmarks, expected)[[SWAPPED, MOVED, MIRRORED]].max() < 0.06


def test_the_opinion_is_a_proposal(open_checker, at_once, right):
    _, checker = open_checker()
    assert checker.opinion(MOVED) == {"model": 0, "objects": []}
    checker.start()
    wait(lambda: checker.status()["state"] == "ready")
    opinion = checker.opinion(MOVED)
    json.dumps(opinion, allow_nan=False)
    (one,) = opinion["objects"]
    assert opinion["model"] == 1
    assert np.abs(np.array(one["landmarks"]) - right.landmarks[MOVED]).max() < 4
    assert len(one["std"]) == len(one["confidence"]) == 5
    assert all(0 < std < 3 for std in one["std"])
    assert all(0 <= value <= 1 for value in [*one["confidence"], opinion["score"]])


def test_a_corrected_photo_is_no_longer_suspicious(open_checker, at_once, right):
    project, checker = open_checker()
    checker.start()
    wait(lambda: checker.status()["state"] == "ready")
    before = checker.order()
    wrong = project.photo(SWAPPED)
    corrected = Marked(right.landmarks[SWAPPED], box=right.boxes[SWAPPED])
    change(project, SWAPPED, PhotoState("done", (corrected,)))
    assert SWAPPED not in checker.order()
    assert checker.findings(SWAPPED) == []
    # Undone: as it was.
    change(project, SWAPPED, PhotoState("done", wrong.objects))
    assert checker.order() == before
    # A new mistake is noticed at once.
    landmarks = right.landmarks[0].copy()
    landmarks[4] += 20
    change(project, 0, PhotoState("done", (Marked(landmarks),)))
    assert 0 in checker.order()
    # A photo without objects, or one that is left out, has no findings.
    change(project, MOVED, PhotoState("todo"))
    assert checker.findings(MOVED) == []
    change(project, MIRRORED, PhotoState("skipped", project.photo(MIRRORED).objects))
    assert checker.findings(MIRRORED) == []


def test_what_checks_of_datasets_find(open_checker, monkeypatch):
    class Never:
        def __init__(self, work, dataset, given, *, on_message, on_end):
            on_message_of.append((on_message, dataset))

        def stop(self):
            pass

    on_message_of = []
    monkeypatch.setattr("ert.annotation.checking.Job", Never)
    _, checker = open_checker()
    checker.start()
    ((send, dataset),) = on_message_of
    files = dataset.files
    findings = [
        Finding("duplicated image", files[2], None, "same pixels as a.png", 0),
        Finding("unreadable image", files[5], None, "cut short", 0),
        Finding("missing landmarks", files[6], 6, "tip", 1, (0,)),
        Finding("coincident landmarks", files[8], 8, "tip and wing", 0.4, (0, 1)),
    ]
    threading.Thread(target=send, args=[{"progress": 0.05, "text": "training models", "findings": findings}]).start()
    wait(lambda: checker.status()["n_suspicious"])
    # While models are trained, too.
    assert checker.status() == {"state": "running", "progress": 0.05, "text": "training models", "n_suspicious": 3}
    assert checker.order() == [5, 8, 2]
    assert checker.findings(8) == [
        {"kind": "coincident landmarks", "text": "coincident landmarks: tip and wing", "object": 0, "landmarks": [0, 1]}
    ]
    assert checker.findings(2)[0]["object"] is None
    checker.start()
    assert len(on_message_of) == 1


def test_objects_of_a_photo_are_told_apart(open_checker, wrong):
    twice = concatenate([wrong.subset([0, 1]), wrong.subset([0])])
    shifted = twice.landmarks.copy()
    shifted[2] += 200
    dataset = replace(twice, landmarks=shifted, boxes=squares_around(shifted))
    project, _ = open_checker(dataset)
    assert [len(project.photo(i).objects) for i in range(2)] == [2, 1]
    expected = Expected(shifted + 0.5, np.zeros((3, 5)), dataset.boxes, np.zeros(3))
    # In the project, the objects of the first photo come first.
    order = [0, 2, 1]
    typical = describe_typical(shifted[order], Expected(*(array[order] for array in expected)))
    assert suspect(shifted[2], one_of(expected, 2), typical, NAMES) is None
    far = shifted[2] + (0, 30)
    assert suspect(far, one_of(expected, 2), typical, NAMES).landmarks == (0, 1, 2, 3, 4)


def test_too_few_photos_are_checked_without_models(right):
    expected, note = check_and_expect(lambda message: None, right.subset(range(2)), SMALL)
    assert expected is None
    assert note.startswith("checked without models: ")
    assert "too few photos" in note


def test_unreadable_photos_and_missing_landmarks_are_no_obstacle(right, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    landmarks = right.landmarks.copy()
    landmarks[2, 1] = np.nan
    landmarks[:, 3] = np.nan
    files = [broken, *right.files[1:]]
    dataset = replace(right, files=files, landmarks=landmarks)
    messages = []
    expected, note = check_and_expect(messages.append, dataset, SMALL)
    assert note == ""
    assert np.isnan(expected.landmarks[0]).all()
    assert np.isnan(expected.landmarks[:, 3]).all()
    assert np.isfinite(expected.landmarks[2, 1]).all()
    typical = describe_typical(landmarks, expected)
    assert all(suspect(landmarks[i], one_of(expected, i), typical, NAMES) is None for i in (0, 2))
    opinion = opinion_of(one_of(expected, 2), typical)
    json.dumps(opinion, allow_nan=False)
    assert opinion["landmarks"][3] is None
    kinds = {finding.kind for finding in messages[0]["findings"]}
    assert {"unreadable image", "missing landmarks"} <= kinds


def test_objects_with_gross_mistakes_do_not_train_models(wrong):
    trusted = trust(check_dataset(wrong), len(wrong))
    assert not trusted[[SWAPPED, MIRRORED]].any()
    assert trusted.sum() >= 27
    many = [Finding("left and right swapped", wrong.files[i], i, "", 1) for i in range(20)]
    assert trust(many, len(wrong)).sum() == 24


def test_a_process_that_cannot_be_started_is_told(open_checker, monkeypatch):
    def fail(*arguments, **options):
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("ert.annotation.checking.Job", fail)
    _, checker = open_checker()
    checker.start()
    status = checker.status()
    assert (status["state"], status["text"]) == (
        "failed", "no process can be started: Resource temporarily unavailable",
    )  # fmt: skip


def test_nothing_to_check_is_told(open_checker, wrong):
    project, checker = open_checker(wrong.subset([0]))
    change(project, 0, PhotoState("started", project.photo(0).objects))
    checker.start()
    assert checker.status() == {"state": "failed", "progress": 0.0, "text": "no photo is done yet", "n_suspicious": 0}
    assert checker.order() == []


def test_a_check_in_a_process_of_its_own(open_checker, wrong, checked):
    """As a user starts it, and once more to be stopped."""
    _, checker = open_checker()
    checker.start()
    assert checker.status()["state"] == "running"
    wait(lambda: checker.status()["state"] != "running", 120)
    assert checker.status()["state"] == "ready", checker.status()
    assert set(checker.order()[:3]) == {SWAPPED, MOVED, MIRRORED}
    # The same in any process.
    one = checker.opinion(0)["objects"][0]
    assert np.allclose(one["landmarks"], checked[1].landmarks[0], rtol=0, atol=1e-6)
    found = checker.order()
    checker.start()
    checker.stop()
    assert (checker.status()["state"], checker.status()["text"]) == ("ready", "the check was stopped")
    assert checker.order() == found
    _, another = open_checker()
    another.start()
    another.stop()
    assert another.status()["state"] == "none"


def test_texts_are_without_statistics(wrong):
    for one in check_dataset(wrong):
        text = finding_text(one, wrong.landmark_names)
        assert not re.search(r"Procrustes|median|residual|\bz\b", text), text
    stray = Finding("stray landmarks", wrong.files[0], 0, "z 9", 9, (1, 2))
    expected = "wing, tail: far from the place that follows from the other landmarks of this object"
    assert finding_text(stray, ("tip", "wing", "tail")) == expected


def test_planted_mistakes_in_wings_come_first(shared):
    folder = shared / "wings"
    file = folder / "landmark-examples" / "tps-example.tps"
    wings = load_dataset(file, image_folder=folder / "image-examples").subset(range(40))
    boxes = wings.boxes + (-20, -20, 40, 40)
    wrong = replace(wings, landmarks=plant(wings.landmarks), boxes=boxes, box_source="given")
    messages = []
    expected, _ = check_and_expect(messages.append, wrong, SMALL)
    typical = describe_typical(wrong.landmarks, expected)
    names = wrong.landmark_names
    found = [suspect(wrong.landmarks[i], one_of(expected, i), typical, names) for i in range(40)]
    scores = object_scores(messages[0]["findings"], 40) + [0 if one is None else one.score for one in found]
    assert set(np.argsort(-scores)[:3].tolist()) == {SWAPPED, MOVED, MIRRORED}
    assert (scores >= 1).sum() <= 6


def test_annotations_are_judged_in_their_place_where_a_locator_finds_something_else(tmp_path, monkeypatch):
    dataset = drawn_dataset(tmp_path, 16, seed=2, shift=10)
    split = np.arange(12), np.arange(12, 16)
    monkeypatch.setattr("ert.annotation.suspicion.fold_splits", lambda files, seed: [split])
    found = new_boxes(dataset.subset([12]), "given")
    elsewhere = found._replace(boxes=np.tile(found.boxes + (40, 40, 0, 0), (4, 1)), rolls=np.zeros(4))
    monkeypatch.setattr("ert.annotation.suspicion.new_boxes", lambda *args, **options: elsewhere._replace(found=FOUND))
    expected = expect_landmarks(dataset, np.ones(16, bool), SMALL)
    assert np.isnan(expected.landmarks[:12]).all()
    assert np.median(differences(dataset.landmarks, expected)[12:]) < 0.03


FOUND = np.array([True, True, False, True])
