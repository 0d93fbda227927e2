"""
Train your own model
====================

Train a model of your own landmarks, here five of drawn faces: ``python train_your_own.py``.

The picture shows faces that the model has not seen: its landmarks as orange dots, the true ones as white rings.
"""

import numpy as np
from PIL import Image, ImageDraw

import ert
from ert.datasets.synthetic import synthetic_faces
from ert.plotting.landmarks import contact_sheet, save_image

images, boxes, landmarks = synthetic_faces(300, seed=0)
X = list(zip(images, boxes, strict=True))  # pairs of image (array or path) and box
y = landmarks[:, [36, 39, 42, 45, 33]]  # (n, n_landmarks, 2): x, y in pixels; NaN = missing

names = ["right_outer", "right_inner", "left_inner", "left_outer", "nose"]
model = ert.ShapePredictor(n_stages=5, n_trees=100, mirror=[3, 2, 1, 0, 4])
model.fit(X[:250], y[:250], validation=(X[250:], y[250:]), landmark_names=names)
model.save("five_points.ert")

found = ert.load("five_points.ert").predict(X[250:])
errors = np.linalg.norm(found - y[250:], axis=2).mean(axis=1)
print(f"mean error on 50 unseen faces: {errors.mean():.2f} pixels")

thumbnails, captions = [], []
for k in range(8):
    picture = Image.fromarray(X[250 + k][0]).convert("RGB").resize((384, 384), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(picture)
    for (u, v), (x_found, y_found) in zip(3 * y[250 + k] + 1, 3 * found[k] + 1, strict=True):
        pen.ellipse((u - 10, v - 10, u + 10, v + 10), None, "white", 3)
        pen.ellipse((x_found - 5, y_found - 5, x_found + 5, y_found + 5), "#ff9e1b", "black")
    thumbnails.append(np.array(picture))
    captions.append(f"error {errors[k]:.2f} pixels")
save_image("five_points.png", contact_sheet(thumbnails, 4, captions, tile_size=320))
