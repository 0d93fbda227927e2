"""dlib's `shape_predictor`."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ert._core.exceptions import InputError
from ert._core.images import check_image
from ert._core.types import Floats, Pixels, StrPath
from ert.compat.errors import dlib_errors
from ert.compat.objects import full_object_detection
from ert.compat.rectangles import rectangle
from ert.inference.mode import PredictionMode
from ert.inference.validation import Face
from ert.model.dlib_cascade import DlibCascade
from ert.model.geometry import MAX_BOX_TO_IMAGE, ONE_INIT, square_box
from ert.predictor import ShapePredictor, load


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
        with dlib_errors():
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
            It may lie outside the image, whose pixels are black there.

        Returns
        -------
        full_object_detection
            Points rounded to integers, halves up.

        Raises
        ------
        DlibError
            When the image is invalid, or the rectangle is empty.
        """
        try:
            rect = rectangle.copy_of(box)
        except AttributeError:
            raise TypeError(f"box: {type(box).__name__}, expected a rectangle") from None
        with dlib_errors():
            shape = _rounded(_locate(self.model, image, rect, self.mode))[0]
        return full_object_detection.located(rect, map(tuple, shape.astype(int).tolist()))

    def save(self, predictor_output_filename: StrPath) -> None:
        """Write the model to a `.dat` or `.ert` file.

        Raises
        ------
        DlibError
            When the file cannot be written, or the model cannot be expressed in dlib's format.
        """
        with dlib_errors():
            self.model.save(predictor_output_filename)


def rounded_shapes(model: ShapePredictor, faces: Sequence[Face], mode: str | PredictionMode) -> Floats:
    """Return predicted shapes rounded to integers, halves up."""
    return _rounded(model.predict(faces, mode, channel_order="rgb"))


def _rounded(shapes: Floats) -> Floats:
    rounded: Floats = np.floor(shapes + 0.5)
    return rounded


def _locate(model: ShapePredictor, image: Any, rect: rectangle, mode: str | PredictionMode) -> Floats:
    """Return the landmarks (1, n_landmarks, 2) in a rectangle, which need not touch the image."""
    box = left, top, width, height = rectangle_box(rect)
    rows, columns = np.shape(image)[:2] if np.ndim(image) >= 2 else (0, 0)
    inside = left < columns and top < rows and left + width > 0 and top + height > 0
    plain = inside and width + height > 2 and max(width, height) <= MAX_BOX_TO_IMAGE * max(rows, columns)
    if plain or rect.is_empty() or not rows:
        return model.predict([(image, box)], mode, channel_order="rgb")
    pixels, cascade = check_image(image, "image"), model.cascade_
    if isinstance(cascade, DlibCascade):
        # The kernel answers as dlib does, for boxes of any kind.
        pixels = np.require(pixels, requirements=("C", "W"))
        floats = float(left), float(top), float(width), float(height)
        return cascade.predict_face(pixels, floats, ONE_INIT, "rgb", model.gray_weights)
    if inside:
        return model.predict([(image, box)], mode, channel_order="rgb")
    # All pixels of the box are black.
    side = max(width, height)
    if width + height <= 2 or side > 10**6:
        raise InputError(f"image: a box of {width} x {height} pixels outside the image")
    black = np.zeros((100, 100), np.uint8)
    found = model.predict([(black, (0, 0, 100, 100))], mode) / 99
    x, y, side = square_box(left, top, width, height)
    placed: Floats = found * side + (x, y)
    return placed


def rectangle_box(rect: rectangle) -> tuple[int, int, int, int]:
    """Return left, top, width and height of a rectangle, which may be of the installed dlib."""
    return rect.left(), rect.top(), rect.width(), rect.height()
