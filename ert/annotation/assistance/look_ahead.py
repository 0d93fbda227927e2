"""How certain the model is of the photos that may be next, computed before anybody opens them."""

import threading
from collections.abc import Callable, Sequence

from ert._core.exceptions import InputError


class LookAhead:
    """Scores of photos that may be next, computed in a thread; what is proposed for them is known by then, too.

    Parameters
    ----------
    candidates : callable
        Returns the photos that may be next; none where no model helps.
    score : callable
        Returns the mean confidence of what the model proposes for a photo.
    """

    def __init__(self, candidates: Callable[[], Sequence[int]], score: Callable[[int], float]) -> None:
        self._candidates, self._score = candidates, score
        self._lock = threading.Lock()
        self._doubts: dict[int, float] = {}
        # Counts models: what was computed by the one before is of no use.
        self._model = 0
        self._closed = threading.Event()
        self._wanted = threading.Event()
        threading.Thread(target=self._run, name="ert look ahead", daemon=True).start()

    def doubts(self) -> dict[int, float]:
        """Return one minus the score of each photo that has one."""
        with self._lock:
            return dict(self._doubts)

    def renew(self) -> None:
        """Forget all scores: the model is another one."""
        with self._lock:
            self._doubts = {}
            self._model += 1
        self._wanted.set()

    def go_on(self) -> None:
        """Compute the scores of further candidates, if there are any."""
        self._wanted.set()

    def close(self) -> None:
        """End the thread after the photo in work."""
        self._closed.set()
        self._wanted.set()

    def _run(self) -> None:
        while not self._closed.is_set():
            self._wanted.wait()
            self._wanted.clear()
            for i in self._candidates():
                if self._closed.is_set():
                    break
                self._look_at(i)

    def _look_at(self, i: int) -> None:
        with self._lock:
            known, model = i in self._doubts, self._model
        if known:
            return
        try:
            doubt = 1 - self._score(i)
        except InputError:
            doubt = 0.0  # A photo that cannot be read comes last.
        with self._lock:
            if model == self._model:
                self._doubts[i] = doubt
