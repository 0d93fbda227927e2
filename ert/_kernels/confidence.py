"""The kernels of the confidence model: pixels around landmarks, two forests, and calibration tables.

landmarks ──> square around them ──> crop ──> similarity ──> pixels of one pool ──> two forests
          ──> calibration tables ──> standard errors, probabilities, confidence
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from ert._kernels.bound_args import DUMMY_IMAGE, BoundArgs, entry_point, unpack
from ert._kernels.crop import CropArgs, crop_args, cut_crop
from ert._kernels.pixels import (
    CropView,
    PoolArgs,
    SimilarityArgs,
    pool_args,
    pool_workspace,
    read_pixels,
    similarity,
    similarity_args,
)
from ert._kernels.simd import BasisArgs, add_leaves, add_products, basis_args, product_workspace
from ert._kernels.traversal import TreeArgs, find_leaves, pool_values_size, traversal_workspace, tree_args

# The side of the square around a shape, in sides of its box.
MIN_SIDE, MAX_SIDE = 0.25, 4.0
# Probabilities stay within this and 1 minus this.
PROBABILITY_FLOOR = 0.001
# Kinds of normalizers: the side of the box; the distance between the means of two groups of landmarks; the
# geometric mean of the sides of the landmarks' rectangle, and its diagonal.
BOX_SIDE, BETWEEN, RECTANGLE, DIAGONAL = range(4)


class ObservationArgs(NamedTuple):
    """What is read around landmarks."""

    mean: SimilarityArgs
    crop: CropArgs
    pool: PoolArgs


class ForestArgs(NamedTuple):
    """A forest: its trees, and the basis that their leaves are expressed in."""

    trees: TreeArgs
    basis: BasisArgs


class CalibrationTables(NamedTuple):
    """The calibration tables of :class:`ert.model.confidence.ConfidenceModel`, float64 arrays."""

    curve: Any
    baseline: Any
    ratios: Any
    within_curve: Any
    confidence_weights: Any


class ConfidenceArgs(NamedTuple):
    """A confidence model, laid out for the kernels."""

    observation: ObservationArgs
    errors: ForestArgs
    trust: ForestArgs
    tables: CalibrationTables


class CompiledConfidence:
    """A confidence model as the kernels take it, or only what it reads of the image.

    Attributes
    ----------
    observation : ObservationArgs
    bound : BoundArgs
        Of a :class:`ConfidenceArgs`; with forests.
    entry_point : callable
        :func:`_assess_face`, compiled; with forests.
    """

    bound: BoundArgs
    entry_point: Callable[..., float]

    def __init__(self, observation: ObservationArgs) -> None:
        self.observation = observation

    def square(self, landmarks: npt.NDArray[np.float64], box_side: float) -> tuple[float, float, float]:
        """Return x, y, side of the square around landmarks whose pixels are read."""
        found: tuple[float, float, float] = square_around(landmarks, box_side, *self.observation.mean)
        return found


def compile_confidence(
    mean_shape: npt.NDArray[np.float32],
    crop: tuple[npt.NDArray[np.float64], int, float, float, tuple[int, int]],
    pool: tuple[npt.NDArray[np.uint16], npt.NDArray[np.float32]],
    forests: tuple[tuple[npt.NDArray[Any], ...], ...] = (),
    tables: tuple[npt.NDArray[np.float64], ...] = (),
) -> CompiledConfidence:
    """Lay out a confidence model for the kernels.

    Parameters
    ----------
    mean_shape : float32 array (n_landmarks, 2)
    crop : region, working_size, blur, min_contrast, (columns, rows)
        See :class:`ert._kernels.crop.CropArgs`.
    pool : anchors (n_pixels,), deltas (n_pixels, 2)
    forests : two tuples of pairs, thresholds, leaves, scales, basis
        Of the errors and of the trust; none for what :func:`observe_landmarks` needs.
    tables : tuple of float64 arrays
        See :class:`CalibrationTables`.
    """
    anchors, deltas = pool
    observation = ObservationArgs(similarity_args(mean_shape), crop_args(*crop), pool_args(anchors[None], deltas[None]))
    compiled = CompiledConfidence(observation)
    if not forests:
        return compiled
    errors, trust = (_forest_args(forest, observation.pool.anchors.shape[1]) for forest in forests)
    # Copies, since numba compiles everything again for arrays that are read-only.
    copies = (np.array(table, np.float64) for table in tables)
    args = ConfidenceArgs(observation, errors, trust, CalibrationTables(*copies))
    compiled.bound = BoundArgs(args)
    landmarks, std, within = (np.zeros((len(mean_shape), 2)), np.empty(len(mean_shape)), np.empty(len(mean_shape)))
    normalizer = 0, 0, 0, 0, 0, 0.05
    rest = 9.0, compiled.bound, normalizer, std, within
    compiled.entry_point = entry_point(_assess_face, DUMMY_IMAGE, (0, 0), landmarks, *rest)
    return compiled


def _forest_args(forest: tuple[npt.NDArray[Any], ...], n_pixels: int) -> ForestArgs:
    pairs, thresholds, leaves, scales, basis = (array[None] for array in forest)
    return ForestArgs(tree_args(pairs, thresholds, leaves, n_pixels), basis_args(scales, basis))


@numba.njit(cache=True, nogil=True)
def square_around(landmarks, box_side, basis, squared_norm):
    """Return x, y and side of the square that the mean shape would have to be put into to lie on a shape."""
    n = landmarks.shape[0]
    x = y = a = b = 0.0
    for i in range(n):
        x += landmarks[i, 0] / n
        y += landmarks[i, 1] / n
        a += basis[0, i, 0] * landmarks[i, 0] + basis[0, i, 1] * landmarks[i, 1]
        b += basis[1, i, 0] * landmarks[i, 0] + basis[1, i, 1] * landmarks[i, 1]
    side = math.sqrt(a * a + b * b) / squared_norm if squared_norm > 0 else box_side
    side = min(max(side, MIN_SIDE * box_side), MAX_SIDE * box_side)
    return x - side / 2, y - side / 2, side


@numba.njit(cache=True, nogil=True)
def _read_values(image, origin, landmarks, box_side, observation, values):
    """Read a pool's pixels around landmarks, at the landmarks' own place, scale and roll.

    Parameters
    ----------
    image : uint8 array (rows, columns)
        All of the image, or a part of it.
    origin : tuple of 2 int
        Column and row of all of the image where this begins.
    landmarks : float64 array (n_landmarks, 2)
        x, y in pixels of all of the image.
    box_side : float
        The side of the box that they were found in.
    observation : ObservationArgs
    values : uint8 array (pool_values_size(n_pixels),)
        Written.

    Returns
    -------
    float
        The side of the square around the landmarks.
    """
    mean, pool, spec = observation.mean, observation.pool, observation.crop
    x, y, side = square_around(landmarks, box_side, mean.basis, mean.squared_norm)
    pixels = np.empty(spec.columns * spec.rows, np.uint8)
    to_crop = np.empty(6, np.float32)
    columns, rows, column_step, row_step = cut_crop(image, origin, (x, y, side), spec, pixels, to_crop)
    shape = np.zeros((mean.basis.shape[1], 2), np.float32)
    for i in range(landmarks.shape[0]):
        shape[i, 0] = (landmarks[i, 0] - x) / side
        shape[i, 1] = (landmarks[i, 1] - y) / side
    crop = CropView(pixels, columns, rows, column_step, row_step)
    workspace = pool_workspace(shape.shape[0], pool.anchors.shape[1])
    matrix = similarity(mean, shape)
    read_pixels(crop, to_crop, shape, matrix, pool, 0, workspace, values)
    return side


def observe_landmarks(
    compiled: CompiledConfidence,
    image: npt.NDArray[np.uint8],
    landmarks: npt.NDArray[np.float64],
    box_side: float,
    normalizer: tuple[int, int, int, int, int],
) -> tuple[npt.NDArray[np.uint8], float, float]:
    """Read what a confidence model sees of landmarks.

    Parameters
    ----------
    image : uint8 array (rows, columns)
    landmarks : float64 array (n_landmarks, 2)
        In image pixels.
    normalizer : tuple of 5 int
        See :func:`normalizer_length`.

    Returns
    -------
    values : uint8 array (n_padded_pixels,)
    side : float
        Of the square around the landmarks.
    length : float
        The normalizer.
    """
    n_pixels = compiled.observation.pool.anchors.shape[1]
    values = np.empty(pool_values_size(n_pixels), np.uint8)
    side = _read_values(image, (0, 0), landmarks, box_side, compiled.observation, values)
    return values[:n_pixels], side, normalizer_length(landmarks, box_side, normalizer)


@numba.njit(cache=True, nogil=True)
def _sum_trees(values, n_pixels, forest):
    """Return the outputs of a forest, float32 (n_outputs,) with zeros behind them."""
    traversal = traversal_workspace(forest.trees.n_trees, n_pixels)
    products = product_workspace(forest.basis)
    for p in range(values.shape[0]):
        traversal.values[p] = values[p]
    find_leaves(forest.trees, np.int64(0), n_pixels, traversal)
    add_leaves(forest.trees, np.int64(0), traversal.leaf_offsets, products.components)
    add_products(forest.basis, 0, 0, products)
    return products.displacement


def run_forest(values: npt.NDArray[np.uint8], forest: tuple[npt.NDArray[Any], ...]) -> npt.NDArray[np.float32]:
    """Run a forest on pixels that were read before.

    Parameters
    ----------
    values : uint8 array (n, n_pixels)

    Returns
    -------
    float32 array (n, n_outputs)
    """
    out = np.empty((len(values), forest[-1].shape[1]), np.float32)
    _run_forest(values, _forest_args(forest, values.shape[1]), out)
    return out


@numba.njit(cache=True, nogil=True)
def _run_forest(values, forest, out):
    for i in range(values.shape[0]):
        out[i] = _sum_trees(values[i], values.shape[1], forest)[: out.shape[1]]


@numba.njit(cache=True, nogil=True)
def _interpolate(table_x, table_y, x):
    """Interpolate linearly; outside the table its first and last values hold."""
    n = table_x.shape[0]
    if x <= table_x[0]:
        return table_y[0]
    if x >= table_x[n - 1]:
        return table_y[n - 1]
    low, high = 0, n - 1
    while high - low > 1:
        middle = (low + high) // 2
        if table_x[middle] <= x:
            low = middle
        else:
            high = middle
    width = table_x[high] - table_x[low]
    part = (x - table_x[low]) / width if width > 0 else 1.0
    return table_y[low] + part * (table_y[high] - table_y[low])


@numba.njit(cache=True, nogil=True)
def normalizer_length(landmarks, box_side, normalizer):
    """Return the length by which errors are divided, of predicted landmarks; at least a pixel.

    Parameters
    ----------
    landmarks : float64 array (n_landmarks, 2)
    box_side : float
    normalizer : tuple of 5 int
        The kind; for BETWEEN, the first and end landmark of either group.
    """
    kind, a, b, c, d = normalizer
    length = box_side
    if kind == BETWEEN:
        x = landmarks[a:b, 0].mean() - landmarks[c:d, 0].mean()
        y = landmarks[a:b, 1].mean() - landmarks[c:d, 1].mean()
        length = math.hypot(x, y)
    elif kind != BOX_SIDE:
        x = landmarks[:, 0].max() - landmarks[:, 0].min()
        y = landmarks[:, 1].max() - landmarks[:, 1].min()
        length = math.sqrt(x * y) if kind == RECTANGLE else math.hypot(x, y)
    return max(length, 1.0)


@numba.njit(cache=True, nogil=True)
def _probability(logit):
    low, high = PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR
    return min(max(1 / (1 + math.exp(-min(max(logit, -50.0), 50.0))), low), high)


def assess_face(
    compiled: CompiledConfidence,
    image: npt.NDArray[np.uint8],
    origin: tuple[int, int],
    landmarks: npt.NDArray[np.float64],
    box_side: float,
    normalizer: tuple[int, int, int, int, int, float],
    std: npt.NDArray[np.float64],
    within: npt.NDArray[np.float64],
) -> float:
    """Assess the landmarks of one face in a gray image, see :func:`_assess_face`; return the confidence."""
    return compiled.entry_point(image, origin, landmarks, box_side, compiled.bound, normalizer, std, within)


@numba.njit(cache=True, nogil=True)
def _assess_face(image, origin, landmarks, box_side, bound, normalizer, std, within):
    """Assess the landmarks of one face in a gray image, in one call.

    Parameters
    ----------
    image, origin, landmarks, box_side
        As for :func:`_read_values`.
    bound : BoundArgs
        Of a :class:`ConfidenceArgs`.
    normalizer : tuple of 6 numbers
        The five of :func:`normalizer_length`, and the part of that length within which landmarks are counted.
    std, within : float64 array (n_landmarks,)
        Written: standard errors, and probabilities to be within that part of the true landmarks.

    Returns
    -------
    float
        The confidence.
    """
    model = unpack(bound)
    tables = model.tables
    kind, a, b, c, d, tolerance = normalizer
    n_pixels = model.observation.pool.anchors.shape[1]
    values = np.empty(pool_values_size(n_pixels), np.uint8)
    side = _read_values(image, origin, landmarks, box_side, model.observation, values)
    deviations = _sum_trees(values, n_pixels, model.errors)
    trust = _sum_trees(values, n_pixels, model.trust)
    length = normalizer_length(landmarks, box_side, (kind, a, b, c, d))
    levels = np.linspace(0, 1, tables.ratios.shape[0])
    low, high = PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR
    total = 0.0
    for i in range(std.shape[0]):
        std[i] = side * math.exp(_interpolate(tables.curve[0], tables.curve[1], deviations[i]) + tables.baseline[i])
        total += std[i]
        share = _interpolate(tables.ratios, levels, tolerance * length / std[i])
        within[i] = min(max(_interpolate(tables.within_curve[0], tables.within_curve[1], share), low), high)
    spread = math.log(total / std.shape[0] / length)
    weights = tables.confidence_weights
    return _probability(weights[0] + weights[1] * trust[0] + weights[2] * spread)
