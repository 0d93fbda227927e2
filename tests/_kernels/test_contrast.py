import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import naive

import ert
from ert._kernels.crop import stretch


@given(st.integers(0, 10**6), st.integers(1, 40), st.integers(1, 60), st.sampled_from([0.0, 7.5, 40.0]))
def test_stretching_matches_its_twin(seed, n_lines, n, least):
    rng = np.random.default_rng(seed)
    low = rng.integers(0, 200)
    crop = rng.integers(low, low + rng.integers(1, 56), (n_lines, n)).astype(np.uint8)
    expected = naive.stretch(crop, least)
    stretch(crop, least)
    # A level may fall on the border of two.
    np.testing.assert_allclose(crop.astype(int), expected, atol=1)
    assert (crop == expected).mean() > 0.9


@pytest.mark.parametrize("level", [0, 90, 255])
def test_a_crop_of_one_level_becomes_the_middle(level):
    crop = np.full((20, 30), level, np.uint8)
    stretch(crop, 40.0)
    assert (crop == 128).all()
    crop[:] = level
    stretch(crop, 0.0)
    assert (crop == level).all()


@pytest.mark.parametrize("blur", [0.0, 1.0])
def test_a_model_with_min_contrast_is_robust_to_dim_images(faces, blur):
    X, y = faces
    made = {"n_stages": 3, "n_trees": 20, "max_depth": 3, "n_inits": 3, "working_size": 40, "blur": blur}
    dim = [((image // 8), box) for image, box in X[60:90]]
    moved = {}
    for least in (0.0, 50.0):
        model = ert.ShapePredictor(min_contrast=least, **made).fit(X[:60], y[:60])
        bright = model.predict(X[60:90])
        moved[least] = np.abs(model.predict(dim) - bright).mean()
    assert moved[50.0] < 0.5 * moved[0.0]
