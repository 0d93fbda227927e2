"""
A sunglasses filter
===================

Warp a drawing of sunglasses onto every face of a photo: ``python sunglasses.py [PHOTO]``.

Eight points of the drawing are moved to the eyes and the temples of each face, so that the glasses turn with the head.

The wall is composed of a painting (Leonardo da Vinci, Mona Lisa) and two photos (Eileen Collins, NASA; Grace Hopper, US
Navy), all in the public domain, and of three drawn faces.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

import ert
from ert.plotting.landmarks import save_image

# The glasses are drawn at four times their size and reduced, for smooth edges.
glasses = Image.new("RGBA", (2400, 1040), (20, 20, 24, 0))
pen = ImageDraw.Draw(glasses)
for left in (100, 1280):
    pen.rounded_rectangle((left, 160, left + 1020, 960), 330, (18, 20, 30, 235), (10, 10, 12, 255), 56)
    pen.line([(left + 250, 640), (left + 480, 330)], (150, 165, 190, 140), 70)
pen.arc((1060, 280, 1340, 560), 190, 350, (10, 10, 12, 255), 72)
pen.line([(0, 400), (160, 420)], (10, 10, 12, 255), 72)
pen.line([(2240, 420), (2400, 400)], (10, 10, 12, 255), 72)
glasses = np.array(glasses.reduce(4))
# Top and bottom of the glasses at four columns: temple, eye, eye, temple.
anchors = [(x, y) for y in (0, 259) for x in (0, 148, 452, 599)]

photo = sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "pictures/wall.jpg"
picture = ert.load_image(photo)
picture = np.stack([picture] * 3, axis=2) if picture.ndim == 2 else picture
for face in ert.align(photo, mode="accurate", min_confidence=0.5):
    parts = ert.regions(face.landmarks)
    right, left = parts["right_eye"].mean(axis=0), parts["left_eye"].mean(axis=0)
    down = (left - right)[::-1] * (-1, 1) / 304  # in pixels of the face per pixel of the glasses
    columns = [parts["jaw"][0], right, left, parts["jaw"][16]]
    targets = [column + (y - 115) * down for y in (0, 259) for column in columns]
    size = picture.shape[1::-1]
    color, alpha = (
        ert.warp(np.ascontiguousarray(layer), anchors, targets, size=size, border=False)
        for layer in (glasses[..., :3], glasses[..., 3])
    )
    weight = alpha[..., None] / 255
    picture = (weight * color + (1 - weight) * picture).astype(np.uint8)
save_image("sunglasses.png", picture)
