"""Growing one regression tree over pixel differences.

A tree of depth d is a full binary tree: 2**d - 1 splits, 2**d leaves, the children of node i are 2i + 1 and
2i + 2. A sample goes left where the difference of two pixels is greater than the split's threshold.

Training data lies in blocks of samples, so that a block's pool and residuals stay in the cache while a level
is scored, and so that threads share the work by blocks:

    pool       uint8   (n_blocks, n_pixels, BLOCK)       pixel by pixel
    residuals  int16   (n_blocks, BLOCK, n_components)   sample by sample, in units of the stage's leaves
    order      int32   (n_blocks, BLOCK)                 samples sorted by node:
    bounds     int32   (n_blocks, n_leaves + 1)          node j has order[bounds[j] : bounds[j + 1]]
    scored    float32 (n_blocks, n_scored, BLOCK)       the first components of the residuals, in that order

Everything that is summed is a whole number small enough to be exact in the type that holds it (the residuals
as float32 within a block: BLOCK * SCORED_LIMIT < 2**24), so that sums do not depend on the order of adding,
on the number of threads or on the width of the processor's vectors.
"""

import numba
import numpy as np

__all__ = [
    "BLOCK",
    "SCORED_LIMIT",
    "apply_leaves",
    "choose_splits",
    "score_level",
    "split_level",
    "start_tree",
    "sum_leaves",
]

BLOCK = 2048
SCORED_LIMIT = 8191


@numba.njit(cache=True, nogil=True)
def start_tree(  # type: ignore[no-untyped-def]
    thread, n_threads, sizes, residuals, shift, order, bounds, scored
):
    """Put every sample in the root and copy the components that splits are scored on.

    Parameters
    ----------
    thread, n_threads : int
        This call handles blocks `thread`, `thread + n_threads`, ...
    sizes : int32 array (n_blocks,)
        Samples in each block.
    residuals : int16 array (n_blocks, BLOCK, n_components)
    shift : int
        Bits that the scored components lose, so that they stay within SCORED_LIMIT.
    order, bounds, scored
        Written; see the module's picture.
    """
    for block in range(thread, sizes.shape[0], n_threads):
        bounds[block, 0] = 0
        bounds[block, 1] = sizes[block]
        for i in range(sizes[block]):
            order[block, i] = i
            for d in range(scored.shape[1]):
                value = residuals[block, i, d] >> shift
                scored[block, d, i] = min(max(value, -SCORED_LIMIT), SCORED_LIMIT)


@numba.njit(cache=True, nogil=True, fastmath={"reassoc"})
def _masked_sum(mask, values):  # type: ignore[no-untyped-def]
    # Exact whatever the order of adding (see above), so the compiler may use vectors.
    total = np.float32(0)
    for i in range(mask.shape[0]):
        total += mask[i] * values[i]
    return total


@numba.njit(cache=True, nogil=True)
def score_level(  # type: ignore[no-untyped-def]
    thread, n_threads, sizes, pool, order, bounds, scored, pairs, thresholds, counts, sums
):
    """Sum the samples that each candidate split of each node of a level would send left.

    Parameters
    ----------
    thread, n_threads, sizes, pool, order, bounds, scored
        See :func:`start_tree` and the module's picture.
    pairs : uint16 array (n_nodes, n_split_tests, 2)
    thresholds : int16 array (n_nodes, n_split_tests)
    counts : int64 array (n_threads, n_nodes, n_split_tests + 1)
        Written: how many samples go left; the last column counts all samples of the node.
    sums : float64 array (n_threads, n_nodes, n_split_tests + 1, n_scored)
        Written: sums of their scored components.
    """
    n_nodes, n_tests = thresholds.shape
    counts[thread] = 0
    sums[thread] = 0
    mask = np.empty(order.shape[1], np.float32)
    ones = np.ones(order.shape[1], np.float32)
    for block in range(thread, sizes.shape[0], n_threads):
        for node in range(n_nodes):
            low, high = bounds[block, node], bounds[block, node + 1]
            n = high - low
            if n == 0:
                continue
            samples = order[block, low:high]
            for test in range(n_tests):
                first = pool[block, pairs[node, test, 0]]
                second = pool[block, pairs[node, test, 1]]
                threshold = np.int32(thresholds[node, test])
                n_left = 0
                for j in range(n):
                    i = samples[j]
                    left = np.int32(first[i]) - np.int32(second[i]) > threshold
                    mask[j] = left
                    n_left += 1 if left else 0
                counts[thread, node, test] += n_left
                for d in range(scored.shape[1]):
                    sums[thread, node, test, d] += _masked_sum(mask[:n], scored[block, d, low:high])
            counts[thread, node, n_tests] += n
            for d in range(scored.shape[1]):
                sums[thread, node, n_tests, d] += _masked_sum(ones[:n], scored[block, d, low:high])


@numba.njit(cache=True, nogil=True)
def choose_splits(counts, sums, weights, chosen):  # type: ignore[no-untyped-def]
    """Choose for each node the candidate with the largest gain; the first of equals.

    The gain is sum_d w_d (L_d^2 / n_left + R_d^2 / n_right): minimising the squared error of the two means is
    maximising it (Kazemi & Sullivan 2014, eq. 8).

    Parameters
    ----------
    counts : int64 array (n_threads, n_nodes, n_split_tests + 1)
    sums : float64 array (n_threads, n_nodes, n_split_tests + 1, n_scored)
        From :func:`score_level`.
    weights : float64 array (n_scored,)
        Squared units of the components.
    chosen : int array (n_nodes,)
        Written.
    """
    _, n_nodes, n_columns = counts.shape
    for node in range(n_nodes):
        n = counts[:, node, n_columns - 1].sum()
        best = -1.0
        chosen[node] = 0
        for test in range(n_columns - 1):
            n_left = counts[:, node, test].sum()
            if n_left == 0 or n_left == n:
                continue
            gain = 0.0
            for d in range(weights.shape[0]):
                left = sums[:, node, test, d].sum()
                right = sums[:, node, n_columns - 1, d].sum() - left
                gain += weights[d] * (left * left / n_left + right * right / (n - n_left))
            if gain > best:
                best = gain
                chosen[node] = test


@numba.njit(cache=True, nogil=True)
def split_level(  # type: ignore[no-untyped-def]
    thread, n_threads, sizes, pool, order, bounds, scored, pairs, thresholds
):
    """Sort the samples of each node of a level into its two children, keeping their order.

    Parameters
    ----------
    thread, n_threads, sizes, pool, order, bounds, scored
        See :func:`start_tree` and the module's picture; `order`, `bounds` and `scored` are rewritten.
    pairs : uint16 array (n_nodes, 2)
    thresholds : int16 array (n_nodes,)
    """
    n_nodes = thresholds.shape[0]
    goes_left = np.empty(order.shape[1], np.bool_)
    new_bounds = np.empty(2 * n_nodes + 1, np.int32)
    kept = np.empty(order.shape[1], np.int32)
    kept_targets = np.empty(order.shape[1], np.float32)
    for block in range(thread, sizes.shape[0], n_threads):
        new_bounds[0] = 0
        for node in range(n_nodes):
            low, high = bounds[block, node], bounds[block, node + 1]
            first = pool[block, pairs[node, 0]]
            second = pool[block, pairs[node, 1]]
            threshold = np.int32(thresholds[node])
            n_left = 0
            for j in range(low, high):
                i = order[block, j]
                left = np.int32(first[i]) - np.int32(second[i]) > threshold
                goes_left[j] = left
                n_left += 1 if left else 0
            new_bounds[2 * node + 1] = low + n_left
            new_bounds[2 * node + 2] = high
            _sort_by(goes_left[low:high], n_left, order[block, low:high], kept)
            for d in range(scored.shape[1]):
                _sort_by(goes_left[low:high], n_left, scored[block, d, low:high], kept_targets)
        bounds[block, : 2 * n_nodes + 1] = new_bounds


@numba.njit(cache=True, nogil=True)
def _sort_by(goes_left, n_left, values, buffer):  # type: ignore[no-untyped-def]
    left = 0
    right = n_left
    for j in range(values.shape[0]):
        # Both places are written and one of them advances: no branch to mispredict.
        value = values[j]
        buffer[left if goes_left[j] else right] = value
        left += goes_left[j]
        right += not goes_left[j]
    values[:] = buffer[: values.shape[0]]


@numba.njit(cache=True, nogil=True)
def sum_leaves(  # type: ignore[no-untyped-def]
    thread, n_threads, sizes, order, bounds, residuals, present, sums, counts
):
    """Sum the residuals of each leaf, and count the samples behind each component of the sum.

    Parameters
    ----------
    thread, n_threads, sizes, order, bounds, residuals
        See :func:`start_tree` and the module's picture.
    present : uint8 array (n_blocks, BLOCK, n_components) or (0, 0, 0)
        1 where the sample has that component, 0 where its landmark is missing; empty when nothing is missing.
    sums, counts : int64 array (n_threads, n_leaves, n_components)
        Written.
    """
    n_leaves, n_components = sums.shape[1:]
    sums[thread] = 0
    counts[thread] = 0
    total = np.empty(n_components, np.int32)
    for block in range(thread, sizes.shape[0], n_threads):
        for leaf in range(n_leaves):
            total[:] = 0
            for j in range(bounds[block, leaf], bounds[block, leaf + 1]):
                row = residuals[block, order[block, j]]
                for d in range(n_components):
                    total[d] += row[d]
            for d in range(n_components):
                sums[thread, leaf, d] += total[d]
            if present.shape[0] == 0:
                counts[thread, leaf] += bounds[block, leaf + 1] - bounds[block, leaf]
            else:
                for j in range(bounds[block, leaf], bounds[block, leaf + 1]):
                    counts[thread, leaf] += present[block, order[block, j]]


@numba.njit(cache=True, nogil=True)
def apply_leaves(  # type: ignore[no-untyped-def]
    thread, n_threads, sizes, order, bounds, leaves, present, residuals
):
    """Subtract from each sample's residual the leaf that it fell into.

    Parameters
    ----------
    thread, n_threads, sizes, order, bounds, present
        See :func:`sum_leaves`.
    leaves : int16 array (n_leaves, n_components)
    residuals : int16 array (n_blocks, BLOCK, n_components)
        Rewritten; what is missing stays 0.
    """
    for block in range(thread, sizes.shape[0], n_threads):
        for leaf in range(leaves.shape[0]):
            value = leaves[leaf]
            for j in range(bounds[block, leaf], bounds[block, leaf + 1]):
                i = order[block, j]
                row = residuals[block, i]
                for d in range(row.shape[0]):
                    amount = np.int32(value[d])
                    if present.shape[0] != 0:
                        amount *= present[block, i, d]
                    row[d] = min(max(np.int32(row[d]) - amount, -32768), 32767)
