"""The part of dlib's interface that concerns shape predictors: `from ert.compat import dlib`.

Names, arguments and whole pixels are dlib's; the work is ert's. Models are dlib's `.dat` files, which give
the same points as in dlib, `.ert` files, and the bundled ones by name ("face68"). What is trained here runs
in dlib, unless it is written to an `.ert` file: ert's own kind is more accurate. Errors are
:class:`DlibError`: a RuntimeError, as from dlib, and an InputError, as from ert.
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
import numpy.typing as npt

from ert._core.exceptions import InputError
from ert._core.files import check_writable
from ert._core.images import ImageLike as Image
from ert._core.images import load_image, to_gray
from ert._core.types import StrPath
from ert.compat.rectangles import full_object_detection, point, points, rectangle, rectangles
from ert.datasets.dataset import load_dataset
from ert.faces.detection import detect_faces
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


# What dlib calls OBJECT_PART_NOT_PRESENT: both coordinates of a part that an object lacks.
_NOT_PRESENT = 0x7FFFFFFF

# dlib's names of ert's parameters.
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
    """Input that cannot be used; scripts for dlib catch it as a RuntimeError."""


@contextmanager
def _dlib_errors() -> Iterator[None]:
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

    Attributes
    ----------
    model : ert.ShapePredictor
        Its `predict` gives the points as they are before rounding, and many objects in one call.

    Raises
    ------
    DlibError
        When there is no such file, or it holds no model.
    """

    def __init__(self, model: StrPath | ShapePredictor) -> None:
        with _dlib_errors():
            self.model = model if isinstance(model, ShapePredictor) else load(model)

    def __call__(self, image: npt.NDArray[np.uint8], box: rectangle) -> full_object_detection:
        """Locate the points of the object in a rectangle.

        Parameters
        ----------
        image : uint8 array (rows, columns) or (rows, columns, 3)
            Gray, or RGB. How colors become gray is the model's: as in dlib for a `.dat`.
        box : rectangle

        Returns
        -------
        full_object_detection
            Points rounded to whole pixels, halves up.

        Raises
        ------
        DlibError
            When the image is not as described, or the rectangle is empty or outside it.
        """
        with _dlib_errors():
            shape = _whole_pixels(self.model, [(image, _box(box))])[0]
        return full_object_detection(box, [point(int(x), int(y)) for x, y in shape])

    def save(self, predictor_output_filename: StrPath) -> None:
        """Write the model to a file: `.dat`, or `.ert`.

        Raises
        ------
        DlibError
            When the file cannot be written, or is called `.dat` and dlib's format cannot express the model.
        """
        with _dlib_errors():
            self.model.save(predictor_output_filename)


def get_frontal_face_detector() -> Callable[..., list[rectangle]]:
    """Return a function (image, upsample_num_times=0) that finds faces.

    It is the detector of :func:`ert.detect_faces`, not dlib's: it draws its boxes in its own way and gives no
    scores. `upsample_num_times` changes nothing, for it finds small faces in any case.

    Returns
    -------
    function
        Of an image, gray or RGB; returns a list of rectangles, the largest first.
    """
    return _find_faces


def _find_faces(image: npt.NDArray[np.uint8], upsample_num_times: int = 0) -> list[rectangle]:
    with _dlib_errors():
        boxes = np.rint(detect_faces(image)).astype(int)
    return [rectangle(left, top, left + width - 1, top + height - 1) for left, top, width, height in boxes]


def load_rgb_image(filename: StrPath) -> npt.NDArray[np.uint8]:
    """Read an image in color.

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


def load_grayscale_image(filename: StrPath) -> npt.NDArray[np.uint8]:
    """Read an image in gray.

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
    """What training takes, by dlib's names and with dlib's defaults.

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
        dlib moves every start but the first by up to this much either way, in sides of the box, all shifts
        alike likely. `shift_jitter`, a standard deviation, becomes that of such shifts: this / sqrt(3).
    feature_pool_size : int
        `n_pixels`.
    lambda_param : float
        `prior_length`.
    num_test_splits : int
        `n_split_tests`.
    feature_pool_region_padding : float
        `padding`.
    random_seed : str
        Any text; `random_state` is its checksum, 0 for none.
    num_threads : int
        `n_jobs`; 0 is all processors.
    landmark_relative_padding_mode : bool
        Only True is possible.
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


def _estimator(options: shape_predictor_training_options) -> ShapePredictor:
    if not options.landmark_relative_padding_mode:
        raise InputError("landmark_relative_padding_mode is False, expected True: ert has no other mode")
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
    """Train a model, on images and objects or on an imglab file.

    Parameters
    ----------
    images : sequence of uint8 arrays, or path-like
        Gray or RGB; or the XML file. Its parts are put in the order of their names as text, as dlib does.
    object_detections : sequence of sequences of full_object_detection, or path-like
        The objects of each image; or, with an XML file, the file to write: `.dat` for dlib's format, trained
        as dlib can express it, or `.ert`, which is smaller and more accurate.
    options : shape_predictor_training_options

    Returns
    -------
    shape_predictor or None
        Of dlib's kind, which `save` can write as `.dat`; None when a file was written.

    Raises
    ------
    DlibError
        When options, images, objects or the XML file cannot be used, or the file cannot be written.
    """
    with _dlib_errors():
        model = _estimator(options)
        if not isinstance(images, (str, os.PathLike)):
            # `save` may be asked for a `.dat` next.
            model.set_params(kind="dlib", gray_weights="dlib")
            return shape_predictor(model.fit(*_faces(images, object_detections)))
        path = Path(object_detections)
        if path.suffix == ".dat":
            model.set_params(kind="dlib", gray_weights="dlib")
        check_writable(path)
        dataset = load_dataset(images, part_order="dlib")
        model.fit(dataset.X, dataset.y, landmark_names=dataset.landmark_names).save(path)
        return None


@overload
def test_shape_predictor(images: StrPath, detections: StrPath | shape_predictor, /) -> float: ...
@overload
def test_shape_predictor(
    images: Sequence[Image],
    detections: Sequence[Sequence[full_object_detection]],
    predictor: shape_predictor,
    /,
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
    """Return the mean distance between predicted points, in whole pixels, and annotated ones.

    Called with an imglab file and a model, with images, objects and a predictor, or with images, objects,
    scales and a predictor.

    Parameters
    ----------
    images : path-like, or sequence of uint8 arrays
        The XML file; or the images, gray or RGB.
    detections : path-like or shape_predictor, or sequence of sequences of full_object_detection
        With an XML file the model; else the objects of each image.
    scales : sequence of sequences of float, optional
        A number for each object that its distances are divided by.
    predictor : shape_predictor

    Returns
    -------
    float
        In pixels, or in units of the scales; every point that is not missing counts the same.

    Raises
    ------
    DlibError
        When the files, images or objects cannot be used, or the model has another number of points.
    """
    with _dlib_errors():
        lengths = np.ones(1)
        faces: Sequence[Face]
        if isinstance(images, (str, os.PathLike)):
            dataset = load_dataset(images, part_order="dlib")
            faces, truth, predictor = dataset.X, dataset.y, detections
        else:
            *scales, predictor = rest
            faces, truth = _faces(images, detections)
            if scales:
                lengths = _lengths(scales[0], detections)
        model = predictor.model if isinstance(predictor, shape_predictor) else load(predictor)
        if truth.shape[1] != model.n_landmarks_:
            raise InputError(f"the model has {model.n_landmarks_} points, the objects have {truth.shape[1]}")
        distances = np.linalg.norm(_whole_pixels(model, faces) - truth, axis=2)
        return float(np.nanmean(distances / lengths[:, None]))


def _whole_pixels(model: ShapePredictor, faces: Sequence[Face]) -> npt.NDArray[np.float64]:
    rounded: npt.NDArray[np.float64] = np.floor(model.predict(faces, channel_order="rgb") + 0.5)
    return rounded


def _box(rect: rectangle) -> tuple[int, int, int, int]:
    return rect.left(), rect.top(), rect.width(), rect.height()


def _faces(
    images: Sequence[Image], detections: Sequence[Sequence[full_object_detection]]
) -> tuple[list[Face], npt.NDArray[np.float64]]:
    """Turn dlib's images and their objects into ert's X and y."""
    if len(images) != len(detections):
        raise InputError(f"{len(images)} images and {len(detections)} lists of objects, expected as many")
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
        raise InputError("no image has an object with parts, expected at least one")
    return X, y


def _lengths(
    scales: Sequence[Sequence[float]], detections: Sequence[Sequence[full_object_detection]]
) -> npt.NDArray[np.float64]:
    """Return the scales of all objects, one after another."""
    if [len(each) for each in scales] != [len(each) for each in detections]:
        raise InputError("scales: expected a list for each image, with a number for each of its objects")
    lengths = np.array([scale for each in scales for scale in each], np.float64)
    if not (lengths > 0).all():
        raise InputError(f"scales: {lengths.min():g} among them, expected numbers above 0")
    return lengths
