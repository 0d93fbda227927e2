"""The one error that bad input raises."""

__all__ = ["InputError"]


class InputError(ValueError):
    """Input that cannot be used: the message names the file, the item and what was expected, in one line.

    The command line prints it and ends with exit status 2.
    """
