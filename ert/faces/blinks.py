"""Count blinks and measure eye closure from eye openness over time."""

import math

from ert._core.exceptions import InputError


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
    >>> counter = ert.BlinkCounter()
    >>> for time, face in frames:
    ...     counter.update(time, ert.eye_aspect_ratio(face.landmarks).mean())
    ...     if counter.closed_for > 1:
    ...         print("wake up")
    """

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
