"""Error of the bundled models on the 330 test faces of HELEN, and of dlib trained on the same faces.

    python benchmarks/accuracy.py [--tuned 1]

Needs the dlib model of train_vs_dlib.py. dlib's model of 5 points is trained here with its default options;
--tuned also trains dlib with its best options found (about 20 minutes), on the same faces and their mirror
images. Boxes of two detectors, including faces that they missed.
"""

import common
import numpy as np
from train_vs_dlib import THEIRS

TUNED = common.ROOT / "runs" / "dlib_tuned.dat"
FIVE = common.ROOT / "runs" / "dlib_face5.dat"


def train_tuned(data, out):
    import dlib

    import ert
    from ert.datasets.formats import load_dataset
    from ert.model.schemes import FACE68_MIRROR

    dataset = load_dataset(data / "300w", boxes=f"{data / '300w' / 'boxes.csv'}:dlib", split="train")
    images, objects = [], []
    for file, box, shape in zip(dataset.files, dataset.boxes, dataset.landmarks, strict=True):
        image = common.dlib_gray(ert.load_image(file))
        width = image.shape[1]
        mirrored_box = (width - box[0] - box[2], *box[1:])
        mirrored_shape = shape[list(FACE68_MIRROR)] * [-1, 1] + [width - 1, 0]
        pairs = ((image, box, shape), (np.ascontiguousarray(image[:, ::-1]), mirrored_box, mirrored_shape))
        for pixels, place, points in pairs:
            # Zero-padded, so that the names sort in numerical order.
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


def train_five(data, out):
    import dlib

    import ert
    from ert.datasets.formats import load_dataset
    from ert.model.schemes import FACE5_OF_FACE68

    dataset = load_dataset(data / "300w", boxes=f"{data / '300w' / 'boxes.csv'}:dlib", split="train")
    images, objects = [], []
    for file, box, shape in zip(dataset.files, dataset.boxes, dataset.landmarks, strict=True):
        points = [dlib.point(round(x), round(y)) for x, y in shape[list(FACE5_OF_FACE68)]]
        images.append(common.dlib_gray(ert.load_image(file)))
        objects.append([dlib.full_object_detection(common.dlib_rectangle(box), points)])
    options = dlib.shape_predictor_training_options()
    options.num_threads = 2
    dlib.train_shape_predictor(images, objects, options).save(str(out))


def five_points(test, images):
    """Return the mean errors of the 5-point models, normalized as for all 68 landmarks."""
    import dlib

    import ert
    from ert.metrics import nme, normalizer_lengths
    from ert.model.schemes import FACE5_OF_FACE68

    lengths, truth = normalizer_lengths(test.y, "inter-pupil"), test.y[:, list(FACE5_OF_FACE68)]
    predicted = {
        "ert face5": ert.load("face5").predict(test.X),
        "dlib, 5 points": common.dlib_predict(dlib.shape_predictor(str(FIVE)), images, test.boxes),
    }
    return {name: float(nme(truth, shapes, lengths).mean()) for name, shapes in predicted.items()}


def main():
    import dlib

    import ert
    from ert.datasets.formats import load_dataset
    from ert.metrics import evaluate

    options = common.arguments(__doc__, tuned=0)
    models = {"dlib, default options": THEIRS}
    if options.tuned:
        if not TUNED.exists():
            common.measured(train_tuned, options.data, TUNED)
        models["dlib, tuned"] = TUNED
    if not FIVE.exists():
        common.measured(train_five, options.data, FIVE)
    ours = {
        "ert face68": (ert.load("face68"), "fast"),
        "ert face68, accurate": (ert.load("face68"), "accurate"),
        "ert face68-small": (ert.load("face68-small"), "fast"),
    }
    result, five = {}, {}
    for boxes in ("dlib", "haar"):
        table = f"{options.data / '300w' / 'boxes.csv'}:{boxes}"
        test = load_dataset(options.data / "300w", boxes=table, split="test")
        images = [common.dlib_gray(ert.load_image(file)) for file in test.files]
        predictions = {name: model.predict(test.X, mode) for name, (model, mode) in ours.items()}
        five[f"boxes {boxes}"] = five_points(test, images)
        for name, path in models.items():
            predictions[name] = common.dlib_predict(dlib.shape_predictor(str(path)), images, test.boxes)
        for name, predicted in predictions.items():
            norms = evaluate(test.y, predicted, ["inter-pupil", "inter-ocular"])["norms"]
            for normalizer in norms.values():
                del normalizer["per_landmark"]
            result.setdefault(name, {})[f"boxes {boxes}"] = norms
    common.save_result("accuracy", {"faces": 330, "models": result, "nme inter-pupil, 5 points": five})


if __name__ == "__main__":
    main()
