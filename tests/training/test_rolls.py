import numpy as np
import pytest
from builders import rotated
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


def test_confidence_models_of_rotated_objects_see_them_upright(turned, monkeypatch):
    from ert.training.confidence import fit_confidence

    for name, value in (("N_ERROR_TREES", 12), ("N_TRUST_TREES", 9)):
        monkeypatch.setattr(f"ert.training.confidence.{name}", value)
    monkeypatch.setattr("ert.training.confidence_samples.MIN_SAMPLES", 400)
    X, y, rolls = turned
    objects = [rotated(*pair, shape, roll) for pair, shape, roll in zip(X, y, rolls, strict=True)]
    X = [(image, box) for (image, _), (_, box) in zip(objects, X, strict=True)]
    y = np.array([shape for _, shape in objects])
    model = small_predictor(shift_jitter=0.02, n_jobs=1).fit(X, y, rolls=rolls)
    arguments = model.get_params(), model.fitted_, X, y
    summaries = [fit_confidence(*arguments, n_folds=2, rolls=given).confidence_summary for given in (rolls, None)]
    # Models of folds that are not given the rolls err more.
    assert summaries[0]["n_failed"] < 0.8 * summaries[1]["n_failed"]
    with pytest.raises(InputError, match="rolls: array of shape"):
        fit_confidence(*arguments, n_folds=2, rolls=rolls[:3])
