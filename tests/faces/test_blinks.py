import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ert import BlinkCounter, InputError

# Two blinks of 0.2 s, eyes half closed, and closed for 1.5 s: seconds and openness, linear between them.
TIMES = [0, 1.0, 1.1, 1.2, 3.0, 3.1, 3.2, 4.0, 4.1, 4.6, 4.7, 6.0, 6.1, 7.5, 7.6, 9.0]
OPEN = [0.3, 0.3, 0.1, 0.3, 0.3, 0.1, 0.3, 0.3, 0.215, 0.215, 0.3, 0.3, 0.05, 0.05, 0.3, 0.3]


def watch(counter, times):
    for time in times:
        counter.update(time, np.interp(time, TIMES, OPEN))
    return counter


def test_blinks_and_long_closures_are_distinguished():
    counter = watch(BlinkCounter(), np.arange(0, 9, 0.01))
    assert counter.blinks == 2
    # Closed from falling below 0.2 to rising above 0.23; 0.215 alone is not a closure.
    blink = 0.1 * 0.1 / 0.2 + 0.1 * 0.13 / 0.2
    long = 1.4 + 0.1 * 0.15 / 0.25 + 0.1 * 0.18 / 0.25
    assert counter.closed_time == pytest.approx(2 * blink + long, abs=1e-3)
    assert not counter.closed
    assert counter.closed_for == 0


@given(rate=st.floats(25, 240), phase=st.floats(0, 1), seed=st.integers(0, 99), jitter=st.floats(0, 0.9))
def test_any_frame_rate_regular_or_not_gives_the_same_counts(rate, phase, seed, jitter):
    steps = np.arange(phase, 8.5 * rate)
    times = (steps + jitter * np.random.default_rng(seed).uniform(-0.5, 0.5, len(steps))) / rate
    counter = watch(BlinkCounter(), times)
    assert counter.blinks == 2
    assert counter.closed_time == pytest.approx(1.762, abs=5 / rate)


def test_times_may_start_anywhere():
    counter = BlinkCounter()
    for time in np.arange(0, 9, 0.02):
        counter.update(time - 1000, np.interp(time, TIMES, OPEN))
    assert counter.blinks == 2


def test_the_state_while_eyes_are_closed():
    counter = watch(BlinkCounter(), np.arange(0, 7, 0.02))
    assert counter.closed
    assert counter.closed_for == pytest.approx(6.98 - 6.04, abs=1e-2)
    assert counter.blinks == 2
    assert counter.update(7.0, 0.22)  # above the lower threshold, but not the upper one
    assert counter.closed_for == pytest.approx(0.96, abs=1e-2)
    assert not counter.update(7.1, 0.24)
    assert counter.blinks == 2


def test_noise_around_a_threshold_makes_no_blinks():
    noise = np.random.default_rng(0).uniform(-0.014, 0.014, 1000)
    for limit in (0.2, 0.23):
        counter = BlinkCounter(shortest=0)
        for number, value in enumerate(noise):
            counter.update(number / 30, limit + value)
        assert counter.blinks == 0


def test_short_closures_are_not_blinks():
    values = [0.3, 0.3, 0.19, 0.3, 0.3]
    short, any_length = BlinkCounter(), BlinkCounter(shortest=0)
    for number, value in enumerate(values):
        short.update(number / 60, value)
        any_length.update(number / 60, value)
    assert (short.blinks, any_length.blinks) == (0, 1)


def test_a_lost_face_ends_a_closure_without_a_blink():
    counter = BlinkCounter()
    for time, openness in ((0, 0.3), (0.1, 0.1), (0.2, 0.1), (0.3, math.nan), (0.4, math.nan), (0.5, 0.3)):
        counter.update(time, openness)
    assert counter.blinks == 0
    assert counter.closed_time == pytest.approx(0.15)
    # Closed when the face is found again: the onset is unknown.
    for time, openness in ((0.6, math.nan), (0.7, 0.1), (0.8, 0.1), (0.9, 0.3)):
        counter.update(time, openness)
    assert counter.blinks == 0
    assert counter.closed_time == pytest.approx(0.15 + 0.1 + 0.1 * 0.13 / 0.2)
    for time, openness in ((1.0, 0.1), (1.1, 0.3)):
        counter.update(time, openness)
    assert counter.blinks == 1


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"close_below": 0.3}, "close_below 0.3, open_above 0.23"),
        ({"close_below": 0}, "expected both above 0"),
        ({"open_above": math.nan}, "open_above nan"),
        ({"shortest": 0.5}, "shortest, longest: 0.5, 0.5"),
        ({"shortest": -1}, "expected 0 <= shortest"),
    ],
)
def test_invalid_thresholds_are_refused(parameters, message):
    with pytest.raises(InputError, match=message):
        BlinkCounter(**parameters)


def test_invalid_measurements_are_refused():
    counter = BlinkCounter()
    counter.update(1.0, 0.3)
    for time in (1.0, 0.5, math.nan, math.inf):
        with pytest.raises(InputError, match=f"time: {time} s after 1.0 s"):
            counter.update(time, 0.3)
    with pytest.raises(InputError, match="openness: inf"):
        counter.update(2.0, math.inf)
    assert counter.blinks == 0
