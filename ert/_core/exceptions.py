"""The error that bad input raises, and how text from elsewhere is put into messages."""

from typing import Any

MESSAGE_CHARACTERS = 1000


class InputError(ValueError):
    """Input that cannot be used: the message names the file, the item and what was expected, in one line.

    The command line prints it and ends with exit status 2. Characters that are not printable, as in the name of a
    file, are escaped, and a long message is shortened.
    """

    def __init__(self, message: object = "", *more: object) -> None:
        super().__init__(printable(str(message)), *more)


def printable(text: str, longest: int = MESSAGE_CHARACTERS) -> str:
    r"""Return text as one line for a terminal: control codes are escaped (``\x1b``), the middle of a long one is cut.

    Every message and every printed line passes through it, since names, notes and paths come from files.
    """
    return _without_middle(_escaped(_without_middle(text, longest)), longest)


def one_line(text: str, longest: int = 500) -> str:
    """Return text from elsewhere as a part of a line: printable, with single spaces, and cut at its end."""
    text = _escaped(" ".join(text[: 2 * longest].split()))
    return text if len(text) <= longest else text[: longest - 3] + "..."


def counted(n: int, noun: str) -> str:
    """Return a number of things in words: 1 trial, 2 trials."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _escaped(text: str) -> str:
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _without_middle(text: str, longest: int) -> str:
    end = (longest - 3) // 2
    return text if len(text) <= longest else f"{text[: longest - 3 - end]}...{text[len(text) - end :]}"


def quoted(value: Any) -> str:
    """Return a value from a file as one short line for an error message."""
    if isinstance(value, str):
        return repr(value if len(value) <= 60 else value[:57] + "...")
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else f"a list of {len(value)}"
    return "a number too large" if isinstance(value, int) and abs(value) > 10**60 else printable(repr(value), 60)
