"""The error of the interfaces in this package."""

from collections.abc import Iterator
from contextlib import contextmanager

from ert._core.exceptions import InputError


class DlibError(InputError, RuntimeError):
    """Invalid input. Scripts written for dlib catch it as a RuntimeError."""


@contextmanager
def dlib_errors() -> Iterator[None]:
    """Raise input errors as DlibError."""
    try:
        yield
    except InputError as error:
        raise DlibError(str(error)) from error
