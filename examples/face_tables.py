"""
Regions and data frames
=======================

Landmarks by region, and as a pandas DataFrame: ``python face_tables.py [PHOTO]``.

The painting is the Mona Lisa (Leonardo da Vinci, public domain).
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

import ert
from ert.plotting.landmarks import draw_landmarks, write_text

photo = sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "pictures/mona_lisa.jpg"
faces = ert.align(photo, min_confidence=0.5)

for name, points in ert.regions(faces[0].landmarks).items():
    print(f"{name}: {len(points)} landmarks, center at {points.mean(axis=0).round(1)}")

table = ert.to_dataframe(faces)  # needs pandas
print(table.groupby(["face", "region"])[["x", "y"]].mean().round(1))
table.to_csv("landmarks.csv", index=False)

upright = ert.chip(ert.load_image(photo), faces[0].landmarks, 720, padding=0.3)
landmarks = upright.to_chip(faces[0].landmarks)
picture = Image.fromarray(draw_landmarks(upright.image, [landmarks]))
scale = picture.width / len(upright.image)
for name, points in ert.regions(landmarks).items():
    if name != "inner_lips":
        x, low, high = scale * np.array([points[:, 0].mean(), points[:, 1].min(), points[:, 1].max()])
        y = low - 18 if "brow" in name else high + 34
        write_text(picture, (x, y), name.replace("_", " "), 22, "ms")
picture.save("regions.png")
