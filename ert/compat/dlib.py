"""dlib's interface for shape predictors on top of ert: `from ert.compat import dlib`.

Names, arguments and integer coordinates are those of dlib. Models are dlib's `.dat` files, which give the
same points as in dlib, `.ert` files, and bundled models by name ("face68"). Models trained here run in dlib,
except those written to an `.ert` file, which are of ert's more accurate kind. Errors are :class:`DlibError`,
both a RuntimeError, as in dlib, and an InputError, as in ert.
"""

import math
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np

from ert._core.exceptions import InputError
from ert._core.files import claim, guarded, protect
from ert._core.images import ImageLike as Image
from ert._core.images import load_image, to_gray
from ert._core.types import Floats, Pixels, StrPath
from ert.compat.rectangles import full_object_detection, point, points, rectangle, rectangles
from ert.datasets.formats import load_dataset
from ert.faces.detection import detect_faces
from ert.inference.mode import PredictionMode
from ert.inference.validation import Face
from ert.predictor import ShapePredictor, load
from ert.training.parameters import check_parameters

__all__ = [
    "DlibError",
    "full_object_detection",
    "get_frontal_face_detector",
    "load_grayscale_image",
    "load_rgb_image",
    "point",
    "points",
    "rectangle",
    "rectangles",
    "shape_predictor",
    "shape_predictor_training_options",
    "test_shape_predictor",
    "train_shape_predictor",
]


# dlib's OBJECT_PART_NOT_PRESENT: both coordinates of a missing part.
_NOT_PRESENT = 0x7FFFFFFF

# Parameters of ert to dlib's options.
_OPTIONS = {
    "n_stages": "cascade_depth",
    "n_trees": "num_trees_per_cascade_level",
    "max_depth": "tree_depth",
    "learning_rate": "nu",
    "n_pixels": "feature_pool_size",
    "n_split_tests": "num_test_splits",
    "prior_length": "lambda_param",
    "padding": "feature_pool_region_padding",
    "n_inits": "oversampling_amount",
}


class DlibError(InputError, RuntimeError):
    """Invalid input. Scripts written for dlib catch it as a RuntimeError."""


@contextmanager
def _dlib_errors() -> Iterator[None]:
    """Raise input errors as DlibError."""
    try:
        yield
    except InputError as error:
        raise DlibError(str(error)) from error


class shape_predictor:
    """Locate the points of an object.

    Parameters
    ----------
    model : str, path-like or ert.ShapePredictor
        A `.dat` or `.ert` file, the name of a bundled model ("face68"), or a fitted estimator.
    mode : {"fast", "accurate"} or ert.PredictionMode
        See :meth:`ert.ShapePredictor.predict`; "fast" gives dlib's points. Not in dlib.

    Attributes
    ----------
    model : ert.ShapePredictor
        Its `predict` returns points that are not rounded, and those of many objects in one call.

    Raises
    ------
    DlibError
        When the file does not exist or is not a model.
    """

    def __init__(self, model: StrPath | ShapePredictor, mode: str | PredictionMode = "fast") -> None:
        with _dlib_errors():
            self.model = model if isinstance(model, ShapePredictor) else load(model)
        self.mode = mode

    def __repr__(self) -> str:
        return f"shape_predictor({self.model!r}, mode={self.mode!r})"

    def __call__(self, image: Pixels, box: rectangle) -> full_object_detection:
        """Locate the points of the object in a rectangle.

        Parameters
        ----------
        image : uint8 array (rows, columns) or (rows, columns, 3)
            Gray or RGB. Colors are converted to gray as for the training of the model, for `.dat` as in dlib.
        box : rectangle

        Returns
        -------
        full_object_detection
            Points rounded to integers, halves up.

        Raises
        ------
        DlibError
            When the image is invalid, or the rectangle is empty or outside it.
        """
        with _dlib_errors():
            shape = _rounded_shapes(self.model, [(image, _box(box))], self.mode)[0]
        return full_object_detection(box, [point(int(x), int(y)) for x, y in shape])

    def save(self, predictor_output_filename: StrPath) -> None:
        """Write the model to a `.dat` or `.ert` file.

        Raises
        ------
        DlibError
            When the file cannot be written, or the model cannot be expressed in dlib's format.
        """
        with _dlib_errors():
            self.model.save(predictor_output_filename)


def get_frontal_face_detector() -> Callable[..., list[rectangle]]:
    """Return a function (image, upsample_num_times=0) that detects faces.

    It is the detector of :func:`ert.detect_faces`, whose boxes differ from those of dlib's detector and have
    no scores. `upsample_num_times` has no effect, since small faces are always found.

    Returns
    -------
    function
        Takes a gray or RGB image; returns a list of rectangles, the largest first.
    """
    return _detect


def _detect(image: Pixels, upsample_num_times: int = 0) -> list[rectangle]:
    with _dlib_errors():
        boxes = np.rint(detect_faces(image)).astype(int)
    return [rectangle(left, top, left + width - 1, top + height - 1) for left, top, width, height in boxes]


def load_rgb_image(filename: StrPath) -> Pixels:
    """Read an image as RGB.

    Returns
    -------
    uint8 array (rows, columns, 3)

    Raises
    ------
    DlibError
        When the file cannot be read.
    """
    with _dlib_errors():
        image = load_image(filename)
    return image if image.ndim == 3 else np.stack([image] * 3, axis=-1)


def load_grayscale_image(filename: StrPath) -> Pixels:
    """Read an image as gray.

    Returns
    -------
    uint8 array (rows, columns)

    Raises
    ------
    DlibError
        When the file cannot be read.
    """
    with _dlib_errors():
        image = load_image(filename)
    return to_gray(image, "rgb", "dlib")


@dataclass(slots=True)
class shape_predictor_training_options:
    """Training options with dlib's names and defaults.

    Parameters
    ----------
    be_verbose : bool
        Show a progress bar.
    cascade_depth : int
        `n_stages` of :class:`ert.ShapePredictor`.
    tree_depth : int
        `max_depth`.
    num_trees_per_cascade_level : int
        `n_trees`.
    nu : float
        `learning_rate`.
    oversampling_amount : int
        `n_inits`.
    oversampling_translation_jitter : float
        dlib shifts each initialization but the first by up to this much in x and y, uniformly, in sides of
        the box. `shift_jitter` is the standard deviation of such shifts, this / sqrt(3).
    feature_pool_size : int
        `n_pixels`.
    lambda_param : float
        `prior_length`.
    num_test_splits : int
        `n_split_tests`.
    feature_pool_region_padding : float
        `padding`.
    random_seed : str
        `random_state` is its CRC-32 checksum, 0 for the empty string.
    num_threads : int
        `n_jobs`; 0 is all processors.
    landmark_relative_padding_mode : bool
        Must be True.
    """

    be_verbose: bool = False
    cascade_depth: int = 10
    tree_depth: int = 4
    num_trees_per_cascade_level: int = 500
    nu: float = 0.1
    oversampling_amount: int = 20
    oversampling_translation_jitter: float = 0.0
    feature_pool_size: int = 400
    lambda_param: float = 0.1
    num_test_splits: int = 20
    feature_pool_region_padding: float = 0.0
    random_seed: str = ""
    num_threads: int = 0
    landmark_relative_padding_mode: bool = True


def _to_estimator(options: shape_predictor_training_options) -> ShapePredictor:
    """Return an estimator with the parameters of dlib's options; errors name the options."""
    if not options.landmark_relative_padding_mode:
        raise InputError("landmark_relative_padding_mode is False, expected True, the only mode of ert")
    model = ShapePredictor(
        **{parameter: getattr(options, option) for parameter, option in _OPTIONS.items()},
        shift_jitter=options.oversampling_translation_jitter / math.sqrt(3),
        random_state=zlib.crc32(options.random_seed.encode()),
        n_jobs=options.num_threads or -1,
        verbose=int(options.be_verbose),
    )
    try:
        check_parameters(model.get_params())
    except InputError as error:
        message = str(error)
        for parameter, option in _OPTIONS.items():
            message = message.replace(parameter, option)
        raise InputError(message) from error
    return model


@overload
def train_shape_predictor(
    images: Sequence[Image],
    object_detections: Sequence[Sequence[full_object_detection]],
    options: shape_predictor_training_options,
    /,
) -> shape_predictor: ...
@overload
def train_shape_predictor(
    images: StrPath, object_detections: StrPath, options: shape_predictor_training_options, /
) -> None: ...
def train_shape_predictor(
    images: Any, object_detections: Any, options: shape_predictor_training_options, /
) -> shape_predictor | None:
    """Train a model on images and objects, or on an imglab file.

    Parameters
    ----------
    images : sequence of uint8 arrays, or path-like
        Gray or RGB; or the XML file, whose parts are sorted by name as text, as in dlib.
    object_detections : sequence of sequences of full_object_detection, or path-like
        The objects of each image; or, for an XML file, the file to write: `.dat`, dlib's kind of model and
        format, or `.ert`, which is smaller and more accurate.
    options : shape_predictor_training_options

    Returns
    -------
    shape_predictor or None
        A model of dlib's kind, which `save` can write as `.dat`; None when a file was written.

    Raises
    ------
    DlibError
        When options, images, objects or the XML file cannot be used, or the file cannot be written.
    """
    with _dlib_errors():
        model = _to_estimator(options)
        if not isinstance(images, (str, os.PathLike)):
            # So that `save` can write a `.dat`.
            model.set_params(kind="dlib", gray_weights="dlib")
            return shape_predictor(model.fit(*_to_faces(images, object_detections)))
        path = Path(object_detections)
        if path.suffix == ".dat":
            model.set_params(kind="dlib", gray_weights="dlib")
        with guarded():
            protect([images])
            claim(path, "model", "object_detections")
            dataset = load_dataset(images, part_order="dlib", exif="stored")
            protect(dataset.files)
            model.fit(dataset.X, dataset.y, landmark_names=dataset.landmark_names).save(path)
        return None


@overload
def test_shape_predictor(images: StrPath, detections: StrPath | shape_predictor, /) -> float: ...
@overload
def test_shape_predictor(
    images: Sequence[Image], detections: Sequence[Sequence[full_object_detection]], predictor: shape_predictor, /
) -> float: ...
@overload
def test_shape_predictor(
    images: Sequence[Image],
    detections: Sequence[Sequence[full_object_detection]],
    scales: Sequence[Sequence[float]],
    predictor: shape_predictor,
    /,
) -> float: ...
def test_shape_predictor(images: Any, detections: Any, *rest: Any) -> float:
    """Return the mean distance between predicted points, rounded to integers, and annotated points.

    The arguments are an imglab file and a model, or images, objects, optionally scales, and a predictor.

    Parameters
    ----------
    images : path-like, or sequence of uint8 arrays
        The XML file; or the images, gray or RGB.
    detections : path-like or shape_predictor, or sequence of sequences of full_object_detection
        The model for an XML file; otherwise the objects of each image.
    scales : sequence of sequences of float, optional
        The normalizer of the distances of each object.
    predictor : shape_predictor

    Returns
    -------
    float
        In pixels, or in units of the scales; the mean over all points that are present.

    Raises
    ------
    DlibError
        When the files, images or objects cannot be used, or the model has a different number of points.
    """
    with _dlib_errors():
        normalizers = np.ones(1)
        faces: Sequence[Face]
        if isinstance(images, (str, os.PathLike)):
            dataset = load_dataset(images, part_order="dlib", exif="stored")
            faces, truth, predictor = dataset.X, dataset.y, detections
        else:
            *scales, predictor = rest
            faces, truth = _to_faces(images, detections)
            if scales:
                normalizers = _check_scales(scales[0], detections)
        predictor = predictor if isinstance(predictor, shape_predictor) else shape_predictor(predictor)
        model = predictor.model
        if truth.shape[1] != model.n_landmarks_:
            raise InputError(f"the model has {model.n_landmarks_} points, the objects have {truth.shape[1]}")
        distances = np.linalg.norm(_rounded_shapes(model, faces, predictor.mode) - truth, axis=2)
        return float(np.nanmean(distances / normalizers[:, None]))


def _rounded_shapes(model: ShapePredictor, faces: Sequence[Face], mode: str | PredictionMode) -> Floats:
    """Return predicted shapes rounded to integers, halves up."""
    rounded: Floats = np.floor(model.predict(faces, mode, channel_order="rgb") + 0.5)
    return rounded


def _box(rect: rectangle) -> tuple[int, int, int, int]:
    return rect.left(), rect.top(), rect.width(), rect.height()


def _to_faces(
    images: Sequence[Image], detections: Sequence[Sequence[full_object_detection]]
) -> tuple[list[Face], Floats]:
    """Convert dlib's images and objects to the X and y of ert."""
    if len(images) != len(detections):
        raise InputError(f"{len(images)} images and {len(detections)} lists of objects, expected equal numbers")
    X: list[Face] = []
    shapes = []
    for number, (image, objects) in enumerate(zip(images, detections, strict=True)):
        for each in objects:
            X.append((image, _box(each.rect)))
            shapes.append([(part.x, part.y) for part in each.parts()])
            if len(shapes[-1]) != len(shapes[0]):
                count = f"an object with {len(shapes[-1])} parts"
                raise InputError(f"images[{number}]: {count}, expected {len(shapes[0])} as in the others")
    y = np.array(shapes, np.float64).reshape(len(X), len(shapes[0]) if shapes else 0, 2)
    y[(y == _NOT_PRESENT).all(axis=2)] = np.nan
    if np.isnan(y).all():
        raise InputError("no object with parts in any image, expected at least one")
    return X, y


def _check_scales(scales: Sequence[Sequence[float]], detections: Sequence[Sequence[full_object_detection]]) -> Floats:
    """Return the scales of all objects in one array."""
    if [len(each) for each in scales] != [len(each) for each in detections]:
        raise InputError("scales: expected a list for each image with a number for each object")
    flat = np.array([scale for each in scales for scale in each], np.float64)
    if not (flat > 0).all():
        raise InputError(f"scales: minimum {flat.min():g}, expected numbers above 0")
    return flat
