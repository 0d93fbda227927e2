"""From a dataset to a model with the parameters that suit it: the search, the choice among the best, the training."""

import math
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zlib import crc32

from ert._core.arguments import checked_arguments
from ert._core.exceptions import InputError, counted
from ert._core.types import StrPath
from ert.datasets.dataset import Dataset
from ert.faces.detection import Detector
from ert.pipeline.plan import Plan, make_plan
from ert.pipeline.train import Checks, check_splits, run_training
from ert.pipeline.tuning.storage import open_study, require_optuna
from ert.pipeline.tuning.study import Search, Settings, allowed, finished_trials, trial_values
from ert.pipeline.tuning.trial import Fold, evaluate, prepare_folds
from ert.pipeline.validate import object_digests
from ert.predictor import ShapePredictor
from ert.training.fit import log
from ert.training.space import change, search_space

DEFAULT_SECONDS = 1800.0
# The best trials of a search are lucky ones, too: these many, and the preset, are measured again in other folds.
N_FINALISTS = 3


@dataclass(frozen=True)
class Tuned:
    """A tuned model and how it was found.

    Parameters
    ----------
    model : ShapePredictor
        Trained on all objects.
    study : optuna.Study
    best : int
        The number of its trial.
    preset : int or None
        The number of the trial with the parameters of the preset.
    trials : list of dict
        "number", "state", "error" in percent, "second_error" in other folds (None where it is not known), "ms", "mb",
        and "values" by dimension.
    parameters : dict
        Of the model that differ from the preset's.
    """

    model: ShapePredictor
    study: Any
    best: int
    preset: int | None
    trials: list[dict[str, Any]]
    parameters: dict[str, Any]

    @property
    def front(self) -> list[int]:
        """The numbers of the trials that no other beats in all that is minimized."""
        return [trial.number for trial in self.study.best_trials]

    @property
    def lines(self) -> list[str]:
        """What has come out, in words."""
        rows = {row["number"]: row for row in self.trials}
        states = [row["state"] for row in self.trials]
        lines = [f"{counted(len(states), 'trial')}, {states.count('PRUNED')} of them stopped early"]
        best = rows[self.best]
        if self.best == self.preset:
            return [*lines, f"the preset stays: no other trial is better in both cross-validations ({_both(best)})"]
        line = f"trial {self.best}: {_both(best)}"
        if self.preset is not None:
            preset = rows[self.preset]
            line += f"; the preset: {_both(preset)}"
            # Those of the search are of the best of many trials.
            if preset["second_error"] and best["second_error"]:
                line += f"; there {best['second_error'] / preset['second_error'] - 1:+.0%}"
        lines.append(line)
        lines.append("parameters: " + ", ".join(f"{name}={value}" for name, value in self.parameters.items()))
        return lines


def _both(row: Mapping[str, Any]) -> str:
    text = f"error {row['error']:.3f} %"
    return text if row["second_error"] is None else f"{text}, in other folds {row['second_error']:.3f} %"


@checked_arguments
def tune(
    dataset: Dataset,
    *,
    seconds: float | None = None,
    n_trials: int | None = None,
    objective: str = "error",
    max_ms: float | None = None,
    max_mb: float | None = None,
    storage: StrPath | None = None,
    cv: int = 5,
    groups: Sequence[Hashable] | None = None,
    n_workers: int = 1,
    box_from: str = "auto",
    preset: str = "auto",
    detector: str | Detector = "auto",
    notes: Mapping[str, str] | None = None,
    **params: Any,
) -> ShapePredictor:
    """Search the parameters that suit a dataset with Optuna, and train a model with the best ones.

    Parameters
    ----------
    dataset : Dataset
        Result of :func:`ert.load_dataset`.
    seconds : float, optional
        Time for all; by default 30 minutes where there is no `n_trials`.
    n_trials : int, optional
        Trials of the study, with those of earlier runs and of other processes. With it and without `seconds`, the model
        is the same for the same `random_state`.
    objective : {"error", "error-time", "error-size"}
        Minimize the error of a cross-validation, or also the time of a face or the size of the file: the study then has
        the models that no other beats in both. The model that is returned has the smallest error of those allowed.
    max_ms, max_mb : float, optional
        Milliseconds that a face may take on one thread, without reading the image and finding the object, and size of
        the file.
    storage : path or URL, optional
        Where the study is kept, so that it goes on after an interrupt, and several processes and machines share it: a
        file (a journal; SQLite where it ends in ``.db``), or the URL of a database.
    cv : int
        Folds of the cross-validations.
    groups : sequence, optional
        As for :func:`ert.train`.
    n_workers : int
        Processes of joblib that run trials; `storage` is needed. Within ``joblib.parallel_config("dask")``, they are
        tasks of a Dask cluster.
    box_from, preset, detector, notes
        As for :func:`ert.train`; the search starts at the parameters of the preset.
    **params
        Parameters of :class:`ert.ShapePredictor`, which are not searched.

    Returns
    -------
    ShapePredictor
        Fitted on all objects; the note "tuning" says what has been found.

    Raises
    ------
    InputError
        When Optuna is missing, or parameters, images or landmarks cannot be used.

    Examples
    --------
    >>> import ert
    >>> model = ert.tune(ert.load_dataset("wings.tps"), seconds=600)  # doctest: +SKIP
    """
    settings = Settings(seconds, n_trials, objective, max_ms, max_mb)
    plan = make_plan(dataset, box_from=box_from, preset=preset, detector=detector, given=params)
    say = log if ShapePredictor(**params).verbose else lambda text: None
    options: Any = {"storage": None if storage is None else str(storage), "n_workers": n_workers, "notes": notes}
    return run_tuning(plan, dataset, Checks(cv=cv, groups=groups), settings, say=say, **options).model


def run_tuning(
    plan: Plan,
    dataset: Dataset,
    checks: Checks,
    settings: Settings,
    *,
    storage: str | None = None,
    n_workers: int = 1,
    notes: Mapping[str, str] | None = None,
    say: Callable[[str], object] = lambda text: None,
) -> Tuned:
    """Search, choose among the best, and train; `say` is called with lines about what happens."""
    begin = time.time()
    require_optuna()
    if n_workers < 1:
        raise InputError(f"n_workers {n_workers}: expected at least 1")
    if n_workers > 1 and storage is None:
        raise InputError(f"n_workers {n_workers}: expected a storage, which they share")
    if not checks.cv:
        raise InputError(f"cv {checks.cv}: expected at least 2 folds")
    if settings.seconds is None and settings.n_trials is None:
        settings = replace(settings, seconds=DEFAULT_SECONDS)
    norm = checks.options(dataset)["norms"][0]
    say(plan.text)
    seed = plan.random_state
    splits = check_splits(dataset, checks, seed)
    name = study_name(plan, dataset, checks, settings)
    # A storage that cannot be written to ends here, before the folds are prepared.
    open_study(storage, name, settings.n_directions)
    folds = prepare_folds(plan, dataset, splits, norm)
    if not any(fold.boxes.found.any() for fold in folds):
        raise InputError(f"{dataset.name}: none of {len(dataset)} objects left out is found: their error is unknown")
    space = search_space(plan.given, folds[0].prepared.model.get_params())
    for text in filter(None, (folds[0].prepared.choice, folds[0].prepared.advice)):
        say(f"{text} (in the first fold)")
    search = Search(folds, space, settings, storage, name, seed)
    study = search.open()
    if known := len(finished_trials(study, ("COMPLETE", "PRUNED"))):
        say(f"{storage}: continuing after {counted(known, 'trial')}")
    search.queue(study, say)
    until = float("inf") if settings.seconds is None else begin + settings.seconds
    # The finalists, the preset, and the folds and the model of all objects.
    reserve = N_FINALISTS + 1.5
    if n_workers == 1:
        search.run(study, until=until, reserve=reserve, say=say)
    else:
        from concurrent.futures.process import BrokenProcessPool

        from joblib import Parallel, delayed

        work = delayed(search.run)(until=until, reserve=reserve, say=say)
        try:
            Parallel(n_jobs=n_workers)([work] * n_workers)
        except BrokenProcessPool:
            text = f"one of {n_workers} processes that ran trials was killed, perhaps for want of memory"
            raise InputError(f"{text}; finished trials are kept") from None
    complete = [trial for trial in finished_trials(study) if allowed(trial, settings)]
    if not complete:
        n = len(finished_trials(study, ("COMPLETE", "PRUNED")))
        if not n:
            others = counted(len(finished_trials(study, ("RUNNING",))), "trial")
            raise InputError(f"no trial is finished; expected that {others} in other processes ended first")
        raise InputError(f"{counted(n, 'trial')}, none of them within the limits")
    preset = next((t.number for t in finished_trials(study) if trial_values(t) == search.neutral), None)
    second = _second_errors(
        search,
        study,
        complete,
        preset,
        lambda seed: prepare_folds(plan, dataset, check_splits(dataset, checks, seed), norm),
        say,
    )
    best = _choose({trial.number: trial for trial in complete}, second, preset)
    values = trial_values(best)
    trials = [
        {
            "number": trial.number,
            "state": trial.state.name,
            "error": trial.values[0] if trial.values else None,
            "second_error": error if (error := second.get(trial.number, math.inf)) < math.inf else None,
            **{key: trial.user_attrs.get(key) for key in ("ms", "mb")},
            "values": trial_values(trial),
        }
        for trial in study.get_trials(deepcopy=False)
        if trial.state.name in ("COMPLETE", "PRUNED")
    ]
    say(f"training with the parameters of trial {best.number} on all {len(dataset)} objects")
    row = next(row for row in trials if row["number"] == best.number)
    found = {"tuning": f"trial {best.number} of {len(trials)}: {_both(row)} ({checks.n_folds} folds)"}
    changes = {} if best.number == preset else values
    model = run_training(
        replace(plan, changes=changes), dataset, Checks(), notes=found | dict(notes or {}), brief=True, say=say
    ).model
    base = folds[0].prepared.model.get_params()
    changed = {name: model.get_params()[name] for name, value in change(base, changes).items() if value != base[name]}
    return Tuned(model, study, best.number, preset, trials, changed)


def _choose(trials: Mapping[int, Any], second: Mapping[int, float], preset: int | None) -> Any:
    """Return the trial with the smallest error in both cross-validations: the preset, unless it is worse in each."""
    errors = {number: (trials[number].values[0], error) for number, error in second.items()}
    if preset in errors:
        first, other = errors[preset]
        errors = {n: each for n, each in errors.items() if n == preset or (each[0] < first and each[1] < other)}
    return trials[min(errors, key=lambda n: (sum(errors[n]), errors[n], n))]


def _second_errors(
    search: Search,
    study: Any,
    complete: Sequence[Any],
    preset: int | None,
    make_folds: Callable[[int], list[Fold]],
    say: Callable[[str], object],
) -> dict[int, float]:
    """Return the errors of the best trials and of the preset in other folds; they are kept in the study."""
    ranked = sorted(complete, key=lambda trial: (trial.values[0], trial.number))
    finalists = {t.number: t for rank, t in enumerate(ranked) if rank < N_FINALISTS or t.number == preset}
    stored = study.user_attrs
    known = {n: stored[key] for n in finalists if (key := f"second error of {n}") in stored}
    # JSON, and with it some databases, have no infinity.
    known = {n: math.inf if error is None else error for n, error in known.items()}
    if missing := sorted(finalists.keys() - known.keys()):
        folds = make_folds(search.random_state + 1)
        for number in missing:
            known[number], _ = evaluate(folds, trial_values(finalists[number]))
            is_known = known[number] < math.inf
            study.set_user_attr(f"second error of {number}", known[number] if is_known else None)
            text = f"error {known[number]:.3f} %" if is_known else "none of the objects left out is found"
            say(f"trial {number} in other folds: {text}")
    return known


def study_name(plan: Plan, dataset: Dataset, checks: Checks, settings: Settings) -> str:
    """Return the name of the study of a search: another one for other data, folds, parameters or limits."""
    ignored = ("n_jobs", "max_memory", "verbose")
    about = {
        "objects": "".join(object_digests(dataset.landmarks)),
        "files": [file.name for file in dataset.files],
        "folds": (checks.n_folds, checks.labels(dataset) if checks.groups is not None else None),
        "norms": checks.options(dataset)["norms"],
        "plan": (plan.box_source, plan.preset),
        "given": sorted((name, str(value)) for name, value in plan.given.items() if name not in ignored),
        "settings": (settings.objective, settings.max_ms, settings.max_mb),
    }
    return f"ert tune {crc32(repr(about).encode()):08x}"


def default_storage(out: Path) -> Path:
    """Return the file of the study beside a model."""
    return out.with_name(f"{out.stem}.tune.log")
