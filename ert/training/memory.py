"""Memory of a fit: large arrays, in memory or mapped from temporary files, and which of them are mapped."""

import math
import mmap
import os
import tempfile
from dataclasses import dataclass

import numpy as np

from ert._core.exceptions import InputError
from ert._core.types import Pixels
from ert.training.parameters import Options

# Samples are grouped into blocks of this many: a block's pool and residuals stay in the processor's cache.
BLOCK_LENGTH = 2048
# Samples whose landmarks are processed at once, so that temporary arrays stay small.
PART_LENGTH = 128
# Candidate splits that are drawn at once: drawing takes ten times the memory of what is kept.
CANDIDATES_PER_DRAW = 50_000
# Components of the residuals that splits are scored on: more only take time (SketchBoost, arXiv 2211.12858,
# found the same of random projections).
N_SCORED = 8
# Crops of more bytes than this are mapped from a temporary file even without a bound: the system keeps the
# file in memory as long as there is enough.
MAPPED_CROPS_BYTES = 32_000_000
# Bytes of a temporary file that are written at once.
_WRITE_SIZE = 2**22
# Bytes that the threads need, estimated for this many: the plan must not depend on the machine.
_WORKSPACE_BYTES = 10_000_000
_N_THREADS = 4


def allocate(size: int, *, mapped: bool | None = False) -> tuple[Pixels, mmap.mmap | None]:
    """Return zeros, uint8 (size,), and the temporary file that they are mapped from, if any.

    `mapped` None maps a file if it can be written; with True a file that cannot be written is an InputError.
    """
    if mapped is not False and size:
        try:
            mapping = _map_file(size)
        except InputError:
            if mapped:
                raise
        else:
            return np.frombuffer(mapping, np.uint8), mapping
    return np.zeros(size, np.uint8), None


def new_pool(n_samples: int, n_pixels: int, *, mapped: bool = False) -> Pixels:
    """Return a feature pool (n_blocks, n_pixels, BLOCK_LENGTH) as the kernels expect it."""
    shape = -(-n_samples // BLOCK_LENGTH), n_pixels, BLOCK_LENGTH
    array, _ = allocate(math.prod(shape), mapped=mapped)
    return array.reshape(shape)


def _map_file(size: int) -> mmap.mmap:
    # /tmp is often kept in memory, /var/tmp never.
    on_disk = "TMPDIR" not in os.environ and os.access("/var/tmp", os.W_OK)
    folder = "/var/tmp" if on_disk else tempfile.gettempdir()
    try:
        # Nameless where the system allows it: nothing is left of the file even if the process is killed.
        with tempfile.TemporaryFile(prefix="ert-", dir=folder) as file:
            # Written, not only extended: a full disk is an error here, and would be a crash later.
            for start in range(0, size, _WRITE_SIZE):
                file.write(bytes(min(_WRITE_SIZE, size - start)))
            file.flush()
            return mmap.mmap(file.fileno(), size)
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"{folder}: no space for {size / 1e6:.0f} MB of training data: {reason}") from error


@dataclass(frozen=True)
class Sizes:
    """What the memory of a fit depends on besides its options: `crop_bytes` are those of all crops."""

    n_objects: int
    n_samples: int
    n_validation: int
    n_landmarks: int
    # Of all members.
    n_stages: int
    mirrored: bool
    missing: bool
    crop_bytes: int


@dataclass(frozen=True)
class MemoryPlan:
    """Which arrays are mapped from temporary files; None maps crops if the file can be written."""

    map_crops: bool | None
    map_pools: bool


def plan_memory(max_memory: float | None, sizes: Sizes, options: Options) -> MemoryPlan:
    """Choose which arrays are mapped from files to keep a bound in MB: crops first, then feature pools too."""
    large = sizes.crop_bytes > MAPPED_CROPS_BYTES
    if max_memory is None:
        return MemoryPlan(None if large else False, False)
    is_number = isinstance(max_memory, (int, float, np.number)) and not isinstance(max_memory, bool)
    if not (is_number and max_memory > 0):
        raise InputError(f"max_memory={max_memory!r}: expected a number of MB, or None")
    for map_crops, map_pools in ((large, False), (True, False), (True, True)):
        plan = MemoryPlan(map_crops, map_pools)
        needed = math.ceil(training_bytes(sizes, options, plan) / 1e6)
        if needed <= max_memory:
            return plan
    what = f"{sizes.n_objects} objects with n_inits={options.n_inits}"
    raise InputError(f"max_memory={max_memory:g}: expected at least {needed} MB for {what}")


def training_bytes(sizes: Sizes, options: Options, plan: MemoryPlan) -> int:
    """Estimate the memory that a fit takes at its peak, beyond what the process had before.

    Mapped arrays do not count, as the system can reclaim their memory at any time. Neither do compiled code
    and the images that are being read, one per thread.
    """
    n_views = sizes.n_objects * (2 if sizes.mirrored else 1)
    n_samples = sizes.n_samples + sizes.n_validation + 2 * BLOCK_LENGTH
    n_coordinates = 2 * sizes.n_landmarks
    n_components = n_coordinates if sizes.missing else min(options.n_components, n_coordinates)
    n_scored = _round_up(n_components if sizes.missing else min(N_SCORED, n_components), 8)
    n_groups = options.n_split_tests // 32 + 1
    n_drawn = max(options.n_pixels, options.n_pool_candidates)
    selects = options.n_pool_candidates > options.n_pixels
    # Growing trees, per sample: the order, the decisions, the scored components; residuals, which of them are
    # missing, and copies of them; the pool, and the one that is selected from it.
    n_residuals = 1 + sizes.missing / 2 + (options.n_trees_averaged > 1) + selects
    grow = 4 + 4 * n_groups + 4 * n_scored + n_residuals * 2 * n_components
    if not plan.map_pools:
        grow += n_drawn + selects * options.n_pixels
    draw = 300 + 12 * options.n_shapes_mixed
    # The shape, transforms and indices; the samples are drawn before trees are grown.
    sample = 8 * sizes.n_landmarks + 64 + max(draw, grow)
    objects = (n_views + sizes.n_validation) * 64 * sizes.n_landmarks
    n_leaves = options.n_trees * 2**options.max_depth
    candidates = 6 * n_leaves * options.n_split_tests + 64 * CANDIDATES_PER_DRAW
    pairs = 40 * n_drawn**2
    # The model, its copy with stacked stages, and the bytes of the file twice.
    leaf_bytes = n_leaves * n_components * options.leaf_bits // 8
    if options.cascade_kind.has_float_leaves:
        leaf_bytes += n_leaves * n_coordinates * 4
    crops = sizes.crop_bytes
    if plan.map_crops:
        n_resident = 64 + _N_THREADS * math.ceil(PART_LENGTH / options.n_inits)
        crops = min(crops, n_resident * crops // (sizes.n_objects + sizes.n_validation))
    total = n_samples * sample + objects + candidates + pairs + 4 * sizes.n_stages * leaf_bytes + crops
    return int(total + _WORKSPACE_BYTES)


def _round_up(n: int, step: int) -> int:
    return -(-n // step) * step
