"""Measure how well `ert annotate` finds wrong annotations: mistakes are planted in real data.

    python benchmarks/annotation_checks.py
    python benchmarks/annotation_checks.py --only wings --repeats 1     # a short test

In some objects two landmarks are swapped, in as many one is displaced by 8 % of the size (the diagonal of the
landmarks' rectangle), in as many all are mirrored. The objects are then ordered as the page orders photos. Those that
nobody has planted anything in count as right, although some of them may be wrong: the real precision is higher.
"""

import time
from dataclasses import replace

import common
import numpy as np

KINDS = ("swapped", "displaced", "mirrored")
PART_PLANTED, PART_DISPLACED = 0.1, 0.08
REPEATS = 2


def datasets(data):
    from ert.datasets.formats import load_dataset

    wings = data / "wings"
    return {
        "wings": load_dataset(wings / "landmark-examples" / "tps-example.tps", image_folder=wings / "image-examples"),
        "shells": load_dataset(data / "shells" / "train.tps"),
    }


def plant(dataset, seed):
    """Return a dataset with mistakes, and the kind of the mistake of each object that has one."""
    from ert.datasets.assembly import squares_around

    rng = np.random.default_rng(seed)
    shapes = dataset.landmarks.copy()
    n_each = max(2, round(PART_PLANTED * len(dataset) / len(KINDS)))
    planted = {}
    for number, i in enumerate(rng.permutation(len(dataset))[: n_each * len(KINDS)].tolist()):
        kind, shape = KINDS[number % len(KINDS)], shapes[i]
        if kind == "swapped":
            pair = rng.choice(len(shape), 2, replace=False)
            shape[pair] = shape[pair[::-1]]
        elif kind == "displaced":
            turn, size = rng.uniform(0, 2 * np.pi), np.hypot(*np.ptp(shape, axis=0))
            shape[rng.integers(len(shape))] += PART_DISPLACED * size * np.array([np.cos(turn), np.sin(turn)])
        else:
            shape[:, 0] = shape[:, 0].min() + shape[:, 0].max() - shape[:, 0]
        planted[i] = kind
    return replace(dataset, landmarks=shapes, boxes=squares_around(shapes)), planted


def scores_of(dataset):
    """Return how suspicious each object is: by the checks alone, by models alone, and by both, as the page orders."""
    from ert.annotation.checking import check_and_expect, object_scores
    from ert.annotation.suspicion import Expected, describe_typical, suspect

    messages = []
    expected, note = check_and_expect(messages.append, dataset, {"n_jobs": 1, "random_state": 0})
    assert expected is not None, note
    checks = object_scores(messages[0]["findings"], len(dataset))
    typical = describe_typical(dataset.landmarks, expected)
    found = [
        suspect(shape, Expected(*(array[i] for array in expected)), typical, dataset.landmark_names)
        for i, shape in enumerate(dataset.landmarks)
    ]
    models = np.array([0.0 if one is None else one.score for one in found])
    return {"checks": checks, "models": models, "both": checks + models}


def figures(scores, planted):
    """Return precision and recall of what is suspicious, and in the first of the order, as many as were planted."""
    suspicious = np.flatnonzero(scores >= 1)
    order = np.argsort(-scores, kind="stable")
    hits = np.array([i in planted for i in order.tolist()])
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    n_found = sum(i in planted for i in suspicious.tolist())
    by_kind = {
        kind: sum(planted.get(i) == kind for i in suspicious.tolist()) / list(planted.values()).count(kind)
        for kind in KINDS
    }
    return {
        "suspicious": len(suspicious),
        "precision": n_found / max(len(suspicious), 1),
        "recall": n_found / len(planted),
        "recall by kind": by_kind,
        "precision of the first, as many as planted": float(hits[: len(planted)].mean()),
        "average precision": float(precision[hits].mean()),
    }


def main():
    options = common.arguments(__doc__, only="", repeats=REPEATS)
    results = {}
    for name, dataset in datasets(options.data).items():
        if options.only and name not in options.only.split(","):
            continue
        rows = []
        for seed in range(options.repeats):
            wrong, planted = plant(dataset, seed)
            begin = time.process_time()
            scores = scores_of(wrong)
            seconds = time.process_time() - begin
            rows.append({"seed": seed, "objects": len(wrong), "planted": len(planted), "processor seconds": seconds})
            rows[-1] |= {way: figures(values, planted) for way, values in scores.items()}
            print(name, rows[-1], flush=True)
        results[name] = rows
    if not options.only:
        plan = {"planted": PART_PLANTED, "displaced by": PART_DISPLACED, "kinds": KINDS}
        common.save_result("annotation_checks", plan | {"datasets": results})


if __name__ == "__main__":
    main()
