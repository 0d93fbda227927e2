"""The search space of ``ert tune``: what is changed around the parameters that a preset has chosen.

Most of these depend on the data, so that a dimension is a factor of them: 1 is the preset, for any number of objects.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

Value: TypeAlias = float | int | str
Values: TypeAlias = Mapping[str, Value]


@dataclass(frozen=True)
class Dimension:
    """Something that is searched.

    Parameters
    ----------
    name : str
    parameters : tuple of str
        Parameters of :class:`ert.ShapePredictor` that it changes.
    low, high : number
    factor : bool
        Whether parameters are multiplied by the value, which is drawn on a logarithmic scale.
    choices : tuple of str
        Values in place of numbers.
    kinds : tuple of str
        Of cascades that it applies to.
    """

    name: str
    parameters: tuple[str, ...]
    low: float = 0
    high: float = 0
    factor: bool = False
    choices: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ("ert", "dlib")


def _factor(name: str, low: float, high: float, parameters: str = "", **options: Any) -> Dimension:
    return Dimension(f"relative {name}", tuple((parameters or name).split()), low, high, factor=True, **options)


def _number(name: str, low: float, high: float) -> Dimension:
    return Dimension(name, (name,), low, high)


_OURS: Any = {"kinds": ("ert",)}
DIMENSIONS = (
    _factor("n_stages", 0.5, 2),
    _factor("n_trees", 0.5, 2),
    _factor("n_inits", 0.5, 2),
    _factor("n_pixels", 0.5, 2),
    _factor("n_split_tests", 0.5, 2),
    _factor("learning_rate", 0.5, 2),
    _factor("prior_length", 0.5, 4),
    _factor("pool_spread", 0.5, 2),
    _factor("jitter", 0.5, 2, "shift_jitter scale_jitter roll_jitter"),
    _factor("working_size", 0.5, 1.25, **_OURS),
    _factor("blur", 0.5, 2, **_OURS),
    _number("max_depth", 3, 6),
    _number("n_shapes_mixed", 1, 5),
    _number("warp", 0.0, 0.5),
    _number("lighting", 0.0, 0.5),
    _number("occlusion", 0.0, 0.3),
    Dimension("channels", ("channels",), choices=("gray", "gray+orientation"), **_OURS),
)
# Tried after the preset itself, since each helps on some data: what differs from it. The last is fast and small.
FIRST_TRIALS: tuple[Values, ...] = (
    {"channels": "gray+orientation"},
    {"relative n_stages": 2.0, "relative n_inits": 1.5},
    {"warp": 0.3, "lighting": 0.3},
    {"relative jitter": 1.5, "n_shapes_mixed": 3},
    {"relative n_stages": 0.5, "relative n_trees": 0.5, "max_depth": 3},
)


def search_space(given: Collection[str], params: Mapping[str, Any]) -> tuple[Dimension, ...]:
    """Return what is searched: not what is given, and nothing that is zero and would be multiplied."""
    return tuple(
        each
        for each in DIMENSIONS
        if params["kind"] in each.kinds
        and not set(each.parameters) & set(given)
        and not (each.factor and not any(params[name] for name in each.parameters))
        and (each.factor or each.choices or each.low <= params[each.name] <= each.high)
    )


def preset_values(space: Collection[Dimension], params: Mapping[str, Any]) -> dict[str, Value]:
    """Return the point of the space that changes nothing."""
    return {each.name: 1.0 if each.factor else params[each.name] for each in space}


def change(params: Mapping[str, Any], values: Values) -> dict[str, Any]:
    """Return all parameters with the values of some dimensions.

    The feature pool becomes as narrow at the end as with the number of stages in `params`.
    """
    dimensions = {each.name: each for each in DIMENSIONS}
    changed = dict(params)
    for name, value in values.items():
        for parameter in dimensions[name].parameters:
            changed[parameter] = _scaled(params[parameter], value) if dimensions[name].factor else value
    if changed["n_stages"] != params["n_stages"]:
        changed["spread_decay"] = round(params["spread_decay"] ** (params["n_stages"] / changed["n_stages"]), 3)
    return changed


def _scaled(number: Any, factor: Any) -> Any:
    if factor == 1:
        return number
    if isinstance(number, int):
        return max(1, round(number * factor))
    # Four digits: a table shows what was tried.
    product = number * factor
    return round(product, 3 - math.floor(math.log10(abs(product)))) if product else product
