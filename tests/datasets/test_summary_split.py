import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ert._core.exceptions import InputError
from ert.datasets.dataset import Dataset
from ert.datasets.split import fold_groups, join_groups, pattern_groups, split_groups, table_groups
from ert.datasets.summary import describe_dataset, known_scheme, mirror_dataset
from ert.datasets.synthetic import synthetic_faces
from ert.model.schemes import FACE68_MIRROR


def random_dataset(n=6, n_landmarks=4, seed=0):
    rng = np.random.default_rng(seed)
    landmarks = rng.uniform(10, 90, (n, n_landmarks, 2))
    landmarks[rng.uniform(size=(n, n_landmarks)) < 0.2] = np.nan
    landmarks[:, 0] = 20
    boxes = rng.uniform(5, 50, (n, 4))
    files = [Path(f"{i // 2}.png") for i in range(n)]
    return Dataset(files, boxes, landmarks, tuple("abcd"[:n_landmarks]), "random")


def test_description_counts_and_measures():
    dataset = random_dataset(5)
    dataset.landmarks[:, 1:] = np.arange(1, 4)[:, None] * (30, 40)
    dataset.landmarks[2:4, 3] = np.nan
    sizes = {Path("0.png"): (640, 480), Path("1.png"): None, Path("2.png"): (100, 480)}
    facts = describe_dataset(dataset, sizes)
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
    assert (facts["images"], facts["objects"], facts["landmarks"]) == (3, 5, 4)
    assert facts["objects_per_image"] == {"min": 1, "median": 2, "max": 2}
    assert facts["missing"] == {"a": 0, "b": 0, "c": 0, "d": 2}
    assert facts["image_width"] == {"min": 100, "median": 370, "max": 640}
    assert facts["image_height"] == {"min": 480, "median": 480, "max": 480}
    assert facts["box_width"]["median"] == round(float(np.median(dataset.boxes[:, 2])), 3)
    assert facts["unreadable_images"] == ["1.png"]
    assert facts["boxes_round_landmarks"] == 0
    assert facts["mirror_scheme"] is None


def test_description_tells_boxes_that_were_made_from_landmarks():
    dataset = random_dataset(3)
    low, high = np.nanmin(dataset.landmarks[1], axis=0), np.nanmax(dataset.landmarks[1], axis=0)
    side = (high - low).max()
    dataset.boxes[1] = *((low + high - side) / 2), side, side
    assert describe_dataset(dataset, {})["boxes_round_landmarks"] == 1
    assert describe_dataset(dataset, {})["image_width"] is None


def test_faces_of_68_landmarks_are_recognized_and_other_68_are_not():
    _, boxes, landmarks = synthetic_faces(12, seed=1)
    files = [Path("a.png")] * 12
    names = tuple(map(str, range(68)))
    assert known_scheme(Dataset(files, boxes, landmarks, names, "faces")) == "face68"
    as_text = sorted(range(68), key=str)
    assert known_scheme(Dataset(files, boxes, landmarks[:, as_text], names, "sorted")) is None
    assert known_scheme(random_dataset()) is None


def test_pattern_groups_are_what_the_first_bracket_matches():
    files = [Path("x_1/anna_1.png"), Path("x_2/anna_22.png"), Path("bob_3.png")]
    assert pattern_groups(files, r"(.+)_(\d+)") == ["anna", "anna", "bob"]


@pytest.mark.parametrize(
    ("pattern", "said"),
    [("(", "not a regular expression"), ("a", "no group"), ("(z)", "b_2.png"), ("(z)?_", "b_2.png")],
)
def test_patterns_that_are_of_no_use_are_refused(pattern, said):
    with pytest.raises(InputError) as error:
        pattern_groups([Path("z_1.png"), Path("b_2.png")], pattern)
    assert said in str(error.value)


def test_table_groups_by_path_or_by_name(tmp_path):
    table = tmp_path / "people.csv"
    table.write_text("image,person\nsub/a.png,anna\nb.png,bob\nc.png,anna\n")
    files = [tmp_path / "sub" / "a.png", tmp_path / "elsewhere" / "b.png", tmp_path / "c.png"]
    assert table_groups(files, f"{table}:person") == ["anna", "bob", "anna"]


@pytest.mark.parametrize(
    ("text", "column", "said"),
    [
        ("image,person\na.png,x\n", "people", "no column 'people'"),
        ("image,person\nb.png,x\n", "person", "a.png: no group"),
        ("image,person\na.png,\n", "person", "a.png: no group"),
        ("image,person\na.png,x\na.png,y\n", "person", "stands twice"),
    ],
)
def test_tables_that_do_not_tell_groups_are_refused(tmp_path, text, column, said):
    table = tmp_path / "people.csv"
    table.write_text(text)
    with pytest.raises(InputError, match=r"people\.csv") as error:
        table_groups([tmp_path / "a.png"], f"{table}:{column}")
    assert said in str(error.value)


def test_groups_that_share_an_object_in_any_grouping_are_joined():
    people, contents = ["a", "a", "b", "c", "d"], [0, 1, 1, 2, 3]
    assert join_groups(people, contents).tolist() == [0, 0, 0, 3, 4]
    assert join_groups(["b", "a", "b"]).tolist() == [0, 1, 0]


groupings = st.lists(st.integers(0, 12), min_size=1, max_size=60)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=30))
def test_joined_groups_are_the_connected_ones(pairs):
    joined = join_groups(*zip(*pairs, strict=True))
    # The slow twin: spread along shared keys until nothing changes.
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
def test_parts_are_whole_groups_and_none_is_empty(groups, weights, seed):
    fractions = {str(k): weight / sum(weights) for k, weight in enumerate(weights)}
    if len(set(groups)) < len(weights):
        with pytest.raises(InputError, match="groups for"):
            split_groups(groups, fractions, seed)
        return
    parts = split_groups(groups, fractions, seed)
    assert parts.shape == (len(groups),)
    assert set(parts.tolist()) == set(range(len(weights)))
    for group in set(groups):
        assert len({int(part) for part, own in zip(parts, groups, strict=True) if own == group}) == 1
    np.testing.assert_array_equal(parts, split_groups(groups, fractions, seed))


@given(st.integers(0, 99))
def test_fractions_come_out_near(seed):
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(80), rng.integers(1, 8, 80))
    parts = split_groups(groups, {"a": 0.7, "b": 0.2, "c": 0.1}, seed)
    shares = np.bincount(parts) / len(groups)
    np.testing.assert_allclose(shares, (0.7, 0.2, 0.1), atol=0.03)
    folds = np.bincount(fold_groups(groups, 5, seed)) / len(groups)
    np.testing.assert_allclose(folds, 0.2, atol=0.03)


@given(st.integers(0, 99))
def test_a_part_gets_no_group_that_is_larger_than_it(seed):
    groups = np.repeat(np.arange(6), (50, 10, 10, 10, 10, 10))
    parts = split_groups(groups, {"train": 0.8, "test": 0.2}, seed)
    assert np.bincount(parts).tolist() == [80, 20]


def test_seeds_split_in_different_ways_and_every_group_may_come_anywhere():
    groups = np.repeat(np.arange(10), np.arange(1, 11))
    tests = [
        set(groups[split_groups(groups, {"a": 0.5, "b": 0.5}, seed) == 1].tolist()) for seed in range(20)
    ]
    assert set.union(*tests) == set(range(10))
    assert set.intersection(*tests) == set()


@pytest.mark.parametrize(
    "fractions", [{}, {"a": 0.5}, {"a": 1.5, "b": -0.5}, {"a": 1, "b": 0}, {"a": float("nan"), "b": 1}]
)
def test_fractions_that_are_none_are_refused(fractions):
    with pytest.raises(InputError, match="sum of 1"):
        split_groups([1, 2, 3], fractions)


def test_folds_and_seeds_that_make_no_sense_are_refused():
    with pytest.raises(InputError, match="at least 2"):
        fold_groups([1, 2, 3], 1)
    with pytest.raises(InputError, match="3 groups for 4 parts"):
        fold_groups([1, 2, 3], 4)
    with pytest.raises(InputError, match="seed -1"):
        split_groups([1, 2, 3], {"a": 0.5, "b": 0.5}, -1)


def test_mirroring_swaps_places_and_counts_from_the_other_side():
    dataset = random_dataset(1, 3)
    dataset.landmarks[0] = [(0, 5), (10, 6), (99, 7)]
    dataset.boxes[0] = (10, 20, 30, 40)
    mirrored = mirror_dataset(dataset, [100], (2, 1, 0), [Path("m.png")])
    assert mirrored.landmarks[0].tolist() == [[0, 7], [89, 6], [99, 5]]
    assert mirrored.boxes[0].tolist() == [60, 20, 30, 40]
    assert mirrored.files == [Path("m.png")]
    assert dataset.landmarks[0, 0].tolist() == [0, 5]


@given(st.integers(0, 2**32 - 1), st.permutations(range(4)))
def test_mirroring_twice_is_nothing(seed, order):
    dataset = random_dataset(seed=seed)
    swap = np.arange(4)
    swap[list(order[:2])] = order[1], order[0]
    widths = np.random.default_rng(seed).integers(50, 900, len(dataset))
    twice = mirror_dataset(mirror_dataset(dataset, widths, swap), widths, swap)
    np.testing.assert_allclose(twice.landmarks, dataset.landmarks, atol=1e-9)
    np.testing.assert_allclose(twice.boxes, dataset.boxes, atol=1e-9)
    assert twice.files == dataset.files


def test_mirroring_takes_schemes_and_refuses_maps_that_are_none():
    _, boxes, landmarks = synthetic_faces(2, seed=1)
    faces = Dataset([Path("a.png")] * 2, boxes, landmarks, tuple(map(str, range(68))), "faces")
    by_name = mirror_dataset(faces, [128, 128], "face68")
    np.testing.assert_array_equal(
        by_name.landmarks, mirror_dataset(faces, [128, 128], FACE68_MIRROR).landmarks
    )
    assert by_name.landmarks[0, 36, 0] == 127 - landmarks[0, 45, 0]
    with pytest.raises(InputError, match="no scheme 'wings'"):
        mirror_dataset(faces, [128, 128], "wings")
    with pytest.raises(InputError, match="map of 2"):
        mirror_dataset(faces, [128, 128], (1, 0))
