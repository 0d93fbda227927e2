"""Shape-indexed pixel features: drawing the pool of a stage, pairs of its pixels, and thresholds."""

import numpy as np
import numpy.typing as npt

from ert._core.types import Floats, Pixels

# Least half-width of a pool in sides of the box: a single landmark, or several on a line, have no width.
MIN_HALF_WIDTH = 0.1


def draw_pool(
    mean_shape: Floats, n_pixels: int, padding: float, spread: float, rng: np.random.Generator
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.float32]]:
    """Draw the feature pool of a stage: positions on the mean shape, relative to the nearest landmarks.

    Positions lie up to `padding` outside the mean shape's bounding rectangle; with a positive `spread` they are
    normally distributed around random landmarks, with this standard deviation. All are in sides of the box.
    Return the nearest landmark (n_pixels,) and the offset from it (n_pixels, 2) (Kazemi & Sullivan 2014, eq. 4).
    """
    if spread > 0:
        around = mean_shape[rng.integers(len(mean_shape), size=n_pixels)]
        positions = around + rng.normal(0, spread, (n_pixels, 2))
    else:
        low, high = mean_shape.min(axis=0), mean_shape.max(axis=0)
        half = np.maximum((high - low) / 2 + padding, MIN_HALF_WIDTH)
        positions = (low + high) / 2 + rng.uniform(-half, half, (n_pixels, 2))
    distances = np.linalg.norm(positions[:, None] - mean_shape[None], axis=2)
    anchors = distances.argmin(axis=1)
    return anchors.astype(np.uint16), (positions - mean_shape[anchors]).astype(np.float32)


def draw_pairs(
    positions: Floats, n_pairs: int, prior_length: float, rng: np.random.Generator
) -> npt.NDArray[np.uint16]:
    """Draw pairs (n_pairs, 2) of pixels with probability proportional to exp(-distance / prior_length).

    Lengths are in sides of the box; `prior_length` is the inverse of the paper's lambda (eq. 6), dlib's
    `lambda_param`.
    """
    prior = pair_prior(positions, prior_length)
    return pick_pairs(prior, rng.random(n_pairs), rng.random(n_pairs))


def pair_prior(positions: Floats, prior_length: float) -> tuple[npt.NDArray[np.uint16], Floats]:
    """Return all pairs (n, 2) of pixels and their cumulative, unnormalized probabilities (n,)."""
    pairs = np.stack(np.triu_indices(len(positions), k=1), axis=1).astype(np.uint16)
    distances = np.linalg.norm(positions[pairs[:, 0]] - positions[pairs[:, 1]], axis=1)
    return pairs, np.cumsum(np.exp((distances.min() - distances) / prior_length))


def pick_pairs(prior: tuple[npt.NDArray[np.uint16], Floats], which: Floats, order: Floats) -> npt.NDArray[np.uint16]:
    """Return the pairs (n, 2) at random numbers `which` in [0, 1), exchanged where `order` is below 0.5."""
    pairs, cumulative = prior
    picked: npt.NDArray[np.uint16] = pairs[np.searchsorted(cumulative, which * cumulative[-1], side="right")]
    exchanged = order < 0.5
    picked[exchanged] = picked[exchanged, ::-1]
    return picked


def pixel_differences(
    pool: Pixels, pairs: npt.NDArray[np.uint16], samples: npt.NDArray[np.int64]
) -> npt.NDArray[np.int16]:
    """Return the first pixel minus the second one of pairs (..., 2), each in one of the samples (...)."""
    block, row = np.divmod(samples, pool.shape[1])
    first = pool[block, row, pairs[..., 0]].astype(np.int16)
    return first - pool[block, row, pairs[..., 1]]
