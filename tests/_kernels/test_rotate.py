import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import naive

from ert._kernels.images import rotate_image
from ert.inference.rotated import rotation

sides = st.integers(1, 20)


@given(
    st.integers(0, 10**6),
    st.tuples(sides, sides),
    st.tuples(sides, sides),
    st.one_of(st.sampled_from([0, 90, 180, 270]), st.floats(-180, 180)),
    st.floats(0.1, 3),
    st.tuples(st.floats(-30, 30), st.floats(-30, 30)),
)
def test_rotated_pixels_match_the_slow_twin(seed, shape, size, degrees, scale, place):
    image = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    turn, out = scale * rotation(degrees), np.empty(size, np.uint8)
    rotate_image(image, turn, np.array(place), out)
    # Fractions of pixels have ten bits.
    assert np.abs(out - naive.rotate_image(image, turn, np.array(place), size)).max() <= 1.0


@pytest.mark.parametrize("quarter", range(4))
def test_quarter_turns_copy_the_pixels(quarter):
    image = np.random.default_rng(0).integers(0, 256, (7, 7), dtype=np.uint8)
    turn = np.rint(rotation(90 * quarter))
    out = np.empty_like(image)
    rotate_image(image, turn, 3 - turn @ (3, 3), out)
    assert np.array_equal(out, np.rot90(image, quarter))
