"""The confidence model: standard errors of landmarks, and the probability that they are on the object.

    landmarks ──> square around them ──> similarity: mean shape -> landmarks ──> pixels of one pool
              ──> two forests ──> log error of each landmark; trust
              ──> calibration ──> standard errors, probabilities

It reads the image around the landmarks that were found, so that its results depend on the image and the
landmarks, hardly on the box. The outputs of the trees are calibrated by a few small tables that
:mod:`ert.training.calibration` fits on objects left out of the training.
"""

import math
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from ert._core.exceptions import InputError
from ert._core.images import Part, is_kernel_ready_gray, read_part
from ert._core.runtime import kernel_property
from ert._kernels import assess_face, compile_confidence
from ert.model.cascade import FieldsOnly
from ert.model.cropping import CropSpec, check_crop_spec
from ert.model.geometry import square_box
from ert.model.limits import (
    FINITE,
    MAX_DELTA_SIDES,
    MAX_FOREST_OUTPUT,
    check_bounds,
    check_size,
    check_sum_of_leaves,
    check_trees,
)

if TYPE_CHECKING:
    from ert._kernels import CompiledConfidence

# An alignment has failed when its mean error is more than this part of the normalizer; `within` is the
# probability that a landmark is off by no more than that part.
FAILED, WITHIN = 0.08, 0.05
# How kernels measure the normalizer: 0 the side of the box, 1 between the means of two ranges of landmarks,
# 2 the geometric mean of the sides of the landmarks' rectangle, 3 its diagonal.
NORMALIZER_ARGS = {
    None: (0, 0, 0, 0, 0),
    "inter-ocular": (1, 36, 37, 45, 46),
    "inter-pupil": (1, 36, 42, 42, 48),
    "box": (2, 0, 0, 0, 0),
    "diagonal": (3, 0, 0, 0, 0),
}
# The radius that contains 90 % of a normal distribution in the plane, in its standard deviations.
GAUSSIAN_90 = math.sqrt(-2 * math.log(0.1))


@dataclass(frozen=True)
class Assessment:
    """How far landmarks can be trusted.

    Parameters
    ----------
    std : float array (n, n_landmarks)
        Standard error of each landmark along either axis, in pixels: the circle around it that contains the
        true landmark with a probability of 90 % has a radius of 2.146 times that. For other probabilities see
        :meth:`ert.ShapePredictor.std_radius`.
    within : float array (n, n_landmarks)
        Probability that it lies within 5 % of the normalizer (of the side of the box, in a model without one)
        of the true landmark.
    confidence : float array (n,)
        Probability that this is the object and that its alignment has not failed: that the mean error is at
        most 8 % of the normalizer. It assumes that one in ten boxes is not on the object.
    """

    std: npt.NDArray[np.float64]
    within: npt.NDArray[np.float64]
    confidence: npt.NDArray[np.float64]

    def __repr__(self) -> str:
        n, n_landmarks = self.std.shape
        if n == 0:
            return f"Assessment(0 objects, {n_landmarks} landmarks)"
        median, low = np.median(self.std), int((self.confidence < 0.5).sum())
        sizes = f"{n} object{'s' * (n != 1)}, {n_landmarks} landmarks"
        return (
            f"Assessment({sizes}: median standard error {median:.2f} pixels,\n"
            f"           median confidence {np.median(self.confidence):.3f}, {low} below 0.5)"
        )


@dataclass(frozen=True)
class Forest:
    """Trees whose leaves are summed.

    Parameters
    ----------
    pairs : uint16 array (n_trees, n_splits, 2)
        The two pixels of each split.
    thresholds : int16 array (n_trees, n_splits)
    leaves : int8 array (n_trees, n_leaves, n_components)
    scales : float32 array (n_components,)
    basis : int8 array (n_components, n_outputs)
        Times its scale, the outputs for 1 in a leaf's component.
    """

    pairs: npt.NDArray[np.uint16]
    thresholds: npt.NDArray[np.int16]
    leaves: npt.NDArray[np.signedinteger]
    scales: npt.NDArray[np.float32]
    basis: npt.NDArray[np.signedinteger]

    def arrays(self) -> tuple[npt.NDArray[Any], ...]:
        """Return the arrays in their order."""
        return self.pairs, self.thresholds, self.leaves, self.scales, self.basis


@dataclass(frozen=True)
class ConfidenceModel(FieldsOnly):
    """A fitted confidence model.

    Parameters
    ----------
    mean_shape : float32 array (n_landmarks, 2)
        That of the cascade.
    crop_spec : CropSpec
        The crop around the landmarks; its box is the square that the mean shape would have to be put into to
        lie on them.
    anchors : uint16 array (n_pixels,)
    deltas : float32 array (n_pixels, 2)
        The feature pool, see :class:`ert.model.cascade.Stage`.
    errors : Forest
        For each landmark, the deviation of the logarithm of its error from the baseline.
    trust : Forest
        One number: the greater, the more likely the alignment has not failed.
    curve : float64 array (2, n_knots)
        Deviations, and what they are calibrated to. Plus the baseline, that is the logarithm of the standard
        error, in sides of the square.
    baseline : float64 array (n_landmarks,)
    ratios : float64 array (n_levels,)
        Quantiles of the errors of landmarks in standard errors, at equal steps from 0 to 1.
    within_curve : float64 array (2, n_steps)
        The probability, by `ratios`, to be within 5 % of the normalizer, and the observed frequency.
    confidence_weights : float64 array (3,)
        The logit of the confidence: weights of 1, of the trust, and of the logarithm of the mean standard
        error in normalizers.
    """

    mean_shape: npt.NDArray[np.float32]
    crop_spec: CropSpec
    anchors: npt.NDArray[np.uint16]
    deltas: npt.NDArray[np.float32]
    errors: Forest
    trust: Forest
    curve: npt.NDArray[np.float64]
    baseline: npt.NDArray[np.float64]
    ratios: npt.NDArray[np.float64]
    within_curve: npt.NDArray[np.float64]
    confidence_weights: npt.NDArray[np.float64]

    @kernel_property
    def compiled(self) -> "CompiledConfidence":
        """Return the arguments of the kernels."""
        tables = self.curve, self.baseline, self.ratios, self.within_curve, self.confidence_weights
        pool, forests = (self.anchors, self.deltas), (self.errors.arrays(), self.trust.arrays())
        return compile_confidence(self.mean_shape, self.crop_spec.kernel_args, pool, forests, tables)

    def assess_face(
        self,
        image: npt.NDArray[np.uint8],
        box: tuple[float, float, float, float],
        landmarks: npt.NDArray[np.float64],
        channel_order: str,
        gray_weights: str,
        normalizer: str | None,
        std: npt.NDArray[np.float64],
        within: npt.NDArray[np.float64],
        part: Part | None = None,
    ) -> float:
        """Assess the landmarks of one face.

        Parameters
        ----------
        image : uint8 array (rows, columns) or (rows, columns, 3)
        landmarks : float64 array (n_landmarks, 2)
            In image pixels.
        channel_order, gray_weights, normalizer
            See :class:`ert.ShapePredictor`.
        std, within : float64 array (n_landmarks,)
            Written, see :class:`Assessment`.
        part : (image, column, row), optional
            A gray part of the image, and its origin; used if it covers the crop.

        Returns
        -------
        float
            The confidence.
        """
        side = square_box(*box)[2]
        column = row = 0
        if not is_kernel_ready_gray(image):
            image, column, row = self._read_part(image, landmarks, side, channel_order, gray_weights, part)
        how = (*NORMALIZER_ARGS[normalizer], WITHIN)
        return assess_face(self.compiled, image, (column, row), landmarks, side, how, std, within)

    def _read_part(
        self,
        image: npt.NDArray[np.uint8],
        landmarks: npt.NDArray[np.float64],
        side: float,
        channel_order: str,
        gray_weights: str,
        part: Part | None,
    ) -> Part:
        x, y, side = self.compiled.square(landmarks, side)
        if part is not None and self._suffices(part, image.shape, x, y, side):
            return part
        # A box outside the image is moved to its edge: beyond the edge, its pixels are repeated.
        low, high = self.crop_spec.region[:2] * side, self.crop_spec.region[2:] * side
        x = min(max(x, 1 - high[0]), image.shape[1] - 2 - low[0])
        y = min(max(y, 1 - high[1]), image.shape[0] - 2 - low[1])
        columns, rows = self.crop_spec.touched(x, y, side + 1, side + 1, image.shape)
        return read_part(image, columns, rows, channel_order, gray_weights)

    @cached_property
    def _bounds(self) -> list[float]:
        return self.crop_spec.region.tolist()  # type: ignore[no-any-return]

    def _suffices(self, part: Part, size: tuple[int, ...], x: float, y: float, side: float) -> bool:
        """Return whether a part covers the crop; a quick test that may be False for some that do."""
        gray, column, row = part
        left, top, right, bottom = self._bounds
        reach = 3 + 3 * side / self.crop_spec.working_size
        column_end, row_end = column + gray.shape[1], row + gray.shape[0]
        return (
            self.crop_spec.blur == 0
            and (column == 0 or column <= x + left * side - reach)
            and (row == 0 or row <= y + top * side - reach)
            and (column_end == size[1] or x + right * side + reach <= column_end - 1)
            and (row_end == size[0] or y + bottom * side + reach <= row_end - 1)
        )

    def radius(self, level: float) -> float:
        """Return the radius, in standard errors, that contains true landmarks with a probability."""
        levels = np.linspace(0, 1, len(self.ratios))
        return float(np.interp(level, levels, self.ratios))

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return all arrays by name, for the model file."""
        arrays = {f"confidence_{name}": getattr(self, name) for name in _ARRAYS}
        for forest in _FORESTS:
            for name, array in vars(getattr(self, forest)).items():
                arrays[f"confidence_{forest}_{name}"] = array
        return arrays

    def header(self) -> dict[str, Any]:
        """Return its part of the model file's header."""
        return {"crop_spec": asdict(self.crop_spec) | {"region": self.crop_spec.region.tolist()}}

    @classmethod
    def from_file(cls, header: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> Self:
        """Restore from :meth:`header` and :meth:`arrays`; its arrays are removed from `arrays`."""
        crop_spec = CropSpec.from_header(header["crop_spec"])
        parts: dict[str, Any] = {name: arrays.pop(f"confidence_{name}") for name in _ARRAYS}
        forests: dict[str, Any] = {
            forest: Forest(*(arrays.pop(f"confidence_{forest}_{name}") for name in Forest.__dataclass_fields__))
            for forest in _FORESTS
        }
        confidence_model = cls(mean_shape=arrays["mean_shape"], crop_spec=crop_spec, **parts, **forests)
        check_confidence_model(confidence_model)
        return confidence_model


_ARRAYS = ("anchors", "deltas", "curve", "baseline", "ratios", "within_curve", "confidence_weights")
_FORESTS = ("errors", "trust")
# Of the crop, see :mod:`ert.model.cropping`: restarts assess a face a dozen times, and training does not smooth here.
MAX_BLURRED_SIDES = 10
# The least and the largest number of each table. Standard errors are exponentials of the first two.
_BOUNDS = {
    "deltas": (-MAX_DELTA_SIDES, MAX_DELTA_SIDES),
    "curve": (-100.0, 100.0),
    "baseline": (-100.0, 100.0),
    "ratios": (0.0, 1e100),
    # Means of probabilities, which rounding may carry beyond 1.
    "within_curve": (0.0, 1.1),
    "confidence_weights": (-1e6, 1e6),
}


def check_confidence_model(confidence_model: ConfidenceModel) -> None:
    """Check that a confidence model's arrays fit together, wherever they come from."""
    check_crop_spec(confidence_model.crop_spec, MAX_BLURRED_SIDES)
    n_landmarks, n_pixels = len(confidence_model.mean_shape), len(confidence_model.anchors)
    expected: list[tuple[str, npt.NDArray[Any], tuple[int, ...], str]] = [
        ("anchors", confidence_model.anchors, (n_pixels,), "uint16"),
        ("deltas", confidence_model.deltas, (n_pixels, 2), "float32"),
        ("curve", confidence_model.curve, (2, confidence_model.curve.shape[-1]), "float64"),
        ("baseline", confidence_model.baseline, (n_landmarks,), "float64"),
        ("ratios", confidence_model.ratios, (len(confidence_model.ratios),), "float64"),
        ("within_curve", confidence_model.within_curve, (2, confidence_model.within_curve.shape[-1]), "float64"),
        ("confidence_weights", confidence_model.confidence_weights, (3,), "float64"),
    ]
    for name, forest, n_outputs in (
        ("errors", confidence_model.errors, n_landmarks),
        ("trust", confidence_model.trust, 1),
    ):
        n_trees, n_splits = forest.thresholds.shape
        n_components = len(forest.scales)
        expected += [
            (f"{name} pairs", forest.pairs, (n_trees, n_splits, 2), "uint16"),
            (f"{name} thresholds", forest.thresholds, (n_trees, n_splits), "int16"),
            (f"{name} leaves", forest.leaves, (n_trees, n_splits + 1, n_components), "int8"),
            (f"{name} units", forest.scales, (n_components,), "float32"),
            (f"{name} basis", forest.basis, (n_components, n_outputs), "int8"),
        ]
        check_trees(n_trees, n_splits, n_pixels, f"confidence model: {name}: ")
        check_size("n_components", n_components, what=f"confidence model: {name}: ")
        if forest.pairs.max() >= n_pixels:
            raise InputError(f"confidence model: {name} pairs: expected pixels below {n_pixels}")
    for name, array, shape, kind in expected:
        if array.shape != shape or array.dtype.name != kind or 0 in shape:
            raise InputError(
                f"confidence model: {name} has shape {array.shape} and type {array.dtype}, expected {shape}"
            )
        check_bounds(f"confidence model: {name}", array, *_BOUNDS.get(name, FINITE))
    for name, forest in (("errors", confidence_model.errors), ("trust", confidence_model.trust)):
        check_sum_of_leaves(f"confidence model: {name}", forest.leaves, forest.scales, forest.basis, MAX_FOREST_OUTPUT)
    if confidence_model.anchors.max() >= n_landmarks:
        raise InputError(f"confidence model: anchors: expected landmarks below {n_landmarks}")
    for name, rising in (
        ("curve", confidence_model.curve[0]),
        ("ratios", confidence_model.ratios),
        ("within_curve", confidence_model.within_curve[0]),
    ):
        if len(rising) < 2 or (np.diff(rising) < 0).any():
            raise InputError(f"confidence model: {name}: expected increasing numbers")
