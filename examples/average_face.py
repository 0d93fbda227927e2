"""
Average face
============

Average the faces of photos, or a single face and its mirror image: ``python average_face.py [PHOTO ...]``.
"""

import sys

import numpy as np

import ert
from ert.plotting.landmarks import contact_sheet, save_image

images, landmarks = [], []
for photo in sys.argv[1:] or [ert.sample_image()]:
    image = ert.load_image(photo)
    for face in ert.align(image):
        images.append(image)
        landmarks.append(face.landmarks)
if len(images) == 1:
    mirrored = np.ascontiguousarray(images[0][:, ::-1])
    images.append(mirrored)
    landmarks.append(ert.align(mirrored)[0].landmarks)
average = ert.average_face(images, landmarks, 512, padding=0.3)
chips = [ert.chip(*pair, 512, padding=0.3).image for pair in zip(images, landmarks, strict=True)]
captions = [*("face" for _ in chips), "average"]
save_image("average_face.png", contact_sheet([*chips, average.image], 3, captions))
