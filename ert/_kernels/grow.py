"""Growing regression trees over pixel differences.

A tree of depth d is a full binary tree: 2**d - 1 splits, 2**d leaves, the children of node i are 2i + 1 and
2i + 2. A sample goes left where the difference of two pixels is greater than the split's threshold.

Training data lies in blocks of samples, so that a block's pool and residuals stay in the cache while a level
is scored, and so that threads share the work by blocks:

    pool       uint8    (n_blocks, BLOCK, width)          a sample's pixels, see :func:`ert.scoring.new_pool`
    residuals  int16    (n_blocks, BLOCK, n_components)   in units of the stage's leaves
    scored     float32  (n_blocks, BLOCK, n_columns)      their first components, zeros up to a multiple of 8
    order      int32    (n_blocks, BLOCK)                 samples sorted by node:
    bounds     int32    (n_blocks, n_leaves + 1)          node j has order[bounds[j] : bounds[j + 1]]
    bits       uint32   (n_blocks, n_groups, BLOCK)       in that order, which candidates send a sample left

Everything that is summed is a whole number small enough to be exact in the type that holds it (the residuals
as float32 within a block: BLOCK * SCORED_LIMIT < 2**24), so that sums do not depend on the order of adding,
on the number of threads or on the width of the processor's vectors.
"""

import numba
import numpy as np

from ert._kernels.barrier import next_block, wait
from ert._kernels.split_search import CANDIDATES, COLUMNS, accumulate_left_sums, evaluate_splits

__all__ = [
    "BLOCK",
    "SCORED_LIMIT",
    "apply_leaves",
    "choose_splits",
    "grow_trees_block",
    "mean_leaves",
    "score_level",
    "split_level",
    "start_tree",
    "sum_leaves",
]


BLOCK = 2048
SCORED_LIMIT = 8191


@numba.njit(cache=True, nogil=True)
def grow_trees_block(
    thread,
    n_threads,
    barrier,
    data,
    work,
    shift,
    numbers,
    limits,
    weights,
    shrinkage,
    limit,
    after,
    tier,
    chosen,
    leaves,
):
    """Boost some trees, one after another: what each thread of a team does for them.

    Parameters
    ----------
    thread, n_threads : int
    barrier : int64 array
        See :mod:`ert.teams`; with a heap for every level of every tree, leaves included, and one more.
    data : tuple
        sizes, pool, residuals, present: the samples in each block, int32 array (n_blocks,); see the module's
        picture; and :func:`sum_leaves`.
    work : tuple
        order, bounds, bits, scored, see the module's picture; counts, sums, see :func:`score_level`;
        leaf_sums, leaf_counts, see :func:`sum_leaves`. All overwritten.
    shift : int
        See :func:`start_tree`.
    numbers, limits
        The candidates, see :func:`ert.scoring.pack_candidates`; the first axis is the tree.
    weights : float64 array (n_scored,)
        See :func:`choose_splits`.
    shrinkage, limit : float, int
        See :func:`mean_leaves`.
    after : int16 array (n_blocks, BLOCK, n_components)
        What leaves are taken from: the residuals, or a copy of them.
    tier : int array (n_trees,)
        Whether the residuals become what is left after the tree: all trees of a tier begin with the same.
    chosen : int64 array (n_threads, n_trees, n_splits)
        Written, the same by each thread: the number of each split's candidate.
    leaves : int16 array (n_threads, n_trees, n_leaves, n_components)
        Written, the same by each thread.
    """
    sizes, pool, residuals, present = data
    order, bounds, bits, scored, counts, sums, leaf_sums, leaf_counts = work
    n_blocks, n_trees, n_splits = sizes.shape[0], limits.shape[0], limits.shape[1]
    totals = np.empty((COLUMNS + 1, CANDIDATES), np.float32)
    counter = 0
    for tree in range(n_trees):
        counts[thread] = 0
        sums[thread] = 0
        split = chosen[thread, tree]
        first = 0
        while first < n_splits:
            block = next_block(barrier, counter)
            while block < n_blocks:
                if first > 0:
                    split_level(block, first // 2, order, bounds, bits, split)
                else:
                    if tree > 0:
                        last = leaves[thread, tree - 1]
                        apply_leaves(block, order, bounds, last, present, residuals, after, tier[tree - 1])
                    start_tree(block, sizes, residuals, shift, order, bounds, scored)
                rest = numbers[tree], limits[tree], totals, counts[thread], sums[thread]
                score_level(block, first, pool, order, bounds, bits, scored, *rest)
                block = next_block(barrier, counter)
            if not wait(barrier, n_threads):
                return
            choose_splits(first, counts, sums, weights, split)
            counter, first = counter + 1, 2 * first + 1
        # Nobody reads those of the last tree any more.
        leaf_sums[thread] = 0
        leaf_counts[thread] = 0
        block = next_block(barrier, counter)
        while block < n_blocks:
            split_level(block, first // 2, order, bounds, bits, split)
            sum_leaves(block, order, bounds, residuals, present, leaf_sums[thread], leaf_counts[thread])
            block = next_block(barrier, counter)
        counter += 1
        if not wait(barrier, n_threads):
            return
        mean_leaves(leaf_sums, leaf_counts, shrinkage, limit, leaves[thread, tree])
    last = leaves[thread, n_trees - 1]
    block = next_block(barrier, counter)
    while block < n_blocks:
        apply_leaves(block, order, bounds, last, present, residuals, after, tier[n_trees - 1])
        block = next_block(barrier, counter)


@numba.njit(cache=True, nogil=True)
def start_tree(block, sizes, residuals, shift, order, bounds, scored):
    """Put every sample of a block in the root and copy the components that splits are scored on.

    Parameters
    ----------
    block : int
    sizes : int32 array (n_blocks,)
        Samples in each block.
    residuals : int16 array (n_blocks, BLOCK, n_components)
    shift : int
        Bits that the scored components lose, so that they stay within SCORED_LIMIT.
    order, bounds, scored
        Written; see the module's picture.
    """
    bounds[block, 0] = 0
    bounds[block, 1] = sizes[block]
    for i in range(sizes[block]):
        order[block, i] = i
        for d in range(scored.shape[2]):
            value = residuals[block, i, d] >> shift if d < residuals.shape[2] else 0
            scored[block, i, d] = min(max(value, -SCORED_LIMIT), SCORED_LIMIT)


@numba.njit(cache=True, nogil=True)
def score_level(block, first_node, pool, order, bounds, bits, scored, numbers, limits, totals, counts, sums):
    """Add up the samples of a block that each candidate split of each node of a level would send left.

    Parameters
    ----------
    block : int
    first_node : int
        Of the level, which has one node more than that.
    pool, order, bounds, bits, scored
        See the module's picture; `bits` is written.
    numbers, limits
        See :func:`ert.scoring.pack_candidates`.
    totals : float32 array (9, 32)
        Overwritten: room to work in.
    counts : int64 array (n_splits, n_split_tests + 1)
        Added to: how many samples go left; the last column counts all samples of the node.
    sums : float64 array (n_splits, n_split_tests + 1, n_scored)
        Added to: their scored components.
    """
    n_columns, n_scored = sums.shape[1:]
    for k in range(first_node + 1):
        node = first_node + k
        low, high = bounds[block, k], bounds[block, k + 1]
        if low == high:
            continue
        for group in range(numbers.shape[1]):
            evaluate_splits(pool, block, order, low, high, numbers, limits, node, group, bits)
            start = group * CANDIDATES
            some = min(CANDIDATES, n_columns - start)
            for column in range(0, n_scored, COLUMNS):
                accumulate_left_sums(bits, block, group, order, low, high, scored, column, totals)
                for lane in range(some):
                    for d in range(min(COLUMNS, n_scored - column)):
                        sums[node, start + lane, column + d] += totals[d, lane]
            for lane in range(some):
                counts[node, start + lane] += np.int64(totals[COLUMNS, lane])


@numba.njit(cache=True, nogil=True)
def choose_splits(first_node, counts, sums, weights, chosen):
    """Choose for each node of a level the candidate with the largest gain; the first of equals.

    The gain is sum_d w_d (L_d^2 / n_left + R_d^2 / n_right): minimizing the squared error of the two means is
    maximizing it (Kazemi & Sullivan 2014, eq. 8).

    Parameters
    ----------
    first_node : int
        See :func:`score_level`.
    counts : int64 array (n_threads, n_splits, n_split_tests + 1)
    sums : float64 array (n_threads, n_splits, n_split_tests + 1, n_scored)
        From :func:`score_level`.
    weights : float64 array (n_scored,)
        Squared units of the components.
    chosen : int array (n_splits,)
        Written.
    """
    n_threads, _, n_columns = counts.shape
    for node in range(first_node, 2 * first_node + 1):
        n = _total(counts, node, n_columns - 1)
        best = -1.0
        chosen[node] = 0
        for test in range(n_columns - 1):
            n_left = _total(counts, node, test)
            if n_left == 0 or n_left == n:
                continue
            gain = 0.0
            for d in range(weights.shape[0]):
                left = right = 0.0
                for thread in range(n_threads):
                    left += sums[thread, node, test, d]
                    right += sums[thread, node, n_columns - 1, d]
                right -= left
                gain += weights[d] * (left * left / n_left + right * right / (n - n_left))
            if gain > best:
                best = gain
                chosen[node] = test


@numba.njit(cache=True, nogil=True)
def _total(counts, node, column):
    total = 0
    for thread in range(counts.shape[0]):
        total += counts[thread, node, column]
    return total


@numba.njit(cache=True, nogil=True)
def split_level(block, first_node, order, bounds, bits, chosen):
    """Sort the samples of each node of a level into its two children, keeping their order.

    Parameters
    ----------
    block, first_node, order, bounds, bits
        See :func:`score_level`; `order` and `bounds` are rewritten.
    chosen : int array (n_splits,)
        The candidate that each split is.
    """
    to_the_right = np.empty(BLOCK, np.int32)
    # From the last on: the bounds of the children lie where those of later nodes were.
    for k in range(first_node, -1, -1):
        low, high = bounds[block, k], bounds[block, k + 1]
        candidate = chosen[first_node + k]
        group, bit = candidate // CANDIDATES, np.uint32(candidate % CANDIDATES)
        left, n_right = low, 0
        for j in range(low, high):
            i = order[block, j]
            goes_left = (bits[block, group, j] >> bit) & np.uint32(1)
            # Both places are written and one of them advances: no branch to mispredict.
            order[block, left] = i
            to_the_right[n_right] = i
            left += goes_left
            n_right += np.uint32(1) - goes_left
        for j in range(n_right):
            order[block, left + j] = to_the_right[j]
        bounds[block, 2 * k + 2] = high
        bounds[block, 2 * k + 1] = left
        bounds[block, 2 * k] = low


@numba.njit(cache=True, nogil=True)
def sum_leaves(block, order, bounds, residuals, present, sums, counts):
    """Add up the residuals of each leaf in a block, and count the samples behind each component of the sum.

    Parameters
    ----------
    block : int
    order, bounds, residuals
        See the module's picture.
    present : uint8 array (n_blocks, BLOCK, n_components) or (0, 0, 0)
        1 where the sample has that component, 0 where its landmark is missing; empty when nothing is missing.
    sums, counts : int64 array (n_leaves, n_components)
        Added to.
    """
    n_leaves, n_components = sums.shape
    total = np.empty(n_components, np.int32)
    for leaf in range(n_leaves):
        low, high = bounds[block, leaf], bounds[block, leaf + 1]
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
def mean_leaves(sums, counts, shrinkage, limit, leaves):
    """Compute the leaves: the mean residuals times the shrinkage, rounded.

    Parameters
    ----------
    sums, counts : int64 array (n_threads, n_leaves, n_components)
        From :func:`sum_leaves`.
    shrinkage : float
    limit : int
        The most that a leaf may hold.
    leaves : int16 array (n_leaves, n_components)
        Written.
    """
    for leaf in range(leaves.shape[0]):
        for d in range(leaves.shape[1]):
            total = n = 0
            for thread in range(sums.shape[0]):
                total += sums[thread, leaf, d]
                n += counts[thread, leaf, d]
            mean = total / max(n, 1)
            leaves[leaf, d] = min(max(np.rint(shrinkage * mean), -limit), limit)


@numba.njit(cache=True, nogil=True)
def apply_leaves(block, order, bounds, leaves, present, residuals, after, ends_tier):
    """Subtract from what is left of each sample of a block the leaf that it fell into.

    Parameters
    ----------
    block, order, bounds, present
        See :func:`sum_leaves`.
    leaves : int16 array (n_leaves, n_components)
    residuals : int16 array (n_blocks, BLOCK, n_components)
        Rewritten where the tier ends; what is missing stays 0.
    after : int16 array (n_blocks, BLOCK, n_components)
        Subtracted from; may be the residuals themselves.
    ends_tier : int
    """
    for leaf in range(leaves.shape[0]):
        value = leaves[leaf]
        for j in range(bounds[block, leaf], bounds[block, leaf + 1]):
            i = order[block, j]
            row = after[block, i]
            for d in range(row.shape[0]):
                amount = np.int32(value[d])
                if present.shape[0] != 0:
                    amount *= present[block, i, d]
                row[d] = min(max(np.int32(row[d]) - amount, -32768), 32767)
    if ends_tier:
        for i in range(residuals.shape[1]):
            for d in range(residuals.shape[2]):
                residuals[block, i, d] = after[block, i, d]
