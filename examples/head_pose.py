"""
Head pose
=========

Yaw, pitch and roll of heads, drawn as axes: ``python head_pose.py [PHOTO]``.

The axes start at the tip of the nose and point to the subject's left (red), up (green) and forward (blue).

The wall is composed of a painting (Leonardo da Vinci, Mona Lisa) and two photos (Eileen Collins, NASA; Grace Hopper, US
Navy), all in the public domain, and of three drawn faces.
"""

import sys
from pathlib import Path

import ert
from ert.plotting.landmarks import contact_sheet, crop_thumbnail, draw_poses, object_view, save_image

photo = sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "pictures/wall.jpg"
image = ert.load_image(photo)
thumbnails, captions = [], []
for face in sorted(ert.align(image, mode="accurate", min_confidence=0.5), key=lambda face: face.box[0]):
    pose = ert.head_pose(face.landmarks, image.shape)
    side = "left" if pose.yaw > 0 else "right"  # the subject's
    up = "up" if pose.pitch > 0 else "down"
    print(f"yaw {pose.yaw:+.1f} (to its {side}), pitch {pose.pitch:+.1f} ({up}), roll {pose.roll:+.1f} degrees")
    drawn = draw_poses(image, [pose], min_size=2 * max(image.shape))
    left, top, size = object_view(face.landmarks, face.box)
    thumbnails.append(crop_thumbnail(drawn, (2 * left - size, 2 * top - size, 4 * size), 400))
    yaw, pitch, roll = map(round, (pose.yaw, pose.pitch, pose.roll))
    captions.append(f"yaw {yaw:+}°, pitch {pitch:+}°, roll {roll:+}°")
save_image("head_pose.png", contact_sheet(thumbnails, 3, captions, tile_size=400))
