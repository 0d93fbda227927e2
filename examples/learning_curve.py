"""
How many photos are enough?
===========================

A learning curve: the error of new photos by the number of annotated ones, on drawn faces: ``python learning_curve.py``.

Where the curve still falls, more annotations help. ``ert train --cv 5 --learning-curve`` draws it for a dataset.
"""

import matplotlib.pyplot as plt
import numpy as np

import ert
from ert.datasets import synthetic_faces
from ert.metrics import nme
from ert.plotting.landmarks import object_thumbnail

COUNTS = (10, 20, 40, 80, 160, 320)

images, boxes, landmarks = synthetic_faces(COUNTS[-1] + 100, seed=0)
X = list(zip(images, boxes, strict=True))
new, truth = X[COUNTS[-1] :], landmarks[COUNTS[-1] :]
eyes = np.linalg.norm(truth[:, 36] - truth[:, 45], axis=1)  # distance of the outer corners

errors, found = [], []
for n in COUNTS:
    model = ert.ShapePredictor(n_stages=8, n_trees=60, n_inits=max(5, 1000 // n), mirror="face68", random_state=0)
    found.append(model.fit(X[:n], landmarks[:n]).predict(new))
    errors.append(nme(truth, found[-1], eyes))
    print(f"{n} faces: {errors[-1].mean():.2f} %")

with plt.style.context({"axes.spines.right": False, "axes.spines.top": False, "font.size": 11}):
    figure, axes = plt.subplots(1, 3, figsize=(13, 4.2), width_ratios=[1.5, 1, 1], layout="constrained")
    low, middle, high = np.percentile(errors, [25, 50, 75], axis=1)
    axes[0].fill_between(COUNTS, low, high, color="#56b4e9", alpha=0.3, label="half of the faces")
    axes[0].plot(COUNTS, middle, "o-", color="#0072b2", lw=2, label="median")
    axes[0].set(xscale="log", xlabel="annotated faces", ylim=(0, None))
    axes[0].set_ylabel("error of new faces, % of the eye distance")
    axes[0].set_xticks(COUNTS, map(str, COUNTS))
    axes[0].minorticks_off()
    axes[0].grid(color="#e3e6eb")
    axes[0].legend(frameon=False)
    example = int(errors[0].argsort()[-10])
    for ax, k in ((axes[1], 0), (axes[2], len(COUNTS) - 1)):
        shapes = [truth[example], found[k][example]]
        ax.imshow(object_thumbnail(*map(np.asarray, new[example]), shapes, ["white", "#e69f00"], 480))
        ax.set_title(f"trained on {COUNTS[k]} faces: {errors[k][example]:.1f} %")
        ax.axis("off")
    figure.savefig("learning_curve.png", dpi=110, bbox_inches="tight")
