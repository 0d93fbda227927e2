"""Growing regression trees over differences of pixels by gradient boosting.

A tree of depth d is a full binary tree: 2**d - 1 splits, 2**d leaves; the children of node i are 2i + 1 and
2i + 2. A sample goes left where the difference of two pixels is greater than the split's threshold.

Training data lies in blocks of samples, so that the pool and the residuals of a block stay in the cache while
a level is evaluated, and so that threads share the work by blocks:

    pool       uint8    (n_blocks, n_pixels, block length)      a row per pixel
    residuals  int16    (n_blocks, block length, n_components)  in units of the stage's leaves
    scored     int16    (n_blocks, block length, n_columns)     their first components, padded to 8 m columns
    order      int32    (n_blocks, block length)                the samples sorted by node:
    bounds     int32    (n_blocks, n_leaves + 1)                node j has order[bounds[j] : bounds[j + 1]]
    goes_left  uint32   (n_blocks, n_groups, block length)      in that order, candidates that go left

All sums are of integers small enough for their types, those of scored components in a block for 32 bits. They depend
neither on the order of the terms, nor on the number of threads, nor on the width of the processor's vectors.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from ert._kernels.split_search import (
    CANDIDATES_PER_BYTE,
    COMPONENTS_PER_PASS,
    GROUP_SIZE,
    SAMPLES_PER_VECTOR,
    accumulate_left_sums,
    evaluate_splits,
    pack_candidates,
    pair_components,
)
from ert._kernels.workers import Workers, end_phase, finish_block, take_block, wait

MAX_BLOCK_LENGTH = 2048
SCORED_LIMIT = 8191
# Products with components, of 16 bits, then fit into 32 bits.
MAX_DIRECTION_SUM = 2**16 - 1
# Trees, and candidate splits as far as whole trees go, that one call of the kernel grows.
TREES_PER_CALL, CANDIDATES_PER_CALL = 16, 50_000


class TrainingBlocks(NamedTuple):
    """The samples: see the picture at the top of this file.

    `sizes` (n_blocks,) has the number of samples in each block. `updated` are the residuals that leaves are
    subtracted from: `residuals` itself, or a copy where several trees begin with the same residuals.
    `present` is 1 where a sample has a component and 0 where its landmark is missing; empty when none is.
    """

    sizes: Any
    pool: Any
    residuals: Any
    updated: Any
    present: Any


class Candidates(NamedTuple):
    """Candidate splits from :func:`pack_candidates`; the first axis is the tree, the second the split."""

    pixels: Any
    limits: Any


class Boosting(NamedTuple):
    """How trees are boosted.

    `shift` is the number of bits that scored components lose, so that they stay within SCORED_LIMIT;
    `weights` (n_scored,) are the squared units of the components; leaves are mean residuals times
    `shrinkage`, clipped to `max_leaf`; `ends_tier` (n_trees,) is 1 where `updated` becomes the residuals.
    What is scored are the products of the components with `directions`, int32 (n_trees, n_scored, n_components),
    whose rows have a sum of magnitudes of at most MAX_DIRECTION_SUM; or, if (n_trees, 0, 0), the first components.
    """

    shift: Any
    weights: Any
    shrinkage: Any
    max_leaf: Any
    ends_tier: Any
    directions: Any


class GrowWorkspace(NamedTuple):
    """Arrays that are overwritten: see the picture at the top of this file.

    Each thread has sums of its own: `counts` int64 (n_threads, n_splits, n_split_tests + 1), the samples that
    each candidate sends left; `sums` float64 (..., n_scored), their components; the last candidate is the
    whole node. `leaf_sums` and `leaf_counts` int64 (n_threads, n_leaves, n_components) belong to the leaves.
    """

    order: Any
    bounds: Any
    goes_left: Any
    scored: Any
    counts: Any
    sums: Any
    leaf_sums: Any
    leaf_counts: Any


class TreeOutput(NamedTuple):
    """What is written.

    `chosen` int64 (n_trees, n_splits) is the candidate of each split, a number; `leaves` is int16 (n_trees,
    n_leaves, n_components).
    """

    chosen: Any
    leaves: Any


def grow_trees(
    pool: npt.NDArray[np.uint8],
    targets: tuple[npt.NDArray[np.int16], npt.NDArray[np.uint8], npt.NDArray[np.float64], int],
    candidates: tuple[npt.NDArray[np.uint16], npt.NDArray[np.int16]],
    leaf_rule: tuple[float, int, int],
    workers: Workers,
    on_trees: Callable[[int], object] | None = None,
    directions: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None = None,
    exchange: Any = None,
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.int16], npt.NDArray[np.signedinteger]]:
    """Grow trees, each on the residuals that those before it leave.

    Parameters
    ----------
    pool : uint8 array (n_blocks, n_pixels, block length)
        All blocks but the last one are full.
    targets : residuals, present, weights, n_samples
        See :class:`TrainingBlocks` and :class:`Boosting`; the residuals are rewritten.
    candidates : pairs, thresholds
        The two pixels of each candidate, uint16 (n_trees, n_splits, n_split_tests, 2), and int16 (n_trees,
        n_splits, n_split_tests).
    leaf_rule : learning_rate, n_trees_averaged, leaf_bits
        `n_trees_averaged` trees in a row begin with the same residuals and share the learning rate.
    on_trees : callable, optional
        Called with the number of trees that have been grown since the last call.
    directions : (float array (n_trees, n_scored, n_components), float array (n_trees,)), optional
        What to score in place of the first components: products with the components, and their size, at which
        larger ones are clipped. The weights are 1.
    exchange : object, optional
        With methods `sum` and `max` of arrays, over all parts of the samples, where these are one of several.

    Returns
    -------
    pairs : uint16 array (n_trees, n_splits, 2)
    thresholds : int16 array (n_trees, n_splits)
    leaves : int8 or int16 array (n_trees, n_leaves, n_components)
    """
    residuals, present, weights, n_samples = targets
    pairs, thresholds = candidates
    learning_rate, n_averaged, leaf_bits = leaf_rule
    n_blocks, _, block_length = pool.shape
    if block_length % SAMPLES_PER_VECTOR or block_length > MAX_BLOCK_LENGTH:
        raise ValueError(f"pool: {pool.shape}, expected blocks of a multiple of 64 samples, at most 2048")
    n_trees, n_splits, n_tests = thresholds.shape
    n_leaves, n_components, n_threads = n_splits + 1, residuals.shape[2], max(1, min(workers.n_threads, n_blocks))
    sizes = np.clip(n_samples - block_length * np.arange(n_blocks), 0, block_length).astype(np.int32)
    if directions is None:
        # Block by block: a copy of all residuals might not fit into memory.
        sizes_of_blocks = (int(np.abs(block[:, : len(weights)].astype(np.int32)).max()) for block in residuals)
        largest = max(sizes_of_blocks, default=0)
        if exchange is not None:
            largest = int(exchange.max(np.array([largest]))[0])
        rows, shift = np.zeros((n_trees, 0, 0), np.int32), max(0, largest.bit_length() - SCORED_LIMIT.bit_length())
    else:
        rows, shift = quantize_directions(*directions)
        weights = np.ones(rows.shape[1])
    leaf_type = np.int8 if leaf_bits == 8 else np.int16
    updated = residuals if n_averaged == 1 else residuals.copy()
    blocks = TrainingBlocks(sizes, pool, residuals, updated, present)
    workspace = new_workspace(blocks, n_splits, n_tests, len(weights), n_threads)
    boosting = Boosting(
        shift, weights, learning_rate / n_averaged, int(np.iinfo(leaf_type).max), np.zeros(0, np.int64), rows
    )
    grown = []
    step = max(1, min(TREES_PER_CALL, CANDIDATES_PER_CALL // (n_splits * n_tests)))
    for first in range(0, n_trees, step):
        trees = np.arange(first, min(first + step, n_trees))
        ends_tier = np.where((trees + 1) % n_averaged == 0, n_averaged > 1, 0)
        output = TreeOutput(
            np.empty((len(trees), n_splits), np.int64), np.empty((len(trees), n_leaves, n_components), np.int16)
        )
        n_phases = len(trees) * n_leaves.bit_length() + 1
        packed = Candidates(*pack_candidates(pairs[trees], thresholds[trees]))
        part = boosting._replace(ends_tier=ends_tier, directions=rows[trees])
        arguments = blocks, packed, part, workspace, output
        if exchange is None:
            workers.run_phases(n_phases, n_blocks, boost_trees, *arguments)
        else:
            _boost_in_step(n_phases, exchange, workers, *arguments)
        chosen = trees[:, None], np.arange(n_splits), output.chosen
        grown.append((pairs[chosen], thresholds[chosen], output.leaves.astype(leaf_type)))
        if on_trees is not None:
            on_trees(len(trees))
    all_pairs, all_thresholds, all_leaves = (np.concatenate(parts) for parts in zip(*grown, strict=True))
    return all_pairs, all_thresholds, all_leaves


def quantize_directions(
    directions: npt.NDArray[np.float64], sizes: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.int32], int]:
    """Return directions as :class:`Boosting` takes them, and its shift: the sizes (n_trees,) become SCORED_LIMIT."""
    magnitudes = np.abs(directions).sum(axis=2).max(axis=1)
    # Rounding adds at most half a unit to each number.
    longest = MAX_DIRECTION_SUM - directions.shape[2]
    units = np.maximum(np.maximum(sizes / SCORED_LIMIT, magnitudes / longest), np.finfo(np.float32).tiny)
    shift = int(np.log2(longest / max(float((magnitudes / units).max()), longest / 2**8)))
    return np.rint(directions / units[:, None, None] * 2**shift).astype(np.int32), shift


def new_workspace(blocks: TrainingBlocks, n_splits: int, n_tests: int, n_scored: int, n_threads: int) -> GrowWorkspace:
    """Return the workspace of trees with `n_tests` candidates for each of `n_splits` splits."""
    n_blocks, block_length, n_components = blocks.residuals.shape
    n_columns = -(-n_scored // COMPONENTS_PER_PASS) * COMPONENTS_PER_PASS
    return GrowWorkspace(
        order=np.empty((n_blocks, block_length), np.int32),
        bounds=np.empty((n_blocks, n_splits + 2), np.int32),
        goes_left=np.empty((n_blocks, n_tests // GROUP_SIZE + 1, block_length), np.uint32),
        scored=np.empty((n_blocks, block_length, n_columns), np.int16),
        counts=np.zeros((n_threads, n_splits, n_tests + 1), np.int64),
        sums=np.zeros((n_threads, n_splits, n_tests + 1, n_scored)),
        leaf_sums=np.zeros((n_threads, n_splits + 1, n_components), np.int64),
        leaf_counts=np.zeros((n_threads, n_splits + 1, n_components), np.int64),
    )


@numba.njit(cache=True, nogil=True)
def boost_trees(thread, board, blocks, candidates, boosting, workspace, output):
    """Boost some trees, one after another: what each of several threads does.

    Every level of every tree, the leaves included, is a phase; in one more the last leaves are subtracted. The sums
    of the workspace are 0 before and after; the rest of it is overwritten, and `output` is written.
    """
    n_blocks, (n_trees, n_splits) = blocks.sizes.shape[0], candidates.limits.shape[:2]
    n_levels = np.int64(np.log2(n_splits + 1)) + 1
    n_phases = n_trees * n_levels + 1
    phase = np.int64(0)
    while 0 <= phase < n_phases:
        tree, level = phase // n_levels, phase % n_levels
        first_node = (1 << level) - 1
        block = take_block(board, phase)
        while block < n_blocks:
            sum_block(block, thread, phase, blocks, candidates, boosting, workspace, output)
            if finish_block(board, phase, n_blocks):
                if first_node == n_splits:
                    rule = boosting.shrinkage, boosting.max_leaf
                    mean_leaves(workspace.leaf_sums, workspace.leaf_counts, rule, output.leaves[tree])
                elif tree < n_trees:
                    choose_splits(first_node, workspace.counts, workspace.sums, boosting.weights, output.chosen[tree])
                end_phase(board)
            block = take_block(board, phase)
        phase = wait(board, phase)


@numba.njit(cache=True, nogil=True)
def sum_block(block, thread, phase, blocks, candidates, boosting, workspace, output):
    """Do what a phase of :func:`boost_trees` does with a block: move its samples, and add to the thread's sums."""
    n_trees, n_splits = candidates.limits.shape[:2]
    n_levels = np.int64(np.log2(n_splits + 1)) + 1
    tree, level = phase // n_levels, phase % n_levels
    first_node = (1 << level) - 1
    if level > 0:
        split_level(block, first_node // 2, output.chosen[tree], workspace)
    elif tree > 0:
        apply_leaves(block, blocks, workspace, output.leaves[tree - 1], boosting.ends_tier[tree - 1])
    if first_node == n_splits:
        sum_leaves(block, blocks, workspace, workspace.leaf_sums[thread], workspace.leaf_counts[thread])
    elif tree < n_trees:
        if level == 0:
            start_tree(block, blocks, workspace, boosting.shift, boosting.directions[tree])
        splits = Candidates(candidates.pixels[tree], candidates.limits[tree])
        evaluate_level(block, first_node, blocks, splits, workspace, thread)


def _boost_in_step(n_phases, exchange, workers, blocks, candidates, boosting, workspace, output):
    """Boost some trees as :func:`boost_trees` does, together with the other parts of the samples."""
    n_blocks, n_levels = len(blocks.sizes), candidates.limits.shape[1].bit_length() + 1
    n_samples = int(exchange.sum(np.array([blocks.sizes.sum()]))[0])
    for phase in range(n_phases):
        if n_blocks:
            workers.run_phases(1, n_blocks, sum_blocks, phase, blocks, candidates, boosting, workspace, output)
        if phase == n_phases - 1:
            return
        tree, level = divmod(phase, n_levels)
        if level == n_levels - 1:
            # Where nothing is missing, all components of a leaf have the same samples.
            counts = workspace.leaf_counts[:, :, : None if blocks.present.shape[1] else 1]
            _add_up(exchange, n_samples * 2**15, counts, workspace.leaf_sums)
            workspace.leaf_counts[:] = counts
            rule = boosting.shrinkage, boosting.max_leaf
            mean_leaves(workspace.leaf_sums, workspace.leaf_counts, rule, output.leaves[tree])
        else:
            nodes = slice(2**level - 1, 2 ** (level + 1) - 1)
            _add_up(exchange, n_samples * SCORED_LIMIT, workspace.counts[:, nodes], workspace.sums[:, nodes])
            choose_splits(nodes.start, workspace.counts, workspace.sums, boosting.weights, output.chosen[tree])


def _add_up(exchange, limit, counts, sums):
    """Put the sums of all threads of all parts, integers within a limit, into those of the first thread."""
    own = [array.sum(axis=0).ravel() for array in (counts, sums)]
    total = exchange.sum(np.concatenate(own).astype(np.int32 if limit < 2**31 else np.int64))
    counts[0], sums[0] = total[: own[0].size].reshape(counts.shape[1:]), total[own[0].size :].reshape(sums.shape[1:])
    counts[1:], sums[1:] = 0, 0


@numba.njit(cache=True, nogil=True)
def sum_blocks(thread, board, phase, blocks, candidates, boosting, workspace, output):
    """Do one phase of :func:`boost_trees`, without what follows it: what each of several threads does."""
    n_blocks = blocks.sizes.shape[0]
    block = take_block(board, 0)
    while block < n_blocks:
        sum_block(block, thread, phase, blocks, candidates, boosting, workspace, output)
        if finish_block(board, 0, n_blocks):
            end_phase(board)
        block = take_block(board, 0)
    wait(board, 0)


@numba.njit(cache=True, nogil=True)
def start_tree(block, blocks, workspace, shift, directions):
    """Put every sample of a block into the root and compute what splits are scored on: see :class:`Boosting`."""
    residuals, scored, n = blocks.residuals, workspace.scored, blocks.sizes[block]
    workspace.bounds[block, 0] = 0
    workspace.bounds[block, 1] = n
    for i in range(n):
        workspace.order[block, i] = i
        row = residuals[block, i]
        for d in range(scored.shape[2]):
            value = np.int32(0)
            if d < directions.shape[0]:
                direction = directions[d]
                for k in range(row.shape[0]):
                    value += np.int32(row[k]) * direction[k]
            elif directions.shape[0] == 0 and d < row.shape[0]:
                value = np.int32(row[d])
            scored[block, i, d] = min(max(value >> shift, -SCORED_LIMIT), SCORED_LIMIT)


@numba.njit(cache=True, nogil=True)
def evaluate_level(block, first_node, blocks, candidates, workspace, thread):
    """Sum the samples of a block that each candidate of each node of a level sends left.

    The level has `first_node` + 1 nodes, numbered from `first_node` on; `candidates` are those of one tree.
    The thread's `counts` and `sums` are added to, and `goes_left` is written.
    """
    pool, scored, bounds = blocks.pool[block], workspace.scored[block], workspace.bounds[block]
    counts, sums = workspace.counts[thread], workspace.sums[thread]
    left_sums = np.empty((COMPONENTS_PER_PASS + 1, GROUP_SIZE), np.int32)
    decisions = np.empty((GROUP_SIZE // CANDIDATES_PER_BYTE, pool.shape[1]), np.uint8)
    paired = np.empty(((pool.shape[1] + 1) // 2, COMPONENTS_PER_PASS, 2), np.int16)
    n_columns, n_scored = sums.shape[1:]
    for k in range(first_node + 1):
        node = first_node + k
        low, high = bounds[k], bounds[k + 1]
        if low == high:
            continue
        samples = workspace.order[block, low:high]
        for group in range(candidates.pixels.shape[1]):
            n_lanes = min(GROUP_SIZE, n_columns - group * GROUP_SIZE)
            splits = candidates.pixels[node, group], candidates.limits[node, group]
            goes_left = workspace.goes_left[block, group, low:high]
            evaluate_splits(pool, samples, blocks.sizes[block], splits, n_lanes, decisions, goes_left)
        for column in range(0, n_scored, COMPONENTS_PER_PASS):
            pair_components(scored, samples, column, paired)
            for group in range(candidates.pixels.shape[1]):
                start = group * GROUP_SIZE
                n_lanes = min(GROUP_SIZE, n_columns - start)
                accumulate_left_sums(workspace.goes_left[block, group, low:high], paired, n_lanes, left_sums)
                for lane in range(n_lanes):
                    for d in range(min(COMPONENTS_PER_PASS, n_scored - column)):
                        sums[node, start + lane, column + d] += left_sums[d, lane]
                    if column == 0:
                        counts[node, start + lane] += left_sums[COMPONENTS_PER_PASS, lane]


@numba.njit(cache=True, nogil=True)
def choose_splits(first_node, counts, sums, weights, chosen):
    """Choose for each node of a level the first of the candidates with the largest gain.

    The gain is sum_d w_d (L_d^2 / n_left + R_d^2 / n_right): minimizing the squared error of the two means is
    maximizing it (Kazemi & Sullivan 2014, eq. 8).

    `counts` and `sums` are those of all threads, and are reset; `chosen`, the candidate of each split, is written.
    """
    for node in range(first_node, 2 * first_node + 1):
        n = counts[:, node, -1].sum()
        best = -1.0
        chosen[node] = 0
        for test in range(counts.shape[2] - 1):
            n_left = counts[:, node, test].sum()
            if n_left == 0 or n_left == n:
                continue
            gain = 0.0
            for d in range(weights.shape[0]):
                left = sums[:, node, test, d].sum()
                right = sums[:, node, -1, d].sum() - left
                gain += weights[d] * (left * left / n_left + right * right / (n - n_left))
            if gain > best:
                best = gain
                chosen[node] = test
        counts[:, node] = 0
        sums[:, node] = 0


@numba.njit(cache=True, nogil=True)
def split_level(block, first_node, chosen, workspace):
    """Sort the samples of each node of a level into its two children, keeping their order.

    `chosen` is the candidate of each split; `order` and `bounds` of the workspace are rewritten.
    """
    order, bounds, all_goes_left = workspace.order, workspace.bounds, workspace.goes_left
    right_samples = np.empty(order.shape[1], np.int32)
    # From the last node on: the bounds of the children lie where those of later nodes were.
    for k in range(first_node, -1, -1):
        low, high = bounds[block, k], bounds[block, k + 1]
        candidate = chosen[first_node + k]
        group, bit = candidate // GROUP_SIZE, np.uint32(candidate % GROUP_SIZE)
        n_left, n_right = low, 0
        for j in range(low, high):
            i = order[block, j]
            goes_left = (all_goes_left[block, group, j] >> bit) & np.uint32(1)
            # Both places are written and one of them advances: there is no branch to mispredict.
            order[block, n_left] = i
            right_samples[n_right] = i
            n_left += goes_left
            n_right += np.uint32(1) - goes_left
        for j in range(n_right):
            order[block, n_left + j] = right_samples[j]
        bounds[block, 2 * k + 2] = high
        bounds[block, 2 * k + 1] = n_left
        bounds[block, 2 * k] = low


@numba.njit(cache=True, nogil=True)
def sum_leaves(block, blocks, workspace, sums, counts):
    """Sum the residuals of each leaf in a block, and count the samples behind each component of the sum.

    `sums` and `counts`, int64 (n_leaves, n_components), are added to.
    """
    residuals, present, order = blocks.residuals, blocks.present, workspace.order
    n_leaves, n_components = sums.shape
    total = np.empty(n_components, np.int32)
    for leaf in range(n_leaves):
        low, high = workspace.bounds[block, leaf], workspace.bounds[block, leaf + 1]
        total[:] = 0
        for j in range(low, high):
            row = residuals[block, order[block, j]]
            for d in range(n_components):
                total[d] += row[d]
        for d in range(n_components):
            sums[leaf, d] += total[d]
            if present.shape[0] == 0:
                counts[leaf, d] += high - low
        if present.shape[0] != 0:
            for j in range(low, high):
                for d in range(n_components):
                    counts[leaf, d] += present[block, order[block, j], d]


@numba.njit(cache=True, nogil=True)
def mean_leaves(sums, counts, rule, leaves):
    """Write the leaves (n_leaves, n_components): the mean residuals times the shrinkage, rounded and clipped.

    `sums` and `counts` are those of all threads, and are reset; `rule` is the shrinkage and the largest leaf.
    """
    shrinkage, max_leaf = rule
    for leaf in range(leaves.shape[0]):
        for d in range(leaves.shape[1]):
            mean = sums[:, leaf, d].sum() / max(counts[:, leaf, d].sum(), 1)
            leaves[leaf, d] = min(max(np.rint(shrinkage * mean), -max_leaf), max_leaf)
    sums[...] = 0
    counts[...] = 0


@numba.njit(cache=True, nogil=True)
def apply_leaves(block, blocks, workspace, leaves, ends_tier):
    """Subtract from the residuals of each sample of a block the leaf that it fell into.

    Missing components stay 0. Where `ends_tier` is set, the updated residuals become those of the next tree.
    """
    residuals, updated, present = blocks.residuals, blocks.updated, blocks.present
    for leaf in range(leaves.shape[0]):
        value = leaves[leaf]
        for j in range(workspace.bounds[block, leaf], workspace.bounds[block, leaf + 1]):
            i = workspace.order[block, j]
            row = updated[block, i]
            for d in range(row.shape[0]):
                amount = np.int32(value[d])
                if present.shape[0] != 0:
                    amount *= present[block, i, d]
                row[d] = min(max(np.int32(row[d]) - amount, -32768), 32767)
    if ends_tier:
        for i in range(residuals.shape[1]):
            for d in range(residuals.shape[2]):
                residuals[block, i, d] = updated[block, i, d]
