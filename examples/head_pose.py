"""
Head pose
=========

Yaw, pitch and roll of heads, drawn as axes: ``python head_pose.py [PHOTO]``.
"""

import sys

import ert
from ert.plotting.landmarks import draw_poses, save_image

photo = sys.argv[1] if len(sys.argv) > 1 else ert.sample_image()
image = ert.load_image(photo)
poses = [ert.head_pose(face.landmarks, image.shape) for face in ert.align(photo)]
for pose in poses:
    side = "left" if pose.yaw > 0 else "right"  # the subject's
    up = "up" if pose.pitch > 0 else "down"
    print(f"yaw {pose.yaw:+.1f} (to its {side}), pitch {pose.pitch:+.1f} ({up}), roll {pose.roll:+.1f} degrees")
save_image("head_pose.png", draw_poses(image, poses))
