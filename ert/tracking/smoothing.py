"""Low-lag smoothing of landmarks over frames; pose and shape are filtered separately.

    shape ──> pose (position, scale, roll) ──> AdaptiveFilter with velocities ─┐
          └─> deformation (the remainder) ───> AdaptiveFilter ─────────────────┴─> shape

An :class:`AdaptiveFilter` averages while points are at rest and follows them closely as soon as they move. It
detects motion by successive prediction errors that agree in direction. The one-euro filter (Casiez et al.,
CHI 2012) uses the speed instead, which noise has too, and lags until the speed has risen.
"""

import numpy as np

from ert._core.types import Floats
from ert.model.procrustes import fit_similarity

# Gains are those of this frame rate and are converted to the time between frames.
_FRAMES_PER_SECOND = 30.0
# Range of the gain, the weight of an observation.
_MIN_GAIN, _MAX_GAIN = 0.04, 0.95
# Mean prediction errors, in standard deviations of the noise, that indicate rest and motion; the gain is
# interpolated between them.
_REST_ERROR, _MOTION_ERROR = 0.7, 2.4
# Gains of the running means of prediction error and noise.
_ERROR_GAIN, _NOISE_GAIN = 0.4, 0.05
# Growth of the inverse gain per observation after motion; 1 would be an exact running mean.
_INVERSE_GAIN_STEP = 0.6
# Range of the estimated noise, relative to the expected noise.
_MIN_NOISE, _MAX_NOISE = 0.5, 8.0
# Expected noise of the pose and of the deformation, in sizes of the object.
_POSE_NOISE, _DEFORMATION_NOISE = 0.003, 0.005


class AdaptiveFilter:
    """Filter noisy points (n, 2) that rest, start, move and stop.

    Each point has its own gain. At rest it is that of a running mean, down to a minimum; it rises with the
    mean prediction error, in standard deviations of the noise, and with the speed. The noise of a point is
    estimated from the differences of successive errors. Velocities are per second; 0 without `use_velocity`.
    """

    def __init__(self, values: Floats, *, use_velocity: bool) -> None:
        self.values, self.use_velocity = values.copy(), use_velocity
        self.velocities, self._error = np.zeros_like(values), np.zeros_like(values)
        self._last_error: Floats | None = None
        self._noise, self._gain = np.ones((len(values), 1)), np.ones((len(values), 1))

    def predict(self, seconds: float) -> Floats:
        """Return the expected points after some time."""
        return self.values + seconds * self.velocities

    def update(self, values: Floats, noise: Floats, seconds: float) -> Floats:
        """Add an observation, some time above 0 after the last, and return the filtered points.

        `noise` (n, 1) is the expected standard deviation of both coordinates; a correction factor is estimated.
        """
        steps = seconds * _FRAMES_PER_SECOND
        predicted = self.predict(seconds)
        error = values - predicted
        if self._last_error is not None:
            observed = np.minimum(_length(error - self._last_error) / np.sqrt(2) / noise, 3 * self._noise)
            mean = np.sqrt(self._noise**2 + _gain_over(_NOISE_GAIN, steps) * (observed**2 - self._noise**2))
            # A change of speed makes successive errors differ too, so the noise is estimated only at rest.
            self._noise = np.clip(np.where(self._gain < 0.5, mean, self._noise), _MIN_NOISE, _MAX_NOISE)
        self._last_error = error
        self._error += _gain_over(_ERROR_GAIN, steps) * (error - self._error)
        motion = np.maximum(_length(self._error), _length(self.velocities) / _FRAMES_PER_SECOND)
        relative = (motion / (noise * self._noise) - _REST_ERROR) / (_MOTION_ERROR - _REST_ERROR)
        gain = _gain_over(_MIN_GAIN + (_MAX_GAIN - _MIN_GAIN) * np.clip(relative, 0, 1), steps)
        self._gain = np.maximum(gain, 1 / (1 / self._gain + _INVERSE_GAIN_STEP))
        self.values = predicted + self._gain * error
        if self.use_velocity:
            # The gain of a critically damped alpha-beta filter (Kalata 1984).
            self.velocities += gain**2 / (2 - gain) * error / seconds
        self._error *= 1 - self._gain
        return self.values

    def coast(self, seconds: float, keep: float) -> None:
        """Extrapolate without an observation; velocities decay by the factor `keep` per second."""
        self.values = self.predict(seconds)
        self.velocities *= keep**seconds
        self._last_error = None
        # The next observation is taken as it is.
        self._gain[:] = 1


def _length(vectors: Floats) -> Floats:
    length: Floats = np.sqrt(vectors[:, :1] ** 2 + vectors[:, 1:] ** 2)
    return length


def _gain_over(gain: float | Floats, steps: float) -> Floats:
    """Convert the gain of one step to that of several or of a fraction of one."""
    return np.asarray(1 - (1 - gain) ** steps, np.float64)


def fit_pose(shape: Floats, mean_shape: Floats) -> Floats:
    """Return the pose of a shape, the least-squares similarity from the mean shape, centered at 0, to it.

    The rows are the center of the shape, in pixels, and a, b of the matrix ((a, -b), (b, a)), which is the
    identity when the mean shape is a single point.
    """
    turn, _, center = fit_similarity(mean_shape, shape)
    a, b = (turn.real, turn.imag) if mean_shape.any() else (1.0, 0.0)
    return np.array([(center.real, center.imag), (a, b)])


def place_shape(points: Floats, pose: Floats) -> Floats:
    """Transform points (n, 2) from mean shape coordinates to pixels."""
    (x, y), (a, b) = pose
    u, v = points.T
    return np.stack([a * u - b * v + x, b * u + a * v + y], axis=1)


class ShapeSmoother:
    """Smooth the landmarks of one object over frames; its size is its scale relative to the mean shape."""

    def __init__(self, shape: Floats, mean_shape: Floats) -> None:
        self._mean = mean_shape - mean_shape.mean(axis=0)
        pose = fit_pose(shape, self._mean)
        self._pose = AdaptiveFilter(pose, use_velocity=True)
        self._deformation = AdaptiveFilter(self._deformation_of(shape, pose), use_velocity=False)

    def predict(self, seconds: float) -> Floats:
        """Return the expected shape (n_landmarks, 2) in pixels after some time."""
        return place_shape(self._mean + self._deformation.values, self._pose.predict(seconds))

    def update(self, shape: Floats, seconds: float, std: Floats | None = None) -> Floats:
        """Add the shape of the next frame and return the filtered shape.

        Landmarks whose standard error (n_landmarks,) is large relative to the others are smoothed more.
        """
        pose = fit_pose(shape, self._mean)
        size = float(np.hypot(*pose[1]))
        self._pose.update(pose, np.full((2, 1), _POSE_NOISE * size), seconds)
        noise = np.full((len(shape), 1), _DEFORMATION_NOISE)
        if std is not None:
            # Only relative to the median: errors that persist over frames are not noise.
            noise *= np.clip(std / max(float(np.median(std)), 1e-9), 0.5, 2.0)[:, None]
        self._deformation.update(self._deformation_of(shape, pose), noise, seconds)
        return self.predict(0.0)

    def coast(self, seconds: float) -> Floats:
        """Extrapolate without a shape, slowing down, and return the expected landmarks."""
        self._pose.coast(seconds, keep=0.1)
        self._deformation.coast(seconds, keep=1.0)
        return self.predict(0.0)

    def _deformation_of(self, shape: Floats, pose: Floats) -> Floats:
        """Return the difference of a shape from the mean shape, in mean shape coordinates."""
        (x, y), (a, b) = pose
        u, v = shape[:, 0] - x, shape[:, 1] - y
        squared = max(a * a + b * b, 1e-12)
        difference: Floats = np.stack([(a * u + b * v) / squared, (a * v - b * u) / squared], axis=1)
        difference -= self._mean
        return difference
