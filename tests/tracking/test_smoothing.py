import numpy as np
import pytest
from reference import naive
from skimage.transform import estimate_transform

from ert.tracking.smoothing import AdaptiveFilter, ShapeSmoother, fit_pose, place_shape

FRAME = 1 / 30


@pytest.fixture
def mean_shape():
    shape = np.random.default_rng(0).random((20, 2))
    return shape - shape.mean(axis=0)


def posed(mean_shape, x=0.0, y=0.0, size=100.0, degrees=0.0):
    angle = np.deg2rad(degrees)
    return place_shape(mean_shape, np.array([(x, y), (size * np.cos(angle), size * np.sin(angle))]))


def rms(vectors):
    return np.sqrt((vectors**2).sum(axis=-1).mean())


@pytest.mark.parametrize("moving", [False, True])
def test_filter_equals_its_naive_twin(moving):
    rng = np.random.default_rng(1)
    path = rng.normal(0, 1, (60, 4, 2)) + np.linspace(0, 40, 60)[:, None, None] * (np.arange(4)[:, None] % 2)
    noise = np.full((4, 1), 0.8)
    filtered = AdaptiveFilter(path[0], use_velocity=moving)
    twins = [naive.Follower(*point, moving) for point in path[0]]
    for number, points in enumerate(path[1:]):
        seconds = FRAME * (1 + number % 3)
        expected = [twin.update(*point, 0.8, seconds) for twin, point in zip(twins, points, strict=True)]
        assert np.allclose(filtered.update(points, noise, seconds), expected)


def test_pose_equals_that_of_scikit_image(mean_shape):
    rng = np.random.default_rng(2)
    shape = posed(mean_shape, 30, 40, 70, 25) + rng.normal(0, 2, mean_shape.shape)
    known = estimate_transform("similarity", mean_shape, shape)
    assert np.allclose(place_shape(mean_shape, fit_pose(shape, mean_shape)), known(mean_shape))


def test_pose_of_a_single_point():
    assert fit_pose(np.array([[3.0, 4.0]]), np.zeros((1, 2))).tolist() == [[3, 4], [1, 0]]


def test_shapes_at_rest_are_smoothed(mean_shape):
    rng = np.random.default_rng(3)
    true = posed(mean_shape, 200, 100)
    seen = true + rng.normal(0, 0.7, (120, 20, 2))
    smoother = ShapeSmoother(seen[0], mean_shape)
    smooth = np.array([smoother.update(shape, FRAME) for shape in seen[1:]])[20:]
    assert rms(np.diff(smooth, axis=0)) < rms(np.diff(seen, axis=0)) / 6
    assert rms(smooth - smooth.mean(axis=0)) < rms(seen - true) / 3
    assert rms(smooth.mean(axis=0) - true) < 0.3


@pytest.mark.parametrize(
    "path",
    [
        lambda t: {"x": 150 * np.sin(3 * t)},
        lambda t: {"x": 200 * np.clip(t - 1, 0, 0.5)},
        lambda t: {"degrees": 25 * np.sin(3 * t)},
        lambda t: {"size": 100 * np.exp(0.3 * np.sin(3 * t))},
    ],
    ids=["shift", "start and stop", "roll", "scale"],
)
@pytest.mark.parametrize("rate", [15, 30, 60])
def test_lag_stays_below_a_frame(mean_shape, path, rate):
    rng = np.random.default_rng(4)
    true = np.array([posed(mean_shape, **path(k / rate)) for k in range(4 * rate)])
    seen = true + rng.normal(0, 0.5, true.shape)
    smoother = ShapeSmoother(seen[0], mean_shape)
    smooth = np.array([seen[0], *(smoother.update(shape, 1 / rate) for shape in seen[1:])])
    velocity = np.gradient(true, axis=0)
    error = (smooth - true) - (smooth - true).mean(axis=0)
    velocity -= velocity.mean(axis=0)
    assert -(error * velocity).sum() / (velocity**2).sum() < 0.3
    assert rms(smooth - true) < 1.1 * rms(seen - true)


def test_a_part_that_moves_is_followed_and_the_rest_stays(mean_shape):
    true = posed(mean_shape)
    smoother = ShapeSmoother(true, mean_shape)
    for _ in range(30):
        smoother.update(true, FRAME)
    opened = true.copy()
    opened[:3] += (0, 6)
    for _ in range(6):
        found = smoother.update(opened, FRAME)
    assert np.abs(found[:3] - opened[:3]).max() < 0.5
    assert np.abs(found[3:] - opened[3:]).max() < 0.5


def test_uncertain_landmarks_are_followed_less(mean_shape):
    true, std = posed(mean_shape), np.ones(20)
    std[10:] = 8
    smoother = ShapeSmoother(true, mean_shape)
    for _ in range(30):
        smoother.update(true, FRAME, std)
    out = np.random.default_rng(5).normal(0, 1, true.shape)
    moved = smoother.update(true + 2 * out, FRAME, std) - true
    assert rms(moved[10:]) < 0.7 * rms(moved[:10])


def test_coasting_goes_on_and_slows_down(mean_shape):
    smoother = ShapeSmoother(posed(mean_shape), mean_shape)
    for k in range(1, 60):
        smoother.update(posed(mean_shape, x=300 * k * FRAME), FRAME)
    assert np.allclose(smoother.predict(FRAME), posed(mean_shape, x=300 * 60 * FRAME), atol=0.5)
    places = [smoother.coast(FRAME).mean(axis=0)[0] for _ in range(60)]
    assert np.diff(places)[0] == pytest.approx(300 * FRAME, rel=0.1)
    assert 0 < np.diff(places)[-1] < 3
