"""
Average face
============

Average the faces of several photos, their shapes and their pixels: ``python average_face.py [PHOTO ...]``.

The faces are those of the astronaut Eileen Collins (NASA), the computer scientist Grace Hopper (US Navy) and the Mona
Lisa (Leonardo da Vinci); all three pictures are in the public domain.
"""

import sys
from pathlib import Path

import ert
from ert.plotting.landmarks import contact_sheet, save_image

pictures = Path(__file__).parent / "pictures"
photos = sys.argv[1:] or [ert.sample_image(), pictures / "hopper.jpg", pictures / "mona_lisa.jpg"]
images, landmarks = [], []
for photo in photos:
    image = ert.load_image(photo)
    for face in ert.align(image, mode="accurate", min_confidence=0.5):
        images.append(image)
        landmarks.append(face.landmarks)

average = ert.average_face(images, landmarks, 512, padding=0.35)
chips = [ert.chip(*pair, 512, padding=0.35).image for pair in zip(images, landmarks, strict=True)]
captions = [*(f"face {number}" for number in range(1, len(chips) + 1)), "average"]
save_image("average_face.png", contact_sheet([*chips, average.image], min(4, len(captions)), captions, tile_size=400))
