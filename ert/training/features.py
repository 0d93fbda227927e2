"""Shape-indexed pixel features: the pool of a stage, the prior on pixel pairs, reading the pixels."""

import numpy as np
import numpy.typing as npt

__all__ = [
    "draw_pairs",
    "draw_pool",
    "pair_prior",
    "pick_pairs",
]


# Half the width that a pool has at least, in sides of the box: a single landmark, or several on a line, have
# no width of their own.
LEAST_REACH = 0.1


def draw_pool(
    mean_shape: npt.NDArray[np.float64],
    n_pixels: int,
    padding: float,
    spread: float,
    rng: np.random.Generator,
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.float32]]:
    """Draw a stage's feature pool: random positions on the mean shape, each tied to the nearest landmark.

    Parameters
    ----------
    mean_shape : float array (n_landmarks, 2)
        In box coordinates.
    n_pixels : int
        Size of the pool (the paper's P).
    padding : float
        How far positions may lie outside the mean shape's bounding rectangle, in sides of the box. A pool is
        never narrower than 0.2 sides.
    spread : float
        Above 0, positions lie round landmarks drawn at random, with this standard deviation in sides of
        the box.
    rng : numpy.random.Generator

    Returns
    -------
    anchors : uint16 array (n_pixels,)
        The nearest landmark of each position.
    deltas : float32 array (n_pixels, 2)
        The position minus its anchor, in box coordinates (Kazemi & Sullivan 2014, eq. 4).
    """
    if spread > 0:
        around = mean_shape[rng.integers(len(mean_shape), size=n_pixels)]
        positions = around + rng.normal(0, spread, (n_pixels, 2))
    else:
        low, high = mean_shape.min(axis=0), mean_shape.max(axis=0)
        reach = np.maximum((high - low) / 2 + padding, LEAST_REACH)
        positions = (low + high) / 2 + rng.uniform(-reach, reach, (n_pixels, 2))
    distances = np.linalg.norm(positions[:, None] - mean_shape[None], axis=2)
    anchors = distances.argmin(axis=1)
    return anchors.astype(np.uint16), (positions - mean_shape[anchors]).astype(np.float32)


def draw_pairs(
    positions: npt.NDArray[np.float64], n_pairs: int, prior_length: float, rng: np.random.Generator
) -> npt.NDArray[np.uint16]:
    """Draw pixel pairs with probability proportional to exp(-distance / prior_length).

    Parameters
    ----------
    positions : float array (n_pixels, 2)
        Where the pool's pixels lie on the mean shape, in box coordinates.
    n_pairs : int
        How many pairs to draw (with replacement).
    prior_length : float
        The prior's length in sides of the box: the inverse of the paper's lambda (eq. 6), dlib's
        `lambda_param`.
    rng : numpy.random.Generator

    Returns
    -------
    uint16 array (n_pairs, 2)
    """
    prior = pair_prior(positions, prior_length)
    return pick_pairs(prior, rng.random(n_pairs), rng.random(n_pairs))


def pair_prior(
    positions: npt.NDArray[np.float64], prior_length: float
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.float64]]:
    """Return all pairs (n, 2) of pixels and, added up, their probabilities; see :func:`draw_pairs`."""
    pairs = np.stack(np.triu_indices(len(positions), k=1), axis=1).astype(np.uint16)
    distances = np.linalg.norm(positions[pairs[:, 0]] - positions[pairs[:, 1]], axis=1)
    return pairs, np.cumsum(np.exp((distances.min() - distances) / prior_length))


def pick_pairs(
    prior: tuple[npt.NDArray[np.uint16], npt.NDArray[np.float64]],
    places: npt.NDArray[np.float64],
    turns: npt.NDArray[np.float64],
) -> npt.NDArray[np.uint16]:
    """Return the pairs (n, 2) that random numbers from 0 to 1 pick, and turn round."""
    pairs, cumulative = prior
    picked: npt.NDArray[np.uint16] = pairs[np.searchsorted(cumulative, places * cumulative[-1], side="right")]
    rotated = turns < 0.5
    picked[rotated] = picked[rotated, ::-1]
    return picked
