"""
Tracking in video
=================

Track the faces of a video, by default one in which a camera moves over a wall: ``python video_tracking.py [VIDEO]``.

Each face keeps its id and its color, and its landmarks are smoothed over time. On the command line:
``ert video in.mp4 --out out.mp4 --csv landmarks.csv``.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

import ert
from ert.tracking.video import VideoReader, draw_tracked, video_writer

SIZE = (480, 320)


def make_clip(file, n_frames=60):
    """Write a clip: a view that moves and rotates over a picture of portraits, with sensor noise."""
    wall = Image.open(Path(__file__).parent / "pictures/wall.jpg")
    rng = np.random.default_rng(0)
    with video_writer(file, SIZE, 30) as write:
        for k in range(n_frames):
            share = k / (n_frames - 1)
            center = np.array([290 + 900 * share, 235 + 15 * np.sin(9 * share)])
            angle, zoom = 0.12 * np.sin(6 * share), 1.2 + 0.1 * np.sin(12 * share)
            turn = zoom * np.array([(np.cos(angle), -np.sin(angle)), (np.sin(angle), np.cos(angle))])
            corner = center - turn @ np.divide(SIZE, 2)
            matrix = (*turn[0], corner[0], *turn[1], corner[1])
            view = np.array(wall.transform(SIZE, Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC))
            noisy = np.clip(view + rng.normal(0, 2, view.shape), 0, 255).astype(np.uint8)
            write(np.ascontiguousarray(noisy[..., ::-1]))


if len(sys.argv) < 2:
    make_clip("clip.avi")
frames, ids = [], set()
tracker = ert.Tracker(channel_order="bgr")
with VideoReader(sys.argv[1] if len(sys.argv) > 1 else "clip.avi") as reader:
    for number, (time, frame) in enumerate(reader):
        faces = tracker.update(frame, time)
        ids |= {face.id for face in faces}
        if number % 4 == 0 and len(frames) < 15:
            frames.append(Image.fromarray(draw_tracked(frame, faces)[..., ::-1]))
print(f"{number + 1} frames, {len(ids)} faces")
# One palette, so that the colors do not change from frame to frame.
palette = Image.fromarray(np.hstack(frames[::5])).quantize(192, kmeans=1)
frames = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
frames[0].save("tracked.gif", save_all=True, append_images=frames[1:], duration=200, loop=0)
