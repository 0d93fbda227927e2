"""The confidence model: see :mod:`ert._kernels.confidence`."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from ert._kernels.numpy_forms.crop import CropSpec, Square, cut_crop
from ert._kernels.numpy_forms.pixels import (
    Basis,
    MeanShape,
    Pixels,
    Trees,
    channels_of,
    pools,
    read_pixels,
    sum_of_leaves,
)

Floats = npt.NDArray[np.float64]

MIN_SIDE, MAX_SIDE = 0.25, 4.0
PROBABILITY_FLOOR = 0.001
BOX_SIDE, BETWEEN, RECTANGLE, DIAGONAL = range(4)


class NumpyConfidence:
    """A confidence model, with the attributes of :class:`ert._kernels.confidence.CompiledConfidence`."""

    bound = None

    def __init__(
        self,
        mean_shape: npt.NDArray[np.float32],
        crop: CropSpec,
        pool: tuple[npt.NDArray[np.uint16], npt.NDArray[np.float32]],
        forests: tuple[tuple[npt.NDArray[Any], ...], ...],
        tables: tuple[Floats, ...],
    ) -> None:
        self.mean, self.crop, self.tables = MeanShape.of(mean_shape), crop, tables
        self.pool = pools(pool[0][None], pool[1][None])[0]
        self.forests = [(Trees.of(*forest[:3]), Basis.of(*forest[3:])) for forest in forests]

    def square(self, landmarks: Floats, box_side: float) -> Square:
        """Return x, y, side of the square around landmarks whose pixels are read."""
        n, norm = len(landmarks), float(self.mean.squared_norm)
        x, y = np.add.accumulate(landmarks / n)[-1].tolist()
        products = self.mean.basis.astype(np.float64) * landmarks
        a, b = np.add.accumulate(products[:, :, 0] + products[:, :, 1], axis=1)[:, -1].tolist()
        side = math.sqrt(a * a + b * b) / norm if norm > 0 else box_side
        side = min(max(side, MIN_SIDE * box_side), MAX_SIDE * box_side)
        return x - side / 2, y - side / 2, side

    def entry_point(
        self,
        image: Pixels,
        origin: tuple[int, int],
        landmarks: Floats,
        box_side: float,
        bound: None,
        normalizer: tuple[int, int, int, int, int, float],
        std: Floats,
        within: Floats,
    ) -> float:
        """Assess the landmarks of one face in a gray image, see :func:`ert._kernels.confidence.assess_face`."""
        curve, baseline, ratios, within_curve, weights = self.tables
        x, y, side = self.square(landmarks, box_side)
        deviations, trust = self._outputs(image, origin, landmarks, (x, y, side))
        length = _normalizer_length(landmarks, box_side, normalizer[:5])
        logs = _interpolate(curve[0], curve[1], deviations) + baseline
        std[:] = [side * math.exp(log) for log in logs.tolist()]
        shares = _interpolate(ratios, np.linspace(0, 1, len(ratios)), normalizer[5] * length / std)
        within[:] = _interpolate(within_curve[0], within_curve[1], shares).clip(
            PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR
        )
        spread = math.log(float(np.add.accumulate(std)[-1]) / len(std) / length)
        logit = float(weights[0]) + float(weights[1]) * float(trust[0]) + float(weights[2]) * spread
        probability = 1 / (1 + math.exp(-min(max(logit, -50.0), 50.0)))
        return min(max(probability, PROBABILITY_FLOOR), 1 - PROBABILITY_FLOOR)

    def _outputs(
        self, image: Pixels, origin: tuple[int, int], landmarks: Floats, square: Square
    ) -> list[npt.NDArray[np.float32]]:
        """Return the outputs of both forests, from the pixels around landmarks at their own place, scale and roll."""
        x, y, side = square
        crop = cut_crop(image, origin, square, self.crop)
        shape = ((landmarks - (x, y)) / side).astype(np.float32)
        channels, matrix = channels_of(crop, with_maps=False), self.mean.similarity(shape)
        values = read_pixels(channels, crop.transform, shape, matrix, self.pool)
        return [basis.product(sum_of_leaves(trees.leaves_of(values))) for trees, basis in self.forests]


def _interpolate(table_x: Floats, table_y: Floats, x: npt.NDArray[Any]) -> Floats:
    """Interpolate linearly; outside the table its first and last values hold."""
    low = (np.searchsorted(table_x, x, side="right") - 1).clip(0, len(table_x) - 2)
    width = table_x[low + 1] - table_x[low]
    part = np.divide(x - table_x[low], width, out=np.ones(len(x)), where=width > 0)
    found = table_y[low] + part * (table_y[low + 1] - table_y[low])
    found = np.where(x <= table_x[0], table_y[0], found)
    above: Floats = np.where((x >= table_x[-1]) & (x > table_x[0]), table_y[-1], found)
    return above


def _normalizer_length(landmarks: Floats, box_side: float, normalizer: tuple[int, ...]) -> float:
    """Return the length by which errors are divided, at least a pixel."""
    kind, a, b, c, d = normalizer
    length = box_side
    if kind == BETWEEN:
        one, other = (np.add.accumulate(landmarks[low:high])[-1] / (high - low) for low, high in ((a, b), (c, d)))
        length = math.hypot(*(one - other).tolist())
    elif kind != BOX_SIDE:
        x, y = np.ptp(landmarks, axis=0).tolist()
        length = math.sqrt(x * y) if kind == RECTANGLE else math.hypot(x, y)
    return max(length, 1.0)


def compile_confidence(
    mean_shape: npt.NDArray[np.float32],
    crop: CropSpec,
    pool: tuple[npt.NDArray[np.uint16], npt.NDArray[np.float32]],
    forests: tuple[tuple[npt.NDArray[Any], ...], ...] = (),
    tables: tuple[Floats, ...] = (),
) -> NumpyConfidence:
    """Lay out a confidence model."""
    return NumpyConfidence(mean_shape, crop, pool, forests, tables)
