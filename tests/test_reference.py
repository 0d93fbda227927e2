import numpy as np
import pytest
from builders import likely_cascade, random_cascade
from helpers import SHARED, small_predictor
from hypothesis import given
from hypothesis import strategies as st

import ert
from ert import reference
from ert._core.images import to_gray
from ert.inference.locate import Request, locate
from ert.inference.mode import FAST
from ert.model.dlib_cascade import compact
from ert.model.fitted import Fitted

TOLERANCE_PIXELS = 1e-4


def agrees(fitted, image, box):
    request = Request(FAST, "rgb", fitted.params["gray_weights"], 1, "X")
    expected, _ = locate(fitted, [(image, box)], request)
    found = reference.predict(fitted, image, box)
    return np.abs(found - expected[0]).max() <= TOLERANCE_PIXELS


def fitted_of(cascade, gray_weights="luma"):
    params = {"gray_weights": gray_weights}
    return Fitted(cascade, params, ("a",) * len(cascade.mean_shape), None, [], {})


@pytest.mark.parametrize("name", ["face5", "face68-small", "face68"])
def test_bundled_models_on_the_sample_in_color_and_gray(name):
    model, image = ert.load(name), ert.load_image(ert.sample_image())
    for box in ((176, 65, 98, 98), (150.5, 40.25, 140, 130), (-20, -30, 120, 120)):
        for each in (image, to_gray(image)):
            assert agrees(model.fitted_, each, box)


def test_faces_of_300w():
    if not SHARED.is_dir():
        pytest.skip("needs ../shared/data, which is not there")
    dataset = ert.load_dataset(SHARED / "300w" / "labels_300w_test.xml")
    model = ert.load("face68-small")
    for path, box in dataset.X[:20]:
        assert agrees(model.fitted_, ert.load_image(path), tuple(box))


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"blur": 0.0, "min_contrast": 60.0},
        {"leaf_bits": 16, "max_depth": 2},
        {"stages_per_basis": 2},
        {"kind": "dlib", "gray_weights": "dlib"},
    ],
)
@pytest.mark.parametrize("missing", [False, True])
def test_fitted_models_of_either_kind(faces, params, missing):
    X, y = faces[0][:40], faces[1][:40].copy()
    if missing:
        y[::3, 5] = np.nan
    model = small_predictor(n_stages=3, n_trees=15, **params).fit(X, y)
    assert all(agrees(model.fitted_, image, box) for image, box in X[:12])


@given(st.integers(0, 10**6), st.integers(1, 5), st.sampled_from([np.int8, np.int16]))
def test_random_cascades(seed, depth, dtype):
    rng = np.random.default_rng(seed)
    cascade = random_cascade(rng, depth=depth, dtype=dtype)
    image = rng.integers(0, 256, (70, 80), dtype=np.uint8)
    assert agrees(fitted_of(cascade), image, (15.0, 12.0, 41.0, 41.0))


@given(st.integers(0, 10**6), st.booleans())
def test_random_cascades_of_dlib(seed, made_compact):
    cascade = likely_cascade(seed)
    image = np.random.default_rng(seed).integers(0, 256, (60, 70, 3), dtype=np.uint8)
    fitted = fitted_of(compact(cascade) if made_compact else cascade, "dlib")
    assert agrees(fitted, image, (10.0, 12.0, 40.0, 40.0))


def test_a_step_has_the_shape_and_the_pixels_of_its_stage(small_model, faces):
    image, box = faces[0][0]
    steps = list(reference.run_stages(small_model.fitted_, image, box))
    assert len(steps) == 3
    assert steps[-1].shape.shape == (68, 2)
    assert all(step.positions.shape == (150, 2) and step.values.dtype == np.uint8 for step in steps)
