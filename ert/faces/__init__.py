"""Face detection, alignment, head pose, regions, blinks, and crops.

Functions that share the name of their module, such as ``ert.faces.align``, are the functions.

>>> import ert
>>> image = ert.load_image(ert.sample_image())
>>> face = ert.align(image)[0]
>>> ert.regions(face.landmarks)["outer_lips"].shape
(12, 2)
>>> bool(ert.eye_aspect_ratio(face.landmarks).mean() > 0.2)  # open eyes
True
>>> pose = ert.head_pose(face.landmarks, image.shape)
>>> abs(pose.yaw) < 30  # degrees
True
>>> ert.chip(image, face.landmarks, size=112).image.shape  # upright, the eyes at fixed positions
(112, 112, 3)
"""

from ert.faces.align import AlignedFace, Faces, align, to_dataframe
from ert.faces.detection import detect_faces
from ert.faces.eyes import close_eyes
from ert.faces.pose import HeadPose, head_pose
from ert.faces.regions import BlinkCounter, eye_aspect_ratio, mouth_opening, regions
from ert.faces.warp import AverageFace, Chip, average_face, chip, triangles, warp

__all__ = [
    "AlignedFace",
    "AverageFace",
    "BlinkCounter",
    "Chip",
    "Faces",
    "HeadPose",
    "align",
    "average_face",
    "chip",
    "close_eyes",
    "detect_faces",
    "eye_aspect_ratio",
    "head_pose",
    "mouth_opening",
    "regions",
    "to_dataframe",
    "triangles",
    "warp",
]
