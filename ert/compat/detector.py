"""dlib's interface of object detectors: ert's detector of faces, and detectors that dlib has trained."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from ert._core.types import Pixels, StrPath
from ert.compat.errors import DlibError, dlib_errors
from ert.compat.installed import from_dlib, require_dlib
from ert.compat.rectangles import rectangle, rectangles
from ert.faces.detection import detect_scored_faces


class fhog_object_detector:
    """A detector that dlib trained; running it needs dlib.

    Parameters
    ----------
    filename : str or path-like
        The file that dlib's ``train_simple_object_detector`` wrote.

    Raises
    ------
    DlibError
        When dlib is not installed.
    """

    def __init__(self, filename: StrPath) -> None:
        self._detector = require_dlib(f"{filename}: a detector of dlib").fhog_object_detector(str(filename))

    def __dlib__(self) -> Any:
        return self._detector

    def __call__(self, image: Pixels, upsample_num_times: int = 0) -> rectangles:
        """Return the rectangles of the objects in a gray or RGB image."""
        return self.run(image, upsample_num_times)[0]

    def run(
        self, image: Pixels, upsample_num_times: int = 0, adjust_threshold: float = 0.0
    ) -> tuple[rectangles, list[float], list[int]]:
        """Detect objects.

        Parameters
        ----------
        image : uint8 array (rows, columns) or (rows, columns, 3)
            Gray or RGB.
        upsample_num_times : int
        adjust_threshold : float
            Objects with lower scores are left out.

        Returns
        -------
        rectangles
        scores : list of float
        weight_indices : list of int
            The index of the detector, of several in one, that found each object.
        """
        return self._found(image, upsample_num_times, adjust_threshold)

    def _found(self, *args: Any) -> tuple[rectangles, list[float], list[int]]:
        return from_dlib(self._detector.run(*args))  # type: ignore[no-any-return]

    @staticmethod
    def run_multiple(
        detectors: Sequence["fhog_object_detector"],
        image: Pixels,
        upsample_num_times: int = 0,
        adjust_threshold: float = 0.0,
    ) -> tuple[rectangles, list[float], list[int]]:
        """Detect objects with several detectors; the last of the results is the index of the detector."""
        found = [each.run(image, upsample_num_times, adjust_threshold) for each in detectors]
        scored = [
            (score, number, rect)
            for number, (rects, scores, _) in enumerate(found)
            for rect, score in zip(rects, scores, strict=True)
        ]
        scored.sort(key=lambda each: -each[0])
        return rectangles(rect for *_, rect in scored), [each[0] for each in scored], [each[1] for each in scored]

    def save(self, detector_output_filename: StrPath) -> None:
        """Write the detector to a file of dlib."""
        self._detector.save(str(detector_output_filename))

    @property
    def num_detectors(self) -> int:
        """The number of detectors that run together."""
        return int(self._detector.num_detectors)

    @property
    def detection_window_width(self) -> int:
        """The least width of an object, in pixels."""
        return int(self._detector.detection_window_width)

    @property
    def detection_window_height(self) -> int:
        """The least height of an object, in pixels."""
        return int(self._detector.detection_window_height)


# What `get_frontal_face_detector` returns where no detector is named; see `replace_dlib`.
default_detector: Any = "auto"


class _FaceDetector(fhog_object_detector):
    """The detector of :func:`ert.detect_faces`, with the interface of dlib's.

    Parameters
    ----------
    detector : str or callable
        See :func:`ert.detect_faces`.
    """

    num_detectors: ClassVar[int] = 1
    detection_window_width: ClassVar[int] = 30
    detection_window_height: ClassVar[int] = 30

    def __init__(self, detector: Any = "auto") -> None:
        self.detector = detector

    def __dlib__(self) -> Any:
        raise DlibError("this detector is ert's; get_frontal_face_detector('dlib') is dlib's")

    def __repr__(self) -> str:
        return f"get_frontal_face_detector({self.detector!r})"

    def _found(
        self, image: Pixels, upsample_num_times: int, adjust_threshold: float
    ) -> tuple[rectangles, list[float], list[int]]:
        with dlib_errors():
            boxes, scores = detect_scored_faces(image, self.detector)
        kept = scores >= adjust_threshold
        rects = rectangles(
            rectangle(left, top, left + width - 1, top + height - 1)
            for left, top, width, height in np.rint(boxes[kept]).astype(int).tolist()
        )
        return rects, scores[kept].tolist(), [0] * len(rects)

    def save(self, detector_output_filename: StrPath) -> None:
        """Refuse: the detector is no file of dlib."""
        raise DlibError(f"{detector_output_filename}: this detector is not dlib's, which alone can be saved")


class _InstalledFaceDetector(fhog_object_detector):
    """dlib's own detector of faces."""

    def __init__(self) -> None:
        self._detector = require_dlib("get_frontal_face_detector('dlib')").get_frontal_face_detector()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), ()


def get_frontal_face_detector(detector: Any = None) -> fhog_object_detector:
    """Return a detector of faces.

    Parameters
    ----------
    detector : str or callable
        Not in dlib. "auto", the default, and everything else is as for :func:`ert.detect_faces`, whose boxes
        differ from those of dlib's detector; "dlib" is that one, box by box, where dlib is installed.
        `upsample_num_times` has no effect then, since small faces are always found, and `adjust_threshold`
        only leaves out faces of lower scores.

    Returns
    -------
    fhog_object_detector
        Call it with a gray or RGB image; the rectangles are sorted, the largest first.
    """
    if detector is None:
        detector = default_detector
    return _InstalledFaceDetector() if detector == "dlib" else _FaceDetector(detector)
