"""The bounds of a model, for training and for loading: they bound what a prediction can cost.

Training refuses what loading would refuse, so that every model that was trained can be loaded. Loading takes nothing
in a file on trust: a number that is finite but absurd could otherwise take hours or petabytes for one face, or end in
landmarks that are no numbers. docs/security.md states the costs that follow from these bounds.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from ert._core.exceptions import InputError

# Type, minimum and maximum of each number among the parameters of training.
PARAMETER_LIMITS: dict[str, tuple[type, float, float]] = {
    "n_members": (int, 1, 4),
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
    "spread_decay": (float, 0.1, 1),
    "n_inits": (int, 1, 10_000),
    "n_shapes_mixed": (int, 1, 100),
    "shift_jitter": (float, 0, 1),
    "scale_jitter": (float, 0, 1),
    "roll_jitter": (float, 0, 180),
    "occlusion": (float, 0, 1),
    "warp": (float, 0, 1),
    "lighting": (float, 0, 1),
    "n_components": (int, 1, 10_000),
    "stages_per_basis": (int, 1, 1000),
    "working_size": (int, 8, 2000),
    "blur": (float, 0, 50),
    "min_contrast": (float, 0, 127),
    "random_state": (int, 0, 2**32 - 1),
}
# Any number but infinities, in single precision.
FINITE = -float(np.finfo(np.float32).max), float(np.finfo(np.float32).max)
MAX_LANDMARKS = 10_000
# Coordinates in sides of the box: of a mean shape, and of a pixel of the pool from its landmark (training draws it with
# a standard deviation of at most 5).
MAX_SHAPE_SIDES = 50.0
MAX_DELTA_SIDES = 50.0
# What the leaves of a stage can add up to, in sides of the box, if all are as large as the largest one.
MAX_STAGE_SIDES = 1e10
# The same of the forests of a confidence model, whose outputs are logarithms and logits.
MAX_FOREST_OUTPUT = 1e6
# Products that a face takes for the bases of its stages: a number, and some more for each byte of the arrays.
# Stages that share a basis could otherwise take the square of the size of the file.
MAX_BASIS_PRODUCTS, BASIS_PRODUCTS_PER_BYTE = 30_000_000, 4
# Bytes of a model file of either format.
MAX_FILE_BYTES = 2**32
# Bytes of a header: its names, notes and history; and of what a user puts there.
MAX_HEADER_BYTES = 2_000_000
MAX_TEXT_BYTES = 1_000_000


def check_size(name: str, value: float, largest: float | None = None, *, what: str = "") -> None:
    """Check a number in a model by the limits of the parameter of that name; `what` begins the message."""
    kind, low, high = PARAMETER_LIMITS[name]
    high = high if largest is None else largest
    if not isinstance(value, int if kind is int else (int, float)) or isinstance(value, bool):
        raise InputError(f"{what}{name}={value!r}: expected {'an integer' if kind is int else 'a number'}")
    if not low <= value <= high:
        raise InputError(f"{what}{name}={value!r}: expected {low:g} to {high:g}")


def check_trees(n_trees: int, n_splits: int, n_pixels: int, what: str = "") -> None:
    """Check the sizes of trees, and of the feature pool that they read."""
    if n_splits < 1 or (n_splits + 1) & n_splits:
        raise InputError(f"{what}{n_trees} trees of {n_splits} splits are not full binary trees")
    check_size("n_trees", n_trees, what=what)
    check_size("max_depth", n_splits.bit_length(), what=what)
    check_size("n_pixels", n_pixels, what=what)


def check_landmark_count(n_landmarks: int) -> None:
    """Check that there are landmarks, and not more than a model can have."""
    if not 1 <= n_landmarks <= MAX_LANDMARKS:
        raise InputError(f"{n_landmarks} landmarks: expected 1 to {MAX_LANDMARKS}")


def check_bounds(name: str, array: npt.NDArray[Any], low: float, high: float) -> None:
    """Check that all numbers of an array are finite and within bounds."""
    if not array.size:
        return
    least, most = float(array.min()), float(array.max())
    # Not true of a NaN.
    if not (low <= least and most <= high):
        if not np.isfinite(array).all():
            raise InputError(f"{name} has numbers that are not finite")
        worst = least if least < low else most
        raise InputError(f"{name} has the number {worst:g}, expected {low:g} to {high:g}")


def check_sum_of_leaves(
    name: str,
    leaves: npt.NDArray[Any],
    scales: npt.NDArray[np.float32],
    basis: npt.NDArray[np.signedinteger],
    largest: float,
) -> None:
    """Check what leaves (..., n_trees, n_leaves, leaf_size) of one or more stages can add up to.

    `scales` and `basis` are empty where leaves are displacements themselves.
    """
    size = leaves.shape[-3] * _magnitude(leaves)
    if basis.size:
        size *= basis.shape[-2] * _magnitude(scales) * _magnitude(basis)
    if not size <= largest:
        if not (np.isfinite(scales).all() and np.isfinite(leaves).all()):
            raise InputError(f"{name}: leaves or scales have numbers that are not finite")
        raise InputError(f"{name}: leaves and scales add up to {size:.3g}, expected at most {largest:g}")


def _magnitude(array: npt.NDArray[Any]) -> float:
    return max(float(array.max()), -float(array.min()))


def check_basis_products(n_stages: int, n_components: int, n_landmarks: int, n_bytes: int) -> None:
    """Check the products that a face takes for the bases of its stages, against the bytes of the model's arrays."""
    products = n_stages * max(n_components, 16) * 2 * n_landmarks
    largest = MAX_BASIS_PRODUCTS + BASIS_PRODUCTS_PER_BYTE * n_bytes
    if products > largest:
        sizes = f"{n_stages} stages of {n_components} components of {n_landmarks} landmarks"
        raise InputError(f"{sizes} take {products} products for each face, expected at most {largest}")
