"""The error that bad input raises."""


class InputError(ValueError):
    """Input that cannot be used: the message names the file, the item and what was expected, in one line.

    The command line prints it and ends with exit status 2.
    """


def one_line(text: str, longest: int = 500) -> str:
    """Return text from elsewhere for a message of one line: printable, and shortened."""
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in " ".join(text[: 2 * longest].split()))
    return text if len(text) <= longest else text[: longest - 3] + "..."
