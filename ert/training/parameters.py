"""The parameters of training and their limits."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from ert._core.exceptions import InputError
from ert.metrics import NORMALIZERS
from ert.training.kinds import KINDS, CascadeKind

# Parameters that do not change the model and are not stored in it.
NOT_SAVED = ("n_jobs", "max_memory", "verbose")

# Type, minimum and maximum of each number.
_LIMITS: dict[str, tuple[type, float, float]] = {
    "n_stages": (int, 1, 1000),
    "n_trees": (int, 1, 100_000),
    "max_depth": (int, 1, 10),
    "learning_rate": (float, 1e-6, 1),
    "n_trees_averaged": (int, 1, 100_000),
    "n_pixels": (int, 2, 10_000),
    "n_pool_candidates": (int, 0, 10_000),
    "n_split_tests": (int, 1, 10_000),
    "prior_length": (float, 1e-6, 1e6),
    "padding": (float, -0.4, 5),
    "pool_spread": (float, 0, 5),
    "n_inits": (int, 1, 10_000),
    "n_shapes_mixed": (int, 1, 100),
    "shift_jitter": (float, 0, 1),
    "scale_jitter": (float, 0, 1),
    "roll_jitter": (float, 0, 180),
    "occlusion": (float, 0, 1),
    "n_components": (int, 1, 10_000),
    "stages_per_basis": (int, 1, 1000),
    "working_size": (int, 8, 2000),
    "blur": (float, 0, 50),
    "min_contrast": (float, 0, 127),
    "random_state": (int, 0, 2**32 - 1),
}
# All candidate splits of a stage are drawn before it is grown; this many take 5 GB.
MAX_CANDIDATES = 500_000_000
_CHOICES: dict[str, tuple[object, ...]] = {
    "kind": tuple(KINDS),
    "leaf_bits": (8, 16),
    "normalizer": (None, *NORMALIZERS),
    "channel_order": ("rgb", "bgr"),
    "gray_weights": ("luma", "dlib"),
}


@dataclass(frozen=True)
class Options:
    """The parameters of :class:`ert.ShapePredictor` that determine how stages are trained."""

    kind: str
    n_trees: int
    max_depth: int
    learning_rate: float
    n_trees_averaged: int
    n_pixels: int
    n_pool_candidates: int
    n_split_tests: int
    prior_length: float
    padding: float
    pool_spread: float
    n_components: int
    stages_per_basis: int
    leaf_bits: int
    n_inits: int
    n_shapes_mixed: int
    shift_jitter: float
    scale_jitter: float
    roll_jitter: float
    occlusion: float
    random_state: int

    @property
    def cascade_kind(self) -> CascadeKind:
        """The kind of cascade that is trained."""
        return KINDS[self.kind]


def check_parameters(params: Mapping[str, Any]) -> None:
    """Check the parameters of :class:`ert.ShapePredictor`.

    Raises
    ------
    InputError
        Naming the parameter, its value and what was expected.
    """
    for name, (kind, low, high) in _LIMITS.items():
        value = params[name]
        is_integer = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
        if not (is_integer or (kind is float and isinstance(value, (float, np.floating)))):
            raise InputError(f"{name}={value!r}: expected {'an integer' if kind is int else 'a number'}")
        if not low <= value <= high:
            raise InputError(f"{name}={value!r}: expected {low:g} to {high:g}")
    candidates = params["n_trees"] * 2 ** params["max_depth"] * params["n_split_tests"]
    if candidates > MAX_CANDIDATES:
        product = f"n_trees * 2**max_depth * n_split_tests = {candidates}"
        raise InputError(f"{product} candidate splits per stage: expected at most {MAX_CANDIDATES}")
    for name, choices in _CHOICES.items():
        if params[name] not in choices:
            raise InputError(f"{name}={params[name]!r}: expected one of {', '.join(map(str, choices))}")


def plain_params(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that determine the model, as Python numbers, for the file and its digest."""
    params = {name: value for name, value in settings.items() if name not in NOT_SAVED}
    if not isinstance(params["mirror"], str | None):
        params["mirror"] = np.asarray(params["mirror"]).tolist()
    # A grid search passes NumPy numbers, which JSON cannot store.
    return {key: value.item() if isinstance(value, np.generic) else value for key, value in params.items()}


def training_options(params: Mapping[str, Any]) -> Options:
    """Return the parameters that training needs."""
    return Options(**{field.name: params[field.name] for field in fields(Options)})
