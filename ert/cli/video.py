"""``ert video`` and ``ert webcam``: track the faces of a video or a camera."""

import argparse
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from time import monotonic
from typing import Any, NamedTuple

import numpy as np

from ert._core.exceptions import InputError, counted
from ert._core.files import claim
from ert._core.runtime import count_threads, uninterrupted
from ert._core.threads import map_in_threads, read_ahead
from ert._core.types import Pixels
from ert.cli import common
from ert.cli.parser import Parser
from ert.tracking.tracker import TrackedFace, Tracker
from ert.tracking.video import VideoReader, check_video_file, draw_tracked, open_outputs

_WINDOW = "ert webcam - press q or Esc to quit"
# A video is reported as truncated if fewer of its frames can be read.
MIN_READABLE_FRACTION = 0.95


class _Tracked(NamedTuple):
    time: float
    faces: Sequence[TrackedFace]
    frame: Pixels


def add_video_options(parser: Parser) -> None:
    """Add the options."""
    parser.add_argument("video", metavar="VIDEO", help="video file, of any format that OpenCV reads")
    _add_tracking_options(parser)
    text = "threads: frames are read, tracked, drawn and written at the same time, unless 1"
    common.add_jobs(parser, text=text)


def add_webcam_options(parser: Parser) -> None:
    """Add the options."""
    parser.add_argument("--camera", type=int, default=0, metavar="N", help="number of the camera (default: 0)")
    _add_tracking_options(parser)


def _add_tracking_options(parser: Parser) -> None:
    add = parser.add_argument
    add("--out", metavar="FILE", help="write an annotated video: .mp4, .mkv or .avi")
    add("--csv", metavar="FILE", help="write a row for each face in each frame: frame,time,id,left,...,x0,y0,...")
    common.add_model(parser)
    common.add_detector(parser)
    every = "time between runs of the detector while no face is lost (default: 3)"
    add("--detect-every", type=float, default=3.0, metavar="SECONDS", help=every)
    size = "longest side of the frame for the detector; a larger one finds smaller faces (default: 320)"
    add("--detect-size", type=int, default=320, metavar="PIXELS", help=size)
    add("--max-faces", type=int, metavar="N", help="track at most N faces, the largest first")
    add("--raw", action="store_true", help="do not smooth the landmarks over time")
    common.add_force(parser)
    add("--seconds", type=float, metavar="S", help="stop after S seconds of video")


def run_video(options: argparse.Namespace) -> int:
    """Track the faces in a video and write an annotated video or a table of landmarks.

    An interrupted run keeps what it has written.

    ert video clip.mp4 --out annotated.mp4
    ert video clip.mp4 --csv landmarks.csv --max-faces 1
    """
    _check_outputs(options)
    n_threads = count_threads(options.jobs)
    with VideoReader(options.video) as reader:
        return _track(reader, options, window=False, n_threads=n_threads)


def run_webcam(options: argparse.Namespace) -> int:
    """Track the faces that a camera sees and show them in a window.

    Press q, Esc or Ctrl-C to stop.

    ert webcam
    ert webcam --camera 1 --csv landmarks.csv --seconds 30
    """
    _check_outputs(options)
    with VideoReader(options.camera) as reader:
        window = _open_window()
        if not window and not (options.out or options.csv):
            raise InputError(
                f"{reader.name}: this OpenCV cannot open windows (opencv-python can), expected --out or --csv"
            )
        try:
            status = _track(reader, options, window=window)
        finally:
            if window:
                import cv2

                cv2.destroyAllWindows()
    # Ctrl-C is a normal way to stop it.
    return 0 if status == 130 else status


def _check_outputs(options: argparse.Namespace) -> None:
    if options.out:
        check_video_file(options.out)
        claim(options.out, "video", "--out")
    if options.csv:
        claim(options.csv, "csv", "--csv")


def _track(reader: VideoReader, options: argparse.Namespace, *, window: bool, n_threads: int = 1) -> int:
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
    tracker.model.warm_up(rotated=True)
    tracker.update(np.zeros((64, 64, 3), np.uint8))
    tracker.reset()
    n_frames, ids, status, at_end, begin = 0, set(), 0, False, monotonic()
    with ExitStack() as stack:
        write, write_row = open_outputs(
            stack, options.out, options.csv, reader.size, reader.rate, tracker.model.n_landmarks_
        )
        update = stack.enter_context(common.progress(reader.n_frames, "frame"))
        frames = _tracked_frames(reader, tracker, draw=write is not None or window, n_threads=n_threads)
        try:
            for time, faces, frame in stack.enter_context(closing(frames)):
                ids |= {face.id for face in faces}
                # A frame and its rows are written together, or neither.
                with uninterrupted():
                    if write is not None:
                        write(frame)
                    if write_row is not None:
                        write_row(n_frames, time, faces)
                    n_frames += 1
                update()
                if (window and _show(frame)) or (options.seconds and time >= options.seconds):
                    break
            else:
                at_end = True
        except KeyboardInterrupt:
            status = 130
    ended = "interrupted after " if status else ""
    if at_end and reader.n_frames is not None and n_frames < MIN_READABLE_FRACTION * reader.n_frames:
        common.log(f"ert: {reader.name}: corrupt or truncated: {n_frames} of {reader.n_frames} frames could be read")
    written = "".join(f" -> {file}" for file in (options.out, options.csv) if file)
    faces_found = counted(len(ids), "face")
    rate = f"{n_frames / max(monotonic() - begin, 1e-9):.0f} frames per second"
    common.log(f"{reader.name}: {ended}{counted(n_frames, 'frame')}, {faces_found}, {rate}{written}")
    return status


def _tracked_frames(
    reader: Iterable[tuple[float, Pixels]], tracker: Tracker, *, draw: bool, n_threads: int
) -> Generator[_Tracked, None, None]:
    """Yield each frame with its faces; they are drawn on it if `draw`."""

    def track(frames: Iterable[tuple[float, Pixels]]) -> Iterator[_Tracked]:
        for time, frame in frames:
            yield _Tracked(time, tracker.update(frame, time), frame)

    def drawn(tracked: _Tracked) -> _Tracked:
        return tracked._replace(frame=draw_tracked(tracked.frame, tracked.faces)) if draw else tracked

    if n_threads == 1:
        yield from map(drawn, track(reader))
        return
    # Closed in this order, whatever happens: while a thread reads, the video must not be closed.
    with (
        closing(read_ahead(reader)) as frames,
        closing(read_ahead(track(frames))) as tracked,
        closing(map_in_threads(drawn, tracked, n_threads if draw else 1)) as results,
    ):
        yield from results


def _open_window() -> bool:
    import cv2

    try:
        cv2.namedWindow(_WINDOW)
    except cv2.error:
        return False
    return True


def _show(frame: Any) -> bool:
    """Show a frame, and return whether q or Esc was pressed."""
    import cv2

    cv2.imshow(_WINDOW, frame)
    return cv2.waitKey(1) & 0xFF in (ord("q"), 27)
