"""Track faces over the frames of a video, with stable ids and smoothed landmarks.

    frame ──> each track: expected shape ──> locate from several inits ──> same face?  yes: smooth
              smoothing.py                   observation.py                            no: coast, search
          ──> detector, at intervals and when a face is lost ──> matched to tracks; the rest are new faces

A face is lost when the confidence of the model is low, the shape jumps, or the appearance changes: gray
values at points fixed to the landmarks are compared with those of the previous frames.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ert._core.arguments import checked_arguments
from ert._core.exceptions import InputError, quoted
from ert._core.images import check_image
from ert._core.types import Floats, Pixels
from ert.faces.detection import Detector, detect_faces, reduce_image
from ert.predictor import ShapePredictor, load
from ert.tracking.observation import Observation, Observer, normalized
from ert.tracking.smoothing import ShapeSmoother

# Correlations of appearances: of a face with itself one frame earlier above 0.87, with another person's below
# 0.45. A lost track needs more, since it is compared at the same position in many frames.
_MIN_CORRELATION, _MIN_LOST_CORRELATION, _MAX_OTHER_CORRELATION = 0.6, 0.8, 0.45
# A tracked face needs only this fraction of the confidence of a new one, since its appearance matches.
_TRACKED_CONFIDENCE_FACTOR = 0.2
# Weight of a new observation in the appearance of a track.
_APPEARANCE_GAIN = 0.1
# Of two tracks on one face the older one is kept, unless the younger correlates better by this margin.
_CORRELATION_MARGIN = 0.15
# Frames in which a missing face is still returned, at its expected position.
_GRACE_FRAMES = 1
# Seconds after a loss in which a detection of uncertain appearance nearby does not become a new face.
_UNCERTAIN_SECONDS = 0.25
# Motion is extrapolated over at most this time.
_MAX_PREDICTION_SECONDS = 0.2
# A shape farther than this from the expected one is another object.
_MAX_JUMP_FACE_SIZES = 0.5
# Tracks closer than this are on the same face; detections closer than this belong to the track.
_SAME_TRACK_FACE_SIZES, _SAME_DETECTION_FACE_SIZES = 0.25, 0.5
# A lost face is searched within this distance.
_MAX_SEARCH_FACE_SIZES = 5.0
# A track farther than this from a detection of higher confidence moves there.
_MAX_DRIFT_FACE_SIZES = 0.1
# Cost of the distance, per size of the face, in the assignment of detections to lost tracks.
_DISTANCE_COST = 0.1


@dataclass(frozen=True, repr=False)
class TrackedFace:
    """One face of a frame.

    Parameters
    ----------
    id : int
        From 0; the same in all frames in which the face is tracked.
    box : float array (4,)
        Left, top, width, height in pixels: the box in which the mean shape of the model fits the landmarks best.
    landmarks : float array (n_landmarks, 2)
        x, y in pixels of the frame; pixel centers have integer coordinates.
    std : float array (n_landmarks,)
        Standard errors in pixels of the unsmoothed landmarks of this frame.
    confidence : float
        Probability that this is a face and its landmarks have not failed, 0 to 1.
    age : float
        Seconds since the face was first seen.
    roll : float
        In-plane rotation of the landmarks relative to the model's mean shape, in degrees, clockwise.
    """

    id: int
    box: Floats
    landmarks: Floats
    std: Floats
    confidence: float
    age: float
    roll: float

    def __repr__(self) -> str:
        left, top, width, height = self.box
        return (
            f"TrackedFace(id={self.id}, {len(self.landmarks)} landmarks, box {width:.0f} x {height:.0f} "
            f"at ({left:.0f}, {top:.0f}), confidence {self.confidence:.2f}, age {self.age:.2f} s)"
        )


class Track:
    """A face since it was first seen: its smoothed shape, its appearance and the frames since it was last found."""

    def __init__(self, number: int, observation: Observation, mean_shape: Floats, now: float) -> None:
        self.id, self.born = number, now
        self.appearance = observation.appearance
        self.restart(observation, mean_shape, now)

    def restart(self, observation: Observation, mean_shape: Floats, now: float) -> None:
        """Continue from an observation elsewhere, without smoothing."""
        self.smoother = ShapeSmoother(observation.shape, mean_shape)
        self._update(observation, observation.shape, now)

    def follow(self, observation: Observation, seconds: float, now: float, smooth: bool) -> None:
        """Add an observation at the expected position."""
        smoothed = self.smoother.update(observation.shape, seconds, observation.std)
        self._update(observation, smoothed if smooth else observation.shape, now)

    def _update(self, observation: Observation, shape: Floats, now: float) -> None:
        self.observation, self.shape, self.last_seen, self.misses = observation, shape, now, 0
        mixed = (1 - _APPEARANCE_GAIN) * self.appearance + _APPEARANCE_GAIN * observation.appearance
        self.appearance = normalized(mixed)

    def miss(self, observation: Observation | None, seconds: float, max_confidence: float) -> None:
        """Extrapolate over a frame in which the face is not at its expected position.

        What is observed there is another object, whose confidence may be high; hence the maximum.
        """
        self.shape = self.smoother.coast(seconds)
        confidence = 0.0 if observation is None else min(observation.confidence, max_confidence)
        self.observation = self.observation._replace(shape=self.shape, confidence=confidence)
        self.misses += 1

    def similarity(self, observation: Observation) -> float:
        """Return the correlation of an observation with the appearance of the face."""
        return float(self.appearance @ observation.appearance)


class Tracker:
    """Track the faces of a video: stable ids, smoothed landmarks, a detector that runs at intervals.

    Parameters
    ----------
    model : ShapePredictor, str or path-like
        A fitted predictor, or a name or file for :func:`ert.load`. The tracker runs it from six
        initializations per frame, half of them on the mirror image; five without a mirror map.
    detector : str or callable
        As for :func:`ert.detect_faces`; runs on a copy of the frame reduced to `detect_size`.
    smooth : bool
        Smooth the landmarks over frames.
    detect_every : float
        Seconds between runs of the detector while no face is lost. New faces are found by it.
    detect_size : int
        Longest side in pixels of the copy of a frame on which the detector runs. "haar" finds faces above 30
        pixels in it; its time is proportional to the area. While it finds none, every other copy is twice as large.
    search_every : float
        Seconds between runs of the detector while a face is lost or there is none. It runs immediately when
        a face is lost.
    patience : float
        Seconds after which a lost face is given up; found later, it gets a new id.
    min_confidence : float
        Confidence below which a detection is rejected; a tracked face is lost below a fifth of it.
    max_faces : int or None
        Maximum number of tracked faces; the largest are tracked.
    rate : float
        Frames per second, when `update` is called without times.
    channel_order : {"rgb", "bgr"}
        Order of the colors in frames; "bgr" for OpenCV.

    Raises
    ------
    InputError
        When the model cannot be used or a parameter is out of range.

    Examples
    --------
    >>> frame = ert.load_image(ert.sample_image())
    >>> tracker = ert.Tracker()
    >>> for time in (0.0, 0.04):  # seconds
    ...     for face in tracker.update(frame, time):
    ...         print(face.id, face.landmarks.shape)
    0 (68, 2)
    0 (68, 2)
    """

    @checked_arguments
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
        min_confidence: float = 0.3,
        max_faces: int | None = None,
        rate: float = 30.0,
        channel_order: str = "rgb",
    ) -> None:
        for name, value in (("detect_every", detect_every), ("search_every", search_every)):
            if not value >= 0:
                raise InputError(f"{name}: {value}, expected 0 s or more")
        if not 0 <= patience < np.inf or not 0 < rate < np.inf:
            raise InputError(f"patience, rate: {patience}, {rate}, expected finite numbers above 0")
        if not 0 <= min_confidence < 1:
            raise InputError(f"min_confidence: {min_confidence}, expected 0 to 1")
        if max_faces is not None and max_faces < 1:
            raise InputError(f"max_faces: {max_faces}, expected at least 1")
        if not isinstance(detect_size, (int, np.integer)) or detect_size < 1:
            raise InputError(f"detect_size: {quoted(detect_size)}, expected at least 1 pixel")
        if channel_order not in ("rgb", "bgr"):
            raise InputError(f"channel_order: {channel_order!r}, expected 'rgb' or 'bgr'")
        self.model = model if isinstance(model, ShapePredictor) else load(model)
        self.detector, self.smooth, self.channel_order = detector, smooth, channel_order
        self.detect_every, self.search_every, self.patience = float(detect_every), float(search_every), patience
        self.detect_size = detect_size
        self.min_confidence, self.max_faces, self.rate = min_confidence, max_faces, rate
        self._observer = Observer(self.model, channel_order)
        self.reset()

    def __repr__(self) -> str:
        detector = getattr(self.detector, "__name__", self.detector)
        tracked = sum(track.misses == 0 for track in self._tracks)
        faces = f"{tracked} tracked, {len(self._tracks) - tracked} lost, {self._next_id} in all"
        return f"Tracker({self.model.n_landmarks_} landmarks, detector={detector!r}, faces: {faces})"

    def reset(self) -> None:
        """Forget all faces and the time."""
        self._tracks: list[Track] = []
        self._time: float | None = None
        self._last_search = -np.inf
        self._n_empty_searches = 0
        self._next_id = 0

    @checked_arguments
    def update(self, frame: Pixels, time: float | None = None) -> list[TrackedFace]:
        """Return the faces of the next frame.

        Parameters
        ----------
        frame : uint8 array (rows, columns) or (rows, columns, 3)
        time : float, optional
            Seconds since any fixed moment, later than that of the previous frame; by default frames follow
            each other at `rate`.

        Returns
        -------
        list of TrackedFace
            In the order of their ids. A face that is not found is returned once more at its expected
            position, with a confidence of at most `min_confidence`, and then not until it is found again.

        Raises
        ------
        InputError
            When the frame is invalid or `time` does not increase.
        """
        is_rgb = not isinstance(frame, np.ndarray)  # an image of Pillow
        frame = check_image(frame, "frame")
        if is_rgb and self.channel_order == "bgr" and frame.ndim == 3:
            frame = np.ascontiguousarray(frame[..., ::-1])
        now, seconds = self._advance(time)
        self._follow(frame, now, seconds)
        just_lost = any(track.misses == 1 for track in self._tracks)
        searching = not self._tracks or any(track.misses for track in self._tracks)
        interval = self.search_every if searching else self.detect_every
        if just_lost or now - self._last_search >= interval - 1e-6:
            self._search(frame, now)
            self._last_search = now
        shown = [track for track in self._tracks if track.misses <= _GRACE_FRAMES]
        self._tracks = [track for track in self._tracks if track in shown or now - track.last_seen <= self.patience]
        return [self._face(track, now) for track in shown]

    def _advance(self, time: float | None) -> tuple[float, float]:
        """Return the time of a frame and the seconds to predict over."""
        before = self._time
        now = float(time) if time is not None else 0.0 if before is None else before + 1 / self.rate
        if not np.isfinite(now) or (before is not None and now <= before):
            raise InputError(f"time: {now} s after {before} s, expected increasing times")
        self._time = now
        return now, 1 / self.rate if before is None else min(now - before, _MAX_PREDICTION_SECONDS)

    def _follow(self, frame: Pixels, now: float, seconds: float) -> None:
        """Observe each track at its expected position; follow the same face, or coast."""
        found: list[tuple[Track, Observation]] = []
        for track in self._tracks:
            expected = track.smoother.predict(seconds)
            observation = self._observer.observe(frame, expected)
            if observation is not None and self._is_same(track, observation, expected):
                found.append((track, observation))
            else:
                track.miss(observation, seconds, self.min_confidence)
        duplicates = self._duplicates(found)
        for track, observation in found:
            if track in duplicates:
                track.miss(observation, seconds, self.min_confidence)
            else:
                track.follow(observation, seconds, now, self.smooth)

    def _is_same(self, track: Track, observation: Observation, expected: Floats) -> bool:
        needed = _MIN_LOST_CORRELATION if track.misses > _GRACE_FRAMES else _MIN_CORRELATION
        return (
            observation.confidence >= _TRACKED_CONFIDENCE_FACTOR * self.min_confidence
            and track.similarity(observation) >= needed
            and self._observer.distance(expected, observation.shape) < _MAX_JUMP_FACE_SIZES
        )

    def _duplicates(self, found: list[tuple[Track, Observation]]) -> list[Track]:
        """Return of each two tracks on one face the one that matches it worse, otherwise the younger."""
        duplicates: list[Track] = []
        for i, (older, here) in enumerate(found):
            for younger, there in found[i + 1 :]:
                if older in duplicates or younger in duplicates:
                    continue
                if self._observer.distance(here.shape, there.shape) < _SAME_TRACK_FACE_SIZES:
                    margin = younger.similarity(there) - older.similarity(here)
                    duplicates.append(older if margin > _CORRELATION_MARGIN else younger)
        return duplicates

    def _search(self, frame: Pixels, now: float) -> None:
        """Run the detector; assign its faces to tracks and create tracks for the others."""
        detected = self._detect(frame, self.detect_size << self._n_empty_searches % 2)
        self._n_empty_searches = 0 if detected else self._n_empty_searches + 1
        mean_shape = self._observer.mean_shape
        tracked = [track for track in self._tracks if track.misses == 0]
        matched = _match(detected, tracked, self._tracked_cost)
        for i, j in matched.items():
            observation, track = detected[i], tracked[j]
            drift = self._observer.distance(observation.shape, track.observation.shape)
            surer = observation.confidence > track.observation.confidence
            if drift > _MAX_DRIFT_FACE_SIZES and surer and track.similarity(observation) >= _MIN_CORRELATION:
                track.restart(observation, mean_shape, now)
        # Neither a second detection of a tracked face nor a face that was probably just lost is a new face.
        rest = [
            observation
            for i, observation in enumerate(detected)
            if i not in matched and not any(self._may_be(track, observation, now) for track in self._tracks)
        ]
        lost = [track for track in self._tracks if track.misses]
        matched = _match(rest, lost, self._lost_cost)
        for i, j in matched.items():
            lost[j].restart(rest[i], mean_shape, now)
        for i, observation in enumerate(rest):
            n_tracked = sum(track.misses == 0 for track in self._tracks)
            if i not in matched and (self.max_faces is None or n_tracked < self.max_faces):
                self._tracks.append(Track(self._next_id, observation, mean_shape, now))
                self._next_id += 1

    def _may_be(self, track: Track, observation: Observation, now: float) -> bool:
        """Return whether a detection may be the face of a track."""
        distance = self._observer.distance(observation.shape, track.observation.shape)
        recent = now - track.last_seen < _UNCERTAIN_SECONDS
        uncertain = _MAX_OTHER_CORRELATION < track.similarity(observation) < _MIN_CORRELATION
        return distance < _SAME_DETECTION_FACE_SIZES and (track.misses == 0 or (recent and uncertain))

    def _detect(self, frame: Pixels, size: int) -> list[Observation]:
        """Return the detections that the model confirms, the largest first, one per face."""
        small = reduce_image(frame, size)
        scale = np.tile(np.array(frame.shape[1::-1]) / small.shape[1::-1], 2)
        detected: list[Observation] = []
        for box in detect_faces(small, self.detector, channel_order=self.channel_order) * scale:
            first = self._observer.locate(frame, (box[0], box[1], box[2], box[3]), 0.0).mean(axis=0)
            observation = self._observer.observe(frame, first)
            if observation is None or observation.confidence < self.min_confidence:
                continue
            distances = [self._observer.distance(observation.shape, other.shape) for other in detected]
            if min(distances, default=np.inf) > _SAME_DETECTION_FACE_SIZES:
                detected.append(observation)
        return detected

    def _tracked_cost(self, observation: Observation, track: Track) -> float:
        distance = self._observer.distance(observation.shape, track.observation.shape)
        return distance if distance < _SAME_DETECTION_FACE_SIZES else np.inf

    def _lost_cost(self, observation: Observation, track: Track) -> float:
        similarity = track.similarity(observation)
        distance = self._observer.distance(observation.shape, track.shape)
        if similarity < _MIN_CORRELATION or distance >= _MAX_SEARCH_FACE_SIZES:
            return np.inf
        return 1 - similarity + _DISTANCE_COST * distance

    def _face(self, track: Track, now: float) -> TrackedFace:
        box, roll = self._observer.box(track.shape)
        _, std, confidence, _ = track.observation
        return TrackedFace(track.id, box, track.shape.copy(), std, confidence, now - track.born, roll)


def _match(
    detected: list[Observation], tracks: list[Track], cost: Callable[[Observation, Track], float]
) -> dict[int, int]:
    """Return the pairs of indices with the smallest total cost; infinite costs exclude a pair."""
    if not (detected and tracks):
        return {}
    from scipy.optimize import linear_sum_assignment

    # So large that no pair is worth an excluded one.
    excluded = 1e6
    costs = np.array([[min(cost(observation, track), excluded) for track in tracks] for observation in detected])
    return {int(i): int(j) for i, j in zip(*linear_sum_assignment(costs), strict=True) if costs[i, j] < excluded}
