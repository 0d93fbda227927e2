"""What scikit-learn and its users expect: arrays of objects, errors of an unfitted estimator, seeds, notebooks."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
from helpers import small_predictor

import ert
from ert import InputError, ShapePredictor


def as_columns(pandas, X):
    return pandas.DataFrame({"image": [image for image, _ in X], "box": [tuple(box) for _, box in X]})


def test_arrays_of_objects_and_pandas_are_taken(faces, tmp_path):
    pandas = pytest.importorskip("pandas")
    X, y = faces
    model = small_predictor(n_stages=1, n_trees=10)
    expected, score = model.fit(X, y).predict(X), model.score(X, y)
    pairs = np.empty(len(X), object)
    pairs[:] = X
    columns = np.empty((len(X), 2), object)
    columns[:, 0], columns[:, 1] = (list(each) for each in zip(*X, strict=True))
    targets = np.empty(len(y), object)
    targets[:] = list(y)
    series = pandas.Series(list(X), index=range(100, 100 + len(X)))
    for objects, landmarks in (
        (pairs, y),
        (pairs[::1], targets),
        (columns, y),
        (series, pandas.Series(list(y), index=series.index)),
        (as_columns(pandas, X), targets),
    ):
        again = small_predictor(n_stages=1, n_trees=10).fit(objects, landmarks, validation=(objects, landmarks))
        np.testing.assert_array_equal(again.predict(objects), expected)
        assert again.score(objects, landmarks) == score
        assert again.predict(objects[:0]).shape == (0, 68, 2)
    for wrong in (np.zeros((3, 4)), pandas.Series([1.0, 2.0]), 5, None):
        with pytest.raises(InputError, match="X"):
            model.predict(wrong)
    with pytest.raises(InputError, match=r"X\[0\]: expected a pair"):
        model.predict(pandas.Series(["a.png", "b.png"]))


@pytest.mark.parametrize("kind", ["list", "objects", "series", "columns"])
def test_objects_survive_the_indexing_of_scikit_learn(faces, kind):
    selection = pytest.importorskip("sklearn.model_selection")
    pandas = pytest.importorskip("pandas")
    X, y = faces
    pairs = np.empty(len(X), object)
    pairs[:] = X
    given = {"list": X, "objects": pairs, "series": pandas.Series(list(X)), "columns": as_columns(pandas, X)}[kind]
    model = small_predictor(n_stages=1, n_trees=5)
    folds = selection.KFold(2, shuffle=True, random_state=0)
    scores = selection.cross_val_score(model, given, y, cv=folds, error_score="raise")
    parts = list(folds.split(X))
    expected = [
        small_predictor(n_stages=1, n_trees=5).fit([X[i] for i in train], y[train]).score([X[i] for i in test], y[test])
        for train, test in parts
    ]
    np.testing.assert_array_equal(scores, expected)
    search = selection.GridSearchCV(model, {"n_trees": [1, 5]}, cv=folds, error_score="raise").fit(given, y)
    assert search.cv_results_["mean_test_score"][1] == scores.mean()
    assert selection.cross_val_predict(model, given, y, cv=folds).shape == y.shape
    train, test = selection.train_test_split(given, random_state=0)
    assert model.fit(train, y[: len(train)]).predict(test).shape == (len(test), *y.shape[1:])


def test_an_unfitted_estimator_is_an_error_of_scikit_learn_too():
    calls = (
        lambda: ShapePredictor().predict([]),
        lambda: ShapePredictor().save("model.ert"),
        lambda: ShapePredictor().score([], np.zeros((0, 68, 2))),
        lambda: ShapePredictor().cascade_,
    )
    for call in calls:
        for kind in (ert.NotFittedError, InputError, ValueError, AttributeError):
            with pytest.raises(kind, match="not fitted: call fit, or load a model"):
                call()
    assert not hasattr(ShapePredictor(), "landmark_names_")
    exceptions = pytest.importorskip("sklearn.exceptions")
    validation = pytest.importorskip("sklearn.utils.validation")
    for call in calls:
        with pytest.raises(exceptions.NotFittedError) as caught:
            call()
        assert isinstance(caught.value, ert.NotFittedError)
        again = pickle.loads(pickle.dumps(caught.value))
        assert isinstance(again, exceptions.NotFittedError)
        assert str(again) == str(caught.value)
    with pytest.raises(exceptions.NotFittedError):
        validation.check_is_fitted(ShapePredictor())


def test_not_fitted_error_needs_no_scikit_learn():
    script = (
        "import sys, ert\n"
        "try: ert.ShapePredictor().predict([])\n"
        "except ert.NotFittedError as error: assert type(error) is ert.NotFittedError\n"
        "assert 'sklearn' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_without_a_seed_each_fit_draws_one(faces, tmp_path):
    X, y = faces
    model = small_predictor(n_stages=2, n_trees=5, random_state=None)
    seeds = []
    for _ in range(2):
        np.random.seed(3)  # noqa: NPY002 - the generator that scikit-learn takes
        seeds.append(model.fit(X, y).fitted_.params["random_state"])
    seeds.append(model.fit(X, y).fitted_.params["random_state"])
    assert seeds[0] == seeds[1] != seeds[2]
    assert model.get_params()["random_state"] is None
    same = small_predictor(n_stages=2, n_trees=5, random_state=seeds[2]).fit(X, y)
    np.testing.assert_array_equal(model.predict(X[:3]), same.predict(X[:3]))
    model.save(tmp_path / "model.ert")
    assert ert.load(tmp_path / "model.ert").random_state == seeds[2]

    interrupted = small_predictor(n_stages=1, n_trees=5, random_state=None)
    interrupted.fit(X, y, checkpoint=tmp_path / "part.ert", resume=True)
    whole = small_predictor(n_stages=2, n_trees=5, random_state=None)
    whole.fit(X, y, checkpoint=tmp_path / "part.ert", resume=True)
    seed = interrupted.fitted_.params["random_state"]
    assert whole.fitted_.params["random_state"] == seed
    expected = small_predictor(n_stages=2, n_trees=5, random_state=seed).fit(X, y)
    np.testing.assert_array_equal(whole.predict(X[:3]), expected.predict(X[:3]))


def test_fold_models_take_the_seed_of_the_fit(faces, monkeypatch):
    X, y = faces
    model = small_predictor(n_stages=1, n_trees=2, random_state=None).fit(X, y)

    def fit_fold(settings, *objects, **files):
        raise RuntimeError(settings["random_state"])

    monkeypatch.setattr("ert.training.confidence.fit_cascade", fit_fold)
    with pytest.raises(RuntimeError, match=str(model.fitted_.params["random_state"])):
        model.fit_confidence(X, y, n_folds=2)


def test_notebooks_show_the_diagram_of_scikit_learn(monkeypatch):
    pytest.importorskip("sklearn")
    for model in (small_predictor(n_trees=7), ert.load("face68")):
        page = model._repr_html_()
        assert "ShapePredictor" in page
        assert "<style" in page
    monkeypatch.setitem(sys.modules, "sklearn.utils", None)
    assert small_predictor()._repr_html_() is None
