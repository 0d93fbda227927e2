import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from reference import naive

from ert._kernels.pixels import similarity as similarity_of_padded
from ert._kernels.pixels import similarity_args
from ert._kernels.simd import padded
from ert.model.geometry import box_to_image, box_transforms, image_to_box, jitter_transforms, redraw_box


def similarity(mean, shape):
    return similarity_of_padded(mean, padded(shape, 0, 8))


@given(st.integers(0, 10**6))
def test_similarity_matches_the_general_solver(seed):
    rng = np.random.default_rng(seed)
    mean, shape = rng.random((2, 9, 2)).astype(np.float32)
    a, b = similarity(similarity_args(mean), shape)
    expected = naive.similarity(mean.astype(float), shape.astype(float))
    np.testing.assert_allclose([[a, -b], [b, a]], expected, atol=1e-4)


def test_similarity_recovers_a_rotation():
    mean = np.random.default_rng(0).random((5, 2)).astype(np.float32)
    turn = 1.3 * np.array([[np.cos(0.4), -np.sin(0.4)], [np.sin(0.4), np.cos(0.4)]])
    a, b = similarity(similarity_args(mean), (mean @ turn.T + [3, 4]).astype(np.float32))
    np.testing.assert_allclose([a, b], turn[:, 0], rtol=1e-5)


def test_a_box_reaches_from_the_centre_of_its_first_pixel_to_that_of_its_last():
    transforms = box_transforms(np.array([[10.0, 20.0, 5.0, 5.0]]))
    corners = box_to_image(np.array([[[0.0, 0.0], [1.0, 1.0]]]), transforms)
    np.testing.assert_allclose(corners, [[[10, 20], [14, 24]]])


def test_an_oblong_box_gets_a_square_frame_round_its_centre():
    transforms = box_transforms(np.array([[0.0, 0.0, 21.0, 11.0]]))
    corners = box_to_image(np.array([[[0.0, 0.0], [1.0, 1.0]]]), transforms)
    np.testing.assert_allclose(corners, [[[2.5, -2.5], [17.5, 12.5]]])


@given(st.integers(0, 10**6))
def test_frames_carry_shapes_there_and_back(seed):
    rng = np.random.default_rng(seed)
    transforms = jitter_transforms(3, 0.2, 0.2, 30, rng)
    shapes = rng.random((3, 4, 2))
    np.testing.assert_allclose(image_to_box(box_to_image(shapes, transforms), transforms), shapes, atol=1e-9)


def test_jitter_turns_and_scales_about_the_centre_of_the_box():
    rng = np.random.default_rng(1)
    middle = np.full((50, 1, 2), 0.5)
    np.testing.assert_allclose(box_to_image(middle, jitter_transforms(50, 0, 0.3, 40, rng)), middle)
    shifted = box_to_image(np.full((4000, 1, 2), 0.5), jitter_transforms(4000, 0.1, 0.3, 40, rng))
    np.testing.assert_allclose(shifted.std(axis=0), 0.1, rtol=0.1)
    assert np.array_equal(jitter_transforms(2, 0, 0, 0, rng), [[1, 0, 0, 1, 0, 0]] * 2)


def test_the_similarity_of_a_collapsed_shape_stays_in_bounds():
    mean = np.random.default_rng(0).random((5, 2)).astype(np.float32)
    arguments = similarity_args(mean)
    np.testing.assert_allclose(np.hypot(*similarity(arguments, np.ones((5, 2), np.float32))), 0.5, rtol=1e-5)
    assert similarity(arguments, np.zeros((5, 2), np.float32)) == (0.5, 0)
    a, b = similarity(arguments, mean * np.float32(0.01))
    np.testing.assert_allclose([a, b], [0.5, 0], atol=1e-5)
    single = np.ones((1, 2), np.float32)
    assert similarity(similarity_args(single), single) == (1, 0)


@given(st.integers(0, 10**6), st.floats(-0.3, 0.3), st.floats(-0.3, 0.3), st.floats(0.7, 1.5), st.floats(-30, 30))
def test_a_box_is_redrawn_where_the_mean_shape_fits_best(seed, right, down, scale, degrees):
    mean = np.random.default_rng(seed).random((9, 2)).astype(np.float32)
    true = np.array([[30.0, 40.0, 101.0, 101.0]])
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = mean.mean(axis=0)
    shape = box_to_image(((mean - middle) @ turn.T + middle)[None].astype(float), box_transforms(true))[0]
    side = 100 * scale
    start = (80 - side / 2 + right * 100, 90 - side / 2 + down * 100, side + 1, side + 1)
    again = redraw_box(shape, mean, start)
    np.testing.assert_allclose(again, true[0], atol=1e-3)


def test_a_lost_shape_keeps_its_box():
    box = (10.0, 20.0, 50.0, 60.0)
    mean = np.random.default_rng(0).random((5, 2)).astype(np.float32)
    for shape in (mean * 1e4, mean * 1e-3, mean * 50 + 500, np.full((5, 2), np.nan)):
        assert redraw_box(shape.astype(float), mean, box) == box
    assert redraw_box(np.ones((1, 2)), np.ones((1, 2), np.float32), box) == box


def test_centering():
    mean = np.random.default_rng(0).random((9, 2)).astype(np.float32)
    similarity_basis, squared_norm = similarity_args(mean)
    assert similarity_basis.shape == (2, 16, 2)
    np.testing.assert_allclose(similarity_basis[0, :9], mean - mean.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(similarity_basis[1, :9], (mean - mean.mean(axis=0)) @ [[0, 1], [-1, 0]], atol=1e-6)
    assert not similarity_basis[:, 9:].any()
    np.testing.assert_allclose(squared_norm, (similarity_basis[0] ** 2).sum(), rtol=1e-5)
