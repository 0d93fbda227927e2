"""
Landmarks of cephalograms
=========================

Train on X-rays of the head and measure the error of others in millimeters, as is usual for them: ``python
cephalograms.py TRAIN.csv TEST.csv``. Tables have the columns image, x0, y0, x1, y1, ...; the photos lie beside them.
Nothing but the photo is given at prediction. The data of the ISBI challenge of 2015 are for research, and not part of
this library; without arguments nothing is done.
"""

import sys

import numpy as np

import ert
from ert.plotting.landmarks import draw_landmarks, save_image

MM_PER_PIXEL = 0.25
RADII_MM = 2, 2.5, 3, 4


def errors_in_mm(model, dataset):
    """Return the distance of each landmark from the true one (n, n_landmarks), and the predictions."""
    found = list(ert.predict(model, dataset, scale=MM_PER_PIXEL))
    shapes = np.array([one.landmarks for one in found])
    return MM_PER_PIXEL * np.linalg.norm(shapes - dataset.landmarks, axis=2), found


if len(sys.argv) == 3:
    train, test = map(ert.load_dataset, sys.argv[1:])
    model = ert.train(train)
    model.save("cephalograms.ert")
    errors, found = errors_in_mm(model, test)
    print(f"mean radial error of {len(test)} X-rays: {errors.mean():.2f} mm; landmarks at most")
    for radius in RADII_MM:
        print(f"  {radius} mm from the true ones: {(errors <= radius).mean():.1%}")
    worst = int(errors.mean(axis=0).argmax())
    print(f"hardest landmark: {test.landmark_names[worst]}, {errors[:, worst].mean():.2f} mm")
    ert.write_predictions(found, "cephalograms.csv")
    save_image("cephalograms.png", draw_landmarks(ert.load_image(found[0].image), [found[0].landmarks]))
