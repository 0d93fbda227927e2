"""What leaves of 8 bits cost in accuracy against leaves of 16 bits: paired runs on folds.

    python benchmarks/leaf_bits.py --seeds 2

For each of four folds of 300-W's training faces and each seed, two cascades that differ only in the size
of the numbers in their leaves; the difference of their NME (inter-pupil) with its standard error.
"""

import common
import numpy as np


def main():
    import ert
    from ert._core.images import to_gray
    from ert.metrics import nme

    options = common.arguments(__doc__, seeds=2, trees=300)
    boxes = f"{options.data / '300w' / 'boxes.csv'}:dlib"
    dataset = ert.load_dataset(options.data / "300w", boxes=boxes, split="train")
    X = [(to_gray(ert.load_image(file)), box) for file, box in dataset.X]
    fold_of = np.random.default_rng(0).permutation(len(X)) % 4
    differences, errors = [], {8: [], 16: []}
    for seed in range(options.seeds):
        for fold in range(4):
            kept, left_out = np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
            for bits in (8, 16):
                model = ert.ShapePredictor(
                    n_trees=options.trees,
                    n_inits=10,
                    n_shapes_mixed=3,
                    mirror="face68",
                    shift_jitter=0.05,
                    scale_jitter=0.06,
                    roll_jitter=6.0,
                    leaf_bits=bits,
                    random_state=seed,
                )
                model.fit([X[i] for i in kept], dataset.y[kept])
                predicted = model.predict([X[i] for i in left_out], n_jobs=-1)
                errors[bits].append(float(nme(dataset.y[left_out], predicted, "inter-pupil").mean()))
            differences.append(errors[8][-1] - errors[16][-1])
            print(seed, fold, errors[8][-1], errors[16][-1], flush=True)
    common.save_result(
        "leaf_bits",
        {
            "nme_8_bits": errors[8],
            "nme_16_bits": errors[16],
            "loss_of_8_bits": float(np.mean(differences)),
            "standard_error": float(np.std(differences, ddof=1) / np.sqrt(len(differences))),
        },
    )


if __name__ == "__main__":
    main()
