"""Maps of gradient orientations: the kernel, fits and predictions with them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ert
from ert import reference
from ert._kernels.orientation import maps_size, orientation_maps
from ert.datasets.synthetic import synthetic_faces

SMALL = {"n_stages": 3, "n_trees": 20, "n_pixels": 60, "n_inits": 4, "working_size": 48, "n_jobs": 1}


def drawn(n, seed):
    images, boxes, landmarks = synthetic_faces(n, seed=seed, size=96)
    return list(zip(images, boxes, strict=True)), landmarks


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1), st.booleans())
def test_the_kernel_matches_its_twin(columns, rows, seed, by_rows):
    rng = np.random.default_rng(seed)
    crop = rng.choice([rng.integers(256, size=(columns, rows)), 255 * rng.integers(2, size=(columns, rows))])
    crop = crop.astype(np.uint8)
    out = np.zeros(maps_size(columns, rows), np.uint8)
    pixels = np.ascontiguousarray(crop.T if by_rows else crop).ravel()
    orientation_maps(pixels, columns, rows, 1 if by_rows else rows, out)
    expected = reference.orientation_maps(crop)
    found = out.reshape(4, *(expected.shape[:0:-1] if by_rows else expected.shape[1:]))
    assert np.array_equal(found.swapaxes(1, 2) if by_rows else found, expected)


def test_a_mirror_image_exchanges_the_diagonals():
    crop = np.random.default_rng(0).integers(256, size=(20, 31)).astype(np.uint8)
    maps, mirrored = reference.orientation_maps(crop), reference.orientation_maps(crop[::-1])
    assert np.array_equal(mirrored[:, ::-1], maps[[0, 3, 2, 1]])


@pytest.mark.parametrize("blur", [0.0, 1.0])
def test_predictions_match_the_reference_and_survive_a_file(tmp_path, blur):
    X, y = drawn(40, 0)
    model = ert.ShapePredictor(**SMALL, blur=blur, channels="gray+orientation", n_pool_candidates=90, mirror="face68")
    model.fit(X, y)
    channels = model.cascade_.channels
    assert set(np.unique(channels)) == {0, 1, 2, 3, 4}
    X = X[:4]
    found = model.predict(X)
    expected = [reference.predict(model.fitted_, image, box) for image, box in X]
    np.testing.assert_allclose(found, expected, atol=1e-3)
    np.testing.assert_array_equal(found[:1], model.predict(X[:1]))
    model.save(tmp_path / "model.ert")
    loaded = ert.load(tmp_path / "model.ert")
    assert loaded.channels == "gray+orientation"
    np.testing.assert_array_equal(found, loaded.predict(X))


def test_training_moves_samples_as_prediction_does():
    X, y = drawn(20, 1)
    model = ert.ShapePredictor(**SMALL, channels="gray+orientation", normalizer="inter-ocular")
    model.fit(X, y, validation=(X, y))
    assert model.history_[-1]["validation_nme"] == pytest.approx(-model.score(X, y), rel=1e-3)


def test_models_for_dlib_read_gray_levels_alone():
    X, y = drawn(4, 0)
    model = ert.ShapePredictor(kind="dlib", gray_weights="dlib", channels="gray+orientation")
    with pytest.raises(ert.InputError, match="channels='gray\\+orientation': expected 'gray' with kind='dlib'"):
        model.fit(X, y)
