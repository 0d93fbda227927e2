"""The study of a search: which trials wait, and the loop that runs them.

Trials are drawn from the seed and the number of those before, so that an interrupted search goes on as it would have.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np

from ert._core.exceptions import InputError, counted, one_line
from ert.pipeline.tuning.owner import PROCESS, is_running, owned
from ert.pipeline.tuning.storage import StorageError, open_study, quiet, require_optuna
from ert.pipeline.tuning.trial import STEPS, Cost, Fold, evaluate
from ert.training.space import FIRST_TRIALS, Dimension, Values, preset_values

OBJECTIVES = ("error", "error-time", "error-size")
# A trial ends when it is worse at a step than the median of at least this many finished trials.
MIN_FINISHED = 4
# Trials that are drawn without regard to those before, the first ones of `FIRST_TRIALS` included.
N_STARTUP_TRIALS = 10
# Of a point other than the preset: it may be what ends the process, for want of memory.
MAX_ATTEMPTS = 3


@dataclass(frozen=True)
class Settings:
    """What is searched for, and how long.

    Parameters
    ----------
    seconds : float or None
        After which no trial begins or goes on, but the first.
    n_trials : int or None
        Of the whole study, with those of earlier runs and of other processes.
    objective : {"error", "error-time", "error-size"}
        "error-time" and "error-size" search for all models that no other beats in both.
    max_ms : float or None
        Milliseconds that a face may take on one thread, without reading the image and finding the object.
    max_mb : float or None
        Megabytes that the model of a fold may have.
    """

    seconds: float | None = None
    n_trials: int | None = None
    objective: str = "error"
    max_ms: float | None = None
    max_mb: float | None = None

    def __post_init__(self) -> None:
        if self.objective not in OBJECTIVES:
            raise InputError(f"objective {one_line(str(self.objective))!r}: expected one of {', '.join(OBJECTIVES)}")
        for name, value in (("seconds", self.seconds), ("max_ms", self.max_ms), ("max_mb", self.max_mb)):
            if value is not None and not 0 < value < float("inf"):
                raise InputError(f"{name} {value:g}: expected a number above 0")
        if self.n_trials is not None and self.n_trials < 1:
            raise InputError(f"n_trials {self.n_trials}: expected at least 1")

    @property
    def n_directions(self) -> int:
        """How many numbers are minimized."""
        return 1 if self.objective == "error" else 2

    @property
    def with_cost(self) -> bool:
        """Whether the cost of models counts."""
        return self.objective != "error" or self.max_ms is not None or self.max_mb is not None

    def values(self, error: float, cost: Cost | None) -> list[float]:
        """Return what is minimized."""
        if cost is None or self.objective == "error":
            return [error]
        return [error, cost.ms if self.objective == "error-time" else cost.mb]

    def excess(self, ms: float, mb: float) -> str:
        """Return in which way a model is beyond the limits; "" is none."""
        if self.max_ms is not None and ms > self.max_ms:
            return f"{ms:.3g} ms a face, at most {self.max_ms:g} allowed"
        if self.max_mb is not None and mb > self.max_mb:
            return f"{mb:.3g} MB, at most {self.max_mb:g} allowed"
        return ""


def finished_trials(study: Any, states: Sequence[str] = ("COMPLETE",)) -> list[Any]:
    """Return the trials in some states."""
    return [trial for trial in study.get_trials(deepcopy=False) if trial.state.name in states]


def is_hopeless(value: float, others: Iterable[float]) -> bool:
    """Return whether the error at a step is above the median of what finished trials had there."""
    known = list(others)
    return len(known) >= MIN_FINISHED and value > float(np.median(known))


class _OutOfTimeError(Exception):
    pass


@dataclass
class Search:
    """A search that can run in several processes at a time.

    Parameters
    ----------
    folds : list of Fold
    space : tuple of Dimension
    settings : Settings
    storage : str or None
        A file (a journal, or SQLite by its suffix), the URL of a database, or None for this process.
    name : str
        Of the study.
    random_state : int
    """

    folds: list[Fold]
    space: tuple[Dimension, ...]
    settings: Settings
    storage: str | None
    name: str
    random_state: int

    @property
    def neutral(self) -> dict[str, Any]:
        """The point of the preset."""
        return preset_values(self.space, self.folds[0].prepared.model.get_params())

    def open(self) -> Any:
        """Return the study."""
        return open_study(self.storage, self.name, self.settings.n_directions)

    def queue(self, study: Any, say: Callable[[str], object]) -> None:
        """Let the points wait that are still to be tried: the preset, the first, and those of interrupted trials."""
        for trial in finished_trials(study, ("RUNNING",)):
            if not is_running(study.study_name, trial):
                study.tell(trial.number, state=_state("FAIL"), skip_if_finished=True)
                say(f"trial {trial.number} does not count: the process that ran it has ended")
        neutral, trials = self.neutral, study.get_trials(deepcopy=False)
        taken = [_point(trial) for trial in trials if trial.state.name != "FAIL"]
        begun = [_point(trial) for trial in trials if trial.state.name == "FAIL" and PROCESS in trial.user_attrs]
        first = [neutral | {k: v for k, v in values.items() if k in neutral} for values in ({}, *FIRST_TRIALS)]
        missing: list[dict[str, Any]] = []
        for point in (*first, *begun):
            tried = point != neutral and begun.count(point) >= MAX_ATTEMPTS
            # Of a trial that was interrupted while it was drawn, the point is not known.
            if point not in (*taken, *missing) and point.keys() == neutral.keys() and not tried:
                missing.append(point)
        if neutral in missing:  # it comes first
            for trial in finished_trials(study, ("WAITING",)):
                missing.append(_point(trial))
                study.tell(study.ask(), state=_state("FAIL"))
        for point in missing:
            study.enqueue_trial(point)

    def run(
        self,
        study: Any | None = None,
        *,
        until: float = float("inf"),
        reserve: float = 0.0,
        say: Callable[[str], object],
    ) -> None:
        """Run trials until there are enough or `until`, a time of `time.time`.

        `reserve` is what the work after the search takes, in times of an average trial.
        """
        study = self.open() if study is None else study
        seconds: list[float] = []
        for _ in count():
            self.queue(study, say)
            known = finished_trials(study, ("COMPLETE", "PRUNED", "RUNNING"))
            mean = float(np.mean(seconds)) if seconds else 0.0
            end = until - reserve * mean
            if self.settings.n_trials is not None and len(known) >= self.settings.n_trials:
                return
            if known and time.time() + mean / 2 >= end:
                return
            begin = time.time()
            trial = self._ask(study, len(known))
            try:
                with owned(trial) as give_sign:
                    text, finished = self._evaluate(study, trial, end if known else float("inf"), give_sign)
            except require_optuna().exceptions.UpdateFinishedTrialError:
                say(f"trial {trial.number}: was given up by another process, which took this one for dead")
                continue
            except BaseException as error:
                # The next run tries its parameters again.
                study.tell(trial, state=_state("FAIL"), skip_if_finished=True)
                if isinstance(error, _OutOfTimeError):
                    return
                raise
            if finished:
                seconds.append(time.time() - begin)
            say(f"trial {trial.number}: {text}{self._left(study, end)}")

    def _ask(self, study: Any, n_before: int) -> Any:
        optuna = require_optuna()
        seed = int(np.random.SeedSequence([self.random_state, n_before]).generate_state(1)[0])
        with quiet():
            study.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=N_STARTUP_TRIALS, multivariate=True)
            return study.ask()

    def _evaluate(self, study: Any, trial: Any, end: float, give_sign: Callable[[], None]) -> tuple[str, bool]:
        """Run a trial; return what has come out, and whether it went to its end."""
        settings = self.settings
        values = suggest(self.space, trial)
        is_preset = values == self.neutral
        last = 0

        def on_step(step: int, error: float) -> None:
            nonlocal last
            last = step
            if settings.objective != "error":
                return
            trial.report(error, step)
            before = [each.intermediate_values.get(step) for each in finished_trials(study)]
            if not is_preset and is_hopeless(error, (value for value in before if value is not None)):
                raise require_optuna().TrialPruned(f"{error:.3f} %")

        def on_stage() -> None:
            give_sign()
            if time.time() >= end:
                raise _OutOfTimeError

        def on_cost(cost: Cost) -> None:
            trial.set_user_attr("ms", cost.ms)
            trial.set_user_attr("mb", cost.mb)
            excess = settings.excess(cost.ms, cost.mb)
            if excess and not is_preset:
                raise require_optuna().TrialPruned(excess)

        try:
            costs: Any = {"on_cost": on_cost} if settings.with_cost else {}
            error, cost = evaluate(self.folds, values, on_step=on_step, on_stage=on_stage, **costs)
        except require_optuna().TrialPruned as stop:
            study.tell(trial, state=_state("PRUNED"), skip_if_finished=True)
            part = (last + 1) / (STEPS * len(self.folds))
            return f"stopped after {part:.0%} of its stages: {stop}", False
        except InputError as problem:
            if is_preset or isinstance(problem, StorageError):
                raise
            study.tell(trial, state=_state("PRUNED"), skip_if_finished=True)
            return f"left out: {problem}", False
        study.tell(trial, settings.values(error, cost), skip_if_finished=True)
        shown = f"error {error:.3f} %"
        if cost is not None:
            shown += f", {cost.ms:.2f} ms a face, {cost.mb:.2f} MB"
        return shown + (" (the preset)" if is_preset else ""), True

    def _left(self, study: Any, end: float) -> str:
        complete = [trial for trial in finished_trials(study) if allowed(trial, self.settings)]
        best = min(complete, key=lambda trial: (trial.values[0], trial.number), default=None)
        text = "" if best is None else f"; best so far {best.values[0]:.3f} % of trial {best.number}"
        if end < float("inf"):
            minutes, seconds = divmod(max(0, round(end - time.time())), 60)
            text += f", {minutes}:{seconds:02d} left"
        if self.settings.n_trials is not None:
            n = len(finished_trials(study, ("COMPLETE", "PRUNED", "RUNNING")))
            text += f", {n} of {counted(self.settings.n_trials, 'trial')}"
        return text


def _state(name: str) -> Any:
    return require_optuna().trial.TrialState[name]


def suggest(space: Iterable[Dimension], trial: Any) -> dict[str, Any]:
    """Draw a point of the space."""
    values: dict[str, Any] = {}
    for each in space:
        if each.choices:
            values[each.name] = trial.suggest_categorical(each.name, each.choices)
        elif isinstance(each.low, int) and not each.factor:
            values[each.name] = trial.suggest_int(each.name, each.low, int(each.high))
        else:
            # Fewer digits than a float: a report shows the very values.
            drawn = trial.suggest_float(each.name, each.low, each.high, log=each.factor)
            values[each.name] = round(drawn, 3)
    return values


def _point(trial: Any) -> dict[str, Any]:
    """Return the point that a trial has, or gets when it begins, as it is stored."""
    return {**trial.system_attrs.get("fixed_params", {}), **trial.params}


def allowed(trial: Any, settings: Settings) -> bool:
    """Return whether a trial is within the limits."""
    return not settings.with_cost or not settings.excess(trial.user_attrs["ms"], trial.user_attrs["mb"])


def trial_values(trial: Any) -> Values:
    """Return the point of the space of a trial, as `suggest` has drawn it."""
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in trial.params.items()}
