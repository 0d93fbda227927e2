import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ert import InputError
from ert.plotting.strokes import _spline, line_width, object_size, opaque, smooth_curves


class TestSpline:
    @given(hnp.arrays(np.float64, st.tuples(st.integers(2, 6), st.just(2)), elements=st.floats(-100, 100)))
    def test_curves_pass_through_their_landmarks(self, points):
        curve = _spline(points, steps=7)
        np.testing.assert_allclose(curve[::7], points, atol=1e-9)
        assert np.abs(curve).max() < 1000

    def test_points_in_line_stay_in_line(self):
        curve = _spline(np.array([(0, 0), (1, 2), (10, 20), (11, 22.0)]))
        np.testing.assert_allclose(curve[:, 1], 2 * curve[:, 0], atol=1e-9)
        assert (np.diff(curve[:, 0]) > 0).all()


def test_curves_are_interrupted_at_missing_landmarks():
    points = np.column_stack([np.arange(9.0), np.zeros(9)])
    assert [len(curve) for curve in smooth_curves(points, range(0, 9), False)] == [81]
    points[4] = np.nan
    curves = list(smooth_curves(points, range(0, 9), False))
    assert [(curve[0, 0], curve[-1, 0]) for curve in curves] == [(0, 3), (5, 8)]
    closed = list(smooth_curves(points, range(0, 4), True))
    assert [(curve[0, 0], curve[-1, 0]) for curve in closed] == [(0, 2), (2, 0)]


def test_sizes_are_bounded():
    square = np.array([(0.0, 0), (10, 0), (10, 10), (0, 10), (np.nan, np.nan)])
    assert object_size(square, 100) == pytest.approx(10)
    assert object_size(np.vstack([square, (1e5, 0)]), 100) == 100
    assert object_size(square[:1], 100) == pytest.approx(2)
    assert line_width(0.1, 100) == 1.2
    assert line_width(5.0, 100) == 5


def test_colors():
    assert opaque("#ff8800") == (255, 136, 0, 255)
    for wrong in ("rot", 3):
        with pytest.raises(InputError, match="expected a name or '#rrggbb'"):
            opaque(wrong)
