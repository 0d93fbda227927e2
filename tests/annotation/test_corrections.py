import numpy as np
import pytest
from marking import mark, open_project, restart

from ert.annotation.assistance.corrections import Corrections, count_corrected

SHAPE = np.array([(0, 0), (60, 0), (60, 80), (0, 80), (30, 40), (10, 10)], float)


def points(*shapes):
    return [shape.tolist() for shape in shapes]


def moved(*places, by=3.0):
    """Return the shape, whose size is 100, with some landmarks moved."""
    shape = SHAPE.copy()
    shape[list(places), 0] += by
    return shape


@pytest.fixture
def project(tmp_path):
    project = open_project(tmp_path, [tmp_path / f"{i}.png" for i in range(4)])
    yield project
    project.journal.close()


@pytest.fixture
def corrections(project):
    corrections = Corrections(project)
    project.listen(corrections.change)
    return corrections


def counts(corrections):
    found = corrections.counts()
    return found["n_corrected"], found["n_landmarks"]


def test_landmarks_moved_by_more_than_two_percent_are_corrected():
    assert count_corrected([SHAPE], [SHAPE]) == (6, 0)
    assert count_corrected([moved(1, by=1.9)], [SHAPE]) == (6, 0)
    assert count_corrected([moved(1, 2, by=2.2)], [SHAPE]) == (6, 2)


def test_landmarks_that_were_added_or_removed_are_corrected():
    missing = SHAPE.copy()
    missing[5] = np.nan
    assert count_corrected([missing], [SHAPE]) == (6, 1)
    assert count_corrected([SHAPE], [missing]) == (6, 1)
    assert count_corrected([missing], [missing]) == (5, 0)


def test_objects_are_compared_with_the_nearest_proposal():
    far = SHAPE + (200, 0)
    assert count_corrected([SHAPE, far], [far, SHAPE]) == (12, 0)
    assert count_corrected([SHAPE, far], [far]) == (12, 6)
    assert count_corrected([far], [SHAPE, far]) == (12, 6)
    assert count_corrected([], [SHAPE]) == (6, 6)
    assert count_corrected([SHAPE], []) == (6, 6)


def test_a_single_landmark_has_the_size_of_its_photo():
    marked, proposed = np.array([(100.0, 50)]), np.array([(103.0, 50)])
    assert count_corrected([marked], [proposed], photo_side=200) == (1, 0)
    assert count_corrected([marked], [proposed], photo_side=100) == (1, 1)


def test_photos_count_when_they_are_done(project, corrections):
    corrections.propose(0, 1, points(SHAPE))
    assert counts(corrections) == (0, 0)
    mark(project, 0, [moved(3)], "started")
    assert counts(corrections) == (0, 0)
    mark(project, 0, [moved(3, 4)])
    assert counts(corrections) == (2, 6)
    mark(project, 1, [SHAPE])
    assert counts(corrections) == (2, 6)


def test_undo_and_redo_do_not_count_twice(project, corrections):
    corrections.propose(0, 1, points(SHAPE))
    mark(project, 0, [moved(3)])
    mark(project, 0, [], "todo")
    assert counts(corrections) == (0, 0)
    mark(project, 0, [moved(3)])
    assert counts(corrections) == (1, 6)
    mark(project, 0, [moved(1, 2, 3)])
    assert counts(corrections) == (3, 6)


def test_a_proposal_for_a_photo_that_is_marked_already_does_not_count(project, corrections):
    mark(project, 0, [moved(3)], "started")
    corrections.propose(0, 1, points(SHAPE))
    mark(project, 0, [moved(3)])
    assert counts(corrections) == (0, 0)


def test_the_last_proposal_before_a_person_begins_counts(project, corrections):
    corrections.propose(0, 1, points(moved(0, 1, 2)))
    corrections.propose(0, 2, points(SHAPE))
    mark(project, 0, [SHAPE], "started")
    corrections.propose(0, 3, points(moved(0, 1, 2)))
    mark(project, 0, [SHAPE])
    assert counts(corrections) == (0, 6)


def test_counts_are_there_after_a_restart(tmp_path, project, corrections):
    for i, places in enumerate([(1,), (2, 3), ()]):
        corrections.propose(i, 1, points(SHAPE))
        mark(project, i, [moved(*places)], "started" if i == 2 else "done")
    assert counts(corrections) == (3, 12)
    again = restart(tmp_path, project)
    later = Corrections(again)
    again.listen(later.change)
    assert counts(later) == (3, 12)
    mark(again, 2, [moved(5)])
    assert counts(later) == (4, 18)
    entries = again.entries("correction")
    assert [(entry["image"], entry["n_corrected"]) for entry in entries] == [("0.png", 1), ("1.png", 2), ("2.png", 1)]
    again.journal.close()


def test_accepting_the_same_proposal_again_adds_nothing_to_the_journal(project, corrections):
    for _ in range(3):
        corrections.propose(0, 1, points(SHAPE))
        mark(project, 0, [SHAPE])
        mark(project, 0, [], "todo")
    assert len(project.entries("proposal")) == 1
