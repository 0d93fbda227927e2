"""Compare ert.js in Node and in Chromium with Python: landmarks, standard errors and confidence.

    python benchmarks/web_parity.py --data ../shared/data

The 330 faces of HELEN's test set with the bundled models, in fast and accurate mode; and 100 wings, shells and
cephalograms with models that are trained here on other photos, in drawn boxes and in boxes of whole photos. Pixels are
handed over as they are, of every other photo in gray and else in color: browsers decode JPEG in their own ways.
Differences are in pixels.
"""

import json
import tempfile
from pathlib import Path

import common
import numpy as np
import web_common

N_WINGS, N_CEPHALOGRAMS = 20, 60
TRAINING = {
    "n_stages": 10,
    "n_trees": 50,
    "n_inits": 10,
    "normalizer": "box",
    "shift_jitter": 0.03,
    "scale_jitter": 0.03,
    "n_jobs": 1,
}


class Comparison:
    """Jobs for ert.js, and what Python finds."""

    def __init__(self, folder):
        self.folder, self.jobs, self.expected, self.groups = folder, [], [], []
        self.n_images = 0

    def image(self, pixels):
        """Write pixels to a file; return what a job says of them."""
        file = self.folder / f"{self.n_images}.raw"
        file.write_bytes(np.ascontiguousarray(pixels).tobytes())
        self.n_images += 1
        return {"image": str(file), "width": pixels.shape[1], "height": pixels.shape[0]}

    def add(self, group, model, file, X, images, mode):
        """Ask for predictions of faces, with their assessment where the model has it."""
        assess = model.confidence_model_ is not None
        landmarks = np.concatenate([model.predict([face], mode) for face in X])
        assessment = model.assess(X, landmarks) if assess else None
        for i, ((_, box), image) in enumerate(zip(X, images, strict=True)):
            self.jobs.append(
                image | {"model": str(file), "box": [float(v) for v in box], "mode": mode, "assess": assess}
            )
            found = {"landmarks": landmarks[i].ravel()}
            if assessment is not None:
                found |= {"std": assessment.std[i], "within": assessment.within[i]}
                found["confidence"] = assessment.confidence[i]
            self.expected.append(found)
            self.groups.append(group)

    def differences(self, run):
        """Return the largest and mean difference of each result, by group; `run` is of `web_common`."""
        task = self.folder / "jobs.json"
        task.write_text(json.dumps(self.jobs))
        results, found = run("web_parity.mjs", task), {}
        for group, expected, result in zip(self.groups, self.expected, results, strict=True):
            if "error" in result:
                raise SystemExit(f"{group}: {result['error']}")
            for name, values in expected.items():
                each = np.abs(np.subtract(result[name], values))
                found.setdefault(group, {}).setdefault(name, []).append(np.atleast_1d(each))
        return {group: summary(kinds) for group, kinds in found.items()}


def summary(kinds):
    """Return the number of objects, and the largest and mean difference of each kind of result."""
    every = {name: np.concatenate(differences) for name, differences in kinds.items()}
    figures = {name: [float(f"{each.max():.3g}"), float(f"{each.mean():.3g}")] for name, each in every.items()}
    return {"objects": len(kinds["landmarks"]), "largest, mean": figures}


def some_gray(images):
    from ert._core.images import to_gray

    return [to_gray(image) if i % 2 else image for i, image in enumerate(images)]


def add_faces(comparison, data):
    import ert

    dataset = ert.load_dataset(data / "300w" / "helen" / "testset", boxes=f"{data}/300w/boxes.csv:dlib")
    pixels = some_gray([ert.load_image(file) for file in dataset.files])
    images = [comparison.image(each) for each in pixels]
    X = list(zip(pixels, map(tuple, dataset.boxes), strict=True))
    for name in ("face68", "face68-small"):
        for mode in ("fast", "accurate"):
            file = web_common.MODELS / f"{name}.ert"
            comparison.add(f"{name}, {mode}", ert.load(name), file, X, images, mode)


def add_objects(comparison, data):
    import ert
    from ert.datasets.formats import load_dataset

    wings = load_dataset(
        data / "wings" / "landmark-examples" / "tps-example.tps", image_folder=data / "wings" / "image-examples"
    )
    shells = load_dataset(data / "shells" / "train.tps"), load_dataset(data / "shells" / "test.tps")
    heads = load_dataset(data / "cephalograms" / "train.csv"), load_dataset(data / "cephalograms" / "test1.csv")
    order = np.random.default_rng(0).permutation(len(wings))
    for name, train, test in (
        ("wings", wings.subset(order[N_WINGS:]), wings.subset(order[:N_WINGS])),
        ("shells", *shells),
        ("cephalograms", heads[0], heads[1].subset(np.arange(N_CEPHALOGRAMS))),
    ):
        pixels = [ert.load_image(file) for file in train.files], some_gray([ert.load_image(f) for f in test.files])
        images = [comparison.image(each) for each in pixels[1]]
        for source in ("given", "whole"):
            # Smoothed crops for one of them, reduced for the other.
            model = ert.ShapePredictor(**TRAINING, blur=1.0 if source == "given" else 0.0)
            X, faces = (
                [
                    (image, whole_box(image) if source == "whole" else tuple(box))
                    for image, box in zip(*part, strict=True)
                ]
                for part in ((pixels[0], train.boxes), (pixels[1], test.boxes))
            )
            model.fit(X, train.y).fit_confidence(X, train.y, n_folds=2)
            file = comparison.folder / f"{name}-{source}.ert"
            model.save(file, compress=True)
            for mode in ("fast", "accurate"):
                comparison.add(f"{name}, {source} boxes, {mode}", model, file, faces, images, mode)


def whole_box(image):
    return 0.0, 0.0, float(image.shape[1]), float(image.shape[0])


def main():
    options = common.arguments(__doc__)
    with tempfile.TemporaryDirectory(prefix="ert-web-") as folder:
        comparison = Comparison(Path(folder))
        add_faces(comparison, options.data)
        add_objects(comparison, options.data)
        found = {
            "Node": comparison.differences(web_common.in_node),
            "Chromium": comparison.differences(web_common.in_chromium),
        }
    largest = {
        where: max(each["largest, mean"]["landmarks"][0] for each in groups.values()) for where, groups in found.items()
    }
    result = {"versions": web_common.versions(), "largest difference in pixels": largest}
    common.save_result("web_parity", result | {"differences": found})


if __name__ == "__main__":
    main()
