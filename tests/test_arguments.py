"""Arguments of a wrong type or value: public functions accept them or raise an `InputError` of one short line."""

import inspect
from functools import partial

import numpy as np
import pytest

import ert
from ert import InputError, metrics, plotting, tracking
from ert._core.exceptions import printable, quoted
from ert.datasets.synthetic import synthetic_dataset
from ert.faces.detection import detect_faces

WRONG = [
    0,
    5,
    -1,
    2.5,
    float("nan"),
    float("inf"),
    10**400,
    True,
    None,
    "",
    "x",
    "a\0b",
    "\x1b[2J\ud800",
    "x" * 10**5,
    b"x",
    [],
    ["x"],
    [None],
    [[1, 2], [3]],
    {},
    {"x": 1},
    (),
    object(),
    np.array(["a"]),
    np.zeros(0),
    np.zeros((2, 2, 2)),
    np.full(4, np.nan),
    1j,
]


@pytest.fixture(scope="module")
def calls(faces, confident_model, tmp_path_factory):
    """Functions by name, each with valid arguments."""
    folder = tmp_path_factory.mktemp("arguments")
    data = synthetic_dataset(folder / "faces", 2, seed=1)
    dataset = ert.load_dataset(data / "landmarks.csv")
    X, y = faces[0][:4], faces[1][:4]
    image, box = X[0]
    model, shape = confident_model, y[0]
    aligned = ert.align(image, model, boxes=[box])
    model.save(folder / "m.ert")
    small = {"n_stages": 1, "n_trees": 2, "n_inits": 2, "n_pixels": 20, "working_size": 32, "n_jobs": 1}

    def fit(parameters=None, **arguments):
        return ert.ShapePredictor(**small).set_params(**(parameters or {})).fit(**arguments)

    def track(frame, time, **parameters):
        return ert.Tracker(**({"model": model, "detector": lambda image: [box]} | parameters)).update(frame, time)

    return {
        "load": (ert.load, {"name_or_path": folder / "m.ert"}),
        "load_image": (ert.load_image, {"path": data / "face_0000.png"}),
        "load_dataset": (
            ert.load_dataset,
            {
                "path": data / "landmarks.csv",
                "boxes": None,
                "split": None,
                "part_order": "natural",
                "image_folder": data,
            },
        ),
        "write_dataset": (ert.write_dataset, {"dataset": dataset, "path": folder / "x.csv", "format": "csv"}),
        "align": (
            ert.align,
            {
                "image": image,
                "model": model,
                "boxes": [box],
                "detector": "lbp",
                "mode": "fast",
                "any_roll": False,
                "min_confidence": 0.0,
                "channel_order": "rgb",
            },
        ),
        "detect_faces": (detect_faces, {"image": image, "detector": "lbp", "channel_order": "rgb"}),
        "predict": (
            model.predict,
            {
                "X": X,
                "mode": "fast",
                "return_std": True,
                "rolls": 0.0,
                "max_roll": None,
                "channel_order": "rgb",
                "n_jobs": 1,
            },
        ),
        "ert.predict": (
            lambda **options: list(ert.predict(**options)),
            {
                "model": model,
                "images": [image],
                "boxes": [box],
                "box_from": None,
                "mode": "fast",
                "max_objects": 1,
                "min_confidence": 0.0,
                "scale": 1.0,
                "recursive": False,
                "image_folder": None,
                "n_jobs": 1,
                "on_error": "raise",
            },
        ),
        "write_predictions": (
            ert.write_predictions,
            {
                "predictions": list(ert.predict(model, data / "face_0000.png", box_from="whole")),
                "path": folder / "p.csv",
                "format": "csv",
            },
        ),
        "assess": (model.assess, {"X": X, "landmarks": y, "channel_order": "rgb", "n_jobs": 1}),
        "score": (model.score, {"X": X, "y": y}),
        "save": (model.save, {"path": folder / "y.ert"}),
        "std_radius": (model.std_radius, {}),
        "fit": (
            fit,
            {"X": X, "y": y, "validation": (X, y), "landmark_names": None, "notes": {"a": "b"}, "checkpoint": None},
        ),
        "fit_confidence": (
            ert.ShapePredictor(**small).fit(X, y).fit_confidence,
            {"X": X, "y": y, "groups": None, "n_folds": 2, "checkpoint": None},
        ),
        "tracker": (
            track,
            {
                "frame": image,
                "time": 0.0,
                "model": model,
                "detector": "lbp",
                "smooth": True,
                "detect_every": 1.0,
                "detect_size": 100,
                "search_every": 0.2,
                "patience": 1.0,
                "min_confidence": 0.0,
                "max_faces": 1,
                "rate": 30.0,
                "channel_order": "rgb",
            },
        ),
        "measure": (
            ert.measure,
            {
                "data": y,
                "distances": "0-1",
                "angles": ["0-1-2"],
                "areas": {"a": "0-1-2"},
                "perimeters": [(0, 1, 2)],
                "centroid_size": True,
                "procrustes": True,
                "scales": 0.5,
                "scale_points": None,
                "unit": "mm",
                "std": np.ones(y.shape[:2]),
            },
        ),
        "compare_annotations": (ert.measurements.compare_annotations, {"a": dataset, "b": dataset}),
        "explain": (ert.explain, {"model": model, "image": image, "box": box, "channel_order": "rgb"}),
        "head_pose": (ert.head_pose, {"landmarks": shape, "image_shape": image.shape, "focal_length": 100.0}),
        "eye_aspect_ratio": (ert.eye_aspect_ratio, {"landmarks": shape}),
        "mouth_opening": (ert.mouth_opening, {"landmarks": shape}),
        "regions": (ert.regions, {"landmarks": shape}),
        "triangles": (ert.triangles, {"points": shape}),
        "chip": (ert.chip, {"image": image, "landmarks": shape, "size": 20, "padding": 0.2, "template": None}),
        "average_face": (
            ert.average_face,
            {"images": [image], "landmarks": [shape], "size": 20, "padding": 0.2, "template": None},
        ),
        "warp": (
            ert.warp,
            {"image": image, "from_points": shape, "to_points": shape, "size": (20, 20), "border": True},
        ),
        "to_dataframe": (ert.to_dataframe, {"faces": aligned, "wide": True}),
        "BlinkCounter": (ert.BlinkCounter, {"close_below": 0.2, "open_above": 0.23, "shortest": 0.05, "longest": 0.5}),
        "auc": (metrics.auc, {"errors": [1.0], "limit": 8.0}),
        "failure_rate": (metrics.failure_rate, {"errors": [1.0], "limit": 8.0}),
        "bootstrap_interval": (metrics.bootstrap_interval, {"values": [1.0, 2.0], "level": 0.9, "n": 10, "seed": 0}),
        "ced": (metrics.ced, {"errors": [1.0], "thresholds": [1.0]}),
        "evaluate": (metrics.evaluate, {"y_true": y, "y_pred": y, "norms": ["box"]}),
        "nme": (metrics.nme, {"y_true": y, "y_pred": y, "normalizer": "box"}),
        "per_landmark_nme": (metrics.per_landmark_nme, {"y_true": y, "y_pred": y, "normalizer": "box"}),
        "normalizer_lengths": (metrics.normalizer_lengths, {"y_true": y, "normalizer": "box"}),
        "draw_landmarks": (
            plotting.draw_landmarks,
            {
                "image": image,
                "shapes": [shape],
                "boxes": [box],
                "scheme": "auto",
                "names": None,
                "labels": None,
                "colors": None,
                "radii": None,
                "min_size": 1,
            },
        ),
        "contact_sheet": (
            plotting.contact_sheet,
            {"thumbnails": [image], "columns": 1, "captions": ["a"], "tile_size": 32},
        ),
        "save_image": (plotting.save_image, {"path": folder / "x.png", "image": image}),
        "VideoReader": (tracking.VideoReader, {"source": data / "face_0000.png"}),
    }


PARAMETERS = inspect.signature(ert.ShapePredictor).parameters
NAMES = [
    "load",
    "load_image",
    "load_dataset",
    "write_dataset",
    "align",
    "detect_faces",
    "predict",
    "ert.predict",
    "write_predictions",
    "assess",
    "score",
    "save",
    "fit",
    "fit_confidence",
    "tracker",
    "measure",
    "compare_annotations",
    "explain",
    "head_pose",
    "eye_aspect_ratio",
    "mouth_opening",
    "regions",
    "triangles",
    "chip",
    "average_face",
    "warp",
    "to_dataframe",
    "BlinkCounter",
    "auc",
    "failure_rate",
    "bootstrap_interval",
    "ced",
    "evaluate",
    "nme",
    "per_landmark_nme",
    "normalizer_lengths",
    "draw_landmarks",
    "contact_sheet",
    "save_image",
    "VideoReader",
]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", NAMES)
def test_wrong_arguments_raise_the_usual_error(calls, name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    function, valid = calls[name]
    failures = []
    for argument in valid:
        for value in WRONG:
            if name == "predict" and isinstance(value, np.ndarray) and argument != "X":
                continue  # a face takes less time than tests of types
            call = partial(function, **(valid | {argument: value}))
            try:
                call()
            except InputError as error:
                if "\n" in str(error) or len(str(error)) > 1000:
                    failures.append(f"{argument}={value!r:.60}: {error!r}")
            except Exception as error:
                failures.append(f"{argument}={quoted(value)}: {printable(repr(error), 200)}")
    assert not failures, "\n".join(["", *failures])


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("measure", {"distances": 3}, "distances: 3, expected"),
        ("measure", {"std": "x"}, "std: 'x', expected an array of numbers or None"),
        ("ert.predict", {"model": ert.ShapePredictor()}, "not fitted"),
        ("ert.predict", {"max_objects": 1.5}, "max_objects: 1.5, expected an integer or None"),
    ],
)
def test_the_argument_that_is_wrong_is_named(calls, name, options, message):
    function, valid = calls[name]
    data = {"data": calls["compare_annotations"][1]["a"], "std": None} if name == "measure" else {}
    with pytest.raises((InputError, ValueError), match=message):
        function(**valid | data | options)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("number", [np.float32, np.float16, np.float64, float])
def test_errors_of_a_detector_are_not_replaced(calls, number):
    def detector(image):
        raise KeyError("of the user")

    function, valid = calls["align"]
    arguments = valid | {"boxes": None, "min_confidence": number(0.5), "detector": detector}
    with pytest.raises(KeyError, match="of the user"):
        function(**arguments)


@pytest.mark.parametrize("name", [name for name in PARAMETERS if name != "verbose"])
def test_wrong_parameters_raise_the_usual_error(faces, name):
    small = {"n_stages": 1, "n_trees": 2, "n_inits": 2, "n_pixels": 20, "working_size": 32, "n_jobs": 1}
    for value in WRONG:
        is_number = isinstance(value, (int, float))
        if value is None or (is_number and (abs(value) < 10 or name == "max_memory")):
            continue
        with pytest.raises(InputError) as info:
            ert.ShapePredictor(**(small | {name: value})).fit(faces[0][:4], faces[1][:4])
        assert "\n" not in str(info.value)
        assert len(str(info.value)) <= 1000
