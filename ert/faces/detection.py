"""Face detection by one of several installed detectors, upright or at any in-plane rotation."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ert._core.arguments import checked_arguments
from ert._core.exceptions import InputError
from ert._core.files import check_input
from ert._core.images import ImageLike, check_image, read_image, to_gray
from ert._core.threads import shares_processors
from ert._core.types import Box, Floats, Pixels
from ert.inference.rotated import rotation, search_roll
from ert.predictor import ShapePredictor

Detector = Callable[[Pixels], Any]

# Detectors run on a copy of at most this size in pixels and find faces from 3 to 4 % of its longest side.
_MAX_SIDE_PIXELS = 1000
# Smaller images cannot contain a face that a detector finds, and some detectors crash on them.
_MIN_SIDE_PIXELS = 24
# Rotation between copies: detectors find faces with a roll of half of it.
_STEP_DEGREES = 30
# A face is found by at least this many windows of a cascade.
_MIN_HAAR_WINDOWS = 3
_MIN_LBP_WINDOWS = 4
# Largest difference between the roll of a face and that of the copy it is detected in.
_MAX_ROLL_DEGREES = 30.0
# Where shapes from several initializations have a larger spread, in sides of the box, there is hardly ever a
# face: in 30 rotated training images of 300-W it removes 17 of 18 false alarms of `face68` and 1 of 28 faces.
_MAX_SPREAD_BOX_SIDES = 0.012

# No detector can be used by two threads at once. There are several cascades of OpenCV; the others run one at a time:
# dlib's does not let other threads run meanwhile, and that of scikit-image has threads of its own.
_DETECTOR_LOCK = threading.Lock()
# How many threads use OpenCV's cascades with one thread each, and the number of threads to restore after the last.
_OPENCV_LOCK = threading.Lock()
_opencv_users: list[int] = []


@checked_arguments
def detect_faces(image: ImageLike, detector: str | Detector = "auto", *, channel_order: str = "rgb") -> Floats:
    """Detect faces in an image.

    Parameters
    ----------
    image : uint8 array (rows, columns) or (rows, columns, 3), path-like or PIL.Image.Image
    detector : str or callable
        - "haar": OpenCV's frontal face cascade (``haarcascade_frontalface_alt2``), not in OpenCV 5;
        - "lbp": scikit-image's cascade, which finds fewer faces and is slower;
        - "dlib": dlib's frontal face detector, when dlib is installed;
        - "yunet:/path/to/model.onnx": OpenCV's ``FaceDetectorYN`` with a model file that you provide;
        - "auto": "haar" when OpenCV has it, otherwise "lbp";
        - a function that takes the unmodified image and returns boxes (n, 4).
    channel_order : {"rgb", "bgr"}
        Order of the colors of an array; files and images of Pillow are always RGB.

    Returns
    -------
    float64 array (n, 4)
        Boxes as left, top, width and height in pixels of the image, the largest first; (0, 4) when no face is
        found. Boxes may extend beyond the image.

    Raises
    ------
    InputError
        When the image is invalid or cannot be read, the detector is unknown or not installed, or a function
        does not return boxes.

    Notes
    -----
    A predictor is most accurate on boxes of the detector that it was trained with. Detectors place their
    boxes differently; those of "haar" and "lbp" are similar. Images whose longest side exceeds 1000 pixels
    are reduced to that size, so faces narrower than 3 to 4 % of that side are not found.

    Examples
    --------
    >>> ert.detect_faces(ert.sample_image()).shape  # one face: left, top, width, height
    (1, 4)
    """
    return detect_scored_faces(image, detector, channel_order)[0]


def detect_scored_faces(
    image: Any, detector: str | Detector = "auto", channel_order: str = "rgb"
) -> tuple[Floats, Floats]:
    """Detect faces, see :func:`detect_faces`; also return their scores (n,).

    Scores are those of dlib and YuNet; for the cascades log2 of the number of windows that found a face, over
    the least number that counts as one; 0 for a function's boxes.
    """
    if channel_order not in ("rgb", "bgr"):
        raise InputError(f"channel_order: {channel_order!r}, expected 'rgb' or 'bgr'")
    if not isinstance(image, np.ndarray):
        image, channel_order = read_image(image, "image"), "rgb"
    image = check_image(image)
    if callable(detector):
        boxes = _check_boxes(detector(image))
        scores = np.zeros(len(boxes))
    else:
        boxes, scores = _run_detector(image, detector, channel_order)
    largest_first = np.argsort(-boxes[:, 2] * boxes[:, 3], kind="stable")
    return boxes[largest_first], scores[largest_first]


def _run_detector(image: Pixels, detector: str, channel_order: str) -> tuple[Floats, Floats]:
    name, _, model = str(detector).partition(":")
    if name == "auto":
        # cv2 is not whole yet for a second thread while the first imports it.
        with _DETECTOR_LOCK:
            name = "haar" if _haar_file() else "lbp"
    if name not in ("haar", "lbp", "dlib", "yunet") or bool(model) != (name == "yunet"):
        known = "'auto', 'haar', 'lbp', 'dlib', 'yunet:/path/to/model.onnx' or a function"
        raise InputError(f"detector: {detector!r}, expected {known}")
    small = reduce_image(image)
    scale = np.array(image.shape[1::-1]) / small.shape[1::-1]
    if min(small.shape[:2]) < _MIN_SIDE_PIXELS:
        return np.empty((0, 4)), np.empty(0)
    if name == "haar":
        found, scores = _haar_boxes(to_gray(small, channel_order))
    elif name == "lbp":
        with _DETECTOR_LOCK:
            found, scores = _lbp_boxes(to_gray(small, channel_order))
    else:
        swap = small.ndim == 3 and channel_order != ("rgb" if name == "dlib" else "bgr")
        pixels = np.ascontiguousarray(small[..., ::-1] if swap else small)
        with _DETECTOR_LOCK:
            found, scores = _dlib_boxes(pixels) if name == "dlib" else _yunet_boxes(pixels, model)
    boxes, scores = np.array(found, np.float64).reshape(-1, 4), np.array(scores, np.float64).ravel()
    kept = keep_best(boxes, scores)
    return boxes[kept] * np.tile(scale, 2), scores[kept]


def reduce_image(image: Pixels, longest_side: int = _MAX_SIDE_PIXELS) -> Pixels:
    """Return the image, or a copy reduced to that length of its longest side in pixels."""
    longest = max(image.shape[:2])
    if longest <= longest_side:
        return image
    from PIL import Image

    height, width = (max(1, round(side * longest_side / longest)) for side in image.shape[:2])
    return np.array(Image.fromarray(image).resize((width, height), Image.Resampling.BOX))


def _haar_file() -> str | None:
    """Return the path of OpenCV's cascade; None when there is none, as in OpenCV 5."""
    try:
        import cv2
    except ImportError:
        return None
    folder = getattr(getattr(cv2, "data", None), "haarcascades", None)
    if folder is None or not hasattr(cv2, "CascadeClassifier"):
        return None
    path = Path(folder) / "haarcascade_frontalface_alt2.xml"
    return str(path) if path.is_file() else None


def _haar_boxes(gray: Pixels) -> tuple[Any, Any]:
    idle = _idle_haar_cascades()
    try:
        cascade = idle.pop()
    except IndexError:
        with _DETECTOR_LOCK:
            cascade = _load_haar_cascade()
    try:
        with _one_opencv_thread():
            found, counts = cascade.detectMultiScale2(
                gray, scaleFactor=1.1, minNeighbors=_MIN_HAAR_WINDOWS, minSize=(30, 30)
            )
    finally:
        idle.append(cascade)
    boxes = np.reshape(found, (-1, 4))
    # Their order, on which ties of the scores depend, is that of the threads that find them first.
    in_order = np.lexsort((boxes[:, 0], boxes[:, 1], boxes[:, 2]))
    return boxes[in_order], np.log2(np.reshape(counts, -1)[in_order] / _MIN_HAAR_WINDOWS)


@contextmanager
def _one_opencv_thread() -> Iterator[None]:
    """Keep OpenCV from starting threads where others work on other images."""
    if not shares_processors():
        yield
        return
    import cv2

    with _OPENCV_LOCK:
        _opencv_users.append(_opencv_users[0] if _opencv_users else cv2.getNumThreads())
        if len(_opencv_users) == 1:
            cv2.setNumThreads(1)
    try:
        yield
    finally:
        with _OPENCV_LOCK:
            n_threads = _opencv_users.pop()
            if not _opencv_users:
                cv2.setNumThreads(n_threads)


@lru_cache(maxsize=1)
def _idle_haar_cascades() -> deque[Any]:
    """Return the cascades that no thread is using."""
    with _DETECTOR_LOCK:
        return deque([_load_haar_cascade()])


def _load_haar_cascade() -> Any:
    path = _haar_file()
    if path is None:
        raise InputError(
            "detector 'haar': needs OpenCV 4 (version 5 has no cascades): "
            "pip install 'opencv-python-headless<5', or use detector 'lbp'"
        )
    import cv2

    return cv2.CascadeClassifier(path)


@lru_cache(maxsize=1)
def _lbp_cascade() -> Any:
    try:
        from skimage.data import lbp_frontal_face_cascade_filename
        from skimage.feature import Cascade
    except ImportError:
        raise InputError("detector 'lbp': needs scikit-image: pip install scikit-image") from None
    return Cascade(lbp_frontal_face_cascade_filename())  # type: ignore[no-untyped-call]


def _lbp_boxes(gray: Pixels) -> tuple[Any, Any]:
    # A face triggers few windows, hardly more than false alarms do. The mirror image gives the same face from
    # other pixels and doubles them. scikit-image's own merging merges boxes that merely touch, so that its
    # boxes are neither tight nor one per face; an unreachable overlap threshold disables it.
    cascade = _lbp_cascade()
    windows = []
    for mirrored in (False, True):
        found = cascade.detect_multi_scale(
            img=np.ascontiguousarray(gray[:, ::-1] if mirrored else gray),
            scale_factor=1.2,
            step_ratio=1,
            min_size=(36, 36),
            max_size=(max(gray.shape), max(gray.shape)),
            min_neighbor_number=0,
            intersection_score_threshold=2.0,
        )
        # Its threads append what they find: in the order of one thread, on which ties of the scores depend.
        for window in sorted(found, key=itemgetter("width", "r", "c")):
            left = gray.shape[1] - window["c"] - window["width"] if mirrored else window["c"]
            windows.append((left, window["r"], window["width"], window["height"]))
    boxes, counts = _merge_windows(np.array(windows, np.float64).reshape(-1, 4), _MIN_LBP_WINDOWS)
    return boxes, np.log2(np.array(counts) / _MIN_LBP_WINDOWS)


def _merge_windows(windows: Floats, min_windows: int) -> tuple[Any, Any]:
    """Average the windows that agree; count the windows of each box."""
    boxes, counts = [], []
    for window in windows:
        shared, own, other = _areas(window, windows)
        agreeing = windows[shared > 0.45 * (own + other - shared)]
        if len(agreeing) >= min_windows:
            boxes.append(agreeing.mean(axis=0))
            counts.append(len(agreeing))
    return boxes, counts


@lru_cache(maxsize=1)
def _dlib_detector() -> Any:
    try:
        import dlib
    except ImportError:
        raise InputError("detector 'dlib': needs dlib: pip install dlib-bin") from None
    return dlib.get_frontal_face_detector()


def _dlib_boxes(image: Pixels) -> tuple[Any, Any]:
    # Upsampled once, because dlib's window is 80 pixels wide.
    rectangles, scores, _ = _dlib_detector().run(image, 1, 0.0)
    return [(each.left(), each.top(), each.width(), each.height()) for each in rectangles], scores


@lru_cache(maxsize=1)
def _yunet_detector(model: str) -> Any:
    try:
        from cv2 import FaceDetectorYN
    except ImportError:
        raise InputError("detector 'yunet': needs OpenCV 4.5.4 or later: pip install opencv-python-headless") from None
    import cv2

    check_input(model, "the ONNX file of a YuNet model")
    try:
        return FaceDetectorYN.create(model, "", (0, 0))
    except cv2.error as error:
        raise InputError(f"detector 'yunet': {model}: OpenCV cannot read this model: {error.err}") from error


def _yunet_boxes(bgr: Pixels, model: str) -> tuple[Any, Any]:
    if bgr.ndim == 2:
        bgr = np.stack([bgr] * 3, axis=-1)  # the network has three input channels
    detector = _yunet_detector(model)
    detector.setInputSize((bgr.shape[1], bgr.shape[0]))
    _, faces = detector.detect(bgr)
    return ([], []) if faces is None else (faces[:, :4], faces[:, -1])


def _areas(box: NDArray[Any], boxes: NDArray[Any]) -> tuple[NDArray[Any], Any, NDArray[Any]]:
    """Return the areas of the overlaps of a box with others, its own area and theirs."""
    ends = np.minimum(box[:2] + box[2:], boxes[:, :2] + boxes[:, 2:])
    shared = np.maximum(ends - np.maximum(box[:2], boxes[:, :2]), 0).prod(axis=1)
    return shared, box[2] * box[3], boxes[:, 2] * boxes[:, 3]


def keep_best(boxes: Floats, scores: Floats) -> NDArray[np.intp]:
    """Return the indices, best first, of boxes that do not overlap a better one by half of the smaller one."""
    rest = np.argsort(-scores, kind="stable")
    kept = []
    while len(rest):
        best, rest = rest[0], rest[1:]
        kept.append(best)
        shared, own, other = _areas(boxes[best], boxes[rest])
        rest = rest[shared <= 0.5 * np.minimum(own, other)]
    return np.array(kept, np.intp)


def _check_boxes(returned: Any) -> Floats:
    try:
        boxes = np.array(returned, np.float64)
    except (TypeError, ValueError):
        raise InputError("detector: did not return an array of numbers, expected boxes (n, 4)") from None
    if boxes.size == 0:
        return np.empty((0, 4))
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise InputError(f"detector: returned an array of shape {boxes.shape}, expected boxes (n, 4)")
    for number, box in enumerate(boxes):
        if not (np.isfinite(box).all() and box[2] > 0 and box[3] > 0):
            expected = "finite left, top, width and height, the last two above 0"
            raise InputError(f"detector: box {number} is {box.tolist()}, expected {expected}")
    return boxes


def detect_rotated_faces(
    image: Pixels, model: ShapePredictor, detector: str | Detector, channel_order: str
) -> tuple[Floats, Floats]:
    """Detect faces at any roll and locate their landmarks: boxes (n, 4) and shapes (n, n_landmarks, 2).

    The largest is the first. Boxes are upright, with center and sides of those detected in rotated copies.
    """
    cascade = model.cascade_
    model.warm_up(rotated=True)
    found = []
    for box, roll in _detect_in_rotated_copies(image, detector, channel_order):
        shape, spread = search_roll(cascade, image, box, roll, _MAX_ROLL_DEGREES, channel_order, model.gray_weights)
        if spread < _MAX_SPREAD_BOX_SIDES:
            found.append((box, shape, spread))
    if not found:
        return np.empty((0, 4)), np.empty((0, *cascade.mean_shape.shape))
    boxes, shapes, spreads = (np.array(each) for each in zip(*found, strict=True))
    kept = keep_best(boxes, -spreads)
    kept = kept[np.argsort(-boxes[kept, 2:].prod(axis=1), kind="stable")]
    return boxes[kept], shapes[kept]


def _detect_in_rotated_copies(
    image: Pixels, detector: str | Detector, channel_order: str
) -> Iterator[tuple[Box, float]]:
    """Yield detected boxes in image coordinates and the roll of the copy each was detected in."""
    from PIL import Image

    # A function gets full-size copies; the other detectors would reduce them anyway.
    source = Image.fromarray(image if callable(detector) else reduce_image(image))
    scale = np.array(image.shape[1::-1]) / source.size
    for roll in range(0, 360, _STEP_DEGREES):
        # Pillow rotates counterclockwise, which makes faces of this roll upright.
        copy = source.rotate(roll, Image.Resampling.BILINEAR, expand=True)
        for box in detect_faces(np.array(copy), detector, channel_order=channel_order):
            # Relative to the center of the image, which the rotation keeps in place.
            offset = rotation(roll) @ (box[:2] + box[2:] / 2 - np.array(copy.size) / 2)
            center = (offset + np.array(source.size) / 2) * scale
            if (center >= 0).all() and (center < image.shape[1::-1]).all():
                sides = box[2:] * scale
                yield (*(center - sides / 2).tolist(), *sides.tolist()), float(roll)
