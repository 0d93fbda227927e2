import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage import transform

import ert
from ert import InputError, average_face, chip, triangles, warp
from ert.datasets.synthetic import FACE68_TEMPLATE, synthetic_faces
from ert.model.schemes import FACE68_MIRROR

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (70, 90, 3), dtype=np.uint8)
FACE = 50 * FACE68_TEMPLATE + (45, 30)


def area(corners):
    (ax, ay), (bx, by) = (corners[:, 1] - corners[:, 0]).T, (corners[:, 2] - corners[:, 0]).T
    return np.abs(ax * by - ay * bx) / 2


def test_triangles_cover_the_convex_hull_once():
    joined = triangles([(0, 0), (4, 0), (4, 3), (0, 3), (1, 1)])
    assert joined.shape == (4, 3)
    square = np.array([(0, 0), (4, 0), (4, 3), (0, 3), (1, 1)], float)
    assert area(square[joined]).sum() == pytest.approx(12)
    face = triangles(FACE68_TEMPLATE)
    assert sorted(np.unique(face)) == list(range(68))


def test_missing_points_are_in_no_triangle():
    face = FACE68_TEMPLATE.copy()
    face[[3, 40]] = np.nan
    joined = triangles(face)
    assert set(np.unique(joined)) == set(range(68)) - {3, 40}
    assert not np.isnan(area(face[joined])).any()


@given(seed=st.integers(0, 10**6), color=st.booleans())
def test_fixed_points_keep_the_image(seed, color):
    image = NOISE if color else NOISE[..., 0]
    points = np.random.default_rng(seed).uniform(-10, 100, (8, 2))
    np.testing.assert_array_equal(warp(image, points, points), image)


@given(seed=st.integers(0, 10**6))
def test_vertices_land_exactly(seed):
    """The pixel at a point of the image moves to the target of the point."""
    rng = np.random.default_rng(seed)
    end = np.array([(x, y) for x in (15, 45, 75) for y in (20, 50)]) + rng.integers(-6, 7, (6, 2))
    start = end + rng.uniform(-3, 3, end.shape)
    bent = warp(NOISE, start, end)
    for (x, y), (column, row) in zip(start, end, strict=True):
        left, top = int(np.floor(x)), int(np.floor(y))
        u, v = x - left, y - top
        four = NOISE[top : top + 2, left : left + 2].astype(float)
        expected = (1 - v) * ((1 - u) * four[0, 0] + u * four[0, 1]) + v * ((1 - u) * four[1, 0] + u * four[1, 1])
        assert abs(bent[row, column] - expected).max() <= 0.51


def test_one_triangle_is_warped_as_by_skimage():
    image = NOISE[..., 0]
    start = np.array([(10.0, 12.0), (70.5, 20.0), (30.0, 60.0)])
    end = np.array([(15.0, 8.0), (80.0, 30.0), (20.0, 65.0)])
    bent = warp(image, start, end, border=False)
    back = transform.estimate_transform("affine", end, start)
    expected = transform.warp(image.astype(float), back, order=1)
    columns, rows = np.meshgrid(np.arange(90), np.arange(70))
    corners = np.column_stack([end, np.ones(3)])
    inside = (np.stack([columns, rows, np.ones_like(rows)], -1) @ np.linalg.inv(corners) > 1e-6).all(axis=-1)
    assert inside.sum() > 1000
    assert abs(bent[inside] - expected[inside]).max() <= 0.51
    assert (bent[~inside] > 0).sum() < 120  # pixels on an edge


@given(seed=st.integers(0, 10**6))
def test_no_pixel_is_left_out(seed):
    rng = np.random.default_rng(seed)
    white = np.full((40, 50), 255, np.uint8)
    points = rng.uniform(0, 40, (12, 2))
    assert (warp(white, points, points + rng.uniform(-15, 15, points.shape)) == 255).all()
    assert (warp(white, np.rint(points), np.rint(points / 2), size=(33, 61)) == 255).all()


@given(seed=st.integers(0, 10**6), tiny=st.sampled_from([0, 1e-12, 1e-9, 1e-7, 3e-6, 1e-3]))
def test_slivers_leave_no_gap(seed, tiny):
    rng = np.random.default_rng(seed)
    white = np.full((30, 40), 255, np.uint8)
    points = rng.integers(0, 30, (9, 2)).astype(float)
    near = points[:4] + tiny * rng.uniform(-1, 1, (4, 2))
    start = np.vstack([points, near + 2])
    assert (warp(white, start, np.vstack([points, near])) == 255).all()


def test_eyes_closed_by_a_warp_are_not_visible():
    image = np.full((280, 360), 180, np.uint8)
    columns, rows = np.meshgrid(np.arange(360), np.arange(280))
    face = 4 * FACE
    for eye in (face[36:42], face[42:48]):
        low, high = eye.min(axis=0), eye.max(axis=0)
        inside = (columns >= low[0]) & (columns <= high[0]) & (rows >= low[1] + 1) & (rows <= high[1] - 1)
        image[inside] = 20
    shut = face.copy()
    shut[[37, 38, 43, 44]] = face[[41, 40, 47, 46]]
    bent = warp(image, face, shut)
    assert (bent < 100).sum() < 0.35 * (image < 100).sum()
    assert (bent[200:] == 180).all()


def test_a_result_of_another_size():
    bent = warp(NOISE, FACE, 2 * FACE + 0.5, size=(180, 140))
    assert bent.shape == (140, 180, 3)
    expected = transform.resize(NOISE, (140, 180), order=1, preserve_range=True, mode="edge")
    assert abs(bent - expected).max() <= 0.51


def test_shrinking_images_are_reduced_without_aliasing():
    stripes = np.zeros((400, 400), np.uint8)
    stripes[:, ::2] = 200
    points = np.array([(50.0, 50.0), (350.0, 60.0), (100.0, 340.0)])
    small = warp(stripes, points, (points + 0.5) / 8 - 0.5, size=(50, 50))
    assert abs(small.astype(int) - 100).max() <= 2


def test_points_missing_on_either_side_are_ignored():
    start, end = FACE.copy(), FACE + RNG.normal(0, 1, FACE.shape)
    expected = warp(NOISE, np.delete(start, (4, 9), 0), np.delete(end, (4, 9), 0))
    start[4], end[9] = np.nan, np.nan
    np.testing.assert_array_equal(warp(NOISE, start, end), expected)


@pytest.mark.parametrize(
    ("start", "end", "options", "message"),
    [
        (FACE, FACE[:5], {}, r"to_points: array of shape \(5, 2\), expected that of from_points, \(68, 2\)"),
        (FACE, FACE, {"size": (0, 5)}, r"size: \(0, 5\), expected width and height"),
        (FACE[:2], FACE[:2], {"border": False}, "2 are present, expected at least 3"),
        (FACE * (1, 0), FACE * (1, 0), {"border": False}, "all 68 are collinear"),
    ],
)
def test_bad_input_is_refused(start, end, options, message):
    with pytest.raises(InputError, match=message):
        warp(NOISE, start, end, **options)


def test_the_average_of_one_face_is_its_chip():
    images, _, shapes = synthetic_faces(1)
    average = average_face(images, shapes, 80)
    cut = chip(images[0], shapes[0], 80)
    np.testing.assert_array_equal(average.image, cut.image)
    np.testing.assert_allclose(average.landmarks, cut.to_chip(shapes[0]))


def test_the_average_is_between_the_faces():
    images, _, shapes = synthetic_faces(12, seed=3)
    average = average_face(images, shapes, 96)
    carried = [chip(*pair, 96).to_chip(pair[1]) for pair in zip(images, shapes, strict=True)]
    np.testing.assert_allclose(average.landmarks, np.mean(carried, axis=0))
    # Eyes stay dark only when they are aligned.
    eyes = average.landmarks[36:48].reshape(2, 6, 2).mean(axis=1).round().astype(int)
    cheeks = ((average.landmarks[[31, 35]] + average.landmarks[[2, 14]]) / 2).round().astype(int)
    gray = average.image.astype(int)
    assert (gray[eyes[:, 1], eyes[:, 0]] + 30 < gray[cheeks[:, 1], cheeks[:, 0]]).all()


def test_the_average_of_a_face_and_its_mirror_image_is_symmetric():
    portrait = ert.load_image(ert.sample_image())
    shape = ert.align(portrait)[0].landmarks
    width = portrait.shape[1]
    mirrored = (shape * (-1, 1) + (width - 1, 0))[list(FACE68_MIRROR)]
    average = average_face([portrait, portrait[:, ::-1]], [shape, mirrored], 128)
    flipped = (average.landmarks * (-1, 1) + (127, 0))[list(FACE68_MIRROR)]
    np.testing.assert_allclose(average.landmarks, flipped, atol=1e-6)
    difference = np.abs(average.image.astype(int) - average.image[:, ::-1])
    assert np.quantile(difference, 0.99) <= 8


def test_gray_and_color_mix_and_landmarks_may_be_missing():
    images, _, shapes = synthetic_faces(3)
    color = [np.stack([images[0]] * 3, axis=2), images[1], images[2]]
    shapes[1, 5] = np.nan
    shapes[:, 60] = np.nan
    average = average_face(color, shapes, 64)
    assert average.image.shape == (64, 64, 3)
    assert (average.image == average.image[..., :1]).all()
    assert np.isnan(average.landmarks[60]).all()
    assert np.isfinite(np.delete(average.landmarks, 60, 0)).all()


def test_the_numbers_of_faces_and_images_must_agree():
    images, _, shapes = synthetic_faces(2)
    for some in ((images, shapes[:1]), ([], [])):
        with pytest.raises(InputError, match="expected one of each per face"):
            average_face(*some)
