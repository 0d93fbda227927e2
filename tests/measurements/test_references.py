import numpy as np
import pytest

from ert import InputError
from ert.measurements.references import read_measurements

NAMES = ("nose", "tail", "left-eye", "right eye", "a,b")
NUMBERS = ("1", "2", "3")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nose-tail", (0, 1)),
        (" nose - tail ", (0, 1)),
        ("0-4", (0, 4)),
        ("nose-2", (0, 2)),
        ("left-eye-nose", (2, 0)),
        ("nose-left-eye", (0, 2)),
        ('"left-eye"-"nose"', (2, 0)),
        ("right eye-tail", (3, 1)),
        ('"a,b"-tail', (4, 1)),
        (("nose", "left-eye"), (0, 2)),
        ((0, 2), (0, 2)),
        (["nose", 2], (0, 2)),
        (np.array([0, 2]), (0, 2)),
    ],
)
def test_names_and_numbers(text, expected):
    assert list(read_measurements([text], "distances", 2, NAMES).values()) == [expected]


def test_lists_and_names_of_measurements():
    text = 'nose-tail,width=0-2,"a,b"-tail'
    expected = {"nose-tail": (0, 1), "width": (0, 2), "a,b-tail": (4, 1)}
    assert read_measurements(text, "distances", 2, NAMES) == expected
    assert read_measurements([text], "distances", 2, NAMES) == expected
    assert read_measurements(text.split(",", 2), "distances", 2, NAMES) == expected
    assert read_measurements({"width": "0-2", "length": (0, 1)}, "distances", 2, NAMES) == {
        "width": (0, 2),
        "length": (0, 1),
    }
    assert read_measurements("", "distances", 2, NAMES) == read_measurements((), "distances", 2, NAMES) == {}


def test_names_that_are_numbers_are_names():
    assert read_measurements("1-3", "distances", 2, NUMBERS) == {"1-3": (0, 2)}
    assert read_measurements([(0, 2)], "distances", 2, NUMBERS) == {"1-3": (0, 2)}


def test_names_that_can_be_read_in_two_ways_need_quotes():
    names = ("a", "b-c", "a-b", "c")
    for text, expected in (('a-"b-c"', (0, 1)), ('"a-b"-c', (2, 3))):
        assert read_measurements(text, "distances", 2, names) == {"a-b-c": expected}
    with pytest.raises(InputError, match=r"distances: 'a-b-c': may be a, b-c or a-b, c; expected .* double quotes"):
        read_measurements("a-b-c", "distances", 2, names)
    # Of three, there is one way only, if b is a landmark.
    assert read_measurements("a-b-c", "angles", 3, (*names, "b")) == {"a-b-c": (0, 4, 3)}


@pytest.mark.parametrize(
    ("given", "count", "names", "message"),
    [
        ("nose-fin", 2, NAMES, "no landmark 'fin', expected one of nose, tail, .*, or a number from 0 to 4"),
        ("nose-9", 2, NAMES, "no landmark '9'"),
        ("0-1", 2, NUMBERS, "no landmark '0', expected one of 1, 2, 3$"),
        ([5], 2, NAMES, "5: expected a text such as 'A-B', or a sequence of landmarks"),
        ([(0, 1.0)], 2, NAMES, "no landmark 1.0"),
        ([(0, 5)], 2, NAMES, "no landmark 5"),
        ([(0, -1)], 2, NAMES, "no landmark -1"),
        ("nose", 2, NAMES, "1 landmark, expected 2"),
        ("nose-tail-0", 2, NAMES, "3 landmarks, expected 2"),
        ("nose-tail", 3, NAMES, "2 landmarks, expected 3"),
        ("nose-tail", None, NAMES, "2 landmarks, expected three or more"),
        ("nose-nose", 2, NAMES, "the same landmark twice"),
        ("nose-0", 2, NAMES, "the same landmark twice"),
        ("nose-tail,,0-1", 2, NAMES, "no landmark ''"),
        ("nose-", 2, NAMES, "no landmark ''"),
        ("a=0-1,a=0-2", 2, NAMES, "'a=0-2': 'a' is given twice"),
        ("=0-1", 2, NAMES, "expected a name before the '='"),
        ("nose-tail, 0-1", 2, NAMES, "'0-1': 'nose-tail' is given twice"),
    ],
)
def test_errors_name_the_measurement(given, count, names, message):
    with pytest.raises(InputError, match=message) as info:
        read_measurements(given, "what", count, names)
    assert str(info.value).startswith("what: ")


def test_many_ways_to_read_take_no_time():
    names = ("a", "a-a", "a-a-a")
    with pytest.raises(InputError, match="may be"):
        read_measurements("-".join("a" * 200), "perimeters", None, names)
