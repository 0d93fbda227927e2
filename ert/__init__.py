"""Ensembles of regression trees for landmark localization: training, prediction and evaluation.

Detect the faces of a photo and locate their landmarks:

>>> import ert
>>> faces = ert.align(ert.sample_image())
>>> faces[0].landmarks.shape
(68, 2)

Use a model with boxes of your own: left, top, width and height in pixels:

>>> image = ert.load_image(ert.sample_image())
>>> model = ert.load("face68")
>>> model.predict([(image, (178, 66, 96, 96))]).shape
(1, 68, 2)

Train a model, here on drawn faces, save it and load it again:

>>> images, boxes, landmarks = ert.datasets.synthetic_faces(20)
>>> X = list(zip(images, boxes))
>>> model = ert.ShapePredictor(n_stages=2, n_trees=20, n_inits=5, random_state=0).fit(X, landmarks)
>>> model.save("small.ert")
>>> ert.load("small.ert").n_landmarks_
68
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ert import compat, datasets, evaluation, faces, measurements, metrics, plotting, tracking, web
    from ert._core.estimator import NotFittedError
    from ert._core.exceptions import InputError
    from ert._core.files import sample_image
    from ert._core.images import load_image
    from ert._core.version import __version__
    from ert.datasets.dataset import Dataset
    from ert.datasets.formats import load_dataset, write_dataset
    from ert.evaluation.explanation import Explanation, explain
    from ert.faces.align import AlignedFace, align, to_dataframe
    from ert.faces.detection import detect_faces
    from ert.faces.eyes import close_eyes
    from ert.faces.pose import HeadPose, head_pose
    from ert.faces.regions import BlinkCounter, eye_aspect_ratio, mouth_opening, regions
    from ert.faces.warp import Chip, average_face, chip, triangles, warp
    from ert.inference.mode import PredictionMode
    from ert.measurements.measure import measure
    from ert.model.confidence import Assessment
    from ert.pipeline.cluster.run import predict_on_cluster
    from ert.pipeline.outputs import write_predictions
    from ert.pipeline.predict import Prediction, predict
    from ert.pipeline.self_training import self_train
    from ert.pipeline.train import train
    from ert.pipeline.tuning.tune import tune
    from ert.predictor import ShapePredictor, load
    from ert.tracking.tracker import TrackedFace, Tracker

# The modules of the public names: each is imported when one of its names is first used.
_MODULES = {
    "_core.estimator": "NotFittedError",
    "_core.exceptions": "InputError",
    "_core.images": "load_image",
    "_core.files": "sample_image",
    "_core.version": "__version__",
    "datasets.dataset": "Dataset",
    "datasets.formats": "load_dataset write_dataset",
    "evaluation.explanation": "Explanation explain",
    "faces.align": "AlignedFace align to_dataframe",
    "faces.detection": "detect_faces",
    "faces.eyes": "close_eyes",
    "faces.pose": "HeadPose head_pose",
    "faces.regions": "BlinkCounter eye_aspect_ratio mouth_opening regions",
    "faces.warp": "Chip average_face chip triangles warp",
    "inference.mode": "PredictionMode",
    "measurements.measure": "measure",
    "model.confidence": "Assessment",
    "pipeline.cluster.run": "predict_on_cluster",
    "pipeline.outputs": "write_predictions",
    "pipeline.predict": "Prediction predict",
    "pipeline.self_training": "self_train",
    "pipeline.train": "train",
    "pipeline.tuning.tune": "tune",
    "predictor": "ShapePredictor load",
    "tracking.tracker": "TrackedFace Tracker",
}
_SUBMODULES = ("compat", "datasets", "evaluation", "faces", "measurements", "metrics", "plotting", "tracking", "web")
_HOME = {name: f"ert.{module}" for module, names in _MODULES.items() for name in names.split()}

__all__ = [
    "AlignedFace",
    "Assessment",
    "BlinkCounter",
    "Chip",
    "Dataset",
    "Explanation",
    "HeadPose",
    "InputError",
    "NotFittedError",
    "Prediction",
    "PredictionMode",
    "ShapePredictor",
    "TrackedFace",
    "Tracker",
    "__version__",
    "align",
    "average_face",
    "chip",
    "close_eyes",
    "compat",
    "datasets",
    "detect_faces",
    "evaluation",
    "explain",
    "eye_aspect_ratio",
    "faces",
    "head_pose",
    "load",
    "load_dataset",
    "load_image",
    "measure",
    "measurements",
    "metrics",
    "mouth_opening",
    "plotting",
    "predict",
    "predict_on_cluster",
    "regions",
    "sample_image",
    "self_train",
    "to_dataframe",
    "tracking",
    "train",
    "triangles",
    "tune",
    "warp",
    "web",
    "write_dataset",
    "write_predictions",
]


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return importlib.import_module(f"ert.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'ert' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    # A submodule that is imported later must not take the place of a function of the same name.
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
