"""The assistant: it trains models of the photos that are done, proposes landmarks in the others, and orders them."""

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from ert._core.exceptions import InputError
from ert._core.images import load_image
from ert.annotation.assistance.advice import advice
from ert.annotation.assistance.corrections import Corrections
from ert.annotation.assistance.look_ahead import LookAhead
from ert.annotation.assistance.proposals import Proposal, propose
from ert.annotation.assistance.queue import Ranking
from ert.annotation.assistance.trainer import Trained, error_figures, landmark_places, score_of, work
from ert.annotation.process import Job
from ert.annotation.project import Project
from ert.predictor import ShapePredictor

# A model is trained again when the number of photos done has grown by this factor, and by this number at least.
GROWTH, MIN_MORE_PHOTOS = 1.5, 5
# What errors are measured in, for the page.
SIZE = "the diagonal of the rectangle around the landmarks of an object"
# Proposals that are kept.
MAX_CACHED = 500


class Assistant:
    """A model that helps with the photos of a project that are not done; all methods may be called from any thread.

    Parameters
    ----------
    project : Project
    model : ShapePredictor, optional
        Helps from the first photo on, until a model of the photos done has smaller errors in them.
    first_at : int
        Photos done at which the first model is trained; 0 is never, unless somebody asks for it.
    n_jobs : int
        Threads of a training; -1 is all processors.
    random_state : int
        Seed: the same photos done in the same state give the same model.
    params : dict, optional
        Other parameters of :class:`ert.ShapePredictor`, in place of those that are chosen for the photos.

    Raises
    ------
    InputError
        When the model has another number of landmarks than the project.
    """

    def __init__(
        self,
        project: Project,
        *,
        model: ShapePredictor | None = None,
        first_at: int = 10,
        n_jobs: int = -1,
        random_state: int = 0,
        params: Mapping[str, Any] | None = None,
    ) -> None:
        n_landmarks = len(project.landmark_names)
        if model is not None and model.n_landmarks_ != n_landmarks:
            raise InputError(f"the model has {model.n_landmarks_} landmarks, the project {n_landmarks}")
        self._project, self._first_at = project, first_at
        self._options: dict[str, Any] = {
            "n_jobs": n_jobs,
            "random_state": random_state,
            "params": params,
            "base": model,
        }
        self._lock = threading.RLock()
        self._predicting = threading.Lock()
        self._corrections = Corrections(project)
        # One entry for each training, of this server and of those before: {"n_photos", "errors": {photo: error}}.
        self._history: list[dict[str, Any]] = []
        # Of each number of photos; intervals take too long for each status.
        self._figures: dict[int, dict[str, Any]] = {}
        self._advice = ""
        for entry in project.entries("training"):
            self._remember(entry)
        self._trained: Trained | None = None
        if model is not None:
            self._trained = Trained(model, None, {}, landmark_places(model, project.landmark_names), 0)
        # Goes on after a restart: a page may still show what an earlier model proposed.
        self._n_versions = len(self._history)
        self._version = 0
        self._cache: OrderedDict[tuple[int, int], dict[str, Any]] = OrderedDict()
        self._ranking = Ranking(project.files, random_state)
        self._ahead = LookAhead(self._candidates, lambda i: float(self._proposal(i)["score"]))
        if model is not None:
            self._next_version()
        self._state, self._text, self._progress = "", "", 0.0
        self._tried_at = 0
        self._job: Job | None = None
        self._n_jobs = 0
        self._closed = False
        project.listen(self._changed)
        self._train_if_due()

    def status(self) -> dict[str, Any]:
        """Return the state of the model, as the page shows it."""
        with self._lock:
            next_at = self._next_at()
            return {
                "state": self._state or ("ready" if self._version else "waiting"),
                "version": self._version,
                "progress": self._progress,
                "text": self._text or self._plain_text(next_at),
                "n_photos": 0 if self._trained is None else self._trained.n_photos,
                "next_at": next_at,
                "errors": list(self._figures.values()),
                "size": SIZE,
                "advice": self._advice,
                "corrections": self._corrections.counts(),
            }

    def proposal(self, i: int) -> dict[str, Any]:
        """Return the proposed landmarks of a photo as the page has them; no objects where there is no model.

        Raises
        ------
        InputError
            When the photo cannot be read.
        """
        found = self._proposal(i)
        if found["model"]:
            self._corrections.propose(i, found["model"], [one["landmarks"] for one in found["objects"]])
        return found

    def _proposal(self, i: int) -> dict[str, Any]:
        with self._predicting:
            with self._lock:
                trained, version = self._trained, self._version
                found = self._cache.get((version, i))
            if trained is None:
                return {"model": 0, "objects": [], "score": 0.0}
            if found is None:
                image = load_image(self._project.files[i])
                objects = propose(trained.model, image, trained.calibration, max_objects=trained.max_objects)
                found = self._as_json(trained, version, objects)
                with self._lock:
                    self._cache[version, i] = found
                    if len(self._cache) > MAX_CACHED:
                        self._cache.popitem(last=False)
        return found

    def order(self) -> list[int]:
        """Return the photos that are not done, the one that helps most first."""
        return self._ranking.order(self._left(), self._done(), self._ahead.doubts())

    def _candidates(self) -> list[int]:
        with self._lock:
            helps = self._trained is not None and self._trained.model.box_source_ != "given"
        return self._ranking.candidates(self._left()) if helps else []

    def train(self) -> None:
        """Train a model now on the photos that are done, unless one is being trained.

        Raises
        ------
        InputError
            When fewer than two photos are done.
        """
        with self._lock:
            if self._job is None and not self._closed:
                if (n_done := len(self._done())) < 2:
                    raise InputError(f"training: {_photos(n_done)} done, expected at least 2")
                self._start()

    def stop(self) -> None:
        """End a training at once; the model before it goes on helping."""
        with self._lock:
            job, self._job = self._job, None
            if job is not None:
                self._set("stopped", "The training was stopped.")
        if job is not None:
            job.stop()

    def close(self) -> None:
        """End a training, and do not train again."""
        self._closed = True
        self.stop()
        self._ranking.close()
        self._ahead.close()

    def _changed(self, i: int) -> None:
        # The photo is saved already; a full disk is told where the next change is.
        with suppress(InputError):
            self._corrections.change(i)
        self._ahead.go_on()
        self._train_if_due()

    def _done(self) -> list[int]:
        return [i for i, state in enumerate(self._project.states()) if state.status == "done"]

    def _left(self) -> list[int]:
        return [i for i, state in enumerate(self._project.states()) if state.status in ("todo", "started")]

    def _next_at(self) -> int | None:
        """Return the number of photos done at which a model is trained; None where no photo would be left for it."""
        n, n_left = self._tried_at, len(self._left())
        if not self._first_at or not n_left:
            return None
        next_at = max(n + MIN_MORE_PHOTOS, round(GROWTH * n)) if n else max(2, self._first_at)
        return next_at if next_at < len(self._done()) + n_left else None

    def _train_if_due(self) -> None:
        with self._lock:
            next_at = self._next_at()
            due = next_at is not None and len(self._done()) >= next_at
            if due and self._job is None and not self._closed:
                self._start()

    def _plain_text(self, next_at: int | None) -> str:
        if self._trained is None:
            if next_at is None:
                return self._why_none()
            return f"The first model is trained when {next_at} photos are done."
        if self._trained.model.box_source_ == "given":
            return "The model needs boxes drawn by a person, so it cannot propose landmarks."
        if self._trained.n_photos:
            return f"The model was trained on {_photos(self._trained.n_photos)}."
        return "The model that was given proposes landmarks."

    def _why_none(self) -> str:
        """Say why no training is due."""
        if not self._left():
            reason = "All photos are done or skipped, so there are none left to propose landmarks in."
        elif not self._first_at:
            reason = "Training was turned off when ert annotate was started."
        else:
            reason = "There are too few photos for a model that would help with the last ones."
        return f"{reason} You can still train a model here."

    def _set(self, state: str, text: str = "", progress: float = 0.0) -> None:
        self._state, self._text, self._progress = state, text, progress

    def _next_version(self) -> None:
        self._n_versions += 1
        self._version = self._n_versions
        self._cache.clear()
        self._ahead.renew()

    def _start(self) -> None:
        """Start a process that trains."""
        self._tried_at = n_done = len(self._done())
        self._set("training", f"Training on {_photos(self._tried_at)}.")
        self._n_jobs += 1
        number = self._n_jobs

        def note(message: tuple[float, str]) -> None:
            with self._lock:
                if self._job is not None and number == self._n_jobs:
                    self._set("training", message[1], message[0])

        def end(trained: Trained | None, error: str) -> None:
            if trained is not None:
                # Before a person waits for it.
                trained.model.warm_up(rotated=True)
            with self._lock:
                if self._job is None or number != self._n_jobs:
                    return
                self._job = None
                if trained is None:
                    self._set("failed", f"The training failed: {error}")
                else:
                    self._trained = trained
                    self._next_version()
                    self._set("")
            if trained is not None:
                entry = self._entry(trained, n_done)
                self._remember(entry)
                with suppress(InputError):
                    self._project.log(entry)
            self._train_if_due()

        self._job = Job(work, self._project.done(), self._options, on_message=note, on_end=end)

    def _remember(self, entry: dict[str, Any]) -> None:
        """Add a training to the history."""
        figures = error_figures(entry["errors"], entry["n_photos"])
        said = advice([(each["n_photos"], each["errors"]) for each in [*self._history, entry]])
        with self._lock:
            self._history.append(entry)
            self._advice = said
            if entry["errors"]:
                self._figures[entry["n_photos"]] = figures

    def _entry(self, trained: Trained, n_done: int) -> dict[str, Any]:
        names = {str(file): name for file, name in zip(self._project.files, self._project.names, strict=True)}
        errors = {names[file]: round(error, 4) for file, error in trained.errors.items() if file in names}
        return {"kind": "training", "n_photos": n_done, "errors": errors}

    def _as_json(self, trained: Trained, version: int, objects: Sequence[Proposal]) -> dict[str, Any]:
        """Return proposals as JSON types; landmarks that the model does not locate are null."""
        n, where = len(self._project.landmark_names), list(trained.landmarks)
        made = []
        for one in objects:
            points: list[Any] = [None] * n
            std: list[Any] = [None] * n
            confidence = [0.0] * n
            for k, point, error, probability in zip(where, one.landmarks, one.std, one.confidence, strict=True):
                points[k] = [round(float(x), 2) for x in point]
                std[k], confidence[k] = round(float(error), 2), round(float(probability), 3)
            box = [round(float(x), 2) for x in one.box]
            made.append({"landmarks": points, "std": std, "confidence": confidence, "box": box, "roll": one.roll})
        return {"model": version, "objects": made, "score": round(score_of(objects), 4)}


def _photos(n: int) -> str:
    return f"{n} photo{'s' * (n != 1)}"
