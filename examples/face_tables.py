"""Landmarks by region, as a table, and as arrays for supervision: python face_tables.py [PHOTO]."""

import sys

import numpy as np

import ert

faces = ert.align(sys.argv[1] if len(sys.argv) > 1 else ert.sample_image())

for name, points in ert.regions(faces[0].landmarks).items():
    print(f"{name}: {len(points)} points, centre at {points.mean(axis=0).round(1)}")

table = ert.to_dataframe(faces)  # needs pandas
print(table.groupby(["face", "region"])[["x", "y"]].mean().round(1))
table.to_csv("landmarks.csv", index=False)

# With supervision installed: supervision.KeyPoints(**key_points) draws them and follows them.
key_points = {
    "xy": np.array([face.landmarks for face in faces], np.float32),  # (n faces, 68, 2)
    "class_id": np.zeros(len(faces), int),
}
print({name: array.shape for name, array in key_points.items()})
