"""Checking of annotations: the suspicious photos first, with what models expect that were not trained on them."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ert._core.exceptions import InputError
from ert._core.types import Floats
from ert.annotation import suspicion
from ert.annotation.process import Job
from ert.annotation.project import Marked, PhotoState, Project
from ert.annotation.suspicion import Expected, Typical, describe_typical, expect_landmarks, opinion_of, suspect, unknown
from ert.datasets.checks import Finding, check_dataset
from ert.datasets.dataset import Dataset
from ert.datasets.parsing import read_images, read_picture

# How much findings of `check_dataset` count; a photo is suspicious from 1 on. Missing landmarks of photos that are
# done were marked as missing, which is nothing to suspect.
_SCORES: dict[str, Callable[[float], float]] = {
    "unreadable image": lambda severity: 5,
    "duplicated image": lambda severity: 2,
    "same object twice": lambda severity: 5,
    "box outside the image": lambda severity: 3,
    "tiny box": lambda severity: 2,
    "landmarks outside the image": lambda severity: 2,
    "landmarks far from the box": lambda severity: 2,
    "coincident landmarks": lambda severity: 5,
    # Robust standard deviations, of which 5 are reported.
    "outlier shape": lambda severity: severity / 5,
    "stray landmarks": lambda severity: severity,
    "left and right swapped": lambda severity: 5,
}


# In place of texts with statistics, or with the number of an object in the dataset.
_PLAIN = {
    "same object twice": "nearly the same box as another object of this photo",
    "outlier shape": "the landmarks are arranged unlike those of most objects; perhaps one is in the wrong place",
    "left and right swapped": "the landmarks fit the other objects better when left and right are exchanged; perhaps "
    "they were marked in the wrong order, or the photo is mirrored",
}
# Where more objects differ than this part, they are no errors.
MAX_DISTRUSTED = 0.2


class _Found(NamedTuple):
    """A finding, and how much it counts."""

    score: float
    finding: dict[str, Any]


@dataclass
class _Check:
    """What was checked, and what came out.

    Attributes
    ----------
    objects : dict
        The objects of each photo, as they were checked.
    items : dict
        Where they are in the arrays.
    found : dict
        Findings of `check_dataset` by photo.
    """

    objects: dict[int, tuple[Marked, ...]]
    items: dict[int, list[int]]
    found: dict[int, list[_Found]]
    landmarks: Floats
    expected: Expected | None = None
    typical: Typical | None = None


class Checker:
    """Finds the suspicious photos of a project, among those that are done.

    Parameters
    ----------
    project : Project
    n_jobs, random_state, **given
        Parameters of the models that are trained, see :class:`ert.ShapePredictor`.
    """

    def __init__(self, project: Project, *, n_jobs: int = -1, random_state: int = 0, **given: Any) -> None:
        self.project = project
        self._given = given | {"n_jobs": n_jobs, "random_state": random_state}
        self._lock = threading.Lock()
        self._job: Job | None = None
        self._check: _Check | None = None
        self._state, self._progress, self._text = "none", 0.0, ""
        # The findings of each photo in a revision.
        self._known: dict[int, tuple[int, list[_Found]]] = {}

    def start(self) -> None:
        """Begin to check, unless it is being done."""
        with self._lock:
            if self._state == "running":
                return
            states = self.project.states()
            dataset = self.project.dataset_of(dict(enumerate(states)))
            self._state, self._progress, self._text = "running", 0.0, "checking the annotations"
            if not len(dataset):
                self._state, self._text = "failed", "no photo is done yet"
                return
            check = _new_check(states, dataset)

            def listen(message: dict[str, Any]) -> None:
                with self._lock:
                    if self._state != "running":
                        return
                    self._progress, self._text = message["progress"], message["text"]
                    if "findings" in message:
                        check.found = _by_photo(message["findings"], check, dataset)
                        self._show(check)

            def end(result: Any, error: str) -> None:
                with self._lock:
                    self._job = None
                    self._finish(check, result, error)
                # Not when the page asks for it.
                self.order()

            try:
                self._job = Job(check_and_expect, dataset, self._given, on_message=listen, on_end=end)
            except OSError as error:
                self._state, self._text = "failed", f"no process can be started: {error.strerror}"

    def _show(self, check: _Check) -> None:
        self._check = check
        self._known = {}

    def _finish(self, check: _Check, result: Any, error: str) -> None:
        if result is None:
            if error:
                self._state, self._text = "failed", f"the check failed: {error}"
            else:
                self._state, self._text = ("none" if self._check is None else "ready"), "the check was stopped"
            self._progress = 0.0
            return
        expected, note = result
        if expected is not None:
            check.expected, check.typical = expected, describe_typical(check.landmarks, expected)
        self._show(check)
        self._state, self._progress, self._text = "ready", 1.0, note

    def status(self) -> dict[str, Any]:
        """Return what is done and what was found, as the page has it."""
        n_suspicious = len(self.order())
        with self._lock:
            return {
                "state": self._state, "progress": self._progress, "text": self._text, "n_suspicious": n_suspicious,
            }  # fmt: skip

    def order(self) -> list[int]:
        """Return the suspicious photos, the worst first."""
        with self._lock:
            photos = () if self._check is None else tuple(self._check.objects)
        scores = {i: _total(self._findings(i)) for i in photos}
        return sorted((i for i, score in scores.items() if score >= 1), key=lambda i: -scores[i])

    def findings(self, i: int) -> list[dict[str, Any]]:
        """Return what is suspicious in a photo as it is now, the worst first."""
        return [one.finding for one in self._findings(i)]

    def _findings(self, i: int) -> list[_Found]:
        state = self.project.photo(i)
        with self._lock:
            check, known = self._check, self._known.get(i)
            if check is None or i not in check.objects or state.status == "skipped":
                return []
            if known is not None and known[0] == state.revision:
                return known[1]
            # Of a photo that was changed, only the models can say something new.
            found = list(check.found.get(i, ())) if state.objects == check.objects[i] else []
            found += self._far(check, i, state)
            found.sort(key=lambda one: -one.score)
            self._known[i] = state.revision, found
            return found

    def _far(self, check: _Check, i: int, state: PhotoState) -> list[_Found]:
        """Return findings for objects with landmarks that are far from where they are expected."""
        if check.expected is None or check.typical is None:
            return []
        found = []
        for number, marked in enumerate(state.objects):
            one = nearest_expected(marked.landmarks, check.expected, check.items[i])
            suspect_one = suspect(marked.landmarks, one, check.typical, self.project.landmark_names)
            if suspect_one is not None:
                score, landmarks, text = suspect_one
                finding = {"kind": suspicion.KIND, "text": text, "object": number, "landmarks": list(landmarks)}
                found.append(_Found(score, finding))
        return found

    def opinion(self, i: int) -> dict[str, Any]:
        """Return what models expect in a photo that were not trained on it, as a proposal has it."""
        with self._lock:
            check = self._check
        if check is None or check.expected is None or check.typical is None or i not in check.items:
            return {"model": 0, "objects": []}
        expected = check.expected
        objects = [
            opinion_of(_one(expected, k), check.typical)
            for k in check.items[i]
            if np.isfinite(expected.landmarks[k]).any()
        ]
        scores = [float(np.mean(one["confidence"])) for one in objects]
        return {"model": 1, "objects": objects, "score": float(np.mean(scores)) if scores else 0.0}

    def stop(self) -> None:
        """End a check; what was found stays."""
        with self._lock:
            job = self._job
        if job is not None:
            job.stop()

    def close(self) -> None:
        """End the process that trains."""
        self.stop()


def _total(found: Sequence[_Found]) -> float:
    """Return how suspicious a photo is: what checks and what models find counts together."""
    of_models = [one.score for one in found if one.finding["kind"] == suspicion.KIND]
    of_checks = [one.score for one in found if one.finding["kind"] != suspicion.KIND]
    return max(of_models, default=0.0) + max(of_checks, default=0.0)


def _new_check(states: list[PhotoState], dataset: Dataset) -> _Check:
    """Note where the objects of each photo are in the dataset of those that are done."""
    objects = {i: state.objects for i, state in enumerate(states) if state.status == "done" and state.objects}
    items: dict[int, list[int]] = {}
    start = 0
    for i, marked in objects.items():
        items[i] = list(range(start, start + len(marked)))
        start += len(marked)
    return _Check(objects, items, {}, dataset.landmarks)


def _by_photo(findings: list[Finding], check: _Check, dataset: Dataset) -> dict[int, list[_Found]]:
    """Return the findings by photo, with the number of the object in it."""
    place = {item: (i, number) for i, items in check.items.items() for number, item in enumerate(items)}
    photos = {dataset.files[items[0]]: i for i, items in check.items.items()}
    found: dict[int, list[_Found]] = {}
    for one in findings:
        score = _SCORES.get(one.kind)
        if score is None:
            continue
        i, number = (photos[one.file], None) if one.item is None else place[one.item]
        text = finding_text(one, dataset.landmark_names)
        finding: dict[str, Any] = {"kind": one.kind, "text": f"{one.kind}: {text}", "object": number}
        finding["landmarks"] = list(one.landmarks)
        found.setdefault(i, []).append(_Found(score(one.severity), finding))
    return found


def finding_text(one: Finding, names: Sequence[str]) -> str:
    """Return what was found, in words for people who mark landmarks: without statistics and numbers of a dataset."""
    if one.kind == "stray landmarks":
        listed = ", ".join(names[k] for k in one.landmarks)
        return f"{listed}: far from the place that follows from the other landmarks of this object"
    return _PLAIN.get(one.kind, one.text)


def _one(expected: Expected, k: int) -> Expected:
    return Expected(*(array[k] for array in expected))


def nearest_expected(landmarks: Floats, expected: Expected, items: list[int]) -> Expected:
    """Return what is expected of the object among `items` that is nearest to landmarks."""
    distances = np.hypot(*np.moveaxis(expected.landmarks[items] - landmarks, 2, 0))
    known = np.isfinite(distances)
    means = np.where(known, distances, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return _one(expected, items[int(np.argmin(np.where(known.any(axis=1), means, np.inf)))])


def check_and_expect(
    send: Callable[[Any], object], dataset: Dataset, given: dict[str, Any]
) -> tuple[Expected | None, str]:
    """Check a dataset, and train models on folds of it; the work of the process.

    Returns
    -------
    expected : Expected or None
        None where no models could be trained.
    note : str
        Why not.
    """
    pictures = read_images(read_picture, dataset.files, given["n_jobs"])
    findings = check_dataset(dataset, pictures)
    send({"progress": 0.05, "text": "training models", "findings": findings})
    readable = np.array([pictures[file].error is None for file in dataset.files])
    trusted = trust(findings, len(dataset))

    def report(progress: float, text: str) -> None:
        send({"progress": 0.05 + 0.95 * progress, "text": text})

    try:
        part = expect_landmarks(dataset.subset(readable), trusted[readable], given, report)
    except InputError as error:
        return None, f"checked without models: {error}"
    expected = unknown(len(dataset), len(dataset.landmark_names))
    for whole, known in zip(expected, part, strict=True):
        whole[readable] = known
    return expected, ""


def trust(findings: Sequence[Finding], n_objects: int) -> NDArray[np.bool_]:
    """Return which objects models may be trained on: those without findings, or without the worst of them."""
    scores = object_scores(findings, n_objects)
    worst = np.argsort(-scores, kind="stable")[: int(MAX_DISTRUSTED * n_objects)]
    trusted = np.ones(n_objects, np.bool_)
    trusted[worst[scores[worst] >= 1]] = False
    return trusted


def object_scores(findings: Sequence[Finding], n_objects: int) -> Floats:
    """Return how much the worst finding of each object counts; 0 is none."""
    scores = np.zeros(n_objects)
    for one in findings:
        if one.item is not None and one.kind in _SCORES:
            scores[one.item] = max(scores[one.item], _SCORES[one.kind](one.severity))
    return scores
