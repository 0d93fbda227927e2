"""The judge: how far landmarks may be from the truth, and whether they are on the object at all.

    landmarks ──> crop round them ──> similarity: mean shape -> landmarks ──> read one pool of pixels
              ──> walk two forests ──> log of each landmark's error; trust
              ──> calibration      ──> standard errors, probabilities

It is one more look with the cascade's own machinery, at the shape that came out, so it depends on the image
and the landmarks, hardly on the box. What the trees give is brought to scale by a few small tables that
:mod:`ert.calibration` fits on objects left out of the training.
"""

import math
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Self

import numba
import numpy as np
import numpy.typing as npt

from ert.cascade import kernel_basis
from ert.crops import Cropping, check_cropping, cut_crop
from ert.errors import InputError
from ert.features import pool_arrays, read_pixels
from ert.geometry import centre, similarity, square_frame
from ert.images import Part, plain_grey, read_part
from ert.lanes import add_leaves, add_products
from ert.walk import BLOCK_OF_TREES, aligned, pack_trees, room_for_values, walk_trees

__all__ = [
    "FAILED",
    "GAUSSIAN_90",
    "LENGTHS",
    "WITHIN",
    "Assessment",
    "Forest",
    "Judge",
    "check_judge",
    "judge_landmarks",
    "look_arguments",
    "look_closely",
    "norm_length",
    "run_forest",
]

# An alignment has failed when its mean error is more than this part of the norm length; `within` is the
# probability that a landmark is off by no more than that part.
FAILED, WITHIN = 0.08, 0.05
# The radius that holds nine in ten points of a normal distribution in the plane, in its standard deviations.
GAUSSIAN_90 = math.sqrt(-2 * math.log(0.1))
# A shape is looked at as if it were within these times as large as its box.
SMALLEST, LARGEST = 0.25, 4.0
# Probabilities stay that far from 0 and 1.
SURE = 0.001
# How the norm length is measured: the box's side, between two runs of landmarks, the sides of the rectangle.
_BOX_SIDE, _BETWEEN, _RECTANGLE, _DIAGONAL = range(4)
LENGTHS = {
    None: (_BOX_SIDE, 0, 0, 0, 0),
    "inter-ocular": (_BETWEEN, 36, 37, 45, 46),
    "inter-pupil": (_BETWEEN, 36, 42, 42, 48),
    "box": (_RECTANGLE, 0, 0, 0, 0),
    "diagonal": (_DIAGONAL, 0, 0, 0, 0),
}


@dataclass(frozen=True)
class Assessment:
    """How far landmarks can be trusted.

    Parameters
    ----------
    std : float array (n, n_landmarks)
        Standard error of each landmark along either axis, in pixels: the circle round it that holds the true
        landmark nine times in ten has a radius of 2.146 times that, as with a normal distribution. For other
        shares see :meth:`ert.ShapePredictor.std_radius`.
    within : float array (n, n_landmarks)
        Probability that it lies within 5 % of the norm length (the model's `norm`; without one, of the side
        of the box) of the true one.
    confidence : float array (n,)
        Probability that this is the object and its landmarks have not failed: their mean error is at most
        8 % of the norm length. One in ten of what is judged is taken not to be the object.
    """

    std: npt.NDArray[np.float64]
    within: npt.NDArray[np.float64]
    confidence: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Forest:
    """Trees whose leaves add up to some numbers.

    Parameters
    ----------
    pairs : uint16 array (n_trees, n_splits, 2)
        The two pixels of each split.
    thresholds : int16 array (n_trees, n_splits)
    leaves : int8 array (n_trees, n_leaves, n_components)
    units : float32 array (n_components,)
        What 1 in a leaf stands for, times a row of the basis.
    basis : int8 array (n_components, n_outputs)
    """

    pairs: npt.NDArray[np.uint16]
    thresholds: npt.NDArray[np.int16]
    leaves: npt.NDArray[np.signedinteger]
    units: npt.NDArray[np.float32]
    basis: npt.NDArray[np.signedinteger]

    def kernel_arguments(self, n_pixels: int) -> tuple[Any, ...]:
        """Return what :func:`run_forest` takes of a forest."""
        n_trees, n_splits = self.thresholds.shape
        return (
            aligned(pack_trees(self.pairs[None], self.thresholds[None], n_pixels)),
            n_trees,
            n_splits.bit_length(),
            aligned(self.leaves.reshape(1, -1)),
            *kernel_basis(self.leaves, self.units[None], self.basis[None]),
        )


@dataclass(frozen=True)
class Judge:
    """All that judging needs.

    Parameters
    ----------
    mean_shape : float32 array (n_landmarks, 2)
        The cascade's.
    cropping : Cropping
        What is read of the image; its box is the square with the landmarks' middle and the shape's scale.
    anchors : uint16 array (n_pixels,)
    deltas : float32 array (n_pixels, 2)
        The pool, see :class:`ert.cascade.Stage`.
    errors : Forest
        For each landmark the deviation of the logarithm of its error from what is usual.
    trust : Forest
        One number, the greater the less the alignment looks as if it had failed, or were on no object.
    curve : float64 array (2, n_knots)
        Deviations, and what each means: added to the landmark's number in `usual` it is the logarithm of the
        standard error, in sides of the shape's box.
    usual : float64 array (n_landmarks,)
    ratios : float64 array (n_levels,)
        The distances of landmarks from the truth in standard errors: their quantiles, evenly from 0 to 1.
    within_curve : float64 array (2, n_steps)
        What `ratios` say is the probability to be within 5 % of the norm length, and how often that is true.
    confidence_weights : float64 array (3,)
        Of 1, of `trust` and of the logarithm of the mean standard error in norm lengths; they give the logit
        of the confidence.
    """

    mean_shape: npt.NDArray[np.float32]
    cropping: Cropping
    anchors: npt.NDArray[np.uint16]
    deltas: npt.NDArray[np.float32]
    errors: Forest
    trust: Forest
    curve: npt.NDArray[np.float64]
    usual: npt.NDArray[np.float64]
    ratios: npt.NDArray[np.float64]
    within_curve: npt.NDArray[np.float64]
    confidence_weights: npt.NDArray[np.float64]

    @cached_property
    def look_arguments(self) -> tuple[Any, ...]:
        """What :func:`look_closely` takes after the landmarks and the side."""
        return look_arguments(self.mean_shape, self.cropping, self.anchors, self.deltas)

    @cached_property
    def _rest(self) -> tuple[Any, ...]:
        n_pixels = len(self.anchors)
        tables = self.curve, self.usual, self.ratios, self.within_curve, self.confidence_weights
        return (
            self.errors.kernel_arguments(n_pixels),
            self.trust.kernel_arguments(n_pixels),
            *(aligned(table) for table in tables),
        )

    def assess_face(
        self,
        image: npt.NDArray[np.uint8],
        box: tuple[float, float, float, float],
        landmarks: npt.NDArray[np.float64],
        channels: str,
        rgb: str,
        norm: str | None,
        std: npt.NDArray[np.float64],
        within: npt.NDArray[np.float64],
        part: Part | None = None,
    ) -> float:
        """Judge the landmarks of one face.

        Parameters
        ----------
        image : uint8 array (rows, columns) or (rows, columns, 3)
        box : left, top, width, height
        landmarks : float64 array (n_landmarks, 2)
            In pixels of the image.
        channels, rgb, norm
            See :class:`ert.ShapePredictor`.
        std, within : float64 array (n_landmarks,)
            Written, see :class:`Assessment`.
        part : (image, column, row), optional
            A part of the image in grey, and where it begins; used if it holds enough.

        Returns
        -------
        float
            The confidence.
        """
        side = square_frame(*box)[2]
        column = row = 0
        if not plain_grey(image):
            image, column, row = self._read_part(image, landmarks, side, channels, rgb, part)
        confidence: float = judge_landmarks(  # type: ignore[call-arg]
            image, column, row, landmarks, side, *self.look_arguments, *self._rest, LENGTHS[norm], std, within
        )
        return confidence

    def _read_part(
        self,
        image: npt.NDArray[np.uint8],
        landmarks: npt.NDArray[np.float64],
        side: float,
        channels: str,
        rgb: str,
        part: Part | None,
    ) -> Part:
        x, y, side = _place(landmarks, side, *self.look_arguments[:2])
        if part is not None and self._suffices(part, image.shape, x, y, side):
            return part
        # A box that touches nothing of the image is moved to its edge, whose pixels go on beyond it.
        low, high = self.cropping.region[:2] * side, self.cropping.region[2:] * side
        x = min(max(x, 1 - high[0]), image.shape[1] - 2 - low[0])
        y = min(max(y, 1 - high[1]), image.shape[0] - 2 - low[1])
        columns, rows = self.cropping.touched(x, y, side + 1, side + 1, image.shape)
        return read_part(image, columns, rows, channels, rgb)

    @cached_property
    def _bounds(self) -> list[float]:
        return self.cropping.region.tolist()  # type: ignore[no-any-return]

    def _suffices(self, part: Part, size: tuple[int, ...], x: float, y: float, side: float) -> bool:
        """Tell whether a part holds what the crop needs: quicker than to say what that is."""
        grey, column, row = part
        left, top, right, bottom = self._bounds
        reach = 3 + 3 * side / self.cropping.working_size
        column_end, row_end = column + grey.shape[1], row + grey.shape[0]
        return (
            self.cropping.blur == 0
            and (column == 0 or column <= x + left * side - reach)
            and (row == 0 or row <= y + top * side - reach)
            and (column_end == size[1] or x + right * side + reach <= column_end - 1)
            and (row_end == size[0] or y + bottom * side + reach <= row_end - 1)
        )

    def radius(self, level: float) -> float:
        """Return the radius, in standard errors, of the circle that holds the true landmark that often."""
        levels = np.linspace(0, 1, len(self.ratios))
        return float(np.interp(level, levels, self.ratios))

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """All arrays by name, for the model file."""
        arrays = {f"judge_{name}": getattr(self, name) for name in _ARRAYS}
        for forest in _FORESTS:
            for name, array in vars(getattr(self, forest)).items():
                arrays[f"judge_{forest}_{name}"] = array
        return arrays

    def header(self) -> dict[str, Any]:
        """Tell what the model file's header says of it."""
        return {"cropping": asdict(self.cropping) | {"region": self.cropping.region.tolist()}}

    @classmethod
    def from_file(
        cls,
        header: dict[str, Any],
        arrays: dict[str, npt.NDArray[Any]],
    ) -> Self:
        """Put together what :meth:`header` and :meth:`arrays` gave; its arrays are taken out of `arrays`."""
        cropping = header["cropping"] | {"region": np.array(header["cropping"]["region"], np.float64)}
        parts: dict[str, Any] = {name: arrays.pop(f"judge_{name}") for name in _ARRAYS}
        forests: dict[str, Any] = {
            forest: Forest(*(arrays.pop(f"judge_{forest}_{name}") for name in Forest.__dataclass_fields__))
            for forest in _FORESTS
        }
        judge = cls(mean_shape=arrays["mean_shape"], cropping=Cropping(**cropping), **parts, **forests)
        check_judge(judge)
        return judge


_ARRAYS = (
    "anchors",
    "deltas",
    "curve",
    "usual",
    "ratios",
    "within_curve",
    "confidence_weights",
)
_FORESTS = ("errors", "trust")


def look_arguments(
    mean_shape: npt.NDArray[np.float32],
    cropping: Cropping,
    anchors: npt.NDArray[np.uint16],
    deltas: npt.NDArray[np.float32],
) -> tuple[Any, ...]:
    """Return what :func:`look_closely` takes after the landmarks and the side."""
    return (
        *centre(mean_shape),
        aligned(cropping.region),
        cropping.working_size,
        float(cropping.blur),
        float(cropping.least_contrast),
        *cropping.shape,
        *(aligned(array) for array in pool_arrays(anchors[None], deltas[None])),
    )


def check_judge(judge: Judge) -> None:
    """Check that a judge's arrays fit together, wherever they come from.

    Raises
    ------
    InputError
    """
    check_cropping(judge.cropping)
    n_landmarks, n_pixels = len(judge.mean_shape), len(judge.anchors)
    expected: list[tuple[str, npt.NDArray[Any], tuple[int, ...], str]] = [
        ("anchors", judge.anchors, (n_pixels,), "uint16"),
        ("deltas", judge.deltas, (n_pixels, 2), "float32"),
        ("curve", judge.curve, (2, judge.curve.shape[-1]), "float64"),
        ("usual", judge.usual, (n_landmarks,), "float64"),
        ("ratios", judge.ratios, (len(judge.ratios),), "float64"),
        ("within_curve", judge.within_curve, (2, judge.within_curve.shape[-1]), "float64"),
        ("confidence_weights", judge.confidence_weights, (3,), "float64"),
    ]
    for name, forest, n_outputs in (("errors", judge.errors, n_landmarks), ("trust", judge.trust, 1)):
        n_trees, n_splits = forest.thresholds.shape
        n_components = len(forest.units)
        expected += [
            (f"{name} pairs", forest.pairs, (n_trees, n_splits, 2), "uint16"),
            (f"{name} thresholds", forest.thresholds, (n_trees, n_splits), "int16"),
            (f"{name} leaves", forest.leaves, (n_trees, n_splits + 1, n_components), "int8"),
            (f"{name} units", forest.units, (n_components,), "float32"),
            (f"{name} basis", forest.basis, (n_components, n_outputs), "int8"),
        ]
        if min(n_trees, n_splits, n_components) < 1 or (n_splits + 1) & n_splits:
            raise InputError(f"judge: {n_trees} {name} trees of {n_splits} splits are not full binary trees")
        if forest.pairs.max() >= n_pixels:
            raise InputError(f"judge: {name} pairs: expected pixels below {n_pixels}")
    for name, array, shape, kind in expected:
        if array.shape != shape or array.dtype.name != kind or 0 in shape:
            raise InputError(
                f"judge: {name} has shape {array.shape} and type {array.dtype}, expected {shape}"
            )
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise InputError(f"judge: {name} holds numbers that are not finite")
    if judge.anchors.max() >= n_landmarks:
        raise InputError(f"judge: anchors: expected landmarks below {n_landmarks}")
    for name, rising in (
        ("curve", judge.curve[0]),
        ("ratios", judge.ratios),
        ("within_curve", judge.within_curve[0]),
    ):
        if len(rising) < 2 or (np.diff(rising) < 0).any():
            raise InputError(f"judge: {name}: expected numbers that rise")


@numba.njit(cache=True, nogil=True)
def _place(placed, box_side, compass, squared_norm):  # type: ignore[no-untyped-def]
    """Return x, y and side of the square that the mean shape would have been put into to lie on a shape."""
    n = placed.shape[0]
    x = y = a = b = 0.0
    for i in range(n):
        x += placed[i, 0] / n
        y += placed[i, 1] / n
        a += compass[0, i, 0] * placed[i, 0] + compass[0, i, 1] * placed[i, 1]
        b += compass[1, i, 0] * placed[i, 0] + compass[1, i, 1] * placed[i, 1]
    side = math.sqrt(a * a + b * b) / squared_norm if squared_norm > 0 else box_side
    side = min(max(side, SMALLEST * box_side), LARGEST * box_side)
    return x - side / 2, y - side / 2, side


@numba.njit(cache=True, nogil=True)
def look_closely(  # type: ignore[no-untyped-def]
    image,
    column,
    row,
    placed,
    box_side,
    compass,
    squared_norm,
    region,
    working_size,
    blur,
    least_contrast,
    columns,
    rows,
    anchors,
    deltas,
    values,
):
    """Read a pool's pixels round landmarks, at the landmarks' own place, scale and roll.

    Parameters
    ----------
    image, column, row
        See :func:`ert.cascade.predict_face`.
    placed : float64 array (n_landmarks, 2)
        x, y in pixels of all of the image.
    box_side : float
        The side of the box that they were found in.
    compass, squared_norm
        See :func:`ert.geometry.centre`.
    region, working_size, blur, least_contrast, columns, rows
        See :func:`ert.crops.cut_crop`.
    anchors, deltas
        The pool alone, from :func:`ert.features.pool_arrays`.
    values : uint8 array (at least as many as pixels)
        Written: the pixels.

    Returns
    -------
    float
        The side of the square that the mean shape would have been put into to lie on the landmarks.
    """
    x, y, side = _place(placed, box_side, compass, squared_norm)
    crop = np.empty(columns * rows, np.uint8)
    frame = np.empty(6, np.float32)
    how = region, working_size, blur, least_contrast
    size = cut_crop(image, column, row, x, y, side, *how, columns, rows, crop, frame)
    shape = np.zeros(compass.shape[1:], np.float32)
    for i in range(placed.shape[0]):
        shape[i, 0] = (placed[i, 0] - x) / side
        shape[i, 1] = (placed[i, 1] - y) / side
    a, b = similarity(compass, squared_norm, shape)
    n_pixels = anchors.shape[1]
    landmarks, anchored = np.empty(shape.shape[0], np.uint64), np.empty(n_pixels, np.uint64)
    places = np.empty(n_pixels, np.int32)
    read_pixels(crop, size, frame, shape, a, b, anchors, deltas, 0, landmarks, anchored, places, values)
    return side


@numba.njit(cache=True, nogil=True)
def _run_trees(values, n_pixels, forest):  # type: ignore[no-untyped-def]
    """Return what a forest says of the pixels, float32 (n_outputs,) with zeros after it."""
    nodes, n_trees, depth, leaves, leaf_size, units, basis, limit = forest
    masks = np.empty(n_trees // 4 + BLOCK_OF_TREES, np.uint64)
    rows = np.empty(n_trees + BLOCK_OF_TREES, np.int64)
    components = np.zeros(units.shape[1], np.int32)
    amounts, whole = np.empty(units.shape[1], np.float32), np.empty(units.shape[1], np.int16)
    out = np.empty(basis.shape[2], np.float32)
    walk_trees(values, nodes, 0, n_trees, n_pixels, depth, leaf_size, masks, rows)
    add_leaves(leaves, 0, rows, n_trees, leaf_size, components)
    add_products(components, units, 0, basis, 0, limit, amounts, whole, out)
    return out


@numba.njit(cache=True, nogil=True)
def run_forest(values, forest, out):  # type: ignore[no-untyped-def]
    """Run a forest on pixels that were read before.

    Parameters
    ----------
    values : uint8 array (n, n_pixels)
    forest : tuple
        See :meth:`Forest.kernel_arguments`.
    out : float32 array (n, n_outputs)
        Written.
    """
    n_pixels = values.shape[1]
    room = np.empty(room_for_values(n_pixels), np.uint8)
    for i in range(values.shape[0]):
        room[:n_pixels] = values[i]
        out[i] = _run_trees(room, n_pixels, forest)[: out.shape[1]]


@numba.njit(cache=True, nogil=True)
def _between(table_x, table_y, x):  # type: ignore[no-untyped-def]
    """Interpolate; before the first and beyond the last number the nearest holds."""
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
def norm_length(placed, box_side, how):  # type: ignore[no-untyped-def]
    """Return the length that errors are measured by, of predicted landmarks; at least a pixel."""
    kind, a, b, c, d = how
    length = box_side
    if kind == _BETWEEN:
        x = placed[a:b, 0].mean() - placed[c:d, 0].mean()
        y = placed[a:b, 1].mean() - placed[c:d, 1].mean()
        length = math.hypot(x, y)
    elif kind != _BOX_SIDE:
        x = placed[:, 0].max() - placed[:, 0].min()
        y = placed[:, 1].max() - placed[:, 1].min()
        length = math.sqrt(x * y) if kind == _RECTANGLE else math.hypot(x, y)
    return max(length, 1.0)


@numba.njit(cache=True, nogil=True)
def _probability(logit):  # type: ignore[no-untyped-def]
    return min(max(1 / (1 + math.exp(-min(max(logit, -50.0), 50.0))), SURE), 1 - SURE)


@numba.njit(cache=True, nogil=True)
def judge_landmarks(  # type: ignore[no-untyped-def]
    image,
    column,
    row,
    placed,
    box_side,
    compass,
    squared_norm,
    region,
    working_size,
    blur,
    least_contrast,
    columns,
    rows,
    anchors,
    deltas,
    errors,
    trusts,
    curve,
    usual,
    ratios,
    within_curve,
    confidence_weights,
    how,
    std,
    within,
):
    """Judge the landmarks of one face in a grey image, in one call.

    Parameters
    ----------
    image, ..., deltas
        See :func:`look_closely`.
    errors, trusts : tuple
        The two forests, see :meth:`Forest.kernel_arguments`.
    curve, usual, ratios, within_curve, confidence_weights
        See :class:`Judge`.
    how : tuple of 5 ints
        How the norm length is measured, and between which landmarks.
    std, within : float64 array (n_landmarks,)
        Written, see :class:`Assessment`.

    Returns
    -------
    float
        The confidence.
    """
    n_pixels = anchors.shape[1]
    values = np.empty(room_for_values(n_pixels), np.uint8)
    side = look_closely(
        image,
        column,
        row,
        placed,
        box_side,
        compass,
        squared_norm,
        region,
        working_size,
        blur,
        least_contrast,
        columns,
        rows,
        anchors,
        deltas,
        values,
    )
    deviations = _run_trees(values, n_pixels, errors)
    trust = _run_trees(values, n_pixels, trusts)
    length = norm_length(placed, box_side, how)
    levels = np.linspace(0, 1, ratios.shape[0])
    total = 0.0
    for i in range(std.shape[0]):
        std[i] = side * math.exp(_between(curve[0], curve[1], deviations[i]) + usual[i])
        total += std[i]
        share = _between(ratios, levels, WITHIN * length / std[i])
        within[i] = min(max(_between(within_curve[0], within_curve[1], share), SURE), 1 - SURE)
    spread = math.log(total / std.shape[0] / length)
    weights = confidence_weights
    return _probability(weights[0] + weights[1] * trust[0] + weights[2] * spread)
