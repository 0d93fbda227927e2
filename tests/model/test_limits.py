"""What training accepts can be loaded again; what is absurd is refused by both, before any work."""

import numpy as np
import pytest
from helpers import small_predictor

import ert
from ert import InputError
from ert.datasets.synthetic import synthetic_faces
from ert.model.limits import PARAMETER_LIMITS, check_basis_products, check_bounds
from ert.training.parameters import check_parameters

TINY = {
    "n_stages": 2,
    "n_trees": 2,
    "max_depth": 2,
    "n_pixels": 8,
    "n_inits": 1,
    "n_split_tests": 2,
    "working_size": 16,
}
LONG = {"n_stages": 1000, "n_trees": 1, "max_depth": 1, "n_pixels": 2, "stages_per_basis": 1000, "n_components": 1}


@pytest.fixture(scope="module")
def few():
    images, boxes, landmarks = synthetic_faces(4, seed=1, size=64)
    return list(zip(images, boxes, strict=True)), landmarks


def fitted(few, **params):
    return small_predictor(**(TINY | params)).fit(*few)


@pytest.mark.parametrize(
    "params",
    [
        {"max_depth": 10, "n_trees": 3, "leaf_bits": 16, "learning_rate": 1},
        LONG,
        {"stages_per_basis": 1000, "n_components": 10_000, "learning_rate": 1e-6},
        {"pool_spread": 5, "padding": 5, "working_size": 8, "shift_jitter": 1, "scale_jitter": 1, "roll_jitter": 180},
        {"padding": -0.4, "blur": 0, "min_contrast": 127},
        {"blur": 50, "working_size": 8, "min_contrast": 1e-320},
        {"working_size": 2000, "blur": 1},
        {"kind": "dlib", "gray_weights": "dlib", "pool_spread": 5, "padding": 5, "max_depth": 10},
    ],
)
def test_a_model_of_extreme_parameters_is_loaded_again(few, tmp_path, params):
    model = fitted(few, **params)
    path = tmp_path / ("x.dat" if params.get("kind") == "dlib" else "x.ert")
    model.save(path)
    again = ert.load(path)
    found = again.predict(few[0])
    assert np.array_equal(found, model.predict(few[0]))
    assert np.isfinite(found).all()


def test_a_model_of_missing_landmarks_and_one_landmark_is_loaded_again(few, tmp_path):
    X, y = few
    missing = y.copy()
    missing[0, :30] = np.nan
    for landmarks in (missing, y[:, :1]):
        fitted((X, landmarks)).save(tmp_path / "x.ert")
        assert np.isfinite(ert.load(tmp_path / "x.ert").predict(X)).all()


def test_a_confidence_model_of_extreme_parameters_is_loaded_again(few, tmp_path):
    model = fitted(few, working_size=2000, min_contrast=127, blur=0)
    model.fit_confidence(*few, n_folds=2).save(tmp_path / "x.ert")
    std = ert.load(tmp_path / "x.ert").predict(few[0], return_std=True)[1]
    assert np.isfinite(std).all()
    assert (std > 0).all()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"padding": 5, "blur": 50}, r"blur=50 in a region of 1[01]\.\d sides .*: expected a product of at most 100"),
        ({"padding": 5, "working_size": 2000}, "expected at most 16000000: reduce working_size"),
    ],
)
def test_what_could_not_be_loaded_is_not_trained(few, params, message):
    with pytest.raises(InputError, match=message):
        fitted(few, **params)


def test_names_and_notes_that_a_file_cannot_hold_are_refused_before_training(few):
    with pytest.raises(InputError, match=r"landmark_names and notes take 1\d{6} bytes, expected at most 1000000"):
        small_predictor(**TINY).fit(*few, notes={"long": "x" * 1_000_000})


def test_objects_far_from_their_boxes_in_thin_boxes_are_refused():
    y = np.array([[[0.0, 5], [300, 6]]] * 2)
    X = [(np.zeros((400, 400), np.uint8), (0.0, 0.0, 2.0, 200.0))] * 2
    predictor = small_predictor(**TINY, kind="dlib", gray_weights="dlib")
    with pytest.raises(InputError, match="the mean shape has the number 300, expected -50 to 50"):
        predictor.fit(X, y)


def test_more_landmarks_than_a_model_can_have_are_refused():
    X = [(np.zeros((9, 9), np.uint8), (0.0, 0.0, 9.0, 9.0))] * 2
    with pytest.raises(InputError, match="10001 landmarks: expected 1 to 10000"):
        small_predictor(**TINY).fit(X, np.zeros((2, 10_001, 2)))


def test_products_of_shared_bases_are_bounded_by_the_bytes_of_the_arrays():
    check_basis_products(10, 32, 68, 0)
    check_basis_products(1000, 136, 68, 0)
    check_basis_products(10, 20_000, 10_000, 10 * 20_000 * 20_000)
    with pytest.raises(InputError, match="1000 stages of 2000 components of 1000 landmarks take 4000000000 products"):
        check_basis_products(1000, 2000, 1000, 4_000_000)


def test_the_same_limits_hold_for_training_and_loading():
    params = ert.ShapePredictor().get_params()
    for name, (kind, low, high) in PARAMETER_LIMITS.items():
        for value in (low - 1, high + 1):
            with pytest.raises(InputError, match=f"{name}="):
                check_parameters(params | {name: kind(value)})


@pytest.mark.parametrize(
    ("value", "message"),
    [(np.nan, "not finite"), (-np.inf, "not finite"), (7.5, "x has the number 7.5, expected -5 to 5")],
)
def test_numbers_out_of_bounds_are_named(value, message):
    check_bounds("x", np.array([-5.0, 5.0]), -5, 5)
    check_bounds("x", np.array([]), -5, 5)
    with pytest.raises(InputError, match=message):
        check_bounds("x", np.array([0.0, value, 1.0]), -5, 5)
