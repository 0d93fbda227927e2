import numpy as np
import pytest
from drawn import scattered_photo
from helpers import small_predictor

from ert import InputError
from ert.metrics import nme
from ert.model.geometry import box_transforms, image_to_box, rotate_transforms


@pytest.fixture(scope="module")
def turned():
    rng = np.random.default_rng(0)
    photos, shapes, rolls = [], [], rng.uniform(-90, 90, 12)
    for _ in rolls:
        photo, found = scattered_photo(rng)
        photos.append(photo)
        shapes.append(found[0])
    shapes = np.array(shapes)
    middle, side = (shapes.min(axis=1) + shapes.max(axis=1)) / 2, 70.0
    boxes = np.hstack([middle - side / 2, np.full((len(rolls), 2), side)])
    return list(zip(photos, boxes, strict=True)), shapes, rolls


@pytest.mark.parametrize("kind", ["ert", "dlib"])
def test_training_reads_the_pixels_that_prediction_reads(turned, kind):
    X, y, rolls = turned
    model = small_predictor(kind=kind, gray_weights="dlib", shift_jitter=0.02, n_jobs=1)
    model.fit(X[:8], y[:8], rolls=rolls[:8], validation=(X[8:], y[8:], rolls[8:]))
    sides = box_transforms(np.array([box for _, box in X[8:]]))[:, 0]
    found = model.predict(X[8:], rolls=rolls[8:])
    # Cascades of dlib's kind are rounded after training.
    assert nme(y[8:], found, sides).mean() == pytest.approx(
        model.history_[-1]["validation_nme"], rel=1e-4 if kind == "ert" else 0.02
    )


def test_the_mean_shape_is_that_of_upright_objects(turned):
    X, y, rolls = turned
    model = small_predictor(n_stages=1, n_jobs=1).fit(X, y, rolls=rolls)
    transforms = rotate_transforms(box_transforms(np.array([box for _, box in X])), rolls)
    assert np.allclose(model.cascade_.mean_shape, image_to_box(y, transforms).mean(axis=0), atol=1e-5)


def test_rolls_that_are_not_numbers_of_the_objects_are_refused(turned):
    X, y, rolls = turned
    with pytest.raises(InputError, match="rolls: array of shape"):
        small_predictor().fit(X, y, rolls=rolls[:3])
    with pytest.raises(InputError, match="rolls: number 1 is nan"):
        small_predictor().fit(X, y, rolls=[0, np.nan, *rolls[2:]])
    with pytest.raises(InputError, match="rolls: array of shape"):
        small_predictor().fit(X[:8], y[:8], rolls=0.0, validation=(X[8:], y[8:], [1.0]))


def test_the_confidence_of_rotated_objects(turned):
    X, y, rolls = turned
    model = small_predictor(normalizer="diagonal", shift_jitter=0.05, n_jobs=1)
    model.fit(X, y, rolls=rolls).fit_confidence(X, y, rolls=rolls)
    found = model.predict(X, rolls=rolls)
    good = model.assess(X, found).confidence
    bad = model.assess(X, found + 40).confidence
    assert np.median(good) > 0.7 > 0.3 > np.median(bad)
    with pytest.raises(InputError, match="rolls: array of shape"):
        model.fit_confidence(X, y, rolls=rolls[:3])
