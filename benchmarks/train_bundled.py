"""Train the bundled model face68 on the 2012 training faces of 300-W and write it into the package.

    python benchmarks/train_bundled.py

Every face is used with the boxes of two detectors, and mirrored. Running it again gives the same bytes;
interrupted, it goes on with the finished stages in runs/.
"""

import common

NOTES = {
    "data": "300-W: AFW, HELEN train, LFPW train (2012 faces), boxes of dlib and OpenCV (Haar)",
    "licence": "for research, not for commercial use (the terms of 300-W)",
}
PARAMS = {
    "n_stages": 12,
    "n_split_tests": 100,
    "n_pixels": 800,
    "n_inits": 20,
    "n_mixed": 3,
    "shift_jitter": 0.05,
    "scale_jitter": 0.06,
    "roll_jitter": 6.0,
    "working_size": 128,
    "mirror": "face68",
    "norm": "inter-ocular",
    "verbose": 1,
}


def main():
    import ert

    options = common.arguments(__doc__, out=common.ROOT / "ert" / "models" / "face68.ert")
    table = options.data / "300w" / "boxes.csv"
    dlib, haar = (
        ert.load_dataset(options.data / "300w", boxes=f"{table}:{boxes}", split="train")
        for boxes in ("dlib", "haar")
    )
    dataset = dlib + haar
    checkpoint = common.ROOT / "runs" / "face68.checkpoint.ert"
    checkpoint.parent.mkdir(exist_ok=True)
    model = ert.ShapePredictor(**PARAMS)
    model.fit(
        dataset.X,
        dataset.y,
        landmark_names=dataset.landmark_names,
        notes=NOTES,
        checkpoint=checkpoint,
        resume=True,
    )
    model.save(options.out)
    checkpoint.unlink()


if __name__ == "__main__":
    main()
