import threading
from dataclasses import replace

import numpy as np
import pytest
from helpers import small_predictor

import ert
import ert.training.fit
from ert import InputError, PredictionMode, ShapePredictor
from ert._core.images import to_gray
from ert.datasets.synthetic import synthetic_faces
from ert.metrics import nme
from ert.model.geometry import INITS, box_to_image, box_transforms, stretched_transforms
from ert.training import stage


def test_it_learns_synthetic_faces(small_model):
    images, boxes, landmarks = synthetic_faces(60, seed=2, size=96)
    X = list(zip(images, boxes, strict=True))
    start = box_to_image(np.tile(small_model.cascade_.mean_shape, (60, 1, 1)).astype(float), box_transforms(boxes))
    before = nme(landmarks, start, "inter-ocular").mean()
    after = nme(landmarks, small_model.predict(X), "inter-ocular").mean()
    assert after < 0.65 * before


def test_history_has_the_errors_of_each_stage(faces):
    X, y = faces
    model = small_predictor(normalizer="inter-ocular").fit(X[:80], y[:80], validation=(X[80:], y[80:]))
    assert [entry["stage"] for entry in model.history_] == [1, 2, 3]
    trained = [entry["train_nme"] for entry in model.history_]
    assert trained == sorted(trained, reverse=True)
    np.testing.assert_allclose(model.history_[-1]["validation_nme"], -model.score(X[80:], y[80:]), rtol=1e-4)


@pytest.mark.parametrize(
    "params",
    [{}, {"n_trees_averaged": 10, "learning_rate": 1.0}, {"leaf_bits": 16}, {"n_pixels": 50, "n_pool_candidates": 150}],
)
def test_the_model_is_the_same_for_any_number_of_threads(faces, tmp_path, params, monkeypatch):
    contents = set()
    for n_jobs, least in ((4, stage.SAMPLES_OF_ONE_THREAD), (1, 0), (2, 0), (4, 0)):
        monkeypatch.setattr(stage, "SAMPLES_OF_ONE_THREAD", least)
        model = small_predictor(n_stages=2, n_inits=30, mirror="face68", n_jobs=n_jobs, **params).fit(*faces)
        model.save(tmp_path / "model.ert")
        contents.add((tmp_path / "model.ert").read_bytes())
    assert len(contents) == 1


def test_seeds_matter(faces):
    one, other = (small_predictor(n_stages=1, random_state=seed).fit(*faces) for seed in (0, 1))
    assert not np.array_equal(one.predict(faces[0]), other.predict(faces[0]))


@pytest.mark.parametrize(("holes", "kind"), [(False, "ert"), (True, "ert"), (False, "dlib")])
def test_a_resumed_fit_gives_the_bytes_of_an_uninterrupted_one(faces, tmp_path, holes, kind):
    X, y = faces[0], faces[1].copy()
    if holes:
        y[::2, 3] = np.nan
    plan = {"shift_jitter": 0.05} | ({"kind": "dlib", "gray_weights": "dlib"} if kind == "dlib" else {})
    validation = (X[:9], y[:9])
    whole, resumed, checkpoint = tmp_path / "whole.ert", tmp_path / "resumed.ert", tmp_path / "checkpoint.ert"
    small_predictor(**plan).fit(X, y, validation=validation).save(whole)
    model = small_predictor(n_stages=2, **plan).fit(X, y, validation=validation, checkpoint=checkpoint)
    model.set_params(n_stages=3).fit(X, y, validation=validation, checkpoint=checkpoint, resume=True).save(resumed)
    assert resumed.read_bytes() == whole.read_bytes()
    with pytest.raises(InputError, match=r"checkpoint\.ert: .* other data or parameters"):
        model.fit(X[1:], y[1:], checkpoint=checkpoint, resume=True)
    with pytest.raises(InputError, match=r"checkpoint\.ert: .* other data or parameters"):
        model.set_params(n_trees=41).fit(X, y, checkpoint=checkpoint, resume=True)


def test_a_cascade_of_dlibs_kind_is_written_for_dlib_and_predicts_the_same(faces, tmp_path, monkeypatch):
    monkeypatch.setattr(stage, "SAMPLES_OF_ONE_THREAD", 0)
    X, y = [(image, np.array([box[0], box[1], box[2], box[3] + 9])) for image, box in faces[0]], faces[1]
    models = [
        small_predictor(kind="dlib", gray_weights="dlib", mirror="face68", shift_jitter=0.05, n_jobs=jobs).fit(X, y)
        for jobs in (1, 2)
    ]
    shapes = models[0].predict(X)
    start = box_to_image(
        np.tile(models[0].cascade_.mean_shape, (len(X), 1, 1)).astype(float),
        stretched_transforms(np.array([box for _, box in X])),
    )
    assert nme(y, shapes, "inter-ocular").mean() < 0.65 * nme(y, start, "inter-ocular").mean()
    for number, model in enumerate(models):
        model.save(tmp_path / f"{number}.dat")
    assert (tmp_path / "0.dat").read_bytes() == (tmp_path / "1.dat").read_bytes()
    assert np.array_equal(ert.load(tmp_path / "0.dat").predict(X), shapes)
    models[0].save(tmp_path / "0.ert")
    again = ert.load(tmp_path / "0.ert")
    assert (again.kind, again.mirror) == ("dlib", "face68")
    assert np.array_equal(again.predict(X), shapes)
    np.testing.assert_allclose(np.median(abs(models[0].compact().predict(X) - shapes)), 0, atol=0.01)
    # The error that training tells for the last stage is that of what it has written.
    checked = small_predictor(kind="dlib", gray_weights="dlib", n_inits=1, normalizer="inter-ocular").fit(X, y)
    error = nme(y, checked.predict(X), "inter-ocular").mean()
    assert checked.history_[-1]["train_nme"] == pytest.approx(error, rel=0.02)


def test_a_cascade_of_dlibs_kind_needs_dlibs_gray_and_a_box_to_stretch(faces):
    X, y = faces
    with pytest.raises(InputError, match="gray_weights='luma': expected 'dlib'"):
        small_predictor(kind="dlib").fit(X, y)
    thin = [*X[:5], (X[5][0], (20.0, 20.0, 80.0, 1.0))]
    with pytest.raises(InputError, match=r"X\[5\]: a box of 80 x 1 pixels"):
        small_predictor(kind="dlib", gray_weights="dlib").fit(thin, y[:6])
    absurd = [*X[:5], (X[5][0], (-4e5, -4e5, 1e6, 1e6))]
    with pytest.raises(InputError, match=r"X\[5\]: a box of 1e\+06 x 1e\+06 pixels is far larger"):
        small_predictor(kind="dlib", gray_weights="dlib").fit(absurd, y[:6])


def test_an_interrupted_fit_keeps_its_finished_stages(faces, tmp_path, monkeypatch):
    checkpoint = tmp_path / "checkpoint.ert"
    train_stage = ert.training.fit.train_stage

    def interrupted(samples, stage, *args):
        if stage == 2:
            raise KeyboardInterrupt
        return train_stage(samples, stage, *args)

    monkeypatch.setattr("ert.training.fit.train_stage", interrupted)
    with pytest.raises(KeyboardInterrupt):
        small_predictor().fit(*faces, checkpoint=checkpoint)
    assert len(ert.load(checkpoint).history_) == 2


def test_missing_landmarks_neither_pull_nor_push(faces):
    """A landmark that half of the objects lack is learned from the other half alone, whatever their order."""
    X, y = faces
    holes = y.copy()
    holes[::2, 30] = np.nan
    model = small_predictor(n_stages=2, n_trees=60).fit(X, holes)
    assert model.summary_["n_missing"] == 60
    predicted = model.predict(X)
    assert np.isfinite(predicted).all()
    whole = small_predictor(n_stages=2, n_trees=60).fit(X, y).predict(X)
    # Half the data: a little worse, not dragged towards the start.
    lacking = np.linalg.norm(predicted[::2, 30] - y[::2, 30], axis=1).mean()
    complete = np.linalg.norm(whole[::2, 30] - y[::2, 30], axis=1).mean()
    start = box_to_image(
        np.tile(model.cascade_.mean_shape, (120, 1, 1)).astype(float), box_transforms(np.array([box for _, box in X]))
    )
    untouched = np.linalg.norm(start[::2, 30] - y[::2, 30], axis=1).mean()
    assert complete < lacking < 0.5 * (complete + untouched)


def test_garbage_behind_a_nan_changes_nothing(faces):
    X, y = faces
    holes, half_holes = y.copy(), y.copy()
    holes[3, 5] = np.nan
    half_holes[3, 5, 0] = np.nan
    one, other = (small_predictor(n_stages=1).fit(X, landmarks) for landmarks in (holes, half_holes))
    assert np.array_equal(one.predict(X), other.predict(X))


def test_mirroring_makes_a_model_of_mirror_images(faces):
    X, y = faces
    model = small_predictor(mirror="face68", n_trees=80).fit(X, y)
    mean = model.cascade_.mean_shape
    mirrored = mean[model.mirror_map_] * [-1, 1] + [1, 0]
    np.testing.assert_allclose(mean, mirrored, atol=1e-5)
    left, _, right, _ = model.cascade_.crop_spec.region
    assert left == 1 - right
    flipped = [(image[:, ::-1], [image.shape[1] - b[0] - b[2], *b[1:]]) for image, b in X]
    truth = y[:, model.mirror_map_] * [-1, 1] + [95, 0]
    without = small_predictor(n_trees=80).fit(X, y)
    assert model.score(flipped, truth) > without.score(flipped, truth)


def test_colors_boxes_and_threads_do_not_change_a_prediction(small_model, faces):
    X = faces[0][:6]
    color = [(np.repeat(image[..., None], 3, axis=2), list(box)) for image, box in X]
    expected = small_model.predict(X)
    assert expected.shape == (6, 68, 2)
    assert expected.dtype == np.float64
    assert np.array_equal(small_model.predict(color), expected)
    assert np.array_equal(small_model.predict(color, channel_order="bgr", n_jobs=3), expected)
    assert np.array_equal(np.concatenate([small_model.predict([face]) for face in X[::-1]])[::-1], expected)
    wide = np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype=np.uint8)
    gray_weights = small_model.predict([(wide, (5, 5, 40, 40))])
    bgr = small_model.predict([(wide[..., ::-1], (5, 5, 40, 40))], channel_order="bgr")
    assert np.array_equal(gray_weights, bgr)
    assert np.array_equal(gray_weights, small_model.predict([(to_gray(wide), (5, 5, 40, 40))]))


def test_no_faces_give_no_shapes(small_model):
    assert small_model.predict([]).shape == (0, 68, 2)


def test_predictions_move_and_grow_with_the_image(small_model, faces):
    image, box = faces[0][0]
    expected = small_model.predict([(image, box)])
    padded = np.pad(image, ((7, 3), (11, 2)), mode="edge")
    moved = small_model.predict([(padded, box + [11, 7, 0, 0])])
    np.testing.assert_allclose(moved, expected + [11, 7], atol=1e-3)


def test_boxes_partly_outside_and_one_pixel_images_work(small_model):
    image = np.full((50, 50), 90, np.uint8)
    for box in [(-20, -20, 40, 40), (30, 30, 300, 300), (-100, -100, 300, 300), (10.5, 3.25, 7.75, 7.75)]:
        assert np.isfinite(small_model.predict([(image, box)])).all()
    assert np.isfinite(small_model.predict([(image[:1, :1], (-2, -2, 5, 5))])).all()


def test_one_model_in_many_threads_gives_the_same_results(small_model, faces):
    X = faces[0][:20]
    expected, results = small_model.predict(X), {}
    threads = [threading.Thread(target=lambda i=i: results.update({i: small_model.predict(X)})) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    assert all(np.array_equal(result, expected) for result in results.values())


@pytest.mark.parametrize("n", [1, 2, 5])
def test_any_number_of_landmarks_is_learnt(faces, n):
    X, y = faces
    model = small_predictor(n_stages=2).fit(X, y[:, 30 : 30 + n])
    assert model.predict(X[:3]).shape == (3, n, 2)
    assert model.n_landmarks_ == n
    first, last = (entry["train_nme"] for entry in model.history_)
    assert last < first < 8


def test_shapes_that_collapse_do_not_wreck_the_training(faces):
    X, y = faces
    lids = y[:, [37, 41]].copy()
    lids[:40, 1] = lids[:40, 0]
    model = small_predictor(n_inits=10, padding=0.1).fit(X, lids)
    assert model.history_[-1]["train_nme"] < 10


def test_two_objects_are_enough(faces):
    X, y = faces
    assert np.isfinite(small_predictor(n_stages=1).fit(X[:2], y[:2]).predict(X)).all()


def test_the_crop_grows_with_the_padding(faces):
    narrow, wide = (small_predictor(n_stages=1, padding=padding).fit(*faces) for padding in (0.0, 0.5))
    positions = wide.cascade_.mean_shape[wide.cascade_.anchors[0]] + wide.cascade_.deltas[0]
    region = wide.cascade_.crop_spec.region
    assert (positions >= region[:2]).all()
    assert (positions <= region[2:]).all()
    assert (region[:2] < narrow.cascade_.crop_spec.region[:2] - 0.4).all()


def test_numbers_of_numpy_are_as_good_as_those_of_python(faces, tmp_path):
    params = {"n_trees": np.int64(10), "learning_rate": np.float32(0.125), "n_jobs": np.int64(2)}
    small_predictor(n_stages=1, **params).fit(*faces).save(tmp_path / "one.ert")
    small_predictor(n_stages=1, n_trees=10, learning_rate=0.125).fit(*faces).save(tmp_path / "other.ert")
    assert (tmp_path / "one.ert").read_bytes() == (tmp_path / "other.ert").read_bytes()


def test_one_object_can_validate_and_may_lack_landmarks(faces):
    X, y = faces
    held_out = y[:1].copy()
    held_out[0, 5] = np.nan
    model = small_predictor(n_stages=1).fit(X[1:], y[1:], validation=(X[:1], held_out))
    assert np.isfinite(model.history_[0]["validation_nme"])
    with pytest.raises(InputError, match="validation y has 2 objects and X has 1"):
        small_predictor().fit(X, y, validation=(X[:1], y[:2]))


def test_unusable_input_is_refused_before_the_fit(faces, tmp_path):
    X, y = faces
    holes = y.copy()
    holes[7, 36] = np.nan
    with pytest.raises(InputError, match="face 7"):
        small_predictor(normalizer="inter-ocular").fit(X, holes)
    with pytest.raises(InputError, match=r"nowhere/c\.ert: cannot be written"):
        small_predictor().fit(X, y, checkpoint=tmp_path / "nowhere" / "c.ert")
    far = y.copy()
    far[3, 0, 0] = 1e25
    with pytest.raises(InputError, match=r"y: object 3 has a landmark .* box sides from its box"):
        small_predictor().fit(X, far)
    with pytest.raises(InputError, match="candidate splits per stage"):
        small_predictor(n_trees=100_000, n_split_tests=10_000, max_depth=10).fit(X, y)


def test_a_failed_refit_keeps_the_fitted_model(faces, tmp_path, monkeypatch):
    X, y = faces
    model = small_predictor(n_stages=1).fit(X, y)
    expected = model.predict(X[:3])

    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("ert.training.fit.train_stage", fail)
    with pytest.raises(KeyboardInterrupt):
        model.set_params(n_trees=7).fit(X, y[:, :5])
    model.save(tmp_path / "model.ert")
    loaded = ert.load(tmp_path / "model.ert")
    assert np.array_equal(loaded.predict(X[:3]), expected)
    assert loaded.n_trees == 40


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ([(np.zeros((9, 9)), (1, 1, 5, 5))], r"X\[0\]: float64 pixels, expected uint8"),
        ([(np.zeros((9, 9), np.uint16), (1, 1, 5, 5))], r"X\[0\]: uint16 pixels, expected uint8"),
        ([(np.zeros((9, 9, 4), np.uint8), (1, 1, 5, 5))], r"X\[0\]: array of shape .* alpha"),
        ([(np.zeros((9, 9, 2), np.uint8), (1, 1, 5, 5))], r"X\[0\]: array of shape .* alpha"),
        ([("nothing.jpg", (1, 1, 5, 5))], r"nothing\.jpg: no such file"),
        ([(np.zeros((9, 9), np.uint8), (1, 1, 0, 5))], r"X\[0\]: a box of 0 x 5 pixels"),
        ([(np.zeros((9, 9), np.uint8), (1, 1, -5, 5))], r"X\[0\]: a box of -5 x 5 pixels"),
        ([(np.zeros((9, 9), np.uint8), (1, 1, 1, 1))], r"X\[0\]: a box of 1 x 1 pixels"),
        ([(np.zeros((9, 9), np.uint8), (1, np.nan, 5, 5))], r"X\[0\]: expected a box of 4 finite numbers"),
        ([(np.zeros((9, 9), np.uint8), (1, 5, 5))], r"X\[0\]: expected a box of 4 finite numbers"),
        ([(np.zeros((9, 9), np.uint8), "box")], r"X\[0\]: expected a box of 4 numbers"),
        ([(np.zeros((9, 9), np.uint8), (20, 20, 5, 5))], r"X\[0\]: the box lies outside the image of 9 x 9"),
        ([(np.zeros((9, 9), np.uint8), (-20, 0, 5, 5))], r"X\[0\]: the box lies outside the image of 9 x 9"),
        ([np.zeros((9, 9), np.uint8)], r"X\[0\]: expected a pair \(image, box\), got ndarray"),
        ([(np.zeros((9, 9), np.uint8), (-1e4, -1e4, 2e4, 2e4))], r"X\[0\]: a box of 20000 x 20000 .* larger"),
        ([(np.zeros((9, 9), np.uint8), (1, 1, 1e9, 1e9))], r"X\[0\]: box .* expected pixels within 1e\+07"),
        ([(np.zeros((9, 9), np.uint8), (10**400, 1, 5, 5))], r"X\[0\]: expected a box of 4 numbers"),
        ([(np.zeros((9, 9), np.uint8),)], r"X\[0\]: expected a pair"),
    ],
)
def test_bad_faces_are_named(small_model, X, message):
    good = (np.zeros((50, 50), np.uint8), (5, 5, 30, 30))
    with pytest.raises(InputError, match=message):
        small_model.predict(X)
    with pytest.raises(InputError, match=message.replace("0", "1", 1)):
        small_model.predict([good, *X])


@pytest.mark.parametrize(
    ("n", "y", "message"),
    [
        (3, np.zeros((2, 5, 2)), "y has 2 objects and X has 3"),
        (1, np.zeros((1, 5, 2)), "1 training object: at least 2 are needed"),
        (0, np.zeros((0, 5, 2)), "0 training objects: at least 2 are needed"),
        (2, np.zeros((2, 10)), r"expected shape \(n, n_landmarks, 2\), got \(2, 10\)"),
        (2, np.zeros((2, 0, 2)), r"expected shape \(n, n_landmarks, 2\), got \(2, 0, 2\)"),
        (2, [[[1, 2]], [[1, 2], [3, 4]]], "the same count for each object"),
        (2, [[[1, 2]], [["a", 2]]], "expected numbers"),
        (2, [[[1, np.inf]], [[1, 2]]], "landmark 0 of object 0 is infinite"),
        (2, [[[1, 1], [np.nan, 1]], [[1, 2], [3, np.nan]]], "landmark 1 is missing in every object"),
        (2, [[[1, 1], [2, 1]], [[np.nan, 2], [3, np.nan]]], "object 1 has no landmark"),
    ],
)
def test_bad_landmarks_are_named(n, y, message):
    X = [(np.zeros((50, 50), np.uint8), (5, 5, 30, 30))] * n
    with pytest.raises(InputError, match=message):
        small_predictor().fit(X, y)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"n_trees": 0}, "n_trees=0: expected 1 to"),
        ({"n_trees": 2.5}, "n_trees=2.5: expected an integer"),
        ({"n_trees": True}, "n_trees=True: expected an integer"),
        ({"learning_rate": "fast"}, "learning_rate='fast': expected a number"),
        ({"learning_rate": float("nan")}, "learning_rate=nan: expected"),
        ({"leaf_bits": 4}, "leaf_bits=4: expected one of 8, 16"),
        ({"normalizer": "nose"}, "normalizer='nose': expected one of"),
        ({"channel_order": "hsv"}, "channel_order='hsv': expected one of"),
        ({"mirror": "face68"}, "a map of 68 landmarks for objects of 1"),
        ({"n_jobs": 0}, "n_jobs=0"),
    ],
)
def test_bad_parameters_are_named(params, message):
    X = [(np.zeros((50, 50), np.uint8), (5, 5, 30, 30))] * 2
    with pytest.raises(InputError, match=message):
        small_predictor(**params).fit(X, np.full((2, 1, 2), 20.0))


def test_an_unfitted_estimator_raises():
    with pytest.raises(InputError, match="not fitted"):
        ShapePredictor().predict([])


def test_scikit_learn_manners(faces):
    base = pytest.importorskip("sklearn.base")
    selection = pytest.importorskip("sklearn.model_selection")
    X, y = faces
    model = small_predictor(n_stages=1, n_trees=10, normalizer="inter-ocular")
    assert base.clone(model).get_params() == model.get_params()
    assert base.is_regressor(model)
    with pytest.raises(InputError, match="no parameter 'trees'"):
        model.set_params(trees=3)
    groups = np.arange(len(X)) // 4
    search = selection.GridSearchCV(model, {"n_trees": [2, 60]}, cv=selection.GroupKFold(3), error_score="raise").fit(
        X, y, groups=groups
    )
    assert search.best_params_ == {"n_trees": 60}
    assert search.predict(X[:2]).shape == (2, 68, 2)
    assert repr(model).startswith("ShapePredictor(n_stages=1, n_trees=10")


@pytest.mark.parametrize("kind", [{}, {"kind": "dlib", "gray_weights": "dlib"}])
def test_several_initializations_give_the_median_of_moved_boxes(faces, kind):
    X, y = faces
    model = small_predictor(**kind).fit(X, y)
    single = model.predict(X[:8])
    found = []
    for dx, dy, scale, _ in INITS:
        moved = []
        for image, (left, top, width, height) in X[:8]:
            right, down = width - 1, height - 1
            x, y = left + (dx + (1 - scale) / 2) * right, top + (dy + (1 - scale) / 2) * down
            moved.append((image, (x, y, 1 + scale * right, 1 + scale * down)))
        found.append(model.predict(moved))
    assert np.array_equal(found[0], single)
    for n_inits in (3, 7):
        several = model.predict(X[:8], PredictionMode(n_inits=n_inits))
        # By hand the image is resampled anew for each box, which moves single points.
        difference = abs(several - np.median(found[:n_inits], axis=0))
        assert np.median(difference) < 0.25
        assert (several != single).any()
    with pytest.raises(InputError, match="n_inits=8: expected an integer from 1 to 7"):
        model.predict(X[:1], PredictionMode(n_inits=8))


@pytest.mark.parametrize("kind", [{}, {"kind": "dlib", "gray_weights": "dlib"}])
def test_flip_predicts_the_mirror_image(faces, kind):
    X, y = faces
    model = small_predictor(mirror="face68", **kind).fit(X, y)
    swap = model.mirror_map_
    plain, mirrored = model.predict(X[:8]), []
    for image, (left, top, width, height) in X[:8]:
        place = image.shape[1] - left - width, top, width, height
        points = model.predict([(np.ascontiguousarray(image[:, ::-1]), place)])[0][swap]
        mirrored.append(points * [-1, 1] + [image.shape[1] - 1, 0])
    both = model.predict(X[:8], PredictionMode(flip=True))
    # The mirrored crop is not the crop's mirror image to the last bit.
    difference = abs(both - (plain + mirrored) / 2)
    assert np.median(difference) < 0.25
    assert (both != plain).any()


def test_flipping_needs_a_mirror_map(faces):
    model = small_predictor().fit(*faces)
    with pytest.raises(InputError, match="flip=True: the model was trained without a mirror map"):
        model.predict(faces[0][:1], PredictionMode(flip=True))
    with pytest.raises(InputError, match="flip='yes': expected True or False"):
        model.predict(faces[0][:1], PredictionMode(flip="yes"))


def test_a_second_pass_mends_a_box_that_was_drawn_badly(small_model, faces):
    X, y = faces
    model = small_model
    moved = [(image, (left + 0.1 * width, top, width, height)) for image, (left, top, width, height) in X]
    errors = {}
    for n_passes in (1, 2, 3):
        predicted = model.predict(moved, PredictionMode(n_passes=n_passes))
        errors[n_passes] = nme(y, predicted, "inter-ocular").mean()
    assert errors[2] < 0.9 * errors[1]
    assert errors[3] < 0.9 * errors[1]
    mode = PredictionMode(n_passes=2)
    assert np.array_equal(model.predict(moved[3:4], mode)[0], model.predict(moved[:9], mode, n_jobs=3)[3])


def test_the_accurate_mode_is_what_the_model_supports_and_changes_nothing_on_it(small_model, faces):
    before = small_model.get_params()
    plain = small_predictor().fit(*faces)
    for model, flip in ((small_model, True), (plain, False)):
        shapes = model.predict(faces[0][:3], mode="accurate")
        same = model.predict(faces[0][:3], PredictionMode(n_inits=3, n_passes=2, flip=flip))
        assert np.array_equal(shapes, same)
        assert (shapes != model.predict(faces[0][:3])).any()
    assert small_model.get_params() == before
    for mode in ("best", None, 3):
        with pytest.raises(InputError, match="expected 'fast', 'accurate' or a PredictionMode"):
            small_model.predict(faces[0][:1], mode=mode)


def test_stages_may_share_a_basis(faces, tmp_path):
    X, _ = faces
    plan = {"stages_per_basis": 2, "mirror": "face68"}
    model = small_predictor(n_stages=5, **plan).fit(*faces)
    cascade = model.cascade_
    assert len(cascade.basis) == 3
    bases = [stage.basis for stage in cascade.stages()]
    assert np.array_equal(bases[0], bases[1])
    assert np.array_equal(bases[4], cascade.basis[2])
    assert not np.array_equal(bases[1], bases[2])
    # The same stages, with a basis each.
    apart = small_predictor(n_stages=5, **plan)
    each = replace(cascade, basis=np.stack(bases), stages_per_basis=1)
    apart.fitted_ = replace(model.fitted_, cascade=each)
    assert np.array_equal(model.predict(X), apart.predict(X))
    whole, resumed, checkpoint = (tmp_path / f"{name}.ert" for name in ("whole", "resumed", "checkpoint"))
    model.save(whole)
    again = small_predictor(n_stages=3, **plan).fit(*faces, checkpoint=checkpoint)
    again.set_params(n_stages=5).fit(*faces, checkpoint=checkpoint, resume=True).save(resumed)
    assert resumed.read_bytes() == whole.read_bytes()
    assert np.array_equal(ert.load(whole).predict(X), model.predict(X))


def test_the_quick_way_for_one_face_finds_what_the_others_find(small_model, faces):
    image, (left, top, width, height) = faces[0][0]
    gray = to_gray(image)
    color = np.stack([gray] * 3, axis=2)
    model = ShapePredictor(**small_model.get_params())
    model.fitted_ = small_model.fitted_
    boxes = (left, top, width, height), (left - 40, top, width, height), (left, top, 2 * width, height)
    for box in (*boxes, np.array(boxes[0])):
        for kind in (gray, color, color[:, ::-1], gray[:, :, None]):
            for changes in ({}, {"n_passes": 2}, {"n_inits": 3}, {"flip": True}):
                mode = PredictionMode(**changes)
                quick, slow = model.predict([(kind, box)], mode), model.predict(((kind, box),), mode)
                assert quick.shape == slow.shape
                assert np.array_equal(quick, slow)
