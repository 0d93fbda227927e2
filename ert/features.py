"""Shape-indexed pixel features: the pool of a stage, the prior on pixel pairs, reading the pixels."""

import numba
import numpy as np
import numpy.typing as npt

from ert.geometry import similarity

__all__ = ["draw_pairs", "draw_pool", "read_pixels", "read_pool_block"]

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
    first, second = np.triu_indices(len(positions), k=1)
    distances = np.linalg.norm(positions[first] - positions[second], axis=1)
    cumulative = np.cumsum(np.exp((distances.min() - distances) / prior_length))
    drawn = np.searchsorted(cumulative, rng.random(n_pairs) * cumulative[-1], side="right")
    pairs = np.stack([first[drawn], second[drawn]], axis=1)
    turned = rng.random(n_pairs) < 0.5
    pairs[turned] = pairs[turned, ::-1]
    return pairs.astype(np.uint16)


@numba.njit(cache=True, nogil=True)
def read_pixels(  # type: ignore[no-untyped-def]
    pixels, size, frame, shape, a, b, anchors, deltas, landmarks, places, out
):
    """Read a pool's pixels for one shape; a position outside the crop reads the crop's nearest pixel.

    Parameters
    ----------
    pixels : uint8 array (n,)
        The crop.
    size : tuple of 4 ints
        Its columns and rows, and how far it is from one pixel to the next, across and down.
    frame : float32 array (6,)
        From box coordinates to pixels of the crop.
    shape : float32 array (n_landmarks, 2)
        The current shape in box coordinates.
    a, b : float32
        The similarity from the mean shape to the current shape.
    anchors : uint16 array (n_pixels,)
    deltas : float32 array (2, n_pixels)
    landmarks : float32 array (2, n_landmarks)
    places : float32 array (2, n_pixels)
        Overwritten, these two: room to work in.
    out : int32 array (n_pixels,)
        Written.
    """
    # Loop by loop, so that all but the two that look numbers up become vector instructions.
    bottom = np.float32(size[1] - 1)
    right = np.float32(size[0] - 1)
    column_step = np.int32(size[2])
    row_step = np.int32(size[3])
    # Both matrices in one: the frame after the similarity.
    xx = frame[0] * a + frame[1] * b
    xy = frame[1] * a - frame[0] * b
    yx = frame[2] * a + frame[3] * b
    yy = frame[3] * a - frame[2] * b
    half = np.float32(0.5)
    # By their numbers: a row that comes of unpacking is not known to be contiguous.
    landmark_xs, landmark_ys = landmarks[0], landmarks[1]
    xs, ys = places[0], places[1]
    us, vs = deltas[0], deltas[1]
    for i in range(shape.shape[0]):
        u = shape[i, 0]
        v = shape[i, 1]
        landmark_xs[i] = frame[0] * u + frame[1] * v + frame[4] + half
        landmark_ys[i] = frame[2] * u + frame[3] * v + frame[5] + half
    for p in range(anchors.shape[0]):
        anchor = np.uint64(anchors[p])
        xs[p] = landmark_xs[anchor]
        ys[p] = landmark_ys[anchor]
    for p in range(anchors.shape[0]):
        x = xs[p] + xx * us[p] + xy * vs[p]
        y = ys[p] + yx * us[p] + yy * vs[p]
        # Clamped before the cast, which therefore only ever rounds down; a NaN fails the first comparison.
        column = np.int32(min(x, right) if x > 0 else np.float32(0))
        row = np.int32(min(y, bottom) if y > 0 else np.float32(0))
        out[p] = column * column_step + row * row_step
    for p in range(anchors.shape[0]):
        out[p] = pixels[np.uint64(out[p])]


@numba.njit(cache=True, nogil=True)
def read_pool_block(  # type: ignore[no-untyped-def]
    pixels, places, crop_of, frames, shapes, centred_mean, squared_norm, anchors, deltas, matrices, pool
):
    """Read a pool's pixels for a block of samples, pixel by pixel in memory, for training.

    Parameters
    ----------
    pixels, places
        The crops, see :class:`ert.crop_store.Crops`.
    crop_of : int array (n,)
        Which crop each sample looks at.
    frames : float32 array (n, 6)
    shapes : float32 array (n, n_landmarks, 2)
    centred_mean, squared_norm
        See :func:`ert.geometry.similarity`.
    anchors, deltas
        The pool, see :func:`read_pixels`.
    matrices : float32 array (n, 2)
        Written: a, b of each sample's similarity.
    pool : uint8 array (n_pixels, block size)
        Written: column i is sample i.
    """
    values = np.empty(anchors.shape[0], np.int32)
    landmarks = np.empty((2, shapes.shape[1]), np.float32)
    room = np.empty((2, anchors.shape[0]), np.float32)
    for i in range(shapes.shape[0]):
        a, b = similarity(centred_mean, squared_norm, shapes[i])
        matrices[i, 0] = a
        matrices[i, 1] = b
        first, columns, rows = places[crop_of[i]]
        crop = pixels[first : first + columns * rows]
        size = (columns, rows, rows, 1)
        read_pixels(crop, size, frames[i], shapes[i], a, b, anchors, deltas, landmarks, room, values)
        for p in range(values.shape[0]):
            pool[p, i] = values[p]
