import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import naive
from skimage.transform import SimilarityTransform

from ert.faces.warp import chip
from ert.inference.rotated import roll_of
from ert.model.geometry import redraw_box
from ert.model.procrustes import as_complex, fit_similarity, move_onto, procrustes_distances, typical_shape

shapes = st.integers(0, 2**32 - 1).map(lambda seed: np.random.default_rng(seed).normal(size=(7, 2)))


@settings(max_examples=50)
@given(shapes, shapes)
def test_procrustes_distance_is_the_residual_of_the_best_similarity(shape, target):
    # As complex numbers a similarity is a factor and a summand.
    columns, goal = np.stack([as_complex(shape), np.ones(7)], axis=1), as_complex(target)
    fitted = columns @ np.linalg.lstsq(columns, goal, rcond=None)[0]
    expected = np.linalg.norm(fitted - goal) / np.linalg.norm(goal - goal.mean())
    np.testing.assert_allclose(procrustes_distances(shape[None], target), [expected], atol=1e-6)


@given(shapes, st.floats(0.1, 10), st.floats(-3, 3), st.integers(0, 3))
def test_procrustes_distance_ignores_place_size_rotation_and_missing_landmarks(shape, scale, angle, missing):
    moved = SimilarityTransform(scale=scale, rotation=angle, translation=(5, -7))(shape)
    moved[:missing] = np.nan
    np.testing.assert_allclose(procrustes_distances(moved[None], shape), [0], atol=1e-6)


def test_typical_shape_is_that_of_the_majority():
    rng = np.random.default_rng(4)
    shape = rng.normal(size=(9, 2))
    others = [
        SimilarityTransform(scale=s, rotation=a, translation=(s, a))(shape) for s, a in rng.uniform(0.5, 3, (20, 2))
    ]
    crowd = np.array([*rng.normal(size=(6, 9, 2)), *others])
    crowd[8, 2] = np.nan
    crowd[0, 0] = np.nan
    typical = typical_shape(crowd)
    np.testing.assert_allclose(procrustes_distances(shape[None], typical), [0], atol=0.05)
    np.testing.assert_allclose(typical.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose((typical**2).sum(axis=1).mean(), 1)


@given(shapes, shapes, st.floats(0.01, 1000), st.floats(-1000, 1000))
def test_the_similarity_is_that_of_a_general_solver(shape, target, scale, far):
    target = scale * (target + shape) + far
    turn, middle, center = fit_similarity(shape, target)
    expected = naive.least_squares(shape, target)
    tolerance = 1e-12 * (scale + abs(far))
    np.testing.assert_allclose([turn.real, turn.imag], expected[:, 0], rtol=0, atol=10 * tolerance)
    placed = turn * (as_complex(shape) - middle) + center
    shift = target.mean(axis=0) - expected @ shape.mean(axis=0)
    np.testing.assert_allclose(placed, as_complex(shape @ expected.T + shift), rtol=0, atol=100 * tolerance)


def test_similarities_of_many_shapes_at_once():
    rng = np.random.default_rng(0)
    mean, many = rng.normal(size=(5, 2)), rng.normal(size=(4, 5, 2))
    together = np.stack(np.broadcast_arrays(*fit_similarity(mean, many)), axis=1)
    np.testing.assert_allclose(together, [fit_similarity(mean, shape) for shape in many], atol=1e-15)
    # Moving with gaps is the same where there are none.
    turn, middle, center = (values[..., None] for values in fit_similarity(many, mean))
    moved = turn * (as_complex(many) - middle) + center
    np.testing.assert_allclose(move_onto(as_complex(many), as_complex(mean)), moved, atol=1e-12)


def test_points_that_coincide_have_no_similarity():
    assert fit_similarity(np.ones((3, 2)), np.arange(6.0).reshape(3, 2)) == (0, 1 + 1j, 2 + 3j)


@given(shapes, shapes)
def test_boxes_rolls_and_chips_go_by_one_similarity(mean, change):
    mean = (mean / np.ptp(mean, axis=0).max() + 0.5).astype(np.float32).astype(float)
    shape = (mean + 0.02 * change) * 100 + 50
    matrix = naive.least_squares(mean, shape)
    side = np.hypot(*matrix[:, 0])
    corner = shape.mean(axis=0) - side * mean.mean(axis=0)
    box = redraw_box(shape, mean.astype(np.float32), (50.0, 50.0, 101.0, 101.0))
    np.testing.assert_allclose(box, [*corner, side + 1, side + 1], rtol=1e-12)
    roll = np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0]))
    np.testing.assert_allclose(roll_of(shape[None], mean), [roll], atol=1e-11)
    cut = chip(np.zeros((9, 9), np.uint8), mean, 9, template=shape)
    np.testing.assert_allclose(cut.matrix[:, :2], matrix, rtol=0, atol=1e-11)
    np.testing.assert_allclose(cut.to_chip(mean.mean(axis=0)), shape.mean(axis=0), rtol=1e-12)
