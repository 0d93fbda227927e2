"""Simulate a person who annotates photos with the help of `ert annotate`, and count the actions.

    python benchmarks/annotation_help.py --data ../shared/data
    python benchmarks/annotation_help.py --data ../shared/data --only shells --seeds 1

See the function `simulate` for what counts as an action.
"""

import hashlib
import json
import time
from pathlib import Path

import common
import numpy as np
import objects

FIRST_AT, GROWTH = 10, 1.5


class Photos:
    """A dataset with its images, and what models of any of its photos propose for all others, kept in a folder."""

    def __init__(self, name, dataset, folder):
        from ert.annotation.assistance.proposals import object_sizes
        from ert.pipeline.boxes import DetectedFaces

        self.name, self.dataset, self.folder = name, dataset, folder
        self.sizes = object_sizes(dataset.landmarks, dataset.boxes)
        self.faces = DetectedFaces("auto")
        self.images = {}
        folder.mkdir(parents=True, exist_ok=True)

    def image(self, i):
        import ert

        if i not in self.images:
            self.images[i] = ert.load_image(self.dataset.files[i])
        return self.images[i]

    def proposals(self, done, validate):
        """Return landmarks, standard errors and confidence (n, ...) proposed by a model of the photos done."""
        from ert.annotation.assistance.proposals import propose
        from ert.annotation.assistance.trainer import train_on

        text = json.dumps([self.name, sorted(done), validate])
        file = self.folder / f"{hashlib.sha256(text.encode()).hexdigest()[:20]}.npz"
        if file.exists():
            return dict(np.load(file))
        begin = time.process_time()
        trained = train_on(self.dataset.subset(sorted(done)), n_jobs=1, detector=self.faces, validate=validate)
        seconds = time.process_time() - begin
        shape = self.dataset.landmarks.shape
        landmarks, std, confidence = np.full(shape, np.nan), np.full(shape[:2], np.nan), np.zeros(shape[:2])
        for i in sorted(set(range(len(self.dataset))) - set(done)):
            detector = (lambda image, i=i: self.faces(self.dataset.files[i])) if trained.model.box_source_ == "face" else "auto"
            for one in propose(trained.model, self.image(i), trained.calibration, detector=detector):
                landmarks[i], std[i], confidence[i] = one.landmarks, one.std, one.confidence
        error = np.mean(list(trained.errors.values())) if trained.errors else np.nan
        found = {"landmarks": landmarks, "std": std, "confidence": confidence, "seconds": seconds, "error": error}
        np.savez_compressed(file, **found)
        return found


def simulate(photos, order, validate=False):
    """Annotate all photos; `order` chooses the next of those left."""
    from ert.annotation.assistance.proposals import is_off

    truth, n = photos.dataset.landmarks, len(photos.dataset)
    done, model, next_at, actions, corrected, seconds = [], None, FIRST_AT, [], [], 0.0
    models = []
    while len(done) < n:
        i = order(done, model)
        known = np.isfinite(truth[i]).all(axis=1)
        if model is None:
            points = int(known.sum())
        else:
            points = int(is_off(truth[i], model["landmarks"][i], photos.sizes[i])[known].sum())
        actions.append(1 + points)
        done.append(i)
        if len(done) >= next_at and len(done) < n:
            model = photos.proposals(done, validate)
            seconds += float(model["seconds"])
            models.append((len(done), float(model["error"]), i))
            next_at = max(len(done) + 1, round(GROWTH * len(done)))
    return {"actions": int(np.sum(actions)), "by photo": actions, "order": done, "seconds": seconds, "models": models}


def random_order(photos, seed):
    order = np.random.default_rng([seed, 17]).permutation(len(photos.dataset)).tolist()
    return lambda done, model: order[len(done)]


def load(data, name):
    if name == "300-W":
        raise SystemExit("later")
    return objects.load(data, name)[0]
