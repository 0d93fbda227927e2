"""Face tracking in videos: stable ids and smoothed landmarks.

The frames of a video are those of ``VideoReader("video.mp4")`` or of a camera; here, one image stands for each of them:

>>> import ert
>>> frame = ert.load_image(ert.sample_image())
>>> tracker = ert.Tracker()
>>> for number in range(3):
...     for face in tracker.update(frame, time=number / 30):
...         print(number, face.id, face.landmarks.shape)
0 0 (68, 2)
1 0 (68, 2)
2 0 (68, 2)
"""

from ert.tracking.tracker import TrackedFace, Tracker
from ert.tracking.video import VideoReader, draw_tracked, video_writer

__all__ = ["TrackedFace", "Tracker", "VideoReader", "draw_tracked", "video_writer"]
