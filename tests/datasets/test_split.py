from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ert._core.exceptions import InputError
from ert.datasets.split import fold_groups, join_groups, pattern_groups, split_groups, table_groups


def test_pattern_groups_are_what_the_first_bracket_matches():
    files = [Path("x_1/anna_1.png"), Path("x_2/anna_22.png"), Path("bob_3.png")]
    assert pattern_groups(files, r"(.+)_(\d+)") == ["anna", "anna", "bob"]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [("(", "not a regular expression"), ("a", "no group"), ("(z)", "b_2.png"), ("(z)?_", "b_2.png")],
)
def test_patterns_without_a_match_are_refused(pattern, message):
    with pytest.raises(InputError) as error:
        pattern_groups([Path("z_1.png"), Path("b_2.png")], pattern)
    assert message in str(error.value)


def test_table_groups_by_path_or_by_name(tmp_path):
    table = tmp_path / "people.csv"
    table.write_text("image,person\nsub/a.png,anna\nb.png,bob\nc.png,anna\n")
    files = [tmp_path / "sub" / "a.png", tmp_path / "elsewhere" / "b.png", tmp_path / "c.png"]
    assert table_groups(files, f"{table}:person") == ["anna", "bob", "anna"]


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("image,person\na.png,x\n", "people", "no column 'people'"),
        ("image,person\nb.png,x\n", "person", "a.png: no group"),
        ("image,person\na.png,\n", "person", "a.png: no group"),
        ("image,person\na.png,x\na.png,y\n", "person", "duplicate image 'a.png'"),
    ],
)
def test_tables_without_the_groups_are_refused(tmp_path, text, column, message):
    table = tmp_path / "people.csv"
    table.write_text(text)
    with pytest.raises(InputError, match=r"people\.csv") as error:
        table_groups([tmp_path / "a.png"], f"{table}:{column}")
    assert message in str(error.value)


def test_groups_that_share_an_object_in_any_grouping_are_joined():
    people, contents = ["a", "a", "b", "c", "d"], [0, 1, 1, 2, 3]
    assert join_groups(people, contents).tolist() == [0, 0, 0, 3, 4]
    assert join_groups(["b", "a", "b"]).tolist() == [0, 1, 0]


groupings = st.lists(st.integers(0, 12), min_size=1, max_size=60)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=30))
def test_joined_groups_are_the_connected_ones(pairs):
    joined = join_groups(*zip(*pairs, strict=True))
    # Reference: spread along shared keys until nothing changes.
    for i in range(len(pairs)):
        reached = {i}
        while True:
            more = {
                k
                for k, pair in enumerate(pairs)
                if any(pair[0] == pairs[j][0] or pair[1] == pairs[j][1] for j in reached)
            }
            if more <= reached:
                break
            reached |= more
        assert set(np.flatnonzero(joined == joined[i])) == reached


@given(groupings, st.lists(st.integers(1, 9), min_size=1, max_size=4), st.integers(0, 99))
def test_groups_are_not_split_and_no_part_is_empty(groups, weights, seed):
    fractions = {str(k): weight / sum(weights) for k, weight in enumerate(weights)}
    if len(set(groups)) < len(weights):
        with pytest.raises(InputError, match="groups are needed"):
            split_groups(groups, fractions, seed)
        return
    parts = split_groups(groups, fractions, seed)
    assert parts.shape == (len(groups),)
    assert set(parts.tolist()) == set(range(len(weights)))
    for group in set(groups):
        assert len({int(part) for part, own in zip(parts, groups, strict=True) if own == group}) == 1
    np.testing.assert_array_equal(parts, split_groups(groups, fractions, seed))


@given(st.integers(0, 99))
def test_parts_have_about_their_fractions(seed):
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(80), rng.integers(1, 8, 80))
    parts = split_groups(groups, {"a": 0.7, "b": 0.2, "c": 0.1}, seed)
    shares = np.bincount(parts) / len(groups)
    np.testing.assert_allclose(shares, (0.7, 0.2, 0.1), atol=0.03)
    folds = np.bincount(fold_groups(groups, 5, seed)) / len(groups)
    np.testing.assert_allclose(folds, 0.2, atol=0.03)


@given(st.integers(0, 99))
def test_no_part_gets_a_group_that_is_larger(seed):
    groups = np.repeat(np.arange(6), (50, 10, 10, 10, 10, 10))
    parts = split_groups(groups, {"train": 0.8, "test": 0.2}, seed)
    assert np.bincount(parts).tolist() == [80, 20]


def test_seeds_split_in_different_ways_and_every_group_may_come_anywhere():
    groups = np.repeat(np.arange(10), np.arange(1, 11))
    tests = [set(groups[split_groups(groups, {"a": 0.5, "b": 0.5}, seed) == 1].tolist()) for seed in range(20)]
    assert set.union(*tests) == set(range(10))
    assert set.intersection(*tests) == set()


@pytest.mark.parametrize(
    "fractions", [{}, {"a": 0.5}, {"a": 1.5, "b": -0.5}, {"a": 1, "b": 0}, {"a": float("nan"), "b": 1}]
)
def test_invalid_fractions_are_refused(fractions):
    with pytest.raises(InputError, match="sum of 1"):
        split_groups([1, 2, 3], fractions)


def test_invalid_folds_and_seeds_are_refused():
    with pytest.raises(InputError, match="at least 2"):
        fold_groups([1, 2, 3], 1)
    with pytest.raises(InputError, match="4 folds: at least 4 images or groups are needed, got 3"):
        fold_groups([1, 2, 3], 4)
    with pytest.raises(InputError, match="seed -1"):
        split_groups([1, 2, 3], {"a": 0.5, "b": 0.5}, -1)
