"""Check that ert predicts dlib's rounded landmarks from dlib's model files on every face of 300-W.

    python benchmarks/same_as_dlib.py

For the model of train_vs_dlib.py and the public model of 68 landmarks (package face-recognition-models):
faces with any difference after rounding, seconds to load, and the size and error of the compact conversion.
"""

import time

import common
import numpy as np
from train_vs_dlib import THEIRS


def seconds(function, rounds=3):
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        value = function()
        times.append(time.perf_counter() - begin)
    return value, min(times)


def main():
    import dlib
    import face_recognition_models

    import ert
    from ert.metrics import nme

    options = common.arguments(__doc__)
    table = f"{options.data / '300w' / 'boxes.csv'}:dlib"
    faces = ert.load_dataset(options.data / "300w", boxes=table)
    boxes = np.array([[r.left(), r.top(), r.width(), r.height()] for r in map(common.dlib_rectangle, faces.boxes)])
    images = [ert.load_image(file) for file in faces.files]
    images = [image if image.ndim == 3 else np.repeat(image[:, :, None], 3, axis=2) for image in images]
    test = np.flatnonzero(["testset" in str(file) for file in faces.files])
    result = {}
    public = face_recognition_models.pose_predictor_model_location()
    for name, path in {"trained by dlib on 300-W": str(THEIRS), "public 68-point model": public}.items():
        model, our_seconds = seconds(lambda path=path: ert.load(path))
        theirs, their_seconds = seconds(lambda path=path: dlib.shape_predictor(path))
        X = list(zip(images, boxes, strict=True))
        ours = np.floor(model.predict(X, n_jobs=-1) + 0.5)
        expected = common.dlib_predict(theirs, images, faces.boxes)
        converted = common.ROOT / "runs" / "converted.ert"
        model.compact().save(converted)
        compact, load_seconds = seconds(lambda file=converted: ert.load(file))
        errors = [
            float(nme(faces.y[test], each.predict([X[i] for i in test]), "inter-pupil").mean())
            for each in (model, compact)
        ]
        result[name] = {
            "faces": len(faces),
            "faces that differ": int((ours != expected).any(axis=(1, 2)).sum()),
            "seconds to load": {"ert": our_seconds, "dlib": their_seconds, "converted": load_seconds},
            "megabytes": {"dat": common.Path(path).stat().st_size / 1e6, "converted": converted.stat().st_size / 1e6},
            "nme inter-pupil, HELEN test": {"dat": errors[0], "converted": errors[1]},
        }
    common.save_result("same_as_dlib", result)


if __name__ == "__main__":
    main()
