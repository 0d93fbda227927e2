"""
Group photo
===========

Find all faces of a photo, and cut each one out upright: ``python group_photo.py [PHOTO]``.

Each face comes with a confidence, the probability that it is a face and that its landmarks are right. Detectors also
return boxes without a face, which ``min_confidence`` leaves out.

The wall is composed of a painting (Leonardo da Vinci, Mona Lisa) and two photos (Eileen Collins, NASA; Grace Hopper, US
Navy), all in the public domain, and of three drawn faces.
"""

import sys
from pathlib import Path

import ert
from ert.plotting.landmarks import contact_sheet, draw_landmarks, save_image

photo = sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "pictures/wall.jpg"
image = ert.load_image(photo)
faces = ert.align(image, mode="accurate", min_confidence=0.5)
faces.sort(key=lambda face: face.box[0])  # from left to right
for number, face in enumerate(faces, 1):
    print(number, face)

labels = [f"{number}: {face.confidence:.2f}" for number, face in enumerate(faces, 1)]
drawn = draw_landmarks(image, [face.landmarks for face in faces], [face.box for face in faces], labels=labels)
save_image("group_photo.png", drawn)

chips = [ert.chip(image, face.landmarks, 256, padding=0.35).image for face in faces]
captions = [f"{number}: turned by {round(face.roll)}°" for number, face in enumerate(faces, 1)]
save_image("group_photo_faces.png", contact_sheet(chips, len(chips), captions))
