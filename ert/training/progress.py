"""Progress of a fit: a bar on a terminal, one line per stage elsewhere."""

import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from ert.metrics import normalizer_text


def log(text: str) -> None:
    """Write a line to standard error."""
    print(f"ert: {text}", file=sys.stderr, flush=True)


class Progress:
    """The progress of a fit on standard error, silent unless `verbose`.

    Parameters
    ----------
    n_stages, n_trees : int
        Number of stages, and of trees in each.
    normalizer : str or None
        What errors are percentages of.
    verbose : int
    """

    def __init__(self, n_stages: int, n_trees: int, normalizer: str | None, verbose: int) -> None:
        self._n_stages, self._n_trees, self._normalizer = n_stages, n_trees, normalizer
        self._verbose = bool(verbose)
        self._bar: Any = None
        self._begin = time.monotonic()
        self._n_replayed = 0

    def __enter__(self) -> Self:
        if self._verbose and sys.stderr.isatty():
            from tqdm import tqdm

            total = self._n_stages * self._n_trees
            self._bar = tqdm(total=total, unit="tree", desc="training", dynamic_ncols=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def add_trees(self, n: int) -> None:
        """Count trees that have been grown."""
        if self._bar is not None:
            self._bar.update(n)

    def end_stage(self, number: int, errors: Mapping[str, float], *, replayed: bool) -> None:
        """Report the errors ("train", "validation") after stage `number`, counted from 1, in percent."""
        if replayed:
            self._n_replayed = number
            self.add_trees(self._n_trees)
        if self._bar is not None:
            self._bar.set_postfix({name: f"{value:.2f} %" for name, value in errors.items()})
        elif self._verbose:
            elapsed = time.monotonic() - self._begin
            names = {"train": "training", "validation": "validation"}
            text = ", ".join(f"{names[name]} error {value:.2f} %" for name, value in errors.items())
            line = f"stage {number} of {self._n_stages}: {text} of the {normalizer_text(self._normalizer)}"
            line += f", {_clock(elapsed)} elapsed"
            if number > self._n_replayed:
                left = elapsed / (number - self._n_replayed) * (self._n_stages - number)
                line += f", {_clock(left)} left"
            log(line)


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
