"""A page that tells how a training goes, written anew after each stage."""

import datetime
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from ert._core.exceptions import InputError
from ert._core.files import write_atomically
from ert._core.system import provenance
from ert.evaluation.reports.evaluation import parameter_table, provenance_facts
from ert.evaluation.reports.html import facts, figure, key_figures, page, plain, table
from ert.metrics import normalizer_text
from ert.plotting.charts import stage_chart
from ert.predictor import ShapePredictor

__all__ = [
    "TrainingReport",
]


_REFRESH_SECONDS = 5


class TrainingReport:
    """Writes the page; a browser that shows it loads it again until the training has ended.

    Parameters
    ----------
    path : path-like
        ``.html``; every version replaces the one before when it is complete.
    title : str
    model : ShapePredictor
        The one that will be fitted.
    about : dict of str to str
        What it learns from, in words.
    finished : int
        Stages that an earlier, interrupted fit has finished: they are replayed in no time, and tell nothing
        of the time that the others take.
    clock : callable
        Returns seconds.

    Notes
    -----
    ``model.fit(X, y, on_stage=report.stage)`` in a ``with report:`` keeps the page up to date; if the fit
    fails or is interrupted, the page says so. A page that cannot be written is told on standard error, once,
    and does not end the training.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        title: str,
        model: ShapePredictor,
        about: Mapping[str, str],
        *,
        finished: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = Path(path)
        self._title = title
        self._model = model
        self._about = dict(about) | provenance_facts(provenance())
        self._finished = finished
        self._clock = clock
        self._begin = clock()
        self._ends: list[float] = []
        self._history: list[dict[str, float]] = []
        self._told = False

    def __enter__(self) -> Self:
        self._write("Reading images; the first stage follows", refresh=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self.end("Finished")
        else:
            stopped = "Interrupted" if kind is KeyboardInterrupt else f"Stopped: {error or kind.__name__}"
            self.end(stopped)

    def stage(self, model: ShapePredictor) -> None:
        """Write the page after a stage, of which the model's `history_` tells."""
        self._ends.append(self._clock())
        self._history = model.history_
        self._write("Training", refresh=True)

    def end(self, state: str) -> None:
        """Write the page for the last time.

        Parameters
        ----------
        state : str
            How the training ended, in a line.
        """
        self._write(state, refresh=False)

    def seconds_left(self) -> float | None:
        """Estimate how long the stages that are left will take; None before a stage tells."""
        left = self._model.n_stages - len(self._ends)
        trained = self._ends[self._finished :]
        if left == 0:
            return 0.0
        if not trained:
            return None
        # What came before the first stage, reading images and compiling, is no part of a stage: but when
        # there is one stage only, and none before it, it cannot be told apart.
        before = [self._ends[self._finished - 1]] if self._finished else []
        moments = [*before, *trained]
        if len(moments) == 1:
            return left * (moments[0] - self._begin)
        return left * (moments[-1] - moments[0]) / (len(moments) - 1)

    def _write(self, state: str, *, refresh: bool) -> None:
        try:
            with write_atomically(self._path) as temporary:
                temporary.write_text(self._page(state, refresh), encoding="utf-8")
        except InputError as error:
            if not self._told:
                print(f"ert: {error}; the training goes on", file=sys.stderr, flush=True)
            self._told = True

    def _page(self, state: str, refresh: bool) -> str:
        n_stages, done = self._model.n_stages, len(self._ends)
        spent, left = self._clock() - self._begin, self.seconds_left()
        now = datetime.datetime.now().astimezone()
        figures = [
            ("stages", f"{done} of {n_stages}", f"each of {self._model.n_trees} trees"),
            ("time so far", _duration(spent), "reading images and compiling included"),
        ]
        if refresh and left is not None:
            at = now + datetime.timedelta(seconds=left)
            figures.append(("time left", f"about {_duration(left)}", f"until {at:%H:%M}"))
        last = self._history[-1] if self._history else {}
        for key, label in (("train_nme", "training error"), ("validation_nme", "validation error")):
            if key in last:
                figures.append((label, f"{last[key]:.2f} %", f"after stage {last['stage']:.0f}"))
        bar = f'<progress value="{done}" max="{n_stages}" aria-label="stages finished">{done}</progress>'
        top = f"<p><strong>{plain(state)}</strong></p>\n{bar}\n{key_figures(figures)}"
        sections = [("What it learns from", facts(self._about)), ("Parameters", parameter_table(self._model))]
        if self._history:
            sections.insert(0, ("Error by stage", self._errors()))
        written = f"Written on {now:%Y-%m-%d at %H:%M:%S}"
        again = _REFRESH_SECONDS if refresh else None
        lead = f"{written}; loads itself again every {again} seconds" if refresh else written
        return page(self._title, lead, sections, top=top, refresh=again)

    def _errors(self) -> str:
        normalizer = normalizer_text(self._model.normalizer)
        chart = stage_chart(self._history, self._model.n_stages)
        keys = [key for key in ("train_nme", "validation_nme") if key in self._history[0]]
        head = ("stage", *(f"{key.removesuffix('_nme').replace('train', 'training')}, %" for key in keys))
        rows = [
            (f"{entry['stage']:.0f}", *(f"{entry[key]:.3f}" for key in keys))
            for entry in reversed(self._history)
        ]
        listed = table(f"Mean error in % of the {normalizer}, the last stage first", head, rows)
        caption = f"Mean error after each stage, in % of the {normalizer}: on the training samples"
        if len(keys) > 1:
            caption += ", and on the validation objects, which are not learned from"
        return f'<div class="columns">\n{figure(chart, f"{caption}.")}{listed}</div>'


def _duration(seconds: float) -> str:
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
