"""The search of parameters: what is measured, what stops a trial, how a search goes on, and what comes out."""

import errno
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from datetime import datetime
from types import SimpleNamespace

import pytest
from helpers import drawn_dataset
from pipeline.test_boxes import DrawnLocator, locate_dark

import ert
from ert._core.exceptions import InputError
from ert.pipeline import boxes
from ert.pipeline.plan import make_plan
from ert.pipeline.train import Checks, check_splits, run_training
from ert.pipeline.tuning import owner
from ert.pipeline.tuning import study as studies
from ert.pipeline.tuning import tune as tunes
from ert.pipeline.tuning.storage import StorageError, open_study, require_optuna
from ert.pipeline.tuning.study import (
    MAX_ATTEMPTS,
    Search,
    Settings,
    finished_trials,
    is_hopeless,
    suggest,
    trial_values,
)
from ert.pipeline.tuning.trial import STEPS, Cost, evaluate, prepare_folds
from ert.pipeline.tuning.tune import _choose, run_tuning, study_name
from ert.training.space import search_space

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
        ({"seconds": 0.0}, "seconds 0: expected a number above 0"),
        ({"max_mb": -1.0}, "max_mb -1: expected"),
        ({"n_trials": 0}, "n_trials 0: expected at least 1"),
        ({"n_trials": 1, "n_workers": 2}, "n_workers 2: expected a storage"),
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


def test_which_process_still_runs(monkeypatch):
    def trial(**process):
        return SimpleNamespace(number=0, user_attrs={owner.PROCESS: process}, datetime_start=start)

    start = datetime.fromtimestamp(1000.0)

    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        here = {"host": owner._host(), "pid": child.pid, "start": owner._start(child.pid)}
        assert owner.is_running("a", trial(**here))
        assert not owner.is_running("a", trial(**here | {"start": "before"}))
        child.kill()
    assert not owner.is_running("a", trial(**here))
    mine = {"pid": os.getpid(), "start": owner._start(os.getpid())}
    assert not owner.is_running("a", trial(**here | mine))
    monkeypatch.setattr(owner, "_running", {("a", 0)})
    assert owner.is_running("a", trial(**here | mine))
    for passed, expected in ((owner.LEASE_SECONDS - 1, True), (owner.LEASE_SECONDS + 1, False)):
        monkeypatch.setattr(owner, "time", SimpleNamespace(time=lambda passed=passed: 1000.0 + passed))
        other = trial(host="elsewhere", pid=1, start="now")
        assert owner.is_running("a", other) is expected
        other.user_attrs[owner.SIGN] = 1060.0
        assert owner.is_running("a", other)


def quick_evaluate(folds, values, *, on_step, on_stage, on_cost=None):
    """Call what `evaluate` calls; the error depends on one number."""
    error = values["relative n_trees"]
    if on_cost is not None:
        on_cost(Cost(1.0, error))
    for step in range(2):
        on_stage()
        on_step(step, error)
    return error, None if on_cost is None else Cost(1.0, error)


def small_search(storage, settings):
    """A search whose trials take no time, with `quick_evaluate`."""
    model = ert.ShapePredictor(**TINY)
    fold = SimpleNamespace(prepared=SimpleNamespace(model=model))
    space = search_space({}, model.get_params())
    return Search([fold], space, settings, None if storage is None else str(storage), "a", 0)


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
        with pytest.raises(InputError, match="1 trial, none of them within the limits"):
            run_tuning(plan_of(drawn, "auto"), drawn, CHECKS, Settings(n_trials=1, max_mb=1e-6))

    def test_a_time_that_is_over_ends_after_the_preset(self, drawn):
        tuned = run_tuning(plan_of(drawn, "auto"), drawn, CHECKS, Settings(seconds=1e-3))
        assert [row["number"] for row in tuned.trials] == [0]
        assert tuned.best == 0
        assert "the preset stays" in tuned.lines[1]

    def test_a_file_that_is_no_study(self, tmp_path):
        notes = tmp_path / "notes.txt"
        notes.write_text("a line\nand one without an end")
        with pytest.raises(InputError, match=r"notes\.txt: exists and is not a study"):
            open_study(str(notes), "a")
        assert notes.read_text() == "a line\nand one without an end"
        (tmp_path / "study.db").write_bytes(b"SQLite format 3\0" + b"x" * 5000)
        with pytest.raises(InputError, match=r"study\.db: cannot hold a study: file is not a database$"):
            open_study(str(tmp_path / "study.db"), "a")
        (tmp_path / "study.log").write_text('{"op_code":0,\n{"op_code":0}\n')
        with pytest.raises(InputError, match=r"study\.log: cannot hold a study: it is damaged, or no longer there$"):
            open_study(str(tmp_path / "study.log"), "a")

    @pytest.mark.parametrize(
        ("url", "message"),
        [
            ("nothing://user:secret@host/x", "^host/x: cannot hold a study: unknown kind of database 'nothing'$"),
            ("://user:secret@host", "^host: cannot hold a study: no valid URL of a database, expected one such as "),
            ("sqlite:////none/x.db", "^sqlite:////none/x.db: cannot hold a study: unable to open database file$"),
        ],
    )
    def test_databases_that_are_none(self, url, message):
        with pytest.raises(InputError, match=message):
            open_study(url, "a")

    def test_devices_and_full_disks_are_refused_before_the_folds(self, drawn, tmp_path, monkeypatch):
        monkeypatch.setattr(tunes, "prepare_folds", None)
        for device in ("/dev/full", "/dev/null"):
            with pytest.raises(InputError, match=f"^{device}: is a device or a pipe, expected a file for the study"):
                search(drawn, 1, storage=device)

        def full(*args, **options):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr("tempfile.TemporaryFile", full)
        with pytest.raises(InputError, match=r"study\.log: cannot hold a study: No space left on device$"):
            search(drawn, 1, storage=str(tmp_path / "study.log"))
        assert not list(tmp_path.iterdir())

    def test_an_incomplete_last_line_is_removed(self, drawn, tmp_path):
        file = tmp_path / "study.log"
        first = search(drawn, 2, storage=str(file))
        complete = file.read_bytes()
        file.write_bytes(complete + b'{"op_code":5,"worker')
        assert search(drawn, 2, storage=str(file)).trials == first.trials
        assert file.read_bytes().startswith(complete)
        for line in file.read_text().splitlines():
            json.loads(line)

    @pytest.mark.parametrize("objective", ["error", "error-size"])
    def test_a_disk_that_is_full_at_any_time(self, tmp_path, monkeypatch, objective):
        """Each of the calls that write fails in turn; the same search goes on later, and loses nothing."""
        backend = require_optuna().storages.journal.JournalFileBackend
        append, left = backend.append_logs, [0]

        def full(self, logs):
            left[0] -= 1
            if left[0] < 0:
                with open(self._file_path, "ab") as file:
                    file.write(b'{"op_')
                raise OSError(errno.ENOSPC, "No space left on device")
            append(self, logs)

        monkeypatch.setattr(backend, "append_logs", full)
        monkeypatch.setattr(owner, "SIGN_SECONDS", 0.0)
        monkeypatch.setattr(studies, "evaluate", quick_evaluate)
        monkeypatch.setattr(studies, "MAX_ATTEMPTS", 1000)
        messages = []
        for n in range(4, 400, 7):
            left[0] = n
            try:
                small_search(tmp_path / "study.log", Settings(n_trials=8, objective=objective)).run(say=str)
            except StorageError as error:
                messages.append(str(error))
            else:
                break
        assert len(messages) > 3
        assert set(messages) == {f"{tmp_path}/study.log: cannot hold a study: No space left on device"}
        left[0] = 1000
        study = small_search(tmp_path / "study.log", Settings(n_trials=8, objective=objective)).open()
        states = [trial.state.name for trial in study.get_trials() if trial.state.name != "FAIL"]
        assert states.count("COMPLETE") + states.count("PRUNED") == 8

    @pytest.mark.parametrize("name", ["study.log", "study.db"])
    def test_a_storage_that_goes_away(self, tmp_path, monkeypatch, name):
        folder = tmp_path / "runs"
        folder.mkdir()

        def gone(*args, **options):
            shutil.rmtree(folder)
            return quick_evaluate(*args, **options)

        monkeypatch.setattr(studies, "evaluate", gone)
        with pytest.raises(StorageError, match=rf"^{folder}/{name}: cannot hold a study: "):
            small_search(folder / name, Settings(n_trials=2)).run(say=str)

    def test_trials_of_a_process_that_was_killed_are_run_again(self, tmp_path, monkeypatch):
        monkeypatch.setattr(studies, "evaluate", quick_evaluate)
        tried = small_search(tmp_path / "study.log", Settings(n_trials=3))
        study, said = tried.open(), []
        tried.queue(study, said.append)
        ended = {"host": owner._host(), "pid": os.getpid(), "start": "before"}
        for _ in range(2):  # the preset, and one after it
            trial = study.ask()
            suggest(tried.space, trial)
            trial.set_user_attr(owner.PROCESS, ended)
        other = study.ask()
        other.set_user_attr(owner.PROCESS, ended | {"host": "elsewhere"})
        tried.run(say=said.append)
        assert said[0] == "trial 0 does not count: the process that ran it has ended"
        rows = {trial.number: trial for trial in study.get_trials()}
        assert [rows[n].state.name for n in range(3)] == ["FAIL", "FAIL", "RUNNING"]
        complete = [trial for trial in rows.values() if trial.state.name == "COMPLETE"]
        # The third is that of another machine.
        assert len(complete) == 2
        assert trial_values(complete[0]) == tried.neutral
        assert trial_values(complete[1]) == trial_values(rows[1])

    def test_a_worker_that_is_killed(self, drawn, tmp_path, monkeypatch):
        def parallel(n_jobs):
            return killed

        def killed(work):
            raise BrokenProcessPool

        monkeypatch.setattr("joblib.Parallel", parallel)
        with pytest.raises(InputError, match="one of 2 processes that ran trials was killed"):
            search(drawn, 3, storage=str(tmp_path / "study.log"), n_workers=2)

    def test_nothing_that_is_finished_is_said(self, drawn, tmp_path):
        """Another process runs all trials that were asked for."""
        storage = str(tmp_path / "study.log")
        plan, settings = plan_of(drawn, "auto"), Settings(n_trials=1)
        study = open_study(storage, study_name(plan, drawn, CHECKS, settings))
        study.ask().set_user_attr(owner.PROCESS, {"host": "elsewhere", "pid": 1, "start": "now"})
        with pytest.raises(
            InputError, match="no trial is finished; expected that 1 trial in other processes ended first"
        ):
            run_tuning(plan, drawn, CHECKS, settings, storage=storage)

    def test_a_trial_that_ends_its_process_again_and_again_is_given_up(self, monkeypatch):
        def out_of_memory(folds, values, **options):
            if values["relative n_stages"] == 2:
                raise MemoryError
            return quick_evaluate(folds, values, **options)

        monkeypatch.setattr(studies, "evaluate", out_of_memory)
        tried = small_search(None, Settings(n_trials=7))
        study = tried.open()
        for _ in range(MAX_ATTEMPTS):
            with pytest.raises(MemoryError):
                tried.run(study, say=str)
        tried.run(study, say=str)
        assert len(finished_trials(study, ("COMPLETE", "PRUNED"))) == 7

    def test_errors_that_are_not_known(self, drawn, monkeypatch):
        """No object left out of the second folds is found."""
        monkeypatch.setattr(tunes, "evaluate", lambda folds, values: (float("inf"), None))
        said = []
        tuned = search(drawn, 2, say=said.append)
        assert tuned.best == 0
        assert [row["second_error"] for row in tuned.trials] == [None, None]
        assert "trial 0 in other folds: none of the objects left out is found" in said
        json.dumps(tuned.trials, allow_nan=False)
        assert "inf" not in " ".join(tuned.lines)

    def test_optuna_is_quiet(self, recwarn):
        require_optuna()
        open_study(None, "a")
        assert not recwarn
