"""
Turned faces
============

Find faces at any roll, even upside down: ``python turned_faces.py [PHOTO ...]``.

Detectors find upright faces. With ``any_roll=True`` the photo is searched at twelve rolls, and the roll of each face is
returned. Here, each photo is rotated by another angle, which the search does not get. What it finds differs from the
angle by the roll that the face already has in the photo, and by the error.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

import ert
from ert.plotting.landmarks import contact_sheet, draw_landmarks, save_image

pictures = Path(__file__).parent / "pictures"
photos = sys.argv[1:] or [pictures / "mona_lisa.jpg", ert.sample_image(), pictures / "hopper.jpg"]
thumbnails, captions = [], []
for number, angle in enumerate(range(0, 360, 45)):
    photo = ert.load_image(photos[number % len(photos)])
    upright = ert.align(photo)[0]
    # A round picture around the face, rotated clockwise by the angle.
    (x, y), side = upright.landmarks.mean(axis=0), 1.8 * upright.box[2]
    square = Image.fromarray(photo).crop(tuple(np.rint([x - side / 2, y - side / 2, x + side / 2, y + side / 2])))
    turned = np.array(square.resize((320, 320), Image.Resampling.BICUBIC).rotate(-angle, Image.Resampling.BICUBIC))
    column, row = np.meshgrid(np.arange(320) - 159.5, np.arange(320) - 159.5)
    turned[np.hypot(column, row) > 158] = (22, 24, 29)
    found = ert.align(turned, any_roll=True, min_confidence=0.5)
    thumbnails.append(draw_landmarks(turned, [face.landmarks for face in found], min_size=640))
    captions.append(f"rotated by {angle}°, found: " + ", ".join(f"{face.roll % 360:.0f}°" for face in found))
save_image("turned_faces.png", contact_sheet(thumbnails, 4, captions, tile_size=360))
