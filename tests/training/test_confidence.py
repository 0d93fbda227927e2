import numpy as np
import pytest
from helpers import small_predictor

from ert import InputError, ShapePredictor
from ert.datasets.synthetic import synthetic_faces
from ert.metrics import landmark_errors
from ert.model.fitted import read_fitted
from ert.training import confidence as confidence_training
from ert.training.calibration import coverage, roc_auc
from ert.training.confidence import fold_checkpoints
from ert.training.confidence_samples import background_boxes, group_folds, scatter

TINY = {"n_stages": 2, "n_trees": 10, "n_inits": 3, "n_pixels": 60, "working_size": 48, "n_jobs": 1}


@pytest.fixture
def small_forests(monkeypatch):
    """Small confidence models."""
    for name, value in (("N_ERROR_TREES", 12), ("N_TRUST_TREES", 9)):
        monkeypatch.setattr(confidence_training, name, value)
    monkeypatch.setattr("ert.training.confidence_samples.MIN_SAMPLES", 500)


def other_faces(n=80):
    images, boxes, landmarks = synthetic_faces(n, seed=7, size=96)
    return list(zip(images, boxes, strict=True)), landmarks


def test_standard_errors_and_probabilities_of_new_faces_are_calibrated(confident_model):
    X, y = other_faces()
    shapes, std = confident_model.predict(X, return_std=True)
    errors = landmark_errors(y, shapes)
    (half, most) = coverage(errors, std, [confident_model.std_radius(0.5), confident_model.std_radius(0.9)])
    # It was fitted to models of half as many faces, whose errors are larger.
    assert 0.45 < half < 0.7
    assert 0.87 < most < 0.97
    # Larger standard errors come with larger errors.
    relative = np.argsort(std.ravel())
    first, last = relative[: len(relative) // 4], relative[-len(relative) // 4 :]
    assert errors.ravel()[last].mean() > 1.3 * errors.ravel()[first].mean()
    assessment = confident_model.assess(X, shapes)
    lengths = np.linalg.norm(y[:, 36] - y[:, 45], axis=1)
    within = errors <= 0.05 * lengths[:, None]
    assert assessment.within.mean() == pytest.approx(within.mean(), abs=0.1)


def test_noise_and_corners_are_separated_from_faces(confident_model):
    X, _ = other_faces()
    rng = np.random.default_rng(0)
    noise = [(rng.integers(0, 256, image.shape, dtype=np.uint8), box) for image, box in X]
    corners = [(image, (0.0, 0.0, 25.0, 25.0)) for image, _ in X]
    good = confident_model.assess(X, confident_model.predict(X)).confidence
    for others in (noise, corners):
        bad = confident_model.assess(others, confident_model.predict(others)).confidence
        truth = np.repeat([True, False], [len(good), len(bad)])
        assert roc_auc(np.concatenate([good, bad]), truth) > 0.95


@pytest.mark.usefixtures("small_forests")
def test_the_same_bytes_for_any_number_of_threads(faces, tmp_path):
    X, y = faces[0][:30], faces[1][:30]
    for n_jobs in (1, 3):
        model = ShapePredictor(**TINY | {"n_jobs": n_jobs, "mirror": "face68"}).fit(X, y)
        model.fit_confidence(X, y, n_folds=2).save(tmp_path / f"{n_jobs}.ert")
    assert (tmp_path / "1.ert").read_bytes() == (tmp_path / "3.ert").read_bytes()


@pytest.mark.usefixtures("small_forests")
def test_an_interrupted_call_is_resumed_from_its_fold_models(faces, tmp_path):
    X, y = faces[0][:30], faces[1][:30]
    model = ShapePredictor(**TINY).fit(X, y)
    model.fit_confidence(X, y, n_folds=2).save(tmp_path / "whole.ert")
    files = fold_checkpoints(tmp_path / "check.ert", 2)
    assert [file.name for file in files] == ["check.fold1.ert", "check.fold2.ert"]
    model.fit_confidence(X, y, n_folds=2, checkpoint=tmp_path / "check.ert")
    assert all(file.exists() for file in files)
    files[1].unlink()
    model.fit_confidence(X, y, n_folds=2, checkpoint=tmp_path / "check.ert", resume=True)
    model.save(tmp_path / "resumed.ert")
    assert (tmp_path / "resumed.ert").read_bytes() == (tmp_path / "whole.ert").read_bytes()


@pytest.mark.usefixtures("small_forests")
@pytest.mark.parametrize("kind", ["ert", "dlib"])
def test_any_object_can_be_assessed(faces, kind, tmp_path):
    """Few landmarks, some of them missing, no mirror map, no normalizer, color images in files."""
    from PIL import Image

    X, y = [], faces[1][:24, [30, 36, 45]].copy()
    for number, (image, box) in enumerate(faces[0][:24]):
        Image.fromarray(np.stack([image] * 3, axis=2)).save(tmp_path / f"{number}.png")
        X.append((tmp_path / f"{number}.png", box))
    y[3, 1] = np.nan
    gray_weights = "dlib" if kind == "dlib" else "luma"
    model = ShapePredictor(**TINY, kind=kind, gray_weights=gray_weights).fit(X, y)
    assessment = model.fit_confidence(X, y, n_folds=2).assess(X, model.predict(X))
    assert assessment.std.shape == (24, 3)
    assert (assessment.std > 0).all()
    assert ((assessment.within > 0) & (assessment.within < 1)).all()
    assert model.fitted_.confidence_summary["n_objects"] == 24


@pytest.mark.usefixtures("small_forests")
@pytest.mark.usefixtures("small_forests")
def test_objects_that_a_model_has_marked_are_not_assessed(faces, tmp_path):
    X, y = faces
    model = ShapePredictor(**TINY).fit(X, y)
    more, marks = other_faces(10)
    assessed = np.arange(len(X) + 10) < len(X)
    both = list(X) + more, np.concatenate([y, marks])
    weights = np.where(assessed, 1.0, 2.0)
    model.fit_confidence(
        *both, n_folds=2, sample_weight=weights, assessed=assessed, checkpoint=tmp_path / "confidence.ert"
    )
    assert model.fitted_.confidence_summary["n_objects"] == len(X)
    # Every fold model was trained on all of them, twice as often.
    counts = [read_fitted(file).summary for file in fold_checkpoints(tmp_path / "confidence.ert", 2)]
    assert sum(count["n_objects"] for count in counts) == len(X) + 20
    assert sum(count["n_samples"] for count in counts) == TINY["n_inits"] * (len(X) + 40)
    with pytest.raises(InputError, match="assessed: bool of shape"):
        model.fit_confidence(*both, assessed=assessed[1:])


def test_a_single_landmark_can_be_assessed(faces):
    X, y = faces[0][:20], faces[1][:20, 30:31]
    model = ShapePredictor(**TINY).fit(X, y).fit_confidence(X, y, n_folds=2)
    assert np.isfinite(model.predict(X, return_std=True)[1]).all()


def test_folds_keep_images_and_groups_together():
    image, other = np.zeros((9, 9), np.uint8), np.ones((9, 9), np.uint8)
    box = (0.0, 0.0, 9.0, 9.0)
    X = [(image, box), (other, box), (image.copy(), box), ("a.png", box), ("a.png", box)]
    folds = group_folds(X, None, 3, 0)
    assert folds[0] == folds[2]
    assert folds[3] == folds[4]
    assert len(set(folds.tolist())) == 3
    by_person = group_folds(X, ["p", "p", "q", "q", "q"], 2, 0)
    assert len(set(by_person[:2])) == len(set(by_person[2:])) == 1
    with pytest.raises(InputError, match="n_folds=4: at least 4 images are needed, got 3"):
        group_folds(X, None, 4, 0)
    with pytest.raises(InputError, match="groups: 1, expected one for each of 5 objects"):
        group_folds(X, ["p"], 2, 0)


def test_bad_input_of_a_fit_is_named(small_model, faces):
    X, y = faces
    with pytest.raises(InputError, match="y: 3 landmarks, the model has 68"):
        small_model.fit_confidence(X, y[:, :3])
    with pytest.raises(InputError, match="n_folds=1: expected at least 2"):
        small_model.fit_confidence(X, y, n_folds=1)
    with pytest.raises(InputError, match="not fitted"):
        small_predictor().fit_confidence(X, y)


def test_scattered_boxes_touch_the_image_and_background_touches_no_object():
    rng = np.random.default_rng(0)
    box = (20.0, 20.0, 40.0, 40.0)
    for _ in range(200):
        left, top, width, height = scatter(box, 2.0, 1.0, (100, 90), rng)
        assert -width < left < 100
        assert -height < top < 90
    assert scatter(box, 0.0, 0.0, (100, 90), rng) == box
    drawn = background_boxes(box, [box, (70.0, 0.0, 30.0, 30.0)], (100, 90), 50, rng)
    assert len(drawn) == 50
    for left, top, width, height in drawn:
        for x, y, w, h in (box, (70.0, 0.0, 30.0, 30.0)):
            across = max(0, min(left + width, x + w) - max(left, x))
            down = max(0, min(top + height, y + h) - max(top, y))
            assert across * down <= 0.1 * (width * height + w * h - across * down) + 1e-9
    assert background_boxes((0.0, 0.0, 15.0, 15.0), [(0.0, 0.0, 15.0, 15.0)], (15, 15), 3, rng) == []
