"""The installed dlib, if any: its objects from those of ert and back, and its other functions and classes."""

import functools
import importlib
import re
import sys
import threading
from types import ModuleType
from typing import Any

from ert.compat.arrays import Array
from ert.compat.errors import DlibError
from ert.compat.objects import (
    full_object_detection,
    full_object_detections,
    mmod_rectangle,
    mmod_rectangles,
    mmod_rectangless,
)
from ert.compat.points import dpoint, dpoints, point, points
from ert.compat.rectangles import drectangle, rectangle, rectangles, rectangless

# Types of ert by the names of dlib's.
_TYPES: dict[str, Any] = {
    kind.__name__: kind
    for kind in (
        point,
        points,
        dpoint,
        dpoints,
        rectangle,
        rectangles,
        rectangless,
        drectangle,
        full_object_detection,
        full_object_detections,
        mmod_rectangle,
        mmod_rectangles,
        mmod_rectangless,
    )
}
# In the signature of a function of dlib: that it takes or returns one of these types, or a list.
_CONVERTED = re.compile(r"\b(d?points?|d?rectangles*|full_object_detections?|mmod_rect\w*)\b|: (list|object)\b")
_IMPORTING = threading.RLock()


def installed_dlib() -> ModuleType | None:
    """Return the dlib that is installed, even where sys.modules["dlib"] is ert's stand-in for it; None without."""
    if (found := sys.modules.get("dlib")) is not None and not _is_stand_in(found):
        return found
    with _IMPORTING:
        return _import_dlib()


@functools.lru_cache(maxsize=1)
def _import_dlib() -> ModuleType | None:
    found = sys.modules.get("dlib")
    if _is_stand_in(found):
        del sys.modules["dlib"]
    try:
        return importlib.import_module("dlib")
    except ImportError:
        return None
    finally:
        if found is not None and _is_stand_in(found):
            sys.modules["dlib"] = found


def _is_stand_in(module: ModuleType | None) -> bool:
    return module is not None and module.__name__.startswith("ert.")


def require_dlib(purpose: str) -> Any:
    """Return the installed dlib.

    Raises
    ------
    DlibError
        When there is none: that this purpose needs it.
    """
    found = installed_dlib()
    if found is None:
        raise DlibError(f"{purpose} needs dlib, which is not installed: pip install dlib, or dlib-bin")
    return found


def to_dlib(value: Any) -> Any:
    """Convert to an object of the installed dlib, for its functions.

    Parameters
    ----------
    value : point, rectangle, full_object_detection, an array of them, or a list or tuple of any of these
        Or a detector that dlib trained. Anything else is returned as it is.

    Returns
    -------
    object of dlib

    Raises
    ------
    DlibError
        When dlib is not installed.
    """
    if type(value) in (list, tuple):
        return type(value)(map(to_dlib, value))
    if hasattr(type(value), "__dlib__"):
        return value.__dlib__()
    name = next((kind.__name__ for kind in type(value).__mro__ if _TYPES.get(kind.__name__) is kind), None)
    if name is None:
        return value
    kind = getattr(require_dlib("to_dlib"), name)
    if isinstance(value, Array):
        return kind([to_dlib(item) for item in value])
    if isinstance(value, (point, dpoint)):
        return kind(value.x, value.y)
    if isinstance(value, (rectangle, drectangle)):
        return kind(value.left(), value.top(), value.right(), value.bottom())
    if isinstance(value, full_object_detection):
        return kind(to_dlib(value.rect), [to_dlib(part) for part in value.parts()])
    # dlib has no way to make a mmod_rectangle.
    return value


def from_dlib(value: Any) -> Any:
    """Convert an object of dlib to the same object of ert; anything else is returned as it is.

    Parameters
    ----------
    value : point, rectangle, full_object_detection, an array of them, or a list or tuple of any of these
        Of the installed dlib, or of ert already.

    Returns
    -------
    object of :mod:`ert.compat.dlib`
    """
    if type(value) in (list, tuple):
        return type(value)(map(from_dlib, value))
    kind = _TYPES.get(type(value).__name__)
    if kind is None or "dlib" not in type(value).__module__ or isinstance(value, kind):
        return value
    return kind.copy_of(value)


def pass_through(name: str) -> Any:
    """Return what the installed dlib has under a name that ert has not, so that it takes ert's objects too.

    Raises
    ------
    AttributeError
        When dlib is not installed, or has no such name.
    """
    dlib = installed_dlib()
    if dlib is None:
        hint = _HINTS.get(name, "where dlib is installed (pip install dlib, or dlib-bin), its other names are too")
        raise AttributeError(f"module 'ert.compat.dlib' has no attribute {name!r}: {hint}")
    if not hasattr(dlib, name):
        hint = _HINTS.get(name, "the installed dlib has none either")
        raise AttributeError(f"module 'ert.compat.dlib' has no attribute {name!r}: {hint}")
    found = getattr(dlib, name)
    if isinstance(found, type):
        return _wrap_class(found)
    return _wrap_function(found) if callable(found) else found


_HINTS = {
    "image_window": "it needs a dlib that was built with a window system; ert.plotting draws landmarks on images",
    "hit_enter_to_continue": "it belongs to dlib's windows; input() waits for a key",
    "face_recognition_model_v1": "recognition is dlib's; pip install dlib, or dlib-bin, and it is passed through",
    "get_face_chip": "pip install dlib, or dlib-bin; ert.chip cuts faces out without it",
    "get_face_chips": "pip install dlib, or dlib-bin; ert.chip cuts faces out without it",
    "cnn_face_detection_model_v1": "pip install dlib, or dlib-bin; ert.detect_faces has detectors without it",
    "correlation_tracker": "pip install dlib, or dlib-bin; ert.Tracker follows faces without it",
}


def _wrap_function(function: Any) -> Any:
    @functools.wraps(function, updated=())
    def call(*args: Any, **kwargs: Any) -> Any:
        given = [*args, *kwargs.values()]
        converted = [to_dlib(value) for value in given]
        named = dict(zip(kwargs, converted[len(args) :], strict=True))
        result = from_dlib(function(*converted[: len(args)], **named))
        for mine, its in zip(given, converted, strict=True):
            # Some functions append what they find.
            if type(mine) is list and len(mine) != len(its):
                mine[:] = from_dlib(its)
        return result

    return call


@functools.cache
def _wrap_class(kind: type) -> type:
    """Return a subclass of a class of dlib whose methods take and return ert's objects; itself if none has any."""
    members: dict[str, Any] = {}
    for name in dir(kind):
        member = getattr(kind, name)
        if isinstance(member, property):
            members[name] = _wrap_property(member)
        elif callable(member) and _CONVERTED.search(str(member.__doc__ or "")) and name not in ("__class__", "__doc__"):
            static = isinstance(vars(kind).get(name), staticmethod)
            members[name] = staticmethod(_wrap_function(member)) if static else _wrap_function(member)
    if not any(_CONVERTED.search(str(getattr(kind, name).__doc__ or "")) for name in members):
        return kind
    return type(kind)(kind.__name__, (kind,), members | {"__module__": "ert.compat.dlib", "__doc__": kind.__doc__})


def _wrap_property(member: property) -> property:
    read, write = member.fget, member.fset
    return property(
        lambda self: from_dlib(read(self)) if read else None,
        (lambda self, value: write(self, to_dlib(value))) if write else None,
        doc=member.__doc__,
    )
