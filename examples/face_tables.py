"""
Regions and data frames
=======================

Landmarks by region, and as a pandas DataFrame: ``python face_tables.py [PHOTO]``.
"""

import sys

import ert

faces = ert.align(sys.argv[1] if len(sys.argv) > 1 else ert.sample_image())

for name, points in ert.regions(faces[0].landmarks).items():
    print(f"{name}: {len(points)} landmarks, center at {points.mean(axis=0).round(1)}")

table = ert.to_dataframe(faces)  # needs pandas
print(table.groupby(["face", "region"])[["x", "y"]].mean().round(1))
table.to_csv("landmarks.csv", index=False)
