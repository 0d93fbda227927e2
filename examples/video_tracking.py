"""
Tracking in video
=================

Track a face in a video, by default a clip made from one photo: ``python video_tracking.py [VIDEO]``.
"""

import sys

import numpy as np
from PIL import Image

import ert
from ert.plotting.landmarks import contact_sheet, save_image
from ert.tracking.video import VideoReader, draw_tracked, video_writer


def make_clip(file, n_frames=60):
    """Pan, zoom and rotate the sample image, with sensor noise."""
    photo = Image.fromarray(ert.load_image(ert.sample_image()))
    rng = np.random.default_rng(0)
    with video_writer(file, (320, 240), 30) as write:
        for k in range(n_frames):
            swing = np.sin(2 * np.pi * k / n_frames)
            cos, sin = (0.8 - 0.2 * swing) * np.cos(0.2 * swing), (0.8 - 0.2 * swing) * np.sin(0.2 * swing)
            left, top = 225 + 30 * swing - 160 * cos + 120 * sin, 115 - 160 * sin - 120 * cos
            matrix = (cos, -sin, left, sin, cos, top)
            view = np.array(photo.transform((320, 240), Image.Transform.AFFINE, matrix))
            noisy = np.clip(view + rng.normal(0, 4, view.shape), 0, 255).astype(np.uint8)
            write(np.ascontiguousarray(noisy[..., ::-1]))


if len(sys.argv) < 2:
    make_clip("clip.avi")
thumbnails, ids = [], set()
tracker = ert.Tracker(channel_order="bgr")
with VideoReader(sys.argv[1] if len(sys.argv) > 1 else "clip.avi") as reader:
    for number, (time, frame) in enumerate(reader):
        faces = tracker.update(frame, time)
        ids |= {face.id for face in faces}
        if number % 10 == 5 and len(thumbnails) < 12:
            thumbnails.append(draw_tracked(frame, faces)[..., ::-1])
print(f"{number + 1} frames, {len(ids)} face")
save_image("tracked.png", contact_sheet(thumbnails, 3))
