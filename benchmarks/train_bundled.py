"""Train the bundled models on the 2012 training faces of 300-W and write them to the package.

    python benchmarks/train_bundled.py [--only face5]

Every face is used with the boxes of two detectors and mirrored. `face68-small` has fewer stages and a
compressed file. The confidence model of `face68` is trained by cross-validation, for which the cascade is
trained once more per fold. The files are reproducible byte for byte; after an interruption, training resumes
from the completed stages and fold models in runs/.
"""

import common

NOTES = {
    "data": "300-W: AFW, HELEN train, LFPW train (2012 faces), boxes of dlib and OpenCV (Haar)",
    "license": "for research, not for commercial use (the terms of 300-W)",
}
COMMON = {
    "n_trees": 100,
    "learning_rate": 0.14,
    "n_split_tests": 80,
    "n_pixels": 128,
    "n_pool_candidates": 1024,
    "pool_spread": 0.1,
    "blur": 0.0,
    "min_contrast": 40.0,
    "n_inits": 12,
    "n_shapes_mixed": 3,
    "shift_jitter": 0.08,
    "scale_jitter": 0.1,
    "roll_jitter": 12.0,
    "occlusion": 0.1,
    "stages_per_basis": 6,
    "verbose": 1,
}
N_FOLDS = {"face68": 3}
FACE68 = {"working_size": 128, "mirror": "face68", "normalizer": "inter-ocular"}
MODELS = {
    "face68": {"n_stages": 72} | FACE68,
    "face68-small": {"n_stages": 30, "learning_rate": 0.16} | FACE68,
    "face5": {"n_stages": 18, "working_size": 96, "mirror": "face5"},
}


def main():
    import ert
    from ert.model.schemes import FACE5_OF_FACE68
    from ert.training.confidence import fold_checkpoints

    options = common.arguments(__doc__, only="", out=common.ROOT / "ert" / "_core" / "data" / "models")
    table = options.data / "300w" / "boxes.csv"
    dlib, haar = (
        ert.load_dataset(options.data / "300w", boxes=f"{table}:{boxes}", split="train") for boxes in ("dlib", "haar")
    )
    dataset = dlib + haar
    (common.ROOT / "runs").mkdir(exist_ok=True)
    for name, params in MODELS.items():
        if options.only not in ("", name):
            continue
        chosen = list(FACE5_OF_FACE68) if name == "face5" else list(range(68))
        checkpoint = common.ROOT / "runs" / f"{name}.checkpoint.ert"
        model = ert.ShapePredictor(**COMMON | params)
        y = dataset.y[:, chosen]
        model.fit(
            dataset.X,
            y,
            landmark_names=[dataset.landmark_names[i] for i in chosen],
            notes=NOTES,
            checkpoint=checkpoint,
            resume=True,
        )
        files = [checkpoint]
        if name in N_FOLDS:
            model.fit_confidence(dataset.X, y, n_folds=N_FOLDS[name], checkpoint=checkpoint, resume=True)
            files += fold_checkpoints(checkpoint, N_FOLDS[name])
        model.save(options.out / f"{name}.ert", compress=name == "face68-small")
        for file in files:
            file.unlink()


if __name__ == "__main__":
    main()
