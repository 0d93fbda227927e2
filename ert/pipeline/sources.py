"""Where boxes come from: chosen from the training data, and found in new images in the same way.

given     the user gives the box of each object
whole     the box is the whole image
face      a face detector draws it
learned   the locator in the model finds the object: position, size and roll
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ert._core.exceptions import InputError
from ert._core.images import image_size
from ert._core.types import Floats, Pixels, StrPath
from ert.datasets.checks import known_scheme
from ert.datasets.dataset import Dataset
from ert.faces.detection import Detector, detect_faces
from ert.inference.locator import LIKELY_CONFIDENCE, locate_objects
from ert.model.fitted import BOX_SOURCES
from ert.model.locator import MAX_CENTER_STD, MAX_ROLL_STD, MAX_SIZE_STD
from ert.model.procrustes import fit_similarity, typical_shape
from ert.predictor import ShapePredictor

# Smaller objects, in sides of the image, are looked for first.
MIN_EXTENT = 0.25
# Also of objects that lie alike in all images, those of more photos are found by a locator: its boxes are closer, and
# it notices a photo without an object. In 5 folds, wings have an error of 0.343 % in place of 0.362 with whole images,
# the worst 0.57 in place of 0.70; cephalograms 1.60 mm in place of 1.61, the worst 2.9 in place of 3.9.
MIN_LOCATOR_OBJECTS = 10
# A locator always finds something: below this confidence there is hardly ever an object.
MIN_FOUND_CONFIDENCE = 0.1


class Found(NamedTuple):
    """An object in an image.

    Attributes
    ----------
    box : float64 array (4,)
        Left, top, width, height in pixels.
    roll : float
        Rotation in the image plane in degrees, clockwise.
    confidence : float or None
        Probability that there is an object; None where it was not looked for.
    """

    box: Floats
    roll: float = 0.0
    confidence: float | None = None


def choose_box_source(dataset: Dataset, *, with_locator: bool = True) -> tuple[str, str]:
    """Choose where the boxes of a model come from, and say why in a few words.

    Boxes of the annotations are taken as given. Otherwise faces get the boxes of a detector, and other objects a
    locator. Where they are few or the model cannot have one, those that lie alike in all images get the whole image.

    Parameters
    ----------
    dataset : Dataset
    with_locator : bool
        Whether the model may contain a locator.

    Returns
    -------
    source : {"given", "whole", "face", "learned"}
    reason : str
    """
    if dataset.box_source != "landmarks":
        given = dataset.box_source == "given"
        return ("given", "the annotations have boxes") if given else ("whole", "the boxes are the whole images")
    if len(dataset.landmark_names) == 1:
        return "whole", "a single landmark has no size"
    if known_scheme(dataset) == "face68":
        return "face", "the landmarks are those of faces"
    center, size, roll, extent = scatter(dataset)
    facts = f"center {center:.0%} of the image, size {size:.0%}, roll {roll:.0f} degrees (standard deviations)"
    alike = center <= MAX_CENTER_STD and size <= MAX_SIZE_STD and roll <= MAX_ROLL_STD and extent >= MIN_EXTENT
    where = "alike in all images" if alike else "differently in the images, or are small in them"
    few = len(dataset) < MIN_LOCATOR_OBJECTS
    return "whole" if alike and (few or not with_locator) else "learned", f"the objects lie {where}: {facts}"


def scatter(dataset: Dataset) -> tuple[float, float, float, float]:
    """Return how differently objects lie in their images.

    Returns
    -------
    center, size, roll : float
        Standard deviations: of the center in sides of the image, of the logarithm of the size relative to the
        image, of the roll in degrees.
    extent : float
        Mean diameter of the objects in sides of their images.
    """
    sizes = np.array([image_size(file) for file in dataset.files], np.float64)
    known = ~np.isnan(dataset.landmarks).any(axis=(1, 2))
    if known.sum() < 2:
        return np.inf, np.inf, np.inf, 0.0
    mean = typical_shape(dataset.landmarks[known])
    turn, _, centers = fit_similarity(mean, dataset.landmarks[known])
    if not (abs(turn) > 0).all():
        # All landmarks of an object are in one place.
        return np.inf, np.inf, np.inf, 0.0
    sides = sizes[known].mean(axis=1)
    center = max((centers.real / sizes[known, 0]).std(), (centers.imag / sizes[known, 1]).std())
    roll = np.degrees(np.angle(turn / turn.mean())).std()
    return float(center), float(np.log(abs(turn) / sides).std()), float(roll), float((2 * abs(turn) / sides).mean())


def whole_boxes(files: Sequence[StrPath]) -> Floats:
    """Return the box (n, 4) around all pixels of each image file."""
    return np.array([(0, 0, *image_size(file)) for file in files], np.float64).reshape(-1, 4)


def least_confidence(max_objects: int | None) -> float:
    """Return the confidence below which an object does not count as found, if nothing else is said."""
    return MIN_FOUND_CONFIDENCE if max_objects == 1 else LIKELY_CONFIDENCE


def find_objects(
    model: ShapePredictor,
    image: Pixels,
    *,
    box_from: str | None = None,
    detector: str | Detector = "auto",
    max_objects: int = 1,
    min_confidence: float = 0.0,
) -> list[Found]:
    """Find the boxes of the objects in an image, as the model was trained to expect them.

    Parameters
    ----------
    model : ShapePredictor
    image : uint8 array (rows, columns) or (rows, columns, 3)
        Gray or RGB.
    box_from : {"whole", "face", "learned"}, optional
        By default, the model's own way.
    detector : str or callable
        For faces, see :func:`ert.detect_faces`.
    max_objects, min_confidence
        For a locator, see :func:`ert.inference.locator.locate_objects`.

    Returns
    -------
    list of Found
        The most confident first; empty where nothing was found.

    Raises
    ------
    InputError
        When the model was trained on boxes that the user gives, or has no locator.
    """
    source = box_from or model.box_source_
    if source == "whole":
        rows, columns = image.shape[:2]
        return [Found(np.array([0.0, 0.0, columns, rows]))]
    if source == "face":
        return [Found(box) for box in detect_faces(image, detector)]
    if source not in BOX_SOURCES:
        raise InputError(f"box_from={source!r}: expected one of {', '.join(BOX_SOURCES)}")
    if source == "learned":
        fitted = model.fitted_
        if fitted.locator is None:
            raise InputError("the model has no locator: train it with ert train --box-from learned")
        found = locate_objects(
            fitted.locator,
            image,
            max_objects=max_objects,
            min_confidence=min_confidence,
            gray_weights=model.gray_weights,
        )
        return [Found(np.array(box), roll, confidence) for box, roll, confidence in found]
    raise InputError(
        "the model was trained on boxes that were given: give the box of each object, or train a model that finds "
        "them (ert train --box-from learned, or whole); --box-from whole for a .dat file of whole images"
    )
