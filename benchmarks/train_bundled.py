"""Train the bundled models on faces of 300-W and `mtfl`, and write them to the package.

    python benchmarks/train_bundled.py [--only face5]

The 2012 training faces of 300-W, some of them with closed eyes, and 8,820 faces of `mtfl` that a heat-map network has
marked (marked_faces.py), each with the boxes of two detectors and mirrored. `face68-small` has fewer stages and a
compressed file. The confidence model of `face68` is trained by cross-validation, for which the cascade is
trained once more per fold. The files are reproducible byte for byte; after an interruption, training resumes
from the completed stages and fold models in runs/.
"""

from dataclasses import replace

import common
import numpy as np
from marked_faces import DETECTORS, training_faces
from shut_eyes import with_shut_eyes

NOTES = {
    "data": "300-W: AFW, HELEN train, LFPW train (2012 faces); 8,820 faces of MTFL that a network trained on these has "
    "marked; boxes of dlib and OpenCV (Haar)",
    "license": "for research, not for commercial use (the terms of 300-W and MTFL)",
}
COMMON = {
    "n_trees": 100,
    "learning_rate": 0.2,
    "tree_target": "landmark",
    "n_split_tests": 80,
    "n_pixels": 128,
    "n_pool_candidates": 1024,
    "pool_spread": 0.15,
    "channels": "gray+orientation",
    "blur": 0.0,
    "min_contrast": 40.0,
    "n_inits": 12,
    "n_shapes_mixed": 3,
    "shift_jitter": 0.1,
    "scale_jitter": 0.1,
    "roll_jitter": 12.0,
    "occlusion": 0.1,
    "stages_per_basis": 6,
    "verbose": 1,
}
N_FOLDS = {"face68": 3}
FACE68 = {"working_size": 128, "mirror": "face68", "normalizer": "inter-ocular"}
MODELS = {
    "face68": {"n_stages": 54, "spread_decay": 0.97} | FACE68,
    "face68-small": {"n_stages": 30, "spread_decay": 0.93} | FACE68,
    "face5": {"n_stages": 18, "spread_decay": 0.89, "working_size": 96, "mirror": "face5"},
}
# Weight of a face that a network has marked, where one that a person has marked counts 1.
MARKED_WEIGHT = 0.34
# Of the faces that a person has marked, those whose eyes are closed: few are shut in 300-W.
SHUT_SHARE = 0.3


def training_set(data, shut_share):
    """Return faces, landmarks, their names, weights, photos, and which faces a person has marked."""
    import ert

    table = data / "300w" / "boxes.csv"
    dlib, haar = (ert.load_dataset(data / "300w", boxes=f"{table}:{name}", split="train") for name in DETECTORS)
    dataset = dlib + haar
    X, y = with_shut_eyes(dataset.X, dataset.y, shut_share)
    files, boxes, shapes = training_faces(data)
    for name in DETECTORS:
        X += [(str(file), tuple(box)) for file, box in zip(files, boxes[name], strict=True)]
    marked = len(X) - len(y)
    landmarks = np.concatenate([y, *[shapes] * len(DETECTORS)])
    by_hand = np.repeat([True, False], [len(y), marked])
    photos = [*dataset.files, *files * len(DETECTORS)]
    return X, landmarks, dataset.landmark_names, np.where(by_hand, 1.0, MARKED_WEIGHT), photos, by_hand


def main():
    import ert
    from ert.model.schemes import FACE5_OF_FACE68
    from ert.training.confidence import fold_checkpoints

    options = common.arguments(__doc__, only="", out=common.ROOT / "ert" / "_core" / "data" / "models")
    X, landmarks, names, weights, photos, by_hand = training_set(options.data, SHUT_SHARE)
    (common.ROOT / "runs").mkdir(exist_ok=True)
    for name, params in MODELS.items():
        if options.only not in ("", name):
            continue
        chosen = list(FACE5_OF_FACE68) if name == "face5" else list(range(68))
        checkpoint = common.ROOT / "runs" / f"{name}.checkpoint.ert"
        model = ert.ShapePredictor(**COMMON | params)
        y, goes_on = landmarks[:, chosen], {"sample_weight": weights, "checkpoint": checkpoint, "resume": True}
        model.fit(X, y, landmark_names=[names[i] for i in chosen], notes=NOTES, **goes_on)
        files = [checkpoint]
        if name in N_FOLDS:
            model.fit_confidence(X, y, assessed=by_hand, n_folds=N_FOLDS[name], groups=photos, **goes_on)
            files += fold_checkpoints(checkpoint, N_FOLDS[name])
        model.fitted_ = replace(model.fitted_, box_source="face")
        model.save(options.out / f"{name}.ert", compress=name == "face68-small")
        for file in files:
            file.unlink()


if __name__ == "__main__":
    main()
