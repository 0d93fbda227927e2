"""Simulate a person who annotates photos with the help of `ert annotate`, and count the actions.

    python benchmarks/annotation_help.py --data ../shared/data
    python benchmarks/annotation_help.py --data ../shared/data --only shells --seeds 1

The true landmarks are the person. Without help, a photo costs one action for each of its points, and one to finish it.
With help, it costs one action for each point that is off by more than 2 % of the size of the object (the diagonal of
the rectangle around the true landmarks), or that is not proposed, and one to accept the rest. Photos before the first
model cost all of their points. Models are trained as in `ert annotate`: after 10 photos, then whenever the number of
photos done has grown by half. Each photo is proposed by the last model, which has not seen it.

Help in the order of the queue is compared with help in random orders. Neither depends on the errors in photos that are
left out of a training, by which confidences are calibrated; these are measured for some of the models in the order of
the queue (--calibrated), and the confidences compared with what had to be corrected in the photos after them. Faces of
300-W are a random part of its training faces; no model of faces is used, only a face detector's boxes.
What models propose is kept in a folder (--kept), so that nothing is trained twice.
"""

import contextlib
import hashlib
import json
import os
import time
from pathlib import Path

import common
import numpy as np
import objects

FIRST_AT, N_FACES = 10, 600
# Photos that a calibration is tried on, those that are next in the queue and later.
N_TRIED = 60
SETS = "wings", "shells", "portraits", "300-W"


class Model:
    """What a model of some photos proposes for others, each computed once and kept in a file."""

    def __init__(self, photos, done, measured):
        text = json.dumps([photos.name, sorted(done), measured])
        self.photos, self.done, self.measured = photos, sorted(done), measured
        self.file = photos.folder / f"{hashlib.sha256(text.encode()).hexdigest()[:20]}.json"
        self.known = json.loads(self.file.read_text()) if self.file.exists() else {"seconds": None, "photos": {}}
        self.trained = None
        if self.known["seconds"] is None:
            self.train()

    def train(self):
        """Train the model, again if it was trained by an earlier run."""
        from ert.annotation.assistance.trainer import train_on

        begin = time.process_time()
        part = self.photos.dataset.subset(self.done)
        options = {"n_jobs": 1, "detector": self.photos.detect, "validate": self.measured}
        self.trained = train_on(part, **options)
        self.known["seconds"] = time.process_time() - begin
        self.known["error"] = float(np.mean(list(self.trained.errors.values()))) if self.trained.errors else None
        self.save()

    def save(self):
        """Write what is known to the file."""
        self.file.write_text(json.dumps(self.known))

    def proposed(self, i):
        """Return the landmarks, standard errors and confidences of a photo; NaN and 0 where nothing is found."""
        from ert.annotation.assistance.proposals import propose

        if str(i) not in self.known["photos"]:
            if self.trained is None:
                self.train()
            trained = self.trained
            found = propose(trained.model, self.photos.image(i), trained.calibration, detector=self.photos.detect)
            n = self.photos.dataset.landmarks.shape[1]
            rows = np.full((4, n), np.nan)
            rows[3] = 0
            if found:
                k = list(trained.landmarks)
                rows[:, k] = [*found[0].landmarks.T, found[0].std, found[0].confidence]
            self.known["photos"][str(i)] = [[None if x != x else round(x, 4) for x in row] for row in rows.tolist()]
        rows = np.array(self.known["photos"][str(i)], np.float64)
        return rows[:2].T, rows[2], rows[3]


class Photos:
    """A dataset with its images, its true sizes, and the distances of photos from each other."""

    def __init__(self, name, dataset, folder):
        from ert._core.images import to_gray
        from ert.annotation.assistance.proposals import object_sizes
        from ert.annotation.assistance.queue import distances, photo_features, thumbnail

        self.name, self.dataset, self.folder = name, dataset, folder
        self.sizes = object_sizes(dataset.landmarks, dataset.boxes)
        self.known = np.isfinite(dataset.landmarks).all(axis=2)
        self.boxes, self.images, self.models = {}, {}, {}
        features = [photo_features(thumbnail(to_gray(self.image(i)))) for i in range(len(dataset))]
        self.between = distances(np.array(features, np.float64))

    def image(self, i):
        """Return an image, which is read once."""
        import ert

        if i not in self.images:
            self.images[i] = ert.load_image(self.dataset.files[i])
        return self.images[i]

    def detect(self, image):
        """Return the boxes of the faces in an image, which is searched once."""
        from ert.faces import detect_faces

        key = hashlib.sha256(np.ascontiguousarray(image)).hexdigest()
        if key not in self.boxes:
            self.boxes[key] = detect_faces(image)
        return self.boxes[key]

    def model(self, done, measured):
        """Return the model of some photos."""
        key = tuple(sorted(done)), measured
        if key not in self.models:
            self.models[key] = Model(self, done, measured)
        return self.models[key]

    @property
    def without_help(self):
        """Actions to annotate all photos without help."""
        return int((1 + self.known.sum(axis=1)).sum())


def simulate(photos, order, growth):
    """Annotate all photos; `order` returns the next one from those done and the model."""
    from ert.annotation.assistance.proposals import is_off

    n, done, model, next_at, actions = len(photos.dataset), [], None, FIRST_AT, []
    models = []
    while len(done) < n:
        i = order(done, model)
        truth, known = photos.dataset.landmarks[i], photos.known[i]
        off = known
        if model is not None:
            off = is_off(truth, model.proposed(i)[0], photos.sizes[i]) & known
        actions.append(1 + int(off.sum()))
        done.append(i)
        if len(done) >= next_at and len(done) < n:
            if model is not None:
                model.save()
            model = photos.model(done, False)
            models.append(model)
            next_at = max(len(done) + 5, round(growth * len(done)))
    model.save()
    return {
        "share": sum(actions) / photos.without_help,
        "actions": sum(actions),
        "actions by photo": actions,
        "order": done,
        "training": [{"photos": len(each.done), "seconds": each.known["seconds"]} for each in models],
    }


def random_order(photos, seed):
    """Return an order at random."""
    order = np.random.default_rng([seed, 17]).permutation(len(photos.dataset)).tolist()
    return lambda done, model: order[len(done)]


def queue_order(photos):
    """Return the order of `ert annotate`: the most different photos, and the others at random."""
    from ert.annotation.assistance.queue import N_DIFFERENT, most_different

    n = len(photos.dataset)
    first = most_different(photos.between, [], range(n), N_DIFFERENT)
    order = first + [i for i in np.random.default_rng([0, 17]).permutation(n).tolist() if i not in first]
    return lambda done, model: order[len(done)]


def try_calibration(photos, order, n_done):
    """Return how honest a model of the first photos in an order is about those after them."""
    from ert.annotation.assistance.proposals import is_off

    model = photos.model(order[:n_done], True)
    rest = order[n_done:]
    rows = []
    for i in (rest[k] for k in np.unique(np.linspace(0, len(rest) - 1, min(len(rest), N_TRIED)).astype(int))):
        truth, known = photos.dataset.landmarks[i], photos.known[i]
        landmarks, std, confidence = model.proposed(i)
        off = is_off(truth, landmarks, photos.sizes[i])
        errors = np.hypot(*(landmarks - truth).T)
        rows += np.column_stack([errors, std, confidence, off, np.full(len(off), photos.sizes[i])])[known].tolist()
    model.save()
    seconds = {"photos": n_done, "seconds": model.known["seconds"], "held-out error %": model.known["error"]}
    return seconds | honesty(rows)


def honesty(rows):
    """Return how well standard errors and confidences describe what was proposed."""
    errors, std, confidence, off, sizes = np.array(rows).T
    found = np.isfinite(errors)
    ratios = errors[found] / std[found]
    bins = []
    for low, high in ((0, 0.5), (0.5, 0.8), (0.8, 0.9), (0.9, 0.95), (0.95, 0.99), (0.99, 1.01)):
        some = (confidence >= low) & (confidence < high)
        if some.any():
            bins.append(
                {
                    "points": int(some.sum()),
                    "confidence": float(confidence[some].mean()),
                    "not corrected": float(1 - off[some].mean()),
                }
            )
    return {
        "error %": float(100 * (errors[found] / sizes[found]).mean()),
        "points": len(rows),
        "points not found": int((~found).sum()),
        "corrected": float(off.mean()),
        "corrected, as expected": float(1 - confidence.mean()),
        "within 2.15 standard errors (90 % of a Gaussian)": float((ratios <= 2.146).mean()),
        "by confidence": bins,
    }


def load(data, name, n_faces=N_FACES):
    """Return the photos of a set."""
    if name != "300-W":
        return objects.load(data, name)[0]
    from ert.datasets.dataset import concatenate
    from ert.datasets.formats import load_dataset

    options = {"boxes": f"{data / '300w' / 'boxes.csv'}:dlib", "split": "train"}
    parts = concatenate([load_dataset(data / "300w" / part, **options) for part in ("afw", "helen", "lfpw")])
    return parts.subset(np.sort(np.random.default_rng(0).permutation(len(parts))[:n_faces]))


def run(photos, seeds, growth, calibrated):
    """Yield the results of one set as they become more."""
    queue = simulate(photos, queue_order(photos), growth)
    found = {
        "photos": len(photos.dataset),
        "landmarks": photos.dataset.landmarks.shape[1],
        "actions without help": photos.without_help,
        "queue": {key: queue[key] for key in ("share", "actions", "actions by photo", "training")},
    }
    print(photos.name, f"queue {100 * queue['share']:.2f} %", queue["training"], flush=True)
    yield found
    shares = []
    for seed in range(seeds):
        shares.append(simulate(photos, random_order(photos, seed), growth)["share"])
        print(photos.name, f"random order {seed}: {100 * shares[-1]:.2f} %", flush=True)
        found["random orders"] = {
            "share": float(np.mean(shares)), "range": [min(shares), max(shares)], "shares": shares,
        }  # fmt: skip
        yield found
    found["calibration"] = []
    for n_done in calibrated:
        found["calibration"].append(try_calibration(photos, queue["order"], n_done))
        print(photos.name, found["calibration"][-1], flush=True)
        yield found


def main():
    from threadpoolctl import threadpool_limits

    from ert.annotation.assistant import GROWTH

    kept = str(common.ROOT / "build" / "annotation_help")
    options = common.arguments(__doc__, only=",".join(SETS), seeds=3, kept=kept, calibrated="10,22,50", faces=N_FACES)
    threadpool_limits(1)
    os.makedirs(options.kept, exist_ok=True)
    file, results = common.RESULTS / "annotation_help.json", {}
    if file.exists():
        results = common.result("annotation_help")["sets"]
    for name in options.only.split(","):
        dataset = load(options.data, name, options.faces)
        # What is kept of other faces is of no use.
        name = f"{name}, {len(dataset)} faces" if name == "300-W" else name
        photos = Photos(name, dataset, Path(options.kept))
        calibrated = [int(n) for n in options.calibrated.split(",") if n and int(n) < len(photos.dataset)]
        for found in run(photos, options.seeds, GROWTH, calibrated):
            # The others are kept: a run may be of one set.
            results[name] = found
            setting = {"first model at": FIRST_AT, "growth": GROWTH, "off beyond, % of the size": 2}
            with contextlib.redirect_stdout(None):
                common.save_result("annotation_help", setting | {"sets": results})


if __name__ == "__main__":
    main()
