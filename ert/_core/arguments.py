"""Arguments of a wrong type: the usual error in place of the one that they happen to cause."""

import numbers
import os
import types
from collections.abc import Callable, Sequence
from functools import wraps
from inspect import Parameter, signature
from typing import Any, ParamSpec, TypeVar, Union, get_args, get_origin

import numpy as np
from numpy.typing import ArrayLike

from ert._core.exceptions import InputError, quoted

_P = ParamSpec("_P")
_R = TypeVar("_R")
_NAMES = {
    str: "a string",
    bool: "True or False",
    int: "an integer",
    float: "a number",
    os.PathLike: "a path",
    np.ndarray: "an array of numbers",
    Sequence: "a sequence",
    list: "a list",
    tuple: "a tuple",
    dict: "a dictionary",
    Callable: "a function",
    type(None): "None",
}
_LARGEST = 1e300
# The parts of numpy's type of what is like an array; a union that has complex numbers has all of them.
_LIKE_ARRAYS = get_args(ArrayLike)


def checked_arguments(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Decorate a public function so that its arguments are compared with its annotations when it fails.

    The first that is of another type is named in an InputError. Calls that succeed cost nothing more, and any other
    error stays what it is.
    """

    @wraps(function)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return function(*args, **kwargs)
        except InputError:
            raise
        except (TypeError, ValueError, AttributeError, LookupError, ArithmeticError) as error:
            _check(function, args, kwargs, error)
            raise

    return call


def _check(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], error: Exception) -> None:
    try:
        described = signature(function)
        given = described.bind(*args, **kwargs).arguments
    except TypeError:
        return  # a missing or unknown argument
    for name, value in given.items():
        annotation = described.parameters[name].annotation
        if not _fits(value, annotation):
            raise InputError(f"{name}: {quoted(value)}, expected {_describe(annotation)}") from error


def _fits(value: Any, annotation: Any) -> bool:
    """Return whether a value is of the type of an annotation, as far as that can be seen."""
    origin, items = get_origin(annotation) or annotation, get_args(annotation)
    if annotation in (Any, Parameter.empty):
        return True
    if origin in (Union, types.UnionType):
        is_array = complex in items and _is_array(value)
        return is_array or any(_fits(value, item) for item in items if complex not in items or item not in _LIKE_ARRAYS)
    if origin is None or origin is type(None):
        return value is None
    if origin in (bool, int, float):
        return _is_number(value, origin)
    if origin is np.ndarray:
        return _is_array(value) and np.ndim(value) > 0
    if origin is Sequence:
        known = isinstance(value, (Sequence, np.ndarray)) and not isinstance(value, (str, bytes))
        return known and all(_fits(item, kind) for kind in items[:1] for item in value)
    if isinstance(origin, type):
        if origin is tuple and items and Ellipsis not in items:
            return isinstance(value, tuple) and len(value) == len(items)
        return isinstance(value, origin)
    return True


def _is_number(value: Any, kind: type) -> bool:
    if isinstance(value, (bool, np.bool_)) or kind is bool:
        return kind is bool and isinstance(value, (bool, np.bool_))
    if isinstance(value, np.generic):
        value = value.item()  # a float32 cannot be compared with the largest number
    expected = numbers.Integral if kind is int else numbers.Real
    return isinstance(value, expected) and not abs(value) > _LARGEST  # type: ignore[operator]


def _is_array(value: Any) -> bool:
    try:
        return np.asarray(value).dtype.kind in "biuf" and np.asarray(value, np.float64) is not None
    except (TypeError, ValueError, OverflowError):
        return False


def _describe(annotation: Any) -> str:
    origin, items = get_origin(annotation) or annotation, get_args(annotation)
    if origin in (Union, types.UnionType):
        names = [_describe(item) for item in items if complex not in items or item not in _LIKE_ARRAYS]
        if complex in items:
            names.insert(0, _NAMES[np.ndarray])
        return " or ".join(dict.fromkeys(names))
    return _NAMES.get(origin, getattr(origin, "__name__", str(origin)))
