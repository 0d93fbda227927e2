"""From a dataset to a model, and the error that it reports."""

from dataclasses import replace

import numpy as np
import pytest
from helpers import drawn_dataset
from pipeline.test_boxes import DrawnLocator, locate_dark

import ert
from ert._core.exceptions import InputError
from ert.pipeline import boxes, plan
from ert.pipeline.folds import curve_lines, curve_table
from ert.pipeline.train import Checks, hold_out, run_training
from ert.pipeline.validate import error_figures, predict_new

TINY = {
    "preset": "none",
    "n_stages": 4,
    "n_trees": 40,
    "n_inits": 4,
    "n_pixels": 100,
    "n_split_tests": 10,
    "working_size": 48,
    "shift_jitter": 0.05,
    "scale_jitter": 0.05,
    "pool_spread": 0.1,
    "n_jobs": 1,
}
TINIER = TINY | {"n_stages": 2, "n_trees": 10}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return drawn_dataset(tmp_path_factory.mktemp("drawn"), 80, shift=3, roll=4)


@pytest.fixture(scope="module")
def new(tmp_path_factory):
    """Photos that no model has seen."""
    return drawn_dataset(tmp_path_factory.mktemp("new"), 60, 1, shift=3, roll=4)


def error_of(model, dataset):
    figures = error_figures(predict_new(model, dataset), norms=["diagonal"])
    return figures["norms"]["diagonal"]["mean"], figures


def test_the_reported_error_is_that_of_new_photos(drawn, new):
    """Boxes around the true landmarks, which no new photo has, would give two thirds of it."""
    honest = ert.train(drawn, box_from="whole", cv=10, **TINY)
    validation = honest.summary_["validation"]
    real, _ = error_of(honest, new)
    assert validation["low"] < real < validation["high"]
    assert validation["scattered_error"] is None
    flattered = ert.train(drawn, box_from="given", cv=5, **TINY)
    around = flattered.summary_["validation"]
    assert around["error"] < min(0.75 * real, validation["low"])
    # That is not hidden: the error in scattered boxes is beside it.
    assert around["scattered_error"] > 2.5 * around["error"]
    _, figures = error_of(flattered, new)
    assert figures["boxes_around_landmarks"]
    scattered = figures["scattered_boxes"]["diagonal"]["mean"]
    assert 0.6 < around["scattered_error"] / scattered < 1.2
    # With the boxes that new photos have, this model is of no use.
    whole = error_figures(predict_new(flattered, new, box_from="whole"), norms=["diagonal"])
    assert whole["norms"]["diagonal"]["mean"] > 3 * around["error"]


def test_models_and_validations_are_the_same_each_time_and_in_files(drawn, tmp_path):
    model = ert.train(drawn[:20], cv=2, **TINIER)
    again = ert.train(drawn[:20], cv=2, **TINIER | {"n_jobs": 2})
    model.save(tmp_path / "a.ert")
    again.save(tmp_path / "b.ert")
    assert (tmp_path / "a.ert").read_bytes() == (tmp_path / "b.ert").read_bytes()
    loaded = ert.load(tmp_path / "a.ert")
    assert loaded.box_source_ == "learned"
    assert loaded.summary_["validation"] == model.summary_["validation"]
    assert loaded.summary_["validation"]["method"] == "2-fold cross-validation"


def test_a_preset_chooses_the_parameters_that_are_not_given(drawn):
    model = ert.train(drawn[:12], n_trees=5, n_stages=1, n_inits=2, n_jobs=1, box_from="whole")
    assert model.n_trees == 5
    assert model.pool_spread > 0
    assert model.summary_["notes"] == {"preset": "auto"}


def test_a_learned_model_is_validated_with_its_locator(drawn, monkeypatch):
    monkeypatch.setattr(boxes, "fit_locator", lambda images, landmarks, **options: DrawnLocator())
    monkeypatch.setattr(boxes, "locate_objects", locate_dark)
    found = []
    new_boxes = boxes.new_boxes
    monkeypatch.setattr(plan, "new_boxes", lambda *args, **kw: found.append(args[1]) or new_boxes(*args, **kw))
    model = ert.train(drawn[:30], box_from="learned", validation=0.3, **TINIER)
    assert found == ["learned"]
    assert isinstance(model.fitted_.locator, DrawnLocator)
    assert "validation_nme" in model.history_[-1]
    # The model saw upright objects; with the rolls of the locator it sees them so again.
    assert model.summary_["validation"]["error"] < 8
    assert model.summary_["validation"]["n_objects"] == 9


def test_objects_that_are_not_found_are_counted(drawn, monkeypatch):
    def most_are_found(locator, image, **options):
        return [] if str(image).endswith(("3.png", "7.png")) else locate_dark(locator, image, **options)

    monkeypatch.setattr(boxes, "fit_locator", lambda images, landmarks, **options: DrawnLocator())
    monkeypatch.setattr(boxes, "locate_objects", most_are_found)
    given = {name: value for name, value in TINIER.items() if name != "preset"}
    plan = boxes_plan(drawn[:20], "learned", given)
    trained = run_training(plan, drawn[:20], Checks(cv=2))
    assert trained.figures["n_objects"] == 20
    assert trained.figures["n_found"] == 16
    assert trained.model.summary_["validation"]["n_found"] == 16
    assert len(trained.predictions.dataset) == 20
    assert np.isnan(trained.predictions.landmarks[3]).all()
    with pytest.raises(InputError, match="none of 4 objects was found"):
        error_figures(predict_new(trained.model, drawn.subset([3, 7, 13, 17])))
    # After the training this is no error: the model is not lost.
    monkeypatch.setattr(boxes, "locate_objects", lambda locator, image, **options: [])
    said = []
    for checks in (Checks(cv=2, curve=True), Checks(validation=0.2, curve=True)):
        trained = run_training(plan, drawn[:20], checks, say=said.append)
        assert trained.figures is None
        assert trained.model.box_source_ == "learned"
        assert said[-1].endswith("objects left out was found: their error is unknown")
        assert curve_lines(trained.curve) == []


def boxes_plan(dataset, source, given):
    from ert.pipeline.plan import make_plan

    return make_plan(dataset, box_from=source, preset="none", given=given)


def test_a_learning_curve_is_cross_validated_on_the_same_objects(drawn):
    given = {name: value for name, value in TINIER.items() if name != "preset"}
    trained = run_training(boxes_plan(drawn[:40], "whole", given), drawn[:40], Checks(cv=2, curve=True))
    assert [row["n_images"] for row in trained.curve] == [5, 10, 20]
    assert {row["n_objects"] for row in trained.curve} == {40}
    assert trained.curve[-1]["error"] == pytest.approx(trained.figures["norms"]["diagonal"]["mean"])
    assert trained.curve[0]["error"] > trained.curve[-1]["error"]
    first, last = trained.curve[0], trained.curve[1]
    assert last["change"] == pytest.approx(last["error"] / first["error"] - 1)
    assert first["change"] is None
    head, rows = curve_table(trained.curve)
    assert len(head) == len(rows[0])
    assert rows[0][:2] == ("5", "40")


@pytest.mark.parametrize(
    ("change", "interval", "line"),
    [
        (-0.2, [-0.3, -0.1], "from 25 to 50 photos: 20% less error (95 % interval 10% to 30%)"),
        (0.1, [-0.1, 0.3], "from 25 to 50 photos: no clear change of the error, +10% (95 % interval -10% to +30%)"),
        (0.3, [0.1, 0.4], "from 25 to 50 photos: 30% more error (95 % interval 10% to 40%)"),
    ],
)
def test_the_learning_curve_in_words(change, interval, line):
    nothing = {"change": None, "change_interval_95": None}
    rows = [{"n_images": 25} | nothing, {"n_images": 50, "change": change, "change_interval_95": interval}]
    assert curve_lines(rows)[0] == line
    assert curve_lines([rows[0], {"n_images": 50} | nothing]) == []


def test_groups_are_never_separated(drawn):
    part = replace(drawn[:12], name="specimens")
    groups = ["a", "b", "c"] * 4
    rest, held_out = hold_out(part, Checks(validation=0.3, groups=groups), 0)
    assert len(held_out) == 4
    of = dict(zip(map(str, part.files), groups, strict=True))
    assert {of[str(file)] for file in held_out.files}.isdisjoint(of[str(file)] for file in rest.files)
    # Two specimens in a photo, and labels of several types.
    shared = replace(part, files=[part.files[i // 2] for i in range(12)])
    labels = Checks(cv=2, groups=["a", 1, None, 2, "b", "c", "b", 1, 4, 5, 6, 7]).labels(shared)
    # The photo of "b" and 1 connects them, and so the photos of both.
    assert [labels.index(label) for label in labels] == [0, 0, 2, 2, 0, 0, 0, 0, 8, 8, 10, 10]


def test_groups_are_those_of_the_confidence_model_and_of_intervals(drawn, monkeypatch):
    def fit_confidence(model, X, y, **options):
        given.append((len(X), options["groups"]))

    given = []
    monkeypatch.setattr(ert.ShapePredictor, "fit_confidence", fit_confidence)
    groups = [i // 4 for i in range(24)]
    made = boxes_plan(drawn[:24], "whole", {name: value for name, value in TINIER.items() if name != "preset"})
    trained = run_training(made, drawn[:24], Checks(cv=2, groups=groups), confidence=2)
    labels = trained.predictions.groups
    assert given == [(24, labels)]
    assert [labels.index(label) // 4 for label in labels] == groups
    held = run_training(made, drawn[:24], Checks(validation=0.3, groups=groups), confidence=2)
    assert len(set(held.predictions.groups)) == 2
    n_rest, of_rest = given[1]
    assert n_rest == len(of_rest) == 16
    assert set(of_rest).isdisjoint(held.predictions.groups)
    with pytest.raises(InputError, match="confidence 1: expected at least 2 folds"):
        run_training(made, drawn[:24], Checks(), confidence=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cv": 1}, "cv 1: expected at least 2 folds"),
        ({"cv": 30}, "30 folds: at least 30 images or groups are needed, got 20"),
        ({"cv": 2, "validation": 0.2}, "validation and cv: expected one of the two"),
        ({"cv": 2, "groups": ["a"] * 3}, "groups: 3, expected one for each of 20 objects"),
        ({"validation": 1.5}, "validation 1.5: expected a fraction between 0 and 1"),
        ({"box_from": "around"}, "box_from='around': expected one of auto, given"),
        ({"preset": "huge"}, "preset='huge'"),
        ({"n_trees": 0}, "n_trees=0: expected 1 to"),
    ],
)
def test_bad_arguments_are_refused(drawn, options, message):
    with pytest.raises(InputError, match=message):
        ert.train(drawn[:20], **TINIER | options)
