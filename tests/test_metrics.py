import json

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import naive
from scipy import stats

from ert import metrics
from ert._core.exceptions import InputError

quick = settings(max_examples=25, deadline=None)


def faces(seed, n=5, n_landmarks=68, missing=()):
    """True and predicted landmarks; `missing` lists (face, landmark) pairs."""
    rng = np.random.default_rng(seed)
    y_true = rng.uniform(0, 100, size=(n, n_landmarks, 2))
    y_pred = y_true + rng.normal(scale=3, size=y_true.shape)
    for i, k in missing:
        y_true[i, k] = np.nan
    return y_true, y_pred


landmark_pairs = st.builds(
    faces,
    st.integers(0, 2**32),
    n=st.integers(1, 4),
    n_landmarks=st.just(68),
    missing=st.lists(st.tuples(st.just(0), st.integers(0, 35)), max_size=40),
)
errors_1d = hnp.arrays(np.float64, st.integers(1, 30), elements=st.floats(0, 20, width=16))


@quick
@given(landmark_pairs)
def test_landmark_errors_twin(pair):
    np.testing.assert_allclose(metrics.landmark_errors(*pair), naive.landmark_errors(*pair), rtol=1e-12)


@pytest.mark.parametrize("normalizer", metrics.NORMALIZERS)
@quick
@given(pair=landmark_pairs)
def test_normalizers_and_nme_twin(normalizer, pair):
    y_true, _ = pair
    expected = [naive.normalizer_length(shape, normalizer) for shape in y_true]
    np.testing.assert_allclose(metrics.normalizer_lengths(y_true, normalizer), expected, rtol=1e-12)
    np.testing.assert_allclose(metrics.nme(*pair, normalizer), naive.nme(*pair, normalizer), rtol=1e-12)
    np.testing.assert_allclose(
        metrics.per_landmark_nme(*pair, normalizer), naive.per_landmark_nme(*pair, normalizer), rtol=1e-12
    )


@quick
@given(errors_1d, hnp.arrays(np.float64, st.integers(0, 10), elements=st.floats(-1, 30, width=16)))
def test_ced_twin(errors, thresholds):
    at, fractions = metrics.ced(errors, thresholds)
    np.testing.assert_array_equal(at, thresholds)
    np.testing.assert_array_equal(fractions, naive.ced(errors, thresholds))


@quick
@given(errors_1d, st.floats(0.5, 25))
def test_auc_twin(errors, limit):
    assert metrics.auc(errors, limit) == pytest.approx(naive.auc(errors, limit), abs=1e-12)


@quick
@given(errors_1d, st.sampled_from([0.5, 8.0, 12.25]))
def test_failure_rate_completes_ced(errors, limit):
    _, fractions = metrics.ced(errors, [limit])
    assert metrics.failure_rate(errors, limit) == pytest.approx(1 - fractions[0], abs=1e-12)


@quick
@given(landmark_pairs, st.floats(0.1, 50), st.floats(-100, 100))
def test_nme_ignores_scale_and_position(pair, scale, shift):
    y_true, y_pred = pair
    moved = metrics.nme(y_true * scale + shift, y_pred * scale + shift, "inter-ocular")
    np.testing.assert_allclose(moved, metrics.nme(y_true, y_pred, "inter-ocular"), rtol=1e-6)


def test_known_numbers():
    y_true = np.array([[[0.0, 0.0], [4.0, 0.0], [0.0, 9.0], [np.nan, np.nan]]])
    y_pred = np.array([[[3.0, 4.0], [4.0, 1.0], [0.0, 9.0], [50.0, 50.0]]])
    np.testing.assert_array_equal(metrics.landmark_errors(y_true, y_pred), [[5.0, 1.0, 0.0, np.nan]])
    assert metrics.normalizer_lengths(y_true, "box") == pytest.approx([6.0])
    assert metrics.normalizer_lengths(y_true, "diagonal") == pytest.approx([np.sqrt(97)])
    assert metrics.nme(y_true, y_pred, [20.0]) == pytest.approx([10.0])
    np.testing.assert_allclose(metrics.per_landmark_nme(y_true, y_pred, [20.0]), [25.0, 5.0, 0.0, np.nan])
    errors = [2.0, 8.0, 9.0, np.inf]
    assert metrics.auc(errors) == pytest.approx(0.75 / 4)
    assert metrics.failure_rate(errors) == 0.5
    at, fractions = metrics.ced(errors)
    assert at[0] == 0
    assert at[-1] == 10
    assert fractions[at == 8.0] == 0.5
    assert fractions[-1] == 0.75


def test_missing_in_one_coordinate_is_missing():
    y_true, y_pred = faces(0, n_landmarks=5)
    y_true[1, 2, 0] = np.nan
    whole = y_true.copy()
    whole[1, 2] = np.nan
    np.testing.assert_array_equal(metrics.nme(y_true, y_pred, "box"), metrics.nme(whole, y_pred, "box"))
    assert np.isnan(metrics.landmark_errors(y_true, y_pred)[1, 2])


def test_a_face_without_landmarks_has_no_error():
    y_true, y_pred = faces(1)
    y_true[4] = np.nan
    with pytest.raises(InputError, match="y_true: face 4: expected at least one landmark"):
        metrics.nme(y_true, y_pred, np.ones(5))


def test_no_faces():
    empty = np.empty((0, 68, 2))
    for normalizer in (*metrics.NORMALIZERS, np.empty(0)):
        assert metrics.nme(empty, empty, normalizer).shape == (0,)
    with pytest.raises(InputError, match="at least one face"):
        metrics.evaluate(empty, empty)


@pytest.mark.parametrize(
    ("y_true", "y_pred", "message"),
    [
        (np.zeros((68, 2)), np.zeros((68, 2)), "y_true: expected the shape"),
        (np.zeros((2, 5, 2)), np.zeros((2, 4, 2)), r"y_pred: expected the shape of y_true, \(2, 5, 2\)"),
        (np.zeros((2, 5, 2)), np.full((2, 5, 2), np.nan), "y_pred: face 0, landmark 0"),
        (np.full((2, 5, 2), np.inf), np.zeros((2, 5, 2)), "y_true: face 0, landmark 0"),
        ([[[1, 2], [3]]], [[[1, 2], [3]]], "y_true: expected numbers"),
        ([[["a", "b"]]], [[["a", "b"]]], "y_true: expected numbers"),
    ],
)
def test_bad_landmarks(y_true, y_pred, message):
    with pytest.raises(InputError, match=message):
        metrics.landmark_errors(y_true, y_pred)


@pytest.mark.parametrize("function", [metrics.ced, metrics.auc, metrics.failure_rate])
@pytest.mark.parametrize("errors", [[], [[1.0]], [1.0, np.nan], [-0.5]])
def test_bad_errors(function, errors):
    with pytest.raises(InputError, match="errors: "):
        function(errors)


def test_bad_limits():
    for limit in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(InputError, match="limit"):
            metrics.auc([1.0], limit)
        with pytest.raises(InputError, match="limit"):
            metrics.failure_rate([1.0], limit)
    for thresholds in ([[1.0]], [np.nan]):
        with pytest.raises(InputError, match="thresholds"):
            metrics.ced([1.0], thresholds)


def test_bootstrap_agrees_with_normal_theory():
    values = np.random.default_rng(0).gamma(2.0, size=400)
    low, high = metrics.bootstrap_interval(values)
    half = 1.96 * values.std() / np.sqrt(len(values))
    assert low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.1 * half)
    assert metrics.bootstrap_interval(values) == (low, high)
    assert metrics.bootstrap_interval(values, seed=1) != (low, high)
    narrow = metrics.bootstrap_interval(values, level=0.5)
    assert low < narrow[0] < narrow[1] < high


def test_bootstrap_agrees_with_scipy():
    values = np.random.default_rng(1).gamma(2.0, size=(300, 2))
    for statistic, sample in ((np.mean, values[:, 0]), (lambda rows: np.median(rows[:, 1] / rows[:, 0]), values)):
        found = metrics.bootstrap_interval(sample, 0.9, statistic=statistic)
        drawn = stats.bootstrap(
            (np.arange(300),),
            lambda chosen, statistic=statistic, sample=sample: statistic(sample[chosen]),
            n_resamples=4000,
            confidence_level=0.9,
            method="percentile",
            vectorized=False,
            random_state=0,
        )
        expected = drawn.confidence_interval
        assert found == pytest.approx((expected.low, expected.high), abs=0.1 * (expected.high - expected.low))
    assert metrics.bootstrap_interval(values[:, 0], statistic=np.mean) == metrics.bootstrap_interval(values[:, 0])


def test_bootstrap_of_a_constant():
    assert metrics.bootstrap_interval([3.0, 3.0], n=10) == (3.0, 3.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"values": []}, "values"),
        ({"values": [[1.0]]}, "values"),
        ({"values": [np.inf]}, "values"),
        ({"values": [1.0], "level": 1.0}, "level"),
        ({"values": [1.0], "n": 0}, "n: "),
    ],
)
def test_bad_bootstrap(arguments, message):
    with pytest.raises(InputError, match=message):
        metrics.bootstrap_interval(**arguments)


def test_evaluate_is_json_and_agrees():
    y_true, y_pred = faces(2, missing=[(i, 3) for i in range(5)])
    summary = metrics.evaluate(y_true, y_pred)
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    assert (summary["n"], summary["n_landmarks"]) == (5, 68)
    assert list(summary["norms"]) == list(metrics.NORMALIZERS)
    for normalizer, figures in summary["norms"].items():
        errors = metrics.nme(y_true, y_pred, normalizer)
        assert figures["mean"] == pytest.approx(errors.mean())
        assert figures["median"] == pytest.approx(np.median(errors))
        assert tuple(figures["interval_95"]) == metrics.bootstrap_interval(errors)
        assert figures["auc_8"] == metrics.auc(errors)
        assert figures["failure_rate_8"] == metrics.failure_rate(errors)
        assert figures["per_landmark"][3] is None
        assert figures["per_landmark"][4] == metrics.per_landmark_nme(y_true, y_pred, normalizer)[4]


def test_default_normalizers():
    assert list(metrics.evaluate(*faces(3, n_landmarks=5))["norms"]) == ["box", "diagonal"]
    assert list(metrics.evaluate(*faces(3, missing=[(2, 40)]))["norms"]) == ["box", "diagonal"]
    assert list(metrics.evaluate(*faces(3), norms=["inter-pupil"])["norms"]) == ["inter-pupil"]
    with pytest.raises(InputError, match="face 2"):
        metrics.evaluate(*faces(3, missing=[(2, 40)]), norms=["inter-pupil"])


def test_bad_normalizers():
    y_true = np.random.default_rng(1).uniform(0, 100, size=(5, 68, 2))
    with pytest.raises(InputError, match="'ocular': expected one of inter-ocular, inter-pupil, box, diagonal"):
        metrics.normalizer_lengths(y_true, "ocular")
    with pytest.raises(InputError, match="'inter-ocular': needs the 68 points of a face, got 5"):
        metrics.normalizer_lengths(y_true[:, :5], "inter-ocular")
    with pytest.raises(InputError, match="5 lengths"):
        metrics.normalizer_lengths(y_true, [1.0])
    for bad in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(InputError, match="face 2: expected a positive length"):
            metrics.normalizer_lengths(y_true, [1, 1, bad, 1, 1])

    flat = y_true.copy()
    flat[3, :, 1] = 7
    with pytest.raises(InputError, match="'box': face 3: expected a positive length, got 0"):
        metrics.normalizer_lengths(flat, "box")
    assert (metrics.normalizer_lengths(flat, "diagonal") > 0).all()

    flat[3, 45] = flat[3, 36]
    with pytest.raises(InputError, match="'inter-ocular': face 3: expected a positive length, got 0"):
        metrics.normalizer_lengths(flat, "inter-ocular")

    gap = y_true.copy()
    gap[4, 45] = np.nan
    for normalizer in ("inter-ocular", "inter-pupil"):
        with pytest.raises(InputError, match=f"'{normalizer}': face 4: an eye landmark"):
            metrics.normalizer_lengths(gap, normalizer)
    gap[4] = np.nan
    with pytest.raises(InputError, match="'box': face 4: all landmarks are missing"):
        metrics.normalizer_lengths(gap, "box")


def test_normalizers_have_descriptions():
    assert metrics.normalizer_text("inter-pupil") == "inter-pupil distance"
    assert "sqrt" in metrics.normalizer_text("box")
    assert "diagonal" in metrics.normalizer_text("diagonal")
    assert metrics.normalizer_text(None) == "side of the box"
