"""Measure learned locators: larger photos with the object moved, resized and turned, with several objects, with none.

    python benchmarks/locator.py
    python benchmarks/locator.py --only wings --limit 30     # a short test

See scenes.py for the photos, which are made of wings, shells, cephalograms and portraits. A locator and a cascade are
trained in each of five folds, on the photos as they are and on scenes of them, and tried on scenes of the rest.
Landmarks are located in the poses that the locator finds, once more in the poses of these landmarks, and in the true
poses. Errors are mean distances in percent of the diagonal of the landmarks' rectangle.
"""

import time

import common
import numpy as np
import scenes

KINDS = ("own", "other", "clutter")
CASCADE = {
    "n_stages": 20,
    "n_trees": 100,
    "n_pool_candidates": 1024,
    "pool_spread": 0.05,
    "working_size": 300,
    "n_inits": 40,
    "shift_jitter": 0.05,
    "scale_jitter": 0.05,
    "roll_jitter": 5.0,
    "n_jobs": 1,
}
N_FOLDS, THRESHOLD = 5, 0.5
# An object counts as found within this distance in sides of its box, this logarithm of the size, and degrees.
NEAR = 0.15, 0.25, 15.0


def datasets(data):
    from ert.datasets.dataset import concatenate
    from ert.datasets.formats import load_dataset

    wings, portraits = data / "wings", data / "webmorph"
    return {
        "wings": load_dataset(wings / "landmark-examples" / "tps-example.tps", image_folder=wings / "image-examples"),
        "shells": load_dataset(data / "shells" / "train.tps"),
        "cephalograms": load_dataset(data / "cephalograms" / "train.csv"),
        "portraits": concatenate([load_dataset(portraits / name) for name in ("canada", "composite", "neutral_front")]),
    }


def errors_of(shapes, truth):
    extent = np.ptp(truth, axis=1)
    return 100 * np.hypot(*np.moveaxis(shapes - truth, 2, 0)).mean(axis=1) / np.hypot(*extent.T)


def fold_result(photos, landmarks, train, test, on_scenes, result):
    """Add what one fold measures to the lists of `result`."""
    import ert
    from ert.inference.locator import locate_objects
    from ert.training.locator import fit_locator

    def scene(i, number):
        rng = np.random.default_rng([int(i), number])
        return scenes.one_object(photos[i], landmarks[i], rng, KINDS[(int(i) + number) % len(KINDS)])

    examples = [scene(i, 1) if on_scenes else scenes.Scene(photos[i], landmarks[i][None]) for i in train]
    images, shapes = [each.image for each in examples], np.concatenate([each.landmarks for each in examples])
    begin = time.process_time()
    locator = fit_locator(images, shapes)
    result["seconds to train"].append(time.process_time() - begin)
    boxes, rolls = locator.poses(shapes)
    model = ert.ShapePredictor(**CASCADE).fit(list(zip(images, boxes, strict=True)), shapes, rolls=rolls)

    tried = [scene(i, 2) for i in test]
    truth = np.concatenate([each.landmarks for each in tried])
    true_boxes, true_rolls = locator.poses(truth)
    found = []
    for each in tried:
        begin = time.process_time()
        found += locate_objects(locator, each.image)
        result["ms a photo"].append(1000 * (time.process_time() - begin))
    images = [each.image for each in tried]
    boxes, rolls = np.array([box for box, _, _ in found]), np.array([roll for _, roll, _ in found])
    first = model.predict(list(zip(images, boxes, strict=True)), rolls=rolls)
    again, again_rolls = locator.poses(first)
    second = model.predict(list(zip(images, again, strict=True)), rolls=again_rolls)
    good = model.predict(list(zip(images, true_boxes, strict=True)), rolls=true_rolls)
    for name, shape in (("found", first), ("found, second look", second), ("true poses", good)):
        result[name] += errors_of(shape, truth).tolist()
    result["near"] += [
        near(one, other)
        for one, other in zip(zip(boxes, rolls, strict=True), zip(true_boxes, true_rolls, strict=True), strict=True)
    ]
    result["confidence"] += [confidence for _, _, confidence in found]
    for number, i in enumerate(test):
        rng = np.random.default_rng([int(i), 3])
        empty = scenes.no_object(photos[i], rng, KINDS[number % len(KINDS)])
        result["confidence of empty photos"].append(locate_objects(locator, empty.image)[0][2])
    for first_one in range(0, len(test) - 3, 4):
        group = test[first_one : first_one + 4][: 2 + (first_one // 4) % 3]
        rng = np.random.default_rng([int(group[0]), 4])
        several = scenes.several_objects([photos[i] for i in group], landmarks[group], rng)
        candidates = locate_objects(locator, several.image, max_objects=10)
        truths = list(zip(*locator.poses(several.landmarks), strict=True))
        taken = set()
        for box, roll, confidence in candidates:
            hits = [k for k, other in enumerate(truths) if k not in taken and near((box, roll), other)]
            taken.update(hits[:1])
            result["several"].append((confidence, bool(hits)))
        result["objects of several"].append(len(truths))


def near(one, other):
    (box, roll), (true_box, true_roll) = one, other
    box, true_box = np.asarray(box), np.asarray(true_box)
    side, true_side = box[2:].mean(), true_box[2:].mean()
    distance = np.hypot(*(box[:2] + box[2:] / 2 - true_box[:2] - true_box[2:] / 2)) / true_side
    turned = abs((roll - true_roll + 180) % 360 - 180)
    return bool(distance < NEAR[0] and abs(np.log(side / true_side)) < NEAR[1] and turned < NEAR[2])


def summary(result):
    several = np.array(result["several"])
    n_objects, n_photos = sum(result["objects of several"]), len(result["objects of several"])
    order = np.argsort(-several[:, 0], kind="stable")
    hits, false = np.cumsum(several[order, 1]), np.cumsum(1 - several[order, 1])
    allowed = false <= n_photos / 20
    confident = several[:, 0] >= THRESHOLD
    medians = {name: float(np.median(result[name])) for name in ("seconds to train", "ms a photo")}
    means = {name: float(np.mean(result[name])) for name in ("found", "found, second look", "true poses")}
    confidence, empty = np.array(result["confidence"]), np.array(result["confidence of empty photos"])
    return medians | {
        "error": means,
        "ratio": {name: means[name] / means["true poses"] for name in ("found", "found, second look")},
        "near": float(np.mean(result["near"])),
        "confident": float((confidence >= THRESHOLD).mean()),
        "empty photos that are confident": float((empty >= THRESHOLD).mean()),
        "confidence, quantiles 0 5 50": np.quantile(confidence, [0, 0.05, 0.5]).round(3).tolist(),
        "confidence of empty photos, quantiles 50 95 100": np.quantile(empty, [0.5, 0.95, 1]).round(3).tolist(),
        "several": {
            "photos": n_photos,
            "objects": n_objects,
            "found at one false alarm in 20 photos": float(hits[allowed].max(initial=0) / n_objects),
            "found at the threshold": float(several[confident, 1].sum() / n_objects),
            "false alarms a photo at the threshold": float((1 - several[confident, 1]).sum() / n_photos),
        },
    }


def main():
    import ert

    options = common.arguments(__doc__, only="", limit=0, folds=N_FOLDS, trained_on="")
    results = {}
    for name, dataset in datasets(options.data).items():
        if options.only and name not in options.only.split(","):
            continue
        order = np.random.default_rng(0).permutation(len(dataset))[: options.limit or None]
        photos = {int(i): ert.load_image(dataset.files[i]) for i in order}
        for mode in ("photos", "scenes"):
            if options.trained_on not in ("", mode):
                continue
            result = {
                key: []
                for key in (
                    "seconds to train", "ms a photo", "found", "found, second look", "true poses", "near", "several",
                    "confidence", "confidence of empty photos", "objects of several",
                )
            }  # fmt: skip
            for fold in range(options.folds):
                train, test = order[np.arange(len(order)) % N_FOLDS != fold], order[fold::N_FOLDS]
                fold_result(photos, dataset.y, train, test, mode == "scenes", result)
            results.setdefault(name, {})[f"trained on {mode}"] = summary(result)
            print(name, mode, results[name][f"trained on {mode}"], flush=True)
            if not options.only:
                plan = {"cascade": CASCADE, "folds": options.folds, "photos at most": options.limit}
                common.save_result("locator", plan | {"objects": results})


if __name__ == "__main__":
    main()
