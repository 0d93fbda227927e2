"""Learning from photos without annotations."""

import numpy as np
import pytest
from helpers import drawn_dataset, small_predictor
from pipeline.test_train import TINIER

import ert
from ert import InputError
from ert.pipeline.plan import make_plan
from ert.pipeline.self_training import SelfTraining, choose_weights, spread_of
from ert.pipeline.train import Checks, run_training
from ert.pipeline.unlabelled import find_unlabelled

TWO = {"n_teachers": 2}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return drawn_dataset(tmp_path_factory.mktemp("drawn"), 10, shift=3, roll=4)


@pytest.fixture(scope="module")
def more(tmp_path_factory):
    return drawn_dataset(tmp_path_factory.mktemp("more"), 12, 1, shift=3, roll=4)


def tiny():
    return small_predictor(n_stages=2, n_trees=10, n_inits=4, n_jobs=1)


def test_objects_are_kept_by_spread_and_by_known_landmarks():
    rng = np.random.default_rng(0)
    landmarks = rng.normal(0, 10, (10, 4, 2))
    spread = np.arange(10) / 100 + 0.01
    np.testing.assert_array_equal(choose_weights(landmarks, spread, keep=0.6, weight=0.5), [0.5] * 6 + [0.0] * 4)
    # A known landmark far from the mark of an object that teachers agree on.
    known = np.full((10, 4, 2), np.nan)
    known[:, 1] = landmarks[:, 1] + 0.1
    known[0, 1] += 20
    weights = choose_weights(landmarks, spread, keep=0.6, weight=1, known=known)
    assert weights[0] == 0
    assert weights[1:].sum() == 6


def test_the_spread_is_relative_to_the_size_of_an_object():
    square = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * 10.0
    shift = np.array([(3.0, 0.0)])
    marks = np.array([[square - shift, 10 * (square - shift)], [square + shift, 10 * (square + shift)]])
    np.testing.assert_allclose(spread_of(marks), 3 / np.sqrt(200))


def test_marked_photos_are_trained_on_with_their_weight_and_counted(drawn, more, tmp_path):
    damaged = tmp_path / "damaged.png"
    damaged.write_bytes(b"\x89PNG\r\n\x1a\n")
    unlabelled = [*more.X, (damaged, (0, 0, 40, 40))]
    with pytest.warns(UserWarning, match="1 of 13 photos without annotations left out, first: .*damaged.png"):
        model = ert.self_train(drawn.X, drawn.y, unlabelled, estimator=tiny(), keep=0.5, weight=0.5, **TWO)
    known = model.summary_["unlabelled"]
    assert {key: known[key] for key in known if key != "spread"} == {
        "n_photos": 13, "n_empty": 0, "n_unreadable": 1, "n_marked": 12, "n_kept": 6
    }  # fmt: skip
    assert known["spread"] > 0
    assert model.summary_["n_objects"] == 16
    assert model.summary_["n_samples"] == 10 * 4 + 6 * 2
    model.save(tmp_path / "m.ert")
    assert ert.load(tmp_path / "m.ert").summary_["unlabelled"] == known


def test_the_result_is_the_same_after_an_interrupt(drawn, more, tmp_path):
    options = {"estimator": tiny(), "checkpoint": tmp_path / "c.ert", "n_rounds": 2, **TWO}
    first = ert.self_train(drawn.X, drawn.y, more.X, **options)
    assert len(list(tmp_path.glob("c.teacher*.ert"))) == 4
    (tmp_path / "c.ert").unlink()
    second = ert.self_train(drawn.X, drawn.y, more.X, resume=True, **options)
    np.testing.assert_array_equal(first.predict(more.X), second.predict(more.X))


def test_a_teacher_has_one_member(drawn, more, tmp_path):
    options = {"estimator": tiny().set_params(n_members=2), "checkpoint": tmp_path / "c.ert", **TWO}
    student = ert.self_train(drawn.X, drawn.y, more.X, **options)
    teachers = [ert.load(tmp_path / f"c.teacher1-{k}.ert") for k in (1, 2)]
    assert [len(model.members_) for model in (student, *teachers)] == [2, 1, 1]


def test_a_teacher_of_the_user_marks_photos(drawn, more):
    """With the true landmarks as marks, the model is the one that was trained on them."""
    options = {"estimator": tiny(), "keep": 1.0, "weight": 1.0}
    model = ert.self_train(drawn.X, drawn.y, more.X, teacher=lambda X: more.y, **options)
    together = tiny().fit([*drawn.X, *more.X], np.concatenate([drawn.y, more.y]))
    np.testing.assert_array_equal(model.predict(more.X), together.predict(more.X))
    # Landmarks given beforehand; those that are missing are left out.
    marks = np.array([more.y, more.y + 1.0])
    marks[1, 3] = np.nan
    with pytest.warns(UserWarning, match=r"unlabelled\[3\]: the teacher has not marked it"):
        model = ert.self_train(drawn.X, drawn.y, more.X, teacher=marks, **options)
    assert model.summary_["unlabelled"]["n_kept"] == 11
    with pytest.raises(InputError, match=r"teacher: landmarks of shape \(1, 10, 5, 2\), expected \(12, 5, 2\)"):
        ert.self_train(drawn.X, drawn.y, more.X, teacher=drawn.y, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_teachers": 1}, "n_teachers=1: expected 2 to 100"),
        ({"keep": 1.5}, "keep=1.5: expected 0 to 1"),
        ({"rolls": 3.0}, "rolls and unlabelled_rolls: expected both or none"),
        ({"estimator": small_predictor(random_state=None)}, "random_state=None: expected an integer"),
    ],
)
def test_options_that_cannot_be_used(drawn, more, options, message):
    with pytest.raises(InputError, match=message):
        ert.self_train(drawn.X, drawn.y, more.X, **options)


def test_photos_of_the_dataset_and_copies_of_them_are_left_out(drawn, more, tmp_path):
    (tmp_path / "copy.png").write_bytes(drawn.files[0].read_bytes())
    lines = []
    given = [drawn.files[0].parent, tmp_path, more.files[0].parent]
    found = find_unlabelled(given, drawn, SelfTraining(), say=lines.append)
    assert found.files == list(more.files)
    assert lines == ["11 of 23 photos without annotations left out: they are among the annotated ones"]
    with pytest.raises(InputError, match="expected at least one photo that is not among the annotated ones"):
        find_unlabelled(drawn.files[0].parent, drawn, SelfTraining())
    with pytest.raises(InputError, match=r"unlabelled: .*nowhere: there is no such"):
        find_unlabelled(tmp_path / "nowhere", drawn, SelfTraining())


def test_teachers_of_a_fold_do_not_see_its_objects(drawn, more, monkeypatch):
    """Teachers and students of a fold are trained on other annotated objects than it predicts."""
    seen = []
    fit = ert.ShapePredictor.fit

    def noted(self, X, y, **options):
        seen.append({str(image) for image, _ in X} & {str(file) for file in drawn.files})
        return fit(self, X, y, **options)

    monkeypatch.setattr(ert.ShapePredictor, "fit", noted)
    unlabelled = find_unlabelled(more, drawn, SelfTraining(**TWO))
    plan = make_plan(drawn, box_from="whole", preset="none", given={k: v for k, v in TINIER.items() if k != "preset"},
                     unlabelled=unlabelled)  # fmt: skip
    trained = run_training(plan, drawn, Checks(cv=2))
    folds = seen[:3], seen[3:6]
    for fold in folds:
        assert fold[0] == fold[1] == fold[2]
        assert len(fold[0]) == 5
    assert not folds[0][0] & folds[1][0]
    assert all(len(names) == 10 for names in seen[6:])
    assert trained.model.summary_["unlabelled"]["n_marked"] == 12
    assert trained.figures["n_objects"] == 10


def test_given_boxes_and_a_confidence_model(drawn, more):
    with pytest.raises(InputError, match="no photo without annotations has one"):
        ert.train(drawn, box_from="given", unlabelled=more.files[0].parent, **TINIER)
    with pytest.raises(InputError, match="self_training: expected photos"):
        ert.train(drawn, self_training=TWO, **TINIER)
    model = ert.train(drawn, box_from="whole", unlabelled=more, self_training=TWO, confidence=2, **TINIER)
    assert model.confidence_model_ is not None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"self_training": {"teachers": 2}}, "self_training: 'teachers', expected n_teachers, n_rounds, keep, weight"),
        ({"self_training": {"n_teachers": 2.5}}, "self_training: n_teachers=2.5, expected an integer"),
        ({"self_training": {"keep": "all"}}, "self_training: keep='all', expected a number"),
        ({"unlabelled": 3}, "unlabelled: 3, expected a path, a Dataset or a sequence of them"),
    ],
)
def test_what_train_cannot_use_is_named(drawn, more, options, message):
    with pytest.raises(InputError, match=message):
        ert.train(drawn, box_from="whole", **{"unlabelled": more, **options}, **TINIER)


def test_self_train_expects_photos_to_mark(drawn):
    with pytest.raises(InputError, match="unlabelled: 0 objects, expected at least one"):
        ert.self_train(drawn.X, drawn.y, [], estimator=tiny(), **TWO)


def test_known_landmarks_may_be_missing(drawn, more):
    options = {"estimator": tiny(), "keep": 0.9, "teacher": more.y}
    known = np.full(more.y.shape, np.nan)
    known[0, 1] = more.y[0, 1] + 20
    known[1, 2] = more.y[1, 2]
    model = ert.self_train(drawn.X, drawn.y, more.X, known=known, **options)
    others = ert.self_train(drawn.X, drawn.y, more.X[1:], **options | {"keep": 1.0, "teacher": more.y[1:]})
    assert model.summary_["digest"] == others.summary_["digest"]
    with pytest.raises(InputError, match=r"known: landmarks of shape \(11, 5, 2\), expected \(12, 5, 2\)"):
        ert.self_train(drawn.X, drawn.y, more.X, known=known[1:], **options)
