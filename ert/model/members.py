"""The members of a model: cascades that were trained alike but for the seed.

A file has the first as a model with one has it; `n_members` in the header counts all, and the arrays of the others are
named `member2_anchors`, `member2_deltas` and so on. They share the mean shape, the crop and `stages_per_basis`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy.typing as npt

from ert._core.exceptions import InputError
from ert.model.cascade import Cascade, check_cascade
from ert.model.dlib_cascade import DlibCascade
from ert.model.limits import check_size


def member_arrays(further: Sequence[Cascade | DlibCascade]) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of all members but the first by name, for the model file."""
    return {
        f"{_prefix(number)}{name}": array
        for number, cascade in enumerate(further, 2)
        for name, array in cascade.arrays().items()
        if name != "mean_shape"
    }


def take_members(header: Mapping[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> list[dict[str, Any]]:
    """Remove the arrays of all members but the first from `arrays`, and return them, member by member."""
    n_members = header.get("n_members", 1)
    check_size("n_members", n_members)
    if n_members > 1 and header["kind"] != "ert":
        raise InputError(f"n_members={n_members}: expected 1 with kind={header['kind']!r}")
    taken = []
    for prefix in map(_prefix, range(2, n_members + 1)):
        names = [name for name in arrays if name.startswith(prefix)]
        taken.append({name.removeprefix(prefix): arrays.pop(name) for name in names})
    return taken


def further_members(first: Cascade, taken: Sequence[Mapping[str, Any]]) -> tuple[Cascade, ...]:
    """Return the cascades of :func:`take_members`, checked: all sizes but the number of stages are those of the first.

    Raises
    ------
    InputError
        Naming the member.
    """
    members = []
    for number, arrays in enumerate(taken, 2):
        names = first.arrays().keys() - {"mean_shape"}
        if arrays.keys() != names:
            raise InputError(f"member {number}: expected arrays {', '.join(sorted(names))}")
        member = replace(first, **arrays)
        for name, array in first.arrays().items():
            its = getattr(member, name)
            if its.shape[1:] != array.shape[1:] or its.dtype != array.dtype:
                sizes = f"{name} has shape {its.shape} and type {its.dtype}"
                raise InputError(f"member {number}: {sizes}, the first member {array.shape} and {array.dtype}")
        try:
            check_cascade(member)
        except InputError as error:
            raise InputError(f"member {number}: {error}") from error
        members.append(member)
    return tuple(members)


def _prefix(number: int) -> str:
    return f"member{number}_"
