"""The report of a training: an HTML page that is updated after each stage."""

import datetime
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from ert._core.exceptions import InputError
from ert._core.system import provenance
from ert._core.types import StrPath
from ert.evaluation.report import check_report_packages, parameter_table, provenance_facts, write_page
from ert.metrics import normalizer_text
from ert.model.fitted import stage_text
from ert.plotting.charts import plot_learning_curve, plot_stages
from ert.predictor import ShapePredictor

_REFRESH_SECONDS = 5
_CURVE_HEAD = ("photos", "objects", "error (%)", "95 % interval")
_ERRORS = {"training": "train_nme", "validation": "validation_nme"}


class Validation(NamedTuple):
    """Errors of new photos, as the report shows them."""

    lines: Sequence[str]
    # Head and rows of a table of the errors of each landmark.
    landmarks: tuple[tuple[str, ...], list[tuple[str, ...]]]
    # The mean, and what it is a percentage of.
    error: tuple[str, str]
    # As `plot_learning_curve` takes it, and its rows and lines as texts.
    curve: Sequence[Mapping[str, Any]] = ()
    curve_rows: Sequence[tuple[str, ...]] = ()
    curve_lines: Sequence[str] = ()


class TrainingReport:
    """Report of a training; browsers reload the page until the training has ended.

    Call ``model.fit(X, y, on_stage=report.stage)`` within ``with report:``; if the fit fails or is interrupted, the
    page shows it. If the page cannot be written, a warning is printed once and the training continues.

    The stages in the checkpoint of an interrupted fit, `finished` of them, are replayed immediately, so they are
    ignored in the estimate of the remaining time. `clock` returns seconds.
    """

    def __init__(
        self,
        path: StrPath,
        title: str,
        model: ShapePredictor,
        about: Mapping[str, str],
        *,
        finished: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        check_report_packages(path)
        self._path = Path(path)
        self._title = title
        self._model = model
        self._n_stages = model.n_members * model.n_stages
        self._about = dict(about) | provenance_facts(provenance())
        self._finished = finished
        self._clock = clock
        self._begin = clock()
        self._ends: list[float] = []
        self._history: list[dict[str, float]] = []
        self._warned = False
        self._validation: Validation | None = None

    def __enter__(self) -> Self:
        self._write("Reading images before the first stage", refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self.end("Finished")
        else:
            self.end("Interrupted" if kind is KeyboardInterrupt else f"Stopped: {error or kind.__name__}")

    def stage(self, model: ShapePredictor) -> None:
        """Update the page after a stage, from the `history_` of the model."""
        self._ends.append(self._clock())
        self._history = model.history_
        self._write("Training", refresh=True)

    def end(self, state: str, validation: Validation | None = None) -> None:
        """Write the final page; `state` is how the training ended, `validation` what was found on new photos."""
        if validation is not None:
            self._validation = validation
        self._write(state, refresh=False)

    def seconds_left(self) -> float | None:
        """Estimate the time of the remaining stages; None before the first stage has finished."""
        left = self._n_stages - len(self._ends)
        if left and len(self._ends) <= self._finished:
            return None
        # Reading images and compiling, before the first stage, is not part of a stage, but cannot be separated from it
        # as long as there is no second one.
        ends = self._ends[max(self._finished - 1, 0) :]
        if len(ends) == 1:
            return left * (ends[0] - self._begin)
        return left * (ends[-1] - ends[0]) / (len(ends) - 1)

    def _write(self, state: str, *, refresh: bool) -> None:
        try:
            write_page(self._path, "training.html.j2", **self._values(state, refresh))
        except InputError as error:
            if not self._warned:
                print(f"ert: {error}; training continues", file=sys.stderr, flush=True)
            self._warned = True

    def _values(self, state: str, refresh: bool) -> dict[str, Any]:
        """Return the variables of the template."""
        n_stages, done = self._n_stages, len(self._ends)
        spent, left = self._clock() - self._begin, self.seconds_left()
        now = datetime.datetime.now().astimezone()
        figures = [
            ("stages", f"{done} of {n_stages}", f"of {self._model.n_trees} trees each"),
            ("elapsed time", _duration(spent), "including reading images and compiling"),
        ]
        if refresh and left is not None:
            at = now + datetime.timedelta(seconds=left)
            figures.append(("remaining time", f"about {_duration(left)}", f"until {at:%H:%M}"))
        if self._validation:
            figures.insert(0, ("error of new photos", *self._validation.error))
        last = self._history[-1] if self._history else {}
        names = [name for name, key in _ERRORS.items() if key in last]
        for name in names:
            figures.append((f"{name} error", f"{last[_ERRORS[name]]:.2f} %", f"after {stage_text(last)}"))
        sections = {"data": "Training data", "parameters": "Parameters"}
        lead = f"Written on {now:%Y-%m-%d at %H:%M:%S}"
        return {
            "title": self._title,
            "lead": f"{lead}; reloaded every {_REFRESH_SECONDS} seconds" if refresh else lead,
            "refresh": _REFRESH_SECONDS if refresh else None,
            "sections": (
                ({"validation": "Error of new photos"} if self._validation else {})
                | ({"errors": "Error by stage"} if self._history else {})
                | sections
            ),
            "validation": self._validation,
            "curve_head": _CURVE_HEAD,
            "curve_chart": (
                plot_learning_curve(self._validation.curve) if self._validation and self._validation.curve else None
            ),
            "state": state,
            "n_done": done,
            "n_stages": n_stages,
            "figures": figures,
            "unit": normalizer_text(self._model.normalizer),
            "chart": plot_stages(self._history, self._model.n_stages) if self._history else None,
            "error_head": ["stage", *(f"{name} (%)" for name in names)],
            "error_rows": [
                (stage_text(entry).removeprefix("stage "), *(f"{entry[_ERRORS[name]]:.3f}" for name in names))
                for entry in reversed(self._history)
            ],
            "about": self._about,
            "parameters": parameter_table(self._model),
        }


def _duration(seconds: float) -> str:
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
