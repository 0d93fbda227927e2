"""What only real photographs can show; skipped where ../shared/data is not there."""

import numpy as np

import ert
from ert.metrics import nme


def test_the_bundled_model_locates_real_faces(shared):
    """Faces it was trained on, with both detectors' boxes: a guard against damage, not a figure to quote."""
    for boxes in ("dlib", "haar"):
        table = f"{shared / '300w' / 'boxes.csv'}:{boxes}"
        faces = ert.load_dataset(shared / "300w" / "helen" / "trainset", boxes=table).subset(slice(100))
        predicted = ert.load("face68").predict(faces.X, n_jobs=-1)
        assert nme(faces.y, predicted, "inter-pupil").mean() < 5


def test_a_small_cascade_learns_wings_with_twelve_points(shared):
    """Any object: fly wings, whose points are counted from the bottom of the picture."""
    lines = (shared / "wings" / "landmark-examples" / "tps-example.tps").read_text().split("LM=")[1:]
    X, y = [], []
    for block in lines:
        rows = block.split()
        n, points = int(rows[0]), np.array(rows[1:25], dtype=float).reshape(-1, 2)
        name = next(row for row in rows if row.startswith("IMAGE=")).split("=")[1]
        image = ert.load_image(next((shared / "wings").rglob(name)))
        points[:, 1] = image.shape[0] - points[:, 1]
        X.append((image, (0, 0, image.shape[1], image.shape[0])))
        y.append(points[:n])
    y = np.array(y)
    model = ert.ShapePredictor(n_stages=5, n_trees=100, n_inits=20, shift_jitter=0.03, normalizer="diagonal")
    model.fit(X[:45], y[:45])
    untrained = np.tile(y[:45].mean(axis=0), (len(X) - 45, 1, 1))
    assert -model.score(X[45:], y[45:]) < 0.6 * nme(y[45:], untrained, "diagonal").mean()
