"""
From one face to the next
=========================

An animation in which each face turns into the next one: ``python morph.py [PHOTO ...]``.

Halfway between two faces, both images are warped to the mean of their landmarks and mixed. The faces are those of the
Mona Lisa (Leonardo da Vinci), Eileen Collins (NASA) and Grace Hopper (US Navy), all in the public domain.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

import ert

SIZE, N_STEPS = 288, 8

pictures = Path(__file__).parent / "pictures"
photos = sys.argv[1:] or [pictures / "mona_lisa.jpg", ert.sample_image(), pictures / "hopper.jpg"]
chips = []
for photo in photos:
    image = ert.load_image(photo)
    for face in ert.align(image, mode="accurate", min_confidence=0.5):
        cut = ert.chip(image, face.landmarks, SIZE, padding=0.4)
        chips.append((cut.image, cut.to_chip(face.landmarks)))

frames, milliseconds = [], []
for (first, first_shape), (second, second_shape) in zip(chips, [*chips[1:], chips[0]], strict=True):
    for step in range(N_STEPS):
        share = (1 - np.cos(np.pi * step / N_STEPS)) / 2  # slow at both ends
        shape = (1 - share) * first_shape + share * second_shape
        warped = (1 - share) * ert.warp(first, first_shape, shape) + share * ert.warp(second, second_shape, shape)
        frames.append(Image.fromarray(np.rint(warped).astype(np.uint8)))
        milliseconds.append(80 if step else 900)
# One palette, so that the colors do not change from frame to frame.
palette = Image.fromarray(np.hstack(frames[::N_STEPS])).quantize(224, kmeans=1)
frames = [frame.quantize(palette=palette) for frame in frames]
frames[0].save("morph.gif", save_all=True, append_images=frames[1:], duration=milliseconds, loop=0)
