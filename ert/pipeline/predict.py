"""Landmarks of the objects in many photographs: each is read, its objects are found, and their landmarks located."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from operator import index, length_hint
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ert._core.arguments import checked_arguments
from ert._core.exceptions import InputError
from ert._core.images import check_image, load_image
from ert._core.runtime import count_threads
from ert._core.threads import map_in_threads
from ert._core.types import Floats, Pixels, StrPath
from ert.datasets.dataset import Dataset
from ert.faces.detection import Detector
from ert.inference.mode import PredictionMode, resolve_mode
from ert.inference.validation import check_box, warn_of_corners
from ert.inference.warm_up import prepare
from ert.pipeline.inputs import Inputs, Item
from ert.pipeline.sources import Found, find_objects, least_confidence
from ert.predictor import ShapePredictor, load

# Of `predict` and `ert predict`; the only place that says so.
DEFAULT_MODE = "fast"
# As many as there may be where their number is not known.
_MANY_IMAGES = 10_000
# Where the boxes of annotations are those that the model was trained for.
_TAKES_GIVEN = ("given", "face")


@dataclass(frozen=True, eq=False)
class Prediction:
    """An object in an image and its landmarks.

    Parameters
    ----------
    image : pathlib.Path or uint8 array
    specimen : str
        The name of the object in tables: the ID in a dataset, else the name of the file without suffix.
    box : float64 array (4,)
        Left, top, width, height in pixels.
    landmarks : float64 array (n_landmarks, 2)
        x, y in image pixels; pixel centers are at integers.
    landmark_names : tuple of str
    roll : float
        Rotation of the object in the image plane in degrees, clockwise, with which its landmarks were located.
    confidence : float or None
        Probability that there is an object and its landmarks have not failed; without a confidence model, that the
        locator found an object; None where the model has neither.
    std : float64 array (n_landmarks,) or None
        Standard error of each landmark in pixels; None without a confidence model.
    number : int
        Of the object in its image, from 1.
    scale : float or None
        Length of a pixel in the user's unit.
    image_size : (int, int)
        Width and height of the image.
    """

    image: Path | Pixels
    specimen: str
    box: Floats
    landmarks: Floats
    landmark_names: tuple[str, ...]
    roll: float = 0.0
    confidence: float | None = None
    std: Floats | None = None
    number: int = 1
    scale: float | None = None
    image_size: tuple[int, int] = (0, 0)

    def __repr__(self) -> str:
        confidence = "" if self.confidence is None else f", confidence {self.confidence:.2f}"
        width, height = self.box[2:]
        box = f"box {width:.0f} x {height:.0f}"
        return f"Prediction({self.specimen!r}: {len(self.landmarks)} landmarks, {box}{confidence})"


class Photo(NamedTuple):
    """What was found in an image: its objects, or why it could not be used."""

    item: Item
    size: tuple[int, int] = (0, 0)
    objects: tuple[Prediction, ...] = ()
    fault: str | None = None


class Request(NamedTuple):
    """How images are predicted.

    Parameters
    ----------
    model : ShapePredictor
    mode : PredictionMode
    box_from : {"given", "whole", "face", "learned"}
    detector, max_objects, min_confidence
        As for :func:`predict`.
    look : callable, optional
        Called with the image and its `Photo` in the thread that has read it.
    """

    model: ShapePredictor
    mode: PredictionMode
    box_from: str
    detector: str | Detector = "auto"
    max_objects: int | None = None
    min_confidence: float | None = None
    look: Callable[[Pixels, Photo], object] | None = None


def choose_request(
    model: ShapePredictor,
    inputs: Inputs,
    *,
    box_from: str | None,
    boxes_given: bool,
    mode: str | PredictionMode,
    max_objects: int | None,
    min_confidence: float | None,
    detector: str | Detector = "auto",
) -> Request:
    """Check options against the model, before any image is read, and choose where boxes come from.

    Boxes that the user gave are taken; those of annotations, where the model was trained on such.
    """
    own, fitted = model.box_source_, model.fitted_
    if max_objects is not None and index(max_objects) < 1:
        raise InputError(f"max_objects={max_objects}: expected at least 1")
    if min_confidence is not None and not 0 <= min_confidence <= 1:
        raise InputError(f"min_confidence={min_confidence:g}: expected 0 to 1")
    source = {"auto": None, "learnt": "learned"}.get(box_from or "auto", box_from)
    source = source or ("given" if boxes_given or (inputs.has_boxes and own in _TAKES_GIVEN) else own)
    if source == "given" != own and not inputs.has_boxes:
        raise InputError("box_from='given': no image has a box, expected boxes or annotations with boxes")
    if source == "whole" and (max_objects or 1) > 1:
        raise InputError(
            f"max_objects={max_objects}: the box is the whole image, expected 1, or a model that finds objects "
            "(ert train --box-from learned)"
        )
    if source != "given" or not inputs.has_boxes:
        # Raises an error where the model lacks what it takes.
        find_objects(model, np.zeros((64, 64), np.uint8), box_from=source, detector=detector)
    if min_confidence and fitted.confidence_model is None and source != "learned":
        raise InputError(f"min_confidence={min_confidence:g}: the model has no confidence model")
    return Request(model, resolve_mode(mode, fitted), source, detector, max_objects, min_confidence)


def predict_photos(request: Request, items: Iterable[Item], n_jobs: int = -1) -> Iterator[Photo]:
    """Yield what is found in each image, in order; images are read and predicted in threads, a few at a time."""
    # In the main thread, where an interrupt waits for the compiler.
    max_roll = 0.0 if request.box_from == "learned" else None
    prepare(request.model.fitted_, length_hint(items, _MANY_IMAGES), request.mode, max_roll)
    photos = map_in_threads(partial(predict_photo, request), items, count_threads(n_jobs))
    return _with_one_blas_thread(photos) if request.box_from == "learned" else photos


def _with_one_blas_thread(photos: Iterator[Photo]) -> Iterator[Photo]:
    # Those of a locator's products would compete with ours, and change its last digits.
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield from photos


def predict_photo(request: Request, item: Item) -> Photo:
    """Read an image, find its objects, and locate their landmarks."""
    try:
        if isinstance(item.image, np.ndarray):
            image, what = check_image(item.image, f"image {item.specimen}"), f"image {item.specimen}"
        else:
            image, what = load_image(item.image), os.fspath(item.image)
        photo = Photo(item, (image.shape[1], image.shape[0]), tuple(locate_objects(request, item, image, what)))
        if request.look is not None:
            request.look(image, photo)
    except InputError as error:
        return Photo(item, fault=str(error))
    return photo


def locate_objects(request: Request, item: Item, image: Pixels, what: str) -> Iterator[Prediction]:
    """Yield the objects of an image with their landmarks; `what` is the name of the image in messages."""
    model = request.model
    names = [""]
    if request.box_from != "given":
        most = request.max_objects or (None if request.box_from == "face" else 1)
        options: dict[str, Any] = {"box_from": request.box_from, "detector": request.detector, "max_objects": most or 1}
        found = find_objects(model, image, **options)[:most]
        if request.min_confidence is None:
            least = least_confidence(most)
            found = [one for one in found if one.confidence is None or one.confidence >= least]
    else:
        if not item.boxes:
            raise InputError(f"{what}: no box is given for this image")
        found = [Found(np.array(check_box(box, what))) for box in item.boxes]
        for one in found:
            warn_of_corners(one.box, image.shape[1], image.shape[0])
        names = list(item.ids)
    pairs = [(image, one.box) for one in found]
    if not pairs:
        return
    rolls = [one.roll for one in found]
    shared: dict[str, Any] = {"n_jobs": 1, "channel_order": "rgb", "what": f"{what}, boxes"}
    shapes = model.predict(pairs, request.mode, rolls=rolls if any(rolls) else None, **shared)
    assessment = None if model.confidence_model_ is None else model.assess(pairs, shapes, **shared)
    number = 0
    for i, one in enumerate(found):
        confidence = one.confidence if assessment is None else float(assessment.confidence[i])
        if confidence is not None and confidence < (request.min_confidence or 0):
            continue
        number += 1
        yield Prediction(
            item.image,
            (names[i] if i < len(names) else "") or item.specimen,
            one.box,
            shapes[i],
            model.landmark_names_,
            one.roll,
            confidence,
            None if assessment is None else assessment.std[i],
            number,
            item.scale,
            (image.shape[1], image.shape[0]),
        )


@checked_arguments
def predict(
    model: ShapePredictor | str | os.PathLike[str],
    images: Any,
    *,
    boxes: Any = None,
    box_from: str | None = None,
    mode: str | PredictionMode = DEFAULT_MODE,
    max_objects: int | None = None,
    min_confidence: float | None = None,
    detector: str | Detector = "auto",
    scale: float | str | None = None,
    recursive: bool = False,
    image_folder: StrPath | None = None,
    n_jobs: int = -1,
    on_error: str | Callable[[str], object] = "raise",
) -> Iterator[Prediction]:
    """Find the objects in many images and locate their landmarks.

    Parameters
    ----------
    model : ShapePredictor, str or path-like
        A fitted predictor, or a name or file for :func:`ert.load`.
    images : path, array, Dataset, or sequence of them
        Image files, folders, patterns such as ``"photos/*.jpg"``, ``"@list.txt"`` (a file with a path in each line,
        relative to it), annotation files or datasets, whose images are taken; uint8 arrays, gray or RGB. An image that
        occurs twice is predicted once.
    boxes : str, (4,), or sequence, optional
        ``"CSV:PREFIX"``, a table of boxes (see `ert.datasets.formats.csv.read_boxes`); left, top, width and height of
        a box for all images; or for each image its box or boxes.
    box_from : {"auto", "whole", "face", "learned", "given"}, optional
        By default, or with "auto", `boxes`, or else the model's own way, see `box_source_`. Where that is "given" or
        "face", the boxes of annotations are taken if they have any.
    mode : {"fast", "accurate"} or PredictionMode
        See :meth:`ert.ShapePredictor.predict`.
    max_objects : int, optional
        At most this many objects of an image, the most confident or largest ones; by default one, or all faces. Given
        boxes are all taken.
    min_confidence : float, optional
        Leave out objects of less confidence, 0 to 1; by default, with a locator, less than 0.1, or 0.5 where several
        are looked for.
    detector : str or callable
        For faces, see :func:`ert.detect_faces`.
    scale : float or str, optional
        Length of a pixel, or ``"CSV:COLUMN"``: a table with a column image, specimen or id. By default, that of the
        dataset.
    recursive : bool
        Whether folders are searched with their subfolders.
    image_folder : path-like, optional
        Folder of the images of annotations, if they are not beside them.
    n_jobs : int
        Threads, each of which reads and predicts an image; -1 uses all processors. Never changes a result.
    on_error : {"raise", "skip"} or callable
        What happens at an image or input that cannot be used; a function is called with the message.

    Yields
    ------
    Prediction
        In the order of the images, as they are predicted: memory does not grow with their number. An image without an
        object yields none. `list` collects all.

    Raises
    ------
    InputError
        At once when there are no images, or the model lacks what is asked for; later for an image, if `on_error` is
        "raise".

    Examples
    --------
    >>> for found in ert.predict(ert.load("face68"), ert.sample_image()):
    ...     print(found.landmarks.shape)
    (68, 2)
    """
    if on_error not in ("raise", "skip") and not callable(on_error):
        raise InputError(f"on_error={on_error!r}: expected 'raise', 'skip' or a function")

    def refuse(fault: str) -> None:
        if on_error == "raise":
            raise InputError(fault)
        if callable(on_error):
            on_error(fault)

    predictor = model if isinstance(model, ShapePredictor) else load(model)
    several = isinstance(images, Iterable) and not isinstance(images, (str, os.PathLike, np.ndarray, Dataset))
    inputs = Inputs(recursive, image_folder).add(images if several else [images])
    for fault in inputs.faults:
        refuse(fault)
    if not inputs.items:
        raise InputError("images: none found, expected at least one")
    if boxes is not None:
        inputs.give_boxes(boxes)
    if scale is not None:
        inputs.give_scales(scale)
    request = choose_request(
        predictor,
        inputs,
        box_from=box_from,
        boxes_given=boxes is not None,
        mode=mode,
        max_objects=max_objects,
        min_confidence=min_confidence,
        detector=detector,
    )

    photos = predict_photos(request, inputs.items.values(), n_jobs)

    def results() -> Iterator[Prediction]:
        for photo in photos:
            if photo.fault is not None:
                refuse(photo.fault)
            yield from photo.objects

    return results()
