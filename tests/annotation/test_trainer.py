import pickle
from dataclasses import replace

import numpy as np
import pytest
from marking import NAMES, QUICK, draw_photos

import ert
from ert import Dataset, InputError
from ert.annotation.assistance.proposals import propose
from ert.annotation.assistance.trainer import (
    HeldOut,
    error_figures,
    fold_splits,
    landmark_places,
    marked_often,
    train_on,
)
from ert.datasets.assembly import squares_around
from ert.pipeline.validate import object_digests

# Boxes are the whole images: there are too few photos for a locator.
N = 8


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    files, shapes = draw_photos(tmp_path_factory.mktemp("photos"), N + 6)
    return Dataset(files, squares_around(shapes), shapes, NAMES, "drawn", box_source="landmarks")


@pytest.fixture(scope="module")
def lines():
    return []


@pytest.fixture(scope="module")
def trained(dataset, lines):
    return train_on(dataset.subset(range(N)), params=QUICK, say=lambda *line: lines.append(line))


def test_a_model_its_calibration_and_the_errors_of_all_photos(trained, dataset, lines):
    assert trained.n_photos == N
    assert trained.landmarks == tuple(range(6))
    assert sorted(trained.errors) == [str(file) for file in dataset.files[:N]]
    assert 0.1 < np.mean(list(trained.errors.values())) < 6
    progress = [share for share, _ in lines]
    assert progress == sorted(progress)
    assert progress[0] == 0
    assert lines[0][1] == f"Training on {N} photos."


def test_errors_are_those_of_photos_that_a_model_has_not_seen(trained, dataset):
    images = [ert.load_image(file) for file in dataset.files]
    proposed = np.array([propose(trained.model, image, trained.calibration)[0].landmarks for image in images])
    errors = np.hypot(*np.moveaxis(proposed - dataset.y, 2, 0)).mean(axis=1)
    sizes = np.hypot(*np.ptp(dataset.y, axis=1).T)
    seen, new = (100 * (errors / sizes)[part].mean() for part in (slice(N), slice(N, None)))
    measured = np.mean(list(trained.errors.values()))
    assert seen < 0.8 * measured
    assert measured == pytest.approx(new, rel=0.5)


def test_the_same_photos_give_the_same_model(trained, dataset):
    again = train_on(dataset.subset(range(N)), params=QUICK)
    np.testing.assert_array_equal(again.model.cascade_.leaves, trained.model.cascade_.leaves)
    assert again.errors == trained.errors
    np.testing.assert_array_equal(again.calibration.weights, trained.calibration.weights)


def test_a_training_survives_the_way_from_its_process(trained, dataset):
    again = pickle.loads(pickle.dumps(trained))
    image = ert.load_image(dataset.files[-1])
    one, other = (propose(each.model, image, each.calibration)[0] for each in (trained, again))
    np.testing.assert_array_equal(one.landmarks, other.landmarks)
    np.testing.assert_array_equal(one.confidence, other.confidence)


def test_boxes_that_a_person_has_drawn_are_not_expected_in_new_photos(dataset):
    given = replace(dataset.subset(range(N)), box_source="given", boxes=squares_around(dataset.y[:N]) + 3.0)
    assert train_on(given, params=QUICK, validate=False).model.box_source_ == "whole"


def test_objects_that_are_far_larger_than_their_photos_are_no_fault(tmp_path):
    files = draw_photos(tmp_path, 11)[0]
    landmarks = np.tile([(1e3, 1e3), (2e3, 2e3), (-1e3, 0)], (11, 1, 1))
    with pytest.raises(InputError, match="far larger than"):
        train_on(Dataset(files, squares_around(landmarks), landmarks, ("a", "b", "c"), "far"), params=QUICK)


def test_objects_whose_landmarks_coincide_are_no_fault(tmp_path, recwarn):
    files = draw_photos(tmp_path, 11)[0]
    landmarks = np.full((11, 3, 2), 5.0)
    with pytest.raises(InputError, match="all landmarks coincide"):
        train_on(Dataset(files, np.tile([0.0, 0, 9, 9], (11, 1)), landmarks, ("a", "b", "c"), "one"), params=QUICK)
    assert not [one for one in recwarn if one.category is RuntimeWarning]


def test_a_given_model_stays_while_it_is_better(trained, dataset):
    rest = dataset.subset(range(N, N + 6))
    poor = train_on(rest, params=QUICK | {"n_stages": 1, "n_trees": 1}, base=trained.model)
    assert poor.model is trained.model
    assert poor.n_photos == 0
    assert poor.calibration is not None
    assert len(poor.errors) == 6
    worse = train_on(rest, params=QUICK | {"n_trees": 1}, validate=False).model
    assert train_on(dataset.subset(range(N)), params=QUICK, base=worse).n_photos == N


def test_a_given_model_is_not_compared_on_photos_that_it_was_trained_on(trained, dataset):
    known, base = trained.model.fitted_, ert.ShapePredictor()
    base.fitted_ = replace(known, summary={**known.summary, "trained_on": "".join(object_digests(dataset.y))})
    kept = train_on(dataset.subset(range(N)), params=QUICK, base=base)
    assert kept.model is base
    assert kept.calibration is None
    assert kept.errors == {}


def test_landmarks_that_are_hardly_marked_are_not_proposed(dataset):
    part = dataset.subset(range(N))
    landmarks = part.landmarks.copy()
    landmarks[1:, 4] = np.nan
    landmarks[2, 1] = np.nan
    trained = train_on(replace(part, landmarks=landmarks), params=QUICK)
    assert trained.landmarks == (0, 1, 2, 3, 5)
    landmarks[:] = np.nan
    with pytest.raises(InputError, match="no landmark is marked in enough photos"):
        train_on(replace(part, landmarks=landmarks), params=QUICK)


def test_a_given_model_may_have_its_landmarks_in_another_order(trained, dataset):
    reversed_order = dataset.subset(range(N, N + 6)).with_landmarks([5, 4, 3, 2, 1, 0])
    kept = train_on(reversed_order, params=QUICK | {"n_stages": 1, "n_trees": 1}, base=trained.model)
    assert kept.model is trained.model
    assert kept.landmarks == (5, 4, 3, 2, 1, 0)
    assert np.mean(list(kept.errors.values())) < 6
    numbered = replace(dataset, landmark_names=tuple("012345"))
    assert landmark_places(trained.model, numbered.landmark_names) == (0, 1, 2, 3, 4, 5)


def test_objects_with_hardly_marked_landmarks_alone_are_left_out(dataset):
    part = dataset.subset(range(N))
    landmarks = part.landmarks.copy()
    landmarks[:, 4] = np.nan
    landmarks[3] = np.nan
    landmarks[3, 4] = 50
    trained = train_on(replace(part, landmarks=landmarks), params=QUICK)
    assert trained.n_photos == N - 1
    assert trained.landmarks == (0, 1, 2, 3, 5)


def test_too_few_photos_are_one_line(dataset):
    with pytest.raises(InputError, match="no landmark is marked in enough photos"):
        train_on(dataset.subset([0]), params=QUICK)
    assert train_on(dataset.subset([0, 1]), params=QUICK).errors == {}


def test_objects_of_a_photo_are_in_one_fold_and_many_photos_have_fewer():
    files = [f"{i // 3}.jpg" for i in range(60)]
    for rest, test in fold_splits(files, 0):
        assert not {files[i] for i in rest} & {files[i] for i in test}
    assert len(fold_splits(files, 0)) == 5
    assert len(fold_splits([str(i) for i in range(100)], 0)) == 3
    assert fold_splits(["a", "a", "a"], 0) == []


def test_each_fold_needs_annotations_of_a_landmark():
    landmarks = np.zeros((6, 3, 2))
    landmarks[2:, 1] = np.nan
    splits = fold_splits([str(i) for i in range(6)], 0)
    assert marked_often(landmarks, splits).tolist() == [0, 2]


def test_figures_are_means_of_photos_in_percent_of_the_size():
    errors = np.array([[0.01, 0.03], [0.02, np.nan], [np.nan, np.nan], [0.05, 0.05]])
    held_out = HeldOut(["a", "b", "c", "a"], errors, errors)
    assert held_out.mean_errors == pytest.approx({"a": 3.5, "b": 2.0})
    figures = error_figures(held_out.mean_errors, 3)
    assert figures["error"] == pytest.approx(2.75)
    assert figures["low"] <= figures["error"] <= figures["high"]
    assert figures["unit"] == "% of the size"
    assert error_figures({}, 2)["error"] is None
