"""Face tracking in videos: stable ids and smoothed landmarks."""

from ert.tracking.tracker import TrackedFace, Tracker
from ert.tracking.video import VideoReader, draw_tracked, video_writer

__all__ = ["TrackedFace", "Tracker", "VideoReader", "draw_tracked", "video_writer"]
