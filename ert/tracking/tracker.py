"""Faces followed from frame to frame, each with a number that stays its own.

    frame ──> every track: where will it be? ──> look there, from some starts ─> still it? ──> smoothed
              smoothing.py: predict              looks.py, roll.py if it leans   no: coast, and look for it
          ──> now and then, and when one is lost: detector ──> matched to tracks; what is left is new

What shows that a face is lost: the model's confidence, and what it looks like. Pixels at places that go along
with the landmarks are compared with those of the frames before.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ert._core.exceptions import InputError
from ert._core.images import check_image
from ert._core.types import Floats
from ert.faces.detection import Detector, detect_faces, reduce_image
from ert.predictor import ShapePredictor, load
from ert.tracking.observation import Observation, Observer, normalized
from ert.tracking.smoothing import ShapeSmoother

__all__ = [
    "TrackedFace",
    "Tracker",
]


# Correlation of a face's pixels: with itself a frame before above 0.87, with another person's below 0.45.
# A track that is lost takes more: it looks at the same place in frame after frame.
_ALIKE, _FOUND_AGAIN, _OTHER = 0.6, 0.8, 0.45
# A face that is followed needs only this part of the confidence that a new one does: it looks like itself.
_FOLLOWED = 0.2
# Two tracks on one face: by so much more it must look like the younger for that to keep it.
_CLEARLY = 0.15
# How fast what a face looks like is learned anew, a frame.
_LEARNING = 0.1
# Frames that a face is still shown, where it should be, when it was not found.
_GRACE = 1
# So many seconds after a face was lost, what is found there and looks a little like it is not taken for
# another.
_DOUBT = 0.25
# Motion is not foreseen farther than this, in seconds: frames may come seldom.
_FORESEEN = 0.2
# A shape farther than this from where it was expected, in sizes of the face, is another thing.
_JUMP = 0.5
# Shapes as near as this are of one face; detections as near are of a track's.
_SAME, _NEAR = 0.25, 0.5
# A lost face is looked for this far away, in sizes of the face.
_REACH = 5.0
# A track that is farther than this from a surer detection goes there.
_ASTRAY = 0.1


@dataclass(frozen=True)
class TrackedFace:
    """One face of a frame.

    Parameters
    ----------
    id : int
        Its number, from 0: the same as long as it is followed.
    box : float array (4,)
        Left, top, width, height in pixels: where the model's mean shape lies best on the landmarks.
    landmarks : float array (n_landmarks, 2)
        x, y in pixels of the frame, pixel centers at whole numbers.
    std : float array (n_landmarks,)
        Standard errors of the landmarks of this frame alone, in pixels.
    confidence : float
        How sure it is that this is a face and the landmarks have not failed, from 0 to 1.
    age : float
        Seconds since it was first seen.
    roll : float
        How far the landmarks are turned against the model's mean shape, in degrees, clockwise.
    """

    id: int
    box: Floats
    landmarks: Floats
    std: Floats
    confidence: float
    age: float
    roll: float


class _Track:
    """A face that is followed, or lost since so many frames (`misses`)."""

    def __init__(self, number: int, look: Observation, mean_shape: Floats, now: float) -> None:
        self.id = number
        self.born = now
        self.chip = look.chip
        self.restart(look, mean_shape, now)

    def restart(self, look: Observation, mean_shape: Floats, now: float) -> None:
        """Go on from what was found elsewhere."""
        self.smoother = ShapeSmoother(look.shape, mean_shape)
        self.shape = look.shape
        self._take(look, now)

    def follow(self, look: Observation, seconds: float, now: float, smooth: bool) -> None:
        """Take what was found where the face was expected."""
        steady = self.smoother.update(look.shape, seconds, look.std)
        self.shape = steady if smooth else look.shape
        self._take(look, now)

    def _take(self, look: Observation, now: float) -> None:
        self.look, self.seen, self.misses = look, now, 0
        self.chip = normalized((1 - _LEARNING) * self.chip + _LEARNING * look.chip)

    def miss(self, look: Observation | None, seconds: float, most: float) -> None:
        """Go on without the face; what was found where it should be is something else, or nothing."""
        self.shape = self.smoother.coast(seconds)
        # Something else may be a face without doubt.
        confidence = 0.0 if look is None else min(look.confidence, most)
        self.look = self.look._replace(shape=self.shape, confidence=confidence)
        self.misses += 1

    def alike(self, look: Observation) -> float:
        """Return the correlation of what was found with what the face looks like."""
        return float(self.chip @ look.chip)


class Tracker:
    """Follows the faces of a video: stable numbers, steady landmarks, a detector run now and then.

    Parameters
    ----------
    model : ShapePredictor, str or path-like
        A fitted predictor, or what :func:`ert.load` takes. Its `n_inits`, `n_passes` and `flip` mean nothing
        here: a tracker takes six starts, half of them for the mirror image if the model knows how, else five.
    detector : str or callable
        See :func:`ert.detect_faces`. It sees a copy reduced to `detect_size`; a function gets that copy.
    smooth : bool
        Whether landmarks are made steady. Without, they are those of each frame alone.
    detect_every : float
        Seconds from one run of the detector to the next while no face is lost. New faces come in then.
    detect_size : int
        Longest side of the copy of a frame that the detector sees, in pixels. "haar" finds faces above 30
        pixels in it; its time grows with its area. While it finds none, every other copy is twice as large.
    search_every : float
        The same while a face is lost, or none is there. When one gets lost it runs at once.
    patience : float
        Seconds after which a lost face is given up: what is found later has a new number.
    least_confidence : float
        Below it a detection counts as none; a face that is followed counts as lost below a fifth of it.
    max_faces : int or None
        No more than so many are followed, the largest first.
    rate : float
        Frames a second where `update` is told no times.
    channel_order : {"rgb", "bgr"}
        Order of the colors in frames; OpenCV's is "bgr".

    Raises
    ------
    InputError
        When the model cannot be used or a number is out of range.

    Examples
    --------
    >>> tracker = ert.Tracker()
    >>> for time, frame in frames:
    ...     for face in tracker.update(frame, time):
    ...         print(face.id, face.landmarks[30])
    """

    def __init__(
        self,
        model: ShapePredictor | str = "face68",
        *,
        detector: str | Detector = "auto",
        smooth: bool = True,
        detect_every: float = 3.0,
        detect_size: int = 320,
        search_every: float = 0.2,
        patience: float = 1.0,
        least_confidence: float = 0.3,
        max_faces: int | None = None,
        rate: float = 30.0,
        channel_order: str = "rgb",
    ) -> None:
        for name, value in (("detect_every", detect_every), ("search_every", search_every)):
            if not value >= 0:
                raise InputError(f"{name}: {value}, expected 0 s or more")
        if not 0 <= patience < np.inf or not 0 < rate < np.inf:
            raise InputError(f"patience, rate: {patience}, {rate}, expected finite numbers above 0")
        if not 0 <= least_confidence < 1:
            raise InputError(f"least_confidence: {least_confidence}, expected 0 to 1")
        if max_faces is not None and max_faces < 1:
            raise InputError(f"max_faces: {max_faces}, expected at least 1")
        if detect_size < 1:
            raise InputError(f"detect_size: {detect_size}, expected at least 1 pixel")
        if channel_order not in ("rgb", "bgr"):
            raise InputError(f"channels: {channel_order!r}, expected 'rgb' or 'bgr'")
        self.model = model if isinstance(model, ShapePredictor) else load(model)
        self.detector, self.smooth, self.channel_order = detector, smooth, channel_order
        self.detect_every, self.search_every, self.patience = (
            detect_every,
            search_every,
            patience,
        )
        self.detect_size = detect_size
        self.least_confidence, self.max_faces, self.rate = least_confidence, max_faces, rate
        self._viewer = Observer(self.model, channel_order)
        self.reset()

    def reset(self) -> None:
        """Forget all faces, and the time."""
        self._tracks: list[_Track] = []
        self._time: float | None = None
        self._searched = -np.inf
        self._in_vain = 0
        self._next_id = 0

    def update(self, frame: npt.NDArray[np.uint8], time: float | None = None) -> list[TrackedFace]:
        """Take the next frame.

        Parameters
        ----------
        frame : uint8 array (rows, columns) or (rows, columns, 3)
        time : float, optional
            In seconds, from anywhere, later than that of the frame before; without, frames follow each other
            at `rate`.

        Returns
        -------
        list of TrackedFace
            In the order of their numbers. A face that is not found is given once more where it should be,
            with a confidence of at most `least_confidence`, and then no more until it is found again.

        Raises
        ------
        InputError
            When the frame cannot be used or time does not go forward.
        """
        frame = check_image(frame, "frame")
        now, seconds = self._clock(time)
        self._follow(frame, now, seconds)
        lost = any(track.misses == 1 for track in self._tracks)
        searching = not self._tracks or any(track.misses for track in self._tracks)
        pause = self.search_every if searching else self.detect_every
        if lost or now - self._searched >= pause - 1e-6:
            self._search(frame, now)
            self._searched = now
        shown = [track for track in self._tracks if track.misses <= _GRACE]
        self._tracks = [
            track for track in self._tracks if track in shown or now - track.seen <= self.patience
        ]
        return [self._shown(track, now) for track in shown]

    def _clock(self, time: float | None) -> tuple[float, float]:
        before = self._time
        now = float(time) if time is not None else 0.0 if before is None else before + 1 / self.rate
        if not np.isfinite(now) or (before is not None and now <= before):
            raise InputError(f"time: {now} s after {before} s, expected times that go forward")
        self._time = now
        return now, 1 / self.rate if before is None else min(now - before, _FORESEEN)

    def _follow(self, frame: npt.NDArray[np.uint8], now: float, seconds: float) -> None:
        """Look for every track where it should be; let it follow what is found there, or coast."""
        found: list[tuple[_Track, Observation]] = []
        for track in self._tracks:
            expected = track.smoother.predict(seconds)
            look = self._viewer.look(frame, expected)
            if look is not None and self._is_it(track, look, expected):
                found.append((track, look))
            else:
                track.miss(look, seconds, self.least_confidence)
        losers = self._losers(found)
        for track, look in found:
            if track in losers:
                track.miss(look, seconds, self.least_confidence)
            else:
                track.follow(look, seconds, now, self.smooth)

    def _is_it(self, track: _Track, look: Observation, expected: Floats) -> bool:
        return (
            look.confidence >= _FOLLOWED * self.least_confidence
            and track.alike(look) >= (_FOUND_AGAIN if track.misses > _GRACE else _ALIKE)
            and self._viewer.distance(expected, look.shape) < _JUMP
        )

    def _losers(self, found: list[tuple[_Track, Observation]]) -> list[_Track]:
        """Of two tracks on one face name the one that looks less like it, else the younger."""
        losers: list[_Track] = []
        for i, (one, here) in enumerate(found):
            for other, there in found[i + 1 :]:
                if one in losers or other in losers:
                    continue
                if self._viewer.distance(here.shape, there.shape) < _SAME:
                    losers.append(one if other.alike(there) - one.alike(here) > _CLEARLY else other)
        return losers

    def _search(self, frame: npt.NDArray[np.uint8], now: float) -> None:
        """Run the detector; give what it finds to lost tracks, or make new ones of it."""
        looks = self._detect(frame, self.detect_size << self._in_vain % 2)
        self._in_vain = 0 if looks else self._in_vain + 1
        followed = [track for track in self._tracks if track.misses == 0]
        rest = dict(enumerate(looks))
        for number, track in _matched(looks, followed, self._apart):
            look = rest.pop(number)
            astray = self._viewer.distance(look.shape, track.look.shape) > _ASTRAY
            if astray and look.confidence > track.look.confidence and track.alike(look) >= _ALIKE:
                track.restart(look, self._viewer.mean_shape, now)
        # A second detection of a face that is followed already is no other face; nor is what may be one that
        # was just lost, behind something.
        rest = {
            number: look
            for number, look in rest.items()
            if not any(self._may_be(track, look, now) for track in self._tracks)
        }
        others = list(rest.values())
        missed = [track for track in self._tracks if track.misses]
        taken = set()
        for number, track in _matched(others, missed, self._strange):
            track.restart(others[number], self._viewer.mean_shape, now)
            taken.add(number)
        for number, look in enumerate(others):
            n_shown = sum(track.misses == 0 for track in self._tracks)
            if number not in taken and (self.max_faces is None or n_shown < self.max_faces):
                self._tracks.append(_Track(self._next_id, look, self._viewer.mean_shape, now))
                self._next_id += 1

    def _may_be(self, track: _Track, look: Observation, now: float) -> bool:
        near = self._viewer.distance(look.shape, track.look.shape) < _NEAR
        doubtful = now - track.seen < _DOUBT and _OTHER < track.alike(look) < _ALIKE
        return near and (track.misses == 0 or doubtful)

    def _detect(self, frame: npt.NDArray[np.uint8], size: int) -> list[Observation]:
        """Return what the detector finds and the model confirms, the largest first, each face once."""
        small = reduce_image(frame, size)
        scale = np.tile(np.array(frame.shape[1::-1]) / small.shape[1::-1], 2)
        looks: list[Observation] = []
        for box in detect_faces(small, self.detector, channel_order=self.channel_order) * scale:
            first = self._viewer.locate(frame, (box[0], box[1], box[2], box[3]), 0.0).mean(axis=0)
            look = self._viewer.look(frame, first)
            if look is None or look.confidence < self.least_confidence:
                continue
            if all(self._viewer.distance(look.shape, other.shape) > _NEAR for other in looks):
                looks.append(look)
        return looks

    def _apart(self, look: Observation, track: _Track) -> float:
        """Return how far a detection is from a track, in sizes of the face; infinite when it is another."""
        distance = self._viewer.distance(look.shape, track.look.shape)
        return distance if distance < _NEAR else np.inf

    def _strange(self, look: Observation, track: _Track) -> float:
        """Return how little a detection is like a track that is lost; infinite when it is another."""
        away = self._viewer.distance(look.shape, track.shape)
        alike = track.alike(look)
        return 1 - alike + 0.1 * away if alike >= _ALIKE and away < _REACH else np.inf

    def _shown(self, track: _Track, now: float) -> TrackedFace:
        box, roll = self._viewer.box(track.shape)
        return TrackedFace(
            id=track.id,
            box=box,
            landmarks=track.shape.copy(),
            std=track.look.std,
            confidence=track.look.confidence,
            age=now - track.born,
            roll=roll,
        )


def _matched(looks: list[Observation], tracks: list[_Track], cost: Any) -> list[tuple[int, _Track]]:
    """Assign looks to tracks at the least cost in all; an infinite one rules a pair out."""
    if not looks or not tracks:
        return []
    from scipy.optimize import linear_sum_assignment

    costs = np.array([[cost(look, track) for track in tracks] for look in looks])
    # So much that no pair is worth one that is ruled out.
    barred = 1e6
    pairs = zip(*linear_sum_assignment(np.minimum(costs, barred)), strict=True)
    return [(int(i), tracks[j]) for i, j in pairs if costs[i, j] < barred]
