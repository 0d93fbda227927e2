"""Boxes round faces, by whichever detector is installed."""

import os
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ert.errors import InputError
from ert.images import check_image, load_image, to_grey

__all__ = ["detect_faces"]

Detector = Callable[[NDArray[np.uint8]], Any]

# Detectors see a copy no larger than this and look for faces from 3 % of its longest side (4 % for "lbp").
_LONGEST_SIDE = 1000
_SMALLEST_SIDE = 24  # the window of both cascades
_HAAR_FILE = "haarcascade_frontalface_alt2.xml"

# None of the detectors may be used by two threads at once.
_DETECTOR_LOCK = threading.Lock()


def detect_faces(
    image: NDArray[np.uint8] | str | os.PathLike[str],
    detector: str | Detector = "auto",
    *,
    channels: str = "rgb",
) -> NDArray[np.float64]:
    """Find faces in an image.

    Parameters
    ----------
    image : ndarray of uint8, (rows, columns) or (rows, columns, 3), or path-like
        The image, or its file.
    detector : str or callable
        - "haar": OpenCV's frontal face cascade (``haarcascade_frontalface_alt2``), which OpenCV 5 has no more;
        - "lbp": scikit-image's cascade, which finds fewer faces and is slower;
        - "dlib": dlib's frontal face detector, where dlib is installed;
        - "yunet:/path/to/model.onnx": OpenCV's ``FaceDetectorYN`` with a model file of yours;
        - "auto": "haar" where OpenCV has it, else "lbp";
        - a function that takes the image as it is and returns boxes (n, 4).
    channels : {"rgb", "bgr"}
        Order of the colours of an array; files are always RGB.

    Returns
    -------
    ndarray of float64, (n, 4)
        Boxes as left, top, width and height in pixels of the image, the largest first; (0, 4) when no face is
        found. Boxes may reach beyond the image.

    Raises
    ------
    InputError
        When the image is none or cannot be read, the detector is unknown or not installed, or a function
        returns anything but boxes.

    Notes
    -----
    A predictor is best on boxes of the detector that it was trained with: each draws them in its own way. An image
    whose longest side exceeds 1000 pixels is searched in a reduced copy, in which the smallest faces are lost.
    """
    if channels not in ("rgb", "bgr"):
        raise InputError(f"channels: {channels!r}, expected 'rgb' or 'bgr'")
    if isinstance(image, str | os.PathLike):
        image, channels = load_image(image), "rgb"
    image = check_image(image)
    if callable(detector):
        boxes = _check_boxes(detector(image))
    else:
        boxes = _run_detector(image, detector, channels)
    return boxes[np.argsort(-boxes[:, 2] * boxes[:, 3], kind="stable")]


def _run_detector(image: NDArray[np.uint8], detector: str, channels: str) -> NDArray[np.float64]:
    name, _, model = str(detector).partition(":")
    if name == "auto":
        name = "haar" if _haar_file() else "lbp"
    if name not in ("haar", "lbp", "dlib", "yunet") or bool(model) != (name == "yunet"):
        raise InputError(
            f"detector: {detector!r}, expected 'auto', 'haar', 'lbp', 'dlib', 'yunet:model.onnx' or a function"
        )
    small = _reduce(image)
    with _DETECTOR_LOCK:
        if name == "haar":
            boxes, scores = _haar_boxes(to_grey(small, channels))
        elif name == "lbp":
            boxes, scores = _lbp_boxes(to_grey(small, channels))
        elif name == "dlib":
            boxes, scores = _dlib_boxes(small if channels == "rgb" else small[..., ::-1])
        else:
            boxes, scores = _yunet_boxes(small, model, channels)
    boxes = _drop_duplicates(boxes, scores)
    scale = np.array(image.shape[1::-1]) / small.shape[1::-1]
    return boxes * np.tile(scale, 2)
