from dataclasses import replace

import numpy as np
import pytest
from drawn import standard_photos

from ert import ShapePredictor
from ert.annotation.assistance.proposals import (
    FLOOR,
    MAX_OFF,
    fit_calibration,
    is_off,
    object_sizes,
    propose,
    typical_calibration,
)


def noisy_errors(rng, n, n_landmarks=6, weight=0.7):
    """Return errors whose scale is known: it grows with the spread and differs between landmarks."""
    spreads = np.exp(rng.normal(-4.5, 0.8, (n, n_landmarks)))
    scales = np.exp(weight * np.log(spreads) - 0.8 + np.linspace(-0.4, 0.4, n_landmarks))
    noise = rng.standard_normal((2, n, n_landmarks))
    return np.hypot(*noise) * scales, spreads, scales


def test_standard_errors_of_known_noise_are_recovered():
    rng = np.random.default_rng(0)
    calibration = fit_calibration(*noisy_errors(rng, 200)[:2])
    errors, spreads, scales = noisy_errors(rng, 500)
    std = calibration.std(spreads)
    assert np.abs(np.log(std / scales)).mean() < 0.15
    confidence = calibration.confidence(std)
    right = errors <= MAX_OFF
    for low in np.arange(0.2, 1, 0.2):
        some = (confidence >= low) & (confidence < low + 0.2)
        assert right[some].mean() == pytest.approx(confidence[some].mean(), abs=0.06)


def test_ten_objects_are_enough_for_an_honest_mean():
    rng = np.random.default_rng(1)
    differences = []
    for _ in range(20):
        calibration = fit_calibration(*noisy_errors(rng, 10)[:2])
        errors, spreads, _ = noisy_errors(rng, 200)
        differences.append(calibration.confidence(calibration.std(spreads)).mean() - (errors <= MAX_OFF).mean())
    assert abs(np.mean(differences)) < 0.03
    assert np.abs(differences).max() < 0.2


def test_missing_landmarks_and_objects_that_were_not_found_are_left_out():
    errors, spreads, _ = noisy_errors(np.random.default_rng(2), 50)
    errors[:10, 2] = np.nan
    errors[20:25] = np.nan
    spreads[20:25] = np.nan
    calibration = fit_calibration(errors, spreads)
    assert np.isfinite(calibration.std(spreads[:20])).all()
    assert np.isfinite(calibration.offsets).all()


def test_without_observations_the_typical_calibration_is_used():
    nothing = np.full((3, 4), np.nan)
    calibration, typical = fit_calibration(nothing, nothing), typical_calibration(4)
    np.testing.assert_array_equal(calibration.weights, typical.weights)
    confidence = typical.confidence(typical.std(np.array([[FLOOR, 0.01, 0.05, 0.5]])))[0]
    assert (np.diff(confidence) < 0).all()
    assert confidence[0] > 0.9
    assert confidence[-1] < 0.1


def test_sizes_are_diagonals_and_those_of_single_landmarks_the_sides_of_boxes():
    landmarks = np.array([[(0, 0), (30, 40), (np.nan, np.nan)], [(5, 5), (np.nan, np.nan), (np.nan, np.nan)]])
    boxes = np.array([(0, 0, 31, 41), (0, 0, 20, 10)], float)
    assert object_sizes(landmarks, boxes).tolist() == [50, 15]


def test_a_landmark_is_off_beyond_two_percent_of_the_size():
    truth = np.array([(0, 0), (10, 0), (20, 0), (np.nan, np.nan), (30, 0)])
    proposed = np.array([(1.9, 0), (10, 2.1), (20, 0), (5, 5), (np.nan, np.nan)])
    assert is_off(truth, proposed, 100).tolist() == [False, True, False, True, True]


@pytest.fixture(scope="module")
def trained():
    images, shapes = standard_photos(30, np.random.default_rng(4))
    boxes = np.array([(0, 0, 120, 100)], float).repeat(30, axis=0)
    model = ShapePredictor(n_stages=4, n_trees=30, n_inits=10, working_size=60, n_pixels=80, n_jobs=1)
    model.fit(list(zip(images[:20], boxes, strict=False)), shapes[:20])
    model.fitted_ = replace(model.fitted_, box_source="whole")
    return model, images, shapes


def test_an_object_is_proposed_with_standard_errors_in_pixels(trained):
    model, images, shapes = trained
    (one,) = propose(model, images[25])
    assert one.landmarks.shape == (6, 2)
    assert np.hypot(*(one.landmarks - shapes[25]).T).mean() < 4
    assert ((one.std > 0) & (one.std < 30)).all()
    assert ((one.confidence >= 0) & (one.confidence <= 1)).all()
    (again,) = propose(model, images[25])
    np.testing.assert_array_equal(one.std, again.std)


def test_noise_is_proposed_with_less_confidence(trained):
    model, images, _ = trained
    noise = np.random.default_rng(5).integers(0, 256, images[0].shape).astype(np.uint8)
    (good,), (bad,) = propose(model, images[25]), propose(model, noise)
    assert bad.confidence.mean() < good.confidence.mean()


def test_a_model_of_given_boxes_proposes_nothing(trained):
    model, images, _ = trained
    given = ShapePredictor()
    given.fitted_ = replace(model.fitted_, box_source="given")
    assert propose(given, images[0]) == []
