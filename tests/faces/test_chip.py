import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.transform import estimate_transform

import ert
from ert import InputError, chip
from ert.datasets.synthetic import FACE68_TEMPLATE, synthetic_faces
from ert.faces.warp import face_template
from ert.model.schemes import FACE5_OF_FACE68

# A smooth image whose values encode their position: red grows along x, green along y.
GRADIENT = np.zeros((200, 250, 3), np.uint8)
GRADIENT[..., 0] = np.arange(250)
GRADIENT[..., 1] = np.arange(200)[:, None]
FACE = 90 * FACE68_TEMPLATE + (120, 80)


def rotated(points, degrees, scale, shift):
    cos, sin = scale * np.cos(np.radians(degrees)), scale * np.sin(np.radians(degrees))
    return points @ np.array([(cos, sin), (-sin, cos)]) + shift


@given(
    degrees=st.floats(-180, 180), scale=st.floats(0.1, 10), shift=st.tuples(st.floats(-100, 300), st.floats(-100, 300))
)
def test_landmarks_match_the_template(degrees, scale, shift):
    target = face_template(68, 64)
    cut = chip(GRADIENT, rotated(target, degrees, scale, shift), 64)
    np.testing.assert_allclose(cut.to_chip(rotated(target, degrees, scale, shift)), target, atol=1e-6)
    points = np.array([(3.0, 5.0), (60.0, 20.0)])
    np.testing.assert_allclose(cut.to_chip(cut.to_image(points)), points, atol=1e-6)


def test_the_matrix_is_the_least_squares_similarity():
    rng = np.random.default_rng(0)
    for shape in synthetic_faces(5)[2]:
        target = rng.normal(size=(68, 2)) * 5 + 30 + shape / 3
        matrix = chip(GRADIENT, shape, 50, template=target).matrix
        expected = estimate_transform("similarity", shape, target).params[:2]
        np.testing.assert_allclose(matrix, expected, atol=1e-9)


def test_the_matrix_maps_pixels_to_their_source():
    cut = chip(GRADIENT, rotated(FACE, 10, 0.8, (30, 20)), 50)
    assert cut.image.shape == (50, 50, 3)
    for x, y in ((10, 10), (25, 30), (40, 12)):
        np.testing.assert_allclose(cut.image[y, x, :2], cut.to_image((x, y)), atol=1)


def test_a_large_face_is_reduced_without_aliasing():
    stripes = np.zeros((800, 800), np.uint8)
    stripes[:, ::2] = 200
    cut = chip(stripes, face_template(68, 800), 64)
    assert abs(cut.image[2:-2, 2:-2].astype(int) - 100).max() <= 2
    steps = np.repeat(np.repeat(GRADIENT, 5, axis=0), 5, axis=1)  # pixel k of the gradient is 5 k + 2
    cut = chip(steps, 5 * rotated(FACE, 10, 0.9, (20, 20)) + 2, 20)
    for x, y in ((5, 5), (12, 9), (9, 14)):
        np.testing.assert_allclose(cut.image[y, x, :2], (cut.to_image((x, y)) - 2) / 5, atol=1.5)


def test_the_identity_keeps_the_image():
    image = np.random.default_rng(0).integers(0, 256, (60, 60), dtype=np.uint8)
    points = np.array([(10.0, 10.0), (40.0, 12.0), (20.0, 50.0)])
    cut = chip(image, points, 60, template=points)
    np.testing.assert_array_equal(cut.image, image)


def test_the_template_has_its_margin():
    for padding in (0, 0.25, 1.0):
        placed = face_template(68, 100, padding)
        low, high = placed.min(axis=0) + 0.5, placed.max(axis=0) + 0.5
        np.testing.assert_allclose((low + high) / 2, 50)
        assert (high - low).max() == pytest.approx(100 / (1 + 2 * padding))
    np.testing.assert_array_equal(face_template(5, 100), face_template(68, 100)[list(FACE5_OF_FACE68)])


def test_five_landmarks_give_the_crop_of_68():
    portrait = ert.load_image(ert.sample_image())
    many = chip(portrait, ert.align(portrait)[0].landmarks, 100)
    few = chip(portrait, ert.align(portrait, "face5")[0].landmarks, 100)
    corners = np.array([(0, 0), (99, 0), (0, 99), (99, 99)])
    assert np.linalg.norm(many.to_chip(few.to_image(corners)) - corners, axis=1).max() < 8
    again = ert.align(many.image, boxes=[(15, 15, 70, 70)])[0].landmarks
    assert np.linalg.norm(again - face_template(68, 100), axis=1).mean() < 6


@pytest.mark.parametrize("scale", [1e-9, 1e-3, 1e3, 1e12])
def test_extreme_scales(scale):
    cut = chip(np.full((40, 40), 200, np.uint8), 20 + scale * FACE68_TEMPLATE, 33)
    assert cut.image.shape == (33, 33)
    if scale < 1:
        assert (cut.image == 200).all()


def test_missing_landmarks_are_ignored():
    shape = rotated(face_template(68, 64), 20, 1.5, (40, 30))
    full = chip(GRADIENT, shape, 64).matrix
    shape[5:60] = np.nan
    np.testing.assert_allclose(chip(GRADIENT, shape, 64).matrix, full, atol=1e-9)


def test_pixels_outside_the_image_are_black():
    image = np.full((50, 50), 255, np.uint8)
    half = chip(image, [(0, 10), (0, 40)], 60, template=[(30, 10), (30, 40)]).image
    assert (half[5:45, :28] == 0).all()
    assert (half[5:45, 32:] == 255).all()
    away = chip(image, [(500, 10), (500, 40)], 60, template=[(30, 10), (30, 40)]).image
    assert away.shape == (60, 60)
    assert not away.any()


@pytest.mark.parametrize(
    ("landmarks", "options", "message"),
    [
        (np.zeros((12, 2)), {}, "12 landmarks, expected the 68 or 5 of a face"),
        (np.zeros((68, 2)), {}, "68 are present, expected at least two distinct ones"),
        (np.full((68, 2), np.nan), {}, "0 are present"),
        (FACE, {"size": 0}, "size: 0 pixels"),
        (FACE, {"padding": -0.1}, "padding: -0.1"),
        (FACE, {"padding": np.inf}, "padding: inf"),
        (FACE, {"template": np.zeros((5, 2))}, r"template: array of shape \(5, 2\), expected \(68, 2\)"),
        (FACE, {"template": np.zeros((68, 2))}, "all points coincide"),
        (FACE[None], {}, "for one face"),
    ],
)
def test_bad_input_is_refused(landmarks, options, message):
    with pytest.raises(InputError, match=message):
        chip(GRADIENT, landmarks, **options)


def test_float_images_are_refused():
    with pytest.raises(InputError, match="float64 pixels"):
        chip(GRADIENT / 255, FACE)
