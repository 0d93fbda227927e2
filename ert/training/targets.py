"""What the trees of a stage are fitted to: residuals as integers in a basis of displacements."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ert._core.types import Floats
from ert._kernels import Workers
from ert.training.buffers import BLOCK_LENGTH
from ert.training.parameters import Options
from ert.training.samples import PART_LENGTH, Samples

# Residuals of at most this many samples determine the basis.
MAX_BASIS_SAMPLES = 20_000
# Components of the residuals that splits are scored on: more only take time (SketchBoost, arXiv 2211.12858,
# found the same of random projections).
N_SCORED = 8
# Largest residual in units of its component.
MAX_RESIDUAL = 16_000


class Targets(NamedTuple):
    """The residuals of the training samples, int16 (n_blocks, BLOCK_LENGTH, n_components).

    Their units are `scales` (n_components,), in box coordinates. `present` is 0 where a component is missing;
    it is empty when no landmark is missing.
    """

    residuals: npt.NDArray[np.int16]
    present: npt.NDArray[np.uint8]
    scales: Floats
    n_samples: int

    def copy(self) -> "Targets":
        """Return targets whose residuals may be changed."""
        return self._replace(residuals=self.residuals.copy())

    def kernel_arguments(self) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.uint8], Floats, int]:
        """Return the targets as :func:`ert._kernels.grow.grow_trees` takes them."""
        n_scored = len(self.scales) if self.present.size else N_SCORED
        return self.residuals, self.present, self.scales[:n_scored] ** 2, self.n_samples


def residual_basis(
    samples: Samples,
    similarities: npt.NDArray[np.float32],
    n_components: int | None,
    shared: npt.NDArray[np.signedinteger] | None,
    rng: np.random.Generator,
) -> tuple[Floats, Floats]:
    """Return the principal directions of the residuals and their standard deviations.

    Parameters
    ----------
    samples : Samples
    similarities : float32 array (n, 2)
        From the mean shape to each sample's shape.
    n_components : int or None
        None returns the identity, every coordinate separately, which missing landmarks require.
    shared : int array (n_components, 2 * n_landmarks) or None
        The basis of the stage before, which is kept; the deviations are those of the residuals along it.
    rng : numpy.random.Generator

    Returns
    -------
    basis : float array (n_components, 2 * n_landmarks)
    sigma : float array (n_components,)
    """
    n_chosen = min(len(samples), MAX_BASIS_SAMPLES)
    chosen = np.sort(rng.choice(len(samples), n_chosen, replace=False))
    # The second moment, not the covariance: the mean residual must be corrected as well.
    moment = np.zeros((samples.mean_shape.size, samples.mean_shape.size))
    for first in range(0, n_chosen, PART_LENGTH):
        part = chosen[first : first + PART_LENGTH]
        residuals = np.nan_to_num(samples.aligned_residuals(part, similarities)).astype(float)
        moment += residuals.T @ residuals / n_chosen
    if n_components is None:
        return np.eye(len(moment)), np.sqrt(np.diag(moment))
    if shared is not None:
        # Nearly orthogonal: later trees correct what rounding to integers has changed.
        directions = shared / np.linalg.norm(shared.astype(float), axis=1, keepdims=True)
        variances = np.einsum("di,ij,dj->d", directions, moment, directions)
        return directions, np.sqrt(np.maximum(variances, 0))
    variances, vectors = np.linalg.eigh(moment)
    largest = slice(None, -min(n_components, len(moment)) - 1, -1)
    return vectors.T[largest].copy(), np.sqrt(np.maximum(variances[largest], 0))


def leaf_scales(sigma: Floats, largest: Floats, shrinkage: float, leaf_bits: int) -> Floats:
    """Return the unit of each component (n_components,), as small as leaves of `leaf_bits` allow.

    The leaves of the first trees, the largest, reach three standard deviations of the residuals times the
    shrinkage; the largest residual has at most 16,000 units.
    """
    leaf_units = 3 * shrinkage * sigma / (2 ** (leaf_bits - 1) - 1)
    scales: Floats = np.maximum(np.maximum(leaf_units, largest / MAX_RESIDUAL), 1e-12)
    return scales


def compute_targets(
    samples: Samples,
    similarities: npt.NDArray[np.float32],
    basis: tuple[Floats, Floats],
    missing: bool,
    options: Options,
    workers: Workers,
) -> Targets:
    """Return the residuals in a basis, in integer units of the leaves.

    As trees are grown on residuals in these units, each tree corrects the rounding of those before it.

    Parameters
    ----------
    samples, similarities
        See :func:`residual_basis`.
    basis : directions, sigma
        From :func:`residual_basis`.
    missing : bool
        Whether any landmark is missing.
    options : Options
    workers : Workers

    Returns
    -------
    Targets
    """
    directions, sigma = basis
    blocks = samples.blocks
    shape = len(blocks), BLOCK_LENGTH, len(directions)
    residuals = np.zeros(shape, np.int16)
    present = np.zeros(shape if missing else (0, 0, 0), np.uint8)
    projection = directions.T.astype(np.float32)

    def components(part: slice) -> npt.NDArray[np.float32]:
        aligned = samples.aligned_residuals(np.arange(part.start, part.stop), similarities)
        projected: npt.NDArray[np.float32] = aligned if missing else aligned @ projection
        return projected

    def filled(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return np.nan_to_num(values) if missing else values

    # Computed twice, first for the extremes: in float32 they would be the largest array of all.
    extremes = np.zeros((len(blocks), len(directions)), np.float32)

    def find_extremes(thread: int, n_threads: int) -> None:
        for number in range(thread, len(blocks), n_threads):
            for part in samples.parts(blocks[number]):
                sizes = np.abs(filled(components(part))).max(axis=0)
                extremes[number] = np.maximum(extremes[number], sizes)

    workers.run(find_extremes)
    shrinkage = options.learning_rate / options.n_trees_averaged
    scales = leaf_scales(sigma, extremes.max(axis=0).astype(float), shrinkage, options.leaf_bits)

    def quantize(thread: int, n_threads: int) -> None:
        for number in range(thread, len(blocks), n_threads):
            for part in samples.parts(blocks[number]):
                values = components(part)
                rows = slice(part.start - blocks[number].start, part.stop - blocks[number].start)
                if missing:
                    present[number, rows] = ~np.isnan(values)
                residuals[number, rows] = np.rint(filled(values) / scales.astype(np.float32))

    workers.run(quantize)
    return Targets(residuals, present, scales, len(samples))
