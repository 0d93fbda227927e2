"""Blinks, and the time that eyes are closed, from how far they are open at given times."""

import math

from ert._core.exceptions import InputError

__all__ = [
    "BlinkCounter",
]


class BlinkCounter:
    """Counts blinks and the time that eyes are closed, at any frame rate, even or not.

    Eyes close when their openness falls below one limit and open when it rises above a higher one, so that
    noise about a limit makes no blinks. When a limit was crossed is interpolated between two measurements.

    Parameters
    ----------
    close_below, open_above : float
        The two limits, in units of what :meth:`update` is given: by default of
        :func:`ert.eye_aspect_ratio`. People, cameras and models differ, so that limits measured on the person
        serve better than any fixed ones: 0.75 and 0.85 of the ratio of the open eyes.
    shortest, longest : float
        Seconds. Shorter closures are noise, and longer ones no blinks: eyes that stay shut. (Spontaneous
        blinks take 0.1 to 0.4 s.)

    Attributes
    ----------
    blinks : int
        Those that have ended.
    closed : bool
        Whether the eyes are closed now.

    Raises
    ------
    InputError
        When the limits are not in this order.

    Examples
    --------
    >>> counter = ert.BlinkCounter()
    >>> for time, face in frames:
    ...     counter.update(time, ert.eye_aspect_ratio(face.landmarks).mean())
    ...     if counter.closed_for > 1:
    ...         print("wake up")
    """

    def __init__(
        self,
        close_below: float = 0.2,
        open_above: float = 0.23,
        *,
        shortest: float = 0.05,
        longest: float = 0.5,
    ) -> None:
        if not 0 < close_below <= open_above < math.inf:
            raise InputError(
                f"close_below {close_below}, open_above {open_above}: "
                "expected them above 0, the second not below the first"
            )
        if not 0 <= shortest < longest:
            raise InputError(f"shortest, longest: {shortest}, {longest}, expected 0 <= shortest < longest")
        self.close_below, self.open_above = close_below, open_above
        self.shortest, self.longest = shortest, longest
        self.blinks = 0
        self.closed = False
        self._time = -math.inf
        self._openness = math.nan
        self._closed_before = 0.0  # seconds of the closures that have ended
        self._since = math.nan
        self._saw_it_close = False

    @property
    def closed_for(self) -> float:
        """Seconds that the eyes have been closed without a break; 0 when they are open."""
        return self._time - self._since if self.closed else 0.0

    @property
    def closed_time(self) -> float:
        """Seconds that the eyes have been closed in all, those of blinks included."""
        return self._closed_before + self.closed_for

    def update(self, time: float, openness: float) -> bool:
        """Take one measurement.

        Parameters
        ----------
        time : float
            In seconds, from anywhere: later than that of the call before.
        openness : float
            How far the eyes are open; NaN when there is no face. A closure that ends in NaN counts up to the
            measurement before, and as no blink.

        Returns
        -------
        bool
            Whether the eyes are closed.

        Raises
        ------
        InputError
            When time does not go forward, or the openness is infinite.
        """
        time, openness = float(time), float(openness)
        if not self._time < time < math.inf:
            raise InputError(f"time: {time} s after {self._time} s, expected times that go forward")
        if math.isinf(openness):
            raise InputError(f"openness: {openness}, expected a finite number, or NaN when there is no face")
        if self.closed and math.isnan(openness):
            self._closed_before += self.closed_for
            self.closed = False
        elif self.closed and openness > self.open_above:
            length = self._crossing(time, openness, self.open_above) - self._since
            self._closed_before += length
            self.closed = False
            self.blinks += self._saw_it_close and self.shortest <= length <= self.longest
        elif not self.closed and openness < self.close_below:
            self.closed = True
            self._saw_it_close = not math.isnan(self._openness)
            self._since = self._crossing(time, openness, self.close_below) if self._saw_it_close else time
        self._time, self._openness = time, openness
        return self.closed

    def _crossing(self, time: float, openness: float, limit: float) -> float:
        """Return when a limit was crossed since the measurement before, as if on a straight line."""
        return self._time + (time - self._time) * (limit - self._openness) / (openness - self._openness)
