"""Detect the faces in an image and locate their landmarks; faces as a pandas DataFrame."""

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ert._core.arguments import checked_arguments
from ert._core.exceptions import InputError, counted
from ert._core.files import bundled_models
from ert._core.image_paths import ImagePath
from ert._core.images import ImageLike, check_image, load_image
from ert._core.runtime import count_threads
from ert._core.threads import map_in_threads
from ert._core.types import Floats, Pixels, StrPath
from ert.faces.detection import Detector, detect_faces, detect_rotated_faces
from ert.faces.regions import FACE_REGIONS, check_face
from ert.inference.mode import PredictionMode, resolve_mode
from ert.inference.rotated import roll_of
from ert.inference.validation import is_face
from ert.inference.warm_up import prepare
from ert.model.fitted import OBJECT_SOURCES
from ert.predictor import ShapePredictor, load

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes


@dataclass(frozen=True, repr=False)
class AlignedFace:
    """One face of an image.

    Parameters
    ----------
    box : float array (4,)
        Left, top, width, height in pixels, as returned by the detector.
    landmarks : float array (n_landmarks, 2)
        x, y in image pixels; pixel centers have integer coordinates.
    roll : float
        In-plane rotation of the landmarks relative to the model's mean shape, in degrees, clockwise.
    std : float array (n_landmarks,) or None
        Standard error of each landmark in pixels, see :class:`ert.Assessment`; None when the model has no
        confidence model.
    confidence : float or None
        Probability that the box contains a face and its landmarks have not failed; None as for `std`.
    image : uint8 array, path-like or None
        The image of the face, for :meth:`plot`: a reference to the array, not a copy, or the path of a file,
        which is read again when it is drawn. An array is not pickled with the face.
    channel_order : {"rgb", "bgr"}
        Order of the colors in `image`.
    """

    box: Floats
    landmarks: Floats
    roll: float = 0.0
    std: Floats | None = None
    confidence: float | None = None
    image: Pixels | StrPath | None = field(default=None, compare=False)
    channel_order: str = field(default="rgb", compare=False)

    def __repr__(self) -> str:
        left, top, width, height = self.box
        confidence = "" if self.confidence is None else f", confidence {self.confidence:.2f}"
        return (
            f"AlignedFace({len(self.landmarks)} landmarks, box {width:.0f} x {height:.0f} "
            f"at ({left:.0f}, {top:.0f}), roll {self.roll:.1f}°{confidence})"
        )

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"image": None if isinstance(self.image, np.ndarray) else self.image}

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the image with the landmarks of this face; see :meth:`ert.faces.Faces.plot`."""
        return Faces([self]).plot(ax)

    def _repr_html_(self) -> str:
        return Faces([self])._repr_html_()


class Faces(list[AlignedFace]):
    """The faces of one image: a list that Jupyter shows as the image with its landmarks."""

    def __repr__(self) -> str:
        return f"Faces([{', '.join(map(repr, self))}])" if len(self) < 3 else f"Faces({self._summary()})"

    def _summary(self) -> str:
        sides = [max(face.box[2:]) for face in self]
        count = "1 face" if len(self) == 1 else f"{len(self)} faces"
        boxes = f"boxes of {min(sides):.0f} to {max(sides):.0f} pixels"
        return f"{count} of {len(self[0].landmarks)} landmarks, {boxes}"

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the image with the landmarks of all faces, with matplotlib.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Axes to draw in, by default those of a new figure.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        InputError
            When there are no faces, the faces have no image or matplotlib is not installed.
        """
        image = self._image()
        if image is None:
            raise InputError("plot: no image to draw on; faces returned by ert.align have one")
        from ert.plotting import show

        axes: Axes = show(image, self, ax=ax)
        return axes

    def _repr_html_(self) -> str:
        image = self._image()
        if image is None:
            return f"<pre>{self!r}</pre>"
        from ert.plotting.landmarks import picture_html

        shapes, boxes = [face.landmarks for face in self], [face.box for face in self]
        return picture_html(image, shapes, boxes=boxes, alt=self._summary())

    def _image(self) -> Pixels | None:
        """Return the image of the faces as RGB or gray; None when there is none."""
        if not self or self[0].image is None:
            return None
        image = self[0].image
        pixels = image if isinstance(image, np.ndarray) else load_image(image)
        return pixels[..., ::-1] if pixels.ndim == 3 and self[0].channel_order == "bgr" else pixels


# A bundled model does not change between calls; a file may.
_load_bundled = lru_cache(maxsize=4)(load)


@overload
def align(
    image: ImageLike, model: ShapePredictor | str | os.PathLike[str] = ..., *, boxes: Any = ..., **options: Any
) -> Faces: ...


@overload
def align(
    image: list[Any] | tuple[Any, ...],
    model: ShapePredictor | str | os.PathLike[str] = ...,
    *,
    boxes: Any = ...,
    **options: Any,
) -> list[Faces]: ...


@checked_arguments  # type: ignore[misc]  # the overloads leave out what both calls share
def align(
    image: Any,
    model: ShapePredictor | str | os.PathLike[str] = "face68",
    *,
    boxes: Sequence[Sequence[float]] | NDArray[np.floating[Any]] | None = None,
    detector: str | Detector = "auto",
    mode: str | PredictionMode = "fast",
    any_roll: bool = False,
    min_confidence: float = 0.0,
    channel_order: str = "rgb",
    n_jobs: int | None = None,
    what: str = "image",
) -> Any:
    """Detect the faces in an image and locate their landmarks.

    Parameters
    ----------
    image : uint8 array (rows, columns) or (rows, columns, 3), path-like or PIL.Image.Image
        Or a list of them; or a pair (image, box), such as an object of a dataset.
    model : ShapePredictor, str or path-like
        A fitted predictor, or a name or file for :func:`ert.load`.
    boxes : array (n, 4), optional
        Left, top, width, height of each face; by default the faces are detected. For a list of images, a list with
        the boxes of each.
    detector : str or callable
        See :func:`ert.detect_faces`. A function is called by one thread at a time.
    mode : {"fast", "accurate"} or PredictionMode
        See :meth:`ert.ShapePredictor.predict`. Faces detected with `any_roll` are located by a search over
        rolls, whatever the mode.
    any_roll : bool
        Detect faces at any in-plane rotation. The detector runs on twelve rotated copies of the image, and
        takes twelve times as long; a detection counts as a face when initializations of the model at several
        rolls agree. Boxes are those of the detector, made upright about their centers.
    min_confidence : float
        Omit faces whose confidence is lower, 0 to 1; above 0 the model needs a confidence model.
    channel_order : {"rgb", "bgr"}
        Order of the colors of an array; files and images of Pillow are always RGB.
    n_jobs : int, optional
        Threads that share the images of a list, or the faces of a single image; -1 uses all processors. By default that
        of the model. Never changes a result.
    what : str
        Name of the image in error messages, where it has no file.

    Returns
    -------
    Faces
        A list of :class:`ert.AlignedFace`, the largest first or in the order of `boxes`; empty when no face is found.
        For a list of images, a list of these.

    Raises
    ------
    InputError
        When the image, a box or the model cannot be used.

    Examples
    --------
    >>> for face in ert.align(ert.sample_image(), min_confidence=0.5):
    ...     print(face.landmarks.shape, face.confidence > 0.5)
    (68, 2) True
    """
    if not 0 <= min_confidence <= 1:
        raise InputError(f"min_confidence={min_confidence!r}: expected 0 to 1")
    if is_face(image) and boxes is None:
        image, boxes = image[0], [image[1]]
    if isinstance(image, (list, tuple)):
        if boxes is not None and len(boxes) != len(image):
            raise InputError(f"boxes of {counted(len(boxes), 'image')}, expected those of {len(image)}")
        if not image:
            return []
        predictor = _load(model)
        n_jobs = predictor.n_jobs if n_jobs is None else n_jobs
        n_threads = min(count_threads(n_jobs), len(image))
        shared: dict[str, Any] = {"n_jobs": 1 if n_threads > 1 else n_jobs, "channel_order": channel_order}
        shared |= {"mode": mode, "any_roll": any_roll, "min_confidence": min_confidence}
        shared["detector"] = _one_at_a_time(detector) if callable(detector) else detector

        def align_one(item: tuple[int, Any]) -> Any:
            i, each = item
            its_boxes = None if boxes is None else boxes[i]
            return align(each, predictor, boxes=its_boxes, what=f"{what}[{i}]", **shared)

        # In the main thread, where an interrupt waits for the compiler.
        prepare(predictor.fitted_, len(image), resolve_mode(mode, predictor.fitted_), 180.0 if any_roll else None)
        return list(map_in_threads(align_one, enumerate(_with_pixels(image)), n_threads))
    source: Pixels | StrPath
    if isinstance(image, (str, os.PathLike)):
        # A path of a dataset says how its image is read.
        source, channel_order = image if isinstance(image, ImagePath) else os.fspath(image), "rgb"
        pixels, what = load_image(source), os.fspath(image)
    else:
        channel_order = channel_order if isinstance(image, np.ndarray) else "rgb"
        source = pixels = check_image(image, what)
    predictor = _load(model)
    if boxes is None and detector == "auto" and predictor.box_source_ in OBJECT_SOURCES:
        raise InputError("the model was not trained on faces: ert.predict finds its objects; or give boxes")
    if min_confidence > 0 and predictor.confidence_model_ is None:
        raise InputError(f"min_confidence={min_confidence:g}: the model has no confidence model")
    found: Any
    if any_roll and boxes is None:
        found, landmarks = detect_rotated_faces(pixels, predictor, detector, channel_order)
    else:
        found = detect_faces(pixels, detector, channel_order=channel_order) if boxes is None else boxes
        landmarks = predictor.predict(
            [(pixels, box) for box in found],
            mode,
            max_roll=180.0 if any_roll else None,
            channel_order=channel_order,
            n_jobs=n_jobs,
            what=f"{what}, boxes",
        )
    rolls = roll_of(landmarks, predictor.cascade_.mean_shape)
    faces = Faces(
        AlignedFace(np.array(box, np.float64), shape, float(roll), image=source, channel_order=channel_order)
        for box, shape, roll in zip(found, landmarks, rolls, strict=True)
    )
    if predictor.confidence_model_ is None:
        return faces
    pairs = [(pixels, face.box) for face in faces]
    assessment = predictor.assess(pairs, landmarks, channel_order=channel_order, n_jobs=n_jobs)
    return Faces(
        replace(face, std=std, confidence=float(confidence))
        for face, std, confidence in zip(faces, assessment.std, assessment.confidence, strict=True)
        if confidence >= min_confidence
    )


def _load(model: ShapePredictor | str | os.PathLike[str]) -> ShapePredictor:
    if isinstance(model, ShapePredictor):
        return model
    return _load_bundled(str(model)) if str(model) in bundled_models() else load(model)


def _one_at_a_time(detector: Detector) -> Detector:
    lock = threading.Lock()

    def detect(image: Pixels) -> Any:
        with lock:
            return detector(image)

    return detect


def _with_pixels(images: Sequence[Any]) -> Iterator[Any]:
    """Yield images; those of Pillow have been read: it lets only one thread do that."""
    for each in images:
        read = getattr(each[0] if is_face(each) else each, "load", None)
        if callable(read):
            # What is wrong is reported where the image is used.
            with suppress(Exception):
                read()
        yield each


@checked_arguments
def to_dataframe(faces: Sequence[AlignedFace] | ArrayLike, *, wide: bool = False) -> "pandas.DataFrame":
    """Return faces as a table.

    Parameters
    ----------
    faces : list of AlignedFace, or (n, n_landmarks, 2) or (n_landmarks, 2) array-like
        As returned by :func:`ert.align` or :meth:`ert.ShapePredictor.predict`.
    wide : bool
        One row per face instead of one per landmark.

    Returns
    -------
    pandas.DataFrame
        One row per landmark with ``face`` and ``landmark`` (both from 0), ``region`` (for 68 landmarks, see
        :func:`ert.regions`), ``x``, ``y``; for AlignedFaces of a model with a confidence model also ``std``
        and ``confidence`` (of the face). Or wide, as in the CSV files that ert reads: ``left``, ``top``,
        ``width``, ``height`` (for AlignedFaces), ``x0``, ``y0``, ``x1``, ...; then, as above,
        ``confidence``, ``std0``, ``std1``, ...

    Raises
    ------
    InputError
        When pandas is not installed, `faces` is invalid, or faces differ in their number of landmarks.
    """
    try:
        import pandas as pd
    except ImportError:
        raise InputError("to_dataframe: needs pandas, which is not installed: pip install pandas") from None
    aligned, shapes = _split(faces)
    n, n_landmarks = shapes.shape[:2]
    has_confidence = bool(aligned) and all(face.std is not None for face in aligned)
    if wide:
        columns: dict[str, Any] = {}
        if aligned is not None:
            boxes = np.reshape([face.box for face in aligned], (-1, 4))
            columns |= dict(zip(("left", "top", "width", "height"), boxes.T, strict=True))
        for i in range(n_landmarks):
            columns |= {f"x{i}": shapes[:, i, 0], f"y{i}": shapes[:, i, 1]}
        if has_confidence:
            columns["confidence"] = [face.confidence for face in aligned]
            columns |= {f"std{i}": [face.std[i] for face in aligned] for i in range(n_landmarks)}
        return pd.DataFrame(columns)
    table = pd.DataFrame(
        {
            "face": np.repeat(np.arange(n), n_landmarks),
            "landmark": np.tile(np.arange(n_landmarks), n),
            "x": shapes[..., 0].ravel(),
            "y": shapes[..., 1].ravel(),
        }
    )
    if n_landmarks == 68:
        names = [name for name, numbers in FACE_REGIONS["face68"].items() for _ in numbers]
        table.insert(2, "region", names * n)
    if has_confidence:
        table["std"] = np.concatenate([face.std for face in aligned])
        table["confidence"] = np.repeat([face.confidence for face in aligned], n_landmarks)
    return table


def _split(faces: Any) -> tuple[Any, Floats]:
    """Return the AlignedFaces, None for an array, and the landmarks (n, n_landmarks, 2) of either."""
    aligned = [faces] if isinstance(faces, AlignedFace) else faces
    if not (isinstance(aligned, Sequence) and all(isinstance(face, AlignedFace) for face in aligned)):
        shapes = check_face(faces)
        if shapes.ndim > 3:
            raise InputError(f"faces: array of shape {shapes.shape}, expected (n, n_landmarks, 2)")
        return None, shapes.reshape(-1, *shapes.shape[-2:])
    counts = {len(face.landmarks) for face in aligned}
    if len(counts) > 1:
        raise InputError(f"faces: {min(counts)} to {max(counts)} landmarks, expected the same number for all")
    return aligned, np.reshape([face.landmarks for face in aligned], (len(aligned), max(counts, default=0), 2))
