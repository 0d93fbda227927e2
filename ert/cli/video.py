"""What `ert video` and `ert webcam` do."""

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import numpy as np

from ert._core.exceptions import InputError
from ert._core.files import check_writable
from ert.cli.commands import compiling_notice, log

if TYPE_CHECKING:
    from ert.tracking.tracker import Tracker
    from ert.tracking.video import VideoReader

__all__ = [
    "run_video",
    "run_webcam",
]


_WINDOW = "ert webcam - q or Esc ends"


def run_video(options: argparse.Namespace) -> int:
    """Track the faces of a video: an annotated copy, a table, a line that sums up.

    Interrupted, it keeps what it has done so far.
    """
    from ert.tracking.video import VideoReader

    _check_outputs(options)
    if options.out and Path(options.out).exists() and Path(options.out).samefile(options.video):
        raise InputError(f"{options.out}: is the video to read, expected another file")
    with VideoReader(options.video) as reader:
        return _track(reader, options, window=False)


def run_webcam(options: argparse.Namespace) -> int:
    """Track the faces that a camera sees, in a window where OpenCV has any, until q, Esc or Ctrl-C."""
    from ert.tracking.video import VideoReader

    _check_outputs(options)
    with VideoReader(options.camera) as reader:
        window = _open_window()
        if not window and not (options.out or options.csv):
            raise InputError(
                f"{reader.name}: this OpenCV shows no windows (opencv-python does): give --out or --csv"
            )
        try:
            status = _track(reader, options, window=window)
        finally:
            if window:
                import cv2

                cv2.destroyAllWindows()
    # Ctrl-C is how one ends it.
    return 0 if status == 130 else status


def _check_outputs(options: argparse.Namespace) -> None:
    from ert.tracking.video import check_video_file

    if options.out:
        check_video_file(options.out)
    if options.csv:
        check_writable(options.csv)


def _tracker(reader: "VideoReader", options: argparse.Namespace) -> "Tracker":
    from ert.tracking.tracker import Tracker

    tracker = Tracker(
        options.model,
        detector=options.detector,
        smooth=not options.raw,
        max_faces=options.max_faces,
        detect_every=options.detect_every,
        detect_size=options.detect_size,
        rate=reader.rate,
        channel_order="bgr",
    )
    with compiling_notice():
        tracker.update(np.zeros((64, 64, 3), np.uint8))
        tracker.model.warm_up(rotated=True)
    tracker.reset()
    return tracker


def _track(reader: "VideoReader", options: argparse.Namespace, *, window: bool) -> int:
    from tqdm import tqdm

    from ert.tracking.video import draw_tracked, open_outputs

    tracker = _tracker(reader, options)
    n_frames, ids, spent, status, cut_short = 0, set(), 0.0, 0, False
    with ExitStack() as stack:
        write, tell = open_outputs(
            stack, options.out, options.csv, reader.size, reader.rate, tracker.model.n_landmarks_
        )
        bar = stack.enter_context(
            tqdm(total=reader.n_frames, unit="frame", disable=not sys.stderr.isatty(), leave=False)
        )
        try:
            for time, frame in reader:
                begin = monotonic()
                faces = tracker.update(frame, time)
                spent += monotonic() - begin
                ids |= {face.id for face in faces}
                if write is not None or window:
                    drawn = draw_tracked(frame, faces)
                if write is not None:
                    write(drawn)
                if tell is not None:
                    tell(n_frames, time, faces)
                n_frames += 1
                bar.update()
                if (window and _shown(drawn)) or (options.seconds and time >= options.seconds):
                    break
            else:
                cut_short = True
        except KeyboardInterrupt:
            status = 130
    ended = "interrupted after " if status else ""
    if cut_short and reader.n_frames is not None and n_frames < 0.95 * reader.n_frames:
        log(f"ert: {reader.name}: damaged or cut short: {n_frames} of {reader.n_frames} frames could be read")
    written = "".join(f" -> {file}" for file in (options.out, options.csv) if file)
    faces_found = f"{len(ids)} face{'s' * (len(ids) != 1)}"
    rate = f"{n_frames / max(spent, 1e-9):.0f} frames a second without reading, drawing and writing"
    log(f"{reader.name}: {ended}{n_frames} frames, {faces_found}, {rate}{written}")
    return status


def _open_window() -> bool:
    import cv2

    try:
        cv2.namedWindow(_WINDOW)
    except cv2.error:
        return False
    return True


def _shown(frame: Any) -> bool:
    """Show a frame; tell whether a key says that it is enough."""
    import cv2

    cv2.imshow(_WINDOW, frame)
    return cv2.waitKey(1) & 0xFF in (ord("q"), 27)
