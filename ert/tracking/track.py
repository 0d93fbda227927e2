"""One tracked face: its smoothed shape, its appearance and the frames since it was last found."""

import numpy as np

from ert._core.types import Floats
from ert.tracking.observation import Observation, normalized
from ert.tracking.smoothing import ShapeSmoother

# Weight of a new observation in the appearance of a track.
_APPEARANCE_GAIN = 0.1


class Track:
    """A face that is tracked, or missing since `misses` frames.

    Parameters
    ----------
    number : int
        The id of the face.
    observation : Observation
    mean_shape : float array (n_landmarks, 2)
    now : float
        Time of the observation in seconds.
    """

    def __init__(self, number: int, observation: Observation, mean_shape: Floats, now: float) -> None:
        self.id = number
        self.born = now
        self.appearance = observation.appearance
        self.restart(observation, mean_shape, now)

    def restart(self, observation: Observation, mean_shape: Floats, now: float) -> None:
        """Continue from an observation elsewhere, without smoothing."""
        self.smoother = ShapeSmoother(observation.shape, mean_shape)
        self.shape = observation.shape
        self._update(observation, now)

    def follow(self, observation: Observation, seconds: float, now: float, smooth: bool) -> None:
        """Add an observation at the expected position."""
        smoothed = self.smoother.update(observation.shape, seconds, observation.std)
        self.shape = smoothed if smooth else observation.shape
        self._update(observation, now)

    def _update(self, observation: Observation, now: float) -> None:
        self.observation, self.last_seen, self.misses = observation, now, 0
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


def match(costs: Floats) -> list[tuple[int, int]]:
    """Return the pairs of rows and columns with the smallest total cost; infinite costs exclude a pair."""
    if not costs.size:
        return []
    from scipy.optimize import linear_sum_assignment

    # So large that no pair is worth an excluded one.
    excluded = 1e6
    pairs = zip(*linear_sum_assignment(np.minimum(costs, excluded)), strict=True)
    return [(int(i), int(j)) for i, j in pairs if costs[i, j] < excluded]
