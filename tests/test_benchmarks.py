import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if (
            getattr(sys.modules[name], "__file__", None)
            and BENCHMARKS in Path(str(sys.modules[name].__file__)).parents
        ):
            del sys.modules[name]


def test_a_power_law_is_found_again():
    from growth import series

    found = series((100, 200, 800), lambda n: (0.003 * n**1.25, 5.0 * n, 7.0))
    assert list(found["exponents"].values()) == pytest.approx([1.25, 1, 0])
    assert found["seconds"]["all of fit"] == [7, 7, 7]


def test_landmarks_are_thinned_out_or_filled_in():
    from growth import resampled

    landmarks = np.random.default_rng(0).random((3, 9, 2))
    assert np.allclose(resampled(landmarks, 9), landmarks)
    assert np.allclose(resampled(landmarks, 5), landmarks[:, ::2])
    more = resampled(landmarks, 17)
    assert np.allclose(more[:, ::2], landmarks)
    assert np.allclose(more[:, 1::2], (landmarks[:, :-1] + landmarks[:, 1:]) / 2)


def test_ratios_of_rounds():
    from predict_vs_dlib import ratios

    ours = np.random.default_rng(0).uniform(1, 2, (4, 50))
    rounds = np.array([[2.0], [3.0], [3.0], [4.0]])
    found = ratios({"ert": ours, "dlib": ours * rounds})
    assert found["ratio"] == pytest.approx(3)
    assert found["ratio_of_rounds"]["lowest"] == pytest.approx(2)
    assert found["ratio_of_rounds"]["highest"] == pytest.approx(4)
    assert found["ratio_interval_95"] == pytest.approx([3, 3])
    theirs = np.random.default_rng(1).uniform(2, 6, (4, 50))
    found = ratios({"ert": ours, "dlib": theirs})
    low, high = found["ratio_interval_95"]
    assert 1 < low < found["ratio"] < high < 4


def test_the_parts_of_a_prediction_make_the_whole():
    import roofline

    import ert

    image = np.ascontiguousarray(ert.load_image(ert.sample_image())[:, :, 0])
    spent, multiply_adds = roofline.parts_of(ert.load("face68"), image, (176.0, 65.0, 98.0, 98.0), 1)
    assert {"cut the crop", "walk the trees", "add the leaves", "Python"} <= set(spent)
    assert multiply_adds > 10_000
