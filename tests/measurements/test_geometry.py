import numpy as np
import pytest

from ert.measurements import geometry
from ert.measurements.geometry import Quantity, in_unit, is_crossed, standard_error
from ert.model.procrustes import as_complex

MEASURES = {
    "distance": lambda points: geometry.distance(points, (0, 3)),
    "angle": lambda points: geometry.angle(points, (1, 0, 3)),
    "area": lambda points: geometry.area(points, (0, 1, 2, 3, 4)),
    "area of a part": lambda points: geometry.area(points, (4, 1, 0)),
    "perimeter": lambda points: geometry.perimeter(points, (0, 1, 2, 3, 4)),
    "centroid size": geometry.centroid_size,
}
EVERY = pytest.mark.parametrize("measure", MEASURES.values(), ids=MEASURES)


@pytest.fixture
def points():
    """Three convex pentagons."""
    rng = np.random.default_rng(2)
    angles = -2 * np.pi * np.arange(5) / 5 + rng.uniform(-0.3, 0.3, (3, 5))
    return 50 * np.exp(1j * angles) * rng.uniform(0.8, 1.2, (3, 5)) + 100 + 80j


def test_values_that_are_known():
    square = as_complex([[[0, 0], [4, 0], [4, 3], [0, 3]]])
    assert geometry.distance(square, (0, 2)).values == [5]
    assert geometry.angle(square, (0, 1, 2)).values == [90]
    assert geometry.angle(square, (2, 1, 0)).values == [90]
    assert geometry.area(square, (0, 1, 2, 3)).values == geometry.area(square, (3, 2, 1, 0)).values == [12]
    assert geometry.perimeter(square, (0, 1, 2)).values == [12]
    assert geometry.centroid_size(square).values == [5]  # the root of 4 * 2.5**2
    line = as_complex([[[0, 0], [1, 0], [2, 0]]])
    assert geometry.angle(line, (0, 1, 2)).values == [180]
    assert geometry.angle(line, (1, 0, 2)).values == [0]


@EVERY
def test_gradients_are_differences(measure, points):
    gradient = measure(points).gradient
    for k in range(points.shape[1]):
        for direction in (1, 1j):
            step = np.zeros_like(points)
            step[:, k] = 1e-5 * direction
            difference = (measure(points + step).values - measure(points - step).values) / 2e-5
            expected = gradient[:, k].real if direction == 1 else gradient[:, k].imag
            np.testing.assert_allclose(difference, expected, rtol=1e-6, atol=1e-7)


@EVERY
def test_standard_errors_are_those_of_random_errors(measure, points):
    rng = np.random.default_rng(0)
    std = rng.uniform(0.1, 0.6, points.shape)
    expected = standard_error(measure(points).gradient, std)
    noise = rng.normal(size=(4000, 2, *points.shape))
    values = np.array([measure(points + std * (x + 1j * y)).values for x, y in noise])
    np.testing.assert_allclose(values.std(axis=0), expected, rtol=0.04)


def test_errors_of_a_straight_angle_are_not_lost():
    line = as_complex([[[0, 0], [10, 0], [20, 0]]])
    found = standard_error(geometry.angle(line, (0, 1, 2)).gradient, np.full((1, 3), 0.1))
    np.testing.assert_allclose(found, np.degrees(0.1 / 10 * np.sqrt(6)))


def test_missing_landmarks_count_only_where_they_are_used(points):
    points[0, 2] = np.nan
    std = np.full(points.shape, 0.5)
    std[0, 2] = np.nan
    near = geometry.distance(points, (0, 3))
    np.testing.assert_allclose(standard_error(near.gradient, std), np.sqrt(0.5))
    for measure in (MEASURES["area"], MEASURES["perimeter"], MEASURES["centroid size"]):
        found = measure(points)
        assert np.isnan(found.values).tolist() == [True, False, False]
        assert np.isnan(standard_error(found.gradient, std)).tolist() == [True, False, False]


def test_an_angle_between_the_same_points_is_not_defined():
    points = as_complex([[[1, 1], [1, 1], [5, 2]]])
    found = geometry.angle(points, (0, 1, 2))
    assert np.isnan(found.values).all()


@pytest.mark.parametrize(("measure", "power"), [("distance", 1), ("perimeter", 1), ("area", 2)])
def test_errors_of_a_scale_from_landmarks_count(points, measure, power):
    """Random errors of the landmarks of the scale, one of which is measured too."""
    rng = np.random.default_rng(1)
    std = np.full(points.shape, 0.4)

    def in_mm(at):
        pixels = geometry.distance(at, (3, 4))
        factors = 10 / pixels.values
        scale = Quantity(factors, -pixels.gradient * (factors / pixels.values)[:, None])
        return in_unit(MEASURES[measure](at), scale, power)

    expected = standard_error(in_mm(points).gradient, std)
    noise = rng.normal(scale=0.4, size=(6000, 2, *points.shape))
    values = np.array([in_mm(points + x + 1j * y).values for x, y in noise])
    np.testing.assert_allclose(values.std(axis=0), expected, rtol=0.04)


def test_outlines_that_cross_themselves():
    square = [[0, 0], [4, 0], [4, 3], [0, 3]]
    hourglass = [[0, 0], [4, 0], [0, 3], [4, 3]]
    missing = [[0, 0], [4, 0], [np.nan, np.nan], [4, 3]]
    assert is_crossed(as_complex([square, hourglass, missing]), (0, 1, 2, 3)).tolist() == [False, True, False]
    assert is_crossed(as_complex([square, hourglass]), (0, 1, 3, 2)).tolist() == [True, False]
