import json

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ert._core.exceptions import InputError
from ert.evaluation.groups import errors_by
from ert.metrics import bootstrap_interval


def test_groups_of_text():
    values = ["b", "a10", "a2", "", "b", None, "a10"]
    found = errors_by(values, [1.0, 2, 3, 4, 9, 6, 10])
    assert [(row["group"], row["n"], row["mean"]) for row in found] == [
        ("a2", 1, 3),
        ("a10", 2, 6),
        ("b", 2, 5),
        ("missing", 2, 5),
    ]
    assert [row["failure_rate"] for row in found] == [0, 0.5, 0.5, 0]
    assert found[1]["times_others"] == pytest.approx(6 / (23 / 5))
    assert all(row["low"] is row["high"] is row["interval_95"] is None for row in found)
    assert json.loads(json.dumps(found)) == found


def test_numbers_are_binned_at_their_quartiles():
    rng = np.random.default_rng(0)
    values, errors = rng.normal(size=103), rng.uniform(0, 10, 103)
    values[[5, 50]] = np.nan
    *groups, missing = errors_by(values, errors)
    limits = np.nanquantile(values, [0, 0.25, 0.5, 0.75, 1])
    assert [row["low"] for row in groups] == pytest.approx(limits[:-1])
    assert [row["high"] for row in groups] == pytest.approx(limits[1:])
    for i, row in enumerate(groups):
        last = values <= limits[i + 1] if i == 3 else values < limits[i + 1]
        chosen = (values >= limits[i]) & last
        assert row["n"] == chosen.sum()
        assert row["mean"] == pytest.approx(errors[chosen].mean())
        assert row["failure_rate"] == pytest.approx((errors[chosen] > 8).mean())
        assert row["times_others"] == pytest.approx(errors[chosen].mean() / errors[~chosen].mean())
        assert row["interval_95"] == list(bootstrap_interval(errors[chosen]))
    assert missing["group"] == "missing"
    assert missing["mean"] == pytest.approx(errors[[5, 50]].mean())
    assert missing["interval_95"] is None
    assert len(errors_by(values, errors, n_quantiles=3)) == 4


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.one_of(st.just(np.nan), st.just(0.0), st.floats(-1e9, 1e9)), min_size=1, max_size=60), st.integers(2, 5)
)
@example(values=[0.0] * 5 + [1.0, 0.5, -1.0, -2.0, -3.0, -0.5], n_quantiles=3)
def test_every_object_is_in_one_group(values, n_quantiles):
    errors = np.arange(len(values)) + 1.0
    found = errors_by(np.array(values), errors, n_quantiles=n_quantiles)
    assert sum(row["n"] for row in found) == len(values)
    assert sum(row["n"] * row["mean"] for row in found) == pytest.approx(errors.sum())
    assert min(row["n"] for row in found) > 0
    names = [row["group"] for row in found]
    assert len(set(names)) == len(names)


def test_few_distinct_numbers_are_groups():
    found = errors_by([3, 1, 1, 2], [1.0, 2, 4, 9])
    assert [(row["group"], row["n"]) for row in found] == [("1", 2), ("2", 1), ("3", 1)]
    found = errors_by(np.array([True, False, True]), [1.0, 2, 3])
    assert [(row["group"], row["n"]) for row in found] == [("False", 1), ("True", 2)]
    found = errors_by([0.5, None, 0.25], [1.0, 2, 3])
    assert [row["group"] for row in found] == ["0.250", "0.500", "missing"]


def test_numbers_that_are_nearly_all_equal():
    values = np.zeros(100)
    values[:9] = np.arange(1, 10)
    found = errors_by(values, np.ones(100))
    assert [(row["group"], row["n"]) for row in found] == [("0 to 1", 91), ("1 to 9", 9)]
    high = errors_by(-values, np.ones(100))
    assert [(row["group"], row["n"]) for row in high] == [("-9 to 0", 9), ("0", 91)]


def test_names_of_bins_distinguish_close_limits():
    values = 100 + np.arange(100) / 1e4
    names = [row["group"] for row in errors_by(values, np.ones(100))]
    assert names[:2] == ["100.000 to 100.002", "100.002 to 100.005"]
    assert errors_by(np.arange(100) * 1e-7, np.ones(100))[-1]["group"] == "7.42e-06 to 9.9e-06"


@pytest.mark.parametrize(
    ("values", "errors", "message"),
    [
        ([1, 2], [1.0], "expected 1, one for each error"),
        ([[1, 2], [3]], [1.0, 2], "values: expected a 1-D array"),
        ([1, np.inf], [1.0, 2], "item 1 is infinite"),
        ([1, 2], [1.0, np.nan], "expected a 1-D array of finite numbers"),
        ([1, 1], [1.0, -2], "item 1: expected a number from 0 up"),
        ([], [], "errors: expected"),
    ],
)
def test_bad_arguments(values, errors, message):
    with pytest.raises(InputError, match=message):
        errors_by(values, errors)
    with pytest.raises(InputError, match="n_quantiles: expected at least 2"):
        errors_by([1], [1.0], n_quantiles=1)
