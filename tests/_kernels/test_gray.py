import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import naive

from ert._core.images import channel_weights
from ert._kernels.images import to_gray, weigh


@given(st.data(), st.sampled_from(["rgb", "bgr"]), st.sampled_from(["luma", "dlib"]))
def test_any_part_of_any_image(data, channel_order, weights):
    rows, columns = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 90))
    row, column = data.draw(st.integers(0, rows - 1)), data.draw(st.integers(0, columns - 1))
    image = np.random.default_rng(data.draw(st.integers(0, 99))).integers(0, 256, (rows, columns, 3), np.uint8)
    out = np.empty((data.draw(st.integers(1, rows - row)), data.draw(st.integers(1, columns - column))), np.uint8)
    to_gray(image, row, column, channel_weights(channel_order, weights), out)
    expected = naive.to_gray(image, channel_order, weights)[row:, column:]
    np.testing.assert_array_equal(out, expected[: len(out), : out.shape[1]])


@pytest.mark.parametrize("weights", ["luma", "dlib"])
def test_nothing_overflows(weights):
    """Of every color the lightest and the darkest, and sums that just make the next gray."""
    levels = np.array([0, 1, 2, 3, 127, 128, 253, 254, 255], np.uint8)
    image = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(27, 27, 3)
    out = np.empty((27, 27), np.uint8)
    to_gray(image, 0, 0, channel_weights("rgb", weights), out)
    np.testing.assert_array_equal(out, naive.to_gray(image, "rgb", weights))
    assert weigh(image[3, 4], channel_weights("rgb", weights)) == out[3, 4]
