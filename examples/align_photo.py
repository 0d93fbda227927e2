"""Find the faces of a photo and their 68 landmarks, and draw them: python align_photo.py [PHOTO]."""

import sys

import ert
from ert.plotting.landmarks import draw_landmarks, save_image

photo = sys.argv[1] if len(sys.argv) > 1 else ert.sample_image()
faces = ert.align(photo)
for face in faces:
    print("box", face.box.round(1), "nose tip", face.landmarks[30].round(2))
image = ert.load_image(photo)
save_image(
    "aligned.png", draw_landmarks(image, [face.landmarks for face in faces], [face.box for face in faces])
)
