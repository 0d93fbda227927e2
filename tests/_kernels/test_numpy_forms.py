"""The NumPy forms of the kernels of prediction give the same bits as the kernels."""

from dataclasses import replace

import numpy as np
import pytest
from helpers import run_alone, small_predictor

import ert
from ert._kernels import choice, numpy_forms
from ert._kernels.start import compiled
from ert.model.dlib_cascade import compact
from ert.model.geometry import INITS

BOX = (176.0, 65.0, 98.0, 98.0)


@pytest.fixture
def in_numpy(monkeypatch):
    """A function that calls another one as in a process in which nothing is compiled."""

    def call(function, *args, **options):
        with monkeypatch.context() as patch:
            patch.setattr(choice, "_compiled", False)
            patch.setenv("ERT_COMPILE", "never")
            return function(*args, **options)

    return call


@pytest.fixture(scope="module")
def photo():
    return ert.load_image(ert.sample_image())


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def random_image(rng, *shape):
    return rng.integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("shape", [(1, 1), (7, 40), (64, 33), (700, 300)])
def test_gray(rng, shape):
    image = random_image(rng, shape[0] + 3, shape[1] + 5, 3)
    weights = np.array([77 << 8, 150 << 8, 29 << 8, 128 << 8], np.uint32)
    out = np.empty((2, *shape), np.uint8)
    for forms, target in zip((numpy_forms, compiled), out, strict=True):
        forms.to_gray(image, 2, 4, weights, target)
    np.testing.assert_array_equal(*out)


@pytest.mark.parametrize("degrees", [0, 17, 90, -133])
def test_rotation(rng, degrees):
    image = random_image(rng, 31, 44)
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = 1.3 * np.array([[cos, -sin], [sin, cos]])
    place = np.array([20.0, 15.0]) - turn @ [25.0, 30.0]
    out = np.empty((2, 60, 50), np.uint8)
    for forms, target in zip((numpy_forms, compiled), out, strict=True):
        forms.rotate_image(image, turn, place, target)
    np.testing.assert_array_equal(*out)


@pytest.mark.parametrize("blur", [0.0, 0.4, 1.5])
@pytest.mark.parametrize("min_contrast", [0.0, 40.0])
@pytest.mark.parametrize("side", [5.3, 20.0, 61.7, 200.4, 1e9])
def test_crops(rng, blur, min_contrast, side):
    image = (100 + random_image(rng, 90, 120) // 8).astype(np.uint8)
    spec = np.array([-0.25, -0.1, 1.25, 1.3]), 24, blur, min_contrast, (60, 50)
    for square in ((10.6, -30.2, side), (90.5, 60.1, side)):
        found = [forms.crop_resampled(image, (0, 0), square, spec) for forms in (numpy_forms, compiled)]
        for one, other in zip(*found, strict=True):
            np.testing.assert_array_equal(one, other)


def every_prediction(model, image, boxes):
    found = [model.predict([(image, box) for box in boxes], mode) for mode in ("fast", "accurate")]
    found.append(model.predict([(image, boxes[0])], rolls=[25.0]))
    found.append(model.predict([(image, boxes[0])], max_roll=30.0))
    if model.confidence_model_ is not None:
        assessed = model.assess([(image, box) for box in boxes], found[0])
        found += [assessed.std, assessed.within, assessed.confidence]
    return found


@pytest.mark.parametrize("name", ["face68", "face68-small", "face5"])
@pytest.mark.parametrize("kind", ["color", "gray", "read-only"])
def test_bundled_models(photo, in_numpy, name, kind):
    image = photo if kind != "gray" else np.ascontiguousarray(photo[:, :, 1])
    if kind == "read-only":
        image = image[:, ::-1]
    rng = np.random.default_rng(1)
    boxes = [BOX, (-20, -20, 90, 95), *(np.array(BOX) + rng.normal(0, 8, (2, 4)))]
    boxes = [tuple(map(float, box)) for box in boxes]
    found = in_numpy(every_prediction, ert.load(name), image, boxes)
    for one, other in zip(found, every_prediction(ert.load(name), image, boxes), strict=True):
        np.testing.assert_array_equal(one, other)


def cascades_of(small_model, faces):
    """Cascades of all kinds, with random numbers: leaves of 8 and 16 bits, blur, maps, those of dlib."""
    own = small_model.cascade_
    rng = np.random.default_rng(3)
    channels = rng.integers(0, 5, own.anchors.shape, dtype=np.uint8)
    yield own
    yield replace(own, leaves=own.leaves.astype(np.int16) * 3)
    yield replace(own, channels=channels)
    yield replace(own, channels=channels, crop_spec=replace(own.crop_spec, blur=1.2, min_contrast=60.0))
    dlib = small_predictor(kind="dlib", gray_weights="dlib", n_stages=2).fit(faces[0][:30], faces[1][:30]).cascade_
    yield dlib
    yield compact(dlib)


def test_cascades_of_all_kinds(small_model, faces, in_numpy):
    mirror_map = small_model.mirror_map_
    inits = np.concatenate([INITS[:3], INITS[:3] + [0, 0, 0, 1]])
    for cascade in cascades_of(small_model, faces):
        for image in (faces[0][0][0], np.repeat(faces[0][1][0][:, :, None], 3, axis=2) // [[[1, 2, 3]]]):
            image = image.astype(np.uint8)
            for box in (faces[0][0][1], (-30.0, 20.5, 80.0, 90.25)):
                args = image, tuple(map(float, box)), inits, "bgr", "luma", mirror_map
                found = in_numpy(replace(cascade).predict_face, *args)
                np.testing.assert_array_equal(found, cascade.predict_face(*args))


def test_a_face_that_is_not_plain_is_left_alone(small_model, in_numpy):
    def is_located(image, box):
        kernels = replace(small_model.cascade_).plain_kernels
        return kernels.predict(image, (0, 0), box, 5, *kernels.rest, np.empty(kernels.shape))

    image = np.zeros((40, 40), np.uint8)
    for picture, box in (
        (image, (5.0, 5.0, 20.0, 20.0)),
        (image[:, ::2], (5.0, 5.0, 10.0, 10.0)),
        (image, (60.0, 5.0, 20.0, 20.0)),
        (image, (0.0, 0.0, 300.0, 20.0)),
        (image, (np.nan, 0.0, 20.0, 20.0)),
    ):
        assert in_numpy(is_located, picture, box) == is_located(picture, box)


@pytest.mark.parametrize("normalizer", [None, "inter-ocular", "inter-pupil", "box", "diagonal"])
def test_the_confidence_model(confident_model, faces, in_numpy, normalizer):
    def assess(shape):
        std, within = np.empty((2, len(shape)))
        model = replace(confident_model.confidence_model_)
        confidence = model.assess_face(*faces[0][0], shape, "rgb", "luma", normalizer, std, within)
        return np.concatenate([std, within, [confidence]])

    rng = np.random.default_rng(2)
    for shape in (faces[1][0], faces[1][0] * 0.01, rng.uniform(-50, 200, faces[1][0].shape)):
        np.testing.assert_array_equal(in_numpy(assess, shape), assess(shape))


def test_a_dat_file(small_model, faces, in_numpy, tmp_path):
    small_predictor(kind="dlib", gray_weights="dlib").fit(faces[0][:30], faces[1][:30]).save(tmp_path / "model.dat")

    def predict():
        return ert.load(tmp_path / "model.dat").predict(faces[0][:3])

    np.testing.assert_array_equal(in_numpy(predict), predict())


def test_prediction_without_numba():
    """With NUMBA_DISABLE_JIT, predictions are NumPy's, numba is not even imported, and training is refused."""
    code = """
import sys, ert
faces = ert.align(ert.sample_image(), mode="accurate")
assert len(faces) == 1 and "numba" not in sys.modules
try:
    ert.ShapePredictor().fit([(faces[0].image, faces[0].box)], [faces[0].landmarks])
except ert.InputError as error:
    print(error)
"""
    out = run_alone(code, NUMBA_DISABLE_JIT="1", ERT_COMPILE="auto")
    assert out == "NUMBA_DISABLE_JIT is set, and ert's kernels need numba's compiler here: unset it\n"
