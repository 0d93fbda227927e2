"""
Landmarks of a photo
====================

Detect the faces in a photo, locate their 68 landmarks and draw them: ``python align_photo.py [PHOTO]``.

The second picture has the numbers of the landmarks, counted from 0 in the order of the iBUG scheme. The photo is the
portrait of the astronaut Eileen Collins (NASA, public domain), which comes with the library.
"""

import sys

import ert
from ert.plotting.landmarks import contact_sheet, object_thumbnail, save_image

photo = sys.argv[1] if len(sys.argv) > 1 else ert.sample_image()
image = ert.load_image(photo)
faces = ert.align(image)
for face in faces:
    print(face, "nose tip", face.landmarks[30].round(2))

drawn = [object_thumbnail(image, face.box, [face.landmarks], [None], 640) for face in faces]
save_image("aligned.png", contact_sheet(drawn, 2, tile_size=640))

numbers = [str(k) for k in range(68)]
numbered = [object_thumbnail(image, face.box, [face.landmarks], ["#ffc857"], 1000, numbers) for face in faces]
save_image("aligned_numbers.png", contact_sheet(numbered, 2, tile_size=1000))
