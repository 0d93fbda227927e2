import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import naive

from ert import metrics as norms
from ert._core.exceptions import InputError


@pytest.mark.parametrize("normalizer", norms.NORMALIZERS)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), missing=st.lists(st.integers(0, 35), max_size=40))
def test_normalizers_twin(normalizer, seed, missing):
    y_true = np.random.default_rng(seed).uniform(0, 100, size=(3, 68, 2))
    y_true[0, missing] = np.nan
    expected = [naive.normalizer_length(shape, normalizer) for shape in y_true]
    np.testing.assert_allclose(norms.normalizer_lengths(y_true, normalizer), expected, rtol=1e-12)


def test_bad_norms():
    y_true = np.random.default_rng(1).uniform(0, 100, size=(5, 68, 2))
    with pytest.raises(
        InputError, match="'ocular': expected one of inter-ocular, inter-pupil, box, diagonal"
    ):
        norms.normalizer_lengths(y_true, "ocular")
    with pytest.raises(InputError, match="'inter-ocular': needs the 68 points of a face, got 5"):
        norms.normalizer_lengths(y_true[:, :5], "inter-ocular")
    with pytest.raises(InputError, match="5 lengths"):
        norms.normalizer_lengths(y_true, [1.0])
    for bad in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(InputError, match="face 2: expected a positive length"):
            norms.normalizer_lengths(y_true, [1, 1, bad, 1, 1])

    flat = y_true.copy()
    flat[3, :, 1] = 7
    with pytest.raises(InputError, match="'box': face 3: expected a positive length, got 0"):
        norms.normalizer_lengths(flat, "box")
    assert (norms.normalizer_lengths(flat, "diagonal") > 0).all()

    flat[3, 45] = flat[3, 36]
    with pytest.raises(InputError, match="'inter-ocular': face 3: expected a positive length, got 0"):
        norms.normalizer_lengths(flat, "inter-ocular")

    gap = y_true.copy()
    gap[4, 45] = np.nan
    for normalizer in ("inter-ocular", "inter-pupil"):
        with pytest.raises(InputError, match=f"'{normalizer}': face 4: an eye landmark"):
            norms.normalizer_lengths(gap, normalizer)
    gap[4] = np.nan
    with pytest.raises(InputError, match="'box': face 4: all landmarks are missing"):
        norms.normalizer_lengths(gap, "box")


def test_norms_are_said_in_words():
    assert norms.normalizer_text("inter-pupil") == "inter-pupil distance"
    assert "sqrt" in norms.normalizer_text("box")
    assert "diagonal" in norms.normalizer_text("diagonal")
    assert norms.normalizer_text(None) == "side of the given box"
