"""Error of the bundled model on HELEN's 330 test faces, beside dlib trained on the same faces.

    python benchmarks/accuracy.py [--tuned 1]

Needs the dlib model of train_vs_dlib.py; --tuned also trains dlib with the options that suited it best (about
20 minutes), on the same faces and their mirror images. Boxes of two detectors; faces they missed included.
"""

import common
import numpy as np
from train_vs_dlib import THEIRS

TUNED = common.ROOT / "runs" / "dlib_tuned.dat"


def train_tuned(data, out):
    import dlib

    from ert.datasets import load_dataset
    from ert.images import load_image
    from ert.shapes import FACE68_MIRROR

    dataset = load_dataset(data / "300w", boxes=f"{data / '300w' / 'boxes.csv'}:dlib", split="train")
    images, objects = [], []
    for file, box, shape in zip(dataset.files, dataset.boxes, dataset.landmarks, strict=True):
        image = common.dlib_grey(load_image(file))
        width = image.shape[1]
        mirrored_box = (width - box[0] - box[2], *box[1:])
        mirrored_shape = shape[list(FACE68_MIRROR)] * [-1, 1] + [width - 1, 0]
        pairs = ((image, box, shape), (np.ascontiguousarray(image[:, ::-1]), mirrored_box, mirrored_shape))
        for pixels, place, points in pairs:
            # Names sort as text in the order of the numbers.
            parts = {f"{i:02d}": dlib.point(round(x), round(y)) for i, (x, y) in enumerate(points)}
            images.append(pixels)
            objects.append([dlib.full_object_detection(common.dlib_rectangle(place), list(parts.values()))])
    options = dlib.shape_predictor_training_options()
    options.cascade_depth = 12
    options.feature_pool_size = 600
    options.num_test_splits = 40
    options.oversampling_translation_jitter = 0.05
    options.num_threads = 2
    dlib.train_shape_predictor(images, objects, options).save(str(out))


def main():
    import dlib

    import ert
    from ert.datasets import load_dataset
    from ert.metrics import evaluate

    options = common.arguments(__doc__, tuned=0)
    models = {"dlib, default options": THEIRS}
    if options.tuned:
        if not TUNED.exists():
            common.measured(train_tuned, options.data, TUNED)
        models["dlib, tuned"] = TUNED
    model = ert.load("face68")
    result = {}
    for boxes in ("dlib", "haar"):
        table = f"{options.data / '300w' / 'boxes.csv'}:{boxes}"
        test = load_dataset(options.data / "300w", boxes=table, split="test")
        images = [common.dlib_grey(ert.load_image(file)) for file in test.files]
        predictions = {"ert face68": model.predict(test.X)}
        for name, path in models.items():
            predictions[name] = common.dlib_predict(dlib.shape_predictor(str(path)), images, test.boxes)
        for name, predicted in predictions.items():
            norms = evaluate(test.y, predicted, ["inter-pupil", "inter-ocular"])["norms"]
            for norm in norms.values():
                del norm["per_landmark"]
            result.setdefault(name, {})[f"boxes {boxes}"] = norms
    common.save_result("accuracy", {"faces": 330, "models": result})


if __name__ == "__main__":
    main()
