"""Read and write videos with OpenCV, and write and draw tracked faces."""

import csv
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic
from typing import Any, Self

import numpy as np

from ert._core.arguments import checked_arguments
from ert._core.exceptions import InputError, quoted
from ert._core.files import as_path, check_input, check_writable, write_atomically, write_text
from ert._core.types import Pixels
from ert.tracking.tracker import TrackedFace

# Codecs by suffix that OpenCV's wheels can write.
_CODECS = {".mp4": "mp4v", ".avi": "MJPG", ".mkv": "mp4v"}
# OpenCV crashes on negative numbers.
MAX_CAMERA = 999
# For files and cameras that report no frame rate or an invalid one.
_DEFAULT_FRAMES_PER_SECOND, _MAX_FRAMES_PER_SECOND = 30.0, 1000.0
_COLORS = ("#7ee787", "#5aa9ff", "#ffc857", "#ff8fa3", "#c792ea", "#5ee6ff", "#ff9e64", "#d8dce4")


def _import_opencv(what: str) -> Any:
    # FFmpeg writes warnings about a file to standard error; errors here are one line.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    try:
        import cv2
    except ImportError:
        raise InputError(f"{what}: needs OpenCV: pip install opencv-python-headless") from None
    return cv2


@contextmanager
def _quiet(cv2: Any) -> Iterator[None]:
    """Keep OpenCV from printing warnings."""
    logging = getattr(getattr(cv2, "utils", None), "logging", None)
    if logging is None:
        yield
        return
    before = logging.getLogLevel()
    logging.setLogLevel(logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        logging.setLogLevel(before)


class VideoReader:
    """Read a video file or a camera frame by frame.

    Parameters
    ----------
    source : path-like or int
        A file, or the index of a camera.

    Attributes
    ----------
    name : str
    size : tuple of int
        Columns and rows.
    rate : float
        Frames per second, as stored in the file.
    n_frames : int or None
        As stored in the file; None when it is not, and for cameras.

    Raises
    ------
    InputError
        When OpenCV is not installed, there is no such file or camera, or the file is not a video.
    """

    @checked_arguments
    def __init__(self, source: str | os.PathLike[str] | int) -> None:
        self._camera = isinstance(source, int)
        if isinstance(source, int) and not 0 <= source <= MAX_CAMERA:
            raise InputError(f"camera {quoted(source)}: expected a number from 0 to {MAX_CAMERA}")
        self.name = f"camera {source}" if isinstance(source, int) else str(as_path(source))
        cv2 = _import_opencv(self.name)
        if not isinstance(source, int):
            check_input(source, "a video file")
        with _quiet(cv2):
            # Other backends take a name with digits for a sequence of images.
            has_ffmpeg = cv2.CAP_FFMPEG in cv2.videoio_registry.getStreamBackends()
            backend = cv2.CAP_FFMPEG if has_ffmpeg else cv2.CAP_ANY
            try:
                self._capture = cv2.VideoCapture(source) if self._camera else cv2.VideoCapture(self.name, backend)
            except cv2.error as error:
                raise InputError(f"{self.name}: OpenCV cannot open it: {error.err}") from error
            self._first = self._capture.read()[1] if self._capture.isOpened() else None
        if self._first is None:
            self.close()
            expected = "no such camera, or it is in use" if self._camera else "is not a video that OpenCV can read"
            raise InputError(f"{self.name}: {expected}")
        self.size: tuple[int, int] = (self._first.shape[1], self._first.shape[0])
        rate = float(self._capture.get(cv2.CAP_PROP_FPS))
        self.rate = rate if 0 < rate <= _MAX_FRAMES_PER_SECOND else _DEFAULT_FRAMES_PER_SECOND
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.n_frames = int(count) if not self._camera and 0 < count < 1e9 else None
        self._position = cv2.CAP_PROP_POS_MSEC

    def __iter__(self) -> Iterator[tuple[float, Pixels]]:
        """Yield increasing times in seconds and frames: uint8 (rows, columns, 3), in BGR."""
        time, frame, start = -math.inf, self._first, monotonic()
        while frame is not None:
            reported = monotonic() - start if self._camera else self._capture.get(self._position) / 1000
            # Some files report no times or repeat them.
            time = reported if reported > time else (time + 1 / self.rate if time > -math.inf else 0.0)
            yield time, frame
            frame = self._capture.read()[1]

    def close(self) -> None:
        """Close the file or the camera."""
        self._capture.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def check_video_file(path: str | os.PathLike[str]) -> None:
    """Raise an InputError unless a video can be written to a path."""
    path = Path(path)
    if path.suffix.lower() not in _CODECS:
        raise InputError(f"{path}: unknown suffix {path.suffix!r}, expected one of {', '.join(_CODECS)}")
    check_writable(path, "video")


@contextmanager
def video_writer(path: str | os.PathLike[str], size: tuple[int, int], rate: float) -> Iterator[Any]:
    """Write a video atomically: the file appears or is replaced when the block ends without an error.

    Parameters
    ----------
    path : path-like
        `.mp4`, `.mkv` (MPEG-4) or `.avi` (Motion JPEG).
    size : tuple of int
        Columns and rows.
    rate : float
        Frames per second.

    Yields
    ------
    callable
        Takes the next frame: uint8 (rows, columns, 3), in BGR.

    Raises
    ------
    InputError
        When the file cannot be written or OpenCV lacks the codec.
    """
    cv2 = _import_opencv(os.fspath(path))
    check_video_file(path)
    codec = _CODECS[Path(path).suffix.lower()]
    with write_atomically(path, "video") as temporary:
        with _quiet(cv2):
            writer = cv2.VideoWriter(str(temporary), cv2.VideoWriter_fourcc(*codec), rate, size)
        try:
            if not writer.isOpened():
                raise InputError(f"{path}: this OpenCV cannot write {codec} video of {size[0]} x {size[1]} pixels")
            yield writer.write
        finally:
            writer.release()
        if not temporary.stat().st_size:
            raise InputError(f"{path}: this OpenCV cannot write {codec} video: it wrote nothing")


@contextmanager
def face_table(path: str | os.PathLike[str], n_landmarks: int) -> Iterator[Any]:
    """Write the faces of frames to a CSV file atomically, when the block ends without an error.

    The function yielded takes the index of a frame, its time in seconds and its faces, and writes one row per
    face: frame, time, id, left, top, width, height, confidence, x0, y0, x1, ...
    """
    names = ["frame", "time", "id", "left", "top", "width", "height", "confidence"]
    names += [f"{axis}{i}" for i in range(n_landmarks) for axis in "xy"]
    with write_text(path, "csv") as file:
        rows = csv.writer(file)
        rows.writerow(names)

        def write(number: int, time: float, faces: Sequence[TrackedFace]) -> None:
            for face in faces:
                values = [*face.box, face.confidence, *face.landmarks.ravel()]
                rows.writerow([number, f"{time:.6f}", face.id, *(f"{value:.3f}" for value in values)])

        yield write


def draw_tracked(frame: Pixels, faces: Sequence[TrackedFace]) -> Pixels:
    """Draw landmarks, boxes and ids of tracked faces on a copy of a frame in BGR, one color per id."""
    from ert.plotting.landmarks import draw_landmarks

    if not faces:
        return frame
    drawn = draw_landmarks(
        frame[..., ::-1],
        [face.landmarks for face in faces],
        np.array([face.box for face in faces]),
        colors=[_COLORS[face.id % len(_COLORS)] for face in faces],
        labels=[str(face.id) for face in faces],
        min_size=1,
    )
    return np.ascontiguousarray(drawn[..., ::-1])


def open_outputs(
    stack: ExitStack, video: str | None, table: str | None, size: tuple[int, int], rate: float, n_landmarks: int
) -> tuple[Any, Any]:
    """Return the writers of a video and a table, which the stack closes; None for those without a path."""
    frames = stack.enter_context(video_writer(video, size, rate)) if video else None
    rows = stack.enter_context(face_table(table, n_landmarks)) if table else None
    return frames, rows
