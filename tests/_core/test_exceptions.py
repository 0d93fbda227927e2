import pickle

import pytest

from ert import InputError
from ert._core.exceptions import MESSAGE_CHARACTERS, one_line, printable, quoted
from ert.compat.dlib import DlibError

# A terminal's title, a cleared screen, a line of its own, a reversed direction, half a surrogate pair.
CODES = "\x1b]0;title\x07\x1b[2J\n\r\u202e\ud800\x9b"
ESCAPED = r"\x1b]0;title\x07\x1b[2J\n\r\u202e\ud800\x9b"


def test_control_codes_are_escaped():
    assert printable(CODES) == ESCAPED
    assert printable("  a  ü  日本 ") == "  a  ü  日本 "
    assert printable(ESCAPED) == ESCAPED
    assert one_line(" a \t b\x1b ") == r"a b\x1b"


@pytest.mark.parametrize("text", ["a" * 10**6 + "b", "\x1b" * 10**6 + "b"])
def test_long_text_is_cut_in_the_middle(text):
    short = printable(text)
    assert len(short) == MESSAGE_CHARACTERS
    assert short.startswith(text[0] if text[0] == "a" else r"\x1b")
    assert short.endswith("b")
    assert "..." in short
    assert len(printable(text, 20)) == 20
    assert len(one_line(text, 60)) == 60


@pytest.mark.parametrize("kind", [InputError, DlibError])
def test_every_message_is_one_short_printable_line(kind):
    error = kind(f"a{CODES}.png: is empty, expected an image")
    assert str(error) == f"a{ESCAPED}.png: is empty, expected an image"
    assert len(str(kind("x" * 10**6))) == MESSAGE_CHARACTERS
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert str(kind()) == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("nose", "'nose'"),
        (CODES, repr(CODES)),
        ("x" * 100, "'" + "x" * 57 + "...'"),
        ({"a": 1}, "an object"),
        ([1, 2], "a list of 2"),
        (10**5000, "a number too large"),
        (2.5, "2.5"),
        (None, "None"),
        ((1,) * 1000, "(1, 1, 1, 1, 1, 1, 1, 1, 1, 1..., 1, 1, 1, 1, 1, 1, 1, 1, 1)"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_of_any_kind_is_quoted(value, text):
    assert quoted(value) == text
    assert quoted(value).isprintable()
