"""The interfaces of other libraries on top of ert: :mod:`ert.compat.dlib`."""

from ert.compat import dlib

__all__ = ["dlib"]
