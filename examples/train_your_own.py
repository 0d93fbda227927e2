"""
Train your own model
====================

Train a model of your own landmarks, here the five of dlib's small model, on synthetic faces.
"""

import numpy as np

import ert
from ert.datasets.synthetic import synthetic_faces

images, boxes, landmarks = synthetic_faces(300, seed=0)
X = list(zip(images, boxes, strict=True))  # pairs of image (array or path) and box
y = landmarks[:, [36, 39, 42, 45, 33]]  # (n, n_landmarks, 2): x, y in pixels; NaN = missing

names = ["right_outer", "right_inner", "left_inner", "left_outer", "nose"]
model = ert.ShapePredictor(n_stages=5, n_trees=100, mirror=[3, 2, 1, 0, 4])
model.fit(X[:250], y[:250], validation=(X[250:], y[250:]), landmark_names=names)
model.save("five_points.ert")

error = np.linalg.norm(ert.load("five_points.ert").predict(X[250:]) - y[250:], axis=2).mean()
print(f"mean error on 50 unseen faces: {error:.2f} pixels")
