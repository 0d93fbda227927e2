"""The study of a search: where its trials are stored, and the loop that runs them.

Trials are drawn from the seed and the number of those before, so that an interrupted search goes on as it would have.
"""

import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from ert._core.exceptions import InputError, one_line
from ert.pipeline.tuning.trial import STEPS, Cost, Fold, evaluate
from ert.training.space import FIRST_TRIALS, Dimension, Values, preset_values

OBJECTIVES = ("error", "error-time", "error-size")
SQLITE_SUFFIXES = (".db", ".sqlite", ".sqlite3")
# A trial ends when it is worse at a step than the median of at least this many finished trials.
MIN_FINISHED = 4
# Trials that are drawn without regard to those before, the first ones of `FIRST_TRIALS` included.
N_STARTUP_TRIALS = 10


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
        for name, value in (("time", self.seconds), ("max_ms", self.max_ms), ("max_mb", self.max_mb)):
            if value is not None and not 0 < value < float("inf"):
                raise InputError(f"{name} {value:g}: expected a number above 0")
        if self.n_trials is not None and self.n_trials < 1:
            raise InputError(f"trials {self.n_trials}: expected at least 1")

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


def require_optuna() -> Any:
    """Return the package, or raise an InputError that names what to install."""
    try:
        optuna = import_module("optuna")
    except ImportError:
        raise InputError('ert tune: needs optuna, which is not installed: pip install "ert-landmarks[tune]"') from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


@contextmanager
def _quiet() -> Iterator[None]:
    """Ignore warnings that features of Optuna may change."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=require_optuna().exceptions.ExperimentalWarning)
        yield


def check_storage(storage: str) -> None:
    """Raise an InputError, before any work, if what is there cannot hold a study."""
    if "://" in storage or Path(storage).exists():
        with _storage_errors(storage):
            _backend(require_optuna(), storage)


@contextmanager
def _storage_errors(storage: str | None) -> Iterator[None]:
    # A URL may have a password.
    shown = "" if storage is None else storage.rpartition("@")[2] if "://" in storage else storage
    try:
        with _quiet():
            yield
    except OSError as error:
        raise InputError(f"{shown}: cannot hold a study: {error.strerror or one_line(str(error))}") from error
    except Exception as error:
        # Of SQLAlchemy, of a driver, or of a damaged file.
        raise InputError(f"{shown}: cannot hold a study: {one_line(str(error), 200)}") from error


def open_study(storage: str | None, name: str, settings: Settings) -> Any:
    """Return the study of a name, which is made if the storage has none; None stores it in memory."""
    optuna = require_optuna()
    n = 1 if settings.objective == "error" else 2
    with _storage_errors(storage):
        options: Any = {"study_name": name, "load_if_exists": True, "directions": ["minimize"] * n}
        return optuna.create_study(storage=_backend(optuna, storage), **options)


def _backend(optuna: Any, storage: str | None) -> Any:
    if storage is None:
        return None
    if "://" in storage or Path(storage).suffix.lower() in SQLITE_SUFFIXES:
        url = storage if "://" in storage else f"sqlite:///{Path(storage).absolute()}"
        return optuna.storages.RDBStorage(url)
    journal = optuna.storages.journal
    # A lock that network file systems have, too.
    return journal.JournalStorage(journal.JournalFileBackend(str(storage)))


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
        A file (a journal, or SQLite with one of `SQLITE_SUFFIXES`), the URL of a database, or None for this process.
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
        """Return the study, in which the first trials wait."""
        study, neutral = open_study(self.storage, self.name, self.settings), self.neutral
        if not study.get_trials(deepcopy=False):
            for values in ({}, *FIRST_TRIALS):
                study.enqueue_trial(neutral | {k: v for k, v in values.items() if k in neutral}, skip_if_exists=True)
        return study

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
                text, finished = self._evaluate(study, trial, end if known else float("inf"))
            except BaseException as error:
                study.tell(trial, state=_state("FAIL"))
                if isinstance(error, (_OutOfTimeError, KeyboardInterrupt)):
                    # The next run begins with it.
                    study.enqueue_trial(trial.params)
                if isinstance(error, _OutOfTimeError):
                    return
                raise
            if finished:
                seconds.append(time.time() - begin)
            say(f"trial {trial.number}: {text}{self._left(study, end)}")

    def _ask(self, study: Any, n_before: int) -> Any:
        optuna = require_optuna()
        seed = int(np.random.SeedSequence([self.random_state, n_before]).generate_state(1)[0])
        with _quiet():
            study.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=N_STARTUP_TRIALS, multivariate=True)
            return study.ask()

    def _evaluate(self, study: Any, trial: Any, end: float) -> tuple[str, bool]:
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
            study.tell(trial, state=_state("PRUNED"))
            part = (last + 1) / (STEPS * len(self.folds))
            return f"stopped after {part:.0%} of its stages: {stop}", False
        except InputError as problem:
            if is_preset:
                raise
            study.tell(trial, state=_state("PRUNED"))
            return f"left out: {problem}", False
        study.tell(trial, settings.values(error, cost))
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
            text += f", {n} of {self.settings.n_trials} trials"
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


def allowed(trial: Any, settings: Settings) -> bool:
    """Return whether a trial is within the limits."""
    return not settings.with_cost or not settings.excess(trial.user_attrs["ms"], trial.user_attrs["mb"])


def trial_values(trial: Any) -> Values:
    """Return the point of the space of a trial, as `suggest` has drawn it."""
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in trial.params.items()}
