"""The answers of the annotation server, as the page asks for them."""

import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ert._core.exceptions import InputError
from ert.annotation import security
from ert.annotation.photos import MAX_SIDE_PIXELS, Photos
from ert.annotation.project import STATUSES, Conflict, Project
from ert.annotation.second_round import SecondRound
from ert.annotation.security import Refused
from ert.annotation.storage import Saver

MAX_LISTED = 1000
_PART = ("left", "top", "width", "height")
_MAX_COORDINATE = 1_000_000
# Of a photo that cannot be read.
_UNKNOWN_SIZE = 65_535, 65_535
NO_MODEL = {
    "state": "none", "version": 0, "progress": 0, "text": "", "n_photos": 0, "next_at": None, "errors": [],
    "advice": "", "corrections": {"n_landmarks": 0, "n_corrected": 0},
}  # fmt: skip
NO_CHECKS = {"state": "none", "progress": 0, "text": "", "n_suspicious": 0}
NO_PROPOSAL: dict[str, Any] = {"model": 0, "objects": []}


class Call(NamedTuple):
    """A request: the number of the photo in its path, its query, and its body."""

    photo: int
    query: dict[str, str]
    body: dict[str, Any]


class Changed(Exception):  # noqa: N818
    """A photo was changed elsewhere: the answer has its current state."""

    def __init__(self, text: str, photo: dict[str, Any]) -> None:
        super().__init__(text)
        self.photo = photo


class Api:
    """The answers to requests.

    Parameters
    ----------
    project : Project
    assistant : Assistant or None
        The model that helps.
    checker : Checker or None
    saver : Saver or None
    notes : sequence of str
        What a person should know about the file, one line each.
    second_round : SecondRound or None
        What the project is compared with.
    """

    def __init__(
        self,
        project: Project,
        assistant: Any,
        checker: Any,
        *,
        saver: Saver | None = None,
        notes: Sequence[str] = (),
        second_round: SecondRound | None = None,
    ) -> None:
        self.project, self.assistant, self.checker, self.saver = project, assistant, checker, saver
        self.notes, self.second_round = list(notes), second_round

    # --- the project ---

    def get_project(self, call: Call) -> Any:
        """Describe the project."""
        project = self.project
        target = None if self.saver is None else self.saver.target
        return {
            "title": project.title,
            "file": "" if target is None else str(target.path),
            "format": "" if target is None else target.format,
            "landmarks": list(project.landmark_names),
            "links": [list(link) for link in project.links],
            "unit": project.unit,
            "n_photos": len(project),
            "round": None if self.second_round is None else self.second_round.to_json(),
            "notes": self.notes,
        }

    def put_project(self, call: Call) -> Any:
        """Rename landmarks."""
        self.project.rename(security.read_names(call.body.get("landmarks"), len(self.project.landmark_names)))
        return self.get_project(call)

    def get_status(self, call: Call) -> Any:
        """Describe what has changed, and what the model and the checks do."""
        since = security.read_query(call.query.get("since"), "since", 0, 0, 10**9 - 1)
        n_changes, changed = self.project.changes(since)
        return {
            "changes": n_changes,
            "changed": changed,
            "disk": {"state": "saved", "text": ""} if self.saver is None else self.saver.status(),
            "counts": self.project.counts(),
            "model": NO_MODEL if self.assistant is None else self.assistant.status(),
            "checks": NO_CHECKS if self.checker is None else self.checker.status(),
        }

    def post_disk(self, call: Call) -> Any:
        """Resolve that the file was changed outside."""
        action = call.body.get("action")
        if self.saver is None or action not in ("reload", "keep mine"):
            raise Refused(400, "action: expected 'reload' or 'keep mine'")
        return self.saver.resolve(action)

    # --- photos ---

    def _order(self, name: str | None) -> list[int]:
        if name not in (None, "name", "queue", "suspicious"):
            raise Refused(400, "order: expected name, queue or suspicious")
        if name == "suspicious":
            return [] if self.checker is None else list(self.checker.order())
        if name == "queue":
            if self.assistant is not None:
                return list(self.assistant.order())
            return [i for i, state in enumerate(self.project.states()) if state.status in ("todo", "started")]
        return list(range(len(self.project)))

    def _entry(self, i: int, with_reason: bool) -> dict[str, Any]:
        state = self.project.photo(i)
        findings = self.checker.findings(i) if with_reason and self.checker is not None else []
        reason = findings[0]["text"] if findings else ""
        name = self.project.files[i].name
        return {"id": i, "name": name, "status": state.status, "n_objects": len(state.objects), "reason": reason}

    def get_photos(self, call: Call) -> Any:
        """List photos."""
        status = call.query.get("status", "all")
        if status not in ("all", *STATUSES):
            raise Refused(400, f"status: expected all, {', '.join(STATUSES)}")
        offset = security.read_query(call.query.get("offset"), "offset", 0, 0, 10**9 - 1)
        limit = security.read_query(call.query.get("limit"), "limit", 100, 0, MAX_LISTED)
        order = call.query.get("order")
        states = self.project.states()
        chosen = [i for i in self._order(order) if status == "all" or states[i].status == status]
        listed = [self._entry(i, order == "suspicious") for i in chosen[offset : offset + limit]]
        return {"total": len(chosen), "photos": listed}

    def get_photo(self, call: Call) -> Any:
        """Describe a photo; one that cannot be read has no size, and an "error"."""
        i = call.photo
        fault = {}
        try:
            width, height = self.project.size(i)
        except InputError as error:
            width = height = 0
            fault = {"error": str(error)}
        state = self.project.photo(i).to_json()
        findings = [] if self.checker is None else self.checker.findings(i)
        name = self.project.files[i].name
        return {"id": i, "name": name, "width": width, "height": height, **state, "findings": findings, **fault}

    def put_photo(self, call: Call) -> Any:
        """Save a photo."""
        i, body = call.photo, call.body
        revision = security.read_integer(call.body.get("revision"), "revision", 0, 2**53)
        try:
            size = self.project.size(i)
        except InputError:
            # It can still be skipped.
            size = _UNKNOWN_SIZE
        state = security.read_state(body, len(self.project.landmark_names), size)
        try:
            return {"revision": self.project.change(i, revision, state).revision}
        except Conflict as conflict:
            raise Changed(str(conflict), self.get_photo(call)) from None

    def get_next(self, call: Call) -> Any:
        """Return the photo to do next."""
        i = call.photo
        name = call.query.get("order", "queue")
        order = self._order(name)
        if name == "name":
            states = self.project.states()
            order = [k for k in order if states[k].status in ("todo", "started") or k == i]
        if name == "queue" and self.assistant is not None:
            others = [k for k in order if k != i]
            return {"id": others[0] if others else None}
        if i in order:
            place = order.index(i)
            # Suspicious ones from the worst on, others around.
            order = order[place + 1 :] + ([] if name == "suspicious" else order[:place])
        elif name != "suspicious":
            order = [k for k in order if k > i] + [k for k in order if k < i]
        return {"id": order[0] if order else None}

    def get_image(self, call: Call) -> bytes:
        """Return the photo, or a part of it, as a JPEG."""
        side = security.read_query(call.query.get("side"), "side", 2048, 1, MAX_SIDE_PIXELS)
        return self._pixels(call.photo, lambda photos: photos.jpeg(call.photo, side, self._part(call)))

    def get_thumbnail(self, call: Call) -> bytes:
        """Return the photo as a small JPEG."""
        return self._pixels(call.photo, lambda photos: photos.thumbnail(call.photo))

    def _pixels(self, i: int, make: Callable[[Photos], bytes]) -> bytes:
        try:
            return make(self.project.photos)
        except InputError as error:
            raise Refused(415 if os.path.exists(self.project.files[i]) else 404, str(error)) from None

    def _part(self, call: Call) -> tuple[int, int, int, int] | None:
        given = [call.query[name] for name in _PART if name in call.query]
        if not given:
            return None
        if len(given) < len(_PART):
            raise Refused(400, "a part of the photo: expected left, top, width and height")
        most = _MAX_COORDINATE
        left, top, width, height = (
            security.read_query(text, name, 0, 1 if name in ("width", "height") else -most, most)
            for name, text in zip(_PART, given, strict=True)
        )
        columns, rows = self.project.size(call.photo)
        if not (left < columns and top < rows and left + width > 0 and top + height > 0):
            raise Refused(400, f"the part lies outside of the photo of {columns} x {rows} pixels")
        # Parts are remembered as they are asked for: all of those that end at an edge are one.
        right, bottom = min(left + width, columns), min(top + height, rows)
        left, top = max(left, 0), max(top, 0)
        return left, top, right - left, bottom - top

    def get_proposal(self, call: Call) -> Any:
        """Return what the model proposes."""
        return NO_PROPOSAL if self.assistant is None else self.assistant.proposal(call.photo)

    def get_opinion(self, call: Call) -> Any:
        """Return what models say that were not trained on the photo."""
        return NO_PROPOSAL if self.checker is None else self.checker.opinion(call.photo)

    # --- work ---

    def post_train(self, call: Call) -> Any:
        """Train now."""
        return _work(self.assistant, "train", "no model is trained here")

    def delete_train(self, call: Call) -> Any:
        """Stop training."""
        return _work(self.assistant, "stop", "no model is trained here")

    def post_checks(self, call: Call) -> Any:
        """Start checking."""
        return _work(self.checker, "start", "there are no checks here")

    def delete_checks(self, call: Call) -> Any:
        """Stop checking."""
        return _work(self.checker, "stop", "there are no checks here")

    def post_measure(self, call: Call) -> Any:
        """Measure objects."""
        from ert.annotation.measuring import measure_objects

        # Checked here: their form is that of every request.
        security.read_objects(call.body.get("objects"), len(self.project.landmark_names), (10**6, 10**6))
        return measure_objects(self.project, call.body)

    def get_repeatability(self, call: Call) -> Any:
        """Compare a second round with the first one."""
        if self.second_round is None:
            raise Refused(404, "this is not a second round")
        return self.second_round.repeatability(self.project.done())


def _work(worker: Any, action: str, absent: str) -> Any:
    """Call a method of the assistant or the checker and return its status; where there is none, say so."""
    if worker is None:
        raise Refused(400, absent)
    getattr(worker, action)()
    return worker.status()
