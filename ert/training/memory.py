"""How much memory training takes, and how it is kept within a bound."""

import math
from dataclasses import dataclass

import numpy as np

from ert._core.exceptions import InputError
from ert._kernels.grow import BLOCK
from ert._kernels.split_search import COLUMNS, ROW, count_groups, rounded_up
from ert.training.parameters import Options
from ert.training.samples import PART
from ert.training.stage import CANDIDATES_DRAWN, N_SCORED

__all__ = [
    "Plan",
    "Sizes",
    "plan_memory",
    "training_bytes",
]


# Crops that take more bytes than this lie in a temporary file, bound or no bound: the system's cache holds it
# as long as there is memory to spare, and nothing is lost when there is none.
MAPPED_FROM = 32_000_000
# What threads work in, whatever their number: the model must not depend on that.
_ROOM = 10_000_000
_THREADS = 4


@dataclass(frozen=True)
class Sizes:
    """What the memory of a fit depends on besides its options.

    Parameters
    ----------
    n_objects, n_validation : int
        Objects that are trained on, and those that are only watched.
    n_landmarks, n_stages : int
    mirrored, missing : bool
        Whether mirror images are used too; whether any landmark is missing.
    crop_bytes : int
        Of all crops together.
    """

    n_objects: int
    n_validation: int
    n_landmarks: int
    n_stages: int
    mirrored: bool
    missing: bool
    crop_bytes: int


@dataclass(frozen=True)
class Plan:
    """How a fit keeps within its bound.

    Parameters
    ----------
    mapped : bool or None
        Whether crops lie in a temporary file, see :meth:`ert.crop_store.Crops.reserve`.
    n_inits : int
        Starts of each object.
    """

    mapped: bool | None
    n_inits: int


def training_bytes(sizes: Sizes, options: Options, n_inits: int, *, mapped: bool) -> int:
    """Estimate how much memory a fit takes at its peak, beyond what the process held before.

    Compiled code is not counted, nor are images while they are read, one a thread.

    Parameters
    ----------
    sizes : Sizes
    options : Options
    n_inits : int
        In place of that of the options.
    mapped : bool

    Returns
    -------
    int
    """
    n_views = sizes.n_objects * (2 if sizes.mirrored else 1)
    n_samples = n_views * n_inits + sizes.n_validation + 2 * BLOCK
    n_components = (
        2 * sizes.n_landmarks if sizes.missing else min(options.n_components, 2 * sizes.n_landmarks)
    )
    n_scored = rounded_up(n_components if sizes.missing else min(N_SCORED, n_components), COLUMNS)
    n_groups = count_groups(options.n_split_tests)
    # Shapes, frames, jitter, similarities, the pool; residuals, which of them are missing, their copy.
    n_drawn, trial = (
        max(options.n_pixels, options.n_pool_candidates),
        options.n_pool_candidates > options.n_pixels,
    )
    arrays = 1 + sizes.missing / 2 + (options.n_trees_averaged > 1) + trial
    sample = 8 * sizes.n_landmarks + 64 + 4 + 4 * n_groups + 4 * n_scored + arrays * 2 * n_components
    # Of a larger pool what is kept is copied out of it.
    pool = rounded_up(n_drawn, ROW) + (rounded_up(options.n_pixels, ROW) if trial else 0)
    sample += max(pool, 300 + 12 * options.n_shapes_mixed)
    objects = (n_views + sizes.n_validation) * 64 * sizes.n_landmarks
    candidates = 6 * options.n_trees * 2**options.max_depth * options.n_split_tests + 64 * CANDIDATES_DRAWN
    pairs = 40 * n_drawn**2
    # The model, its copy that is one array, and the file's bytes twice.
    leaves = options.n_trees * 2**options.max_depth * n_components * options.leaf_bits // 8
    if options.kind == "dlib":
        # Its leaves at last are whole shapes of floats.
        leaves += options.n_trees * 2**options.max_depth * 2 * sizes.n_landmarks * 4
    crops = sizes.crop_bytes
    if mapped:
        bound = 64 + _THREADS * math.ceil(PART / n_inits)
        crops = min(crops, bound * crops // (sizes.n_objects + sizes.n_validation))
    return int(
        n_samples * sample + objects + candidates + pairs + 4 * sizes.n_stages * leaves + crops + _ROOM
    )


def plan_memory(max_memory: float | None, sizes: Sizes, options: Options) -> Plan:
    """Choose how to keep a fit within a bound: crops in a file first, then fewer starts.

    Parameters
    ----------
    max_memory : float or None
        The bound in MB; None is no bound.
    sizes : Sizes
    options : Options

    Returns
    -------
    Plan

    Raises
    ------
    InputError
        When the bound is no positive number, or one start of each object is too much for it.
    """
    large = sizes.crop_bytes > MAPPED_FROM
    if max_memory is None:
        return Plan(None if large else False, options.n_inits)
    if (
        isinstance(max_memory, bool)
        or not isinstance(max_memory, (int, float, np.number))
        or not max_memory > 0
    ):
        raise InputError(f"max_memory={max_memory!r}: expected a number of MB, or None")
    least = math.inf
    for n_inits in range(options.n_inits, 0, -1):
        for mapped in (large, True):
            takes = training_bytes(sizes, options, n_inits, mapped=mapped)
            if takes <= max_memory * 1e6:
                return Plan(mapped, n_inits)
            least = min(least, takes)
    what = f"training on {sizes.n_objects} objects with few starts takes {math.ceil(least / 1e6)} MB"
    raise InputError(f"max_memory={max_memory:g}: {what}, expected at least that")
