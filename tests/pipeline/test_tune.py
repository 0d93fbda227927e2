"""The search of parameters: what is measured, what stops a trial, how a search goes on, and what comes out."""

import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
from helpers import drawn_dataset
from pipeline.test_boxes import DrawnLocator, locate_dark

import ert
from ert._core.exceptions import InputError
from ert.pipeline import boxes
from ert.pipeline.plan import make_plan
from ert.pipeline.train import Checks, check_splits, run_training
from ert.pipeline.tuning import study as studies
from ert.pipeline.tuning.study import Settings, is_hopeless, open_study, require_optuna
from ert.pipeline.tuning.trial import STEPS, evaluate, prepare_folds
from ert.pipeline.tuning.tune import _choose, run_tuning, study_name

TINY = {
    "n_stages": 5,
    "n_trees": 8,
    "n_inits": 2,
    "n_pixels": 60,
    "working_size": 48,
    "shift_jitter": 0.05,
    "n_jobs": 1,
}
CHECKS = Checks(cv=2)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return drawn_dataset(tmp_path_factory.mktemp("drawn"), 20, shift=3, roll=4)


def plan_of(dataset, preset="none", box_from="whole", **params):
    return make_plan(dataset, box_from=box_from, preset=preset, given={"n_jobs": 1} | params)


@pytest.fixture
def small_presets(monkeypatch):
    """Presets that choose tiny models."""
    monkeypatch.setattr("ert.pipeline.plan.choose_parameters", lambda *args, **options: dict(TINY))


def search(dataset, n_trials, **options):
    return run_tuning(plan_of(dataset, "auto"), dataset, CHECKS, Settings(n_trials=n_trials), **options)


@pytest.mark.parametrize(
    ("box_from", "changes"), [("learned", {}), ("whole", {"relative n_inits": 2.0, "max_depth": 3})]
)
def test_the_error_of_a_trial_is_that_of_ert_train(drawn, small_presets, monkeypatch, box_from, changes):
    monkeypatch.setattr(boxes, "fit_locator", lambda images, landmarks, **options: DrawnLocator())
    monkeypatch.setattr(boxes, "locate_objects", locate_dark)
    plan = plan_of(drawn, "auto", box_from)
    folds = prepare_folds(plan, drawn, check_splits(drawn, CHECKS, 0), "diagonal")
    steps = []
    error, _ = evaluate(folds, changes, on_step=lambda *each: steps.append(each))
    trained = run_training(replace(plan, changes=changes), drawn, CHECKS)
    assert error == pytest.approx(trained.figures["norms"]["diagonal"]["mean"], rel=1e-12)
    assert [step for step, _ in steps] == list(range(2 * STEPS))
    assert steps[-1][1] == error


def test_a_trial_stops_where_it_is_worse_than_the_median():
    assert not is_hopeless(9.0, [1.0, 2.0, 3.0])
    assert is_hopeless(2.6, [1.0, 2.0, 3.0, 4.0])
    assert not is_hopeless(2.5, [1.0, 2.0, 3.0, 4.0])


def test_the_preset_stays_unless_another_is_better_in_both():
    trials = {n: SimpleNamespace(number=n, values=[error]) for n, error in enumerate((2.0, 1.0, 1.5, 1.6))}
    assert _choose(trials, {0: 2.0, 1: 2.1, 2: 1.9, 3: 1.7}, 0).number == 3
    assert _choose(trials, {0: 2.0, 1: 2.1, 2: 2.0}, 0).number == 0
    assert _choose(trials, {1: 2.1, 2: 1.9}, 0).number == 1


def test_optuna_that_is_missing_is_named(monkeypatch, drawn):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(InputError, match=r"needs optuna.*ert-landmarks\[tune\]"):
        ert.tune(drawn, n_trials=1)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"objective": "speed"}, "objective 'speed': expected one of error"),
        ({"seconds": 0.0}, "time 0: expected a number above 0"),
        ({"max_mb": -1.0}, "max_mb -1: expected"),
        ({"n_trials": 0}, "trials 0: expected at least 1"),
        ({"n_trials": 1, "n_workers": 2}, "workers 2: expected a storage"),
        ({"n_trials": 1, "cv": 0}, "cv 0: expected at least 2"),
    ],
)
def test_bad_settings(drawn, options, expected):
    pytest.importorskip("optuna")
    with pytest.raises(InputError, match=expected):
        ert.tune(drawn, box_from="whole", **options)


def test_studies_of_other_data_or_settings_have_other_names(drawn):
    base = study_name(plan_of(drawn), drawn, CHECKS, Settings())
    assert base == study_name(plan_of(drawn, n_jobs=2), drawn, CHECKS, Settings(n_trials=5))
    others = {
        study_name(plan_of(drawn, max_depth=3), drawn, CHECKS, Settings()),
        study_name(plan_of(drawn), drawn.subset(slice(15)), CHECKS, Settings()),
        study_name(plan_of(drawn), drawn, Checks(cv=3), Settings()),
        study_name(plan_of(drawn), drawn, CHECKS, Settings(max_mb=1.0)),
    }
    assert len(others | {base}) == 5


class TestSearch:
    @pytest.fixture(autouse=True)
    def _optuna(self, small_presets):
        pytest.importorskip("optuna")

    def test_an_interrupted_search_ends_in_the_same_bytes(self, drawn, tmp_path, monkeypatch):
        """Ctrl-C keeps finished trials; trials drawn by the sampler are those of a search without a break."""
        whole = search(drawn, 7)
        calls = []

        def interrupted(*args, **options):
            calls.append(1)
            if len(calls) == 5:
                raise KeyboardInterrupt
            return evaluate(*args, **options)

        monkeypatch.setattr(studies, "evaluate", interrupted)
        storage, said = str(tmp_path / "study.log"), []
        with pytest.raises(KeyboardInterrupt):
            search(drawn, 7, storage=storage)
        resumed = search(drawn, 7, storage=storage, say=said.append)
        assert f"{storage}: continuing after 4 trials" in said
        # The trial that was interrupted waits again, behind those that wait.
        drawn_values = [[row["values"] for row in each.trials] for each in (whole, resumed)]
        assert drawn_values[0][:4] == drawn_values[1][:4]
        assert sorted(map(str, drawn_values[0][:6])) == sorted(map(str, drawn_values[1][:6]))
        assert len(drawn_values[1]) == 7
        whole.model.save(tmp_path / "a.ert")
        search(drawn, 7).model.save(tmp_path / "b.ert")
        assert (tmp_path / "a.ert").read_bytes() == (tmp_path / "b.ert").read_bytes()
        note = whole.model.summary_["notes"]["tuning"]
        assert note.startswith(f"trial {whole.best} of 7: error ")
        assert whole.trials[0]["second_error"] is not None

    @pytest.mark.parametrize("name", ["study.log", "study.db"])
    def test_a_study_that_is_complete_is_only_read(self, drawn, tmp_path, name, monkeypatch):
        storage = str(tmp_path / name)
        first = search(drawn, 2, storage=storage)
        monkeypatch.setattr(studies, "evaluate", None)
        again = search(drawn, 2, storage=storage)
        assert again.trials == first.trials

    def test_workers_share_a_study(self, drawn, tmp_path):
        from joblib import parallel_config

        with parallel_config("threading"):
            tuned = search(drawn, 4, storage=str(tmp_path / "study.log"), n_workers=2)
        assert len(tuned.trials) in (4, 5)
        assert tuned.trials[0]["values"]["max_depth"] == 4

    def test_limits_and_pareto(self, drawn):
        settings = Settings(n_trials=6, objective="error-size")
        tuned = run_tuning(plan_of(drawn, "auto"), drawn, CHECKS, settings)
        sizes = {row["number"]: row["mb"] for row in tuned.trials}
        assert min(sizes, key=sizes.get) in tuned.front
        limit = (sizes[0] + min(sizes.values())) / 2
        said = []
        small = run_tuning(plan_of(drawn, "auto"), drawn, CHECKS, Settings(n_trials=6, max_mb=limit), say=said.append)
        assert small.best != 0
        assert sizes[small.best] <= limit
        assert any("MB, at most" in line for line in said)
        with pytest.raises(InputError, match="none of 1 trials is within the limits"):
            run_tuning(plan_of(drawn, "auto"), drawn, CHECKS, Settings(n_trials=1, max_mb=1e-6))

    def test_a_time_that_is_over_ends_after_the_preset(self, drawn):
        tuned = run_tuning(plan_of(drawn, "auto"), drawn, CHECKS, Settings(seconds=1e-3))
        assert [row["number"] for row in tuned.trials] == [0]
        assert tuned.best == 0
        assert "the preset stays" in tuned.lines[1]

    def test_a_file_that_is_no_study(self, tmp_path):
        (tmp_path / "study.db").write_bytes(b"x" * 5000)
        with pytest.raises(InputError, match=r"study\.db: cannot hold a study: "):
            open_study(str(tmp_path / "study.db"), "a", Settings())
        with pytest.raises(InputError, match=r"^host/x: cannot hold a study: "):
            open_study("nothing://user:secret@host/x", "a", Settings())

    def test_optuna_is_quiet(self, recwarn):
        require_optuna()
        open_study(None, "a", Settings())
        assert not recwarn
