"""Face regions by name, measures of open eyes and mouths, and blinks."""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ert._core.arguments import checked_arguments
from ert._core.exceptions import InputError
from ert._core.types import Floats
from ert.model.schemes import FACE68_REGIONS

_NAMES = "jaw", "right_brow", "left_brow", "nose", "right_eye", "left_eye", "outer_lips", "inner_lips"
_NOSE = range(FACE68_REGIONS["nose_bridge"].start, FACE68_REGIONS["nostrils"].stop)
# The landmark indices of each region by scheme; right and left are the subject's.
FACE_REGIONS: dict[str, dict[str, range]] = {
    "face68": {name: FACE68_REGIONS.get(name, _NOSE) for name in _NAMES},
    "face5": {"left_eye": range(0, 2), "right_eye": range(2, 4), "nose": range(4, 5)},
}


@checked_arguments
def regions(landmarks: ArrayLike) -> dict[str, Floats]:
    """Return the landmarks of faces by region.

    **Right and left are the subject's**: the right eye is on the left of an image that is not mirrored.

    Parameters
    ----------
    landmarks : (..., 68, 2) or (..., 5, 2) array-like
        68 landmarks in iBUG order, or the five of `face5` (dlib's: left eye, right eye, nose), of one face or several.

    Returns
    -------
    dict of str to (..., n, 2) float64 array
        Each landmark is in one region. Of 68: ``jaw`` (17, from the subject's right ear to the left one),
        ``right_brow`` and ``left_brow`` (5, from left to right in the image), ``nose`` (9: four down the
        bridge, five along the nostrils), ``right_eye`` and ``left_eye`` (6), ``outer_lips`` (12) and
        ``inner_lips`` (8), these four clockwise in the image from the corner on its left. Of 5: ``left_eye``
        and ``right_eye`` (outer corner, inner corner), ``nose`` (its base).

    Raises
    ------
    InputError
        When there are neither 68 nor 5 landmarks.

    Examples
    --------
    >>> face = ert.align(ert.sample_image())[0]
    >>> ert.regions(face.landmarks)["right_eye"].shape
    (6, 2)
    """
    points = check_face(landmarks, 68, 5)
    scheme = FACE_REGIONS[f"face{points.shape[-2]}"]
    return {name: points[..., list(numbers), :] for name, numbers in scheme.items()}


def check_face(landmarks: Any, *counts: int, many: bool = True) -> Floats:
    """Return validated landmarks (..., n, 2), NaN where one is missing.

    The counts are the allowed values of n, by default any. Without `many` there are no leading dimensions.
    """
    try:
        points = np.asarray(landmarks, np.float64)
    except (TypeError, ValueError):
        raise InputError("landmarks: expected an array of numbers, x and y of each landmark") from None
    if points.ndim < 2 or points.shape[-1] != 2 or (points.ndim > 2 and not many):
        expected = "(..., n_landmarks, 2)" if many else "(n_landmarks, 2) for one face"
        raise InputError(f"landmarks: array of shape {points.shape}, expected {expected}")
    if counts and points.shape[-2] not in counts:
        known = " or ".join(map(str, counts))
        raise InputError(f"landmarks: {points.shape[-2]} landmarks, expected the {known} of a face")
    if np.isinf(points).any():
        raise InputError("landmarks: infinite value, expected finite ones, or NaN for a missing landmark")
    return points


_EYES = np.array([FACE68_REGIONS["right_eye"], FACE68_REGIONS["left_eye"]])


@checked_arguments
def eye_aspect_ratio(landmarks: ArrayLike) -> Floats:
    """Return the eye aspect ratio: the mean distance between the lids divided by the width of the eye.

    About 0.3 for most open eyes and below 0.15 for closed ones, depending on person, camera and model. The
    ratio does not depend on the size of the face or its roll; it grows with yaw, which makes an eye look
    narrower.

    Parameters
    ----------
    landmarks : (..., 68, 2) array-like
        In iBUG order, of one face or several; NaN = missing.

    Returns
    -------
    (..., 2) float64 array
        For the subject's right and left eye. NaN where a landmark of the eye is missing or its corners coincide.

    Raises
    ------
    InputError
        When there are not 68 landmarks.

    References
    ----------
    T. Soukupova and J. Cech, Real-Time Eye Blink Detection using Facial Landmarks, 21st Computer Vision
    Winter Workshop, 2016: equation (1), and 0.2 as the usual threshold.
    """
    eyes = check_face(landmarks, 68)[..., _EYES, :]
    gaps = lengths(eyes[..., [1, 2], :] - eyes[..., [5, 4], :]).mean(axis=-1)
    ratio: Floats = gaps / zero_to_nan(lengths(eyes[..., 3, :] - eyes[..., 0, :]))
    return ratio


@checked_arguments
def mouth_opening(landmarks: ArrayLike) -> Floats:
    """Return how far mouths are open: the distance between the inner lips divided by the mouth's width.

    It does not depend on the size of the face or its roll.

    Parameters
    ----------
    landmarks : (..., 68, 2) array-like
        In iBUG order, of one face or several; NaN = missing.

    Returns
    -------
    (...) float64 array
        0 for a closed mouth, about 0.5 for a yawn. NaN where one of the four landmarks is missing or the
        corners coincide.

    Raises
    ------
    InputError
        When there are not 68 landmarks.
    """
    points = check_face(landmarks, 68)
    gap = lengths(points[..., 66, :] - points[..., 62, :])
    opening: Floats = gap / zero_to_nan(lengths(points[..., 54, :] - points[..., 48, :]))
    return opening


def lengths(vectors: Floats) -> Floats:
    """Return the lengths of vectors (..., 2)."""
    measured: Floats = np.hypot(vectors[..., 0], vectors[..., 1])
    return measured


def zero_to_nan(measured: Floats) -> Floats:
    """Replace lengths of zero by NaN, so that they can be divided by."""
    return np.where(measured > 0, measured, np.nan)


class BlinkCounter:
    """Count blinks and measure how long eyes are closed, at any frame rate, regular or not.

    Eyes close when their openness falls below one threshold and open when it rises above a higher one
    (hysteresis), so that noise around a threshold does not count as blinks. The times of the crossings are
    interpolated linearly between measurements.

    Parameters
    ----------
    close_below, open_above : float
        The two thresholds, in the units of the measurements; the defaults are for
        :func:`ert.eye_aspect_ratio`. People, cameras and models differ, so thresholds measured on the person
        work better than fixed ones: 0.75 and 0.85 times the ratio of the open eyes.
    shortest, longest : float
        Duration of a blink in seconds. Shorter closures are noise; during longer ones the eyes stay shut.
        (Spontaneous blinks take 0.1 to 0.4 s.)

    Attributes
    ----------
    blinks : int
        Number of completed blinks.
    closed : bool
        Whether the eyes are closed now.

    Raises
    ------
    InputError
        When the thresholds or the durations are not in this order.

    Examples
    --------
    The openness of a face is ``ert.eye_aspect_ratio(face.landmarks).mean()``:

    >>> counter = ert.BlinkCounter()
    >>> for time, openness in [(0.0, 0.3), (0.1, 0.1), (0.2, 0.1), (0.3, 0.3)]:
    ...     closed = counter.update(time, openness)
    ...     if counter.closed_for > 1:
    ...         print("wake up")
    >>> counter.blinks
    1
    """

    @checked_arguments
    def __init__(
        self, close_below: float = 0.2, open_above: float = 0.23, *, shortest: float = 0.05, longest: float = 0.5
    ) -> None:
        if not 0 < close_below <= open_above < math.inf:
            raise InputError(
                f"close_below {close_below}, open_above {open_above}: "
                "expected both above 0 and the second at least the first"
            )
        if not 0 <= shortest < longest:
            raise InputError(f"shortest, longest: {shortest}, {longest}, expected 0 <= shortest < longest")
        self.close_below, self.open_above = close_below, open_above
        self.shortest, self.longest = shortest, longest
        self.blinks = 0
        self.closed = False
        self._time = -math.inf
        self._openness = math.nan
        self._closed_before = 0.0  # seconds of all completed closures
        self._since = math.nan
        self._onset_seen = False

    def __repr__(self) -> str:
        state = f"closed for {self.closed_for:.2f} s" if self.closed else "open"
        return f"BlinkCounter(blinks={self.blinks}, closed_time={self.closed_time:.2f} s, eyes {state})"

    @property
    def closed_for(self) -> float:
        """Duration of the current closure in seconds; 0 when the eyes are open."""
        return self._time - self._since if self.closed else 0.0

    @property
    def closed_time(self) -> float:
        """Total duration of all closures in seconds, including blinks."""
        return self._closed_before + self.closed_for

    @checked_arguments
    def update(self, time: float, openness: float) -> bool:
        """Add one measurement.

        Parameters
        ----------
        time : float
            Seconds since any fixed moment, later than in the previous call.
        openness : float
            How far the eyes are open; NaN when there is no face. A closure that ends in NaN lasts until the
            previous measurement and does not count as a blink.

        Returns
        -------
        bool
            Whether the eyes are closed.

        Raises
        ------
        InputError
            When `time` does not increase or the openness is infinite.
        """
        time, openness = float(time), float(openness)
        if not self._time < time < math.inf:
            raise InputError(f"time: {time} s after {self._time} s, expected increasing times")
        if math.isinf(openness):
            raise InputError(f"openness: {openness}, expected a finite number, or NaN when there is no face")
        if self.closed and math.isnan(openness):
            self._closed_before += self.closed_for
            self.closed = False
        elif self.closed and openness > self.open_above:
            length = self._crossing(time, openness, self.open_above) - self._since
            self._closed_before += length
            self.closed = False
            self.blinks += self._onset_seen and self.shortest <= length <= self.longest
        elif not self.closed and openness < self.close_below:
            self.closed = True
            self._onset_seen = not math.isnan(self._openness)
            self._since = self._crossing(time, openness, self.close_below) if self._onset_seen else time
        self._time, self._openness = time, openness
        return self.closed

    def _crossing(self, time: float, openness: float, threshold: float) -> float:
        """Return the time at which a threshold was crossed since the previous measurement."""
        return self._time + (time - self._time) * (threshold - self._openness) / (openness - self._openness)
