"""
Confidence where a face is covered
==================================

Each landmark has a standard error, which grows where the face is covered: ``python occlusion.py [PHOTO]``.

A disc of paper covers more and more of the mouth. The red circles contain the true landmark with a probability of 50 %;
their radius is a multiple of the standard error, and they are largest at the mouth and the jaw. ``confidence`` is the
probability that the landmarks as a whole are right. The portrait is that of Grace Hopper (US Navy, public domain).
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

import ert
from ert.plotting.landmarks import contact_sheet, crop_thumbnail, draw_landmarks, save_image

SIZE = 480

photo = sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "pictures/hopper.jpg"
model = ert.load("face68")
left, top, width, _ = ert.align(photo)[0].box
# The face enlarged: its box and a margin.
view = (round(left - 0.3 * width), round(top - 0.25 * width), round(1.6 * width))
face = crop_thumbnail(ert.load_image(photo), view, SIZE)
box = np.array([0.3, 0.25, 1, 1]) * SIZE / 1.6
x, y = ert.align(face, boxes=[box], mode="accurate")[0].landmarks[48:].mean(axis=0)

thumbnails, captions = [], []
for radius in (0, 35, 50, 80):
    picture = Image.fromarray(face)
    if radius:
        outline = (x - radius, y - 0.8 * radius, x + radius, y + 0.8 * radius)
        ImageDraw.Draw(picture).ellipse(outline, "#5c7fb0")
    covered = np.array(picture)
    (found,) = ert.align(covered, boxes=[box], mode="accurate")
    thumbnails.append(draw_landmarks(covered, [found.landmarks], radii=[found.std * model.std_radius(0.5)]))
    eyes, mouth = found.std[36:48].mean(), found.std[48:].mean()
    captions.append(f"eyes ± {eyes:.0f} px, mouth ± {mouth:.0f} px")
    print(f"{captions[-1]}, confidence {found.confidence:.2f}")
save_image("occlusion.png", contact_sheet(thumbnails, 2, captions, tile_size=480))
