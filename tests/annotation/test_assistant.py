import json
import multiprocessing
import time

import numpy as np
import pytest
from marking import NAMES, QUICK, draw_photos, mark, open_project, restart

from ert import Dataset, InputError
from ert.annotation.assistance.advice import advice
from ert.annotation.assistance.trainer import train_on
from ert.annotation.assistant import Assistant
from ert.datasets.assembly import squares_around


def wait(condition, seconds=60):
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return draw_photos(tmp_path_factory.mktemp("photos"), 16)


@pytest.fixture
def project(tmp_path, photos):
    project = open_project(tmp_path, photos[0])
    yield project
    project.journal.close()


@pytest.fixture
def make(project):
    made = []

    def make(project=project, **options):
        made.append(Assistant(project, n_jobs=1, **{"params": QUICK, "first_at": 8} | options))
        return made[-1]

    yield make
    for assistant in made:
        assistant.close()


def state(assistant):
    return assistant.status()["state"]


def test_from_the_first_photo_to_a_model_and_after_a_restart(tmp_path, project, photos, make):
    shapes = photos[1]
    assistant = make()
    assert assistant.status() | {"corrections": 0} == {
        "state": "waiting",
        "version": 0,
        "progress": 0.0,
        "text": "The first model is trained when 8 photos are done.",
        "n_photos": 0,
        "next_at": 8,
        "errors": [],
        "size": "the diagonal of the rectangle around the landmarks of an object",
        "advice": "",
        "corrections": 0,
    }
    assert assistant.proposal(3) == {"model": 0, "objects": [], "score": 0.0}
    first = assistant.order()
    assert sorted(first) == list(range(16))
    for i in first[:8]:
        assert state(assistant) == "waiting"
        mark(project, i, [shapes[i]])
    assert state(assistant) == "training"
    wait(lambda: state(assistant) != "training")
    status = assistant.status()
    assert (status["state"], status["version"], status["n_photos"], status["next_at"]) == ("ready", 1, 8, 13)
    wait(lambda: assistant.status()["errors"])
    (errors,) = assistant.status()["errors"]
    assert errors["low"] <= errors["error"] <= errors["high"] < 10
    assert status["text"] == "The model was trained on 8 photos."
    json.dumps(status, allow_nan=False)

    left = assistant.order()
    assert sorted([*left, *first[:8]]) == list(range(16))
    i = left[0]
    proposal = assistant.proposal(i)
    wait(lambda: project.entries("training"))
    json.dumps(proposal, allow_nan=False)
    assert proposal["model"] == 1
    (one,) = proposal["objects"]
    size = np.hypot(*np.ptp(shapes[i], axis=0))
    assert np.hypot(*(np.array(one["landmarks"]) - shapes[i]).T).mean() < 0.05 * size
    assert proposal["score"] == pytest.approx(np.mean(one["confidence"]), abs=1e-3)
    corrected = np.array(one["landmarks"])
    corrected[2] += 0.1 * size
    mark(project, i, [corrected], "started")
    mark(project, i, [corrected])
    assert assistant.status()["corrections"] == {"n_landmarks": 6, "n_corrected": 1}
    assert i not in assistant.order()
    assistant.close()
    assert multiprocessing.active_children() == []

    again = restart(tmp_path, project)
    later = make(again)
    status = later.status()
    assert (status["state"], status["version"]) == ("training", 0)
    assert [figures["n_photos"] for figures in status["errors"]] == [8]
    assert status["corrections"] == {"n_landmarks": 6, "n_corrected": 1}
    later.close()
    again.journal.close()


def test_a_training_is_stopped_at_once_and_comes_again_with_more_photos(project, photos, make):
    assistant = make(params=None)
    for i in range(8):
        mark(project, i, [photos[1][i]])
    assert len(multiprocessing.active_children()) == 1
    begin = time.monotonic()
    assistant.stop()
    assert time.monotonic() - begin < 2
    assert assistant.status()["text"] == "The training was stopped."
    assert (state(assistant), assistant.status()["version"]) == ("stopped", 0)
    assert multiprocessing.active_children() == []
    assistant.stop()
    mark(project, 8, [photos[1][8]])
    assert (state(assistant), assistant.status()["next_at"]) == ("stopped", 13)
    for i in range(9, 13):
        mark(project, i, [photos[1][i]])
    assert state(assistant) == "training"


def test_a_training_that_fails_is_one_line_and_the_next_one_may_succeed(project, photos, make):
    assistant = make()
    bad = photos[0][7]
    kept = bad.read_bytes()
    bad.write_bytes(b"no photo")
    try:
        for i in range(8):
            mark(project, i, [photos[1][i]])
        wait(lambda: state(assistant) != "training")
    finally:
        bad.write_bytes(kept)
    status = assistant.status()
    assert (status["state"], status["version"], status["next_at"]) == ("failed", 0, 13)
    assert bad.name in status["text"]
    assert "\n" not in status["text"]
    assistant.train()
    wait(lambda: state(assistant) != "training")
    assert (state(assistant), assistant.status()["version"]) == ("ready", 1)


def test_without_photos_there_is_nothing_to_train_on(project, photos, make):
    assistant = make(first_at=0)
    with pytest.raises(InputError, match="0 photos done, expected at least 2"):
        assistant.train()
    for i in range(10):
        mark(project, i, [photos[1][i]])
    assert (state(assistant), assistant.status()["next_at"]) == ("waiting", None)
    assert assistant.status()["text"].startswith("Training was turned off when ert annotate was started.")


def test_nothing_is_trained_when_no_photo_is_left(project, photos, make):
    for i in range(16):
        mark(project, i, [photos[1][i]])
    assistant = make()
    assert (state(assistant), assistant.order()) == ("waiting", [])
    assert "none left to propose landmarks in" in assistant.status()["text"]


def test_skipped_photos_are_not_in_the_order_and_started_ones_are(project, photos, make):
    assistant = make()
    mark(project, 3, [], "skipped")
    mark(project, 4, [photos[1][4]], "started")
    assert sorted(assistant.order()) == [i for i in range(16) if i != 3]


def test_a_given_model_helps_from_the_first_photo_on(project, photos, make, monkeypatch):
    files, shapes = photos
    dataset = Dataset(files, squares_around(shapes), shapes, NAMES, "drawn", box_source="landmarks")
    model = train_on(dataset.subset(range(8)), params=QUICK, validate=False).model
    assistant = make(model=model)
    assert (state(assistant), assistant.status()["version"]) == ("ready", 1)
    assert assistant.status()["text"] == "The model that was given proposes landmarks."
    (one,) = assistant.proposal(12)["objects"]
    assert len(one["std"]) == 6
    assert one["landmarks"] == assistant.proposal(12)["objects"][0]["landmarks"]
    # The queue of many photos begins with the one that the model is least certain of, once it has looked at them.
    monkeypatch.setattr("ert.annotation.assistance.queue.MANY_PHOTOS", len(files))
    least = min(range(len(files)), key=lambda i: assistant.proposal(i)["score"])
    wait(lambda: assistant.order()[0] == least)


def test_a_model_with_other_landmarks_is_refused(project, photos, make):
    files, shapes = photos
    dataset = Dataset(files, squares_around(shapes), shapes, NAMES, "drawn", box_source="landmarks")
    model = train_on(dataset.with_landmarks([0, 1, 2]).subset(range(4)), params=QUICK, validate=False).model
    with pytest.raises(InputError, match="the model has 3 landmarks, the project 6"):
        make(model=model)


def errors_of(values):
    return {f"{i}.png": value for i, value in enumerate(values)}


def test_advice_when_more_photos_hardly_help():
    rng = np.random.default_rng(0)
    before = rng.uniform(1, 2, 20)
    after = [*(before * rng.normal(0.97, 0.05, 20)), *rng.uniform(3, 4, 20)]
    text = advice([(20, errors_of(before)), (40, errors_of(after))])
    old, new = before.mean(), np.mean(after[:20])
    assert text == (
        f"From 20 to 40 photos, the error has hardly changed ({old:.2f} to {new:.2f} % of the size, in the same "
        "photos): more photos of this kind will hardly help."
    )


def test_advice_when_more_photos_help_or_it_is_uncertain():
    rng = np.random.default_rng(1)
    before = rng.uniform(1, 2, 20)
    falling = advice([(20, errors_of(before)), (30, errors_of(before)), (40, errors_of(0.7 * before))])
    assert "the error has fallen" in falling
    assert falling.endswith("more photos will help further.")
    wild = before * np.exp(rng.normal(-0.4, 1, 20))
    assert "may have fallen" in advice(
        [(20, errors_of(before)), (40, errors_of(wild * 0.9 * before.sum() / wild.sum()))]
    )


def test_no_advice_from_too_little():
    errors = errors_of(np.ones(20))
    assert advice([]) == advice([(20, errors)]) == advice([(20, errors), (30, errors)]) == ""
    assert advice([(10, errors_of(np.ones(5))), (40, errors)]) == ""
