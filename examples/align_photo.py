"""
Landmarks of a photo
====================

Detect the faces in a photo, locate their 68 landmarks and draw them: ``python align_photo.py [PHOTO]``.
"""

import sys

import ert
from ert.plotting.landmarks import draw_landmarks, save_image

photo = sys.argv[1] if len(sys.argv) > 1 else ert.sample_image()
faces = ert.align(photo)
for face in faces:
    print(face, "nose tip", face.landmarks[30].round(2))
image = ert.load_image(photo)
drawn = draw_landmarks(image, [face.landmarks for face in faces], [face.box for face in faces])
save_image("aligned.png", drawn)
