"""Messages where there are too few images, and where boxes are much larger than the landmarks."""

import numpy as np
import pytest
from cli.running import SMALL, refused, run
from helpers import SHARED, small_predictor

import ert
from ert import InputError
from ert.datasets.synthetic import synthetic_dataset


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """Datasets of the first 1, 2, 3 and 4 of some drawn faces."""
    folder = synthetic_dataset(tmp_path_factory.mktemp("few") / "faces", 4, seed=3)
    header, *rows = (folder / "landmarks.csv").read_text().splitlines()
    files = {n: folder / f"{n}.csv" for n in (1, 2, 3, 4)}
    for n, file in files.items():
        file.write_text("\n".join([header, *rows[:n]]))
    return files


TOO_FEW_LEFT = "images for training: at least 2 images are needed"
TOO_FEW = [
    (1, [], "1.csv: at least 2 images are needed, got 1"),
    (1, ["--validation", 0.3], f"1.csv: --validation 0.3 leaves 0 of 1 {TOO_FEW_LEFT}, got 0"),
    (2, ["--validation", 0.3], f"2.csv: --validation 0.3 leaves 1 of 2 {TOO_FEW_LEFT}, got 1"),
    (3, ["--validation", 0.9], f"3.csv: --validation 0.9 leaves 0 of 3 {TOO_FEW_LEFT}, got 0"),
    (1, ["--confidence"], "1.csv: at least 2 images are needed, got 1"),
    (2, ["--confidence"], "2.csv: --confidence: n_folds=3: at least 3 images are needed, got 2"),
    (2, ["--confidence", 2], "2.csv: --confidence: n_folds=2: at least 4 images are needed, got 2"),
    (3, ["--confidence", 2], "3.csv: --confidence: n_folds=2: at least 4 images are needed, got 3"),
    (3, ["--confidence", 10], "3.csv: --confidence: n_folds=10: at least 10 images are needed, got 3"),
    (4, ["--confidence", 1], "4.csv: --confidence: n_folds=1: expected at least 2"),
    (
        3,
        ["--confidence", "--validation", 0.3],
        "leaves 2 of 3 images for training: --confidence: n_folds=3: at least 3 images are needed, got 2",
    ),
]


@pytest.mark.parametrize(("n", "options", "message"), TOO_FEW)
def test_train_says_how_many_images_are_needed(few, tmp_path, capsys, n, options, message):
    assert message in refused(capsys, "train", few[n], "--out", tmp_path / "m.ert", *SMALL, *options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("n", "options"),
    [
        (2, []),
        (3, ["--validation", 0.3]),
        (3, ["--confidence"]),
        (4, ["--confidence", 2]),
        (4, ["--confidence", "--validation", 0.2]),
    ],
)
def test_as_many_images_as_needed_are_enough(few, tmp_path, capsys, monkeypatch, n, options):
    monkeypatch.setattr("ert.training.confidence.N_ERROR_TREES", 4)
    monkeypatch.setattr("ert.training.confidence.N_TRUST_TREES", 4)
    monkeypatch.setattr("ert.training.confidence_samples.MIN_SAMPLES", 200)
    assert run("train", few[n], "--out", tmp_path / "m.ert", *SMALL, *options) == 0
    assert np.isfinite(ert.load(tmp_path / "m.ert").predict(ert.load_dataset(few[n]).X)).all()


@pytest.mark.parametrize(
    ("n", "options", "message"),
    [
        (1, [], "2 parts: at least 2 images or groups are needed, got 1"),
        (2, ["--parts", "a=.4,b=.3,c=.3"], "3 parts: at least 3 images or groups are needed, got 2"),
        (2, ["--folds", 5], "5 folds: at least 5 images or groups are needed, got 2"),
    ],
)
def test_split_says_how_many_images_are_needed(few, tmp_path, capsys, n, options, message):
    assert message in refused(capsys, "dataset", "split", few[n], "--out", tmp_path / "parts", *options)


def test_validation_without_objects_is_refused(faces):
    X, y = faces
    with pytest.raises(InputError, match="validation: 0 objects, at least 1 is needed"):
        small_predictor().fit(X, y, validation=([], y[:0]))


def test_folds_of_several_objects_in_an_image_leave_two_objects():
    from ert.training.confidence_samples import group_folds

    box = (0.0, 0.0, 9.0, 9.0)
    X = [(name, box) for name in "aabb"]
    folds = group_folds(X, None, 2, 0)
    assert sorted(np.bincount(folds)) == [2, 2]
    with pytest.raises(InputError, match="n_folds=2: at least 4 images are needed, got 2"):
        group_folds(X[:3], None, 2, 0)
    with pytest.raises(InputError, match="n_folds=3: at least 3 groups are needed, got 2"):
        group_folds(X, ["p", "q", "p", "q"], 3, 0)
    with pytest.raises(InputError, match="n_folds=2: at least 4 images are needed, got 0"):
        group_folds([], None, 2, 0)


def test_a_landmark_in_one_fold_alone_is_named_before_the_training(faces, capsys):
    from ert.training.confidence_samples import group_folds

    X, y = faces[0][:6], faces[1][:6].copy()
    folds = group_folds(X, None, 3, 0)
    y[folds != 1, 7] = np.nan
    with pytest.raises(InputError, match="landmark 7 is present only in objects of fold 2: at least 2 images with it"):
        small_predictor(n_trees=4, n_stages=1).fit(X, y).fit_confidence(X, y, n_folds=3)


# Boxes that are much larger than the landmarks


def enlarged(landmarks, shift):
    """Return square boxes of five times the landmarks, shifted at random by up to a fraction of their side."""
    low, high = landmarks.min(axis=1), landmarks.max(axis=1)
    side = 5 * (high - low).max(axis=1)[:, None]
    draws = np.random.default_rng(0).uniform(-shift, shift, (len(landmarks), 2))
    return np.hstack([(low + high) / 2 - (0.5 + draws) * side, side, side])


@pytest.mark.parametrize(
    ("shift", "message"),
    [
        (0.0, None),
        (0.2, "fill 20% of the side of their boxes, and their place in it varies by 12%"),
        (0.35, "pool_spread=0.3 (--pool-spread)"),
    ],
)
def test_the_spread_of_the_pool_is_proposed_where_objects_lie_elsewhere_in_each_box(faces, shift, message):
    from ert.training.parameters import pool_advice

    advice = pool_advice(faces[1], enlarged(faces[1], shift))
    assert (advice is None) if message is None else (message in advice)


def test_very_small_objects_are_noticed_wherever_they_are(faces):
    from ert.training.parameters import pool_advice

    landmarks = faces[1]
    boxes = enlarged(landmarks, 0)
    boxes = np.hstack([boxes[:, :2] - boxes[:, 2:] / 2, 2 * boxes[:, 2:]])
    assert "fill 10% of the side" in pool_advice(landmarks, boxes)
    assert "pool_spread=0.05" in pool_advice(landmarks, boxes)
    assert pool_advice(landmarks, np.array([box for _, box in faces[0]])) is None


def test_single_mistakes_change_no_advice(faces):
    from ert.training.parameters import pool_advice

    boxes = np.array([box for _, box in faces[0]])
    boxes[3, :2] += 3000
    boxes[5, 2:] = 1e-9
    assert pool_advice(faces[1], boxes) is None
    # What is proposed is a valid parameter.
    boxes[:, :2] += np.random.default_rng(0).uniform(0, 9000, (len(boxes), 2))
    assert "pool_spread=5 " in pool_advice(faces[1], boxes)


def test_the_proposed_spread_gives_smaller_errors(faces):
    X, y = faces
    boxes = enlarged(y, 0.2)
    X = [(image, box) for (image, _), box in zip(X, boxes, strict=True)]
    errors = []
    for spread in (0.0, 0.15):
        model = small_predictor(pool_spread=spread).fit(X[:90], y[:90])
        errors.append(np.linalg.norm(model.predict(X[90:]) - y[90:], axis=2).mean())
    assert errors[1] < 0.8 * errors[0]


def test_train_and_check_propose_a_spread(few, tmp_path, capsys):
    dataset = ert.load_dataset(few[4])
    large = ert.Dataset(dataset.files, enlarged(dataset.y, 0.3), dataset.y, dataset.landmark_names, "large")
    ert.write_dataset(large, tmp_path / "large.xml")
    train = "train", tmp_path / "large.xml", "--out", tmp_path / "m.ert", *SMALL
    assert run(*train) == 0
    assert "--pool-spread" in capsys.readouterr().err
    assert run(*train, "--pool-spread", 0.2) == 0
    assert run(*train, "--padding", 0.2) == 0
    assert run(*train, "--preset=auto") == 0
    assert ert.load(tmp_path / "m.ert").pool_spread > 0.1
    assert "--pool-spread" not in capsys.readouterr().err
    run("dataset", "check", tmp_path / "large.xml")
    assert "--pool-spread" in capsys.readouterr().err


@pytest.mark.skipif(not SHARED.parent.joinpath("cases").is_dir(), reason="needs ../shared/cases")
@pytest.mark.parametrize(("name", "options"), [("one", []), ("two", ["--confidence"]), ("two", ["--validation", 0.3])])
def test_the_case_of_three_images(tmp_path, capsys, name, options):
    file = SHARED.parent / "cases" / "28-cli-train-three-images" / f"{name}.xml"
    assert "images are needed" in refused(capsys, "train", file, "--out", tmp_path / "m.ert", *SMALL, *options)
