"""Landmarks of successive frames made steady, hardly later: where a face is and its shape, each for itself.

    shape ──> pose (position, scale, roll) ──> Follower with velocities ─┐
          └─> rest (what no pose explains) ──> Follower ─────────────────┴─> shape

A :class:`Follower` averages while nothing but noise moves and follows as soon as something does. What tells
the two apart is whether errors of its predictions agree in direction: the one-euro filter (Casiez et al., CHI
2012) asks for the speed instead, which noise has too, and lags while it has not risen.
"""

import numpy as np

from ert._core.types import Floats
from ert.model.procrustes import fit_similarity

__all__ = [
    "Follower",
    "ShapeSmoother",
    "fit_pose",
    "place_shape",
]


# Constants of time are those of 30 frames a second, brought to the time that has passed.
_RATE = 30.0
# How much of an observation is taken at least and at most.
_LEAST_GAIN, _LARGEST_GAIN = 0.04, 0.95
# Mean errors of prediction below the first, in units of the noise, are noise; from the second on it is
# motion.
_QUIET, _MOVING = 0.7, 2.4
# How fast the mean error follows the errors, and the noise what is seen of it; how fast averages settle.
_ERROR_GAIN, _NOISE_GAIN, _SETTLING = 0.4, 0.05, 0.6
# The noise that is learned stays between these times the usual one.
_LEAST_NOISE, _LARGEST_NOISE = 0.5, 8.0
# Usual noise of a pose (in sizes of the object) and of a landmark within it.
_POSE_NOISE, _REST_NOISE = 0.003, 0.005


class Follower:
    """Follows points that stand still, start, move and stop, under noise.

    Each point has a gain of its own. At rest it is that of a running mean, down to a least one; it rises with
    the mean error of the predictions, measured in standard deviations of the noise, and with the speed. How
    noisy a point is it learns from how much successive errors differ.

    Parameters
    ----------
    values : float array (n, 2)
        The first observation.
    moving : bool
        Whether to predict from velocities.

    Attributes
    ----------
    values : float array (n, 2)
        The filtered points.
    velocities : float array (n, 2)
        Per second; 0 unless `moving`.
    """

    def __init__(self, values: Floats, *, moving: bool) -> None:
        n = len(values)
        self.values = values.copy()
        self.velocities = np.zeros((n, 2))
        self.moving = moving
        self._error = np.zeros((n, 2))
        self._last_error: Floats | None = None
        self._noise = np.ones((n, 1))
        self._gain = np.ones((n, 1))

    def predict(self, seconds: float) -> Floats:
        """Return where the points will be."""
        return self.values + seconds * self.velocities

    def update(self, values: Floats, noise: Floats, seconds: float) -> Floats:
        """Take an observation and return the filtered points.

        Parameters
        ----------
        values : float array (n, 2)
        noise : float array (n, 1)
            What standard deviation is usual, over both coordinates. It need not be right: a factor is learned.
        seconds : float
            Since the last one, above 0.

        Returns
        -------
        float array (n, 2)
        """
        steps = seconds * _RATE
        predicted = self.predict(seconds)
        error = values - predicted
        if self._last_error is not None:
            seen = np.minimum(_length(error - self._last_error) / np.sqrt(2) / noise, 3 * self._noise)
            mixed = np.sqrt(self._noise**2 + _over(_NOISE_GAIN, steps) * (seen**2 - self._noise**2))
            # What changes speed has errors that differ too.
            learned = np.where(self._gain < 0.5, mixed, self._noise)
            self._noise = np.clip(learned, _LEAST_NOISE, _LARGEST_NOISE)
        self._last_error = error
        self._error += _over(_ERROR_GAIN, steps) * (error - self._error)
        evidence = np.maximum(_length(self._error), _length(self.velocities) / _RATE) / (noise * self._noise)
        share = np.clip((evidence - _QUIET) / (_MOVING - _QUIET), 0, 1)
        motion = _over(_LEAST_GAIN + (_LARGEST_GAIN - _LEAST_GAIN) * share, steps)
        self._gain = np.maximum(motion, 1 / (1 / self._gain + _SETTLING))
        self.values = predicted + self._gain * error
        if self.moving:
            # The gain of a critically damped alpha-beta filter (Kalata 1984).
            self.velocities += motion**2 / (2 - motion) * error / seconds
        self._error *= 1 - self._gain
        return self.values

    def coast(self, seconds: float, keep: float) -> None:
        """Go on without an observation, at velocities of which a share `keep` is left after a second."""
        self.values = self.predict(seconds)
        self.velocities *= keep**seconds
        self._last_error = None
        # What comes next is new.
        self._gain[:] = 1


def _length(vectors: Floats) -> Floats:
    length: Floats = np.sqrt(vectors[:, :1] ** 2 + vectors[:, 1:] ** 2)
    return length


def _over(gain: float | Floats, steps: float) -> Floats:
    """Return the gain of one step over many, or over part of one."""
    return np.asarray(1 - (1 - gain) ** steps, np.float64)


def fit_pose(shape: Floats, mean_shape: Floats) -> Floats:
    """Return the least-squares similarity that carries a mean shape onto a shape.

    Parameters
    ----------
    shape : float array (n_landmarks, 2)
        In pixels.
    mean_shape : float array (n_landmarks, 2)
        Its center at 0.

    Returns
    -------
    float array (2, 2)
        The center of the shape, in pixels; a and b of the matrix ((a, -b), (b, a)), which is the unit matrix
        when the mean shape is a single point.
    """
    turn, _, center = fit_similarity(mean_shape, shape)
    a, b = (turn.real, turn.imag) if mean_shape.any() else (1.0, 0.0)
    return np.array([(center.real, center.imag), (a, b)])


def place_shape(points: Floats, pose: Floats) -> Floats:
    """Carry points (n, 2) from the mean shape's coordinates to pixels."""
    (x, y), (a, b) = pose
    u, v = points.T
    return np.stack([a * u - b * v + x, b * u + a * v + y], axis=1)


class ShapeSmoother:
    """Makes the landmarks of one object steady from frame to frame.

    Parameters
    ----------
    shape : float array (n_landmarks, 2)
        The first one, in pixels.
    mean_shape : float array (n_landmarks, 2)
        The model's, in any unit of length; its scale tells the size of the object.
    """

    def __init__(self, shape: Floats, mean_shape: Floats) -> None:
        self._mean = mean_shape - mean_shape.mean(axis=0)
        pose = fit_pose(shape, self._mean)
        self._pose = Follower(pose, moving=True)
        self._rest = Follower(self._without(shape, pose), moving=False)

    @property
    def pose(self) -> Floats:
        """The filtered pose (2, 2), see :func:`fit_pose`."""
        return self._pose.values

    @property
    def shape(self) -> Floats:
        """The filtered shape (n_landmarks, 2), in pixels."""
        return self._placed(self._pose.values)

    def predict(self, seconds: float) -> Floats:
        """Return the shape (n_landmarks, 2) after some time."""
        return self._placed(self._pose.predict(seconds))

    def update(self, shape: Floats, seconds: float, std: Floats | None = None) -> Floats:
        """Take the shape of the next frame and return the filtered one.

        Parameters
        ----------
        shape : float array (n_landmarks, 2)
            In pixels.
        seconds : float
            Since the frame before, above 0.
        std : float array (n_landmarks,), optional
            Standard errors in pixels: the larger one is against the others', the less its landmark is
            followed.

        Returns
        -------
        float array (n_landmarks, 2)
        """
        pose = fit_pose(shape, self._mean)
        size = float(np.hypot(*pose[1]))
        self._pose.update(pose, np.array([[_POSE_NOISE * size], [_POSE_NOISE * size]]), seconds)
        noise = np.full((len(shape), 1), _REST_NOISE)
        if std is not None:
            # Only how landmarks differ: errors that stay from frame to frame are no jitter.
            noise *= np.clip(std / max(float(np.median(std)), 1e-9), 0.5, 2.0)[:, None]
        self._rest.update(self._without(shape, pose), noise, seconds)
        return self.shape

    def coast(self, seconds: float) -> Floats:
        """Go on without a shape, slowing down, and return where the landmarks would be."""
        self._pose.coast(seconds, keep=0.1)
        self._rest.coast(seconds, keep=1.0)
        return self.shape

    def _without(self, shape: Floats, pose: Floats) -> Floats:
        (x, y), (a, b) = pose
        u, v = shape[:, 0] - x, shape[:, 1] - y
        squared = max(a * a + b * b, 1e-12)
        turned_back: Floats = np.stack([(a * u + b * v) / squared, (a * v - b * u) / squared], axis=1)
        turned_back -= self._mean
        return turned_back

    def _placed(self, pose: Floats) -> Floats:
        return place_shape(self._mean + self._rest.values, pose)
